"""
The FastAGI door: calls that the dialplan hands over by ``AGI()`` are answered by the router, once.

Asterisk opens a connection for each call, tells about it, and waits. One command goes back, which
sets ``DESTINATION``; the dialplan goes on there, and refuses where nothing was set.

**Whoever is answered is told whom to ring.** Every account of a machine may connect to its
loopback, so that is no login. The dialplan's first argument is a token: a hash of a secret, which
Asterisk and the router have, and of the call's id. So the secret itself is never sent, and no log
of a dialplan holds it; who has seen a token can ask about that one call.

Rules for the editor:

1. Who has shown no token waits in the lobby, which costs no thread. pystrix serves each call in a
   thread of its own; the router lives in an event loop. The threads are counted, and whoever comes
   when all are taken is sent away at once.
2. Everything that comes in is hostile: a caller may put line ends into a number
   (``sip:138%0Aagi_…``), which Asterisk hands on as they are. Our dialplan empties what callers
   write, but a site may have changed it. So what Asterisk tells is read line by line within
   bounds of size and time, and nothing may be told twice.
3. What goes out is made of letters, digits, ``*``, ``+``, ``-`` and one comma: pystrix quotes, but
   it does not escape.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

from pystrix.agi import FastAGI, FastAGIServer
from pystrix.agi.agi_core import AGIDeadChannelError, AGIException
from pystrix.agi.core import ChannelStatus, SetVariable

from agi_router.calls.dialplan import Destination
from agi_router.calls.end import call_day
from agi_router.calls.merged import First
from agi_router.calls.router import Arrival, Router
from agi_router.doors.lobby import Guest, Lobby, listen
from agi_router.errors import AgiRouterError, AsteriskError, ProtocolError

__all__ = ["FastAgiDoor", "answers", "token_of"]

log = logging.getLogger(__name__)

# The scripts: a call, and whether somebody is there, which is answered by NOOP.
_ROUTE = re.compile(r"route$")
_HEALTH = "health"
# Where in the arguments stands what copies of an INVITE have in common.
_REQUEST = 5
_DESTINATION = "DESTINATION"
_CHANNEL = re.compile(r"[!#-\[\]-~]+", re.ASCII)
# What does not fit into one extension. Asterisk reads a command into 2 kB.
_PARTS = ("PART_0", "PART_1")
_PART_MAX = 1500
_NO_CHANNEL = -1
_SENDABLE = re.compile(r"[A-Za-z0-9-]+,[A-Za-z0-9_*+-]+", re.ASCII)
_SENDABLE_PART = re.compile(r"[A-Za-z0-9_*+-]+", re.ASCII)

# Calls that may wait at once, each in a thread. At 300 calls/s each waits some milliseconds.
_CROWD = 200
# Connections without a token. Asterisk shows one within milliseconds of connecting.
_STRANGERS = 256
_STRANGER_PATIENCE = 1.0
# Seconds for the whole conversation. The dialplan's own patience is shorter.
_PATIENCE = 2.0
# What Asterisk tells of a call has about 700 bytes; its answer is one short line.
_MOST_BYTES = 16 * 1024
# Between two looks whether calls that were taken have their answers.
_DRAINING = 0.01
_CHUNK = 4096
# A call's id holds the second at which it came, by Asterisk's clock.
_DAYS_APART = timedelta(days=1)
# Seconds between two lines of the log about who was refused, and for which the door counts as
# crowded once a call was sent away.
_SELDOM = 1.0
_CROWDED = 10.0


def token_of(secret: str, text: str) -> str:
    """
    What somebody shows who has the secret; the dialplan reckons the same by ``SHA1()``.

    The secret stands on both sides, so that a token says nothing about that of a longer text.

    Args:
        secret: The secret.
        text: A call's id.
    """
    # SHA-1 is what Asterisk has; what is hashed begins with at least 16 secret characters.
    return hashlib.sha1(f"{secret}{text}{secret}".encode()).hexdigest()  # noqa: S324


class FastAgiDoor:
    """
    Answers the calls that come to one address.

    Args:
        router: Who decides.
        host: Where to listen: an address, or a name like ``localhost``.
        port: TCP port.
        secret: What the dialplan's tokens are made with.
        crowd: How many calls may wait at once.
        patience: Seconds for a whole conversation.
        strangers: How many connections without a token may be open at once.
        today: The day by UTC.
    """

    def __init__(
        self,
        router: Router,
        *,
        host: str,
        port: int,
        secret: str,
        crowd: int = _CROWD,
        patience: float = _PATIENCE,
        strangers: int = _STRANGERS,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._router = router
        self._address = (host, port)
        self._secret = secret
        self._patience = patience
        self._strangers = strangers
        self._today = today
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lobby: Lobby | None = None
        self._port = port
        self._server = _Server(crowd=crowd)
        self._server.register_script_handler(_ROUTE, self._route)
        self._said_at = -_SELDOM
        self.refused = 0
        """How many connections so far showed no valid token, or told what Asterisk does not."""

    def open(self) -> None:
        """
        Listen; calls wait in the socket until they are served.

        Raises:
            AsteriskError: The address is taken, or is not ours.
        """
        host, port = self._address
        try:
            listeners = listen(host, port)
        except OSError as error:
            raise AsteriskError(
                f"AGI_ROUTER_AGI_LISTEN: cannot listen on {host}:{port} ({error.strerror})"
            ) from None
        self._port = listeners[0].getsockname()[1]
        self._lobby = Lobby(
            listeners,
            name="fastagi",
            places=self._strangers,
            patience=min(_STRANGER_PATIENCE, self._patience),
            most_bytes=_MOST_BYTES,
            said_all=_is_told,
            enter=self._enter,
        )

    @property
    def port(self) -> int:
        """
        The port, also where the system chose one.
        """
        return self._port

    @property
    def busy(self) -> int:
        """
        How many calls are being answered.
        """
        return self._server.busy

    @property
    def strangers(self) -> int:
        """
        How many connections are open that have shown no token yet.
        """
        return self._opened.waiting

    @property
    def sent_away(self) -> int:
        """
        How many had to leave so far: strangers who were slow or too many, calls beyond the limit.
        """
        return self._opened.sent_away + self._server.sent_away

    @property
    def crowding(self) -> list[str]:
        """
        Which limits were reached within the last ten seconds, a line each; mostly none.
        """
        return [
            *(
                [f"fastagi: more than {self._strangers} connections that show no token"]
                if self._opened.crowded
                else []
            ),
            *(["fastagi: more calls than can be answered"] if self._server.crowded else []),
        ]

    @property
    def _opened(self) -> Lobby:
        if self._lobby is None:
            raise RuntimeError("open() comes first")
        return self._lobby

    async def serve(self) -> None:
        """
        Take calls until cancelled.
        """
        self._loop = asyncio.get_running_loop()
        lobby = self._opened
        taking = asyncio.create_task(asyncio.to_thread(lobby.run))
        try:
            await asyncio.shield(taking)
        finally:
            await asyncio.to_thread(lobby.close)
            await taking

    async def drain(self) -> None:
        """
        Wait until every call taken has its answer.
        """
        while self.busy:  # noqa: ASYNC110 - threads change it
            await asyncio.sleep(_DRAINING)

    def _enter(self, guest: Guest) -> None:
        """Judge who has told all; runs in the lobby's thread."""
        try:
            told = _read(guest.said)
            if told.get("agi_network_script") == _HEALTH:
                self._tell_health(guest, told)
            else:
                self._check(told)
                request = _Connection(guest, patience=self._patience)
                self._server.process_request(request, None)
        except ProtocolError as error:
            guest.connection.close()
            self._complain(str(error))
        except OSError:
            guest.connection.close()

    def _check(self, told: Mapping[str, str]) -> None:
        """
        Let nobody in but Asterisk, with a call of these days.

        Raises:
            ProtocolError: It is somebody else, or no call id, or an old one.
        """
        call_id = told.get("agi_uniqueid", "")
        if not _is_same(told.get("agi_arg_1", ""), token_of(self._secret, call_id)):
            raise ProtocolError("no token, or one of another secret")
        # What is no call id must not get into a log.
        if abs(call_day(call_id) - self._today()) > _DAYS_APART:
            raise ProtocolError("a call of another day: the clocks differ by more than a day")

    def _tell_health(self, guest: Guest, told: Mapping[str, str]) -> None:
        """
        Say that somebody is there: to anybody, but to nobody with a wrong token.

        Raises:
            OSError: The connection is broken.
            ProtocolError: The token is one of another secret.
        """
        token = told.get("agi_arg_1")
        if token is not None and not _is_same(token, token_of(self._secret, _HEALTH)):
            raise ProtocolError("a question about health with a token of another secret")
        guest.connection.send(b"NOOP\n")
        guest.connection.close()

    def _complain(self, error: str) -> None:
        # Anybody may connect: the log is not theirs to fill.
        self.refused += 1
        now = time.monotonic()
        if now - self._said_at >= _SELDOM:
            self._said_at = now
            log.warning("fastagi.refused", extra={"error": error, "so_far": self.refused})

    def _route(
        self, agi: FastAGI, args: Sequence[str], _query: object, _match: object, _path: str
    ) -> None:
        """Answer one call; runs in its thread."""
        told: Mapping[str, str] = agi.get_environment()
        call_id = told["agi_uniqueid"]
        request = args[_REQUEST] if len(args) > _REQUEST else ""
        arrival = Arrival.from_dialplan(
            call_id,
            told.get("agi_channel", ""),
            (*args[1:_REQUEST], *args[_REQUEST + 1 :]),
            request=request,
        )
        destination = self._ask(arrival, partial(_lives, agi))
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

    def _ask(self, arrival: Arrival, lives: Callable[[First], bool]) -> Destination:
        if self._loop is None:
            raise RuntimeError("nobody serves")
        answer = self._router.answer(arrival, lambda first: asyncio.to_thread(lives, first))
        decision = asyncio.run_coroutine_threadsafe(answer, self._loop)
        try:
            return decision.result(self._patience)
        except TimeoutError:
            decision.cancel()
            raise ProtocolError("the router did not answer in time") from None


