"""
What an operation answers, for the OpenAPI document.
"""

from typing import Any

from fastapi import status
from pydantic import BaseModel, Field

from agi_router.schemas.base import Out, example
from agi_router.schemas.problems import DOOR, STATUSES

__all__ = ["FieldFaultOut", "NumbersTakenOut", "ProblemOut", "answers"]


class FieldFaultOut(Out):
    """
    What is wrong with a field.
    """

    pointer: str = Field(description="RFC 6901; empty: the whole body.")
    code: str
    detail: str


_PROBLEM: dict[str, Any] = {
    "type": "urn:agi-router:problem:binding_not_found",
    "title": "Not Found",
    "status": 404,
    "detail": "there is no binding 70012345678-42",
    "code": "binding_not_found",
    "instance": "urn:agi-router:request:5f1de0a4c0a84f0c9a3a7f1de0a4c0a8",
}


class NumbersTakenOut(Out):
    """
    How many numbers a rule has taken away.
    """

    rule: str = Field(
        description="resting; party_met (a party is on the number, or was not long ago); or what"
        " closes their blocks: draining, returned, uncertified, locked, kept, digit, pool, away."
    )
    numbers: int


class ProblemOut(Out):
    """
    A request that cannot be done (RFC 9457).
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    errors: list[FieldFaultOut] | None = None
    conflicts: list[str] | None = Field(
        default=None, description="Bindings that are in the way (bind_conflict)."
    )
    until: str | None = Field(
        default=None, description="When it may be asked for again (number_resting)."
    )
    rules: list[NumbersTakenOut] | None = Field(
        default=None,
        description="Why there is no number (no_number_available); to a tenant, of the blocks that"
        " are kept for it.",
    )

    model_config = example(_PROBLEM)


def answers(
    model: type[BaseModel], *problems: int, ok: int = status.HTTP_200_OK, told: str = "Done"
) -> dict[int | str, dict[str, Any]]:
    """
    What an operation answers, for the document.

    Args:
        model: Of the body, where it was done.
        problems: Other statuses beside those that every operation has.
        ok: The status, where it was done.
        told: The same in words.
    """
    every = {400, 401, 403, 422, 429, 431, 500, 503, *problems}
    # Whoever sends a body may stop in the middle of it.
    every |= {408} if 413 in every else set()  # noqa: PLR2004 - as above
    return {
        ok: {"model": model, "description": told},
        **{each: _problem(each) for each in sorted(every)},
    }


def _problem(code: int) -> dict[str, Any]:
    """
    What is answered with a status, and by which codes.
    """
    ours = (word for word, of in STATUSES.items() if of == code)
    of_door = (word for word, (of, _) in DOOR.items() if of == code)
    return {
        "description": f"A problem: {', '.join(sorted((*ours, *of_door)))}",
        "content": {"application/problem+json": {"schema": _reference(ProblemOut)}},
    }


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
