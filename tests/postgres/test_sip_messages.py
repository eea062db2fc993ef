"""The door for texts by SIP, between two peers on loopback, with every byte looked at."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.db.pool import ConnectionPool
from agi_router.doors import sip_messages
from agi_router.doors.outbox import Outbox
from agi_router.doors.sip_messages import Options, SipMessageDoor
from agi_router.errors import StoreUnavailable
from agi_router.keys.ring import KeyRing
from agi_router.messages.store import MessageStore, Repeated, Unasked
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.rates import Rate
from agi_router.sip import Request, Response, answer, build, parse
from harness.database import SOON, bind, one, until_async
from harness.values import BLOCK, A, B, C, X

HOST = "127.0.0.1"
BODY = "到门口了 😀"


@dataclass
class Peer(asyncio.DatagramProtocol):
    """A SIP peer: it keeps what comes, and answers requests as it is told."""

    status: int | None = 200
    received: list[bytes] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Of its answers, besides those that all have."""
    answers: dict[str, int] = field(default_factory=dict)
    """What its own requests were answered last, by their branch."""
    transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """Keep the way out."""
        self.transport = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        """Keep what has come."""
        self.received.append(data)
        message = parse(data)
        if isinstance(message, Response):
            self.answers[message.via.branch] = message.status
        elif self.status is not None:
            made = answer(message, self.status, "As told", tag="peer", headers=self.headers)
            self.transport.sendto(build(made), address)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.transport.get_extra_info("sockname")[1])

    @property
    def requests(self) -> list[Request]:
        """The requests that came."""
        return [read for data in self.received if isinstance(read := parse(data), Request)]


@dataclass
class World:
    """A door with a peer on each side."""

    sender: Peer
    receiver: Peer
    door: SipMessageDoor
    store: MessageStore

    def send(self, data: bytes) -> None:
        """Send octets to the door."""
        self.sender.transport.sendto(data, self.door.address)

    async def ask(self, *requests: bytes) -> list[int]:
        """Send requests until each is answered, as senders do, and return the last statuses."""
        branches = [a_branch(data) for data in requests]
        for branch in branches:
            self.sender.answers.pop(branch, None)

        def all_answered() -> bool:
            return set(branches) <= self.sender.answers.keys()

        for pause in (0.5, 1.0, 2.0, *[4.0] * 8):
            for data, branch in zip(requests, branches, strict=True):
                if branch not in self.sender.answers:
                    self.send(data)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await until_async(all_answered)
            if all_answered():
                break
        return [self.sender.answers[branch] for branch in branches]


@contextlib.asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    """A peer that listens."""
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Peer, local_addr=(HOST, 0))
    try:
        yield protocol
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def serving(
    store: MessageStore, admissions: AdmissionStore, **options: Any
) -> AsyncIterator[World]:
    """A door between two peers."""
    async with peer() as sender, peer() as receiver:
        door = SipMessageDoor(
            store,
            admissions,
            Options(listen=(HOST, 0), next_hop=(HOST, receiver.port), peers={HOST}, **options),
            old_numbers=admissions,
        )
        stop = asyncio.Event()
        task = asyncio.create_task(door.serve(stop))
        await door.opened.wait()
        yield World(sender, receiver, door, store)
        receiver.status = 200
        stop.set()
        await task


@pytest.fixture
async def world(admissions: AdmissionStore, keys: KeyRing) -> AsyncIterator[World]:
    """A door that works."""
    store = MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    async with serving(store, admissions) as made:
        yield made


def a_branch(data: bytes) -> str:
    """The branch of a request."""
    message = parse(data)
    assert isinstance(message, Request)
    return message.via.branch


