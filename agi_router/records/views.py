"""
Rows of the audit as they are told.
"""

from collections.abc import Mapping
from typing import Any

from agi_router.records.verification import Verdict

__all__ = ["describe_act", "describe_verdict"]

_TOLD = (
    *("at", "act", "subject", "reason", "case_id", "api_key", "request_id", "name", "uid"),
    *("effective_uid", "login_uid", "claimed", "host", "role", "address", "before", "after"),
)


def describe_act(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    A row of the audit, as JSON has it; no real number is in one.
    """
    tag = None if row["tag"] is None else str(row["tag"])
    return {"id": str(row["id"]), **{name: row[name] for name in _TOLD}, "tag": tag}


def describe_verdict(verdict: Verdict) -> dict[str, Any]:
    """
    What a look at the audit has found, as JSON has it.
    """
    return {
        "whole": not verdict.findings,
        "rows": verdict.rows,
        "signed": verdict.signed,
        "unsigned": verdict.unsigned,
        "findings": [
            {
                "what": each.what,
                "position": each.position,
                "audit_id": None if each.audit_id is None else str(each.audit_id),
            }
            for each in verdict.findings
        ],
    }
