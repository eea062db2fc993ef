"""
Statements that can wait for each other: one transaction for all that wait, then for the next.

Each transaction and each flush of the log cost the same, however many statements they are for. So
the faster they come, the more share one, and none waits longer than for the one before its own.
"""

import asyncio
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from agi_router.db.fast_connection import FastConnection
from agi_router.db.pool import ConnectionPool, SharedWork
from agi_router.db.prepared import Value
from agi_router.errors import StoreBusy, StoreUnavailable

__all__ = ["Turns"]

_TOGETHER: Final = 32
# Transactions at once: a second one only where enough wait to fill it.
_LINES: Final = 2
# Of those that are done for all: whoever waits for less has given up by then.
_PATIENCE: Final = 10.0
# Seconds from one transaction to the next, at least: on a fast disk hardly any would share one.
_APART: Final = 0.002
# Of the last transaction in the average of all.
_WEIGHT: Final = 0.2

_Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Asked:
    work: SharedWork
    about: Hashable
    timeout: float
    fail_fast: bool
    result: "asyncio.Future[Any]"

    def time_out(self) -> None:
        """
        Tell its asker that it has waited long enough; what was sent goes on.
        """
        if not self.result.done():
            self.result.set_exception(StoreUnavailable("the database did not answer in time"))


class Turns:
    """
    Statements that may share a transaction in any order; each must be idempotent.

    Args:
        pool: Connections to the database, running.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        self._pool = pool
        self._asked: list[_Asked] = []
        self._going: set[asyncio.Task[None]] = set()
        self._alone: set[asyncio.Task[None]] = set()
        self._begun = -_APART
        # Seconds of one statement in a transaction, on the average of the last ones.
        self._each = 0.0

    async def fetch(
        self,
        statement: str,
        values: Mapping[str, Value],
        *,
        about: str,
        timeout: float,  # noqa: ASYNC109
    ) -> _Rows:
        """
        Do a statement with *values* when its turn comes; its rows.

        Args:
            statement: Its name.
            values: What it is given.
            about: What it needs that somebody may hold.
            timeout: Seconds to wait.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """

        async def read(_: FastConnection, rows: _Rows) -> _Rows:
            return rows

        async def alone(connection: FastConnection) -> _Rows:
            return await connection.fetch(statement, values)

        work = SharedWork(statement, lambda: values, read, alone)
        rows: _Rows = await self.submit(work, about=about, timeout=timeout)
        return rows

    async def submit(
        self,
        work: SharedWork,
        *,
        about: Hashable,
        timeout: float,  # noqa: ASYNC109
        fail_fast: bool = False,
    ) -> Any:
        """
        Do *work* when its turn comes, and return its result.

        Args:
            work: What to do.
            about: What it needs that somebody may hold.
            timeout: Seconds to wait.
            fail_fast: Whether to fail at once where the wait would be too long.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        # Half of the time is for the statement, and for the way back.
        if fail_fast and len(self._asked) * self._each > timeout / 2:
            raise StoreBusy
        loop = asyncio.get_running_loop()
        asked = _Asked(work, about, timeout, fail_fast, loop.create_future())
        if self._pool.is_held(about):
            self._start_alone(asked)
        else:
            self._asked.append(asked)
            self._let_go()
        timer = loop.call_later(timeout, asked.time_out)
        try:
            return await asked.result
        finally:
            timer.cancel()

    def _let_go(self) -> None:
        """
        Begin a transaction, unless those who wait go with the next one.
        """
        going = len(self._going)
        if going == 0 or (going < _LINES and len(self._asked) >= _TOGETHER):
            task = asyncio.get_running_loop().create_task(self._go())
            self._going.add(task)
            task.add_done_callback(self._went)

    def _went(self, task: "asyncio.Task[None]") -> None:
        self._going.discard(task)
        if self._asked:
            self._let_go()

    async def _go(self) -> None:
        if (early := self._begun + _APART - time.monotonic()) > 0:
            await asyncio.sleep(early)
        if len(self._asked) > _TOGETHER:
            # Ends first: what has ended makes room for what comes.
            self._asked.sort(key=lambda each: each.fail_fast)
        batch, self._asked = self._asked[:_TOGETHER], self._asked[_TOGETHER:]
        if not batch:
            return
        self._begun = begun = time.monotonic()
        await self._do(batch)
        took = (time.monotonic() - begun) / len(batch)
        self._each += _WEIGHT * (took - self._each)

    async def _do(self, batch: list[_Asked]) -> None:
        """
        Do a batch together; where that fails, each by itself.
        """

        async def work(connection: FastConnection) -> None:
            # Nobody waits for the others, and nobody is told that they were done.
            sent = [each for each in batch if not each.result.done()]
            found = await connection.fetch_each(
                [(each.work.statement, each.work.values()) for each in sent]
            )
            for each, rows in zip(sent, found, strict=True):
                await self._read(connection, each, rows)

        try:
            await self._pool.submit(work, timeout=_PATIENCE)
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is done alone
            for each in batch:
                if not each.result.done():
                    self._start_alone(each)

    async def _read(self, connection: FastConnection, asked: _Asked, rows: _Rows) -> None:
        try:
            result = await asked.work.read(connection, rows)
        except Exception:  # noqa: BLE001 - what is wrong with it is told when it is done alone
            self._start_alone(asked)
        else:
            if not asked.result.done():
                asked.result.set_result(result)

    def _start_alone(self, asked: _Asked) -> None:
        """
        Do it beside: the next batch does not wait for a row that somebody holds.
        """
        task = asyncio.get_running_loop().create_task(self._do_alone(asked))
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)

    async def _do_alone(self, asked: _Asked) -> None:
        try:
            result = await self._pool.submit(
                asked.work.alone,
                timeout=asked.timeout,
                fail_fast=asked.fail_fast,
                about=asked.about,
            )
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            if not asked.result.done():
                asked.result.set_exception(error)
        else:
            if not asked.result.done():
                asked.result.set_result(result)
