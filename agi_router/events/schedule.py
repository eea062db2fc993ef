"""
When what did not arrive is tried again.

Rules for the editor:

1. A delivery is tried at once, after 5 s, 30 s, 2 min, 10 min, 30 min, 2 h, 6 h, 12 h, and then
   daily, each 20 % earlier or later, until it has been owed for seven days. Then it is held:
   nothing is deleted, and somebody has to ask for it.
2. A webhook that has failed ten times in a row gets one probe at a time; after three days without
   a success it is switched off, and what it is owed is kept.
3. A receiver that says when to come again (``Retry-After``) is heeded, up to a day.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = [
    "FAILED_AFTER",
    "IN_FLIGHT",
    "PROBED_AFTER",
    "next_delay",
    "parse_retry_after",
    "pause_of_webhook",
]

_SECONDS = (5, 30, 120, 600, 1800, 7200, 21_600, 43_200, 86_400)
_DELAYS = tuple(timedelta(seconds=seconds) for seconds in _SECONDS)
_JITTER = 0.2
_OWED_AT_MOST = timedelta(days=7)
# The one form in which dates are sent (RFC 9110, 5.6.7).
_DATE = "%a, %d %b %Y %H:%M:%S GMT"
_LONGEST_WISH = timedelta(days=1)
_LONGEST_PAUSE = timedelta(minutes=10)

FAILED_AFTER = timedelta(days=3)
"""A webhook without a success for so long is switched off."""

PROBED_AFTER = 10
"""After so many failures in a row a webhook gets one delivery at a time."""

IN_FLIGHT = 16
"""So many deliveries of one webhook are under way at once, at most."""


def next_delay(
    tries: int, owed: timedelta, random: Callable[[], float], *, wish: timedelta | None = None
) -> timedelta | None:
    """
    How long after its last try a delivery is tried again; :obj:`None`: no more.

    Args:
        tries: Tries so far, 1 or more.
        owed: Since when it has been owed.
        random: Gives numbers from 0 to 1.
        wish: When the receiver wants it, if it said so.
    """
    delay = _DELAYS[min(tries, len(_DELAYS)) - 1] * (1 - _JITTER + 2 * _JITTER * random())
    if wish is not None:
        delay = max(delay, wish)
    return delay if owed + delay <= _OWED_AT_MOST else None


def pause_of_webhook(failures: int, *, wish: timedelta | None = None) -> timedelta:
    """
    For how long nothing is sent to a webhook after a failed try.

    Args:
        failures: Failures in a row, this one included.
        wish: When the receiver wants the next delivery, if it said so.
    """
    pause = timedelta()
    if failures >= PROBED_AFTER:
        pause = min(_DELAYS[min(failures - PROBED_AFTER, len(_DELAYS) - 1)], _LONGEST_PAUSE)
    return pause if wish is None else max(pause, wish)


def parse_retry_after(text: str | None, *, now: datetime) -> timedelta | None:
    """
    When a receiver wants to be asked again, by its ``Retry-After``: seconds, or a date of HTTP.

    Args:
        text: What it says; :obj:`None`: nothing.
        now: The time.
    """
    if text is None or not text.isascii():
        return None
    if text.isdigit():
        return min(timedelta(seconds=int(text[:9])), _LONGEST_WISH)
    try:
        when = datetime.strptime(text, _DATE).replace(tzinfo=UTC)
    except ValueError:
        return None
    return min(max(when - now, timedelta()), _LONGEST_WISH)
