"""
What commands print: one JSON object, or lines for people.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

from agi_router.texts import shown

__all__ = ["echo", "echo_json", "echo_pairs", "echo_table", "json_option"]

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """
    Give a command the option ``--json``.
    """
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON instead of lines for people."
    )(command)


def echo(text: str, *, nl: bool = True, err: bool = False) -> None:
    """
    Print text of one line or several, whoever may have written parts of it.

    Args:
        text: What a terminal is to show, and not to obey.
        nl: Whether a line end follows.
        err: Whether it is for standard error.
    """
    click.echo(shown(text, keep="\n\t"), nl=nl, err=err)


def echo_json(value: Any) -> None:
    """
    Print one JSON value. Times are RFC 3339 with their offset.
    """
    echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def echo_pairs(values: Mapping[str, Any]) -> None:
    """
    Print names and values, one a line, values aligned.
    """
    width = max(map(len, values), default=0)
    for name, value in values.items():
        echo(f"{name.replace('_', ' '):{width}}  {_shown(value)}")


def echo_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """
    Print a table, or the sentence *empty* if it has no rows; names may be those of fields.
    """
    if not rows:
        echo(empty)
        return
    cells = [
        [column.replace("_", " ").upper() for column in columns],
        *([_shown(v) for v in row] for row in rows),
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        echo(
            "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def _local_time(value: datetime) -> str:
    """
    A time for people: to the second, in this machine's zone, with its offset.
    """
    return value.astimezone().isoformat(sep=" ", timespec="seconds")


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return _local_time(value)
        case dict():
            return ", ".join(shown(f"{name} {each}") for name, each in value.items()) or "-"
        case list():
            return ", ".join(shown(str(each)) for each in value) or "-"
        case _:
            return shown(str(value))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
