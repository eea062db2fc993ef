"""
The clocks of other machines, compared with this one's.

Asterisk says when a call entered, the database when a binding ends, and this machine is neither.
How far they are apart is measured by asking: what is told in answer was true at some moment
between the question and the answer.
"""

import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

__all__ = ["OtherClock", "steady"]

# Seconds that an answer may take; what took longer says little, and an older one says more.
_PROMPT: Final = 0.5


steady: Final = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
"""
Seconds by a clock that nobody sets, and that goes on while the machine sleeps.
"""


class OtherClock:
    """
    What is known of one other clock.

    Args:
        whose: Whose it is, for people.
        limit: Seconds that the two may be apart.
        now: See :func:`steady`.
        wall: Seconds since 1970, by this machine's clock.
    """

    def __init__(
        self,
        whose: str,
        *,
        limit: float,
        now: Callable[[], float] = steady,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._whose = whose
        self._limit = limit
        self._now = now
        self._wall = wall
        # What has to be added to the steady clock: at least, at most; none before the first look.
        self._offset: tuple[float, float] | None = None

    def told(self, moment: datetime, *, asked: float) -> None:
        """
        Take note of what the other clock said.

        Args:
            moment: The time by the other clock.
            asked: When it was asked, by the steady clock.
        """
        heard = self._now()
        if heard - asked > _PROMPT and self._offset is not None:
            return
        seconds = moment.timestamp()
        self._offset = (seconds - heard, seconds - asked)

    def steadily(self, moment: datetime) -> float:
        """
        A time by the other clock, by the steady one; rather too early than too late.

        Before the first look both clocks are taken for one.
        """
        high = self._wall() - self._now() if self._offset is None else self._offset[1]
        return moment.timestamp() - high

    @property
    def ahead(self) -> float:
        """
        Seconds by which this machine's clock is ahead of the other; 0 before the first look.
        """
        if self._offset is None:
            return 0.0
        low, high = self._offset
        return self._wall() - self._now() - (low + high) / 2

    @property
    def trouble(self) -> list[str]:
        """
        What is wrong, in a line, where the two are further apart than they may be; mostly nothing.
        """
        ahead = self.ahead
        doubt = 0.0 if self._offset is None else (self._offset[1] - self._offset[0]) / 2
        if abs(ahead) - doubt <= self._limit:
            return []
        side = "ahead of" if ahead > 0 else "behind"
        line = f"clock: this machine's is {abs(ahead):.2f} s {side} {self._whose}"
        return [f"{line}, and may be {self._limit:.3g} s: set both by NTP"]
