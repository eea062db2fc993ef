"""
Classes of retention: what is kept for how long, in one place.

The floors are those of the draft standard: bindings and calls for six months, logs for two years
(``docs/operate.md``, Retention). A setting may keep what is in a class for longer, never shorter.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

__all__ = [
    "FLOORS",
    "KINDS",
    "LONGEST",
    "WHY",
    "Kind",
    "KindRule",
    "Retention",
    "RetentionClass",
    "digest_names",
    "end_of",
]


class RetentionClass(StrEnum):
    """
    What has to be kept for the same time: what was bound and called, or what was done.
    """

    RECORDS = "records"
    LOGS = "logs"


FLOORS: Final = {RetentionClass.RECORDS: "184d", RetentionClass.LOGS: "731d"}
"""Six months, and two years: no six months and no two years in a row are longer."""

WHY: Final = {RetentionClass.RECORDS: "six months", RetentionClass.LOGS: "two years"}
"""The same for people."""

LONGEST: Final = "3650d"
"""So long anything may be kept."""


class Kind(StrEnum):
    """
    What is deleted together, by the name of its table.
    """

    BINDING = "binding"
    CALL = "call"
    RECORDING = "recording"
    MESSAGE = "message"
    EVENT = "event"
    LOCK = "lock"
    BLOCKLIST = "blocklist"
    CONSENT = "consent"
    COMPLAINT = "complaint"
    REAL_NAME = "real_name"
    HOLD = "hold"
    PERSON = "person"
    FEED = "feed"
    OLD_NUMBER = "old_number"
    AUDIT = "audit"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindRule:
    """
    How a kind is kept.

    Attributes:
        what: What it is, for people.
        of: Its class.
        since: From when on its time runs.
        by_days: Whether each day has a table of its own, which is dropped.
        by_us: Whether we delete it; else its owner may.
        by_cells: Whether it is in cells where there are some, and deleted there.
        counted: What a proof counts, and has the names of.
    """

    what: str
    of: RetentionClass
    since: str
    by_days: bool = False
    by_us: bool = True
    by_cells: bool = False
    counted: str = "row(s)"


_RECORDS, _LOGS = RetentionClass.RECORDS, RetentionClass.LOGS

KINDS: Final = {
    Kind.BINDING: KindRule(
        what="bindings, their routes and those of parties before",
        of=_RECORDS,
        since="its end",
        by_cells=True,
    ),
    Kind.CALL: KindRule(what="calls", of=_RECORDS, since="its day", by_days=True, by_cells=True),
    Kind.RECORDING: KindRule(
        what="recordings: their keys at once, and their files",
        of=_RECORDS,
        since="its day",
        by_cells=True,
    ),
    Kind.MESSAGE: KindRule(
        what="texts, without what they said",
        of=_RECORDS,
        since="its day",
        by_days=True,
        by_cells=True,
    ),
    Kind.EVENT: KindRule(what="events", of=_RECORDS, since="its day", by_days=True),
    Kind.LOCK: KindRule(what="locks, with their appeals", of=_LOGS, since="its end"),
    Kind.BLOCKLIST: KindRule(what="entries of block lists", of=_LOGS, since="its end"),
    Kind.CONSENT: KindRule(what="consents that were withdrawn", of=_LOGS, since="the withdrawal"),
    Kind.COMPLAINT: KindRule(what="complaints", of=_LOGS, since="its arrival"),
    Kind.REAL_NAME: KindRule(
        what="lines of real names that a later one has replaced", of=_LOGS, since="the later one"
    ),
    Kind.HOLD: KindRule(what="holds that were released", of=_LOGS, since="the release"),
    # Behind the lines and holds: with the last of a person it goes, too.
    Kind.PERSON: KindRule(
        what="numbers of persons of whom nothing is kept",
        of=_LOGS,
        since="what was said last",
        counted="person(s)",
    ),
    Kind.FEED: KindRule(
        what="what runs of feeds have told", of=_LOGS, since="the run", counted="run(s)"
    ),
    Kind.OLD_NUMBER: KindRule(
        what="middle numbers of before the move to 700", of=_LOGS, since="the move"
    ),
    Kind.AUDIT: KindRule(what="lines of the audit", of=_LOGS, since="its time", by_us=False),
}
"""Every kind, in the order in which it is deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """
    How long what is in each class is kept, once it is over.
    """

    records: timedelta = timedelta(days=190)
    logs: timedelta = timedelta(days=740)

    def kept(self, kind: Kind) -> timedelta:
        """
        How long one of a kind is kept.
        """
        return self.records if KINDS[kind].of is RetentionClass.RECORDS else self.logs

    def last_day(self, kind: Kind, today: date) -> date:
        """
        The last day (UTC) of which all of a kind is deleted: it had passed so long ago.
        """
        return today - self.kept(kind) - timedelta(days=1)

    def gone_on(self, kind: Kind, day: date) -> date:
        """
        The day on which what is of a day is deleted.
        """
        return day + self.kept(kind) + timedelta(days=1)

    def rule(self, kind: Kind) -> str:
        """
        By which rule one of a kind is deleted, for the proof.
        """
        return f"{KINDS[kind].of}, {self.kept(kind).days} days after {KINDS[kind].since}"


def end_of(day: date) -> datetime:
    """
    The end of a day (UTC).
    """
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)


def digest_names(before: bytes, names: Iterable[str]) -> bytes:
    """
    A proof's digest with some more rows: each is SHA-256 of the digest before and a name.

    Args:
        before: The digest so far; 32 zero bytes at the beginning.
        names: The names of the rows, in UTF-8, in the order in which they are deleted.
    """
    digest = before
    for name in names:
        digest = hashlib.sha256(digest + name.encode()).digest()
    return digest
