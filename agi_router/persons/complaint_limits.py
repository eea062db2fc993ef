"""
How many complaints, about so many calls, are too many.

Rules for the editor:

1. A service with more complaints than a share of its calls is closed. A number or tenant is
   stopped at half of that share, and an alarm is raised at half of what stops it.
2. Few complaints are no share: below a least number nothing is stopped.

Source:
    Domain notes, 3: complaints under 0.05 % in a month, or the service is closed (HW); stop at
    half.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

__all__ = ["ComplaintLevel", "ComplaintLimits"]

_CALLS = 100_000


class ComplaintLevel(StrEnum):
    """
    Whether so many complaints are too many.
    """

    CALM = "calm"
    ALARM = "alarm"
    """Half of what stops it, or more."""
    STOP = "stop"
    """Half of the legal share, or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintLimits:
    """
    How many complaints are too many.

    Attributes:
        share: The legal share: so many complaints for 100,000 calls.
        least: Below so many complaints nothing is stopped; nor is there an alarm below half of it.
        window: The time in which complaints and calls count.
    """

    share: int = 50
    least: int = 3
    window: timedelta = timedelta(days=30)

    def judge(self, complaints: int, calls: int) -> ComplaintLevel:
        """
        Whether *complaints* about *calls* are too many.
        """
        if complaints >= self.least and 2 * _CALLS * complaints >= self.share * calls:
            return ComplaintLevel.STOP
        if self.matter(complaints) and 4 * _CALLS * complaints >= self.share * calls:
            return ComplaintLevel.ALARM
        return ComplaintLevel.CALM

    def matter(self, complaints: int) -> bool:
        """
        Whether so many complaints may be too many at all, however few the calls are.
        """
        return 2 * complaints >= self.least

    def part_of_share(self, complaints: int, calls: int) -> float | None:
        """
        What part of the legal share so many complaints are; at half of it things are stopped.

        Returns:
            1 where they are all of it, rounded to thousandths; :obj:`None` without calls.
        """
        return round(_CALLS * complaints / (self.share * calls), 3) if calls else None

    def enough_calls(self, complaints: int) -> int:
        """
        For so many calls and more so many complaints are calm: more need not be counted.
        """
        return 4 * _CALLS * complaints // self.share + 1
