"""
The sweep: what is over is marked, moved out of the way, and in the end deleted.

1. Bindings that the clock has ended are marked; until then only whoever looks at them notices.
2. Routes for which nothing rests any more go from ``route``, where calls look, to ``past_route``.
3. Bindings, calls, texts, events, locks and entries of block lists past retention are deleted;
   calls, texts and events by whole days.
4. Texts whose door is served no more end an hour after their time was over, and parts of texts are
   deleted.
5. What the HTTP door remembers of requests is forgotten when nobody can send them again.

Everything is done in small steps, each a transaction of its own that waits for nobody: what
somebody holds has its turn in a later sweep. Several may sweep at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from agi_router.db.connection import Connection, Queries
from agi_router.inventory.capacity import Quarantine
from agi_router.numbers import BLOCK_SIZE, Block
from agi_router.tenants.signature import WINDOW

__all__ = ["Sweep", "Swept"]

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
    bindings: int = 0
    """Bindings deleted."""
    calls: int = 0
    """Calls deleted one by one."""
    messages: int = 0
    """Texts deleted one by one."""
    events: int = 0
    """Events deleted one by one."""
    days: int = 0
    """Days of calls, of texts and of events dropped."""
    answers: int = 0
    """Answers of the HTTP door forgotten."""

    def __add__(self, other: Self) -> "Swept":
        return Swept(
            expired=self.expired + other.expired,
            moved=self.moved + other.moved,
            bindings=self.bindings + other.bindings,
            calls=self.calls + other.calls,
            messages=self.messages + other.messages,
            events=self.events + other.events,
            days=self.days + other.days,
            answers=self.answers + other.answers,
        )


class Sweep:
    """
    One sweep through a database.

    Args:
        connection: Its own. See :func:`agi_router.db.connection.connect`.
        quarantine: How long routes are remembered where calls look.
        retention: How long bindings and calls are kept after their end.
        batch: How many rows a step takes at most.
    """

    def __init__(
        self,
        connection: Connection,
        quarantine: Quarantine,
        retention: timedelta,
        *,
        batch: int = 500,
    ) -> None:
        self._queries = Queries(connection)
        self._spans = {"memory": quarantine.memory, "retention": retention, "limit": batch}
        self._batch = batch

    def steps(self) -> Iterator[Swept]:
        """
        Sweep, a step each time one is asked for, so that the caller may pause between them.

        Raises:
            StoreError: The database failed, or did not answer in time; what was done is done.
        """
        for rows in self._repeated("mark_expired"):
            yield Swept(expired=rows)
        yield from self._sweep_locks()
        blocks = [Block(value=row["block"]) for row in self._queries.rows("list_swept_blocks", {})]
        for block in blocks:
            for first in range(0, BLOCK_SIZE, _STRETCH):
                stretch = {
                    "block": block.value,
                    "first": block.number(first).value,
                    "last": block.number(first + _STRETCH - 1).value,
                }
                for rows in self._repeated("forget_routes", **stretch):
                    yield Swept(moved=rows)
        for block in blocks:
            yield from self._delete_bindings(block)
        for rows in self._repeated("forget_answers"):
            yield Swept(answers=rows)
        self._one("forget_nonces", window=WINDOW)
        while self._one("delete_feed_reports")["rows"]:
            yield Swept()
        for name in ("end_unserved_messages", "delete_parts"):
            for _ in self._repeated(name):
                yield Swept()
        yield from self._delete_records()

    def _sweep_locks(self) -> Iterator[Swept]:
        for name in (
            "end_locks",
            "lapse_appeals",
            "delete_locks",
            "end_blocklist",
            "delete_blocklist",
        ):
            for _ in self._repeated(name):
                yield Swept()

    def _delete_records(self) -> Iterator[Swept]:
        for rows in self._repeated("delete_calls"):
            yield Swept(calls=rows)
        for rows in self._repeated("delete_messages"):
            yield Swept(messages=rows)
        for rows in self._repeated("delete_events"):
            yield Swept(events=rows)
        for parent in ("call", "message", "event"):
            values = {**self._spans, "parent": parent}
            while (row := self._queries.row("drop_day", values)) and row["day"]:
                yield Swept(days=1)

    def _delete_bindings(self, block: Block) -> Iterator[Swept]:
        after: int | None = 0
        while after is not None:
            row = self._one("delete_bindings", block=block.value, after=after)
            yield Swept(bindings=row["rows"])
            after = row["until"]

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
