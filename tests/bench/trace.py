"""
The command `tests/bench/run trace`: who was behind a number, and where a person was bound.

The bindings that are traced are imported by `agi-router import` and moved into the past; the
others, and all calls, are filled in by SQL, with tags and sealed numbers that are nobody's.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import csv
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.db.connection import Connection, connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.numbers import BLOCK_SIZE, PhoneNumber, XNumber
from agi_router.traces.store import Tracer
from agi_router.traces.views import describe_trace
from harness.database import Server, database_of

from .cpu import favour
from .errors import BenchError
from .fresh import fresh_database
from .scale import party, say

ABOUT = """\
Milliseconds of a trace of a number (an hour before and behind) and of a person (all 180 days),
over many bindings and calls. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_FIRST = 70012340000
_DAYS = 180
# Bindings follow each other on a number, each for so many days.
_LIFE = 18
_TURNS = _DAYS // _LIFE
# Ids from here on are of bindings that are filled in.
_FILLED = 10**9
# Of a party on side A that is looked for: a courier's.
_BINDINGS_OF_ONE = 100
_HOUR = timedelta(hours=1)
_LIMIT = 1000

# What the program has imported lived at some time in the past.
_MOVE = (
    """
    CREATE TABLE public.known AS
    SELECT b.block, b.id, (SELECT min(r.x_number) FROM agi_router.route r
                            WHERE r.block = b.block AND r.binding_id = b.id) AS x_number,
           %(start)s::timestamptz
           + make_interval(secs => random() * 86400 * (%(days)s - %(life)s)) AS at
      FROM agi_router.binding b
    """,
    "ALTER TABLE public.known ADD PRIMARY KEY (x_number)",
    """
    UPDATE agi_router.binding b
       SET begins_at = k.at, expires_at = k.at + make_interval(days => %(life)s),
           ended_at = k.at + make_interval(days => %(life)s), state = 'expired'
      FROM public.known k WHERE k.block = b.block AND k.id = b.id
    """,
    """
    UPDATE agi_router.route r
       SET begins_at = k.at, ends_at = k.at + make_interval(days => %(life)s)
      FROM public.known k WHERE k.block = r.block AND k.id = r.binding_id
    """,
)
_BINDINGS = """
    INSERT INTO agi_router.binding
           (block, id, tenant_id, begins_at, expires_at, ended_at, state, mode, order_id,
            order_tag)
    SELECT %(first)s + j / %(size)s, %(filled)s + t * %(numbers)s + j, 1, at,
           at + make_interval(days => %(life)s), at + make_interval(days => %(life)s), 'expired',
           'axb', 'F-' || t * %(numbers)s + j, hashint8extended(t * %(numbers)s + j, 1)
      FROM generate_series(0, %(turns)s - 1) t,
           LATERAL (SELECT %(start)s::timestamptz + make_interval(days => t * %(life)s) AS at),
           generate_series(0, %(numbers)s::bigint - 1) j
     WHERE NOT EXISTS (SELECT FROM public.known k WHERE k.x_number = %(first)s * %(size)s + j)
"""
# 42 bytes: a header, a nonce, eleven digits, and their authentication.
_ROUTES = """
    INSERT INTO agi_router.route (block, x_number, caller_tag, binding_id, shown, side, callee,
                                  callee_tags, begins_at, ends_at)
    SELECT x / %(size)s, x, hashint8extended(n, k), %(filled)s + n, x,
           CASE k WHEN 2 THEN 'a' ELSE 'b' END,
           sha256(int8send(n * 2 + k)) || '\\x00010203040506070809',
           ARRAY[hashint8extended(n, 5 - k)], at, at + make_interval(days => %(life)s)
      FROM generate_series(0, %(turns)s - 1) t,
           LATERAL (SELECT %(start)s::timestamptz + make_interval(days => t * %(life)s) AS at),
           generate_series(0, %(numbers)s::bigint - 1) j,
           LATERAL (SELECT t * %(numbers)s + j AS n, %(first)s * %(size)s + j AS x),
           generate_series(2, 3) k
     WHERE NOT EXISTS (SELECT FROM public.known k WHERE k.x_number = x)
"""
# A steady stream, each call by the binding that then was on its number.
_CALLS = """
    INSERT INTO agi_router.call
           (block, id, day, x_number, received_at, ended_at, binding_id, shown, tenant_id, ring_ms,
            talk_ms, cause, sip_status, side, state, outcome, released_by)
    SELECT x / %(size)s, 'pbx1-' || extract(epoch FROM at)::bigint || '.' || n,
           (at AT TIME ZONE 'UTC')::date, x, at, at + interval '1 minute',
           %(filled)s + least(n * %(turns)s / %(calls)s, %(turns)s - 1) * %(numbers)s + j, x, 1,
           1200, 30000, 16, 200, CASE n %% 2 WHEN 0 THEN 'a' ELSE 'b' END, 'settled', 'answered',
           'caller'
      FROM generate_series(%(from)s::bigint, %(to)s::bigint - 1) n,
           LATERAL (SELECT %(start)s::timestamptz
                           + n * (make_interval(days => %(days)s) / %(calls)s) AS at,
                           abs(hashint8extended(n, 7) %% %(numbers)s) AS j),
           LATERAL (SELECT %(first)s * %(size)s + j AS x)
     WHERE NOT EXISTS (SELECT FROM public.known k WHERE k.x_number = x)
"""
_KNOWN_CALLS = """
    INSERT INTO agi_router.call
           (block, id, day, x_number, received_at, ended_at, binding_id, shown, tenant_id, ring_ms,
            talk_ms, cause, sip_status, side, state, outcome, released_by)
    SELECT k.block, 'pbx2-' || extract(epoch FROM c.at)::bigint || '.' || k.id || n,
           (c.at AT TIME ZONE 'UTC')::date, k.x_number, c.at, c.at + interval '1 minute', k.id,
           k.x_number, 1, 1200, 30000, 16, 200, 'a', 'settled', 'answered', 'caller'
      FROM public.known k, generate_series(0, 2) n,
           LATERAL (
               SELECT k.at + make_interval(secs => (n + random()) * %(life)s * 86400 / 3)) c (at)
"""
_INDEXES = """
SELECT i.indexrelid::regclass::text AS name,
       -- Of a table with parts: of these, too.
       replace(pg_get_indexdef(i.indexrelid), ' ON ONLY ', ' ON ') AS made
  FROM pg_index i
 WHERE i.indrelid IN (SELECT unnest(%s::text[])::regclass) AND NOT i.indisunique
"""
_TABLES = {"bindings": ["agi_router.binding", "agi_router.route"], "calls": ["agi_router.call"]}
_STEP = 1_000_000
_SERVING = {"shared_buffers": "2GB", "max_wal_size": "4GB", "checkpoint_timeout": "30min"}
# While rows are filled in nothing is to survive anything.
_SEEDING = {
    "shared_buffers": "2GB",
    "max_wal_size": "32GB",
    "checkpoint_timeout": "1h",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run trace", description=ABOUT)
    parser.add_argument("--bindings", type=int, metavar="N", default=10_000_000)
    parser.add_argument("--calls", type=int, metavar="N", help="default: three a binding")
    parser.add_argument("--samples", type=int, metavar="N", default=500, help="of each kind")
    parser.add_argument(
        "--quick", action="store_true", help="100,000 bindings, 50 samples: to see that it works"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    if args.quick:
        args.bindings, args.samples = 100_000, 50
    args.calls = args.calls or 3 * args.bindings
    if args.bindings < _TURNS * BLOCK_SIZE or args.samples < 1:
        parser.error("at least 100,000 bindings and one sample")
    return args


class Seeding:
    """
    What fills one database.

    Args:
        server: Its server.
        dsn: The database.
        work: Directory with the key.
        bindings: How many bindings.
        calls: How many calls.
    """

    def __init__(self, server: Server, dsn: str, work: Path, *, bindings: int, calls: int) -> None:
        self._server = server
        self._dsn = dsn
        self._work = work
        numbers = bindings // _TURNS
        # Two in a hundred are looked for, each alone on its number.
        self._known = numbers // 50
        self._values: dict[str, Any] = {
            "start": datetime.now(UTC) - timedelta(days=_DAYS),
            "days": _DAYS,
            "life": _LIFE,
            "turns": _TURNS,
            "first": _FIRST,
            "size": BLOCK_SIZE,
            "filled": _FILLED,
            "numbers": numbers,
            "calls": calls,
        }

    def seed(self) -> None:
        """Make all rows, and have all tables analysed."""
        self._make_days()
        self._import()
        say("filling in")
        with self._admin() as admin:
            for statement in _MOVE:
                admin.execute(statement.encode(), self._values)
            indexes = {}
            for of, tables in _TABLES.items():
                indexes[of] = admin.execute(_INDEXES.encode(), [tables]).fetchall()
                for row in indexes[of]:
                    admin.execute(f"DROP INDEX {row['name']}".encode())
        # On two cores.
        other = threading.Thread(target=self._fill_calls, args=(indexes["calls"],))
        other.start()
        with self._admin() as admin:
            for statement in (_BINDINGS, _ROUTES):
                admin.execute(statement.encode(), self._values)
            say("indexing bindings")
            for row in indexes["bindings"]:
                admin.execute(row["made"].encode())
            for table in ("binding", "route"):
                admin.execute(f"VACUUM ANALYZE agi_router.{table}".encode())
        other.join()
        with self._admin() as admin:
            for table in ("past_route", "block", "message"):
                admin.execute(f"VACUUM ANALYZE agi_router.{table}".encode())
            admin.execute("CHECKPOINT")

    @contextmanager
    def _admin(self) -> Iterator[Connection]:
        with self._server.admin(database_of(self._dsn)) as admin:
            # Foreign keys and triggers are for rows that may be wrong.
            admin.execute("SET session_replication_role = replica")
            admin.execute("SET synchronous_commit = off")
            admin.execute("SET maintenance_work_mem = '1GB'")
            yield admin

    def _make_days(self) -> None:
        first = self._values["start"].date()
        with connect(self._dsn) as connection:
            for ago in range(0, _DAYS + 2, 30):
                since = first + timedelta(days=ago)
                for kind in ("call", "message"):
                    connection.execute(
                        b"SELECT agi_router.ensure_days(%s, %s, %s)",
                        (kind, since, since + timedelta(days=30)),
                    )

    def _import(self) -> None:
        """Make bindings as a user does: of a few couriers, and of many others."""
        say(f"importing {self._known:,} bindings")
        file = self._work / "bindings.csv"
        with file.open("w", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(("mode", "order", "a", "b", "ttl"))
            for i in range(self._known):
                a, b = party("138", i // _BINDINGS_OF_ONE), party("139", i)
                rows.writerow(("axb", f"A-{i}", a.digits, b.digits, "7d"))
        done = subprocess.run(
            [_PROGRAM, "import", file, "--json"],
            env={
                "PATH": os.environ["PATH"],
                "AGI_ROUTER_DSN": self._dsn,
                "AGI_ROUTER_KEY_FILE": str(self._work / "key"),
            },
            check=False,
            stdout=subprocess.PIPE,
        )
        if done.returncode or json.loads(done.stdout)["bound"] != self._known:
            raise BenchError("the import failed")

    def _fill_calls(self, indexes: Sequence[dict[str, Any]]) -> None:
        calls = self._values["calls"]
        with self._admin() as admin:
            for begin in range(0, calls, _STEP):
                span = {"from": begin, "to": min(begin + _STEP, calls)}
                admin.execute(_CALLS.encode(), {**self._values, **span})
            admin.execute(_KNOWN_CALLS.encode(), self._values)
            say("indexing calls")
            for row in indexes:
                admin.execute(row["made"].encode())
            say("analysing calls")
            admin.execute(b"VACUUM ANALYZE agi_router.call")


class Bench:
    """
    Traces in one database.

    Args:
        dsn: The database.
        keys: Its keys.
        samples: How many numbers, and how many people.
    """

    def __init__(self, dsn: str, keys: KeyRing, *, samples: int) -> None:
        self._dsn = dsn
        with connect(dsn) as connection:
            self._keys = check_keys(connection, keys)
            known = connection.execute(
                b"SELECT c.x_number, c.received_at FROM agi_router.binding b"
                b" JOIN agi_router.route r"
                b" ON r.block = b.block AND r.binding_id = b.id AND r.side = 'a'"
                b" JOIN agi_router.call c ON c.block = b.block AND c.binding_id = b.id"
                b" WHERE b.id < %s AND c.id LIKE 'pbx2-%%' ORDER BY random() LIMIT %s",
                (_FILLED, samples),
            ).fetchall()
            count = connection.execute(
                b"SELECT count(*) AS n FROM agi_router.binding WHERE id < %s", (_FILLED,)
            ).fetchone()
        assert count is not None
        self._numbers = [(XNumber.from_int(row["x_number"]), row["received_at"]) for row in known]
        draw = random.Random(7)  # noqa: S311 - which are traced is no secret
        couriers = count["n"] // _BINDINGS_OF_ONE
        self._couriers = [party("138", draw.randrange(couriers)) for _ in range(samples)]
        self._others = [party("139", draw.randrange(count["n"])) for _ in range(samples)]

    def run(self) -> dict[str, dict[str, float]]:
        """Times of each kind: on a connection that is kept, and on one that is new."""
        return {
            "number": self._timed(self._numbers, self._number),
            "person, 1 binding": self._timed(self._others, self._person),
            f"person, {_BINDINGS_OF_ONE} bindings": self._timed(self._couriers, self._person),
        }

    def _timed(
        self, whom: Sequence[Any], work: Callable[[Tracer, Any], dict[str, Any]]
    ) -> dict[str, float]:
        kept, new = [], []
        with closing(connect(self._dsn)) as connection:
            tracer = Tracer(connection, self._keys)
            for each in whom:
                began = time.perf_counter()
                told = work(tracer, each)
                kept.append(1000 * (time.perf_counter() - began))
                if not told["bound"] or not told["calls"] or told["bound"][0]["damage"]:
                    raise BenchError("a trace does not tell what happened")
        for each in whom:
            began = time.perf_counter()
            with closing(connect(self._dsn)) as connection:
                work(Tracer(connection, self._keys), each)
            new.append(1000 * (time.perf_counter() - began))
        return {
            **_percentiles("kept", kept),
            **_percentiles("new", new),
        }

    @staticmethod
    def _number(tracer: Tracer, which: tuple[XNumber, datetime]) -> dict[str, Any]:
        x_number, at = which
        found = tracer.number(x_number, since=at - _HOUR, until=at + _HOUR, limit=_LIMIT)
        return _told(found)

    @staticmethod
    def _person(tracer: Tracer, person: PhoneNumber) -> dict[str, Any]:
        now = datetime.now(UTC)
        since = now - timedelta(days=_DAYS)
        return _told(tracer.person(person, since=since, until=now, limit=_LIMIT))


def _told(found: Any) -> dict[str, Any]:
    told = describe_trace(found)
    json.dumps(told, default=str)
    return told


def _percentiles(name: str, taken: Sequence[float]) -> dict[str, float]:
    return {
        f"{name}_p50_ms": round(median(taken), 2),
        f"{name}_p99_ms": round(quantiles(taken, n=100, method="inclusive")[98], 2),
    }


def configure(server: Server, settings: Mapping[str, str]) -> None:
    """Start the server anew, with these settings and no others."""
    with server.admin() as admin:
        admin.execute(b"ALTER SYSTEM RESET ALL")
        for name, value in settings.items():
            admin.execute(f"ALTER SYSTEM SET {name} = '{value}'".encode())
    server.stop_smartly()
    server.wait()
    server.start()


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    keys = KeyRing.generate()
    write_key_ring(work / "key", keys)
    blocks = -(-args.bindings // (_TURNS * BLOCK_SIZE))
    try:
        with Server("18", durable=True) as server:
            configure(server, _SEEDING)
            with fresh_database(server, keys, first=_FIRST, blocks=blocks) as dsn:
                began = time.monotonic()
                Seeding(server, dsn, work, bindings=args.bindings, calls=args.calls).seed()
                configure(server, _SERVING)
                favour(os.getpid(), int((server.data / "postmaster.pid").read_text().split()[0]))
                say(f"seeded in {time.monotonic() - began:.0f} s")
                if hold := os.environ.get("BENCH_HOLD"):
                    print(dsn, work, flush=True)
                    while not Path(hold).exists():
                        time.sleep(1)
                result: dict[str, Any] = dict(Bench(dsn, keys, samples=args.samples).run())
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work)
    print("| trace of | p50, ms | p99, ms | p50, new connection | p99, new connection |")
    print("| --- | --: | --: | --: | --: |")
    for name, row in result.items():
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in row.values()) + " |")
    about = {
        "bindings": args.bindings,
        "calls": args.calls,
        "samples": args.samples,
        "cores": os.cpu_count(),
    }
    print("\n" + " · ".join(f"{name} {value}" for name, value in about.items()))
    if args.json:
        args.json.write_text(json.dumps({**result, **about}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
