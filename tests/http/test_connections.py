"""The connections of the HTTP door: who says too much, too slowly or nothing keeps nobody out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Collection, Iterator
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from agi_router.service import http_connections
from agi_router.service.http_connections import LARGEST_HEAD, HttpConnection
from harness.database import SOON, until

PLACES = 3
ASKED = b"GET / HTTP/1.1\r\nHost: a\r\n"


class Service:
    """A server that tells the headers of each request, when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()
        self.let.set()
        self.begun = 0
        self.padding = b""
        self.port = 0
        self.places: Collection[object] = ()
        """Who has one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, behind the body."""
        while (await receive()).get("more_body"):
            pass
        self.begun += 1
        while not self.let.is_set():  # noqa: ASYNC110 - of another thread
            await asyncio.sleep(0.005)
        told = json.dumps([name.decode() for name, _ in scope["headers"]]).encode() + self.padding
        length = (b"content-length", str(len(told)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": told})

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=SOON)


def answered(connection: socket.socket) -> tuple[int, Any]:
    """Status and JSON of an answer; 0 where the connection is closed."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            said += chunk
            head, _, body = said.partition(b"\r\n\r\n")
            with contextlib.suppress(ValueError):
                return int(head.split()[1]), json.loads(body)
    assert not said
    return 0, None


@pytest.fixture
def patience() -> float:
    """Seconds for a head; for most tests more than they take."""
    return 4 * SOON


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, patience: float) -> Iterator[Service]:
    """It runs, with few places."""
    monkeypatch.setattr(http_connections, "PLACES", PLACES)
    monkeypatch.setattr(http_connections, "HEAD_PATIENCE", patience)
    app = Service()
    config = uvicorn.Config(app, http=HttpConnection, lifespan="off", log_config=None, ws="none")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app.port = listener.getsockname()[1]
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started)
            app.places = server.server_state.connections
            yield app
        finally:
            app.let.set()
            server.should_exit = server.force_exit = True
            thread.join()


@pytest.mark.parametrize("patience", [0.2])
@pytest.mark.parametrize("said", [b"", b"\r\n\r\n", b"GET / HT", ASKED])
def test_a_head_that_does_not_come(service: Service, said: bytes) -> None:
    """It is not waited for without end."""
    with service.connect() as connection:
        connection.sendall(said)
        assert answered(connection) == (0, None)


def test_a_second_head_that_does_not_come(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for no longer than the first."""
    with service.connect() as connection:
        connection.sendall(ASKED + b"\r\n")
        assert answered(connection)[0] == 200
        monkeypatch.setattr(http_connections, "HEAD_PATIENCE", 0.2)
        connection.sendall(ASKED)
        assert answered(connection) == (0, None)


@pytest.mark.parametrize("patience", [0.2])
def test_a_head_that_comes_slowly(service: Service) -> None:
    """A byte now and then makes the wait no longer."""
    with service.connect() as connection:
        connection.sendall(ASKED)
        connection.settimeout(0)

        def ended() -> bool:
            with contextlib.suppress(BlockingIOError):
                try:
                    connection.send(b"X")
                    return not connection.recv(1)
                except (BrokenPipeError, ConnectionResetError):
                    return True
            return False

        until(ended)


def test_a_head_that_is_too_large(service: Service) -> None:
    """It is refused before it has come whole."""
    with service.connect() as connection:
        connection.sendall(ASKED)
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(3 * LARGEST_HEAD // 8192):
                connection.sendall(b"X: " + b"x" * 8187 + b"\r\n")
        status, told = answered(connection)
    assert (status, (told or {}).get("code")) in {(431, "head_too_large"), (0, None)}
    with service.connect() as connection:
        connection.sendall(ASKED + b"X: " + b"x" * (LARGEST_HEAD - 8192) + b"\r\n\r\n")
        assert answered(connection)[0] == 200


@pytest.mark.parametrize("said", [b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/9\r\n\r\n"])
def test_what_is_no_http(service: Service, said: bytes) -> None:
    """It is answered by a problem, as all else."""
    with service.connect() as connection:
        connection.sendall(said)
        status, told = answered(connection)
    assert (status, told["code"], told["status"]) == (400, "http_malformed", 400)
    # Clients of Alibaba Cloud find theirs in it: nobody knows yet which door was meant.
    assert told["Code"] == "InvalidParameter"
    assert {"Message", "RequestId"} <= told.keys()


def test_a_header_behind_the_body(service: Service) -> None:
    """Is none: whoever stands in between has not seen it."""
    with service.connect() as connection:
        chunks = b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nAuthorization: x\r\n\r\n"
        connection.sendall(ASKED + chunks)
        assert answered(connection) == (200, ["host", "transfer-encoding"])


def test_another_protocol(service: Service) -> None:
    """Nobody is given one; what was asked is answered."""
    with service.connect() as connection:
        connection.sendall(ASKED + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert answered(connection)[0] == 200


def test_an_answer_that_nobody_takes(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept for ever, nor is the place."""
    monkeypatch.setattr(http_connections, "READ_PATIENCE", 0.2)
    # More than the buffers of the two ends.
    service.padding = b" " * 2**26
    with service.connect() as connection:
        connection.sendall(ASKED + b"\r\n")
        until(lambda: service.begun == 1 and not service.places)
        taken = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(2**20):
                taken += len(chunk)
        assert taken < len(service.padding)


def test_places_that_are_only_held(service: Service) -> None:
    """Who asks has one; who has been idle for the longest leaves."""
    with contextlib.ExitStack() as held:
        idle = [held.enter_context(service.connect()) for _ in range(PLACES)]
        for connection in idle:
            connection.sendall(ASKED)
        with service.connect() as asking:
            asking.sendall(ASKED + b"\r\n")
            assert answered(asking)[0] == 200
            assert answered(idle[0]) == (0, None)


def test_places_of_requests(service: Service) -> None:
    """Nobody loses one whose request is being answered: who comes then is told to come again."""
    service.let.clear()
    with contextlib.ExitStack() as held:
        asking = [held.enter_context(service.connect()) for _ in range(PLACES)]
        for connection in asking:
            connection.sendall(ASKED + b"\r\n")
        until(lambda: service.begun == PLACES)
        with service.connect() as late:
            status, told = answered(late)
        assert (status, told["code"]) == (503, "crowded")
        assert told["Code"] == "ServiceUnavailable"
        # Who reads names in any case takes the last.
        assert [each for each in told if each.lower() == "code"][-1] == "code"
        service.let.set()
        assert [answered(connection)[0] for connection in asking] == [200] * PLACES
