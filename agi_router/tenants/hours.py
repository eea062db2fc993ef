"""
Hours in which calls and texts go through, of a tenant or of one binding.

They are windows of the local week, like ``mon-fri 09:00-18:00; sat 10:00-14:00``. Without days a
window is of every day. One that ends before it begins ends on the next day, and one that ends at
24:00 ends with its day. A window holds from its first minute until before its last one.

``agi_router.is_open`` (``sql/``) reads them alike; a property test holds the two together. What
minute of the local week it is, the database says.
"""

import re
from dataclasses import dataclass

from agi_router.texts import narrow

__all__ = ["WEEK", "Hours", "check_hours"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR = 60
_DAY = 24 * _HOUR
WEEK = len(_DAYS) * _DAY
"""Minutes of a week."""
_MOST = 14
_NAMES = "|".join(_DAYS)
_WINDOW = re.compile(
    rf"(?:({_NAMES})(?: ?- ?({_NAMES}))? )?([0-9]{{2}}):([0-9]{{2}}) ?- ?([0-9]{{2}}):([0-9]{{2}})"
)
_EXPECTED = f"hours like 'mon-fri 09:00-18:00; sat 22:00-02:00', 1 to {_MOST} windows"


@dataclass(frozen=True, slots=True)
class _Window:
    """
    One window.
    """

    days: tuple[int, int] | None
    """Its first and its last day, 0 for Monday; :obj:`None`: every day."""
    begins: int
    """Minute of the day."""
    ends: int

    def holds(self, day: int, minute: int) -> bool:
        """
        Whether it is open at a minute of a day.
        """
        if self.begins < self.ends:
            return self._is_of(day) and self.begins <= minute < self.ends
        return (self._is_of(day) and minute >= self.begins) or (
            self._is_of((day - 1) % len(_DAYS)) and minute < self.ends
        )

    def _is_of(self, day: int) -> bool:
        if self.days is None:
            return True
        first, last = self.days
        return (day - first) % len(_DAYS) <= (last - first) % len(_DAYS)

    def __str__(self) -> str:
        """
        As people write it.
        """
        span = "-".join(
            f"{each // _HOUR:02}:{each % _HOUR:02}" for each in (self.begins, self.ends)
        )
        if self.days is None:
            return span
        first, last = self.days
        return f"{_DAYS[first]}{'' if first == last else f'-{_DAYS[last]}'} {span}"


@dataclass(frozen=True, slots=True)
class Hours:
    """
    Windows of a week.
    """

    windows: tuple[_Window, ...]

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """
        Read what people write, with ``;`` or ``,`` between windows.

        Raises:
            ValueError: It is none; says what is.
        """
        parts = narrow(text).lower().replace(",", ";").split(";")
        if len(parts) > _MOST:
            raise ValueError(_EXPECTED)
        return cls(tuple(_parse_window(part) for part in parts))

    def holds(self, minute: int) -> bool:
        """
        Whether any is open at a minute of the local week, 0 for Monday 00:00.
        """
        day, of_day = divmod(minute, _DAY)
        return any(window.holds(day, of_day) for window in self.windows)

    def __str__(self) -> str:
        """
        As people write them, and as they are kept.
        """
        return "; ".join(map(str, self.windows))


def _parse_window(text: str) -> _Window:
    match = _WINDOW.fullmatch(" ".join(text.split()))
    if match is None:
        raise ValueError(_EXPECTED)
    first, last, *clock = match.groups()
    hour, minute, end_hour, end_minute = map(int, clock)
    begins, ends = hour * _HOUR + minute, end_hour * _HOUR + end_minute
    if max(minute, end_minute) >= _HOUR or begins >= _DAY or ends > _DAY or begins == ends:
        raise ValueError(_EXPECTED)
    days = None if first is None else (_DAYS.index(first), _DAYS.index(last or first))
    return _Window(days, begins, ends)


def check_hours(text: str) -> str:
    """
    Return hours as they are kept.

    Raises:
        ValueError: They are none; says what are.
    """
    return str(Hours.parse(text))
