"""The ARI door: every call that enters gets one answer, whatever becomes of its caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from agi_router.ari import (
    ApplicationReplaced,
    AriClient,
    AriError,
    AriRefused,
    AriTimeout,
    AriUnavailable,
    Channel,
    ClientEvent,
    Connected,
    Disconnected,
    StasisEnd,
    StasisStart,
    UnknownEvent,
    UserEvent,
    WireError,
)
from agi_router.bindings.facts import Facts, RouteHit
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import BindingState, Callback, Direction, Language, Mode, Side
from agi_router.calls.arrival import Call
from agi_router.calls.decision import AllocationNeeded, Refusal
from agi_router.calls.ports import Admission
from agi_router.calls.router import Router
from agi_router.calls.treatment import treat
from agi_router.doors import ari as ari_door
from agi_router.doors.ari import EVENTS, AriDoor
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.rates import OFF, Rate
from harness import values
from harness.identities import told
from harness.values import NOW, call_id

PATIENCE = timedelta(seconds=60)
X = values.X.digits
A = values.A.digits
ALLOWED = (X, told(sender=f"<sip:{A}@carrier>;tag=1"))
STRANGER = "stranger*no_relation*21*zh**end"
GONE = "/channels/pbx1-1741988825.1/continue"

Answer = tuple[str, str, str]


class Store:
    """Admissions that know nobody; they may be made to wait."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[str] = []
        self.typed: list[str | None] = []
        self.extended = False
        self.facts = Facts(block_known=True, certificate_valid=True, x_bound=True, hit=None)

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """Answer when the store is open."""
        self.asked.append(call_id)
        await self.open.wait()
        assert (call.x_number.digits, call.caller.digits, timeout) == (X, A, 0.4)
        self.typed.append(None if call.typed is None else call.typed.extension)
        facts = replace(self.facts, x_extended=self.extended)
        return Admission(admitted=facts.hit is not None, facts=facts, now=NOW)

    async def allocate(self, needed: AllocationNeeded, *, timeout: float) -> None:  # noqa: ASYNC109
        """No call here needs one."""
        raise NotImplementedError


class Ari:
    """A client whose events and answers are given."""

    def __init__(
        self, *events: ClientEvent, error: Exception | None = None, at_once: bool = False
    ) -> None:
        self._events = events
        self._at_once = at_once
        self._error = error
        self.continued: list[Answer] = []
        self.found: bool | AriError = False
        self.looked_up: list[str] = []

    async def __aiter__(self) -> AsyncIterator[ClientEvent]:
        for event in self._events:
            yield event
            if not self._at_once:
                await asyncio.sleep(0)

    async def has_channel(self, channel_id: str) -> bool:
        """Tell of a channel, or fail."""
        self.looked_up.append(channel_id)
        if isinstance(self.found, AriError):
            raise self.found
        return self.found

    async def continue_in_dialplan(self, channel_id: str, *, context: str, extension: str) -> None:
        """Note where the channel is sent, or fail."""
        self.continued.append((channel_id, context, extension))
        if self._error is not None:
            raise self._error


def start(
    number: int = 1,
    *,
    args: tuple[str, ...] = ALLOWED,
    age: timedelta = timedelta(),
    protocol_id: str = "",
) -> StasisStart:
    """Return the event of a call that entered *age* ago."""
    channel = Channel(
        id=call_id(number),
        name=f"PJSIP/carrier-in-{number:08x}",
        state="Ring",
        protocol_id=protocol_id,
        caller_number=A,
        caller_name="",
        context="agi-router-in",
        exten=X,
        app_name="Stasis",
        app_data=f"agi_router,{X},…",
        creationtime=NOW,
    )
    return StasisStart(
        application="agi_router",
        asterisk_id="",
        timestamp=datetime.now(UTC) - age,
        args=args,
        channel=channel,
    )


def make_door(
    ari: Ari,
    store: Store,
    *,
    waiting_limit: int = 200,
    patience: timedelta = PATIENCE,
    trunk_limit: Rate = OFF,
) -> AriDoor:
    """Return a door with a router behind it."""
    router = Router(
        store,
        timeout=0.4,
        ring_timeout=timedelta(seconds=45),
        max_duration=timedelta(hours=1),
        language=Language.ZH,
        fixed_lines=False,
        extension_tries=2,
        trunk_limit=trunk_limit,
    )
    return AriDoor(cast(AriClient, ari), router, waiting_limit=waiting_limit, patience=patience)


async def test_a_call_is_answered_once() -> None:
    """One request, with the router's answer; nothing else is asked of Asterisk."""
    ari, store = Ari(start()), Store()
    door = make_door(ari, store)
    await door.serve()
    await door.drain()
    assert ari.continued == [(call_id(1), "agi-router-refuse", STRANGER)]
    assert store.asked == [call_id(1)]


