"""
Findings of misuse, for carriers to freeze numbers: each is handed out until it is acknowledged.

1. A finding is a lock of a person for misuse that the operator has set. It goes to the carriers of
   the operator digits on whose 700 numbers the person is or was bound.
2. So is a person of whose calls so many complain as would stop a number. It goes to the carriers
   of the numbers that were shown.
3. A lock that is lifted, or complaints that are dismissed, after the carrier was told, are a
   finding of their own: ``withdrawn``.
4. The number stands in the lock, or in the register of persons, and is opened when it is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from agi_router.db.connection import Queries
from agi_router.feeds.complained_callers import ComplainedCallers
from agi_router.keys.damage import open_or_tell
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.complaint_limits import ComplaintLimits
from agi_router.persons.register import PersonRegister

__all__ = ["Finding", "FindingStatus", "FindingStore"]


class FindingStatus(StrEnum):
    """
    What a carrier is told of a number.
    """

    MISUSE = "misuse"
    WITHDRAWN = "withdrawn"
    """The lock was lifted since, or complaints were dismissed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    What a carrier is to be told.
    """

    id: int
    """It rises: a carrier acknowledges all up to one."""
    operator: int
    """The operator digit."""
    person: PhoneNumber | None = field(repr=False)
    """Whose number; None: it does not open."""
    status: FindingStatus
    source: str
    """What has led to it: a lock, or complaints."""
    since: datetime
    """From when the lock holds; or when the call was that was one too many."""
    rule: str | None
    found_at: datetime
    taken_at: datetime | None
    acknowledged_at: datetime | None
    damage: str | None = None
    """Why its number does not open."""


class FindingStore:
    """
    The findings of one database; they are the operator's.

    Args:
        queries: Where they are kept.
        keys: To open numbers.
        limits: How many complaints are too many.
    """

    def __init__(self, queries: Queries, keys: KeyRing, limits: ComplaintLimits) -> None:
        self._queries = queries
        self._keys = keys
        self._limits = limits
        self._callers = ComplainedCallers(queries, keys)
        self._register = PersonRegister(queries, keys)

    def all(
        self, operator: int | None = None, *, everything: bool = False, after: int = 0, limit: int
    ) -> list[Finding]:
        """
        Findings by their ids.

        Args:
            operator: Only those for the carrier of this digit.
            everything: Those that were acknowledged, too.
            after: Only those behind this one.
            limit: At most so many.
        """
        values = {"operator": operator, "everything": everything, "after": after, "limit": limit}
        too_many = {"least": self._limits.least, "within": self._limits.window}
        with self._queries.transaction():
            self._callers.note_new()
            self._queries.row("gather_findings", too_many)
            rows = self._queries.rows("list_findings", values)
            known = {row["person_id"] for row in rows} - {None}
            people = self._register.open(known)
        return [self._read(row, people) for row in rows]

    def take(self, operator: int, *, limit: int) -> list[Finding]:
        """
        What the carrier of a digit is to be told next: the same until it is acknowledged.

        One whose number does not open is left out, and not handed out.
        """
        with self._queries.transaction():
            found = [each for each in self.all(operator, limit=limit) if each.person is not None]
            self._queries.execute("take_findings", {"ids": [each.id for each in found]})
        return found

    def acknowledge(self, operator: int, up_to: int) -> int:
        """
        Hand out no more what was handed out, up to a finding; returns how many these were.
        """
        row = self._queries.row("acknowledge_findings", {"operator": operator, "up_to": up_to})
        return 0 if row is None else int(row["findings"])

    def _read(
        self, row: dict[str, Any], people: Mapping[int, tuple[PhoneNumber | None, str | None]]
    ) -> Finding:
        if row["lock_id"] is None:
            person, damage = people[row["person_id"]]
        else:
            person, damage = open_or_tell(
                lambda: self._keys.open_locked(row["sealed"], row["lock_id"], row["key"])
            )
        return Finding(
            id=row["id"],
            operator=row["operator"],
            person=person,
            status=FindingStatus(row["status"]),
            source=row["source"],
            since=row["starts_at"],
            rule=row["rule"],
            found_at=row["found_at"],
            taken_at=row["taken_at"],
            acknowledged_at=row["acknowledged_at"],
            damage=damage,
        )
