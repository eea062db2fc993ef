"""
The command `tests/bench/run binding`: what it costs to bind.

Single binds per second of the program against pgbench that runs the same statements, with the same
number of clients; and a bind in a block that is nearly full against one in an empty block.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from psycopg.rows import dict_row

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import Connection, connect
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from harness.database import Server

from .cpu import Processes
from .crew import work_together
from .errors import BenchError
from .fresh import fresh_database
from .pgbench import Recorder, pgbench, script

ABOUT = """\
Single binds per second ÷ pgbench running the same statements, and a bind in a block of which 95 %
cannot be had ÷ a bind in an empty one; interleaved. See tests/bench/README.md.
"""

_CLIENTS = 8
_BLOCKS = 10
_FIRST = 70012340000
# Each with candidates of its own, so that pgbench's clients do not all look at the same numbers.
_SCRIPTS = 64
_TAKEN = 9_500
_ROOM = 100_000
_DAY = timedelta(days=1)
QUARANTINE = Quarantine(number=timedelta(hours=1), party=_DAY)
# By then a session has planned what binding asks.
_FIRST_BINDS = 40


def say(text: str) -> None:
    """Report progress; standard output is for the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run binding", description=ABOUT)
    parser.add_argument("--quick", action="store_true", help="to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    args.rounds, args.seconds, args.binds = (1, 2, 50) if args.quick else (5, 8, 400)
    return args


def party(serial: int) -> PhoneNumber:
    """A number of its own for each serial, spread over the range as parties are."""
    return PhoneNumber(digits=f"13{serial // 10**8}{serial * 9973 % 10**8:08}")


def parties(serial: int) -> Axb:
    """Two parties who were never bound before."""
    return Axb(a=party(2 * serial), b=party(2 * serial + 1))


class Bench:
    """
    One run on a server of its own.

    Args:
        server: The server.
        work: Directory for the scripts.
    """

    def __init__(self, server: Server, work: Path) -> None:
        self._server = server
        self._work = work
        self._keys = KeyRing.generate()
        # Room for as many binds as one client makes.
        self._serials = count(0, _CLIENTS * _ROOM)

    def database(self) -> AbstractContextManager[str]:
        """A database of its own, with blocks."""
        return fresh_database(self._server, self._keys, first=_FIRST, blocks=_BLOCKS)

    def rates(self, *, seconds: int) -> dict[str, float]:
        """Binds per second and PostgreSQL's CPU per bind, of the program and of pgbench."""
        with self.database() as dsn:
            first = next(self._serials)
            # A ring does not travel as it is.
            work = [
                (dsn, self._keys.to_text(), first + _ROOM * each, seconds)
                for each in range(_CLIENTS)
            ]
            ours = work_together(binder, work, self._cpu)
        with self.database() as dsn:
            scripts = self._scripts(dsn)
            before = self._cpu()
            rate = pgbench(
                self._server.program("pgbench"), dsn, scripts, clients=_CLIENTS, seconds=seconds
            )
            theirs = rate, (self._cpu() - before) / (rate * seconds)
        return {
            "binds_per_second": ours.count / ours.seconds,
            "pgbench_per_second": theirs[0],
            "server_ms": 1000 * ours.server / ours.count,
            "pgbench_server_ms": 1000 * theirs[1],
        }

    def _scripts(self, dsn: str) -> list[Path]:
        files = []
        for serial in range(_SCRIPTS):
            with Recorder.connect(dsn, autocommit=True, row_factory=dict_row) as recorder:
                store = BindingStore(recorder, self._keys, QUARANTINE)
                terms = Terms(expires_at=store.now() + _DAY)
                # Who has bound twice is no longer asked where.
                for _ in range(3):
                    recorder.asked.clear()
                    store.bind(parties(next(self._serials)), terms)
                file = self._work / f"bind-{serial}.sql"
                file.write_text(script(recorder))
                files.append(file)
        return files

    def _cpu(self) -> float:
        return Processes().cpu(self._server.pid)

    def full(self, dsn: str, *, binds: int) -> dict[str, list[float]]:
        """
        Milliseconds of single binds, in turn.

        In an empty block; in one of which 95 % rests; by a party that is on 95 % of one already.
        """
        with connect(dsn) as connection:
            store = BindingStore(connection, self._keys, QUARANTINE)
            resting, held, courier = self._fill(connection, store)
            found: dict[str, list[float]] = {"empty": [], "resting": [], "held": []}
            fresh = count(next(self._serials))
            for _ in range(binds):
                for name, tenant in (("empty", "empty"), ("resting", resting), ("held", held)):
                    pair = parties(next(fresh))
                    if name == "held":
                        pair = Axb(a=courier, b=pair.b)
                    terms = Terms(expires_at=store.now() + _DAY, tenant=tenant)
                    began = time.perf_counter()
                    made = store.bind(pair, terms)
                    found[name].append(1000 * (time.perf_counter() - began))
                    # The blocks stay as full as they are: what was made leaves no trace.
                    for table, key in (("route", "binding_id"), ("binding", "id")):
                        connection.execute(
                            f"DELETE FROM agi_router.{table}"
                            f" WHERE block = %s AND {key} = %s".encode(),
                            (made.id.block.value, made.id.id),
                        )
        return found

    def _fill(self, connection: Connection, store: BindingStore) -> tuple[str, str, PhoneNumber]:
        inventory = store.inventory
        courier = party(next(self._serials))
        for place, tenant in enumerate(("empty", "resting", "held")):
            inventory.tenants.add(tenant)
            block = Block(value=_FIRST + 100 + place)
            inventory.add_block(block, operator=None, certificate=None, tenant=tenant)
            if tenant == "empty":
                continue
            terms = Terms(expires_at=store.now() + _DAY, tenant=tenant, order_id=tenant)
            first = next(self._serials)
            with connection.transaction():
                for serial in range(_TAKEN):
                    pair = parties(first + serial)
                    if tenant == "held":
                        pair = Axb(a=courier, b=pair.b)
                    store.bind(pair, terms, x=XNumber(value=block.number(serial).value))
                if tenant == "resting":
                    store.end_order(tenant)
        for table in ("binding", "route", "past_route"):
            connection.execute(f"VACUUM ANALYZE agi_router.{table}".encode())
        return "resting", "held", courier


@contextmanager
def binder(dsn: str, keys: str, first: int, seconds: int) -> Iterator[Callable[[], int]]:
    """One client, who binds one after the other for a time: see :mod:`bench.crew`."""
    with connect(dsn) as connection:
        store = BindingStore(connection, KeyRing.parse(keys), QUARANTINE)
        terms = Terms(expires_at=store.now() + _DAY)
        serials = count(first)
        for _ in range(_FIRST_BINDS):
            store.bind(parties(next(serials)), terms)

        def bind() -> int:
            until = time.monotonic() + seconds
            for made in count(1):
                store.bind(parties(next(serials)), terms)
                if time.monotonic() >= until:
                    return made
            raise AssertionError

        yield bind


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with Server("18", durable=True) as server:
            bench = Bench(server, work)
            rounds = []
            for number in range(1, args.rounds + 1):
                one = bench.rates(seconds=args.seconds)
                rounds.append(one)
                say(
                    f"round {number}: {one['binds_per_second']:.0f} binds/s,"
                    f" pgbench {one['pgbench_per_second']:.0f}/s"
                )
            with bench.database() as dsn:
                say("filling blocks")
                times = bench.full(dsn, binds=args.binds)
    except BenchError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(work)
    result = {
        "bind_vs_pgbench": _spread(
            [one["binds_per_second"] / one["pgbench_per_second"] for one in rounds]
        ),
        **{name: _spread([one[name] for one in rounds]) for name in rounds[0]},
        **{f"{name}_ms": _spread(times[name]) for name in times},
        "resting_vs_empty": round(median(times["resting"]) / median(times["empty"]), 3),
        "held_vs_empty": round(median(times["held"]) / median(times["empty"]), 3),
        "clients": _CLIENTS,
        "cores": os.cpu_count(),
        "postgresql": "18",
        "python": platform.python_version(),
    }
    print(_to_markdown(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _to_markdown(result: dict[str, Any]) -> str:
    rows = [
        ("what", "median", "min", "max"),
        ("---", "--:", "--:", "--:"),
        *(
            (name.replace("_", " "), *(f"{value[key]:,}" for key in ("median", "min", "max")))
            for name, value in result.items()
            if isinstance(value, dict)
        ),
    ]
    ratios = " · ".join(
        f"{name.replace('_vs_', ' ÷ ')}: {result[name]:.2f}"
        for name in ("resting_vs_empty", "held_vs_empty")
    )
    about = " · ".join(
        f"{name} {result[name]}" for name in ("clients", "cores", "postgresql", "python")
    )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{ratios}\n{about}"


if __name__ == "__main__":
    sys.exit(main())
