"""
How fast messages go out: as the message centre allows, and slower after it has said "too fast".

Source:
    SMPP v3.4, 5.1.3 (ESME_RTHROTTLED), which does not say how much slower.
"""

from typing import Final

__all__ = ["Pace"]

_SLOWEST: Final = 1.0
# A rate that was halved is whole again after some thirty seconds.
_GROWTH: Final = 1.025


class Pace:
    """
    When the next message may go.

    Args:
        rate: Messages in a second, at most; above 0.
    """

    def __init__(self, rate: float) -> None:
        self._most = self._rate = rate
        self._free_at = 0.0
        self._changed_at = 0.0

    @property
    def rate(self) -> float:
        """
        Messages in a second, as it stands.
        """
        return self._rate

    def wait(self, now: float) -> float:
        """
        How long a message has to wait that comes now.

        Args:
            now: Seconds of any clock that does not go back.
        """
        return max(0.0, self._free_at - now)

    def take(self, now: float) -> None:
        """
        A message takes its turn, now or when it has waited.
        """
        if self._rate < self._most:
            whole = int(now - self._changed_at)
            self._rate = min(self._most, self._rate * _GROWTH**whole)
            self._changed_at += whole
        self._free_at = max(self._free_at, now) + 1 / self._rate

    def throttled(self, now: float) -> None:
        """
        The message centre says that it was too much. Of several that were under way one counts.
        """
        if now - self._changed_at >= 1 or self._rate == self._most:
            self._rate = max(_SLOWEST, self._rate / 2)
            self._changed_at = now
