"""
The command `tests/bench/run locks`: what the look at locks takes in the statement of a call.

The statement is compared with itself without that look, in turn, in one session: of each round so
many calls by the one, and so many by the other. What is told is the CPU of the session's process.
"""

import argparse
import os
import platform
import random
import re
import shutil
import sys
import tempfile
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.db.connection import Connection, connect
from agi_router.db.queries import query
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from harness.database import Server, new_call_id

from .cpu import Taken
from .feed import tell
from .fresh import fresh_database
from .routers import CHECKOUT, run
from .scale import party

ABOUT = """\
CPU of PostgreSQL of a call's statement ÷ the same without its look at locks, in turn. Run it by
`chrt -f 1` where others use the machine. See tests/bench/README.md.
"""

_BINDINGS = 10_000
_BLOCK = 70012340000
_LOOK = re.compile(
    r"\n *-- One look by key at a table.*?_now, _strangers\)\)(?=\n *RETURNING)", re.DOTALL
)
_BARE = "admit_without_locks"
_MARK = """
    INSERT INTO agi_router.lock_mark (key, lock_id, subject, reason, starts_at)
    SELECT hashint8extended(n, 5), n, 'person', 'arrears', now() FROM generate_series(1, %s) n
"""


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/run locks", description=ABOUT)
    parser.add_argument("--rounds", type=int, default=100, help="default 100")
    parser.add_argument("--calls", type=int, default=200, help="of each in a round; default 200")
    parser.add_argument("--locked", type=int, default=1_000, help="of others; default 1,000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


def without_locks() -> str:
    """The function of a call, by another name, without its look at locks."""
    text = (CHECKOUT / "sql/functions/calls/admit.sql").read_text("utf-8")
    bare, found = _LOOK.subn("", text)
    assert found == 1
    return bare.replace("agi_router.admit(", f"agi_router.{_BARE}(").partition("COMMENT ON")[0]


def measure(dsn: str, args: argparse.Namespace) -> dict[str, Any]:
    """Microseconds of CPU of a call by each, and their ratio, as the rounds say."""
    rounds: list[tuple[float, float]] = []
    with connect(dsn) as connection:
        connection.execute(without_locks().encode())
        connection.execute(_MARK.encode(), (args.locked,))
        connection.execute(b"VACUUM ANALYZE")
        # No disk is waited for: the look reads, and writes nothing.
        connection.execute(b"SET synchronous_commit = off")
        calls = cycle(_calls(connection))
        whole = query("admit")
        bare = whole.replace(b"agi_router.admit(", f"agi_router.{_BARE}(".encode())

        def cost(statement: bytes) -> float:
            before = Taken.by(connection.info.backend_pid)
            for _ in range(args.calls):
                row = connection.execute(statement, {**next(calls), "call_id": new_call_id()})
                admitted = row.fetchone()
                assert admitted is not None
                assert admitted["admitted"]
            taken = Taken.by(connection.info.backend_pid) - before
            return float(taken.cpu / args.calls / 1000)

        for number in range(args.rounds + 2):
            sides = [whole, bare]
            random.shuffle(sides)
            costs = {side: cost(side) for side in sides}
            # What a session reads for the first time is of no matter here.
            if number > 1:
                rounds.append((costs[whole], costs[bare]))
    ratios = [mine / other for mine, other in rounds]
    low, *_, high = quantiles(ratios, n=4)
    return {
        "whole_us": round(median(mine for mine, _ in rounds), 1),
        "without_us": round(median(other for _, other in rounds), 1),
        "ratio": round(median(ratios), 3),
        "half_of_rounds": [round(low, 3), round(high, 3)],
    }


def _calls(connection: Connection) -> list[dict[str, Any]]:
    rows = connection.execute(
        b"SELECT block, x_number, caller_tag, current_date AS day FROM agi_router.route"
    ).fetchall()
    random.shuffle(rows)
    return [
        {
            "block": row["block"],
            "x_number": row["x_number"],
            "tags": [row["caller_tag"]],
            "day": row["day"],
        }
        for row in rows
    ]


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    keys = KeyRing.generate()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        write_key_ring(work / "key", keys)
        bindings = work / "bindings.csv"
        with bindings.open("w") as out:
            out.write("mode,order,a,b,ttl\n")
            for i in range(_BINDINGS):
                out.write(f"axb,A-{i},{party('138', i).digits},{party('139', i).digits},7d\n")
        with (
            Server("18", durable=True) as server,
            fresh_database(server, keys, first=_BLOCK, blocks=2) as dsn,
        ):
            run(CHECKOUT, "import", bindings, dsn=dsn, keys=work / "key")
            result = measure(dsn, args)
    finally:
        shutil.rmtree(work)
    result |= {
        "rounds": args.rounds,
        "calls": args.calls,
        "locked": args.locked,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }
    tell(result, args.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
