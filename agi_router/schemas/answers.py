"""
What an operation answers, for the OpenAPI document.
"""

from typing import Any

from fastapi import status
from pydantic import BaseModel, Field

from agi_router.schemas.base import Out, example

__all__ = ["FieldFaultOut", "ProblemOut", "answers"]


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
        default=None, description="Bindings that are in the way (binding_conflict)."
    )
    until: str | None = Field(
        default=None, description="When it may be asked for again (number_resting)."
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
    problem = {
        "description": "A problem",
        "content": {"application/problem+json": {"schema": _reference(ProblemOut)}},
    }
    every = {400, 401, 403, 422, 429, 500, 503, *problems}
    return {ok: {"model": model, "description": told}, **dict.fromkeys(sorted(every), problem)}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
