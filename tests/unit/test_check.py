"""The real-time check: what is asked, what is an answer, and a service that behaves in any way."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from agi_router.bindings.words import Side
from agi_router.calls.check import (
    LARGEST_ANSWER,
    AnswerError,
    Checked,
    Question,
    Verdict,
    read_verdict,
)
from agi_router.calls.verifier import HttpVerifier
from agi_router.numbers import PhoneNumber, XNumber

QUESTION = Question(
    id="1f0a4c0e-6f0e-4d53-9c1d-3b1f5d0a7a55",
    call_id="pbx1-1769843000.17",
    asked_at=datetime(2026, 1, 31, 7, 3, 20, tzinfo=UTC),
    binding="70012345678-42",
    x_number=XNumber(value=700123456784910),
    side=Side.A,
    tenant="shop",
    order_id="A-1001",
)
PATIENCE = 20.0
# Of a service that says nothing: nobody waits for longer than he must.
SHORT = 0.2
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_a_question_holds_no_real_number() -> None:
    """Unless the numbers were added."""
    assert json.loads(QUESTION.to_json()) == {
        "id": QUESTION.id,
        "call_id": "pbx1-1769843000.17",
        "asked_at": "2026-01-31T07:03:20+00:00",
        "x": "700123456784910",
        "binding": "70012345678-42",
        "side": "a",
        "tenant": "shop",
        "order": "A-1001",
        "out_id": None,
        "industrial_id": None,
    }


def test_a_question_with_the_real_numbers() -> None:
    """As the operator wants it; no text of it shows them."""
    a, b = PhoneNumber(digits="13800130001"), PhoneNumber(digits="13900130002")
    question = replace(QUESTION, caller=a, callees=(b,))
    asked = json.loads(question.to_json())
    assert (asked["caller"], asked["callees"]) == (a.digits, [b.digits])
    assert a.digits not in repr(question)


def said(verdict: Any = "yes", of: Any = QUESTION.id) -> bytes:
    """The body of an answer."""
    return json.dumps({"id": of, "verdict": verdict}).encode()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, said(), "status 500"),
        (204, b"", "status 204"),
        (302, said(), "status 302"),
        (200, b"", "no JSON"),
        (200, b"<html>yes</html>", "no JSON"),
        (200, b"\xff\xfe", "no JSON"),
        (200, b"[" * 4000, "no JSON"),
        (200, b'"yes"', "the answer to another question"),
        (200, b'{"verdict": "yes"}', "the answer to another question"),
        (200, said(of="another"), "the answer to another question"),
        (200, said("YES"), "neither yes nor no"),
        (200, said(verdict=True), "neither yes nor no"),
        (200, said(["yes"]), "neither yes nor no"),
        (200, said(None), "neither yes nor no"),
    ],
)
def test_what_is_no_answer(status: int, body: bytes, why: str) -> None:
    """Whatever is not the answer to this question, in words that hold nothing of it."""
    with pytest.raises(AnswerError, match=f"^{why}$"):
        read_verdict(status, body, question_id=QUESTION.id)


@pytest.mark.parametrize("verdict", [Verdict.YES, Verdict.NO])
def test_an_answer(verdict: Verdict) -> None:
    """Yes and no."""
    assert read_verdict(200, said(verdict), question_id=QUESTION.id) is verdict


async def read_request(reader: asyncio.StreamReader) -> tuple[list[str], dict[str, Any]]:
    """The lines of a request's head, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line[16:]) for line in head if line.lower().startswith("content-length:"))
    return head, json.loads(await reader.readexactly(length))


