"""The sweep: what is over is marked, moved and deleted, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import BindingState, Messages
from agi_router.calls.decision import Refusal, decide
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.errors import BindingEnded, BindingNotFound, ExpiryInvalid
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Kind, Retention, end_of
from agi_router.maintenance.retention import Sweep, Swept
from agi_router.messages.model import Text
from agi_router.messages.store import MessageStore
from agi_router.service import upkeep
from agi_router.service.upkeep import Sweeper
from agi_router.settings import Settings
from harness.database import (
    HOUR,
    NO_REST,
    Clock,
    Server,
    a_call,
    an_end,
    bind,
    call_states,
    database_of,
    expire,
    look_up,
    new_call_id,
    new_party,
    on_each_version,
    one,
    set_clock,
)
from harness.values import BLOCK, A, B, C, D, X

pytestmark = on_each_version

RESTS = Quarantine(number=timedelta(minutes=10), party=timedelta(days=7))
RETENTION = Retention()
TICK = timedelta(microseconds=1)
DAY = timedelta(days=1)
TIMEOUT = 10.0


@pytest.fixture
def resting(shadowed: Connection, keys: KeyRing) -> BindingStore:
    """A store where numbers rest, with one block, whose clock can be set."""
    opened = BindingStore(shadowed, keys, RESTS)
    opened.inventory.add_block(BLOCK, operator=None, certificate=None)
    return opened


def swept(connection: Connection, quarantine: Quarantine = RESTS, *, batch: int = 500) -> Swept:
    """Sweep once, to the end; digests of days are another test's."""
    done = Swept()
    for step in Sweep(connection, quarantine, RETENTION, batch=batch).steps():
        done += step
    return replace(done, digests=0)


def swept_rows(connection: Connection) -> Swept:
    """The same without the days, of which a clock that is set far ahead has many."""
    return replace(swept(connection), days=0)


def reason(store: BindingStore, caller: object, x: object = X) -> Reason | None:
    call = a_call(caller, x)  # type: ignore[arg-type]
    looked = look_up(store, call, at=None)
    decision = decide(call, looked.facts, now=looked.now)
    return decision.reason if isinstance(decision, Refusal) else None


def test_a_life_and_after(shadowed: Connection, resting: BindingStore) -> None:
    """Marked once expired, moved once nothing rests, deleted past retention: never earlier."""
    made = bind(resting)
    alive = bind(resting, C, D, x=BLOCK.number(2), life=timedelta(days=90))
    assert swept(shadowed) == Swept()
    set_clock(shadowed, made.expires_at - TICK)
    assert swept(shadowed) == Swept()
    set_clock(shadowed, made.expires_at)
    assert swept(shadowed) == Swept(expired=1)
    assert one(shadowed, "SELECT ended_at FROM agi_router.binding ORDER BY id") == made.expires_at
    set_clock(shadowed, made.expires_at + RESTS.party - TICK)
    assert swept(shadowed) == Swept()
    assert [reason(resting, each) for each in (A, B)] == [Reason.EXPIRED] * 2
    set_clock(shadowed, made.expires_at + RESTS.party)
    assert swept(shadowed) == Swept(moved=2)
    assert [reason(resting, each) for each in (A, B)] == [Reason.NO_BINDING] * 2
    before = resting.find(made.id)
    assert before.state is BindingState.EXPIRED
    assert {party.number for party in before.parties} == {A, B}
    assert reason(resting, C, BLOCK.number(2)) is None
    gone_at = end_of(RETENTION.gone_on(Kind.BINDING, made.expires_at.date()) - DAY)
    set_clock(shadowed, gone_at - TICK)
    assert swept_rows(shadowed) == Swept(expired=1, moved=2)
    set_clock(shadowed, gone_at)
    assert swept_rows(shadowed) == Swept(deleted=1)
    with pytest.raises(BindingNotFound):
        resting.find(made.id)
    assert resting.find(alive.id).state is BindingState.EXPIRED
    assert one(shadowed, "SELECT count(*) FROM agi_router.past_route") == 2


def test_in_small_steps(shadowed: Connection, resting: BindingStore) -> None:
    """No step takes more than a batch, and together they take all."""
    for serial in range(7):
        bind(resting, new_party(), new_party(), x=BLOCK.number(serial * 1400))
    set_clock(shadowed, resting.now() + timedelta(days=300))
    steps = list(Sweep(shadowed, RESTS, RETENTION, batch=2).steps())
    done = replace(sum(steps, Swept()), days=0, digests=0)
    assert done == Swept(expired=7, moved=14, deleted=7)
    assert max(step.expired for step in steps) == 2
    assert max(step.moved for step in steps) == 2
    assert max(step.deleted for step in steps) == 2
    for table in ("binding", "route", "past_route"):
        assert one(shadowed, f"SELECT count(*) FROM agi_router.{table}") == 0


