"""
Asks a verification service by HTTP whether an admitted call may be connected.

Rules for the editor:

1. It runs in the router's event loop, where a service is to be asked; only then h11 is imported.
2. Whatever goes wrong is a verdict, :attr:`~agi_router.calls.check.Verdict.UNAVAILABLE`. No
   redirect is followed, no proxy of the environment is used.
3. Neither the question nor the answer is logged.
"""

import asyncio
import contextlib
import logging
import ssl
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from agi_router.calls.check import (
    LARGEST_ANSWER,
    AnswerError,
    Checked,
    Question,
    Verdict,
    read_verdict,
)
from agi_router.errors import WebhookInvalid
from agi_router.events.signature import signed_headers

__all__ = ["PORTS", "HttpVerifier", "Opening"]

log = logging.getLogger(__name__)

PORTS = {"http": 80, "https": 443}
"""Where a service is that names no port."""

Opening = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Connects to a service."""

# Servers close what is idle for longer, some after five seconds.
_KEPT_IDLE = 4.0
_IDLE_MOST = 32
_LARGEST_HEAD = 16384
_PIECE = 4096


class _StaleError(Exception):
    """
    The service had closed a kept connection before it said anything on it.
    """


@dataclass(slots=True)
class _Connection:
    """
    One connection, and where its exchange of messages stands.
    """

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    state: h11.Connection = field(
        default_factory=lambda: h11.Connection(h11.CLIENT, max_incomplete_event_size=_LARGEST_HEAD)
    )
    idle_since: float | None = None
    """When its last exchange was over; :obj:`None` before the first."""

    async def exchange(self, request: h11.Request, body: bytes) -> tuple[int, bytes]:
        """
        Send a request, and wait for status and body of the answer.

        Raises:
            AnswerError: The answer is too long.
            _StaleError: The connection was closed before.
            OSError, h11.ProtocolError: It broke off, or is no HTTP.
        """
        kept = self.idle_since is not None
        data = bytearray()
        status = 0
        try:
            for part in (request, h11.Data(data=body), h11.EndOfMessage()):
                self.writer.write(self.state.send(part) or b"")
            await self.writer.drain()
            while True:
                event = await self._next()
                kept = False
                match event:
                    case h11.Response():
                        status = event.status_code
                    case h11.Data():
                        data += event.data
                        if len(data) > LARGEST_ANSWER:
                            raise AnswerError("too long an answer")
                    case h11.EndOfMessage():
                        return status, bytes(data)
                    case h11.ConnectionClosed():
                        raise ConnectionResetError
                    case _:
                        pass
        except (OSError, h11.RemoteProtocolError):
            if kept:
                raise _StaleError from None
            raise

    async def _next(self) -> object:
        while (event := self.state.next_event()) is h11.NEED_DATA:
            self.state.receive_data(await self.reader.read(_PIECE))
        return event

    @property
    def reusable(self) -> bool:
        """
        Whether another exchange can follow on the one that is over.
        """
        return self.state.our_state is h11.DONE and self.state.their_state is h11.DONE

    def close(self) -> None:
        """
        Close it at once.
        """
        self.writer.transport.abort()


class HttpVerifier:
    """
    A verification service.

    Args:
        url: Where it is.
        timeout: Seconds that it has for one answer.
        token: Sent as ``Authorization: Bearer``; :obj:`None`: nothing is.
        opening: How it is connected to; :obj:`None`: by its name, wherever that leads.
        told: What its lines in the log say beside the fault, such as whose it is.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float,
        token: str | None = None,
        opening: Opening | None = None,
        told: Mapping[str, object] | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._timeout = timeout
        self._open = opening or _opening(
            parts.hostname or "", parts.port or PORTS[parts.scheme], secure=parts.scheme == "https"
        )
        self._told = dict(told or {})
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._headers = [
            ("Host", parts.netloc),
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
            *([("Authorization", f"Bearer {token}")] if token else []),
        ]
        self._idle: deque[_Connection] = deque()
        self._silent = False

    def close(self) -> None:
        """
        Close the connections that are kept.
        """
        while self._idle:
            self._idle.popleft().close()

    async def ask(
        self,
        question: Question,
        *,
        timeout: float,  # noqa: ASYNC109
        secrets: Sequence[str] = (),
    ) -> Checked:
        """
        Ask about one call.

        Args:
            question: The question.
            timeout: Seconds that are left for the whole decision; at most the verifier's own
                limit of them is used.
            secrets: What the question is signed with, as events are; none: it is not.
        """
        if timeout <= 0:
            # The service has not failed.
            return Checked(id=question.id, verdict=Verdict.UNAVAILABLE, ms=0)
        begun = time.monotonic()
        why = None
        verdict = Verdict.UNAVAILABLE
        try:
            async with asyncio.timeout(min(self._timeout, timeout)):
                status, body = await self._post(question, secrets)
            verdict = read_verdict(status, body, question_id=question.id)
        except TimeoutError:
            why = "no answer in time"
        except (AnswerError, WebhookInvalid) as error:
            why = str(error)
        except (OSError, h11.ProtocolError, _StaleError) as error:
            why = type(error).__name__
        self._tell(why)
        ms = round((time.monotonic() - begun) * 1000)
        return Checked(id=question.id, verdict=verdict, ms=ms)

    def _tell(self, why: str | None) -> None:
        """
        Log where the service falls silent, and where it answers again; not each call of between.
        """
        if why is not None and not self._silent:
            log.error("check.unavailable", extra={"why": why, **self._told})
        elif why is None and self._silent:
            log.warning("check.available", extra=self._told)
        self._silent = why is not None

    async def _post(self, question: Question, secrets: Sequence[str]) -> tuple[int, bytes]:
        body = question.to_json()
        signed = signed_headers(question.id, int(time.time()), body, secrets) if secrets else {}
        request = h11.Request(
            method="POST",
            target=self._target,
            headers=[*self._headers, *signed.items(), ("Content-Length", str(len(body)))],
        )
        while connection := self._kept():
            # It may have been closed at this moment: the question is asked again on a new one.
            with contextlib.suppress(_StaleError):
                return await self._exchange(connection, request, body)
        return await self._exchange(_Connection(*await self._open()), request, body)

    def _kept(self) -> _Connection | None:
        """
        The connection that was used last, if it is not idle for too long.
        """
        while self._idle:
            connection = self._idle.pop()
            since = connection.idle_since
            if since is not None and time.monotonic() - since < _KEPT_IDLE:
                return connection
            connection.close()
        return None

    async def _exchange(
        self, connection: _Connection, request: h11.Request, body: bytes
    ) -> tuple[int, bytes]:
        kept = False
        try:
            answer = await connection.exchange(request, body)
            if connection.reusable and len(self._idle) < _IDLE_MOST:
                connection.state.start_next_cycle()
                connection.idle_since = time.monotonic()
                self._idle.append(connection)
                kept = True
            return answer
        finally:
            if not kept:
                connection.close()


def _opening(host: str, port: int, *, secure: bool) -> Opening:
    tls = ssl.create_default_context() if secure else None

    async def opening() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(host, port, ssl=tls)

    return opening
