"""
Admission and settling: the router's few statements, over a few long-lived connections.

Rules for the editor:

1. Each connection has one worker; all workers take from one queue. A caller that stops waiting
   abandons its place and never cancels a statement: a cancelled statement would cost its
   connection, and the commit may have happened anyway.
2. A statement whose reply was lost is asked again. Both statements are idempotent by call id.
3. With a frozen database the workers wait and the queue fills; every caller is
   refused by its own time-out, and places nobody waits for are dropped unasked.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.rows import dict_row

from agi_router.adapters.database import CONNECT_TIMEOUT, translated
from agi_router.adapters.facts import read_admission
from agi_router.adapters.queries import query
from agi_router.calls import End, call_day
from agi_router.errors import ProtocolError, StoreUnavailable
from agi_router.model import Call
from agi_router.numbers import XNumber
from agi_router.ports import Admission
from agi_router.seal import KeyRing

__all__ = ["AdmissionStore"]

log = logging.getLogger(__name__)

_Connection = psycopg.AsyncConnection[dict[str, Any]]
_Work = Callable[[_Connection], Awaitable[Any]]

_QUEUE_LIMIT = 2000
_SETTLE_BATCH = 500
_TRIES = 2
# A silent network is noticed in seconds; a statement that hangs on a lock ends by itself.
_CONNECTION: dict[str, Any] = {
    "connect_timeout": CONNECT_TIMEOUT,
    "tcp_user_timeout": 3000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "options": "-c timezone=UTC -c statement_timeout=2s",
}


@dataclass(frozen=True, slots=True)
class _Job:
    """
    One piece of work and who waits for it.
    """

    work: _Work
    result: asyncio.Future[Any]


class AdmissionStore:
    """
    Where calls are admitted and settled.

    ``async with`` starts the workers; they connect at once, and again when there is work after a
    loss.

    Args:
        dsn: libpq connection string; :obj:`None` leaves it to the ``PG…`` variables.
        keys: To find callers and to open callees.
        connections: How many connections, and workers.
    """

    def __init__(self, dsn: str | None, keys: KeyRing, *, connections: int) -> None:
        self._dsn = dsn or ""
        self._keys = keys
        self._connections: set[_Connection] = set()
        self._queue: asyncio.Queue[_Job] = asyncio.Queue()
        self._size = connections
        self._workers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        """
        Start the workers.
        """
        self._workers = [asyncio.create_task(self._serve()) for _ in range(self._size)]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """
        Stop the workers and close their connections.
        """
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    async def use(self, keys: KeyRing) -> None:
        """
        Find and open with these keys from now on, and say so to whoever rotates them.

        When a connection bears the new name, no statement with the tags of before is under way on
        it: it does one thing at a time.
        """
        self._keys = keys
        for connection in tuple(self._connections):
            # One that is lost is made anew, and named then.
            with contextlib.suppress(psycopg.Error):
                await connection.execute(query("set_application_name"), {"name": self._name()})

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """
        Take one use for *call* if every guard holds; see :class:`agi_router.ports.Admissions`.
        """
        x_number = call.x_number
        values: dict[str, Any] = {
            "block": x_number.block,
            "x_number": x_number.value,
            "call_id": call_id,
            "day": call_day(call_id),
        }

        async def work(connection: _Connection) -> Admission:
            # With the keys of this moment, however long it waited. In order of preference; 0 is
            # the row for anyone.
            values["tags"] = [*self._keys.tags(x_number, call.caller), 0]
            try:
                cursor = await connection.execute(query("admit"), values, binary=True)
            except psycopg.errors.UniqueViolation:
                cursor = await connection.execute(query("find_reservation"), values, binary=True)
            row = await cursor.fetchone()
            if row is None:
                raise ProtocolError("the call to admit is over already")
            return read_admission(row, x_number, self._keys)

        return await self._ask(work, timeout)  # type: ignore[no-any-return]

    async def settle(self, ends: Sequence[End], *, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """
        Settle ended calls, each exactly once however often it is told.

        Raises:
            StoreError: Some may be settled and some not; tell all again.
        """
        for day, ended in groupby(sorted(ends, key=lambda e: (e.day, e.call_id)), _day):
            unique = list({end.call_id: end for end in ended}.values())
            for start in range(0, len(unique), _SETTLE_BATCH):
                batch = unique[start : start + _SETTLE_BATCH]
                missed = await self._settle(day, batch, timeout)
                # Admitted while the batch was being settled; or settled before.
                again = [end for end in batch if end.call_id in missed]
                if again:
                    await self._settle(day, again, timeout)

    async def reserved(self, node: str, *, timeout: float = 10.0) -> dict[str, XNumber]:  # noqa: ASYNC109
        """
        The calls of one node that are not settled, with the number each dialled.

        Args:
            node: Asterisk's ``systemname``; may be empty.
            timeout: Seconds to wait.

        Raises:
            StoreError: No answer.
        """

        async def work(connection: _Connection) -> list[dict[str, Any]]:
            cursor = await connection.execute(query("list_reserved"), {"node": node})
            return await cursor.fetchall()

        rows = await self._ask(work, timeout)
        return {row["id"]: XNumber.from_int(row["x_number"]) for row in rows}

    async def ensure_call_days(self, *, timeout: float = 10.0) -> None:  # noqa: ASYNC109
        """
        Make the coming days' partitions.

        Raises:
            StoreError: No answer.
        """

        async def work(connection: _Connection) -> None:
            await connection.execute(query("ensure_call_days"))

        await self._ask(work, timeout)

    async def _settle(self, day: Any, ends: Sequence[End], timeout: float) -> set[str]:  # noqa: ASYNC109
        values = {"day": day, **_columns(ends)}

        async def work(connection: _Connection) -> set[str]:
            cursor = await connection.execute(query("settle"), values)
            return {row["id"] for row in await cursor.fetchall()}

        return await self._ask(work, timeout)  # type: ignore[no-any-return]

    async def _ask(self, work: _Work, timeout: float) -> Any:  # noqa: ASYNC109
        if self._queue.qsize() >= _QUEUE_LIMIT:
            raise StoreUnavailable("too many calls wait for the database")
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Job(work, result))
        try:
            async with asyncio.timeout(timeout):
                with translated():
                    return await result
        except TimeoutError:
            raise StoreUnavailable("the database did not answer in time") from None

    async def _serve(self) -> None:
        connection: _Connection | None = None
        # The first call should not wait for a connection; without one now, it is tried again then.
        with contextlib.suppress(psycopg.Error):
            connection = await self._connect()
        try:
            while True:
                job = await self._queue.get()
                for attempt in range(_TRIES):
                    if job.result.done():
                        break
                    connection = await self._try(job, connection, last=attempt == _TRIES - 1)
        finally:
            if connection is not None:
                with contextlib.suppress(psycopg.Error):
                    await connection.close()

    async def _try(  # noqa: C901 - a clause for each way a job may end
        self, job: _Job, connection: _Connection | None, *, last: bool
    ) -> _Connection | None:
        """
        Do *job* once; returns the connection to go on with. On a lost line, *job* stays undone.
        """
        try:
            if connection is None or connection.closed:
                connection = await self._connect()
            result = await job.work(connection)
        except psycopg.OperationalError as error:
            # Lost, or refused: nothing more can be asked on this connection.
            if last and not job.result.done():
                job.result.set_exception(error)
            if connection is not None and (connection.closed or connection.broken):
                log.warning("database.lost", extra={"sqlstate": error.sqlstate})
                connection = None
        except asyncio.CancelledError:
            # The store is being closed, and its worker does not know a new connection yet.
            if connection is not None:
                await connection.close()
            raise
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            if not job.result.done():
                job.result.set_exception(error)
        else:
            if not job.result.done():
                job.result.set_result(result)
        return connection

    async def _connect(self) -> _Connection:
        name = self._name()
        # Every statement is prepared at first use: there are six of them.
        connection = await psycopg.AsyncConnection.connect(
            self._dsn,
            autocommit=True,
            prepare_threshold=0,
            row_factory=dict_row,
            application_name=name,
            **_CONNECTION,
        )
        self._connections = {each for each in self._connections if not each.closed} | {connection}
        if name != self._name():  # new keys came meanwhile
            await connection.execute(query("set_application_name"), {"name": self._name()})
        return connection

    def _name(self) -> str:
        return f"agi_router serve {self._keys.digest}"


def _day(end: End) -> Any:
    return end.day


def _columns(ends: Sequence[End]) -> dict[str, list[Any]]:
    return {
        "block": [end.x_number.block for end in ends],
        "id": [end.call_id for end in ends],
        "x_number": [end.x_number.value for end in ends],
        "ended_at": [end.ended_at for end in ends],
        "reason": [end.reason for end in ends],
        "outcome": [end.outcome for end in ends],
        "ring_ms": [_ms(end.ring_time) for end in ends],
        "talk_ms": [_ms(end.talk_time) for end in ends],
        "released_by": [end.released_by for end in ends],
        "cause": [end.cause for end in ends],
    }


def _ms(value: Any) -> int | None:
    return None if value is None else round(value.total_seconds() * 1000)
