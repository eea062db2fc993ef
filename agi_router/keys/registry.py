"""
Which keys a database was written with, and which of them are current.

Rules for the editor:

1. The ring holds the keys, the database says what they are for: ``new`` (known, not written with
   yet), ``current``, ``old`` (only read with), ``retired`` (no row needs it) or ``destroyed`` (by
   nobody is read what it has sealed). So all programs change from one key to the next at one
   moment, whatever their copy of the ring looks like.
2. A retired or destroyed key stays known by its fingerprint: it is never taken for a new one, and
   its id is never given again.
3. Ids only rise, and the key file has a floor: a row that makes an older key current is refused.
"""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from agi_router.db.connection import Connection, Queries
from agi_router.errors import KeyMismatch, KeysOutdated, StoreHeld
from agi_router.keys.ring import KeyKind, KeyRing

__all__ = [
    "KINDS",
    "SEALS_ALLOWED",
    "SEALS_WARNED",
    "assert_current_keys",
    "check_keys",
    "check_rotated",
    "count_sealed",
    "key_ids",
    "known_keys",
    "lock_keys",
    "make_current",
    "using_current",
]

KINDS: tuple[KeyKind, ...] = ("tag", "seal")
"""Every kind of key."""

SEALS_ALLOWED = 2**32
"""So many values one key may seal (:mod:`agi_router.keys.ring`); the database holds to it."""

SEALS_WARNED = 2**31
"""From so many on an operator is told."""

# Milliseconds for which the keys are waited for, and calls that write wait too.
_LOCK_WAIT: Final = 100
# Somebody who stands still is ended by the server in between.
_LOCK_PAUSE: Final = 0.5
_LOCK_TRIES: Final = 40
_GONE: Final = frozenset({"retired", "destroyed"})


def check_keys(connection: Connection, keys: KeyRing, *, remember: bool = True) -> KeyRing:
    """
    Make sure that *keys* are those of this database; new ones are remembered, unless told not to.

    Returns:
        The same keys, those current that are so in this database, without those retired. Where
        none was current yet, those of the ring are from now on.

    Raises:
        KeyMismatch: Another key of the same id was used here, a key used here is missing, or one
            older than the ring's floor is current.
    """
    queries = Queries(connection)
    known = known_keys(queries, keys)
    if remember and (keys.fingerprints().keys() - known.keys() or _current(known) is None):
        known = _remember(queries, keys)
    # Nothing is current yet where nobody has come to write.
    ring = using_current(keys, list(known.values())) if remember or known else keys
    for (kind, keyid), row in known.items():
        if row["state"] == "retired":
            ring = ring.without(kind, keyid)
        elif row["state"] == "destroyed":
            ring = ring.with_destroyed(keyid)
    return ring


def check_rotated(connection: Connection, keys: KeyRing) -> KeyRing:
    """
    The same, for whoever was told that *keys* were rotated.

    Cells switch a moment before the global database: whoever rotates is waited for.

    Raises:
        KeyMismatch: See :func:`check_keys`.
        KeyUsedUp: They were not rotated, and the seal key has sealed as much as it may.
        StoreHeld: Whoever rotates stands still in the middle of it.
    """
    queries = Queries(connection)
    # Whoever binds in a transaction goes on in it.
    with contextlib.suppress(KeysOutdated), queries.attempt():
        assert_current_keys(queries, keys)
    return check_keys(connection, keys)


def using_current(keys: KeyRing, rows: Sequence[Mapping[str, Any]]) -> KeyRing:
    """
    The same keys with those as the current ones that are so in the database.

    Args:
        keys: They include the current ones.
        rows: The rows of the statement ``list_keys``.

    Raises:
        KeyRingError: They do not.
        KeyMismatch: The database does not say, or says that older ones are current again.
    """
    current = {row["kind"]: row["id"] for row in rows if row["state"] == "current"}
    if current.keys() != set(KINDS):
        raise KeyMismatch("the database does not say which keys are current")
    return keys.using(**current)


def key_ids(keys: KeyRing) -> dict[str, int]:
    """
    What ``agi_router.assert_current_keys`` is told by whoever writes with *keys*.
    """
    return {"tag_key": keys.tag_key_id, "seal_key": keys.seal_key_id}


