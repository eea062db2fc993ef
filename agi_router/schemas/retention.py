"""
What is said of retention: classes, holds and proofs.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.bindings.words import check_order_id
from agi_router.maintenance.classes import Kind, RetentionClass
from agi_router.records.audit import check_case, check_note
from agi_router.schemas.base import Body, NextCursor, Out, example
from agi_router.schemas.fields import Number
from agi_router.tenants.model import check_tenant

__all__ = [
    "HoldIn",
    "HoldOut",
    "HoldSearchIn",
    "HoldsOut",
    "KindOut",
    "ProofOut",
    "ProofsOut",
    "ReleaseIn",
    "RetentionOut",
]


class HoldIn(Body):
    """
    What is to be held, for which case.
    """

    case: Annotated[str, AfterValidator(check_case)]
    reason: Annotated[str, AfterValidator(check_note)]
    x: str | None = Field(default=None, max_length=32, description="A 700 number.")
    person: Number | None = None
    order: Annotated[str, AfterValidator(check_order_id)] | None = None
    tenant: Annotated[str, AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose order alone."
    )

    model_config = example(
        {"case": "P-2026-17", "reason": "police request", "person": "13800000001"}
    )


class HoldSearchIn(Body):
    """
    Whose legal holds are asked for.
    """

    person: Number
    everything: bool = Field(default=False, description="Those that were released, too.")

    model_config = example({"person": "13800000001"})


class ReleaseIn(Body):
    """
    Why a legal hold is released.
    """

    note: Annotated[str, AfterValidator(check_note)]

    model_config = example({"note": "case closed"})


_KIND: dict[str, Any] = {
    "kind": "call",
    "what": "calls",
    "class": "records",
    "days": 190,
    "since": "its day",
    "oldest": "2026-01-31",
    "rows": 1200000,
    "next_on": "2026-08-10",
    "due": False,
    "deleted_by": "the sweep",
}
_PROOF: dict[str, Any] = {
    "id": "12",
    "kind": "call",
    "day": "2026-01-31",
    "whole_day": True,
    "rows": 1200000,
    "digest": "9f" * 32,
    "rule": "records, 190 days after its day",
    "begun_at": "2026-08-10T00:04:05+00:00",
    "ended_at": "2026-08-10T00:04:35+00:00",
}
_HOLD: dict[str, Any] = {
    "id": "7",
    "case": "P-2026-17",
    "reason": "police request",
    "x": None,
    "person": "138****0001",
    "order": None,
    "tenant": None,
    "set_by": "API key qkzwhtdmxcvbnrpl",
    "set_at": "2026-01-31T15:04:05+00:00",
    "released_by": None,
    "released_at": None,
    "release_note": None,
    "damage": None,
}


class KindOut(Out):
    """
    What is kept of a kind.
    """

    kind: Kind
    what: str
    class_: RetentionClass = Field(alias="class")
    days: int = Field(description="For how many days, once it is over.")
    since: str = Field(description="From when on they are counted.")
    oldest: str | None = Field(description="The oldest day (UTC); null: nothing is over.")
    rows: int = Field(description="About how many rows there are.")
    next_on: str | None = Field(description="When the oldest day goes.")
    due: bool = Field(description="Whether it goes now.")
    deleted_by: str


class RetentionOut(Out):
    """
    What is kept for how long.
    """

    kinds: list[KindOut]

    model_config = example({"kinds": [_KIND]})


class ProofOut(Out):
    """
    The proof of a deletion.
    """

    id: str
    kind: Kind
    day: str = Field(description="Its day (UTC), or up to whose end it was over.")
    whole_day: bool = Field(description="Whether it is of that day alone.")
    rows: int
    digest: str = Field(
        description="SHA-256 over the digest before, 32 zero bytes at first, and a row's name,"
        " row by row; in hexadecimal."
    )
    rule: str
    begun_at: str
    ended_at: str


class ProofsOut(Out):
    """
    Proofs, the latest first.
    """

    proofs: list[ProofOut]

    model_config = example({"proofs": [_PROOF]})


class HoldOut(Out):
    """
    A legal hold.
    """

    id: str
    case: str
    reason: str
    x: str | None
    person: str | None = Field(description="Masked.")
    order: str | None
    tenant: str | None = Field(description="Whose order alone.")
    set_by: str
    set_at: str
    released_by: str | None = Field(description="Null: it holds.")
    released_at: str | None
    release_note: str | None
    damage: str | None = Field(description="Why the person cannot be read.")

    model_config = example(_HOLD)


class HoldsOut(Out):
    """
    Legal holds, newest first.
    """

    holds: list[HoldOut]
    next_cursor: NextCursor = None

    model_config = example({"holds": [_HOLD]})
