"""
The command `tests/bench/run decision`: what one decision takes, of routers of several checkouts.

All run side by side on one core, each on a database that its own checkout has made on one server,
and are asked in turn, one call at a time; between two calls the caches are filled with something
else, as Asterisk would. So hundredths of a millisecond can be told, which rounds of calls through
a PBX cannot.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import csv
import json
import os
import random
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.calls.arrival import Call
from agi_router.db.connection import connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import Server

from .cpu import Processes
from .errors import BenchError
from .routers import CHECKOUT, run, serving
from .scale import party
from .standin import Crowd, StandIn, caller_by_header

ABOUT = """\
CPU and time of one decision, of a router of each checkout, in turn; the first is what the others
are compared with. Name one twice to see the noise. See tests/bench/README.md.
"""
_BINDINGS = 5_000
_BLOCK = 70012340000
_WARM_UP = 100
# Copied between two calls: more than the caches of a core hold.
_BALLAST = bytes(3 << 20)
# Seconds between two calls, for all to go to sleep.
_PAUSE = 0.0015


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run decision", description=ABOUT)
    parser.add_argument(
        "checkouts", type=Path, nargs="*", metavar="DIR", help="default: this one, twice"
    )
    parser.add_argument("--calls", type=int, default=2_000, metavar="N", help="of each router")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    args.checkouts = [each.resolve() for each in args.checkouts] or [CHECKOUT, CHECKOUT]
    if args.calls < 2 or len(args.checkouts) > 9:
        parser.error("two calls at least, nine checkouts at most")
    for each in args.checkouts:
        if not (each / "agi_router").is_dir():
            parser.error(f"{each} is no checkout")
    return args


def measure(checkouts: Sequence[Path], work: Path, *, calls: int) -> list[dict[str, Any]]:
    """A row for each checkout."""
    write_key_ring(work / "key", KeyRing.generate())
    with ExitStack() as stack:
        server = stack.enter_context(Server("18", durable=True))
        databases = []
        # All before the first router comes: one that is not answered leaves.
        for number, checkout in enumerate(checkouts):
            home, dsn = work / str(number), server.clone(migrated=False)
            home.mkdir()
            databases.append((home, dsn, populate(dsn, checkout, home, work / "key")))
        asked: list[StandIn] = []
        processes = []
        for checkout, (home, dsn, calls_there) in zip(checkouts, databases, strict=True):
            pbx = stack.enter_context(
                StandIn(cycle(calls_there), node=f"bench{home.name}", caller=told_by(checkout))
            )
            router = serving(pbx.url, dsn=dsn, work=home, keys=work / "key", checkout=checkout)
            processes.append(stack.enter_context(router))
            pbx.meet(asked)
            asked.append(pbx)
        ask_in_turn(asked, _WARM_UP)
        before = Processes()
        crowds = ask_in_turn(asked, calls)
        after = Processes()
    first = crowds[0].waits
    return [
        {
            "checkout": str(checkout),
            "router_ms": 1000 * (after.cpu(process) - before.cpu(process)) / calls,
            "p50_ms": median(crowd.waits),
            "p99_ms": quantiles(crowd.waits, n=100)[98],
            "more_ms": median(own - other for own, other in zip(crowd.waits, first, strict=True)),
        }
        for checkout, process, crowd in zip(checkouts, processes, crowds, strict=True)
    ]


def populate(dsn: str, checkout: Path, work: Path, keys: Path) -> list[Call]:
    """
    Make a database by the commands of a checkout; returns calls that it admits.

    What one checkout has sealed another need not be able to open.
    """
    given, made = work / "bindings.csv", work / "made.csv"
    with given.open("w") as out:
        out.write("mode,order,a,b,ttl\n")
        for i in range(_BINDINGS):
            a, b = (party(head, i).digits for head in ("138", "139"))
            out.write(f"axb,A-{i},{a},{b},7d\n")
    for arguments in (
        ("db", "migrate"),
        ("tenant", "rules", "default", "--no-order", "--consent", "off"),
        ("block", "add", _BLOCK),
        ("import", given),
        ("export", "--reveal", "-o", made),
    ):
        run(checkout, *arguments, dsn=dsn, keys=keys)
    with connect(dsn) as connection:
        for table in ("binding", "route"):
            connection.execute(f"VACUUM ANALYZE agi_router.{table}".encode())
    with made.open(newline="") as file:
        calls = [
            Call(caller=PhoneNumber.parse(row["ab"[i % 2]]), x_number=XNumber.parse(row["x"]))
            for i, row in enumerate(csv.DictReader(file))
        ]
    random.shuffle(calls)
    return calls


def told_by(checkout: Path) -> Callable[[Call], str]:
    """What the dialplan of a checkout tells of who calls."""
    dialplan = (checkout / "dialplan/agi_router.conf").read_text("utf-8")
    # Before version 5 it told no more than whether the number that the channel has may be shown.
    if re.search(r"(?m)^AGI_ROUTER_DIALPLAN=[1-4]$", dialplan):
        return lambda _: "allowed_not_screened"
    return caller_by_header


def ask_in_turn(asked: Sequence[StandIn], calls: int) -> list[Crowd]:
    """Let each have so many calls, one at a time; in another order each time."""
    crowds = [Crowd() for _ in asked]
    turns = list(zip(asked, crowds, strict=True))
    for _ in range(calls):
        random.shuffle(turns)
        for pbx, crowd in turns:
            bytearray(_BALLAST)
            time.sleep(_PAUSE)
            pbx.call_once(crowd)
    return crowds


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    # Whoever is woken on another core finds other caches.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        rows = measure(args.checkouts, work, calls=args.calls)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work)
    print("| checkout | router, CPU ms | decision p50, ms | p99 | more than the first, ms |")
    print("| --- | --: | --: | --: | --: |")
    for row in rows:
        figures = (row["router_ms"], row["p50_ms"], row["p99_ms"], row["more_ms"])
        print(f"| {row['checkout']} | {' | '.join(f'{each:.3f}' for each in figures)} |")
    if args.json:
        args.json.write_text(json.dumps({"calls": args.calls, "routers": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
