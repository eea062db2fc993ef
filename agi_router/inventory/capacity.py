"""
The pool of numbers, reckoned: how long it lasts, and how large it has to be.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from agi_router.numbers import BLOCK_SIZE, Block

__all__ = [
    "PoolSize",
    "Quarantine",
    "Stock",
    "StockLimits",
    "forecast_exhaustion",
    "reckon_block",
    "size_pool",
]

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """
    How long after a binding's end its numbers are kept from new bindings.

    Attributes:
        number: For everybody, counted from the last end on the number.
        party: For a party that was on the number; not shorter than *number* in effect.
    """

    number: timedelta = timedelta(minutes=10)
    party: timedelta = timedelta(days=7)

    @property
    def memory(self) -> timedelta:
        """
        How long an ended binding's routes have to be remembered.
        """
        return max(self.number, self.party)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolSize:
    """
    How large a pool has to be, and how that was reckoned.
    """

    bound: int
    """Numbers bound at once."""
    resting: int
    """Numbers that rest meanwhile."""
    numbers: int
    blocks: int


def size_pool(*, pairs: int, ttl: timedelta, quarantine: timedelta, share: int = 1) -> PoolSize:
    """
    Reckon the pool for *pairs* bound at once, each of which is followed by another at its end.

    A number is bound for *ttl* and rests for *quarantine*; so of all numbers, the part
    ``ttl / (ttl + quarantine)`` is bound at any moment.

    Args:
        pairs: How many are bound at once, one or more.
        ttl: How long a binding lives, on average; more than nothing.
        quarantine: How long a number rests.
        share: How many pairs share one number at once; they come and go together.

    Raises:
        ValueError: An argument is out of range.
    """
    if pairs < 1 or share < 1 or ttl <= timedelta() or quarantine < timedelta():
        raise ValueError("pairs, share and ttl are more than nothing, the quarantine is not less")
    bound = _ceiling(pairs, share)
    resting = _ceiling(bound * (quarantine // _TICK), ttl // _TICK)
    numbers = bound + resting
    return PoolSize(
        bound=bound,
        resting=resting,
        numbers=numbers,
        blocks=_ceiling(numbers, BLOCK_SIZE),
    )


_TICK = timedelta(microseconds=1)


def _ceiling(dividend: int, divisor: int) -> int:
    # Whole numbers throughout: a float would lose some.
    return -(-dividend // divisor)


def forecast_exhaustion(
    *, free: int, held: int, held_before: int, now: datetime, span: timedelta = _DAY
) -> datetime | None:
    """
    When no number will be free, if numbers held go on growing as they did.

    Args:
        free: Numbers that are neither bound, resting nor locked now.
        held: Numbers that are bound or resting now.
        held_before: As many as were at *now* - *span*.
        now: The store's time.
        span: Over which the growth is measured.

    Returns:
        The time, *now* where none is free; :obj:`None` for never, or for too far to be told.
    """
    if free <= 0:
        return now
    growth = held - held_before
    if growth <= 0:
        return None
    try:
        return now + span * free / growth
    except OverflowError:
        return None


def reckon_block(row: Mapping[str, Any]) -> dict[str, Any]:
    """
    How full a block is, and when none of its numbers will be free.

    Args:
        row: Of ``pool_statistics``.

    Returns:
        See :meth:`agi_router.inventory.store.InventoryStore.statistics`.
    """
    held = row["bound"] + row["resting"]
    free = BLOCK_SIZE - held - row["locked"]
    return {
        "block": str(Block(value=row["block"])),
        "state": row["state"],
        "tenant": row["tenant"],
        "closed": row["closed"],
        "bound": row["bound"],
        "resting": row["resting"],
        "locked": row["locked"],
        "free": free,
        "growth": held - row["held_before"],
        "exhausted_at": forecast_exhaustion(
            free=free,
            held=held,
            held_before=row["held_before"],
            now=row["now"],
        ),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLimits:
    """
    When numbers are few, and when a certificate ends soon: tenants are told.

    Attributes:
        free: So many percent of the numbers are free, or fewer.
        ahead: So long before no number is free, by the forecast, or later.
        certificate: So long before the end of the certificate of a block, or later.
    """

    free: int = 10
    ahead: timedelta = timedelta(days=7)
    certificate: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """
    The numbers of several blocks together.
    """

    numbers: int
    """Those of blocks that take new bindings."""
    free: int
    """Of these, those that are neither bound, resting nor locked."""
    exhausted_at: datetime | None
    """When none will be free; :obj:`None`: never."""

    @classmethod
    def of(cls, blocks: Iterable[Mapping[str, Any]], *, now: datetime) -> Self:
        """
        The numbers of these blocks.

        Args:
            blocks: See :func:`reckon_block`.
            now: The store's time.
        """
        taken = [each for each in blocks if each["closed"] is None]
        free = sum(each["free"] for each in taken)
        held = sum(each["bound"] + each["resting"] for each in taken)
        growth = sum(each["growth"] for each in taken)
        return cls(
            numbers=BLOCK_SIZE * len(taken),
            free=free,
            exhausted_at=forecast_exhaustion(
                free=free, held=held, held_before=held - growth, now=now
            ),
        )

    def is_low(self, limits: StockLimits, *, now: datetime) -> bool:
        """
        Whether few of them are free, or none will be before long.

        Args:
            limits: What that means.
            now: The store's time.
        """
        if self.free * 100 <= self.numbers * limits.free:
            return True
        return self.exhausted_at is not None and self.exhausted_at <= now + limits.ahead
