"""What role, database, server and environment may set, and who stands between: nothing changes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from postgres.bouncer import bouncer
from postgres.test_cli import Cli, axb
from postgres.test_crash import port_of
from postgres.test_import import Importing
from psycopg.conninfo import make_conninfo

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb, Gxb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Messages
from agi_router.bulk.columns import EXPORTED
from agi_router.bulk.exporter import export_rows
from agi_router.calls.decision import Route
from agi_router.calls.end import Outcome
from agi_router.calls.lookup import CallLookup
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.db.migrate import check_schema, migrate
from agi_router.errors import BindingConflict, StoreError, StoreUnavailable
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.messages.model import MessageState, Outgoing, Text
from agi_router.messages.store import MessageStore
from agi_router.records.audit import AuditEntry
from harness.cli import Done
from harness.database import (
    NO_REST,
    ROLE,
    Server,
    a_call,
    admit_as_router,
    an_end,
    bind,
    database_of,
    free_default,
    new_call_id,
    on_each_version,
    on_one_server,
    one,
    until,
)
from harness.values import BLOCK, A, B, C, D, X

pytestmark = on_each_version

# Of names that are not English, with what a string could break at.
REVEAL = AuditEntry(act="test", subject="all", reason=None)
ORDER = "订单-\\1'2é"
LIFE = timedelta(hours=2)
TIMEOUT = 10.0
# Of a call, what is not of its moment.
CALL = ("state", "reason", "outcome", "ring_ms", "talk_ms", "cause", "side")

# Whatever may be set for a session and could change what is written, read or decided.
HOSTILE = [
    ("client_encoding", "LATIN1"),
    ("client_encoding", "SQL_ASCII"),
    ("client_encoding", "GB18030"),
    ("DateStyle", "SQL, DMY"),
    ("DateStyle", "German"),
    ("DateStyle", "Postgres, YMD"),
    ("IntervalStyle", "sql_standard"),
    ("IntervalStyle", "iso_8601"),
    ("IntervalStyle", "postgres_verbose"),
    ("TimeZone", "Asia/Shanghai"),
    ("TimeZone", "<ODD>-04:30"),
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "off"),
    ("escape_string_warning", "off"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "-15"),
    ("array_nulls", "off"),
    ("search_path", "hostile, pg_catalog"),
    ("search_path", "nowhere"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_deferrable", "on"),
    ("exit_on_error", "on"),
    ("statement_timeout", "1ms"),
    ("lock_timeout", "1ms"),
    ("idle_session_timeout", "1ms"),
    ("idle_in_transaction_session_timeout", "1ms"),
    ("plan_cache_mode", "force_generic_plan"),
    ("lc_messages", "C.UTF-8"),
    ("lc_numeric", "C.UTF-8"),
    ("lc_time", "C.UTF-8"),
    ("transform_null_equals", "on"),
    ("quote_all_identifiers", "on"),
    ("row_security", "off"),
    ("xmloption", "document"),
    ("check_function_bodies", "off"),
    ("client_min_messages", "debug1"),
    ("plpgsql.extra_errors", "all"),
    ("plpgsql.variable_conflict", "use_column"),
    ("enable_seqscan", "off"),
]


@pytest.fixture
def begin_with(server: Server, dsn: str) -> Iterator[Callable[[str, str], None]]:
    """Say what our sessions in this test's database begin with, above role and database."""
    database = database_of(dsn)
    with server.admin(database) as admin:
        admin.execute("CREATE SCHEMA hostile")
        admin.execute(f"GRANT USAGE ON SCHEMA hostile TO {ROLE}")
        for name in ("now", "clock_timestamp"):
            admin.execute(
                f"CREATE FUNCTION hostile.{name}() RETURNS timestamptz LANGUAGE sql"
                " AS $$ SELECT 'epoch'::timestamptz $$"
            )

        def begin(name: str, value: str) -> None:
            words = value if name == "search_path" else f"'{value}'"
            admin.execute(f"ALTER ROLE {ROLE} IN DATABASE {database} SET {name} = {words}")

        yield begin


def of(binding: Binding, ends: datetime) -> dict[str, Any]:
    """All of a binding but its name and when it was made; its end by what it is off."""
    told = {name: getattr(binding, name) for name in Binding.__slots__}
    return told | {"id": None, "begins_at": None, "expires_at": binding.expires_at - ends}


