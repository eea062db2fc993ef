"""
Which table of number ranges this process judges by: the shipped one and the operator's file.

A process that serves looks now and then whether the day or the file is another one.
"""

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from importlib.resources import files
from pathlib import Path

from agi_router import numbers
from agi_router.errors import SettingsError
from agi_router.number_ranges import NumberRanges

__all__ = ["RangesFollower", "judge_by_ranges", "load_ranges", "today"]

log = logging.getLogger(__name__)

_BEIJING = timezone(timedelta(hours=8))
# Many times what the whole numbering plan takes.
_LARGEST = 1 << 20
_SETTING = "AGI_ROUTER_NUMBER_RANGES"


def load_ranges(own: Path | None) -> NumberRanges:
    """
    The shipped table, with the operator's.

    Args:
        own: The operator's file, if there is one.

    Raises:
        SettingsError: The operator's file cannot be read, or is no such table.
    """
    shipped = NumberRanges.parse(
        files("agi_router").joinpath("number_ranges.csv").read_text("utf-8")
    )
    if own is None:
        return shipped
    try:
        with own.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise SettingsError(f"{_SETTING} cannot be read: {error.strerror}") from None
    if len(content) > _LARGEST:
        raise SettingsError(f"{_SETTING}: the file has more than 1 MiB")
    try:
        return shipped.extended_by(NumberRanges.parse(content.decode(), own=True))
    except UnicodeDecodeError:
        raise SettingsError(f"{_SETTING}: the file is not in UTF-8") from None
    except ValueError as error:
        raise SettingsError(f"{_SETTING}: {error}") from None


def today() -> date:
    """
    The day in Beijing.
    """
    return datetime.now(_BEIJING).date()


def judge_by_ranges(own: Path | None) -> None:
    """
    Judge numbers by the table of today, from now on and in all of this process.

    Raises:
        SettingsError: See :func:`load_ranges`.
    """
    numbers.judge_by(load_ranges(own).on(today()))


class RangesFollower:
    """
    Keeps a process that serves to the table as it is.

    Args:
        own: The operator's file, if there is one.
        day: Says which day it is.
    """

    def __init__(self, own: Path | None, *, day: Callable[[], date] = today) -> None:
        self._own = own
        self._day = day
        self._seen = (day(), self._stamp())

    def look(self) -> None:
        """
        Read the table again on another day, or where the file is another one.

        What cannot be read is told once, and changes nothing.
        """
        found = (self._day(), self._stamp())
        if found == self._seen:
            return
        self._seen = found
        try:
            ranges = load_ranges(self._own)
        except SettingsError as error:
            log.warning("ranges.unreadable", extra={"why": str(error)})
            return
        numbers.judge_by(ranges.on(found[0]))

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = None if self._own is None else self._own.stat()
        except OSError:
            return None
        return status and (status.st_ino, status.st_mtime_ns)
