"""The ARI door: every call that enters gets one answer, whatever becomes of its caller."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from agi_router.adapters import ari_door
from agi_router.adapters.ari_door import EVENTS, AriDoor
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
    WireError,
)
from agi_router.errors import AsteriskError
from agi_router.model import Call, Facts, Language, Reason
from agi_router.ports import Admission
from agi_router.router import Router

NOW = datetime(2025, 3, 14, 21, 30, 25, tzinfo=UTC)
PATIENCE = timedelta(seconds=60)
X = "700012345670001"
A = "13800130001"
ALLOWED = (X, "allowed")
STRANGER = "stranger*no_relation*21*zh*end"
GONE = "/channels/pbx1-1741988825.1/continue"

Answer = tuple[str, str, str]


class Store:
    """Admissions that know nobody; they may be made to wait."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.asked: list[str] = []

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """Answer when the store is open."""
        self.asked.append(call_id)
        await self.open.wait()
        assert (call.x_number.digits, call.caller.digits, timeout) == (X, A, 0.4)
        facts = Facts(block_known=True, certificate_valid=True, x_bound=True, leg=None)
        return Admission(admitted=False, facts=facts, now=NOW)


class Ari:
    """A client whose events and answers are given."""

    def __init__(self, *events: ClientEvent, error: Exception | None = None) -> None:
        self._events = events
        self._error = error
        self.continued: list[Answer] = []

    async def __aiter__(self) -> AsyncIterator[ClientEvent]:
        for event in self._events:
            yield event
            await asyncio.sleep(0)

    async def continue_in_dialplan(self, channel_id: str, *, context: str, extension: str) -> None:
        """Note where the channel is sent, or fail."""
        self.continued.append((channel_id, context, extension))
        if self._error is not None:
            raise self._error


def start(
    number: int = 1, *, args: tuple[str, ...] = ALLOWED, age: timedelta = timedelta()
) -> StasisStart:
    """Return the event of a call that entered *age* ago."""
    channel = Channel(
        id=f"pbx1-1741988825.{number}",
        name=f"PJSIP/carrier-in-{number:08x}",
        state="Ring",
        caller_number=A,
        caller_name="",
        context="agi-router-in",
        exten=X,
        app_name="Stasis",
        app_data=f"agi_router,{X},allowed",
        creationtime=NOW,
    )
    return StasisStart(
        application="agi_router",
        asterisk_id="",
        timestamp=datetime.now(UTC) - age,
        args=args,
        channel=channel,
    )


def make_door(ari: Ari, store: Store, *, patience: timedelta = PATIENCE) -> AriDoor:
    """Return a door with a router behind it."""
    router = Router(
        store,
        timeout=0.4,
        ring_timeout=timedelta(seconds=45),
        max_duration=timedelta(hours=1),
        language=Language.ZH,
        fixed_lines=False,
    )
    return AriDoor(cast(AriClient, ari), router, patience=patience)


async def test_a_call_is_answered_once() -> None:
    """One request, with the router's answer; nothing else is asked of Asterisk."""
    ari, store = Ari(start()), Store()
    door = make_door(ari, store)
    await door.serve()
    await door.drain()
    assert ari.continued == [("pbx1-1741988825.1", "agi-router-refuse", STRANGER)]
    assert store.asked == ["pbx1-1741988825.1"]


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


@pytest.mark.parametrize("args", [(), (X,), (X, "allowed", "more"), ("", "")])
async def test_other_arguments_are_not_from_our_dialplan(args: tuple[str, ...]) -> None:
    """Another number of arguments is refused, and nobody is looked up."""
    ari, store = Ari(start(args=args)), Store()
    door = make_door(ari, store)
    await door.serve()
    await door.drain()
    assert [extension for _, _, extension in ari.continued] == ["x_malformed*number_bad*1*zh*end"]
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
    """Two routers under one name would fight for calls: the one that is replaced ends."""
    replaced = ApplicationReplaced(application="agi_router", asterisk_id="", timestamp=NOW)
    ari, store = Ari(start(), replaced, start(2)), Store()
    door = make_door(ari, store)
    with pytest.raises(AsteriskError, match=r"another router took over .* 'agi_router'"):
        await door.serve()
    # The call that was taken still gets its answer.
    await door.drain()
    assert [channel for channel, _, _ in ari.continued] == ["pbx1-1741988825.1"]


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
    assert EVENTS == ("StasisStart",)


async def test_a_crowd_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the database hangs, who comes after the limit does not wait for it."""
    monkeypatch.setattr(ari_door, "_CROWD", 3)
    ari, store = Ari(*map(start, range(1, 6))), Store()
    store.open.clear()
    door = make_door(ari, store)
    await door.serve()
    await asyncio.sleep(0)
    assert len(store.asked) == 3
    crowd = Reason.NO_CAPACITY
    refused = f"no_capacity*{crowd.prompt}*34*zh*end"
    assert ari.continued == [
        ("pbx1-1741988825.4", "agi-router-refuse", refused),
        ("pbx1-1741988825.5", "agi-router-refuse", refused),
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
    assert store.asked == ["pbx1-1741988825.2"]
    assert [channel for channel, _, _ in ari.continued] == ["pbx1-1741988825.2"]
    [late] = [record for record in caplog.records if record.msg == "call.late"]
    assert vars(late)["call"] == "pbx1-1741988825.1"


async def test_a_late_answer_fetches_no_call_back(caplog: pytest.LogCaptureFixture) -> None:
    """Patience was over when the answer came: the call is another door's by now."""
    ari, store = Ari(start()), Store()
    store.open.clear()
    door = make_door(ari, store, patience=timedelta(milliseconds=200))
    await door.serve()
    assert store.asked == ["pbx1-1741988825.1"]
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
