"""The router: one arrival in, one destination out; whatever fails, a refusal."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agi_router.bindings.facts import Facts, RouteHit
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import BindingState, Direction, Language, Mode, Side
from agi_router.calls.arrival import Call
from agi_router.calls.check import Verdict
from agi_router.calls.decision import AllocationNeeded, Refusal, Route
from agi_router.calls.dialplan import Destination, to_refuse
from agi_router.calls.end import call_day
from agi_router.calls.identity import Signalled
from agi_router.calls.merged import First
from agi_router.calls.ports import Admission
from agi_router.calls.router import Arrival, Router
from agi_router.errors import (
    AgiRouterError,
    ProtocolError,
    SchemaMismatch,
    SealError,
    StoreBusy,
    StoreError,
    StoreUnavailable,
)
from agi_router.logs import Formatter
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.rates import Rate
from harness.identities import from_header
from harness.values import LINE, NOW, A, B, X

HOUR = timedelta(hours=1)

LEG = RouteHit(
    block=X.block,
    binding_id=42,
    mode=Mode.AXB,
    side=Side.A,
    callees=(B,),
    shown=X,
    state=BindingState.ACTIVE,
    direction=Direction.BOTH,
    begins_at=NOW - HOUR,
    expires_at=NOW + HOUR,
    ended_at=None,
    max_calls=None,
    calls_used=0,
    ring_timeout=None,
    max_duration=None,
    language=None,
    tenant_active=True,
)
FACTS = Facts(block_known=True, certificate_valid=True, x_bound=True, hit=LEG)
ADMITTED = Admission(admitted=True, facts=FACTS, now=NOW)

ARRIVAL = Arrival(
    call_id="pbx1-1741988825.42", caller=from_header(f"+86{A.digits}"), dialled=X.digits
)
ROUTED = Destination("agi-router-dial", f"{B.digits}*{X}*45*3600*zh*n**end")
FAULT = to_refuse(Refusal(reason=Reason.PLATFORM_FAULT), language=Language.ZH)


@dataclass
class Store:
    """Admissions in memory: one answer for every call, and a list of what was asked."""

    answer: Admission | AgiRouterError
    asked: list[tuple[Call, str, float]] = field(default_factory=list)
    before: list[Admission] = field(default_factory=list)
    """Answers that come first."""
    made: list[tuple[AllocationNeeded, float]] = field(default_factory=list)
    """Numbers that were to be made, and the time for it."""

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """Answer, or fail as told."""
        call_day(call_id)  # as the real one does, to find the partition
        self.asked.append((call, call_id, timeout))
        if self.before:
            return self.before.pop(0)
        if isinstance(self.answer, AgiRouterError):
            raise self.answer
        return self.answer

    async def allocate(self, needed: AllocationNeeded, *, timeout: float) -> None:  # noqa: ASYNC109
        """Note that a number is to be made; what comes of it is the next answer."""
        self.made.append((needed, timeout))


@dataclass
class Meter:
    """Notes what it is told."""

    decisions: list[Route | Refusal] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    admissions: list[float] = field(default_factory=list)

    def decided(self, decision: Route | Refusal) -> None:
        """Note a decision."""
        self.decisions.append(decision)

    def took(self, seconds: float) -> None:
        """Note how long it took."""
        self.times.append(seconds)

    def admission_took(self, seconds: float) -> None:
        """Note how long the store took."""
        self.admissions.append(seconds)


def router(store: Store, *, fixed_lines: bool = False, **settings: Any) -> Router:
    """Return a router with the default settings."""
    return Router(
        store,
        timeout=0.4,
        ring_timeout=timedelta(seconds=45),
        max_duration=HOUR,
        language=Language.ZH,
        fixed_lines=fixed_lines,
        **settings,
    )


def refused(facts: Facts) -> Admission:
    """Return the store's answer where a guard failed."""
    return Admission(admitted=False, facts=facts, now=NOW)


@dataclass
class Checker:
    """Says the same of every call, and notes what it was asked."""

    answer: Verdict | AgiRouterError
    asks_of_all: bool = True
    asked: list[tuple[Call, str, tuple[PhoneNumber, ...], float]] = field(default_factory=list)

    async def check(self, call: Call, call_id: str, route: Route, *, timeout: float) -> Verdict:  # noqa: ASYNC109
        """Answer, or fail as told."""
        self.asked.append((call, call_id, route.callees, timeout))
        if isinstance(self.answer, AgiRouterError):
            raise self.answer
        return self.answer


async def test_a_call_is_routed() -> None:
    """One question to the store, in time; the leg's callee rings and is shown X."""
    store = Store(ADMITTED)
    assert await router(store).answer(ARRIVAL) == ROUTED
    assert store.asked == [(Call(caller=A, x_number=X), ARRIVAL.call_id, 0.4)]


@dataclass
class OldNumbers:
    """One old number that has become X."""

    old: str = "95013000001"
    error: AgiRouterError | None = None

    async def find_new_number(self, old: str, *, timeout: float) -> XNumber | None:  # noqa: ASYNC109
        """Answer, or fail as told."""
        assert timeout == 0.4
        if self.error is not None:
            raise self.error
        return X if old == self.old else None


