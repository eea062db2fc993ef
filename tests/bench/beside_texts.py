"""
The command `tests/bench/run beside_texts`: whole calls alone, and beside texts, in turn.

Calls go through Asterisk, the router and its journal; texts come and leave by SMPP, by a door on
the same machine and in the same database.
"""

# ruff: noqa: T201  (a command prints)

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import connect
from agi_router.errors import AgiRouterError
from agi_router.keys.registry import check_keys
from agi_router.settings import Settings
from harness.database import NO_REST
from harness.smsc import Centre, centre

from .errors import BenchError
from .pbx import pbx_up
from .report import Sample
from .session import Session, say
from .texts import bind_pairs, link_settings, program, run, write_password
from .variants import Variant

ABOUT = """\
Rate and delays of whole calls, alone and beside texts, in turn. See tests/bench/README.md.
"""
_SPARE_BINDINGS = 10_000
_PROGRAM = str(Path(sys.executable).with_name("agi-router"))
# Seconds of texts before the first call, and after the last.
_AROUND = 2
# Seconds between two looks whether the door's session is there.
_LOOK = 0.2
# How nice the door is, as its unit's CPUWeight=20 makes it.
_NICE = 7
# Debian's unit starts Asterisk by -p, which is this priority of the real-time scheduler.
_ASTERISK_PRIORITY = 10


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="tests/bench/run beside_texts", description=ABOUT)
    parser.add_argument("--calls", type=int, default=150, help="per round; default 150")
    parser.add_argument("--rate", type=int, default=30, help="calls a second; default 30")
    parser.add_argument("--texts", type=int, default=500, help="texts a second; default 500")
    parser.add_argument("--rounds", type=int, default=6, help="of each; default 6")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    return parser.parse_args()


class Texting:
    """
    Texts that come and go in a thread of their own.

    Args:
        env: With which the door reaches the database.
        numbers: 700 numbers that they are sent to.
        work: A directory for what the door needs.
    """

    def __init__(self, env: Mapping[str, str], numbers: list[str], work: Path) -> None:
        self._env, self._numbers, self._work = dict(env), numbers, work
        self._loop = asyncio.new_event_loop()
        self._ready: Future[Centre] = Future()
        self._end = asyncio.Event()

    @contextlib.contextmanager
    def served(self) -> Iterator[None]:
        """Let the door run for the time of a block."""
        thread = threading.Thread(target=self._loop.run_until_complete, args=[self._serve()])
        thread.start()
        try:
            self._ready.result(60)
            yield
        finally:
            self._loop.call_soon_threadsafe(self._end.set)
            thread.join()

    async def _serve(self) -> None:
        password = self._work / "password"
        write_password(password)
        async with centre() as smsc:
            own = {**link_settings(password), "AGI_ROUTER_SMPP_PORT": str(smsc.port)}
            environment = {**os.environ, **self._env, **own}
            command = (_PROGRAM, "serve", "--door", "smpp")
            async with program(*command, environment=environment, session=True) as door:
                _weigh(door)
                # This thread, the message centre, is on another machine in service.
                os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
                await smsc.bound()
                await run(smsc, smsc, rate=100, texts=100, to=self._numbers)
                self._ready.set_result(smsc)
                await self._end.wait()

    def send(self, *, rate: int, seconds: float) -> Future[list[float]]:
        """Send texts for so long; the milliseconds until each has left."""
        smsc = self._ready.result()
        texts = int(rate * seconds)
        return asyncio.run_coroutine_threadsafe(self._send(smsc, rate, texts), self._loop)

    async def _send(self, smsc: Centre, rate: int, texts: int) -> list[float]:
        """
        Send them, unless the door's session ends meanwhile: then at once no more.

        Raises:
            BenchError: It has ended.
        """
        sending = asyncio.create_task(run(smsc, smsc, rate=rate, texts=texts, to=self._numbers))
        binds = smsc.binds
        while smsc.is_bound and smsc.binds == binds:
            if (await asyncio.wait([sending], timeout=_LOOK))[0]:
                return sending.result()
        sending.cancel()
        raise BenchError(
            "the door for texts has lost its session with the message centre: give fewer a second,"
            " or a machine that does nothing else"
        )


def _weigh(door: int) -> None:
    """Make it as nice as its unit: between sessions Linux compares these as groups, if at all."""
    os.setpriority(os.PRIO_PROCESS, door, _NICE)
    group = Path(f"/proc/{door}/autogroup")
    if group.exists():
        group.write_text(str(_NICE))


def _hasten(asterisk: int) -> None:
    """Have all threads of Asterisk scheduled as those of Debian's unit."""
    command = ("chrt", "--all-tasks", "--rr", "--pid", str(_ASTERISK_PRIORITY), str(asterisk))
    subprocess.run(command, check=True)


