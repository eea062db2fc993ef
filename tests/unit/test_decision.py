"""The masking rule: tables with a row at every boundary, and the order of the rules."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from agi_router.bindings import reach
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
    Refusal,
    Route,
    decide,
    screen,
)
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import Ban, BlockDirection, Effect, LockReason, Subject
from agi_router.tenants.hours import Hours
from harness.values import LINE, NOW, A, B, C, X, Y

TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)

CALL = Call(caller=A, x_number=X)
LEG = RouteHit(
    block=X.block,
    binding_id=42,
    mode=Mode.AXB,
    side=Side.A,
    callees=(B,),
    shown=Y,
    state=BindingState.ACTIVE,
    direction=Direction.BOTH,
    begins_at=NOW - HOUR,
    expires_at=NOW + HOUR,
    ended_at=None,
    max_calls=3,
    calls_used=1,
    ring_timeout=timedelta(seconds=30),
    max_duration=timedelta(minutes=10),
    language=Language.EN,
    tenant_active=True,
)
FACTS = Facts(block_known=True, certificate_valid=True, x_bound=True, hit=LEG)


def facts(**changes: Any) -> Facts:
    """Return the facts of a good call, its hit changed."""
    return replace(FACTS, hit=replace(LEG, **changes))


@pytest.mark.parametrize("caller", [A.digits, f"0{A.digits}", f"+86{A.digits}", f"0086{A.digits}"])
@pytest.mark.parametrize("dialled", [X.digits, f"86{X}", f"+86{X}", f"0086{X}"])
def test_screen_reads_every_form(caller: str, dialled: str) -> None:
    """Trunks and phones put 86 in front of either number; it is the same call."""
    assert screen(caller=caller, dialled=dialled) == CALL


@pytest.mark.parametrize(
    ("caller", "dialled", "reason"),
    [
        # What was dialled is no 700 number of 15 digits.
        (A.digits, "", Reason.X_MALFORMED),
        (A.digits, "T", Reason.X_MALFORMED),
        (A.digits, X.digits[:-1], Reason.X_MALFORMED),
        (A.digits, f"{X}0", Reason.X_MALFORMED),
        (A.digits, "701012345670001", Reason.X_MALFORMED),
        (A.digits, B.digits, Reason.X_MALFORMED),
        (A.digits, f"{X}@evil", Reason.X_MALFORMED),
        # It is looked at first: a door that got nothing it knows passes empty texts.
        ("", "", Reason.X_MALFORMED),
        (Reason.CALLER_HIDDEN, "T", Reason.X_MALFORMED),
        # Who calls is not known.
        (Reason.CALLER_HIDDEN, X.digits, Reason.CALLER_HIDDEN),
        (Reason.CALLER_UNREADABLE, X.digits, Reason.CALLER_UNREADABLE),
        # Nothing is there to be used.
        ("", X.digits, Reason.CALLER_HIDDEN),
        (" ", X.digits, Reason.CALLER_HIDDEN),
        ("anonymous", X.digits, Reason.CALLER_HIDDEN),
        ("Anonymous", X.digits, Reason.CALLER_HIDDEN),
        # From abroad.
        ("+442071234567", X.digits, Reason.CALLER_FOREIGN),
        ("00442071234567", X.digits, Reason.CALLER_FOREIGN),
        (f"+{A.digits}", X.digits, Reason.CALLER_FOREIGN),
        # Malformed: in doubt it came from abroad.
        (A.digits[:-1], X.digits, Reason.CALLER_FOREIGN),
        (f"{A.digits}0", X.digits, Reason.CALLER_FOREIGN),
        ("12912340001", X.digits, Reason.CALLER_FOREIGN),
        ("10086", X.digits, Reason.CALLER_FOREIGN),
        ("alice", X.digits, Reason.CALLER_FOREIGN),
        # Not a mobile; the masking number of another service.
        (LINE.digits, X.digits, Reason.CALLER_TYPE),
        (f"+86{LINE.digits[1:]}", X.digits, Reason.CALLER_TYPE),
        (X.digits, X.digits, Reason.CALLER_TYPE),
        (Y.digits, X.digits, Reason.CALLER_TYPE),
        (f"+86{Y}", X.digits, Reason.CALLER_TYPE),
    ],
)
def test_screen_refuses(caller: str | Reason, dialled: str, reason: Reason) -> None:
    """A call is refused by name for what its numbers are, and no binding is named."""
    refused = screen(caller=caller, dialled=dialled)
    assert refused == Refusal(reason=reason, too_short=dialled == X.digits[:-1])


def test_screen_lets_fixed_lines_through_where_they_are_allowed() -> None:
    """A setting lets fixed lines call; a 700 number still may not."""
    screened = screen(caller=LINE.digits, dialled=X.digits, fixed_lines=True)
    assert screened == Call(caller=PhoneNumber(digits=LINE.digits), x_number=X)
    screened = screen(caller=X.digits, dialled=X.digits, fixed_lines=True)
    assert screened == Refusal(reason=Reason.CALLER_TYPE)


def test_a_route_is_what_the_leg_says() -> None:
    """The callee rings and is shown what the row says; limits and language are the binding's."""
    assert decide(CALL, FACTS, now=NOW) == Route(
        binding=f"{X.block}-42",
        callees=(B,),
        shown=Y,
        ring_timeout=timedelta(seconds=30),
        max_duration=timedelta(minutes=10),
        language=Language.EN,
    )


