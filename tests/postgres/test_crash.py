"""Lost lines, lost backends, a server killed or frozen: what callers were told stays true."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.calls.decision import Refusal, decide
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore, Unsettled
from agi_router.db import pool as connection_pool
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.fast_connection import FastConnection
from agi_router.doors.http.auth import take_nonce
from agi_router.errors import StoreBusy, StoreUnavailable
from agi_router.keys.ring import KeyRing
from agi_router.schemas.problems import Problem
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope
from agi_router.tenants.signature import Stamp
from harness.database import (
    NO_REST,
    Proxy,
    Server,
    a_call,
    an_end,
    bind,
    call_states,
    calls_used,
    new_call_id,
    one,
    until_async,
)
from harness.values import BLOCK, C, D

TIMEOUT = 30.0
EVER = 10 * TIMEOUT
"""Longer than a line is silent where the machine stands still."""
WORKERS = 16
REPEATED, FORGOTTEN = "signature_repeated", "signatures_forgotten"


class Callers:
    """
    Many callers at once on one binding, who ask again until they are answered.

    Args:
        admissions: Who is asked.
    """

    def __init__(self, admissions: AdmissionStore) -> None:
        self._admissions = admissions
        self.admitted: list[str] = []
        self.refused: list[str] = []
        self.retries = 0

    async def run(self) -> None:
        """Call until every caller was told that the binding is used up."""
        await asyncio.gather(*(self._call_until_used_up() for _ in range(WORKERS)))

    async def _call_until_used_up(self) -> None:
        for _ in range(10_000):
            call_id = new_call_id()
            if await self._decided(call_id) is None:
                self.admitted.append(call_id)
            else:
                self.refused.append(call_id)
                return
        raise AssertionError("the binding is never used up")

    async def _decided(self, call_id: str) -> Reason | None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                answer = await self._admissions.admit(a_call(), call_id, timeout=2)
            except StoreUnavailable:
                self.retries += 1
                await asyncio.sleep(0.01)
                continue
            decision = decide(a_call(), answer.facts, now=answer.now)
            assert answer.admitted is not isinstance(decision, Refusal)
            if isinstance(decision, Refusal):
                assert decision.reason is Reason.USED_UP
                return decision.reason
            return None
        raise AssertionError("no answer in a minute")


def port_of(dsn: str) -> str:
    """Return the port that a DSN names."""
    return str(conninfo_to_dict(dsn)["port"])


def check_books(connection: Connection, callers: Callers, limit: int) -> None:
    """Hold what callers were told against what is stored."""
    assert len(callers.admitted) == len(set(callers.admitted)) == limit
    assert calls_used(connection) == limit
    assert call_states(connection) == dict.fromkeys(callers.admitted, "reserved")


async def give_back_all(
    connection: Connection, admissions: AdmissionStore, callers: Callers
) -> None:
    """Settle every call as unanswered; all uses come back."""
    ends = [an_end(each, Outcome.BUSY) for each in callers.admitted]
    await admissions.settle(ends)
    assert calls_used(connection) == 0


async def test_backends_terminated(
    connection: Connection, store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """Backends are ended all the time; exactly as many calls are admitted as are left."""
    limit = 300
    bind(store, max_calls=limit)
    ended = 0
    async with AdmissionStore(dsn, keys, connections=8) as admissions:
        await until_async(lambda: admissions.pool.connected == 8)
        callers = Callers(admissions)
        work = asyncio.ensure_future(callers.run())
        while not work.done():
            before = len(callers.admitted)
            ended += one(
                connection,
                "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM"
                " (SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name LIKE 'agi_router serve%%' ORDER BY random() LIMIT 3) b",
            )
            # Where connecting takes long, nobody would ever be served.
            await until_async(
                lambda before=before: len(callers.admitted) > before or work.done()  # type: ignore[misc]
            )
        await work
        check_books(connection, callers, limit)
        assert ended >= 3
        await give_back_all(connection, admissions, callers)


@pytest.fixture
def durable_dsn(durable_server: Server) -> Iterator[str]:
    """A database on the server that is killed."""
    cloned = durable_server.clone()
    yield cloned
    durable_server.drop(cloned)


async def test_server_killed(durable_server: Server, durable_dsn: str, keys: KeyRing) -> None:
    """The server is killed again and again; what was told and what is stored agree."""
    limit = 200
    with connect(durable_dsn) as connection:
        store = BindingStore(connection, keys, NO_REST)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        bind(store, max_calls=limit)
    async with AdmissionStore(durable_dsn, keys, connections=8) as admissions:
        callers = Callers(admissions)
        work = asyncio.ensure_future(callers.run())
        for enough in (40, 80, 140):
            await until_async(
                lambda enough=enough: len(callers.admitted) >= enough or work.done()  # type: ignore[misc]
            )
            assert not work.done()
            durable_server.kill()
            await asyncio.to_thread(durable_server.start)
        await asyncio.wait_for(work, 60)
        assert callers.retries
        with connect(durable_dsn) as connection:
            check_books(connection, callers, limit)
            await give_back_all(connection, admissions, callers)


async def test_killed_while_settling(
    durable_server: Server, durable_dsn: str, keys: KeyRing
) -> None:
    """A batch that was cut short by a kill is told again; every use comes back once."""
    with connect(durable_dsn) as connection:
        store = BindingStore(connection, keys, NO_REST)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        bind(store)
    async with AdmissionStore(durable_dsn, keys, connections=8) as admissions:
        ids = [new_call_id() for _ in range(200)]
        await asyncio.gather(*(admissions.admit(a_call(), e, timeout=TIMEOUT) for e in ids))
        batches = [[an_end(e, Outcome.BUSY) for e in ids[n : n + 10]] for n in range(0, 200, 10)]
        settling = [asyncio.ensure_future(admissions.settle(batch)) for batch in batches]
        await asyncio.wait(settling, return_when=asyncio.FIRST_COMPLETED)
        durable_server.kill()
        await asyncio.to_thread(durable_server.start)
        results = await asyncio.gather(*settling, return_exceptions=True)
        assert all(isinstance(r, Unsettled | StoreUnavailable) for r in results)
        await until_async(lambda: admissions.pool.connected)
        for batch in batches:
            await admissions.settle(batch)
        with connect(durable_dsn) as connection:
            assert calls_used(connection) == 0
            assert call_states(connection) == dict.fromkeys(ids, "settled")


async def test_reply_lost_after_commit(
    connection: Connection,
    store: BindingStore,
    through_proxy: AdmissionStore,
    proxy: Proxy,
) -> None:
    """The store asks again by itself, gets the decision that was stored, and takes one use."""
    # The use it took was the last one: the retry must not be refused for it.
    bind(store, max_calls=1)
    proxy.armed = 1
    call_id = new_call_id()
    answer = await through_proxy.admit(a_call(), call_id, timeout=TIMEOUT)
    assert proxy.cuts == 1
    assert answer.admitted
    assert answer.facts.hit is not None
    assert answer.facts.hit.calls_used == 0
    assert calls_used(connection) == 1
    assert call_states(connection) == {call_id: "reserved"}


async def test_reply_lost_each_time(
    connection: Connection,
    store: BindingStore,
    through_proxy: AdmissionStore,
    proxy: Proxy,
) -> None:
    """Where the store gives up, its caller may ask again with the same id, and takes one use."""
    bind(store, max_calls=1)
    proxy.armed = 2
    call_id = new_call_id()
    with pytest.raises(StoreUnavailable):
        await through_proxy.admit(a_call(), call_id, timeout=TIMEOUT)
    assert proxy.cuts == 2
    answer = await through_proxy.admit(a_call(), call_id, timeout=TIMEOUT)
    assert answer.admitted
    assert calls_used(connection) == 1
    assert call_states(connection) == {call_id: "reserved"}


async def test_reply_to_settling_lost(
    connection: Connection,
    store: BindingStore,
    through_proxy: AdmissionStore,
    proxy: Proxy,
) -> None:
    """A batch whose reply was lost is told again, and gives each use back once."""
    bind(store)
    ids = [new_call_id() for _ in range(3)]
    for each in ids:
        await through_proxy.admit(a_call(), each, timeout=TIMEOUT)
    proxy.armed = 1
    await through_proxy.settle([an_end(each) for each in ids[:2]])
    assert proxy.cuts == 1
    assert calls_used(connection) == 1


async def test_server_frozen(
    monkeypatch: pytest.MonkeyPatch,
    server: Server,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
) -> None:
    """Nobody waits longer than asked for a frozen server; thawed, it serves, and nothing leaks."""
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    bind(store)
    await admissions.admit(a_call(), warm := new_call_id(), timeout=TIMEOUT)
    ids = [new_call_id() for _ in range(20)]
    server.freeze()
    try:
        # It answers nobody, so whoever is told has not waited for it.
        async with asyncio.timeout(TIMEOUT):
            results = await asyncio.gather(
                *(admissions.admit(a_call(), each, timeout=0.3) for each in ids),
                return_exceptions=True,
            )
        assert all(isinstance(result, StoreUnavailable) for result in results)
        with pytest.raises(StoreUnavailable, match="in time"):
            await admissions.settle([an_end(warm)], timeout=0.2)
    finally:
        server.thaw()
    late = new_call_id()
    assert (await admissions.admit(a_call(), late, timeout=TIMEOUT)).admitted
    # Those sent before the freeze may have been admitted after it: their ends give it back.
    await admissions.settle([an_end(each, None) for each in (*ids, warm, late)])
    assert calls_used(connection) == 0


async def test_nobody_asks_for_those_who_left(
    monkeypatch: pytest.MonkeyPatch,
    connection: Connection,
    server: Server,
    store: BindingStore,
    admissions: AdmissionStore,
) -> None:
    """Of those who stopped waiting, only the few that were sent already are ever asked for."""
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    bind(store)
    await asyncio.gather(
        *(admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT) for _ in range(20))
    )
    connection.execute(b"DELETE FROM agi_router.call")
    server.freeze()
    try:
        await asyncio.gather(
            *(admissions.admit(a_call(), new_call_id(), timeout=0.1) for _ in range(100)),
            return_exceptions=True,
        )
    finally:
        server.thaw()
    await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
    # Each of four connections takes up to eight at once.
    assert len(call_states(connection)) <= 4 * 8 + 1


async def test_server_is_slow(
    monkeypatch: pytest.MonkeyPatch,
    connection: Connection,
    store: BindingStore,
    proxy: Proxy,
    keys: KeyRing,
) -> None:
    """Those who can be served in time are, others are refused in time, and nothing piles up."""
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    bind(store)
    async with AdmissionStore(proxy.dsn, keys, connections=4) as admissions:
        await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
        await until_async(lambda: admissions.pool.connected == 4)
        connection.execute(b"UPDATE agi_router.binding SET calls_used = 0")
        connection.execute(b"DELETE FROM agi_router.call")
        # Four connections, eight calls at once on each: 32 a second. All times are long beside
        # what a busy machine adds.
        proxy.delay = 1.0
        ids = [new_call_id() for _ in range(250)]
        results = await asyncio.gather(
            *(admissions.admit(a_call(), each, timeout=4.5) for each in ids),
            return_exceptions=True,
        )
        refused = [result for result in results if isinstance(result, StoreUnavailable)]
        assert 0 < len(refused) < len(ids)
        assert all(isinstance(r, StoreUnavailable) or r.admitted for r in results)  # type: ignore[union-attr]
        proxy.delay = 0
        await until_async(lambda: admissions.pool.waiting == 0)
        last = new_call_id()
        assert (await admissions.admit(a_call(), last, timeout=TIMEOUT)).admitted
        # Those that were being asked when their callers left are admitted besides: once, and once
        # more where this process stood still, and read an answer before it looked at its clock.
        assert calls_used(connection) <= len(ids) - len(refused) + 2 * 4 * 8 + 1
        await admissions.settle([an_end(each, None) for each in (*ids, last)])
        assert calls_used(connection) == 0


async def test_more_than_can_be_served(
    monkeypatch: pytest.MonkeyPatch, store: BindingStore, proxy: Proxy, keys: KeyRing
) -> None:
    """Four times what goes through: who would come too late is refused at once, others served."""
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    bind(store)
    async with AdmissionStore(proxy.dsn, keys, connections=4) as admissions:
        await until_async(lambda: admissions.pool.connected == 4)
        # The statement is prepared on all four.
        await asyncio.gather(
            *(admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT) for _ in range(32))
        )
        # 64 a second, eight at once on each connection. All times are long beside what a busy
        # machine adds.
        proxy.delay = 0.5
        calls = []
        for _ in range(100):
            calls += [
                asyncio.ensure_future(admissions.admit(a_call(), new_call_id(), timeout=8))
                for _ in range(8)
            ]
            await asyncio.sleep(0.03)
        results = await asyncio.gather(*calls, return_exceptions=True)
        busy = [result for result in results if isinstance(result, StoreBusy)]
        late = [r for r in results if isinstance(r, StoreUnavailable) and r not in busy]
        served = len(results) - len(busy) - len(late)
        assert len(busy) > len(results) / 8
        # In the first moment of all nobody knows yet.
        assert len(late) < len(results) / 8
        assert served > 40
        proxy.delay = 0
        assert (await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted


async def test_one_that_hangs_holds_up_nobody(
    server: Server,
    dsn: str,
    store: BindingStore,
    admissions: AdmissionStore,
) -> None:
    """A call behind a lock waits alone; calls of other bindings are answered meanwhile."""
    bind(store)
    bind(store, C, D, x=BLOCK.number(2))
    with server.connect(dsn) as other:
        other.execute("BEGIN")
        other.execute(
            "SELECT FROM agi_router.binding WHERE id = (SELECT min(id) FROM agi_router.binding)"
            " FOR UPDATE"
        )
        waiting = asyncio.create_task(admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT))
        await asyncio.sleep(0.3)
        for _ in range(10):
            call = a_call(C, BLOCK.number(2))
            assert (await admissions.admit(call, new_call_id(), timeout=TIMEOUT)).admitted
        assert not waiting.done()
        other.execute("ROLLBACK")
        assert (await waiting).admitted


async def test_queue_is_bounded(server: Server, dsn: str, keys: KeyRing) -> None:
    """With a frozen server, those who come when too many wait are refused at once."""
    async with AdmissionStore(dsn, keys, connections=1) as admissions:
        server.freeze()
        try:
            waiting = [
                asyncio.ensure_future(admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT))
                for _ in range(2100)
            ]
            done, pending = await asyncio.wait(waiting, timeout=0.5)
            assert len(pending) <= 2001
            assert done
            for each in done:
                assert isinstance(each.exception(), StoreUnavailable)
            for each in pending:
                each.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        finally:
            server.thaw()


async def test_statement_that_hangs_ends_by_itself(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A statement that takes for ever is ended by the server, and the connection serves on."""
    monkeypatch.setattr(connection_pool, "_TRIES", 1)
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    bind(store)

    async def hang(line: FastConnection) -> None:
        await line.execute("SELECT pg_sleep(60)")

    with pytest.raises(StoreUnavailable, match="57014"):
        await admissions.pool.submit(hang, timeout=TIMEOUT)
    assert admissions.pool.losses == 0
    assert (await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted
    assert calls_used(connection) == 1


async def test_database_is_away(dsn: str, keys: KeyRing) -> None:
    """A server that cannot be reached is told so, without a wait."""
    nowhere = make_conninfo(dsn, port=1)
    async with AdmissionStore(nowhere, keys, connections=1) as admissions:
        with pytest.raises(StoreUnavailable, match="cannot be reached"):
            await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)


