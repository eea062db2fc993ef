"""
Connecting to PostgreSQL, and its errors in our words.

Rule for the editor: the text of a psycopg error may quote values (``DETAIL: Key (…)``). It never
goes into a message of ours; only the SQLSTATE and the name of a constraint do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import dict_row

from agi_router.errors import SchemaMismatch, StoreError, StoreUnavailable

__all__ = ["CONNECT_TIMEOUT", "Connection", "connect", "translated"]

CONNECT_TIMEOUT = 3
"""Seconds until an attempt to connect is given up."""

Connection = psycopg.Connection[dict[str, Any]]


def connect(dsn: str | None) -> Connection:
    """
    Connect for work by hand: rows come as dictionaries, times in UTC.

    Args:
        dsn: libpq connection string; :obj:`None` leaves it to the ``PG…`` variables.

    Raises:
        StoreUnavailable: The server cannot be reached, or refuses the login.
    """
    with translated():
        return psycopg.connect(
            dsn or "",
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_TIMEOUT,
            options="-c timezone=UTC",
            application_name="agi_router",
        )


@contextmanager
def translated(*, but: type[psycopg.Error] | tuple[()] = ()) -> Iterator[None]:
    """
    Turn psycopg's errors into :exc:`StoreError` and its kin.

    Args:
        but: An error the caller deals with itself.
    """
    try:
        yield
    except but:
        raise
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        raise SchemaMismatch("the database is not set up: run 'agi-router db migrate'") from None
    except (psycopg.errors.UndefinedFunction, psycopg.errors.UndefinedColumn):
        raise SchemaMismatch from None
    except (psycopg.errors.InvalidPassword, psycopg.errors.InvalidAuthorizationSpecification):
        raise StoreUnavailable("the database refuses the login") from None
    except psycopg.OperationalError as error:
        raise StoreUnavailable(_away(error)) from None
    except psycopg.ProgrammingError as error:
        if error.sqlstate is None:  # a malformed connection string
            raise StoreUnavailable("the database's connection string is malformed") from None
        raise StoreError(f"the database refused a statement ({error.sqlstate})") from None
    except psycopg.Error as error:
        raise StoreError(f"the database failed ({error.sqlstate or 'no SQLSTATE'})") from None


def _away(error: psycopg.OperationalError) -> str:
    if error.sqlstate is not None:
        return f"the database does not serve ({error.sqlstate}); try again later"
    return (
        "the database cannot be reached: check that it runs, and AGI_ROUTER_DSN or the PG…"
        " variables"
    )
