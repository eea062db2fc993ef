"""
What a database session is set to: whatever the program relies on, in one table.

1. Role, database, service file and environment may say otherwise and change nothing: what the
   start-up packet asks for stands above them, and costs no round trip.
2. What the server reports at the end of its greeting is compared with what was asked for, before
   anything is written. Something that drops it is no PostgreSQL.
3. Not here, because only a superuser may set it: ``lc_messages``. Nothing of ours reads the words
   of an error but :mod:`agi_router.db.diagnosis`, which knows those of a connection that fails
   before any setting counts; elsewhere the SQLSTATE decides. ``session_replication_role``, by
   which triggers and foreign keys are off, is looked at by whoever connects for work by hand.
4. Not here either: ``default_transaction_read_only``. An operator keeps writes off by it, also off
   a primary that was replaced or whose disk is full. It is said so, and not overruled.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

import psycopg

from agi_router.db.diagnosis import POOLER
from agi_router.errors import SchemaMismatch, StoreError, StoreUnavailable

__all__ = [
    "SETTINGS",
    "check_backend",
    "check_session",
    "check_triggers",
    "session",
    "why_read_only",
]

SETTINGS: Final[dict[str, str]] = {
    # What values look like.
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    # What names mean; our own all have their schema.
    "search_path": "pg_catalog",
    # What a transaction is, and what ends a session.
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "exit_on_error": "off",
    # No limits of time but those that are asked for besides.
    "lock_timeout": "0",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    # With "force_generic_plan" settling takes a thousand times as long; see docs/performance.md.
    "plan_cache_mode": "auto",
    # PostgreSQL compiles first what it takes to be dear, for 50 ms and more. With enable_seqscan
    # off it takes whatever has no index for dear, though it be a few rows.
    "jit": "off",
}
"""Settings of every session, by name; the encoding of the client goes its own way."""

_ENCODING: Final = "UTF8"
# libpq sends these behind our own settings, where the last one counts.
_ENVIRONMENT: Final = ("PGDATESTYLE", "PGTZ", "PGGEQO")
# What servers of every version report unasked.
_REPORTED: Final = ("DateStyle", "IntervalStyle", "TimeZone", "standard_conforming_strings")


def session(**more: str | int) -> dict[str, Any]:
    """
    What to connect with, for :func:`psycopg.connect`.

    Args:
        more: Further settings of the server, limits of time for instance.
    """
    for name in _ENVIRONMENT:
        os.environ.pop(name, None)
    asked = {**SETTINGS, **more}
    return {
        "client_encoding": _ENCODING,
        "options": " ".join(f"-c {name}={_escaped(value)}" for name, value in asked.items()),
    }


def check_session(connection: psycopg.BaseConnection[Any]) -> None:
    """
    Make sure that a session is as it was asked for; looks only at what the server has reported.

    Raises:
        SchemaMismatch: The database has another encoding than UTF8.
        StoreUnavailable: Something has dropped our settings.
    """
    reported = connection.info.parameter_status
    encoding = reported("server_encoding")
    if encoding != _ENCODING:
        raise SchemaMismatch(
            f"the database {connection.info.dbname!r} has the encoding {encoding}, and agi_router"
            f" needs {_ENCODING}: make another one by CREATE DATABASE … ENCODING '{_ENCODING}'"
            " TEMPLATE template0, and migrate that"
        )
    wanted = {"client_encoding": _ENCODING, **{name: SETTINGS[name] for name in _REPORTED}}
    if any(reported(name) != value for name, value in wanted.items()):
        raise StoreUnavailable(POOLER)


def check_backend(connection: psycopg.BaseConnection[Any], row: Mapping[str, Any]) -> None:
    """
    Make sure that the process that serves a connection is the one that has greeted it.

    A pooler gives a number of its own, because the process may be another in each transaction.

    Args:
        connection: The connection.
        row: What a statement has found on it, as ``backend``.

    Raises:
        StoreUnavailable: There is a pooler.
    """
    if row.get("backend") != connection.info.backend_pid:
        raise StoreUnavailable(POOLER)


def check_triggers(row: Mapping[str, Any]) -> None:
    """
    Make sure that triggers and foreign keys are heeded.

    Args:
        row: What the statement ``look_at_session`` has found.

    Raises:
        StoreError: They are off.
    """
    if row.get("replication_role") == "replica":
        raise StoreError(
            "session_replication_role is replica, so triggers and foreign keys are off: take it"
            " from the role or the database (ALTER … RESET session_replication_role)"
        )


def why_read_only(connection: psycopg.BaseConnection[Any]) -> str | None:
    """
    Why a session takes no writes, by what the server has reported; :obj:`None` if it takes them.
    """
    reported = connection.info.parameter_status
    if reported("in_hot_standby") == "on":
        return (
            "this is a hot standby, which takes no writes: name the primary (AGI_ROUTER_DSN, or"
            " PGHOST and PGPORT), or promote it"
        )
    if reported("default_transaction_read_only") == "on":
        return (
            "default_transaction_read_only is on, so nothing can be written: take it from the"
            " server, the database or the role, or name a host that takes writes (AGI_ROUTER_DSN,"
            " or PGHOST and PGPORT)"
        )
    return None


def _escaped(value: str | int) -> str:
    # A backslash keeps what follows in the word.
    return str(value).replace("\\", "\\\\").replace(" ", "\\ ")
