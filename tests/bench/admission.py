"""
The command `tests/bench/run admission`: what it costs to admit a call.

Admissions per second of one router process, which hears of calls by ARI events, against pgbench
that runs the same statement with the same number of clients; in databases of several sizes.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import platform
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.calls.arrival import Call
from agi_router.db.connection import connect
from agi_router.db.queries import query
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from harness.database import Server, one

from .cpu import Processes
from .errors import BenchError
from .pgbench import pgbench
from .routers import calls_of, serving
from .scale import seeded
from .standin import StandIn

ABOUT = """\
Admissions per second of one router process ÷ pgbench on the same statement, and what the number of
routes does to both; interleaved. See tests/bench/README.md.
"""

_ROUTES = (10_000, 1_000_000, 10_000_000)
_QUICK_ROUTES = (10_000, 100_000)
_WARM_UP = 2
_COLUMN = re.compile(r"%\((\w+)\)s")


def say(text: str) -> None:
    """Report progress; standard output is for the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""

    def positive(text: str) -> int:
        if (value := int(text)) < 1:
            raise ValueError
        return value

    parser = argparse.ArgumentParser(prog="tests/bench/run admission", description=ABOUT)
    parser.add_argument(
        "--routes", type=positive, nargs="+", metavar="N", help="default: 10^4, 10^6 and 10^7"
    )
    parser.add_argument("--clients", type=positive, metavar="N", default=32)
    parser.add_argument("--quick", action="store_true", help="to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    args.routes = sorted(set(args.routes or (_QUICK_ROUTES if args.quick else _ROUTES)))
    args.rounds, args.seconds = (2, 3) if args.quick else (5, 8)
    return args


class Place:
    """
    One of the databases: calls that can be admitted in it, and both ways to admit them.

    Args:
        server: Where it is.
        dsn: How it is reached.
        keys: What it was filled with.
        work: Directory for its files, with the key ring.
        clients: How many admissions are under way at once.
    """

    def __init__(
        self, server: Server, dsn: str, keys: KeyRing, work: Path, *, clients: int
    ) -> None:
        self._server = server
        self._dsn = dsn
        self._work = work
        self._keys = work.parent / "key"
        self._clients = clients
        calls = calls_of(dsn, keys)
        self._calls = cycle(calls)
        self._script = work / "admit.sql"
        self._script.write_text(_script(calls, keys))
        with connect(dsn) as connection:
            connection.execute(query("ensure_days"))

    def router(self, *, seconds: int) -> dict[str, float]:
        """
        Admit calls by a router.

        Raises:
            BenchError: One was refused, or has no record.
        """
        self._forget()
        with (
            StandIn(self._calls) as pbx,
            serving(pbx.url, dsn=self._dsn, work=self._work, keys=self._keys) as process,
        ):
            pbx.meet()
            warm = pbx.call(waiting=self._clients, seconds=_WARM_UP)
            began, own = Processes(), time.process_time()
            crowd = pbx.call(waiting=self._clients, seconds=seconds)
            ended, own = Processes(), time.process_time() - own
            pbx.leave()
        admitted = len(crowd.waits)
        if self._reserved() != len(warm.waits) + admitted:
            raise BenchError("what the router has admitted is not what the database has")

        def cpu(pid: int) -> float:
            return 1000 * (ended.cpu(pid) - began.cpu(pid)) / admitted

        return {
            "per_second": admitted / crowd.seconds,
            "wait_ms_p50": median(crowd.waits),
            "wait_ms_p99": quantiles(crowd.waits, n=100)[98],
            "router_ms": cpu(process),
            "server_ms": cpu(self._server.pid),
            "standin_ms": 1000 * own / admitted,
        }

    def pgbench(self, *, seconds: int) -> dict[str, float]:
        """Admit calls by pgbench."""
        self._forget()
        began, client = Processes().cpu(self._server.pid), _children()
        rate = pgbench(
            self._server.program("pgbench"),
            self._dsn,
            [self._script],
            clients=self._clients,
            seconds=seconds,
        )
        admitted = rate * seconds
        server = Processes().cpu(self._server.pid) - began
        return {
            "pgbench_per_second": rate,
            "pgbench_ms": 1000 * (_children() - client) / admitted,
            "pgbench_server_ms": 1000 * server / admitted,
        }

    def _forget(self) -> None:
        """Delete all calls: a router asks about each one that it finds open when it starts."""
        with connect(self._dsn) as connection:
            connection.execute("TRUNCATE agi_router.call")

    def _reserved(self) -> int:
        with connect(self._dsn) as connection:
            return int(one(connection, "SELECT count(*) FROM agi_router.call"))


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _script(calls: Sequence[Call], keys: KeyRing) -> str:
    """
    The router's statement as a pgbench script that admits one of *calls* each time it is run.

    pgbench has no arrays of its own: who calls is found by halving.

    Raises:
        BenchError: The statement takes something that this module does not know.
    """
    statement = re.sub(r"--.*", "", query("admit").decode())
    values = {
        "block": ":block",
        "x_number": ":x_number",
        "tags": "ARRAY[:tag]::bigint[]",
        "call_id": ":call_id",
        "day": "current_date",
    }
    if unknown := set(_COLUMN.findall(statement)) - set(values):
        raise BenchError(f"admit takes {', '.join(sorted(unknown))}, which pgbench is not told")
    line = " ".join(_COLUMN.sub(lambda column: values[column[1]], statement).split())
    tags = [keys.tags(call.caller) for call in calls]
    return "\n".join(
        (
            rf"\set chosen random(0, {len(calls) - 1})",
            rf"\set x_number {_chosen([call.x_number.value for call in calls])}",
            r"\set block :x_number / 10000",
            rf"\set tag {_chosen([tag for tag, *_ in tags])}",
            r"\set call_id random(1, 9223372036854775807)",
            line.rstrip(";") + ";",
            "",
        )
    )


def _chosen(values: Sequence[int], first: int = 0) -> str:
    if len(values) == 1:
        return str(values[0])
    half = len(values) // 2
    low, high = _chosen(values[:half], first), _chosen(values[half:], first + half)
    return f"CASE WHEN :chosen < {first + half} THEN {low} ELSE {high} END"


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def measure(
    places: dict[int, Place], *, rounds: int, seconds: int
) -> dict[int, list[dict[str, float]]]:
    """Both ways in every database, in turn."""
    found: dict[int, list[dict[str, float]]] = {routes: [] for routes in places}
    for number in range(rounds + 1):
        for routes, place in places.items():
            sample = {**place.router(seconds=seconds), **place.pgbench(seconds=seconds)}
            say(
                f"round {number or 'to warm up'}: {routes:,} routes,"
                f" {sample['per_second']:.0f} admissions/s,"
                f" pgbench {sample['pgbench_per_second']:.0f}/s"
            )
            if number:
                found[routes].append(sample)
    return found


def summary(samples: dict[int, list[dict[str, float]]]) -> dict[str, Any]:
    """
    Make the result of it.

    The router ÷ pgbench is of the same round and database; the time of an admission ÷ that in the
    smallest database of the same round.
    """
    smallest, *_ = samples
    result: dict[str, Any] = {}
    for routes, rounds in samples.items():
        row = {name: _spread([each[name] for each in rounds]) for name in rounds[0]}
        row["admit_vs_pgbench"] = _spread(
            [each["per_second"] / each["pgbench_per_second"] for each in rounds]
        )
        for name, rate in (
            ("flatness", "per_second"),
            ("pgbench_flatness", "pgbench_per_second"),
        ):
            row[name] = _spread(
                [
                    small[rate] / large[rate]
                    for small, large in zip(samples[smallest], rounds, strict=True)
                ]
            )
        result[str(routes)] = row
    largest = list(result.values())[-1]
    return {
        # Of all databases, that in which the router does worst.
        "admit_vs_pgbench": min(row["admit_vs_pgbench"]["median"] for row in result.values()),
        "admit_flatness": largest["flatness"]["median"],
        "routes": result,
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
            places = {}
            for routes in args.routes:
                # A binding of this mode has two.
                dsn = stack.enter_context(seeded(server, work, keys, -(-routes // 2)))
                home = work / str(routes)
                home.mkdir()
                places[routes] = Place(server, dsn, keys, home, clients=args.clients)
            samples = measure(places, rounds=args.rounds, seconds=args.seconds)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work)
    about = {
        "clients": args.clients,
        "rounds": args.rounds,
        "seconds": args.seconds,
        "cores": os.cpu_count(),
        "postgresql": "18",
        "python": platform.python_version(),
    }
    result = {**summary(samples), **about}
    print(_to_markdown(result))
    print("\n" + " · ".join(f"{name} {value}" for name, value in about.items()))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _to_markdown(result: dict[str, Any]) -> str:
    columns = {
        "per_second": "router/s",
        "pgbench_per_second": "pgbench/s",
        "admit_vs_pgbench": "router ÷ pgbench",
        "flatness": "time ÷ smallest",
        "pgbench_flatness": "pgbench's",
        "router_ms": "router, CPU ms",
        "server_ms": "PostgreSQL",
        "standin_ms": "stand-in",
        "pgbench_ms": "pgbench",
        "pgbench_server_ms": "PostgreSQL",
        "wait_ms_p50": "wait p50, ms",
        "wait_ms_p99": "p99",
    }
    rows = [
        ("routes", *columns.values()),
        ("--:", *("--:" for _ in columns)),
        *(
            (f"{int(routes):,}", *(f"{row[name]['median']:,}" for name in columns))
            for routes, row in result["routes"].items()
        ),
    ]
    ratios = (
        f"router ÷ pgbench: {result['admit_vs_pgbench']:.2f} ·"
        f" largest ÷ smallest: {result['admit_flatness']:.2f}"
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{ratios}"


if __name__ == "__main__":
    sys.exit(main())
