"""Upkeep beside a reader that stays, as a dump does: no call waits for it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from postgres.test_import import Importing, axb_rows

from agi_router.bindings.modes import Ax, Axe, Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.days import check_days
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db import migrate as migrations
from agi_router.db.connection import Connection, connect
from agi_router.db.migrate import functions, migrate
from agi_router.db.queries import query
from agi_router.errors import StoreError, StoreHeld
from agi_router.inventory.capacity import Quarantine
from agi_router.inventory.model import BlockState
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.maintenance.rotation import Rotation
from harness.database import (
    HOUR,
    Server,
    a_call,
    admit_as_router,
    an_end,
    bind,
    expire,
    new_call_id,
    new_party,
    one,
    until_async,
)
from harness.values import BLOCK, C

TIMEOUT = 10.0
"""Far less than the reader stays for: who waits behind it is not served in it."""
STAY = 120
"""Seconds for which the reader stays where something waits for it."""
PATIENCE = 0.5
"""Of what is tried again: nobody ends the reader."""
RETENTION = Retention()
RESTS = Quarantine(number=timedelta(minutes=10), party=timedelta(days=7))


class Reader:
    """Reads all tables and stays, as pg_dump does; in a transaction of its own."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> None:
        """Read, and stay."""
        self._connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        self._connection.execute(
            "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class WHERE"
            " relnamespace = 'agi_router'::regnamespace AND relkind IN ('r', 'p') LOOP"
            " EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', t); END LOOP; END $$"
        )

    def end(self) -> None:
        """Leave."""
        self._connection.execute("ROLLBACK")


@pytest.fixture
def reader(server: Server, dsn: str) -> Iterator[Reader]:
    """Who reads this test's database."""
    with server.connect(dsn) as opened:
        yield Reader(opened)


class Calls:
    """Calls that come and end all the time, some of strangers; each is asked for once."""

    def __init__(self, admissions: AdmissionStore) -> None:
        self._admissions = admissions
        self.settled = 0

    async def run(self) -> None:
        """Until it is cancelled, or one is not served in time."""
        while True:
            call_id = new_call_id()
            # Its route may get a new tag between two looks: then the router asks again.
            answer, _ = await admit_as_router(self._admissions, a_call(), call_id, timeout=TIMEOUT)
            assert answer.admitted
            # Whether the call of a stranger is known is looked up in all days.
            refused = await self._admissions.admit(a_call(C), new_call_id(), timeout=TIMEOUT)
            assert not refused.admitted
            ends = [an_end(call_id, Outcome.BUSY)]
            while ends:
                # What waited for a lock is told again.
                ends = (await self._admissions.settle(ends, timeout=TIMEOUT)).held
            self.settled += 1


