"""
The pool of numbers, reckoned: how long it lasts, and how large it has to be.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agi_router.numbers import BLOCK_SIZE

__all__ = ["PoolSize", "Quarantine", "forecast_exhaustion", "size_pool"]

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
