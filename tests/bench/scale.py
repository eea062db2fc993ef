"""
The command `tests/bench/run scale`: does anything grow with the number of bindings?

Two databases on one server, one with ten thousand bindings and one with ten million. Explaining a
call, showing a binding, binding and admitting a call are timed in both, in turn.

The bindings that are looked at are imported by `agi-router import`, in the large database spread
over all its blocks; the others there are filled in by SQL, with tags and sealed numbers that are
nobody's. Sealing ten million would take a quarter of an hour, and no look-up sees a difference.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.arrival import Call
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import BLOCK_SIZE, Block, PhoneNumber, XNumber
from harness.database import Server, database_of, look_up, new_call_id

from .errors import BenchError

ABOUT = """\
Times of explain, show, bind and a call's admission with many bindings ÷ with ten thousand,
interleaved. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_SMALL = 10_000
_IMPORTED = 100_000
_FIRST = 70012340000
_DAY = timedelta(days=1)
# As many of them are looked at, in turn; and each once before it is timed, by the same session: a
# page of shared memory costs a session more when it meets it first.
_KNOWN = 500
FILLED = 10**9
"""Ids from here on are of bindings that are filled in: nobody can be called by them."""
_FILL = (
    """
    INSERT INTO agi_router.binding (block, id, tenant_id, expires_at, mode, order_id, order_tag)
    SELECT %(first)s + n / %(size)s, %(filled)s + n, 1, now() + '7 days', 'axb', 'F-' || n,
           hashint8extended(n, 1)
      FROM generate_series(0, %(count)s - 1) n
    """,
    # 42 bytes: a header, a nonce, eleven digits, and their authentication.
    """
    INSERT INTO agi_router.route
           (block, x_number, caller_tag, binding_id, shown, side, callee, callee_tags, ends_at)
    SELECT block, x_number, hashint8extended(n, k), %(filled)s + n, x_number,
           CASE k WHEN 2 THEN 'a' ELSE 'b' END,
           sha256(int8send(n * 2 + k)) || '\\x00010203040506070809',
           ARRAY[hashint8extended(n, 5 - k)], now() + '7 days'
      FROM generate_series(0, %(count)s - 1) n,
           LATERAL (SELECT %(first)s + n / %(size)s AS block,
                           %(first)s * %(size)s + n AS x_number) x,
           generate_series(2, 3) k
    """,
)
_FILLED_TABLES = ("binding", "route")
# No row that comes is put into the indexes then; they are made anew when all are there.
_PUT_OFF = (
    "UPDATE pg_index SET indisready = false, indisvalid = false WHERE indrelid = %s::regclass"
)
# Each index in its order, and each table by one of them: reading a table as it lies does not fill
# the server's memory.
_READ = (
    "SELECT x_number FROM agi_router.route ORDER BY block, x_number, caller_tag",
    "SELECT x_number FROM agi_router.route ORDER BY block, x_number, ends_at",
    "SELECT x_number FROM agi_router.route ORDER BY caller_tag",
    "SELECT callee FROM agi_router.route ORDER BY block, binding_id",
    "SELECT mode FROM agi_router.binding ORDER BY block, id",
    "SELECT id FROM agi_router.binding WHERE ended_at IS NULL ORDER BY block, id",
    "SELECT id FROM agi_router.binding WHERE order_id <> '' ORDER BY order_id, order_tag",
)
# Bytes of tables and indexes that a binding takes in memory, with room to spare.
_BYTES = 700
_WARM_UP = _KNOWN
_THINGS = ("explain", "show", "bind", "call")
_ROUNDS = 10


