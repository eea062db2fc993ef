"""
What is answered of a tenant's own check, for the OpenAPI document.
"""

from typing import Any

from pydantic import ConfigDict, Field

from agi_router.calls.check import Unanswered
from agi_router.doors.http.outs import Out

__all__ = ["CheckMadeOut", "CheckOut"]

_CHECK: dict[str, Any] = {
    "tenant": "couriers",
    "url": "https://shop.example/calls",
    "unanswered": "refuse",
    "timeout_ms": None,
    "created_at": "2026-01-31T15:04:05+00:00",
}


class CheckOut(Out):
    """
    A tenant's own check, without its secrets.
    """

    tenant: str
    url: str
    unanswered: Unanswered = Field(
        description="What becomes of a call about which it says nothing in time."
    )
    timeout_ms: int | None = Field(
        description="Milliseconds that it has; null: as many as the operator lets it have."
    )
    created_at: str

    model_config = ConfigDict(json_schema_extra={"examples": [_CHECK]})


class CheckMadeOut(CheckOut):
    """
    A check that was just put: its secret is told once, where there was none before.
    """

    secret: str | None = Field(
        default=None, description="What signs questions; left out where it stays as it was."
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{**_CHECK, "secret": f"whsec_{'A' * 43}="}]}
    )