async def test_a_look_at_the_profile_is_no_call() -> None:
    """Its channel comes into the application, and is left alone."""
    ari, store = Ari(start(args=("look",))), Store()
    door = make_door(ari, store)
    await door.serve()
    await door.drain()
    assert (store.asked, ari.continued) == ([], [])


async def test_a_trunk_is_known_by_its_channel() -> None:
    """Who comes in by the same endpoint is held to one limit with the others."""
    ari, store = Ari(start(1), start(2)), Store()
    door = make_door(ari, store, trunk_limit=Rate(1, timedelta(hours=1)))
    await door.serve()
    await door.drain()
    assert len(store.asked) == 1
    assert sorted(answer[2].partition("*")[0] for answer in ari.continued) == [
        "rate_caller",
        "stranger",
    ]


@pytest.mark.parametrize(
    ("found", "reasons"),
    [
        (True, ["merged", "stranger"]),
        (False, ["stranger", "stranger"]),
        (AriTimeout("GET", GONE), ["merged", "stranger"]),
    ],
    ids=["lives", "ended", "nobody-tells"],
)
async def test_a_copy_is_known_by_its_call_id(
    *, found: bool | AriError, reasons: list[str]
) -> None:
    """Asterisk is asked whether the first one lives; where it does not say so, it does."""
    ari, store = Ari(start(1, protocol_id="one"), start(2, protocol_id="one")), Store()
    ari.found = found
    door = make_door(ari, store)
    await door.serve()
    await door.drain()
    assert ari.looked_up == [start(1).channel.id]
    assert sorted(answer[2].partition("*")[0] for answer in ari.continued) == reasons


async def test_calls_do_not_wait_for_each_other() -> None:
    """All of them ask the store before the first has its answer."""
    ari, store = Ari(*map(start, range(5))), Store()
    store.open.clear()
    door = make_door(ari, store)
    await door.serve()
    assert len(store.asked) == 5
    assert ari.continued == []
    store.open.set()
    await door.drain()
    assert {channel for channel, _, _ in ari.continued} == set(store.asked)


@pytest.mark.parametrize(
    "args",
    [
        (),
        (X,),
        (X, "allowed", "more"),
        (X, "allowed", "1234", "many"),
        (X, "allowed", "1234", "1", ""),
        ("", ""),
    ],
)
async def test_other_arguments_are_not_from_our_dialplan(args: tuple[str, ...]) -> None:
    """Another number of arguments is refused, and nobody is looked up."""
    ari, store = Ari(start(args=args)), Store()
    door = make_door(ari, store)
    await door.serve()
    await door.drain()
    assert [extension for _, _, extension in ari.continued] == ["x_malformed*number_bad*1*zh**end"]
    assert store.asked == []


