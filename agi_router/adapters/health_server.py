"""
The health server: ``/livez``, ``/readyz`` and ``/metrics`` over HTTP, in a thread of its own.

A thread, because the answer of ``/livez`` is worth most when the event loop hangs, and because
writing all metrics takes longer than a decision.
"""

import asyncio
import logging
import socketserver
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["HealthServer"]

log = logging.getLogger(__name__)

_RETRY: Final = 1.0
_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


class HealthServer:
    """
    Answers whoever asks how this router does.

    Args:
        host: Address to listen on.
        port: Port.
        alive: Whether the router lives.
        missing: What stands between the router and calls; nothing if it is ready.
        metrics: What answers ``/metrics``.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        alive: Callable[[], bool],
        missing: Callable[[], Sequence[str]],
        metrics: WSGIApplication,
    ) -> None:
        self._host = host
        self._port = port
        self._alive = alive
        self._missing = missing
        self._metrics = metrics

    async def serve(self) -> None:
        """
        Serve until cancelled. While the port is taken, as by a router about to end, wait for it.
        """
        server = await self._bound()
        thread = threading.Thread(target=server.serve_forever, name="health", daemon=True)
        thread.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            # Ends within its poll interval; nobody waits for it.
            threading.Thread(target=_end, args=[server], daemon=True).start()

    async def _bound(self) -> "_Server":
        said = False
        while True:
            try:
                # Binding looks the host's name up, which may take its time.
                server = await asyncio.to_thread(_Server, (self._host, self._port), _Handler)
            except OSError as error:
                if not said:
                    log.warning("health.deferred", extra={"error": error.strerror})
                    said = True
                await asyncio.sleep(_RETRY)
            else:
                server.set_app(self._answer)
                return server

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return _say(start, "405 Method Not Allowed", "only GET")
        match environ["PATH_INFO"]:
            case "/metrics":
                return self._metrics(environ, start)
            case "/livez":
                lines = [] if self._alive() else ["event loop: it does not move"]
            case "/readyz":
                lines = list(self._missing())
            case _:
                return _say(start, "404 Not Found", "there are /livez, /readyz and /metrics")
        if lines:
            return _say(start, "503 Service Unavailable", *lines)
        return _say(start, "200 OK", "ok")


def _say(start: StartResponse, status: str, *lines: str) -> Iterable[bytes]:
    # A new list: the server writes the length into it.
    start(status, [_TEXT])
    return [f"{line}\n".encode() for line in lines]


def _end(server: "_Server") -> None:
    server.shutdown()
    server.server_close()


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    # Seconds for a request to come in: nobody holds a thread for longer.
    timeout = 5

    def log_message(self, *_: Any) -> None:
        """
        Say nothing: a scrape every few seconds is no news.
        """
