"""Migrations: from nothing, again, by several at once, and databases that do not fit."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest

from agi_router.db import migrate as module
from agi_router.db.connection import Connection, connect
from agi_router.db.migrate import (
    Changes,
    check_schema,
    functions,
    migrate,
    migrations,
    status,
)
from agi_router.errors import SchemaMismatch
from harness.database import on_each_version, one, until

pytestmark = on_each_version

NUMBERS = [each.number for each in migrations()]
FUNCTIONS = sorted(each.name for each in functions())

UNCOMMENTED = """
WITH schema AS (SELECT oid FROM pg_namespace WHERE nspname = 'agi_router')
SELECT 'schema' AS what, 'agi_router' AS name
  FROM schema WHERE obj_description(schema.oid, 'pg_namespace') IS NULL
UNION ALL
SELECT 'relation', c.relname
  FROM pg_class c JOIN schema ON c.relnamespace = schema.oid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S') AND NOT c.relispartition
   -- The sequence of an identity column belongs to the column.
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'i')
   AND obj_description(c.oid, 'pg_class') IS NULL
UNION ALL
SELECT 'column', c.relname || '.' || a.attname
  FROM pg_class c JOIN schema ON c.relnamespace = schema.oid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition
   AND col_description(c.oid, a.attnum) IS NULL
UNION ALL
SELECT 'function', p.proname
  FROM pg_proc p JOIN schema ON p.pronamespace = schema.oid
 WHERE obj_description(p.oid, 'pg_proc') IS NULL
UNION ALL
SELECT 'type', t.typname
  FROM pg_type t JOIN schema ON t.typnamespace = schema.oid
  JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
 WHERE obj_description(t.oid, 'pg_type') IS NULL
"""

PARTITIONS = """
SELECT array_agg(c.relname ORDER BY c.relname)
  FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
 WHERE i.inhparent = 'agi_router.call'::regclass
"""

DAYS = """
SELECT array_agg('call_' || to_char((now() AT TIME ZONE 'UTC')::date + n, 'YYYYMMDD') ORDER BY n)
  FROM generate_series(-1, 14) n
