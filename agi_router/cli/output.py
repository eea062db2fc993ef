"""
What commands print: one JSON object, or lines for people.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

__all__ = ["echo_json", "echo_pairs", "echo_table", "json_option", "local_time"]

Command = TypeVar("Command", bound=Callable[..., Any])


def json_option(command: Command) -> Command:
    """
    Give a command the option ``--json``.
    """
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON instead of lines for people."
    )(command)


def echo_json(value: Any) -> None:
    """
    Print one JSON value. Times are RFC 3339 with their offset.
    """
    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def echo_pairs(values: Mapping[str, Any]) -> None:
    """
    Print names and values, one a line, values aligned.
    """
    width = max(map(len, values), default=0)
    for name, value in values.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {_shown(value)}")


def echo_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, empty: str) -> None:
    """
    Print a table, or the sentence *empty* if it has no rows.
    """
    if not rows:
        click.echo(empty)
        return
    cells = [[column.upper() for column in columns], *([_shown(v) for v in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    for row in cells:
        click.echo(
            "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )


def local_time(value: datetime) -> str:
    """
    A time for people: to the second, in this machine's zone, with its offset.
    """
    return value.astimezone().isoformat(sep=" ", timespec="seconds")


def _shown(value: Any) -> str:
    match value:
        case None:
            return "-"
        case datetime():
            return local_time(value)
        case list():
            return ", ".join(map(_printable, value)) or "-"
        case _:
            return _printable(value)


def _printable(value: object) -> str:
    """
    *value* as text that neither ends a line nor commands a terminal.
    """
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in str(value)
    )


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
