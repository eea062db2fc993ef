"""Texts of AX: anyone's reach A, whose answer goes to who wrote or called last; AXE has none."""

from __future__ import annotations

import asyncio
import secrets
from datetime import timedelta

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Ax, Axe
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Messages, Side
from agi_router.calls.decision import Refusal, Route
from agi_router.calls.ports import Admission
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.messages.decision import Taken, decide_text
from agi_router.messages.explanation import explain_text
from agi_router.messages.model import CarriedText, Outgoing, Text
from agi_router.messages.records import MessageRecords
from agi_router.messages.store import Ended, MessageStore
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from harness.database import (
    HOUR,
    a_call,
    admit_as_router,
    new_call_id,
    new_party,
    on_each_version,
    one,
)
from harness.values import A, B, C, D, X

TIMEOUT = 30.0
DAY = timedelta(days=1)


@pytest.fixture
def texts(open_admissions: AdmissionStore, keys: KeyRing) -> MessageStore:
    """Where texts are taken and sent from."""
    return MessageStore(open_admissions.pool, keys, link="sip", validity=DAY, open_modes=True)


def make(store: BindingStore, parties: Ax, **terms: Messages | int) -> Binding:
    """Bind for an hour; with texts, unless it is said otherwise."""
    said = {"messages": Messages.BOTH, **terms}
    return store.bind(parties, Terms(expires_at=store.now() + HOUR, **said), x=X)  # type: ignore[arg-type]


async def write(
    texts: MessageStore, sender: PhoneNumber, *, carried: bool = False
) -> PhoneNumber | Reason:
    """Write to X: who receives it, from X; or why nobody does."""
    said = (
        CarriedText(sender=sender, x_number=X, said_octets=3, said_parts=1)
        if carried
        else Text(sender=sender, x_number=X, body="到门口了")
    )
    answer = await texts.admit(said, secrets.token_bytes(32), timeout=TIMEOUT)
    assert isinstance(answer, Admission)
    found = decide_text(said, answer.facts, now=answer.now)
    assert answer.admitted is isinstance(found, Taken)
    if isinstance(found, Taken):
        assert found.shown == X
        return found.receiver
    assert isinstance(found, Refusal)
    return found.reason


async def ring(admissions: AdmissionStore, caller: PhoneNumber) -> PhoneNumber | Reason:
    """Call X: who rings, or why nobody does."""
    _, decision = await admit_as_router(admissions, a_call(caller), new_call_id())
    if isinstance(decision, Route):
        [callee] = decision.callees
        return callee
    assert isinstance(decision, Refusal)
    return decision.reason


def used(connection: Connection) -> int:
    """Texts taken."""
    return int(one(connection, "SELECT sum(messages_used) FROM agi_router.binding"))


@on_each_version
async def test_who_reaches_whom(
    open_store: BindingStore,
    open_admissions: AdmissionStore,
    texts: MessageStore,
    connection: Connection,
    keys: KeyRing,
) -> None:
    """Anyone reaches A, who answers the last of those who wrote or called; so does A's call."""
    made = make(open_store, Ax(a=A))
    assert await write(texts, A) is Reason.NO_CALLBACK
    for stranger in (B, C):
        assert await write(texts, stranger) == A
        assert await write(texts, A) == stranger
        assert open_store.find(made.id).called_back == (stranger,)
    assert await ring(open_admissions, A) == C
    assert await ring(open_admissions, D) == A
    assert await write(texts, A) == D
    # By a carrier that keeps the text it is no other.
    assert await write(texts, B, carried=True) == A
    assert await write(texts, A, carried=True) == B
    assert used(connection) == 7
    sealed = one(connection, "SELECT last_callee FROM agi_router.route WHERE side = 'a'")
    row = Row(made.id.id, X.value, 0, Side.A, shown=X.value)
    assert keys.open(sealed, row, Purpose.LAST_CALLER) == (B,)
    sent = await texts.take(10, timeout=TIMEOUT)
    assert [each.receiver for each in sent if isinstance(each, Outgoing)] == [A, B, A, C, D]
    # What would become of a text is told alike, and changes nothing.
    records = MessageRecords(connection)
    for sender, to in ((C, A), (A, B)):
        told = explain_text(
            lambda text: records.facts(text, keys, at=None, open_modes=True),
            sender=sender.digits,
            to=str(X),
        )
        assert isinstance(told.decision, Taken)
        assert told.decision.receiver == to


