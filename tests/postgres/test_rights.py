"""Two roles: the owner migrates, another serves; it owns nothing, and has what it needs."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import psycopg
import pytest
from postgres.test_cli import Cli
from postgres.test_import import Importing, axb_rows

from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axe, Axyb, Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback
from agi_router.calls.decision import Route
from agi_router.calls.end import Outcome
from agi_router.calls.lookup import CallLookup
from agi_router.calls.store import AdmissionStore
from agi_router.consent.ledger import Act, How, Statement
from agi_router.db.connection import Connection, connect
from agi_router.db.migrate import check_schema, migrate
from agi_router.db.rights import (
    Purpose,
    check_rights,
    grant,
    owns_schema,
    renew_grants,
    rights_to_delete,
)
from agi_router.errors import StoreError
from agi_router.feeds.model import FeedKind, NumberForm, Trust
from agi_router.feeds.recycler import Recycler
from agi_router.inventory.capacity import Quarantine
from agi_router.inventory.model import BlockState
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Kind, Retention
from agi_router.maintenance.deletion import Deletion
from agi_router.maintenance.retention import Sweep
from agi_router.maintenance.rotation import Rotation
from harness.database import (
    HOUR,
    NO_REST,
    Server,
    a_call,
    admit_as_router,
    an_end,
    bind,
    database_of,
    new_call_id,
    new_party,
    on_each_version,
    one,
)
from harness.values import BLOCK, A, B, C, D

pytestmark = on_each_version

TIMEOUT = 15.0
RETENTION = Retention()
TABLES = """
SELECT array_agg('agi_router.' || c.relname ORDER BY 1)
  FROM pg_class c
 WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind IN ('r', 'p')
   AND (NOT c.relispartition OR c.relname IN ('call_other', 'event_other'))
"""
_serial = count(1)


@pytest.fixture
def role(server: Server) -> Iterator[str]:
    """A role that may log in, and nothing else."""
    name = f"serves {next(_serial)}"
    with server.admin() as admin:
        admin.execute(f'CREATE ROLE "{name}" LOGIN')
    yield name
    with server.admin() as admin:
        admin.execute(f'DROP ROLE "{name}"')


@pytest.fixture
def served(server: Server, dsn: str, role: str, connection: Connection) -> Iterator[str]:
    """This test's database, as the role that serves."""
    grant(connection, role)
    yield server.dsn(database_of(dsn), user=role)
    with server.admin(database_of(dsn)) as admin:
        admin.execute(f'DROP OWNED BY "{role}"')


async def test_calls(served: str, keys: KeyRing, connection: Connection) -> None:
    """All that a router does: admit, make a number, remember who called, settle, make days."""
    with connect(served) as own:
        check_schema(own)
        check_rights(own)
        store = BindingStore(own, check_keys(own, keys), NO_REST, open_modes=True)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        bind(store)
        terms = Terms(expires_at=store.now() + HOUR)
        child = store.bind(Axyb(a=A, b=B, y_ttl=Y_TTL), terms)
        stranger = store.bind(Ax(a=A, callback=Callback.LAST), terms)
        calls = [
            a_call(caller, party.dials)
            for made, caller in ((child, A), (stranger, new_party()))
            for party in made.parties
            if party.dials is not None
        ]
    day = datetime.now(UTC).date() + timedelta(days=3)
    connection.execute(f"DROP TABLE agi_router.call_{day:%Y%m%d}")
    async with AdmissionStore(served, keys, connections=2, open_modes=True) as admissions:
        call_id = new_call_id()
        assert (await admissions.admit(a_call(), call_id, timeout=TIMEOUT)).admitted
        for call in calls:
            _, decision = await admit_as_router(admissions, call, new_call_id())
            assert isinstance(decision, Route)
        await admissions.settle([an_end(call_id, Outcome.BUSY)])
        assert (await admissions.reserved("pbx1")).keys()
        await admissions.statistics()
        await admissions.ensure_days()
    assert one(connection, f"SELECT to_regclass('agi_router.call_{day:%Y%m%d}') IS NOT NULL")


