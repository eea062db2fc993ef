"""
The command `tests/bench/run audit`: what a bind notices of the audit, and a look at all of it.

Binds of several processes are counted alone, and beside one that writes rows of the audit and
signs each, in turn; a bind waits for no chain. With --cpu one client binds beside that one, and
beside one that does the same in another database, which shares the machine alone; a few binds each
in turn, and the CPU of each is taken, until it is sure on which side of the bar the ratio lies.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import count
from math import sqrt
from pathlib import Path
from random import shuffle
from statistics import median
from typing import Any, Self

from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import Queries, connect
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.records.audit import Audit, AuditEntry
from agi_router.records.chain import Algorithm, SigningKey
from agi_router.records.heads import open_heads, read_heads
from agi_router.records.signing import AuditChain
from harness.database import Server, database_of

from .binding import QUARANTINE, binder, parties, say
from .cpu import Taken, favour
from .crew import work_together
from .fresh import fresh_database

ABOUT = """\
Binds per second beside a writer and signer of the audit ÷ alone, interleaved; and how long
`audit verify` takes for many rows. See tests/bench/README.md.
"""

_FIRST = 70012340000
# Binds of a turn, turns before they count, and after how many it is looked whether that is enough.
_BINDS = 100
_WARM = 10
_LOOK = 50
_BAR = 1.03
_CLIENTS = 4
_ROOM = 100_000
# Seconds between two heads, which are an hour apart in service; and where CPU is taken.
_PAUSE = 0.2
_SHORT_PAUSE = 0.02
_ENTRY = AuditEntry(act="bench", subject="binding", reason=None)
_FILL = """
INSERT INTO agi_router.audit (uid, name, effective_uid, host, act, subject)
SELECT 0, 'root', 0, 'bench', 'bench', 'row ' || n FROM generate_series(1, %s) n
"""


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""
    parser = argparse.ArgumentParser(prog="tests/bench/run audit", description=ABOUT)
    parser.add_argument("--rows", type=int, metavar="N", default=100_000, help="to verify")
    parser.add_argument("--rounds", type=int, metavar="N", default=7)
    parser.add_argument("--seconds", type=int, metavar="S", default=5)
    parser.add_argument(
        "--cpu",
        type=int,
        metavar="N",
        help="instead: CPU of a bind, over N turns of each kind at most; root runs it by the"
        " real-time scheduler, so that nobody else has its core",
    )
    parser.add_argument(
        "--row", action="store_true", help="with --cpu: also a bind with a row of its own"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser.parse_args()


class Signing:
    """
    A process that writes rows of the audit and signs each, until it is ended.

    Args:
        dsn: The database.
        work: Directory for key and heads.
        pause: Seconds between two.
        favoured: Whether it may have a core whenever it wants one.
    """

    def __init__(
        self, dsn: str, work: Path, *, pause: float = _PAUSE, favoured: bool = False
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._over = context.Event()
        self.held = context.Event()
        """As long as it is set, nothing is written."""
        given = (dsn, work, self._over, self.held, pause, favoured)
        self._process = context.Process(target=write_and_sign, args=given)

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._process.join()


def write_and_sign(
    dsn: str,
    work: Path,
    over: Any,
    held: Any,
    pause: float,
    favoured: bool,  # noqa: FBT001
) -> None:
    """Write a row and sign the audit, again and again; as two connections."""
    key = SigningKey.parse((work / "signing").read_bytes())
    with connect(dsn) as writer, connect(dsn) as signer:
        audit, chain = Audit(Queries(writer)), AuditChain(Queries(signer))
        if favoured:
            favour(os.getpid(), writer.info.backend_pid, signer.info.backend_pid)
        while not over.wait(pause):
            if held.is_set():
                continue
            audit.record(_ENTRY)
            with open_heads(work / "heads") as heads:
                chain.sign(heads, key, Algorithm.SHA256)


def binds(dsn: str, keys: str, serials: "count[int]", *, seconds: int) -> float:
    """Binds per second of some processes."""
    work = [(dsn, keys, next(serials), seconds) for _ in range(_CLIENTS)]
    done = work_together(binder, work)
    return done.count / done.seconds


def cpu_of_binds(
    dsn: str, elsewhere: str, keys: KeyRing, work: Path, turns: int, *, row: bool
) -> dict[str, Any]:
    """
    Microseconds of CPU of a bind, of PostgreSQL's backend and of the client: medians of turns.

    A ratio is the median of those of turns that followed each other, with the bounds between
    which it is with 95 %: no mean, because what else runs on a machine costs some turns many times
    as much. A bind with a row of its own is one by hand, in one transaction with that row.
    """
    kinds = ["beside", "elsewhere", *(["row", "alone"] if row else [])]
    taken: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    (work / "elsewhere").mkdir()
    (work / "elsewhere" / "signing").write_text((work / "signing").read_text())
    with connect(dsn) as connection:
        store, audit = BindingStore(connection, keys, QUARANTINE), Audit(Queries(connection))
        serials = count(_CLIENTS * _ROOM)
        terms = Terms(expires_at=store.now() + timedelta(days=1))
        backend = connection.info.backend_pid

        def turn(kind: str) -> None:
            server, client = Taken.by(backend), time.process_time_ns()
            for _ in range(_BINDS):
                with connection.transaction():
                    store.bind(parties(next(serials)), terms)
                    if kind == "row":
                        audit.record(_ENTRY)
            mine = time.process_time_ns() - client
            spent = (Taken.by(backend) - server).cpu
            taken[kind].append((spent / _BINDS / 1000, mine / _BINDS / 1000))

        with (
            Signing(dsn, work, pause=_SHORT_PAUSE, favoured=True) as here,
            Signing(elsewhere, work / "elsewhere", pause=_SHORT_PAUSE, favoured=True) as there,
        ):
            favour(os.getpid(), backend)
            for number in range(_WARM + turns):
                # Whichever comes first finds the caches as the last one has left them.
                shuffle(kinds)
                for kind in kinds:
                    for signing, of in ((here, "beside"), (there, "elsewhere")):
                        (signing.held.clear if kind == of else signing.held.set)()
                    turn(kind)
                if number == _WARM - 1:
                    for found in taken.values():
                        found.clear()
                elif is_sure(taken["beside"], taken["elsewhere"]):
                    break
    signed = len(read_heads(work / "heads")) / (len(taken["beside"]) + _WARM)
    return told(taken) | {"signed_in_a_turn": round(signed, 1)}


def told(taken: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, Any]:
    """What was measured, by name."""
    said: dict[str, Any] = {
        f"{kind}_{where}_us": round(median(each[place] for each in found), 1)
        for kind, found in taken.items()
        for place, where in enumerate(("server", "client"))
    }
    for kind, other in (("beside", "elsewhere"), ("row", "alone")):
        if kind in taken:
            low, ratio, high = bounds(taken[kind], taken[other])
            said[f"{kind}_vs_{other}"] = f"{ratio:.3f} ({low:.3f} to {high:.3f})"
    return said | {"turns": len(taken["beside"]), "binds_of_a_turn": _BINDS}


def is_sure(ones: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]) -> bool:
    """Whether the ratio lies on one side of the bar; it is looked now and then."""
    if not ones or len(ones) % _LOOK:
        return False
    low, ratio, high = bounds(ones, others)
    say(f"{len(ones)} turns: {ratio:.3f} ({low:.3f} to {high:.3f})")
    return high <= _BAR or low > _BAR


def bounds(
    ones: Sequence[tuple[float, float]], others: Sequence[tuple[float, float]]
) -> tuple[float, float, float]:
    """
    The median of the ratios of turns, between the ranks that hold it with 95 %.
    """
    ratios = sorted(sum(one) / sum(other) for one, other in zip(ones, others, strict=True))
    away = sqrt(len(ratios))
    first, last = (round(len(ratios) / 2 + each * 0.98 * away) for each in (-1, 1))
    return ratios[max(first - 1, 0)], median(ratios), ratios[min(last, len(ratios) - 1)]


def verify(server: Server, dsn: str, work: Path, rows: int) -> dict[str, Any]:
    """Seconds to sign many rows at once, and to verify them."""
    key = SigningKey.parse((work / "signing").read_bytes())
    with server.admin(database_of(dsn)) as admin:
        admin.execute(_FILL.encode(), [rows])
    with connect(dsn) as connection:
        chain = AuditChain(Queries(connection))
        began = time.monotonic()
        with open_heads(work / "heads") as heads:
            head = chain.sign(heads, key, Algorithm.SHA256)
        signed = time.monotonic()
        verdict = chain.verify(read_heads(work / "heads"), [key.partner])
        verified = time.monotonic()
    assert not verdict.findings
    assert head.position >= rows
    return {
        "sign_seconds": round(signed - began, 1),
        "verify_seconds": round(verified - signed, 1),
    }


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    (work / "signing").write_text(SigningKey.generate().to_pem())
    keys, serials = KeyRing.generate(), count(0, _ROOM)
    rounds = []
    try:
        with (
            Server("18", durable=True) as server,
            fresh_database(server, keys, first=_FIRST, blocks=20) as dsn,
        ):
            with connect(dsn) as connection:
                check_keys(connection, keys)
            if args.cpu:
                with fresh_database(server, keys, first=_FIRST, blocks=1) as elsewhere:
                    result = cpu_of_binds(dsn, elsewhere, keys, work, args.cpu, row=args.row)
                tell(result, args.json)
                return 0
            for number in range(1, args.rounds + 1):
                alone = binds(dsn, keys.to_text(), serials, seconds=args.seconds)
                with Signing(dsn, work):
                    beside = binds(dsn, keys.to_text(), serials, seconds=args.seconds)
                rounds.append((alone, beside))
                say(f"round {number}: {alone:.0f} binds/s alone, {beside:.0f} beside")
            result = verify(server, dsn, work, args.rows)
    finally:
        shutil.rmtree(work)
    result |= {
        "beside_vs_alone": round(median(beside / alone for alone, beside in rounds), 3),
        "alone_per_second": round(median(alone for alone, _ in rounds)),
        "beside_per_second": round(median(beside for _, beside in rounds)),
        "rows": args.rows,
        "rounds": args.rounds,
        "cores": len(os.sched_getaffinity(0)),
    }
    tell(result, args.json)
    return 0


def tell(result: dict[str, Any], file: Path | None) -> None:
    """Print a result, and write it to a file if one is named."""
    for name, value in result.items():
        print(f"{name:18} {value}")
    if file:
        file.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
