"""
Connecting to PostgreSQL, and its errors in our words.

Rule for the editor: the text of a psycopg error may quote values (``DETAIL: Key (…)``) or secrets.
It never goes into a message of ours; only the SQLSTATE and the name of a constraint do, and what
:mod:`agi_router.db.diagnosis` makes of them.
"""

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, TypeVar
from weakref import WeakSet

import psycopg
from psycopg import pq
from psycopg.abc import AdaptContext, Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from agi_router.db.diagnosis import READ_ONLY, why_failed, why_not_connected
from agi_router.db.prepared import PreparingConnection
from agi_router.db.queries import query
from agi_router.db.session import check_backend, check_session, check_triggers, session
from agi_router.errors import (
    AgiRouterError,
    DayRefused,
    KeysOutdated,
    KeyUsedUp,
    Locked,
    RightsMissing,
    RowRefused,
    SchemaMismatch,
    StoreError,
    StoreHeld,
    StoreUnavailable,
)

__all__ = [
    "CONNECT_TIMEOUT",
    "IDLE",
    "KEYS_OUTDATED",
    "NO_TIMES",
    "Connection",
    "Queries",
    "connect",
    "translated",
    "violated",
]

CONNECT_TIMEOUT = 3
"""Seconds until an attempt to connect is given up."""

# How soon it is noticed that the other end of a silent connection is gone, in seconds.
_KEEPALIVES: Final[dict[str, Any]] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

KEYS_OUTDATED = "AR001"
"""The SQLSTATE by which agi_router.assert_current_keys fails where the keys were rotated."""

# By which our own functions fail; the second where the seal key has sealed as much as it may, the
# third where a call's day is not that of the clock, the fourth where a lock is in force.
_OUR_OWN: Final[dict[str | None, type[AgiRouterError]]] = {
    KEYS_OUTDATED: KeysOutdated,
    "AR002": KeyUsedUp,
    "AR003": DayRefused,
    "AR004": Locked,
}

# SQLSTATEs that say that a row is at fault, and not the whole: what is in it, what it breaks, and
# what a trigger says of it. Not that a page is damaged: an index may be, and so all rows.
_OF_A_ROW: Final = ("22", "23", "P0")

# Of two who are in each other's way the server has one begin anew.
_OUTRUN: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
_TRIES: Final = 10

# What a cell commits by itself: where the transaction here is undone, it stays.
_STAYING: Final = frozenset({"bind", "bind_asked", "bind_drawn"})

# What is asked for with each bind: see agi_router/db/prepared.py.
_BINDS: Final = frozenset({"bind_asked", "bind_asked_together", "bind_drawn"})

# A name as servers of any language quote it.
_QUOTED = re.compile(r"[\"«»„“](\w+)[\"«»“”]")

# What a global database says where one behind it cannot be reached: postgres_fdw, PL/Proxy.
_SILENT = re.compile(
    r'could not connect to server "agi_cell_(?P<name>[a-z0-9-]+)"'
    r"|PL/Proxy function .*(?:\] PQ|query timeout)"
)

IDLE: Final = 5
"""
Seconds until a session that stands still in a transaction is ended: its program was stopped, or
its machine is gone, and calls wait for what it holds.
"""


NO_TIMES: Final = frozenset({datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)})
"""
What is read for times before and after all that can be told; far enough from the ends of the
calendar to be told in any zone.
"""


class _TimeLoader(Loader):
    """
    Reads times; one beyond the calendar, as infinity is, hides no other row.
    """

    _plain = psycopg.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, pq.Format.TEXT)

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        assert self._plain is not None  # noqa: S101 - psycopg reads its own types
        self._load = self._plain(oid, context).load

    def load(self, data: Buffer) -> Any:
        try:
            return self._load(data)
        except psycopg.DataError:
            text = bytes(data)
            early = text.startswith(b"-") or text.endswith(b"BC")
            return (min if early else max)(NO_TIMES)


Connection = psycopg.Connection[dict[str, Any]]

# Those on which something of that kind was run since their transaction began.
_MAY_STAY: Final[WeakSet[Connection]] = WeakSet()

_Done = TypeVar("_Done")


def connect(
    dsn: str | None,
    *,
    timeout: int = 0,
    idle: int = IDLE,
    writable: bool = False,
    name: str = "agi_router",
) -> Connection:
    """
    Connect for work by hand: rows come as dictionaries, times in UTC.

    Args:
        dsn: libpq connection string; :obj:`None` leaves it to the ``PG…`` variables.
        timeout: Seconds until a statement is given up; 0: never.
        idle: Seconds that it may stand still in a transaction, after which that is undone.
        writable: Whether one that takes no writes is of no use. Of several hosts one that takes
            writes is taken anyway, if there is one.
        name: What the server is told who connects.

    Raises:
        StoreUnavailable: The server cannot be reached, refuses the login, or is behind a pooler.
        SchemaMismatch: The database has another encoding than UTF8.
        StoreError: Triggers are off.
    """
    with translated():
        connection = _opened(
            dsn or "",
            writable=writable,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=CONNECT_TIMEOUT,
            application_name=name,
            **_KEEPALIVES,
            **session(
                statement_timeout=f"{timeout}s", idle_in_transaction_session_timeout=f"{idle}s"
            ),
        )
        try:
            check_session(connection)
            row = connection.execute(query("look_at_session")).fetchone() or {}
            check_backend(connection, row)
            check_triggers(row)
            connection.adapters.register_loader("timestamptz", _TimeLoader)
        except BaseException:
            connection.close()
            raise
    return connection