@pytest.mark.parametrize(
    "changes",
    [
        # Begun at this very moment, and a microsecond ago.
        {"begins_at": NOW},
        {"begins_at": NOW - TICK},
        # Its last microsecond.
        {"expires_at": NOW + TICK},
        # The last use, and the only one; no limit.
        {"max_calls": 3, "calls_used": 2},
        {"max_calls": 1, "calls_used": 0},
        {"max_calls": None, "calls_used": 10**6},
        # Asked for a time at which it had not ended yet.
        {"state": BindingState.UNBOUND, "ended_at": NOW + TICK},
        {"state": BindingState.ORDER_ENDED, "ended_at": NOW + TICK},
        {"state": BindingState.EXPIRED, "ended_at": NOW + TICK},
        # The open side of a one-way binding.
        {"direction": Direction.A},
        {"direction": Direction.B, "side": Side.B},
        # Nothing of its own: the router's settings fill the gaps.
        {"ring_timeout": None, "max_duration": None, "language": None},
    ],
)
def test_decide_routes(changes: dict[str, Any]) -> None:
    """A call goes through up to the very boundary."""
    decision = decide(CALL, facts(**changes), now=NOW)
    assert isinstance(decision, Route)
    assert (decision.callees, decision.shown) == ((B,), Y)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # It begins a microsecond from now.
        ({"begins_at": NOW + TICK}, Reason.NO_BINDING),
        ({"tenant_active": False}, Reason.TENANT_SUSPENDED),
        ({"tenant_qualified": False}, Reason.TENANT_UNQUALIFIED),
        # Over at this very moment, a microsecond ago, long ago.
        ({"expires_at": NOW}, Reason.EXPIRED),
        ({"expires_at": NOW - TICK}, Reason.EXPIRED),
        ({"expires_at": NOW - 24 * HOUR}, Reason.EXPIRED),
        ({"state": BindingState.EXPIRED, "ended_at": NOW}, Reason.EXPIRED),
        ({"state": BindingState.EXPIRED, "ended_at": NOW - TICK}, Reason.EXPIRED),
        ({"state": BindingState.UNBOUND, "ended_at": NOW}, Reason.UNBOUND),
        ({"state": BindingState.UNBOUND, "ended_at": NOW - TICK}, Reason.UNBOUND),
        ({"state": BindingState.ORDER_ENDED, "ended_at": NOW}, Reason.ORDER_ENDED),
        ({"state": BindingState.PARTY_RECYCLED, "ended_at": NOW}, Reason.PARTY_RECYCLED),
        ({"state": BindingState.RECYCLE_UNKNOWN, "ended_at": NOW}, Reason.RECYCLE_UNKNOWN),
        ({"state": BindingState.HELD}, Reason.RECYCLE_UNKNOWN),
        ({"state": BindingState.HELD, "expires_at": NOW}, Reason.EXPIRED),
        ({"state": BindingState.CONSENT_WITHDRAWN, "ended_at": NOW}, Reason.CONSENT_WITHDRAWN),
        ({"state": BindingState.ORDER_ENDED, "ended_at": NOW - TICK}, Reason.ORDER_ENDED),
        # How it ended, not that it would have expired since.
        (
            {"state": BindingState.UNBOUND, "ended_at": NOW - HOUR, "expires_at": NOW - TICK},
            Reason.UNBOUND,
        ),
        # The last use is taken; more than that.
        ({"state": BindingState.USED_UP, "ended_at": NOW}, Reason.USED_UP),
        # What ended it first is told, also when its time has passed as well.
        (
            {"state": BindingState.USED_UP, "ended_at": NOW - HOUR, "expires_at": NOW - TICK},
            Reason.USED_UP,
        ),
        ({"max_calls": 3, "calls_used": 3}, Reason.USED_UP),
        ({"max_calls": 3, "calls_used": 4}, Reason.USED_UP),
        ({"max_calls": 1, "calls_used": 1}, Reason.USED_UP),
        # The closed side of a one-way binding.
        ({"direction": Direction.B}, Reason.WRONG_DIRECTION),
        ({"direction": Direction.A, "side": Side.B}, Reason.WRONG_DIRECTION),
        # A group that nobody answers for; in a closed direction that is not told.
        ({"callees": ()}, Reason.NO_DEFAULT_PARTY),
        ({"callees": (), "direction": Direction.B}, Reason.WRONG_DIRECTION),
        # The row leads to the caller's own phone, alone or among others.
        ({"callees": (A,)}, Reason.SELF_CALL),
        ({"callees": (B, A)}, Reason.SELF_CALL),
    ],
)
def test_decide_refuses_a_party(changes: dict[str, Any], reason: Reason) -> None:
    """A party is refused at the very boundary, in the binding's language, and it is booked."""
    expected = Refusal(reason=reason, binding=f"{X.block}-42", language=Language.EN)
    assert decide(CALL, facts(**changes), now=NOW) == expected


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        # Not our block; whatever else is told about it.
        (replace(FACTS, block_known=False), Reason.X_UNKNOWN),
        (Facts(block_known=False, certificate_valid=False, x_bound=False, hit=None),
         Reason.X_UNKNOWN),
        (replace(FACTS, certificate_valid=False), Reason.CERTIFICATE_INVALID),
        (Facts(block_known=True, certificate_valid=False, x_bound=False, hit=None),
         Reason.CERTIFICATE_INVALID),
        (replace(FACTS, x_bound=False, hit=None), Reason.NO_BINDING),
        (replace(FACTS, hit=None), Reason.STRANGER),
    ],
)  # fmt: skip
def test_decide_refuses_who_is_no_party(known: Facts, reason: Reason) -> None:
    """Whoever is no party, or calls a number that is not in service, learns of no binding."""
    assert decide(CALL, known, now=NOW) == Refusal(reason=reason)


