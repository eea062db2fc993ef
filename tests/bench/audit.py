"""
The command `tests/bench/run audit`: what a bind notices of the audit, and a look at all of it.

Binds of several processes are counted alone, and beside one that writes rows of the audit and
signs each, in turn; a bind waits for no chain. With --cpu one client binds alone, beside that one,
beside one that does the same in another database, which shares the machine alone, and with a row
of the audit of its own; a few binds each in turn, and the CPU of each is taken.
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
from datetime import timedelta
from itertools import count
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
from .cpu import Taken
from .crew import work_together
from .fresh import fresh_database

ABOUT = """\
Binds per second beside a writer and signer of the audit ÷ alone, interleaved; and how long
`audit verify` takes for many rows. See tests/bench/README.md.
"""

_FIRST = 70012340000
# Binds of a turn, and turns before they count.
_BINDS = 100
_WARM = 5
_CLIENTS = 4
_ROOM = 100_000
# Seconds between two heads, which are an hour apart in service.
_PAUSE = 0.2
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
        "--cpu", type=int, metavar="N", help="instead: CPU of a bind, over N turns of each kind"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    return parser.parse_args()


class Signing:
    """
    A process that writes rows of the audit and signs each, until it is ended.

    Args:
        dsn: The database.
        work: Directory for key and heads.
    """

    def __init__(self, dsn: str, work: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self._over = context.Event()
        self.held = context.Event()
        """As long as it is set, nothing is written."""
        events = self._over, self.held
        self._process = context.Process(target=write_and_sign, args=(dsn, work, *events))

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._process.join()


def write_and_sign(dsn: str, work: Path, over: Any, held: Any) -> None:
    """Write a row and sign the audit, again and again; as two connections."""
    key = SigningKey.parse((work / "signing").read_bytes())
    with connect(dsn) as writer, connect(dsn) as signer:
        audit, chain = Audit(Queries(writer)), AuditChain(Queries(signer))
        while not over.wait(_PAUSE):
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
    dsn: str, elsewhere: str, keys: KeyRing, work: Path, turns: int
) -> dict[str, Any]:
    """
    Microseconds of CPU of a bind, of PostgreSQL's backend and of the client: medians of turns.

    A bind with a row of its own is one by hand, in one transaction with its row of the audit.
    """
    kinds = ["alone", "beside", "elsewhere", "row"]
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

        with Signing(dsn, work) as here, Signing(elsewhere, work / "elsewhere") as there:
            for number in range(_WARM + turns):
                # Whichever comes first finds the caches as the last one has left them.
                shuffle(kinds)
                for kind in kinds:
                    for signing, of in ((here, "beside"), (there, "elsewhere")):
                        (signing.held.clear if kind == of else signing.held.set)()
                    turn(kind)
                if number < _WARM:
                    for found in taken.values():
                        found.clear()
    medians = {
        kind: tuple(median(each[place] for each in found) for place in (0, 1))
        for kind, found in taken.items()
    }
    ratios = {
        f"{kind}_vs_{other}": round(
            median(sum(a) / sum(b) for a, b in zip(taken[kind], taken[other], strict=True)), 3
        )
        for kind, other in (("beside", "elsewhere"), ("beside", "alone"), ("row", "alone"))
    }
    return {
        f"{kind}_{where}_us": round(medians[kind][place], 1)
        for kind in medians
        for place, where in enumerate(("server", "client"))
    } | ratios


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
                    result = cpu_of_binds(dsn, elsewhere, keys, work, args.cpu)
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