def _opened(dsn: str, *, writable: bool, **wanted: Any) -> Connection:
    """
    A connection to the host that takes writes, or else to one that lets itself be read.
    """
    try:
        return PreparingConnection.connect(dsn, target_session_attrs="read-write", **wanted)
    except psycopg.OperationalError as error:
        if writable or why_not_connected(str(error)) != READ_ONLY:
            raise
    return PreparingConnection.connect(dsn, target_session_attrs="any", **wanted)


@contextmanager
def translated(*, but: type[psycopg.Error] | tuple[()] = ()) -> Iterator[None]:
    """
    Turn psycopg's errors into :exc:`StoreError` and its kin.

    Args:
        but: An error the caller deals with itself.
    """
    try:
        yield
    except but:
        raise
    except psycopg.Error as error:
        raise (_silent_cell(error) or _in_our_words(error)) from None


def violated(error: psycopg.errors.UniqueViolation) -> str | None:
    """
    The constraint that a row would have broken.

    A server that has asked another one tells in words alone what that has said.
    """
    if error.diag.constraint_name is not None:
        return error.diag.constraint_name
    found = _QUOTED.search(error.diag.message_primary or "")
    return None if found is None else found[1]


def _silent_cell(error: psycopg.Error) -> StoreUnavailable | None:
    found = _SILENT.match(error.diag.message_primary or "")
    if found is None:
        return None
    return StoreUnavailable(
        f"the cell {found['name'] or 'of this block'} does not answer: do it again when it does;"
        " if it stays so, say that it is away (docs/operate-many.md)"
    )


def _in_our_words(error: psycopg.Error) -> AgiRouterError:
    match error:
        case psycopg.errors.UndefinedTable() | psycopg.errors.InvalidSchemaName():
            return SchemaMismatch("the database is not set up: run 'agi-router db migrate'")
        case psycopg.errors.UndefinedFunction() | psycopg.errors.UndefinedColumn():
            return SchemaMismatch()
        case psycopg.Error(sqlstate=sqlstate) if sqlstate in _OUR_OWN:
            return _OUR_OWN[sqlstate]()
        case psycopg.errors.ReadOnlySqlTransaction() | psycopg.OperationalError():
            why = why_failed(error.sqlstate) if error.sqlstate else why_not_connected(str(error))
            held = isinstance(error, psycopg.errors.LockNotAvailable)
            told = StoreHeld(why) if held else StoreUnavailable(why)
            told.outrun = isinstance(error, _OUTRUN)
            return told
        case psycopg.ProgrammingError(sqlstate=None):
            return StoreUnavailable(why_not_connected(str(error)))
        case _:
            return _kind_of(error)(why_failed(error.sqlstate))


def _kind_of(error: psycopg.Error) -> type[StoreError]:
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return RightsMissing
    return RowRefused if (error.sqlstate or "").startswith(_OF_A_ROW) else StoreError


