"""
The kinds of values that options take.
"""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from agi_router.durations import format_duration, parse_duration
from agi_router.model import check_order_id, check_prompts

__all__ = [
    "COUNT",
    "DURATION",
    "NUMBER",
    "ORDER_ID",
    "PROMPTS",
    "SINCE",
    "TIME",
    "Duration",
]


class Duration(click.ParamType[Any]):
    """
    A duration such as ``2h``, ``30m``, ``1h30m`` or ``45`` (seconds).

    Args:
        low: The shortest allowed.
        high: The longest allowed.
    """

    name = "duration"

    def __init__(self, low: timedelta = timedelta(), high: timedelta = timedelta.max) -> None:
        self._low = low
        self._high = high

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, timedelta):
            return value
        try:
            duration = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not self._low <= duration <= self._high:
            low, high = format_duration(self._low), format_duration(self._high)
            self.fail(f"{low} to {high} is allowed", param, ctx)
        return duration


class _Time(click.ParamType[Any]):
    """
    A time in ISO 8601; without an offset it is this machine's.
    """

    name = "iso8601"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, datetime):
            return value
        try:
            return datetime.fromisoformat(value).astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail("a time looks like 2026-01-31T15:04:05+08:00", param, ctx)


class _Since(click.ParamType[Any]):
    """
    A time, or a duration before now.
    """

    name = "duration|iso8601"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """
        Read *value*, or fail as wrong usage.
        """
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) - parse_duration(value)
        except (ValueError, OverflowError):
            return TIME.convert(value, param, ctx)


class _OrderId(click.ParamType[Any]):
    """
    The id of an order: any text of 1 to 128 characters.
    """

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """
        Take *value*, or fail as wrong usage.
        """
        try:
            return check_order_id(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Prompts(click.ParamType[Any]):
    """
    The name of a set of prompts: a folder beside those shipped.
    """

    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """
        Take *value*, or fail as wrong usage.
        """
        try:
            return check_prompts(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Number(click.ParamType[Any]):
    """
    A real number as people write it, or ``-``: the next line of standard input.

    What stands on a command line is in process listings and shell histories.
    """

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """
        Take *value* as it is, or a line; fail as wrong usage where there is none.
        """
        if value != "-":
            return str(value)
        line = sys.stdin.readline().strip()
        if not line:
            self.fail("standard input has no line for it", param, ctx)
        return line


COUNT = click.IntRange(1, 2**31 - 1)
DURATION = Duration()
NUMBER = _Number()
ORDER_ID = _OrderId()
PROMPTS = _Prompts()
TIME = _Time()
SINCE = _Since()
