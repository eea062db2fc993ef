"""
Points in time as people and spreadsheets write them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from agi_router.errors import RequestInvalid
from agi_router.texts import narrow, strip

__all__ = ["check_order", "check_past", "parse_time"]

# So far another clock may be ahead.
_AHEAD = timedelta(minutes=1)

# 2026/1/31 15:04 and 2026年1月31日, beside what ISO 8601 has.
_FORM = re.compile(
    r"([0-9]{4})(?:-|/|\.|年)([0-9]{1,2})(?:-|/|\.|月)([0-9]{1,2})日?"
    r"(?:[T ]+([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(\.[0-9]{1,6})?)?)?"
    r" *(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?",
    re.IGNORECASE,
)


def parse_time(text: str) -> datetime:
    """
    Read a point in time; without an offset it is this machine's, without a time the day's begin.

    Args:
        text: ISO 8601, also with ``/``, ``.`` or ``年月日`` in its date and without leading zeros.

    Returns:
        It in UTC.

    Raises:
        ValueError: Anything else; nothing else is raised.
    """
    text = narrow(strip(text))
    if match := _FORM.fullmatch(text):
        year, month, day, hour, minute, second, part, offset = match.groups()
        text = (
            f"{year}-{month:0>2}-{day:0>2}T{hour or '':0>2}:{minute or '00'}:{second or '00'}"
            f"{part or ''}{(offset or '').upper()}"
        )
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            "a time looks like 2026-01-31T15:04:05+08:00, or 2026-01-31 15:04"
        ) from None


def check_past(at: datetime, now: datetime, *, word: str) -> None:
    """
    Make sure that something has been; a clock may be a minute ahead.

    Args:
        at: When it was.
        now: The time.
        word: What it is called in files and JSON.

    Raises:
        RequestInvalid: It is to be.
    """
    if at > now + _AHEAD:
        raise RequestInvalid(f"{word} lies in the future: say when it was", words=(word,))


def check_order(begins: datetime | None, ends: datetime | None, *, words: tuple[str, str]) -> None:
    """
    Make sure that something ends later than it begins.

    Args:
        begins: When; :obj:`None`: since ever.
        ends: When; :obj:`None`: never.
        words: What the two are called in files and JSON; the text, which every door shows, has
            neither.

    Raises:
        RequestInvalid: It does not.
    """
    if begins is not None and ends is not None and ends <= begins:
        raise RequestInvalid("the end is to be later than the beginning", words=words)
