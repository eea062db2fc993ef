"""Texts in the database: taken exactly, stored sealed, sent, ended, forgotten."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from agi_router.bindings.modes import Y_TTL, Axyb, Gxb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Messages, Side
from agi_router.calls.decision import AllocationNeeded, Refusal
from agi_router.calls.ports import Admission
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries
from agi_router.db.fast_connection import FastConnection
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.ring import KeyRing
from agi_router.messages.decision import Taken, decide_text
from agi_router.messages.model import MessageState, Outgoing, Text
from agi_router.messages.store import Ended, MessageStore, Owed, Repeated
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from harness.database import HOUR, bind, on_each_version, one, until_async
from harness.values import A, B, C, X

TIMEOUT = 30.0
DAY = timedelta(days=1)
BODY = "到门口了 😀"


@pytest.fixture
def texts(admissions: AdmissionStore, keys: KeyRing) -> MessageStore:
    """Where texts are taken and sent from."""
    return MessageStore(admissions.pool, keys, link="sip", validity=DAY)


def text(sender: PhoneNumber = A, body: str = BODY) -> Text:
    """Return a text to X."""
    return Text(sender=sender, x_number=X, body=body)


async def send(
    texts: MessageStore, sender: PhoneNumber = A, same: bytes | None = None
) -> Reason | Taken | None:
    """Offer a text; why it was refused, or that it was taken; none: it was taken before."""
    said = text(sender)
    answer = await texts.admit(said, same or secrets.token_bytes(32), timeout=TIMEOUT)
    if isinstance(answer, Repeated):
        return None
    assert isinstance(answer, Admission)
    found = decide_text(said, answer.facts, now=answer.now)
    assert answer.admitted is isinstance(found, Taken)
    return found.reason if isinstance(found, Refusal) else found  # type: ignore[return-value]


def used(connection: Connection) -> int:
    """Texts taken, of all bindings."""
    return int(one(connection, "SELECT sum(messages_used) FROM agi_router.binding"))


def states(connection: Connection) -> list[str]:
    """The states of all texts, sorted."""
    rows = connection.execute(b"SELECT state FROM agi_router.message ORDER BY 1").fetchall()
    return [row["state"] for row in rows]


def owed(connection: Connection) -> int:
    """How many texts are owed."""
    return int(one(connection, "SELECT count(*) FROM agi_router.message_out"))


def due_now(connection: Connection) -> None:
    """Let all that waits be due."""
    connection.execute(b"UPDATE agi_router.message_out SET next_at = now() - interval '1s'")


async def take_one(texts: MessageStore) -> Outgoing:
    """Take the only text that is due."""
    [taken] = await texts.take(10, timeout=TIMEOUT)
    assert isinstance(taken, Outgoing)
    return taken


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("max_calls = 1, calls_used = 1", None),
        ("max_messages = 2, messages_used = 1", None),
        ("max_messages = 2, messages_used = 2", Reason.USED_UP),
        ("messages = 'b'", Reason.WRONG_DIRECTION),
        ("state = 'held'", Reason.RECYCLE_UNKNOWN),
    ],
)
async def test_guard(
    change: str,
    reason: Reason | None,
    connection: Connection,
    store: BindingStore,
    texts: MessageStore,
) -> None:
    """Texts have a limit of their own; of all guards see test_messages_agree.py."""
    bind(store, messages=Messages.BOTH)
    connection.execute(f"UPDATE agi_router.binding SET {change}".encode())
    before = used(connection)
    found = await send(texts)
    taken = reason is None
    assert isinstance(found, Taken) if taken else found is reason
    assert used(connection) == before + taken
    assert (states(connection), owed(connection)) == (["queued"] * taken, taken)


@on_each_version
async def test_fifty_at_once_with_ten_left(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """Exactly ten are taken."""
    bind(store, messages=Messages.BOTH, max_messages=10)
    found = await asyncio.gather(*(send(texts) for _ in range(50)))
    assert sum(isinstance(each, Taken) for each in found) == 10
    assert sum(each is Reason.USED_UP for each in found) == 40
    assert (used(connection), owed(connection)) == (10, 10)


@on_each_version
async def test_a_request_that_is_repeated_takes_nothing_more(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """Also many times at once, where it has taken the last use itself, and once that is over."""
    made = bind(store, messages=Messages.BOTH, max_messages=1)
    same = texts.digest(b"branch", b"call-id")
    found = await asyncio.gather(*(send(texts, same=same) for _ in range(12)))
    assert sum(isinstance(each, Taken) for each in found) == 1
    assert found.count(None) == 11
    store.unbind(made.id)
    assert await send(texts, same=same) is None
    assert (used(connection), owed(connection)) == (1, 1)


async def test_a_text_is_sent_and_forgotten(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """What it said goes to the other party with X, and is gone when it was sent."""
    bind(store, messages=Messages.BOTH, max_messages=2)
    await send(texts)
    taken = await take_one(texts)
    assert (taken.receiver, taken.shown, taken.body, taken.attempts) == (B, X, BODY, 1)
    assert not taken.maybe_twice
    assert await texts.take(10, timeout=TIMEOUT) == []
    assert await texts.finish(taken, MessageState.SENT, reason=None, status=202, timeout=TIMEOUT)
    assert (states(connection), owed(connection), used(connection)) == (["sent"], 0, 1)
    # Told twice, it has ended once.
    again = texts.finish(taken, MessageState.FAILED, reason=None, status=404, timeout=TIMEOUT)
    assert not await again
    assert (states(connection), used(connection)) == (["sent"], 1)


async def test_what_was_not_sent_gives_its_use_back_once(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """And it can be used again."""
    bind(store, messages=Messages.BOTH, max_messages=1)
    await send(texts)
    taken = await take_one(texts)
    for _ in range(2):
        await texts.finish(
            taken, MessageState.FAILED, reason="refused", status=404, timeout=TIMEOUT
        )
    assert (states(connection), owed(connection), used(connection)) == (["failed"], 0, 0)
    assert isinstance(await send(texts), Taken)


@pytest.mark.parametrize("known", [True, False])
async def test_a_text_is_put_off(
    connection: Connection,
    store: BindingStore,
    texts: MessageStore,
    known: bool,  # noqa: FBT001
) -> None:
    """It waits; only a try whose end is not known may have delivered it."""
    bind(store, messages=Messages.BOTH)
    await send(texts)
    await texts.put_off(await take_one(texts), HOUR, known=known, timeout=TIMEOUT)
    assert await texts.take(10, timeout=TIMEOUT) == []
    due_now(connection)
    taken = await take_one(texts)
    assert (taken.attempts, taken.maybe_twice) == (2, not known)


@on_each_version
async def test_the_door_that_died_had_a_text_in_hand(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """When its lease is over it is taken again, and marked; the first end to be told counts."""
    bind(store, messages=Messages.BOTH)
    await send(texts)
    first = await take_one(texts)
    due_now(connection)
    second = await take_one(texts)
    assert (second.attempts, second.maybe_twice) == (2, True)
    # It thaws and says that the text was not sent: it may not know that of another's try.
    assert not await texts.finish(
        first, MessageState.FAILED, reason="refused", status=404, timeout=TIMEOUT
    )
    await texts.put_off(first, HOUR, known=True, timeout=TIMEOUT)
    assert owed(connection) == 1
    # That it was sent is true whoever says so.
    assert await texts.finish(first, MessageState.SENT, reason=None, status=200, timeout=TIMEOUT)
    assert one(connection, "SELECT maybe_twice FROM agi_router.message") is True


class Door:
    """Who sends at once what was stored, as long as there is room."""

    def __init__(self, *, free: bool = True) -> None:
        self.free = free
        self.handed: list[Outgoing] = []
        self.woken = 0

    def hand_over(self, message: Outgoing) -> None:
        """Take it."""
        self.handed.append(message)

    def wake(self) -> None:
        """Count."""
        self.woken += 1


@pytest.mark.parametrize("free", [True, False])
async def test_a_text_is_in_hand_as_soon_as_it_is_stored(
    *, free: bool, connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """The door that brought it sends it, and nobody else; unless it has no room."""
    bind(store, messages=Messages.BOTH)
    door = Door(free=free)
    answer = await texts.admit(text(), secrets.token_bytes(32), hands=door, timeout=TIMEOUT)
    assert isinstance(answer, Admission)
    assert (len(door.handed), door.woken) == ((1, 0) if free else (0, 1))
    taken = door.handed[0] if free else await take_one(texts)
    assert await texts.take(10, timeout=TIMEOUT) == []
    # As it is told by who looks what is due.
    due_now(connection)
    again = await take_one(texts)
    assert (again.attempts, again.maybe_twice) == (2, True)
    left = taken.left - again.left
    assert timedelta(0) <= left < timedelta(seconds=TIMEOUT)
    assert replace(taken, attempts=2, maybe_twice=True, left=again.left) == again
    assert await texts.finish(taken, MessageState.SENT, reason=None, status=0, timeout=TIMEOUT)


async def test_a_line_that_is_lost_before_it_said_that_the_text_is_stored(
    store: BindingStore, texts: MessageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody sends it by then, so it is due at once, and it is not marked."""
    bind(store, messages=Messages.BOTH)
    fetch, lost = FastConnection.fetch_each, 0

    async def lose(self: FastConnection, asked: Any) -> Any:
        nonlocal lost
        rows = await fetch(self, asked)
        if not lost:
            lost += 1
            await self.close()
            raise psycopg.OperationalError
        return rows

    monkeypatch.setattr(FastConnection, "fetch_each", lose)
    door = Door()
    asked = texts.admit(text(), secrets.token_bytes(32), hands=door, timeout=TIMEOUT)
    assert isinstance(await asked, Repeated)
    assert (door.handed, door.woken) == ([], 1)
    assert not (await take_one(texts)).maybe_twice


