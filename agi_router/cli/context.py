"""
What most commands need before they can work: settings, keys, a database that fits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from agi_router.db.connection import IDLE, Connection, Queries, connect
from agi_router.db.migrate import check_schema
from agi_router.db.rights import check_rights
from agi_router.errors import SettingsError
from agi_router.numbering import judge_by_ranges
from agi_router.settings import Settings

__all__ = [
    "open_database",
    "open_serving_database",
    "read_settings",
    "tell_of_cells",
    "with_extra",
]


def read_settings() -> Settings:
    """
    The settings of the environment; numbers are judged by their ranges from now on.

    Raises:
        SettingsError: A variable is unknown or malformed, or the file of ranges is.
    """
    settings = Settings.from_env(os.environ)
    judge_by_ranges(settings.number_ranges)
    return settings


@contextmanager
def with_extra() -> Iterator[None]:
    """
    What is imported within belongs to the extra agi_router[api], which not every machine has.

    Raises:
        SettingsError: It is not installed here.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "agi_router").startswith("agi_router"):
            raise
        raise SettingsError(
            f"the package {error.name} is not installed: the extra agi_router[api] is missing;"
            " install docker/pins/http.txt (docs/http.md, Serving it)"
        ) from None


@contextmanager
def open_database(settings: Settings, *, idle: int = IDLE) -> Iterator[Connection]:
    """
    A connection to the database, whatever its schema.

    Args:
        settings: They say where it is.
        idle: See :func:`agi_router.db.connection.connect`.

    Raises:
        StoreUnavailable: It cannot be reached.
    """
    with connect(settings.dsn, idle=idle) as connection:
        yield connection


@contextmanager
def open_serving_database(
    settings: Settings, *, idle: int = IDLE, act: str | None = None
) -> Iterator[Connection]:
    """
    A connection to the database, with schema and rights checked; no key is read.

    Args:
        settings: They say where it is.
        idle: See :func:`agi_router.db.connection.connect`.
        act: What the command changes, which is put on record: all of it is one transaction.

    Raises:
        StoreUnavailable: The database cannot be reached.
        SchemaMismatch: Its schema is older or newer than the program.
        StoreError: The role lacks a right.
    """
    with open_database(settings, idle=idle) as connection:
        check_schema(connection)
        check_rights(connection)
        _warn_of_missing(connection)
        if act is None:
            yield connection
            return
        # A router does nothing of this, and keeps it out of its memory.
        from agi_router.cli.acts import acting  # noqa: PLC0415

        with acting(connection, act):
            yield connection


def tell_of_cells(queries: Queries, done: str) -> None:
    """
    Say which cells have what is of blocks, and that something is done there.
    """
    if cells := queries.cells_behind():
        # A router has no use for it.
        from agi_router.cli.output import echo  # noqa: PLC0415

        echo(
            "agi-router: bindings, calls, texts and recordings are in the cells"
            f" {', '.join(cells)}, and {done} there: by what runs with the DSN of each",
            err=True,
        )


def _warn_of_missing(connection: Connection) -> None:
    """
    Say which cells are away: what they have is in no list.
    """
    missing = [row["name"] for row in Queries(connection).rows("list_missing", {})]
    if missing:
        # A router has no use for it.
        from agi_router.cli.output import echo  # noqa: PLC0415

        echo(
            f"warning: the cell(s) {', '.join(missing)} are away: their bindings, calls and texts"
            " are missing here",
            err=True,
        )
