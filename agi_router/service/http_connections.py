"""
The connections of the HTTP door: whoever says too much, or takes too long for it, is sent away.

uvicorn bounds neither the head of a request nor the time that it takes, and answers in plain text
what it cannot read. Rules for the editor:

1. A head is counted and timed before anybody knows who asks: nothing is kept for whoever never
   says what he came for.
2. Where all places are taken, whoever has been idle for the longest leaves. Somebody with a
   request has it served, however many others only hold a place.
3. An answer that nobody takes holds a place only for a time.
4. What follows a head is a body: a header behind it (a trailer) is dropped. A proxy in front may
   not have seen it.
"""

import asyncio
import itertools
import logging
from http import HTTPStatus
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from agi_router.doors.http.app import tell_either
from agi_router.doors.http.guard import new_request_id
from agi_router.schemas.problems import Problem

__all__ = ["HEAD_PATIENCE", "LARGEST_HEAD", "PLACES", "READ_PATIENCE", "HttpConnection"]

log = logging.getLogger(__name__)

LARGEST_HEAD: Final = 2**17
"""Bytes of a request line and its headers; a query of Alibaba Cloud's clients may have half."""

HEAD_PATIENCE: Final = 10.0
"""Seconds that a head may take to come."""

READ_PATIENCE: Final = 30.0
"""Seconds for which a client may take nothing of an answer that is on its way."""

PLACES: Final = 1000
"""Connections that are open at once."""

_serial = itertools.count()

# Bytes of a request, with all that stands around the parts of its body.
_LARGEST: Final = 2**23


class HttpConnection(HttpToolsProtocol):
    """
    A connection, as uvicorn holds it, within bounds.
    """

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._in_head = False
        self._size = 0
        self._late: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        # The lower it is, the longer it has been idle.
        self._since = next(_serial)

    @property
    def idle(self) -> bool:
        """
        Whether no request of its is being answered.
        """
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """
        Take a place; where none is free, that of whoever has been idle for the longest.
        """
        super().connection_made(transport)
        self._await_head()
        if len(self.connections) > PLACES:
            idle = [
                each
                for each in self.connections
                if isinstance(each, HttpConnection) and each.idle and each is not self
            ]
            if idle:
                min(idle, key=lambda each: each._since)._leave()  # noqa: SLF001 - one of us
            else:
                self._refuse("crowded")

    def connection_lost(self, exc: Exception | None) -> None:
        """
        Give the place back.
        """
        self._head_came()
        self._taken()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """
        Hear what is said, within bounds.
        """
        if self.transport.is_closing():
            return
        self._size += len(data)
        in_head = self._in_head
        super().data_received(data)
        if self.transport.is_closing():
            return
        if in_head and self._in_head and self._size > LARGEST_HEAD:
            self._refuse("head_too_large")
        elif self._size > _LARGEST:
            self._leave()
        elif self._late is None and (self._in_head or self.idle):
            # uvicorn waits without end for the rest of a head that has begun.
            self._await_head()

    def on_message_begin(self) -> None:
        """
        A head begins.
        """
        self._in_head, self._size = True, 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """
        Take a header, if it is one of the head.
        """
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """
        A head has come whole.
        """
        self._in_head = False
        self._head_came()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """
        A request is answered.
        """
        self._since = next(_serial)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """
        The client takes nothing at the moment; for some time it may.
        """
        super().pause_writing()
        self._unread = self.loop.call_later(READ_PATIENCE, self.transport.abort)

    def resume_writing(self) -> None:
        """
        The client takes what is written.
        """
        self._taken()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's, in plain text
        """
        Refuse what is no HTTP.
        """
        self._refuse("http_malformed")

    def _unsupported_upgrade_warning(self) -> None:
        """
        Nothing: the request is answered as if it asked for no other protocol.
        """

    def _await_head(self) -> None:
        self._late = self.loop.call_later(HEAD_PATIENCE, self._expire)

    def _expire(self) -> None:
        if self.idle:
            self._leave()
        else:
            # It has said a part of the next one before this one was answered.
            self._await_head()

    def _head_came(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _taken(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _leave(self) -> None:
        self._head_came()
        if self._unread is None:
            self.transport.close()
        else:
            # It would wait until all is taken.
            self.transport.abort()

    def _refuse(self, code: str) -> None:
        """
        Answer a problem, and close; nobody else answers what has not come whole.
        """
        request_id = new_request_id()
        log.info("http.refused", extra={"request": request_id, "code": code})
        problem = Problem.of_door(code, headers={"Connection": "close"})
        told = tell_either(problem, request_id)
        lines = [f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode()]
        lines += [b"%s: %s" % pair for pair in told.raw_headers]
        if self.idle:
            self.transport.write(b"\r\n".join([*lines, b"", bytes(told.body)]))
        self._leave()
