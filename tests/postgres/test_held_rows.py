"""Rows that somebody holds: who needs them waits, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest

from agi_router.bindings.reseal import Renewal
from agi_router.bindings.store import BindingStore
from agi_router.calls.arrival import Call
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.fast_connection import FastConnection
from agi_router.db.pool import ConnectionPool
from agi_router.errors import StoreError, StoreHeld, StoreUnavailable
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from harness.database import (
    Server,
    a_call,
    an_end,
    bind,
    call_states,
    calls_used,
    new_call_id,
    new_party,
    on_each_version,
    one,
    until_async,
)
from harness.values import BLOCK

pytestmark = on_each_version

SHORT = 3.0
"""For calls that are to give up."""
LONG = 15.0
"""More than what a busy machine adds; less than four lines take for WAITING calls if held up."""
EVER = 120.0
"""For calls that are to wait until they are let go."""
FREE = 60
ROUNDS = 6
WAITING = 32


class Holder:
    """Somebody who holds bindings, and does not go on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def hold(self, calls: Sequence[Call]) -> None:
        """Hold the bindings that these calls are on."""
        self._connection.execute("BEGIN")
        self._connection.execute(
            "SELECT FROM agi_router.binding b WHERE id IN (SELECT binding_id FROM agi_router.route"
            " WHERE x_number = ANY (%s)) ORDER BY id FOR NO KEY UPDATE",
            ([call.x_number.value for call in calls],),
        )

    def let_go(self) -> None:
        """Undo what there is to undo."""
        self._connection.execute("ROLLBACK")


@pytest.fixture
def holder(server: Server, dsn: str) -> Iterator[Holder]:
    """Who holds rows of this test's database."""
    with server.connect(dsn) as opened:
        yield Holder(opened)


def bound(store: BindingStore, count: int, *, first: int) -> list[Call]:
    """Bind so many pairs, each on a number of its own; a call of each."""
    calls = []
    for serial in range(first, first + count):
        caller, x = new_party(), BLOCK.number(serial)
        bind(store, caller, new_party(), x=x)
        calls.append(a_call(caller, x))
    return calls


async def asked(admissions: AdmissionStore, call: Call, *, timeout: float = LONG) -> object:  # noqa: ASYNC109
    """What the store answers: whether it was admitted, or the error."""
    try:
        return (await admissions.admit(call, new_call_id(), timeout=timeout)).admitted
    except StoreError as error:
        return type(error)


@pytest.mark.parametrize("held", [1, 5, 50])
async def test_the_rest_is_served(
    store: BindingStore, admissions: AdmissionStore, holder: Holder, held: int
) -> None:
    """However many rows are held and called on, who needs others is served, under load."""
    kept, free = bound(store, held, first=1), bound(store, FREE, first=1000)
    await until_async(lambda: admissions.pool.connected == admissions.pool.size)
    holder.hold(kept)
    waiting: list[asyncio.Future[object]] = []
    for _ in range(ROUNDS):
        calls = islice(cycle(kept), max(held, WAITING))
        waiting += [asyncio.ensure_future(asked(admissions, call, timeout=EVER)) for call in calls]
        answers = await asyncio.gather(*(asked(admissions, call) for call in free))
        assert answers == [True] * FREE
    # Nobody is let through unchecked.
    assert not any(each.done() for each in waiting)
    holder.let_go()
    assert await asyncio.gather(*waiting) == [True] * len(waiting)


@pytest.mark.parametrize("held", [1, 50])
async def test_who_waits_in_vain_is_told(
    store: BindingStore, admissions: AdmissionStore, holder: Holder, held: int
) -> None:
    """Nobody for whom others are to blame is told of a crowd, or that the database is slow."""
    kept = bound(store, held, first=1)
    await until_async(lambda: admissions.pool.connected == admissions.pool.size)
    holder.hold(kept)
    first = [asyncio.ensure_future(asked(admissions, call, timeout=EVER)) for call in kept]
    # Then it is known that they are held, and no other is tried in vain.
    await until_async(lambda: admissions.pool.waiting >= held - 1)
    answers: set[object] = set()
    for _ in range(4):
        answers = set(await asyncio.gather(*(asked(admissions, e, timeout=SHORT) for e in kept)))
        # Where the machine stood still, who gave up was not put off before.
        if answers == {StoreHeld}:
            break
    assert answers == {StoreHeld}
    holder.let_go()
    assert await asyncio.gather(*first) == [True] * held


async def test_who_waits_goes_on(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, holder: Holder
) -> None:
    """As soon as a row is let go, all who wait for it are served, each with one use."""
    made = bound(store, 1, first=1)
    holder.hold(made)
    waiting = [asyncio.ensure_future(asked(admissions, made[0], timeout=EVER)) for _ in range(20)]
    await until_async(lambda: admissions.pool.waiting >= 18)
    holder.let_go()
    assert await asyncio.gather(*waiting) == [True] * 20
    assert calls_used(connection) == 20
    assert admissions.pool.waiting == 0


async def test_the_limit_stays_exact(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, holder: Holder
) -> None:
    """Of those who waited for a held row as many get through as there are uses."""
    bind(store, max_calls=7)
    holder.hold([a_call()])
    waiting = [asyncio.ensure_future(asked(admissions, a_call(), timeout=EVER)) for _ in range(30)]
    await until_async(lambda: admissions.pool.waiting >= 28)
    holder.let_go()
    assert sorted(map(str, await asyncio.gather(*waiting))) == ["False"] * 23 + ["True"] * 7
    assert calls_used(connection) == 7


