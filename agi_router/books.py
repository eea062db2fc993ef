"""
The books: every call is settled once, from the journal as it ends, or by reconciling.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.journal import EndJournal
from agi_router.ari import AriClient
from agi_router.calls import End
from agi_router.errors import ProtocolError, StoreError

__all__ = ["Books"]

log = logging.getLogger(__name__)

# Seconds between two visits to the journal, and from claiming a file to reading it: an unanswered
# call gives its use back after at most two of them. A visit to an empty journal costs two system
# calls.
_VISIT = 0.2
_RETRY = 1.0
# Calls that Asterisk is asked about at once; it answers one after the other.
_ASKED = 20
# Seconds for which a file is left to the router that has claimed it.
_ABANDONED = 2.0


class Books:
    """
    Settles calls: from the journal as they end, and those whose end nobody saw.

    Args:
        store: Where calls are settled.
        journal: Where their ends are found.
        settled: Who is told which lines of the journal were settled, if anybody is.
    """

    def __init__(
        self,
        store: AdmissionStore,
        journal: EndJournal,
        *,
        settled: Callable[[Sequence[End]], None] | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._settled = settled
        self._visiting = asyncio.Lock()

    async def keep(self) -> None:
        """
        Settle what the journal holds, for ever.
        """
        while True:
            try:
                await self.visit(others_after=_ABANDONED)
            except StoreError as error:
                # The lines wait on disk.
                log.warning("settle.deferred", extra={"error": str(error)})
                await asyncio.sleep(_RETRY)
            else:
                await asyncio.sleep(_VISIT)

    async def visit(self, *, others_after: float = 0.0) -> None:
        """
        Settle the files claimed before, then claim what has come since.

        Args:
            others_after: Seconds for which a file that another router has claimed is left to it.

        Raises:
            StoreError: Something is not settled yet.
        """
        async with self._visiting:
            for file in self._journal.claimed(others_after=others_after):
                # Visitors may follow each other at once; a writer still needs its moment.
                await asyncio.sleep(_VISIT - self._journal.age(file))
                for ends in self._journal.read(file):
                    await self._store.settle(ends)
                    log.debug("books.settled", extra={"ends": len(ends)})
                    if self._settled is not None:
                        self._settled(ends)
                self._journal.discard(file)
            self._journal.claim()

    async def close(self) -> None:
        """
        Settle what there is now; what cannot be settled waits for the next start.
        """
        with contextlib.suppress(StoreError):
            await self._catch_up()

    async def reconcile(self, ari: AriClient) -> None:
        """
        Settle the calls that are neither settled, nor alive in Asterisk, nor in the journal.

        The hangup handler writes its line while the channel still exists. So a call that was
        reserved before its channel was asked for, and has none, has its line written.

        Raises:
            StoreError: The store did not answer.
            AriError: Asterisk did not answer.
            NodeTaken: Another Asterisk has the name of this one.
        """
        info = await ari.asterisk_info()
        # Whoever has our name may have calls of which we know nothing.
        await self._store.see_node(info.system_name, info.entity_id, info.startup_time)
        reserved = await self._store.reserved(info.system_name)
        calls = list(reserved)
        alive: set[str] = set()
        for start in range(0, len(calls), _ASKED):
            some = calls[start : start + _ASKED]
            found = await asyncio.gather(*map(ari.channel, some))
            alive |= {call for call, channel in zip(some, found, strict=True) if channel}
        await self._catch_up()
        now = datetime.now(UTC)
        unseen = []
        for call_id, x_number in reserved.items():
            if call_id not in alive:
                with contextlib.suppress(ProtocolError):
                    unseen.append(End.unseen(call_id, x_number, now=now))
        # Settling is idempotent: those whose line was in the journal are not touched again.
        await self._store.settle(unseen)
        log.info("books.reconciled", extra={"reserved": len(reserved), "alive": len(alive)})

    async def _catch_up(self) -> None:
        """
        Settle every line that is in the journal now: one visit claims it, the next one settles it.
        """
        await self.visit()
        await self.visit()
