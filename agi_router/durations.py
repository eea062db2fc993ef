"""
Durations as people write them: ``2h``, ``1h30m``, ``90s``, ``1d``, or plain seconds.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

__all__ = ["format_duration", "parse_duration"]

# Six digits a unit are more than enough, and keep the sum in the range of a timedelta.
_UNITS = re.compile(r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_SECONDS = re.compile(r"[0-9]{1,9}")


# A file of bindings says the same over and over.
@lru_cache(maxsize=256)
def parse_duration(text: str) -> timedelta:
    """
    Read a duration.

    Args:
        text: Days, hours, minutes and seconds in this order, each with its letter and none
            twice; or a plain number of seconds.

    Raises:
        ValueError: Anything else; nothing else is raised.
    """
    text = text.strip().lower()
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    match = _UNITS.fullmatch(text)
    if match is None or not text:
        raise ValueError("a duration looks like 2h, 30m, 1h30m, 90s, 1d or 45 (seconds)")
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def format_duration(duration: timedelta) -> str:
    """
    Write a duration in the form that :func:`parse_duration` reads; a part of a second is cut.

    Raises:
        ValueError: *duration* is negative.
    """
    if duration < timedelta(0):
        raise ValueError("a duration is not negative")
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    units = ((duration.days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{count}{unit}" for count, unit in units if count) or "0s"
