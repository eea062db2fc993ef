"""
Party groups: named sets of parties of one tenant, each the side A of many bindings.
"""

from dataclasses import dataclass
from datetime import datetime

from agi_router.cursors import Cursor
from agi_router.numbers import PhoneNumber

__all__ = ["BINDINGS_MAX", "LONGEST_LABEL", "PartyGroup"]

BINDINGS_MAX = 1000
"""
Bindings by one party group that live at once: a change of its members changes all of them.

It is looked at by each bind: of several at once, each may be the last that finds room.
"""

LONGEST_LABEL = 400
"""Characters of the text that a tenant keeps with a group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyGroup:
    """
    A party group as it is kept.

    Attributes:
        id: Its number.
        tenant: Whose it is.
        name: What its tenant calls it.
        label: A text of the tenant's own.
        members: Who is in it, in their order.
        bindings: How many bindings by it live.
        created_at: When it was added.
        version: Another one each time that it is said what it is, or who is in it; a group that
            is added anew has none that one of its name had.
        damage: Why its members cannot be read; they are left out then.
    """

    id: int
    tenant: str
    name: str
    label: str | None
    members: tuple[PhoneNumber, ...]
    bindings: int
    created_at: datetime
    version: int
    damage: str | None = None

    @property
    def cursor(self) -> Cursor:
        """
        Where the page of a list ends that it is the last of.
        """
        return Cursor(self.created_at, str(self.id))