async def test_a_fixed_number(
    open_store: BindingStore, texts: MessageStore, connection: Connection
) -> None:
    """By "default" nobody else receives it; by "last" until somebody writes, and after a time."""
    made = make(open_store, Ax(a=A, callback=Callback.DEFAULT, default=D))
    assert await write(texts, B) == A
    assert await write(texts, A) == D
    open_store.unbind(made.id)
    make(open_store, Ax(a=A, default=D, window=timedelta(minutes=5)))
    assert await write(texts, A) == D
    assert await write(texts, B) == A
    assert await write(texts, A) == B
    connection.execute("UPDATE agi_router.route SET last_at = last_at - interval '5 minutes'")
    assert await write(texts, A) == D


async def test_who_is_refused_is_not_answered(
    open_store: BindingStore, texts: MessageStore, connection: Connection
) -> None:
    """Nor is a use taken: by a direction, a lock, or the limit."""
    make(open_store, Ax(a=A), max_messages=1)
    locked = LockedThing(subject=Subject.PERSON, person=C)
    open_store.locks.set(locked, LockReason.MISUSE, by="a test")
    direction = "UPDATE agi_router.binding SET messages = %s"
    connection.execute(direction, ("a",))
    assert await write(texts, B) is Reason.WRONG_DIRECTION
    connection.execute(direction, ("both",))
    assert await write(texts, C) is Reason.PARTY_LOCKED
    assert one(connection, "SELECT last_tag FROM agi_router.route WHERE side = 'a'") is None
    assert await write(texts, B) == A
    assert await write(texts, D) is Reason.USED_UP
    assert used(connection) == 1
    [party] = open_store.bindings(everything=True, order_id=None, limit=2)
    assert party.called_back == (B,)


async def test_switched_off(
    open_store: BindingStore,
    open_admissions: AdmissionStore,
    keys: KeyRing,
) -> None:
    """No stranger gets through."""
    make(open_store, Ax(a=A, default=D))
    off = MessageStore(open_admissions.pool, keys, link="sip", validity=DAY)
    assert await write(off, B) is Reason.STRANGER


async def test_axe_takes_no_texts(open_store: BindingStore, texts: MessageStore) -> None:
    """A text says no extension."""
    make(open_store, Axe(a=A, extension="1234", default=D))
    assert await write(texts, A) is Reason.MODE_UNSUPPORTED
    assert await write(texts, B) is Reason.STRANGER


@on_each_version
async def test_many_at_once(
    open_store: BindingStore, texts: MessageStore, connection: Connection
) -> None:
    """Of fifty strangers ten get through, and the one whom A answers is the last of these."""
    make(open_store, Ax(a=A), max_messages=10)
    found = await asyncio.gather(*(write(texts, new_party()) for _ in range(50)))
    assert sorted(map(str, found)) == sorted([str(A)] * 10 + [str(Reason.USED_UP)] * 40)
    assert used(connection) == 10
    assert one(
        connection,
        "SELECT r.last_at = max(m.received_at) FROM agi_router.route r, agi_router.message m"
        " WHERE r.side = 'a' GROUP BY r.last_at",
    )


@pytest.mark.parametrize("writer", [A, B], ids=["to-a-stranger", "of-a-stranger"])
async def test_a_text_ends_with_its_parties(
    writer: PhoneNumber, open_store: BindingStore, texts: MessageStore, connection: Connection
) -> None:
    """Where A is replaced nothing that waits is sent; who comes answers nobody of before."""
    made = make(open_store, Ax(a=A))
    assert await write(texts, B) == A
    [first] = await texts.take(1, timeout=TIMEOUT)
    assert isinstance(first, Outgoing)
    if writer == A:
        assert await write(texts, A) == B
    else:
        assert await write(texts, B) == A
    open_store.replace(made.id, Side.A, C)
    connection.execute(
        "UPDATE agi_router.message_out SET next_at = now() - interval '1s' WHERE NOT in_hand"
    )
    [ended] = await texts.take(2, timeout=TIMEOUT)
    assert isinstance(ended, Ended)
    assert ended.reason == "unbound"
    assert await write(texts, C) is Reason.NO_CALLBACK
    assert await write(texts, B) == C
