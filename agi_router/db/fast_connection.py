"""
One connection of the router, with a short way for the statement that every call waits for.

The way of psycopg's cursors suits any statement, and costs several times the CPU that libpq takes:
it converts the query, wakes a task for each step, and makes a cursor. Here a statement is prepared
once, sent, and its answer read, by the functions of libpq that psycopg publishes as
:mod:`psycopg.pq`; values are loaded by psycopg's own loaders.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import abc, pq
from psycopg.adapt import Transformer

from agi_router.db.queries import query

__all__ = ["LOCK_WAIT", "FastConnection", "Value"]

LOCK_WAIT: Final = 20
"""Milliseconds for which a line waits for a lock: a commit of somebody else's takes some."""

Value: TypeAlias = int | str | bytes | date | timedelta | Sequence[int] | Sequence[str] | None
"""What a statement may be given on the short way."""

_MICROSECOND: Final = timedelta(microseconds=1)
_PARAMETER: Final = re.compile(rb"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class _Prepared:
    """
    A statement that the server knows by its name.
    """

    name: bytes
    parameters: tuple[str, ...]
    """Which value is $1, and so on."""
    loaded: abc.Transformer
    """What loads its answers; it has found out how at the first."""
    columns: list[str]
    """Their columns; empty until then."""


class FastConnection(psycopg.AsyncConnection[dict[str, Any]]):
    """
    A connection to PostgreSQL that does one thing at a time.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._statements: dict[str, _Prepared] = {}

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
        return _rows(prepared, results[0])

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
        return list(map(_rows, prepared, results))

    def _send(self, prepared: _Prepared, values: Mapping[str, Value]) -> None:
        self.pgconn.send_query_prepared(
            prepared.name,
            [_text(values[each]) for each in prepared.parameters],
            result_format=pq.Format.BINARY,
        )

    async def _prepare(self, name: str) -> _Prepared:
        text = query(name)
        parameters = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        numbers = {each: b"$%d" % number for number, each in enumerate(parameters, 1)}
        prepared = _Prepared(
            name.encode(), tuple(each.decode() for each in parameters), Transformer(self), []
        )
        self.pgconn.send_prepare(
            prepared.name, _PARAMETER.sub(lambda found: numbers[found[1]], text)
        )
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


def _rows(prepared: _Prepared, result: pq.abc.PGresult) -> list[dict[str, Any]]:
    loaded, columns = prepared.loaded, prepared.columns
    # The server holds a prepared statement to the columns it had at first.
    loaded.set_pgresult(result, set_loaders=not columns)
    if not columns:
        names = (result.fname(number) for number in range(result.nfields))
        columns += [(name or b"").decode() for name in names]
    return loaded.load_rows(0, result.ntuples, lambda row: dict(zip(columns, row, strict=True)))


def _text(value: Value) -> bytes | None:
    """
    *value* as PostgreSQL reads it.
    """
    match value:
        case None:
            return None
        case str():
            return value.encode()
        case int() | date():
            return str(value).encode()
        case bytes():
            return b"\\x" + value.hex().encode()
        case timedelta():
            return b"%d microseconds" % (value // _MICROSECOND)
        case _:
            return b"{%s}" % ",".join(map(_element, value)).encode()


def _element(value: int | str) -> str:
    if isinstance(value, int):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
