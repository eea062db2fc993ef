"""The whole ARI client against a server that sends anything: an event, an AriError, or nothing."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import logging
import struct
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agi_router.ari import AriClient, AriError, Connected, Disconnected, StasisStart

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MB = 1 << 20
# A second is long for what happens on loopback; nothing may take it.
PATIENCE = 30.0
CALLER = "13912345678"
START = {
    "type": "StasisStart",
    "application": "app",
    "timestamp": "2026-11-21T19:33:05.120+0000",
    "args": ["700123456789012", "allowed"],
    "channel": {
        "id": "pbx1-1.1",
        "name": "PJSIP/in-1",
        "state": "Ring",
        "caller": {"name": "", "number": CALLER},
        "dialplan": {"context": "in", "exten": "7", "app_name": "Stasis", "app_data": "app"},
        "creationtime": "2026-11-21T19:33:05.120+0000",
    },
}


def frame(opcode: int, payload: bytes, *, final: bool = True, length: int | None = None) -> bytes:
    """One frame of a server, RFC 6455 section 5.2; *length* is what it claims to hold."""
    size = len(payload) if length is None else length
    head = bytes([opcode | (0x80 if final else 0)])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 1 << 16:
        return head + b"\x7e" + struct.pack(">H", size) + payload
    return head + b"\x7f" + struct.pack(">Q", size) + payload


def text(message: object) -> bytes:
    return frame(1, json.dumps(message).encode())


class Hostile:
    """Takes a connection, shakes hands, confirms the filter, then sends what it was given."""

    def __init__(self, *, before: bytes, after: bytes, handshake: bytes | None) -> None:
        self._before = before
        self._after = after
        self._handshake = handshake
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[Any]] = set()
        self.connections = 0
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        if self._talks:
            await asyncio.wait(self._talks)
        # Transports close one turn of the loop later.
        await asyncio.sleep(0)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            request = await reader.readuntil(b"\r\n\r\n")
            if self._handshake is not None:
                writer.write(self._handshake)
                await writer.drain()
                raise ConnectionResetError
            key = request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0].decode()
            accept = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest())  # noqa: S324
            writer.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Protocol: ari\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n" + self._before
            )
            await reader.read(1)
            reply = {"type": "RESTResponse", "status_code": 204, "reason_phrase": "No Content"}
            # Which request this connection's filter is cannot be seen in a masked frame: all.
            for number in range(1, self.connections + 2):
                writer.write(text(reply | {"request_id": str(number)}))
            writer.write(self._after)
            await writer.drain()
            # What the client says then is of no interest; its going is.
            while await reader.read(65_536):
                pass
        writer.transport.abort()


async def use(server: Hostile) -> list[object]:
    """Connect, take what comes for a moment, send a request, and leave; AriErrors are expected."""
    taken: list[object] = []
    client = AriClient(
        url=server.url,
        user="router",
        password="x",
        app="app",
        request_timeout=0.1,
        connect_timeout=0.3,
        backoff_first=0.001,
        backoff_cap=0.01,
    )
    with suppress(AriError):
        async with client as ari:
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    while True:
                        taken.append(await anext(ari))
            for ask in (ari.modules, partial(ari.has_channel, "1"), ari.log_channels):
                with suppress(AriError):
                    await ask()
    return taken


def run(*servers: Hostile) -> list[list[object]]:
    """
    Run a client against each server to its end, all at once.

    Nothing may go wrong unseen, hang, or be left behind.
    """
    wrong: list[dict[str, Any]] = []

    async def one(server: Hostile) -> list[object]:
        async with server:
            return await use(server)

    async def whole() -> list[list[object]]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: wrong.append(context))
        async with asyncio.timeout(PATIENCE):
            taken = await asyncio.gather(*map(one, servers))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return taken

    taken = asyncio.run(whole())
    gc.collect()
    assert wrong == []
    return taken


def until_lost(server: Hostile) -> list[object]:
    """As run(), for as long as it takes until the first connection is lost."""

    async def whole() -> list[object]:
        taken: list[object] = []
        client = AriClient(url=server.url, user="r", password="x", app="a", backoff_first=9)
        async with client as ari:
            while not taken or not isinstance(taken[-1], Disconnected):
                taken.append(await anext(ari))
        return taken

    async def guarded() -> list[object]:
        async with server, asyncio.timeout(60):
            return await whole()

    return asyncio.run(guarded())


@pytest.fixture(autouse=True)
def no_number_in_the_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert CALLER not in caplog.text
    assert not [record for record in caplog.records if record.exc_info]


payloads = st.one_of(
    st.binary(max_size=200),
    st.just(json.dumps(START).encode()),
    st.just(json.dumps(START).encode()[:-20]),
    st.builds(
        lambda key, value: json.dumps(START | {key: value}).encode(),
        st.sampled_from(["type", "args", "channel", "timestamp"]),
        st.none() | st.integers() | st.text(max_size=5) | st.just([None]) | st.just({"id": {}}),
    ),
    st.builds(lambda depth: b"[" * depth, st.sampled_from([10, 5000, 100_000])),
    st.builds(lambda digits: b'{"type":' + b"9" * digits + b"}", st.sampled_from([10, 6000])),
)
frames = st.one_of(
    st.binary(max_size=20),
    st.builds(frame, st.integers(0, 0x7F), payloads, final=st.booleans()),
    st.builds(frame, st.sampled_from([0, 1, 2, 8, 9, 10]), payloads, final=st.booleans()),
    st.builds(
        frame,
        st.sampled_from([1, 2]),
        payloads,
        length=st.sampled_from([126, 70_000, 1 << 31, (1 << 63) - 1, 1 << 63]),
    ),
    st.just(text(START)),
)
streams = st.lists(frames, max_size=6).map(b"".join)
handshakes = st.one_of(
    st.binary(max_size=200),
    st.builds(
        lambda status, headers: b"HTTP/1.1 %d x\r\n%s\r\n\r\n" % (status, headers),
        st.sampled_from([100, 101, 200, 302, 401, 403, 404, 500, 503, 999]),
        st.sampled_from(
            [
                b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x",
                b"Content-Length: 99999999999",
                b"Location: http://127.0.0.1:1/",
                b"X: " + b"y" * 20_000,
                b"\r\n".join(b"H%d: x" % n for n in range(500)),
                b"\xff\xfe: \x00",
            ]
        ),
    ),
)
AT_ONCE = 20
"""Servers of one example: most of a run is waiting, so many wait together."""
hostile = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@hostile
@given(st.lists(st.tuples(streams, streams), min_size=AT_ONCE, max_size=AT_ONCE))
def test_any_frames(sent: list[tuple[bytes, bytes]]) -> None:
    run(*(Hostile(before=before, after=after, handshake=None) for before, after in sent))


@hostile
@given(st.lists(handshakes, min_size=AT_ONCE, max_size=AT_ONCE))
def test_any_handshake(sent: list[bytes]) -> None:
    taken = run(*(Hostile(before=b"", after=b"", handshake=handshake) for handshake in sent))
    assert taken == [[]] * len(sent)


def test_the_server_of_these_tests_is_taken_seriously() -> None:
    """A good frame among bad ones arrives: what is fuzzed is the client, not a closed door."""
    bad = text([]) + frame(1, b"\xff{") + frame(2, b"[" * 5000) + frame(9, b"ping")
    [taken] = run(Hostile(before=bad, after=bad + text(START) + bad, handshake=None))
    assert [type(each) for each in taken][:2] == [Connected, StasisStart]


@pytest.mark.parametrize("opcode", [1, 2])
@pytest.mark.parametrize("length", [1 << 30, (1 << 63) - 1])
def test_a_frame_that_claims_to_be_huge(opcode: int, length: int) -> None:
    """Its length is not believed: the connection ends, and nothing is set aside for it."""
    tracemalloc.start()
    try:
        taken = until_lost(
            Hostile(before=b"", after=frame(opcode, b"x" * 100, length=length), handshake=None)
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [type(each) for each in taken] == [Connected, Disconnected]
    assert peak < 16 * _MB


def test_a_message_that_never_ends() -> None:
    """Fragments are not gathered for ever: above the longest answer the connection ends."""
    piece = frame(0, b" " * (4 * _MB), final=False)
    stream = frame(1, b"[", final=False) + piece * 17
    taken = until_lost(Hostile(before=b"", after=stream, handshake=None))
    assert [type(each) for each in taken] == [Connected, Disconnected]
