"""
The command `tests/bench/run feed`: a feed of numbers against live bindings.

Plain numbers are compared with a join of the same tags in PostgreSQL: to find them costs no less.
Digests have no such peer: what is told is how many numbers a core opens and compares.
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
from typing import Any

from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from harness.database import Server

from .fresh import fresh_database

ABOUT = """\
Time of `agi-router feed run` with plain numbers ÷ a join of the same tags; and how many numbers a
core opens and compares with digests in a second. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_PER_BLOCK = 20_000
_FIRST_BLOCK = 70012340000
# Of the numbers of a feed so many are bound: one in.
_BOUND = 100
# Starts a program, and tells the most memory that any of its processes had.
_MEASURED = """\
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(code)
"""


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run feed", description=ABOUT)
    parser.add_argument("--bindings", type=int, metavar="N", default=100_000)
    parser.add_argument("--numbers", type=int, metavar="N", default=50_000)
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
    """

    def __init__(self, server: Server, work: Path, *, bindings: int, numbers: int) -> None:
        self._server = server
        self._work = work
        self._bindings = bindings
        self._numbers = [
            # One in so many is bound, the others are of nobody.
            _party("138" if i % _BOUND == 0 else "150", i // _BOUND if i % _BOUND == 0 else i)
            for i in range(numbers)
        ]
        self._keys = KeyRing.generate()
        write_key_ring(work / "key", self._keys)

    def run(self) -> dict[str, Any]:
        """Bind, join, and read a feed of digests and one of plain numbers."""
        blocks = -(-self._bindings // _PER_BLOCK)
        with fresh_database(self._server, self._keys, first=_FIRST_BLOCK, blocks=blocks) as dsn:
            self._bind(dsn)
            joined = self._join(dsn)
            # Numbers of nobody: all is opened, and nothing ends.
            digests = self._feed(dsn, "sha256", "150")
            plain = self._feed(dsn, "plain", "1")
        assert plain["ended"] == len(self._numbers) // _BOUND
        return {
            "join_seconds": round(joined, 2),
            "plain_seconds": plain["seconds"],
            "plain_vs_join": round(plain["seconds"] / joined, 1),
            "plain_memory_mb": plain["memory_mb"],
            "digest_seconds": digests["seconds"],
            "digest_memory_mb": digests["memory_mb"],
            "opened_per_second_per_core": round(
                2 * self._bindings / digests["seconds"] / _cores()
            ),
        }

    def _bind(self, dsn: str) -> None:
        file = self._work / "bindings.csv"
        with file.open("w") as out:
            out.write("mode,order,a,b,ttl\n")
            for i in range(self._bindings):
                a, b = (_party(head, i).digits for head in ("138", "139"))
                out.write(f"axb,A-{i:08},{a},{b},2h\n")
        self._program(dsn, "import", str(file))
        with connect(dsn) as connection:
            for table in ("binding", "route"):
                connection.execute(f"VACUUM ANALYZE agi_router.{table}".encode())

    def _join(self, dsn: str) -> float:
        """The seconds in which PostgreSQL finds the bindings by their tags, the faster of two."""
        tags = array_of_integers(self._keys.tag(number) for number in self._numbers)
        found = []
        with connect(dsn) as connection:
            for _ in range(2):
                began = time.monotonic()
                connection.execute(
                    "SELECT count(*) FROM unnest(%s::bigint[]) n (tag)"
                    "  JOIN agi_router.route r ON r.caller_tag = n.tag"
                    "  JOIN agi_router.binding b ON b.block = r.block AND b.id = r.binding_id"
                    " WHERE b.ended_at IS NULL",
                    (tags,),
                ).fetchone()
                found.append(time.monotonic() - began)
        return min(found)

    def _feed(self, dsn: str, form: str, head: str) -> dict[str, Any]:
        file, now = self._work / f"{form}.csv", datetime.now(UTC).isoformat()
        with file.open("w") as out:
            out.write("number,status,date\n")
            for each in self._numbers:
                if each.digits.startswith(head):
                    text = each.digits.encode()
                    number = text.decode() if form == "plain" else hashlib.sha256(text).hexdigest()
                    out.write(f"{number},reissued,{now}\n")
        self._program(dsn, "feed", "add", form, "--numbers", form)
        began = time.monotonic()
        out_text, memory = self._program(dsn, "feed", "run", form, str(file))
        seconds = time.monotonic() - began
        [report] = json.loads(out_text)
        return {
            "ended": report["ended"],
            "seconds": round(seconds, 2),
            "memory_mb": round(memory / 1024),
        }

    def _program(self, dsn: str, *words: str) -> tuple[str, int]:
        """What a command prints, and the most KiB that one of its processes had."""
        env = {
            "PATH": os.environ["PATH"],
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(self._work / "key"),
        }
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, _PROGRAM, *words, "--json"],
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout, int(done.stderr.split()[-1])


def _party(head: str, i: int) -> PhoneNumber:
    # Spread over the range, as callers are.
    return PhoneNumber(digits=f"{head}{i * 9973 % 10**8:08}")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with Server("18", durable=True) as server:
            bench = Bench(server, work, bindings=args.bindings, numbers=args.numbers)
            result = bench.run()
    finally:
        shutil.rmtree(work)
    result |= {
        "bindings": args.bindings,
        "numbers": args.numbers,
        "cores": _cores(),
        "python": platform.python_version(),
    }
    for name, value in result.items():
        print(f"{name.replace('_', ' ')}: {value}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
