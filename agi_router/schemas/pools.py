"""
What is said of number pools.
"""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.bindings.expiry import LONGEST_LIFE
from agi_router.bindings.words import Callback, Language, Mode, check_pool, check_prompts
from agi_router.numbers import Block
from agi_router.schemas.base import TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import SECOND, read_field, seconds
from agi_router.tenants.model import check_tenant

__all__ = ["NumberPoolOut", "NumberPoolsOut", "PoolChange", "PoolIn", "read_pool"]

_POOL_BLOCKS = 1000
_Blocks = Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=_POOL_BLOCKS)]
_Prompts = Annotated[str, Field(max_length=128), AfterValidator(check_prompts)]
_WINDOW = seconds("how long who called last is called back", SECOND, LONGEST_LIFE)


class PoolChange(Body):
    """
    What changes of a pool (RFC 7396): what is left out stays, null is what a new one has.
    """

    blocks: _Blocks | None = Field(
        default=None,
        description="Numbers come from these alone; else from any open to the tenant.",
    )
    operator_digit: int | None = Field(
        default=None, ge=0, le=9, description="Numbers have this digit after 700."
    )
    mode: Annotated[Mode, Field(strict=False)] | None = Field(
        default=None, description="The only mode in it, and that of bindings that say none."
    )
    callback: Annotated[Callback, Field(strict=False)] | None = Field(
        default=None, description="Who is called back, where a binding does not say."
    )
    window: int | None = _WINDOW
    language: Annotated[Language, Field(strict=False)] | None = None
    prompts: _Prompts | None = None

    model_config = example({"mode": "gxb"})


class PoolIn(PoolChange):
    """
    A pool to be added.
    """

    name: Annotated[str, Field(max_length=64), AfterValidator(check_pool)]
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )

    model_config = example(
        {
            "name": "FC1001",
            "blocks": ["70012345678"],
            "mode": "gxb",
            "callback": "last",
            "window": 1800,
        }
    )


def read_pool(body: PoolChange) -> dict[str, Any]:
    """
    What is said of a pool, by the names of :class:`agi_router.bindings.pools.Pool`.

    Raises:
        Problem: A block is none.
    """
    said = {name: getattr(body, name) for name in body.model_fields_set - {"name", "tenant"}}
    if said.get("window") is not None:
        said["window"] = timedelta(seconds=said["window"])
    if said.get("blocks") is not None:
        said["blocks"] = tuple(map(_read_block, range(_POOL_BLOCKS), said["blocks"]))
    return said


def _read_block(place: int, text: str) -> Block:
    return read_field(f"/blocks/{place}", lambda: Block.parse(text))


_NUMBER_POOL: dict[str, Any] = {
    "name": "FC1001",
    "tenant": "couriers",
    "blocks": ["70012345678"],
    "operator_digit": None,
    "mode": "gxb",
    "callback": "last",
    "window": 1800,
    "language": "zh",
    "prompts": None,
    "created_at": TIME,
    "version": 1,
}


class NumberPoolOut(Out):
    """
    A pool: a named set of a tenant's numbers, with what bindings on them have by default.
    """

    name: str
    tenant: str
    blocks: list[str] = Field(description="None: all that are open to the tenant.")
    operator_digit: int | None
    mode: Mode | None
    callback: Callback | None
    window: int | None
    language: Language | None
    prompts: str | None
    created_at: str
    version: int = Field(description="Counts its changes.")

    model_config = example(_NUMBER_POOL)


class NumberPoolsOut(Out):
    """
    Pools, newest first.
    """

    pools: list[NumberPoolOut]
    next_cursor: NextCursor = None

    model_config = example({"pools": [_NUMBER_POOL], "next_cursor": None})