def test_a_leg_that_ended_speaks_for_the_number() -> None:
    """A former party hears how the binding ended, also when nobody is bound any more."""
    ended = replace(
        facts(state=BindingState.UNBOUND, ended_at=NOW - HOUR, expires_at=NOW - TICK),
        x_bound=False,
    )
    decision = decide(CALL, ended, now=NOW)
    assert isinstance(decision, Refusal)
    assert decision.reason is Reason.UNBOUND


def test_the_first_rule_that_fails_gives_the_reason() -> None:
    """Everything is wrong; repaired one by one, the reasons come in the order of the rules."""
    wrong = Facts(
        block_known=False,
        certificate_valid=False,
        x_bound=True,
        hit=replace(
            LEG,
            begins_at=NOW + TICK,
            tenant_active=False,
            tenant_qualified=False,
            state=BindingState.UNBOUND,
            ended_at=NOW,
            expires_at=NOW,
            calls_used=3,
            direction=Direction.B,
            callees=(),
        ),
    )
    repairs: list[dict[str, Any]] = [
        {"begins_at": NOW},
        {"tenant_active": True},
        {"tenant_qualified": True},
        {"state": BindingState.ORDER_ENDED},
        {"state": BindingState.PARTY_RECYCLED},
        {"state": BindingState.RECYCLE_UNKNOWN},
        {"state": BindingState.CONSENT_WITHDRAWN},
        {"state": BindingState.ACTIVE, "ended_at": None},
        {"expires_at": NOW + TICK},
        {"calls_used": 2},
        {"direction": Direction.A},
        {"callees": (A, B)},
        {"callees": (B,)},
    ]
    stages = [wrong, replace(wrong, block_known=True)]
    stages.append(replace(stages[-1], certificate_valid=True))
    for repair in repairs:
        assert stages[-1].hit is not None
        stages.append(replace(stages[-1], hit=replace(stages[-1].hit, **repair)))
    decisions = [decide(CALL, stage, now=NOW) for stage in stages]
    assert [d.reason if isinstance(d, Refusal) else None for d in decisions] == [
        Reason.X_UNKNOWN,
        Reason.CERTIFICATE_INVALID,
        Reason.NO_BINDING,
        Reason.TENANT_SUSPENDED,
        Reason.TENANT_UNQUALIFIED,
        Reason.UNBOUND,
        Reason.ORDER_ENDED,
        Reason.PARTY_RECYCLED,
        Reason.RECYCLE_UNKNOWN,
        Reason.CONSENT_WITHDRAWN,
        Reason.EXPIRED,
        Reason.USED_UP,
        Reason.WRONG_DIRECTION,
        Reason.NO_DEFAULT_PARTY,
        Reason.SELF_CALL,
        None,
    ]