async def test_back_by_itself(
    durable_server: Server, durable_dsn: str, keys: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    """While the server is away all are refused at once; it is found again by itself."""
    with connect(durable_dsn) as connection:
        store = BindingStore(connection, keys)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        bind(store)
    async with AdmissionStore(durable_dsn, keys, connections=4) as admissions:
        assert (await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted
        await until_async(lambda: admissions.pool.connected == 4)
        durable_server.kill()
        with pytest.raises(StoreUnavailable):
            await admissions.check(timeout=TIMEOUT)
        # Nobody asks for it, and no worker takes work while it is away.
        await until_async(lambda: admissions.pool.connected == 0)
        # Far less than one of them may wait at most.
        async with asyncio.timeout(TIMEOUT):
            for _ in range(1000):
                with pytest.raises(StoreUnavailable, match=r"cannot be reached|does not serve"):
                    await admissions.admit(a_call(), new_call_id(), timeout=10 * TIMEOUT)
        assert admissions.pool.waiting == 0
        await asyncio.to_thread(durable_server.start)
        await until_async(lambda: admissions.pool.connected == 4)
        assert (await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted
    said = [record.msg for record in caplog.records]
    assert (said.count("database.away"), said.count("database.back")) == (1, 1)


async def test_away_is_looked_for_in_measure(dsn: str, keys: KeyRing) -> None:
    """A server that is away is not asked for in a busy loop, however many callers come."""
    asked = 0

    def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.transport.abort()

    nobody = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = nobody.sockets[0].getsockname()[1]
    async with (
        nobody,
        AdmissionStore(make_conninfo(dsn, port=port), keys, connections=4) as admissions,
    ):
        begun = time.monotonic()
        for _ in range(500):
            with pytest.raises(StoreUnavailable):
                await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
            await asyncio.sleep(0.002)
        took = time.monotonic() - begun
    # Four workers, at most every quarter of a second after the first few attempts.
    assert asked < 4 * (10 + took / 0.25)


async def test_silent_line_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
    connection: Connection,
    store: BindingStore,
    through_proxy: AdmissionStore,
    proxy: Proxy,
) -> None:
    """A line that is open and says nothing is cut; a new one serves, and nothing counts twice."""
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    bind(store)
    await through_proxy.admit(a_call(), new_call_id(), timeout=TIMEOUT)
    proxy.silent = True
    monkeypatch.setattr(connection_pool, "_SILENCE", 0.3)
    waiting = asyncio.create_task(through_proxy.admit(a_call(), new_call_id(), timeout=0.1))
    with pytest.raises(StoreUnavailable, match="in time"):
        await waiting
    await until_async(lambda: through_proxy.pool.losses == 1)
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    proxy.silent = False
    await until_async(lambda: through_proxy.pool.connected)
    assert (await through_proxy.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted
    assert calls_used(connection) == 2


async def test_closed_while_the_server_is_frozen(
    monkeypatch: pytest.MonkeyPatch, server: Server, dsn: str, store: BindingStore, keys: KeyRing
) -> None:
    """Who ends while the database says nothing waits for neither it nor a cut of the line."""
    monkeypatch.setattr(connection_pool, "_SILENCE", EVER)
    bind(store)
    async with AdmissionStore(dsn, keys, connections=2) as admissions:
        await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
        await until_async(lambda: admissions.pool.connected == 2)
        server.freeze()
        try:
            with pytest.raises(StoreUnavailable):
                await admissions.admit(a_call(), new_call_id(), timeout=0.1)
            async with asyncio.timeout(TIMEOUT):
                await admissions.pool.__aexit__(None, None, None)
        finally:
            server.thaw()


async def test_demoted_server_is_left(
    server: Server, dsn: str, connection: Connection, store: BindingStore, keys: KeyRing
) -> None:
    """A server that takes no writes any more is as good as away, until it takes them again."""
    bind(store)
    async with AdmissionStore(dsn, keys, connections=1) as admissions:
        await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
        admitted = 1
        with server.admin() as admin:
            admin.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            admin.execute("SELECT pg_reload_conf()")
            try:
                await until_async(
                    lambda: one(connection, "SHOW default_transaction_read_only") == "on"
                )
                # Another of its processes may hear of it later.
                with contextlib.suppress(StoreUnavailable):
                    while admitted < 1000:
                        await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
                        admitted += 1
                assert admitted < 1000
                assert admissions.pool.connected == 0
            finally:
                admin.execute("SET default_transaction_read_only = off")
                admin.execute("ALTER SYSTEM RESET default_transaction_read_only")
                admin.execute("SELECT pg_reload_conf()")
        await until_async(lambda: admissions.pool.connected)
        assert (await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted
        assert calls_used(connection) == admitted + 1


@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_failover(
    version: str, keys: KeyRing, fault: str, record_property: Callable[[str, object], None]
) -> None:
    """The primary goes, the standby is promoted: calls are admitted there, and none is lost."""
    limit = 200
    with Server(version) as primary:
        dsn = primary.clone()
        with connect(dsn) as connection:
            store = BindingStore(connection, keys)
            store.inventory.add_block(BLOCK, operator=None, certificate=None)
            bind(store, max_calls=limit)
        standby = primary.standby()
        try:
            # What was told to a caller must be on the other server too: the operator's choice.
            with primary.admin() as admin:
                admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
                admin.execute("SELECT pg_reload_conf()")
                await until_async(lambda: one(admin, "SHOW synchronous_standby_names") == "*")
            both = make_conninfo(
                dsn, host="127.0.0.1,127.0.0.1", port=f"{port_of(dsn)},{port_of(standby.dsn(''))}"
            )
            async with AdmissionStore(both, keys, connections=4) as admissions:
                callers = Callers(admissions)
                work = asyncio.ensure_future(callers.run())
                await until_async(lambda: len(callers.admitted) >= 50)
                gone = time.monotonic()
                if fault == "killed":
                    primary.kill()
                else:
                    primary.freeze()
                # Nobody takes a standby for a primary.
                await until_async(lambda: admissions.pool.connected == 0)
                before = len(callers.admitted)
                await asyncio.to_thread(standby.promote)
                promoted = time.monotonic()
                # Promised: three seconds, on a machine that is not shared.
                await until_async(lambda: len(callers.admitted) > before)
                back = time.monotonic()
                record_property("longest gap [s]", round(back - gone, 2))
                record_property("of that after the promotion [s]", round(back - promoted, 2))
                await asyncio.wait_for(work, 60)
                with connect(
                    make_conninfo(both, target_session_attrs="read-write", connect_timeout=2)
                ) as connection:
                    check_books(connection, callers, limit)
                    await give_back_all(connection, admissions, callers)
        finally:
            if fault == "frozen":
                primary.thaw()
            standby.remove()


async def test_closed_in_the_middle(
    server: Server, dsn: str, connection: Connection, store: BindingStore, keys: KeyRing
) -> None:
    """A store that is closed while it works leaves no connection open, not even a new one."""
    bind(store)
    with server.connect(dsn) as other:
        other.execute("BEGIN")
        other.execute("SELECT FROM agi_router.binding FOR UPDATE")
        async with AdmissionStore(dsn, keys, connections=1) as admissions:
            waiting = asyncio.ensure_future(
                admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
            )
            await until_async(
                lambda: one(connection, "SELECT count(*) FROM pg_locks WHERE NOT granted")
            )
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        other.execute("ROLLBACK")
    # What was left open warns when it is collected, and a warning fails the test.
    gc.collect()


def test_killed_with_nonces(durable_server: Server, durable_dsn: str, keys: KeyRing) -> None:
    """It has forgotten them: what may have been signed before is refused, by each key's clock."""
    now = datetime.now(UTC)

    def make_key(connection: Connection) -> str:
        key, _ = ApiKeyStore(Queries(connection)).add(
            tenant="default",
            form=KeyForm.SIGNED,
            label="signs",
            scopes=frozenset({KeyScope.BINDINGS_READ}),
            networks=(),
            life=timedelta(hours=1),
            keys=keys,
        )
        return key.id

    def take(key_id: str, seconds: int) -> str:
        stamp = Stamp(f"{now + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}", "0123456789")
        with connect(durable_dsn) as connection:
            try:
                take_nonce(BindingStore(connection, keys), key_id, stamp)
            except Problem as problem:
                return problem.code
            return "taken"

    with connect(durable_dsn) as connection:
        right, ahead = make_key(connection), make_key(connection)
    assert [take(right, 0), take(right, 3), take(right, 3)] == ["taken", "taken", REPEATED]
    assert [take(ahead, 800), take(ahead, -800)] == ["taken", "taken"]
    durable_server.kill()
    durable_server.start()
    # Nothing that was taken is taken again, and nothing is known of what is in between.
    assert [take(right, 0), take(right, 3), take(right, 10)] == [FORGOTTEN] * 3
    assert [take(ahead, 800), take(ahead, -800), take(ahead, 11)] == [FORGOTTEN] * 3
    # All at once find that they are the first.
    with ThreadPoolExecutor(8) as threads:
        codes = sorted(threads.map(lambda _: take(right, 11), range(8)))
    assert codes == [REPEATED] * 7 + ["taken"]
    assert [take(right, 5), take(ahead, 811)] == [FORGOTTEN, "taken"]
    assert [take(right, 60), take(right, 59), take(right, 60)] == ["taken", "taken", REPEATED]
    # It is as sure the second time.
    durable_server.kill()
    durable_server.start()
    assert [take(right, n) for n in (11, 59, 60, 71)] == [FORGOTTEN] * 3 + ["taken"]
