"""
How commands end that have shown what is damaged.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from agi_router.errors import SealError
from agi_router.keys.ring import DESTROYED

__all__ = ["damaged_among", "fail_if_damaged", "with_damage"]

# How many are named where several are damaged.
_NAMED = 5


def damaged_among(rows: Iterable[dict[str, Any]], name: str = "id") -> list[str]:
    """
    Those that are damaged among rows as they are shown, by their ids or by another field.

    What cannot be read because its key was destroyed is as it should be.
    """
    return [str(row[name]) for row in rows if row["damage"] not in {None, DESTROYED}]


def with_damage(
    rows: Iterable[dict[str, Any]], name: str, columns: Sequence[str]
) -> list[tuple[Any, ...]]:
    """
    Rows of a table, from rows as they are shown; those that are damaged with a word for it.

    Args:
        rows: What is shown.
        name: The column in which the word stands.
        columns: The columns of the table.
    """
    told = ({**row, name: "damaged"} if row["damage"] is not None else row for row in rows)
    return [tuple(row[each] for each in columns) for row in told]


def fail_if_damaged(names: Sequence[str], says: str) -> None:
    """
    Say that some are damaged, after all that can be read has been printed.

    Args:
        names: Which.
        says: What they are, what comes of it, and what to do.

    Raises:
        SealError: There are such.
    """
    if names:
        some = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
        raise SealError(f"{len(names)} {says}: {some}")