async def story(dsn: str, keys: KeyRing) -> dict[str, Any]:
    """Bind, import, change, show, list, export, admit, settle; return what came of it."""
    ends = datetime.now(UTC).replace(microsecond=120) + LIFE
    with connect(dsn) as connection:
        check_schema(connection)
        store = BindingStore(connection, keys, NO_REST)
        store.inventory.add_block(
            BLOCK, operator="运营商", certificate="\\x", valid_until=ends + LIFE
        )
        terms = Terms(
            expires_at=ends, max_calls=10, order_id=ORDER, messages=Messages.BOTH, max_messages=9
        )
        made = store.bind(Axb(a=A, b=B), terms, x=X)
        # Errors that are expected; no session ends with one.
        with pytest.raises(BindingConflict):
            store.bind(Axb(a=A, b=B), terms, x=X)
        group = Gxb(members=(A, C), b=D, callback=Callback.ALL)
        rings = store.bind(group, Terms(expires_at=ends), x=BLOCK.number(7))
        store.remove_member(rings.id, C)
        row = f"{ORDER},13912340009,13912340008,{ends.isoformat()},{BLOCK.number(9)}"
        tally = Importing(dsn, keys)(f"mode,order,a,b,expires,x\naxb,{row}\n")
        bindings = [
            made,
            store.find(made.id),
            *store.bindings(everything=True, order_id=None, limit=9),
            *store.bindings(everything=False, order_id=ORDER, limit=9),
        ]
        exported = [
            dict(zip(EXPORTED, cells, strict=True)) | {"id": "", "expires": ""}
            for cells in export_rows(store, everything=True, order_id=ORDER, reveal=REVEAL)
        ]
        (block,) = store.inventory.blocks()
        since = store.now()
    async with AdmissionStore(dsn, keys, connections=1) as admissions:
        answered, refused = new_call_id(), new_call_id()
        _, decision = await admit_as_router(admissions, a_call(), answered)
        assert isinstance(decision, Route)
        # The same: it was admitted already.
        await admissions.admit(a_call(), answered, timeout=TIMEOUT)
        losses = admissions.pool.losses
        await admissions.admit(a_call(C), refused, timeout=TIMEOUT)
        ended = an_end(refused, None, reason=Reason.STRANGER)
        await admissions.settle([an_end(answered, Outcome.ANSWERED), ended])
        texts = MessageStore(admissions.pool, keys, link="sip", validity=LIFE)
        text = Text(sender=A, x_number=X, body="在门口")
        await texts.admit(text, secrets.token_bytes(32), timeout=TIMEOUT)
        (taken,) = await texts.take(9, timeout=TIMEOUT)
        assert isinstance(taken, Outgoing)
        assert await texts.finish(
            taken, MessageState.SENT, reason=None, status=200, timeout=TIMEOUT
        )
        await admissions.check(timeout=TIMEOUT)
        await admissions.ensure_days()
        statistics = await admissions.statistics()
    with connect(dsn) as connection:
        calls = CallLookup(connection).calls(since=since - LIFE, limit=9)
    return {
        "bindings": [of(each, ends) for each in bindings],
        "imported": (tally.bound, tally.rejected),
        "exported": exported,
        "block": block | {"created_at": None, "valid_until": block["valid_until"] - ends},
        "rings": decision.callees,
        "statistics": statistics,
        "losses": losses,
        "text": (taken.body, taken.receiver),
        "late": [since - call["received_at"] > LIFE / 2 for call in calls],
        "calls": {str([call[name] for name in CALL]) for call in calls},
    }


@pytest.fixture(scope="module")
def ordinary() -> dict[str, Any]:
    """What came of it on each server without any setting."""
    return {}


async def as_ordinary(ordinary: dict[str, Any], server: Server, keys: KeyRing) -> dict[str, Any]:
    """Return what comes of the story where nothing is set."""
    if server.version not in ordinary:
        plain = server.clone()
        ordinary[server.version] = await story(plain, keys)
        server.drop(plain)
    return ordinary[server.version]  # type: ignore[no-any-return]


@pytest.mark.parametrize(("name", "value"), HOSTILE)
async def test_a_setting_changes_nothing(
    server: Server,
    begin_with: Callable[[str, str], None],
    dsn: str,
    keys: KeyRing,
    ordinary: dict[str, Any],
    name: str,
    value: str,
) -> None:
    """Whatever role or database set, the same is written, read and decided."""
    expected = await as_ordinary(ordinary, server, keys)
    begin_with(name, value)
    # Not asked of a session that begins with it: a limit of time may end that before it answers.
    with server.admin() as admin:
        begun_with = one(
            admin,
            "SELECT setconfig FROM pg_db_role_setting WHERE setrole = %s::regrole AND setdatabase"
            " = (SELECT oid FROM pg_database WHERE datname = %s)",
            ROLE,
            database_of(dsn),
        )
    assert [each.partition("=")[0] for each in begun_with] == [name]
    assert await story(dsn, keys) == expected


