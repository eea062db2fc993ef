"""
The health server: ``/livez``, ``/readyz`` and ``/metrics`` over HTTP, in threads of its own.

Threads, because the answer of ``/livez`` is worth most when the event loop hangs, and because
writing all metrics takes longer than a decision. Few, each for a short time: who asks about calls
must not be able to cost calls anything.
"""

import asyncio
import logging
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from agi_router.doors.lobby import Guest, Lobby, listen
from agi_router.service.exposition import CONTENT_TYPE

__all__ = ["HealthServer"]

log = logging.getLogger(__name__)

_RETRY: Final = 1.0
_TEXT: Final = "text/plain; charset=utf-8"

# Connections whose question has not come yet, and those that are being answered.
_WAITING: Final = 128
_ANSWERED: Final = 8
# Seconds for a question, and for all of it with its answer.
_QUESTION: Final = 2.0
_PATIENCE: Final = 5.0
_MOST_BYTES: Final = 8 * 1024
_END: Final = b"\r\n\r\n"
_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,255}) HTTP/1\.[01]\r?\n")


class HealthServer:
    """
    Answers whoever asks how this router does.

    Args:
        host: Address to listen on, or a name like ``localhost``.
        port: Port.
        alive: Whether the router lives.
        missing: What stands between the router and calls; nothing if it is ready.
        remarked: What should be known of it all the same, behind ``ok`` in the answer.
        metrics: The text that answers ``/metrics``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        alive: Callable[[], bool],
        missing: Callable[[], Sequence[str]],
        metrics: Callable[[], bytes],
        remarked: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._host = host
        self._port = port
        self._alive = alive
        self._missing = missing
        self._remarked = remarked
        self._metrics = metrics
        self._places = threading.BoundedSemaphore(_ANSWERED)

    async def serve(self) -> None:
        """
        Serve until cancelled. While the port is taken, as by a router about to end, wait for it.
        """
        lobby = Lobby(
            await self._listeners(),
            name="health",
            places=_WAITING,
            patience=_QUESTION,
            most_bytes=_MOST_BYTES,
            said_all=_is_asked,
            enter=self._enter,
        )
        threading.Thread(target=lobby.run, name="health", daemon=True).start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            # Nobody waits for its end.
            threading.Thread(target=lobby.close, daemon=True).start()

    async def _listeners(self) -> list[socket.socket]:
        said = False
        while True:
            try:
                # Looking the host's name up may take its time.
                return await asyncio.to_thread(listen, self._host, self._port)
            except OSError as error:
                if not said:
                    log.warning("health.deferred", extra={"error": error.strerror})
                    said = True
                await asyncio.sleep(_RETRY)

    def _enter(self, guest: Guest) -> None:
        """Let a question be answered, if not too many are; runs in the lobby's thread."""
        if not self._places.acquire(blocking=False):
            guest.connection.close()
            return
        try:
            threading.Thread(target=self._serve, args=[guest], daemon=True).start()
        except RuntimeError:
            # No thread can be had.
            guest.connection.close()
            self._places.release()

    def _serve(self, guest: Guest) -> None:
        deadline = time.monotonic() + _PATIENCE - _QUESTION
        try:
            with guest.connection as connection:
                answer = self._respond(bytes(guest.said))
                # The kernel keeps all of it: nobody holds a place by not reading.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(answer))
                # The time-out is that of the whole answer, however slowly it is read.
                connection.settimeout(max(deadline - time.monotonic(), 0.1))
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            # Whoever asked is gone, or does not read.
            return
        finally:
            self._places.release()

    def _respond(self, question: bytes) -> bytes:
        """All bytes of an answer."""
        request = _REQUEST.match(question)
        if request is None:
            return _response(HTTPStatus.BAD_REQUEST)
        method, path = request[1].decode(), request[2].decode().partition("?")[0]
        if method not in {"GET", "HEAD"}:
            return _say(HTTPStatus.METHOD_NOT_ALLOWED, "only GET")
        try:
            answer = self._answer(path)
        except Exception as error:  # noqa: BLE001 - the traceback is for no log
            log.error("health.failed", extra={"error": type(error).__name__})  # noqa: TRY400
            return _response(HTTPStatus.INTERNAL_SERVER_ERROR)
        if method == "HEAD":
            head, end, _ = answer.partition(_END)
            return head + end
        return answer

    def _answer(self, path: str) -> bytes:
        match path:
            case "/metrics":
                return _response(HTTPStatus.OK, self._metrics(), CONTENT_TYPE)
            case "/livez":
                lines = [] if self._alive() else ["event loop: it does not move"]
            case "/readyz":
                if not (lines := list(self._missing())):
                    return _say(HTTPStatus.OK, "ok", *self._remarked())
            case _:
                return _say(HTTPStatus.NOT_FOUND, "there are /livez, /readyz and /metrics")
        if lines:
            return _say(HTTPStatus.SERVICE_UNAVAILABLE, *lines)
        return _say(HTTPStatus.OK, "ok")


def _is_asked(said: bytearray) -> bool:
    return _END in said or b"\n\n" in said


def _say(status: HTTPStatus, *lines: str) -> bytes:
    return _response(status, "".join(f"{line}\n" for line in lines).encode())


def _response(status: HTTPStatus, body: bytes = b"", content_type: str = _TEXT) -> bytes:
    head = (
        f"HTTP/1.0 {status.value} {status.phrase}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}"
    )
    return head.encode("ascii") + _END + body
