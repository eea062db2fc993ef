"""Calls that wait at the same moment share a transaction; each gets the answer it would alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.calls.arrival import Call
from agi_router.calls.ports import Admission
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.errors import SealError
from agi_router.keys.ring import KeyRing
from harness.database import (
    Proxy,
    Server,
    a_call,
    bind,
    call_states,
    calls_used,
    new_call_id,
    on_each_version,
    one,
    until_async,
)
from harness.values import A, B, C, D, Y

pytestmark = on_each_version

TIMEOUT = 10.0
OTHER_CALL = a_call(C, Y)


@pytest.fixture
async def narrow(dsn: str, keys: KeyRing) -> AsyncIterator[AdmissionStore]:
    """One connection: all who ask at once are in its queue when it is taken."""
    async with AdmissionStore(dsn, keys, connections=1) as opened:
        await until_async(lambda: opened.pool.connected == 1)
        yield opened


async def admit_all(admissions: AdmissionStore, calls: dict[str, Call]) -> list[Admission]:
    """Ask for all at once; the answers."""
    asked = (admissions.admit(call, name, timeout=TIMEOUT) for name, call in calls.items())
    return await asyncio.gather(*asked)


def transactions(connection: Connection) -> int:
    """By how many transactions the calls were written."""
    return int(one(connection, "SELECT count(DISTINCT xmin::text) FROM agi_router.call"))


async def test_those_who_wait_share_a_transaction(
    connection: Connection, store: BindingStore, narrow: AdmissionStore
) -> None:
    """Eight go together, and each rings whom it is to ring."""
    bind(store)
    bind(store, C, D, x=Y)
    calls = {new_call_id(): a_call() if n % 2 else OTHER_CALL for n in range(8)}
    answers = await admit_all(narrow, calls)
    for call, answer in zip(calls.values(), answers, strict=True):
        assert answer.admitted
        assert answer.facts.hit is not None
        assert answer.facts.hit.callees == ((B,) if call.caller == A else (D,))
    assert call_states(connection) == dict.fromkeys(calls, "reserved")
    assert calls_used(connection) == 8
    assert transactions(connection) == 1


async def test_so_many_at_most(cell: Connection, store: BindingStore, keys: KeyRing) -> None:
    """Twenty are eight, eight and four, where a router asks its own database."""
    bind(store)
    async with AdmissionStore(cell.info.dsn, keys, connections=1) as narrow:
        await until_async(lambda: narrow.pool.connected == 1)
        answers = await admit_all(narrow, {new_call_id(): a_call() for _ in range(20)})
    assert all(answer.admitted for answer in answers)
    assert transactions(cell) == 3


async def test_limit_holds_within_a_transaction(
    connection: Connection, store: BindingStore, narrow: AdmissionStore
) -> None:
    """Of eight for the three uses that are left, the first three."""
    bind(store, max_calls=3)
    answers = await admit_all(narrow, {new_call_id(): a_call() for _ in range(8)})
    assert [answer.admitted for answer in answers] == [True] * 3 + [False] * 5
    assert calls_used(connection) == 3
    assert transactions(connection) == 1


@pytest.mark.parametrize("place", [0, 3, 6])
async def test_one_is_known_already(
    connection: Connection, store: BindingStore, narrow: AdmissionStore, place: int
) -> None:
    """A call that is asked for again spoils the transaction, and nobody's answer."""
    bind(store, max_calls=7)
    known = new_call_id()
    first = await narrow.admit(a_call(), known, timeout=TIMEOUT)
    names = [new_call_id() for _ in range(6)]
    names.insert(place, known)
    answers = await admit_all(narrow, dict.fromkeys(names, a_call()))
    assert all(answer.admitted for answer in answers)
    assert answers[place].now == first.now
    assert calls_used(connection) == 7
    assert call_states(connection) == dict.fromkeys(names, "reserved")


async def test_one_waits_for_a_lock(
    server: Server, dsn: str, connection: Connection, store: BindingStore, keys: KeyRing
) -> None:
    """Whose binding somebody has locked waits; who came with it does not."""
    made = bind(store)
    bind(store, C, D, x=Y)
    async with AdmissionStore(dsn, keys, connections=2) as admissions:
        await until_async(lambda: admissions.pool.connected == 2)
        with server.connect(dsn) as other:
            other.execute("BEGIN")
            other.execute("SELECT FROM agi_router.binding WHERE id = %s FOR UPDATE", (made.id.id,))
            locked = asyncio.ensure_future(
                admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
            )
            free = await admit_all(admissions, {new_call_id(): OTHER_CALL for _ in range(7)})
            assert all(answer.admitted for answer in free)
            assert not locked.done()
            other.execute("ROLLBACK")
            assert (await locked).admitted
    assert calls_used(connection) == 8


async def test_one_does_not_open(
    connection: Connection, store: BindingStore, narrow: AdmissionStore
) -> None:
    """A callee that was sealed with other keys fails the call that is for it, and no other."""
    made = bind(store)
    bind(store, C, D, x=Y)
    connection.execute(
        "UPDATE agi_router.route SET callee = set_byte(callee, 20, get_byte(callee, 20) # 1)"
        " WHERE binding_id = %s",
        (made.id.id,),
    )
    spoilt = asyncio.ensure_future(narrow.admit(a_call(), new_call_id(), timeout=TIMEOUT))
    others = await admit_all(narrow, {new_call_id(): OTHER_CALL for _ in range(5)})
    assert all(answer.admitted for answer in others)
    with pytest.raises(SealError):
        await spoilt


@pytest.mark.parametrize("cuts", [1, 2])
async def test_reply_lost_after_commit(
    connection: Connection,
    store: BindingStore,
    through_proxy: AdmissionStore,
    proxy: Proxy,
    cuts: int,
) -> None:
    """All are asked for again, one by one, and each has taken one use."""
    bind(store, max_calls=6)
    await until_async(lambda: through_proxy.pool.connected == 1)
    names = [new_call_id() for _ in range(6)]
    proxy.armed = cuts
    answers = await admit_all(through_proxy, dict.fromkeys(names, a_call()))
    assert proxy.cuts == cuts
    assert all(answer.admitted for answer in answers)
    assert calls_used(connection) == 6
    assert call_states(connection) == dict.fromkeys(names, "reserved")