def test_no_statement_is_compiled(dsn: str, begin_with: Callable[[str, str], None]) -> None:
    """A bind took 50 ms and more where PostgreSQL is as Debian ships it."""
    begin_with("jit", "on")
    with connect(dsn) as connection:
        assert one(connection, "SHOW jit") == "off"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PGOPTIONS", "-c DateStyle=German -c standard_conforming_strings=off -c array_nulls=off"),
        ("PGOPTIONS", "--nonsense=1"),
        ("PGCLIENTENCODING", "LATIN1"),
        ("PGCLIENTENCODING", "nonsense"),
        ("PGDATESTYLE", "German"),
        ("PGDATESTYLE", "nonsense"),
        ("PGTZ", "Asia/Shanghai"),
        ("PGTZ", "nonsense"),
        ("PGGEQO", "nonsense"),
    ],
)
async def test_the_environment_changes_nothing(
    server: Server,
    dsn: str,
    keys: KeyRing,
    ordinary: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
) -> None:
    """Variables of libpq say how to reach the database, and not what a session is like."""
    expected = await as_ordinary(ordinary, server, keys)
    monkeypatch.setenv(name, value)
    assert await story(dsn, keys) == expected


async def test_the_connection_string_changes_nothing(
    server: Server, dsn: str, keys: KeyRing, ordinary: dict[str, Any]
) -> None:
    """Nor does what AGI_ROUTER_DSN asks for."""
    expected = await as_ordinary(ordinary, server, keys)
    asking = make_conninfo(dsn, options="-c DateStyle=German", client_encoding="LATIN1")
    assert await story(asking, keys) == expected


async def test_a_schema_is_made_whatever_is_set(
    server: Server, empty_dsn: str, keys: KeyRing, ordinary: dict[str, Any]
) -> None:
    """Migrations are of one text, and make one schema."""
    expected = await as_ordinary(ordinary, server, keys)
    database = database_of(empty_dsn)
    with server.admin(database) as admin:
        for name, value in dict(HOSTILE).items():
            admin.execute(f"ALTER ROLE {ROLE} IN DATABASE {database} SET {name} = '{value}'")
    with connect(empty_dsn) as connection:
        migrate(connection)
        free_default(connection)
    assert await story(empty_dsn, keys) == expected


WHERE = "AGI_ROUTER_DSN, or PGHOST and PGPORT"
POOLER = (
    "a connection pooler stands between the program and PostgreSQL, which keeps neither the"
    " settings of a session nor its statements: connect to PostgreSQL itself (AGI_ROUTER_DSN, or"
    " PGHOST and PGPORT)"
)


@pytest.fixture
def cli(dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return Cli(
        {
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(file),
            "AGI_ROUTER_ARI_URL": "http://127.0.0.1:1",
            "AGI_ROUTER_ARI_PASSWORD": "x",
            "AGI_ROUTER_JOURNAL": str(tmp_path),
            "AGI_ROUTER_AGI_LISTEN": "off",
        }
    )


def database_check(done: Done) -> tuple[str, str]:
    """What doctor says of the database."""
    (check,) = [each for each in json.loads(done.out)["checks"] if each["check"] == "database"]
    return check["status"], check["text"]


@on_one_server
@pytest.mark.parametrize("mode", ["session", "transaction", "statement"])
@pytest.mark.parametrize(
    "ignored", ["", "options,extra_float_digits"], ids=["refuses-options", "drops-options"]
)
async def test_a_pooler_is_refused(
    dsn: str, keys: KeyRing, store: BindingStore, cli: Cli, mode: str, ignored: str
) -> None:
    """In words and at the start, by every program, whatever it makes of our settings."""
    bind(store)
    with bouncer(dsn, mode=mode, ignored=ignored) as through:
        with pytest.raises(StoreUnavailable) as told:
            connect(through)
        assert str(told.value) == POOLER
        async with AdmissionStore(through, keys, connections=1) as admissions:
            with pytest.raises(StoreUnavailable) as told:
                await admissions.check(timeout=TIMEOUT)
            assert str(told.value) == POOLER
        if mode == "transaction":
            commands = [("serve",), ("db", "migrate"), ("doctor", "--json")]
            *refused, doctor = cli.many(commands, [{"AGI_ROUTER_DSN": through}] * 3)
            for done in refused:
                assert (done.code, done.error) == (69, f"agi-router: {POOLER}")
            assert database_check(doctor) == ("fail", POOLER)


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "EUC_CN", "LATIN1"])
async def test_another_encoding_is_refused(
    server: Server, keys: KeyRing, cli: Cli, encoding: str
) -> None:
    """By name, before anything is made in it, and with what to do."""
    name = f"{encoding.lower()}_{server.version}"
    with server.admin() as admin:
        admin.execute(
            f"CREATE DATABASE {name} OWNER {ROLE} ENCODING '{encoding}' TEMPLATE template0"
        )
    dsn = server.dsn(name)
    words = (
        f"the database '{name}' has the encoding {encoding}, and agi_router needs UTF8: make"
        " another one by CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0, and migrate that"
    )
    try:
        async with AdmissionStore(dsn, keys, connections=1) as admissions:
            with pytest.raises(StoreError) as told:
                await admissions.check(timeout=TIMEOUT)
            assert str(told.value) == words
        if encoding != "SQL_ASCII":
            return
        commands = [("db", "migrate"), ("serve",), ("doctor", "--json")]
        *refused, doctor = cli.many(commands, [{"AGI_ROUTER_DSN": dsn}] * 3)
        for done in refused:
            assert (done.code, done.error) == (76, f"agi-router: {words}")
        assert database_check(doctor) == ("fail", words)
    finally:
        server.drop(dsn)


