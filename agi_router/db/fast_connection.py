"""
One connection of the router, with a short way for the statement that every call waits for.

A cursor of psycopg wakes a task for each step, too: see :mod:`agi_router.db.prepared`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import psycopg
from psycopg import pq

from agi_router.db.prepared import Prepared, Value
from agi_router.db.queries import query

__all__ = ["LOCK_WAIT", "FastConnection"]

LOCK_WAIT: Final = 20
"""Milliseconds for which a line waits for a lock: a commit of somebody else's takes some."""


class FastConnection(psycopg.AsyncConnection[dict[str, Any]]):
    """
    A connection to PostgreSQL that does one thing at a time.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._statements: dict[str, Prepared] = {}

    @asynccontextmanager
    async def waiting(self, milliseconds: int) -> AsyncIterator[None]:
        """
        Meanwhile, wait so long for a lock.
        """
        await self.execute(query("set_session_lock_timeout"), {"milliseconds": milliseconds})
        try:
            yield
        finally:
            if not self.closed:
                await self.execute(query("set_session_lock_timeout"), {"milliseconds": LOCK_WAIT})

    async def fetch(self, name: str, values: Mapping[str, Value]) -> list[dict[str, Any]]:
        """
        Run the query *name* on the short way and return its rows.

        Who is cancelled while it runs loses the connection.

        Raises:
            psycopg.Error: As a cursor would.
        """
        async with self.lock:
            prepared = self._statements.get(name) or await self._prepare(name)
            self._send(prepared, values)
            results = await self._results(pq.ExecStatus.TUPLES_OK)
        return prepared.read(results[0])

    async def fetch_each(
        self, asked: Sequence[tuple[str, Mapping[str, Value]]]
    ) -> list[list[dict[str, Any]]]:
        """
        Run queries, by name and values, in one round trip and one transaction.

        Who is cancelled while they run loses the connection.

        Raises:
            psycopg.Error: One of them failed; nothing was done for any.
        """
        async with self.lock:
            prepared = [
                self._statements.get(name) or await self._prepare(name) for name, _ in asked
            ]
            self.pgconn.enter_pipeline_mode()
            for each, (_, values) in zip(prepared, asked, strict=True):
                self._send(each, values)
            # What is sent before it is one transaction, which ends here.
            self.pgconn.pipeline_sync()
            try:
                results = await self._results(pq.ExecStatus.TUPLES_OK)
            finally:
                if self.pgconn.status == pq.ConnStatus.OK:
                    self.pgconn.exit_pipeline_mode()
        return [each.read(result) for each, result in zip(prepared, results, strict=True)]

    def _send(self, prepared: Prepared, values: Mapping[str, Value]) -> None:
        self.pgconn.send_query_prepared(
            prepared.name, prepared.write(values), result_format=pq.Format.BINARY
        )

    async def _prepare(self, name: str) -> Prepared:
        prepared = Prepared.of(name, self)
        self.pgconn.send_prepare(prepared.name, prepared.text)
        await self._results(pq.ExecStatus.COMMAND_OK)
        self._statements[name] = prepared
        return prepared

    async def _results(self, status: pq.ExecStatus) -> list[pq.abc.PGresult]:
        """
        Wait for the results of what was sent, and for the commit behind them.

        Raises:
            psycopg.Error: One has not this *status*, or the connection was lost.
        """
        if self.pgconn.flush():
            # Nothing else is under way, and a few statements are shorter than any buffer.
            self.pgconn.finish()
            raise psycopg.OperationalError("the line does not take a statement")
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        results: list[pq.abc.PGresult] = []
        descriptor = self.pgconn.socket
        loop.add_reader(descriptor, self._read, descriptor, results, ended)
        try:
            await ended
        except asyncio.CancelledError:
            loop.remove_reader(descriptor)
            self.pgconn.finish()
            raise
        except psycopg.OperationalError:
            # What the server said before it left is of more use.
            if not any(result.status == pq.ExecStatus.FATAL_ERROR for result in results):
                raise
        # A commit that fails is a result of its own, behind those it belongs to.
        for result in results:
            if result.status != status:
                raise psycopg.errors.error_from_result(result, self.info.encoding)
        return results

    def _read(
        self, descriptor: int, results: list[pq.abc.PGresult], ended: asyncio.Future[None]
    ) -> None:
        loop = ended.get_loop()
        # Before libpq looks: it closes a line that is lost, and the number may be another's then.
        loop.remove_reader(descriptor)
        if ended.done():
            return
        alone = self.pgconn.pipeline_status == pq.PipelineStatus.OFF
        try:
            self.pgconn.consume_input()
            while not self.pgconn.is_busy():
                result = self.pgconn.get_result()
                if result is None and not alone:  # between two statements
                    continue
                if result is None or result.status == pq.ExecStatus.PIPELINE_SYNC:
                    ended.set_result(None)
                    return
                results.append(result)
        except psycopg.Error as error:
            ended.set_exception(error)
        else:
            loop.add_reader(descriptor, self._read, descriptor, results, ended)
