"""
Statements that can wait for each other: one transaction for all that wait, then for the next.

Each flush of the log costs the same, however many statements it is for, and those for which
somebody waits are not held up by many of the others.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agi_router.db.fast_connection import FastConnection, Value
from agi_router.db.pool import ConnectionPool
from agi_router.errors import StoreUnavailable

__all__ = ["Turns"]

_TOGETHER: Final = 64
# Of those that are done for all: whoever waits for less has given up by then.
_PATIENCE: Final = 10.0

_Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class _Asked:
    values: Mapping[str, Value]
    about: str
    timeout: float
    rows: "asyncio.Future[_Rows]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Turns:
    """
    One statement, which must be idempotent.

    Args:
        pool: Connections to the database, running.
        statement: Its name.
    """

    def __init__(self, pool: ConnectionPool, statement: str) -> None:
        self._pool = pool
        self._statement = statement
        self._asked: list[_Asked] = []
        self._going: asyncio.Task[None] | None = None
        self._alone: set[asyncio.Task[None]] = set()

    async def fetch(
        self,
        values: Mapping[str, Value],
        *,
        about: str,
        timeout: float,  # noqa: ASYNC109
    ) -> _Rows:
        """
        Do it with *values* when its turn comes; its rows.

        Args:
            values: What it is given.
            about: What it needs that somebody may hold.
            timeout: Seconds to wait.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        asked = _Asked(values, about, timeout)
        self._asked.append(asked)
        if self._going is None:
            self._going = asyncio.get_running_loop().create_task(self._go())
        try:
            async with asyncio.timeout(timeout):
                return await asked.rows
        except TimeoutError:
            raise StoreUnavailable("the database did not answer in time") from None

    async def _go(self) -> None:
        try:
            while self._asked:
                batch, self._asked = self._asked[:_TOGETHER], self._asked[_TOGETHER:]
                await self._do(batch)
        finally:
            self._going = None

    async def _do(self, batch: list[_Asked]) -> None:
        """
        Do a batch together; where that fails, each by itself.
        """

        async def work(connection: FastConnection) -> list[_Rows]:
            return await connection.fetch_each(self._statement, [each.values for each in batch])

        try:
            found = await self._pool.submit(work, timeout=_PATIENCE)
        except Exception:  # noqa: BLE001 - whose fault it is shows when each is done alone
            for each in batch:
                self._start_alone(each)
            return
        for each, rows in zip(batch, found, strict=True):
            if not each.rows.done():
                each.rows.set_result(rows)

    def _start_alone(self, asked: _Asked) -> None:
        """
        Do it beside: the next batch does not wait for a row that somebody holds.
        """
        task = asyncio.get_running_loop().create_task(self._do_alone(asked))
        self._alone.add(task)
        task.add_done_callback(self._alone.discard)

    async def _do_alone(self, asked: _Asked) -> None:
        async def work(connection: FastConnection) -> _Rows:
            return await connection.fetch(self._statement, asked.values)

        try:
            rows = await self._pool.submit(work, timeout=asked.timeout, about=asked.about)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            if not asked.rows.done():
                asked.rows.set_exception(error)
        else:
            if not asked.rows.done():
                asked.rows.set_result(rows)
