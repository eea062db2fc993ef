"""
Complaints about calls: how many of so many calls are too many.

Rules for the editor:

1. A service with more complaints than a share of its calls is closed. A number or tenant is
   stopped at half of that share, and an alarm is raised at half of what stops it.
2. Few complaints are no share: below a least number nothing is stopped.
3. Who has complained is never kept.

Source:
    Domain notes, 3: complaints under 0.05 % in a month, or the service is closed (HW); stop at
    half.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agi_router.cursors import Cursor
from agi_router.numbers import XNumber
from agi_router.persons.locks import LockedThing
from agi_router.texts import check_name

__all__ = [
    "Complaint",
    "ComplaintCount",
    "ComplaintKind",
    "ComplaintLevel",
    "ComplaintLimits",
    "check_complaint_reference",
    "check_complaint_source",
]

_LONGEST_SOURCE = 64
_LONGEST_REFERENCE = 128
_CALLS = 100_000


class ComplaintKind(StrEnum):
    """
    What is complained of.
    """

    HARASSMENT = "harassment"
    MARKETING = "marketing"
    FRAUD = "fraud"
    OTHER = "other"


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

    def enough_calls(self, complaints: int) -> int:
        """
        For so many calls and more so many complaints are calm: more need not be counted.
        """
        return 4 * _CALLS * complaints // self.share + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ComplaintCount:
    """
    How a number or a tenant stands.
    """

    thing: LockedThing
    complaints: int
    calls: int
    """Those that went through; no more than :meth:`ComplaintLimits.enough_calls` are counted."""
    more_calls: bool
    """Whether there may be more than these, which would change nothing."""
    since: datetime
    level: ComplaintLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """
    A complaint about a call.
    """

    id: int
    x_number: XNumber
    tenant: str | None
    """Whose call it was; :obj:`None`: that is not known."""
    kind: ComplaintKind
    at: datetime
    """When the call was."""
    source: str
    """Who has passed it on."""
    reference: str
    """What it is known by there."""
    note: str | None
    added_at: datetime
    added_by: str | None
    """:obj:`None` where that is not told."""
    dismissed_at: datetime | None
    dismiss_note: str | None

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.added_at, str(self.id))


def check_complaint_source(text: str) -> str:
    """
    Return *text*, stripped, if it may name who passes complaints on.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a source", longest=_LONGEST_SOURCE)


def check_complaint_reference(text: str) -> str:
    """
    Return *text*, stripped, if a complaint may be known by it.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a reference", longest=_LONGEST_REFERENCE)
