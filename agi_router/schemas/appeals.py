"""
What is said of appeals.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from agi_router.persons.appeal_states import AppealState
from agi_router.persons.appeals import NOTICES, EvidenceKind, check_digest, check_reference
from agi_router.persons.effects import LockReason, Subject
from agi_router.records.audit import check_note
from agi_router.schemas.base import MASKED, TIME, Body, NextCursor, Out, example
from agi_router.schemas.locks import check_lock_id

__all__ = [
    "AppealIn",
    "AppealOut",
    "AppealsOut",
    "DecideIn",
    "EvidenceIn",
    "EvidenceOut",
    "RebindIn",
    "RebindOut",
]


class AppealIn(Body):
    """
    An appeal against a lock.
    """

    lock_id: Annotated[str, Field(max_length=32, examples=["17"]), AfterValidator(check_lock_id)]
    note: Annotated[str, AfterValidator(check_note)] | None = Field(
        default=None, description="What the person says."
    )

    model_config = example({"lock_id": "17", "note": "it was not me"})


class EvidenceIn(Body):
    """
    One piece of evidence: where it lies, and the digest of what lies there; never the paper.
    """

    kind: EvidenceKind = Field(strict=False)
    reference: Annotated[str, AfterValidator(check_reference)]
    digest: Annotated[str, Field(max_length=64), AfterValidator(check_digest)] = Field(
        description="SHA-256, 64 hexadecimal digits."
    )

    model_config = example(
        {"kind": "payment_record", "reference": "ticket-77", "digest": "9f86d081" * 8}
    )


class DecideIn(Body):
    """
    What becomes of the lock.
    """

    decision: Literal["lift", "uphold"]
    note: Annotated[str, AfterValidator(check_note)] | None = None

    model_config = example({"decision": "lift"})


class RebindIn(Body):
    """
    A binding that is to be carried over to another number.
    """

    binding_id: Annotated[str, Field(max_length=64)]
    instead: str | None = Field(
        default=None,
        max_length=64,
        description="Who takes the place of a person who is locked: a real number.",
    )

    model_config = example({"binding_id": "70012345678-42", "instead": "13800000003"})


_APPEAL: dict[str, Any] = {
    "id": "3",
    "lock_id": "17",
    "subject": "person",
    "x": None,
    "block": None,
    "person": MASKED,
    "reason": "arrears",
    "tenant": "couriers",
    "state": "evidence_complete",
    "text": dict(NOTICES[AppealState.COMPLETE]),
    "missing": [],
    "evidence": [
        {
            "kind": "payment_record",
            "reference": "ticket-77",
            "digest": "9f86d081" * 8,
            "added_at": TIME,
        }
    ],
    "note": None,
    "filed_at": TIME,
    "filed_by": None,
    "state_at": TIME,
    "deadline_at": TIME,
    "overdue": False,
    "reviewer": None,
    "decided_by": None,
    "decision_note": None,
    "offers": [],
    "rebinds": [],
    "damage": None,
}


class RebindOut(Out):
    """
    A binding that was carried over to another number.
    """

    old_binding_id: str = Field(description="It has ended.")
    new_binding_id: str = Field(description="It has its place.")
    at: str


class EvidenceOut(Out):
    """
    One piece of evidence.
    """

    kind: EvidenceKind
    reference: str
    digest: str
    added_at: str


class AppealOut(Out):
    """
    An appeal against a lock. The number of a person is masked.
    """

    id: str
    lock_id: str
    subject: Subject
    x: str | None
    block: str | None
    person: str | None
    reason: LockReason = Field(description="Of the lock.")
    tenant: str | None = Field(description="Who has filed it; null: the operator.")
    state: AppealState
    text: dict[str, str] = Field(description="For the person, in zh and en.")
    missing: list[EvidenceKind]
    evidence: list[EvidenceOut]
    note: str | None
    filed_at: str
    filed_by: str | None = Field(description="Told to the operator alone; so the two below.")
    state_at: str
    deadline_at: str | None = Field(description="Until when the next step is due.")
    overdue: bool
    reviewer: str | None
    decided_by: str | None
    decision_note: str | None
    offers: list[Literal["rebind"]] = Field(description="What may be done about it yet.")
    rebinds: list[RebindOut] = Field(description="Of the tenant's bindings.")
    damage: str | None = Field(description="Why what its lock is on cannot be read.")

    model_config = example(_APPEAL)


class AppealsOut(Out):
    """
    Appeals, newest first.
    """

    appeals: list[AppealOut]
    next_cursor: NextCursor = None

    model_config = example({"appeals": [_APPEAL]})
