"""
Files of feeds that were sent by HTTP and wait to be read, sealed.

Digests are looked for among all numbers that are kept, which takes longer than a request may. Each
file goes in the transaction in which its run is noted as over, or when nobody has read it for a
week.
"""

from typing import Any, NamedTuple

from agi_router.db.connection import Queries
from agi_router.errors import FeedBusy
from agi_router.feeds.model import Feed
from agi_router.feeds.store import FeedStore
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_locked
from agi_router.keys.ring import KeyRing

__all__ = ["MOST_WAITING", "Waiting", "WaitingFiles"]

MOST_WAITING = 100
"""Files that wait for one feed."""


class Waiting(NamedTuple):
    """
    A file that waits.

    Attributes:
        run_id: Its run.
        file: What it is called.
        digest: By what it is known again.
    """

    run_id: int
    file: str
    digest: bytes


class WaitingFiles:
    """
    The files that wait.

    Args:
        queries: Where they are kept.
        keys: To seal and open them.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys

    def keep(self, feed: Feed, file: str, content: str, digest: bytes) -> int:
        """
        Keep a file until it is read; one that was read, or waits already, changes nothing.

        Returns:
            The number of its run.

        Raises:
            FeedBusy: So many wait that no other may.
            FeedNotFound: The feed was removed meanwhile.
            KeysOutdated: The key ring was rotated since it was read.
        """
        with self._queries.transaction():
            assert_current_keys(self._queries, self._keys)
            run = FeedStore(self._queries).begin(feed, file, digest)
            if run.over:
                return run.id
            values = {"feed_id": feed.id, "run_id": run.id}
            row = self._queries.row("count_feed_bodies", values)
            if row is not None and row["files"] >= MOST_WAITING:
                raise FeedBusy(
                    f"{MOST_WAITING} files of feed {feed.name!r} wait to be read: 'agi-router feed"
                    " pull', which its timer runs, reads them; then send it again"
                )
            sealed = self._keys.seal_text(content, _sealed_for(run.id))
            self._queries.execute("keep_feed_body", {**values, "sealed": sealed})
        return run.id

    def all(self, feed: Feed) -> list[Waiting]:
        """
        What waits for a feed, as it came.
        """
        rows = self._queries.rows("list_feed_bodies", {"feed_id": feed.id})
        return [Waiting(row["run_id"], row["file"], row["digest"]) for row in rows]

    def open(self, waiting: Waiting) -> bytes | None:
        """
        What stands in a file; nothing where it was read meanwhile.

        Raises:
            SealError: It does not open.
        """
        row = self._queries.row("find_feed_body", {"run_id": waiting.run_id})
        if row is None:
            return None
        return self._keys.open_text(row["sealed"], _sealed_for(waiting.run_id)).encode()

    def renew(self) -> int:
        """
        Seal files with the current key that were sealed with an older one, or by another cipher.

        Returns:
            How many there were.

        Raises:
            SealError: One does not open.
        """

        def seal(row: dict[str, Any]) -> None:
            where = _sealed_for(row["run_id"])
            sealed = self._keys.seal_text(self._keys.open_text(row["sealed"], where), where)
            self._queries.execute("renew_feed_body", {**row, "sealed": sealed})

        return renew_locked(self._queries, self._keys, "list_old_feed_bodies", seal)


def _sealed_for(run_id: int) -> str:
    return f"run {run_id} of a feed"