def test_work_by_hand(served: str, keys: KeyRing, connection: Connection, tmp_path: Path) -> None:
    """All that commands do but migrating and granting."""
    gone = datetime.now(UTC).date() - RETENTION.records - timedelta(days=3)
    connection.execute("SELECT agi_router.ensure_days('call', %s, %s)", (gone, gone))
    with connect(served) as own:
        ring = check_keys(own, keys)
        store = BindingStore(own, ring, NO_REST, open_modes=True)
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        store.inventory.tenants.add("other")
        store.inventory.tenants.set_active("other", active=False)
        terms = Terms(expires_at=store.now() + HOUR, order_id="O-1")
        group = store.bind(Gxb(members=(A, new_party()), b=B), terms)
        store.add_members(group.id, [new_party()])
        store.remove_member(group.id, A)
        store.extend(group.id, store.now() + 2 * HOUR)
        store.end_order("O-1")
        store.bind(Axe(a=A, extension="7"), terms)
        assert len(list(store.stream(everything=True, order_id=None))) == 2
        assert CallLookup(store.connection).calls(since=store.now() - HOUR, limit=5) == []
        assert store.inventory.statistics()
        assert Importing(served, keys)(axb_rows(20, first=100)).bound == 20
        assert Importing(served, keys)(axb_rows(20, first=200), dry_run=True).bound == 20
        recycler = Recycler(own, ring)
        recycler.store.add(
            "unicom",
            kind=FeedKind.STDIN,
            path=None,
            numbers=NumberForm.PLAIN,
            trust=Trust.FULL,
        )
        store.bind(Axb(a=C, b=D), terms)
        text = f"number,status,date\n{C.digits},1,{store.now().isoformat()}\nx,y,z\n"
        run = recycler.run(recycler.store.find("unicom"), io.BytesIO(text.encode()), name="-")
        assert (recycler.store.run(run)["ended"], len(recycler.store.faults(run))) == (1, 1)
        assert recycler.store.matches(run)
        recycler.store.remove("unicom")
        rested = Quarantine(number=timedelta(0), party=timedelta(0))
        swept = list(Sweep(own, rested, RETENTION).steps())
        # The day that is over is for another role.
        assert sum(step.days for step in swept) == 0
        assert sum(step.moved for step in swept) > 0
        file = tmp_path / "key"
        write_key_ring(file, keys)
        rotation = Rotation(own, ring, file)
        assert rotation.unaware() == []
        rotation.switch(rotation.add(["seal"]))
        list(rotation.renewal().run())
        rotation.retire("seal", keys.seal_keys[-1][0])
        store = BindingStore(own, rotation.keys, NO_REST, open_modes=True)
        for each in store.bindings(everything=False, order_id=None, limit=100):
            store.unbind(each.id)
        store.inventory.set_block_state(BLOCK, BlockState.RETURNED)


