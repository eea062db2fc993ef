"""
Phones for the test PBX: SIPp calls and is called, and every message it saw comes back typed.

1. A phone is one SIPp process with one scenario of ``docker/phones``; its name is its outcome.
2. What is checked is what was on the wire: results are read from SIPp's message trace alone.
3. The command is a prefix, so that the same phone runs on the host or in a container, as long as
   both see the work directory under one path and share the host's network.
"""

from __future__ import annotations

import enum
import itertools
import os
import re
import secrets
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agi_router.leaktest.messages import Invite, Message, invites_in, parse_trace

__all__ = [
    "Burst",
    "Call",
    "Does",
    "Heard",
    "PhoneError",
    "Phones",
    "RunningCall",
    "RunningPhone",
]

SCENARIOS = Path(__file__).resolve().parent.parent / "phones"
Q850 = re.compile(r"Q\.850\s*;.*?cause\s*=\s*(\d+)", re.IGNORECASE)

# SIPp takes the port two above its media port too. Each process begins elsewhere, and goes round.
_RANGE = range(61000, 65000, 4)
_FIRST = os.getpid() % len(_RANGE)
_PORTS = itertools.cycle((*_RANGE[_FIRST:], *_RANGE[:_FIRST]))

# No phone of a test talks longer; the side that is not to hang up waits this long.
LONG = 60.0


class PhoneError(Exception):
    """A phone did not run as its scenario says; the message names the files to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """
    What one calling phone learnt of its call.

    Attributes:
        status: Final status of its INVITE, :obj:`None` if none came.
        cause: Q.850 cause of a Reason header that came with that status or with a BYE.
        messages: All that the phone sent and received for this call.
    """

    status: int | None
    cause: int | None
    messages: tuple[Message, ...]

    @classmethod
    def of(cls, messages: Sequence[Message]) -> Self:
        """Read the outcome off the messages of one call."""
        status = cause = None
        for message in messages:
            if message.sent:
                continue
            final = message.method == "INVITE" and (message.status or 0) >= 200  # noqa: PLR2004
            if final:
                status = message.status
            if final or message.start_line.startswith("BYE "):
                reason = Q850.search(message.header("reason") or "")
                cause = int(reason[1]) if reason else cause
        return cls(status=status, cause=cause, messages=tuple(messages))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call seen from both ends."""

    caller: Heard
    callee: tuple[Message, ...]

    @property
    def status(self) -> int | None:
        """Final status that the caller got."""
        return self.caller.status

    @property
    def cause(self) -> int | None:
        """Q.850 cause that the caller got."""
        return self.caller.cause

    @property
    def invites(self) -> tuple[Invite, ...]:
        """Every call that reached the callee's phone."""
        return invites_in(self.callee)


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """
    Many calls at once.

    Attributes:
        callers: Outcome of every call.
        callee: All that the called phone sent and received.
    """

    callers: tuple[Heard, ...]
    callee: tuple[Message, ...]

    @property
    def by_status(self) -> Counter[int | None]:
        """Number of calls by the final status that their caller got, None where none came."""
        return Counter(heard.status for heard in self.callers)

    @property
    def reached(self) -> int:
        """Number of calls that rang at the callee's phone."""
        return len(invites_in(self.callee))


class Does(enum.Enum):
    """What a called phone does; the value is its scenario."""

    ANSWER = "uas-answer"
    BUSY = "uas-busy"
    SILENT = "uas-silent"
    REJECT = "uas-reject"
    ONE_ANSWERS = "uas-one-answers"
    ASKS_WHO = "uas-asks-who"
    SOUNDS_EARLY = "uas-early"


class RunningPhone:
    """One SIPp process; :meth:`end` waits for it and gives what it saw."""

    def __init__(self, process: subprocess.Popen[bytes], files: Path, control: int) -> None:
        """Made by :class:`Phones`; *files* is its directory, *control* its command port."""
        self._process = process
        self._files = files
        self._control = control

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def hang_up(self) -> None:
        """Ask the phone to take no more calls, and to end when its last one has."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as command:
            command.sendto(b"q", ("127.0.0.1", self._control))

    def end(self, *, timeout: float = 90.0) -> tuple[Message, ...]:
        """
        Wait for the phone to end.

        Raises:
            PhoneError: It did not end in *timeout* seconds, or its scenario failed.
        """
        try:
            code = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise PhoneError(f"a phone did not end in {timeout} s: {self._files}") from None
        if code != 0:
            raise PhoneError(f"a phone ended with {code}: {self._files}")
        return self.messages

    def kill(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def messages(self) -> tuple[Message, ...]:
        """What the phone has sent and received so far."""
        trace = self._files / "messages.log"
        return parse_trace(trace.read_bytes()) if trace.exists() else ()


class RunningCall(RunningPhone):
    """A phone that calls."""

    def heard(self, *, timeout: float = 90.0) -> tuple[Heard, ...]:
        """
        Wait for the end of all its calls, and give each one's outcome.

        Raises:
            PhoneError: As :meth:`end`.
        """
        return _calls_in(self.end(timeout=timeout))

    def over(self, *, timeout: float = 30.0) -> tuple[Heard, ...]:
        """Wait for the end of all its calls, however they end; give each one's outcome so far."""
        with suppress(PhoneError):
            self.end(timeout=timeout)
        return self.so_far()

    def so_far(self) -> tuple[Heard, ...]:
        """The outcome of each call up to now."""
        return _calls_in(self.messages)