def test_explain_tells_every_rule_of_a_good_call() -> None:
    """Each rule once, all of them hold."""
    steps = list(explain(CALL.caller, FACTS, now=NOW))
    assert [step.rule for step in steps] == [
        "the 700 number lies in a block of ours",
        "its block is in service and certified",
        "neither the number nor its block is locked",
        "the caller is not locked",
        "somebody is bound on the number",
        "the caller is a party on the number",
        "the binding has begun",
        "the tenant is active",
        "the tenant's qualification is valid",
        "the tenant is not locked",
        "the number that is shown is not locked",
        "the binding was not unbound",
        "the order has not ended",
        "no party's number was given to somebody else",
        "the owner of no party's number is unknown",
        "no party has withdrawn its consent",
        "the binding has not expired",
        "the number dialled has not expired",
        "calls are left",
        "this side may call",
        "the caller is not locked for this tenant",
        "somebody has called, or a fixed number is set",
        "the other side has somebody to ring",
        "no block list keeps the caller from the other side",
        "the other side has somebody who is not locked",
        "the call does not ring its own caller",
        "it is within the hours of the binding or its tenant",
    ]
    assert all(step.holds for step in steps)


@pytest.mark.parametrize(
    ("known", "count", "last"),
    [
        (replace(FACTS, block_known=False), 1, "the 700 number lies in a block of ours"),
        (replace(FACTS, hit=None), 6, "the caller is a party on the number"),
        (facts(expires_at=NOW), 17, "the binding has not expired"),
        (facts(side=Side.B, child_until=NOW), 18, "the number dialled has not expired"),
        (
            facts(mode=Mode.AX, callees=()),
            22,
            "somebody has called, or a fixed number is set",
        ),
        (facts(callees=()), 23, "the other side has somebody to ring"),
        (facts(callees=(A,)), 26, "the call does not ring its own caller"),
    ],
)
def test_explain_ends_at_the_rule_that_fails(known: Facts, count: int, last: str) -> None:
    """What comes after the first failure is not told."""
    *before, failed = explain(CALL.caller, known, now=NOW)
    assert len(before) == count - 1
    assert all(step.holds for step in before)
    assert (failed.rule, failed.holds) == (last, False)


def test_nothing_is_asked_of_a_leg_that_is_not_there() -> None:
    """Also whoever reads on after the first failure gets no rule without a hit."""
    steps = list(reach._steps(CALL.caller, replace(FACTS, hit=None), NOW))
    assert [step.holds for step in steps] == [True, True, True, True, True, False]


def lock(
    subject: Subject, person: PhoneNumber | None = None, *, everywhere: bool = True
) -> Effect:
    """Return a lock that is in force."""
    return Effect(
        id=1,
        subject=subject,
        reason=LockReason.ARREARS,
        key=0,
        person=person,
        everywhere=everywhere,
    )


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        # Whoever calls, and whether or not anybody is bound.
        (replace(FACTS, locks=(lock(Subject.NUMBER),)), Reason.X_LOCKED),
        (replace(FACTS, locks=(lock(Subject.BLOCK),), hit=None, x_bound=False), Reason.X_LOCKED),
        # A locked caller learns it on any number of ours.
        (replace(FACTS, locks=(lock(Subject.PERSON, A),), hit=None), Reason.PARTY_LOCKED),
        (facts(locks=(lock(Subject.TENANT),)), Reason.TENANT_SUSPENDED),
        (facts(locks=(lock(Subject.NUMBER),)), Reason.X_LOCKED),
        (facts(locks=(lock(Subject.PERSON, A, everywhere=False),)), Reason.PARTY_LOCKED),
        (facts(locks=(lock(Subject.PERSON, B),)), Reason.CALLEE_LOCKED),
    ],
)
def test_a_lock_refuses(known: Facts, reason: Reason) -> None:
    """By what it is on; the other side is not told whom it is on."""
    decision = decide(CALL, known, now=NOW)
    assert isinstance(decision, Refusal)
    assert decision.reason is reason


