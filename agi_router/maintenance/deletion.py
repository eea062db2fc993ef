"""
Deletion: what is past retention goes, by whole days, with a proof.

Rules for the editor:

1. A day that has a table of its own is taken out of its table first. From then on nobody reads it,
   so looking through it holds nobody up; in the end it is dropped.
2. What was deleted, and how far that is, is noted in the transaction that deletes. Whoever is
   killed loses nothing and counts nothing twice: the next run goes on.
3. What a hold keeps stays: bindings where they are, calls and texts in ``kept_call`` and
   ``kept_message``. It is copied before its day goes, so a trace finds it at any time.
4. One deletes at a time. The proof's row of the audit is written with its end.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from agi_router.db.connection import Connection, Queries
from agi_router.maintenance.classes import KINDS, Kind, Retention, digest_names, end_of
from agi_router.records.audit import Audit, AuditEntry

__all__ = ["Deleted", "Deletion"]

_ACT: Final = "retention"
_NAMES: Final = 2_000
# Seconds for a statement that reads a whole day, where a sweep has a few for each.
_LONG: Final = 240
_DELETES: Final = {
    Kind.CALL: "delete_over_call",
    Kind.RECORDING: "delete_over_recording",
    Kind.MESSAGE: "delete_over_message",
    Kind.EVENT: "delete_over_event",
    Kind.LOCK: "delete_over_lock",
    Kind.BLOCKLIST: "delete_over_blocklist",
    Kind.CONSENT: "delete_over_consent",
    Kind.COMPLAINT: "delete_over_complaint",
    Kind.REAL_NAME: "delete_over_real_name",
    Kind.HOLD: "delete_over_hold",
    Kind.PERSON: "delete_over_person",
    Kind.FEED: "delete_over_feed",
    Kind.OLD_NUMBER: "delete_over_old_number",
}
# What stands among them stays, so they are walked along by their ids.
_WALKED: Final = {Kind.REAL_NAME, Kind.PERSON}


@dataclass(frozen=True, slots=True)
class Deleted:
    """
    What a step has deleted.

    Attributes:
        kind: Of what.
        rows: How many rows.
        days: How many days were finished.
    """

    kind: Kind
    rows: int = 0
    days: int = 0


class Deletion:
    """
    Deletion in one database.

    Args:
        connection: Its own. See :func:`agi_router.db.connection.connect`.
        retention: How long what is kept.
        batch: How many rows a step takes at most; of a day that is dropped, it reads more names.
    """

    def __init__(self, connection: Connection, retention: Retention, *, batch: int = 500) -> None:
        self._queries = Queries(connection)
        self._retention = retention
        self._batch = batch
        self._audit = Audit(self._queries)
        self._behind = False
        self.busy = False
        """Whether another one was deleting, so that nothing was done."""

    def steps(self, *, again: bool = False) -> Generator[Deleted, None, None]:
        """
        Delete what is past retention, a step each time one is asked for.

        Nothing is done while another does it. Each kind is looked through once on a day.

        Args:
            again: Look though this was done today: what was held may be held no more.

        Raises:
            StoreError: The database failed, or did not answer in time; what was done is done.
        """
        with self._alone() as alone:
            self.busy = not alone
            if self.busy:
                return
            self._behind = bool(self._queries.cells_behind())
            for kind, rule in KINDS.items():
                if not rule.by_us or (rule.by_cells and self._behind):
                    continue
                if rule.by_days:
                    yield from self._drop_days(kind)
                yield from self._delete_rows(kind, again=again)

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        alone = bool(self._one("try_lock_deletion")["locked"])
        try:
            yield alone
        finally:
            if alone:
                self._queries.row("unlock_deletion", {})

    def _drop_days(self, kind: Kind) -> Iterator[Deleted]:
        while True:
            open_ = self._find(kind)
            if open_ is not None and open_["whole"]:
                yield from self._drop(kind, open_)
                continue
            values = {"kind": kind, "day": self._last_day(kind)}
            row = None if open_ is not None else self._queries.row("find_old_day", values)
            if row is None:
                return
            # Before nobody finds the day's rows any more.
            values = {"kind": kind, "day": row["day"]}
            with self._queries.transaction(seconds=_LONG):
                self._one("keep_held", **values)
            if not self._one("detach_day", **values, rule=self._retention.rule(kind))["done"]:
                # Somebody reads it, or is about to write: it has its turn later.
                return
            yield Deleted(kind)

    def _drop(self, kind: Kind, open_: dict[str, Any]) -> Iterator[Deleted]:
        day = {"kind": kind, "day": open_["day"]}
        while open_["ended_at"] is None:
            with self._queries.transaction(seconds=_LONG):
                at = {name: open_[name] for name in ("reached_block", "reached_id")}
                names = self._queries.rows("list_day", {**day, **at, "limit": _NAMES})
                ended = not names and self._one("drop_detached", id=open_["id"])["done"]
                if names:
                    at = {"reached_block": names[-1]["block"], "reached_id": names[-1]["id"]}
                if names or ended:
                    open_ = self._note(open_, [row["id"] for row in names], at, ended=ended)
            if not (names or ended):
                # More is held by now: from the beginning.
                open_ = self._find(kind) or open_
            yield Deleted(kind, rows=len(names), days=int(ended))

    def _delete_rows(self, kind: Kind, *, again: bool) -> Iterator[Deleted]:
        last = self._last_day(kind)
        while True:
            open_ = self._find(kind)
            if open_ is not None and open_["whole"]:
                # Its day could not be had; it goes on with it later.
                return
            if open_ is None:
                values = {"kind": kind, "day": last}
                if not again and self._queries.row("is_deleted", values) is not None:
                    return
                rule = self._retention.rule(kind)
                self._queries.execute("begin_deletion", {**values, "rule": rule})
                open_ = self._find(kind)
                assert open_ is not None  # noqa: S101 - it was just begun, and nobody ends it
            # Out of the way of later steps, and of whoever looks for what is left.
            with self._queries.transaction(seconds=_LONG):
                self._one("move_held", kind=kind, day=open_["day"])
            yield from self._run_through(kind, open_)
            if open_["day"] >= last:
                return

    def _run_through(self, kind: Kind, open_: dict[str, Any]) -> Iterator[Deleted]:
        """
        Delete rows, a batch each time, until there are no more that were over by that day.
        """
        while open_["ended_at"] is None:
            with self._queries.transaction():
                if self._behind:
                    # What holds keep is told by what all cells have; no block moves meanwhile.
                    self._queries.execute("assert_whole", {})
                names, at, ended = self._delete_batch(kind, open_)
                open_ = self._note(open_, names, at, ended=ended)
            yield Deleted(kind, rows=len(names), days=int(ended and open_["deleted"] > 0))

    def _delete_batch(
        self, kind: Kind, open_: dict[str, Any]
    ) -> tuple[list[str], dict[str, Any], bool]:
        """
        The names of the rows that were deleted, what was looked at by now, and whether all was.
        """
        day: date = open_["day"]
        values = {"day": day, "before": end_of(day), "limit": self._batch}
        at = {name: open_[name] for name in ("reached_block", "reached_id")}
        if kind in _WALKED:
            row = self._one(_DELETES[kind], **values, reached_id=at["reached_id"])
            walk = at if row["until"] is None else {**at, "reached_id": str(row["until"])}
            return row["ids"], walk, row["until"] is None
        if kind is not Kind.BINDING:
            names = self._one(_DELETES[kind], **values)["ids"]
            return names, at, not names
        block = self._queries.row("find_next_block", at)
        if block is None:
            return [], at, True
        row = self._one("delete_over_binding", **values, **block)
        at = {"reached_block": block["block"], "reached_id": str(row["until"] or "")}
        return row["ids"], at, False

    def _note(
        self, open_: dict[str, Any], names: list[str], at: dict[str, Any], *, ended: bool
    ) -> dict[str, Any]:
        """
        Note what was deleted; at the end of what has deleted something, in the audit too.
        """
        digest = digest_names(open_["digest"], names)
        values = {"id": open_["id"], "count": len(names), "digest": digest, "ended": ended}
        noted = self._one("note_deletion", **values, **at)
        if ended and noted["deleted"]:
            kind = Kind(noted["kind"])
            of = "of" if noted["whole"] else "up to"
            subject = (
                f"{noted['kind']} {of} {noted['day']}: {noted['deleted']} {KINDS[kind].counted},"
                f" sha256 {digest.hex()}"
            )
            self._audit.record(AuditEntry(act=_ACT, subject=subject, reason=noted["rule"]))
        return noted

    def _find(self, kind: Kind) -> dict[str, Any] | None:
        return self._queries.row("find_deletion", {"kind": kind})

    def _last_day(self, kind: Kind) -> date:
        return self._retention.last_day(kind, self._one("today")["day"])

    def _one(self, name: str, **values: Any) -> dict[str, Any]:
        row = self._queries.row(name, values)
        assert row is not None  # noqa: S101 - each of these has one row
        return row
