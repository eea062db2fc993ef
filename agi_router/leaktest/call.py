"""
One call of the suite: its phones, what passed, and what is to be read off it.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from agi_router.leaktest.call_setup import CallSetup
from agi_router.leaktest.carrier import Carrier, Leg
from agi_router.leaktest.leaks import find_leaks, mask
from agi_router.leaktest.media import Media, find_told, own_port, peer_of
from agi_router.leaktest.messages import Message, received_by
from agi_router.leaktest.packets import packets_of, sound_of
from agi_router.leaktest.results import Finding, Result, Scenario
from agi_router.leaktest.scripts import callee_script, caller_script, outside_script
from agi_router.leaktest.vectors import End, Party

__all__ = ["Call"]

# Above the ephemeral ports, which anybody may be given; four for each process.
_PORTS = itertools.cycle(range(61000, 65500, 8))

_OK, _REFUSED, _CANCELLED = 200, 300, 487
# Seconds for one phone, from its start to its end.
_PATIENCE = 60
# Seconds until a call must be answered, and until the PBX has told both sides where sound goes.
_ANSWERED, _SETTLED = 20, 0.4
# Seconds for the callee's phone, when the caller's is done.
_PARTING = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Phone:
    """
    One phone of a call.

    Attributes:
        name: For its files.
        side: On which side it stands.
        leg: What passed.
        secrets: Whose numbers and names it must not receive.
        control: Port for SIPp's own use; the one after next is for its media.
    """

    name: str
    side: End
    leg: Leg
    secrets: tuple[Party, ...]
    control: int


class Call:
    """
    One scenario while it runs.
    """

    def __init__(
        self, scenario: Scenario, setup: CallSetup, carrier: Carrier, work: Path, sipp: str
    ) -> None:
        self._scenario = scenario
        self._setup = setup
        self._carrier = carrier
        self._work = work
        self._sipp = sipp
        self._phones: list[_Phone] = []
        self._caller = self._phone("caller", End.CALLER, (setup.callee, setup.other))
        self._callee = self._phone("callee", End.CALLEE, (setup.caller, setup.other))
        self._faults: list[str] = []
        # The ports of each side's sound, those to which it moves behind those where it begins.
        self._sound: dict[End, list[Media]] = {end: [] for end in End}
        self._running: list[asyncio.subprocess.Process] = []
        self._result: tuple[tuple[int, int, int], Result] | None = None
        self.began = len(carrier.unexpected)
        self.ended: int | None = None

    async def place(self) -> None:
        """Place the call, with a phone at either end, and wait until all phones are done."""
        caller, callee = self._caller, self._callee
        self._work.mkdir(parents=True)
        setup = self._setup = await self._open_sound()
        self._carrier.far.join(callee.leg, number=setup.callee.number)
        self._carrier.near.join(caller.leg, call_id=setup.call_id)
        try:
            rings = not setup.vector.refused
            if rings:
                called = await self._start(callee, callee_script(setup), "%u@callee")
                await self._until_bound(callee)
            calling = await self._start(caller, caller_script(setup), setup.call_id)
            if setup.vector.outside is not None:
                await self._send_outside()
            if setup.vector.sound:
                await self._tell_early()
                await self._tell()
                if calling.returncode is not None:
                    self._faults.append("the call was over before everything was told")
            await self._end(caller, calling)
            if rings:
                await self._end(callee, called, patience=_PARTING)
        finally:
            await self._stop()
            self._carrier.far.leave(callee.leg, number=setup.callee.number)
            self._carrier.near.leave(caller.leg)
            for media in self._media():
                media.close()

    async def _open_sound(self) -> CallSetup:
        """Open the ports of both sides' sound, and return the call with them."""
        setup = self._setup
        for side, sound in self._sound.items():
            host = setup.address(side).rpartition(":")[0]
            sound += [await Media.open(host) for _ in range(2 if setup.vector.moves else 1)]
        near, far = self._sound[End.CALLER], self._sound[End.CALLEE]
        return replace(
            setup,
            near_media=near[0].port,
            far_media=far[0].port,
            near_second=near[-1].port,
            far_second=far[-1].port,
        )

    def _media(self) -> list[Media]:
        return [media for sound in self._sound.values() for media in sound]

    async def _is_up(self) -> bool:
        """Wait until the call is answered and settled; if it is not, that is a fault."""
        try:
            await asyncio.wait_for(self._caller.leg.accepted.wait(), _ANSWERED)
            await asyncio.sleep(_SETTLED)
        except TimeoutError:
            self._faults.append("it was not answered")
            return False
        return True

    async def _tell_early(self) -> None:
        """Let each side tell who it is before the answer, where the PBX lets it."""
        if not self._setup.early_media:
            return
        deadline = asyncio.get_running_loop().time() + _ANSWERED
        while peer_of(self._caller.leg.messages) is None:
            if asyncio.get_running_loop().time() > deadline or self._caller.leg.accepted.is_set():
                return
            await asyncio.sleep(0.01)
        await self._both_tell(first=True)

    async def _tell(self) -> None:
        """Let each side tell who it is by its sound, once the call is up; again when it moved."""
        if await self._is_up():
            await self._both_tell(first=True)
            if self._setup.vector.moves and await self._has_moved():
                await self._both_tell(first=False)

    async def _has_moved(self) -> bool:
        """Wait until both sides' sound has moved; if it does not, that is a fault."""
        deadline = asyncio.get_running_loop().time() + _ANSWERED
        waiting = [self._caller, self._callee]
        while waiting and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
            waiting = [
                phone
                for phone in waiting
                if own_port(phone.leg.messages) != self._sound[phone.side][-1].port
            ]
        self._faults += [f"the {phone.name}'s sound has not moved" for phone in waiting]
        # The PBX has to answer yet.
        await asyncio.sleep(_SETTLED)
        return not waiting

    async def _both_tell(self, *, first: bool) -> None:
        await asyncio.gather(
            *(self._told(phone, first=first) for phone in (self._caller, self._callee))
        )

    async def _told(self, phone: _Phone, *, first: bool) -> None:
        kinds, party = self._setup.vector.sound, self._setup.party(phone.side)
        peer = peer_of(phone.leg.messages)
        if peer is None:
            self._faults.append(f"the {phone.name} was not told where its sound goes")
        else:
            sound = self._sound[phone.side][0 if first else -1]
            await sound.tell(peer, sound_of(kinds, party), packets_of(kinds, party))

    async def _send_outside(self) -> None:
        """Let another phone on each side send what it has to, once the call is up."""
        setup, outside = self._setup, self._setup.vector.outside
        assert outside is not None  # noqa: S101 - asked for only where there is one
        if not await self._is_up():
            return
        for phone in (self._caller, self._callee):
            if phone.side not in setup.vector.by:
                continue
            secrets = (setup.caller, setup.callee) if outside.stranger else phone.secrets
            other = self._phone(f"{phone.name}-outside", phone.side, secrets)
            port = self._carrier.near if phone.side is End.CALLER else self._carrier.far
            call_id = f"{setup.tag}-{phone.side.value}@outside"
            port.join(other.leg, call_id=call_id)
            replaces = _replaces(phone.leg) if outside.replaces else ""
            try:
                script = outside_script(setup, phone.side, replaces=replaces)
                await self._end(other, await self._start(other, script, call_id))
            finally:
                port.leave(other.leg)

    def _phone(self, name: str, side: End, secrets: tuple[Party, ...]) -> _Phone:
        port = _free_port()
        leg = Leg(phone=("127.0.0.1", port))
        phone = _Phone(name=name, side=side, leg=leg, secrets=secrets, control=port + 2)
        self._phones.append(phone)
        return phone

    async def _start(
        self, phone: _Phone, script: bytes, call_id: str
    ) -> asyncio.subprocess.Process:
        file = self._work / f"{phone.name}.xml"
        file.write_bytes(script)
        remote = self._setup.address(phone.side)
        host, port = phone.leg.phone
        with (self._work / f"{phone.name}.screen").open("wb") as screen:
            process = await asyncio.create_subprocess_exec(
                self._sipp,
                *("-sf", str(file), "-i", host, "-p", str(port)),
                *("-ci", host, "-cp", str(phone.control), "-mp", str(phone.control + 2)),
                *("-cid_str", call_id.replace("%", "%%").replace("%%u", "%u")),
                # It takes what comes: see scripts.py.
                *("-m", "1", "-l", "1", "-nd", "-aa", "-nostdin"),
                *("-timeout", str(_PATIENCE - 5), "-timeout_error"),
                *("-trace_err", "-error_file", str(self._work / f"{phone.name}.errors")),
                remote,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=screen,
                stderr=screen,
                cwd=self._work,
            )
        self._running.append(process)
        return process

    async def _end(
        self, phone: _Phone, process: asyncio.subprocess.Process, *, patience: float = _PATIENCE
    ) -> None:
        try:
            code = await asyncio.wait_for(process.wait(), patience)
        except TimeoutError:
            code = -1
        if code:
            self._faults.append(f"the {phone.name}'s phone ended with {code}")

    async def _stop(self) -> None:
        """End every phone that still runs."""
        for process in self._running:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def _until_bound(self, phone: _Phone) -> None:
        """Wait until SIPp listens; should it not, the call has no callee and is a fault."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while asyncio.get_running_loop().time() < deadline:
            if _is_bound(phone.leg.phone[1]):
                return
            await asyncio.sleep(0.01)

    def result(self) -> Result:
        """Read off what came of the call; if it is of interest, leave its messages."""
        result = self.read()
        if result.findings or result.faults:
            self._write_captures()
        else:
            shutil.rmtree(self._work, ignore_errors=True)
        return result

    def read(self) -> Result:
        """Read off what came of the call so far."""
        state = (
            sum(len(phone.leg.messages) for phone in self._phones),
            sum(len(media.packets) for media in self._media()),
            len(self._carrier.unexpected[self.began : self.ended]),
        )
        # The search takes long; mostly nothing has come since the last one.
        if self._result is None or self._result[0] != state:
            self._result = (state, self._searched())
        return self._result[1]

    def _searched(self) -> Result:
        setup = self._setup
        findings = [finding for phone in self._phones for finding in _findings(phone)]
        findings += self._heard()
        numbers = [p.number.encode() for p in (setup.caller, setup.callee, setup.other)]
        for message in self._carrier.unexpected[self.began : self.ended]:
            if message.status is None and any(number in message.raw for number in numbers):
                findings += [Finding(at=None, leak=None, message=mask(message.start_line))]
        invites = len(_calls(self._callee.leg))
        faults = [*self._faults, *self._unplanted(), *self._went_wrong(invites)]
        return Result(
            scenario=self._scenario,
            findings=tuple(findings),
            invites=invites,
            faults=tuple(faults),
        )

    def was_in_vain(self) -> bool:
        """Whether it found nothing but went wrong, so that it has to be tried again."""
        result = self.read()
        return bool(result.faults) and not result.findings and result.invites <= 1

    def _heard(self) -> Iterator[Finding]:
        """Yield what came with the sound."""
        for phone in (self._caller, self._callee):
            numbers, names = _texts(phone.secrets)
            packets = [each for media in self._sound[phone.side] for each in media.packets]
            for leak in find_told(packets, numbers=numbers, names=names):
                yield Finding(at=phone.side, leak=leak, message="RTP or RTCP")

    def _write_captures(self) -> None:
        """Leave what every phone sent and received beside its script."""
        for phone in self._phones:
            with (self._work / f"{phone.name}.messages").open("wb") as file:
                for message in phone.leg.messages:
                    way = "sent" if message.sent else "received"
                    file.write(f"---- {message.at:%H:%M:%S.%f} {way}\n".encode() + message.raw)

    def _unplanted(self) -> Iterator[str]:
        """Yield the sides that did not plant what they should have."""
        setup = self._setup
        stranger = setup.vector.outside is not None and setup.vector.outside.stranger
        if setup.vector.sound:
            # It may have moved before the other side began.
            if not all(sound[-1].packets for sound in self._sound.values()):
                yield "a side has heard nothing of the other"
            if any(media.broken for media in self._media()):
                yield "a packet came that says it is padded, and is not"
        for side in sorted(setup.vector.by, key=lambda side: side.value):
            party = setup.other if stranger else setup.party(side)
            sent = [
                message
                for phone in self._phones
                if phone.side is side
                for message in phone.leg.messages
                if message.sent
            ]
            told = [each for media in self._sound[side] for each in media.sent]
            everything = b"\n".join([*(message.raw for message in sent), *told])
            if not find_leaks(everything, numbers=[party.number]):
                yield f"the {side.value} has not planted its number"
            if not find_leaks(everything, numbers=[], names=[party.name, party.hanzi]):
                yield f"the {side.value} has not planted its name"
            for request in setup.vector.requests:
                if all(message.status or message.method != request.method for message in sent):
                    yield f"the {side.value} has sent no {request.method}"

    def _went_wrong(self, invites: int) -> Iterator[str]:
        """Yield what the call came to, where it is not what it should have come to."""
        vector = self._setup.vector
        expected = 0 if vector.refused else 1
        if invites != expected:
            yield f"{invites} calls to the callee instead of {expected}"
        final = next((s for s in map(_final, self._caller.leg.messages) if s), 0)
        if vector.cancel is not None:
            good = final == _CANCELLED
        elif vector.final or vector.refused:
            good = final >= _REFUSED
        else:
            good = final == _OK
        if not good:
            yield f"the caller got {final or 'no final response'}"


def _findings(phone: _Phone) -> Iterator[Finding]:
    """Yield what *phone* received of others."""
    numbers, names = _texts(phone.secrets)
    if not find_leaks(received_by(phone.leg.messages), numbers=numbers, names=names):
        return
    for message in phone.leg.messages:
        if not message.sent:
            for leak in find_leaks(message.raw, numbers=numbers, names=names):
                yield Finding(at=phone.side, leak=leak, message=mask(message.start_line))


def _texts(secrets: Sequence[Party]) -> tuple[list[str], list[str]]:
    """Numbers and names to search for."""
    return (
        [party.number for party in secrets],
        [name for party in secrets for name in (party.name, party.hanzi, party.address)],
    )


def _final(message: Message) -> int:
    """Status of a final response to an INVITE that a phone received, else 0."""
    if message.sent or message.method != "INVITE":
        return 0
    return message.status if (message.status or 0) >= _OK and message.status else 0


def _calls(leg: Leg) -> set[tuple[str, str | None]]:
    """Call-ID and CSeq of every INVITE that began a call on *leg*."""
    return {
        (message.call_id, message.header("cseq"))
        for message in leg.messages
        if not message.sent and message.start_line.startswith("INVITE ") and not message.tag("to")
    }


def _replaces(leg: Leg) -> str:
    """Name the dialog of *leg* as the PBX knows it (RFC 3891): its own tag is the to-tag."""
    for message in leg.messages:
        if message.status == _OK and message.method == "INVITE":
            own, peer = ("from", "to") if message.sent else ("to", "from")
            return f"{message.call_id};to-tag={message.tag(own)};from-tag={message.tag(peer)}"
    return ""


def _free_port() -> int:
    """A port, after which five more are this process's too, that is free now."""
    while True:
        port = next(_PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _is_bound(port: int) -> bool:
    lines = Path("/proc/net/udp").read_text("ascii").splitlines()[1:]
    return any(int(line.split()[1].rpartition(":")[2], 16) == port for line in lines)