@asynccontextmanager
async def calling(admissions: AdmissionStore) -> AsyncIterator[None]:
    """Calls come before, meanwhile and after."""
    calls = Calls(admissions)
    work = [asyncio.ensure_future(calls.run()) for _ in range(3)]

    async def a_few() -> None:
        enough = calls.settled + 10
        await until_async(lambda: calls.settled >= enough or any(each.done() for each in work))

    try:
        await a_few()
        yield
        await a_few()
    finally:
        for each in work:
            each.cancel()
        ended = await asyncio.gather(*work, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended


async def beside(
    reader: Reader, admissions: AdmissionStore, upkeep: Callable[[], Any], *, times: int = 3
) -> Any:
    """Do *upkeep* a few times, while the reader stays and calls come; what came of it at last."""

    def work() -> Any:
        return [upkeep() for _ in range(times)][-1]

    async with calling(admissions):
        reader.begin()
        doing = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            async with calling(admissions):
                # Whoever waits for the reader is not done before it ends.
                return await asyncio.wait_for(asyncio.shield(doing), STAY)
        finally:
            reader.end()
            with suppress(Exception):
                await doing


def drop_days(connection: Connection, *ahead: int) -> list[date]:
    """Drop the partitions of some days to come, and return the days; no other is missing."""
    connection.execute(query("ensure_days"))
    today = datetime.now(UTC).date()
    days = [today + timedelta(days=each) for each in ahead]
    for day in days:
        connection.execute(f"DROP TABLE agi_router.call_{day:%Y%m%d}")
    return days


def has_day(connection: Connection, day: date) -> bool:
    return bool(one(connection, f"SELECT to_regclass('agi_router.call_{day:%Y%m%d}') IS NOT NULL"))


def insert_calls(connection: Connection, day: date, count: int) -> None:
    """Insert calls of one day, wherever they go."""
    connection.execute(
        "INSERT INTO agi_router.call (block, id, day, x_number, state)"
        " SELECT %s, 'pbx1-1.' || n, %s, %s, 'settled' FROM generate_series(1, %s) n",
        (BLOCK.value, day, BLOCK.number(1).value, count),
    )


async def test_days_wait_for_the_reader(
    dsn: str,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    reader: Reader,
) -> None:
    """Beside a dump a day is not made, and nobody waits for it; after the dump it is."""
    bind(store)
    (day,) = drop_days(connection, 3)

    def upkeep() -> list[dict[str, Any]]:
        with connect(dsn) as other:
            return other.execute(query("ensure_days")).fetchall()

    held = {"parent": "call", "day": day, "why": "held"}
    assert await beside(reader, admissions, upkeep) == [held]
    assert not has_day(connection, day)
    assert upkeep() == []
    assert has_day(connection, day)


async def test_the_router_tells_that_days_wait(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, reader: Reader
) -> None:
    """Its own attempt is told as what it is, and costs it no connection."""
    bind(store)
    drop_days(connection, 3, 5)
    reader.begin()
    with pytest.raises(StoreHeld, match=r"2 day\(s\).*dump"):
        await admissions.ensure_days()
    reader.end()
    await admissions.ensure_days()
    assert admissions.pool.losses == 0


@pytest.mark.parametrize("ahead", [1, 9])
def test_rows_that_came_too_early_are_moved(connection: Connection, ahead: int) -> None:
    """A row of a day without a partition does not keep it from getting one."""
    (day,) = drop_days(connection, ahead)
    insert_calls(connection, day, 3)
    assert connection.execute(query("ensure_days")).fetchall() == []
    assert one(connection, "SELECT count(*) FROM ONLY agi_router.call_other") == 0
    assert one(connection, f"SELECT count(*) FROM agi_router.call_{day:%Y%m%d}") == 3


def test_a_crowded_day_is_left(connection: Connection) -> None:
    """More rows than can be moved while calls wait stay, are told, and keep no other day back."""
    crowded, other = drop_days(connection, 4, 5)
    insert_calls(connection, crowded, 1001)
    rows = connection.execute(query("ensure_days")).fetchall()
    assert rows == [{"parent": "call", "day": crowded, "why": "crowded"}]
    assert not has_day(connection, crowded)
    assert has_day(connection, other)
    with pytest.raises(StoreError, match=r"1 day\(s\).*call_other"):
        check_days(rows)


def test_a_default_partition_that_is_too_large(connection: Connection) -> None:
    """PostgreSQL would look through it whole for each day, while calls wait."""
    (day,) = drop_days(connection, 3)
    insert_calls(connection, date(2001, 9, 9), 60_000)
    rows = connection.execute(query("ensure_days")).fetchall()
    assert rows == [{"parent": "call", "day": day, "why": "crowded"}]


async def test_a_day_is_dropped_later(
    dsn: str,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    reader: Reader,
) -> None:
    """Beside a dump no day is dropped, nor waited for; the rest of the sweep is done."""
    made = bind(store, new_party(), new_party(), x=BLOCK.number(7))
    expire(connection, made.id)
    bind(store)
    day = datetime.now(UTC).date() - RETENTION.records - timedelta(days=5)
    connection.execute("SELECT agi_router.ensure_days('call', %s, %s)", (day, day))

    def upkeep() -> None:
        with connect(dsn) as other:
            for _ in Sweep(other, RESTS, RETENTION).steps():
                pass

    await beside(reader, admissions, upkeep)
    assert has_day(connection, day)
    assert one(connection, "SELECT count(*) FROM agi_router.binding WHERE state = 'expired'") == 1
    upkeep()
    assert not has_day(connection, day)


def test_a_day_of_the_last_six_months_is_not_dropped(connection: Connection) -> None:
    """Whoever may call the function cannot do away with what has to be kept."""
    day = datetime.now(UTC).date()
    assert not one(connection, "SELECT agi_router.detach_day('call', %s, 'x')", day)


async def test_migrating_gives_up(
    dsn: str,
    store: BindingStore,
    admissions: AdmissionStore,
    reader: Reader,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A migration that locks what calls use waits for a moment at a time, and then gives up."""
    bind(store)
    shutil.copytree(str(files("agi_router.sql")), tmp_path, dirs_exist_ok=True)
    for name, text in (
        ("9998_harmless", "CREATE TABLE agi_router.harmless ();"),
        ("9999_long", "ALTER TABLE agi_router.call ADD COLUMN more text;"),
    ):
        (tmp_path / f"migrations/{name}.sql").write_text(text)
    monkeypatch.setattr(migrations, "files", lambda _: tmp_path)

    def upkeep() -> Any:
        with connect(dsn) as other:
            try:
                return migrate(other, patience=PATIENCE)
            except StoreHeld as error:
                return str(error)

    assert "migration 9999" in await beside(reader, admissions, upkeep)
    assert [each.number for each in upkeep().migrations] == [9999]


async def test_replacing_functions(
    dsn: str, store: BindingStore, admissions: AdmissionStore, reader: Reader
) -> None:
    """Functions and triggers are replaced beside a dump, while calls come."""
    bind(store)

    def upkeep() -> Any:
        with connect(dsn) as other:
            other.execute("UPDATE agi_router.function SET checksum = 'x'")
            return migrate(other).functions

    assert await beside(reader, admissions, upkeep) == sorted(each.name for each in functions())


async def test_replacing_triggers_gives_up(dsn: str, connection: Connection) -> None:
    """Whoever writes bindings for long is not waited for, and nothing is replaced meanwhile."""
    connection.execute("UPDATE agi_router.function SET checksum = 'x'")
    with connect(dsn) as other, other.transaction():
        other.execute("UPDATE agi_router.binding SET state = state")
        with pytest.raises(StoreHeld, match="triggers need tables"):
            migrate(connection, patience=PATIENCE)
    assert one(connection, "SELECT count(*) FROM agi_router.function WHERE checksum <> 'x'") == 0
    assert migrate(connection).functions


async def test_rotating(
    dsn: str,
    store: BindingStore,
    admissions: AdmissionStore,
    keys: KeyRing,
    reader: Reader,
    tmp_path: Path,
) -> None:
    """A dump is no writer: keys are changed, and rows renewed, beside it."""
    bind(store)
    file = tmp_path / "key"
    write_key_ring(file, keys)
    with connect(dsn) as other:
        rotation = Rotation(other, check_keys(other, keys), file)
        chosen = rotation.add(["tag", "seal"])
        await admissions.use(rotation.keys)

        def upkeep() -> None:
            rotation.switch(chosen)
            list(rotation.renewal().run())
            for kind in chosen:
                rotation.retire(kind, chosen[kind] - 1)

        await beside(reader, admissions, upkeep, times=1)


async def test_importing(
    dsn: str, store: BindingStore, admissions: AdmissionStore, keys: KeyRing, reader: Reader
) -> None:
    """A file is loaded beside a dump and beside calls."""
    bind(store)

    def upkeep() -> int:
        return Importing(dsn, keys)(axb_rows(300, first=1000)).bound

    assert await beside(reader, admissions, upkeep, times=1) == 300


async def test_inventory_and_groups(
    dsn: str,
    store: BindingStore,
    admissions: AdmissionStore,
    keys: KeyRing,
    reader: Reader,
) -> None:
    """What is changed by hand is changed beside a dump and beside calls."""
    bind(store)

    def upkeep() -> None:
        with connect(dsn) as other:
            own = BindingStore(other, keys, open_modes=True)
            terms = Terms(expires_at=own.now() + HOUR)
            group = own.bind(Gxb(members=(new_party(), new_party()), b=new_party()), terms)
            own.add_members(group.id, [new_party()])
            own.extend(group.id, own.now() + 2 * HOUR)
            own.unbind(group.id)
            own.bind(Ax(a=new_party()), terms)
            own.bind(Axe(a=new_party(), extension="7"), terms)
            own.inventory.set_block_state(BLOCK, BlockState.DRAINING)
            own.inventory.set_block_state(BLOCK, BlockState.ACTIVE)
            own.inventory.tenants.set_active("default", active=True)
            own.inventory.statistics()

    await beside(reader, admissions, upkeep, times=1)
