"""
The stores that requests work with: a connection each, lent to one request at a time.
"""

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from queue import Empty, LifoQueue, SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

from agi_router.bindings.store import BindingStore
from agi_router.db.session import why_read_only
from agi_router.schemas.problems import Problem

__all__ = ["StorePool", "Turn", "bearable", "busy"]

# Seconds for which a request waits for a store.
_WAIT: Final = 1.0
# The same where something was done by it already, and the answer is not known without a store.
_WAIT_AGAIN: Final = 30.0

_Given = ParamSpec("_Given")
_Done = TypeVar("_Done")


class StorePool:
    """
    Some stores, opened when they are needed; the one used last is lent first.

    Args:
        open_store: Opens one, with schema, rights and keys checked.
        size: How many there are at most.
    """

    def __init__(self, open_store: Callable[[], BindingStore], size: int) -> None:
        self._open = open_store
        self._places: LifoQueue[BindingStore | None] = LifoQueue(size)
        self.size = size
        """How many there are at most."""
        self._era = 0
        self._turns = asyncio.Semaphore(size)
        self._threads = _Threads(size)
        for _ in range(size):
            self._places.put(None)

    @property
    def wait(self) -> float:
        """
        Seconds for which a request waits for a store.
        """
        return _WAIT

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator["Turn"]:
        """
        A turn at a store. Every request waits for one before it is given a thread.

        Else those that wait would hold the threads that those with a store need to go on.

        Raises:
            Problem: It does not come in time.
        """
        turn = Turn(self._wait, self._turns.release)
        await turn.take()
        try:
            yield turn
        finally:
            turn.give_up()

    async def run(
        self, work: Callable[_Given, _Done], *args: _Given.args, **kwargs: _Given.kwargs
    ) -> _Done:
        """
        Do something that borrows a store, in a thread, when it is its turn.

        Raises:
            Problem: That does not come in time.
        """
        # As by turn, whose context manager would take longer than all else here.
        await self._wait(_WAIT)
        try:
            return await self._threads.run(functools.partial(work, *args, **kwargs))
        finally:
            self._turns.release()

    async def _wait(self, seconds: float) -> None:
        """
        Wait for a turn; no clock is set where it has come already.

        Raises:
            Problem: It does not come in time.
        """
        if not self._turns.locked():
            await self._turns.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise busy() from None

    @contextlib.contextmanager
    def lend(self) -> Iterator[BindingStore]:
        """
        A store of one's own; one whose connection is lost, or takes no writes, is closed.

        Raises:
            Problem: None is free in time.
            StoreUnavailable: The database cannot be reached.
        """
        try:
            store = self._places.get(timeout=_WAIT)
        except Empty:
            raise busy() from None
        era = self._era
        try:
            if store is None or not _in_order(store):
                store = None
                store = self._open()
            yield store
        finally:
            if store is not None and (era != self._era or not _in_order(store)):
                store.connection.close()
                store = None
            self._places.put(store)

    def renew(self) -> None:
        """
        Close the stores: those in use when they come back. They are opened anew, with new keys.
        """
        self._era += 1
        idle = []
        with contextlib.suppress(Empty):
            while True:
                idle.append(self._places.get_nowait())
        for store in idle:
            if store is not None:
                store.connection.close()
            self._places.put(None)

    def close(self) -> None:
        """
        Close all that nobody uses, for good.
        """
        self.renew()
        self._threads.close()


class Turn:
    """
    A turn at a store, which may be given up before its time, and waited for once more.

    Args:
        wait: Waits for it, for so many seconds.
        release: Lets another one have it.
    """

    def __init__(
        self, wait: Callable[[float], Awaitable[None]], release: Callable[[], None]
    ) -> None:
        self._wait = wait
        self._release = release
        self._is_ours = False

    async def take(self) -> None:
        """
        Wait for it.

        Raises:
            Problem: It does not come in time.
        """
        await self._wait(_WAIT)
        self._is_ours = True

    async def take_again(self) -> None:
        """
        Wait for it once more, and for longer: something may have been done meanwhile.

        Raises:
            Problem: It does not come in that time, either.
        """
        try:
            await self._wait(_WAIT_AGAIN)
        except Problem:
            raise Problem.of_door("answer_late", headers={"Retry-After": "1"}) from None
        self._is_ours = True

    def give_up(self) -> None:
        """
        Let another one have it, unless that was done.
        """
        if self._is_ours:
            self._is_ours = False
            self._release()


class _Threads:
    """
    Threads in which a loop has work done; the process ends though one is at it.

    The framework's way into a thread takes several times the CPU, and an executor's threads keep
    a process that is to end while the database stands still.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._begun = 0
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def run(self, work: Callable[[], _Done]) -> "asyncio.Future[_Done]":
        """
        Have something done; the future has what comes of it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_Done] = loop.create_future()

        def tell(method: Callable[[Any], None], told: object) -> None:
            if not future.done():
                method(told)

        def do() -> None:
            told: tuple[Callable[[Any], None], object]
            try:
                told = future.set_result, work()
            except BaseException as error:  # noqa: BLE001 - whoever waits is to have it
                told = future.set_exception, bearable(error)
            # Nobody waits any more where the loop is closed.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, *told)

        if self._begun < self._size:
            self._begun += 1
            threading.Thread(target=self._serve, name="store", daemon=True).start()
        self._work.put(do)
        return future

    def close(self) -> None:
        """
        Let the threads end, each after what it is at.
        """
        for _ in range(self._begun):
            self._work.put(None)
        self._begun = 0

    def _serve(self) -> None:
        while (do := self._work.get()) is not None:
            do()


def bearable(error: BaseException) -> Exception:
    """
    An error as a future takes it, and whoever waits for it: the thread and the loop are to go on.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(repr(type(error)))


def busy() -> Problem:
    """
    What is told where no store is free in time.
    """
    return Problem.of_door("busy", headers={"Retry-After": "1"})


def _in_order(store: BindingStore) -> bool:
    connection = store.connection
    if connection.closed or connection.broken:
        return False
    # One that was replaced, or is kept from writes: another host may take them.
    return why_read_only(connection) is None
