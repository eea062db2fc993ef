"""A PBX that is up and prepared: rounds of calls through it, each with what it cost."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from testpbx import processes
from testpbx.waiting import ari_answers, until

from .asterisk import Asterisk, StockAsterisk
from .cpu import Processes
from .database import BenchDatabase, Count
from .errors import BenchError
from .numbers import Call, random_calls
from .phones import Load, Phones
from .report import Sample
from .variants import APPS, PREFIX, SERVERS, Variant

__all__ = ["Session", "say"]

# Seconds after the last call of every variant, so that all windows are alike: five runs of
# the router to its journal.
_REST = 1.0
_PATIENCE = 30.0
# So long, and a second, a request without an answer is sent again: 64·T1 (RFC 3261, 17.1.2.2)
# for a BYE, and the 200 of an INVITE as long (13.3.1.4).
_UNANSWERED = 33.0
# SIPp sends less than it is told to when it gets no CPU.
_RATE_REACHED = 0.95
_SECOND_METRICS = "127.0.0.1:9702"


def say(text: str) -> None:
    """Report progress; standard output is for the result."""
    print(f"bench: {text}", file=sys.stderr, flush=True)  # noqa: T201


class Session:
    """
    Measures one variant after the other; made by :meth:`opened`.

    Args:
        pbx: What `pbx up --json` said.
        work: Directory for the traces.
        database: Where its bindings and the records of its calls are.
        bindings: How many bindings to call through.
    """

    def __init__(
        self, pbx: dict[str, Any], work: Path, database: BenchDatabase, *, bindings: int
    ) -> None:
        self._env: dict[str, str] = pbx["env"]
        self.sip: str = pbx["sip"]
        self._work = work
        self.database = database
        self._bindings = bindings
        root = Path(pbx["rootfs"])
        self.asterisk = Asterisk(root)
        self._stock = StockAsterisk(root, carrier_out=pbx["carrier_out"])
        self.phones = Phones(work, carrier_out=pbx["carrier_out"])
        state = Path(pbx["logs"]).parent
        self.pids = {
            name: processes.running(state / f"{name}.pid") for name in (*SERVERS, "fastagi")
        }
        self._runs = 0

    @classmethod
    @contextmanager
    def opened(
        cls, pbx: dict[str, Any], work: Path, *, bindings: int, variants: Sequence[Variant]
    ) -> Iterator[Self]:
        """
        Make the bindings and prepare the variants, for the time of a block.

        Args:
            pbx: What `pbx up --json` said.
            work: Directory for the traces.
            bindings: How many bindings to call through.
            variants: Those that will be measured.

        Raises:
            BenchError: Something does not start.
        """
        with ExitStack() as stack:
            database = stack.enter_context(
                BenchDatabase.opened({**pbx["env"], "AGI_ROUTER_DSN": pbx["dsn"]})
            )
            session = cls(pbx, work, database, bindings=bindings)
            say(f"importing {bindings} bindings")
            database.bind(bindings)
            if {Variant.ODBC, Variant.ODBC_CDR} & set(variants):
                database.bind_peer(bindings)
            session.asterisk.prepare(variants, database=database.address)
            session._wait_for_router()
            if Variant.STOCK in variants:
                say("starting Debian's Asterisk")
                stack.enter_context(session._stock.running())
            yield session

    def _wait_for_router(self) -> None:
        """Until it has found the Asterisk that was started again."""
        password = self._env["AGI_ROUTER_ARI_PASSWORD"]
        if not until(lambda: ari_answers(f"applications/{APPS[0]}", password), timeout=_PATIENCE):
            raise BenchError("the router does not find Asterisk again; see its log")

    @property
    def versions(self) -> dict[str, str]:
        """Asterisk's and PostgreSQL's."""
        return {"asterisk": self.asterisk.version, "postgresql": self.database.version}

    def calls(self, variant: Variant, count: int, *, seed: int) -> list[Call]:
        """Calls through random bindings; the same ones for every variant."""
        calls = random_calls(count, out_of=self._bindings, seed=seed)
        plain = variant in {Variant.STATIC, Variant.STOCK}
        return [
            replace(
                call,
                dialled=PREFIX[variant] + call.dialled,
                callee=f"139{call.dialled[-8:]}" if plain else call.callee,
            )
            for call in calls
        ]

    def measure(self, variant: Variant, *, number: int, count: int, rate: int) -> Sample:
        """
        One variant in one round.

        Args:
            variant: The variant.
            number: The round; it chooses the calls.
            count: How many calls.
            rate: How many a second.
        """
        self._runs += 1
        calls = self.calls(variant, count, seed=number)
        sip = self._stock.sip if variant is Variant.STOCK else self.sip
        with self._set_up(variant) as added:
            since, began = self.database.now(), time.monotonic()
            before = self._cpu(variant, added)
            load = self.phones.call(f"{self._runs:03}-{variant}", calls, sip=sip, rate=rate)
            time.sleep(_REST)
            book = self._book(variant, since)
            if variant.settles:
                until(
                    lambda: (seen := book()).calls >= count and not seen.reserved,
                    timeout=_PATIENCE,
                )
            after = self._cpu(variant, added)
            seconds = time.monotonic() - began
            seen = book()
        self.database.close_open()
        faults = _faults(variant, load, seen, count)
        if load.rate < _RATE_REACHED * rate:
            faults.append(f"disturbed: only {load.rate:.1f} calls/s were sent")
        sample = Sample(
            variant=variant,
            round=number,
            asked=rate,
            calls=count,
            seconds=seconds,
            cpu={server: after[server] - before[server] for server in SERVERS},
            out=load.out,
            delays=load.delays,
            rate=load.rate,
            faults=tuple(faults),
        )
        if sample.failed:
            self._end_all_calls(variant)
        return sample

    def _end_all_calls(self, variant: Variant) -> None:
        """Let nothing of a round that failed reach the phones of the next one."""
        asterisk = self._stock if variant is Variant.STOCK else self.asterisk
        asterisk.command("channel request hangup all")
        time.sleep(_UNANSWERED)

    def _book(self, variant: Variant, since: Any) -> Callable[[], Count]:
        """Who counts the calls of a variant."""
        if variant is Variant.ODBC_CDR:
            return self.database.count_peer
        return lambda: self.database.count(since)

    @contextmanager
    def _set_up(self, variant: Variant) -> Iterator[int | None]:
        """What a variant needs beside its dialplan; gives the process that comes with it."""
        match variant:
            case Variant.STASIS:
                with self._reader("stasis") as reader:
                    yield reader
            case Variant.CDR:
                with (
                    self.asterisk.call_records(variant),
                    self._reader("cdr", str(self.asterisk.records)) as reader,
                ):
                    yield reader
            case Variant.ODBC_CDR:
                self.database.forget_peer()
                with self.asterisk.call_records(variant):
                    yield None
            case Variant.ROUTERS:
                with self._second_router() as router:
                    yield router
            case _:
                yield None

    @contextmanager
    def _second_router(self) -> Iterator[int]:
        own = {"AGI_ROUTER_ARI_APP": APPS[1], "AGI_ROUTER_METRICS_LISTEN": _SECOND_METRICS}
        password = self._env["AGI_ROUTER_ARI_PASSWORD"]
        log = self._work / "second-router.log"
        with (
            log.open("ab") as output,
            subprocess.Popen(
                ["agi-router", "serve", "--door", "ari"],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**self._env, **own},
            ) as router,
        ):
            try:
                until(
                    lambda: (
                        ari_answers(f"applications/{APPS[1]}", password)
                        or router.poll() is not None
                    ),
                    timeout=_PATIENCE,
                )
                if router.poll() is not None:
                    raise BenchError(f"the second router did not start; see {log}")
                yield router.pid
            finally:
                router.send_signal(signal.SIGTERM)

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

    def _cpu(self, variant: Variant, added: int | None) -> dict[str, float]:
        now = Processes()
        ours = {self.database.server_process}
        pids = dict(self.pids)
        if variant is Variant.STOCK:
            pids["asterisk"] = self._stock.pid
        try:
            cpu = {name: now.cpu(pid, but=ours) for name, pid in pids.items()}
            # The FastAGI door is a process of the router; it settles, too.
            cpu["router"] += cpu.pop("fastagi") + (now.cpu(added) if added else 0)
        except KeyError as error:
            raise BenchError(f"a server has ended: process {error}") from None
        return cpu


def _faults(variant: Variant, load: Load, seen: Count, calls: int) -> list[str]:
    """Why a round does not count."""
    faults = []
    if load.failed:
        faults.append(f"{load.failed} calls failed")
    if load.disturbed:
        faults.append(f"disturbed: {load.disturbed} messages sent again, late or unexpected")
    if len(load.delays) != calls:
        faults.append(f"{len(load.delays)} calls rang")
    if len(load.out) != calls:
        faults.append(f"{len(load.out)} calls reached their callees")
    expected = Count(
        calls=calls if variant.settles or variant.admits else 0,
        # The router may have looked for lost calls in between, and settled some as such.
        reserved=0 if variant.settles else seen.reserved,
        answered=calls if variant.settles else 0,
    )
    if seen != expected:
        faults.append(
            f"of {calls} calls the database has {seen.calls},"
            f" {seen.reserved} reserved and {seen.answered} settled as answered"
        )
    return faults
