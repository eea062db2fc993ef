"""
A database that came back from a backup, and does not know what it has lost.
"""

from typing import Final

from agi_router.db.connection import Connection, Queries

__all__ = ["SKIPPED", "skip_ids"]

SKIPPED: Final = 1_000_000
"""So many ids are left out: more than can have been given between two archived files of WAL."""


def skip_ids(connection: Connection) -> list[str]:
    """
    Give no id again that somebody may have been told in the time that is lost.

    Whoever has the id of a binding that is lost would else end another one by it.

    Returns:
        What counts ids, by the names in the schema.

    Raises:
        RightsMissing: The role does not own the schema.
    """
    rows = Queries(connection).rows("skip_ids", {"skipped": SKIPPED})
    return [row["name"] for row in rows]
