"""The database of the test PBX: bindings to call through, and the records of the calls."""

import csv
import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, connect
from agi_router.numbers import Block
from agi_router.settings import Settings

from .errors import BenchError
from .numbers import bindings, blocks

__all__ = ["BenchDatabase", "Count"]

_PEER = Path(__file__).with_name("peer.sql")

_COUNT = """
SELECT count(*) AS calls,
       count(*) FILTER (WHERE state = 'reserved') AS reserved,
       count(*) FILTER (WHERE state = 'settled' AND outcome = 'answered') AS answered
  FROM agi_router.call
 WHERE day >= (%(since)s AT TIME ZONE 'UTC')::date AND received_at >= %(since)s
"""
# Settled by a record of cdr_pgsql.
_COUNT_PEER = """
SELECT count(*) AS calls,
       count(*) FILTER (WHERE state = 'reserved') AS reserved,
       count(*) FILTER (WHERE state = 'settled' AND outcome = 'ANSWERED') AS answered
  FROM peer.call
"""
_CLOSE = """
UPDATE agi_router.call SET state = 'settled', ended_at = now() WHERE state = 'reserved'
"""
_PEER_BLOCKS = """
INSERT INTO peer.block
SELECT b, 'open', '-infinity', 'infinity'
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) b
"""
_PEER_ROUTES = "COPY peer.route FROM STDIN"
_PEER_BINDINGS = """
INSERT INTO peer.binding
SELECT i, 1, 'both', now(), now() + interval '1 day', NULL, NULL, 0, 45, 7200
  FROM generate_series(0, %(count)s::bigint - 1) i
"""
_PEER_KEYS = (
    "ALTER TABLE peer.binding ADD PRIMARY KEY (id)",
    "ALTER TABLE peer.route ADD PRIMARY KEY (x_number, caller)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """Calls on record, those still reserved, and those that were answered and are over."""

    calls: int
    reserved: int
    answered: int


class BenchDatabase:
    """
    One connection to the database, whose server process is not measured.

    Args:
        connection: Made by :meth:`opened`.
        env: With which `agi-router` reaches it.
    """

    def __init__(self, connection: Connection, env: Mapping[str, str]) -> None:
        self._connection = connection
        self._env = env
        self._settings = Settings.from_env(env)

    @classmethod
    @contextmanager
    def opened(cls, env: Mapping[str, str]) -> Iterator[Self]:
        """Connect for the time of a block."""
        with connect(Settings.from_env(env).dsn) as connection:
            yield cls(connection, env)

    @property
    def server_process(self) -> int:
        """The process that serves this connection."""
        return self._connection.info.backend_pid

    @property
    def version(self) -> str:
        """The server's version."""
        return self._connection.info.parameter_status("server_version") or "unknown"

    @property
    def address(self) -> dict[str, str]:
        """How to reach the same database: host, port, dbname, user, password."""
        info = self._connection.info
        return {
            "host": info.host,
            "port": str(info.port),
            "dbname": info.dbname,
            "user": info.user,
            "password": info.password,
        }

    def now(self) -> datetime:
        """The database's clock."""
        return self._row("SELECT clock_timestamp() AS now", {})["now"]  # type: ignore[no-any-return]

    def bind(self, count: int) -> None:
        """
        Import that many bindings, each on a number of its own: two routes each.

        Raises:
            BenchError: The import failed.
        """
        store = BindingStore(self._connection, self._settings.load_keys())
        for block in blocks(count):
            store.inventory.add_block(Block(value=block), operator=None, certificate=None)
        with tempfile.NamedTemporaryFile("w", suffix=".csv", encoding="ascii") as file:
            rows = csv.writer(file)
            rows.writerow(("mode", "order", "a", "b", "x", "ttl"))
            for serial, one in enumerate(bindings(count)):
                rows.writerow(("axb", f"B-{serial}", one.a, one.b, one.x, "24h"))
            file.flush()
            done = subprocess.run(
                ["agi-router", "import", file.name, "--json"],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                env=dict(self._env),
            )
        if done.returncode or json.loads(done.stdout)["bound"] != count:
            raise BenchError(f"agi-router import: {done.stderr.strip() or done.stdout.strip()}")
        self._tidy("agi_router.binding", "agi_router.route", "agi_router.block")

    def bind_peer(self, count: int) -> None:
        """Load the same bindings into the tables of what one would build without us."""
        run = self._connection
        with run.transaction():
            run.execute(_PEER.read_bytes())
            found = blocks(count)
            run.execute(_PEER_BLOCKS.encode(), {"first": found[0], "last": found[-1]})
            run.execute(_PEER_BINDINGS.encode(), {"count": count})
            with run.cursor().copy(_PEER_ROUTES.encode()) as copy:
                for serial, one in enumerate(bindings(count)):
                    copy.write_row((one.x, one.a, one.b, "a", serial))
                    copy.write_row((one.x, one.b, one.a, "b", serial))
            for key in _PEER_KEYS:
                run.execute(key.encode())
        self._tidy("peer.block", "peer.binding", "peer.route", "peer.tenant")

    def count(self, since: datetime) -> Count:
        """Count the calls in our records received since a time."""
        return Count(**self._row(_COUNT, {"since": since}))

    def count_peer(self) -> Count:
        """Count the calls in the tables of what one would build without us."""
        return Count(**self._row(_COUNT_PEER, {}))

    def forget_peer(self) -> None:
        """Remove those calls and their records."""
        self._connection.execute(b"TRUNCATE peer.call, peer.cdr")

    def close_open(self) -> None:
        """Settle what nobody settled."""
        self._connection.execute(_CLOSE.encode())

    def _tidy(self, *tables: str) -> None:
        # What seeding leaves behind is not to be swept up in the middle of a round.
        for table in tables:
            self._connection.execute(f"VACUUM (ANALYZE) {table}".encode())

    def _row(self, query: str, values: dict[str, Any]) -> dict[str, Any]:
        row = self._connection.execute(query.encode(), values).fetchone()
        assert row is not None
        return row