@pytest.mark.parametrize(("minute", "open_"), [(0, True), (59, True), (60, False)])
def test_hours(minute: int, *, open_: bool) -> None:
    """Outside of them nobody rings."""
    decision = decide(CALL, facts(hours=Hours.parse("mon 00:00-01:00"), minute=minute), now=NOW)
    assert isinstance(decision, Route) is open_
    if isinstance(decision, Refusal):
        assert decision.reason is Reason.OUTSIDE_HOURS


@pytest.mark.parametrize(
    ("bans", "locked", "rings"),
    [
        ((Ban(id=1, person=A),), (), ()),
        ((Ban(id=1, person=A, direction=BlockDirection.IN),), (), (B, C)),
        ((Ban(id=1, person=B),), (), (C,)),
        ((Ban(id=1, person=B, other=A, direction=BlockDirection.IN),), (), (C,)),
        ((Ban(id=1, person=A, other=B), Ban(id=2, person=C, other=A)), (), ()),
        ((Ban(id=1, person=A, other=B),), (C,), ()),
    ],
)
def test_who_is_on_a_block_list(
    bans: tuple[Ban, ...], locked: tuple[PhoneNumber, ...], rings: tuple[PhoneNumber, ...]
) -> None:
    """Of several those ring whom nothing keeps from the caller; where none is left, it is told."""
    locks = tuple(lock(Subject.PERSON, each) for each in locked)
    known = facts(callees=(B, C), callback=Callback.ALL, bans=bans, locks=locks)
    decision = decide(CALL, known, now=NOW)
    if rings:
        assert isinstance(decision, Route)
        assert decision.callees == rings
    else:
        assert isinstance(decision, Refusal)
        assert decision.reason is (Reason.CALLEE_LOCKED if locked else Reason.BLOCKED)


def test_those_who_are_not_locked_ring() -> None:
    """Of a group that rings together; who called last and is locked is not rung."""
    several = facts(callees=(B, C), callback=Callback.ALL, locks=(lock(Subject.PERSON, B),))
    decision = decide(CALL, several, now=NOW)
    assert isinstance(decision, Route)
    assert decision.callees == (C,)
    last = facts(**LAST, last_at=NOW - HOUR, locks=(lock(Subject.PERSON, C),))
    refused = decide(CALL, last, now=NOW)
    assert isinstance(refused, Refusal)
    assert refused.reason is Reason.CALLEE_LOCKED


LAST = {"callback": Callback.LAST, "last_caller": C}


@pytest.mark.parametrize(
    ("hit", "callees"),
    [
        # As long as the binding lives; in the window, up to its very end; nobody else has called.
        ({**LAST, "last_at": NOW - HOUR}, (C,)),
        ({**LAST, "last_at": NOW - HOUR, "callback_window": HOUR + TICK}, (C,)),
        ({**LAST, "last_at": NOW - HOUR, "callback_window": HOUR}, (B,)),
        ({**LAST, "last_at": NOW - HOUR, "callback_window": HOUR - TICK}, (B,)),
        # A store's clock that was set back.
        ({**LAST, "last_at": NOW + HOUR, "callback_window": HOUR}, (C,)),
        ({"callback": Callback.LAST, "callback_window": HOUR}, (B,)),
        # Both columns, or none.
        (LAST, (B,)),
    ],
)
def test_the_last_caller_rings_for_a_while(
    hit: dict[str, Any], callees: tuple[PhoneNumber, ...]
) -> None:
    """Then whoever stands there by default rings again."""
    route = decide(CALL, facts(**hit), now=NOW)
    assert isinstance(route, Route)
    assert route.callees == callees


def test_the_last_caller_is_not_rung_by_itself() -> None:
    """Whoever called last, and is now the caller, reaches nobody; it is not the default's turn."""
    hit = {**LAST, "last_caller": A, "last_at": NOW}
    decision = decide(CALL, facts(**hit), now=NOW)
    assert isinstance(decision, Refusal)
    assert decision.reason is Reason.SELF_CALL


@pytest.mark.parametrize(
    ("mode", "reason"),
    [
        (Mode.AX, Reason.NO_CALLBACK),
        (Mode.AXE, Reason.NO_CALLBACK),
        (Mode.GXB, Reason.NO_DEFAULT_PARTY),
    ],
)
def test_nobody_to_call_back(mode: Mode, reason: Reason) -> None:
    """Where strangers call, nobody has yet, or not of late; in a group nobody is the default."""
    over = {"last_caller": C, "last_at": NOW - HOUR, "callback_window": HOUR}
    for hit in ({}, over):
        decision = decide(CALL, facts(mode=mode, callees=(), **hit), now=NOW)
        assert isinstance(decision, Refusal)
        assert decision.reason is reason