def test_bindings_that_a_writer_has_tied_together(
    shadowed: Connection, resting: BindingStore
) -> None:
    """A live one, and one with a child, made children of an old one: these stay, others go."""
    made = [bind(resting, new_party(), new_party(), x=BLOCK.number(n)) for n in range(5)]
    ids = [each.id.id for each in made]

    def tie(child: int, parent: int) -> None:
        shadowed.execute(
            "UPDATE agi_router.binding SET mode = 'axyb', parent_id = %s WHERE id = %s",
            (parent, child),
        )

    set_clock(shadowed, made[0].expires_at)
    swept(shadowed)
    set_clock(shadowed, made[-1].expires_at + RETENTION.records + 2 * DAY)
    alive = bind(resting, new_party(), new_party(), x=BLOCK.number(9))
    tie(alive.id.id, ids[0])
    tie(ids[1], ids[2])
    tie(ids[2], ids[3])

    assert swept(shadowed).deleted == 1
    left = shadowed.execute("SELECT id FROM agi_router.binding ORDER BY id").fetchall()
    assert [row["id"] for row in left] == [*ids[:4], alive.id.id]


async def test_calls_past_retention(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Whole days are dropped, those of no partition deleted; none that is kept still."""
    assert store
    now = datetime.now(UTC)
    kept = now - RETENTION.records + DAY
    gone = now - RETENTION.records - DAY
    for day in (gone, kept):
        days = (day.date(), day.date())
        connection.execute("SELECT agi_router.ensure_days('call', %s, %s)", days)
    older = gone - timedelta(days=3)
    ids = [new_call_id(day) for day in (older, gone, kept, now)]
    await admissions.settle([an_end(each) for each in ids[1:]])
    # Of a day whose partition was never made.
    connection.execute(
        "INSERT INTO agi_router.call (block, id, day, x_number, state)"
        " VALUES (%s, %s, %s, %s, 'settled')",
        (BLOCK.value, ids[0], older.date(), X.value),
    )
    assert len(call_states(connection)) == 4
    assert swept(connection) == Swept(deleted=2, days=2)
    assert set(call_states(connection)) == set(ids[2:])
    assert swept(connection) == Swept()


def test_texts_past_retention(connection: Connection, store: BindingStore) -> None:
    """As calls: whole days are dropped, those of no partition deleted."""
    assert store
    now = datetime.now(UTC)
    older, gone, kept = (now - RETENTION.records + timedelta(days=days) for days in (-4, -1, 1))
    for day in (gone, kept):
        days = (day.date(), day.date())
        connection.execute("SELECT agi_router.ensure_days('message', %s, %s)", days)
    for day in (older, gone, kept):
        connection.execute(
            "INSERT INTO agi_router.message (block, id, day, x_number, binding_id, tenant_id,"
            " side, shown, link_in, octets, parts, received_at, expires_at, state, done_at)"
            " VALUES (%s, %s, %s, %s, 1, 1, 'a', %s, 'sip', 1, 1, %s, %s, 'sent', %s)",
            (BLOCK.value, f"{BLOCK}-1.{day.day}", day.date(), X.value, X.value, *[day] * 3),
        )
    assert swept(connection) == Swept(deleted=2, days=2)
    assert one(connection, "SELECT day FROM agi_router.message") == kept.date()
    assert swept(connection) == Swept()


async def test_texts_that_no_door_serves(
    connection: Connection, store: BindingStore, keys: KeyRing, admissions: AdmissionStore
) -> None:
    """They end an hour after their time was over; parts are deleted after two days."""
    bind(store, messages=Messages.BOTH)
    texts = MessageStore(admissions.pool, keys, link="gone", validity=timedelta(days=1))
    for same in (b"1" * 32, b"2" * 32):
        await texts.admit(Text(sender=A, x_number=X, body="a"), same, timeout=TIMEOUT)
    connection.execute(
        "UPDATE agi_router.message_out SET held = true"
        " WHERE id = (SELECT min(id) FROM agi_router.message_out)"
    )
    connection.execute(
        "INSERT INTO agi_router.message_part (block, same, number, content, sealed, at)"
        " SELECT %s, %s, n, %s, NULL, now() - n * interval '1 day'"
        " FROM unnest(ARRAY[1, 2]) n",
        (BLOCK.value, b"s" * 32, b"c" * 32),
    )
    for minutes, left in ((59, 2), (61, 0)):
        connection.execute(
            "UPDATE agi_router.message_out SET expires_at = now() - %s, next_at = now() - %s",
            (timedelta(minutes=minutes), timedelta(hours=2)),
        )
        assert swept(connection) == Swept()
        assert one(connection, "SELECT count(*) FROM agi_router.message_out") == left
    rows = connection.execute("SELECT state, reason FROM agi_router.message").fetchall()
    assert sorted((row["state"], row["reason"]) for row in rows) == [
        ("expired", "expired"),
        ("failed", "hold_expired"),
    ]
    assert one(connection, "SELECT messages_used FROM agi_router.binding") == 0
    assert one(connection, "SELECT number FROM agi_router.message_part") == 1


def test_what_is_held_is_left(
    dsn: str, clock: Clock, shadowed: Connection, resting: BindingStore
) -> None:
    """A sweep waits for nobody: what somebody else holds has its turn later."""
    assert clock
    mine = [bind(resting, new_party(), new_party(), x=BLOCK.number(n)) for n in range(3)]
    set_clock(shadowed, mine[-1].expires_at)
    with connect(dsn) as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM agi_router.binding WHERE id = %s FOR UPDATE", (mine[1].id.id,))
        assert swept(shadowed) == Swept(expired=2)
        other.execute("COMMIT")
        assert swept(shadowed) == Swept(expired=1)
        set_clock(shadowed, mine[-1].expires_at + RESTS.party)
        other.execute("BEGIN")
        other.execute(
            "SELECT FROM agi_router.route WHERE binding_id = %s FOR UPDATE", (mine[1].id.id,)
        )
        assert swept(shadowed) == Swept(moved=4)
        other.execute("COMMIT")
    assert swept(shadowed) == Swept(moved=2)


def test_a_day_in_use_is_left(dsn: str, connection: Connection, store: BindingStore) -> None:
    """Calls are not held up for a lock that is not to be had."""
    assert store
    day = (datetime.now(UTC) - RETENTION.records - timedelta(days=5)).date()
    connection.execute("SELECT agi_router.ensure_days('call', %s, %s)", (day, day))
    with connect(dsn) as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM agi_router.call LIMIT 1")
        assert swept(connection) == Swept()
        other.execute("COMMIT")
    assert swept(connection) == Swept(days=1)


def test_the_service_sweeps(
    dsn: str, connection: Connection, store: BindingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a thread of its own, with a sign of life after each step, with which a stop ends it."""
    expire(connection, bind(store).id)
    monkeypatch.setattr(upkeep, "_SWEEP_PAUSE", 0.0)
    sweeper = Sweeper(
        Settings(dsn=dsn, number_quarantine=timedelta(), party_quarantine=timedelta())
    )
    told: list[None] = []
    asyncio.run(sweeper.sweep(lambda: told.append(None)))
    assert one(connection, "SELECT count(*) FROM agi_router.route") == 0
    assert len(told) > 1
    stopped = Event()
    stopped.set()
    expire(connection, bind(store).id)
    assert sweeper._all_steps(stopped, lambda: None) == Swept(expired=1)


@pytest.fixture
def others(dsn: str) -> Iterator[tuple[Connection, Connection]]:
    """Two connections more."""
    with connect(dsn) as one_connection, connect(dsn) as other:
        yield one_connection, other


async def test_among_binds_calls_and_extensions(
    server: Server,
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    others: tuple[Connection, Connection],
) -> None:
    """While all goes on, nothing alive is swept, nothing fails, nobody waits in a circle."""
    stop = Event()
    parties = [new_party() for _ in range(6)]

    def sweep(own: Connection) -> Swept:
        done = Swept()
        while not stop.is_set():
            # Nothing rests: routes are moved the moment their binding is over.
            done += swept(own, NO_REST, batch=3)
        return done

    async def work(admissions: AdmissionStore, turn: int) -> None:
        pair = parties[turn % 3], parties[3 + turn % 3]
        life = timedelta(milliseconds=10 + turn % 5 * 3)
        try:
            made = bind(store, *pair, life=life, max_calls=2)
        except ExpiryInvalid:
            return  # over before it was asked for
        if turn % 2:
            await asyncio.sleep(life.total_seconds())
        try:
            store.extend(made.id, store.now() + HOUR)
        except BindingEnded:
            assert store.find(made.id).state is BindingState.EXPIRED
            return
        call_id = new_call_id()
        answer = await admissions.admit(a_call(pair[0]), call_id, timeout=TIMEOUT)
        # It was extended, so its route must be where calls look.
        assert answer.admitted
        await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
        assert store.find(made.id).calls_used == 1
        store.unbind(made.id)

    with ThreadPoolExecutor(2) as pool:
        sweeps = [pool.submit(sweep, each) for each in others]
        try:
            async with AdmissionStore(dsn, keys, connections=3) as admissions:
                for turn in range(120):
                    await work(admissions, turn)
        finally:
            stop.set()
        done = [each.result(timeout=60) for each in sweeps]
    assert sum(each.moved for each in done) > 0
    assert sum(each.expired for each in done) > 0
    with server.admin() as admin:
        assert (
            one(
                admin,
                "SELECT deadlocks FROM pg_stat_database WHERE datname = %s",
                database_of(dsn),
            )
            == 0
        )
    # Every route is somewhere, once.
    assert (
        one(
            connection,
            "SELECT (SELECT count(*) FROM agi_router.route)"
            " + (SELECT count(*) FROM agi_router.past_route)"
            " - 2 * (SELECT count(*) FROM agi_router.binding)",
        )
        == 0
    )
