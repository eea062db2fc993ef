"""Texts by SIP over TCP: in whatever pieces they come, and against who holds connections."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from postgres.test_sip_messages import BODY, HOST, a_request

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.doors import sip_messages, sip_streams
from agi_router.doors.sip_messages import Options, SipMessageDoor, Transport
from agi_router.errors import StoreUnavailable
from agi_router.keys.ring import KeyRing
from agi_router.messages.model import Text
from agi_router.messages.store import MessageStore
from agi_router.sip import Framer, Request, Response, answer, build
from harness.database import SOON, bind, one, until_async
from harness.values import A, B, C, X


@dataclass
class Hop:
    """The next hop by TCP: it keeps what comes and answers it, or hangs up."""

    port: int = 0
    answers: bool = True
    received: list[bytes] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        self.connections += 1
        framer = Framer()
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                self.received.append(data)
                for message in framer.feed(data):
                    assert isinstance(message, Request)
                    self.requests.append(message)
                    if not self.answers:
                        self.answers = True
                        break
                    writer.write(build(answer(message, 200, "OK", tag="hop")))
                else:
                    continue
                break
        writer.close()


@dataclass
class World:
    """A door with a next hop behind it."""

    door: SipMessageDoor
    hop: Hop


@contextlib.asynccontextmanager
async def serving(
    store: MessageStore, admissions: AdmissionStore, **options: Any
) -> AsyncIterator[World]:
    """A door whose texts go out by TCP."""
    hop = Hop()
    server = await asyncio.start_server(hop.serve, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    wanted: dict[str, Any] = {"peers": {HOST}, "transport": Transport.TCP, **options}
    door = SipMessageDoor(
        store, admissions, Options(listen=(HOST, 0), next_hop=(HOST, port), **wanted)
    )
    stop = asyncio.Event()
    task = asyncio.create_task(door.serve(stop))
    await door.opened.wait()
    try:
        yield World(door, hop)
    finally:
        stop.set()
        await task
        server.close()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A door that waits for the database as long as a test does."""
    monkeypatch.setattr(sip_messages, "_ADMISSION", SOON)


@pytest.fixture
def messages(admissions: AdmissionStore, keys: KeyRing) -> MessageStore:
    """Where texts are kept."""
    return MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))


@pytest.fixture
async def world(messages: MessageStore, admissions: AdmissionStore) -> AsyncIterator[World]:
    """A door that works."""
    async with serving(messages, admissions) as made:
        yield made


async def answers_of(reader: asyncio.StreamReader, count: int) -> list[int]:
    """The statuses of so many answers, in the order of their coming."""
    framer = Framer()
    statuses: list[int] = []
    async with asyncio.timeout(SOON):
        while len(statuses) < count:
            data = await reader.read(65_536)
            assert data, "the door hung up"
            for message in framer.feed(data):
                assert isinstance(message, Response)
                statuses.append(message.status)
    return statuses


async def is_hung_up_on(reader: asyncio.StreamReader) -> bool:
    """Whether the door closes the connection."""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(SOON):
            return await reader.read(1) == b""
    return True


