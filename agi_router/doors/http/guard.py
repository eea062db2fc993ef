"""
What stands around every request: an id, a bound for its body, a line in the log.

Rules for the editor:

1. One line a request: its id, the key's, the action, the code, milliseconds. Neither path nor
   query is logged: either may hold a real number.
2. A body is counted while it is read; what is too large is not kept.
3. An exception is named by its type and place. Its text could quote what came.
"""

import asyncio
import logging
import re
import secrets
import time
import traceback
from collections.abc import Callable
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agi_router.doors.http.answers import write
from agi_router.errors import AgiRouterError
from agi_router.logs import redact
from agi_router.schemas.problems import Problem, problem_of

__all__ = ["LARGEST_BODY", "Guard", "new_request_id", "report", "tell_problem"]

log = logging.getLogger(__name__)

LARGEST_BODY: Final = 2**20
"""Bytes of a body."""

# Seconds that a body may take to come.
_PATIENCE: Final = 30.0
_LONGEST_LENGTH: Final = 20

# Where it is there twice, somebody in between could have taken the other one.
_SINGLE = frozenset(
    {b"host", b"authorization", b"content-type", b"content-encoding"}
    | {b"idempotency-key", b"if-match", b"if-none-match"}
)
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_ID = re.compile(r"[0-9a-f-]{16,64}")
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


class Guard:
    """
    The outermost layer of the door.

    Args:
        app: What answers. It finds in ``request.state`` the ``id`` and the ``body``, and leaves
            there ``key`` and ``action``, and the ``code`` of a problem.
        tell: Writes the answer where a problem came before *app*, or *app* failed: the form
            depends on the path. As ``/v1`` does, if it is left out.
    """

    def __init__(
        self, app: ASGIApp, tell: Callable[[Scope, Problem, str], Response] | None = None
    ) -> None:
        self._app = app
        self._tell = tell or tell_problem

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """
        Serve one request.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = time.perf_counter()
        state = scope.setdefault("state", {})
        request_id = state["id"] = _request_id(scope)
        status = 0

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    *_HEADERS,
                    (b"x-request-id", request_id.encode("ascii")),
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in state.get("headers", {}).items()
                    ),
                ]
            await send(message)

        try:
            _check_head(scope)
            async with asyncio.timeout(_PATIENCE):
                body = state["body"] = await _read(receive)
            await self._app(scope, _given(body, receive), send_marked)
        # Whatever it is: it must neither end the process nor be printed by the server.
        except Exception as error:  # noqa: BLE001
            problem = _problem(error, request_id)
            state["code"] = problem.code
            if not status:
                told = self._tell(scope, problem, request_id)
                await told(scope, receive, send_marked)
        finally:
            log.info(
                "http.request",
                extra={
                    "request": request_id,
                    "key": state.get("key"),
                    "action": state.get("action"),
                    "status": status,
                    "code": state.get("code", "ok"),
                    "ms": round((time.perf_counter() - begun) * 1000, 1),
                },
            )


def _request_id(scope: Scope) -> str:
    """
    The id that came, if it looks like one and like no number, or a new one.
    """
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            text: str = value.decode("latin-1")
            if _ID.fullmatch(text) and redact(text) == text:
                return text
    return new_request_id()


def new_request_id() -> str:
    """
    The id of a request: letters, which nothing that looks for numbers masks in the log.
    """
    return secrets.token_hex(16).translate(_LETTERS)


def _check_head(scope: Scope) -> None:
    """
    Refuse what need not be read.

    Raises:
        Problem: A header that decides is there twice, or the body is told to be too large.
    """
    names = [name for name, _ in scope["headers"] if name in _SINGLE]
    if len(names) > len(set(names)):
        raise Problem.of_door("header_repeated")
    told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    # The server takes digits only; more of them than these are too many in any case.
    if len(told) > _LONGEST_LENGTH or int(told) > LARGEST_BODY:
        raise _too_large()


def _too_large() -> Problem:
    # The connection cannot be used any more: the body is still to come.
    return Problem.of_door("body_too_large", headers={"Connection": "close"})


async def _read(receive: Receive) -> bytes:
    """
    The body, whole.

    Raises:
        Problem: It is too large, or did not come whole.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            # What has come is no request, though it may look like one.
            raise Problem.of_door("body_late")
        body += message.get("body", b"")
        if len(body) > LARGEST_BODY:
            raise _too_large()
        if not message.get("more_body"):
            return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    """
    What hands the body on, and then whatever comes.
    """
    handed = False

    async def hand() -> Message:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return hand


def _problem(error: Exception, request_id: str) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, TimeoutError):
        return Problem.of_door("body_late", headers={"Connection": "close"})
    report(error, request_id)
    return problem_of(AgiRouterError())


def tell_problem(_: Scope, problem: Problem, request_id: str) -> Response:
    """
    The answer of ``/v1``, whatever the path.
    """
    return Response(
        write(problem.body(request_id)),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=dict(problem.headers),
    )


def report(error: Exception, request_id: str) -> None:
    """
    Log a fault of ours: its type and place.
    """
    place = traceback.extract_tb(error.__traceback__)[-1]
    log.error(
        "http.failed",
        extra={
            "request": request_id,
            "error": type(error).__name__,
            "place": f"{place.filename}:{place.lineno}",
        },
    )
