"""Texts that wait at the same moment share a transaction; each gets the answer it would alone."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.calls.ports import Admission
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.keys.ring import KeyRing
from agi_router.messages.decision import Taken, decide_text
from agi_router.messages.model import MessageState, Outgoing, Text
from agi_router.messages.store import Ended, MessageStore, Repeated, Unasked
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import bind, on_each_version, one, until_async
from harness.values import BLOCK, A, B, C, D, X, Y

pytestmark = on_each_version

TIMEOUT = 30.0
Answer = Admission | Repeated | Unasked


@pytest.fixture
async def narrow(dsn: str, keys: KeyRing) -> AsyncIterator[MessageStore]:
    """One connection: all who ask at once are in its queue when it is taken."""
    async with AdmissionStore(dsn, keys, connections=1) as opened:
        await until_async(lambda: opened.pool.connected == 1)
        yield MessageStore(opened.pool, keys, link="sip", validity=timedelta(days=1))


@pytest.fixture
async def wide(dsn: str, keys: KeyRing) -> AsyncIterator[MessageStore]:
    """Eight connections, as a busy door may have."""
    async with AdmissionStore(dsn, keys, connections=8) as opened:
        await until_async(lambda: opened.pool.connected == 8)
        yield MessageStore(opened.pool, keys, link="sip", validity=timedelta(days=1))


def text(sender: PhoneNumber = A, to: XNumber = X) -> Text:
    """Return a text."""
    return Text(sender=sender, x_number=to, body="到门口了")


async def offer_all(store: MessageStore, *offers: tuple[Text, bytes]) -> list[Answer]:
    """Offer all at once; the answers."""
    asked = (store.admit(each, same, timeout=TIMEOUT) for each, same in offers)
    return await asyncio.gather(*asked)


def new(said: Text) -> tuple[Text, bytes]:
    """Return an offer by a request of its own."""
    return said, secrets.token_bytes(32)


def transactions(connection: Connection) -> int:
    """By how many transactions the texts were written."""
    return int(one(connection, "SELECT count(DISTINCT xmin::text) FROM agi_router.message"))


def used(connection: Connection) -> list[int]:
    """Texts taken, of each binding."""
    rows = connection.execute(
        b"SELECT messages_used FROM agi_router.binding ORDER BY id"
    ).fetchall()
    return [row["messages_used"] for row in rows]


async def test_those_who_wait_share_a_transaction(
    connection: Connection, store: BindingStore, narrow: MessageStore
) -> None:
    """Eight of two bindings go together."""
    bind(store, messages=Messages.BOTH)
    bind(store, C, D, x=Y, messages=Messages.BOTH)
    offers = [new(text() if n % 2 else text(C, Y)) for n in range(8)]
    for (said, _), answer in zip(offers, await offer_all(narrow, *offers), strict=True):
        assert isinstance(answer, Admission)
        found = decide_text(said, answer.facts, now=answer.now)
        assert isinstance(found, Taken)
        assert found.receiver == (B if said.sender == A else D)
    assert used(connection) == [4, 4]
    assert transactions(connection) == 1


async def test_limit_holds_within_a_transaction(
    connection: Connection, store: BindingStore, narrow: MessageStore
) -> None:
    """Of eight for the three that are left, the first three; why not the others is told."""
    bind(store, messages=Messages.BOTH, max_messages=3)
    answers = await offer_all(narrow, *(new(text()) for _ in range(8)))
    assert [isinstance(each, Admission) and each.admitted for each in answers] == [True] * 3 + [
        False
    ] * 5
    last = answers[-1]
    assert isinstance(last, Admission)
    refused = decide_text(text(), last.facts, now=last.now)
    assert not isinstance(refused, Taken)
    assert getattr(refused, "reason", None) is Reason.USED_UP
    assert used(connection) == [3]
    assert transactions(connection) == 1


@pytest.mark.parametrize("place", [0, 3, 6])
async def test_one_is_a_repeat(
    connection: Connection, store: BindingStore, narrow: MessageStore, place: int
) -> None:
    """It spoils the transaction, and nobody's answer."""
    bind(store, messages=Messages.BOTH, max_messages=7)
    known = new(text())
    await offer_all(narrow, known)
    offers = [new(text()) for _ in range(6)]
    offers.insert(place, known)
    answers = await offer_all(narrow, *offers)
    assert answers.pop(place) == Repeated()
    assert all(isinstance(each, Admission) and each.admitted for each in answers)
    assert used(connection) == [7]
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 7


async def test_of_many_bindings_at_once_each_takes_its_limit(
    connection: Connection, store: BindingStore, wide: MessageStore
) -> None:
    """Ten of each, of five times as many in any order over eight connections; no deadlock."""
    pairs = [(A, B), (C, D), (B, C)]
    for number, (a, b) in enumerate(pairs, 1):
        bind(store, a, b, x=BLOCK.number(number), messages=Messages.BOTH, max_messages=10)
    offers = [
        new(text(pairs[(n + n // 7) % 3][0], BLOCK.number((n + n // 7) % 3 + 1)))
        for n in range(150)
    ]
    # Each twice: a repeat takes nothing.
    answers = await offer_all(wide, *(each for offer in offers for each in (offer, offer)))
    assert sum(isinstance(each, Admission) and each.admitted for each in answers) == 30
    assert used(connection) == [10, 10, 10]
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 30


async def test_one_that_is_held_holds_up_no_end(
    connection: Connection, store: BindingStore, wide: MessageStore
) -> None:
    """Those that come after it are written while somebody has its row; so is it, after that."""
    bind(store, messages=Messages.BOTH)
    await offer_all(wide, *(new(text()) for _ in range(3)))
    held, *others = await wide.take(3, timeout=TIMEOUT)
    state = MessageState.SENT

    def ended(each: Outgoing | Ended) -> Coroutine[Any, Any, bool]:
        return wide.finish(each, state, reason=None, status=None, timeout=TIMEOUT)

    with connection.transaction():
        connection.execute(
            "SELECT FROM agi_router.message_out WHERE id = %s FOR UPDATE", (held.id,)
        )
        first = asyncio.create_task(ended(held))
        for each in others:
            assert await ended(each)
        assert not first.done()
    assert await first
