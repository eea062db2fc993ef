"""Standbys: whom a commit waits for, which host is taken, and what doctor says of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from postgres.test_cli import Cli, axb
from postgres.test_crash import port_of
from postgres.test_sessions import lags
from psycopg.conninfo import make_conninfo

from agi_router.bindings.store import BindingStore
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Queries, connect
from agi_router.db.session import why_read_only
from agi_router.doors.http.pool import StorePool
from agi_router.errors import StoreUnavailable
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.records.configuration import record_settings
from harness.cli import Done
from harness.database import (
    NO_REST,
    ROLE,
    Server,
    a_call,
    an_end,
    bind,
    call_states,
    calls_used,
    new_call_id,
    one,
    until,
    until_async,
)
from harness.values import BLOCK

TIMEOUT = 30.0
LINES = 4
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@contextmanager
def followed(version: str) -> Iterator[tuple[Server, Server]]:
    """A primary and a standby for which each commit waits."""
    with Server(version) as primary:
        standby = primary.standby()
        try:
            with primary.admin() as admin:
                admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                admin.execute("SELECT pg_reload_conf()")
                until(lambda: one(admin, "SHOW synchronous_standby_names") == "*")
            yield primary, standby
        finally:
            standby.remove()


async def test_commits_that_wait_for_a_standby(version: str, keys: KeyRing) -> None:
    """Without a standby calls are refused in time; afterwards each has its row and its use."""
    with followed(version) as (primary, standby), primary.admin() as admin:
        dsn = primary.clone()
        with connect(dsn) as connection:
            store = BindingStore(connection, keys)
            store.inventory.add_block(BLOCK, operator=None, certificate=None)
            bind(store, max_calls=1000)
        async with AdmissionStore(dsn, keys, connections=LINES) as admissions:
            asked = [new_call_id() for _ in range(20)]

            async def refused(call_id: str) -> str:
                with pytest.raises(StoreUnavailable) as told:
                    await admissions.admit(a_call(), call_id, timeout=0.2)
                return str(told.value)

            assert (await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted
            await until_async(lambda: admissions.pool.connected == LINES)
            standby.kill()
            # Whoever begins to serve then does not wait for it.
            with connect(dsn) as connection:
                assert record_settings(Queries(connection), "http", {"AGI_ROUTER_LANGUAGE": "zh"})
            async with asyncio.timeout(TIMEOUT):
                for _ in range(2):
                    await asyncio.gather(*map(refused, asked[:10]))
            # Nobody is let into a commit that would wait, too.
            async with asyncio.timeout(TIMEOUT):
                while "standby" not in await refused(asked[0]):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
                words = [await refused(call_id) for call_id in asked * 10]
            assert all("standby" in each for each in words)
            assert one(admin, WAITING) <= 2 * LINES
            standby.start()
            await until_async(lambda: admissions.pool.connected == LINES)
            await until_async(lambda: one(admin, WAITING) == 0)
            # A call that asks again has what became of its commit, and no second use.
            for call_id in asked:
                answer = await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
                assert answer.admitted
            with connect(dsn) as connection:
                assert calls_used(connection) == len(asked) + 1 == len(call_states(connection))
                ends = [an_end(each, Outcome.BUSY) for each in call_states(connection)]
                await admissions.settle(ends)
                assert calls_used(connection) == 0


def checks(done: Done, what: str) -> list[tuple[str, str]]:
    """What doctor says of one thing."""
    return [
        (each["status"], each["text"])
        for each in json.loads(done.out)["checks"]
        if each["check"] == what
    ]


def lent(stores: StorePool) -> str:
    """The port of the store that a request is lent, which then writes."""
    with stores.lend() as store:
        store.connection.execute("CREATE TEMP TABLE IF NOT EXISTS written ()")
        return str(store.connection.info.port)


def test_the_host_that_takes_writes(version: str, keys: KeyRing, tmp_path: Path) -> None:
    """Commands and requests leave a primary that was replaced; doctor tells what there is."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    with followed(version) as (primary, standby), primary.admin() as admin:
        dsn = primary.clone()
        first, second = port_of(dsn), port_of(standby.dsn(""))
        both = make_conninfo(dsn, host="127.0.0.1,127.0.0.1", port=f"{second},{first}")
        with connect(dsn) as connection:
            check_keys(connection, keys)
            BindingStore(connection, keys).inventory.add_block(
                BLOCK, operator=None, certificate=None
            )
        until(lambda: not lags(admin))
        cli = Cli(
            {
                "AGI_ROUTER_DSN": both,
                "AGI_ROUTER_KEY_FILE": str(file),
                "AGI_ROUTER_AGI_LISTEN": "off",
            }
        )

        def doctor(what: str) -> list[tuple[str, str]]:
            return checks(cli("doctor", "--json"), what)

        def moved() -> bool:
            with contextlib.suppress(psycopg.errors.ReadOnlySqlTransaction):
                return lent(stores) == second
            return False

        # The standby stands first.
        assert cli(*axb()).code == 0
        hosts = ("ok", f"127.0.0.1:{first} takes writes; 127.0.0.1:{second} can be read")
        assert doctor("hosts") == [hosts]
        ((status, text),) = doctor("standbys")
        assert status == "warn"
        assert "1 of 1 standbys" in text
        admin.execute(f"GRANT pg_read_all_stats TO {ROLE}")
        admin.execute("SELECT pg_create_physical_replication_slot('nobody', true)")
        assert [each for each, _ in doctor("standbys")] == ["warn", "warn"]
        stores = StorePool(lambda: BindingStore(connect(both), keys, NO_REST), 1)
        try:
            assert lent(stores) == first
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.execute("SELECT pg_reload_conf()")
            with connect(make_conninfo(dsn, application_name="x")) as connection:
                until(lambda: one(connection, "SELECT 1") and why_read_only(connection))
            # What reads goes on, by any of them.
            assert cli("list").code == 0
            standby.promote()
            until(moved)
            assert cli(*axb()).code == 0
            admin.execute("SET default_transaction_read_only = off")
            admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
            admin.execute("SELECT pg_reload_conf()")
            with connect(dsn) as connection:
                until(lambda: one(connection, "SELECT 1") and not why_read_only(connection))
            ((status, text),) = doctor("hosts")
            assert status == "fail"
            assert "all of them" in text
            primary.kill()
            warned, took = doctor("hosts")
            assert (warned[0], took) == ("warn", ("ok", f"127.0.0.1:{second} takes writes"))
        finally:
            stores.close()
