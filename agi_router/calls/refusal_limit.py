"""
Limits on refused calls: whoever scans the range is refused without a question to the store.

Each refused call fills a bucket by one, and the bucket drains evenly, by its whole size in one
window. While it is full, calls are refused unasked; these do not fill it, so that somebody who
redials in despair is not locked out for ever. So of any key at most ``count`` refused calls come
through at once, and ``count`` more in each window.

Rules for the editor:

1. One number a key is kept: when its bucket will be empty. Times are whole nanoseconds of any
   clock that does not go back, so that counting is exact.
2. Memory is bounded: of too many keys the one refused longest ago is forgotten.
"""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import timedelta

from agi_router.rates import Rate

__all__ = ["RefusalLimit"]

_MICROSECOND = timedelta(microseconds=1)
_NANOSECONDS = 1000
_SECOND = 1_000_000_000


class RefusalLimit:
    """
    Who has been refused too often, by keys.

    Args:
        rate: How many refused calls are let through, and in which time.
        capacity: How many keys are kept.
    """

    def __init__(self, rate: Rate, *, capacity: int = 100_000) -> None:
        self._off = rate.count == 0
        # What one refused call adds; the bucket holds as many as the rate says.
        self._step = 0 if self._off else rate.window // _MICROSECOND * _NANOSECONDS // rate.count
        self._full = self._step * rate.count
        self._capacity = capacity
        # A dict would look for its first one through all that were removed.
        self._empty_at: OrderedDict[Hashable, int] = OrderedDict()

    def reached(self, key: Hashable, *, now: int) -> bool:
        """
        Whether calls of *key* are to be refused unasked.

        Args:
            key: Who calls.
            now: Nanoseconds.
        """
        empty_at = self._empty_at.get(key)
        return empty_at is not None and empty_at - now > self._full - self._step

    def note(self, key: Hashable, *, now: int) -> bool:
        """
        A call of *key* was refused.

        A full bucket gets no fuller, though many may be on their way when it becomes so.

        Returns:
            Whether the limit is reached by this one.
        """
        if self._off:
            return False
        before = self.reached(key, now=now)
        # Taken out and put in again, so that the first one was refused longest ago.
        filled = max(self._empty_at.pop(key, now), now) + self._step
        self._empty_at[key] = min(filled, now + self._full)
        if len(self._empty_at) > self._capacity:
            self._empty_at.popitem(last=False)
        return self.reached(key, now=now) and not before

    def left(self, key: Hashable, *, now: int) -> tuple[int, int]:
        """
        How many refused calls of *key* would come through at once, and when all would again.

        Returns:
            The count, and whole seconds until then.
        """
        filled = max(self._empty_at.get(key, now) - now, 0)
        return (self._full - filled) // (self._step or 1), -(-filled // _SECOND)

    def wait(self, key: Hashable, *, now: int) -> int:
        """
        Whole seconds until one of *key* would come through again; 0: it would now.
        """
        late = self._empty_at.get(key, now) - now - (self._full - self._step)
        return max(0, -(-late // _SECOND))

    def __len__(self) -> int:
        return len(self._empty_at)
