"""
Days as the database knows them: what was packed of each, and which ones somebody wants packed.

Packages lie in a directory that the exporter alone may read. Whoever else wants one made says so
here, and the exporter, begun by its timer, makes it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from agi_router.db.connection import Queries
from agi_router.errors import ExportNotFound
from agi_router.exports.kinds import ZONE
from agi_router.exports.manifest import name_package
from agi_router.maintenance.classes import Kind, Retention

__all__ = ["DayState", "ExportDay", "ExportDays", "Wish", "describe_export_day"]


class DayState(StrEnum):
    """
    How a day stands.
    """

    ASKED = "asked"
    PACKED = "packed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Wish:
    """
    That somebody wants a day to be packed.

    Attributes:
        asked_at: When that was said last.
        asked_by: By whom.
        done_at: When the exporter has tried; :obj:`None`: it waits.
        failure: Why that has failed; :obj:`None`: it did not.
    """

    asked_at: datetime
    asked_by: str
    done_at: datetime | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class ExportDay:
    """
    A day that is over.

    Attributes:
        day: It (Asia/Shanghai).
        packages: What was packed of it, in order: sequence, made_at, numbers, recipient,
            records by kind, and the SHA-256 of the manifest.
        wish: That it be packed, where somebody ever said so.
    """

    day: date
    packages: Sequence[dict[str, Any]]
    wish: Wish | None

    @property
    def state(self) -> DayState:
        """
        asked: it waits; packed: there is a package at least; missing: there is none.
        """
        if self.wish is not None and self.wish.done_at is None:
            return DayState.ASKED
        return DayState.PACKED if self.packages else DayState.MISSING


class ExportDays:
    """
    The days of one database.

    Args:
        queries: Of it.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def all(self, *, now: datetime, before: date | None = None, limit: int) -> list[ExportDay]:
        """
        Days that are over, the latest first, back to the first that was packed or asked for.

        Args:
            now: By the database's clock.
            before: Those before this one alone.
            limit: So many at most.
        """
        today = now.astimezone(ZONE).date()
        values = {"before": min(today, before or today), "limit": limit}
        return list(map(_day, self._queries.rows("list_export_days", values)))

    def find(self, day: date, *, now: datetime) -> ExportDay:
        """
        One day.

        Raises:
            ExportNotFound: It is not over yet.
        """
        if day >= now.astimezone(ZONE).date():
            raise ExportNotFound("the day is not over yet")
        found = self.all(now=now, before=day + timedelta(days=1), limit=1)
        return found[0] if found else ExportDay(day, (), None)

    def manifest(self, day: date, digest: bytes) -> str:
        """
        The signed manifest of a package, as it lies there.

        Raises:
            ExportNotFound: There is none of this SHA-256.
        """
        row = self._queries.row("find_manifest", {"day": day, "manifest": digest})
        if row is None:
            raise ExportNotFound("there is no package of this day with this manifest")
        return str(row["signed"])

    def ask(self, day: date, *, by: str, now: datetime, kept: Retention) -> ExportDay:
        """
        Have a day packed soon, or what came late of it.

        Args:
            day: Which.
            by: Who wants it.
            now: By the database's clock.
            kept: How long calls are.

        Raises:
            ExportNotFound: It is not over yet, or so old that its calls are deleted.
        """
        self.find(day, now=now)
        if kept.gone_on(Kind.CALL, day) <= now.astimezone(ZONE).date():
            raise ExportNotFound("records of this day are past retention")
        self._queries.execute("ask_export", {"day": day, "by": by})
        return self.find(day, now=now)

    def asked(self) -> list[tuple[date, datetime]]:
        """
        Days that wait to be packed, the oldest first, and when each was asked for.
        """
        rows = self._queries.rows("list_export_wishes", {})
        return [(row["day"], row["asked_at"]) for row in rows]

    def tried(self, day: date, asked_at: datetime, failure: str | None) -> None:
        """
        Note what came of a day that waited; asked for again meanwhile, it waits again.
        """
        values = {"day": day, "asked_at": asked_at, "failure": failure}
        self._queries.execute("note_export_tried", values)


def describe_export_day(told: ExportDay) -> dict[str, Any]:
    """
    A day as programs are told of it.
    """
    wish = told.wish
    return {
        "day": told.day.isoformat(),
        "state": told.state.value,
        "packages": [
            {"name": name_package(told.day.isoformat(), each["sequence"]), **each}
            for each in told.packages
        ],
        "asked_at": wish and wish.asked_at,
        "asked_by": wish and wish.asked_by,
        "tried_at": wish and wish.done_at,
        "failure": wish and wish.failure,
    }


def _day(row: dict[str, Any]) -> ExportDay:
    wish = None
    if row["asked_at"] is not None:
        wish = Wish(row["asked_at"], row["asked_by"], row["done_at"], row["failure"])
    return ExportDay(row["day"], row["packages"], wish)