@pytest.mark.parametrize(
    ("until", "told"),
    [
        (None, "number_changed*number_changed*22"),
        (datetime.now(UTC) + HOUR, "number_changed*number_changed*22"),
        (datetime.now(UTC) - HOUR, "number_retired*number_bad*1"),
    ],
)
@pytest.mark.parametrize("strict", [False, True])
async def test_a_number_of_before(until: datetime | None, told: str, *, strict: bool) -> None:
    """Its caller hears that it has changed, whoever calls; the end is on record under X."""
    store = Store(ADMITTED)
    asked = router(store, old_numbers=OldNumbers(), old_until=until, strict=strict)
    destination = await asked.answer(replace(ARRIVAL, dialled="+8695013000001"))
    assert destination == Destination("agi-router-changed", f"{X}*{told}*zh**end")
    assert store.asked == []


@pytest.mark.parametrize("dialled", ["95013000002", "_X.", "70012345678", f"{X.digits}1"])
async def test_a_number_that_was_never_moved(dialled: str) -> None:
    """It is a call to no number; so it is where no such numbers are known."""
    arrival = replace(ARRIVAL, dialled=dialled)
    alike = await router(Store(ADMITTED)).answer(arrival)
    assert alike.extension.startswith("x_malformed*number_bad*")
    assert await router(Store(ADMITTED), old_numbers=OldNumbers()).answer(arrival) == alike
    failing = OldNumbers(error=StoreError("away"))
    moved = replace(ARRIVAL, dialled="95013000001")
    assert await router(Store(ADMITTED), old_numbers=failing).answer(moved) == FAULT


def test_where_a_call_came_in() -> None:
    """The dialplan says so in the place of how often it may be asked."""
    for more, told in (((), (X.digits, False)), (("", "old"), (X.digits, True))):
        arrival = Arrival.from_dialplan("pbx1-1.1", "", (X.digits, "", *more), request="")
        assert (arrival.dialled, arrival.old) == told
    # Who was asked has not come in there.
    assert Arrival.from_dialplan("pbx1-1.1", "", (X.digits, "", "1", "old"), request="") == (
        Arrival.from_dialplan("pbx1-1.1", "", (), request="")
    )


async def test_nobody_rings_where_old_numbers_come_in() -> None:
    """A 700 number, however it is written there, is a call to no number."""
    store = Store(ADMITTED)
    asked = router(store, old_numbers=OldNumbers())
    for dialled in (X.digits, f"+86{X.digits}", f"{X.digits}()"):
        destination = await asked.answer(replace(ARRIVAL, dialled=dialled, old=True))
        assert destination.extension.startswith("x_malformed*number_bad*1*")
    assert store.asked == []


async def test_calls_to_numbers_of_before_are_held_to_the_limit_of_their_caller() -> None:
    """They are no fault of the trunk, by which others call."""
    once = Rate(1, timedelta(minutes=1))
    asked = router(
        Store(ADMITTED),
        old_numbers=OldNumbers(),
        caller_limit=once,
        trunk_limit=once,
        clock=lambda: 0,
    )
    moved = replace(ARRIVAL, dialled="95013000001", channel="PJSIP/carrier-in-00000001", old=True)
    told = [(await asked.answer(moved)).extension.split("*")[:2] for _ in range(3)]
    assert told == [[str(X), "number_changed"], *[["rate_caller", "too_often"]] * 2]
    hidden = replace(moved, caller=from_header("anonymous"))
    told = [(await asked.answer(hidden)).extension.split("*")[:2] for _ in range(2)]
    assert told == [[str(X), "number_changed"]] * 2
    other = replace(ARRIVAL, channel=moved.channel, caller=from_header("13800000777"))
    assert await asked.answer(other) == ROUTED


async def test_a_binding_may_have_limits_and_a_language_of_its_own() -> None:
    """What the binding says wins over the settings."""
    leg = replace(
        LEG, ring_timeout=timedelta(seconds=20), max_duration=HOUR * 2, language=Language.EN
    )
    store = Store(replace(ADMITTED, facts=replace(FACTS, hit=leg)))
    destination = await router(store).answer(ARRIVAL)
    assert destination.extension == f"{B.digits}*{X}*20*7200*en*n**end"


