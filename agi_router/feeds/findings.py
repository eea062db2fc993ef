"""
Findings of misuse, for carriers to freeze numbers: each is handed out until it is acknowledged.

1. A finding is a lock of a person for misuse that the operator has set. It goes to the carriers of
   the operator digits on whose 700 numbers the person is or was bound.
2. A lock that is lifted after its carrier was told is a finding of its own: ``withdrawn``.
3. The number stands in the lock alone, and is opened when it is shown.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from agi_router.db.connection import Queries
from agi_router.keys.damage import open_or_tell
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber

__all__ = ["Finding", "FindingStatus", "FindingStore"]


class FindingStatus(StrEnum):
    """
    What a carrier is told of a number.
    """

    MISUSE = "misuse"
    WITHDRAWN = "withdrawn"
    """The lock was lifted since."""


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
    since: datetime
    """From when the lock holds."""
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
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys

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
        with self._queries.transaction():
            self._queries.row("gather_findings", {})
            rows = self._queries.rows("list_findings", values)
        return list(map(self._read, rows))

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

    def _read(self, row: dict[str, Any]) -> Finding:
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
