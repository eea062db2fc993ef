"""
What is said of the move from middle numbers of before to 700 numbers.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from agi_router.bindings.words import check_order_id
from agi_router.schemas.base import LARGEST_BATCH, TIME, Body, NextCursor, Out, example
from agi_router.schemas.bindings import BindingIn

__all__ = ["MoveBatchIn", "MoveIn", "OldNumberOut", "OldNumbersOut"]

_MOVE = {
    "old": "95013000001",
    "a": "13800000001",
    "b": "13800000002",
    "ttl": 7200,
    "order": "A-1001",
}


class MoveIn(BindingIn):
    """
    A binding to be made of one on a middle number of before.
    """

    old: str = Field(
        max_length=32, description="The middle number of before, as the parties dialled it."
    )
    order: Annotated[str, Field(max_length=512), AfterValidator(check_order_id)] = Field(
        description="The order behind it, by which it is known again."
    )

    model_config = example(_MOVE)


class MoveBatchIn(Body):
    """
    Bindings to be moved, each by itself.
    """

    bindings: list[MoveIn] = Field(min_length=1, max_length=LARGEST_BATCH)

    model_config = example({"bindings": [_MOVE]})


_MOVED = {
    "old": "95013000001",
    "new": "700123456780001",
    "tenant": "couriers",
    "moved_at": TIME,
}


class OldNumberOut(Out):
    """
    A middle number of before, and the 700 number that has come in its place.
    """

    old: str = Field(description="As the parties dialled it; it is nobody's own.")
    new: str
    tenant: str
    moved_at: str

    model_config = example(_MOVED)


class OldNumbersOut(Out):
    """
    Old numbers, the newest first.
    """

    old_numbers: list[OldNumberOut]
    next_cursor: NextCursor = None

    model_config = example({"old_numbers": [_MOVED]})
