"""
Load: many calls at a fixed rate, and what each of them saw on the wire.
"""

import csv
import itertools
import os
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from testpbx import ports
from testpbx.waiting import until

__all__ = ["Caller", "Load", "Seen", "callee"]

_CALLER = Path(__file__).with_name("caller.xml")
_CALLEE = Path(__file__).parents[1] / "bench/uas.xml"
# What SIPp takes for its buffer by default holds some hundred messages: 30 ms at 400 calls/s. The
# kernel gives it as much as it may (net.core.rmem_max).
_COMMON = ("-i", "127.0.0.1", "-nostdin", "-timer_resol", "1", "-buff_size", "4194304")
_ports = itertools.count(6100)


@dataclass(slots=True)
class Seen:
    """
    One call as its caller saw it. Times are seconds since the epoch.
    """

    sent: float
    """When the first INVITE went out."""
    taken: float | None = None
    """When Asterisk said that it has it (100)."""
    heard: float | None = None
    """When the caller first heard something: ringing, a prompt, or the final answer."""
    status: int | None = None
    """The final answer to the INVITE; none if there never was one."""
    sent_bye: bool = False
    """Whether the caller hung up: what all do who may talk as long as they like."""
    got_bye: bool = False
    invites: int = 1
    """How often the INVITE was sent; more than once means that nobody answered at first."""

    @property
    def answered(self) -> bool:
        """
        Whether somebody answered.
        """
        return self.status == 200

    @property
    def refused(self) -> bool:
        """
        Whether it was refused, in an orderly way.
        """
        return self.status in {403, 480, 503}

    @property
    def wait(self) -> float:
        """
        Seconds until the caller heard something.
        """
        return (self.heard or float("inf")) - self.sent

    @property
    def wait_inside(self) -> float:
        """
        The same from the moment Asterisk had the call.
        """
        return (self.heard or float("inf")) - (self.taken or self.sent)


class Load:
    """
    What became of all calls.
    """

    def __init__(self, calls: list[Seen]) -> None:
        self.calls = calls

    @classmethod
    def read(cls, messages: Path) -> Self:
        """
        Read SIPp's short messages: date, time, epoch, S or R, Call-ID, CSeq, first line.
        """
        calls: dict[str, Seen] = {}
        with messages.open(encoding="ascii", errors="replace") as lines:
            for line in lines:
                fields = line.rstrip("\n").split("\t")
                # The last line may be half written.
                if len(fields) == 7 and line.endswith("\n"):
                    _note(calls, float(fields[2]), fields[3], fields[4], fields[5], fields[6])
        return cls(list(calls.values()))

    @property
    def answered(self) -> list[Seen]:
        """
        Those that were answered.
        """
        return [call for call in self.calls if call.answered]

    @property
    def refused(self) -> list[Seen]:
        """
        Those that were refused in an orderly way.
        """
        return [call for call in self.calls if call.refused]

    @property
    def lost(self) -> list[Seen]:
        """
        Those with no orderly end: no final answer, or one that no refusal of ours has.
        """
        return [call for call in self.calls if not call.answered and not call.refused]

    @property
    def dropped(self) -> list[Seen]:
        """
        Those whose talk somebody else ended.
        """
        return [call for call in self.answered if call.got_bye or not call.sent_bye]

    @property
    def whole(self) -> bool:
        """
        Whether every call was answered, and lasted as long as it should.
        """
        return all(call.answered for call in self.calls) and not self.dropped

    @property
    def clean(self) -> bool:
        """
        The same, each at the first INVITE.

        Where a machine stands still for half a second, callers send another.
        """
        return self.whole and all(call.invites == 1 for call in self.calls)

    @property
    def rate(self) -> float:
        """
        How many were placed in a second, from the first to the last.
        """
        times = [call.sent for call in self.calls]
        return (len(times) - 1) / (max(times) - min(times)) if len(times) > 1 else 0.0

    def between(self, begin: float, end: float = float("inf")) -> list[Seen]:
        """
        Those that were placed between two times.
        """
        return [call for call in self.calls if begin < call.sent < end]

    def __str__(self) -> str:
        statuses = Counter(call.status or 0 for call in self.calls)
        said = ", ".join(f"{n} × {status or 'silence'}" for status, n in sorted(statuses.items()))
        again = sum(call.invites > 1 for call in self.calls)
        return f"{len(self.calls)} calls: {said}; {len(self.dropped)} dropped" + (
            f", {again} sent again" if again else ""
        )


