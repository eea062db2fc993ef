"""
Complaints about calls. Who has complained is never kept.

How many of them are too many: :mod:`agi_router.persons.complaint_limits`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from agi_router.cursors import Cursor
from agi_router.numbers import XNumber
from agi_router.persons.complaint_limits import ComplaintLevel
from agi_router.persons.locks import LockedThing
from agi_router.texts import check_name

__all__ = [
    "Complaint",
    "ComplaintCount",
    "ComplaintKind",
    "check_complaint_reference",
    "check_complaint_source",
]

_LONGEST_SOURCE = 64
_LONGEST_REFERENCE = 128


class ComplaintKind(StrEnum):
    """
    What is complained of.
    """

    HARASSMENT = "harassment"
    MARKETING = "marketing"
    FRAUD = "fraud"
    OTHER = "other"


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
    part_of_share: float | None
    """See :meth:`ComplaintLimits.part_of_share`; at most so much where there may be more calls."""
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
