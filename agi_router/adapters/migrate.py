"""
Migrations: numbered files, forward only, each in a transaction of its own.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files

from agi_router.adapters.database import Connection, translated
from agi_router.adapters.queries import query
from agi_router.errors import SchemaMismatch

__all__ = ["Migration", "check_schema", "migrate", "migrations", "status"]

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


def migrate(connection: Connection) -> list[Migration]:
    """
    Apply what is missing, one transaction a file, and make the coming days' partitions.

    Safe to run by several at once: the second waits and finds nothing to do.

    Returns:
        The migrations applied now.

    Raises:
        SchemaMismatch: The database is newer, or an applied file was changed.
    """
    with translated():
        connection.execute(query("lock_migrations"))
        try:
            connection.execute(query("make_ledger"))
            fresh = [each for each in status(connection) if each.applied_at is None]
            for each in fresh:
                _apply(connection, each)
            connection.execute(query("ensure_call_days"))
        finally:
            if not connection.closed:
                connection.execute(query("unlock_migrations"))
    return fresh


def _apply(connection: Connection, migration: Migration) -> None:
    file = files("agi_router.sql").joinpath(f"{migration.number:04}_{migration.name}.sql")
    with connection.transaction():
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
