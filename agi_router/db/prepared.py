"""
Statements that a server knows by their name: the short way, for what is asked again and again.

The way of psycopg's cursors suits any statement, and costs several times the CPU that libpq takes:
it converts the query and each value anew, and makes a cursor. Here a statement is prepared once,
and sent by the functions of libpq that psycopg publishes as :mod:`psycopg.pq`; what it answers is
loaded by psycopg's own loaders.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Self, TypeAlias

import psycopg
from psycopg import abc, pq
from psycopg.abc import PQGen
from psycopg.adapt import Transformer
from psycopg.generators import execute

from agi_router.db.queries import query

__all__ = ["Prepared", "PreparingConnection", "Value"]

Value: TypeAlias = int | str | bytes | date | timedelta | Sequence[int] | Sequence[str] | None
"""What a statement may be given on the short way."""

_MICROSECOND: Final = timedelta(microseconds=1)
_PARAMETER: Final = re.compile(rb"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Prepared:
    """
    A statement that a server knows by its name.
    """

    name: bytes
    text: bytes
    """It, with $1 and so on for its values."""
    parameters: tuple[str, ...]
    """Which value is $1, and so on."""
    _loaded: abc.Transformer
    """What loads its answers; it has found out how at the first."""
    _columns: list[str]
    """Their columns; empty until then."""

    @classmethod
    def of(cls, name: str, context: abc.AdaptContext) -> Self:
        """
        The query *name*, whose answers are loaded as *context* says; its server is yet to be told.
        """
        text = query(name)
        parameters = tuple(dict.fromkeys(_PARAMETER.findall(text)))
        numbers = {each: b"$%d" % number for number, each in enumerate(parameters, 1)}
        return cls(
            name.encode(),
            _PARAMETER.sub(lambda found: numbers[found[1]], text),
            tuple(each.decode() for each in parameters),
            Transformer(context),
            [],
        )

    def write(self, values: Mapping[str, Value]) -> list[bytes | None]:
        """
        Its values as PostgreSQL reads them, in their order.
        """
        return [_text(values[each]) for each in self.parameters]

    def read(self, result: pq.abc.PGresult) -> list[dict[str, Any]]:
        """
        The rows of an answer.
        """
        loaded, columns = self._loaded, self._columns
        # The server holds a prepared statement to the columns it had at first.
        loaded.set_pgresult(result, set_loaders=not columns)
        if not columns:
            names = (result.fname(number) for number in range(result.nfields))
            columns += [(name or b"").decode() for name in names]
        made: list[dict[str, Any]] = loaded.load_rows(
            0, result.ntuples, lambda row: dict(zip(columns, row, strict=True))
        )
        return made


class PreparingConnection(psycopg.Connection[dict[str, Any]]):
    """
    A connection that has such statements run where no transaction is begun.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._statements: dict[str, Prepared] = {}

    @property
    def idle(self) -> bool:
        """
        Whether no transaction is begun.
        """
        return self.pgconn.transaction_status == pq.TransactionStatus.IDLE

    def fetch(self, name: str, values: Mapping[str, Value]) -> list[dict[str, Any]]:
        """
        Run the query *name*, a transaction of its own, and return its rows.

        Whoever is interrupted meanwhile has it cancelled.

        Raises:
            psycopg.Error: As a cursor would.
        """
        with self.lock:
            try:
                return self._fetch(name, values)
            except psycopg.errors.InvalidSqlStatementName:
                # Should a psycopg have the server forget it by another way than _deallocate.
                del self._statements[name]
                return self._fetch(name, values)

    def _fetch(self, name: str, values: Mapping[str, Value]) -> list[dict[str, Any]]:
        prepared = self._statements.get(name)
        if prepared is None:
            prepared = Prepared.of(name, self)
            self.pgconn.send_prepare(prepared.name, prepared.text)
            self._result(pq.ExecStatus.COMMAND_OK)
            self._statements[name] = prepared
        self.pgconn.send_query_prepared(prepared.name, prepared.write(values))
        return prepared.read(self._result(pq.ExecStatus.TUPLES_OK))

    def _deallocate(self, name: bytes | None) -> PQGen[None]:
        # Without a name it is all: so psycopg does where a transaction is undone.
        if name is None:
            self._statements.clear()
        return super()._deallocate(name)

    def _result(self, status: pq.ExecStatus) -> pq.abc.PGresult:
        """
        Wait for what was sent.

        Raises:
            psycopg.Error: Its result has not this *status*, or the connection was lost.
        """
        result: pq.abc.PGresult
        (result,) = self.wait(execute(self.pgconn))
        if result.status != status:
            raise psycopg.errors.error_from_result(result, self.info.encoding)
        return result


def _text(value: Value) -> bytes | None:
    """
    *value* as PostgreSQL reads it.
    """
    match value:
        case None:
            return None
        case str():
            if "\0" in value:
                raise psycopg.DataError("a text with a NUL, where libpq would end it")
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
