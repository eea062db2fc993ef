"""
The command `tests/bench/run recordings`: how long what was recorded lies in clear behind a call.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import platform
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.db.connection import Connection, Queries, connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.recordings.clear import CALLEE, CALLER
from agi_router.recordings.store import RecordingStore
from agi_router.recordings.wav import RATE
from harness.database import Server, new_call_id, until
from harness.values import X

from .fresh import fresh_database

ABOUT = """\
Seconds from the end of a recorded call until nothing of it lies in clear, while calls end at a
steady rate and `agi-router recording keep` seals them. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_BLOCK = X.block.value
_MEMORY = Path("/dev/shm")  # noqa: S108 - made with mkdtemp
_THERE = b"SELECT 1 FROM pg_stat_activity WHERE application_name LIKE '%serve recordings%'"
# Seconds between two looks at what is left.
_LOOK = 0.002


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run recordings", description=ABOUT)
    parser.add_argument("--calls", type=int, metavar="N", default=900)
    parser.add_argument("--rate", type=int, metavar="R", default=30, help="ends per second")
    parser.add_argument("--talk", type=int, metavar="S", default=60, help="seconds of each call")
    parser.add_argument("--cipher", choices=("aes-256-gcm", "sm4-gcm"), default="aes-256-gcm")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser.parse_args()


class Asterisk:
    """
    Leaves what Asterisk leaves of calls.

    Args:
        clear: The directory in memory.
        talk: Seconds of each call.
    """

    def __init__(self, clear: Path, *, talk: int) -> None:
        self._clear = clear
        self._sound = os.urandom(RATE * talk)
        self._ended: dict[str, float] = {}
        self.taken: list[float] = []
        """Seconds that each lay in clear behind its end, of those that lie there no more."""

    def end_call(self) -> None:
        """One ends now; its sound is there."""
        name = "".join(secrets.choice("abcdef") for _ in range(18))
        for part in (CALLER, CALLEE):
            (self._clear / (name + part)).write_bytes(self._sound)
        begun, now = time.time_ns() // 10**6, int(time.time())
        note = f"1|{new_call_id()}|{X}|{begun}|recorded|end"
        (self._clear / f"{name}.call").write_text(note)
        (self._clear / f"{name}.end").write_text(str(now))
        self._ended[name] = time.monotonic()

    def look(self) -> int:
        """How many still lie there."""
        left = {each.name[:18] for each in self._clear.iterdir()}
        for name in self._ended.keys() - left:
            self.taken.append(time.monotonic() - self._ended.pop(name))
        return len(self._ended)


@contextmanager
def keeping(env: dict[str, str], connection: Connection) -> Iterator[None]:
    """`agi-router recording keep` beside it; all is on record at the end."""
    with subprocess.Popen([_PROGRAM, "recording", "keep"], env=env) as process:
        try:
            until(lambda: connection.execute(_THERE).fetchone())
            yield
        finally:
            process.terminate()


def measure(server: Server, work: Path, clear: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Have calls end, and see how long each lies there."""
    keys = KeyRing.generate()
    write_key_ring(work / "key", keys)
    with fresh_database(server, keys, first=_BLOCK, blocks=1) as dsn, connect(dsn) as connection:
        check_keys(connection, keys)
        store = RecordingStore(Queries(connection))
        env = {
            "PATH": os.environ["PATH"],
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(work / "key"),
            "AGI_ROUTER_CIPHER": args.cipher,
            "AGI_ROUTER_RECORDINGS": str(clear),
            "AGI_ROUTER_RECORDINGS_SEALED": str(work / "sealed"),
        }
        asterisk = Asterisk(clear, talk=args.talk)
        with keeping(env, connection):
            began = time.monotonic()
            for placed in range(args.calls):
                while time.monotonic() < began + placed / args.rate:
                    asterisk.look()
                    time.sleep(_LOOK)
                asterisk.end_call()
            while asterisk.look():
                time.sleep(_LOOK)
            until(lambda: len(store.all(limit=args.calls + 1)) == args.calls)
    taken = sorted(asterisk.taken)
    cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "clear_p50_s": round(median(taken), 2),
        "clear_p99_s": round(quantiles(taken, n=100)[98], 2),
        "clear_most_s": round(taken[-1], 2),
        "keeper_cpu_ms": round(1000 * (cpu.ru_utime + cpu.ru_stime) / args.calls, 1),
    }


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    clear = Path(tempfile.mkdtemp(prefix="agi-router-bench-", dir=_MEMORY))
    clear.chmod(0o3770)
    try:
        with Server("18", durable=True) as server:
            result = measure(server, work, clear, args)
    finally:
        shutil.rmtree(work)
        shutil.rmtree(clear)
    result |= {
        "calls": args.calls,
        "rate": args.rate,
        "talk_s": args.talk,
        "cipher": args.cipher,
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
