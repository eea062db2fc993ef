"""
Block lists: which persons are not to reach which others, by a call or by a text.

Rules for the editor:

1. An entry is of one person. It is against one other person, or against anybody; and it holds in
   the bindings of one tenant, or in all.
2. It refuses what the person asks of the other (``out``), what the other asks of the person
   (``in``), or both. Nothing that is bound ends by it, and bindings can be made.
3. Whoever is refused by it hears what a stranger hears, and never who has blocked whom.
4. An entry is found by tags, and may be another person's with the same tag. It holds for whoever's
   numbers its seals have, and for nobody else.

Source:
    Domain notes, 2.2 and 4.1 (``blocked``).
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from agi_router.cursors import Cursor
from agi_router.errors import RequestInvalid
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import BlockDirection

__all__ = [
    "BlocklistEntry",
    "EntryState",
    "Pairing",
    "check_pairing",
    "parse_entry_id",
]

_LARGEST_ID = 2**63 - 1


class EntryState(StrEnum):
    """
    Whether an entry holds.
    """

    IN_FORCE = "in_force"
    REMOVED = "removed"
    ENDED = "ended"
    """Its time was over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """
    Who is kept from whom.

    Attributes:
        person: Whose entry it is.
        other: The one other person; :obj:`None`: anybody.
        tenant: The tenant in whose bindings alone it holds; :obj:`None`: in all.
    """

    person: PhoneNumber = field(repr=False)
    other: PhoneNumber | None = field(default=None, repr=False)
    tenant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlocklistEntry:
    """
    An entry, as it stands at one moment.
    """

    id: int
    pairing: Pairing | None
    """:obj:`None`: it cannot be read."""
    tenant: str | None
    """As in :class:`Pairing`."""
    direction: BlockDirection
    note: str | None
    added_by: str | None
    """Who has added it; :obj:`None` where that is not told."""
    added_at: datetime
    ends_at: datetime | None
    """:obj:`None`: never."""
    over_at: datetime | None
    removed: bool
    """Whether somebody has ended it before its time."""
    removable: bool
    """Whether whoever has asked for it may remove it."""
    now: datetime
    """When it stood so."""
    damage: str | None = None
    """Why its persons cannot be read."""

    @property
    def state(self) -> EntryState:
        """
        Whether it holds.
        """
        if self.removed:
            return EntryState.REMOVED
        over = self.over_at is not None or (self.ends_at is not None and self.ends_at <= self.now)
        return EntryState.ENDED if over else EntryState.IN_FORCE

    @property
    def cursor(self) -> Cursor:
        """
        Where a page of a list ends that this is the last of.
        """
        return Cursor(self.added_at, str(self.id))


def check_pairing(pairing: Pairing) -> None:
    """
    Make sure that somebody is kept from somebody else.

    Raises:
        RequestInvalid: Both are one.
    """
    if pairing.person == pairing.other:
        raise RequestInvalid("a person is not kept from itself: the two numbers are one")


def parse_entry_id(text: str) -> int:
    """
    Read the id of an entry.

    Raises:
        ValueError: It is none.
    """
    # What is longer is not read: of very many digits int() says something else.
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_ID))
    if not digits or not 0 < int(text) <= _LARGEST_ID:
        raise ValueError("an entry's id is a whole number, as 'agi-router blocklist list' shows")
    return int(text)
