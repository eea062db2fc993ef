"""
What doors for texts have alike: what is owed is taken, sent, and ended or put off.

Rules for the editor:

1. A text is taken only where it can be sent at once: what waits, waits in the database. One that
   comes while there is room is stored as in hand, and sent as soon as that is committed. Of those
   that are stored together more may be in hand than there is room for: they wait a moment.
2. A fault of ours in one text ends nothing else. Where its end cannot be written its lease ends,
   and it is taken again.
3. No log line holds a number or a text.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeVar

from agi_router.bindings.reasons import Reason
from agi_router.errors import AgiRouterError
from agi_router.messages.model import GIVEN_UP, ROOM, WRITE, MessageState, Outgoing
from agi_router.messages.store import Ended, MessageStore
from agi_router.numbers import Block

__all__ = ["Counts", "Outbox", "Outcome", "Tasks"]

log = logging.getLogger(__name__)

_T = TypeVar("_T")

# Seconds after which is looked for what became due: by its time, or by another process.
_LOOK: Final = 0.5
# How many may be in hand for each that is on its way: those that were let in together.
_AHEAD: Final = 2


@dataclass(slots=True)
class Counts:
    """
    What a door has done so far.
    """

    accepted: int = 0
    repeats: int = 0
    """Requests that were accepted before."""
    unanswered: int = 0
    """Requests of which nobody knows whether they were stored."""
    refused: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(Reason, 0))
    ended: dict[MessageState, int] = field(
        default_factory=lambda: dict.fromkeys(
            (MessageState.SENT, MessageState.FAILED, MessageState.EXPIRED), 0
        )
    )
    put_off: int = 0
    """Tries that were not the last."""
    maybe_twice: int = 0
    """Tries after one of which nobody knows how it ended."""
    took: Callable[[float], None] = lambda _: None
    """Told of each question to the store how many seconds it took; must not raise."""

    @contextlib.contextmanager
    def timed(self) -> Iterator[None]:
        """
        Time a question to the store.
        """
        begun = time.monotonic()
        try:
            yield
        finally:
            self.took(time.monotonic() - begun)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """
    How a try ended.
    """

    state: MessageState | None = None
    """What the text has become; :obj:`None` where it is tried again, or its end is written."""
    reason: str | None = None
    status: int | None = None
    """The final status of the other side; :obj:`None`: there was none."""
    pause: timedelta | None = None
    """How long it waits where it is tried again."""
    known: bool = True
    """Whether it has certainly not arrived by this try."""


class Tasks:
    """
    Work that goes on beside.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[object, object, None]) -> None:
        """
        Do *work* beside; a fault of ours in it ends nothing else.
        """
        self._keep(asyncio.get_running_loop().create_task(_guarded(work)))

    async def finish(self, work: Coroutine[object, object, _T]) -> _T:
        """
        Do *work*, and return what it returns; it goes on though nobody waits for it any more.
        """
        task = asyncio.get_running_loop().create_task(work)
        self._keep(task)
        return await asyncio.shield(task)

    def _keep(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ended(self) -> None:
        """
        Wait until all that goes on now has ended, and what that has begun by then.
        """
        for _ in range(2):
            await asyncio.gather(*self._tasks, return_exceptions=True)


class Outbox:
    """
    What a door owes; it fits :class:`agi_router.messages.model.Hands`.

    Args:
        store: Where it is kept.
        send: Tries one text.
        counts: What the door has done.
        tasks: Where tries go on.
        window: How many may be on their way at once.
    """

    def __init__(
        self,
        store: MessageStore,
        send: Callable[[Outgoing], Awaitable[Outcome]],
        *,
        counts: Counts,
        tasks: Tasks,
        window: int,
    ) -> None:
        self._store = store
        self._send = send
        self._counts = counts
        self._tasks = tasks
        self._window = window
        self._due = asyncio.Event()
        self._closed = True
        self._places = asyncio.Semaphore(window)
        # Who waits until one more can be sent.
        self._waiting: deque[asyncio.Future[None]] = deque()
        # Whether something may wait in the database, and whether there is more than there was room
        # for.
        self._wanted = self._behind = True
        self.under_way = 0
        """How many texts are being sent."""

    @property
    def free(self) -> bool:
        """
        Whether one more may be in hand, and none that came before waits for its turn.
        """
        return self._has_room(_AHEAD * self._window)

    def _has_room(self, most: int) -> bool:
        return not self._closed and not self._behind and self.under_way < most

    async def room(self, seconds: float) -> None:
        """
        Wait until one more can be sent at once, so long at most.

        A text that is stored as in hand costs the database half of what another one does. Where
        others wait in the database already this one does not wait for room: it comes after them.
        """
        has_room = self._has_room(self._window) and not self._waiting
        if has_room or self._closed or self._behind:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await waiting

    def _let_in(self, most: int) -> None:
        """
        Let so many go on that wait for room.
        """
        while self._waiting and most > 0:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)
                most -= 1

    def hand_over(self, message: Outgoing) -> None:
        """
        Send what is in hand.
        """
        self.under_way += 1
        self._counts.maybe_twice += message.maybe_twice
        self._tasks.start(self._try(message))

    def wake(self) -> None:
        """
        Something may be due.
        """
        self._wanted = True
        self._due.set()

    def close(self) -> None:
        """
        Take nothing any more; what is taken is sent, so no lease is left to end by itself.
        """
        self._closed = True
        self._due.set()
        self._let_in(len(self._waiting))

    def start(self) -> asyncio.Task[None]:
        """
        Take what is due and send it, as many at once as there is room for, until it is closed.

        It may be closed from now on, also before the task has had a turn.
        """
        self._closed, self._wanted, self._behind = False, True, True
        return asyncio.create_task(self._run())

    async def _run(self) -> None:
        while not self._closed:
            room = self._window - self.under_way
            taken: list[Outgoing | Ended] = []
            self._due.clear()
            if room > 0:
                self._wanted = False
                with contextlib.suppress(AgiRouterError):
                    taken = await self._store.take(room, timeout=WRITE)
                self._behind = len(taken) >= room
                self._wanted |= self._behind
                if self._behind:
                    self._let_in(len(self._waiting))
            for message in taken:
                if isinstance(message, Ended):
                    self._tasks.start(self._finish(message, message.state, message.reason, None))
                else:
                    self.hand_over(message)
            if not self._closed and (len(taken) < room or room <= 0):
                # No wait_for: a result that comes at the moment of the end would hide that end.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await self._due.wait()

    async def _try(self, message: Outgoing) -> None:
        try:
            outcome = await self._send_in_turn(message)
        finally:
            self.under_way -= 1
            # Of those that were let in some may be refused, and end nothing.
            few = self.under_way <= self._window // 2
            self._let_in(self._window - self.under_way if few else 1)
            if self._wanted:
                self._due.set()
        if outcome.state is not None:
            await self._finish(message, outcome.state, outcome.reason, outcome.status)
        elif outcome.pause is not None:
            self._counts.put_off += 1
            # Where that cannot be written the lease ends, and it is taken again.
            with contextlib.suppress(AgiRouterError):
                await self._store.put_off(
                    message, outcome.pause, known=outcome.known, timeout=WRITE
                )

    async def _send_in_turn(self, message: Outgoing) -> Outcome:
        if self._places.locked():
            try:
                async with asyncio.timeout(ROOM):
                    await self._places.acquire()
            except TimeoutError:
                # It was not sent.
                return Outcome(pause=timedelta())
        else:
            await self._places.acquire()
        try:
            return await self._send(message)
        finally:
            self._places.release()

    async def _finish(
        self,
        message: Outgoing | Ended,
        state: MessageState,
        reason: str | None,
        status: int | None,
    ) -> None:
        try:
            ended = await self._store.finish(
                message, state, reason=reason, status=status, timeout=WRITE
            )
        except AgiRouterError as error:
            log.warning("message.end_unwritten", extra={"error": type(error).__name__})
            return
        if ended:
            self.note_end(message.id, state)

    async def cancel(self, name: str, block: Block, *, attempts: int) -> None:
        """
        End a text as not sent that was stored a moment ago; one that is sent meanwhile is.

        Args:
            name: Its id.
            block: Where it is kept.
            attempts: 1 where it was stored as in hand, else 0.
        """
        ended = Ended(
            block=block.value,
            id=name,
            attempts=attempts,
            state=MessageState.FAILED,
            reason=GIVEN_UP,
        )
        await self._finish(ended, ended.state, ended.reason, None)

    def note_end(self, name: str, state: MessageState) -> None:
        """
        A text has ended so.
        """
        self._counts.ended[state] += 1
        log.info("message.ended", extra={"text": name, "state": state.value})


async def _guarded(work: Coroutine[object, object, None]) -> None:
    """
    Do *work* to its end; a fault of ours ends nothing else.
    """
    try:
        await work
    except Exception as error:  # noqa: BLE001
        # Its words may quote a text.
        log.error("message.fault", extra={"error": type(error).__name__})  # noqa: TRY400