def answer(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    """An answer as it goes over the wire."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@asynccontextmanager
async def service(peer: Peer) -> AsyncIterator[str]:
    """A verification service; its address."""
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await peer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}/calls"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(url: str, *, timeout: float = PATIENCE) -> Checked:  # noqa: ASYNC109
    """What becomes of one question."""
    verifier = HttpVerifier(url, timeout=timeout)
    try:
        return await verifier.ask(QUESTION, timeout=PATIENCE)
    finally:
        verifier.close()


async def test_it_is_asked_on_one_connection() -> None:
    """The request is as documented; the second question goes by the same connection."""
    heads: list[list[str]] = []
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for verdict in ("yes", "no"):
            head, asked = await read_request(reader)
            heads.append(head)
            assert asked == json.loads(QUESTION.to_json())
            writer.write(answer(said(verdict)))
        await reader.read()

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE, token="t0ken.of-32_characters")
        verdicts = [(await verifier.ask(QUESTION, timeout=PATIENCE)).verdict for _ in range(2)]
        verifier.close()
    assert verdicts == [Verdict.YES, Verdict.NO]
    assert connections == 1
    assert heads[0][0] == "POST /calls HTTP/1.1"
    assert "Authorization: Bearer t0ken.of-32_characters" in heads[0]


async def test_a_kept_connection_that_was_closed() -> None:
    """The question is asked again on a new one."""
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(answer(said()))
        await writer.drain()
        if connections == 1:
            # The next question comes on a connection that ends without a word.
            await read_request(reader)
        else:
            await reader.read()

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE)
        verdicts = [(await verifier.ask(QUESTION, timeout=PATIENCE)).verdict for _ in range(2)]
        verifier.close()
    assert verdicts == [Verdict.YES, Verdict.YES]
    assert connections == 2


@pytest.mark.parametrize(
    ("said_by_it", "why"),
    [
        ([], "no answer in time"),
        ([b"HTTP/1.1 200 OK\r\n"], "no answer in time"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"], "no answer in time"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 50, "no answer in time"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n", None], "RemoteProtocolError"),
        ([None], "RemoteProtocolError"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", None], "RemoteProtocolError"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000], "RemoteProtocolError"),
        ([answer(b" " * (LARGEST_ANSWER + 1))], "too long an answer"),
        ([answer(said(), status="503 Busy")], "status 503"),
        ([answer(b"", status="302 Found", more="Location: /yes\r\n")], "status 302"),
        ([answer(said(of="another"))], "the answer to another question"),
    ],
)
async def test_a_service_that_misbehaves(
    said_by_it: list[bytes | None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Silent, slow, lying or broken: the verdict is that there is none, and a line says why."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in said_by_it:
            if piece is None:
                return
            writer.write(piece)
            await writer.drain()
        await reader.read()

    async with service(peer) as url:
        limit = SHORT if why == "no answer in time" else PATIENCE
        checked = await ask(url, timeout=limit)
    assert checked.verdict is Verdict.UNAVAILABLE
    assert [(each.message, vars(each)["why"]) for each in caplog.records] == [
        ("check.unavailable", why)
    ]


async def test_a_service_that_sends_a_byte_at_a_time() -> None:
    """The limit is one for all of the answer."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(SHORT / 10)

    async with service(peer) as url:
        assert (await ask(url, timeout=SHORT)).verdict is Verdict.UNAVAILABLE


async def test_nobody_listens(unused_tcp_port: int) -> None:
    """There is no connection."""
    checked = await ask(f"http://127.0.0.1:{unused_tcp_port}")
    assert checked.verdict is Verdict.UNAVAILABLE
    assert checked.id == QUESTION.id


async def test_no_time_is_left() -> None:
    """The database took it all: nobody is asked."""
    connected = False

    async def peer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected = True
        await reader.read()

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE)
        assert (await verifier.ask(QUESTION, timeout=0.0)).verdict is Verdict.UNAVAILABLE
        verifier.close()
    assert not connected


async def test_the_log_names_an_outage_once(caplog: pytest.LogCaptureFixture) -> None:
    """A line where it falls silent and one where it answers again, however many calls come."""
    caplog.set_level(logging.INFO)
    answers = iter([b"no", b"no", said(), said(), b"no"])

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer(next(answers)))

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE)
        for _ in range(5):
            await verifier.ask(QUESTION, timeout=PATIENCE)
        verifier.close()
    assert [record.message for record in caplog.records] == [
        "check.unavailable",
        "check.available",
        "check.unavailable",
    ]