class Phones:
    """
    The phones around one test PBX.

    Args:
        work: Directory for the traces; each phone gets a numbered directory in it.
        command: What runs SIPp, up to and with ``sipp`` itself.
        sip: Where the PBX takes calls.
        carrier_out: Where the PBX sends its calls, so where called phones listen.
    """

    def __init__(
        self,
        work: Path,
        *,
        command: Sequence[str] = ("sipp",),
        sip: tuple[str, int] = ("127.0.0.1", 5060),
        carrier_out: tuple[str, int] = ("127.0.0.1", 5090),
    ) -> None:
        """Start nothing yet."""
        self.work = work
        self._command = tuple(command)
        self._sip = sip
        self._carrier_out = carrier_out
        self._started: list[RunningPhone] = []

    @classmethod
    def of_pbx(cls, pbx: Mapping[str, Any], work: Path) -> Self:
        """
        Phones for the PBX that ``docker/pbx up --json`` described by *pbx*.

        In the Docker form SIPp runs in a container, otherwise here.
        """
        return cls(
            work,
            command=[*pbx["phone"], "sipp"],
            sip=_address(pbx["sip"]),
            carrier_out=_address(pbx["carrier_out"]),
        )

    def dial(
        self,
        number: str,
        dialled: str,
        *,
        name: str = "",
        withheld: bool = False,
        headers: Sequence[str] = (),
        hold: float = LONG,
        patience: float | None = None,
        types: Sequence[str] = (),
        early: bool = False,
        calls: int = 1,
        rate: int = 1000,
    ) -> RunningCall:
        """
        Start a call, and do not wait for it.

        Args:
            number: The caller's own number, as the trunk would send it.
            dialled: The number in the Request-URI.
            name: Display name, none if empty.
            withheld: The caller hides the number: From is anonymous, with ``Privacy: id``.
            headers: More header lines of the INVITE.
            hold: Seconds of talk after which the caller hangs up.
            patience: Seconds of ringing after which the caller gives up; for ever if None.
            types: What it types after the answer, one entry after the other, as digits and ``#``.
            early: Whether it sends sound before the answer, if it is told where to.
            calls: How many such calls.
            rate: How many of them are placed in a second.

        Returns:
            The running call; its ``heard()`` waits.
        """
        host = self._sip[0]
        more = list(headers)
        caller = f"<sip:{number}@{host}>"
        if withheld:
            number, name, caller = "anonymous", "Anonymous", "<sip:anonymous@anonymous.invalid>"
            more.append("Privacy: id")
        if name:
            caller = '"{}" {}'.format(re.sub(r'(["\\])', r"\\\1", name), caller)
        scenario = "uac-answered-or-refused" if patience is None else "uac-gives-up"
        if types:
            scenario = "uac-types"
        if early:
            scenario = "uac-early"
        keys = {"dialled": dialled, "number": number, "caller": caller}
        process, files, control = self._start(
            scenario,
            port=_free_ports(1)[0],
            keys=keys,
            headers=more,
            replace={"<!-- TYPES -->": _typing(types)},
            options=[
                *("-m", str(calls), "-l", str(calls), "-r", str(rate)),
                *("-recv_timeout", _milliseconds(hold if patience is None else patience)),
                f"{host}:{self._sip[1]}",
            ],
        )
        call = RunningCall(process, files, control)
        self._started.append(call)
        return call

    def load(
        self, callers: Sequence[tuple[str, str]], *, name: str, rate: int, hold: float
    ) -> RunningCall:
        """
        Place calls until the phone is told to hang up, by all callers in turns.

        Whoever hears nothing more for nine seconds gives up, and then this phone's process ends
        with an error: see :meth:`RunningCall.over`.

        Args:
            callers: Their own numbers, and what each dials.
            name: The name of each, which it asserts.
            rate: How many calls are placed in a second.
            hold: Seconds of talk after which a caller hangs up.
        """
        host = self._sip[0]
        caller = f'"{name}" <sip:[field0]@{host}>'
        asserted = f"70\n      P-Asserted-Identity: {caller}"
        rows = "".join(f"{number};{dialled}\n" for number, dialled in callers)
        process, files, control = self._start(
            "uac-answered-or-refused",
            port=_free_ports(1)[0],
            keys={},
            headers=(),
            replace={
                "[number]": "[field0]",
                "[dialled]": "[field1]",
                "[caller]": caller,
                "70[headers]": asserted,
                'timeout="60000"': 'timeout="9000"',
            },
            files={"callers.csv": f"SEQUENTIAL\n{rows}"},
            options=[
                *("-inf", "callers.csv", "-r", str(rate), "-l", "100000"),
                *("-recv_timeout", _milliseconds(hold), f"{host}:{self._sip[1]}"),
            ],
        )
        call = RunningCall(process, files, control)
        self._started.append(call)
        return call

    def kill(self) -> None:
        """End those calling phones that run, whatever they do; Asterisk is not told."""
        for each in self._started:
            if each.running:
                each.kill()

    @contextmanager
    def listen(
        self,
        does: Does = Does.ANSWER,
        *,
        ring: float = 0.2,
        hold: float = LONG,
        status: str = "603 Decline",
        headers: Sequence[str] = (),
        whole: bool = True,
    ) -> Iterator[RunningPhone]:
        """
        Let a phone take every call that the PBX sends to the carrier, for the time of a block.

        Args:
            does: What it does with a call.
            ring: Seconds of ringing before it answers.
            hold: Seconds of talk after which it hangs up.
            status: With what :attr:`Does.REJECT` refuses.
            headers: More header lines, in each of its responses.
            whole: Whether each of its calls has to end as one should.

        Yields:
            The phone. After the block it has ended and its ``messages`` are complete.

        Raises:
            PhoneError: It did not start, or its scenario failed.
        """
        process, files, control = self._start(
            does.value,
            port=self._carrier_out[1],
            keys={},
            headers=headers,
            options=["-d", _milliseconds(ring), "-recv_timeout", _milliseconds(hold)],
            replace={"603 Decline": status},
        )
        phone = RunningPhone(process, files, control)
        try:
            self._until_bound(phone, files)
            yield phone
        except BaseException:
            phone.kill()
            raise
        phone.hang_up()
        with nullcontext() if whole else suppress(PhoneError):
            phone.end(timeout=20)

    def call(
        self,
        number: str,
        dialled: str,
        *,
        name: str = "",
        withheld: bool = False,
        headers: Sequence[str] = (),
        does: Does = Does.ANSWER,
        ring: float = 0.2,
        talk: float = 0.5,
        hung_up_by: str = "caller",
        patience: float | None = None,
        types: Sequence[str] = (),
        early: bool = False,
        status: str = "603 Decline",
        callee_headers: Sequence[str] = (),
    ) -> Call:
        """
        Place one call with a phone at either end, and wait for its end.

        Args:
            number: As in :meth:`dial`, like name, withheld, headers and patience.
            dialled: The number in the Request-URI.
            name: Display name of the caller.
            withheld: Whether the caller hides the number.
            headers: More header lines of the caller's INVITE.
            does: What the callee's phone does.
            ring: Seconds before it answers.
            talk: Seconds of talk.
            hung_up_by: ``caller`` or ``callee``.
            patience: Seconds after which the caller gives up.
            types: What the caller types, as in :meth:`dial`.
            early: Whether the caller sends sound before the answer, as in :meth:`dial`.
            status: With what the callee's phone rejects.
            callee_headers: More header lines in each response of the callee.

        Returns:
            The call as both ends saw it.

        Raises:
            PhoneError: One of the phones failed.
        """
        caller_holds, callee_holds = (talk, LONG) if hung_up_by == "caller" else (LONG, talk)
        with self.listen(
            does, ring=ring, hold=callee_holds, status=status, headers=callee_headers
        ) as callee:
            (heard,) = self.dial(
                number,
                dialled,
                name=name,
                withheld=withheld,
                headers=headers,
                hold=caller_holds,
                patience=patience,
                types=types,
                early=early,
            ).heard()
        return Call(caller=heard, callee=callee.messages)

    def burst(
        self, number: str, dialled: str, *, calls: int, ring: float = 0.2, talk: float = 2.0
    ) -> Burst:
        """
        Place *calls* calls at once from one number to one number.

        The caller hangs up those that were answered after *talk* seconds.

        Raises:
            PhoneError: One of the phones failed.
        """
        with self.listen(ring=ring) as callee:
            heard = self.dial(number, dialled, hold=talk, calls=calls).heard()
        return Burst(callers=heard, callee=callee.messages)

    def _start(
        self,
        scenario: str,
        *,
        port: int,
        keys: Mapping[str, str],
        headers: Sequence[str],
        options: Sequence[str],
        replace: Mapping[str, str],
        files: Mapping[str, str] | None = None,
    ) -> tuple[subprocess.Popen[bytes], Path, int]:
        media, control = _free_ports(2)
        directory = self._new_directory(scenario)
        # A container sees the work directory, not the checkout.
        text = (SCENARIOS / f"{scenario}.xml").read_text("utf-8")
        for shipped, own in replace.items():
            text = text.replace(shipped, own)
        for name, content in {"scenario.xml": text, **(files or {})}.items():
            (directory / name).write_text(content, "utf-8")
        # A second of nothing, and one of something, for scenarios that send media.
        (directory / "silence.alaw").write_bytes(b"\xd5" * 8000)
        (directory / "sound.alaw").write_bytes(b"\x55\x6e" * 4000)
        # SIPp's own Call-IDs, tags and branches come from its process id: 1 in every container.
        phone = secrets.token_hex(6)
        more = "".join(f"\r\n{line}" for line in headers)
        all_keys = {**keys, "phone": phone, "headers": more}
        command = [
            *self._command,
            *("-sf", str(directory / "scenario.xml"), "-i", self._carrier_out[0], "-p", str(port)),
            *("-mp", str(media), "-ci", "127.0.0.1", "-cp", str(control), "-nostdin"),
            *("-cid_str", f"%u-{phone}@%s", "-timer_resol", "1"),
            *("-trace_msg", "-message_file", str(directory / "messages.log")),
            *("-trace_err", "-error_file", str(directory / "errors.log")),
            *(part for key, value in all_keys.items() for part in ("-key", key, value)),
            *options,
        ]
        with (directory / "screen.log").open("wb") as screen:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=screen,
                stderr=subprocess.STDOUT,
                cwd=directory,
                # parse_trace reads local times; the container mounts PBX_WORK.
                env={**os.environ, "TZ": "UTC", "PBX_WORK": str(self.work)},
            )
        return process, directory, control

    def _new_directory(self, scenario: str) -> Path:
        self.work.mkdir(parents=True, exist_ok=True)
        taken = sum(1 for _ in self.work.iterdir())
        while True:
            taken += 1
            files = self.work / f"{taken:03d}-{scenario}"
            try:
                files.mkdir()
            except FileExistsError:
                continue
            return files

    def _until_bound(self, phone: RunningPhone, files: Path) -> None:
        deadline = time.monotonic() + 20
        while self._carrier_out[1] not in _bound_ports():
            if not phone.running or time.monotonic() > deadline:
                raise PhoneError(f"a phone does not listen: {files}")
            time.sleep(0.01)


