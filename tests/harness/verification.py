"""A verification service on loopback, which says yes or no, or does what one should not."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.receiver import Received

# What the service can do beside "yes" and "no". "late" says yes when nobody waits any more, and
# "frozen" does not answer.
FAULTS = ("status 500", "HTML", "too long", "another id", "neither", "hangs up", "late", "frozen")
# Longer than any test lets it have.
_LATE = 1.5


class Service:
    """
    A verification service that does as it is told.
    """

    def __init__(self, port: int) -> None:
        self.does = "yes"
        self.asked: list[dict[str, Any]] = []
        self.received: list[Received] = []
        self.connections: list[socket.socket] = []
        self.thawed = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one question."""

            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                """Remember the connection, which outlives the server."""
                super().setup()
                service.connections.append(self.connection)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

            def do_POST(self) -> None:
                """Read the question and do as told."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = json.loads(body)
                service.asked.append(asked)
                headers = {name.lower(): value for name, value in self.headers.items()}
                service.received.append(Received(self.path, headers, body))
                status, answer = service.answer(asked["id"])
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, id_: str) -> tuple[int, bytes]:
        """Status and body; 0 hangs up."""
        verdict = {"id": id_, "verdict": self.does}
        match self.does:
            case "status 500":
                return 500, json.dumps({**verdict, "verdict": "yes"}).encode()
            case "HTML":
                return 200, b"<html>yes</html>"
            case "too long":
                return 200, json.dumps({"id": id_, "verdict": "yes", "x": "x" * 5000}).encode()
            case "another id":
                return 200, json.dumps({"id": f"{id_}0", "verdict": "yes"}).encode()
            case "hangs up":
                return 0, b""
            case "late":
                verdict["verdict"] = "yes"
                self.thawed.wait(_LATE)
            case "frozen":
                self.thawed.wait()
        return 200, json.dumps(verdict).encode()

    def stop(self) -> None:
        """End it; whoever waits for it is let go."""
        self.thawed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def a_service(port: int = 0) -> Iterator[Service]:
    """A verification service for the time of a block."""
    service = Service(port)
    try:
        yield service
    finally:
        service.stop()
