"""
The command `tests/bench/run export`: `agi-router export-day` against a plain COPY of the calls.

Both sides of a round read the same calls of one day. The plain COPY writes its rows to a file, in
clear; the export writes JSONL, compressed, sealed and signed, and the program's start counts.
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
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from agi_router.db.connection import connect
from agi_router.exports.kinds import ZONE, bounds
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.records.chain import SigningKey
from harness.database import Server

from .cpu import Processes
from .fresh import fresh_database

ABOUT = """\
Seconds and memory of `agi-router export-day` for the calls of a day, and seconds of a plain COPY
of the same calls, interleaved in one run. See tests/bench/README.md.
"""

_PROGRAM = Path(sys.executable).parent / "agi-router"
_FIRST_BLOCK = 70012340000
_BLOCKS = 100
_FILL = """
INSERT INTO agi_router.call (block, id, day, x_number, received_at, ended_at, binding_id, shown,
                             tenant_id, ring_ms, talk_ms, cause, sip_status, side, state, outcome,
                             released_by)
SELECT %(block)s + n %% 100, 'pbx1-' || extract(epoch FROM t.at)::bigint || '.' || n,
       (t.at AT TIME ZONE 'UTC')::date, (%(block)s + n %% 100) * 10000 + n %% 10000, t.at,
       t.at + interval '1 minute', n, (%(block)s + n %% 100) * 10000 + n %% 10000, 1, 1200, 30000,
       16, 200, 'a', 'settled', 'answered', 'caller'
  FROM generate_series(0, %(calls)s::bigint - 1) n
 CROSS JOIN LATERAL (
       SELECT %(since)s::timestamptz + n * (interval '1 day' / %(calls)s) AS at) t
