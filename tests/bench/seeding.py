"""
The command `tests/bench/run seeding`: the import of AXB bindings against a raw COPY of their rows.

Both sides of a round load the very same rows into a database of their own on one server, with all
indexes and foreign keys, in one transaction. The raw COPY is given them packed, in memory.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from agi_router.bulk.copy_rows import copy_statement
from agi_router.db.connection import Connection, connect
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from harness.database import Server

from .cpu import Processes
from .fresh import fresh_database

ABOUT = """\
Bindings per second of `agi-router import`, and of a raw COPY of the same rows of binding and
route, interleaved in one run. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_PER_BLOCK = 20_000
_FIRST_BLOCK = 70012340000
_COPIES = ("copy_bindings", "copy_routes")
_PIECE = 2**18


@dataclass(frozen=True, slots=True)
class Sample:
    """
    One side of one round.

    Attributes:
        seconds: From the start to the commit; of the import with the start of the program.
        client: CPU seconds of the program and its workers, or of the raw COPY's client.
        server: CPU seconds of PostgreSQL.
    """

    seconds: float
    client: float
    server: float


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run seeding", description=ABOUT)
    parser.add_argument("--bindings", type=int, metavar="N", default=500_000)
    parser.add_argument("--rounds", type=int, metavar="N", default=3)
    parser.add_argument("--version", choices=("15", "18"), default="18", help="of PostgreSQL")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    if args.bindings < 1 or args.rounds < 1:
        parser.error("at least one binding, and one round")
    return args


class Bench:
    """
    One run on a server of its own.

    Args:
        server: The server.
        work: Directory for the file and the key.
        bindings: How many bindings.
    """

    def __init__(self, server: Server, work: Path, *, bindings: int) -> None:
        self._server = server
        self._bindings = bindings
        self._keys = KeyRing.generate()
        self._key_file = work / "key"
        self._file = work / "bindings.csv"
        write_key_ring(self._key_file, self._keys)
        with self._file.open("w") as out:
            out.write("mode,order,a,b,ttl\n")
            for i in range(bindings):
                # Spread over the range, as callers are.
                a, b = (f"{head}{i * 9973 % 10**8:08}" for head in ("138", "139"))
                out.write(f"axb,A-{i:08},{a},{b},2h\n")

    def round(self) -> tuple[Sample, Sample]:
        """Import the file, then copy what came of it into another database."""
        with self._database() as dsn:
            imported = self._import(dsn)
            rows = [self._dump(dsn, table) for table in ("binding", "route")]
        with self._database() as dsn:
            copied = self._copy(dsn, rows)
        return imported, copied

    def _database(self) -> AbstractContextManager[str]:
        blocks = -(-self._bindings // _PER_BLOCK)
        return fresh_database(self._server, self._keys, first=_FIRST_BLOCK, blocks=blocks)

    def _import(self, dsn: str) -> Sample:
        env = {
            "PATH": os.environ["PATH"],
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(self._key_file),
        }
        with self._measured(resource.RUSAGE_CHILDREN) as samples:
            done = subprocess.run(
                [_PROGRAM, "import", self._file, "--json"],
                env=env,
                check=True,
                capture_output=True,
            )
        assert json.loads(done.stdout)["bound"] == self._bindings
        return samples[0]

    def _dump(self, dsn: str, table: str) -> list[bytes]:
        name = "copy_bindings" if table == "binding" else "copy_routes"
        statement = copy_statement(name).replace(b"FROM STDIN", b"TO STDOUT")
        with connect(dsn) as connection, connection.cursor().copy(statement) as copy:
            whole = b"".join(map(bytes, copy))
        return [whole[i : i + _PIECE] for i in range(0, len(whole), _PIECE)]

    def _copy(self, dsn: str, tables: Sequence[Sequence[bytes]]) -> Sample:
        with connect(dsn) as connection, self._measured(resource.RUSAGE_SELF) as samples:
            _load(connection, tables)
        return samples[0]

    @contextmanager
    def _measured(self, who: int) -> Iterator[list[Sample]]:
        """Measure a block; the sample is there when it has ended."""
        samples: list[Sample] = []
        server, client, began = self._server_cpu(), _cpu(who), time.monotonic()
        yield samples
        seconds = time.monotonic() - began
        samples.append(Sample(seconds, _cpu(who) - client, self._server_cpu() - server))

    def _server_cpu(self) -> float:
        return Processes().cpu(self._server.pid)


def _load(connection: Connection, tables: Sequence[Sequence[bytes]]) -> None:
    with connection.transaction():
        for name, pieces in zip(_COPIES, tables, strict=True):
            with connection.cursor().copy(copy_statement(name)) as copy:
                for piece in pieces:
                    copy.write(piece)


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _result(
    rounds: Sequence[tuple[Sample, Sample]], about: dict[str, Any], bindings: int
) -> dict[str, Any]:
    ratios = sorted(copied.seconds / imported.seconds for imported, copied in rounds)
    sides = dict(zip(("import", "raw_copy"), zip(*rounds, strict=True), strict=True))
    return {
        "rate_vs_raw_copy": round(median(ratios), 3),
        "rate_vs_raw_copy_min": round(ratios[0], 3),
        "rate_vs_raw_copy_max": round(ratios[-1], 3),
        **{
            name: {
                "bindings_per_second": round(bindings / median(s.seconds for s in samples)),
                "client_cpu_us": round(10**6 * median(s.client for s in samples) / bindings, 1),
                "server_cpu_us": round(10**6 * median(s.server for s in samples) / bindings, 1),
            }
            for name, samples in sides.items()
        },
        **about,
        "samples": [{"import": asdict(i), "raw_copy": asdict(c)} for i, c in rounds],
    }


def _to_markdown(result: dict[str, Any]) -> str:
    rows = [
        f"| {name.replace('_', ' ')} | {side['bindings_per_second']:,}"
        f" | {side['client_cpu_us']} | {side['server_cpu_us']} |"
        for name in ("import", "raw_copy")
        for side in [result[name]]
    ]
    ratio = (
        f"rate of the import ÷ raw COPY: {result['rate_vs_raw_copy']:.2f}"
        f" ({result['rate_vs_raw_copy_min']:.2f}–{result['rate_vs_raw_copy_max']:.2f})"
        f" · PostgreSQL {result['postgresql']} · Python {result['python']}"
        f" · cores {result['cores']} · bindings {result['bindings']} · rounds {result['rounds']}"
    )
    head = ("| what | bindings/s | client CPU, µs/binding | server CPU, µs/binding |",)
    return "\n".join((*head, "| --- | --: | --: | --: |", *rows, "", ratio))


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with Server(args.version, durable=True) as server:
            bench = Bench(server, work, bindings=args.bindings)
            rounds = []
            for number in range(1, args.rounds + 1):
                rounds.append(bench.round())
                imported, copied = rounds[-1]
                print(
                    f"bench: round {number}: import {imported.seconds:.2f} s,"
                    f" raw COPY {copied.seconds:.2f} s",
                    file=sys.stderr,
                    flush=True,
                )
    finally:
        shutil.rmtree(work)
    about = {
        "postgresql": args.version,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "bindings": args.bindings,
        "rounds": args.rounds,
    }
    result = _result(rounds, about, args.bindings)
    print(_to_markdown(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
