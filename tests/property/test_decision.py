"""The masking rule: what holds whatever the facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from agi_router.bindings.facts import Facts, RouteHit
from agi_router.bindings.reach import explain
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import (
    BindingState,
    Callback,
    Direction,
    Display,
    Language,
    Mode,
    Side,
)
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import (
    AllocationNeeded,
    Ask,
    Decision,
    Refusal,
    Route,
    decide,
    screen,
)
from agi_router.numbers import PhoneNumber, XNumber
from harness.values import NOW, A, B, C

# The reason that goes with each rule.
REASONS = {
    "the 700 number lies in a block of ours": Reason.X_UNKNOWN,
    "its block is in service and certified": Reason.CERTIFICATE_INVALID,
    "somebody is bound on the number": Reason.NO_BINDING,
    "the caller is a party on the number": Reason.STRANGER,
    "the binding has begun": Reason.NO_BINDING,
    "the tenant is active": Reason.TENANT_SUSPENDED,
    "the tenant's qualification is valid": Reason.TENANT_UNQUALIFIED,
    "the binding was not unbound": Reason.UNBOUND,
    "the order has not ended": Reason.ORDER_ENDED,
    "no party's number was given to somebody else": Reason.PARTY_RECYCLED,
    "the owner of no party's number is unknown": Reason.RECYCLE_UNKNOWN,
    "no party has withdrawn its consent": Reason.CONSENT_WITHDRAWN,
    "the binding has not expired": Reason.EXPIRED,
    "the number dialled has not expired": Reason.EXPIRED,
    "calls are left": Reason.USED_UP,
    "this side may call": Reason.WRONG_DIRECTION,
    "somebody has called, or a fixed number is set": Reason.NO_CALLBACK,
    "the other side has somebody to ring": Reason.NO_DEFAULT_PARTY,
    "the call does not ring its own caller": Reason.SELF_CALL,
}

x_numbers = st.integers(700 * 10**12, 701 * 10**12 - 1).map(XNumber.from_int)
# Few numbers, so that callers and callees meet.
parties = st.sampled_from([A, B, C])
# A microsecond before, now, a microsecond after; and any time.
times = st.sampled_from([-1, 0, 1]).map(lambda us: NOW + timedelta(microseconds=us)) | (
    st.datetimes(timezones=st.just(UTC))
)
spans = st.none() | st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=1))
calls = st.builds(
    Call,
    caller=parties,
    x_number=x_numbers,
    attempts_left=st.integers(0, 2),
    typed=st.none() | st.builds(DialledExtension, extension=st.sampled_from(["", "1", "1234"])),
)


def counted(hit: RouteHit) -> bool:
    """Whether a binding that its count has ended has none left."""
    if hit.state is not BindingState.USED_UP:
        return True
    return hit.max_calls is not None and hit.calls_used >= hit.max_calls


def legs(*, consistent: bool) -> st.SearchStrategy[RouteHit]:
    """Any hit; or any that the schema's constraints and its counting allow."""
    ended = st.tuples(st.sampled_from(BindingState), st.none() | times)
    if consistent:
        ended = ended.filter(lambda pair: (pair[0] is BindingState.ACTIVE) is (pair[1] is None))
    made = ended.flatmap(
        lambda pair: st.builds(
            RouteHit,
            block=x_numbers.map(lambda x: x.block),
            binding_id=st.integers(1, 2**63 - 1),
            mode=st.sampled_from(Mode),
            side=st.sampled_from(Side),
            callees=st.lists(parties, max_size=3, unique=True).map(tuple),
            shown=x_numbers | x_numbers | st.none(),
            state=st.just(pair[0]),
            direction=st.sampled_from(Direction),
            begins_at=times,
            expires_at=times,
            ended_at=st.just(pair[1]),
            max_calls=st.none() | st.integers(-1, 3),
            calls_used=st.integers(-1, 4),
            ring_timeout=spans,
            max_duration=spans,
            language=st.none() | st.sampled_from(Language),
            tenant_active=st.booleans(),
            tenant_qualified=st.booleans(),
            callback=st.none() | st.sampled_from(Callback),
            last_caller=st.none() | parties,
            last_at=st.none() | times,
            callback_window=spans,
            child_until=st.none() | times,
            display=st.sampled_from(Display),
            prompts=st.none() | st.just("own"),
        )
    )
    return made.filter(counted) if consistent else made


def facts(*, consistent: bool) -> st.SearchStrategy[Facts]:
    """Any facts; what is asked first is mostly right, so that the last rules are reached."""
    mostly = st.sampled_from([True, True, True, False])
    hit = legs(consistent=consistent)
    return st.builds(
        Facts,
        block_known=mostly,
        certificate_valid=mostly,
        x_bound=st.booleans(),
        x_extended=st.booleans(),
        hit=hit | hit | st.none(),
    )


