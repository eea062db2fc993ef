"""
One file of a feed by HTTP: an address in, a file that can be read twice out.

1. The guard of webhooks holds: https to public addresses only, but for hosts that the operator
   allows; the address that was checked is connected to; no redirect is followed.
2. A file that did not come whole is none. What an answer says is never told.
3. A request has a limit as a whole: a server can send a byte at a time without end.
"""

import ssl
import tempfile
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import BinaryIO
from urllib.parse import quote, urlsplit

from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from agi_router.errors import FeedUnreachable, WebhookInvalid
from agi_router.events.connections import Cutter, make_connection, path_of
from agi_router.feeds.model import CURSOR, PullState

__all__ = ["Download", "Limits", "download"]

_PIECE = 1 << 16
_LONGEST_TAG = 1024
# Where an answer goes on: the value of {cursor} in the next request.
_CURSOR_HEADER = "Feed-Cursor"


@dataclass(frozen=True, slots=True)
class Limits:
    """
    What an answer may take.
    """

    size: int = 1 << 30
    """Bytes."""
    step: float = 30.0
    """Seconds until something comes."""
    whole: float = 1800.0
    """Seconds until all is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """
    A file, and by what the next request is made.
    """

    stream: BinaryIO
    name: str
    state: PullState


@contextmanager
def download(
    url: str,
    state: PullState,
    *,
    authorization: str | None,
    allowed: Collection[str],
    limits: Limits,
) -> Iterator[Download | None]:
    """
    Ask for the next file, for the time of a block.

    Args:
        url: Where; :data:`CURSOR` in it stands for the cursor of the state.
        state: By what the last answer can be told from the next.
        authorization: What is sent as the header ``Authorization``.
        allowed: Hosts that the operator allows.
        limits: What it may take.

    Returns:
        The file; None where there is no other than last time.

    Raises:
        FeedUnreachable: No whole file came; says why, and nothing of what came.
    """
    parts = urlsplit(_address(url, state))
    try:
        connection = make_connection(parts, timeout=limits.step, allowed=allowed)
    except WebhookInvalid as error:
        raise FeedUnreachable(str(error)) from None
    except (OSError, ValueError) as error:
        # Of a name that none can be, Python says a ValueError.
        raise FeedUnreachable(f"its host has no address ({type(error).__name__})") from None
    headers = {"host": parts.netloc, "connection": "close", **_conditions(state, authorization)}
    cutter = Cutter()
    timer = threading.Timer(limits.whole, cutter.cut)
    timer.daemon = True
    found: PullState | None = None
    with tempfile.TemporaryFile() as stream:
        timer.start()
        try:
            cutter.connect(connection)
            connection.request("GET", path_of(parts), headers=headers, preload_content=False)
            response = connection.getresponse()
            if not _is_unchanged(response):
                _read(response, stream, limits)
                found = _state_after(response, url, state)
            cutter.check()
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            raise FeedUnreachable(_failed(error, cutter)) from None
        finally:
            timer.cancel()
            connection.close()
        if found is None:
            yield None
            return
        stream.seek(0)
        yield Download(stream=stream, name=f"{parts.hostname}{parts.path}", state=found)


def _address(url: str, state: PullState) -> str:
    return url.replace(CURSOR, quote(state.cursor or "", safe=""))


def _conditions(state: PullState, authorization: str | None) -> Mapping[str, str]:
    told = {
        "accept": "text/csv, application/x-ndjson, */*;q=0.5",
        "accept-encoding": "identity",
        "user-agent": "agi-router",
        "if-none-match": state.etag,
        "if-modified-since": state.modified,
        "authorization": authorization,
    }
    return {name: value for name, value in told.items() if value is not None}


def _is_unchanged(response: BaseHTTPResponse) -> bool:
    """
    Whether there is nothing new.

    Raises:
        FeedUnreachable: It is neither that nor a file.
    """
    status = response.status
    if status in {HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT}:
        return True
    if status == HTTPStatus.OK:
        return False
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP
        raise FeedUnreachable(
            f"it answered {status}: redirects are not followed, give the address that it leads to"
        )
    raise FeedUnreachable(f"it answered {status}")


def _read(response: BaseHTTPResponse, stream: BinaryIO, limits: Limits) -> None:
    """
    Write the whole answer to a file.
    """
    told = response.headers
    if told.get("content-encoding", "identity").lower() != "identity":
        raise FeedUnreachable("its answer is compressed, which was not asked for")
    if "content-length" not in told and told.get("transfer-encoding", "").lower() != "chunked":
        raise FeedUnreachable("its answer does not tell its length, so it may have been cut off")
    size = 0
    for piece in response.stream(_PIECE, decode_content=False):
        size += len(piece)
        if size > limits.size:
            raise FeedUnreachable(f"its answer has more than {limits.size:,} bytes")
        stream.write(piece)


def _state_after(response: BaseHTTPResponse, url: str, state: PullState) -> PullState:
    """
    By what the next request is made.

    Raises:
        FeedUnreachable: It cannot be told where the next answer begins.
    """
    told = response.headers
    cursor = told.get(_CURSOR_HEADER)
    if cursor and _tag(cursor) is None:
        raise FeedUnreachable(
            f"its {_CURSOR_HEADER} has other characters than those of ASCII, or more than"
            f" {_LONGEST_TAG:,}"
        )
    after = PullState(cursor=cursor or state.cursor)
    if _address(url, after) != _address(url, state):
        # What is told of this page says nothing of the next one.
        return after
    return after._replace(etag=_tag(told.get("etag")), modified=_tag(told.get("last-modified")))


def _tag(text: str | None) -> str | None:
    """
    What is sent back as it came; nothing that could not be.
    """
    if text is None or len(text) > _LONGEST_TAG or not (text.isascii() and text.isprintable()):
        return None
    return text or None


def _failed(error: Exception, cutter: Cutter) -> str:
    """
    What happened, without a word of the server's.
    """
    if cutter.late or isinstance(error, TimeoutError):
        return "its answer took too long"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not valid for its name"
    return f"it cannot be reached, or its answer was cut off ({type(error).__name__})"
