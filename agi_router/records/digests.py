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
_LOOKED_AT: Final = timedelta(days=30)
# Seconds for each kind of a day: a sweep has a few for a statement, and a million rows take four.
_LONG: Final = 240
_LETTERS: Final = str.maketrans("0123456789abcdef", "abcdefghijklmnop")
_DAY: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) (.*)")
_PART: Final = re.compile(r"(\w+) ([0-9]+) ([a-p]{64})")


@dataclass(frozen=True, slots=True)
class Difference:
    """
    What is not as a digest of a day says.

    Attributes:
        what: What.
        audit_id: The row of the digest; :obj:`None`: there is none.
    """

    what: str
    audit_id: int | None


class DayDigests:
    """
    The digests of one database's days.

    Args:
        queries: Where it is kept.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def missing(self, today: date) -> list[date]:
        """
        The last days whose digest can be made, and is not there, oldest first.

        Args:
            today: The day (UTC) by the database's clock.
        """
        last = today - _AFTER
        return self._undigested(last - _LOOKED_AT, last)

    def make(self, day: date) -> bool:
        """
        Write down the digest of a day (UTC).

        Returns:
            Whether that was done: another one may make it, or have made it.

        Raises:
            StoreError: The database failed, or took too long.
        """
        with self._queries.transaction(seconds=_LONG):
            lock = self._queries.row("lock_digests", {})
            # Whoever had the lock may have made it since.
            if not lock or not lock["locked"] or not self._undigested(day, day):
                return False
            self._write(day)
        return True

    def compare(self, today: date) -> Iterator[Difference]:
        """
        Make all digests anew of what is still there, and tell what differs, and which are missing.

        Args:
            today: The day (UTC) by the database's clock.
        """
        rows = self._queries.rows("list_digests", {"act": ACT})
        # From the first one on; the last one may be about to be made.
        first = min((found[0] for row in rows if (found := _read(row))), default=date.min)
        for day in self._undigested(first, today - _AFTER - timedelta(days=1)):
            yield Difference(f"there is no digest of {day}: the sweep did not make it", None)
        for row in rows:
            found = _read(row)
            if found is None:
                yield Difference("a row is no digest of a day", row["id"])
                continue
            day, parts = found
            for part in parts:
                if part[1] in _KINDS:
                    yield from self._compare(row, day, part)

    def _compare(
        self, row: dict[str, Any], day: date, part: re.Match[str]
    ) -> Iterator[Difference]:
        kind, count = part[1], int(part[2])
        now, digest, there = self._digest(kind, day)
        if (now, digest) == (count, part[3]):
            return
        # Whatever a proof says: of a day of calls, texts or events retention leaves nothing but
        # what is held, and bindings of a day end on many days.
        whole = there == 0 or kind == "binds"
        if now < count and whole and self._deleted(kind, day, row["at"]):
            return
        yield Difference(
            f"of the {kind} of {day} there were {count}, and {now} are there that are not those",
            row["id"],
        )

    def _undigested(self, first: date, last: date) -> list[date]:
        values = {"first": first, "last": last, "act": ACT}
        return [row["day"] for row in self._queries.rows("list_undigested", values)]

    def _deleted(self, kind: str, day: date, since: datetime) -> bool:
        """
        Whether retention may have taken what is missing.
        """
        values = {"kind": _KINDS[kind][1], "day": day, "since": since}
        row = self._queries.row("find_deletion_since", values)
        assert row is not None  # noqa: S101 - an aggregate has a row
        return bool(row["found"])

    def _write(self, day: date) -> None:
        parts = []
        for kind in _KINDS:
            count, digest, _ = self._digest(kind, day)
            parts.append(f"{kind} {count} {digest}")
        Audit(self._queries).record(
            AuditEntry(act=ACT, subject=f"{day} {', '.join(parts)}", reason=None)
        )

    def _digest(self, kind: str, day: date) -> tuple[int, str, int]:
        """
        How many there are, a digest of them, and how many without those that are held apart.
        """
        row = self._queries.row(_KINDS[kind][0], {"day": day})
        assert row is not None  # noqa: S101 - an aggregate has a row
        return row["count"], bytes(row["digest"]).hex().translate(_LETTERS), row["there"]


def _read(row: dict[str, Any]) -> tuple[date, list[re.Match[str]]] | None:
    """
    The day and what there was of each kind, of a row that is a digest of a day.
    """
    found = _DAY.fullmatch(row["subject"])
    parts = [_PART.fullmatch(part) for part in found[2].split(", ")] if found else []
    try:
        day = date.fromisoformat(found[1] if found else "")
    except ValueError:
        return None
    whole = [part for part in parts if part is not None]
    return (day, whole) if len(whole) == len(parts) else None
