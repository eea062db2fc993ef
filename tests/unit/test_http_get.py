"""Plain HTTP against a server that answers as it likes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agi_router.ari.errors import AriRefused, AriTimeout, AriUnavailable
from agi_router.ari.http_get import http_get


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Run a server that says *answer* to each request; gives its URL and what it was asked."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/prefix/", asked


async def get(url: str) -> str:
    """Ask for something."""
    return await http_get(url, "a/b%20c", headers={"X-Who": "me"}, timeout=5)


async def test_what_is_asked() -> None:
    """The path lies below the prefix; what says who asks goes along."""
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\xe4\xb8\xad!") as (
        url,
        asked,
    ):
        assert await get(url) == "中!"
    lines = asked[0].decode().splitlines()
    assert lines[0] == "GET /prefix/ari/a/b%20c HTTP/1.0"
    assert "X-Who: me" in lines


async def test_an_answer_ends_where_the_connection_does() -> None:
    """Its length need not be told."""
    async with answering(b"HTTP/1.0 200\r\n\r\n" + b"[]" * 100_000) as (url, _):
        assert await get(url) == "[]" * 100_000


async def test_an_answer_that_is_whole_is_not_waited_on() -> None:
    """Asterisk closes the connection three seconds later."""
    read = asyncio.Event()

    async def linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await writer.drain()
        writer.write(b"[{}]")
        await read.wait()
        writer.close()

    async with await asyncio.start_server(linger, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        said = await http_get(f"http://127.0.0.1:{port}", "a", headers={}, timeout=60)
        read.set()
    assert said == "[{}]"


async def test_silence() -> None:
    """Whoever says nothing is not waited for."""
    quiet = asyncio.Event()

    async def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await quiet.wait()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(AriTimeout):
            await http_get(f"http://127.0.0.1:{port}", "a", headers={}, timeout=0.05)
        quiet.set()


async def test_refusal() -> None:
    """Told with its status, without its body."""
    async with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nbody") as (url, _):
        with pytest.raises(AriRefused) as caught:
            await get(url)
    assert str(caught.value) == "404 Not Found: a/b%20c"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n\r\n",
        b"13912345678\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n139",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n139",
        b"HTTP/1.1 99999 OK\r\n\r\n139",
        b"HTTP/1.1 200 OK\r\n" + b"X: 13912345678\r\n" * 200,
    ],
)
async def test_no_answer_in_order(answer: bytes) -> None:
    """It is told, but not what was said."""
    async with answering(answer) as (url, _):
        with pytest.raises(AriUnavailable) as caught:
            await get(url)
    assert "139" not in str(caught.value)
