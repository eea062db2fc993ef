"""
Pulling a feed: what its address has is read as a file, until there is nothing new.

What comes is named by its digest as any file is, a page by its cursor too: pulled again it
changes nothing, and after a crash it goes on. By what it is told from the next is noted when all
of it is done.
"""

from collections.abc import Collection, Generator

from agi_router.errors import CsvError, FeedInvalid, FeedUnreachable, SealError, StoreHeld
from agi_router.feeds.download import Limits, download
from agi_router.feeds.files import digest_of
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
            FeedInvalid: The feed is not pulled; or no record of a file can be read, and of an
                address with pages all others are done.
            FeedBusy: Somebody else reads it.
            FeedUnreachable: No whole file came; what came before is done.
            CsvError: A file cannot be read from some line on; what stands before is done.
            SealError: Its authorization does not open.
            StoreHeld: A binding is changed all the time; the next pull goes on.
        """
        if feed.kind is not FeedKind.PULL or feed.path is None:
            raise FeedInvalid(f"feed {feed.name!r} is of the kind {feed.kind}, and not pulled")
        with self._recycler.store.held(feed):
            try:
                yield from self._pull(feed, feed.path)
            except (CsvError, FeedInvalid, FeedUnreachable, SealError, StoreHeld) as error:
                self._store.failed(feed, str(error))
                raise

    def _pull(self, feed: Feed, url: str) -> Generator[int, None, None]:
        authorization = self._store.authorization(feed)
        paged = CURSOR in url
        unread: list[int] = []
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
                    break
                # Two pages may have the same content, and be said one after the other.
                digest = digest_of(found.stream, name=state.cursor or "" if paged else None)
                run_id = self._recycler.run(feed, found.stream, name=found.name, digest=digest)
                yield run_id
                if self._is_unread(run_id):
                    unread.append(run_id)
                    if not paged:
                        # It may be something else than a file of the feed: it is asked for again.
                        break
                # A page that nobody mends would keep all behind it from being read.
                self._store.done(feed, found.state)
                if not paged or found.state.cursor == state.cursor:
                    break
        if unread:
            raise FeedInvalid(
                f"no record of it can be read: see 'agi-router feed show {unread[0]}'"
            )

    def _is_unread(self, run_id: int) -> bool:
        row = self._recycler.store.run(run_id)
        return bool(row["taken"]) and row["malformed"] == row["taken"]
