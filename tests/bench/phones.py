"""
SIPp at both ends: many calls at a fixed rate, and what became of them.

A clean run has no failed call and no retransmission, in either direction and at either end.
"""

import csv
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from testpbx import ports
from testpbx.waiting import until

from .errors import BenchError
from .numbers import Call

__all__ = ["Load", "Phones"]

_SCENARIOS = Path(__file__).parent
_COMMON = ("-i", "127.0.0.1", "-nostdin", "-timer_resol", "1", "-trace_stat", "-stf", "stat.csv")
_TRACES = ("-fd", "1", "-trace_counts", "-trace_err")
# Columns of -trace_stat that must be 0, beside FailedCall.
_STRAY = ("OutOfCallMsgs(C)", "DeadCallMsgs(C)")
_TRACE = ("-trace_shortmsg", "-shortmessage_file", "messages.csv")
_SPARE = 60.0
_TALK = 0.5
# Samples of sound in a second.
_SECOND = 8000
# Where no PBX has its own: the caller has a port a call, the callee one for all.
_CALLER_SOUND, _CALLEE_SOUND = ("-mp", "40000"), ("-mp", "39000")
_INVITED = re.compile(r"INVITE sip:(\d+)@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """
    What became of one round's calls.

    Attributes:
        answered: Calls that went from INVITE to the end of BYE as they should.
        failed: Calls that did not, at the end that counts more of them.
        disturbed: Messages that were retransmitted, late or unexpected, at either end.
        out: Seconds from the caller's INVITE to the one that reaches the callee, call by call.
        delays: Seconds from INVITE to 180, call by call.
        hung_up: When the caller's BYE was sent, in seconds of the epoch, by the number dialled.
        rate: Calls per second as they were really sent.
    """

    answered: int
    failed: int
    disturbed: int
    out: tuple[float, ...]
    delays: tuple[float, ...]
    hung_up: Mapping[str, float]
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
        carrier_out: Where the callee listens.
    """

    def __init__(self, work: Path, *, carrier_out: str) -> None:
        self._work = work
        self._port = int(carrier_out.rpartition(":")[2])

    def call(self, name: str, calls: Sequence[Call], *, sip: str, rate: int) -> Load:
        """
        Place calls of half a second, and wait for the last of them.

        Args:
            name: Directory for the traces, in the work directory.
            calls: The calls, in order. No callee may stand there twice.
            sip: Where the PBX takes them.
            rate: How many a second.

        Raises:
            BenchError: SIPp did not run.
        """
        with self.calling(name, calls, sip=sip, rate=rate, talk=_TALK) as process:
            process.wait()
        caller, callee = (self._work / name / end for end in ("caller", "callee"))
        near, far = _counts(caller), _counts(callee)
        times = _Times.read(caller / "messages.csv", callee / "messages.csv")
        return Load(
            answered=near.answered,
            failed=max(len(calls) - near.answered, far.failed),
            disturbed=near.disturbed + far.disturbed,
            out=times.out(calls),
            delays=times.delays,
            hung_up=times.hung_up,
            rate=times.rate,
        )

    @contextmanager
    def calling(
        self,
        name: str,
        calls: Sequence[Call],
        *,
        sip: str,
        rate: int,
        talk: float,
        sound: bool = False,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """
        Let calls be placed for the time of a block; whatever is up then is dropped.

        Args:
            name: Directory for the traces, in the work directory.
            calls: The calls, in order.
            sip: Where the PBX takes them.
            rate: How many a second.
            talk: Seconds from the answer to the caller's BYE.
            sound: Whether the caller plays silence, and the callee echoes it; else both are still.
        """
        caller = self._work / name / "caller"
        caller.mkdir(parents=True)
        rows = "".join(f"{call.caller};{call.dialled}\n" for call in calls)
        (caller / "pairs.csv").write_text(f"SEQUENTIAL\n{rows}", "ascii")
        seconds = len(calls) / rate + talk + _SPARE
        scenario = "uac.xml"
        if sound:
            scenario = str(_with_sound(caller))
        with self._listen(self._work / name / "callee", echoing=sound):
            process = _start(
                caller,
                scenario,
                *(
                    "-r",
                    str(rate),
                    "-m",
                    str(len(calls)),
                    "-l",
                    str(round(rate * talk) + 20 * rate),
                ),
                *("-d", str(round(1000 * talk)), "-inf", "pairs.csv", *_TRACE),
                *(_CALLER_SOUND if sound else ()),
                *("-timeout", str(round(seconds)), "-timeout_error", sip),
            )
            try:
                yield process
            finally:
                _end(process, signal.SIGKILL)

    @contextmanager
    def _listen(self, files: Path, *, echoing: bool = False) -> Iterator[Path]:
        """Let the callee take calls; after the block its files are complete."""
        files.mkdir(parents=True)
        echo = ("-rtp_echo", *_CALLEE_SOUND) if echoing else ()
        process = _start(files, "uas.xml", "-p", str(self._port), "-l", "20000", *_TRACE, *echo)
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


def _with_sound(files: Path) -> Path:
    """The caller's scenario, which plays A-law silence from the answer on."""
    (files / "silence.al").write_bytes(b"\xd5" * _SECOND)
    text = (_SCENARIOS / "uac.xml").read_text("utf-8")
    play = f'<exec rtp_stream="{files / "silence.al"},-1,8,PCMA/8000"/>'
    made = text.replace("[media_port]", "[rtpstream_audio_port]").replace(
        "  <pause/>", f"  <nop><action>{play}</action></nop>\n  <pause/>"
    )
    file = files / "uac.xml"
    file.write_text(made, "utf-8")
    return file


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


@dataclass(frozen=True, slots=True)
class _Times:
    """
    When what was seen at both ends, by one clock.

    Attributes:
        sent: When each INVITE was sent, by the number it dials.
        rang: When its 180 came, by the same.
        hung_up: When its BYE was sent, by the same.
        reached: When an INVITE came to the callee, by the callee's number.
    """

    sent: dict[str, float]
    rang: dict[str, float]
    hung_up: dict[str, float]
    reached: dict[str, float]

    @classmethod
    def read(cls, caller: Path, callee: Path) -> Self:
        sent: dict[str, float] = {}
        rang: dict[str, float] = {}
        hung_up: dict[str, float] = {}
        reached: dict[str, float] = {}
        number: dict[str, str] = {}
        for at, way, call, first in _messages(caller):
            if way == "S" and (invited := _INVITED.match(first)):
                number[call] = invited[1]
                sent.setdefault(invited[1], at)
            elif way == "R" and first.startswith("SIP/2.0 180 ") and call in number:
                rang.setdefault(number[call], at)
            elif way == "S" and first.startswith("BYE ") and call in number:
                hung_up.setdefault(number[call], at)
        for at, way, _, first in _messages(callee):
            if way == "R" and (invited := _INVITED.match(first)):
                reached.setdefault(invited[1], at)
        return cls(sent, rang, hung_up, reached)

    def out(self, calls: Sequence[Call]) -> tuple[float, ...]:
        return tuple(
            self.reached[call.callee] - self.sent[call.dialled]
            for call in calls
            if call.dialled in self.sent and call.callee in self.reached
        )

    @property
    def delays(self) -> tuple[float, ...]:
        return tuple(at - self.sent[number] for number, at in self.rang.items())

    @property
    def rate(self) -> float:
        times = self.sent.values()
        span = max(times) - min(times) if len(times) > 1 else 0.0
        return (len(times) - 1) / span if span else 0.0


def _messages(file: Path) -> Iterator[tuple[float, str, str, str]]:
    """Time, S or R, Call-ID and first line of all messages that one end has seen."""
    with file.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            # date, time, epoch, S or R, Call-ID, CSeq, first line
            _, _, epoch, way, call, _, first = line.rstrip("\n").split("\t")
            yield float(epoch), way, call, first