@pytest.mark.parametrize(
    ("change", "state", "reason"),
    [
        (b"UPDATE agi_router.message_out SET expires_at = now()", "expired", "expired"),
        (
            b"UPDATE agi_router.binding SET state = 'order_ended', ended_at = now()",
            "failed",
            "order_ended",
        ),
        (b"UPDATE agi_router.binding SET state = 'held'", "failed", "recycle_unknown"),
        (b"UPDATE agi_router.tenant SET active = false", "failed", "tenant_suspended"),
        (
            b"UPDATE agi_router.block SET valid_until = now()",
            "failed",
            "certificate_invalid",
        ),
        (b"UPDATE agi_router.message_out SET shown = x_number + 1", "failed", "platform_fault"),
        (b"UPDATE agi_router.message_out SET body = callee", "failed", "platform_fault"),
        (b"UPDATE agi_router.message_out SET side = 'b'", "failed", "platform_fault"),
    ],
)
async def test_what_cannot_be_sent_any_more(
    connection: Connection,
    store: BindingStore,
    texts: MessageStore,
    change: bytes,
    state: str,
    reason: str,
) -> None:
    """Its time or its binding's is over, or somebody has altered it: it is not sent."""
    bind(store, messages=Messages.BOTH)
    await send(texts)
    connection.execute(change)
    [taken] = await texts.take(10, timeout=TIMEOUT)
    assert isinstance(taken, Ended)
    assert (taken.state, taken.reason) == (state, reason)
    await texts.finish(taken, taken.state, reason=taken.reason, status=None, timeout=TIMEOUT)
    assert (states(connection), owed(connection), used(connection)) == ([state], 0, 0)