def _calls_in(messages: Sequence[Message]) -> tuple[Heard, ...]:
    calls: dict[str, list[Message]] = {}
    for message in messages:
        calls.setdefault(message.call_id, []).append(message)
    return tuple(Heard.of(each) for each in calls.values())


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host, int(port)


def _typing(entries: Sequence[str]) -> str:
    """
    The steps of a scenario that type *entries*, each with time before it for a prompt to begin.
    """
    steps = []
    cseq = itertools.count(2)
    for entry in entries:
        steps.append('<pause milliseconds="700"/>')
        steps += [_PRESS.format(digit=digit, cseq=next(cseq)) for digit in entry]
    return "\n".join(steps)


_PRESS = """
  <pause milliseconds="150"/>
  <send retrans="500">
    <![CDATA[

      INFO [next_url] SIP/2.0
      Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=z9hG4bK-[phone]-[call_number]-{cseq}
      [routes]
      From: [caller];tag=[phone]uac[call_number]
      To: <sip:[dialled]@[remote_ip]:[remote_port]>[peer_tag_param]
      Call-ID: [call_id]
      CSeq: {cseq} INFO
      Max-Forwards: 70
      Content-Type: application/dtmf-relay
      Content-Length: [len]

      Signal={digit}
      Duration=100

    ]]>
  </send>
  <recv response="200" timeout="5000"/>
"""


def _milliseconds(seconds: float) -> str:
    return str(round(seconds * 1000))


def _free_ports(count: int) -> list[int]:
    """
    Ports that are free now and stay so until a phone has bound them.

    They lie above the kernel's ephemeral ports, which anybody may be given in between, and are
    never handed out twice in a row.
    """
    found: list[int] = []
    while len(found) < count:
        port = next(_PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
    return found


def _bound_ports() -> set[int]:
    lines = Path("/proc/net/udp").read_text("ascii").splitlines()[1:]
    return {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
