"""
A few long-lived connections to PostgreSQL, each with a worker; all workers take from one queue.

The worker who had work last is the next: what it needs is in the processor's caches, and so is
what its server process needs.

Rules for the editor:

1. Who stops waiting abandons its place and never cancels a statement: a cancelled statement would
   cost its connection, and the commit may have happened anyway.
2. Work whose reply was lost is done again. Whatever is asked here must be idempotent.
3. A worker takes work only with a connection in hand. While no worker has one, everybody is
   refused at once; each worker tries again at most every :data:`_PAUSE_CAP` seconds.
4. An answer that comes after the dialplan's patience has cost all the work, and sends the call to
   another door besides: so the queue (:mod:`agi_router.db.job_queue`) refuses early what is to
   fail fast.
5. Statements of one name that wait at the same moment go together, in one transaction: that
   halves what each costs the server, just when many come. If one fails, all are undone, and each
   is done again alone; sharing never changes a result.
6. A server that is frozen, or that a cut cable hides, says nothing: a connection that owes an
   answer for longer than any statement may run is cut, and the next host of the DSN is tried.
7. A statement that waits for a lock keeps a worker from others, so no statement waits long for
   one. What fails by it is put off.
8. A commit that waits for a standby is ended by no limit of the server's, and its session stays
   there though its line was cut. While one waits so, a line counts as away: else each worker would
   leave a session more behind whenever it is cut, until the server has no room.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

import psycopg
from psycopg.rows import dict_row

from agi_router.db.connection import translated
from agi_router.db.diagnosis import NO_STANDBY
from agi_router.db.fast_connection import LOCK_WAIT, FastConnection
from agi_router.db.job_queue import Job, JobQueue
from agi_router.db.prepared import Value
from agi_router.db.queries import query
from agi_router.db.session import check_session, session
from agi_router.errors import StoreError, StoreUnavailable

__all__ = ["ConnectionPool", "SharedWork", "Work"]

log = logging.getLogger(__name__)

Work: TypeAlias = Callable[[FastConnection], Awaitable[Any]]
"""What is done on a connection; may be done twice, the second time on another one."""


@dataclass(frozen=True, slots=True)
class SharedWork:
    """
    Work of one statement, which others of the same name may share a transaction with.
    """

    statement: str
    values: Callable[[], Mapping[str, Value]]
    """Asked for when it is sent."""
    read: Callable[[FastConnection, list[dict[str, Any]]], Awaitable[Any]]
    """Makes the result of its rows; on the same connection, after the commit."""
    alone: Work
    """The same for itself."""

    async def __call__(self, connection: FastConnection) -> Any:
        """
        Do it alone.
        """
        return await self.alone(connection)


_TRIES = 2
# Seconds between two attempts of one worker to connect: the first, and the longest.
_PAUSE: Final = 0.05
_PAUSE_CAP: Final = 0.25
# Seconds without an answer after which a connection is cut: the server ends a statement before.
_SILENCE = 3.0
# Of so many connections one may be kept waiting by locks that somebody holds.
_LINES_TO_A_PROBE: Final = 4
# Milliseconds for which a probe waits where few things are held: on a busy machine even a row that
# changes hands all the time is hardly to be had in less.
_PROBE_WAIT: Final = 100
# A silent network is noticed in seconds; a statement that hangs on a lock ends by itself. Two
# seconds are the least that psycopg takes for connect_timeout, which counts for each host.
# A standby, or a primary that was demoted, is as good as away.
_CONNECTION: Final[dict[str, Any]] = {
    "connect_timeout": 2,
    "target_session_attrs": "read-write",
    "tcp_user_timeout": 3000,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
_STATEMENT_TIMEOUT: Final = "2s"


_Job: TypeAlias = Job[Work, asyncio.Future[Any]]


class ConnectionPool:
    """
    Connections to one database, or to whichever of several hosts takes writes.

    ``async with`` starts the workers. They connect at once and keep trying.

    Args:
        dsn: libpq connection string; empty leaves it to the ``PG…`` variables. It may name several
            hosts.
        size: How many connections, and workers.
        name: What the connections are called, for whoever looks at the database.
        queue: What waits for them; :obj:`None`: one with the usual limits.
    """

    def __init__(
        self,
        dsn: str,
        *,
        size: int,
        name: str = "agi_router serve",
        queue: JobQueue[Work, asyncio.Future[Any]] | None = None,
    ) -> None:
        self.size = size
        self.connected = 0
        """How many workers have a connection."""
        self.losses = 0
        """How many connections were lost so far."""
        self._dsn = dsn
        self._name = name
        self._connections: set[FastConnection] = set()
        self._queue = queue or JobQueue(probes=max(1, size // _LINES_TO_A_PROBE))
        # Workers without work; the last is called first.
        self._idle: list[asyncio.Future[None]] = []
        self._workers: list[asyncio.Task[None]] = []
        self._busy: dict[asyncio.Task[Any] | None, FastConnection] = {}
        self._away = ""
        self._closing = False

    async def __aenter__(self) -> Self:
        """
        Start the workers.
        """
        self._workers = [asyncio.create_task(self._serve()) for _ in range(self.size)]
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
        self._closing = True
        for worker in self._workers:
            # psycopg asks the server before it gives a statement up, and that one may be frozen.
            if worker in self._busy:
                _cut(self._busy[worker])
            else:
                worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._queue.fail_all("the service ends")

    async def rename(self, name: str) -> None:
        """
        Call the connections otherwise from now on.

        When a connection bears its new name, nothing that was asked before is under way on it: it
        does one thing at a time.
        """
        self._name = name
        for connection in tuple(self._connections):
            # One that is lost is made anew, and named then.
            with contextlib.suppress(psycopg.Error):
                await self._name_again(connection)

    @property
    def waiting(self) -> int:
        """
        How many pieces of work wait for a worker, those included whose asker has left.
        """
        return len(self._queue)

    def is_held(self, about: Hashable) -> bool:
        """
        Whether somebody was seen to hold what work is about.
        """
        return self._queue.is_held(about)

    async def submit(
        self,
        work: Work,
        *,
        timeout: float,  # noqa: ASYNC109
        fail_fast: bool = False,
        about: Hashable = None,
    ) -> Any:
        """
        Do *work* on a connection and return its result.

        Args:
            work: What to do.
            timeout: Seconds to wait.
            fail_fast: Whether to fail at once where the wait would be too long.
            about: What it needs that somebody may hold; work about the same thing waits together
                while somebody does. :obj:`None`: it fails where it would have to wait.

        Raises:
            StoreBusy: The wait would be too long.
            StoreHeld: Somebody else holds what it needs.
            StoreError: The database failed, is away, or did not answer within *timeout* seconds.
        """
        if self._away:
            raise StoreUnavailable(self._away)
        self._queue.check(fail_fast=fail_fast, timeout=timeout, workers=self.connected)
        job = self._put(work, fail_fast=fail_fast, about=about)
        timer = job.result.get_loop().call_later(timeout, job.time_out)
        try:
            return await job.result
        except psycopg.Error:
            with translated():
                raise
        finally:
            timer.cancel()

    def _put(self, work: Work, *, fail_fast: bool = False, about: Hashable = None) -> _Job:
        shares = work.statement if isinstance(work, SharedWork) else None
        result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        job: _Job = Job(work, result, fail_fast, about, shares)
        self._queue.add(job)
        self._call_worker()
        return job

    def _call_worker(self) -> None:
        while self._idle:
            called = self._idle.pop()
            if not called.done():  # as it is when its worker was cancelled
                called.set_result(None)
                break

    async def _take(self) -> _Job:
        """
        The next piece of work; waits for one.
        """
        while (job := self._queue.take()) is None:
            called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._idle.append(called)
            await called
        return job

    async def _serve(self) -> None:
        connection: FastConnection | None = None
        try:
            while not self._closing:
                if connection is None:
                    connection = await self._connect_again()
                job = await self._take()
                if batch := self._queue.take_batch(job):
                    connection = await self._do_together([job, *batch], connection)
                else:
                    connection = await self._do(job, connection)
        finally:
            if connection is not None:
                self.connected -= 1
                with contextlib.suppress(psycopg.Error):
                    await connection.close()

    async def _do_together(
        self, jobs: list[_Job], connection: FastConnection
    ) -> FastConnection | None:
        """
        Do *jobs* in one transaction, or leave them in front of the queue, each to be done alone.

        Returns:
            The connection, if more can be asked on it.
        """
        shared = [job.work for job in jobs if isinstance(job.work, SharedWork)]

        async def work(connection: FastConnection) -> None:
            rows = await connection.fetch_each(
                [(each.statement, each.values()) for each in shared]
            )
            for job, each, found in zip(jobs, shared, rows, strict=True):
                # What is wrong with one is told when it is done alone.
                with contextlib.suppress(Exception):
                    result = await each.read(connection, found)
                    if not job.result.done():
                        job.result.set_result(result)

        kept: FastConnection | None = connection
        # Whose fault it is shows when each is done alone.
        with contextlib.suppress(Exception):
            try:
                await self._watched(work, connection, calls=len(jobs))
            except psycopg.Error as error:
                kept = await self._kept(connection, error)
        for job, each in zip(jobs, shared, strict=True):
            job.work, job.shares = each.alone, None
        self._call_workers(self._queue.put_first(jobs))
        return kept

    def _call_workers(self, count: int) -> None:
        for _ in range(count):
            self._call_worker()

    async def _do(self, job: _Job, connection: FastConnection) -> FastConnection | None:
        """
        Do *job*, or put it off while somebody holds what it needs.

        It is done on a second connection if the first is lost.

        Returns:
            The connection to go on with.
        """
        work = _patient(job.work) if self._queue.is_patient(job) else job.work
        current: FastConnection | None = connection
        left = _TRIES
        while left and not job.result.done():
            left -= 1
            try:
                if current is None:
                    current = await self._connect()
                result = await self._watched(work, current, calls=int(job.fail_fast))
            except (psycopg.OperationalError, psycopg.errors.ReadOnlySqlTransaction) as error:
                if job.about is not None and isinstance(error, psycopg.errors.LockNotAvailable):
                    self._queue.put_off(job)
                    return current
                current = await self._kept(current, error)
                if not left or self._closing:
                    job.fail(error)
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
                job.fail(error)
            else:
                if not job.result.done():
                    job.result.set_result(result)
        self._call_workers(self._queue.done(job))
        return current

    async def _watched(self, work: Work, connection: FastConnection, *, calls: int) -> Any:
        """
        Do *work* for so many that fail fast, and cut the connection if nothing comes back.
        """
        loop = asyncio.get_running_loop()
        worker = asyncio.current_task()
        begun = loop.time()
        self._busy[worker] = connection
        watch = loop.call_later(_SILENCE, _cut, connection)
        try:
            return await work(connection)
        except psycopg.errors.LockNotAvailable:
            # How long it was held says nothing of the next.
            calls = 0
            raise
        finally:
            watch.cancel()
            del self._busy[worker]
            self._queue.took(loop.time() - begun, fail_fast=calls)

    async def _kept(
        self, connection: FastConnection | None, error: psycopg.Error
    ) -> FastConnection | None:
        """
        *connection* if more can be asked on it after *error*.
        """
        if connection is None:
            return None
        writable = not isinstance(error, psycopg.errors.ReadOnlySqlTransaction)
        if writable and not (connection.closed or connection.broken):
            return connection
        self.connected -= 1
        self.losses += 1
        log.warning("database.lost", extra={"error": _in_our_words(error)})
        with contextlib.suppress(psycopg.Error):
            await connection.close()
        return None

    async def _connect_again(self) -> FastConnection:
        pause = _PAUSE
        while True:
            with contextlib.suppress(psycopg.Error, StoreError):
                return await self._connect()
            await asyncio.sleep(pause)
            pause = min(2 * pause, _PAUSE_CAP)

    async def _connect(self) -> FastConnection:
        # Every statement is prepared at first use: there are a handful of them.
        name = self._name
        try:
            connection = await FastConnection.connect(
                self._dsn,
                autocommit=True,
                prepare_threshold=0,
                row_factory=dict_row,
                application_name=name,
                **_CONNECTION,
                **session(statement_timeout=_STATEMENT_TIMEOUT, lock_timeout=f"{LOCK_WAIT}ms"),
            )
            try:
                check_session(connection)
                with _cut_if_silent(connection):
                    await _look(connection)
            except BaseException:
                await connection.close()
                raise
            while name != self._name:  # renamed meanwhile
                name = self._name
                await self._name_again(connection)
        except (psycopg.Error, StoreError) as error:
            if self.connected:
                self._suspect_others()
            else:
                self._refuse_all(error)
            raise
        if self._away:
            log.warning("database.back")
        self._away = ""
        self.connected += 1
        self._connections = {each for each in self._connections if not each.closed}
        self._connections.add(connection)
        return connection

    async def _name_again(self, connection: FastConnection) -> None:
        with _cut_if_silent(connection):
            await connection.execute(query("set_application_name"), {"name": self._name})

    def _suspect_others(self) -> None:
        """
        Let idle workers look whether their lines are dead too: who has no work does not notice.
        """
        if self._queue.idle:
            for _ in range(self.connected):
                # Nobody waits for it.
                self._put(_look).result.add_done_callback(asyncio.Future.exception)

    def _refuse_all(self, error: Exception) -> None:
        words = _in_our_words(error)
        if not self._away:
            log.warning("database.away", extra={"error": words})
        self._away = words
        self._queue.fail_all(words)


def _patient(work: Work) -> Work:
    async def patient(connection: FastConnection) -> Any:
        async with connection.waiting(_PROBE_WAIT):
            return await work(connection)

    return patient


async def _look(connection: FastConnection) -> None:
    """
    Look whether the server answers, and commits; if it does not, the connection is closed.
    """
    cursor = await connection.execute(query("look_at_commits"), prepare=False)
    row = await cursor.fetchone()
    if row is not None and row["stuck"]:
        await connection.close()
        raise psycopg.OperationalError(NO_STANDBY)


def _in_our_words(error: Exception) -> str:
    try:
        with translated():
            raise error
    except StoreError as translation:
        return str(translation)


@contextlib.contextmanager
def _cut_if_silent(connection: FastConnection) -> Iterator[None]:
    """
    Cut a connection if the block does not come to its end.
    """
    watch = asyncio.get_running_loop().call_later(_SILENCE, _cut, connection)
    try:
        yield
    finally:
        watch.cancel()


def _cut(connection: FastConnection) -> None:
    """
    Shut a connection's socket: who waits on it is told at once, whatever the other end does.
    """
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as line,
    ):
        line.shutdown(socket.SHUT_RDWR)