def alive(hit: RouteHit, now: datetime) -> bool:
    """Whether a binding has begun and is not over, in words other than the rule's."""
    return hit.begins_at <= now < min(hit.expires_at, hit.ended_at or hit.expires_at)


def ringing(hit: RouteHit, now: datetime) -> tuple[PhoneNumber, ...]:
    """Whom a hit rings, in words other than the rule's."""
    if hit.last_caller is None or hit.last_at is None:
        return hit.callees
    age = now - hit.last_at
    forgotten = hit.callback_window is not None and age >= hit.callback_window
    return hit.callees if forgotten else (hit.last_caller,)


def number_lives(hit: RouteHit, now: datetime) -> bool:
    """Whether the number shown, or dialled by B, is there."""
    return hit.shown is not None and not (hit.child_until is not None and hit.child_until <= now)


@given(calls, facts(consistent=False), times)
def test_decide_is_total(call: Call, known: Facts, now: datetime) -> None:
    """Whatever the facts, the answer is a decision; nothing is raised."""
    assert isinstance(decide(call, known, now=now), Decision)


@given(calls, facts(consistent=False), times)
def test_never_shows_or_rings_anything_else(call: Call, known: Facts, now: datetime) -> None:
    """The callees are the hit's and see the hit's 700 number, if any; the caller is no callee."""
    match decide(call, known, now=now):
        case Route() as route:
            hit = known.hit
            assert hit is not None
            assert route.callees == ringing(hit, now)
            assert (route.shown, route.display) == (hit.shown, hit.display)
            assert route.sequence is (hit.callback is Callback.SEQUENCE and len(route.callees) > 1)
            assert route.callees
            assert call.caller not in route.callees
            assert route.shown.digits.startswith("700")
            assert route.binding == f"{hit.block}-{hit.binding_id}"
        case AllocationNeeded() as needed:
            assert known.hit is not None
            assert known.hit.side is Side.A
            assert needed.callee in ringing(known.hit, now)
            assert needed.callee != needed.caller == call.caller
        case Ask() as ask:
            assert known.hit is None
            assert known.x_extended
            # It comes to an end.
            assert 0 <= ask.attempts_left < call.attempts_left
        case Refusal() as refusal:
            own = known.hit is not None and refusal.binding == known.hit.binding
            assert own or refusal.binding is None


@given(calls, facts(consistent=True), times)
def test_connects_if_and_only_if_everything_allows_it(
    call: Call, known: Facts, now: datetime
) -> None:
    """In service, a party, alive, uses left, direction open, and somebody else to ring."""
    hit = known.hit
    allowed = (
        known.block_known
        and known.certificate_valid
        and hit is not None
        and hit.tenant_active
        and hit.tenant_qualified
        and alive(hit, now)
        and (hit.max_calls is None or hit.max_calls - hit.calls_used > 0)
        and hit.direction.value in ("both", hit.side.value)
        and len(ringing(hit, now)) > 0
        and call.caller not in ringing(hit, now)
    )
    decision = decide(call, known, now=now)
    lives = hit is not None and number_lives(hit, now)
    assert isinstance(decision, Route) is (allowed and lives)
    # Only A's call makes a number.
    assert isinstance(decision, AllocationNeeded) is (
        allowed and not lives and hit is not None and hit.side is Side.A
    )


@given(calls, facts(consistent=False), times)
def test_explain_agrees_with_decide(call: Call, known: Facts, now: datetime) -> None:
    """The last step holds if and only if the call is connected, and tells the reason if not."""
    *before, last = explain(call.caller, known, now=now)
    decision = decide(call, known, now=now)
    assert all(step.holds for step in before)
    assert last.holds is isinstance(decision, Route | AllocationNeeded)
    if isinstance(decision, Refusal) and known.x_extended and known.hit is None:
        # What a stranger has typed may be wrong.
        extension = {Reason.EXTENSION_MISSING, Reason.EXTENSION_WRONG}
        assert decision.reason in extension | {REASONS[last.rule]}
    elif isinstance(decision, Refusal):
        assert decision.reason is REASONS[last.rule]


@given(st.text() | st.sampled_from(Reason), st.text(), st.booleans())
def test_screen_is_total(caller: str | Reason, dialled: str, fixed: bool) -> None:  # noqa: FBT001
    """Whatever arrives, the answer is a call or a refusal; nothing is raised."""
    screened = screen(caller=caller, dialled=dialled, fixed_lines=fixed)
    assert isinstance(screened, Call | Refusal)