@pytest.mark.parametrize(
    ("facts", "reason", "language"),
    [
        (replace(FACTS, block_known=False, hit=None), Reason.X_UNKNOWN, Language.ZH),
        (replace(FACTS, certificate_valid=False), Reason.CERTIFICATE_INVALID, Language.ZH),
        (replace(FACTS, x_bound=False, hit=None), Reason.NO_BINDING, Language.ZH),
        (replace(FACTS, hit=None), Reason.STRANGER, Language.ZH),
        (replace(FACTS, hit=replace(LEG, expires_at=NOW)), Reason.EXPIRED, Language.ZH),
        (
            replace(FACTS, hit=replace(LEG, max_calls=1, calls_used=1, language=Language.EN)),
            Reason.USED_UP,
            Language.EN,
        ),
        (
            replace(FACTS, hit=replace(LEG, direction=Direction.B)),
            Reason.WRONG_DIRECTION,
            Language.ZH,
        ),
    ],
)
async def test_a_call_is_refused(facts: Facts, reason: Reason, language: Language) -> None:
    """The facts give the reason; a party hears it in its binding's language."""
    store = Store(refused(facts))
    destination = await router(store).answer(ARRIVAL)
    assert destination == to_refuse(Refusal(reason=reason), language=language)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dialled": X.digits + "1"}, Reason.X_MALFORMED),
        ({"dialled": ""}, Reason.X_MALFORMED),
        ({"caller": replace(ARRIVAL.caller, privacy=("id",))}, Reason.CALLER_HIDDEN),
        ({"caller": from_header("")}, Reason.CALLER_HIDDEN),
        ({"caller": from_header("alice")}, Reason.CALLER_UNREADABLE),
        ({"caller": from_header("+442071234567")}, Reason.CALLER_FOREIGN),
        ({"caller": from_header(LINE.digits)}, Reason.CALLER_TYPE),
    ],
)
async def test_some_calls_never_reach_the_store(changes: dict[str, Any], reason: Reason) -> None:
    """What the numbers alone tell costs no question."""
    store = Store(ADMITTED)
    destination = await router(store).answer(replace(ARRIVAL, **changes))
    assert destination == to_refuse(Refusal(reason=reason), language=Language.ZH)
    assert store.asked == []


