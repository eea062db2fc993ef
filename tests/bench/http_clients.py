"""
Clients of an HTTP server, on connections that are kept: as little of them as can be.
"""

import selectors
import socket
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from .errors import BenchError

__all__ = ["Answers", "ask_all", "post"]

_PIECE = 65536
_LENGTH = b"content-length:"
_PATIENCE = 30.0


@dataclass(slots=True)
class Answers:
    """
    What came of it.
    """

    count: int = 0
    seconds: float = 0.0
    """From the first request to the last answer."""
    cpu: float = 0.0
    """CPU seconds of the clients."""
    waits: list[float] = field(default_factory=list)
    """Seconds for each answer."""


def post(target: str, host: str, headers: dict[str, str], body: bytes) -> bytes:
    """
    A request, as it goes over the wire.
    """
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{lines}\r\n"
    return head.encode() + body


def ask_all(
    address: tuple[str, int],
    requests: Iterator[bytes],
    *,
    clients: int,
    seconds: float,
    right: bytes,
    rate: float | None = None,
) -> Answers:
    """
    Ask for a time, each client its next question when it has the answer to the one before.

    Args:
        address: Of the server.
        requests: What is asked; more than can be.
        clients: How many.
        seconds: For how long questions are asked.
        right: What every answer has to hold.
        rate: Questions a second of all together; by default as many as there can be.

    Raises:
        BenchError: An answer is another one, or there is none.
    """
    answers = Answers()
    begun, cpu = time.monotonic(), time.process_time()
    with selectors.DefaultSelector() as selector:
        idle: deque[_Client] = deque()
        for _ in range(clients):
            client = _Client(address)
            selector.register(client.socket, selectors.EVENT_READ, client)
            idle.append(client)
        asked = 0
        while True:
            now = time.monotonic()
            open_ = now - begun < seconds
            while idle and open_ and (rate is None or asked <= (now - begun) * rate):
                idle.popleft().ask(next(requests))
                asked += 1
            if not open_ and len(idle) == clients:
                break
            # Where it is paced, the next question may be due before an answer comes.
            ready = selector.select(_PATIENCE if rate is None or not open_ else 0.001)
            if not ready and rate is None:
                raise BenchError("the HTTP door does not answer")
            for key, _ in ready:
                client = key.data
                if client.hear(right):
                    answers.count += 1
                    answers.waits.append(time.monotonic() - client.asked_at)
                    idle.append(client)
        for client in idle:
            client.socket.close()
    answers.seconds = time.monotonic() - begun
    answers.cpu = time.process_time() - cpu
    return answers


class _Client:
    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked_at = 0.0
        self._heard = b""

    def ask(self, request: bytes) -> None:
        self.asked_at = time.monotonic()
        self.socket.sendall(request)

    def hear(self, right: bytes) -> bool:
        """Whether the whole of the answer is there."""
        piece = self.socket.recv(_PIECE)
        self._heard += piece
        head, end, body = self._heard.partition(b"\r\n\r\n")
        if not piece:
            raise BenchError(f"the HTTP door hung up: {head[:200]!r}")
        if not end:
            return False
        length = next(
            int(line[len(_LENGTH) :])
            for line in head.lower().split(b"\r\n")
            if line.startswith(_LENGTH)
        )
        if len(body) < length:
            return False
        if right not in self._heard:
            raise BenchError(f"an answer is not right: {self._heard[:300]!r}")
        self._heard = b""
        return True
