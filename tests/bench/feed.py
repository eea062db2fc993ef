"""
The command `tests/bench/run feed`: a feed of numbers against live bindings.

Plain numbers are compared with a join of the same tags in PostgreSQL: to find them costs no less.
Two files of them are read: one of nobody's, which are looked for only, and one that ends bindings.
Digests have no such peer: what is told is how many numbers a core opens and compares. The start of
the program is measured by a command that does nothing, told apart, and in no other figure.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import BLOCK_SIZE, PhoneNumber
from harness.database import Server, database_of

from .cpu import Processes
from .fresh import fresh_database
from .scale import FILLED, fill

ABOUT = """\
Time and CPU of `agi-router feed run` with plain numbers ÷ a join of the same tags; and how many
numbers a core opens and compares with digests in a second. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_PER_BLOCK = 20_000
_FIRST_BLOCK = 70012340000
# Bindings of nobody that are over, and whose pairs ask for their numbers.
_OVER = (
    """
    INSERT INTO agi_router.binding
           (block, id, tenant_id, expires_at, ended_at, state, mode, pair_tag)
    SELECT %(first)s + n / %(size)s, %(id)s + n, 1, now(), now(), 'unbound', 'axb',
           hashint8extended(n, 1)
      FROM generate_series(0, %(count)s - 1) n
    """,
    """
    INSERT INTO agi_router.past_route
           (block, x_number, caller_tag, binding_id, shown, side, callee, callee_tags,
            begins_at, ends_at)
    SELECT %(first)s + n / %(size)s, x.x_number, hashint8extended(n, k), %(id)s + n, x.x_number,
           CASE k WHEN 6 THEN 'a' ELSE 'b' END,
           sha256(int8send(n * 2 + k)) || '\\x00010203040506070809',
           ARRAY[hashint8extended(n, 13 - k)], now(), now()
      FROM generate_series(0, %(count)s - 1) n,
           LATERAL (SELECT %(first)s * %(size)s + n AS x_number) x,
           generate_series(6, 7) k
    """,
)
_OVER_ID = 2 * FILLED
# Of the numbers of a feed so many are bound: one in.
_BOUND = 100
# Tags of a join that is done in parts.
_PART = 30_000
# Starts a program, and tells the most memory that any of its processes had, and their CPU seconds.
_MEASURED = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_maxrss, used.ru_utime + used.ru_stime, file=sys.stderr)
sys.exit(code)
"""


class Cost(NamedTuple):
    """
    What something has cost, in seconds.

    Attributes:
        wall: From begin to end.
        client: CPU of the program and its workers.
        server: CPU of all PostgreSQL processes.
    """

    wall: float
    client: float
    server: float

    @property
    def cpu(self) -> float:
        """CPU of both sides."""
        return self.client + self.server

    def less(self, other: "Cost") -> "Cost":
        """What is left without another; never less than nothing."""
        return Cost(*(max(0.0, mine - its) for mine, its in zip(self, other, strict=True)))

    def told(self, name: str) -> dict[str, float]:
        """The figures, by their names."""
        return {
            f"{name}_seconds": round(self.wall, 2),
            f"{name}_client_cpu": round(self.client, 2),
            f"{name}_server_cpu": round(self.server, 2),
        }


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run feed", description=ABOUT)
    parser.add_argument("--bindings", type=int, metavar="N", default=100_000)
    parser.add_argument("--numbers", type=int, metavar="N", default=50_000)
    parser.add_argument(
        "--filled", type=int, metavar="N", default=0, help="other bindings, filled in by SQL"
    )
    parser.add_argument(
        "--past", type=int, metavar="N", default=0, help="others that are over, filled in by SQL"
    )
    parser.add_argument("--plain", action="store_true", help="no digests, which take longest")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    if args.bindings < args.numbers // _BOUND or args.numbers < _BOUND:
        parser.error(f"{_BOUND} numbers at least, and a binding for each {_BOUND} of them")
    return args


class Bench:
    """
    One run on a server of its own.

    Args:
        server: The server.
        work: Directory for files and the key.
        bindings: How many bindings.
        numbers: How many numbers a feed has.
        filled: How many others.
        past: How many that are over.
        digests: Whether one of digests is read, too.
    """

    def __init__(
        self,
        server: Server,
        work: Path,
        *,
        bindings: int,
        numbers: int,
        filled: int,
        past: int,
        digests: bool,
    ) -> None:
        self._server = server
        self._work = work
        self._digests = digests
        self._bindings = bindings
        self._filled = filled
        self._past = past
        self._numbers = [
            # One in so many is bound, the others are of nobody.
            _party("138" if i % _BOUND == 0 else "150", i // _BOUND if i % _BOUND == 0 else i)
            for i in range(numbers)
        ]
        self._start = Cost(0, 0, 0)
        self._keys = KeyRing.generate()
        write_key_ring(work / "key", self._keys)

    def run(self) -> dict[str, Any]:
        """Bind, join, and read a feed of digests and one of plain numbers."""
        blocks = max(
            -(-self._bindings // _PER_BLOCK), -(-max(self._filled, self._past) // BLOCK_SIZE)
        )
        with fresh_database(self._server, self._keys, first=_FIRST_BLOCK, blocks=blocks) as dsn:
            self._bind(dsn)
            joined = self._join(dsn)
            self._start, _ = self._cost(dsn, "feed", "list")
            # Numbers of nobody: all is opened or looked for, and nothing ends.
            opened = self._open(dsn) if self._digests else {}
            looked, _, _ = self._feed(dsn, "plain", "150")
            plain, memory, ended = self._feed(dsn, "plain", "1")
        assert ended == len(self._numbers) // _BOUND
        return {
            **self._start.told("start"),
            **joined.told("join"),
            **looked.told("plain_nobody"),
            **plain.told("plain"),
            "plain_nobody_vs_join": round(looked.wall / joined.wall, 1),
            "plain_nobody_vs_join_cpu": round(looked.cpu / joined.cpu, 1),
            "plain_vs_join": round(plain.wall / joined.wall, 1),
            "plain_vs_join_cpu": round(plain.cpu / joined.cpu, 1),
            "plain_ended": ended,
            "plain_memory_mb": memory,
            **opened,
        }

    def _open(self, dsn: str) -> dict[str, float]:
        """Read a feed of digests, each of which is compared with all that is sealed."""
        cost, memory, _ = self._feed(dsn, "sha256", "150")
        return {
            **cost.told("digest"),
            "digest_memory_mb": memory,
            "opened_per_second_per_core": round(2 * self._bindings / cost.wall / _cores()),
        }

    def _bind(self, dsn: str) -> None:
        file = self._work / "bindings.csv"
        with file.open("w") as out:
            out.write("mode,order,a,b,ttl\n")
            for i in range(self._bindings):
                a, b = (_party(head, i).digits for head in ("138", "139"))
                out.write(f"axb,A-{i:08},{a},{b},2h\n")
        self._program(dsn, "import", str(file))
        self._fill_past(dsn)
        fill(self._server, dsn, self._filled)

    def _fill_past(self, dsn: str) -> None:
        values = {"first": _FIRST_BLOCK, "size": BLOCK_SIZE, "id": _OVER_ID, "count": self._past}
        with self._server.admin(database_of(dsn)) as admin:
            admin.execute("SET session_replication_role = replica")
            for statement in _OVER:
                admin.execute(statement.encode(), values)

    def _join(self, dsn: str) -> Cost:
        """
        What it costs PostgreSQL to find the bindings by their tags.

        The least of several: all at once, for which the server may read all of the table, and in
        parts, for which it does not.
        """
        tags = [self._keys.tag(number) for number in self._numbers]
        found = []
        with connect(dsn) as connection:
            for size in (len(tags), _PART, len(tags), _PART):
                parts = [
                    array_of_integers(tags[place : place + size])
                    for place in range(0, len(tags), size)
                ]
                began, server = time.monotonic(), self._server_cpu()
                for part in parts:
                    connection.execute(
                        "SELECT count(*) FROM unnest(%s::bigint[]) n (tag)"
                        "  JOIN agi_router.route r ON r.caller_tag = n.tag"
                        "  JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id"
                        " WHERE b.ended_at IS NULL",
                        (part,),
                    ).fetchone()
                found.append(Cost(time.monotonic() - began, 0, self._server_cpu() - server))
        return min(found, key=lambda each: each.server)

    def _ready(self, dsn: str, form: str, head: str) -> list[str]:
        """The command that reads a file of the numbers that begin so."""
        name = f"{form}-{head}"
        file, now = self._work / f"{name}.csv", datetime.now(UTC).isoformat()
        with file.open("w") as out:
            out.write("number,status,date\n")
            for each in self._numbers:
                if each.digits.startswith(head):
                    text = each.digits.encode()
                    number = text.decode() if form == "plain" else hashlib.sha256(text).hexdigest()
                    out.write(f"{number},reissued,{now}\n")
        self._program(dsn, "feed", "add", name, "--numbers", form)
        return ["feed", "run", name, str(file)]

    def _feed(self, dsn: str, form: str, head: str) -> tuple[Cost, int, int]:
        """What a file of the numbers that begin so costs, without the start; MiB; what ended."""
        cost, (out_text, memory, _) = self._cost(dsn, *self._ready(dsn, form, head))
        [report] = json.loads(out_text)
        return cost, round(memory / 1024), report["ended"]

    def _cost(self, dsn: str, *words: str) -> tuple[Cost, tuple[str, int, float]]:
        """What a command costs without the start of the program, and what it returns."""
        began, server = time.monotonic(), self._server_cpu()
        done = self._program(dsn, *words)
        wall = time.monotonic() - began
        cost = Cost(wall, done[2], self._server_cpu() - server)
        return cost.less(self._start), done

    def _env(self, dsn: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(self._work / "key"),
        }

    def _server_cpu(self) -> float:
        return Processes().cpu(self._server.pid)

    def _program(self, dsn: str, *words: str) -> tuple[str, int, float]:
        """What a command prints, the most KiB that one of its processes had, and its CPU."""
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, _PROGRAM, *words, "--json"],
            env=self._env(dsn),
            check=True,
            capture_output=True,
            text=True,
        )
        memory, cpu = done.stderr.split()[-2:]
        return done.stdout, int(memory), float(cpu)


def _party(head: str, i: int) -> PhoneNumber:
    # Spread over the range, as callers are.
    return PhoneNumber(digits=f"{head}{i * 9973 % 10**8:08}")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def tell(result: dict[str, Any], file: Path | None) -> None:
    """Print a result, and write it to a file if one is named."""
    for name, value in result.items():
        print(f"{name.replace('_', ' ')}: {value}")
    if file:
        file.write_text(json.dumps(result, indent=1) + "\n")


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with Server("18", durable=True) as server:
            bench = Bench(
                server,
                work,
                bindings=args.bindings,
                numbers=args.numbers,
                filled=args.filled,
                past=args.past,
                digests=not args.plain,
            )
            result = bench.run()
    finally:
        shutil.rmtree(work)
    result |= {
        "bindings": args.bindings,
        "numbers": args.numbers,
        "filled": args.filled,
        "past": args.past,
        "cores": _cores(),
        "python": platform.python_version(),
    }
    tell(result, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