def answers(host: str, port: int, *, secret: str | None = None, timeout: float = 1.0) -> bool:
    """
    Ask whether a door is open and not frozen, as Asterisk would.

    Args:
        host: Where it listens.
        port: TCP port.
        secret: If given, a door of another secret says nothing.
        timeout: Seconds to wait for a word.
    """
    token = "" if secret is None else f"agi_arg_1: {token_of(secret, _HEALTH)}\n"
    try:
        with socket.create_connection((host, port), timeout=timeout) as connection:
            connection.sendall(f"agi_network_script: {_HEALTH}\n{token}\n".encode())
            with connection.makefile("rb") as lines:
                return lines.readline(80) == b"NOOP\n"
    except OSError:
        return False


def _is_same(token: str, expected: str) -> bool:
    return hmac.compare_digest(token.encode(), expected.encode())


def _is_told(said: bytearray) -> bool:
    return b"\n\n" in said


def _read(said: bytearray) -> dict[str, str]:
    """
    What Asterisk tells before the first command.

    Raises:
        ProtocolError: It is not what Asterisk tells, or told twice.
    """
    told: dict[str, str] = {}
    for line in said.partition(b"\n\n")[0].decode("utf-8", "replace").split("\n"):
        name, colon, value = line.partition(":")
        if not (colon and name.startswith("agi_")) or name in told:
            raise ProtocolError("Asterisk does not tell this, or not twice")
        told[name] = value.strip()
    return told


