"""Limits on refused calls: the cases that can be counted by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agi_router.calls.refusal_limit import RefusalLimit
from agi_router.rates import OFF, Rate

SECOND = 10**9
MINUTE = 60 * SECOND


def passed(limit: RefusalLimit, key: str, *, now: int, calls: int) -> int:
    """Place refused calls, and return how many of them were let through."""
    through = 0
    for _ in range(calls):
        if not limit.reached(key, now=now):
            limit.note(key, now=now)
            through += 1
    return through


@pytest.mark.parametrize(
    ("wait", "more"),
    [(0, 0), (MINUTE - 1, 0), (MINUTE, 1), (2 * MINUTE, 2), (10 * MINUTE, 10), (60 * MINUTE, 10)],
)
def test_ten_in_ten_minutes(wait: int, more: int) -> None:
    """Ten come through at once, then one a minute, and never more than ten at once."""
    limit = RefusalLimit(Rate(10, timedelta(minutes=10)))
    assert passed(limit, "a", now=5, calls=15) == 10
    assert passed(limit, "a", now=5 + wait, calls=15) == more


def test_note_says_when_it_is_reached() -> None:
    """At the one that fills the bucket; more that were on their way change nothing."""
    limit = RefusalLimit(Rate(3, timedelta(seconds=3)))
    assert [limit.note("a", now=0) for _ in range(5)] == [False, False, True, False, False]
    assert limit.reached("a", now=0)
    assert not limit.reached("b", now=0)
    assert passed(limit, "a", now=SECOND, calls=5) == 1


def test_one_in_a_time() -> None:
    """The least rate there is."""
    limit = RefusalLimit(Rate(1, timedelta(seconds=1)))
    assert not limit.reached("a", now=0)
    assert limit.note("a", now=0)
    assert limit.reached("a", now=SECOND - 1)
    assert not limit.reached("a", now=SECOND)


def test_off() -> None:
    """Nothing is counted, nor kept."""
    limit = RefusalLimit(OFF)
    assert not any(limit.note("a", now=0) for _ in range(100))
    assert not limit.reached("a", now=0)
    assert len(limit) == 0


def test_the_one_refused_longest_ago_is_forgotten() -> None:
    """Of three keys two are kept: the one who calls on, and the newest."""
    limit = RefusalLimit(Rate(1, timedelta(hours=1)), capacity=2)
    for key in ("a", "b", "a", "c"):
        limit.note(key, now=0)
    assert [limit.reached(key, now=0) for key in "abc"] == [True, False, True]
    assert len(limit) == 2


def test_how_many_are_left() -> None:
    """At once, and when all are again."""
    limit = RefusalLimit(Rate(3, timedelta(seconds=3)))
    assert limit.left("a", now=5) == (3, 0)
    limit.note("a", now=0)
    assert limit.left("a", now=0) == (2, 1)
    for _ in range(4):
        limit.note("a", now=0)
    assert limit.left("a", now=0) == (0, 3)
    assert limit.left("a", now=SECOND + 1) == (1, 2)
    assert limit.left("a", now=MINUTE) == (3, 0)
    assert RefusalLimit(OFF).left("a", now=0) == (0, 0)
