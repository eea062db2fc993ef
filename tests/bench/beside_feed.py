"""
The command `tests/bench/run beside_feed`: calls alone, and beside a feed of numbers, by turns.

The feed is one of plain numbers of nobody's, which are all looked for: what each feed does for
hours where it is long. A round is calls alone, and then calls as long as one feed is read, from
the start of its program to its end. What is told is the median of the rounds, so that what else
the machine does in one of them is of no matter.
"""

import argparse
import asyncio
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.calls.arrival import Call
from agi_router.db.connection import Connection, connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.numbers import BLOCK_SIZE, XNumber
from harness.database import Server

from .beside import place_calls
from .feed import tell
from .fresh import fresh_database
from .scale import fill, party

ABOUT = """\
Milliseconds from a call to its admission, alone and beside a feed of plain numbers, by turns. See
tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_FIRST_BLOCK = 70012340000
_BOUND = 10_000
_KNOWN = 1_000


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/run beside_feed", description=ABOUT)
    parser.add_argument("--filled", type=int, default=500_000, help="bindings of nobody")
    parser.add_argument("--numbers", type=int, default=1_500_000, help="of each feed")
    parser.add_argument("--rate", type=int, default=100, help="calls a second; default 100")
    parser.add_argument("--seconds", type=int, default=8, help="of calls alone; default 8")
    parser.add_argument("--rounds", type=int, default=9, help="default 9")
    parser.add_argument(
        "--apart",
        action="store_true",
        help="the feeds' program and its session on the last core, and calls on the others",
    )
    parser.add_argument("--nice", type=int, default=0, help="of the feeds' program; default 0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


class Bench:
    """
    Calls and feeds in one database.

    Args:
        dsn: It.
        work: Directory with the key, and for files.
        keys: Its keys.
        args: The command line.
        last: The core that feeds have for themselves, with ``--apart``.
    """

    def __init__(
        self, dsn: str, work: Path, keys: KeyRing, args: argparse.Namespace, last: int
    ) -> None:
        self._dsn = dsn
        self._keys = keys
        self._args = args
        self._file = work / "nobody.csv"
        self._work = work
        self._env = {
            "PATH": os.environ["PATH"],
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(work / "key"),
        }
        self._last = last

    def prepare(self, server: Server) -> None:
        """Bind who calls, fill in others, and write the file that all feeds read."""
        bindings = self._work / "bindings.csv"
        with bindings.open("w") as out:
            out.write("mode,order,a,b,ttl\n")
            for i in range(_BOUND):
                out.write(f"axb,A-{i},{party('138', i).digits},{party('139', i).digits},7d\n")
        self._program("import", str(bindings))
        fill(server, self._dsn, self._args.filled)
        with self._file.open("w") as out:
            out.write("number,status,date\n")
            for i in range(self._args.numbers):
                out.write(f"{party('150', i).digits},reissued,2026-01-31\n")
        with connect(self._dsn) as connection:
            self._keys = check_keys(connection, self._keys)
            callers = {self._keys.tag(party("138", i)): party("138", i) for i in range(_KNOWN)}
            rows = connection.execute(
                b"SELECT caller_tag, x_number FROM agi_router.route WHERE caller_tag = ANY (%s)",
                (list(callers),),
            ).fetchall()
        self._calls = cycle(
            [
                Call(caller=callers[row["caller_tag"]], x_number=XNumber.from_int(row["x_number"]))
                for row in rows
            ]
        )

    def round(self, number: int) -> tuple[list[float], list[float], float]:
        """Milliseconds of calls alone, of calls beside a feed, and its seconds."""
        alone = self._place(lambda began: time.monotonic() - began >= self._args.seconds)
        # A file that was read is not read again, so each time it is of a feed of its own.
        self._program("feed", "add", f"nobody-{number}")
        began = time.monotonic()
        process = subprocess.Popen(
            [
                *("nice", "-n", str(self._args.nice)),
                *(_PROGRAM, "feed", "run", f"nobody-{number}", str(self._file), "--json"),
            ],
            env=self._env,
            stdout=subprocess.DEVNULL,
        )
        if self._args.apart:
            self._put_apart(process)
        beside = self._place(lambda _: process.poll() is not None)
        assert process.returncode == 0
        return alone, beside, time.monotonic() - began

    def _put_apart(self, process: "subprocess.Popen[bytes]") -> None:
        """Have a feed's program and its session on the last core, where nothing else is."""
        os.sched_setaffinity(process.pid, {self._last})
        with connect(self._dsn) as connection:
            while not (sessions := _others(connection)) and process.poll() is None:
                time.sleep(0.02)
        for session in sessions:
            os.sched_setaffinity(session, {self._last})

    def _place(self, over: Callable[[float], bool]) -> list[float]:
        return asyncio.run(
            place_calls(self._dsn, self._keys, self._calls, rate=self._args.rate, over=over)
        )

    def _program(self, *words: str) -> None:
        subprocess.run([_PROGRAM, *words], env=self._env, check=True, stdout=subprocess.DEVNULL)


def _others(connection: Connection) -> list[int]:
    """The processes of PostgreSQL that serve others: while no call is placed, a feed."""
    rows = connection.execute(
        b"SELECT pid FROM pg_stat_activity"
        b" WHERE datname = current_database() AND backend_type = 'client backend'"
        b" AND pid <> pg_backend_pid()"
    )
    return [row["pid"] for row in rows.fetchall()]


def told(rounds: list[tuple[list[float], list[float], float]]) -> dict[str, Any]:
    """The figures: percentiles of each round, and the medians of those."""
    p99 = [[quantiles(each, n=100)[98] for each in calls[:2]] for calls in rounds]
    p50 = [[median(each) for each in calls[:2]] for calls in rounds]
    slower = sorted(100 * (beside / alone - 1) for alone, beside in p99)
    found: dict[str, Any] = {
        f"{side}_{name}_ms": round(median(each[place] for each in cuts), 2)
        for name, cuts in (("p50", p50), ("p99", p99))
        for place, side in enumerate(("alone", "beside"))
    }
    return found | {
        "p99_slower_percent": round(median(slower), 1),
        "p99_slower_of_rounds": [round(each) for each in slower],
        "calls_alone": sum(len(calls[0]) for calls in rounds),
        "calls_beside": sum(len(calls[1]) for calls in rounds),
        "feed_seconds": round(median(calls[2] for calls in rounds), 1),
    }


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    keys = KeyRing.generate()
    *others, last = cores = sorted(os.sched_getaffinity(0))
    if args.apart:
        # The server and its sessions inherit it.
        os.sched_setaffinity(0, others)
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        write_key_ring(work / "key", keys)
        blocks = 1 + -(-args.filled // BLOCK_SIZE)
        with (
            Server("18", durable=True) as server,
            fresh_database(server, keys, first=_FIRST_BLOCK, blocks=blocks) as dsn,
        ):
            bench = Bench(dsn, work, keys, args, last)
            bench.prepare(server)
            result = told([bench.round(number) for number in range(args.rounds)])
    finally:
        shutil.rmtree(work)
    result |= {
        "rate": args.rate,
        "nice": args.nice,
        "apart": args.apart,
        "numbers": args.numbers,
        "filled": args.filled,
        "cores": len(cores),
        "python": platform.python_version(),
    }
    tell(result, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