def say(text: str) -> None:
    """Report progress; standard output is for the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run scale", description=ABOUT)
    parser.add_argument("--bindings", type=int, metavar="N", default=10_000_000)
    parser.add_argument("--samples", type=int, metavar="N", default=2000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser.parse_args()


class Place:
    """
    One of the two databases, and how to do one of each thing in it.

    Args:
        connection: To it.
        keys: Of both.
        admissions: Where its calls are admitted.
    """

    def __init__(self, connection: Connection, keys: KeyRing, admissions: AdmissionStore) -> None:
        self._store = BindingStore(connection, keys)
        self._admissions = admissions
        # All at once, and before anything is timed: nothing is looked at just before it is timed.
        rows = connection.execute(
            b"SELECT b.block, b.id, b.order_id, r.x_number FROM agi_router.binding b"
            b" JOIN agi_router.route r ON r.block = b.block AND r.binding_id = b.id"
            b" WHERE b.id < %s AND r.side = 'a' ORDER BY random() LIMIT %s",
            (FILLED, _KNOWN),
        ).fetchall()
        self._names = cycle(
            [BindingId(Block(value=row["block"]), row["id"]) for row in reversed(rows)]
        )
        self._calls = cycle(
            [
                Call(
                    caller=party("138", int(row["order_id"].removeprefix("A-"))),
                    x_number=XNumber.from_int(row["x_number"]),
                )
                for row in rows
            ]
        )
        self._new = 0

    async def explain(self) -> float:
        """Look at what is known of a call, as `agi-router explain` does; returns seconds."""
        call = next(self._calls)
        return timed(lambda: look_up(self._store, call, at=None))

    async def show(self) -> float:
        """Look one binding up, as `agi-router show` does; returns seconds."""
        name = next(self._names)
        return timed(lambda: self._store.find(name))

    async def bind(self) -> float:
        """Bind two parties on a number that is chosen for them; returns seconds."""
        self._new += 1
        a, b = (PhoneNumber(digits=f"{head}{self._new:08}") for head in ("158", "159"))
        terms = Terms(expires_at=self._store.now() + _DAY)
        return timed(lambda: self._store.bind(Axb(a=a, b=b), terms))

    async def call(self) -> float:
        """Admit a call; returns seconds."""
        call, call_id = next(self._calls), new_call_id()
        began = time.perf_counter()
        answer = await self._admissions.admit(call, call_id, timeout=10)
        seconds = time.perf_counter() - began
        if not answer.admitted:
            raise BenchError("a call was not admitted")
        return seconds


def party(head: str, serial: int) -> PhoneNumber:
    """A number of its own for each serial, spread over the range as parties are."""
    return PhoneNumber(digits=f"{head}{serial * 9973 % 10**8:08}")


def timed(work: Callable[[], object]) -> float:
    """How many seconds *work* takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@contextmanager