@pytest.mark.parametrize("status", [404, 409])
async def test_a_caller_who_did_not_wait(status: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is no fault: the request is not repeated, and the next call is taken."""
    caplog.set_level(logging.INFO)
    ari = Ari(start(1), start(2), error=AriRefused(status, "gone", GONE))
    door = make_door(ari, Store())
    await door.serve()
    await door.drain()
    assert len(ari.continued) == 2
    gone = [record for record in caplog.records if record.msg == "call.gone"]
    assert [vars(record)["status"] for record in gone] == [status, status]
    assert [record.levelname for record in gone] == ["INFO", "INFO"]


@pytest.mark.parametrize(
    "error",
    [AriUnavailable("lost"), AriTimeout("POST", GONE), WireError("type: not a string")],
    ids=lambda error: type(error).__name__,
)
async def test_an_answer_that_does_not_arrive(
    error: AriError, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and not repeated; the dialplan's patience ends the wait."""
    ari = Ari(start(1), start(2), error=error)
    door = make_door(ari, Store())
    await door.serve()
    await door.drain()
    assert len(ari.continued) == 2
    unanswered = [record for record in caplog.records if record.msg == "call.unanswered"]
    assert [record.levelname for record in unanswered] == ["WARNING", "WARNING"]
    assert vars(unanswered[0])["error"] == str(error)


async def test_another_router_takes_over() -> None:
    """The one that is replaced is told so, and still answers the calls that came before."""
    replaced = ApplicationReplaced(application="agi_router", asterisk_id="", timestamp=NOW)
    ari, store = Ari(start(), replaced), Store()
    store.open.clear()
    door = make_door(ari, store)
    assert not door.replaced.is_set()
    await door.serve()
    assert door.replaced.is_set()
    assert door.waiting == 1
    store.open.set()
    await door.drain()
    assert [channel for channel, _, _ in ari.continued] == [call_id(1)]


async def test_each_connection_is_told() -> None:
    """Whoever waits for a connection is woken at each, and not by its loss."""
    door = make_door(Ari(Connected(first=True)), Store())
    assert not door.connected.is_set()
    await door.serve()
    assert door.connected.is_set()
    door = make_door(Ari(Disconnected(reason="lost")), Store())
    await door.serve()
    assert not door.connected.is_set()


async def test_other_events_are_nothing_to_us() -> None:
    """What Asterisk says besides is passed over."""
    begun = start()
    end = StasisEnd(application="agi_router", asterisk_id="", timestamp=NOW, channel=begun.channel)
    ari = Ari(UnknownEvent(type="Dial"), end, begun)
    door = make_door(ari, Store())
    await door.serve()
    await door.drain()
    assert len(ari.continued) == 1
    # The second is how Asterisk tells the time.
    assert EVENTS == ("StasisStart", "ChannelUserevent")


class Telling(Ari):
    """Asterisk on a machine whose clock is behind ours, or ahead."""

    def __init__(self, ahead: timedelta) -> None:
        super().__init__()
        self._ahead = ahead
        self._heard: asyncio.Queue[ClientEvent | None] = asyncio.Queue()

    async def __aiter__(self) -> AsyncIterator[ClientEvent]:
        while (event := await self._heard.get()) is not None:
            yield event

    def say(self, event: ClientEvent | None) -> None:
        """Send an event, or end."""
        self._heard.put_nowait(event)

    async def raise_event(self, name: str) -> None:
        """Send an event with the time."""
        now = datetime.now(UTC) - self._ahead
        self.say(UserEvent(application="agi_router", asterisk_id="", timestamp=now, name=name))


@pytest.mark.parametrize("seconds", [1, 2, 3600, -2, -3600])
async def test_clocks_that_differ(seconds: int) -> None:
    """No call is late, and none is early, because of a clock: an event's age is its age."""
    ahead = timedelta(seconds=seconds)
    ari = Telling(ahead)
    door = make_door(cast(Ari, ari), Store())
    tasks = [asyncio.create_task(door.serve()), asyncio.create_task(door.compare_clocks())]
    try:
        ari.say(Connected(first=True))
        async with asyncio.timeout(10):
            while not door.clock.ahead:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.01)
        ari.say(start(1, age=ahead))
        # It has waited for a router that was frozen.
        ari.say(start(2, age=ahead + PATIENCE + timedelta(seconds=1)))
        ari.say(None)
        await tasks[0]
        await door.drain()
    finally:
        tasks[1].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [answer[0] for answer in ari.continued] == [call_id(1)]
    assert abs(door.clock.ahead - seconds) < 1


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_crowd_is_refused(*, at_once: bool) -> None:
    """When the database hangs, who comes after the limit does not wait for it; the others do."""
    ari, store = Ari(*map(start, range(1, 6)), at_once=at_once), Store()
    store.open.clear()
    door = make_door(ari, store, waiting_limit=3)
    await door.serve()
    await asyncio.sleep(0)
    assert len(store.asked) == 3
    crowd = Reason.NO_CAPACITY
    refused = f"no_capacity*{treat(Refusal(reason=crowd)).prompt}*34*zh**end"
    assert ari.continued == [
        (call_id(4), "agi-router-refuse", refused),
        (call_id(5), "agi-router-refuse", refused),
    ]
    store.open.set()
    await door.drain()
    assert [extension for _, _, extension in ari.continued[2:]] == [STRANGER] * 3


