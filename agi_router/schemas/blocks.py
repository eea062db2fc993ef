"""
What is said of blocks, and of how many numbers are left in them.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.inventory.model import BlockState, check_carrier, check_certificate
from agi_router.schemas.base import TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Time
from agi_router.tenants.model import check_tenant

__all__ = [
    "BlockChange",
    "BlockIn",
    "BlockOut",
    "BlockPoolOut",
    "BlocksOut",
    "PoolOut",
    "PoolSizeOut",
]


_Certificate = Annotated[str, Field(max_length=512), AfterValidator(check_certificate)]


class BlockIn(Body):
    """
    A managed block to be added.
    """

    block: str = Field(
        max_length=32, description="Its 11 digits, beginning 700.", examples=["70012345678"]
    )
    operator: Annotated[str, Field(max_length=512), AfterValidator(check_carrier)] | None = Field(
        default=None, description="The carrier."
    )
    certificate: _Certificate | None = Field(default=None, description="Of the assignment.")
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whom it is kept for; shared if left out."
    )
    valid_from: Time | None = None
    valid_until: Time | None = None

    model_config = example({"block": "70012345678", "operator": "China Mobile"})


class BlockChange(Body):
    """
    What becomes of a block.
    """

    state: Annotated[BlockState, Field(strict=False)] | None = Field(
        default=None, description="As it is, if left out."
    )
    certificate: _Certificate | None = Field(
        default=None, description="Of the assignment. What is left out stays; null: none."
    )
    valid_from: Time | None = Field(default=None, description="Its start; null: always.")
    valid_until: Time | None = Field(default=None, description="Its end; null: never.")

    model_config = example(
        {"certificate": "2028-0001", "valid_until": "2032-01-01T00:00:00+08:00"}
    )


_POOL: dict[str, Any] = {
    "block": "70012345678",
    "state": "active",
    "tenant": None,
    "closed": None,
    "bound": 9120,
    "resting": 300,
    "locked": 0,
    "free": 580,
    "growth": 240,
    "exhausted_at": TIME,
}


class BlockPoolOut(Out):
    """
    How full a block is.
    """

    block: str
    state: BlockState
    tenant: str | None
    closed: str | None = Field(
        description="What keeps new bindings out: draining, uncertified (outside the dates of its"
        " certificate) or locked; null: nothing."
    )
    bound: int
    resting: int
    locked: int = Field(description="Of those that are neither bound nor resting.")
    free: int = Field(description="Neither bound, resting nor locked.")
    growth: int
    exhausted_at: str | None


class PoolOut(Out):
    """
    How full the blocks are.
    """

    blocks: list[BlockPoolOut]

    model_config = example({"blocks": [_POOL]})


class PoolSizeOut(Out):
    """
    How many numbers are needed.
    """

    pairs: int = Field(description="Pairs bound at once.")
    share: int = Field(description="So many of them share a number.")
    ttl: int = Field(description="Seconds that a binding lives, on average.")
    quarantine: int = Field(description="Seconds that a number rests then.")
    bound: int = Field(description="Numbers bound at once.")
    resting: int = Field(description="Numbers that rest meanwhile.")
    numbers: int
    blocks: int = Field(description="Of 10,000 numbers each.")

    model_config = example(
        {
            "pairs": 50_000,
            "share": 1,
            "ttl": 7200,
            "quarantine": 600,
            "bound": 50_000,
            "resting": 4167,
            "numbers": 54_167,
            "blocks": 6,
        }
    )


_BLOCK: dict[str, Any] = {
    "block": "70012345678",
    "first": "700123456780000",
    "last": "700123456789999",
    "operator_digit": "1",
    "operator": "China Mobile",
    "certificate": None,
    "tenant": None,
    "state": "active",
    "valid_from": None,
    "valid_until": None,
    "bindings": 0,
    "created_at": TIME,
}


class BlockOut(Out):
    """
    A managed block.
    """

    block: str
    first: str
    last: str
    operator_digit: str
    operator: str | None
    certificate: str | None
    tenant: str | None
    state: BlockState
    valid_from: str | None
    valid_until: str | None
    bindings: int
    created_at: str

    model_config = example(_BLOCK)


class BlocksOut(Out):
    """
    Managed blocks, by their numbers.
    """

    blocks: list[BlockOut]
    next_cursor: NextCursor = None

    model_config = example({"blocks": [_BLOCK]})
