"""
Sound: one phone's end of it, what it tells beside the sound, and what came.

Source:
    RFC 3550, 5.1 (header), 6.4 (RTCP); RFC 5761, 4 (how they are told apart); RFC 8285 (header
    extension).
"""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from agi_router.leaktest.leaks import Leak, Spelling, find_leaks, mask
from agi_router.leaktest.messages import Message
from agi_router.leaktest.packets import SOUND_TYPES, Packet, Port, packed_source

__all__ = ["Media", "find_told", "is_broken", "own_port", "peer_of", "told_by"]

_HEADER = 12
# Between two packets of sound, in seconds and in time stamps.
_INTERVAL, _SAMPLES = 0.02, 160
# Packets beside the sound within one interval, and intervals at least: on the first the PBX learns
# where sound comes from.
_TOGETHER, _INTERVALS, _LEARNT = 5, 15, 5


def _is_rtp(packet: bytes) -> bool:
    return len(packet) >= _HEADER and packet[0] >> 6 == 2 and not 192 <= packet[1] <= 223  # noqa: PLR2004


def _header(packet: bytes) -> int:
    """Bytes of the header of RTP, with its sources and its extension."""
    end = _HEADER + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10 and len(packet) >= end + 4:
        end += 4 + 4 * int(struct.unpack_from("!H", packet, end + 2)[0])
    return min(end, len(packet))


def told_by(packet: bytes) -> bytes:
    """
    What of *packet* is not sound: the header and the padding of RTP where it is sound, else all.
    """
    if not _is_rtp(packet) or packet[1] & 0x7F not in SOUND_TYPES:
        return packet
    end = _header(packet)
    padding = min(packet[-1], len(packet) - end) if packet[0] & 0x20 else 0
    return packet[:end] + packet[len(packet) - padding :]


def is_broken(packet: bytes) -> bool:
    """
    Whether *packet* says that it is padded, and is not: whoever hears it loses sound.
    """
    padded = _is_rtp(packet) and packet[0] & 0x20
    return bool(padded) and not 0 < packet[-1] <= len(packet) - _header(packet)


def find_told(
    packets: Sequence[bytes], *, numbers: Sequence[str], names: Iterable[str]
) -> list[Leak]:
    """
    Find whom *packets* name: as any text does, by a number that is packed, or as a source.

    Args:
        packets: What :func:`told_by` has left of them.
        numbers: Numbers of eleven digits that must not be in them.
        names: Names that must not.
    """
    return [
        *find_leaks(b"\n".join(packets), numbers=numbers, names=names),
        *(leak for packet in packets for number in numbers for leak in _packed(packet, number)),
    ]


def _packed(packet: bytes, number: str) -> Iterator[Leak]:
    if (at := packet.hex().find(number)) >= 0:
        yield Leak(secret=mask(number), spelling=Spelling.PACKED, offset=at // 2)
    for at in _sources(packet):
        if packet[at : at + 4] == packed_source(number):
            yield Leak(secret=mask(number), spelling=Spelling.SOURCE, offset=at)


def _sources(packet: bytes) -> Sequence[int]:
    """Where the sources stand, those of all who contribute too."""
    if _is_rtp(packet):
        return range(8, min(_HEADER + 4 * (packet[0] & 0x0F), len(packet)), 4)
    return range(4, min(8, len(packet)), 4)


def peer_of(messages: list[Message]) -> tuple[str, int] | None:
    """Where the PBX takes a phone's sound, by the session description that came last."""
    return _place(messages, sent=False)


def own_port(messages: list[Message]) -> int | None:
    """Where a phone takes its sound, by the session description that it sent last."""
    place = _place(messages, sent=True)
    return place and place[1]


def _place(messages: list[Message], *, sent: bool) -> tuple[str, int] | None:
    for message in reversed(messages):
        address = re.search(r"^c=IN IP4 (\S+)", message.body, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", message.body, re.MULTILINE)
        if message.sent is sent and address and port:
            return address[1], int(port[1])
    return None


class _Inbox(asyncio.DatagramProtocol):
    def __init__(self, media: Media) -> None:
        self._media = media

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Keep what is not sound."""
        del addr
        self._media.keep(data)


class Media:
    """
    The two ports of one phone's sound, RTP and RTCP.

    Attributes:
        port: The first.
        packets: What came to either, sound left out.
        sent: What was told, sound left out.
        broken: How many packets came that say they are padded, and are not.
    """

    def __init__(self) -> None:
        """Made by :meth:`open`."""
        self.port = 0
        self.packets: list[bytes] = []
        self.sent: list[bytes] = []
        self.broken = 0
        self._number = 0
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
                        lambda: _Inbox(media), local_addr=(host, each)
                    )
                    media._transports.append(transport)
            if len(media._transports) == 1:
                # The other one is somebody's.
                media.close()
        media.port = port
        return media

    def keep(self, packet: bytes) -> None:
        """Keep what of a packet that came is not sound."""
        self.packets.append(told_by(packet))
        self.broken += is_broken(packet)

    async def tell(self, peer: tuple[str, int], sound: Packet, packets: Sequence[Packet]) -> None:
        """
        Send sound to where the PBX takes it, and everything of *packets* twice in between.
        """
        waiting = [*packets, *packets]
        for interval in range(max(_INTERVALS, _LEARNT + -(-len(waiting) // _TOGETHER))):
            self._send(peer, sound)
            if interval >= _LEARNT:
                for each in waiting[:_TOGETHER]:
                    self._send(peer, each)
                del waiting[:_TOGETHER]
            await asyncio.sleep(_INTERVAL)

    def _send(self, peer: tuple[str, int], packet: Packet) -> None:
        data = packet.data
        if packet.in_stream:
            # Each has its number, and its place in time.
            self._number += 1
            place = struct.pack("!HI", self._number & 0xFFFF, self._number * _SAMPLES)
            data = data[:2] + place + data[8:]
        beside = packet.port is Port.RTCP
        self.sent.append(told_by(data))
        self._transports[beside].sendto(data, (peer[0], peer[1] + beside))

    def close(self) -> None:
        """Give the ports back."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()
