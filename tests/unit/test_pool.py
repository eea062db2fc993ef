"""The pool, reckoned: its size by hand, and when it is exhausted."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from agi_router.inventory.capacity import (
    PoolSize,
    Quarantine,
    Stock,
    StockLimits,
    forecast_exhaustion,
    size_pool,
)
from harness.values import NOW

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("pairs", "ttl", "quarantine", "share", "expected"),
    [
        # Nothing rests: a number each.
        (1, HOUR, timedelta(), 1, (1, 0, 1, 1)),
        (10_000, HOUR, timedelta(), 1, (10_000, 0, 10_000, 1)),
        (10_001, HOUR, timedelta(), 1, (10_001, 0, 10_001, 2)),
        # As many rest as are bound.
        (10_000, HOUR, HOUR, 1, (10_000, 10_000, 20_000, 2)),
        # A number that is needed in part is needed.
        (1, HOUR, timedelta(seconds=1), 1, (1, 1, 2, 1)),
        (50_000, 2 * HOUR, timedelta(minutes=10), 1, (50_000, 4_167, 54_167, 6)),
        (50_000, 2 * HOUR, timedelta(minutes=10), 7, (7_143, 596, 7_739, 1)),
        (3, HOUR, timedelta(), 5, (1, 0, 1, 1)),
        # More than a float can hold.
        (2**31 - 1, 90 * DAY, 90 * DAY, 1, (2**31 - 1, 2**31 - 1, 2**32 - 2, 429_497)),
    ],
)
def test_size(
    pairs: int, ttl: timedelta, quarantine: timedelta, share: int, expected: tuple[int, ...]
) -> None:
    """Numbers bound, and those that rest meanwhile, rounded up."""
    bound, resting, numbers, blocks = expected
    assert size_pool(pairs=pairs, ttl=ttl, quarantine=quarantine, share=share) == PoolSize(
        bound=bound, resting=resting, numbers=numbers, blocks=blocks
    )


@pytest.mark.parametrize(
    ("pairs", "ttl", "quarantine", "share"),
    [
        (0, HOUR, HOUR, 1),
        (1, timedelta(), HOUR, 1),
        (1, HOUR, -HOUR, 1),
        (1, HOUR, HOUR, 0),
    ],
)
def test_size_of_nothing(pairs: int, ttl: timedelta, quarantine: timedelta, share: int) -> None:
    """What cannot be is refused."""
    with pytest.raises(ValueError, match="more than nothing"):
        size_pool(pairs=pairs, ttl=ttl, quarantine=quarantine, share=share)


@pytest.mark.parametrize(
    ("free", "held", "before", "expected"),
    [
        (100, 50, 40, NOW + 10 * DAY),
        (5, 50, 40, NOW + DAY / 2),
        (100, 50, 50, None),
        (100, 40, 50, None),
        (0, 40, 50, NOW),
        # So far away that there is no such day.
        (9_999_999_999, 1, 0, None),
    ],
)
def test_forecast(free: int, held: int, before: int, expected: datetime | None) -> None:
    """As in the last day, so further on."""
    assert forecast_exhaustion(free=free, held=held, held_before=before, now=NOW) == expected


def test_memory() -> None:
    """Routes are remembered as long as the longer rest."""
    assert Quarantine(number=HOUR, party=DAY).memory == DAY
    assert Quarantine(number=DAY, party=HOUR).memory == DAY


def a_block(*, free: int, growth: int = 0, closed: str | None = None) -> dict[str, Any]:
    """A block of which nothing is locked, as it is counted."""
    held = 10_000 - free
    return {"closed": closed, "free": free, "bound": held, "resting": 0, "growth": growth}


def test_the_stock_of_blocks() -> None:
    """They are reckoned together; those that take nothing new do not count."""
    blocks = [
        a_block(free=4_000, growth=1_500),
        a_block(free=2_000, growth=-500),
        a_block(free=9_000, growth=3_000, closed="draining"),
    ]
    found = Stock.of(blocks, now=NOW)
    assert found == Stock(numbers=20_000, free=6_000, exhausted_at=NOW + 6 * DAY)
    assert Stock.of([], now=NOW) == Stock(numbers=0, free=0, exhausted_at=NOW)


@pytest.mark.parametrize(
    ("numbers", "free", "days", "low"),
    [
        (10_000, 1_001, None, False),
        (10_000, 1_000, None, True),
        (0, 0, None, True),
        (10_000, 9_000, 7, True),
        (10_000, 9_000, 8, False),
    ],
)
def test_few_numbers(numbers: int, free: int, days: int | None, low: bool) -> None:  # noqa: FBT001
    """By how many are free, or by how long they last; the limits count."""
    ends = None if days is None else NOW + days * DAY
    stock = Stock(numbers=numbers, free=free, exhausted_at=ends)
    assert stock.is_low(StockLimits(free=10, ahead=7 * DAY), now=NOW) is low