"""


def numbers(done: Changes) -> list[int]:
    return [each.number for each in done.migrations]


def test_fresh_database(empty_dsn: str) -> None:
    """Everything is applied once, in order, and is then known as applied."""
    with connect(empty_dsn) as connection:
        assert all(each.applied_at is None for each in status(connection))
        done = migrate(connection)
        assert (numbers(done), done.functions) == (NUMBERS, FUNCTIONS)
        assert all(each.applied_at is not None for each in status(connection))
        check_schema(connection)


def test_again_applies_nothing(connection: Connection) -> None:
    """A database that is up to date is left alone."""
    before = status(connection)
    assert not migrate(connection)
    assert status(connection) == before


def test_two_at_once(empty_dsn: str) -> None:
    """Of several that migrate at once, one applies and the others find nothing to do."""
    barrier = Barrier(4)

    def work(_: int) -> list[int]:
        with connect(empty_dsn) as connection:
            barrier.wait()
            return numbers(migrate(connection))

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(work, range(4)))
    assert sorted(done) == [[], [], [], NUMBERS]


def test_lock_is_given_back(connection: Connection, dsn: str) -> None:
    """After a refusal too, the next one may migrate."""
    connection.execute("INSERT INTO agi_router.migration VALUES (9999, 'later', 'x')")
    with pytest.raises(SchemaMismatch):
        migrate(connection)
    connection.execute("DELETE FROM agi_router.migration WHERE number = 9999")
    with connect(dsn) as other:
        other.execute("SET lock_timeout = '2s'")
        assert not migrate(other)


def test_never_migrated(empty_dsn: str) -> None:
    """An empty database is older than any program."""
    with (
        connect(empty_dsn) as connection,
        pytest.raises(SchemaMismatch, match=r"older .*agi-router db migrate"),
    ):
        check_schema(connection)


def test_older_schema(connection: Connection) -> None:
    """A migration that is missing is told, with what to do."""
    connection.execute("DELETE FROM agi_router.migration WHERE number = %s", (NUMBERS[-1],))
    with pytest.raises(SchemaMismatch, match=r"older .*1 migration.*agi-router db migrate"):
        check_schema(connection)
    assert status(connection)[-1].applied_at is None


def test_newer_schema(connection: Connection) -> None:
    """A database that a later program has migrated is left alone."""
    connection.execute("INSERT INTO agi_router.migration VALUES (9999, 'later', 'x')")
    for step in (check_schema, status, migrate):
        with pytest.raises(SchemaMismatch, match=r"newer .*9999.*upgrade"):
            step(connection)


def test_changed_file(connection: Connection) -> None:
    """A file that is not the one that was applied is noticed, and nothing is applied."""
    connection.execute("UPDATE agi_router.migration SET checksum = 'x' WHERE number = 1")
    for step in (check_schema, status, migrate):
        with pytest.raises(SchemaMismatch, match="0001 was changed"):
            step(connection)


def test_failed_migration_leaves_nothing(empty_dsn: str) -> None:
    """A migration that fails is undone whole, and noted nowhere."""
    with connect(empty_dsn) as connection:
        connection.execute("CREATE SCHEMA agi_router")
        # In the way of the last table of the first migration.
        connection.execute("CREATE TABLE agi_router.call (id integer)")
        with pytest.raises(Exception, match="42P07") as caught:
            migrate(connection)
        assert "Key" not in str(caught.value)
        assert all(each.applied_at is None for each in status(connection))
        assert one(connection, "SELECT to_regclass('agi_router.binding')") is None
        connection.execute("DROP TABLE agi_router.call")
        assert numbers(migrate(connection)) == NUMBERS


def test_a_database_of_before_the_first_release(empty_dsn: str) -> None:
    """One that the migrations of then have made is told what to do, and left alone."""
    with connect(empty_dsn) as connection:
        connection.execute("CREATE SCHEMA agi_router")
        connection.execute(
            "CREATE TABLE agi_router.migration (number integer PRIMARY KEY, name text,"
            " checksum text, applied_at timestamptz DEFAULT now())"
        )
        connection.execute(
            "INSERT INTO agi_router.migration VALUES (1, 'service', 'x'), (15, 'seals', 'x')"
        )
        for step in (check_schema, status, migrate):
            with pytest.raises(SchemaMismatch, match=r"before the first release.*new database"):
                step(connection)
        assert one(connection, "SELECT to_regclass('agi_router.function')") is None


def test_a_function_that_has_changed(connection: Connection) -> None:
    """It is named, with what to do; and it alone is replaced."""
    connection.execute("UPDATE agi_router.function SET checksum = 'x' WHERE name = 'bind'")
    with pytest.raises(SchemaMismatch, match=r"\(different: bind\): run 'agi-router db migrate'"):
        check_schema(connection)
    applied = "SELECT count(*) FROM agi_router.function WHERE applied_at > %s"
    before = one(connection, "SELECT now()")
    assert migrate(connection) == Changes(migrations=[], functions=["bind"])
    assert one(connection, applied, before) == 1
    check_schema(connection)


def test_a_function_that_is_missing(connection: Connection) -> None:
    """A program that has a new one is told, and makes it."""
    connection.execute("DROP FUNCTION agi_router.admit")
    connection.execute("DELETE FROM agi_router.function WHERE name = 'admit'")
    with pytest.raises(SchemaMismatch, match=r"\(missing: admit\): run 'agi-router db migrate'"):
        check_schema(connection)
    assert migrate(connection).functions == ["admit"]
    assert one(connection, "SELECT to_regproc('agi_router.admit')") is not None


def test_what_no_file_has_is_dropped(connection: Connection) -> None:
    """A function of before, with its trigger, and a trigger that its file has no more."""
    connection.execute(
        "CREATE FUNCTION agi_router.old() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END'"
    )
    for name, function in (("old", "old"), ("more", "check_binding")):
        connection.execute(
            f"CREATE TRIGGER {name} AFTER UPDATE ON agi_router.route FOR EACH ROW"
            f" EXECUTE FUNCTION agi_router.{function}()"
        )
    connection.execute("INSERT INTO agi_router.function VALUES ('old', 'x', '0.0.1')")
    with pytest.raises(SchemaMismatch, match=r"\(unknown: old\): run 'agi-router db migrate'"):
        check_schema(connection)
    assert migrate(connection).functions == ["old"]
    assert one(connection, "SELECT to_regproc('agi_router.old')") is None
    left = "SELECT count(*) FROM pg_trigger WHERE tgname IN ('old', 'more')"
    assert one(connection, left) == 0
    check_schema(connection)


@pytest.mark.parametrize("signature", ["(integer) RETURNS bigint", "() RETURNS boolean"])
def test_a_function_with_another_signature(connection: Connection, signature: str) -> None:
    """The one of before does not stay beside it, nor in its way."""
    connection.execute("DROP FUNCTION agi_router.seals_so_far")
    connection.execute(
        f"CREATE FUNCTION agi_router.seals_so_far{signature}"
        " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    connection.execute("UPDATE agi_router.function SET checksum = 'x' WHERE name = 'seals_so_far'")
    migrate(connection)
    signatures = (
        "SELECT array_agg(concat(oid::regprocedure, prorettype::regtype)) FROM pg_proc"
        " WHERE proname = 'seals_so_far'"
    )
    assert one(connection, signatures) == ["agi_router.seals_so_far()bigint"]


def test_functions_of_a_newer_program(connection: Connection) -> None:
    """They are left alone; the program of now is the one to be changed."""
    connection.execute("UPDATE agi_router.function SET version = '999.10'")
    check_schema(connection)
    connection.execute("DELETE FROM agi_router.function WHERE name = 'bind'")
    for step in (check_schema, migrate):
        with pytest.raises(SchemaMismatch, match=r"newer .*999\.10.*missing: bind.*upgrade"):
            step(connection)
    connection.execute("UPDATE agi_router.function SET version = '0.0.9'")
    assert migrate(connection).functions == ["bind"]


def test_a_function_that_fails_leaves_nothing(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are replaced, or none."""
    broken = module.Function(name="broken", text=b"CREATE OR REPLACE FUNCTION nonsense;")
    monkeypatch.setattr(module, "functions", lambda: [*functions(), broken])
    with connect(empty_dsn) as connection:
        with pytest.raises(Exception, match="42601"):
            migrate(connection)
        assert one(connection, "SELECT count(*) FROM agi_router.function") == 0
        assert one(connection, "SELECT to_regproc('agi_router.admit')") is None
        assert all(each.applied_at is not None for each in status(connection))
        monkeypatch.undo()
        with pytest.raises(SchemaMismatch, match=r"missing: add_child, .*'agi-router db migrate'"):
            check_schema(connection)
        assert migrate(connection) == Changes(migrations=[], functions=FUNCTIONS)