def _note(calls: dict[str, Seen], at: float, way: str, call: str, cseq: str, first: str) -> None:
    if way == "S" and first.startswith("INVITE "):
        if call in calls:
            calls[call].invites += 1
        else:
            calls[call] = Seen(sent=at)
        return
    seen = calls.get(call)
    if seen is None:
        return
    if first.startswith("BYE "):
        seen.sent_bye |= way == "S"
        seen.got_bye |= way == "R"
    elif way == "R" and first.startswith("SIP/2.0 ") and cseq.endswith("INVITE"):
        status = int(first.split()[1])
        if seen.taken is None:
            seen.taken = at
        if status > 100 and seen.heard is None:
            seen.heard = at
        if status >= 200 and seen.status is None:
            seen.status = status


class Caller:
    """
    SIPp as all callers together.

    Args:
        work: Directory for its files.
        sip: Where the PBX takes calls.
        pairs: Callers' numbers and what they dial, taken in turn.
        rate: Calls a second.
        talk: Seconds after which each hangs up.
        calls: After how many it stops; by default when it is told to.
    """

    def __init__(
        self,
        work: Path,
        sip: str,
        pairs: Sequence[tuple[str, str]],
        *,
        rate: int,
        talk: float,
        calls: int | None = None,
    ) -> None:
        work.mkdir(parents=True)
        with (work / "pairs.csv").open("w", encoding="ascii") as file:
            file.write("SEQUENTIAL\n")
            csv.writer(file, delimiter=";", lineterminator="\n").writerows(pairs)
        self._messages = work / "messages.csv"
        self._process = _sipp(
            work,
            *("-sf", str(_CALLER), "-p", str(next(_ports)), "-inf", "pairs.csv"),
            *("-r", str(rate), "-l", "100000", "-recv_timeout", str(round(talk * 1000))),
            *("-trace_shortmsg", "-shortmessage_file", self._messages.name),
            *(("-m", str(calls)) if calls is not None else ()),
            sip,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def done(self, *, timeout: float) -> Load:
        """
        Place no more calls, wait for the end of all, and tell what became of them.

        Args:
            timeout: Seconds for it; calls that are not over by then are cut off.
        """
        # After -m calls SIPp waits for the last by itself, and so it does after this signal.
        self._process.send_signal(signal.SIGUSR1)
        return self.over(timeout=timeout)

    def over(self, *, timeout: float) -> Load:
        """
        Wait until all its calls are placed and over, and tell what became of them.
        """
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        return self.so_far()

    def places(self, count: int, *, since: float = 0.0) -> None:
        """
        Wait until it has placed so many calls after a time.
        """
        assert until(lambda: len(self.so_far().between(since)) >= count, timeout=60), str(
            self.so_far()
        )

    def so_far(self) -> Load:
        """
        What became of the calls up to now; those that go on have no end yet.
        """
        # SIPp makes the file when there is something to write.
        return Load.read(self._messages) if self._messages.exists() else Load([])


@contextmanager
def callee(work: Path, port: int) -> Iterator[None]:
    """
    Let every call that goes out be answered, for the time of a block.
    """
    work.mkdir(parents=True)
    process = _sipp(work, *("-sf", str(_CALLEE), "-p", str(port), "-l", "100000"))
    try:
        assert until(lambda: ports.taken(port, socket.SOCK_DGRAM), timeout=60)
        yield
    finally:
        process.kill()
        process.wait()
        # The next one binds the same port.
        time.sleep(0.05)


def _sipp(work: Path, *options: str) -> subprocess.Popen[bytes]:
    with (work / "screen.log").open("wb") as screen:
        return subprocess.Popen(
            ["sipp", *_COMMON, *options],
            stdin=subprocess.DEVNULL,
            stdout=screen,
            stderr=subprocess.STDOUT,
            cwd=work,
            env={**os.environ, "TZ": "UTC", "TERM": "dumb"},
        )