def test_another_deletes(
    server: Server,
    dsn: str,
    role: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
) -> None:
    """All that is past retention, of each kind; it can write no binding and read no key."""
    gone = datetime.now(UTC).date() - RETENTION.records - timedelta(days=3)
    connection.execute("SELECT agi_router.ensure_days('call', %s, %s)", (gone, gone))
    over = bind(store)
    store.unbind(over.id)
    long_ago = {"ago": RETENTION.logs + timedelta(days=9)}
    connection.execute("DELETE FROM agi_router.route")
    connection.execute(
        "UPDATE agi_router.binding SET begins_at = now() - %(ago)s - interval '1 hour',"
        " ended_at = now() - %(ago)s, expires_at = now() - %(ago)s",
        long_ago,
    )
    doctor = Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY": keys.to_text()})
    [told] = due(doctor)
    assert told.startswith("due: binding, call; nothing was deleted ever: enable")
    grant(connection, role, Purpose.RETAIN)
    with connect(server.dsn(database_of(dsn), user=role)) as own:
        check_rights(own, Purpose.RETAIN)
        steps = list(Deletion(own, RETENTION).steps())
        assert {step.kind for step in steps if step.days} == {Kind.CALL, Kind.BINDING}
        for statement in (
            b"UPDATE agi_router.binding SET max_calls = 1",
            b"INSERT INTO agi_router.route SELECT * FROM agi_router.route",
            b"SELECT secret FROM agi_router.webhook",
            b"DELETE FROM agi_router.audit",
            b"DELETE FROM agi_router.binding",
            b"DELETE FROM agi_router.past_route",
            b"DELETE FROM agi_router.call_other",
            b"DELETE FROM agi_router.kept_call",
            b"DELETE FROM agi_router.lock",
            b"DELETE FROM agi_router.old_number",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute(statement)
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 0
    assert due(doctor) == []
    migrate(connection)
    assert renew_grants(connection) == [role]
    with server.admin(database_of(dsn)) as admin:
        admin.execute(f'DROP OWNED BY "{role}"')


YOUNG = """
INSERT INTO agi_router.lock (id, subject, key, reason, set_by, set_at, starts_at, over_at,
                             lifted_by)
VALUES (1, 'number', 700123456780001, 'misuse', 'a test', now() - interval '729 days',
        now() - interval '729 days', now() - interval '729 days', 'a test');
INSERT INTO agi_router.old_number (number, x_number, tenant_id, moved_at)
VALUES ('95013000001', 700123456780001, 1, now() - interval '729 days');
INSERT INTO agi_router.call_other (block, id, day, x_number, received_at, state)
VALUES (70012345678, 'pbx1-1.1', (now() AT TIME ZONE 'UTC')::date - 183, 700123456780001, now(),
        'settled');
UPDATE agi_router.binding
   SET begins_at = now() - interval '183 days', ended_at = now() - interval '182 days',
       expires_at = now() - interval '182 days'
"""
EARLY = (
    "SELECT ids FROM agi_router.delete_bindings(70012345678, 0, now() + interval '1 day', 99)",
    "SELECT agi_router.delete_strays('call', current_date + 1, 99) AS ids",
    "SELECT agi_router.delete_strays('message', current_date + 1, 99) AS ids",
    "SELECT agi_router.delete_strays('event', current_date + 1, 99) AS ids",
    "SELECT agi_router.delete_locks(now() + interval '1 day', 99) AS ids",
    "SELECT agi_router.delete_blocklist(now() + interval '1 day', 99) AS ids",
    "SELECT agi_router.delete_old_numbers(now() + interval '1 day', 99) AS ids",
    "SELECT agi_router.delete_told(now() + interval '1 day') AS ids",
    "SELECT agi_router.delete_consents(now() + interval '1 day', 99) AS ids",
    "SELECT agi_router.delete_complaints(now() + interval '1 day', 99) AS ids",
    "SELECT agi_router.delete_recordings(now() + interval '1 day', 99) AS ids",
    "SELECT agi_router.delete_holds(now() + interval '1 day', 99) AS ids",
)


def test_nobody_deletes_too_early(
    server: Server, dsn: str, role: str, connection: Connection, store: BindingStore
) -> None:
    """Whatever its settings are: the database holds the role to the legal floor."""
    over = bind(store)
    store.unbind(over.id)
    connection.execute("DELETE FROM agi_router.route")
    for statement in YOUNG.split(";"):
        connection.execute(statement.encode())
    today = datetime.now(UTC).date()
    connection.execute("SELECT agi_router.ensure_days('call', %s, %s)", (today, today))
    grant(connection, role, Purpose.RETAIN)
    with connect(server.dsn(database_of(dsn), user=role)) as own:
        for statement in EARLY:
            assert one(own, statement) == [], statement
        young = today - timedelta(days=183)
        for day in (young, today):
            assert not one(own, "SELECT agi_router.detach_day('call', %s, '')", day)
    # Once they are over, they go.
    connection.execute(
        "UPDATE agi_router.binding SET begins_at = now() - interval '200 days',"
        " ended_at = now() - interval '199 days'"
    )
    with connect(server.dsn(database_of(dsn), user=role)) as own:
        assert one(own, EARLY[0]) == [str(over.id)]
    with server.admin(database_of(dsn)) as admin:
        admin.execute(f'DROP OWNED BY "{role}"')


def due(cli: Cli) -> list[str]:
    """What the doctor says of retention."""
    checks = json.loads(cli("doctor", "--json").out)["checks"]
    return [each["text"] for each in checks if each["check"] == "retention"]


def test_a_name_alone_makes_no_router(
    server: Server, dsn: str, role: str, connection: Connection, keys: KeyRing, tmp_path: Path
) -> None:
    """Whoever may connect can take a router's name; a router also may read the schema."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    named = server.dsn(database_of(dsn), user=role)
    with connect(dsn) as own, psycopg.connect(named, application_name="agi_router serve 0000"):
        rotation = Rotation(own, check_keys(own, keys), file)
        assert rotation.unaware() == []
        grant(connection, role)
        [told] = rotation.unaware()
        # Whoever is no superuser is not told where another role comes from.
        assert told.endswith(f"of {role!r} at an address that only a superuser is told")
    with server.admin(database_of(dsn)) as admin:
        admin.execute(f'DROP OWNED BY "{role}"')


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE agi_router.more ()",
        "CREATE SCHEMA more",
        "CREATE TABLE public.more ()",
        "DROP TABLE agi_router.route",
        "TRUNCATE agi_router.call",
        "ALTER TABLE agi_router.binding ADD COLUMN more text",
        "DELETE FROM agi_router.call",
        "UPDATE agi_router.migration SET checksum = ''",
        "UPDATE agi_router.function SET checksum = ''",
        "CREATE OR REPLACE FUNCTION agi_router.seals_so_far() RETURNS bigint AS '' LANGUAGE sql",
        "DELETE FROM agi_router.key",
        "DELETE FROM agi_router.binding",
        "DELETE FROM agi_router.kept_call",
        "DELETE FROM agi_router.recording",
        "SELECT agi_router.detach_day('call', '2020-01-01', '')",
        "SELECT agi_router.delete_recordings(now(), 1)",
        "INSERT INTO agi_router.deletion (kind, day, whole, rule) VALUES ('', now(), true, '')",
        "DROP FUNCTION agi_router.refuse_row CASCADE",
        "ALTER TABLE agi_router.binding DISABLE TRIGGER ALL",
        "SELECT agi_router.grant_right('postgres', 'table', 'agi_router.key', 'SELECT')",
    ],
)
def test_what_it_may_not(served: str, statement: str) -> None:
    """Nothing that changes what the schema is, nor what has to be kept."""
    with connect(served) as own, pytest.raises(psycopg.errors.InsufficientPrivilege):
        own.execute(statement.encode())


def test_it_owns_nothing(served: str, role: str, connection: Connection) -> None:
    """And what is made for it belongs to the owner."""
    day = datetime.now(UTC).date() + timedelta(days=20)
    with connect(served) as own:
        assert not owns_schema(own)
        own.execute("SELECT agi_router.ensure_days('call', %s, %s)", (day, day))
    assert owns_schema(connection)
    owned = "SELECT count(*) FROM pg_class WHERE relowner = %s::regrole"
    assert one(connection, owned, f'"{role}"') == 0


def test_what_runs_as_the_owner_looks_nowhere_else(connection: Connection) -> None:
    """No function with the owner's rights can be led to somebody else's objects."""
    rows = connection.execute(
        "SELECT proname, proconfig, has_function_privilege('public', oid, 'EXECUTE') AS open"
        " FROM pg_proc WHERE pronamespace = 'agi_router'::regnamespace AND prosecdef"
    ).fetchall()
    assert {row["proname"] for row in rows} >= {"ensure_days", "detach_day", "drop_detached"}
    for row in rows:
        assert "search_path=pg_catalog, pg_temp" in row["proconfig"]
        assert not row["open"]


def test_every_table_is_thought_of(served: str, connection: Connection) -> None:
    """A new table belongs into list_rights: at least reading it is what a program needs it for."""
    with connect(served) as own:
        for table in one(connection, TABLES):
            assert one(own, "SELECT has_table_privilege(%s, 'SELECT')", table), table


def test_consent_is_only_added(served: str, keys: KeyRing, connection: Connection) -> None:
    """Whoever serves has no right to change or delete one; nor what is known of real names."""
    with connect(served) as own:
        store = BindingStore(own, check_keys(own, keys))
        said = Statement(act=Act.GIVEN, how=How.APP)
        store.consents.write(A, "default", said, by="a test")
        store.withdraw(A, "default", said, by="a test")
        for statement in (
            "UPDATE agi_router.consent SET act = 'given', how = 'app'",
            "DELETE FROM agi_router.consent",
            "TRUNCATE agi_router.consent",
            "UPDATE agi_router.real_name SET status = 'yes'",
            "DELETE FROM agi_router.real_name",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                own.execute(statement)
    assert one(connection, "SELECT count(*) FROM agi_router.consent") == 2


def test_missing_rights_are_named(served: str, role: str, connection: Connection) -> None:
    """Each of them, and what to do."""
    connection.execute(f'REVOKE DELETE ON agi_router.route FROM "{role}"')
    connection.execute(f'REVOKE USAGE ON SEQUENCE agi_router.binding_id FROM "{role}"')
    with connect(served) as own:
        with pytest.raises(StoreError) as caught:
            check_rights(own)
        assert str(caught.value) == (
            f"the role {role!r} lacks DELETE on table agi_router.route, USAGE on sequence"
            " agi_router.binding_id: let the owner of the schema run"
            f" 'agi-router db grant {role}'"
        )
    assert grant(connection, role) == [
        "DELETE on table agi_router.route",
        "USAGE on sequence agi_router.binding_id",
    ]
    assert grant(connection, role) == []


def test_an_upgrade_gives_what_is_new(
    served: str, role: str, connection: Connection, server: Server
) -> None:
    """To roles that serve; a role that only reads the schema gets nothing."""
    connection.execute(f'REVOKE INSERT ON agi_router.tenant FROM "{role}"')
    with server.admin() as admin:
        admin.execute('CREATE ROLE "only reads"')
    try:
        connection.execute('GRANT USAGE ON SCHEMA agi_router TO "only reads"')
        migrate(connection)
        assert renew_grants(connection) == [role]
        with connect(served) as own:
            check_rights(own)
        connection.execute('REVOKE USAGE ON SCHEMA agi_router FROM "only reads"')
    finally:
        with server.admin() as admin:
            admin.execute('DROP ROLE "only reads"')


def test_who_serves_and_deleted(
    server: Server, served: str, role: str, connection: Connection, keys: KeyRing
) -> None:
    """An upgrade gives it no more of that, the doctor warns, and what the page says takes it."""
    deleting = f"{role}-retention"
    check_keys(connection, keys)
    served_before = Cli({"AGI_ROUTER_DSN": served, "AGI_ROUTER_KEY": keys.to_text()})
    assert said_of_rights(served_before) == "what serving needs"
    grant(connection, role, Purpose.RETAIN)
    connection.execute(
        f'REVOKE EXECUTE ON FUNCTION agi_router.delete_recordings FROM "{role}"'.encode()
    )
    assert renew_grants(connection) == [role]
    function = "agi_router.delete_recordings(timestamptz, integer)"
    asked = f"SELECT has_function_privilege('{role}', '{function}', 'EXECUTE')"
    assert one(connection, asked) is False
    told = said_of_rights(served_before)
    assert "serves, and may delete records, too: INSERT on table agi_router.deletion, and" in told
    with server.admin() as admin:
        admin.execute(f'CREATE ROLE "{deleting}"')
    grant(connection, deleting, Purpose.RETAIN)
    tables = "agi_router.binding, agi_router.lock"
    for each in (role, deleting):
        connection.execute(f'GRANT DELETE, TRUNCATE ON {tables} TO "{each}"'.encode())
    with connect(served) as own:
        held = rights_to_delete(own)
    more = [
        f"{x} on table agi_router.{y}" for x in ("DELETE", "TRUNCATE") for y in ("binding", "lock")
    ]
    assert held == {role: [*held[role][:-4], *more], deleting: more}
    page = (Path(__file__).parent.parent.parent / "docs/operate.md").read_text("utf-8")
    _, _, behind = page.partition("### Who deletes")
    revoked = behind.partition("```sql")[2].partition("```")[0]
    revoked = revoked.replace('"agi-router', f'"{role}')
    for statement in revoked.split(";")[:-1]:
        connection.execute(statement.encode())
    assert said_of_rights(served_before) == "what serving needs"
    assert grant(connection, deleting, Purpose.RETAIN)
    assert said_of_rights(served_before) == "what serving needs"
    with server.admin(connection.info.dbname) as admin:
        admin.execute(f'DROP OWNED BY "{deleting}"; DROP ROLE "{deleting}"')


def said_of_rights(cli: Cli) -> str:
    """What the doctor says of them."""
    checks = json.loads(cli("doctor", "--json").out)["checks"]
    (told,) = [str(each["text"]) for each in checks if each["check"] == "rights"]
    return told


def test_rights_outlive_the_functions(served: str, role: str, connection: Connection) -> None:
    """They are there when a function was replaced, and given again where it was made anew."""
    connection.execute("UPDATE agi_router.function SET checksum = 'x'")
    assert migrate(connection).functions
    with connect(served) as own:
        check_rights(own)
    for name in ("ensure_days(text, date, date)", "detach_day(text, date, text)"):
        connection.execute(f"DROP FUNCTION agi_router.{name}")
    connection.execute("UPDATE agi_router.function SET checksum = 'x'")
    migrate(connection)
    assert renew_grants(connection) == [role]
    with connect(served) as own:
        check_rights(own)


def test_who_may_not_grant(served: str, role: str, connection: Connection) -> None:
    """Only the owner, and only to a role that is there."""
    with connect(served) as own, pytest.raises(StoreError, match="only the owner"):
        grant(own, role)
    with pytest.raises(StoreError, match="no role 'nobody at all'"):
        grant(connection, "nobody at all")


def test_the_command_line(served: str, dsn: str, role: str) -> None:
    """The owner grants; the role that serves is told that it may not migrate."""
    owner, serves = Cli({"AGI_ROUTER_DSN": dsn}), Cli({"AGI_ROUTER_DSN": served})
    assert owner("db", "grant", role).out == f"{role} has what it needs to serve\n"
    assert owner("db", "migrate").out.endswith("the schema is up to date\n")
    assert owner("db", "grant", f"{role}-").code == 77
    refused = serves("db", "migrate")
    assert refused.code == 77
    assert "42501" in refused.err