async def test_a_call_that_came_in_where_nobody_looked(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is known of that endpoint: it is refused unasked, and somebody is to look."""
    store = Store(ADMITTED)
    serving = router(store)
    serving.ways_in = frozenset({"PJSIP/carrier-in"})
    assert await serving.answer(replace(ARRIVAL, channel="PJSIP/carrier-in-0000002a")) == ROUTED
    assert not serving.unjudged.is_set()
    for other in ("PJSIP/carrier-in-2-0000002b", "PJSIP/office-0000002c", "Local/7@in-1", ""):
        assert await serving.answer(replace(ARRIVAL, channel=other)) == FAULT
    assert serving.unjudged.is_set()
    assert len(store.asked) == 1
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "call.unjudged"
    ] * 4
    serving.ways_in = frozenset()
    assert await serving.answer(replace(ARRIVAL, channel="PJSIP/carrier-in-0000002a")) == FAULT


async def test_from_may_count_for_nothing() -> None:
    """Where the carrier asserts every caller, whom nobody asserts is nobody."""
    store = Store(ADMITTED)
    door = router(store, believe_from=False)
    unread = to_refuse(Refusal(reason=Reason.CALLER_UNREADABLE), language=Language.ZH)
    assert await door.answer(ARRIVAL) == unread
    assert store.asked == []
    asserted = Signalled(asserted=(f"<tel:+86{A.digits}>",), sender=ARRIVAL.caller.sender)
    assert await door.answer(replace(ARRIVAL, caller=asserted)) == ROUTED


async def test_fixed_lines_may_be_let_through() -> None:
    """The setting reaches the rule."""
    store = Store(ADMITTED)
    arrival = replace(ARRIVAL, caller=from_header(LINE.digits))
    assert await router(store, fixed_lines=True).answer(arrival) == ROUTED
    assert store.asked[0][0].caller == LINE


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable(), StoreError(), SchemaMismatch(), SealError(), ProtocolError()],
    ids=lambda error: type(error).__name__,
)
async def test_a_failing_store_is_a_refusal(
    error: AgiRouterError, caplog: pytest.LogCaptureFixture
) -> None:
    """Fail closed: nobody is connected, the caller hears to try later, the log names the error."""
    assert await router(Store(error)).answer(ARRIVAL) == FAULT
    [record] = [record for record in caplog.records if record.msg == "call.undecided"]
    assert (record.levelname, vars(record)["error"]) == ("WARNING", type(error).__name__)
    assert vars(record)["call"] == ARRIVAL.call_id


@pytest.mark.parametrize("call_id", ["", "42", "not-a-call-id", "pbx1-1741988825"])
async def test_a_call_without_a_readable_id_is_refused(call_id: str) -> None:
    """Nobody could find its row again: it is not connected."""
    assert await router(Store(ADMITTED)).answer(replace(ARRIVAL, call_id=call_id)) == FAULT


@pytest.mark.parametrize(
    "answer",
    [
        # The guard took a use where the rule refuses; the guard refused where the rule routes.
        Admission(admitted=True, facts=replace(FACTS, hit=replace(LEG, expires_at=NOW)), now=NOW),
        Admission(admitted=True, facts=replace(FACTS, hit=replace(LEG, callees=(A,))), now=NOW),
        Admission(admitted=True, facts=replace(FACTS, hit=None), now=NOW),
        Admission(admitted=False, facts=FACTS, now=NOW),
    ],
)
async def test_guard_and_rule_must_agree(
    answer: Admission, caplog: pytest.LogCaptureFixture
) -> None:
    """Where they do not, nobody is connected, and it is an error."""
    assert await router(Store(answer)).answer(ARRIVAL) == FAULT
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert (record.msg, vars(record)["call"]) == ("decision.disagrees", ARRIVAL.call_id)


DISAGREES = Admission(admitted=False, facts=FACTS, now=NOW)


@pytest.mark.parametrize("times", [1, 2, 3])
async def test_a_use_came_back_meanwhile(times: int, caplog: pytest.LogCaptureFixture) -> None:
    """Refused by the guard and routed by the facts: it is asked again, within the same time."""
    ticks = iter(range(0, 10**10, 10**8))
    store = Store(ADMITTED, before=[DISAGREES] * times)
    assert await router(store, clock=lambda: next(ticks)).answer(ARRIVAL) == ROUTED
    assert {(call, call_id) for call, call_id, _ in store.asked} == {
        (Call(caller=A, x_number=X), ARRIVAL.call_id)
    }
    timeouts = [timeout for _, _, timeout in store.asked]
    assert timeouts == [0.4, *(pytest.approx(0.4 - 0.1 * i) for i in range(1, 1 + times))]
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_tries_are_bounded() -> None:
    """A guard that never agrees with the rule is a fault, after four times and not in no time."""
    ticks = iter(range(0, 10**10, 2 * 10**8))
    store = Store(DISAGREES)
    assert await router(store, clock=lambda: next(ticks)).answer(ARRIVAL) == FAULT
    assert [timeout for _, _, timeout in store.asked] == [0.4, pytest.approx(0.2), 0.0, 0.0]


async def test_a_use_that_should_not_have_been_taken_is_not_taken_again() -> None:
    """Admitted and refused by the facts: asking again would only find the same reservation."""
    store = Store(replace(ADMITTED, facts=replace(FACTS, hit=None)))
    assert await router(store).answer(ARRIVAL) == FAULT
    assert len(store.asked) == 1


TOLD: list[tuple[Facts, Reason]] = [
    (replace(FACTS, x_bound=False, hit=None), Reason.NO_BINDING),
    (replace(FACTS, hit=None), Reason.STRANGER),
    *(
        (replace(FACTS, hit=replace(leg, language=Language.EN)), reason)
        for leg, reason in (
            (replace(LEG, expires_at=NOW), Reason.EXPIRED),
            (replace(LEG, state=BindingState.UNBOUND, ended_at=NOW), Reason.UNBOUND),
            (replace(LEG, state=BindingState.ORDER_ENDED, ended_at=NOW), Reason.ORDER_ENDED),
            (replace(LEG, max_calls=1, calls_used=1), Reason.USED_UP),
            (replace(LEG, direction=Direction.B), Reason.WRONG_DIRECTION),
            (replace(LEG, callees=()), Reason.NO_DEFAULT_PARTY),
            (replace(LEG, callees=(A,)), Reason.SELF_CALL),
            (replace(LEG, tenant_active=False), Reason.TENANT_SUSPENDED),
        )
    ),
]


@pytest.mark.parametrize(("facts", "reason"), TOLD, ids=lambda value: str(value)[:12])
async def test_strict(facts: Facts, reason: Reason) -> None:
    """Whatever there is on a number: one prompt, one cause, one language; the reason on record."""
    destination = await router(Store(refused(facts)), strict=True).answer(ARRIVAL)
    assert destination == Destination("agi-router-refuse", f"{reason}*no_relation*21*zh**end")


@pytest.mark.parametrize(
    ("answer", "took", "waits"),
    [
        (refused(replace(FACTS, hit=None)), 0, [0.1]),
        (refused(replace(FACTS, hit=replace(LEG, expires_at=NOW))), 3 * 10**6, [0.097]),
        (refused(replace(FACTS, x_bound=False, hit=None)), 99 * 10**6, [0.001]),
        (refused(replace(FACTS, x_bound=False, hit=None)), 10**9, [0.0]),
        (refused(replace(FACTS, block_known=False, hit=None)), 0, []),
        (ADMITTED, 0, []),
        (StoreUnavailable(), 0, []),
    ],
)
async def test_strict_answers_at_one_moment(
    answer: Admission | AgiRouterError,
    took: int,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However long the store looked for what there is on a number, and only for that."""
    waited: list[float] = []
    now = [0]

    class Slow(Store):
        async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
            now[0] += took
            return await super().admit(call, call_id, timeout=timeout)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("agi_router.calls.router.asyncio.sleep", sleep)
    await router(Slow(answer), strict=True, clock=lambda: now[0]).answer(ARRIVAL)
    assert waited == waits
    await router(Slow(answer), clock=lambda: now[0]).answer(ARRIVAL)
    assert waited == waits


NEEDS_NUMBER = Admission(
    admitted=False,
    facts=replace(FACTS, hit=replace(LEG, mode=Mode.AXYB, shown=None)),
    now=NOW,
)
NEEDED = AllocationNeeded(binding=LEG.binding, binding_id=42, x_number=X, caller=A, callee=B)


async def test_a_number_is_made() -> None:
    """By the store, and the call is admitted then; within the one time for both."""
    now = [0]

    class Slow(Store):
        async def allocate(self, needed: AllocationNeeded, *, timeout: float) -> None:  # noqa: ASYNC109
            await super().allocate(needed, timeout=timeout)
            now[0] += 10**8

    store = Slow(ADMITTED, before=[NEEDS_NUMBER])
    assert await router(store, clock=lambda: now[0]).answer(ARRIVAL) == ROUTED
    assert store.made == [(NEEDED, 0.4)]
    assert [round(timeout, 6) for _, _, timeout in store.asked] == [0.4, 0.3]


async def test_no_number_can_be_made(caplog: pytest.LogCaptureFixture) -> None:
    """It is tried a few times; then it is a fault of ours, and no limit counts it."""
    store = Store(NEEDS_NUMBER)
    door = router(store, caller_limit=Rate(1, timedelta(minutes=1)))
    for _ in range(2):
        assert await door.answer(ARRIVAL) == FAULT
    assert len(store.asked) == len(store.made) == 8
    assert "call.no_number" in [record.msg for record in caplog.records]


@pytest.mark.parametrize("strict", [False, True])
async def test_metrics_of_a_strict_router(*, strict: bool) -> None:
    """Who can call and read metrics learns no more than who calls: neither reason nor time."""
    meters = []
    for facts in (
        replace(FACTS, hit=None),
        replace(FACTS, hit=replace(LEG, state=BindingState.EXPIRED)),
        replace(FACTS, x_bound=False, hit=None),
    ):
        meter = Meter()
        await router(Store(refused(facts)), strict=strict, meter=meter).answer(ARRIVAL)
        meters.append(meter)
    told = [
        [each.reason for each in meter.decisions if isinstance(each, Refusal)] for meter in meters
    ]
    assert (told == [[Reason.NO_BINDING]] * 3) is strict
    assert [len(meter.times) for meter in meters] == [0 if strict else 1] * 3
    assert [len(meter.admissions) for meter in meters] == [0 if strict else 1] * 3


async def test_strict_hides_who_is_asked_for_nothing() -> None:
    """Whose extension is wrong or missing hears what a stranger hears; asking is no refusal."""
    extended = refused(replace(FACTS, hit=None, x_extended=True))
    stranger = await router(Store(refused(replace(FACTS, hit=None))), strict=True).answer(ARRIVAL)
    _, _, told = stranger.extension.partition("*")
    door = router(Store(extended), strict=True, extension_tries=1)
    for typed in ("", "99"):
        arrival = replace(ARRIVAL, typed=typed, attempts_left=0)
        answer = await door.answer(arrival)
        assert answer.extension.partition("*")[2] == told
    assert (await door.answer(ARRIVAL)).context == "agi-router-ask"


async def test_strict_hides_no_fault_of_the_call_itself() -> None:
    """What a caller may know, it hears as ever."""
    store = Store(refused(FACTS))
    for arrival in (
        replace(ARRIVAL, dialled="7001"),
        replace(ARRIVAL, caller=from_header("")),
        replace(ARRIVAL, caller=from_header("+442071234567")),
    ):
        strictly = await router(store, strict=True).answer(arrival)
        assert strictly == await router(store).answer(arrival)


async def test_a_number_that_is_too_short() -> None:
    """Digits are missing: 28, which leaves Asterisk as 484."""
    destination = await router(Store(ADMITTED)).answer(replace(ARRIVAL, dialled=X.digits[:-1]))
    assert destination.extension == "x_malformed*number_bad*28*zh**end"


STRANGER = to_refuse(Refusal(reason=Reason.STRANGER), language=Language.ZH)
TOO_OFTEN = to_refuse(Refusal(reason=Reason.RATE_CALLER), language=Language.ZH)
THREE = Rate(3, timedelta(minutes=3))
MINUTE = 60 * 10**9


async def test_a_caller_who_is_refused_too_often(caplog: pytest.LogCaptureFixture) -> None:
    """The store is not asked any more, until a while has gone by; others are not held up."""
    store, now = Store(refused(replace(FACTS, hit=None))), [0]
    door = router(store, caller_limit=THREE, clock=lambda: now[0])
    answers = [await door.answer(ARRIVAL) for _ in range(6)]
    assert answers == [STRANGER] * 3 + [TOO_OFTEN] * 3
    assert len(store.asked) == 3
    [record] = [each for each in caplog.records if each.msg == "refusals.limited"]
    assert (record.levelname, vars(record)["of"]) == ("WARNING", "caller")
    assert A.digits not in str(vars(record))

    assert await door.answer(replace(ARRIVAL, caller=from_header(B.digits))) == STRANGER
    now[0] += MINUTE
    assert await door.answer(ARRIVAL) == STRANGER
    assert await door.answer(ARRIVAL) == TOO_OFTEN


async def test_a_party_who_was_refused_too_often_is_not_routed_either() -> None:
    """Without a look-up nobody knows that it would be."""
    store = Store(ADMITTED, before=[refused(replace(FACTS, hit=None))] * 3)
    door = router(store, caller_limit=THREE, clock=lambda: 0)
    for expected in (STRANGER, STRANGER, STRANGER, TOO_OFTEN):
        assert await door.answer(ARRIVAL) == expected


async def test_extensions_are_not_guessed_by_many(caplog: pytest.LogCaptureFixture) -> None:
    """Each guess comes from another number: the number that is guessed at is held to a limit."""
    extended = refused(replace(FACTS, hit=None, x_extended=True))
    store, now = Store(extended), [0]
    door = router(store, extension_limit=THREE, extension_tries=3, clock=lambda: now[0])

    async def guess(serial: int, *, attempts_left: int | None, typed: str | None) -> str:
        caller = f"1380013{serial:04}"
        arrival = replace(
            ARRIVAL, caller=from_header(f"+86{caller}"), attempts_left=attempts_left, typed=typed
        )
        return (await door.answer(arrival)).extension.partition("*")[0]

    # Who is asked has not guessed; who is asked again has, and so has who is refused.
    for serial in range(5):
        assert await guess(serial, attempts_left=None, typed=None) == "ask_extension"
    assert await guess(5, attempts_left=2, typed="0001") == "wrong_extension"
    assert await guess(6, attempts_left=1, typed="0002") == "wrong_extension"
    assert await guess(7, attempts_left=0, typed="0003") == "extension_wrong"
    asked = len(store.asked)
    for serial in range(8, 12):
        assert await guess(serial, attempts_left=2, typed=f"{serial:04}") == "rate_caller"
    assert len(store.asked) == asked
    # Nobody who does not guess is held up: it is a party's number, too.
    assert await guess(12, attempts_left=None, typed=None) == "ask_extension"
    [record] = [each for each in caplog.records if each.msg == "refusals.limited"]
    assert vars(record)["of"] == "extensions"
    now[0] += MINUTE
    assert await guess(13, attempts_left=2, typed="0013") == "wrong_extension"


async def test_an_extension_that_is_right_counts_for_nothing() -> None:
    """However many reach their party by it."""
    door = router(Store(ADMITTED), extension_limit=THREE, extension_tries=3, clock=lambda: 0)
    for _ in range(10):
        answer = await door.answer(replace(ARRIVAL, attempts_left=2, typed="1234"))
        assert answer.context == "agi-router-dial"


async def test_a_trunk_with_too_many_refused_calls() -> None:
    """Whoever calls by it, also with numbers that are no numbers; another trunk is another one."""
    store = Store(refused(replace(FACTS, hit=None)))
    now = [0]
    door = router(store, trunk_limit=THREE, clock=lambda: now[0])

    async def call(serial: int, **changes: Any) -> Destination:
        caller = from_header(f"1380013{serial:04}")
        call = replace(ARRIVAL, caller=caller, channel="t1-1")
        return await door.answer(replace(call, **changes))

    for serial in range(2):
        assert await call(serial) == STRANGER
    assert (await call(2, caller=from_header(""))).extension.startswith("caller_hidden")
    assert await call(3) == TOO_OFTEN
    for serial in range(4, 9):
        assert (await call(serial, caller=from_header(""))).extension.startswith("caller_hidden")
    assert len(store.asked) == 2
    now[0] += MINUTE
    assert await call(9) == STRANGER
    assert await call(4, channel="t2-1") == STRANGER
    for serial in range(5, 9):
        assert await call(serial, channel="") == STRANGER


MERGED = Destination("agi-router-refuse", "merged**31*zh**end")


def copy(serial: int, **changes: Any) -> Arrival:
    """One of the calls that come by one INVITE."""
    return replace(
        ARRIVAL, **{"call_id": f"pbx1-1741988825.{serial}", "request": "call-id", **changes}
    )


async def test_of_copies_one_is_decided() -> None:
    """The one that came first, also while it is being decided; the others hear nothing."""
    store = Store(ADMITTED)
    door = router(store)
    answers = await asyncio.gather(*(door.answer(copy(serial)) for serial in range(4)))
    assert answers == [ROUTED, MERGED, MERGED, MERGED]
    # The first one may ask again, as one who has typed an extension does.
    assert await door.answer(copy(0)) == ROUTED
    assert [call_id for _, call_id, _ in store.asked] == [copy(0).call_id] * 2


@pytest.mark.parametrize(
    "calls",
    [
        (copy(1), copy(2, request="another")),
        (copy(1, request=""), copy(2, request="")),
        (copy(1), copy(2, dialled=str(X.value + 1))),
    ],
    ids=["another-request", "unknown", "another-number"],
)
async def test_what_is_no_copy(calls: tuple[Arrival, Arrival]) -> None:
    """Another request, one that the door does not know, and a fork to another number."""
    door = router(Store(ADMITTED))
    for call in calls:
        assert (await door.answer(call)).context == "agi-router-dial"


async def test_who_tries_again_is_no_copy() -> None:
    """Where the first one has ended the next is the first; of its copies again only one is."""
    asked: list[First] = []
    ended = {copy(1).call_id}

    async def lives(first: First) -> bool:
        asked.append(first)
        await asyncio.sleep(0)
        return first.call_id not in ended

    door = router(Store(ADMITTED))
    assert await door.answer(copy(1, channel="c-1"), lives) == ROUTED
    answers = await asyncio.gather(*(door.answer(copy(serial), lives) for serial in (2, 3, 4)))
    assert sorted(answers, key=lambda each: each.context) == [ROUTED, MERGED, MERGED]
    assert asked[:3] == [First(copy(1).call_id, "c-1")] * 3
    ended |= {copy(serial).call_id for serial in (2, 3, 4)}
    assert await door.answer(copy(5), lives) == ROUTED


async def test_a_copy_is_neither_counted_nor_kept_waiting() -> None:
    """It is no refusal that is held against its caller, and a strict router tells it at once."""
    store = Store(refused(replace(FACTS, hit=None)))
    door = router(store, caller_limit=THREE, strict=True, clock=lambda: 0)
    assert await door.answer(copy(0)) == STRANGER
    for serial in range(1, 5):
        assert await door.answer(copy(serial)) == MERGED
    assert await door.answer(copy(5, request="another")) == STRANGER


async def test_a_crowd_hears_no_prompt() -> None:
    """Ten a second are told that too many call; to the others only the cause is sent."""
    now = [0]
    door = router(Store(StoreBusy()), clock=lambda: now[0])
    crowd = Refusal(reason=Reason.NO_CAPACITY)
    told = to_refuse(crowd, language=Language.ZH)
    silent = to_refuse(crowd, language=Language.ZH, silent=True)
    assert silent.extension == "no_capacity**34*zh**end"
    assert [await door.answer(ARRIVAL) for _ in range(30)] == [told] * 10 + [silent] * 20
    assert door.destination(Refusal(reason=Reason.STRANGER), "1.1") == STRANGER
    now[0] += 10**9 // 10
    assert [await door.answer(ARRIVAL) for _ in range(2)] == [told, silent]


async def test_faults_of_ours_are_no_refusals() -> None:
    """Who could not be served is not counted, nor who was routed."""
    for answer, expected in ((StoreUnavailable(), FAULT), (ADMITTED, ROUTED), (DISAGREES, FAULT)):
        door = router(Store(answer), caller_limit=THREE, trunk_limit=THREE, clock=lambda: 0)
        for _ in range(5):
            assert await door.answer(replace(ARRIVAL, channel="t1-1")) == expected


@pytest.mark.parametrize(
    ("answer", "event"),
    [
        (ADMITTED, "call.routed"),
        (refused(replace(FACTS, hit=replace(LEG, expires_at=NOW))), "call.refused"),
        (refused(replace(FACTS, hit=None)), "call.refused"),
        (StoreUnavailable(), "call.undecided"),
        (SealError(), "call.undecided"),
        (Admission(admitted=False, facts=FACTS, now=NOW), "decision.disagrees"),
    ],
)
async def test_no_log_holds_a_real_number(
    answer: Admission | AgiRouterError, event: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No record has a real number in it, before the formatter masks what looks like one."""
    caplog.set_level(logging.DEBUG)
    await router(Store(answer)).answer(ARRIVAL)
    await asyncio.sleep(0.2)  # answers are logged later
    assert event in [record.msg for record in caplog.records]
    for record in caplog.records:
        text = f"{vars(record)} {record.getMessage()} {Formatter().format(record)}"
        assert A.digits not in text
        assert B.digits not in text
        assert vars(record)["call"] == ARRIVAL.call_id


def test_an_arrival_does_not_show_its_caller() -> None:
    """An arrival that reaches a log as a whole hides who calls."""
    assert A.digits not in repr(ARRIVAL)


@pytest.mark.parametrize(
    ("answer", "arrival", "reason", "asked"),
    [
        (ADMITTED, ARRIVAL, None, 1),
        (refused(replace(FACTS, hit=None)), ARRIVAL, Reason.STRANGER, 1),
        (StoreUnavailable(), ARRIVAL, Reason.PLATFORM_FAULT, 1),
        (StoreBusy(), ARRIVAL, Reason.NO_CAPACITY, 1),
        # The store is not asked about what is no call of ours.
        (ADMITTED, replace(ARRIVAL, dialled="10086"), Reason.X_MALFORMED, 0),
    ],
)
async def test_every_call_is_counted_and_timed_once(
    answer: Admission | AgiRouterError, arrival: Arrival, reason: Reason | None, asked: int
) -> None:
    """Routed, refused or failed."""
    meter = Meter()
    await router(Store(answer), meter=meter).answer(arrival)
    [decision] = meter.decisions
    assert (decision.reason if isinstance(decision, Refusal) else None) is reason
    assert len(meter.times) == 1
    assert len(meter.admissions) == asked
    assert all(0 <= seconds < 5 for seconds in meter.times + meter.admissions)


EXTENDED = refused(replace(FACTS, hit=None, x_extended=True))


@pytest.mark.parametrize(
    ("tries", "typed", "attempts_left", "context", "begin"),
    [
        (3, None, None, "agi-router-ask", "ask_extension*2*"),
        (3, "99", 2, "agi-router-ask", "wrong_extension*1*"),
        (3, "99", 0, "agi-router-refuse", "extension_wrong*"),
        # More than the setting allows is not to be had.
        (1, "99", 99, "agi-router-ask", "wrong_extension*0*"),
        # Off: nobody is asked, and what comes back from an earlier time is a stranger.
        (0, None, None, "agi-router-refuse", "stranger*"),
        (0, "1234", 2, "agi-router-refuse", "stranger*"),
    ],
)
async def test_strangers_are_asked(
    tries: int, typed: str | None, attempts_left: int | None, context: str, begin: str
) -> None:
    """As often as the setting says, and never where it is off."""
    store = Store(EXTENDED)
    arrival = replace(ARRIVAL, typed=typed, attempts_left=attempts_left)
    destination = await router(store, extension_tries=tries).answer(arrival)
    assert destination.context == context
    assert destination.extension.startswith(begin)
    # Where nobody is asked, nothing was typed.
    assert (store.asked[0][0].typed is not None) is (tries > 0 and typed is not None)


async def test_no_number_could_be_made(caplog: pytest.LogCaptureFixture) -> None:
    """The call is refused as a fault of ours, which counts nothing, and the log says why."""
    store = Store(refused(replace(FACTS, hit=replace(LEG, shown=None))))
    assert await router(store).answer(ARRIVAL) == FAULT
    [record] = [record for record in caplog.records if record.msg == "call.no_number"]
    assert vars(record)["binding"] == LEG.binding


async def test_an_arrival_does_not_show_what_was_typed() -> None:
    """Nor who called."""
    shown = repr(replace(ARRIVAL, typed="1234"))
    assert "1234" not in shown.replace(ARRIVAL.call_id, "").replace(X.digits, "")
    assert A.digits not in shown


async def test_a_confirmed_call_is_routed() -> None:
    """Asked after it is admitted, within the time that the database has left."""
    now = [0]

    class Slow(Store):
        async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
            now[0] += 10**8
            return await super().admit(call, call_id, timeout=timeout)

    checker = Checker(Verdict.YES)
    asked = router(Slow(ADMITTED), checker=checker, clock=lambda: now[0])
    assert await asked.answer(ARRIVAL) == ROUTED
    ((call, call_id, callees, timeout),) = checker.asked
    assert (call, call_id, callees) == (Call(caller=A, x_number=X), ARRIVAL.call_id, (B,))
    assert timeout == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Verdict.NO, Reason.CHECK_REFUSED),
        (Verdict.UNAVAILABLE, Reason.CHECK_UNAVAILABLE),
        (StoreError("no answer"), Reason.PLATFORM_FAULT),
    ],
)
async def test_a_call_that_is_not_confirmed(
    answer: Verdict | AgiRouterError, reason: Reason
) -> None:
    """It is refused by name; whoever is not asked about was refused before."""
    checker = Checker(answer)
    destination = await router(Store(ADMITTED), checker=checker).answer(ARRIVAL)
    assert destination == to_refuse(Refusal(reason=reason), language=Language.ZH)
    assert len(checker.asked) == 1
    await router(Store(refused(replace(FACTS, hit=None))), checker=checker).answer(ARRIVAL)
    assert len(checker.asked) == 1


async def test_a_tenant_with_a_check_of_its_own() -> None:
    """Its calls are asked about where no others are; never connected where nobody could ask."""
    checker = Checker(Verdict.YES, asks_of_all=False)
    own = replace(ADMITTED, facts=replace(FACTS, hit=replace(LEG, tenant_check=True)))
    for store, asked in ((Store(ADMITTED), 0), (Store(own), 1)):
        assert await router(store, checker=checker).answer(ARRIVAL) == ROUTED
        assert len(checker.asked) == asked
    refusal = to_refuse(Refusal(reason=Reason.CHECK_UNAVAILABLE), language=Language.ZH)
    assert await router(Store(own)).answer(ARRIVAL) == refusal


@pytest.mark.parametrize(
    ("answer", "then"),
    [(Verdict.NO, Reason.RATE_CALLER), (Verdict.UNAVAILABLE, Reason.CHECK_UNAVAILABLE)],
)
async def test_only_a_no_counts_for_the_limit(answer: Verdict, then: Reason) -> None:
    """A service that fails locks nobody out."""
    asked = router(
        Store(ADMITTED), checker=Checker(answer), caller_limit=Rate(1, timedelta(minutes=1))
    )
    await asked.answer(ARRIVAL)
    destination = await asked.answer(replace(ARRIVAL, call_id="pbx1-1741988825.43"))
    assert destination == to_refuse(Refusal(reason=then), language=Language.ZH)