def assert_current_keys(queries: Queries, keys: KeyRing) -> None:
    """
    Make sure that *keys* are the current ones, and may seal more, until the transaction ends.

    Raises:
        KeysOutdated: They were rotated since they were read.
        KeyUsedUp: The seal key has sealed as much as it may.
    """
    queries.row("assert_current_keys", key_ids(keys))


def count_sealed(connection: Connection) -> int:
    """
    How many values the current seal key has sealed.
    """
    rows = Queries(connection).rows("list_keys", {})
    return sum(row["sealed"] for row in rows if row["state"] == "current" and row["sealed"])


def lock_keys(queries: Queries, *, behind: bool = False) -> None:
    """
    Wait until all who write are done, and keep others off until the transaction ends.

    An import may take minutes. It is waited for first, while everybody else goes on: whoever
    waits for the keys themselves has all wait who come after. So that is not for long, and done
    again after a pause.

    Args:
        queries: Of a transaction.
        behind: Whether those who write in cells are waited for and kept off, too.

    Raises:
        StoreHeld: Somebody writes all the time, or stands still in the middle of it.
        StoreUnavailable: A cell does not answer, or is away.
    """
    queries.row("lock_imports", {})
    for _ in range(_LOCK_TRIES - 1):
        with contextlib.suppress(StoreHeld), queries.transaction():
            _lock_soon(queries, behind=behind)
            return
        time.sleep(_LOCK_PAUSE)
    _lock_soon(queries, behind=behind)


def _lock_soon(queries: Queries, *, behind: bool) -> None:
    if behind:
        queries.row("lock_imports_behind", {})
    queries.row("lock_keys", {"milliseconds": _LOCK_WAIT})
    if behind:
        queries.row("lock_keys_behind", {"milliseconds": _LOCK_WAIT})


def known_keys(queries: Queries, keys: KeyRing) -> dict[tuple[KeyKind, int], dict[str, Any]]:
    """
    The keys that this database knows, all of which are *keys* unless they are retired.

    Raises:
        KeyMismatch: One of them is not.
    """
    ours = keys.fingerprints()
    known = {(row["kind"], row["id"]): row for row in queries.rows("list_keys", {})}
    for (kind, keyid), row in known.items():
        if (kind, keyid) not in ours:
            if row["state"] not in _GONE:
                raise KeyMismatch(
                    f"the key ring lacks {kind} key {keyid}, which this database was written with:"
                    " was it rotated elsewhere? bring the key file up to date. If it was destroyed"
                    " since, this database is a backup from before, which nobody can use any more"
                )
        elif ours[kind, keyid] != row["fingerprint"]:
            raise KeyMismatch
    return known


def _remember(queries: Queries, keys: KeyRing) -> dict[tuple[KeyKind, int], dict[str, Any]]:
    with queries.transaction():
        # Of two programs that come first with different keys one does.
        lock_keys(queries)
        known = known_keys(queries, keys)
        for (kind, keyid), fingerprint in keys.fingerprints().items():
            if (kind, keyid) not in known:
                values = {"kind": kind, "id": keyid, "fingerprint": fingerprint}
                queries.execute("remember_key", values)
        if _current(known) is None:
            make_current(queries, {"tag": keys.tag_key_id, "seal": keys.seal_key_id})
        return known_keys(queries, keys)


def make_current(queries: Queries, ids: Mapping[KeyKind, int], *, behind: bool = False) -> None:
    """
    Write with these keys from now on; to be done in a transaction that has locked the keys.

    Args:
        queries: Of that transaction.
        ids: The keys.
        behind: Whether cells do at the same moment, where they were locked, too. Else they do
            when they hear of it.
    """
    for kind, keyid in ids.items():
        values = {"kind": kind, "id": keyid}
        queries.row("make_current", values)
        if behind:
            queries.row("make_current_behind", values)


def _current(known: Mapping[tuple[KeyKind, int], Mapping[str, Any]]) -> dict[KeyKind, int] | None:
    """
    The current key of each kind, or nothing before there are any.
    """
    found = {kind: keyid for (kind, keyid), row in known.items() if row["state"] == "current"}
    return found if len(found) == len(KINDS) else None
