"""
One WebSocket: a message is handed over where it is read, and sent where it is written.

The ``websockets`` package speaks the protocol, by its Sans-I/O layer; this file moves the bytes
and keeps the time. That package's own connection passes each message through a queue and wakes a
task for it, and takes turns to write, at several times the CPU.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from typing import Final, cast

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidState
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from .errors import AriUnavailable

__all__ = ["WebSocket"]

# websockets logs whole frames at DEBUG. This logger is known to no manager, so no logging
# configuration can ever switch it on.
_silent = logging.Logger("agi_router.ari.silent", level=logging.CRITICAL + 1)  # noqa: LOG001

# A closing handshake tells us nothing; after a ping time-out it would only add to the delay.
_CLOSE_TIMEOUT: Final = 0.2
# What has come is read in far less.
_ONCE_MORE: Final = 0.1


class WebSocket(asyncio.Protocol):
    """
    A client's end of one connection; :meth:`open` makes it.

    Args:
        protocol: Speaks for it; its handshake is not begun.
        headers: What the handshake has besides.
        receive: Who is given each message, text or not; if it raises, the connection ends.
        ping_interval: Seconds between a pong, or the beginning, and the next ping.
        ping_timeout: Seconds to wait for a pong.
    """

    def __init__(
        self,
        protocol: ClientProtocol,
        *,
        headers: Mapping[str, str],
        receive: Callable[[bytes], None],
        ping_interval: float,
        ping_timeout: float,
    ) -> None:
        self._protocol = protocol
        self._headers = headers
        self._receive = receive
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._opened: asyncio.Future[None] = self._loop.create_future()
        # The next ping, or the end of the wait for a pong; then that for the other side to close.
        self._timer: asyncio.TimerHandle | None = None
        self._closing = False
        # The beginning of a message that comes in fragments.
        self._fragments = bytearray()
        self._defect: Exception | None = None
        self.lost: asyncio.Future[str] = self._loop.create_future()
        """Set when the connection is gone: why, without the peer's own words."""

    @classmethod
    async def open(
        cls,
        address: str,
        *,
        subprotocol: str,
        headers: Mapping[str, str],
        receive: Callable[[bytes], None],
        message_max: int,
        open_timeout: float,
        ping_interval: float,
        ping_timeout: float,
    ) -> WebSocket:
        """
        Connect and shake hands; no proxy of the environment has a business in between.

        Args:
            address: ``ws://…`` or ``wss://…``.
            subprotocol: What is to be spoken.
            headers: What the handshake has besides.
            receive: Who is given each message.
            message_max: Longest message that is taken, in bytes; a longer one ends the connection.
            open_timeout: Seconds for all of this.
            ping_interval: Seconds between a pong and the next ping.
            ping_timeout: Seconds to wait for a pong.

        Raises:
            OSError: Nobody answers there, or not in time.
            websockets.exceptions.WebSocketException: What answers refuses, or is something else.
        """
        uri = parse_uri(address)
        protocol = ClientProtocol(
            uri,
            subprotocols=[Subprotocol(subprotocol)],
            max_size=message_max,
            logger=_silent,
        )
        socket = cls(
            protocol,
            headers=headers,
            receive=receive,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
        )
        try:
            async with asyncio.timeout(open_timeout):
                await socket._loop.create_connection(
                    lambda: socket,
                    uri.host,
                    uri.port,
                    ssl=ssl.create_default_context() if uri.secure else None,
                )
                await socket._opened
        except BaseException:
            # Whatever becomes of it now, nobody waits for.
            socket._opened.cancel()
            socket.abort()
            raise
        return socket

    def send(self, text: str) -> None:
        """
        Send one message.

        Raises:
            AriUnavailable: The connection is closed, or about to.
        """
        try:
            self._protocol.send_text(text.encode())
        except InvalidState:
            raise AriUnavailable("connection lost") from None
        self._flush()

    async def close(self) -> None:
        """
        Close the connection, and wait until it is.
        """
        if self._protocol.state is State.OPEN:
            self._protocol.send_close(CloseCode.NORMAL_CLOSURE)
            self._flush()
        if self._transport is not None:
            await asyncio.wait({self.lost})

    def abort(self) -> None:
        """
        Close the connection at once.
        """
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """
        Ask for a WebSocket; called by the event loop.
        """
        # Not each loop's transports say so.
        self._transport = cast("asyncio.Transport", transport)
        request = self._protocol.connect()
        for name, value in self._headers.items():
            request.headers[name] = value
        self._protocol.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        """
        Read what has come; called by the event loop.
        """
        self._protocol.receive_data(data)
        self._heed()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol says why
        """
        Tell that the connection is gone; called by the event loop.
        """
        self._protocol.receive_eof()
        self._heed()
        self._set_timer(None)
        if self._defect is None:
            self.lost.set_result(self._why())
        else:
            self.lost.set_exception(self._defect)

    def _heed(self) -> None:
        """
        Act on what the protocol has made of what came.
        """
        events = self._protocol.events_received()
        self._flush()
        if not self._opened.done():
            if self._protocol.handshake_exc is not None:
                self._opened.set_exception(self._protocol.handshake_exc)
            elif self._protocol.state is State.OPEN:
                self._opened.set_result(None)
                self._set_timer(self._loop.call_later(self._ping_interval, self._ping))
        for event in events:
            if isinstance(event, Frame):
                self._take(event)

    def _take(self, frame: Frame) -> None:
        match frame.opcode:
            case Opcode.TEXT | Opcode.BINARY if frame.fin:
                self._deliver(frame.data)
            case Opcode.TEXT | Opcode.BINARY | Opcode.CONT:
                self._fragments += frame.data
                if frame.fin:
                    whole, self._fragments = bytes(self._fragments), bytearray()
                    self._deliver(whole)
            case Opcode.PONG if not self._closing:
                self._set_timer(self._loop.call_later(self._ping_interval, self._ping))

    def _deliver(self, message: bytes | bytearray | memoryview) -> None:
        if self._defect is not None:
            return
        try:
            self._receive(bytes(message))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits for the end
            self._defect = error
            self.abort()

    def _flush(self) -> None:
        """
        Write what the protocol has to say, and wait for the end once it has said good-bye.
        """
        if self._transport is None:
            return
        for data in self._protocol.data_to_send():
            # It also says that nothing more will come, by an empty one; whoever needs that aborts.
            if data and not self._transport.is_closing():
                self._transport.write(data)
        if not self._closing and self._protocol.close_expected():
            self._closing = True
            self._set_timer(self._loop.call_later(_CLOSE_TIMEOUT, self.abort))

    def _ping(self) -> None:
        if self._protocol.state is State.OPEN:
            self._protocol.send_ping(b"")
            self._set_timer(self._loop.call_later(self._ping_timeout, self._look_once_more))
            self._flush()

    def _look_once_more(self) -> None:
        # A loop that has stood, like a frozen process's, finds its timers before what has come.
        self._set_timer(self._loop.call_later(_ONCE_MORE, self._give_up))

    def _give_up(self) -> None:
        self._protocol.fail(CloseCode.INTERNAL_ERROR)
        self._flush()

    def _set_timer(self, timer: asyncio.TimerHandle | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer

    def _why(self) -> str:
        received, sent = self._protocol.close_rcvd, self._protocol.close_sent
        if received is not None:
            return f"closed by Asterisk ({received.code:d})"
        if sent is not None and sent.code == CloseCode.INTERNAL_ERROR:
            return "no answer to a ping"
        return "connection lost"
