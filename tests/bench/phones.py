"""
SIPp at both ends: many calls at a fixed rate, and what became of them.

A clean run has no failed call and no retransmission, in either direction and at either end.
"""

import csv
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testpbx import ports
from testpbx.waiting import until

from .errors import BenchError

__all__ = ["Load", "Phones"]

_SCENARIOS = Path(__file__).parent
_COMMON = ("-i", "127.0.0.1", "-nostdin", "-timer_resol", "1", "-trace_stat", "-stf", "stat.csv")
_TRACES = ("-fd", "1", "-trace_counts", "-trace_err")
# Columns of -trace_stat that must be 0, beside FailedCall.
_STRAY = ("OutOfCallMsgs(C)", "DeadCallMsgs(C)")
_SPARE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    What became of one round's calls.

    Attributes:
        answered: Calls that went from INVITE to the end of BYE as they should.
        failed: Calls that did not, at the end that counts more of them.
        disturbed: Messages that were retransmitted, late or unexpected, at either end.
        delays: Seconds from INVITE to 180, call by call.
        rate: Calls per second as they were really sent.
    """

    answered: int
    failed: int
    disturbed: int
    delays: tuple[float, ...]
    rate: float


@dataclass(frozen=True, slots=True)
class _Counts:
    answered: int
    failed: int
    disturbed: int


class Phones:
    """
    A caller and a callee.

    Args:
        work: Directory for their files.
        sip: Where the PBX takes calls.
        carrier_out: Where the callee listens.
    """

    def __init__(self, work: Path, *, sip: str, carrier_out: str) -> None:
        self._work = work
        self._sip = sip
        self._port = int(carrier_out.rpartition(":")[2])

    def call(self, name: str, pairs: Sequence[tuple[str, str]], *, calls: int, rate: int) -> Load:
        """
        Place calls, and wait for the last of them.

        Args:
            name: Directory for the traces, in the work directory.
            pairs: Callers' numbers and what they dial, taken in turn.
            calls: How many.
            rate: How many a second.

        Raises:
            BenchError: SIPp did not run.
        """
        caller = self._work / name / "caller"
        caller.mkdir(parents=True)
        rows = "".join(f"{number};{dialled}\n" for number, dialled in pairs)
        (caller / "pairs.csv").write_text(f"SEQUENTIAL\n{rows}", "ascii")
        with self._listen(self._work / name / "callee") as callee:
            process = _start(
                caller,
                "uac.xml",
                *("-r", str(rate), "-m", str(calls), "-l", str(20 * rate + 1000)),
                *("-inf", "pairs.csv", "-trace_shortmsg", "-shortmessage_file", "messages.csv"),
                *("-timeout", str(round(calls / rate + _SPARE)), "-timeout_error", self._sip),
            )
            try:
                process.wait()
            finally:
                _end(process, signal.SIGKILL)
        near, far = _counts(caller), _counts(callee)
        sent, delays = _delays(caller / "messages.csv")
        span = sent[-1] - sent[0] if len(sent) > 1 else 0.0
        return Load(
            answered=near.answered,
            failed=max(calls - near.answered, far.failed),
            disturbed=near.disturbed + far.disturbed,
            delays=tuple(delays),
            rate=(len(sent) - 1) / span if span else 0.0,
        )

    @contextmanager
    def _listen(self, files: Path) -> Iterator[Path]:
        """Let the callee take calls; after the block its files are complete."""
        files.mkdir(parents=True)
        process = _start(files, "uas.xml", "-p", str(self._port), "-l", "10000")
        try:
            bound = until(
                lambda: ports.taken(self._port, socket.SOCK_DGRAM) or process.poll() is not None,
                timeout=10,
            )
            if not bound or process.poll() is not None:
                raise BenchError(f"SIPp does not listen on port {self._port}; see {files}")
            yield files
        finally:
            # Takes no more calls, and ends when the last one has.
            _end(process, signal.SIGUSR1)


def _start(files: Path, scenario: str, *options: str) -> subprocess.Popen[bytes]:
    with (files / "screen.log").open("wb") as screen:
        return subprocess.Popen(
            ["sipp", "-sf", str(_SCENARIOS / scenario), *_COMMON, *_TRACES, *options],
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=subprocess.STDOUT,
            cwd=files,
            env={**os.environ, "TZ": "UTC", "TERM": "dumb"},
        )


def _end(process: subprocess.Popen[bytes], politely: signal.Signals) -> None:
    if process.poll() is None:
        process.send_signal(politely)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_row(file: Path) -> dict[str, str]:
    """The last line of a table that SIPp adds a line to every second."""
    try:
        with file.open(encoding="ascii", errors="replace", newline="") as text:
            rows = list(csv.DictReader(text, delimiter=";"))
    except FileNotFoundError:
        rows = []
    if not rows:
        raise BenchError(f"SIPp left no statistics; see {file.parent}")
    return rows[-1]


def _counts(files: Path) -> _Counts:
    stat = _last_row(files / "stat.csv")
    counts = _last_row(next(files.glob("*_counts.csv"), files / "counts.csv"))
    disturbing = ("_Retrans", "_Timeout", "_Unexp", "_Lost")
    return _Counts(
        answered=int(stat["SuccessfulCall(C)"]),
        failed=int(stat["FailedCall(C)"]),
        disturbed=sum(int(stat[column]) for column in _STRAY)
        + sum(int(count) for column, count in counts.items() if column.endswith(disturbing)),
    )


def _delays(messages: Path) -> tuple[list[float], list[float]]:
    """When each INVITE was sent, and how long after it the 180 came."""
    sent: dict[str, float] = {}
    rang: dict[str, float] = {}
    with messages.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            # date, time, epoch, S or R, Call-ID, CSeq, first line
            _, _, epoch, way, call, _, first = line.rstrip("\n").split("\t")
            if way == "S" and first.startswith("INVITE "):
                sent.setdefault(call, float(epoch))
            elif way == "R" and first.startswith("SIP/2.0 180 "):
                rang.setdefault(call, float(epoch))
    return list(sent.values()), [rang[call] - at for call, at in sent.items() if call in rang]
