"""
Rates: so many in a time.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from typing import TypeVar

from agi_router.durations import format_duration, parse_within

__all__ = ["OFF", "Rate", "Rates", "parse_rate", "read_rates"]

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """
    Several of them, each by its name: the fields of what derives from this.
    """

    @property
    def on(self) -> bool:
        """
        Whether there is any.
        """
        return any(getattr(self, each.name) != OFF for each in fields(self))

    @property
    def words(self) -> dict[str, str]:
        """
        Those that there are, by name.
        """
        said = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: str(rate) for name, rate in said if rate != OFF}


_Rates = TypeVar("_Rates", bound=Rates)


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


def read_rates(none: _Rates, words: Mapping[str, str]) -> _Rates:
    """
    Read rates as the database keeps them: names and rates like ``20/10m``.

    Args:
        none: What they are if nothing is said.
        words: What is said.

    Raises:
        ValueError: There is another name, or what is no rate.
    """
    if unknown := set(words) - {each.name for each in fields(none)}:
        raise ValueError(f"there is no limit called {min(unknown)}")
    return replace(none, **{name: parse_rate(rate) for name, rate in words.items()})