def a_request(sender: str = A.digits, to: str = str(X), body: str = BODY, **more: str) -> bytes:
    """Return a MESSAGE in which the sender stands wherever one can stand."""
    headers = {
        "via": f"SIP/2.0/UDP 127.0.0.9:5070;branch=z9hG4bK{secrets.token_hex(8)}-{sender};rport",
        "from": f'"Zhang San" <sip:{sender}@carrier.example>;tag={sender}',
        "to": f"<sip:{to}@router.example>",
        "call-id": f"{sender}-{secrets.token_hex(8)}@carrier.example",
        "cseq": "1 MESSAGE",
        "contact": f"<sip:{sender}@127.0.0.9>",
        "p-asserted-identity": f'"Zhang San" <sip:+86{sender}@carrier.example>',
        "subject": f"from {sender}",
        "user-agent": f"Zhang San {sender}",
        "x-caller": sender,
        "content-type": "text/plain;charset=UTF-8",
        **more,
    }
    request = Request(
        method="MESSAGE",
        uri=f"sip:{to}@router.example",
        headers=list(headers.items()),
        body=body.encode(),
    )
    return build(request)


@pytest.mark.parametrize("way", [(A, B), (B, A)], ids=["from-a", "from-b"])
async def test_a_text_reaches_the_other_party_and_nothing_of_its_sender_does(
    way: tuple[Any, Any], connection: Connection, store: BindingStore, world: World
) -> None:
    """The receiver sees X and what the text says."""
    bind(store, messages=Messages.BOTH)
    sender, receiver = way
    assert await world.ask(a_request(sender.digits)) == [202]
    await until_async(lambda: world.receiver.requests)
    [sent] = world.receiver.requests
    assert sent.uri.startswith(f"sip:{receiver.digits}@")
    assert sent.one("from").startswith(f"<sip:{X}@")
    assert sent.body.decode() == BODY
    for data in world.receiver.received:
        for secret in (sender.digits.encode(), b"Zhang", b"carrier.example", b"127.0.0.9"):
            assert secret not in data
    await until_async(lambda: one(connection, "SELECT state FROM agi_router.message") == "sent")
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 0


