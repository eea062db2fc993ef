"""
Migrations, and the functions and triggers that are applied after them.

A migration is a numbered file, forward only, with a transaction of its own. A function is replaced
whenever its file has changed; all that have are replaced in one transaction.
"""

import hashlib
import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final, TypeVar

import psycopg

from agi_router.db.connection import Connection, translated
from agi_router.db.queries import query
from agi_router.errors import SchemaMismatch, StoreHeld

__all__ = [
    "Changes",
    "Differences",
    "Function",
    "Migration",
    "check_schema",
    "differences",
    "functions",
    "migrate",
    "migrations",
    "status",
]

log = logging.getLogger(__name__)

# Milliseconds for which a lock is waited for, and seconds until it is tried again.
_LOCK_WAIT: Final = 100
_PAUSE: Final = 0.5
_Result = TypeVar("_Result")
_OVERLAID: Final = (
    "one of several: load sql/cells/cell.sql of this release into a cell and run"
    " agi_cells.become(number), or global.sql into the global database and run"
    " agi_cells.compose(), as a superuser"
)
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_TRIGGER = re.compile(r"^CREATE OR REPLACE TRIGGER (\w+)\s", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """
    One migration file, and when it was applied to a database.
    """

    number: int
    name: str
    checksum: str
    """SHA-256 of the file."""
    applied_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Function:
    """
    One file of a function of this program, with the triggers that run it.
    """

    name: str
    text: bytes

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.text).hexdigest()

    @cached_property
    def triggers(self) -> tuple[str, ...]:
        """The names of its triggers."""
        return tuple(_TRIGGER.findall(self.text.decode()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """
    In what the functions of a database are not those of this program; names, sorted.
    """

    missing: tuple[str, ...]
    changed: tuple[str, ...]
    unknown: tuple[str, ...]
    """What no file of this program has."""
    version: str | None
    """Version of the program that last applied functions; :obj:`None` if none did."""

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.unknown)

    def __str__(self) -> str:
        words = {"missing": self.missing, "different": self.changed, "unknown": self.unknown}
        return "; ".join(f"{word}: {', '.join(names)}" for word, names in words.items() if names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """
    What bringing a schema up to date has changed.
    """

    migrations: list[Migration]
    """Those applied, in order."""
    functions: list[str]
    """The names of those applied or dropped."""

    def __bool__(self) -> bool:
        return bool(self.migrations or self.functions)


def migrations() -> list[Migration]:
    """
    The migrations of this program, in order.
    """
    return [
        Migration(
            number=int(match[1]),
            name=match[2],
            checksum=hashlib.sha256(_migration_file(match[0]).read_bytes()).hexdigest(),
        )
        for match in sorted(
            filter(None, (_FILE.fullmatch(file.name) for file in _migration_file().iterdir())),
            key=lambda match: match[0],
        )
    ]


def functions() -> list[Function]:
    """
    The functions of this program; those with triggers last, as these lock tables.
    """
    rooms = files("agi_router.sql").joinpath("functions").iterdir()
    found = [
        Function(name=file.name.removesuffix(".sql"), text=file.read_bytes())
        for room in rooms
        for file in room.iterdir()
    ]
    return sorted(found, key=lambda each: (bool(each.triggers), each.name))


def status(connection: Connection) -> list[Migration]:
    """
    The migrations of this program, with the times they were applied.

    Raises:
        SchemaMismatch: The database has a migration that this program does not know, or that
            was changed since; or it was made before the first release.
    """
    with translated():
        applied = _applied(connection)
    known = migrations()
    first = known[0]
    if first.number in applied and applied[first.number].name != first.name:
        raise SchemaMismatch(
            "the database was made before the first release, and cannot be brought up to date:"
            " make a new database, and run 'agi-router db migrate' on it"
        )
    for number in applied.keys() - {each.number for each in known}:
        raise SchemaMismatch(
            f"the database is newer than this program (migration {number:04}): upgrade agi_router"
        )
    for each in known:
        if applied.get(each.number, each).checksum != each.checksum:
            raise SchemaMismatch(
                f"migration {each.number:04} was changed after it was applied:"
                " database and program are not of one release"
            )
    return [applied.get(each.number, each) for each in known]


def differences(connection: Connection) -> Differences:
    """
    Compare the functions of a database with those of this program.

    Raises:
        SchemaMismatch: A newer program has applied those of the database.
    """
    with translated():
        ledger = connection.execute(query("find_ledger")).fetchone()
        rows = connection.execute(query("list_functions")).fetchall() if ledger else []
    theirs = {row["name"]: row["checksum"] for row in rows}
    ours = {each.name: each.checksum for each in functions()}
    found = Differences(
        missing=tuple(sorted(ours.keys() - theirs.keys())),
        changed=tuple(sorted(name for name in ours if theirs.get(name, ours[name]) != ours[name])),
        unknown=tuple(sorted(theirs.keys() - ours.keys())),
        version=max((row["version"] for row in rows), key=_order, default=None),
    )
    if found and found.version is not None and _order(found.version) > _order(_version()):
        raise SchemaMismatch(
            f"the database is newer than this program: its functions are those of agi_router"
            f" {found.version}, and this is {_version()} ({found}): upgrade agi_router"
        )
    return found


def check_schema(connection: Connection) -> None:
    """
    Make sure that database and program fit.

    Raises:
        SchemaMismatch: The database is older or newer; says what to do.
    """
    missing = [each for each in status(connection) if each.applied_at is None]
    if missing:
        raise SchemaMismatch(
            f"the database is older than this program ({len(missing)} migration(s) missing):"
            " run 'agi-router db migrate'"
        )
    if found := differences(connection):
        raise SchemaMismatch(
            f"the functions of the database are not those of this program ({found}):"
            " run 'agi-router db migrate'"
        )
    with translated():
        faults = connection.execute(query("list_overlay_faults")).fetchall()
    if faults:
        names = ", ".join(row["name"] for row in faults)
        raise SchemaMismatch(f"not all is in force that makes this database {_OVERLAID} ({names})")


def migrate(connection: Connection, *, patience: float = 60.0) -> Changes:
    """
    Apply what is missing, and make the coming days' partitions.

    A migration has a transaction of its own; all functions and triggers that differ are replaced
    in one, and those that this program does not have are dropped.

    Safe to run by several at once: the second waits and finds nothing to do. And beside calls:
    what is to be locked is not waited for long, as calls would wait behind it, but tried again.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        patience: Seconds for which a transaction is tried.

    Raises:
        SchemaMismatch: The database is newer, or an applied file was changed.
        StoreHeld: Somebody holds tables that have to be changed; what came before is applied.
    """
    with translated():
        connection.execute(query("lock_migrations"))
        try:
            fresh = [each for each in status(connection) if each.applied_at is None]
            # Says whether they are newer before anything is done.
            differences(connection)
            if connection.execute(query("find_old_overlay")).fetchone():
                raise SchemaMismatch(
                    f"nothing was done: reapply is missing in what makes this database {_OVERLAID}"
                )
            connection.execute(query("make_ledger"))
            for each in fresh:
                needs = f"migration {each.number:04} needs tables"
                _soon(partial(_apply, connection, each), needs, patience)
            replace = partial(_replace_functions, connection)
            replaced = _soon(replace, "the triggers need tables", patience)
            missing = connection.execute(query("ensure_days")).fetchall()
        finally:
            if not connection.closed:
                connection.execute(query("unlock_migrations"))
    if missing:
        # The router makes them when it can.
        log.warning("partitions.deferred", extra={"days": len(missing), "why": missing[0]["why"]})
    return Changes(migrations=fresh, functions=replaced)


def _soon(work: Callable[[], _Result], what: str, patience: float) -> _Result:
    deadline = time.monotonic() + patience
    while True:
        try:
            return work()
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() >= deadline:
                raise StoreHeld(
                    f"{what} that somebody holds, a dump or a long transaction; nothing of it was"
                    " done: run it again after that"
                ) from None
            time.sleep(_PAUSE)


def _apply(connection: Connection, migration: Migration) -> None:
    file = _migration_file(f"{migration.number:04}_{migration.name}.sql")
    with connection.transaction():
        connection.execute(query("set_lock_timeout"), {"milliseconds": _LOCK_WAIT})
        connection.execute(file.read_bytes())
        connection.execute(
            query("record_migration"),
            {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
        )


def _replace_functions(connection: Connection) -> list[str]:
    """
    Bring the functions and triggers of a database up to date, all or nothing.

    What makes it one of several (sql/cells) is put in the place of them again.

    Returns:
        The names of the functions that differed.
    """
    found = differences(connection)
    if not found:
        return []
    known = functions()
    with connection.transaction():
        connection.execute(query("set_lock_timeout"), {"milliseconds": _LOCK_WAIT})
        # They call each other; so their files have no order.
        connection.execute(query("defer_function_checks"))
        locked = False
        for each in known:
            if each.name not in found.missing + found.changed:
                continue
            if each.triggers and not locked:
                connection.execute(query("lock_triggered_tables"))
                locked = True
            _replace(connection, each, [other for other in known if other is not each])
        _drop_strays(connection, known)
        kept = {"functions": [each.name for each in known], "version": _version()}
        connection.execute(query("keep_functions"), kept)
        connection.execute(query("reapply_overlay"))
    return sorted(found.missing + found.changed + found.unknown)


def _replace(connection: Connection, function: Function, others: Sequence[Function]) -> None:
    try:
        with connection.transaction():
            connection.execute(function.text)
    except (psycopg.errors.AmbiguousFunction, psycopg.errors.InvalidFunctionDefinition):
        # The one of before has other arguments, or another result.
        _drop_strays(connection, others)
        connection.execute(function.text)
    values = {"name": function.name, "checksum": function.checksum, "version": _version()}
    connection.execute(query("record_function"), values)


def _drop_strays(connection: Connection, kept: Sequence[Function]) -> None:
    values = {
        "functions": [each.name for each in kept],
        "triggers": [name for each in kept for name in each.triggers],
    }
    for row in connection.execute(query("list_strays"), values).fetchall():
        connection.execute(row["drop"].encode())


def _applied(connection: Connection) -> dict[int, Migration]:
    if connection.execute(query("find_ledger")).fetchone() is None:
        return {}
    return {
        row["number"]: Migration(**row)
        for row in connection.execute(query("list_migrations")).fetchall()
    }


def _migration_file(*name: str) -> Traversable:
    return files("agi_router.sql").joinpath("migrations", *name)


def _version() -> str:
    return version("agi_router")


def _order(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]