@contextlib.asynccontextmanager
async def connected(
    world: World,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the door."""
    reader, writer = await asyncio.open_connection(*world.door.address)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("way", [(A, B), (B, A)], ids=["from-a", "from-b"])
async def test_a_text_by_tcp_both_ways(
    way: tuple[Any, Any], connection: Connection, store: BindingStore, world: World
) -> None:
    """It comes in bytes of any number; the receiver sees X, and nothing of its sender."""
    bind(store, messages=Messages.BOTH)
    sender, receiver = way
    async with connected(world) as (reader, writer):
        data = b"\r\n" + a_request(sender.digits)
        for start in range(0, len(data), 97):
            writer.write(data[start : start + 97])
            await writer.drain()
        assert await answers_of(reader, 1) == [202]
    await until_async(lambda: world.hop.requests)
    [sent] = world.hop.requests
    assert sent.uri.startswith(f"sip:{receiver.digits}@")
    assert sent.one("from").startswith(f"<sip:{X}@")
    assert sent.one("via").startswith("SIP/2.0/TCP ")
    assert sent.body.decode() == BODY
    for secret in (sender.digits.encode(), b"Zhang", b"carrier.example", b"127.0.0.9"):
        assert secret not in b"".join(world.hop.received)
    await until_async(lambda: one(connection, "SELECT state FROM agi_router.message") == "sent")


async def test_many_on_one_connection(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """Each is answered there; a repeat is one text, and all go out by one connection."""
    bind(store, messages=Messages.BOTH, max_messages=5)
    again = a_request()
    async with connected(world) as (reader, writer):
        writer.write(again)
        assert await answers_of(reader, 1) == [202]
        writer.write(b"".join([again, *(a_request() for _ in range(9)), a_request(C.digits)]))
        assert sorted(await answers_of(reader, 11)) == [202] * 5 + [403] * 6
    await until_async(
        lambda: (
            one(connection, "SELECT count(*) FROM agi_router.message WHERE state = 'sent'") == 5
        )
    )
    assert world.hop.connections == 1
    assert len(world.hop.requests) == 5


async def test_a_next_hop_that_hangs_up(
    connection: Connection, store: BindingStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text is tried again, by a new connection, and is marked: it may have arrived."""
    monkeypatch.setattr(sip_messages, "pause_after", lambda _: timedelta(0))
    bind(store, messages=Messages.BOTH)
    world.hop.answers = False
    async with connected(world) as (reader, writer):
        writer.write(a_request())
        assert await answers_of(reader, 1) == [202]
    await until_async(lambda: one(connection, "SELECT state FROM agi_router.message") == "sent")
    assert (
        one(connection, "SELECT (attempts, maybe_twice)::text FROM agi_router.message") == "(2,t)"
    )
    assert world.hop.connections == 2


async def test_the_store_is_asked_again(
    store: BindingStore,
    world: World,
    messages: MessageStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who sends by a stream repeats nothing: what is not known is asked until it is."""
    monkeypatch.setattr(sip_messages, "_AGAIN", (0.0, 0.0, None))
    bind(store, messages=Messages.BOTH)
    admit = messages.admit
    failed: list[Any] = []

    async def fails_once(*arguments: Any, **named: Any) -> Any:
        done = await admit(*arguments, **named)
        if not failed:
            failed.append(done)
            raise StoreUnavailable
        return done

    monkeypatch.setattr(messages, "admit", fails_once)
    async with connected(world) as (reader, writer):
        writer.write(a_request())
        assert await answers_of(reader, 1) == [202]
    assert world.door.counts.repeats == 1


@pytest.mark.parametrize(
    "data",
    [
        b"A" * 100_000,
        b"MESSAGE sip:a@b SIP/2.0\r\nContent-Length: 99999999\r\n\r\n",
        b"MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP a;branch=z9hG4bKa\r\n\r\n",
        b"\x00\x01\r\n\r\n",
    ],
    ids=["no-end", "huge", "no-length", "no-sip"],
)
async def test_what_cannot_be_cut_is_hung_up_on(data: bytes, world: World) -> None:
    """And others are served."""
    async with connected(world) as (reader, writer):
        writer.write(data)
        assert await is_hung_up_on(reader)
    async with connected(world) as (reader, writer):
        writer.write(a_request(C.digits))
        assert await answers_of(reader, 1) == [404]


async def test_who_is_slow_is_hung_up_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a message has begun: who says nothing may stay."""
    monkeypatch.setattr(sip_streams, "_WHOLE_IN", 0.2)
    async with connected(world) as (quiet, own), connected(world) as (reader, writer):
        writer.write(a_request(C.digits)[:-1])
        assert await is_hung_up_on(reader)
        monkeypatch.setattr(sip_streams, "_WHOLE_IN", 60.0)
        own.write(a_request(C.digits))
        assert await answers_of(quiet, 1) == [404]


async def test_the_one_that_was_silent_longest_makes_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all places are taken."""
    monkeypatch.setattr(sip_streams, "_PLACES", 2)
    async with connected(world) as (first, writer), connected(world) as (second, other):
        for reader, each in ((first, writer), (second, other), (first, writer)):
            each.write(a_request(C.digits))
            assert await answers_of(reader, 1) == [404]
        async with connected(world) as (third, own):
            own.write(a_request(C.digits))
            assert await answers_of(third, 1) == [404]
            assert await is_hung_up_on(second)
        writer.write(a_request(C.digits))
        assert await answers_of(first, 1) == [404]


async def test_what_waited_too_long_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender has given up by then: a door that thaws hangs up."""
    monkeypatch.setattr(sip_streams, "_TOO_OLD", -1.0)
    async with connected(world) as (reader, writer):
        writer.write(a_request(C.digits))
        assert await is_hung_up_on(reader)


async def test_strangers_are_hung_up_on(
    messages: MessageStore, admissions: AdmissionStore
) -> None:
    """Before anything is read."""
    async with (
        serving(messages, admissions, peers=set()) as world,
        connected(world) as (
            reader,
            writer,
        ),
    ):
        writer.write(a_request(C.digits))
        assert await is_hung_up_on(reader)


async def test_no_next_hop(
    connection: Connection,
    store: BindingStore,
    messages: MessageStore,
    admissions: AdmissionStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A text that could not even be sent has certainly not arrived: it is tried again."""
    bind(store, messages=Messages.BOTH)
    await messages.admit(
        Text(sender=A, x_number=X, body=BODY), secrets.token_bytes(32), timeout=SOON
    )
    async with serving(messages, admissions) as world:
        refused = ConnectionRefusedError()

        async def connect(_: Any) -> Any:
            raise refused

        monkeypatch.setattr(world.door._streams, "connect", connect)
        await until_async(lambda: world.door.counts.put_off > 0)
        await until_async(
            lambda: not one(connection, "SELECT in_hand FROM agi_router.message_out")
        )
    assert not one(connection, "SELECT maybe_twice FROM agi_router.message_out")
