"""
The sweep: what is over is marked, moved out of the way, and in the end deleted.

1. Bindings that the clock has ended are marked; until then only whoever looks at them notices.
   So are locks, entries of block lists, and appeals that are late.
2. Routes for which nothing rests any more go from ``route``, where calls look, to ``past_route``.
3. Texts whose door is served no more end an hour after their time was over, and parts of texts are
   deleted.
4. What the HTTP door remembers of requests is forgotten when nobody can send them again.
5. Tenants hear that their numbers run out (:mod:`agi_router.maintenance.notices`).
6. What is past retention is deleted (:mod:`agi_router.maintenance.deletion`), where the role may:
   one that serves may not, and another does it.
7. The audit gets a digest of each day, two days after it (:mod:`agi_router.records.digests`).

Everything is done in small steps, each a transaction of its own that waits for nobody: what
somebody holds has its turn in a later sweep. Several may sweep at once.

What cells have is swept there: from the global database nothing that is held can be passed over,
and a place (ctid) is that of a row in each cell.
"""

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Self

from agi_router.db.connection import Connection, Queries
from agi_router.db.rights import Purpose, has_rights
from agi_router.errors import StoreError, StoreUnavailable
from agi_router.inventory.capacity import Quarantine, StockLimits
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.deletion import Deletion
from agi_router.maintenance.notices import Notices
from agi_router.numbers import BLOCK_SIZE, Block
from agi_router.records.digests import DayDigests
from agi_router.tenants.signature_window import WINDOW

__all__ = ["Sweep", "Swept"]

log = logging.getLogger(__name__)

_STRETCH = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """
    What was done; several add up.
    """

    expired: int = 0
    """Bindings marked."""
    moved: int = 0
    """Routes moved."""
    deleted: int = 0
    """Rows past retention deleted."""
    days: int = 0
    """Days whose deletion was finished, of each kind."""
    answers: int = 0
    """Answers of the HTTP door forgotten."""
    digests: int = 0
    """Days of which a digest was put on record."""
    told: int = 0
    """Notices to tenants that their numbers run out."""

    def __add__(self, other: Self) -> "Swept":
        return Swept(
            expired=self.expired + other.expired,
            moved=self.moved + other.moved,
            deleted=self.deleted + other.deleted,
            days=self.days + other.days,
            answers=self.answers + other.answers,
            digests=self.digests + other.digests,
            told=self.told + other.told,
        )


class Sweep:
    """
    One sweep through a database.

    Args:
        connection: Its own. See :func:`agi_router.db.connection.connect`.
        quarantine: How long routes are remembered where calls look.
        retention: How long what is over is kept.
        limits: When numbers are few.
        batch: How many rows a step takes at most.
    """

    def __init__(
        self,
        connection: Connection,
        quarantine: Quarantine,
        retention: Retention,
        *,
        limits: StockLimits | None = None,
        batch: int = 500,
    ) -> None:
        self._connection = connection
        self._queries = Queries(connection)
        self._deletion = Deletion(connection, retention, batch=batch)
        self._notices = Notices(self._queries, quarantine, limits or StockLimits())
        self._spans = {"memory": quarantine.memory, "limit": batch}
        self._batch = batch

    def steps(self) -> Generator[Swept, None, None]:
        """
        Sweep, a step each time one is asked for, so that the caller may pause between them.

        Raises:
            StoreError: The database failed, or did not answer in time; what was done is done.
        """
        behind = self._queries.cells_behind()
        if not behind:
            yield from self._sweep_blocks()
        for name in ("end_locks", "lapse_appeals", "end_blocklist"):
            for _ in self._repeated(name):
                yield Swept()
        for rows in self._repeated("forget_answers"):
            yield Swept(answers=rows)
        self._one("forget_nonces", window=WINDOW)
        self._one("forget_binds")
        for _ in self._repeated("forget_feed_bodies"):
            yield Swept()
        for told in self._notices.steps():
            yield Swept(told=told)
        try:
            yield from self._delete()
        except StoreUnavailable as error:
            if not behind:
                raise
            log.warning("deletion.failed", extra={"error": str(error)})
        # At the end: a day of millions takes a while, and keeps nothing else from being done.
        today = self._one("now")["clock_timestamp"].date()
        digests = DayDigests(self._queries)
        for day in digests.missing(today):
            yield Swept(digests=self._digest(digests, day))

    def _sweep_blocks(self) -> Iterator[Swept]:
        """
        Sweep what is of blocks: bindings, routes and texts.
        """
        for rows in self._repeated("mark_expired"):
            yield Swept(expired=rows)
        yield from self._move_routes()
        for name in ("end_unserved_messages", "delete_parts"):
            for _ in self._repeated(name):
                yield Swept()

    def _delete(self) -> Iterator[Swept]:
        if has_rights(self._connection, Purpose.RETAIN):
            for step in self._deletion.steps():
                yield Swept(deleted=step.rows, days=step.days)

    @staticmethod
    def _digest(digests: DayDigests, day: date) -> int:
        """
        How many digests were made: one that fails keeps no other from being made.
        """
        try:
            return int(digests.make(day))
        except StoreError as error:
            log.warning("digest.failed", extra={"day": day, "error": str(error)})
            return 0

    def _move_routes(self) -> Iterator[Swept]:
        for row in self._queries.rows("list_swept_blocks", {}):
            block = Block(value=row["block"])
            for first in range(0, BLOCK_SIZE, _STRETCH):
                stretch = {
                    "block": block.value,
                    "first": block.number(first).value,
                    "last": block.number(first + _STRETCH - 1).value,
                }
                for rows in self._repeated("forget_routes", **stretch):
                    yield Swept(moved=rows)

    def _repeated(self, name: str, **values: Any) -> Iterator[int]:
        """
        Run a statement until it finds less than a batch; yield how many rows it found each time.
        """
        rows = self._batch
        while rows == self._batch:
            rows = self._one(name, **values)["rows"]
            yield rows

    def _one(self, name: str, **values: Any) -> dict[str, Any]:
        row = self._queries.row(name, {**self._spans, **values})
        assert row is not None  # noqa: S101 - an aggregate has one row
        return row
