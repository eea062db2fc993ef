"""The database of the test PBX: bindings to call through, and what the books say of the calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from agi_router.adapters.bindings import BindingStore
from agi_router.adapters.database import Connection, connect
from agi_router.adapters.records import Terms
from agi_router.modes import Axb
from agi_router.numbers import E164, Block
from agi_router.settings import Settings

__all__ = ["BINDINGS", "Books", "Count"]

BINDINGS = 10_000
_BLOCK = Block.parse("70012345678")

_COUNT = """
SELECT count(*) AS calls,
       count(*) FILTER (WHERE state = 'reserved') AS reserved,
       count(*) FILTER (WHERE state = 'settled' AND outcome = 'answered') AS answered
  FROM agi_router.call
 WHERE day >= (%(since)s AT TIME ZONE 'UTC')::date AND received_at >= %(since)s
"""
_CLOSE = """
UPDATE agi_router.call SET state = 'settled', ended_at = now() WHERE state = 'reserved'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Calls on record since a time, those still reserved, and those settled as answered."""

    calls: int
    reserved: int
    answered: int


class Books:
    """
    One connection to the database, whose server process is not measured.

    Args:
        connection: Made by :meth:`opened`.
        settings: For the keys.
    """

    def __init__(self, connection: Connection, settings: Settings) -> None:
        self._connection = connection
        self._settings = settings

    @classmethod
    @contextmanager
    def opened(cls, settings: Settings) -> Iterator[Self]:
        """Connect for the time of a block."""
        with connect(settings.dsn) as connection:
            yield cls(connection, settings)

    @property
    def server_process(self) -> int:
        """The process that serves this connection."""
        return self._connection.info.backend_pid

    @property
    def version(self) -> str:
        """The server's version."""
        return self._connection.info.parameter_status("server_version") or "unknown"

    def now(self) -> datetime:
        """The database's clock."""
        return self._row("SELECT clock_timestamp() AS now", {})["now"]  # type: ignore[no-any-return]

    def bind(self) -> list[tuple[str, str]]:
        """
        Add a block and a binding on each of its numbers.

        Returns:
            Who dials which number: one pair for each binding.
        """
        store = BindingStore(self._connection, self._settings.load_keys())
        store.inventory.add_block(_BLOCK, operator=None, certificate=None)
        terms = Terms(expires_at=store.now() + timedelta(days=1))
        pairs = []
        with self._connection.transaction():
            for serial in range(BINDINGS):
                # Spread over the range, as callers are.
                a, b = (f"{head}{serial * 9973 % 10**8:08}" for head in ("138", "139"))
                x = _BLOCK.number(serial)
                store.bind(Axb(a=E164(digits=a), b=E164(digits=b)), terms, x=x)
                pairs.append((a, x.digits))
        # What seeding leaves behind is not to be swept up in the middle of a round.
        for table in ("binding", "route", "block", "tenant"):
            self._connection.execute(f"VACUUM ANALYZE agi_router.{table}".encode())
        return pairs

    def count(self, since: datetime) -> Count:
        """Count the calls received since a time."""
        return Count(**self._row(_COUNT, {"since": since}))

    def close_open(self) -> None:
        """Settle what nobody settled."""
        self._connection.execute(_CLOSE)

    def _row(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        row = self._connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return row