async def test_no_more_than_one_line_waits(
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    holder: Holder,
) -> None:
    """Of eight lines two at most are kept by rows that are known to be held."""
    made = bound(store, 30, first=1)
    async with AdmissionStore(dsn, keys, connections=8) as admissions:
        await until_async(lambda: admissions.pool.connected == 8)
        holder.hold(made)
        waiting = [asyncio.ensure_future(asked(admissions, call, timeout=EVER)) for call in made]
        await until_async(lambda: admissions.pool.waiting >= 28)
        lines = []
        for _ in range(200):
            lines.append(
                one(
                    connection,
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    " AND datname = current_database()",
                )
            )
            await asyncio.sleep(0)
        assert max(lines) <= 2
        holder.let_go()
        assert await asyncio.gather(*waiting) == [True] * 30


async def test_settling_goes_round_what_is_held(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, holder: Holder
) -> None:
    """Calls whose binding somebody holds are settled later; the others now, and calls go on."""
    made = bound(store, 40, first=1)
    ids = {new_call_id(): call for call in made}
    for call_id, call in ids.items():
        assert (await admissions.admit(call, call_id, timeout=LONG)).admitted
    held = list(ids)[:2]
    holder.hold([ids[each] for each in held])
    ends = [an_end(each, Outcome.BUSY, x=call.x_number) for each, call in ids.items()]
    left = await admissions.settle(ends, timeout=LONG)
    assert {end.call_id for end in left.held} == set(held)
    assert calls_used(connection) == 2
    again = await admissions.settle(left.held, timeout=LONG)
    assert {end.call_id for end in again.held} == set(held)
    holder.let_go()
    assert (await admissions.settle(again.held, timeout=LONG)).held == []
    assert calls_used(connection) == 0
    assert set(call_states(connection).values()) == {"settled"}


async def test_settling_gives_up_where_much_is_held(
    store: BindingStore, admissions: AdmissionStore, holder: Holder
) -> None:
    """It does not try one by one what is held all over, and loses none."""
    made = bound(store, 60, first=1)
    ids = {new_call_id(): call for call in made}
    for call_id, call in ids.items():
        assert (await admissions.admit(call, call_id, timeout=LONG)).admitted
    holder.hold(made)
    ends = [an_end(each, Outcome.BUSY, x=call.x_number) for each, call in ids.items()]
    left = await admissions.settle(ends, timeout=LONG)
    assert {end.call_id for end in left.held} == set(ids)
    holder.let_go()
    assert (await admissions.settle(left.held, timeout=LONG)).held == []


async def test_what_is_about_nothing_fails(dsn: str, holder: Holder, store: BindingStore) -> None:
    """Work that says nothing of what it needs is told that somebody holds it."""
    bind(store)
    holder.hold([a_call()])

    async def work(line: FastConnection) -> None:
        await line.execute("SELECT FROM agi_router.binding FOR UPDATE")

    async with ConnectionPool(dsn, size=1) as pool:
        with pytest.raises(StoreHeld):
            await pool.submit(work, timeout=LONG)
        assert pool.losses == 0
    holder.let_go()


async def test_the_pool_closes_while_some_wait(
    dsn: str, store: BindingStore, keys: KeyRing, holder: Holder
) -> None:
    """Who waits for a held row is told of the end at once."""
    made = bound(store, 1, first=1)
    holder.hold(made)
    async with AdmissionStore(dsn, keys, connections=1) as admissions:
        waiting = [
            asyncio.ensure_future(asked(admissions, made[0], timeout=EVER)) for _ in range(4)
        ]
        await until_async(lambda: admissions.pool.waiting >= 3)
    answers = await asyncio.wait_for(asyncio.gather(*waiting), LONG)
    assert set(answers) <= {StoreUnavailable, StoreHeld}
    holder.let_go()


async def test_renewing_goes_round_what_is_held(
    dsn: str,
    store: BindingStore,
    admissions: AdmissionStore,
    keys: KeyRing,
    holder: Holder,
    tmp_path: Path,
) -> None:
    """While somebody holds one binding, calls on the others are served and these are renewed."""
    made = bound(store, 12, first=1)
    file = tmp_path / "key"
    write_key_ring(file, keys)
    with connect(dsn) as other:
        rotation = Rotation(other, check_keys(other, keys), file)
        chosen = rotation.add(["seal"])
        await admissions.use(rotation.keys)
        rotation.switch(chosen)
        holder.hold(made[-1:])
        renewal = Renewal(Queries(other), rotation.keys, patience=0.5)
        renewing = asyncio.ensure_future(asyncio.to_thread(lambda: list(renewal.run())))
        while not renewing.done():
            answers = await asyncio.gather(*(asked(admissions, call) for call in made[:-1]))
            assert answers == [True] * 11
        await renewing
        assert ["holds it" in why for _, why in renewal.left] == [True]
        assert renewal.outstanding() == 1
        holder.let_go()
        again = rotation.renewal()
        assert list(again.run()) == [1]
        assert (again.left, again.outstanding()) == ([], 0)


def test_who_stands_still_is_ended(dsn: str, store: BindingStore) -> None:
    """A command that is stopped in the middle of a change keeps no call waiting for long."""
    bind(store)
    with closing(connect(dsn)) as stopped, connect(dsn) as other:
        timeout = one(stopped, "SHOW idle_in_transaction_session_timeout")
        assert timeout == "5s"
        stopped.execute("BEGIN")
        stopped.execute("SELECT FROM agi_router.binding FOR UPDATE")
        # Not before: then a busy machine would end it between the two.
        stopped.execute("SET LOCAL idle_in_transaction_session_timeout = '50ms'")
        other.execute("SET lock_timeout = '15s'")
        assert (
            one(other, "SELECT count(*) FROM (SELECT FROM agi_router.binding FOR UPDATE) b") == 1
        )
