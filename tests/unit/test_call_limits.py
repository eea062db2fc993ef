"""Calls that are let through in a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_router.bindings.reasons import Reason
from agi_router.calls import call_limits
from agi_router.calls.arrival import Call
from agi_router.calls.call_limits import CallLimits
from agi_router.calls.decision import Refusal, Route
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.rates import OFF, Rate, parse_rate
from agi_router.tenants.call_rates import CallRates, read_call_rates
from harness.values import A, B, C, X, Y

SECOND = 10**9
MINUTE = timedelta(minutes=1)
ROUTE = Route(
    binding="70012345678-1",
    callees=(B,),
    shown=X,
    ring_timeout=None,
    max_duration=None,
    language=None,
    tenant_id=7,
)


def limits(**rates: Rate) -> CallLimits:
    """Of the operator."""
    return CallLimits(CallRates(**rates), lambda person: person.digits.encode())


def told(answer: Route | Refusal) -> Reason | None:
    """Why a call is refused, if it is."""
    return answer.reason if isinstance(answer, Refusal) else None


def a_call(caller: PhoneNumber = A, x: XNumber = X) -> Call:
    return Call(caller=caller, x_number=x)


def test_without_limits_all_go_through() -> None:
    """As they are; nothing is kept."""
    free = limits()
    assert all(free.take(a_call(), ROUTE, now=0) is ROUTE for _ in range(9))


@pytest.mark.parametrize(
    ("of", "reason", "other"),
    [
        ("caller", Reason.RATE_CALLER, (a_call(C), ROUTE)),
        ("callee", Reason.RATE_CALLEE, (a_call(), replace(ROUTE, callees=(C,)))),
        ("number", Reason.RATE_X, (a_call(x=Y), ROUTE)),
        ("tenant", Reason.RATE_TENANT, (a_call(), replace(ROUTE, tenant_id=8))),
    ],
)
@pytest.mark.parametrize("owner", ["operator", "tenant"])
def test_whose_calls_are_counted(
    of: str, reason: Reason, other: tuple[Call, Route], owner: str
) -> None:
    """Of one, by the operator's limits or the tenant's; those of others go through."""
    rates = CallRates(**{of: Rate(2, MINUTE)})
    held = limits() if owner == "tenant" else CallLimits(rates, lambda each: each.digits.encode())
    own = rates if owner == "tenant" else None
    route = replace(ROUTE, call_rates=own)
    assert [told(held.take(a_call(), route, now=second)) for second in range(3)] == [
        None,
        None,
        reason,
    ]
    call, elsewhere = other
    assert told(held.take(call, replace(elsewhere, call_rates=own), now=3)) is None
    # The first two leave the window one by one.
    later = 60 * SECOND
    assert [told(held.take(a_call(), route, now=later + each)) for each in range(3)] == [
        None,
        None,
        reason,
    ]


def test_of_several_callees_those_ring_to_whom_it_is_not_too_often() -> None:
    """And only they are counted."""
    held = limits(callee=Rate(1, MINUTE))
    both = replace(ROUTE, callees=(B, C))
    assert told(held.take(a_call(), ROUTE, now=0)) is None
    left = held.take(a_call(), both, now=1)
    assert isinstance(left, Route)
    assert left.callees == (C,)
    assert told(held.take(a_call(), both, now=2)) is Reason.RATE_CALLEE


def test_a_call_that_is_refused_does_not_count() -> None:
    """Neither by a limit, nor by what comes behind."""
    held = limits(caller=Rate(1, MINUTE), number=Rate(2, MINUTE))
    assert told(held.take(a_call(), ROUTE, now=0)) is None
    assert told(held.take(a_call(), ROUTE, now=1)) is Reason.RATE_CALLER
    assert told(held.take(a_call(C), ROUTE, now=2)) is None
    held.give_back(a_call(C), ROUTE, noted=2)
    # What was never noted gives nothing back.
    held.give_back(a_call(C), ROUTE, noted=2)
    limits().give_back(a_call(C), ROUTE, noted=2)
    assert told(held.take(a_call(C), ROUTE, now=3)) is None
    assert told(held.take(a_call(B), ROUTE, now=4)) is Reason.RATE_X


def test_two_routers_let_twice_as_many_through() -> None:
    """Each counts by itself: what docs/limits.md says."""
    routers = [limits(caller=Rate(3, MINUTE)) for _ in range(2)]
    through = [
        router
        for now in range(10)
        for router in routers
        if told(router.take(a_call(), ROUTE, now=now)) is None
    ]
    assert len(through) == 2 * 3


@given(
    count=st.integers(1, 3),
    gaps=st.lists(st.integers(0, 40), min_size=1, max_size=40),
)
def test_no_window_has_more(count: int, gaps: list[int]) -> None:
    """However calls come; and none is refused while fewer went through."""
    held = limits(caller=Rate(count, MINUTE))
    now, through = 0, list[int]()
    for gap in gaps:
        now += gap * SECOND
        lately = [each for each in through if now - each < 60 * SECOND]
        allowed = told(held.take(a_call(), ROUTE, now=now)) is None
        assert allowed is (len(lately) < count)
        if allowed:
            through.append(now)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many keys, or times, the key that called longest ago is forgotten."""
    windows = call_limits.SlidingWindows
    for kept in ({"keys": 2}, {"times": 2}):
        monkeypatch.setattr(call_limits, "SlidingWindows", lambda kept=kept: windows(**kept))
        held = limits(caller=Rate(1, MINUTE))
        for caller in (A, B, C):
            assert told(held.take(a_call(caller), replace(ROUTE, callees=(A,)), now=0)) is None
        assert told(held.take(a_call(C), ROUTE, now=1)) is Reason.RATE_CALLER
        assert told(held.take(a_call(A), ROUTE, now=1)) is None
        assert len(held._windows) == 2


@pytest.mark.parametrize("text", ["", "5", "5/", "/1h", "0/1h", "5/2d", "x/1h", "5/1h/2"])
def test_what_is_no_rate(text: str) -> None:
    """The error says what is."""
    with pytest.raises(ValueError, match="so many in a time"):
        parse_rate(text)


def test_as_they_are_kept() -> None:
    """By name; what is none has no name."""
    rates = CallRates(caller=Rate(30, timedelta(hours=1)), tenant=Rate(5, MINUTE))
    assert rates.words == {"caller": "30/1h", "tenant": "5/1m"}
    assert read_call_rates(rates.words) == rates
    assert rates.on
    assert not CallRates(number=OFF).on
    with pytest.raises(ValueError, match="no limit called"):
        read_call_rates({"x": "5/1m"})
