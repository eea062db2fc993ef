"""
One delivery: a POST to a receiver, and what it says.

Rules for the editor:

1. The address that was checked is the one that is connected to; the certificate is that of the
   host's name. No redirect is followed, no proxy of the environment is used.
2. What a receiver answers is not kept: it could repeat what it was sent.
3. A try has a limit as a whole. Whoever waits for it cuts it (:meth:`Try.cut`), as a receiver can
   send a byte at a time without end.
"""

import json
import ssl
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from agi_router.errors import WebhookInvalid
from agi_router.events.connections import Cutter, make_connection, path_of
from agi_router.events.model import Format
from agi_router.events.schedule import parse_retry_after

__all__ = ["LIMITS", "Answer", "Request", "Try"]

LIMITS = {Format.CLOUDEVENTS: 10.0, Format.ALI: 0.7}
"""Seconds that a receiver of each format has."""

_LARGEST_ANSWER = 4096
_OK = 200
_GONE = 410
_ASKS_TO_WAIT = (429, 503)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """
    What is posted, and where to. Its ``repr`` shows nothing of it.
    """

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    format: Format
    allowed: Collection[str] = field(repr=False)
    """Hosts that the operator allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """
    How a try ended.
    """

    why: str | None
    """Why it failed, in our words; :obj:`None`: it has arrived."""
    status: int | None = None
    """HTTP status; :obj:`None`: there was no answer."""
    ms: int = 0
    wish: timedelta | None = None
    """When the receiver wants the next one, if it said so."""

    @property
    def gone(self) -> bool:
        """
        Whether the receiver says that it wants no more.
        """
        return self.status == _GONE


class Try:
    """
    One try to deliver, which another thread may cut.

    Args:
        request: What is posted.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._cutter = Cutter()
        self._began = time.monotonic()

    @property
    def overdue(self) -> bool:
        """
        Whether its time is up.
        """
        return time.monotonic() - self._began > LIMITS[self._request.format]

    def cut(self) -> None:
        """
        End it: whoever is at it learns of that at once.
        """
        self._cutter.cut()

    def run(self) -> Answer:
        """
        Deliver. Raises nothing: whatever happens is an answer.
        """
        self._began = time.monotonic()
        try:
            status, why, wish = self._post()
        except WebhookInvalid as error:
            status, why, wish = None, str(error), None
        except (OSError, HTTPError, HTTPException, ValueError) as error:
            status, why, wish = None, self._failed(error), None
        ms = round((time.monotonic() - self._began) * 1000)
        return Answer(status=status, why=why, wish=wish, ms=ms)

    def _post(self) -> tuple[int, str | None, timedelta | None]:
        request = self._request
        parts = urlsplit(request.url)
        connection = make_connection(
            parts, timeout=LIMITS[request.format], allowed=request.allowed
        )
        self._cutter.connect(connection)
        path = path_of(parts)
        headers = {**request.headers, "host": parts.netloc, "connection": "close"}
        try:
            # Nothing is read of the answer that is not needed: it may be without end.
            connection.request(
                "POST", path, body=request.body, headers=headers, preload_content=False
            )
            response = connection.getresponse()
            status = response.status
            answered = response.read(_LARGEST_ANSWER) if request.format is Format.ALI else b""
        finally:
            connection.close()
        wish = None
        if status in _ASKS_TO_WAIT:
            told = response.headers.get("Retry-After")
            wish = parse_retry_after(told, now=datetime.now(UTC))
        return status, _judge(request.format, status, answered), wish

    def _failed(self, error: Exception) -> str:
        """
        What happened, without a word of the receiver's.
        """
        if self._cutter.late or isinstance(error, TimeoutError):
            return f"no answer within {LIMITS[self._request.format]:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return "its certificate is not valid for its name"
        return f"it cannot be reached ({type(error).__name__})"


def _judge(form: Format, status: int, answered: bytes) -> str | None:
    """
    Why an answer is none that takes the event; :obj:`None` if it does.
    """
    if form is Format.ALI:
        if status != _OK:
            return f"it answered {status}, and not 200"
        return None if _has_code(answered) else "its answer has no number as code"
    if 200 <= status < 300:  # noqa: PLR2004 - HTTP
        return None
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP
        return f"it answered {status}: redirects are not followed"
    return f"it answered {status}"


def _has_code(answered: bytes) -> bool:
    try:
        value = json.loads(answered)
    except ValueError:
        return False
    code = value.get("code") if isinstance(value, dict) else None
    return isinstance(code, int) and not isinstance(code, bool)
