"""
Rows of the audit as they are told.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["describe_act"]

_TOLD = (
    *("at", "act", "subject", "reason", "case_id", "api_key", "request_id", "name", "uid"),
    *("effective_uid", "login_uid", "claimed", "host"),
)


def describe_act(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    A row of the audit, as JSON has it; no real number is in one.
    """
    return {"id": str(row["id"]), **{name: row[name] for name in _TOLD}}
