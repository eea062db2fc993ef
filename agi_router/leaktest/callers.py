"""
Callers: calls that say who calls in every form there is, and who rings for each.

1. Nobody talks: the callee is busy, so that whoever is rung is known and the call is over.
2. A call that was neither put through nor refused proves nothing: it is placed again, and a fault
   at last.
3. These phones are sockets, not SIPp: what they send is folded, cut and quoted as it is written.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Mode
from agi_router.errors import LeakTestError
from agi_router.leaktest.call_slots import CallSlot
from agi_router.leaktest.carrier import Address, show
from agi_router.leaktest.identities import Identity, Taken
from agi_router.leaktest.messages import Message

__all__ = ["Sighting", "run_callers"]

# How often a call is placed that proves nothing: on a busy machine the router may be late.
_ATTEMPTS = 3
# Seconds for one call, with a prompt; until the INVITE is sent again.
_PATIENCE, _AGAIN = 40, 0.5
_REFUSED = 403
_LAST_DIGITS = 11


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """
    Who was taken for the caller of one call.

    Attributes:
        identity: What the call said.
        must_be: Who it had to be, or why nobody.
        seen: Who it was, by who rang; :obj:`None` if nobody rang.
        elsewhere: Whether somebody rang who is in no binding of the caller's.
        status: Final SIP status of a caller for whom nobody rang; 0 if none came.
    """

    identity: Identity
    must_be: Taken | Reason
    seen: Taken | None
    elsewhere: bool = False
    status: int = 0

    @property
    def somebody_else(self) -> bool:
        """Whether another than who called was taken for the caller."""
        return self.elsewhere or (self.seen is not None and self.seen is not self.must_be)

    @property
    def fault(self) -> str:
        """What went wrong with a call that proves nothing; empty if nothing did."""
        if self.somebody_else or self.seen is not None:
            return ""
        if self.must_be in {Taken.A, Taken.B}:
            return f"nobody rang, and the caller got {self.status or 'no final response'}"
        return "" if self.status == _REFUSED else f"the caller got {self.status or 'no response'}"

    @property
    def outcome(self) -> str:
        """In words, who it was."""
        if self.elsewhere:
            return "somebody elsewhere"
        return f"nobody ({self.status})" if self.seen is None else self.seen.value


class _Socket(asyncio.DatagramProtocol):
    """
    One address of the carrier.
    """

    def __init__(self, heard: Callable[[Message, Address], None]) -> None:
        self._heard = heard
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._heard(Message.parse(data, at=datetime.now(UTC), sent=False), addr)

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram."""
        if self._transport is not None:
            self._transport.sendto(data, to)


class _Exchange:
    """
    Both sides of the PBX: who calls, and who rings.
    """

    def __init__(self, *, pbx: Address, near: Address) -> None:
        self.pbx, self.near = pbx, near
        self.calling = _Socket(self._answered)
        self.called = _Socket(self._rung)
        self.waiting: dict[str, asyncio.Queue[Message]] = {}
        # By number: whom a call may ring, and where that is told.
        self.ringing: dict[str, asyncio.Queue[Message]] = {}

    def _answered(self, message: Message, _: Address) -> None:
        if message.status is not None and message.call_id in self.waiting:
            self.waiting[message.call_id].put_nowait(message)

    def _rung(self, message: Message, source: Address) -> None:
        if message.status is not None or message.method == "ACK":
            return
        status = "200 OK"
        if message.method == "INVITE":
            status = "486 Busy Here"
            number = (message.request_user or "")[-_LAST_DIGITS:]
            if number in self.ringing:
                self.ringing[number].put_nowait(message)
        kept = (
            f"{name}: {value}"
            for name, value in message.headers
            if name in {"via", "from", "call-id", "cseq"}
        )
        to = f"To: {message.header('to') or ''};tag=busy"
        lines = (f"SIP/2.0 {status}", *kept, to, "Content-Length: 0", "", "")
        self.called.send("\r\n".join(lines).encode("utf-8", "replace"), source)


@asynccontextmanager
async def _open(*, pbx: Address, near: Address, far: Address) -> AsyncIterator[_Exchange]:
    loop = asyncio.get_running_loop()
    exchange = _Exchange(pbx=pbx, near=near)
    transports = []
    try:
        for address, side in ((near, exchange.calling), (far, exchange.called)):
            try:
                transport, _ = await loop.create_datagram_endpoint(
                    lambda side=side: side,  # type: ignore[misc]
                    local_addr=address,
                )
            except OSError as exc:
                raise LeakTestError(f"cannot listen on {show(address)}: {exc.strerror}") from exc
            transports.append(transport)
        yield exchange
    finally:
        for transport in transports:
            transport.close()


