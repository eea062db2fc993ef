"""
The command `tests/bench/run retention`: calls beside a day of calls that is deleted.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import repeat
from pathlib import Path
from statistics import median
from typing import Any

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from harness.database import NO_REST, Server, a_call, bind

from .beside import place_calls, told
from .fresh import fresh_database

ABOUT = """\
Milliseconds from a call to its admission, at a steady rate, with nothing beside it and beside
`agi-router retention run` that deletes a day of calls; interleaved. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_BLOCK = 70012345678
# Longer ago than any retention is by default.
_AGO = 300
_SECONDS = 15


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run retention", description=ABOUT)
    parser.add_argument("--calls", type=int, metavar="N", default=1_000_000, help="of the day")
    parser.add_argument("--rate", type=int, metavar="R", default=30, help="calls per second")
    parser.add_argument("--rounds", type=int, metavar="N", default=5)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser.parse_args()


class Bench:
    """
    Rounds in one database.

    Args:
        server: Whose.
        dsn: The database.
        work: Directory with the key.
        keys: Its keys.
        calls: How many calls a day has that is deleted.
        rate: Calls per second.
    """

    def __init__(
        self, server: Server, dsn: str, work: Path, keys: KeyRing, *, calls: int, rate: int
    ) -> None:
        self._server = server
        self._dsn = dsn
        self._keys = keys
        self._calls = calls
        self._rate = rate
        self._env = {
            "PATH": os.environ["PATH"],
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(work / "key"),
        }

    def bind(self) -> None:
        """Make a binding, by which all calls go."""
        with connect(self._dsn) as connection:
            self._keys = check_keys(connection, self._keys)
            bind(BindingStore(connection, self._keys, NO_REST))

    def round(self, number: int) -> tuple[list[float], list[float], float]:
        """Milliseconds of calls alone, of calls beside the deletion, and its seconds."""
        self._fill(_AGO + number)
        alone = self._place(lambda began: time.monotonic() - began >= _SECONDS)
        began = time.monotonic()
        command = [str(_PROGRAM), "retention", "run", "--json"]
        with subprocess.Popen(command, env=self._env, stdout=subprocess.PIPE) as process:
            beside = self._place(lambda _: process.poll() is not None)
            seconds = time.monotonic() - began
            assert process.stdout is not None
            assert json.loads(process.stdout.read())["call"] == self._calls
        return alone, beside, seconds

    def _fill(self, ago: int) -> None:
        with connect(self._dsn, timeout=600) as connection:
            days = "(now() AT TIME ZONE 'UTC')::date - %s"
            connection.execute(
                f"SELECT agi_router.ensure_days('call', {days}, {days})".encode(), (ago, ago)
            )
            connection.execute(
                "INSERT INTO agi_router.call (block, id, day, x_number, received_at, state,"
                " reason) SELECT %s, 'old-' || n, (now() AT TIME ZONE 'UTC')::date - %s, %s,"
                " now() - %s * interval '1 day', 'settled', 'no_binding'"
                " FROM generate_series(1, %s) n",
                (_BLOCK, ago, _BLOCK * 10_000 + 9, ago, self._calls),
            )
        with self._server.admin() as admin:
            # What was written long ago is on disk.
            admin.execute("CHECKPOINT")

    def _place(self, over: Callable[[float], bool]) -> list[float]:
        return asyncio.run(
            place_calls(self._dsn, self._keys, repeat(a_call()), rate=self._rate, over=over)
        )


def measure(server: Server, work: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All rounds."""
    keys = KeyRing.generate()
    write_key_ring(work / "key", keys)
    with fresh_database(server, keys, first=_BLOCK, blocks=1) as dsn:
        bench = Bench(server, dsn, work, keys, calls=args.calls, rate=args.rate)
        bench.bind()
        rounds = [bench.round(number) for number in range(args.rounds)]
    return {
        **told("alone", [each[0] for each in rounds]),
        **told("beside", [each[1] for each in rounds]),
        "deletion_seconds": round(median(each[2] for each in rounds), 1),
    }


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with Server("18", durable=True) as server:
            result = measure(server, work, args)
    finally:
        shutil.rmtree(work)
    result |= {
        "calls": args.calls,
        "rate": args.rate,
        "rounds": args.rounds,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    for name, value in result.items():
        print(f"{name:18} {value}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
