"""
Whether a key ring is the one that a database was written with.
"""

from collections.abc import Mapping

from agi_router.adapters.database import Connection, translated
from agi_router.adapters.queries import query
from agi_router.errors import KeyMismatch
from agi_router.seal import KeyKind, KeyRing

__all__ = ["check_keys"]


def check_keys(connection: Connection, keys: KeyRing) -> None:
    """
    Make sure that *keys* are those of this database; new ones are remembered.

    Raises:
        KeyMismatch: Another key of the same id was used here, or a key used here is missing.
    """
    ours = keys.fingerprints()
    # All new keys at once, and in one order: of two programs with different keys one comes first.
    with translated(), connection.transaction():
        known = _known_keys(connection, ours)
        for kind, number in sorted(ours.keys() - known):
            connection.execute(
                query("remember_key"),
                {"kind": kind, "id": number, "fingerprint": ours[kind, number]},
            )
        if ours.keys() - known:
            _known_keys(connection, ours)


def _known_keys(
    connection: Connection, ours: Mapping[tuple[KeyKind, int], bytes]
) -> set[tuple[KeyKind, int]]:
    """
    The keys used here before, all of which are *ours*.

    Raises:
        KeyMismatch: One of them is not.
    """
    known = {
        (row["kind"], row["id"]): row["fingerprint"]
        for row in connection.execute(query("list_keys")).fetchall()
    }
    for name, fingerprint in known.items():
        if ours.get(name) != fingerprint:
            raise KeyMismatch
    return set(known)