async def test_a_text_leaves_without_being_looked_for(
    store: BindingStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The door that stored it sends it at once."""
    looked = 0

    async def nothing(*_: Any, **__: Any) -> list[Any]:
        nonlocal looked
        looked += 1
        return []

    monkeypatch.setattr(MessageStore, "take", nothing)
    await until_async(lambda: looked)
    bind(store, messages=Messages.BOTH)
    assert await world.ask(a_request()) == [202]
    await until_async(lambda: world.receiver.requests)


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"sender": C.digits}, 403),
        ({"to": "700999999990001"}, 404),
        ({"to": "12345"}, 404),
        ({"body": "a" * 5000}, 413),
        ({"content-type": "text/html"}, 415),
        ({"content-type": "text/plain;charset=GBK"}, 415),
        ({"cseq": "1 OPTIONS"}, 400),
        ({"privacy": "id"}, 403),
    ],
)
async def test_what_is_refused(
    changed: dict[str, str],
    status: int,
    connection: Connection,
    store: BindingStore,
    world: World,
) -> None:
    """With its status, and nothing is kept or sent."""
    bind(store, messages=Messages.BOTH)
    assert await world.ask(a_request(**changed)) == [status]
    assert one(connection, "SELECT count(*) FROM agi_router.message") == 0
    assert one(connection, "SELECT sum(messages_used) FROM agi_router.binding") == 0


async def test_what_waited_too_long_is_not_believed(
    store: BindingStore, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet that lay in the socket while its sender gave up is no text any more."""
    bind(store, messages=Messages.BOTH)
    read = 0
    age = sip_messages._age

    def looked(extra: list[tuple[int, int, bytes]]) -> float:
        nonlocal read
        read += 1
        return age(extra)

    monkeypatch.setattr(sip_messages, "_age", looked)
    with monkeypatch.context() as changed:
        changed.setattr(sip_messages, "_TOO_OLD", 0.0)
        world.send(a_request())
        await until_async(lambda: read)
    assert world.door.counts.accepted == 0
    assert await world.ask(a_request()) == [202]


@pytest.mark.parametrize("free", [True, False], ids=["in-hand", "queued"])
async def test_a_text_whose_sender_has_given_up(
    free: bool,  # noqa: FBT001
    connection: Connection,
    store: BindingStore,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is stored by a door that stood still: it is cancelled, not sent, and not answered."""
    bind(store, messages=Messages.BOTH, max_messages=1)
    monkeypatch.setattr(Outbox, "free", property(lambda _: free))
    given_up = (
        "SELECT count(*) FROM agi_router.message WHERE (state, reason) = ('failed', 'given_up')"
    )
    with monkeypatch.context() as changed:
        changed.setattr(sip_messages, "_REPEATED_FOR", -1.0)
        # On a busy machine one may have lain for too long, or find no room: it is not taken.
        for _ in range(12):
            world.send(a_request())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5.0):
                    await until_async(
                        lambda: world.door.counts.unanswered and one(connection, given_up)
                    )
                break
        assert one(connection, given_up) == 1
    assert {*world.sender.answers.values()} <= {503}
    assert world.receiver.received == []
    assert one(connection, "SELECT sum(messages_used) FROM agi_router.binding") == 0
    # The one that its sender writes then is a text of its own.
    assert await world.ask(a_request()) == [202]


@pytest.mark.parametrize("locked", [A, B], ids=["sender", "receiver"])
async def test_a_lock_is_told_as_any_other_refusal_is(
    locked: Any, store: BindingStore, world: World
) -> None:
    """Nobody learns from a text that the other side is locked."""
    bind(store, messages=Messages.BOTH)
    person = LockedThing(subject=Subject.PERSON, person=locked)
    store.locks.set(person, LockReason.MISUSE, by="a test")
    assert await world.ask(a_request(), a_request(C.digits)) == [403, 403]


async def test_a_request_that_is_repeated_is_one_text(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """However often; each is answered, and the receiver gets one."""
    bind(store, messages=Messages.BOTH, max_messages=1)
    data = a_request()
    assert [await world.ask(data) for _ in range(5)] == [[202]] * 5
    assert one(connection, "SELECT count(*) FROM agi_router.message") == 1
    await until_async(lambda: world.receiver.requests)
    await until_async(lambda: one(connection, "SELECT state FROM agi_router.message") == "sent")
    assert len({sent.one("call-id") for sent in world.receiver.requests}) == 1


async def test_fifty_at_once_with_ten_left(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """Ten are accepted and arrive, forty are refused."""
    bind(store, messages=Messages.BOTH, max_messages=10)
    statuses = await world.ask(*(a_request() for _ in range(50)))
    assert sorted(statuses) == [202] * 10 + [403] * 40
    assert world.door.counts.accepted + world.door.counts.repeats >= 10
    assert world.door.counts.refused[Reason.USED_UP] >= 40
    await until_async(
        lambda: (
            one(connection, "SELECT count(*) FROM agi_router.message WHERE state = 'sent'") == 10
        )
    )
    assert len({sent.one("call-id") for sent in world.receiver.requests}) == 10


async def test_a_receiver_who_refuses_for_good(
    connection: Connection, store: BindingStore, world: World
) -> None:
    """The text has failed, its use comes back."""
    bind(store, messages=Messages.BOTH)
    world.receiver.status = 404
    assert await world.ask(a_request()) == [202]
    await until_async(lambda: one(connection, "SELECT state FROM agi_router.message") == "failed")
    row = connection.execute(b"SELECT reason, status FROM agi_router.message").fetchone()
    assert row == {"reason": "refused", "status": 404}
    assert one(connection, "SELECT sum(messages_used) FROM agi_router.binding") == 0


@pytest.mark.parametrize(("status", "known"), [(503, True), (504, False)])
async def test_a_receiver_who_is_away_for_a_moment(
    status: int,
    known: bool,  # noqa: FBT001
    connection: Connection,
    store: BindingStore,
    world: World,
) -> None:
    """It is put off and tried again, with the same Call-ID; 504 says as little as silence."""
    bind(store, messages=Messages.BOTH)
    world.receiver.status = status
    assert await world.ask(a_request()) == [202]
    await until_async(lambda: world.door.counts.put_off and not world.door.under_way)
    await until_async(
        lambda: one(
            connection,
            "SELECT count(*) FROM agi_router.message_out"
            " WHERE attempts = 1 AND next_at < now() + interval '10s'",
        )
    )
    world.receiver.status = 200
    connection.execute(b"UPDATE agi_router.message_out SET next_at = now()")
    await until_async(lambda: one(connection, "SELECT state FROM agi_router.message") == "sent")
    first, last = world.receiver.requests[0], world.receiver.requests[-1]
    assert first.one("call-id") == last.one("call-id")
    assert (first.cseq, last.cseq) == ((1, "MESSAGE"), (2, "MESSAGE"))
    assert one(connection, "SELECT maybe_twice FROM agi_router.message") is not known


async def test_strangers_hear_nothing_and_other_requests_are_refused(world: World) -> None:
    """By their address; what is no SIP is dropped."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.2", 0))
        stranger.settimeout(0)
        stranger.sendto(a_request(), world.door.address)
        world.send(b"nonsense")
        options = a_request(cseq="1 OPTIONS").replace(b"MESSAGE sip", b"OPTIONS sip", 1)
        assert await world.ask(options) == [405]
        with pytest.raises(BlockingIOError):
            stranger.recv(1)


