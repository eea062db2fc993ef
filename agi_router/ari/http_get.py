"""
Plain HTTP: the way for an answer that grows with the PBX.

Asterisk builds each frame that it sends over a WebSocket on the stack of its thread, some 490 kB
(``ast_websocket_write`` in res_http_websocket.c; measured with 22.10.1): an answer that is longer,
say a list of 700 channels, ends the whole PBX and all its calls. Over HTTP it is on the heap.

By hand, for one request: a router would keep 0.6 MB of ``http.client`` and of the thread it needs.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from .errors import AriRefused, AriTimeout, AriUnauthorized, AriUnavailable

__all__ = ["http_get"]

_PORTS = {"http": 80, "https": 443}
_PIECE = 1 << 16
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: (.*))?")
_LENGTH = re.compile(rb"[0-9]{1,12}")


async def http_get(
    url: str,
    uri: str,
    *,
    headers: Mapping[str, str],
    timeout: float,  # noqa: ASYNC109
) -> str:
    """
    Ask Asterisk over a connection of its own; returns the body.

    Args:
        url: Where its HTTP server is.
        uri: Path below ``/ari/``, percent-encoded.
        headers: Those that say who asks.
        timeout: Seconds that Asterisk may say nothing.

    Raises:
        AriUnavailable: No connection, or it was lost, or what answers speaks no HTTP.
        AriTimeout: No answer in time.
        AriRefused: The answer's status is 400 or more.
    """
    place = urlsplit(url)
    try:
        status, reason, body = await _ask(place, _request(place, uri, headers), timeout)
    except TimeoutError:
        raise AriTimeout("GET", uri) from None
    except (OSError, EOFError, asyncio.LimitOverrunError) as exc:
        raise AriUnavailable(type(exc).__name__) from None
    if status == HTTPStatus.UNAUTHORIZED:
        raise AriUnauthorized("Asterisk refused user or password")
    if status >= HTTPStatus.BAD_REQUEST:
        raise AriRefused(status, reason, uri)
    return body.decode("utf-8", "replace")


def _request(place: SplitResult, uri: str, headers: Mapping[str, str]) -> bytes:
    """
    A request of HTTP/1.0, whose answer comes in one piece and not in chunks.
    """
    fields = {"Host": place.netloc.rpartition("@")[2], **headers}
    lines = [
        f"GET {place.path.rstrip('/')}/ari/{uri} HTTP/1.0",
        *(f"{name}: {value}" for name, value in fields.items()),
        "\r\n",
    ]
    return "\r\n".join(lines).encode()


async def _ask(
    place: SplitResult,
    request: bytes,
    timeout: float,  # noqa: ASYNC109
) -> tuple[int, str, bytes]:
    """
    Status, reason and body of the answer.

    Raises:
        OSError, EOFError, LimitOverrunError: It does not come, or not whole, or has no end.
        AriUnavailable: It is no HTTP.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout) as silence:
        reader, writer = await asyncio.open_connection(
            place.hostname,
            place.port or _PORTS[place.scheme],
            ssl=ssl.create_default_context() if place.scheme == "https" else None,
        )
        try:
            writer.write(request)
            status, reason, length = _head(await reader.readuntil(b"\r\n\r\n"))
            body = bytearray()
            # Asterisk keeps the connection for some seconds: the length says when all is there.
            while length is None or len(body) < length:
                silence.reschedule(loop.time() + timeout)
                left = _PIECE if length is None else min(_PIECE, length - len(body))
                if not (piece := await reader.read(left)):
                    break
                body += piece
        finally:
            writer.transport.abort()
    if length is not None and len(body) < length:
        raise EOFError
    return status, reason, bytes(body)


def _head(said: bytes) -> tuple[int, str, int | None]:
    """
    Status, reason and how long the body is, if that is told.

    Raises:
        AriUnavailable: It is none of HTTP, or of a body in chunks, which nobody may send us.
    """
    first, *lines = said.removesuffix(b"\r\n\r\n").split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(first)
    fields = {
        name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)
    }
    length = fields.get(b"content-length")
    if (
        status_line is None
        or b"transfer-encoding" in fields
        or not (length is None or _LENGTH.fullmatch(length))
    ):
        raise AriUnavailable("the answer is no HTTP")
    status, reason = status_line.groups(default=b"")
    return int(status), reason.decode("latin-1"), None if length is None else int(length)
