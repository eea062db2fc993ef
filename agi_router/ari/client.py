"""
The ARI client: one WebSocket, kept up; requests out, events in.

Rules for the next editor:

1. What reads the socket waits for nothing. It hands an answer to whoever waits for it, an
   event to the queue, and reads on; a slow consumer costs memory here. A socket nobody reads
   would cost calls: Asterisk's queue fills and its SIP stack begins to drop requests.
2. No log record, reason or exception holds the contents of a frame.
3. Between :class:`Connected` and :class:`Disconnected` lie exactly the events of one connection.
   Asterisk replays nothing: what happened outside is the application's to find out.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import logging
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeAlias
from urllib.parse import urlsplit

from websockets.exceptions import InvalidMessage, InvalidStatus, WebSocketException

from . import wire
from .errors import AriError, AriRefused, AriTimeout, AriUnauthorized, AriUnavailable, WireError
from .http_get import http_get
from .websocket import WebSocket
from .wire import AsteriskInfo, Event, Response

__all__ = ["AriClient", "ClientEvent", "Connected", "Disconnected"]

log = logging.getLogger(__name__)

# More than Asterisk can send in one frame; see http_get.
_ANSWER_MAX: Final = 1024 * 1024
_NO_ARI: Final = (
    "handshake answered 404: there is no ARI at this path; where http.conf has a prefix the URL is"
    " to end in it, and ari.conf needs enabled=yes"
)
# Seconds for an answer that may be long.
_LIST_TIMEOUT: Final = 10.0

_APP_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+")
_CAUSE_MAX: Final = 127
_REFUSED: Final = 400

# A lost connection is a result too, as is a time-out: an exception nobody awaits any more would be
# logged.
_Pending: TypeAlias = asyncio.Future[Response | AriError]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """
    The connection is up and the event filter is confirmed: requests may be sent.

    Attributes:
        first: Whether this is the first connection of this client. If not, events were missed.
    """

    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """
    The connection is lost; the client is already trying to get another.

    Attributes:
        reason: Why, in words that may be logged.
    """

    reason: str


ClientEvent: TypeAlias = Event | Connected | Disconnected
"""What iterating over a client yields."""


class AriClient:
    """
    A client of one ARI application of one Asterisk.

    ``async with`` connects, and from then on the client keeps the connection up by itself.
    Iterate over it, from one task, for events; send requests from any task of the same loop.

    Args:
        url: Where Asterisk's HTTP server is, e.g. ``http://127.0.0.1:8088``, with the
            ``prefix`` of http.conf if there is one. ``https`` makes it a ``wss`` connection.
        user: ARI user.
        password: Its password. It is sent in a header, never in a URL.
        app: Name of the application, as the dialplan's ``Stasis()`` has it.
        events: Types of the events to let through the event filter. Answers and
            ``ApplicationReplaced`` always pass.
        request_timeout: Seconds until a request without an answer is given up; also the limit
            of one attempt to open the socket.
        connect_timeout: Seconds until the first connect is given up.
        ping_interval: Seconds between two pings.
        ping_timeout: Seconds to wait for a pong. Asterisk answers pings between requests, so
            this must be more than the longest request takes. A silent cut is noticed after at
            most the two together, plus 0.2 s.
        backoff_first: Seconds until the first attempt to reconnect.
        backoff_cap: Seconds between two attempts, at most; each delay before it is twice the
            last, and each is shortened by a random share of up to a half.

    Raises:
        ValueError: An argument makes no sense.
    """

    def __init__(
        self,
        *,
        url: str,
        user: str,
        password: str,
        app: str,
        events: Iterable[str] = ("StasisStart",),
        request_timeout: float = 1.0,
        connect_timeout: float = 10.0,
        ping_interval: float = 1.0,
        ping_timeout: float = 1.5,
        backoff_first: float = 0.05,
        backoff_cap: float = 1.0,
    ) -> None:
        if not _APP_NAME.fullmatch(app):
            # A comma would make it several applications.
            raise ValueError("app: letters, digits, dot, dash and underscore only")
        if not user or ":" in user:
            raise ValueError("user: empty, or holds a colon")
        times = (request_timeout, connect_timeout, ping_interval, ping_timeout)
        if min(*times, backoff_first, backoff_cap) <= 0:
            raise ValueError("time-outs and delays must be above zero")
        self._app = app
        self._address = f"{_websocket_url(url)}/ari/events?app={app}"
        self._url = url
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {login}"}
        self._types = tuple(events)
        self._request_timeout = request_timeout
        self._connect_timeout = connect_timeout
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._backoff_first = backoff_first
        self._backoff_cap = backoff_cap

        self._ids = itertools.count(1)
        self._pending: dict[str, _Pending] = {}
        # None marks the end: the client was closed, or its keeper failed.
        self._queue: asyncio.Queue[ClientEvent | None] = asyncio.Queue()
        self._link: WebSocket | None = None
        self.connections = 0
        """How many connections have become ready so far."""
        self._keeper: asyncio.Task[None] | None = None
        self._trouble = ""

    def __repr__(self) -> str:
        """Show where it goes; neither user nor password."""
        return f"AriClient(address={self._address!r}, ready={self.ready})"

    @property
    def app(self) -> str:
        """The application's name."""
        return self._app

    @property
    def ready(self) -> bool:
        """Whether requests can be sent now."""
        return self._link is not None

    @property
    def backlog(self) -> int:
        """How many events wait to be taken from the client."""
        return self._queue.qsize()

    async def __aenter__(self) -> Self:
        """
        Connect, and keep the connection up from now on.

        Raises:
            AriUnauthorized: Asterisk refused user or password.
            AriUnavailable: No connection within ``connect_timeout``.
            RuntimeError: This client was used before.
        """
        if self._keeper is not None:
            raise RuntimeError("a client connects once; make another")
        opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keeper = asyncio.create_task(self._keep(opened), name="ari-keeper")
        try:
            async with asyncio.timeout(self._connect_timeout):
                # The keeper ends before "opened" is set only by an error.
                await asyncio.wait({opened, self._keeper}, return_when=asyncio.FIRST_COMPLETED)
                if not opened.done():
                    await self._keeper
        except TimeoutError:
            await self._stop()
            raise AriUnavailable(
                f"no connection within {self._connect_timeout:g} s: {self._trouble or 'no answer'}"
            ) from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection; waiting requests fail and iteration ends."""
        await self._stop()

    def __aiter__(self) -> Self:
        """Iterate over events until the client is closed."""
        return self

    async def __anext__(self) -> ClientEvent:
        """
        Take the next event.

        Raises:
            StopAsyncIteration: The client was closed.
        """
        event = await self._queue.get()
        if event is not None:
            return event
        self._queue.put_nowait(None)
        keeper = self._keeper
        if keeper is not None and keeper.done() and not keeper.cancelled():
            # A defect of this client must not look like a quiet end.
            keeper.result()
        raise StopAsyncIteration

    async def request(
        self,
        method: str,
        uri: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        within: float | None = None,
    ) -> Response:
        """
        Send one request and wait for its answer.

        Nothing whose answer grows with the PBX: a frame of some 490 kB ends Asterisk (see
        :mod:`~agi_router.ari.http_get`).

        Args:
            method: ``GET``, ``POST``, ``PUT`` or ``DELETE``.
            uri: Path below ``/ari/``, percent-encoded; see :func:`~agi_router.ari.wire.path`.
            query: Parameters; all values are strings.
            body: JSON object, instead of parameters.
            within: Seconds to wait, if not the client's ``request_timeout``.

        Raises:
            ValueError: Asterisk would not take such a request; nothing was sent.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
            AriRefused: The answer's status is 400 or more.
        """
        if self._link is None:
            raise AriUnavailable("not connected")
        return await self._exchange(
            self._link,
            method,
            uri,
            query=query,
            body=body,
            within=self._request_timeout if within is None else within,
        )

    async def continue_in_dialplan(
        self, channel_id: str, *, context: str, extension: str, priority: int = 1
    ) -> None:
        """
        Let a channel leave the application and go on in the dialplan.

        Asterisk also says yes to a place that does not exist; the caller then gets a 603.

        Args:
            channel_id: The channel, which must be in ``Stasis()``.
            context: Dialplan context, at most 79 bytes.
            extension: Extension in it, at most 79 bytes: Asterisk cuts a longer one and says yes.
            priority: Priority in it, from 1.

        Raises:
            ValueError: Context or extension is empty or too long; nothing was sent.
            AriRefused: 404 if the channel is gone, 409 if it is not in ``Stasis()``.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
        """
        wire.require_extension("context", context)
        wire.require_extension("extension", extension)
        if priority < 1:
            raise ValueError("priority: from 1")
        await self.request(
            "POST",
            wire.path("channels", channel_id, "continue"),
            query={"context": context, "extension": extension, "priority": str(priority)},
        )

    async def hangup(self, channel_id: str, *, reason_code: int) -> None:
        """
        Hang a channel up.

        Args:
            channel_id: The channel.
            reason_code: Q.850 cause, 0 to 127.

        Raises:
            ValueError: No such cause; nothing was sent.
            AriRefused: 404 if the channel is gone.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
        """
        if not 0 <= reason_code <= _CAUSE_MAX:
            raise ValueError("reason_code: 0 to 127")
        await self.request(
            "DELETE", wire.path("channels", channel_id), query={"reason_code": str(reason_code)}
        )

    async def has_channel(self, channel_id: str) -> bool:
        """
        Ask whether a channel is there.

        Only 404 says that it is not: Asterisk finds one whose Call-ID is not UTF-8, and cannot
        describe it. There is no list of all: in one frame it would end Asterisk where there are
        many.

        Raises:
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
        """
        try:
            await self.request("GET", wire.path("channels", channel_id))
        except AriRefused as exc:
            return exc.status != HTTPStatus.NOT_FOUND
        return True

    async def asterisk_info(self) -> AsteriskInfo:
        """
        Ask which Asterisk this is and since when it runs.

        Raises:
            WireError: The answer is malformed.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
        """
        response = await self.request("GET", "asterisk/info")
        return wire.decode_info(response.body)

    async def has_application(self, app: str) -> bool:
        """
        Ask whether somebody is connected under a name.

        Args:
            app: The application.

        Raises:
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
        """
        try:
            await self.request("GET", wire.path("applications", app))
        except AriRefused as exc:
            if exc.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    async def raise_event(self, name: str) -> None:
        """
        Have Asterisk send an event to this application, :class:`~agi_router.ari.wire.UserEvent`.

        It comes where the event filter lets ``ChannelUserevent`` through.

        Args:
            name: What it is to be called.

        Raises:
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
            AriRefused: Asterisk did not take it.
        """
        await self.request(
            "POST", wire.path("events", "user", name), query={"application": self._app}
        )

    async def get_variable(self, name: str) -> str:
        """
        Read a global variable; empty if it is not set.

        Args:
            name: Its name, without ``${}``.

        Raises:
            WireError: The answer is malformed.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
            AriRefused: 400 if the name is empty.
        """
        response = await self.request("GET", "asterisk/variable", query={"variable": name})
        return wire.decode_variable(response.body)

    async def channel_variable(self, channel_id: str, name: str) -> str:
        """
        Read a variable of a channel, or what a function of the dialplan says there.

        Args:
            channel_id: The channel.
            name: Name of the variable, or the function with its arguments, without ``${}``.

        Raises:
            WireError: The answer is malformed.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
            AriRefused: 404 if the channel is gone or the variable is not set, 500 if there is no
                such function or ARI may not call it.
        """
        response = await self.request(
            "GET", wire.path("channels", channel_id, "variable"), query={"variable": name}
        )
        return wire.decode_variable(response.body)

    async def endpoints(self, technology: str) -> dict[str, str]:
        """
        List the endpoints of a technology, over a connection of its own.

        Args:
            technology: E.g. ``PJSIP``.

        Returns:
            By name whether each can be reached: ``online``, ``offline`` or ``unknown``.

        Raises:
            WireError: The answer is malformed.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
            AriRefused: 404 if there is no such technology, it has no endpoint, or
                ``res_ari_endpoints`` is not loaded.
        """
        body = await http_get(
            self._url,
            wire.path("endpoints", technology),
            headers=self._headers,
            timeout=_LIST_TIMEOUT,
        )
        return wire.decode_endpoints(body)

    async def modules(self) -> frozenset[str]:
        """
        List the modules that run, e.g. ``res_pjsip.so``; those built in have names without suffix.

        Raises:
            WireError: The answer is malformed.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
        """
        response = await self.request("GET", "asterisk/modules")
        return wire.decode_modules(response.body)

    async def log_channels(self) -> dict[str, frozenset[str]]:
        """
        List the log channels that are on, each with its levels in capitals.

        Raises:
            WireError: The answer is malformed.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
        """
        response = await self.request("GET", "asterisk/logging")
        return wire.decode_log_channels(response.body)

    async def config_object(self, config_class: str, kind: str, name: str) -> dict[str, str]:
        """
        Read an object of Asterisk's live configuration: every attribute, defaults included.

        Any wizard will do, also a file; only writing needs one that can be written to.

        Args:
            config_class: The module that holds the object, e.g. ``res_pjsip``.
            kind: Type of the object, e.g. ``endpoint``.
            name: Its name: the section of the file.

        Returns:
            The attributes, as Asterisk spells their values: ``yes`` of one is ``true`` of another.

        Raises:
            WireError: The answer is malformed.
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
            AriRefused: 404 if there is no such object.
        """
        response = await self.request(
            "GET", wire.path("asterisk", "config", "dynamic", config_class, kind, name)
        )
        return wire.decode_object(response.body)

    async def set_event_filter(self, types: Iterable[str]) -> None:
        """
        Choose which events to hear, now and after each reconnect.

        Args:
            types: Asterisk's names of events. Answers and ``ApplicationReplaced`` always pass.

        Raises:
            AriUnavailable: Not connected, or the connection was lost before the answer.
            AriTimeout: No answer in time.
            AriRefused: Asterisk did not take it.
        """
        chosen = tuple(types)
        if self._link is None:
            raise AriUnavailable("not connected")
        await self._send_filter(self._link, chosen)
        self._types = chosen

    async def _send_filter(self, link: WebSocket, types: Iterable[str]) -> None:
        await self._exchange(
            link,
            "PUT",
            wire.path("applications", self._app, "eventFilter"),
            body=wire.event_filter(types),
            within=self._request_timeout,
        )

    async def _exchange(
        self,
        link: WebSocket,
        method: str,
        uri: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        within: float,
    ) -> Response:
        # Never used twice, so a late answer meets nobody.
        request_id = str(next(self._ids))
        frame = wire.encode_request(
            request_id=request_id, method=method, uri=uri, query=query, body=body
        )
        loop = asyncio.get_running_loop()
        pending: _Pending = loop.create_future()
        self._pending[request_id] = pending
        timer = loop.call_later(within, _settle, pending, AriTimeout(method, uri))
        try:
            link.send(frame)
            answer = await pending
        finally:
            timer.cancel()
            del self._pending[request_id]
        if isinstance(answer, AriError):
            raise answer
        if answer.status_code >= _REFUSED:
            raise AriRefused(answer.status_code, answer.reason_phrase, uri)
        return answer

    async def _keep(self, opened: asyncio.Future[None]) -> None:
        """Keep a connection up until cancelled; set *opened* when the first one is ready."""
        loop = asyncio.get_running_loop()
        delays = self._delays()
        try:
            while True:
                started = loop.time()
                try:
                    reason = await self._serve(opened)
                except AriError as exc:
                    if isinstance(exc, AriUnauthorized) and not opened.done():
                        raise
                    # Said once, not once a second.
                    if str(exc) != self._trouble:
                        self._trouble = str(exc)
                        self._log(logging.WARNING, "ari_connect_failed", reason=self._trouble)
                else:
                    self._trouble = ""
                    self._log(logging.WARNING, "ari_disconnected", reason=reason)
                    # A peer that drops us as soon as it has us is not worth a quick retry.
                    if loop.time() - started > self._backoff_cap:
                        delays = self._delays()
                await asyncio.sleep(next(delays))
        finally:
            self._queue.put_nowait(None)

    async def _serve(self, opened: asyncio.Future[None]) -> str:
        """Open one connection, make it ready, stay with it; return why it was lost."""
        # The application exists as soon as the socket does, so calls may come before the filter.
        early: list[Event] = []
        link = await self._open(partial(self._read, early))
        link.lost.add_done_callback(self._drop)
        try:
            # The answer itself proves that the filter lets answers through.
            await self._send_filter(link, self._types)
            if not link.lost.done():
                self._link = link
                self.connections += 1
                self._queue.put_nowait(Connected(first=not opened.done()))
                for event in early:
                    self._queue.put_nowait(event)
                early.clear()
                if not opened.done():
                    opened.set_result(None)
                self._log(logging.INFO, "ari_connected")
            return await asyncio.shield(link.lost)
        finally:
            self._fail("closed by us")
            await link.close()

    async def _open(self, receive: Callable[[bytes], None]) -> WebSocket:
        try:
            return await WebSocket.open(
                self._address,
                subprotocol="ari",
                headers=self._headers,
                receive=receive,
                message_max=_ANSWER_MAX,
                open_timeout=self._request_timeout,
                ping_interval=self._ping_interval,
                ping_timeout=self._ping_timeout,
            )
        except InvalidStatus as exc:
            if exc.response.status_code == HTTPStatus.UNAUTHORIZED:
                raise AriUnauthorized("user or password refused") from None
            if exc.response.status_code == HTTPStatus.NOT_FOUND:
                raise AriUnavailable(_NO_ARI) from None
            raise AriUnavailable(f"handshake answered {exc.response.status_code}") from None
        except (InvalidMessage, EOFError, ConnectionResetError):
            # So does one that is about to end.
            raise AriUnavailable(
                "Asterisk closed the connection unheard: if it goes on to, as many are open as"
                " sessionlimit of its http.conf allows"
            ) from None
        except (OSError, WebSocketException) as exc:
            raise AriUnavailable(f"cannot connect ({type(exc).__name__})") from None

    def _read(self, early: list[Event], frame: bytes) -> None:
        """Take one frame, of a connection that is ready or keeps its events in *early*."""
        try:
            # One frame that is not UTF-8 must not cost the connection.
            message = wire.decode(frame)
        except WireError as exc:
            self._log(logging.WARNING, "ari_bad_frame", reason=str(exc))
            return
        if isinstance(message, Response):
            pending = self._pending.get(message.request_id)
            if pending is not None and not pending.done():
                pending.set_result(message)
            else:
                # Late, or Asterisk could not even read what we sent.
                self._log(logging.WARNING, "ari_answer_unmatched", status=message.status_code)
        elif self._link is None:
            early.append(message)
        else:
            self._queue.put_nowait(message)

    def _drop(self, lost: asyncio.Future[str]) -> None:
        """Tell that the connection is lost, unless it was closed by us."""
        reason = "a defect of this client" if lost.exception() is not None else lost.result()
        if self._link is not None and lost.exception() is None:
            self._queue.put_nowait(Disconnected(reason=reason))
        self._fail(reason)

    def _fail(self, reason: str) -> None:
        """Take no more requests, and fail those that wait."""
        self._link = None
        for pending in self._pending.values():
            _settle(pending, AriUnavailable(reason))

    async def _stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})

    def _delays(self) -> Iterator[float]:
        """Yield seconds to wait before each attempt to reconnect."""
        delay = min(self._backoff_first, self._backoff_cap)
        while True:
            # Jitter: many routers must not fall upon a restarted Asterisk at one instant.
            yield delay * random.uniform(0.5, 1.0)  # noqa: S311 not a secret
            delay = min(delay * 2, self._backoff_cap)

    def _log(self, level: int, event: str, **fields: object) -> None:
        log.log(level, event, extra={"app": self._app, **fields})


def _websocket_url(url: str) -> str:
    parts = urlsplit(url)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if scheme is None or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("url: must be http(s)://host[:port][/prefix]")
    if "@" in parts.netloc:
        # It would end up in logs.
        raise ValueError("url: user and password are arguments of their own")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _settle(pending: _Pending, error: AriError) -> None:
    if not pending.done():
        pending.set_result(error)