@contextlib.asynccontextmanager
async def away(keys: KeyRing) -> AsyncIterator[MessageStore]:
    """A store whose database is away."""
    async with ConnectionPool("host=/nowhere dbname=none", size=1) as pool:
        yield MessageStore(pool, keys, link="sip", validity=timedelta(days=1))


async def test_a_store_that_is_away(
    admissions: AdmissionStore, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said at once: nothing can have been stored."""
    monkeypatch.setattr(sip_messages, "_REPEATED_FOR", 0.0)
    async with away(keys) as store, serving(store, admissions) as world:
        assert await world.ask(a_request()) == [503]
        assert world.door.counts.refused[Reason.PLATFORM_FAULT] >= 1


async def test_a_door_that_has_just_come(admissions: AdmissionStore, keys: KeyRing) -> None:
    """Who was here before it may have stored the same request: nothing is said."""
    async with away(keys) as store, serving(store, admissions) as world:
        world.send(a_request())
        await until_async(lambda: world.door.counts.unanswered)
        assert world.sender.received == []


class Doubtful(MessageStore):
    """A store that fails once it was asked, and cannot be asked from then on."""

    asked = False
    failure: Exception = StoreUnavailable("the database did not answer in time")

    async def admit(self, *_: Any, **__: Any) -> Any:
        """Fail."""
        if not self.asked:
            self.asked = True
            raise self.failure
        return Unasked()


@pytest.mark.parametrize(
    ("failure", "waiting"),
    [(Doubtful.failure, 1000), (ZeroDivisionError(), 1000), (Doubtful.failure, 0)],
    ids=["no-answer", "a-fault-of-ours", "too-many"],
)
async def test_a_request_that_may_have_been_stored(
    failure: Exception,
    waiting: int,
    admissions: AdmissionStore,
    keys: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its repeat is not refused, though another one is; also where too many wait by then."""
    store = Doubtful(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    monkeypatch.setattr(store, "failure", failure)
    monkeypatch.setattr(sip_messages, "_REPEATED_FOR", 0.0)
    # A repeat is not counted.
    limit = Rate(2, timedelta(days=1))
    async with serving(store, admissions, sender_limit=limit) as world:
        monkeypatch.setattr(sip_messages, "_REPEATED_FOR", 32.0)
        data = a_request()
        for times in (1, 2):
            if times > 1:
                monkeypatch.setattr(
                    world.door, "_options", replace(world.door._options, waiting=waiting)
                )
            world.send(data)
            await until_async(lambda: world.door.counts.unanswered == times)  # noqa: B023
        assert await world.ask(a_request()) == [503]
        assert a_branch(data) not in world.sender.answers


async def test_an_end_at_the_moment_when_a_text_is_due(
    admissions: AdmissionStore, keys: KeyRing
) -> None:
    """The door ends all the same."""
    store = MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    options = Options(listen=(HOST, 0), next_hop=(HOST, 9), peers={HOST})
    for _ in range(5):
        door, stop = SipMessageDoor(store, admissions, options), asyncio.Event()
        task = asyncio.create_task(door.serve(stop))
        await door.opened.wait()
        await until_async(lambda: door._outbox._due._waiters)  # noqa: B023
        door._outbox.wake()
        stop.set()
        await asyncio.wait({task}, timeout=SOON)
        assert task.done()


async def test_a_door_that_cannot_send_accepts_nothing(
    admissions: AdmissionStore, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a fault of ours: it ends, and whoever starts it again is told."""

    async def take(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError

    store = MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    monkeypatch.setattr(store, "take", take)
    options = Options(listen=(HOST, 0), next_hop=(HOST, 9), peers={HOST})
    with pytest.raises(ZeroDivisionError):
        await SipMessageDoor(store, admissions, options).serve(asyncio.Event())


async def test_who_sends_without_an_end_stops_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After some packets others have their turn."""

    class Endless:
        read = 0

        def recvmsg(self, *_: int) -> tuple[bytes, list[Any], int, tuple[str, int]]:
            self.read += 1
            assert self.read < 10_000
            return b"", [], 0, ("127.0.0.2", 5060)

    endless = Endless()
    with monkeypatch.context() as changed:
        changed.setattr(world.door, "_socket", endless)
        world.door._read()
    assert 0 < endless.read < 10_000


async def test_texts_to_old_numbers(
    connection: Connection, admissions: AdmissionStore, keys: KeyRing
) -> None:
    """Who writes to one hears that it has changed, or is no more; who searches hears nothing."""
    connection.execute(
        b"INSERT INTO agi_router.old_number (number, x_number, tenant_id)"
        b" VALUES ('95123456', %s, (SELECT min(id) FROM agi_router.tenant))",
        [X.value],
    )
    store = MessageStore(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    days = Rate(3, timedelta(days=1))
    async with serving(store, admissions, sender_limit=days) as world:
        sent = [a_request(to=to) for to in ("95123456", "+8695123456", "95123457", "95123456")]
        assert [await world.ask(data) for data in sent] == [[410], [410], [404], [403]]
        assert world.door.counts.refused[Reason.NUMBER_CHANGED] == 2
        assert world.door.counts.refused[Reason.RATE_CALLER] == 1
    past = datetime(2000, 1, 1, tzinfo=UTC)
    async with serving(store, admissions, old_until=past) as world:
        assert await world.ask(a_request(to="95123456")) == [404]
        assert world.door.counts.refused[Reason.NUMBER_RETIRED] == 1
    assert one(connection, "SELECT count(*) FROM agi_router.message") == 0


class Quick(MessageStore):
    """A store that says at once that it has each text already."""

    asked = 0

    async def admit(self, *_: Any, **__: Any) -> Any:
        """Say so."""
        self.asked += 1
        return Repeated()


@pytest.mark.parametrize(
    ("limit", "reason"),
    [("sender_limit", Reason.RATE_CALLER), ("number_limit", Reason.RATE_X)],
)
async def test_too_many_in_a_time(
    limit: str,
    reason: Reason,
    admissions: AdmissionStore,
    keys: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A repeat is none; what may have been stored is neither refused by it nor admitted."""
    monkeypatch.setattr(sip_messages, "_REPEATED_FOR", 0.0)
    store = Quick(admissions.pool, keys, link="sip", validity=timedelta(days=1))
    async with serving(store, admissions, **{limit: Rate(3, timedelta(days=1))}) as world:
        first, *more = (a_request() for _ in range(4))
        for data in (first, first, *more[:2], first):
            assert await world.ask(data) == [202]
        assert world.door.counts.refused[reason] == 0
        assert await world.ask(more[2]) == [403]
        assert world.door.counts.refused[reason] == 1
        assert await world.ask(a_request(B.digits, to=str(BLOCK.number(2)))) == [202]
        # As after a start: its copy may have been stored by who was here before.
        monkeypatch.setattr(world.door, "_all_unsure", float("inf"))
        asked, answers = store.asked, len(world.sender.received)
        world.send(a_request())
        await until_async(lambda: world.door.counts.unanswered == 1)
        assert (store.asked, len(world.sender.received)) == (asked, answers)
        assert world.door.counts.refused[reason] == 1