async def test_a_database_kept_from_writes_is_told(
    server: Server, dsn: str, keys: KeyRing, store: BindingStore, cli: Cli
) -> None:
    """An operator's word is heeded and told; what only reads goes on."""
    made = bind(store)
    with connect(dsn) as connection:
        check_keys(connection, keys)
    with server.admin() as admin:
        admin.execute(f"ALTER DATABASE {database_of(dsn)} SET default_transaction_read_only = on")
    words = (
        "the database takes no writes: it is a hot standby, or"
        " default_transaction_read_only is on;"
        f" name the host that takes writes ({WHERE}), or let this one take them"
    )
    binding, shown, doctor = cli.many([axb(), ("show", made.id, "--json"), ("doctor", "--json")])
    assert (binding.code, binding.error) == (69, f"agi-router: {words} (25006)")
    assert shown.json["id"] == str(made.id)
    assert database_check(doctor) == (
        "fail",
        (
            "default_transaction_read_only is on, so nothing can be written: take it"
            " from the server,"
            f" the database or the role, or name a host that takes writes ({WHERE})"
        ),
    )
    async with AdmissionStore(dsn, keys, connections=1) as admissions:
        with pytest.raises(StoreUnavailable) as told:
            await admissions.check(timeout=TIMEOUT)
        assert str(told.value) == words


async def test_a_standby_is_told(version: str, keys: KeyRing, tmp_path: Path) -> None:
    """Of two hosts doctor and router take the one that takes writes, whichever stands first."""
    with Server(version) as primary:
        dsn = primary.clone()
        with connect(dsn) as connection:
            check_keys(connection, keys)
        standby = primary.standby()
        try:
            alone = make_conninfo(dsn, port=port_of(standby.dsn("")))
            both = make_conninfo(
                dsn, host="127.0.0.1,127.0.0.1", port=f"{port_of(alone)},{port_of(dsn)}"
            )
            with primary.admin() as admin:
                until(lambda: not lags(admin))
            file = tmp_path / "key"
            write_key_ring(file, keys)
            cli = Cli({"AGI_ROUTER_KEY_FILE": str(file), "AGI_ROUTER_AGI_LISTEN": "off"})
            migrating, first, second = cli.many(
                [("db", "migrate"), ("doctor", "--json"), ("doctor", "--json")],
                [{"AGI_ROUTER_DSN": each} for each in (alone, alone, both)],
            )
            assert (migrating.code, migrating.error) == (
                69,
                (
                    "agi-router: the database takes no writes: it is a hot standby, or"
                    " default_transaction_read_only is on; name the host that takes writes"
                    f" ({WHERE}), or let this one take them (25006)"
                ),
            )
            assert database_check(first) == (
                "fail",
                (
                    "this is a hot standby, which takes no writes: name the primary"
                    " (AGI_ROUTER_DSN, or"
                    " PGHOST and PGPORT), or promote it"
                ),
            )
            assert database_check(second)[0] == "ok"
        finally:
            standby.remove()


def lags(admin: Connection) -> bool:
    """Whether a standby has not yet all that is written."""
    return not one(
        admin,
        "SELECT coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false)"
        " FROM pg_stat_replication",
    )


def test_triggers_that_are_off_are_refused(
    dsn: str, begin_with: Callable[[str, str], None]
) -> None:
    """A session that heeds neither triggers nor foreign keys writes nothing."""
    begin_with("session_replication_role", "replica")
    with pytest.raises(StoreError) as told:
        connect(dsn)
    assert str(told.value) == (
        "session_replication_role is replica, so triggers and foreign keys are off: take it from"
        " the role or the database (ALTER … RESET session_replication_role)"
    )