@on_each_version
@pytest.mark.parametrize("side", [Side.A, Side.B])
async def test_a_text_of_parties_who_were_replaced_is_not_sent(
    side: Side, connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """Neither to whom it was meant for, nor to who came: one that is written then is sent."""
    made = bind(store, messages=Messages.BOTH)
    await send(texts)
    store.replace(made.id, side, C)
    [taken] = await texts.take(10, timeout=TIMEOUT)
    assert isinstance(taken, Ended)
    assert (taken.state, taken.reason) == (MessageState.FAILED, "unbound")
    await texts.finish(taken, taken.state, reason=taken.reason, status=None, timeout=TIMEOUT)
    assert (states(connection), owed(connection), used(connection)) == (["failed"], 0, 0)
    sender, receiver = (C, B) if side is Side.A else (A, C)
    await send(texts, sender)
    assert (await take_one(texts)).receiver == receiver


@on_each_version
async def test_a_text_to_a_member_who_has_left_is_not_sent(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """Nor where he has come again since; what the others wrote and were written is sent."""
    terms: dict[str, Any] = {"expires_at": store.now() + HOUR, "messages": Messages.BOTH}
    made = store.bind(Gxb(members=(A, C), b=B, callback=Callback.LAST), Terms(**terms), x=X)
    for member in (C, A):
        await send(texts, member)
        await send(texts, B)
    store.remove_member(made.id, C)
    store.add_members(made.id, [C])
    taken = {each.id: each for each in await texts.take(10, timeout=TIMEOUT)}
    ended = [each for each in taken.values() if isinstance(each, Ended)]
    assert [(each.state, each.reason) for each in ended] == [(MessageState.FAILED, "unbound")]
    sent = [each.receiver for each in taken.values() if isinstance(each, Outgoing)]
    assert sorted(sent, key=str) == sorted([B, B, A], key=str)
    await texts.finish(ended[0], ended[0].state, reason="unbound", status=None, timeout=TIMEOUT)
    assert used(connection) == 3


async def test_no_text_goes_out_under_a_number_that_is_over(
    connection: Connection, store: BindingStore, texts: MessageStore, admissions: AdmissionStore
) -> None:
    """A Y that a call has made lives by itself: a text that shows it ends with it."""
    agreed = Terms(expires_at=store.now() + HOUR, messages=Messages.BOTH)
    made = store.bind(Axyb(a=A, b=B, y_ttl=Y_TTL), agreed, x=X)
    needed = AllocationNeeded(
        binding=str(made.id), binding_id=made.id.id, x_number=X, caller=A, callee=B
    )
    await admissions.allocate(needed, timeout=TIMEOUT)
    await send(texts)
    assert one(
        connection,
        "SELECT m.expires_at = c.expires_at AND o.expires_at = c.expires_at"
        " FROM agi_router.message m"
        " JOIN agi_router.message_out o ON o.block = m.block AND o.id = m.id"
        " JOIN agi_router.binding c ON c.block = m.block AND c.parent_id = m.binding_id",
    )


async def test_a_text_of_a_locked_tenant_is_not_sent(
    store: BindingStore, texts: MessageStore
) -> None:
    """Nor is one taken: its sender is refused."""
    bind(store, messages=Messages.BOTH)
    await send(texts)
    tenant = LockedThing(subject=Subject.TENANT, tenant="default")
    store.locks.set(tenant, LockReason.MISUSE, by="a test")
    [taken] = await texts.take(10, timeout=TIMEOUT)
    assert isinstance(taken, Ended)
    assert (taken.state, taken.reason) == (MessageState.FAILED, "tenant_suspended")
    assert await send(texts) is Reason.TENANT_SUSPENDED


@on_each_version
async def test_a_door_takes_its_own_texts(
    store: BindingStore, cell: Connection, keys: KeyRing
) -> None:
    """Two doors beside their database do not send each other's; two of one link share them."""
    bind(store, messages=Messages.BOTH)
    async with AdmissionStore(cell.info.dsn, keys, connections=4) as near:
        texts, twin, other = (
            MessageStore(near.pool, keys, link=link, validity=DAY)
            for link in ("sip", "sip", "other")
        )
        await until_async(lambda: near.pool.connected)
        for _ in range(10):
            await send(texts)
        assert await other.take(10, timeout=TIMEOUT) == []
        assert await other.count_owed(timeout=TIMEOUT) == Owed(owed=0, oldest=0.0)
        found = await texts.count_owed(timeout=TIMEOUT)
        assert (found.owed, found.oldest > 0) == (10, True)
        shares = await asyncio.gather(
            *(each.take(3, timeout=TIMEOUT) for each in (texts, twin) * 3)
        )
    names = [taken.id for share in shares for taken in share]
    assert len(names) == len(set(names)) == 10


async def test_no_text_and_no_number_can_be_read_without_keys(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """Whatever is in the tables."""
    bind(store, messages=Messages.BOTH)
    await send(texts)
    tables = ("message", "message_out", "message_seen", "binding", "route")
    dump = "".join(
        str(one(connection, f"SELECT string_agg(t::text, ' ') FROM agi_router.{table} t"))
        for table in tables
    )
    for secret in (A.digits, B.digits, BODY, BODY.encode().hex(), B.digits.encode().hex()):
        assert secret not in dump


@on_each_version
async def test_the_member_who_wrote_last_is_answered(
    store: BindingStore, texts: MessageStore
) -> None:
    """And not who had called or written before."""
    terms: dict[str, Any] = {"expires_at": store.now() + HOUR, "messages": Messages.BOTH}
    store.bind(Gxb(members=(A, C), b=B, callback=Callback.LAST), Terms(**terms), x=X)
    for member in (A, C, A):
        assert isinstance(await send(texts, member), Taken)
        found = await send(texts, B)
        assert isinstance(found, Taken)
        assert found.receiver == member


@on_each_version
async def test_its_tenant_is_told(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """Of each step, with the place among the events of the binding; never what it says."""
    events = EventStore(Queries(connection), store.keys)
    kinds = [EventType.MESSAGE_ACCEPTED, EventType.MESSAGE_SENT, EventType.MESSAGE_FAILED]
    made = bind(store, messages=Messages.BOTH, max_messages=2, order_id="O-1")
    await send(texts)
    taken = await take_one(texts)
    # Of what was before nobody is told.
    events.set_types("default", kinds)
    await texts.finish(taken, MessageState.SENT, reason=None, status=200, timeout=TIMEOUT)
    await send(texts, B)
    await texts.finish(
        await take_one(texts), MessageState.FAILED, reason="refused", status=404, timeout=TIMEOUT
    )
    told = events.events("default", limit=9).events
    assert [event.type for event, _ in told] == [kinds[1], kinds[0], kinds[2]]
    assert [event.sequence for event, _ in told] == [1, 2, 3]
    for event, parties in told:
        assert event.binding == made.id
        assert (event.data["order_id"], event.data["octets"]) == ("O-1", len(BODY.encode()))
        assert parties == {Side.A: [A.masked], Side.B: [B.masked]}
        assert BODY not in str(event)
    sent, accepted, failed = (event.data for event, _ in told)
    assert (sent["state"], sent["status"], sent["attempts"]) == ("sent", 200, 1)
    assert (accepted["sender_side"], accepted["messages_used"]) == ("b", 2)
    assert (failed["reason"], failed["messages_used"]) == ("refused", 1)


async def test_requests_are_forgotten_in_time(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """When nobody repeats them any more."""
    bind(store, messages=Messages.BOTH)
    await send(texts)
    assert await texts.forget_seen(timeout=TIMEOUT) == 0
    connection.execute(b"UPDATE agi_router.message_seen SET at = now() - interval '11 minutes'")
    assert await texts.forget_seen(timeout=TIMEOUT) == 1


async def test_keys_that_were_rotated_meanwhile(
    connection: Connection, store: BindingStore, texts: MessageStore
) -> None:
    """What waits opens with the keys it was sealed with, and is counted as needing them."""
    bind(store, messages=Messages.BOTH)
    answer = await texts.admit(text(), secrets.token_bytes(32), timeout=TIMEOUT)
    assert isinstance(answer, Admission)
    headers = connection.execute(
        b"SELECT substring(callee FROM 1 FOR 3) AS callee, substring(body FROM 1 FOR 3) AS body"
        b" FROM agi_router.message_out"
    ).fetchone()
    assert headers is not None
    assert headers == {"callee": texts.keys.header, "body": texts.keys.secret_header}
