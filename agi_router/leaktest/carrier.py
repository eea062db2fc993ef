"""
The carrier: the one address on either side of the PBX, behind which all phones stand.

1. Whatever passes is kept, by the leg it belongs to; a message of nobody's is kept as well.
2. It hands a call to the phone whose number is dialled, and to no other. A call
   to anybody else is refused, and told of: somebody made the PBX dial it.
3. A message in a dialog of an earlier run is not kept, and a request is answered that there is
   none: the PBX ends a call whose phones are gone when it hears nothing of them any more.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from agi_router.errors import LeakTestError
from agi_router.leaktest.messages import Message

__all__ = ["Address", "Carrier", "Leg", "parse_address", "show"]

Address = tuple[str, int]

_LAST_DIGITS = 11
_VIA = re.compile(rb"(?im)^via:.*\r\n")


def parse_address(text: str) -> Address:
    """
    Read ``host:port``; the host is an IPv4 address.

    Raises:
        ValueError: It is none.
    """
    host, _, port = text.rpartition(":")
    parts = host.split(".")
    good = len(parts) == 4 and all(part.isdecimal() and int(part) < 256 for part in parts)  # noqa: PLR2004
    if not good or not port.isdecimal() or not 0 < int(port) < 65536:  # noqa: PLR2004
        raise ValueError("expected an IPv4 address and a port, like 127.0.0.1:5060")
    return host, int(port)


def show(address: Address) -> str:
    """Write an address as :func:`parse_address` reads it."""
    return f"{address[0]}:{address[1]}"


@dataclass(slots=True, eq=False)
class Leg:
    """
    One phone's end of a call.

    Attributes:
        phone: Where its SIPp process listens.
        messages: Every datagram that passed, in order.
        pbx: Where the PBX sends from.
        accepted: Set when its INVITE, or the one it got, was answered by 200.
        way: The way by which the INVITE that it got has come: its headers Via, then Record-Route.
    """

    phone: Address
    messages: list[Message] = field(default_factory=list)
    pbx: Address | None = None
    accepted: asyncio.Event = field(default_factory=asyncio.Event)
    way: tuple[tuple[str, str], ...] = ()

    def keep(self, message: Message) -> None:
        """Keep one message, and learn from it how far the call is."""
        self.messages.append(message)
        if message.status == 200 and message.method == "INVITE":  # noqa: PLR2004
            self.accepted.set()
        if not (message.sent or self.way) and message.start_line.startswith("INVITE "):
            self.way = tuple(_of_way(message))

    def back(self, data: bytes, message: Message) -> bytes:
        """
        An answer of the phone to that INVITE, to go back the way it has come; else *data*.

        A script knows of the INVITE, while others come, no more than its first Via.
        """
        if message.status is None or len(self.way) == 1 or _of_way(message) != [*self.way[:1]]:
            return data
        line, end, rest = data.partition(b"\r\n")
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.way)
        return line + end + lines.encode("utf-8", "replace") + _VIA.sub(b"", rest, count=1)


def _of_way(message: Message) -> list[tuple[str, str]]:
    """Headers by which answers, and later requests, find their way."""
    ways = ("via", "record-route")
    return sorted((h for h in message.headers if h[0] in ways), key=lambda h: ways.index(h[0]))


class _Port(asyncio.DatagramProtocol):
    """
    One public address of the carrier.
    """

    def __init__(self, pbx: Address, unexpected: Callable[[Message], None]) -> None:
        self._pbx = pbx
        self._unexpected = unexpected
        self._by_phone: dict[Address, Leg] = {}
        self._by_call: dict[str, Leg] = {}
        self._by_number: dict[str, Leg] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def join(self, leg: Leg, *, call_id: str = "", number: str = "") -> None:
        """Let *leg* stand here: for its own Call-ID, or for calls to its number."""
        self._by_phone[leg.phone] = leg
        if call_id:
            self._by_call[call_id] = leg
        if number:
            self._by_number[number] = leg

    def leave(self, leg: Leg, *, number: str = "") -> None:
        """Forget where *leg*'s phone was; what still comes for its calls is kept."""
        del self._by_phone[leg.phone]
        if number:
            del self._by_number[number]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Carry one datagram on, and keep it."""
        phone = self._by_phone.get(addr)
        message = Message.parse(data, at=datetime.now(UTC), sent=phone is not None)
        if phone is not None:
            phone.keep(message)
            self._send(phone.back(data, message), phone.pbx or self._pbx)
            return
        leg = self._by_call.get(message.call_id) or self._called(message)
        if leg is None:
            self._unexpected(message)
            self._send(_answer(message), addr)
            return
        leg.pbx = addr
        leg.keep(message)
        if leg.phone in self._by_phone:
            self._send(data, leg.phone)
        else:
            self._send(_answer(message), addr)

    def knows(self, call_id: str) -> bool:
        """Whether a call of this run has it."""
        return call_id in self._by_call

    def _send(self, data: bytes, address: Address) -> None:
        if data and self._transport is not None:
            self._transport.sendto(data, address)

    def _called(self, message: Message) -> Leg | None:
        """The phone that a new call is for."""
        if not message.start_line.startswith("INVITE "):
            return None
        digits = (message.request_user or "").removeprefix("+")
        leg = self._by_number.get(digits[-_LAST_DIGITS:])
        if leg is not None:
            self._by_call[message.call_id] = leg
        return leg


def _answer(message: Message) -> bytes:
    """
    The answer to a message that is for nobody: a refusal to a request, nothing to other messages.

    A PBX that asks by OPTIONS whether its carrier is there is told that it is.

    Source:
        RFC 3261, 12.2.2: what a request in a dialog is answered of which there is none.
    """
    if message.status is not None or message.method in {"", "ACK"}:
        return b""
    to = message.header("to") or ""
    if message.tag("to"):
        status = "481 Call/Transaction Does Not Exist"
    else:
        status = "200 OK" if message.method == "OPTIONS" else "603 Decline"
        to += ";tag=nobody"
    kept = (f"{k}: {v}" for k, v in message.headers if k in {"via", "from", "call-id", "cseq"})
    lines = (f"SIP/2.0 {status}", *kept, f"To: {to}", "Content-Length: 0", "", "")
    return "\r\n".join(lines).encode("utf-8", "replace")


class Carrier:
    """
    The two sides of the PBX, and an address at which nobody may arrive.

    Attributes:
        near: Where callers stand.
        far: Where the called stand.
        decoy: Host and port of the address that phones name in redirections.
        unexpected: Every message that was for nobody, on any of the three; without what belongs
            to a dialog of no call of this run.
    """

    near: _Port
    far: _Port
    decoy: str

    def __init__(self) -> None:
        """Made by :meth:`open`."""
        self.unexpected: list[Message] = []
        self._ports: list[_Port] = []

    def keep(self, message: Message) -> None:
        """Keep a message that was for nobody."""
        known = any(port.knows(message.call_id) for port in self._ports)
        if known or not message.tag("to"):
            self.unexpected.append(message)

    @classmethod
    @asynccontextmanager
    async def open(cls, *, pbx: Address, near: Address, far: Address) -> AsyncIterator[Carrier]:
        """
        Stand on both sides of a PBX for the time of a block.

        Args:
            pbx: Where the PBX takes SIP over UDP.
            near: The address that the PBX knows as the carrier's.
            far: The address to which the PBX sends its calls.

        Raises:
            LeakTestError: An address is not this machine's, or is taken.
        """
        loop = asyncio.get_running_loop()
        carrier = cls()
        transports: list[asyncio.DatagramTransport] = []

        async def listen(address: Address) -> _Port:
            try:
                transport, port = await loop.create_datagram_endpoint(
                    lambda: _Port(pbx, carrier.keep), local_addr=address
                )
            except OSError as exc:
                raise LeakTestError(f"cannot listen on {show(address)}: {exc.strerror}") from exc
            transports.append(transport)
            carrier._ports.append(port)
            return port

        try:
            carrier.near, carrier.far = await listen(near), await listen(far)
            await listen((far[0], 0))
            carrier.decoy = show(transports[-1].get_extra_info("sockname"))
            yield carrier
        finally:
            for transport in transports:
                transport.close()
