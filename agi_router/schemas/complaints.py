"""
What is said of complaints.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.persons.complaint_limits import ComplaintLevel
from agi_router.persons.complaints import (
    ComplaintKind,
    check_complaint_reference,
    check_complaint_source,
)
from agi_router.persons.effects import Subject
from agi_router.records.audit import check_note
from agi_router.schemas.answers import ProblemOut
from agi_router.schemas.base import LARGEST_BATCH, TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Time, X
from agi_router.tenants.model import check_tenant

__all__ = [
    "ComplaintBatchIn",
    "ComplaintBatchOut",
    "ComplaintCountOut",
    "ComplaintIn",
    "ComplaintOut",
    "ComplaintResultOut",
    "ComplaintsOut",
]


_FILED = {
    "x": "700123456780001",
    "at": "2026-03-01T10:00:00+08:00",
    "kind": "harassment",
    "source": "12321",
    "reference": "C-77",
}


class ComplaintIn(Body):
    """
    A complaint about a call; nothing of who has complained.
    """

    x: X = Field(description="The 700 number that was shown.")
    at: Time = Field(description="When the call was.")
    kind: Annotated[ComplaintKind, Field(strict=False)]
    source: Annotated[str, Field(max_length=512), AfterValidator(check_complaint_source)] = Field(
        description="Who passes it on."
    )
    reference: Annotated[str, Field(max_length=512), AfterValidator(check_complaint_reference)] = (
        Field(description="What it is known by there: one that comes twice is one.")
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose call it was; found out if left out."
    )
    note: Annotated[str, AfterValidator(check_note)] | None = None

    model_config = example(_FILED)


class ComplaintBatchIn(Body):
    """
    Complaints about calls, each by itself.
    """

    complaints: list[ComplaintIn] = Field(min_length=1, max_length=LARGEST_BATCH)

    model_config = example({"complaints": [_FILED]})


_COMPLAINT: dict[str, Any] = {
    "id": "5",
    "x": "700123456780001",
    "tenant": "couriers",
    "kind": "harassment",
    "at": TIME,
    "source": "12321",
    "reference": "C-77",
    "note": None,
    "added_at": TIME,
    "added_by": None,
    "dismissed_at": None,
    "dismiss_note": None,
}


class ComplaintOut(Out):
    """
    A complaint about a call.
    """

    id: str
    x: str = Field(description="The 700 number that was shown.")
    tenant: str | None = Field(description="Whose call it was; null: that is not known.")
    kind: ComplaintKind
    at: str = Field(description="When the call was.")
    source: str
    reference: str
    note: str | None
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    dismissed_at: str | None = Field(description="Since when it counts no longer.")
    dismiss_note: str | None

    model_config = example(_COMPLAINT)


class ComplaintCountOut(Out):
    """
    How a 700 number or a tenant stands.
    """

    subject: Annotated[Subject, Field(description="number or tenant.")]
    x: str | None = Field(description="The 700 number.")
    tenant: str | None = Field(description="The tenant.")
    complaints: int = Field(description="Those that count, since then.")
    calls: int = Field(description="Those that went through, since then.")
    more_calls: bool = Field(
        description="Whether there may be more calls: no more are counted than matter."
    )
    part_of_share: float | None = Field(
        description="What part of the legal share the complaints are, at half of which it is"
        " stopped; at most so much where there may be more calls. null: no calls."
    )
    since: str = Field(description="Since when both are counted.")
    level: ComplaintLevel

    model_config = example(
        {
            "subject": "tenant",
            "x": None,
            "tenant": "couriers",
            "complaints": 3,
            "calls": 20_000,
            "more_calls": False,
            "part_of_share": 0.3,
            "since": TIME,
            "level": "alarm",
        }
    )


class ComplaintsOut(Out):
    """
    Complaints, newest first.
    """

    complaints: list[ComplaintOut]
    next_cursor: NextCursor = None

    model_config = example({"complaints": [_COMPLAINT]})


class ComplaintResultOut(Out):
    """
    What became of one of a batch.
    """

    status: int = Field(description="201: it was written; 200: it was there.")
    complaint: ComplaintOut | None = None
    problem: ProblemOut | None = None


class ComplaintBatchOut(Out):
    """
    What became of each, in the order in which they came.
    """

    results: list[ComplaintResultOut]

    model_config = example({"results": [{"status": 201, "complaint": _COMPLAINT}]})