async def test_a_call_that_has_gone_elsewhere_is_not_taken(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A router that was frozen finds calls of long ago: it admits none, and says nothing."""
    ari, store = Ari(start(1, age=PATIENCE * 2), start(2)), Store()
    door = make_door(ari, store)
    await door.serve()
    await door.drain()
    assert store.asked == [call_id(2)]
    assert [channel for channel, _, _ in ari.continued] == [call_id(2)]
    [late] = [record for record in caplog.records if record.msg == "call.late"]
    assert vars(late)["call"] == call_id(1)


async def test_a_late_answer_fetches_no_call_back(caplog: pytest.LogCaptureFixture) -> None:
    """Patience was over when the answer came: the call is another door's by now."""
    ari, store = Ari(start()), Store()
    store.open.clear()
    door = make_door(ari, store, patience=timedelta(milliseconds=200))
    await door.serve()
    assert store.asked == [call_id(1)]
    await asyncio.sleep(0.25)
    store.open.set()
    await door.drain()
    assert ari.continued == []
    assert [record.msg for record in caplog.records] == ["call.late"]


async def test_drain_waits_for_every_answer() -> None:
    """The process does not end while somebody still waits; with nobody it ends at once."""
    ari, store = Ari(start(1), start(2)), Store()
    door = make_door(ari, store)
    await door.drain()
    store.open.clear()
    await door.serve()
    draining = asyncio.create_task(door.drain())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not draining.done()
    store.open.set()
    await draining
    assert len(ari.continued) == 2


async def test_no_log_holds_a_real_number(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the caller nor an extension is in any record, gone or unanswered."""
    caplog.set_level(logging.DEBUG)
    for error in (None, AriRefused(404, "Not Found", GONE), AriUnavailable("lost")):
        ari = Ari(start(), replace(start(2), args=()), error=error)
        door = make_door(ari, Store())
        await door.serve()
        await door.drain()
    assert caplog.records
    assert A not in " ".join(str(vars(record)) for record in caplog.records)


async def test_an_extension_is_asked_for_and_typed() -> None:
    """The tries left travel with the call; what was typed is looked up."""
    asked, typed = Store(), Store()
    asked.extended = typed.extended = True
    ari = Ari(start())
    await make_door(ari, asked).serve()
    await asyncio.sleep(0)
    again = Ari(start(args=(*ALLOWED, "1234", "1")), start(args=(*ALLOWED, "", "0")))
    door = make_door(again, typed)
    await door.serve()
    await door.drain()
    assert [extension for *_, extension in ari.continued] == ["ask_extension*1*zh*end"]
    assert [(context, extension) for _, context, extension in again.continued] == [
        ("agi-router-ask", "wrong_extension*0*zh*end"),
        ("agi-router-refuse", "extension_missing*wrong_extension*21*zh**end"),
    ]
    assert (asked.typed, typed.typed) == ([None], ["1234", ""])


def grouped(count: int) -> Store:
    """Return a store that lets *count* members ring."""
    store = Store()
    leg = RouteHit(
        block=Block(value=int(X) // 10000),
        binding_id=42,
        mode=Mode.GXB,
        side=Side.B,
        callees=tuple(PhoneNumber(digits=f"138{n:08}") for n in range(count)),
        shown=XNumber.parse(X),
        state=BindingState.ACTIVE,
        direction=Direction.BOTH,
        begins_at=NOW - timedelta(hours=1),
        expires_at=NOW + timedelta(hours=1),
        ended_at=None,
        max_calls=None,
        calls_used=0,
        ring_timeout=None,
        max_duration=None,
        language=None,
        tenant_active=True,
        callback=Callback.ALL,
    )
    store.facts = replace(store.facts, hit=leg)
    return store


MORE = ("more",)


async def test_many_callees_go_in_parts() -> None:
    """One each time the call comes back; the last leads on, and nothing is kept after it."""
    ari = Ari(start(), start(args=MORE), start(args=MORE))
    door = make_door(ari, grouped(14))
    await door.serve()
    await door.drain()
    contexts = [context for _, context, _ in ari.continued]
    assert contexts == ["agi-router-part", "agi-router-part", "agi-router-dial"]
    whole = "".join(extension for *_, extension in ari.continued)
    assert whole == f"{'+'.join(f'138{n:08}' for n in range(14))}*{X}*45*3600*zh*n**end"
    assert door._parted == {}


async def test_nobody_asks_for_more_than_there_is() -> None:
    """A call that comes back for nothing is refused: its router was another, or it comes late."""
    ari = Ari(start(args=MORE), start(2), start(2, args=MORE), start(2, args=MORE))
    door = make_door(ari, grouped(7))
    await door.serve()
    await door.drain()
    refused = "platform_fault*try_later*31*zh**end"
    assert sorted(extension for *_, extension in ari.continued if "*31*" in extension) == [
        refused,
        refused,
    ]
    assert len(ari.continued) == 4


async def test_parts_are_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not come back is forgotten."""
    monkeypatch.setattr(ari_door, "_PART_LIFE", 0.0)
    door = make_door(Ari(start()), grouped(7))
    await door.serve()
    await door.drain()
    await asyncio.sleep(0.01)
    assert door._parted == {}


async def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """More are refused, and those who came before get all of theirs."""
    monkeypatch.setattr(ari_door, "_PARTED", 1)
    ari = Ari(start(1), start(2), start(1, args=MORE))
    door = make_door(ari, grouped(7))
    await door.serve()
    await door.drain()
    assert [(channel[-2:], context) for channel, context, _ in ari.continued] == [
        (".1", "agi-router-part"),
        (".2", "agi-router-refuse"),
        (".1", "agi-router-dial"),
    ]
