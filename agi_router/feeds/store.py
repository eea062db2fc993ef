"""
Feeds and their runs, as the database keeps them.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

from agi_router.bindings.model import BindingId
from agi_router.bindings.names import name_values
from agi_router.cursors import Cursor, numbered
from agi_router.db.arrays import array_of_integers, array_of_texts
from agi_router.db.connection import Queries
from agi_router.errors import FeedBusy, FeedExists, FeedInvalid, FeedNotFound
from agi_router.events.fetching import fetch_events
from agi_router.feeds.model import (
    Answer,
    Fault,
    Feed,
    FeedKind,
    NumberForm,
    Trust,
    check_feed,
)
from agi_router.logs import redact

__all__ = ["FeedStore", "Run"]

# Lines that are told of one file; the others are counted.
_FAULTS = 1000
_MATCHES = 10_000


class Run(NamedTuple):
    """
    How far a file is read.

    Attributes:
        id: Its number.
        taken: Records that are done.
        malformed: How many of them cannot be read.
        over: Whether all of the file is done.
    """

    id: int
    taken: int
    malformed: int
    over: bool


class FeedStore:
    """
    The feeds of one database; they are the operator's.

    Args:
        queries: Where they are kept.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def add(
        self,
        name: str,
        *,
        kind: FeedKind,
        path: str | None,
        numbers: NumberForm,
        trust: Trust,
        every: timedelta | None = None,
    ) -> Feed:
        """
        Add a feed.

        Raises:
            FeedInvalid: Its path does not go with its kind.
            FeedExists: It is there already.
        """
        check_feed(kind, path)
        values = {
            "name": name,
            "kind": kind,
            "path": path,
            "numbers": numbers,
            "trust": trust,
            "every": every,
        }
        if self._queries.row("add_feed", values) is None:
            raise FeedExists(f"feed {name!r} is already there")
        return self.find(name)

    def all(self) -> list[Feed]:
        """
        All feeds, by name.
        """
        return list(map(_read, self._queries.rows("list_feeds", {"name": None})))

    def find(self, name: str) -> Feed:
        """
        One feed.

        Raises:
            FeedNotFound: There is none.
        """
        row = self._queries.row("list_feeds", {"name": name})
        if row is None:
            raise FeedNotFound(f"there is no feed {name!r}")
        return _read(row)

    def ask(self, name: str) -> Feed:
        """
        Have a feed read by the next `agi-router feed pull`, whatever its schedule is.

        Raises:
            FeedNotFound: There is none.
            FeedInvalid: Nothing leads to its records: they are sent.
        """
        feed = self.find(name)
        if not feed.kind.has_path:
            raise FeedInvalid(f"feed {name!r} is of the kind {feed.kind}: its records are sent")
        self._queries.execute("ask_feed", {"feed_id": feed.id})
        return self.find(name)

    def remove(self, name: str) -> None:
        """
        Delete a feed and the reports of its runs; bindings that have ended stay so.

        Raises:
            FeedNotFound: There is none.
            FeedBusy: Somebody reads it.
        """
        with self._queries.transaction():
            feed = self.find(name)
            row = self._queries.row("close_feed", {"feed_id": feed.id})
            if row is None or not row["held"]:
                raise _busy(feed)
            self._queries.row("remove_feed", {"feed_id": feed.id})

    @contextmanager
    def held(self, feed: Feed) -> Iterator[None]:
        """
        Nobody else reads the feed meanwhile.

        Raises:
            FeedBusy: Somebody does.
        """
        row = self._queries.row("hold_feed", {"feed_id": feed.id})
        if row is None or not row["held"]:
            raise _busy(feed)
        try:
            yield
        finally:
            self._queries.row("release_feed", {"feed_id": feed.id})

    def release(self, binding: BindingId) -> None:
        """
        Let a binding ring again that waits to learn whose number a party has.

        Raises:
            FeedInvalid: It is not held.
        """
        values = {**name_values(binding), "version": None, "tags": None}
        row = self._queries.row("release_held", {**values, "run_id": None, "line": None})
        if row is None or row["outcome"] != "released":
            raise FeedInvalid(f"binding {binding} is not held: see 'agi-router list --state held'")

    def begin(self, feed: Feed, file: str, digest: bytes) -> Run:
        """
        Note that a file is read; one that was begun before goes on.

        Raises:
            FeedNotFound: The feed was removed meanwhile.
        """
        # Whoever names files may put a number there.
        values = {"feed_id": feed.id, "file": redact(file), "digest": digest}
        self._queries.execute("begin_feed_run", values)
        row = self._queries.row("find_feed_run", values)
        if row is None:
            raise FeedNotFound(f"there is no feed {feed.name!r}")
        return Run(row["id"], row["taken"], row["malformed"], row["ended_at"] is not None)

    def advance(
        self, run: Run, *, taken: int, answers: Mapping[Answer, int], faults: Sequence[Fault]
    ) -> Run:
        """
        Note that some more records are done: all of it, or nothing.
        """
        shown = faults[: max(0, _FAULTS - run.malformed)]
        with self._queries.transaction():
            self._queries.execute(
                "add_feed_faults",
                {
                    "run_id": run.id,
                    "line": array_of_integers(each.line for each in shown),
                    "why": array_of_texts(each.why for each in shown),
                },
            )
            self._queries.execute(
                "advance_feed_run",
                {
                    "run_id": run.id,
                    "taken": taken,
                    "malformed": len(faults),
                    **{each.value: answers.get(each, 0) for each in Answer},
                },
            )
        return run._replace(taken=taken, malformed=run.malformed + len(faults))

    def finish(self, run: Run) -> None:
        """
        Note that all of a file is done, and tell the tenants whose bindings it has met.
        """
        # Ends are told before.
        fetch_events(self._queries)
        self._queries.row("finish_feed_run", {"run_id": run.id})

    def runs(
        self, feed: str | None = None, *, after: Cursor | None = None, limit: int
    ) -> list[dict[str, Any]]:
        """
        Runs with their counts, the latest first.

        Args:
            feed: Only those of this feed.
            after: Only those behind the last one of another page.
            limit: At most so many.

        Raises:
            FeedNotFound: There is no such feed.
            CursorInvalid: *after* is none of this list.
        """
        if feed is not None:
            self.find(feed)
        values = {
            "feed": feed,
            "run_id": None,
            **numbered(after),
            "limit": limit,
        }
        return self._queries.rows("list_feed_runs", values)

    def run(self, run_id: int) -> dict[str, Any]:
        """
        One run with its counts.

        Raises:
            FeedNotFound: There is none.
        """
        values = {"feed": None, "run_id": run_id, "after_at": None, "after_id": None, "limit": 1}
        row = self._queries.row("list_feed_runs", values)
        if row is None:
            raise FeedNotFound(f"there is no run {run_id} of a feed")
        return row

    def faults(self, run_id: int) -> list[Fault]:
        """
        The lines of a run that cannot be read, the first thousand.
        """
        rows = self._queries.rows("list_feed_faults", {"run_id": run_id})
        return [Fault(row["line"], row["why"]) for row in rows]

    def matches(self, run_id: int) -> list[dict[str, Any]]:
        """
        The bindings that a run has met, by line, and what became of them; ten thousand at most.
        """
        return self._queries.rows("list_feed_matches", {"run_id": run_id, "limit": _MATCHES})


def _busy(feed: Feed) -> FeedBusy:
    return FeedBusy(f"feed {feed.name!r} is read by another command; wait until it is done")


def _read(row: dict[str, Any]) -> Feed:
    return Feed(
        id=row["id"],
        name=row["name"],
        kind=FeedKind(row["kind"]),
        path=row["path"],
        numbers=NumberForm(row["numbers"]),
        trust=Trust(row["trust"]),
        every=row["every"],
        created_at=row["created_at"],
        last_at=row["last_at"],
        now=row["now"],
        authorized=row["authorized"],
        pulled_at=row["pulled_at"],
        failed_at=row["failed_at"],
        failure=row["failure"],
        asked_at=row["asked_at"],
        waiting=row["waiting"],
    )
