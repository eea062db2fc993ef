"""Limits on refused calls: what holds for any rate and any order of calls."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agi_router.calls.refusal_limit import RefusalLimit
from agi_router.rates import Rate

rates = st.builds(Rate, st.integers(1, 50), st.timedeltas(timedelta(seconds=1), timedelta(days=1)))
# Who calls, and nanoseconds since the call before.
calls = st.lists(
    st.tuples(st.sampled_from("abc"), st.just(0) | st.integers(0, 3600 * 10**9)), max_size=60
)


def through(limit: RefusalLimit, arrivals: list[tuple[str, int]]) -> dict[str, list[int]]:
    """Place refused calls, and return when each key's were let through."""
    now = 0
    found: dict[str, list[int]] = {key: [] for key in "abc"}
    for key, later in arrivals:
        now += later
        if not limit.reached(key, now=now):
            limit.note(key, now=now)
            found[key].append(now)
    return found


@given(rates, calls)
def test_no_more_than_the_rate(rate: Rate, arrivals: list[tuple[str, int]]) -> None:
    """In any span: the count, and as many more as its share of windows."""
    step = rate.window // timedelta(microseconds=1) * 1000 // rate.count
    for times in through(RefusalLimit(rate), arrivals).values():
        for i, first in enumerate(times):
            for j, last in enumerate(times[i:]):
                assert j + 1 <= rate.count + (last - first) // step


@given(rates, calls)
def test_no_fewer_than_the_rate(rate: Rate, arrivals: list[tuple[str, int]]) -> None:
    """Whoever is held up was refused as often as the rate says within the last window."""
    limit, now = RefusalLimit(rate), 0
    window = rate.window // timedelta(microseconds=1) * 1000
    seen: dict[str, list[int]] = {key: [] for key in "abc"}
    for key, later in arrivals:
        now += later
        recent = [when for when in seen[key] if when >= now - window]
        if not limit.reached(key, now=now):
            limit.note(key, now=now)
            seen[key].append(now)
        else:
            assert len(recent) >= rate.count


@given(rates, calls)
def test_each_for_itself(rate: Rate, arrivals: list[tuple[str, int]]) -> None:
    """What others do changes nothing for a key."""
    together = through(RefusalLimit(rate), arrivals)
    for only in "abc":
        now, alone, times = 0, RefusalLimit(rate), []
        for key, later in arrivals:
            now += later
            if key == only and not alone.reached(key, now=now):
                alone.note(key, now=now)
                times.append(now)
        assert times == together[only]


@given(rates, calls)
def test_when_to_come_again(rate: Rate, arrivals: list[tuple[str, int]]) -> None:
    """Whoever waits as long comes through; a second earlier he does not."""
    limit, now = RefusalLimit(rate), 0
    for key, later in arrivals:
        now += later
        limit.note(key, now=now)
        wait = limit.wait(key, now=now)
        assert not limit.reached(key, now=now + wait * 10**9)
        assert limit.reached(key, now=now) == (wait > 0)
        assert wait == 0 or limit.reached(key, now=now + (wait - 1) * 10**9)


@given(rates, calls, st.integers(1, 3))
def test_memory_is_bounded(rate: Rate, arrivals: list[tuple[str, int]], capacity: int) -> None:
    """However many keys there are."""
    limit, now = RefusalLimit(rate, capacity=capacity), 0
    for key, later in arrivals:
        now += later
        limit.note(key, now=now)
        assert len(limit) <= capacity


@given(rates, calls)
def test_a_window_later_all_is_forgotten(rate: Rate, arrivals: list[tuple[str, int]]) -> None:
    """However many were refused, also beyond the limit: the whole rate is there again."""
    limit, now = RefusalLimit(rate), 0
    for key, later in arrivals:
        now += later
        limit.note(key, now=now)
    now += rate.window // timedelta(microseconds=1) * 1000
    assert [limit.note("a", now=now) for _ in range(rate.count)].index(True) == rate.count - 1
