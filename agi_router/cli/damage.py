"""
How commands end that have shown what is damaged.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from agi_router.cli.output import echo_json
from agi_router.errors import SealError
from agi_router.keys.ring import DESTROYED

__all__ = ["damaged_among", "echo_rows", "fail_if_damaged", "with_damage"]

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


def echo_rows(
    rows: list[dict[str, Any]],
    echo_table: Callable[[list[dict[str, Any]]], None],
    says: str,
    *,
    as_json: bool,
) -> None:
    """
    Print rows, as JSON or as a table; say then that some are damaged.

    Args:
        rows: What is shown.
        echo_table: Prints them as a table.
        says: See :func:`fail_if_damaged`.
        as_json: Whether they are printed as JSON.

    Raises:
        SealError: Some are damaged.
    """
    if as_json:
        echo_json(rows)
    else:
        echo_table(rows)
    fail_if_damaged(damaged_among(rows), says)


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