async def run_callers(
    plan: Sequence[Identity],
    slots: Sequence[CallSlot],
    *,
    pbx: Address,
    near: Address,
    far: Address,
    believe_from: bool = True,
    mode: Mode = Mode.AXB,
) -> list[Sighting]:
    """
    Place a call for every identity of *plan*, and say who was taken for its caller.

    Args:
        plan: The identities.
        slots: As many calls are up at once.
        pbx: Where the PBX takes SIP over UDP.
        near: The address that the PBX knows as the carrier's; callers call from it.
        far: The address to which the PBX sends its calls.
        believe_from: Whether From counts where nobody is asserted (``AGI_ROUTER_UNASSERTED``).
        mode: Mode of the bindings that are called.

    Returns:
        One sighting for each identity, in the order of *plan*.

    Raises:
        LeakTestError: An address cannot be had.
    """
    word = secrets.token_hex(4)
    numbers = itertools.count()
    sightings: dict[str, Sighting] = {}
    async with _open(pbx=pbx, near=near, far=far) as exchange:

        async def serve(slot: CallSlot, waiting: Iterator[Identity]) -> None:
            for identity in waiting:
                call = _Call(exchange, identity, slot, f"{word}-{next(numbers)}", mode)
                sightings[identity.name] = await call.place(believe_from=believe_from)

        waiting = list(plan)
        for _ in range(_ATTEMPTS):
            places = iter(waiting)
            async with asyncio.TaskGroup() as group:
                for slot in slots:
                    group.create_task(serve(slot, places))
            waiting = [each for each in waiting if sightings[each.name].fault]
    return [sightings[identity.name] for identity in plan]


class _Call:
    """
    One call while it runs.
    """

    def __init__(
        self, exchange: _Exchange, identity: Identity, slot: CallSlot, tag: str, mode: Mode
    ) -> None:
        self._exchange = exchange
        self._identity = identity
        self._slot = slot
        self._tag = tag
        self._call_id = f"{tag}@leaktest"
        self._uri = f"sip:{slot.dialled[mode][0]}@{show(exchange.pbx)}"
        self._names = {"a": slot.a.number, "b": slot.b.number, "c": slot.other.number}
        self._came: asyncio.Queue[Message] = asyncio.Queue()

    async def place(self, *, believe_from: bool) -> Sighting:
        """Place it, and wait until it is over."""
        exchange, slot, identity = self._exchange, self._slot, self._identity
        must_be = identity.taken_for
        if identity.unasserted and not believe_from:
            must_be = Reason.CALLER_UNREADABLE
        rung: asyncio.Queue[Message] = asyncio.Queue()
        numbers = {slot.b.number: Taken.A, slot.a.number: Taken.B, slot.other.number: None}
        exchange.ringing |= dict.fromkeys(numbers, rung)
        exchange.waiting[self._call_id] = self._came
        calling = asyncio.create_task(self._caller())
        ringing = asyncio.create_task(rung.get())
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await asyncio.wait({calling, ringing}, return_when=asyncio.FIRST_COMPLETED)
                    if ringing.done():
                        self._send("CANCEL", "CSeq: 1 CANCEL")
                        await calling
        finally:
            for task in (calling, ringing):
                task.cancel()
            del exchange.waiting[self._call_id]
            for number in numbers:
                del exchange.ringing[number]
        if ringing.done() and not ringing.cancelled():
            number = (ringing.result().request_user or "")[-_LAST_DIGITS:]
            seen = numbers[number]
            return Sighting(identity=identity, must_be=must_be, seen=seen, elsewhere=seen is None)
        status = calling.result() if calling.done() and not calling.cancelled() else 0
        return Sighting(identity=identity, must_be=must_be, seen=None, status=status)

    async def _caller(self) -> int:
        """Call, and return the final status."""
        self._invite()
        heard = False
        while True:
            try:
                message = await asyncio.wait_for(self._came.get(), None if heard else _AGAIN)
            except TimeoutError:
                self._invite()
                continue
            heard = True
            if message.method != "INVITE" or (message.status or 0) < 200:  # noqa: PLR2004
                continue
            to = f"To: {message.header('to')}"
            self._send("ACK", "CSeq: 1 ACK", to=to)
            if message.status == 200:  # noqa: PLR2004
                # Whoever was answered has nobody to talk to.
                self._tag += "-bye"
                self._send("BYE", "CSeq: 2 BYE", to=to)
            return message.status or 0

    def _invite(self) -> None:
        host, near = self._exchange.near[0], show(self._exchange.near)
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 8 0\r\n"
        )
        self._send(
            "INVITE",
            "CSeq: 1 INVITE",
            f"Contact: <sip:leaktest@{near}>",
            *(line.format(**self._names) for line in self._identity.headers),
            "Content-Type: application/sdp",
            body=body,
        )

    def _send(self, method: str, *lines: str, to: str = "", body: str = "") -> None:
        message = "\r\n".join(
            (
                f"{method} {self._uri} SIP/2.0",
                f"Via: SIP/2.0/UDP {show(self._exchange.near)};branch=z9hG4bK{self._tag}",
                f"{self._identity.sender.format(**self._names)};tag={self._tag}",
                to or f"To: <{self._uri}>",
                f"Call-ID: {self._call_id}",
                "Max-Forwards: 70",
                *lines,
                f"Content-Length: {len(body)}",
                "",
                body,
            )
        )
        self._exchange.calling.send(message.encode(), self._exchange.pbx)
