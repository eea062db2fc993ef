"""
The FastAGI door: calls that the dialplan hands over by ``AGI()`` are answered by the router, once.

Asterisk opens a connection for each call, tells about it, and waits. One command goes back, which
sets ``DESTINATION``; the dialplan goes on there, and refuses where nothing was set.

Rules for the editor:

1. pystrix serves each connection in a thread of its own; the router lives in an event loop. The
   threads are counted, and whoever comes when all are taken is sent away at once.
2. Everything that comes in is hostile: a caller may put line ends into a number
   (``sip:138%0Aagi_…``), which Asterisk hands on as they are. So what Asterisk tells is read line
   by line within bounds of size and time, and nothing may be told twice.
3. What goes out is made of letters, digits, ``*``, ``+``, ``-`` and one comma: pystrix quotes, but
   it does not escape.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pystrix.agi import FastAGI, FastAGIServer
from pystrix.agi.agi_core import AGIDeadChannelError, AGIException
from pystrix.agi.core import Noop, SetVariable

from agi_router.calls import call_day
from agi_router.errors import AgiRouterError, AsteriskError, ProtocolError
from agi_router.extension import Destination
from agi_router.router import Arrival, Router

__all__ = ["FastAgiDoor", "answers"]

log = logging.getLogger(__name__)

# The scripts: a call, and whether somebody is there, which is answered by NOOP.
_ROUTE = re.compile(r"route$")
_HEALTH = re.compile(r"health$")
_DESTINATION = "DESTINATION"
# What does not fit into one extension. Asterisk reads a command into 2 kB.
_PARTS = ("PART_0", "PART_1")
_PART_MAX = 1500
_SENDABLE = re.compile(r"[A-Za-z0-9-]+,[A-Za-z0-9_*+-]+", re.ASCII)
_SENDABLE_PART = re.compile(r"[A-Za-z0-9_*+-]+", re.ASCII)

# Calls that may wait at once, each in a thread. At 300 calls/s each waits some milliseconds.
_CROWD = 200
# Seconds for the whole conversation. The dialplan's own patience is shorter.
_PATIENCE = 2.0
# What Asterisk tells of a call has about 700 bytes; its answer is one short line.
_MOST_BYTES = 16 * 1024
_POLL = 0.1
_CHUNK = 4096


class FastAgiDoor:
    """
    Answers the calls that come to one address.

    Args:
        router: Who decides.
        host: Where to listen. Whoever can connect there is told whom to ring: keep it on loopback.
        port: TCP port.
        crowd: How many calls may wait at once.
        patience: Seconds for a whole conversation.
    """

    def __init__(
        self,
        router: Router,
        *,
        host: str,
        port: int,
        crowd: int = _CROWD,
        patience: float = _PATIENCE,
    ) -> None:
        self._router = router
        self._address = (host, port)
        self._crowd = crowd
        self._patience = patience
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: _Server | None = None

    def open(self) -> None:
        """
        Listen; calls wait in the socket until they are served.

        Raises:
            AsteriskError: The address is taken, or is not ours.
        """
        try:
            self._server = _Server(self._address, crowd=self._crowd, patience=self._patience)
        except OSError as error:
            host, port = self._address
            raise AsteriskError(
                f"AGI_ROUTER_AGI_LISTEN: cannot listen on {host}:{port} ({error.strerror})"
            ) from None
        self._server.register_script_handler(_ROUTE, self._route)
        self._server.register_script_handler(_HEALTH, _tell_health)

    @property
    def port(self) -> int:
        """
        The port, also where the system chose one.
        """
        return int(self._opened.server_address[1])

    @property
    def _opened(self) -> _Server:
        if self._server is None:
            raise RuntimeError("open() comes first")
        return self._server

    async def serve(self) -> None:
        """
        Take calls until cancelled.
        """
        self._loop = asyncio.get_running_loop()
        server = self._opened
        taking = asyncio.create_task(asyncio.to_thread(server.serve_forever, _POLL))
        try:
            await asyncio.shield(taking)
        finally:
            # Whoever connects from now on is refused by the kernel.
            await asyncio.to_thread(server.shutdown)
            server.socket.close()
            await taking

    async def drain(self) -> None:
        """
        Wait until every call taken has its answer.
        """
        while self._opened.busy:  # noqa: ASYNC110 - threads change it
            await asyncio.sleep(_POLL / 10)

    def _route(
        self, agi: FastAGI, args: Sequence[str], _query: object, _match: object, _path: str
    ) -> None:
        """Answer one call; runs in its thread."""
        told: Mapping[str, str] = agi.get_environment()
        call_id = told.get("agi_uniqueid", "")
        # What is no call id must not get into a log.
        call_day(call_id)
        arrival = Arrival.told(
            call_id, told.get("agi_callerid", ""), told.get("agi_channel", ""), args
        )
        destination = self._ask(arrival)
        try:
            answer = _send(agi, destination)
        except AGIDeadChannelError:
            # The caller did not wait. The hangup handler reports the end.
            log.info("call.gone", extra={"call": call_id})
        except AGIException as error:
            # The dialplan refuses, or has done so, and the hangup handler reports the end.
            log.warning("call.unanswered", extra={"call": call_id, "error": type(error).__name__})
        else:
            # pystrix makes None of what it cannot read.
            if answer is None or answer.items["result"].value != "1":
                log.warning("call.unanswered", extra={"call": call_id, "error": "not set"})

    def _ask(self, arrival: Arrival) -> Destination:
        if self._loop is None:
            raise RuntimeError("nobody serves")
        decision = asyncio.run_coroutine_threadsafe(self._router.answer(arrival), self._loop)
        try:
            return decision.result(self._patience)
        except TimeoutError:
            decision.cancel()
            raise ProtocolError("the router did not answer in time") from None


def answers(host: str, port: int, *, timeout: float = 1.0) -> bool:
    """
    Ask whether a door is open and not frozen, as Asterisk would.

    Args:
        host: Where it listens.
        port: TCP port.
        timeout: Seconds to wait for a word.
    """
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(b"agi_network_script: health\n\n")
            with connection.makefile("rb") as lines:
                alive = lines.readline(80) == b"NOOP\n"
            connection.sendall(b"200 result=0\n")
    except OSError:
        return False
    return alive


def _tell_health(agi: FastAGI, *_: object) -> None:
    agi.execute(Noop())


def _send(agi: FastAGI, destination: Destination) -> Any:
    """
    Tell where a call goes on; the last command is the one that counts.

    Raises:
        ProtocolError: The destination cannot be told.
    """
    *parts, last = (destination, *destination.later)
    text = "".join(part.extension for part in parts)
    if len(text) > _PART_MAX * len(_PARTS) or not _SENDABLE_PART.fullmatch(text or "-"):
        raise ProtocolError("a destination holds what must not be sent")
    for place, name in enumerate(_PARTS):
        if piece := text[place * _PART_MAX : (place + 1) * _PART_MAX]:
            agi.execute(SetVariable(name, piece))
    return agi.execute(SetVariable(_DESTINATION, _sendable(last)))


def _sendable(destination: Destination) -> str:
    text = f"{destination.context},{destination.extension}"
    if not _SENDABLE.fullmatch(text):
        raise ProtocolError("a destination holds what must not be sent")
    return text


class _Server(FastAGIServer):  # type: ignore[misc]  # pystrix has no types
    """
    pystrix's server with bounds: on threads, on time, on what is read.
    """

    def __init__(self, address: tuple[str, int], *, crowd: int, patience: float) -> None:
        self._places = threading.BoundedSemaphore(crowd)
        self._lock = threading.Lock()
        self._patience = patience
        self._crowded = False
        self.busy = 0
        super().__init__(*address)

    @staticmethod
    def get_somaxconn() -> int:
        """The kernel's own limit; pystrix would start a program to ask for it."""
        return 4096

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection, which is given its time."""
        connection, address = super().get_request()
        return _Connection(connection, patience=self._patience), address

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, or close it where too many are served."""
        if not self._places.acquire(blocking=False):
            if not self._crowded:
                # Said once, not for each of a flood.
                log.warning("fastagi.crowded")
            self._crowded = True
            self.shutdown_request(request)
            return
        self._crowded = False
        self._count(1)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._leave()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection; its place is free afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._leave()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log in one line what went wrong; nothing of what the peer sent."""
        del request, client_address
        error = sys.exc_info()[1]
        match error:
            case AgiRouterError():
                log.warning("fastagi.refused", extra={"error": str(error)})
            case AGIException() | OSError():
                # Connected and gone, or silent.
                log.info("fastagi.gone", extra={"error": type(error).__name__})
            case _:
                log.warning("fastagi.refused", extra={"error": type(error).__name__})

    def _leave(self) -> None:
        self._count(-1)
        self._places.release()

    def _count(self, change: int) -> None:
        with self._lock:
            self.busy += change


class _Connection:
    """
    A connection from Asterisk, read within bounds: what pystrix's handler needs of a socket.

    Args:
        connection: The socket.
        patience: Seconds until it is given up, whatever comes.
    """

    def __init__(self, connection: socket.socket, *, patience: float) -> None:
        self._socket = connection
        self._deadline = time.monotonic() + patience
        self._buffer = b""
        self._read = 0
        self._told: set[str] | None = set()

    def makefile(self, *_: object) -> _Connection:
        """The connection itself: pystrix only reads lines of it."""
        return self

    def readline(self) -> str:
        """
        One line, its end included; empty where the peer has closed.

        Raises:
            OSError: It took too long, or the connection broke.
            ProtocolError: Too much was sent, or something that Asterisk does not send.
        """
        while b"\n" not in self._buffer:
            chunk = self._receive()
            if not chunk:
                return ""
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        text = line.decode("utf-8", "replace")
        if self._told is not None:
            self._check(text.strip(), self._told)
        return f"{text}\n"

    def sendall(self, data: bytes) -> None:
        """Send all of *data* in the time that is left."""
        self._socket.settimeout(self._left())
        self._socket.sendall(data)

    def shutdown(self, how: int) -> None:
        """End the connection."""
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket; pystrix closes its file, too."""
        self._socket.close()

    def _check(self, line: str, told: set[str]) -> None:
        """Take one line of what Asterisk tells before the first command."""
        if not line:
            self._told = None
            self._check_presence()
            return
        name, colon, _ = line.partition(":")
        if not (colon and name.startswith("agi_")) or name in told:
            raise ProtocolError("Asterisk does not tell this, or not twice")
        told.add(name)

    def _check_presence(self) -> None:
        """
        Asterisk waits for a command now.

        A process that was frozen finds calls that have long gone elsewhere: none of them is taken.
        """
        self._socket.settimeout(0)
        try:
            more = self._buffer or self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return
        if more:
            raise ProtocolError("Asterisk goes on telling where it should wait")
        raise ConnectionAbortedError("the call has gone elsewhere")

    def _receive(self) -> bytes:
        self._socket.settimeout(self._left())
        chunk = self._socket.recv(_CHUNK)
        self._read += len(chunk)
        if self._read > _MOST_BYTES:
            raise ProtocolError("more was sent than Asterisk sends")
        return chunk

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the conversation took too long")
        return left
