"""Traces: which times are told apart."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from agi_router.bindings.model import BindingId, Party
from agi_router.bindings.words import BindingState, Mode, Side
from agi_router.numbers import PhoneNumber
from agi_router.traces.model import Stretch, Trace, around, join_stretches
from agi_router.traces.views import describe_trace, reveal_trace
from harness.values import NOW, A, B, C, X

MOMENT = timedelta(milliseconds=1)
HOUR = timedelta(hours=1)


def party(number: PhoneNumber, side: Side = Side.A) -> Party:
    return Party(side=side, number=number, dials=X)


def stretch(since: timedelta, until: timedelta, *numbers: PhoneNumber, serial: int = 1) -> Stretch:
    return Stretch(
        binding=BindingId(X.block, serial),
        tenant="couriers",
        order=None,
        mode=Mode.AXB,
        state=BindingState.ACTIVE,
        since=NOW + since,
        until=NOW + until,
        parties=tuple(map(party, numbers)),
        called_back=(),
    )


def test_what_follows_and_is_the_same_is_one() -> None:
    """Of one binding, whatever else happened at that moment."""
    whole = stretch(timedelta(), 2 * HOUR, A, B)
    assert join_stretches([stretch(timedelta(), HOUR, A, B), stretch(HOUR, 2 * HOUR, A, B)]) == [
        whole
    ]
    for other in (
        [stretch(timedelta(), HOUR, A, B), stretch(HOUR, 2 * HOUR, A, C)],
        [stretch(timedelta(), HOUR, A, B), stretch(HOUR, 2 * HOUR, A, B, serial=2)],
        # However short it is, somebody was a party in it alone.
        [stretch(timedelta(), MOMENT, A, B), stretch(MOMENT, HOUR, A, C)],
        [
            stretch(timedelta(), HOUR, A, B),
            stretch(HOUR, HOUR + MOMENT, A),
            stretch(HOUR + MOMENT, 2 * HOUR, A, B),
        ],
    ):
        assert join_stretches(other) == other


def test_a_binding_that_is_being_written() -> None:
    """Its first moment is none of its own, where nobody was a party in it alone."""
    half, whole = stretch(timedelta(), MOMENT, A), stretch(MOMENT, HOUR, A, B)
    other = replace(half, binding=BindingId(X.block, 2))
    assert join_stretches([half, whole]) == [whole]
    assert join_stretches([half, whole, other]) == [whole, other]
    rung = replace(half, called_back=(C,))
    assert join_stretches([rung, whole]) == [rung, whole]
    assert join_stretches([replace(half, called_back=(B,)), whole]) == [whole]
    assert join_stretches([]) == []


def test_around() -> None:
    """Before and behind a moment, up to the ends of the calendar."""
    assert around(NOW, HOUR) == (NOW - HOUR, NOW + HOUR)
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    assert around(first + HOUR, 2 * HOUR) == (first, first + 3 * HOUR)
    assert around(last, HOUR) == (last - HOUR, last)


def test_whom_it_concerns() -> None:
    """Parties, who else was rung, and anybody where it cannot be read."""
    told = replace(stretch(timedelta(), HOUR, A), called_back=(B,))
    assert [told.concerns(each) for each in (A, B, C)] == [True, True, False]
    assert replace(told, damage="it does not open").concerns(C)


def test_how_it_is_shown() -> None:
    """Masked, or in full for a case."""
    bound = replace(
        stretch(timedelta(), HOUR, A),
        parties=(party(A), replace(party(B, Side.B), dials=None)),
        called_back=(C,),
    )
    trace = Trace(
        since=NOW,
        until=NOW + HOUR,
        bound=[bound],
        calls=[],
        messages=[],
        locks=[],
        consents=[],
        cut=False,
    )
    (shown,) = reveal_trace(trace)["bound"]
    assert shown["a"] == [{"number": A.digits, "dials": str(X)}]
    assert shown["b"] == [{"number": B.digits, "dials": None}]
    assert shown["called_back"] == [C.digits]
    assert not any(each.digits in str(describe_trace(trace)) for each in (A, B, C))
