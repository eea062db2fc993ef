"""
What is said of locks.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockState, check_rule, parse_lock_id
from agi_router.records.audit import check_note
from agi_router.schemas.answers import ProblemOut
from agi_router.schemas.base import LARGEST_BATCH, MASKED, TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Number, Time, X
from agi_router.tenants.model import check_tenant

__all__ = [
    "LOCK",
    "LiftIn",
    "LiftOnIn",
    "LiftedOut",
    "LockBatchIn",
    "LockBatchOut",
    "LockIn",
    "LockOut",
    "LockResultOut",
    "LockSearchIn",
    "LocksOut",
    "check_lock_id",
]

_Block = Annotated[str, Field(max_length=16, examples=["70012345678"])]


class LockIn(Body):
    """
    A lock on a 700 number, a block, a tenant, or a person: everywhere, or for one tenant.
    """

    reason: LockReason = Field(strict=False)
    x: X | None = None
    block: _Block | None = None
    person: Number | None = None
    tenant: Annotated[str, AfterValidator(check_tenant)] | None = Field(
        default=None, description="The tenant; with a person, the one for which alone it is."
    )
    rule: Annotated[str, AfterValidator(check_rule)] | None = Field(
        default=None, description="The rule by which it is set."
    )
    note: Annotated[str, AfterValidator(check_note)] | None = Field(
        default=None, description="What the person may be told."
    )
    starts_at: Time | None = Field(default=None, description="Absent: now.")
    ends_at: Time | None = Field(default=None, description="Absent: until it is reviewed.")
    cut: bool = Field(
        default=False,
        description="Whether calls that are up as it begins are cut; for misuse and"
        " security_risk only.",
    )

    model_config = example({"person": "13800000001", "reason": "arrears", "rule": "R-7"})


class _Several(Body):
    """
    700 numbers and blocks.
    """

    x: list[X] = Field(default_factory=list, max_length=LARGEST_BATCH, description="700 numbers.")
    blocks: list[_Block] = Field(default_factory=list, max_length=LARGEST_BATCH)
    operator: int | None = Field(
        default=None,
        ge=0,
        le=9,
        description="All blocks with this operator digit, the one after 700.",
    )


class LockBatchIn(_Several):
    """
    The same lock on many 700 numbers and blocks.
    """

    reason: LockReason = Field(strict=False)
    rule: Annotated[str, AfterValidator(check_rule)] | None = Field(
        default=None, description="The rule by which they are set."
    )
    note: Annotated[str, AfterValidator(check_note)] | None = None
    starts_at: Time | None = Field(default=None, description="Absent: now.")
    ends_at: Time | None = Field(default=None, description="Absent: until they are reviewed.")
    cut: bool = Field(
        default=False,
        description="Whether calls that are up as they begin are cut; for misuse and"
        " security_risk only.",
    )

    model_config = example(
        {
            "operator": 1,
            "reason": "maintenance",
            "starts_at": "2026-03-01T02:00:00+08:00",
            "ends_at": "2026-03-01T04:00:00+08:00",
        }
    )


class LiftOnIn(_Several):
    """
    What all locks are lifted on: many 700 numbers and blocks, or a person, or a tenant.
    """

    person: Number | None = None
    tenant: Annotated[str, AfterValidator(check_tenant)] | None = Field(
        default=None,
        description="The tenant; with a person, the one for which alone its locks are.",
    )
    reason: LockReason | None = Field(
        default=None, strict=False, description="Only locks for this reason."
    )
    note: Annotated[str, AfterValidator(check_note)] | None = None

    model_config = example({"operator": 1, "reason": "maintenance", "note": "done early"})


class LockSearchIn(Body):
    """
    Whose locks are asked for.
    """

    person: Number
    everything: bool = Field(default=False, description="Those that are over, too.")

    model_config = example({"person": "13800000001"})


class LiftIn(Body):
    """
    Why a lock is lifted.
    """

    note: Annotated[str, AfterValidator(check_note)] | None = None

    model_config = example({"note": "paid"})


def check_lock_id(text: str) -> str:
    """
    Return *text* if it is the id of a lock.

    Raises:
        ValueError: It is none.
    """
    return str(parse_lock_id(text))


LOCK: dict[str, Any] = {
    "id": "17",
    "subject": "person",
    "x": None,
    "block": None,
    "person": MASKED,
    "tenant": None,
    "reason": "arrears",
    "state": "in_force",
    "rule": "R-7",
    "note": None,
    "starts_at": TIME,
    "ends_at": None,
    "over_at": None,
    "set_at": TIME,
    "set_by": "API key qkzwhtdmxcvbnrpl",
    "lifted_by": None,
    "lift_note": None,
    "cut": False,
    "damage": None,
}


class LockOut(Out):
    """
    A lock. The number of a person is masked.
    """

    id: str
    subject: Subject
    x: str | None = Field(description="The 700 number, where it is on one.")
    block: str | None = Field(description="The block, where it is on one.")
    person: str | None = Field(description="Whom it is on, masked.")
    tenant: str | None = Field(description="Which it is on, or for which alone a person is.")
    reason: LockReason
    state: LockState
    rule: str | None
    note: str | None = Field(description="What the person may be told.")
    starts_at: str
    ends_at: str | None = Field(description="null: until it is reviewed.")
    over_at: str | None
    set_at: str
    set_by: str | None = Field(description="Told to the operator alone.")
    lifted_by: str | None = Field(description="The same.")
    lift_note: str | None
    cut: bool = Field(description="Whether calls that are up as it begins are cut.")
    damage: str | None = Field(description="Why what it is on cannot be read.")

    model_config = example(LOCK)


class LocksOut(Out):
    """
    Locks, newest first.
    """

    locks: list[LockOut]
    next_cursor: NextCursor = None

    model_config = example({"locks": [LOCK]})


class LockResultOut(Out):
    """
    What became of one of a batch.
    """

    x: str | None = Field(default=None, description="The 700 number, where it is one.")
    block: str | None = Field(default=None, description="The block, where it is one.")
    status: int = Field(description="201: it was set; 200: whoever asks has set such a lock.")
    lock: LockOut | None = None
    problem: ProblemOut | None = None


class LockBatchOut(Out):
    """
    What became of each, once: blocks with the operator digit, then blocks, then 700 numbers.
    """

    results: list[LockResultOut]

    model_config = example(
        {
            "results": [
                {
                    "x": "700123456780001",
                    "block": None,
                    "status": 201,
                    "lock": {
                        **LOCK,
                        "subject": "number",
                        "x": "700123456780001",
                        "person": None,
                        "reason": "maintenance",
                    },
                }
            ]
        }
    )


class LiftedOut(Out):
    """
    The locks that were lifted.
    """

    locks: list[LockOut]
    damaged: int = Field(
        description="Locks that may be on what was named, and cannot be read: lift these by id."
    )

    model_config = example({"locks": [{**LOCK, "state": "lifted"}], "damaged": 0})
