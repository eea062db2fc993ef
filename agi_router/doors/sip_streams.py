"""
SIP over TCP: connections of peers to us, and one of ours to the next hop.

Rules for the editor:

1. Who is no peer, by its address, is hung up on before a byte is read.
2. Nobody holds a place for long: a message that has begun is whole within :data:`_WHOLE_IN`
   seconds, who reads no answers is hung up on, and where all places are taken the connection that
   has been silent for the longest leaves.
3. What cannot be cut into messages any more is of no use: the connection is closed.
4. A stream repeats nothing, so what waited unread for longer than its sender waits is not
   believed: the kernel says when it came.

Source:
    RFC 3261, 18.2.2 (answers go by the connection on which the request came), 18.3 (a message of a
    stream has its length), 18.1.1; tcp(7), TCP_INFO.
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable, Collection
from typing import Final, Protocol

from agi_router.sip import BadMessage, Framer, Message

__all__ = ["Streams", "Way"]

_PLACES: Final = 256
# Seconds that a message may take to come, and a connection to be made.
_WHOLE_IN: Final = 10.0
_CONNECT: Final = 5.0
# Octets that wait for somebody who does not read.
_UNREAD: Final = 256 * 1024
# Seconds after which a sender has given up, or is about to.
_TOO_OLD: Final = 16.0
_TCP_INFO: Final = 11
_LAST_RECEIVED: Final = struct.Struct("@52xI")


class Way(Protocol):
    """
    By which a message came, and its answer goes back.
    """

    @property
    def reliable(self) -> bool:
        """
        Whether it repeats by itself what is lost.
        """

    def write(self, data: bytes) -> None:
        """
        Send a message.
        """


class _Stream(asyncio.Protocol):
    """
    One connection.
    """

    reliable = True

    def __init__(self, streams: "Streams") -> None:
        self._streams = streams
        self._framer = Framer()
        self._transport: asyncio.Transport | None = None
        self._begun: asyncio.TimerHandle | None = None
        self.heard_at = time.monotonic()

    @property
    def is_open(self) -> bool:
        """
        Whether something may still be written.
        """
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Take a peer's; hang up on others.
        """
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - it is one of a stream
        peer = transport.get_extra_info("peername")
        if peer is None or not self._streams.knows(peer[0]):
            transport.abort()
            return
        self._transport = transport
        self._streams.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Give the place back.
        """
        del exc
        self._wait_for_rest(waiting=False)
        self._streams.remove(self)

    def data_received(self, data: bytes) -> None:
        """
        Hand on each message that is whole.
        """
        if self._transport is None or self._transport.is_closing():
            return
        self.heard_at = time.monotonic()
        if _age(self._transport) > _TOO_OLD:
            self.close()
            return
        try:
            for message in self._framer.feed(data):
                self._wait_for_rest(waiting=False)
                with contextlib.suppress(BadMessage):
                    self._streams.take(message, self)
        except BadMessage:
            self.close()
            return
        self._wait_for_rest(waiting=self._framer.is_waiting)

    def _wait_for_rest(self, *, waiting: bool) -> None:
        if waiting and self._begun is None:
            loop = asyncio.get_running_loop()
            self._begun = loop.call_later(_WHOLE_IN, self.close)
        elif not waiting and self._begun is not None:
            self._begun.cancel()
            self._begun = None

    def write(self, data: bytes) -> None:
        """
        Send a message; nothing where the connection is gone.
        """
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _UNREAD:
            self.close()

    def close(self) -> None:
        """
        Hang up, at once.
        """
        if self._transport is not None:
            self._transport.abort()


class Streams:
    """
    The connections of a door.

    Args:
        peers: Addresses that may connect.
        take: Is handed each message and the way it came by.
        lost: Is told by which way nothing comes or goes any more.
    """

    def __init__(
        self,
        peers: Collection[str],
        take: Callable[[Message, Way], None],
        lost: Callable[[Way], None],
    ) -> None:
        self._peers = peers
        self.take = take
        self._lost = lost
        self._open: set[_Stream] = set()
        self._out: _Stream | None = None
        self._connecting = asyncio.Lock()

    def knows(self, address: str) -> bool:
        """
        Whether somebody may connect.
        """
        return address in self._peers

    def add(self, stream: _Stream) -> None:
        """
        Keep a connection; the one that was silent for the longest leaves where there is no place.
        """
        if len(self._open) >= _PLACES:
            min(self._open, key=lambda each: each.heard_at).close()
        self._open.add(stream)

    def remove(self, stream: _Stream) -> None:
        """
        Forget a connection.
        """
        self._open.discard(stream)
        self._lost(stream)

    async def listen(self, opened: socket.socket) -> asyncio.Server:
        """
        Take connections on a socket that is bound.
        """
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _Stream(self), sock=opened)

    async def connect(self, address: tuple[str, int]) -> Way:
        """
        The connection to the next hop; it is made where there is none.

        Raises:
            OSError: There is none to be had.
        """
        async with self._connecting:
            if self._out is None or not self._out.is_open:
                loop = asyncio.get_running_loop()
                try:
                    async with asyncio.timeout(_CONNECT):
                        _, self._out = await loop.create_connection(
                            lambda: _Stream(self), *address
                        )
                except TimeoutError as error:
                    raise ConnectionError("no connection in time") from error
            return self._out

    def close(self) -> None:
        """
        Hang up on all.
        """
        for each in tuple(self._open):
            each.close()


def _age(transport: asyncio.Transport) -> float:
    """
    Seconds for which what came last has waited; 0 where the kernel does not tell.
    """
    own = transport.get_extra_info("socket")
    try:
        told = own.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _LAST_RECEIVED.size)
        return float(_LAST_RECEIVED.unpack(told)[0] / 1000)
    except (OSError, struct.error):
        return 0.0
