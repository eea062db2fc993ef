"""
Migrations: numbered files, forward only, each in a transaction of its own.
"""

import hashlib
import logging
import re
import time
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Final

import psycopg

from agi_router.db.connection import Connection, translated
from agi_router.db.queries import query
from agi_router.errors import SchemaMismatch, StoreHeld

__all__ = ["Migration", "check_schema", "migrate", "migrations", "status"]

log = logging.getLogger(__name__)

# Milliseconds for which a lock is waited for, and seconds until it is tried again.
_LOCK_WAIT: Final = 100
_PAUSE: Final = 0.5
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")


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


def migrations() -> list[Migration]:
    """
    The migrations of this program, in order.
    """
    return [
        Migration(number=int(match[1]), name=match[2], checksum=_checksum(match[0]))
        for match in sorted(
            filter(None, (_FILE.fullmatch(f.name) for f in files("agi_router.sql").iterdir())),
            key=lambda match: match[0],
        )
    ]


def status(connection: Connection) -> list[Migration]:
    """
    The migrations of this program, with the times they were applied.

    Raises:
        SchemaMismatch: The database has a migration that this program does not know, or that
            was changed since.
    """
    with translated():
        applied = _applied(connection)
    known = migrations()
    for number in applied.keys() - {each.number for each in known}:
        raise SchemaMismatch(
            f"the database is newer than this program (migration {number:04}): upgrade agi_router"
        )
    done = []
    for each in known:
        checksum, applied_at = applied.get(each.number, (each.checksum, None))
        if checksum != each.checksum:
            raise SchemaMismatch(
                f"migration {each.number:04} was changed after it was applied:"
                " database and program are not of one release"
            )
        done.append(
            Migration(number=each.number, name=each.name, checksum=checksum, applied_at=applied_at)
        )
    return done


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


def migrate(connection: Connection, *, patience: float = 60.0) -> list[Migration]:
    """
    Apply what is missing, one transaction a file, and make the coming days' partitions.

    Safe to run by several at once: the second waits and finds nothing to do. And beside calls:
    what a file has to lock is not waited for long, as calls would wait behind it, but tried again.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        patience: Seconds for which a file is tried.

    Returns:
        The migrations applied now.

    Raises:
        SchemaMismatch: The database is newer, or an applied file was changed.
        StoreHeld: Somebody holds tables that a file has to change; those before it are applied.
    """
    with translated():
        connection.execute(query("lock_migrations"))
        try:
            connection.execute(query("make_ledger"))
            fresh = [each for each in status(connection) if each.applied_at is None]
            for each in fresh:
                _apply_soon(connection, each, patience)
            missing = connection.execute(query("ensure_call_days")).fetchall()
        finally:
            if not connection.closed:
                connection.execute(query("unlock_migrations"))
    if missing:
        # The router makes them when it can.
        log.warning("partitions.deferred", extra={"days": len(missing), "why": missing[0]["why"]})
    return fresh


def _apply_soon(connection: Connection, migration: Migration, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            _apply(connection, migration)
        except psycopg.errors.LockNotAvailable:
            if time.monotonic() >= deadline:
                raise StoreHeld(
                    f"migration {migration.number:04} needs tables that somebody holds, a dump or"
                    " a long transaction; nothing of it was done: run it again after that"
                ) from None
            time.sleep(_PAUSE)
        else:
            return


def _apply(connection: Connection, migration: Migration) -> None:
    file = files("agi_router.sql").joinpath(f"{migration.number:04}_{migration.name}.sql")
    with connection.transaction():
        connection.execute(query("limit_lock_wait"), {"milliseconds": _LOCK_WAIT})
        connection.execute(file.read_bytes())
        connection.execute(
            query("record_migration"),
            {"number": migration.number, "name": migration.name, "checksum": migration.checksum},
        )


def _applied(connection: Connection) -> dict[int, tuple[str, datetime]]:
    if connection.execute(query("find_ledger")).fetchone() is None:
        return {}
    return {
        row["number"]: (row["checksum"], row["applied_at"])
        for row in connection.execute(query("list_migrations")).fetchall()
    }


def _checksum(name: str) -> str:
    return hashlib.sha256(files("agi_router.sql").joinpath(name).read_bytes()).hexdigest()
