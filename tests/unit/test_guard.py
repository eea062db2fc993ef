"""The guard of the HTTP door: what is no request does not come through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from agi_router.doors.http import guard
from agi_router.doors.http.guard import LARGEST_BODY, Guard


async def served(*messages: Message, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Any:
    """What the door is handed of a body, and the status of the answer."""
    handed: list[bytes] = []
    sent: list[Message] = []
    coming = list(messages)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        handed.append((await receive())["body"])
        assert scope["state"]["body"] == handed[0]
        await send({"type": "http.response.start", "status": 204, "headers": []})

    async def receive() -> Message:
        return coming.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await Guard(app)({"type": "http", "headers": headers}, receive, send)
    return handed, sent[0]["status"], dict(sent[0]["headers"])


def part(body: bytes, *, more: bool = False) -> Message:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


async def test_a_body_comes_in_parts() -> None:
    """And is handed on whole, as large as it may be."""
    half = b"x" * (LARGEST_BODY // 2)
    handed, status, _ = await served(part(half, more=True), part(half))
    assert (handed, status) == ([half + half], 204)


async def test_a_body_that_is_too_large() -> None:
    """Is not read further."""
    handed, status, headers = await served(
        part(b"x" * LARGEST_BODY, more=True), part(b"x", more=True)
    )
    assert (handed, status) == ([], 413)
    assert headers[b"content-type"] == b"application/problem+json"


async def test_who_leaves_in_the_middle() -> None:
    """What has come is no request, though it looks like one."""
    handed, status, _ = await served(part(b"{}", more=True), {"type": "http.disconnect"})
    assert (handed, status) == ([], 408)


async def test_who_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is not waited for without end."""
    monkeypatch.setattr(guard, "_PATIENCE", 0.0)
    never = asyncio.Event()
    sent: list[Message] = []

    async def app(*_: object) -> None:
        pytest.fail("there is no request")

    async def receive() -> Message:
        await never.wait()
        return part(b"")

    async def send(message: Message) -> None:
        sent.append(message)

    await Guard(app)({"type": "http", "headers": ()}, receive, send)
    assert sent[0]["status"] == 408


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (b"0123456789abcdef0123456789abcdef", True),
        (b"5f1de0a4-c0a8-4f0c-9a3a-7f1de0a4c0a8", True),
        (b"0000013800000001", False),
        (b"a138-0000-0001b0", False),
        (b"13800000001", False),
        (b"x" * 20, False),
        (b"a" * 65, False),
    ],
)
async def test_ids_of_requests(given: bytes, taken: bool) -> None:  # noqa: FBT001
    """Those that came are taken, unless they could be numbers."""
    _, _, headers = await served(part(b""), headers=((b"x-request-id", given),))
    assert (headers[b"x-request-id"] == given) is taken
