"""
Sound: one phone's end of it, which tells who it is in everything that RTP has beside the sound.

Source:
    RFC 3550, 5.1 (header), 6.4.2 and 6.5 (RTCP: RR, SDES), 6.7 (APP); RFC 8285 (header extension).
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from contextlib import suppress
from typing import Any

from agi_router.leaktest.messages import Message
from agi_router.leaktest.vectors import Party

__all__ = ["Media", "peer_of", "rtcp_of", "rtp_of", "told_by"]

_SSRC = 0x5EC12E75
# CNAME, NAME, EMAIL, PHONE, LOC, TOOL, NOTE: all items of SDES that are text.
_SDES = range(1, 8)
_A_LAW, _PACKET = 8, 160
_RECEIVER_REPORT, _DESCRIPTION, _APPLICATION = 201, 202, 204


def _telling(party: Party) -> bytes:
    return f"{party.name} {party.number}".encode()


def rtp_of(party: Party | None) -> bytes:
    """One packet of silence, whose header extension names *party* if there is one."""
    text = _telling(party) if party else b""
    text += bytes(-len(text) % 4)
    extension = struct.pack("!HH", 0x1000, len(text) // 4) + text if text else b""
    first = 0x90 if extension else 0x80
    header = struct.pack("!BBHII", first, _A_LAW, 1, _PACKET, _SSRC)
    return header + extension + b"\xd5" * _PACKET


def rtcp_of(party: Party) -> bytes:
    """A compound packet whose description and application part name *party*."""
    text = _telling(party)
    items = b"".join(struct.pack("!BB", item, len(text)) + text for item in _SDES)
    chunk = struct.pack("!I", _SSRC) + items
    # A chunk ends with a null, on a boundary of four.
    chunk += bytes(4 - len(chunk) % 4)
    own = struct.pack("!I4s", _SSRC, b"NAME") + text + bytes(-len(text) % 4)
    return b"".join(
        struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
        for count, kind, body in (
            (0, _RECEIVER_REPORT, struct.pack("!I", _SSRC)),
            (1, _DESCRIPTION, chunk),
            (0, _APPLICATION, own),
        )
    )


def told_by(packet: bytes) -> bytes:
    """
    What of *packet* is not sound: all of RTCP (RFC 5761, 4, tells them apart), the header of RTP.

    Too short a packet is given whole.
    """
    if len(packet) < 12 or 192 <= packet[1] <= 223:  # noqa: PLR2004
        return packet
    end = 12 + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10 and len(packet) >= end + 4:
        end += 4 + 4 * int(struct.unpack_from("!H", packet, end + 2)[0])
    return packet[:end]


def peer_of(messages: list[Message]) -> tuple[str, int] | None:
    """Where the PBX takes a phone's sound, by the session description that came last."""
    for message in reversed(messages):
        address = re.search(r"^c=IN IP4 (\S+)", message.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", message.body, re.MULTILINE)
        if not message.sent and address and port:
            return address[1], int(port[1])
    return None


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self, packets: list[bytes]) -> None:
        self._packets = packets

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Keep what is not sound."""
        del addr
        self._packets.append(told_by(data))


class Media:
    """
    The two ports of one phone's sound, RTP and RTCP.

    Attributes:
        port: The first.
        packets: What came to either, sound left out.
    """

    def __init__(self) -> None:
        """Made by :meth:`open`."""
        self.port = 0
        self.packets: list[bytes] = []
        self._transports: list[asyncio.DatagramTransport] = []

    @classmethod
    async def open(cls, host: str) -> Media:
        """Take two ports in a row of *host*, the first of them even."""
        loop = asyncio.get_running_loop()
        media = cls()
        while not media._transports:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((host, 0))
                port = probe.getsockname()[1] & ~1
            with suppress(OSError):
                for each in (port, port + 1):
                    transport, _ = await loop.create_datagram_endpoint(
                        lambda: _Inbox(media.packets), local_addr=(host, each)
                    )
                    media._transports.append(transport)
            if len(media._transports) == 1:
                # The other one is somebody's.
                media.close()
        media.port = port
        return media

    async def tell(self, peer: tuple[str, int], *, rtp: bytes, rtcp: bytes) -> None:
        """Send a moment of *rtp*, and *rtcp* at times, to where the PBX takes this sound."""
        for sequence in range(1, 16):
            # Each packet has its number, and its place in time.
            numbered = struct.pack("!HI", sequence, sequence * _PACKET)
            self._transports[0].sendto(rtp[:2] + numbered + rtp[8:], peer)
            if rtcp and sequence % 5 == 0:
                self._transports[1].sendto(rtcp, (peer[0], peer[1] + 1))
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Give the ports back."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()
