"""
What is said of findings for carriers.
"""

from typing import Any

from pydantic import Field

from agi_router.feeds.findings import FindingStatus
from agi_router.schemas.base import TIME, Body, Out, example

__all__ = [
    "AcknowledgementIn",
    "AcknowledgementOut",
    "FindingOut",
    "FindingsOut",
    "TakeIn",
    "TakenFindingOut",
    "TakenOut",
]


class TakeIn(Body):
    """
    Whose findings of misuse are handed out.
    """

    operator: int = Field(ge=0, le=9, description="The operator digit of 700 numbers.")
    limit: int = Field(default=1000, ge=1, le=10_000, description="At most so many.")

    model_config = example({"operator": 1})


class AcknowledgementIn(Body):
    """
    What a carrier has.
    """

    operator: int = Field(ge=0, le=9, description="The operator digit of 700 numbers.")
    up_to: int = Field(ge=1, le=2**63 - 1, description="The id of the last finding that it has.")

    model_config = example({"operator": 1, "up_to": 17})


_FINDING: dict[str, Any] = {
    "id": 17,
    "operator": 1,
    "number": "138****0001",
    "status": "misuse",
    "source": "lock",
    "since": TIME,
    "rule": None,
    "found_at": TIME,
    "taken_at": None,
    "acknowledged_at": None,
    "damage": None,
}
_TAKEN: dict[str, Any] = {
    "id": 17,
    "number": "13800000001",
    "status": "misuse",
    "since": TIME,
    "rule": None,
}


class FindingOut(Out):
    """
    A finding of misuse.
    """

    id: int
    operator: int = Field(description="The operator digit whose carrier is told.")
    number: str | None = Field(description="Masked; null: it is damaged.")
    status: FindingStatus
    source: str = Field(description="What has led to it: a `lock`, or each `complaint`.")
    since: str
    rule: str | None
    found_at: str
    taken_at: str | None = Field(description="When it was handed out first.")
    acknowledged_at: str | None = Field(description="When its carrier had it.")
    damage: str | None = Field(description="Why its number cannot be read.")

    model_config = example(_FINDING)


class FindingsOut(Out):
    """
    A page of findings.
    """

    findings: list[FindingOut]
    next_cursor: str | None

    model_config = example({"findings": [_FINDING], "next_cursor": None})


class TakenFindingOut(Out):
    """
    A finding, as its carrier is told.
    """

    id: int
    number: str = Field(description="The real number.")
    status: FindingStatus = Field(
        description="withdrawn: what was found before is true no more, so the number is not to be"
        " frozen by it."
    )
    since: str
    rule: str | None

    model_config = example(_TAKEN)


class TakenOut(Out):
    """
    Findings that are handed out.
    """

    findings: list[TakenFindingOut]

    model_config = example({"findings": [_TAKEN]})


class AcknowledgementOut(Out):
    """
    What a carrier has, and is told no more.
    """

    acknowledged: int = Field(description="How many findings.")

    model_config = example({"acknowledged": 17})