def _lives(agi: FastAGI, first: First) -> bool:
    """
    Ask Asterisk whether a call has its channel.
    """
    if not _CHANNEL.fullmatch(first.channel):
        return True
    try:
        return bool(agi.execute(ChannelStatus(first.channel)) != _NO_CHANNEL)
    except (AGIException, AttributeError, OSError):
        # pystrix trips over what it cannot read. What comes of it is seen when the answer is sent.
        return True


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
    pystrix's server with a bound on its threads. It does not listen: the lobby does.
    """

    def __init__(self, *, crowd: int) -> None:
        self._places = threading.BoundedSemaphore(crowd)
        self._lock = threading.Lock()
        self._crowded_until = 0.0
        self.busy = 0
        self.sent_away = 0
        super().__init__()
        self.socket.close()

    @staticmethod
    def get_somaxconn() -> int:
        """Nobody listens here; pystrix would start a program to ask for it."""
        return 0

    def server_bind(self) -> None:
        """Nothing: the lobby listens."""

    def server_activate(self) -> None:
        """Nothing: the lobby listens."""

    @property
    def crowded(self) -> bool:
        """Whether a call was sent away within the last ten seconds."""
        return time.monotonic() < self._crowded_until

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve a connection in a thread, or close it where too many are served."""
        if not self._places.acquire(blocking=False):
            if not self.crowded:
                # Said once, not for each of a flood.
                log.warning("fastagi.crowded")
            self._crowded_until = time.monotonic() + _CROWDED
            self.sent_away += 1
            self.shutdown_request(request)
            return
        self._count(1)
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._time_out()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection; its place is free afterwards."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._time_out()

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

    def _time_out(self) -> None:
        self._count(-1)
        self._places.release()

    def _count(self, change: int) -> None:
        with self._lock:
            self.busy += change


class _Connection:
    """
    A connection from Asterisk, read within bounds: what pystrix's handler needs of a socket.

    Args:
        guest: Who has told about a call.
        patience: Seconds until it is given up, whatever comes.
    """

    def __init__(self, guest: Guest, *, patience: float) -> None:
        self._socket = guest.connection
        self._deadline = time.monotonic() + patience
        head, end, rest = guest.said.partition(b"\n\n")
        self._buffer = bytes(head + end)
        self._more = bytes(rest)
        self._told = False
        self._read = 0

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
        if not (line or self._told):
            self._told = True
            self._check_presence()
        return f"{line.decode('utf-8', 'replace')}\n"

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

    def _check_presence(self) -> None:
        """
        Asterisk waits for a command now.

        A process that was frozen finds calls that have long gone elsewhere: none of them is taken.
        """
        self._socket.settimeout(0)
        try:
            more = self._more or self._socket.recv(1, socket.MSG_PEEK)
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