def test_the_files_of_functions_have_no_order(
    empty_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each can be made before those that it calls."""
    monkeypatch.setattr(module, "functions", lambda: functions()[::-1])
    with connect(empty_dsn) as connection:
        assert migrate(connection).functions == FUNCTIONS
        check_schema(connection)


def test_functions_are_valid(connection: Connection) -> None:
    """What is not checked while they are made is checked here."""
    names = connection.execute(
        "SELECT p.proname, CASE l.lanname WHEN 'sql' THEN fmgr_sql_validator(p.oid)"
        " ELSE plpgsql_validator(p.oid) END"
        " FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
        " WHERE p.pronamespace = 'agi_router'::regnamespace"
    ).fetchall()
    assert sorted(row["proname"] for row in names) == FUNCTIONS


def test_everything_is_commented(connection: Connection) -> None:
    """Whoever opens psql finds a comment on every table, column, function and type."""
    assert connection.execute(UNCOMMENTED).fetchall() == []


def test_partitions_of_the_coming_days(connection: Connection) -> None:
    """Yesterday to two weeks ahead have partitions, and a default takes the rest."""
    assert one(connection, PARTITIONS) == [*one(connection, DAYS), "call_other"]


def test_rows_in_the_default_partition_go_to_their_day(connection: Connection) -> None:
    """A day whose rows came too early gets its partition all the same, and they go there."""
    add = (
        "INSERT INTO agi_router.call (block, id, day, x_number, state) VALUES (%s, %s, %s, %s, %s)"
    )
    connection.execute(
        add, (70012345678, "a-1000000000.1", "2001-09-09", 700123456780001, "settled")
    )
    ensure = "SELECT agi_router.ensure_days('call', %s, %s)"
    connection.execute(ensure, ("2001-09-08", "2001-09-10"))
    assert {f"call_2001090{day}" for day in (8, 9)} <= set(one(connection, PARTITIONS))
    assert one(connection, "SELECT count(*) FROM agi_router.call_other") == 0
    assert one(connection, "SELECT count(*) FROM agi_router.call_20010909") == 1
    # It is still written once.
    with pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            add, (70012345678, "a-1000000000.1", "2001-09-09", 700123456780001, "settled")
        )


def test_no_more_days_at_once_than_a_service_needs(connection: Connection) -> None:
    """Who serves may ask for days: not for as many tables as there is room for."""
    ensure = "SELECT agi_router.ensure_days('call', %s, %s)"
    for last in ("2030-03-01", "9999-12-31", "infinity"):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="at most 31 days at once"):
            connection.execute(ensure, ("2030-01-01", last))
    connection.execute(ensure, ("2030-01-01", "2030-01-02"))
    assert len(one(connection, PARTITIONS)) == 17 + 2


def test_partitions_made_between_a_look_and_the_lock(dsn: str, connection: Connection) -> None:
    """Who sees a day missing, and gets the lock when another has just made it, is content."""
    ensure = "SELECT * FROM agi_router.ensure_days('call', '2030-01-01', '2030-01-03')"
    source = one(connection, "SELECT pg_get_functiondef('agi_router.ensure_days'::regproc::oid)")
    head, lock, rest = source.partition("IF NOT pg_try_advisory_xact_lock")
    assert lock
    # A gate between the two, which whoever holds it goes through.
    gated = head.replace("'100ms'", "'0'") + f"PERFORM pg_advisory_lock_shared(1); {lock}{rest}"
    connection.execute(gated.encode())
    connection.execute("SELECT pg_advisory_lock(1)")

    def late() -> list[dict[str, object]]:
        with connect(dsn) as other:
            return other.execute(ensure.encode()).fetchall()

    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(late)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: one(connection, waiting) == 1)
        first = connection.execute(
            "SELECT * FROM agi_router.ensure_days('call', '2030-01-02', '2030-01-03')"
        ).fetchall()
        connection.execute("SELECT pg_advisory_unlock_all()")
        assert (first, second.result()) == ([], [])
    assert len(one(connection, PARTITIONS)) == 17 + 3


def test_partitions_made_by_several_at_once(dsn: str, connection: Connection) -> None:
    """Routers that wake up together make the same days without an error."""
    barrier = Barrier(6)

    def work(round_: int) -> None:
        with psycopg.connect(dsn, autocommit=True) as other:
            barrier.wait()
            other.execute(
                "SELECT agi_router.ensure_days('call', d, d + 3)"
                " FROM (SELECT date '2030-01-01' + %s) _ (d)",
                (round_ * 10,),
            )

    with ThreadPoolExecutor(6) as pool:
        for round_ in range(5):
            list(pool.map(work, [round_] * 6))
    assert len(one(connection, PARTITIONS)) == 17 + 5 * 4
