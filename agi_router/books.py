"""
The books: every call is settled once, from the journal as it ends, or by reconciling.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.journal import EndJournal
from agi_router.ari import AriClient
from agi_router.calls import End
from agi_router.errors import ProtocolError, StoreError, StoreHeld

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
# Ends of one file that are remembered because somebody holds their bindings; where there are more,
# the file is read again.
_LEFT_LIMIT = 1000


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
        self._left: dict[Path, list[End]] = {}

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
            held = 0
            for file in self._journal.claimed(others_after=others_after):
                # Visitors may follow each other at once; a writer still needs its moment.
                await asyncio.sleep(_VISIT - self._journal.age(file))
                held += await self._settle_file(file)
            self._journal.claim()
            if held:
                raise StoreHeld(f"somebody holds the bindings of {held} call(s) that have ended")

    async def _settle_file(self, file: Path) -> int:
        """
        Settle a file, or what was left of it; returns how many calls are left.
        """
        left: list[End] = []
        # Not all again: somebody may hold a binding for long.
        pieces = [self._left[file]] if file in self._left else self._journal.read(file)
        for ends in pieces:
            left += await self._settle(ends)
            if len(left) > _LEFT_LIMIT:
                return len(left)
        if left:
            self._left[file] = left
        else:
            self._left.pop(file, None)
            self._journal.discard(file)
        return len(left)

    async def _settle(self, ends: Sequence[End]) -> list[End]:
        """
        Settle some calls; returns those whose bindings somebody holds.
        """
        unsettled = await self._store.settle(ends)
        for end in unsettled.refused:
            # Told for people: it can be settled at no time.
            log.error(
                "settle.refused",
                extra={"call": end.call_id, "day": f"{end.day}", "dialled": f"{end.x_number}"},
            )
        not_settled = {end.call_id for end in (*unsettled.held, *unsettled.refused)}
        settled = [end for end in ends if end.call_id not in not_settled]
        log.debug("books.settled", extra={"ends": len(settled)})
        if self._settled is not None:
            self._settled(settled)
        return unsettled.held

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
