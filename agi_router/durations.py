"""
Durations as people write them: ``2h``, ``1h30m``, ``90s``, ``1d``, or plain seconds.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache

from agi_router.texts import narrow, strip

__all__ = ["format_duration", "parse_duration", "parse_within"]

# Six digits a unit are more than enough, and keep the sum in the range of a timedelta.
_NAMES = (
    "d|days?|天|日",
    "h|hrs?|hours?|小时|时",
    "m|mins?|minutes?|分钟|分",
    "s|secs?|seconds?|秒",
)
_UNITS = re.compile("".join(rf"(?:([0-9]{{1,6}}) *(?:{names}) *)?" for names in _NAMES))
_SECONDS = re.compile(r"[0-9]{1,9}")
# So few digits are no number of anybody's: a message may quote them.
_FEW = re.compile(r"[0-9]{1,3}")


# A file of bindings says the same over and over.
@lru_cache(maxsize=256)
def parse_duration(text: str) -> timedelta:
    """
    Read a duration.

    Args:
        text: Days, hours, minutes and seconds in this order, each with its letter or its name
            (``10min``, ``2 hours``, ``2小时``) and none twice; or a plain number of seconds.

    Raises:
        ValueError: Anything else; nothing else is raised.
    """
    text = narrow(strip(text)).lower()
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=int(text))
    match = _UNITS.fullmatch(text)
    if match is None or not text:
        raise ValueError("a duration looks like 2h, 30m, 1h30m, 90s, 1d or 45 (seconds)")
    days, hours, minutes, seconds = (int(group or 0) for group in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def parse_within(
    text: str,
    low: timedelta,
    high: timedelta | None = None,
    *,
    bare: timedelta = timedelta(),
) -> timedelta:
    """
    Read a duration that has bounds.

    Args:
        text: See :func:`parse_duration`.
        low: The shortest allowed.
        high: The longest allowed; :obj:`None`: however long.
        bare: The shortest that a number without a unit may say: two hours are soon typed as ``2``.

    Raises:
        ValueError: It is none, or out of bounds; says which number with a unit may be meant.
    """

    def allowed(span: timedelta) -> bool:
        return low <= span and (high is None or span <= high)

    duration = parse_duration(text)
    count = narrow(strip(text))
    alone = _FEW.fullmatch(count) is not None
    if allowed(duration) and not (alone and duration < bare):
        return duration
    shortest = format_duration(low)
    told = (
        f"{shortest} is the least"
        if high is None
        else f"{shortest} to {format_duration(high)} is allowed"
    )
    with_units = [f"{count}{unit}" for unit in ("h", "m", "s")] if alone else []
    meant = [each for each in with_units if allowed(parse_duration(each))]
    if meant:
        told = f"{told}; a number alone is seconds: {', '.join(meant)}?"
    raise ValueError(told)


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
