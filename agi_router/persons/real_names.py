"""
Real names: whether a person is known by its own, as somebody has checked.

Rules for the editor:

1. Only the result is kept, with who has checked and when. No name, and no paper, is ever here.
2. What the operator knows counts for all tenants, and comes before what a tenant says; where the
   operator knows nothing, a tenant speaks for itself: see ``agi_router.find_real_names``.

Source:
    Domain notes, 0.5: only real-named mobiles may be bound.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agi_router.cursors import Cursor
from agi_router.numbers import PhoneNumber
from agi_router.texts import check_name

__all__ = ["RealName", "RealNameLine", "RealNameStatus", "check_source"]

_LONGEST_SOURCE = 64


class RealName(StrEnum):
    """
    Whether a person is known by its real name.
    """

    YES = "yes"
    NO = "no"
    """It was checked, and is not so."""
    UNKNOWN = "unknown"
    """Nobody has checked, or what was known counts no longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RealNameStatus:
    """
    What is known of a person.
    """

    status: RealName
    source: str | None
    """Who has checked; :obj:`None`: nobody has said anything; so below."""
    checked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RealNameLine:
    """
    What somebody has written down of a person.
    """

    id: int
    person: PhoneNumber | None = field(repr=False)
    """:obj:`None`: that cannot be read."""
    tenant: str | None
    """For which tenant alone it counts; :obj:`None`: for all."""
    status: RealName
    source: str
    checked_at: datetime
    void: bool
    """Whether it counts no longer: the number has had a new owner since it was checked."""
    added_at: datetime
    added_by: str | None
    """Who has written it; :obj:`None` where that is not told."""
    damage: str | None = None
    """Why its person cannot be read."""

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.added_at, str(self.id))


def check_source(text: str) -> str:
    """
    Return *text*, stripped, if it may name who has checked.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a source", longest=_LONGEST_SOURCE)
