"""
Pulling a feed: what its address has is read as a file, until there is nothing new.

What comes is named by its digest as any file is: pulled again it changes nothing, and after a
crash it goes on. By what it is told from the next is noted when all of it is done.
"""

from collections.abc import Collection, Generator
from typing import Any

from agi_router.errors import CsvError, FeedInvalid, FeedUnreachable
from agi_router.feeds.download import Limits, download
from agi_router.feeds.model import CURSOR, Feed, FeedKind
from agi_router.feeds.pull_store import PullStore
from agi_router.feeds.recycler import Recycler

__all__ = ["Puller"]

# Files of one pull: an address that always names another cursor has an end, too.
_MOST = 1000


class Puller:
    """
    Pulls feeds.

    Args:
        recycler: Reads what comes.
        store: How far each feed is.
        allowed: Hosts that may have any address, and be reached without TLS.
        limits: What an answer may take.
    """

    def __init__(
        self,
        recycler: Recycler,
        store: PullStore,
        *,
        allowed: Collection[str],
        limits: Limits = Limits(),  # noqa: B008 - it is frozen
    ) -> None:
        self._recycler = recycler
        self._store = store
        self._allowed = allowed
        self._limits = limits

    def pull(self, feed: Feed) -> Generator[int, None, None]:
        """
        Do what the address of a feed has that is new.

        Yields:
            The number of each run, when it is done.

        Raises:
            FeedInvalid: The feed is not pulled, or no record of a file can be read.
            FeedBusy: Somebody else reads it.
            FeedUnreachable: No whole file came; what came before is done.
            CsvError: A file cannot be read from some line on; what stands before is done.
            SealError: Its authorization does not open.
        """
        if feed.kind is not FeedKind.PULL or feed.path is None:
            raise FeedInvalid(f"feed {feed.name!r} is of the kind {feed.kind}, and not pulled")
        with self._recycler.store.held(feed):
            try:
                yield from self._pull(feed, feed.path)
            except (CsvError, FeedInvalid, FeedUnreachable) as error:
                self._store.failed(feed, str(error))
                raise

    def _pull(self, feed: Feed, url: str) -> Generator[int, None, None]:
        authorization = self._store.authorization(feed)
        for _ in range(_MOST):
            state = self._store.state(feed)
            with download(
                url,
                state,
                authorization=authorization,
                allowed=self._allowed,
                limits=self._limits,
            ) as found:
                if found is None:
                    self._store.done(feed, state)
                    return
                run_id = self._recycler.run(feed, found.stream, name=found.name)
                yield run_id
                _refuse_unread(self._recycler.store.run(run_id))
                self._store.done(feed, found.state)
                if CURSOR not in url or found.state.cursor == state.cursor:
                    return


def _refuse_unread(row: dict[str, Any]) -> None:
    """
    Take nothing for a file of the feed of which no record can be read: it may be something else.
    """
    if row["taken"] and row["malformed"] == row["taken"]:
        raise FeedInvalid(f"no record of it can be read: see 'agi-router feed show {row['id']}'")
