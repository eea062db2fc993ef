"""No real number is found in the database, its files, its log, our logs or our errors."""

from __future__ import annotations

import logging
import traceback

import pytest

from agi_router.bindings.modes import Gxb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.errors import AgiRouterError, BindingConflict, SameParty, StoreError
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from harness.canaries import files_below, found, found_in_file
from harness.database import (
    NO_REST,
    Server,
    a_call,
    an_end,
    bind,
    database_of,
    expire,
    new_call_id,
    new_party,
    one,
)
from harness.values import BLOCK, X

TIMEOUT = 10.0


def dump(connection: Connection) -> bytes:
    """Every row of every table of the schema, all columns as text."""
    tables = connection.execute(
        "SELECT quote_ident(nspname) || '.' || quote_ident(relname) AS name"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE nspname NOT IN ('pg_catalog', 'information_schema') AND relkind = 'r'"
        " AND nspname !~ '^pg_toast'"
    ).fetchall()
    assert len(tables) > 8
    texts = []
    for table in tables:
        with connection.cursor().copy(f"COPY {table['name']} TO STDOUT".encode()) as copy:
            texts += [bytes(chunk) for chunk in copy]
    return b"".join(texts)


def shown(error: BaseException) -> bytes:
    """All that a program could show of an error."""
    parts = ["".join(traceback.format_exception(error)), str(error), repr(error), repr(error.args)]
    return "\n".join(parts).encode()


async def test_no_real_number_anywhere(  # noqa: PLR0915
    server: Server,
    dsn: str,
    keys: KeyRing,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Binds, conflicts, calls, refusals, ends, faults: none leaves a number of a party behind."""
    caplog.set_level(logging.DEBUG)
    with server.admin() as admin:
        # The most that an operator could turn on, values of parameters included.
        for setting in (
            "log_statement = 'all'",
            "log_min_messages = debug1",
            "log_error_verbosity = verbose",
            "log_min_error_statement = debug1",
            "log_parameter_max_length_on_error = -1",
        ):
            admin.execute(f"ALTER DATABASE {database_of(dsn)} SET {setting}")
    logged_before = server.log.stat().st_size
    a, b, c, d, stranger, gone = (new_party() for _ in range(6))
    parties = [each.digits for each in (a, b, c, d, stranger, gone)]
    errors: list[BaseException] = []
    with connect(dsn) as connection:
        check_keys(connection, keys)
        store = BindingStore(connection, keys, NO_REST)
        store.inventory.add_block(BLOCK, operator="Mobile", certificate="1")
        old = bind(store, a, gone)
        expire(connection, old.id)
        made = bind(store, a, b, max_calls=2, order_id="A-1")
        bind(store, c, d)
        bind(store, c, d, x=None)
        for pair in ((a, c), (d, b)):
            with pytest.raises(BindingConflict) as conflict:
                bind(store, *pair)
            errors.append(conflict.value)
        with pytest.raises(StoreError) as failed:
            bind(store, stranger, gone, x=BLOCK.number(9), order_id="x" * 200)
        errors.append(failed.value)
        store.extend(made.id, made.expires_at)
        store.add_group("default", "team", [a, c])
        with pytest.raises(SameParty) as same:
            store.bind(Gxb(group="team", b=c), Terms(expires_at=made.expires_at))
        errors.append(same.value)
        store.bind(Gxb(group="team", b=d), Terms(expires_at=made.expires_at))
        for wrong in ([a], [d]):
            with pytest.raises(SameParty) as same:
                store.change_members("default", "team", joining=wrong)
            errors.append(same.value)
        store.change_members("default", "team", joining=[stranger], leaving=[a])
        async with AdmissionStore(dsn, keys, connections=2) as admissions:
            ends = []
            for caller in (a, b, c, stranger, gone, a, b):
                call_id = new_call_id()
                answer = await admissions.admit(a_call(caller), call_id, timeout=TIMEOUT)
                again = await admissions.admit(a_call(caller), call_id, timeout=TIMEOUT)
                caplog.handler.stream.write(f"{answer!r} {again!s} {a_call(caller)}\n")
                ends.append(
                    an_end(call_id, Outcome.ANSWERED)
                    if answer.admitted
                    else an_end(call_id, None, reason=Reason.STRANGER)
                )
            await admissions.settle(ends)
            await admissions.settle(ends)
            # Faults in the middle of a statement.
            connection.execute(
                b"ALTER TABLE agi_router.call ADD CHECK (state <> 'reserved') NOT VALID"
            )
            connection.execute(
                b"UPDATE agi_router.binding"
                b" SET max_calls = NULL, state = 'active', ended_at = NULL WHERE state = 'used_up'"
            )
            with pytest.raises(AgiRouterError) as broken:
                await admissions.admit(a_call(b), new_call_id(), timeout=TIMEOUT)
            errors.append(broken.value)
            connection.execute(b"UPDATE agi_router.route SET callee = 'x'")
            for caller in (c, d):
                with pytest.raises(AgiRouterError) as sealed:
                    await admissions.admit(a_call(caller), new_call_id(), timeout=TIMEOUT)
                errors.append(sealed.value)
            connection.execute(b"ALTER TABLE agi_router.call RENAME TO gone")
            with pytest.raises(StoreError) as missing:
                await admissions.settle(ends)
            errors.append(missing.value)
        caplog.handler.stream.write(f"{made!r} {made.parties!s} {store!r}\n")
        assert found(dump(connection), parties) == []
    for error in errors:
        assert found(shown(error), parties) == []
    logged = server.log.read_bytes()[logged_before:]
    assert b"agi_router.bind(" in logged, "the server logs less than this test needs"
    assert b"route_pkey" in logged
    assert found(logged, parties) == []
    ours = caplog.text.encode() + b"\n".join(repr(vars(r)).encode() for r in caplog.records)
    assert found(ours, parties) == []


async def test_no_real_number_on_disk(
    server: Server, dsn: str, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Neither tables nor indexes nor the write-ahead log hold a number, nor what was deleted."""
    parties = [new_party() for _ in range(8)]
    marker = new_call_id(node="marker")
    for first, second in zip(parties[::2], parties[1::2], strict=True):
        made = bind(store, first, second)
        await admissions.admit(a_call(first), new_call_id(), timeout=TIMEOUT)
        store.unbind(made.id)
        bind(store, second, first)
    await admissions.admit(a_call(parties[0], X), marker, timeout=TIMEOUT)
    await admissions.settle([an_end(marker)])
    with server.admin(database_of(dsn)) as admin:
        admin.execute("CHECKPOINT")
        oid = one(admin, "SELECT oid FROM pg_database WHERE datname = current_database()")
    numbers = [party.digits for party in parties]
    seen_marker = set()
    for place in (server.data / "base" / str(oid), server.data / "pg_wal"):
        for file in files_below(place):
            if marker.encode() in file.read_bytes():
                seen_marker.add(place.parent.name)
            assert found_in_file(file, numbers) == []
    assert seen_marker == {"base", "data"}, "the search does not see what was written"
