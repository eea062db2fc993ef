"""
What machines did on a day, as a row of the audit: how much of each kind, and a hash over the ids.

Rules for the editor:

1. Machines write no rows of the audit: they would wait for each other, and there are millions a
   day. A row for each day holds what they did to the audit's chain instead.
2. A row is written two days after the day: by then ends of calls that were late are there.
3. A digest is told in letters, so that nothing that looks for real numbers takes it for one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from agi_router.db.connection import Queries
from agi_router.records.audit import Audit, AuditEntry

__all__ = ["ACT", "DayDigests", "Difference"]

ACT: Final = "digest of a day"
"""What such a row is called."""

# Each kind with its query, and what retention calls it.
_KINDS: Final = {
    "binds": ("digest_binds", "binding"),
    "calls": ("digest_calls", "call"),
    "texts": ("digest_texts", "message"),
    "events": ("digest_events", "event"),
}
_AFTER: Final = timedelta(days=2)
_LOOKED_AT: Final = timedelta(days=6)
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_DAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) (.*)")
_PART: Final = re.compile(r"(\w+) ([0-9]+) ([a-p]{64})")


@dataclass(frozen=True, slots=True)
class Difference:
    """
    What is not as a digest of a day says.

    Attributes:
        what: What.
        audit_id: The row of the digest.
    """

    what: str
    audit_id: int


class DayDigests:
    """
    The digests of one database's days.

    Args:
        queries: Where it is kept.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def make(self, today: date) -> Iterator[date]:
        """
        Write down the digests that are missing of the last days; yield each day when it is done.

        Args:
            today: The day (UTC) by the database's clock.

        Raises:
            StoreError: The database failed; what was done is done.
        """
        last = today - _AFTER
        values = {"first": last - _LOOKED_AT, "last": last, "act": ACT}
        for row in self._queries.rows("list_undigested", values):
            with self._queries.transaction():
                lock = self._queries.row("lock_digests", {})
                # Whoever had the lock may have made it since.
                again = self._queries.rows("list_undigested", {**values, "first": row["day"]})
                if lock and lock["locked"] and row in again:
                    self._write(row["day"])
            yield row["day"]

    def compare(self) -> Iterator[Difference]:
        """
        Make all digests anew of what is still there, and tell what differs.
        """
        for row in self._queries.rows("list_digests", {"act": ACT}):
            found = _DAY.fullmatch(row["subject"])
            parts = [_PART.fullmatch(part) for part in found[2].split(", ")] if found else [None]
            if found is None or None in parts:
                yield Difference("a row is no digest of a day", row["id"])
                continue
            for part in parts:
                if part is not None and part[1] in _KINDS:
                    yield from self._compare(row, date.fromisoformat(found[1]), part)

    def _compare(
        self, row: dict[str, Any], day: date, part: re.Match[str]
    ) -> Iterator[Difference]:
        kind, count = part[1], int(part[2])
        now, digest = self._digest(kind, day)
        if (now, digest) == (count, part[3]) or (
            now < count and self._deleted(kind, day, row["at"])
        ):
            return
        yield Difference(
            f"of the {kind} of {day} there were {count}, and {now} are there that are not those",
            row["id"],
        )

    def _deleted(self, kind: str, day: date, since: datetime) -> bool:
        values = {"kind": _KINDS[kind][1], "day": day, "since": since}
        row = self._queries.row("find_deletion_since", values)
        return bool(row and row["deleted"])

    def _write(self, day: date) -> None:
        parts = []
        for kind in _KINDS:
            count, digest = self._digest(kind, day)
            parts.append(f"{kind} {count} {digest}")
        Audit(self._queries).record(
            AuditEntry(act=ACT, subject=f"{day} {', '.join(parts)}", reason=None)
        )

    def _digest(self, kind: str, day: date) -> tuple[int, str]:
        row = self._queries.row(_KINDS[kind][0], {"day": day})
        assert row is not None  # noqa: S101 - an aggregate has a row
        return row["count"], bytes(row["digest"]).hex().translate(_LETTERS)
