"""
Plain HTTP: the way for an answer that grows with the PBX.

Asterisk builds each frame that it sends over a WebSocket on the stack of its thread, some 490 kB
(``ast_websocket_write`` in res_http_websocket.c; measured with 22.10.1): an answer that is longer,
say a list of 700 channels, ends the whole PBX and all its calls. Over HTTP it is on the heap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from .errors import AriRefused, AriTimeout, AriUnauthorized, AriUnavailable

__all__ = ["http_get"]


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
        AriUnavailable: No connection, or it was lost.
        AriTimeout: No answer in time.
        AriRefused: The answer's status is 400 or more.
    """
    try:
        status, reason, body = await asyncio.to_thread(_get, url, uri, headers, timeout)
    except TimeoutError:
        raise AriTimeout("GET", uri) from None
    except (OSError, HTTPException) as exc:
        raise AriUnavailable(type(exc).__name__) from None
    if status == HTTPStatus.UNAUTHORIZED:
        raise AriUnauthorized("Asterisk refused user or password")
    if status >= HTTPStatus.BAD_REQUEST:
        raise AriRefused(status, reason, uri)
    return body.decode("utf-8", "replace")


def _get(url: str, uri: str, headers: Mapping[str, str], timeout: float) -> tuple[int, str, bytes]:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    with closing(kind(parts.hostname or "", parts.port, timeout=timeout)) as connection:
        connection.request("GET", f"{parts.path.rstrip('/')}/ari/{uri}", headers=dict(headers))
        response = connection.getresponse()
        return response.status, response.reason, response.read()