@pytest.mark.parametrize(
    ("callback", "callees", "sequence"),
    [
        (Callback.SEQUENCE, (B, C), True),
        # One alone is no sequence.
        (Callback.SEQUENCE, (B,), False),
        (Callback.ALL, (B, C), False),
        (None, (B,), False),
    ],
)
def test_sequence(
    callback: Callback | None, callees: tuple[PhoneNumber, ...], *, sequence: bool
) -> None:
    """Several ring one after the other, in their order, only if so agreed."""
    route = decide(CALL, facts(callback=callback, callees=callees), now=NOW)
    assert isinstance(route, Route)
    assert (route.callees, route.sequence) == (callees, sequence)


def test_display_and_prompts_are_the_bindings() -> None:
    """A route takes them along, a refusal the prompts."""
    terms = {"display": Display.ANONYMOUS, "prompts": "own"}
    route = decide(CALL, facts(**terms), now=NOW)
    assert isinstance(route, Route)
    assert (route.display, route.prompts) == (Display.ANONYMOUS, "own")
    refusal = decide(CALL, facts(**terms, expires_at=NOW), now=NOW)
    assert isinstance(refusal, Refusal)
    assert refusal.prompts == "own"


@pytest.mark.parametrize(
    "hit",
    [
        {"shown": None},
        {"child_until": NOW},
        {"child_until": NOW - TICK},
    ],
)
def test_a_number_is_needed(hit: dict[str, Any]) -> None:
    """A's call makes the number that B sees where there is none, or not any more."""
    assert decide(CALL, facts(**hit), now=NOW) == AllocationNeeded(
        binding=LEG.binding, binding_id=LEG.binding_id, x_number=X, caller=A, callee=B
    )


def test_no_number_is_made_for_a_call_that_is_refused() -> None:
    """All other rules come first."""
    decision = decide(CALL, facts(shown=None, direction=Direction.B), now=NOW)
    assert isinstance(decision, Refusal)


@pytest.mark.parametrize(("until", "alive"), [(NOW + TICK, True), (NOW, False), (None, True)])
def test_b_calls_back_as_long_as_its_number_lives(until: datetime | None, *, alive: bool) -> None:
    """Then it hears that the order has ended; no number is made for it."""
    decision = decide(CALL, facts(side=Side.B, child_until=until), now=NOW)
    assert isinstance(decision, Route) is alive
    if isinstance(decision, Refusal):
        assert decision.reason is Reason.EXPIRED


EXTENDED = replace(FACTS, x_extended=True, hit=None)


@pytest.mark.parametrize(
    ("attempts_left", "typed", "decision"),
    [
        # Asked, asked again, and for the last time.
        (3, None, Ask(attempts_left=2, again=False)),
        (2, "1234", Ask(attempts_left=1, again=True)),
        (1, "", Ask(attempts_left=0, again=True)),
        (0, "1234", Refusal(reason=Reason.EXTENSION_WRONG)),
        (0, "", Refusal(reason=Reason.EXTENSION_MISSING)),
        # Where nobody is asked a stranger is one.
        (0, None, Refusal(reason=Reason.STRANGER)),
    ],
)
def test_a_stranger_is_asked_for_an_extension(
    attempts_left: int, typed: str | None, decision: object
) -> None:
    """As often as it may be; on other numbers never."""
    call = replace(
        CALL,
        attempts_left=attempts_left,
        typed=None if typed is None else DialledExtension(extension=typed),
    )
    assert decide(call, EXTENDED, now=NOW) == decision
    elsewhere = replace(EXTENDED, x_extended=False)
    assert decide(call, elsewhere, now=NOW) == Refusal(reason=Reason.STRANGER)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        ("1234", DialledExtension(extension="1234")),
        ("", DialledExtension(extension="")),
        ("12*4", DialledExtension(extension="")),
        (None, None),
    ],
)
def test_screen_reads_what_was_typed(typed: str | None, read: DialledExtension | None) -> None:
    """Digits are an extension, anything else is as nothing."""
    screened = screen(caller=A.digits, dialled=X.digits, attempts_left=2, typed=typed)
    assert screened == Call(caller=A, x_number=X, attempts_left=2, typed=read)
