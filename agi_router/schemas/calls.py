"""
What is said of calls.
"""

from typing import Any, Literal

from pydantic import Field

from agi_router.bindings.reasons import Reason
from agi_router.calls.end import Clock
from agi_router.persons.effects import LockReason
from agi_router.recordings.model import RecordingState
from agi_router.schemas.base import TIME, NextCursor, Out, example

__all__ = ["CALL", "CallOut", "CallsOut"]

CALL: dict[str, Any] = {
    "id": "pbx1-1769843045.17",
    "tenant": "couriers",
    "x": "700123456780001",
    "binding": "70012345678-42",
    "shown": "700123456780001",
    "side": "a",
    "verdict": "route",
    "reason": None,
    "outcome": "answered",
    "state": "settled",
    "received_at": TIME,
    "ringing_at": "2026-01-31T15:04:09.200000+00:00",
    "answered_at": "2026-01-31T15:04:35+00:00",
    "ended_at": "2026-01-31T15:05:05+00:00",
    "ring_ms": 4200,
    "talk_ms": 30000,
    "released_by": "caller",
    "cause": 16,
    "sip_status": 200,
    "clock": None,
    "cut": None,
    "check_id": None,
    "check_verdict": None,
    "check_ms": None,
    "tenant_check_id": None,
    "tenant_check_verdict": None,
    "tenant_check_ms": None,
    "recording": None,
}


class CallOut(Out):
    """
    A call, admitted or refused.
    """

    id: str
    tenant: str | None = Field(description="Of the binding that it used.")
    x: str
    binding: str | None
    shown: str | None = Field(description="The 700 number that the callee is shown.")
    side: str | None
    verdict: str
    reason: Reason | None
    outcome: str | None
    state: str
    received_at: str
    ringing_at: str | None
    answered_at: str | None
    ended_at: str | None
    ring_ms: int | None
    talk_ms: int | None
    released_by: str | None
    cause: int | None
    sip_status: int | None = Field(
        description="The callee's final SIP status; null: it gave none, or several rang at once."
    )
    clock: Clock | None = Field(description="Which clock ended it; null: none.")
    cut: LockReason | Literal["consent_withdrawn"] | None = Field(
        description="The reason of the lock for which it was cut, or that a party has withdrawn"
        " its consent; null: it was not."
    )
    check_id: str | None = Field(
        description="Of the question to the operator's verification service."
    )
    check_verdict: str | None = Field(description="yes, no or unavailable; null: nobody asked.")
    check_ms: int | None
    tenant_check_id: str | None = Field(description="The same of the tenant's own service.")
    tenant_check_verdict: str | None
    tenant_check_ms: int | None
    recording: RecordingState | Literal["awaited"] | None = Field(
        description="What there is of its recording; awaited: it is not sealed yet; null: it was"
        " not to be recorded, or nobody talked."
    )

    model_config = example(CALL)


class CallsOut(Out):
    """
    Calls, newest first.
    """

    calls: list[CallOut]
    next_cursor: NextCursor = None

    model_config = example({"calls": [CALL]})
