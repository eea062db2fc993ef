"""
Rates: so many in a time.
"""

import re
from dataclasses import dataclass
from datetime import timedelta

from agi_router.durations import format_duration, parse_within

__all__ = ["OFF", "Rate", "parse_rate"]

_SHORTEST, _LONGEST = timedelta(seconds=1), timedelta(days=1)
_COUNT = re.compile(r"[0-9]{1,7}")
_MOST = 1_000_000


@dataclass(frozen=True, slots=True)
class Rate:
    """
    So many in a time; none at all stands for no limit.
    """

    count: int
    window: timedelta

    def __str__(self) -> str:
        """
        As a setting says it.
        """
        return f"{self.count}/{format_duration(self.window)}" if self.count else "off"


OFF = Rate(0, timedelta(0))
"""No limit."""


def parse_rate(text: str) -> Rate:
    """
    Read a rate like ``20/10m``: 1 to 1,000,000 in ``1s`` to ``1d``.

    Raises:
        ValueError: It is none.
    """
    count, _, window = (part.strip() for part in text.partition("/"))
    try:
        span = parse_within(window, _SHORTEST, _LONGEST)
    except ValueError:
        span = None
    if span is None or not _COUNT.fullmatch(count) or not 1 <= int(count) <= _MOST:
        raise ValueError("so many in a time, like 20/10m")
    return Rate(int(count), span)