def seeded(server: Server, work: Path, keys: KeyRing, bindings: int) -> Iterator[str]:
    """A database with so many bindings, one on each number as far as it goes."""
    dsn = server.clone()
    with connect(dsn) as connection:
        store = BindingStore(connection, keys)
        for place in range(-(-bindings // BLOCK_SIZE)):
            store.inventory.add_block(Block(value=_FIRST + place), operator=None, certificate=None)
    imported = min(bindings, _IMPORTED)
    import_some(dsn, work, imported)
    fill(server, dsn, bindings - imported)
    warm(server, dsn)
    try:
        yield dsn
    finally:
        server.drop(dsn)


def import_some(dsn: str, work: Path, bindings: int) -> None:
    """Make bindings as a user does."""
    say(f"importing {bindings:,} bindings")
    file = work / "bindings.csv"
    with file.open("w") as out:
        out.write("mode,order,a,b,ttl\n")
        for i in range(bindings):
            a, b = (party(head, i).digits for head in ("138", "139"))
            out.write(f"axb,A-{i},{a},{b},7d\n")
    env = {
        "PATH": os.environ["PATH"],
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(work / "key"),
    }
    done = subprocess.run(
        [_PROGRAM, "import", file, "--json"], env=env, check=False, stdout=subprocess.PIPE
    )
    if done.returncode or json.loads(done.stdout)["bound"] != bindings:
        raise BenchError("the import failed")


def fill(server: Server, dsn: str, bindings: int) -> None:
    """Make other bindings, of nobody, and have all tables analysed."""
    say(f"filling in {bindings:,} more")
    with server.admin(database_of(dsn)) as admin:
        # Foreign keys and triggers are for rows that may be wrong.
        admin.execute("SET session_replication_role = replica")
        admin.execute("SET maintenance_work_mem = '1GB'")
        for table in _FILLED_TABLES:
            admin.execute(_PUT_OFF.encode(), (f"agi_router.{table}",))
        for statement in _FILL:
            admin.execute(
                statement.encode(),
                {"first": _FIRST, "size": BLOCK_SIZE, "filled": FILLED, "count": bindings},
            )
        for table in _FILLED_TABLES:
            admin.execute(f"REINDEX TABLE agi_router.{table}".encode())
        admin.execute("SELECT setval('agi_router.binding_id', %s)", (FILLED + bindings,))
        say("analysing")
        for table in ("binding", "route", "past_route", "block", "call"):
            admin.execute(f"VACUUM ANALYZE agi_router.{table}".encode())
        admin.execute("CHECKPOINT")


def give_memory(server: Server, bindings: int) -> None:
    """
    Start the server anew with memory for all that bindings are looked up by.

    Both databases are then measured alike: from memory. What a disk or the kernel takes for a page
    has nothing to do with what is looked at.
    """
    with server.admin() as admin:
        megabytes = 128 + bindings * _BYTES // 2**20
        admin.execute(f"ALTER SYSTEM SET shared_buffers = '{megabytes}MB'".encode())
        admin.execute("CHECKPOINT")
    server.kill()
    server.start()


def warm(server: Server, dsn: str) -> None:
    """Read all of a database into memory."""
    say("reading all into memory")
    with server.admin(database_of(dsn)) as admin:
        admin.execute("SET max_parallel_workers_per_gather = 0")
        for name in ("seqscan", "bitmapscan", "sort"):
            admin.execute(f"SET enable_{name} = off".encode())
        for statement in _READ:
            admin.execute(f"SELECT count(*) FROM ({statement} OFFSET 0) r".encode())


async def measure(
    dsns: Sequence[str], keys: KeyRing, samples: int
) -> dict[str, list[list[float]]]:
    """Milliseconds of each thing, in each database in turn."""
    found: dict[str, list[list[float]]] = {}
    async with AsyncExitStack() as stack:
        places = []
        for dsn in dsns:
            connection = stack.enter_context(connect(dsn))
            admissions = await stack.enter_async_context(AdmissionStore(dsn, keys, connections=1))
            await admissions.ensure_days()
            places.append(Place(connection, keys, admissions))
        for name in _THINGS:
            found[name] = [[] for _ in places]
            for serial in range(_WARM_UP + samples):
                for place, times in zip(places, found[name], strict=True):
                    seconds = await getattr(place, name)()
                    if serial >= _WARM_UP:
                        times.append(1000 * seconds)
    return found


def compared(few: Sequence[float], many: Sequence[float]) -> dict[str, float]:
    """The medians of both, and their ratio: the median, smallest and largest of the rounds'."""
    size = -(-len(few) // _ROUNDS)
    ratios = [
        median(many[start : start + size]) / median(few[start : start + size])
        for start in range(0, len(few), size)
    ]
    return {
        "small_ms": round(median(few), 3),
        "large_ms": round(median(many), 3),
        "ratio": round(median(ratios), 3),
        "ratio_min": round(min(ratios), 3),
        "ratio_max": round(max(ratios), 3),
    }


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    keys = KeyRing.generate()
    write_key_ring(work / "key", keys)
    try:
        with ExitStack() as stack:
            server = stack.enter_context(Server("18", durable=True))
            give_memory(server, args.bindings)
            small = stack.enter_context(seeded(server, work, keys, _SMALL))
            large = stack.enter_context(seeded(server, work, keys, args.bindings))
            times = asyncio.run(measure((small, large), keys, args.samples))
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work)
    result: dict[str, Any] = {name: compared(*both) for name, both in times.items()}
    print(f"| what | {_SMALL:,} bindings, ms | {args.bindings:,}, ms | ratio | min–max |")
    print("| --- | --: | --: | --: | --: |")
    for name, row in result.items():
        print(
            f"| {name} | {row['small_ms']} | {row['large_ms']} | {row['ratio']:.2f}"
            f" | {row['ratio_min']:.2f}–{row['ratio_max']:.2f} |"
        )
    about = {"bindings": args.bindings, "samples": args.samples, "cores": os.cpu_count()}
    print("\n" + " · ".join(f"{name} {value}" for name, value in about.items()))
    if args.json:
        args.json.write_text(json.dumps({**result, **about}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
