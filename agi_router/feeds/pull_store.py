"""
Feeds that are pulled, as the database keeps them: how far, since when, and what opens the address.
"""

from datetime import datetime
from typing import Any

from agi_router.db.connection import Queries
from agi_router.feeds.model import Feed, PullState
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_locked
from agi_router.keys.ring import KeyRing

__all__ = ["PullStore"]


class PullStore:
    """
    What pulling a feed needs.

    Args:
        queries: Where it is kept.
        keys: To seal and open what is sent as ``Authorization``.
    """

    def __init__(self, queries: Queries, keys: KeyRing) -> None:
        self._queries = queries
        self._keys = keys

    def authorize(self, feed: Feed, secret: str | None) -> None:
        """
        Send *secret* as ``Authorization`` from now on, or nothing.

        Raises:
            KeysOutdated: The key ring was rotated since it was read.
        """
        with self._queries.transaction():
            sealed = None
            if secret is not None:
                assert_current_keys(self._queries, self._keys)
                sealed = self._keys.seal_secret(secret, _sealed_for(feed.id))
            self._queries.execute("authorize_feed", {"feed_id": feed.id, "sealed": sealed})

    def authorization(self, feed: Feed) -> str | None:
        """
        What is sent as ``Authorization``, if anything is.

        Raises:
            SealError: It does not open.
        """
        sealed = self._row(feed)["sealed"]
        return None if sealed is None else self._keys.open_secret(sealed, _sealed_for(feed.id))

    def state(self, feed: Feed) -> PullState:
        """
        By what the next answer is told from the last one that was done.
        """
        row = self._row(feed)
        return PullState(etag=row["etag"], modified=row["modified"], cursor=row["cursor"])

    def done(self, feed: Feed, state: PullState, *, at: datetime | None = None) -> None:
        """
        Note that all is done that the address, or the folder, has had.

        Args:
            feed: The feed.
            state: By what the next answer is told from this one.
            at: Until when it was looked at; :obj:`None`: until now.
        """
        values = {"feed_id": feed.id, **state._asdict(), "at": at}
        self._queries.execute("note_feed_pulled", values)

    def failed(self, feed: Feed, why: str) -> None:
        """
        Note that nothing came, or that it could not be read.
        """
        self._queries.execute("note_feed_failed", {"feed_id": feed.id, "why": why[:200]})

    def renew(self) -> int:
        """
        Seal secrets with the current key that were sealed with an older one, or by another cipher.

        Returns:
            How many there were.

        Raises:
            SealError: One does not open.
        """

        def seal(row: dict[str, Any]) -> None:
            sealed = self._keys.renewed_secret(row["sealed"], _sealed_for(row["feed_id"]))
            self._queries.execute("authorize_feed", {**row, "sealed": sealed})

        return renew_locked(self._queries, self._keys, "list_feed_secrets", seal)

    def _row(self, feed: Feed) -> dict[str, Any]:
        row = self._queries.row("find_feed_pull", {"feed_id": feed.id})
        return row or {"sealed": None, "etag": None, "modified": None, "cursor": None}


def _sealed_for(feed_id: int) -> str:
    return f"feed {feed_id}"
