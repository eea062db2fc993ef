"""
What a caller hears: the RTP that was sent to its phone, as it passed on loopback.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from agi_router.leaktest.messages import Message

# Linux's numbers, which Python does not name.
_SO_TIMESTAMPNS, _SO_RCVBUFFORCE = 35, 33
_UDP_HEADER = 8
_RTP_HEADER = 12


class Sound:
    """All datagrams of this machine, while :func:`listening`."""

    def __init__(self) -> None:
        """Heard nothing yet."""
        self._heard: list[tuple[datetime, int, bytes]] = []

    def add(self, packet: bytes, at: datetime) -> None:
        """Take one IP packet that carries UDP."""
        datagram = packet[(packet[0] & 0x0F) * 4 :]
        (port,) = struct.unpack_from("!H", datagram, 2)
        self._heard.append((at, port, datagram[_UDP_HEADER:]))

    def when(self, message: Message) -> datetime:
        """When a message passed: a phone may stand still before it notes that it has sent it."""
        return next(at for at, _, payload in self._heard if payload == message.raw)

    def of(self, phone: Sequence[Message]) -> list[tuple[datetime, bytes]]:
        """When which sound was sent to the phone that sent or received these messages."""
        [port] = {each for m in phone if m.sent for each in re.findall(r"m=audio (\d+)", m.body)}
        return self.at(int(port))

    def at(self, port: int) -> list[tuple[datetime, bytes]]:
        """When which sound was sent to a port."""
        return [(at, payload[_RTP_HEADER:]) for at, to, payload in self._heard if to == port]


@contextmanager
def listening() -> Iterator[Sound]:
    """Hear everything, for the time of a block."""
    sound = Sound()
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as ear:
        ear.settimeout(0.1)
        # A machine that stalls moves no packet from before an answer behind it, and loses none.
        ear.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        ear.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)
        over = threading.Event()

        def hear() -> None:
            while not over.is_set():
                try:
                    packet, [(_, _, stamp), *_], _, _ = ear.recvmsg(65535, 64)
                except TimeoutError:
                    continue
                seconds, nanoseconds = struct.unpack("ll", stamp)
                sound.add(packet, datetime.fromtimestamp(seconds + nanoseconds / 1e9, UTC))

        thread = threading.Thread(target=hear)
        thread.start()
        try:
            yield sound
        finally:
            over.set()
            thread.join()