class Queries:
    """
    The named queries, run one by one on one connection.

    Every method raises :exc:`StoreError` and its kin.

    Args:
        connection: See :func:`connect`.
        constants: What every query is given beside its own values.
    """

    def __init__(
        self, connection: Connection, constants: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        self._connection = connection
        self._constants = dict(constants)

    def given(self, constants: Mapping[str, Any]) -> "Queries":
        """
        The same queries, of which every one is given *constants* beside its own values.
        """
        return Queries(self._connection, {**self._constants, **constants})

    def row(self, name: str, values: dict[str, Any]) -> dict[str, Any] | None:
        """
        Run a query and return its first row, if it has one.

        Raises:
            psycopg.errors.UniqueViolation: A key is taken; the caller knows what that means.
        """
        self._note(name)
        given = self._constants | values
        with translated(but=psycopg.errors.UniqueViolation):
            if (short := self._short_way(name)) is not None:
                return next(iter(short.fetch(name, given)), None)
            return self._connection.execute(query(name), given).fetchone()

    def rows(self, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        """
        Run a query and return its rows.
        """
        self._note(name)
        given = self._constants | values
        with translated():
            if (short := self._short_way(name)) is not None:
                return short.fetch(name, given)
            return self._connection.execute(query(name), given).fetchall()

    def _short_way(self, name: str) -> PreparingConnection | None:
        """
        The connection, if a query is to be run on the short way and can be.
        """
        connection = self._connection
        if name in _BINDS and isinstance(connection, PreparingConnection) and connection.idle:
            return connection
        return None

    def row_of_each(
        self, name: str, values: Iterable[dict[str, Any]]
    ) -> list[dict[str, Any] | None]:
        """
        Run a query for each of some values, and return the first row of each.

        Each is a transaction of its own, unless one is under way; none waits until the one before
        is answered.
        """
        with translated(), self._connection.pipeline() as pipeline:
            cursors = []
            for each in values:
                cursors.append(self._connection.execute(query(name), self._constants | each))
                # Its own sync() waits for all answers, too.
                pipeline._enqueue_sync()  # noqa: SLF001 - no other way
        return [cursor.fetchone() for cursor in cursors]

    def stream(
        self, name: str, values: dict[str, Any], *, size: int
    ) -> Iterator[list[dict[str, Any]]]:
        """
        Run a query and yield its rows, *size* at a time, however many there are.

        Only in a transaction, which may run other statements meanwhile.
        """
        with translated(), self._connection.cursor(name) as cursor:
            cursor.execute(query(name), self._constants | values)
            while rows := cursor.fetchmany(size):
                yield rows

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """
        All statements of the block see the database as it is when the first of them runs.
        """
        with translated():
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            self._connection.read_only = True
            try:
                with self._connection.transaction():
                    yield
            finally:
                self._connection.isolation_level = None
                self._connection.read_only = None

    def execute(self, name: str, values: dict[str, Any]) -> None:
        """
        Run a query that has no rows.
        """
        with translated():
            self._connection.execute(query(name), self._constants | values)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """
        Where the block fails, a transaction that is under way can go on as it was before.
        """
        if self._connection.info.transaction_status is pq.TransactionStatus.IDLE:
            yield
        else:
            with self.transaction():
                yield

    def again(self, work: Callable[[], _Done]) -> _Done:
        """
        Do what is one transaction; a few times anew where another one was in the way.

        Within a transaction it is done once, as that is undone whole; and where it has bound in a
        cell, as that stays: bound anew, there would be two.

        Args:
            work: It; what it does elsewhere than in the database it may do several times.
        """
        alone = self._connection.info.transaction_status is pq.TransactionStatus.IDLE
        for left in reversed(range(_TRIES)):
            if alone:
                _MAY_STAY.discard(self._connection)
            try:
                return work()
            except StoreUnavailable as error:
                if not (alone and left and error.outrun) or self._stays():
                    raise
        raise AssertionError("the last try returns or raises")

    def _note(self, name: str) -> None:
        if name in _STAYING:
            _MAY_STAY.add(self._connection)

    def _stays(self) -> bool:
        """
        Whether something of the last transaction may be there though it was undone.
        """
        if self._connection not in _MAY_STAY:
            return False
        return bool(self.cells_behind())

    def cells_behind(self) -> list[str]:
        """
        The names of the cells that have all that is of blocks; none where it is in this database.
        """
        place = self.row("find_place", {})
        return list(place["cells"]) if place is not None and place["elsewhere"] else []

    @contextmanager
    def transaction(self, *, seconds: int | None = None) -> Iterator[None]:
        """
        All statements of the block, or none.

        Args:
            seconds: After which each of them is given up, in place of the connection's limit.
        """
        with translated(but=psycopg.errors.UniqueViolation), self._connection.transaction():
            if seconds is not None:
                self.execute("set_statement_timeout", {"milliseconds": 1000 * seconds})
            yield

    @contextmanager
    def transaction_until(self, seconds: float) -> Iterator[None]:
        """
        As :meth:`transaction`; where it takes longer, the session is ended.

        Nothing milder ends a wait for a server behind this one whose processes stand still:
        PL/Proxy and postgres_fdw ask that one to cancel, and wait for this as well.

        The session may be ended in the moment in which the transaction is, so go on with
        :meth:`renewed` in any case.

        Raises:
            StoreUnavailable: It was ended.
        """
        backend, place = self._connection.info.backend_pid, _place_of(self._connection)
        done, ended = threading.Event(), threading.Event()

        def end() -> None:
            with suppress(psycopg.Error, AgiRouterError), connect(place) as other:
                if not done.is_set():
                    ended.set()
                    other.execute(query("end_session"), {"backend": backend})

        limit = threading.Timer(seconds, end)
        limit.start()
        try:
            with self.transaction():
                yield
            done.set()
        except StoreUnavailable:
            if not ended.is_set():
                raise
            raise StoreUnavailable(
                f"a database behind this one has said nothing for {seconds:.0f} s, though it takes"
                " connections: 'agi-router doctor' says which; end its server, and do it again"
            ) from None
        finally:
            limit.cancel()
            limit.join()
            if ended.is_set() and not self._connection.closed:
                # It was done by then, and hears of its end when it says something.
                with suppress(psycopg.Error):
                    self._connection.execute(b"")

    @contextmanager
    def renewed(self) -> Iterator["Queries"]:
        """
        These queries; on a session of their own, if this one was ended.
        """
        if not self._connection.closed:
            yield self
            return
        with connect(_place_of(self._connection)) as connection:
            yield Queries(connection, self._constants)


def _place_of(connection: Connection) -> str:
    """
    The connection string of a connection.
    """
    return make_conninfo(connection.info.dsn, password=connection.info.password)