"""


@dataclass(frozen=True, slots=True)
class Side:
    """
    One side of a round.

    Attributes:
        seconds: From the start to the end; of the export with the start of the program.
        client: CPU seconds of the program, or of the plain COPY's client.
        server: CPU seconds of PostgreSQL.
    """

    seconds: float
    client: float
    server: float

    @property
    def cpu(self) -> float:
        """CPU seconds of both."""
        return self.client + self.server


@dataclass(frozen=True, slots=True)
class Sample:
    """
    One round.

    Attributes:
        export: The export.
        plain: The plain COPY.
        megabytes: The most memory that the command had, its libraries included.
    """

    export: Side
    plain: Side
    megabytes: float


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run export", description=ABOUT)
    parser.add_argument("--calls", type=int, metavar="N", default=1_000_000)
    parser.add_argument("--rounds", type=int, metavar="N", default=3)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    if args.calls < 1 or args.rounds < 1:
        parser.error("at least one call, and one round")
    return args


class Bench:
    """
    One run on a database with calls of a day.

    Args:
        server: The server.
        dsn: The database.
        keys: Its keys.
        work: Directory for files.
        calls: How many calls.
    """

    def __init__(self, server: Server, dsn: str, keys: KeyRing, work: Path, *, calls: int) -> None:
        self._server = server
        self._dsn = dsn
        self._work = work
        self._calls = calls
        self._day = (datetime.now(ZONE) - timedelta(days=3)).date()
        write_key_ring(work / "ring", keys)
        key = X25519PrivateKey.generate().public_key()
        work.joinpath("recipient.pem").write_bytes(
            key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        signing = work / "key"
        signing.write_text(SigningKey.generate().to_pem())
        signing.chmod(0o600)
        since, until = bounds(self._day)
        with connect(dsn, idle=3600) as connection:
            check_keys(connection, keys)
            connection.execute(
                b"SELECT agi_router.ensure_days('call', %s, %s)", [since.date(), until.date()]
            )
            connection.execute(
                _FILL.encode(), {"block": _FIRST_BLOCK, "since": since, "calls": calls}
            )
            connection.execute(b"VACUUM ANALYZE agi_router.call")

    def round(self) -> Sample:
        """Copy the calls, then export them."""
        with self._measured(resource.RUSAGE_SELF) as plain:
            self._copy()
        with self._measured(resource.RUSAGE_CHILDREN) as export:
            self._export()
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        return Sample(export[0], plain[0], memory)

    @contextmanager
    def _measured(self, who: int) -> Iterator[list[Side]]:
        """Measure a block; the side is there when it has ended."""
        sides: list[Side] = []
        server, client, began = self._server_cpu(), _cpu(who), time.monotonic()
        yield sides
        seconds = time.monotonic() - began
        sides.append(Side(seconds, _cpu(who) - client, self._server_cpu() - server))

    def _server_cpu(self) -> float:
        return Processes().cpu(self._server.pid)

    def _export(self) -> None:
        out = self._work / "out"
        done = subprocess.run(
            [
                *(_PROGRAM, "export-day", self._day.isoformat(), "--json"),
                *("--to", out, "--recipient", self._work / "recipient.pem"),
                *("--signing-key", self._work / "key"),
            ],
            env={
                "PATH": os.environ["PATH"],
                "AGI_ROUTER_DSN": self._dsn,
                "AGI_ROUTER_KEY_FILE": str(self._work / "ring"),
            },
            check=True,
            capture_output=True,
        )
        assert json.loads(done.stdout)[0]["calls"] == self._calls
        shutil.rmtree(out)

    def _copy(self) -> None:
        since, until = bounds(self._day)
        statement = (
            "COPY (SELECT * FROM agi_router.call"
            f" WHERE day BETWEEN '{since.date()}' AND '{until.date()}') TO STDOUT"
        )
        path = self._work / "plain"
        with (
            connect(self._dsn) as connection,
            path.open("wb") as out,
            connection.cursor().copy(statement.encode()) as copy,
        ):
            for row in copy:
                out.write(row)
        path.unlink()


def _cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def _result(rounds: Sequence[Sample], about: dict[str, Any]) -> dict[str, Any]:
    ratios = sorted(each.export.seconds / each.plain.seconds for each in rounds)
    sides = {
        "export-day": [each.export for each in rounds],
        "plain COPY": [each.plain for each in rounds],
    }
    return {
        "time_vs_plain_copy": round(median(ratios), 2),
        "time_vs_plain_copy_min": round(ratios[0], 2),
        "time_vs_plain_copy_max": round(ratios[-1], 2),
        "cpu_vs_plain_copy": round(median(each.export.cpu / each.plain.cpu for each in rounds), 2),
        "megabytes": round(max(each.megabytes for each in rounds)),
        "sides": {
            name: {
                part: round(median(getattr(each, part) for each in side), 2)
                for part in ("seconds", "client", "server")
            }
            for name, side in sides.items()
        },
        **about,
        "samples": [asdict(each) for each in rounds],
    }


def _to_markdown(result: dict[str, Any]) -> str:
    rows = [
        f"| {name} | {side['seconds']} | {side['client']} | {side['server']} |"
        for name, side in result["sides"].items()
    ]
    ratio = (
        f"time of the export ÷ plain COPY: {result['time_vs_plain_copy']:.2f}"
        f" ({result['time_vs_plain_copy_min']:.2f}–{result['time_vs_plain_copy_max']:.2f})"
        f" · CPU {result['cpu_vs_plain_copy']:.2f} · {result['megabytes']} MB"
        f" · Python {result['python']} · cores {result['cores']} · calls {result['calls']}"
        f" · rounds {result['rounds']}"
    )
    head = ("| what | s | client CPU, s | server CPU, s |", "| --- | --: | --: | --: |")
    return "\n".join((*head, *rows, "", ratio))


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    keys = KeyRing.generate()
    try:
        with (
            Server("18", durable=True) as server,
            fresh_database(server, keys, first=_FIRST_BLOCK, blocks=_BLOCKS) as dsn,
        ):
            bench = Bench(server, dsn, keys, work, calls=args.calls)
            rounds = []
            for number in range(1, args.rounds + 1):
                rounds.append(bench.round())
                print(f"bench: round {number}: {rounds[-1]}", file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(work)
    about = {
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "calls": args.calls,
        "rounds": args.rounds,
    }
    result = _result(rounds, about)
    print(_to_markdown(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
