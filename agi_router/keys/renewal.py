"""
What is sealed beside bindings, sealed anew under the current keys.

Rules for the editor:

1. What somebody changes meanwhile must not come back. So rows that may be changed are locked while
   they are sealed anew (:func:`renew_locked`). Those of :func:`renew_each` are not: nobody changes
   what is sealed in them, or whoever writes one locks it and reads it again.
2. A row that was sealed anew is not found again: both ask until nothing is found.
3. A transaction that another one was in the way of is done again.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from agi_router.db.connection import Queries
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.ring import KeyRing

__all__ = ["each_left", "renew_each", "renew_locked", "renewed_secrets"]

_BATCH = 500


def renew_locked(
    queries: Queries, keys: KeyRing, listing: str, write: Callable[[dict[str, Any]], None]
) -> int:
    """
    Seal anew what needs no tag, some rows in each transaction.

    Args:
        queries: Where it is kept.
        keys: The current ones.
        listing: A query that locks and returns what is not sealed with ``header``, ``limit`` rows
            of it.
        write: Seals a row anew, and writes it.

    Returns:
        How many rows there were.

    Raises:
        KeysOutdated: The keys were rotated since they were read.
        SealError: A row does not open.
    """

    def some() -> int:
        with queries.transaction():
            assert_current_keys(queries, keys)
            rows = queries.rows(listing, {"header": keys.secret_header, "limit": _BATCH})
            for row in rows:
                write(row)
        return len(rows)

    done = 0
    while count := queries.again(some):
        done += count
    return done


def renew_each(
    queries: Queries,
    keys: KeyRing,
    listing: str,
    values: Mapping[str, Any],
    write: Callable[[dict[str, Any]], None],
) -> int:
    """
    Seal rows anew, each in a transaction of its own.

    Args:
        queries: Where they are kept.
        keys: The current ones.
        listing: A query for those that are sealed otherwise.
        values: What it is told, beside how many it may return.
        write: Seals a row anew, and writes it.

    Returns:
        How many rows there were.

    Raises:
        KeysOutdated: The keys were rotated since they were read.
        SealError: A row does not open.
    """

    def renew(row: dict[str, Any]) -> None:
        with queries.transaction():
            assert_current_keys(queries, keys)
            write(row)

    done = 0
    for row in each_left(queries, listing, values):
        queries.again(partial(renew, row))
        done += 1
    return done


def each_left(
    queries: Queries, listing: str, values: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """
    What a query finds, ``limit`` rows at a time, until it finds none any more.

    What is done with a row keeps it from being found again.
    """
    while rows := queries.rows(listing, {**values, "limit": _BATCH}):
        yield from rows


def renewed_secrets(keys: KeyRing, row: Mapping[str, Any], where: str) -> dict[str, Any]:
    """
    A row with its secret, and the one before if it is still used, sealed anew.

    Args:
        keys: The current ones.
        row: It has them in ``secret`` and ``old_secret``.
        where: What they are sealed for.

    Raises:
        SealError: One does not open.
    """
    return {
        **row,
        **{
            name: row[name] and keys.renewed_secret(row[name], where)
            for name in ("secret", "old_secret")
        },
    }
