"""
What is said in traces.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.bindings.words import BindingState, Mode
from agi_router.records.audit import check_case, check_note
from agi_router.schemas.base import MASKED, TIME, Body, Out, example
from agi_router.schemas.calls import CALL, CallOut
from agi_router.schemas.consents import CONSENT, ConsentOut
from agi_router.schemas.fields import Number, Time, X
from agi_router.schemas.locks import LOCK, LockOut
from agi_router.schemas.messages import MESSAGE, MessageOut

__all__ = ["CaseIn", "PersonTraceIn", "StretchOut", "TraceIn", "TraceOut", "TracedParty"]


class CaseIn(Body):
    """
    What real numbers are shown for, or something is deleted for.
    """

    id: Annotated[str, AfterValidator(check_case)]
    reason: Annotated[str, AfterValidator(check_note)]

    model_config = example({"id": "P-2026-17", "reason": "police request"})


_Case = Annotated[CaseIn | None, Field(description="Show real numbers, for this case.")]
_Most = Annotated[
    int, Field(ge=1, le=10_000, description="At most so many bindings, calls and texts each.")
]


class TraceIn(Body):
    """
    A 700 number and a time.
    """

    x: X
    at: Time
    window: int = Field(
        default=3600, ge=1, le=366 * 86400, description="Seconds before and behind it."
    )
    limit: _Most = 1000
    case: _Case = None

    model_config = example({"x": "700123456780001", "at": "2026-03-01T12:00:00+08:00"})


class PersonTraceIn(Body):
    """
    A person and a time.
    """

    person: Number
    since: Time
    until: Time | None = Field(default=None, description="Absent: now.")
    limit: _Most = 1000
    case: _Case = None

    model_config = example({"person": "13800000001", "since": "2026-03-01T00:00:00+08:00"})


_STRETCH: dict[str, Any] = {
    "binding": "70012345678-42",
    "tenant": "couriers",
    "order": "A-1001",
    "mode": "axb",
    "state": "expired",
    "since": TIME,
    "until": "2026-01-31T17:04:05+00:00",
    "a": [{"number": MASKED, "dials": "700123456780001"}],
    "b": [{"number": MASKED, "dials": "700123456780001"}],
    "called_back": [],
    "damage": None,
}


class TracedParty(Out):
    """
    Who was bound.
    """

    number: str = Field(description="The real number; masked where no case is named.")
    dials: str | None = Field(description="The 700 number that it dials.")


class StretchOut(Out):
    """
    A time in which a binding had the same parties.
    """

    binding: str
    tenant: str
    order: str | None
    mode: Mode
    state: BindingState
    since: str
    until: str = Field(description="In the future where the binding is to end then.")
    a: list[TracedParty]
    b: list[TracedParty]
    called_back: list[str] = Field(description="Who else was rung by it.")
    damage: str | None = Field(description="Why the parties cannot be read.")


class TraceOut(Out):
    """
    Who was bound in a time, the earliest first, and what came of it, the newest first.
    """

    since: str
    until: str
    bound: list[StretchOut]
    calls: list[CallOut]
    messages: list[MessageOut]
    locks: list[LockOut]
    consents: list[ConsentOut] = Field(
        description="What the parties had said to the tenants by whom they were bound."
    )
    cut: bool = Field(description="Whether there is more than was asked for.")

    model_config = example(
        {
            "since": TIME,
            "until": "2026-01-31T17:04:05+00:00",
            "bound": [_STRETCH],
            "calls": [CALL],
            "messages": [MESSAGE],
            "locks": [LOCK],
            "consents": [CONSENT],
            "cut": False,
        }
    )
