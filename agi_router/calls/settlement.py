"""
Settlement: every call is settled once, from the journal as it ends, or by reconciling.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime

from agi_router.ari import AriClient
from agi_router.calls.end import Answer, End, Notice, UnknownEnd, call_begin, keeps_use
from agi_router.calls.journal import EndJournal
from agi_router.calls.store import AdmissionStore, Unsettled
from agi_router.errors import AgiRouterError, JournalError, ProtocolError, StoreHeld
from agi_router.numbers import XNumber
from agi_router.side_thread import SideThread

__all__ = ["Settlement"]

log = logging.getLogger(__name__)

# Seconds from claiming a file of the journal to reading it.
_CLAIMED_FOR = 0.2
# Glances at the journal from one look at all of it to the next.
_GLANCES = 5
# Calls that Asterisk is asked about at once; it answers one after the other.
_ASKED = 20
# Ends of one file that are remembered because somebody holds their bindings; where there are more,
# the file is read again.
_LEFT_LIMIT = 1000
# Seconds for which the loss of a line is told: longer than from one reconciling to the next.
_TROUBLE = 900.0
# What is told of a notice that was not heard though it should have been.
_UNHEARD = frozenset({Notice.MISSING, Notice.LONG})
# The same for a call that the database refuses to settle: it is passed over, and all is well else.
_REFUSED = 60.0
# Seconds for which the end of this router waits for the settlement.
_CLOSING = 10.0


def _nobody() -> None:
    pass


class Settlement:
    """
    Settles calls: from the journal as they end, and those whose end nobody saw.

    Args:
        store: Where calls are settled.
        journal: Where their ends are found.
        settled: Who is told which lines of the journal were settled, if anybody is.
        unknown_end: What the use of a call costs whose end nobody saw.
        without_end: Who is told how many such calls were found, if anybody is.
    """

    def __init__(
        self,
        store: AdmissionStore,
        journal: EndJournal,
        *,
        settled: Callable[[Sequence[End]], None] | None = None,
        unknown_end: UnknownEnd = UnknownEnd.LIKELY,
        without_end: Callable[[int], None] | None = None,
    ) -> None:
        self._store = store
        self._journal = journal
        self._settled = settled
        self._unknown_end = unknown_end
        self._without_end = without_end
        self._lost = 0
        self._lost_at = -math.inf
        self._broken = 0
        self._broken_at = -math.inf
        self._settling = asyncio.Lock()
        self._waiting = 0
        self._left: dict[str, list[Answer | End]] = {}
        # A disk may hang.
        self._disk = SideThread("journal")

    async def settle_journal(
        self,
        *,
        others_after: float = 0.0,
        wait: float = 0.0,
        alive: Callable[[], None] = _nobody,
    ) -> None:
        """
        Settle the files claimed before, then claim what has come since.

        Args:
            others_after: Seconds for which a file that another router has claimed is left to it.
            wait: Seconds for which it goes on to look where there is nothing yet.
            alive: Told whenever some lines are settled: it may take long.

        Raises:
            StoreError: Something is not settled yet.
            JournalError: A file cannot be read, all others are settled; or none can be.
        """
        async with self._turn():
            held = 0
            fault: JournalError | None = None
            files, age = await self._disk.do(self._look, others_after, wait)
            if not files:
                return
            # Runs may follow each other at once; a writer still needs its moment.
            await asyncio.sleep(_CLAIMED_FOR - age)
            for file in files:
                try:
                    held += await self._settle_file(file, alive)
                except JournalError as error:
                    fault = fault or error
            await self._disk.do(self._journal.claim)
            if fault is not None:
                raise fault
            if held:
                raise StoreHeld(f"somebody holds the bindings of {held} call(s) that have ended")

    def _look(self, others_after: float, wait: float) -> tuple[list[str], float]:
        """
        The files claimed before, and the age of the youngest; else what has come since is claimed.

        Mostly there is nothing of either: waiting here does not wake the event loop, and mostly a
        glance suffices.
        """
        until = time.monotonic() + wait
        while not (files := self._journal.claimed(others_after=others_after)):
            if self._journal.claim() or self._is_awaited() or time.monotonic() >= until:
                break
            for _ in range(_GLANCES):
                time.sleep(_CLAIMED_FOR)
                if not self._journal.is_empty() or self._is_awaited():
                    break
        return files, min(map(self._journal.age, files), default=math.inf)

    def _is_awaited(self) -> bool:
        """
        Whether somebody waits for the turn or the thread; asked by that thread.
        """
        return self._waiting > 0 or self._disk.wanted

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """
        Nobody else settles for the time of a block; whoever only looks is told to end.
        """
        self._waiting += 1
        try:
            await self._settling.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._settling.release()

    async def _settle_file(self, file: str, alive: Callable[[], None]) -> int:
        """
        Settle a file, or what was left of it; returns how many calls are left.
        """
        left: list[Answer | End] = []
        broken: set[str] = set()
        # Not all again: somebody may hold a binding for long.
        before = self._left.get(file)
        pieces = self._journal.read(file) if before is None else iter([before])
        while (told := await self._disk.do(next, pieces, None)) is not None:
            # An end tells of its call's answer, too, where nothing has before: no order is to be
            # kept with other files.
            left += await self._tell_answers([each for each in told if isinstance(each, Answer)])
            if ends := [each for each in told if isinstance(each, End)]:
                unsettled = await self._settle(ends)
                left += unsettled.held
                broken |= {each.end.call_id for each in unsettled.broken}
            if len(left) > _LEFT_LIMIT:
                return len(left)
            alive()
        if broken:
            await self._disk.do(self._journal.set_aside, file, frozenset(broken))
            self._broken, self._broken_at = len(broken), time.monotonic()
        if left:
            self._left[file] = left
        else:
            self._left.pop(file, None)
            await self._disk.do(self._journal.discard, file)
        return len(left)

    async def _tell_answers(self, answers: Sequence[Answer]) -> Sequence[Answer]:
        """
        Tell that callees have answered; returns those whose bindings somebody holds.
        """
        if not answers:
            return ()
        untold = await self._store.tell_answers(answers)
        for answer in untold.refused:
            log.error("answer.refused", extra={"call": answer.call_id})
        return untold.held

    async def _settle(self, ends: Sequence[End]) -> Unsettled:
        """
        Settle some calls, and tell of those that never will be.
        """
        unsettled = await self._store.settle(ends)
        _tell_broken(unsettled)
        if unsettled.refused:
            # For people: they can be settled at no time. One is named: a journal may be full.
            first, count = unsettled.refused[0], len(unsettled.refused)
            day, dialled = f"{first.day}", f"{first.x_number}"
            log.error(
                "settle.refused",
                extra={"calls": count, "call": first.call_id, "day": day, "dialled": dialled},
            )
        not_settled = _calls(unsettled)
        settled = [end for end in ends if end.call_id not in not_settled]
        log.debug("settle.done", extra={"ends": len(settled)})
        if unheard := [end for end in settled if end.notice in _UNHEARD]:
            # For people: the calls went on. One is named.
            first = unheard[0]
            log.error(
                "notice.unheard",
                extra={"calls": len(unheard), "call": first.call_id, "why": str(first.notice)},
            )
        if self._settled is not None:
            self._settled(settled)
        return unsettled

    async def close(self) -> None:
        """
        Settle what there is now; what cannot be settled waits for the next start.
        """
        try:
            async with asyncio.timeout(_CLOSING):
                await self._catch_up()
        except (AgiRouterError, TimeoutError) as error:
            log.warning("settle.left", extra={"error": str(error)})

    async def reconcile(self, ari: AriClient) -> None:
        """
        Settle the calls that are neither settled, nor alive in Asterisk, nor in the journal.

        The hangup handler writes its line while the channel still exists. So a call that was
        reserved before its channel was asked for, and has none, has its line written.

        Raises:
            StoreError: The store did not answer.
            JournalError: The journal cannot be read: nobody is taken for gone.
            AriError: Asterisk did not answer.
            NodeTaken: Another Asterisk has the name of this one.
        """
        asterisk = await ari.asterisk_info()
        # Whoever has our name may have calls of which we know nothing.
        await self._store.see_node(asterisk.system_name, asterisk.entity_id, asterisk.startup_time)
        reserved = await self._store.reserved(asterisk.system_name)
        calls = list(reserved)
        alive: set[str] = set()
        for start in range(0, len(calls), _ASKED):
            some = calls[start : start + _ASKED]
            found = await asyncio.gather(*map(ari.has_channel, some))
            alive |= {call for call, is_there in zip(some, found, strict=True) if is_there}
        await self._catch_up()
        # Asked once more: those whose line was in the journal are settled now.
        still = await self._store.reserved(asterisk.system_name) if len(alive) < len(calls) else {}
        gone = {call: x for call, x in still.items() if call in reserved and call not in alive}
        ends = _unseen(gone, self._unknown_end, asterisk.startup_time)
        unsettled = await self._store.settle(ends)
        _tell_broken(unsettled)
        not_settled = _calls(unsettled)
        # What is not settled is found again; it would be told for ever.
        self._tell_unseen(
            [end for end in ends if end.call_id not in not_settled], asterisk.startup_time
        )
        log.info("settle.reconciled", extra={"reserved": len(reserved), "alive": len(alive)})

    async def settle_dead(self, node: str) -> int:
        """
        Settle what an Asterisk has left that is no more: its lines, then the calls without one.

        Args:
            node: Its ``systemname``; none of its calls is up.

        Returns:
            How many had none.

        Raises:
            StoreError: The store did not answer, or something is not settled yet.
            JournalError: The journal cannot be read: nobody is taken for gone.
        """
        await self._catch_up()
        now = datetime.now(UTC)
        ends = _unseen(await self._store.reserved(node), self._unknown_end, now)
        unsettled = await self._store.settle(ends)
        _tell_broken(unsettled)
        if unsettled.held:
            raise StoreHeld(f"somebody holds the bindings of {len(unsettled.held)} call(s)")
        return len(ends) - len(_calls(unsettled))

    def _tell_unseen(self, ends: Sequence[End], asterisk_since: datetime) -> None:
        """
        Tell of calls that nobody saw end; what Asterisk's own does not explain is lost.
        """
        if not ends:
            return
        lost = sum(call_begin(end.call_id) >= asterisk_since for end in ends)
        kept = sum(end.kept or False for end in ends)
        log.warning("settle.without_end", extra={"calls": len(ends), "lost": lost, "kept": kept})
        if self._without_end is not None:
            self._without_end(len(ends))
        if lost:
            self._lost, self._lost_at = lost, time.monotonic()

    @property
    def trouble(self) -> list[str]:
        """
        What is wrong with the settlement, for some time after it was seen: a line each.
        """
        now = time.monotonic()
        found = []
        if now - self._lost_at <= _TROUBLE:
            found.append(
                f"settlement: {self._lost} call(s) ended without a line in the journal while"
                " Asterisk was up: 'agi-router doctor' tells whether it may write there"
            )
        if now - self._broken_at <= _REFUSED:
            found.append(
                f"settlement: the database refuses to settle {self._broken} call(s), which are"
                " passed over: 'settle.failed' in the log tells their bindings"
            )
        return found

    async def _catch_up(self) -> None:
        """
        Settle every line that is in the journal now: one run claims it, the next settles it.
        """
        await self.settle_journal()
        await self.settle_journal()


def _unseen(
    calls: Mapping[str, XNumber], unknown_end: UnknownEnd, asterisk_since: datetime
) -> list[End]:
    """
    The ends of calls that nobody saw end.
    """
    now = datetime.now(UTC)
    ends = []
    for call_id, x_number in calls.items():
        with contextlib.suppress(ProtocolError):
            keeps = keeps_use(call_id, unknown_end, asterisk_since=asterisk_since)
            ends.append(End.unseen(call_id, x_number, now=now, kept=keeps))
    return ends


def _calls(unsettled: Unsettled) -> set[str]:
    """
    The calls that are not settled.
    """
    ends = (*unsettled.held, *unsettled.refused, *(each.end for each in unsettled.broken))
    return {end.call_id for end in ends}


def _tell_broken(unsettled: Unsettled) -> None:
    for each in unsettled.broken:
        # For people: who mends the row can settle the call.
        log.error(
            "settle.failed",
            extra={"call": each.end.call_id, "binding": each.binding, "error": each.why},
        )
