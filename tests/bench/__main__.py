"""The command `tests/bench/run`."""

# ruff: noqa: T201  (a command prints)

import argparse
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agi_router.errors import AgiRouterError
from agi_router.settings import Settings
from testpbx import processes
from testpbx.waiting import until

from .asterisk import Asterisk
from .books import BINDINGS, Books, Count
from .cpu import Processes
from .errors import BenchError
from .phones import Load, Phones
from .report import SERVERS, Result, Sample
from .variants import PREFIX, Variant

ABOUT = """\
CPU per call of the shipped call path and of other ways to account for the end of a call, as a
ratio to a plain Dial() on the same Asterisk, all in one run. See tests/bench/README.md.
"""
CODES = "exit codes: 0 measured; 1 calls failed, or nothing could be measured; 2 usage"

_CHECKOUT = Path(__file__).resolve().parents[2]
_PBX = str(_CHECKOUT / "docker/pbx")
_WARM_UP = 100
# Seconds after the last call of every variant, so that all windows are alike: five visits of
# the router to its journal.
_REST = 1.0
_PATIENCE = 30.0
# SIPp sends less than it is told to when it gets no CPU.
_RATE_REACHED = 0.95


def say(text: str) -> None:
    """Report progress; standard output is for the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    """Parse the command line; exits with 2 if it is none of ours."""

    def positive(text: str) -> int:
        if (value := int(text)) < 1:
            raise ValueError
        return value

    parser = argparse.ArgumentParser(
        prog="tests/bench/run",
        description=ABOUT,
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="2 rounds of 300 calls: to see that it works"
    )
    parser.add_argument("--rounds", type=positive, metavar="N", help="default 5")
    parser.add_argument("--rate", type=positive, metavar="R", default=100, help="calls per second")
    parser.add_argument(
        "--calls", type=positive, metavar="N", help="calls per variant and round, default 2000"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there too")
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.calls = args.calls or (300 if args.quick else 2000)
    return args


@contextmanager
def pbx_up() -> Iterator[dict[str, Any]]:
    """Let the test PBX run for the time of a block; gives what `pbx up --json` says of it."""
    # Our own database: the one of the caller's environment could not be measured.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AGI_ROUTER_", "PG"))}
    # One variant measures call records, which the shipped profile has not.
    env["AGI_ROUTER_UNSAFE_PROFILE"] = "modules/cdr_custom.so"

    def pbx(*command: str) -> str:
        done = subprocess.run([_PBX, *command], check=False, stdout=subprocess.PIPE, env=env)
        if done.returncode and command[0] != "status":
            raise BenchError(f"docker/pbx {command[0]} failed")
        return done.stdout.decode()

    if pbx("status").strip() != "down":
        raise BenchError("a PBX is up; run ./docker/pbx down first")
    try:
        yield json.loads(pbx("up", "--engine", "rootfs", "--json"))
    finally:
        pbx("down")


class Bench:
    """
    One run on a PBX that is up.

    Args:
        pbx: What `pbx up --json` said.
        work: Directory for the traces.
        rate: Calls per second.
    """

    def __init__(self, pbx: dict[str, Any], work: Path, *, rate: int) -> None:
        self._env: dict[str, str] = pbx["env"]
        self._settings = Settings.from_env(self._env)
        self._asterisk = Asterisk(Path(pbx["rootfs"]))
        self._phones = Phones(work, sip=pbx["sip"], carrier_out=pbx["carrier_out"])
        state = Path(pbx["logs"]).parent
        self._pids = {
            name: processes.running(state / f"{name}.pid") for name in (*SERVERS, "fastagi")
        }
        self._rate = rate
        self._runs = 0

    def run(self, *, rounds: int, calls: int) -> Result:
        """Prepare, warm up, measure."""
        with Books.opened(self._settings) as books:
            say(f"making {BINDINGS} bindings")
            pairs = books.bind()
            self._asterisk.prepare()
            say("warming up")
            for variant in Variant:
                self._tell(
                    self._measure(books, variant, pairs, number=0, calls=min(_WARM_UP, calls))
                )
            samples: list[Sample] = []
            for number in range(1, rounds + 1):
                # The same pairs in the same order for all variants of a round.
                random.Random(number).shuffle(pairs)  # noqa: S311 - no secret
                for variant in Variant:
                    for _ in range(2):
                        sample = self._measure(books, variant, pairs, number=number, calls=calls)
                        samples.append(sample)
                        self._tell(sample)
                        if not sample.faults:
                            break
            about = {
                "asterisk": self._asterisk.version,
                "postgresql": books.version,
                "python": platform.python_version(),
                "cores": os.cpu_count(),
                "rate": self._rate,
                "rounds": rounds,
                "calls": calls,
                "bindings": BINDINGS,
            }
        return Result(about=about, samples=samples)

    def _measure(
        self,
        books: Books,
        variant: Variant,
        pairs: list[tuple[str, str]],
        *,
        number: int,
        calls: int,
    ) -> Sample:
        self._runs += 1
        dialled = [(caller, PREFIX[variant] + x) for caller, x in pairs]
        with self._set_up(variant) as reader:
            since, began = books.now(), time.monotonic()
            before = self._cpu(reader, books)
            load = self._phones.call(
                f"{self._runs:03}-{variant}", dialled, calls=calls, rate=self._rate
            )
            time.sleep(_REST)
            if variant.settles:
                until(
                    lambda: (count := books.count(since)).calls >= calls and not count.reserved,
                    timeout=_PATIENCE,
                )
            after = self._cpu(reader, books)
            seconds = time.monotonic() - began
        count = books.count(since)
        books.close_open()
        faults = _faults(variant, load, count, calls)
        if load.rate < _RATE_REACHED * self._rate:
            faults.append(f"disturbed: only {load.rate:.1f} calls/s were sent")
        return Sample(
            variant=variant,
            round=number,
            calls=calls,
            seconds=seconds,
            cpu={server: after[server] - before[server] for server in SERVERS},
            delays=load.delays,
            rate=load.rate,
            faults=tuple(faults),
            # Messages sent again disturb the measurement, but no call.
            failed=any(not fault.startswith("disturbed") for fault in faults),
        )

    @contextmanager
    def _set_up(self, variant: Variant) -> Iterator[int | None]:
        """What a variant needs beside its dialplan; gives the pid of its reader."""
        match variant:
            case Variant.STASIS:
                with self._reader("stasis") as reader:
                    yield reader
            case Variant.CDR:
                with (
                    self._asterisk.call_records(),
                    self._reader("cdr", str(self._asterisk.records)) as reader,
                ):
                    yield reader
            case _:
                yield None

    @contextmanager
    def _reader(self, *command: str) -> Iterator[int]:
        with subprocess.Popen(
            [sys.executable, "-m", "bench.reader", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            env={**self._env, "PYTHONPATH": os.environ["PYTHONPATH"], "PYTHONSAFEPATH": "1"},
        ) as reader:
            try:
                assert reader.stdout is not None
                if reader.stdout.readline() != b"ready\n":
                    raise BenchError(f"the reader of {command[0]} did not start")
                yield reader.pid
            finally:
                # Nothing it still holds is needed: all is settled, or the round is void.
                reader.kill()

    def _cpu(self, reader: int | None, books: Books) -> dict[str, float]:
        now = Processes()
        ours = {books.server_process}
        try:
            cpu = {name: now.cpu(pid, but=ours) for name, pid in self._pids.items()}
            # The FastAGI door is a process of the router; it settles, too.
            cpu["router"] += cpu.pop("fastagi") + (now.cpu(reader) if reader else 0)
        except KeyError as error:
            raise BenchError(f"a server has ended: process {error}") from None
        return cpu

    def _tell(self, sample: Sample) -> None:
        text = f"round {sample.round}: {sample.variant:12} {sample.sum_ms:6.2f} ms/call"
        if sample.faults:
            text += f"  void: {'; '.join(sample.faults)}"
        say(text)


def _faults(variant: Variant, load: Load, count: Count, calls: int) -> list[str]:
    """Why a round does not count."""
    faults = []
    if load.failed:
        faults.append(f"{load.failed} calls failed")
    if load.disturbed:
        faults.append(f"disturbed: {load.disturbed} messages sent again, late or unexpected")
    if len(load.delays) != calls:
        faults.append(f"{len(load.delays)} calls rang")
    expected = Count(
        calls=calls if variant.admits else 0,
        # The router may have looked for lost calls in between, and settled some as such.
        reserved=0 if variant.settles else count.reserved,
        answered=calls if variant.settles else 0,
    )
    if count != expected:
        faults.append(
            f"of {calls} calls the books have {count.calls},"
            f" {count.reserved} reserved and {count.answered} settled as answered"
        )
    return faults


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    # Whoever ends us wants the PBX down, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with pbx_up() as pbx:
            result = Bench(pbx, work, rate=args.rate).run(rounds=args.rounds, calls=args.calls)
    except (BenchError, AgiRouterError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    except (KeyboardInterrupt, SystemExit):
        shutil.rmtree(work)
        print("error: interrupted", file=sys.stderr)
        return 130
    print(result.to_markdown())
    if args.json:
        args.json.write_text(json.dumps(result.to_json(), indent=1, ensure_ascii=False) + "\n")
    if result.void:
        say(f"traces are in {work}")
    else:
        shutil.rmtree(work)
    if result.failed:
        print("error: calls failed", file=sys.stderr)
    return int(result.failed)


if __name__ == "__main__":
    sys.exit(main())