def measure(session: Session, texting: Texting, args: argparse.Namespace) -> dict[str, Any]:
    """Rounds of calls, alone and beside texts in turn."""
    alone: list[Sample] = []
    beside: list[Sample] = []
    texts: list[float] = []
    seconds = args.calls / args.rate + 2 * _AROUND
    for number in range(1, args.rounds + 1):
        # What is first in one round is last in the next: so nothing that grows is the texts'.
        for samples in (alone, beside) if number % 2 else (beside, alone):
            sent = None
            if samples is beside:
                sent = texting.send(rate=args.texts, seconds=seconds)
                time.sleep(_AROUND)
            sample = session.measure(
                Variant.JOURNAL, number=number, count=args.calls, rate=args.rate
            )
            samples.append(sample)
            say(f"round {number}: {_words(sample)}{' beside texts' if sent else ''}")
            if sent is not None:
                texts += _left(sent)
    return {
        "load": os.getloadavg()[0],
        "texts_p50_ms": round(median(texts), 1),
        "texts_p99_ms": round(quantiles(texts, n=100)[98], 1),
        "texts": len(texts),
        "alone": _told(alone),
        "beside": _told(beside),
        "ratios": [
            round(median(theirs.out) / median(own.out), 3)
            for own, theirs in zip(alone, beside, strict=True)
        ],
    }


def _left(sent: Future[list[float]]) -> list[float]:
    """
    The milliseconds of each text.

    Raises:
        BenchError: They were too many for this machine.
    """
    try:
        return sent.result(600)
    except (TimeoutError, AssertionError, IndexError) as error:
        raise BenchError(
            f"the texts were not kept up with ({type(error).__name__}): give fewer a second, or a"
            " machine that does nothing else"
        ) from None


def _words(sample: Sample) -> str:
    faults = f" ({'; '.join(sample.faults)})" if sample.faults else ""
    return (
        f"{sample.rate:.1f} calls/s, INVITE out after {1000 * median(sample.out):.1f} ms{faults}"
    )


def _told(samples: list[Sample]) -> dict[str, Any]:
    out = [1000 * each for sample in samples for each in sample.out]
    ringing = [1000 * each for sample in samples for each in sample.delays]
    return {
        "rate": round(median(sample.rate for sample in samples), 2),
        "failed": sum(sample.failed for sample in samples),
        "out_p50_ms": round(median(out), 2),
        "out_p99_ms": round(quantiles(out, n=100)[98], 2),
        "ringing_p50_ms": round(median(ringing), 2),
        "ringing_p99_ms": round(quantiles(ringing, n=100)[98], 2),
    }


def main() -> int:
    """Run the command line; returns the exit code."""
    args = arguments()
    work = Path(tempfile.mkdtemp(prefix="agi-router-bench-"))
    try:
        with (
            pbx_up() as pbx,
            Session.opened(
                pbx,
                work,
                bindings=max(args.calls, _SPARE_BINDINGS),
                variants=[Variant.JOURNAL],
            ) as session,
        ):
            env = {**pbx["env"], "AGI_ROUTER_DSN": pbx["dsn"]}
            with connect(pbx["dsn"]) as connection:
                keys = Settings.from_env(env).load_keys()
                store = BindingStore(connection, check_keys(connection, keys), NO_REST)
                texting = Texting(env, bind_pairs(store), work)
            _hasten(session.pids["asterisk"])
            with texting.served():
                result = measure(session, texting, args)
    except (BenchError, AgiRouterError, OSError) as error:
        print(f"error: {error} (traces: {work})", file=sys.stderr)
        return 1
    shutil.rmtree(work)
    print(f"| {args.rate} calls/s | rate | INVITE out p50, p99 | 180 back p50, p99 |")
    print("|---|--:|--:|--:|")
    for name in ("alone", "beside"):
        told = result[name]
        print(
            f"| {name} | {told['rate']}/s | {told['out_p50_ms']}, {told['out_p99_ms']} ms"
            f" | {told['ringing_p50_ms']}, {told['ringing_p99_ms']} ms |"
        )
    ratios = result["ratios"]
    print(
        f"\nINVITE out beside ÷ alone, p50 within a round: {median(ratios):.2f}"
        f" ({min(ratios):.2f}–{max(ratios):.2f})."
    )
    print(
        f"\n{result['texts']} texts at {args.texts}/s: p50 {result['texts_p50_ms']}, p99"
        f" {result['texts_p99_ms']} ms. The machine's load was {result['load']:.1f} at the end."
    )
    if args.json is not None:
        args.json.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    return int(bool(result["alone"]["failed"] or result["beside"]["failed"]))


if __name__ == "__main__":
    sys.exit(main())
