"""
Requests that are sent again: what was made once is answered again, and not made again.

The answer is kept in the transaction that makes the thing, under a keyed hash of who asks and of
the ``Idempotency-Key``, with a keyed hash of what is asked. So a request whose answer was lost, by
a crash after the commit too, finds it. Of several at once one makes the thing; the others wait for
its answer a moment, and are told then that it is being done.

Source:
    IETF draft ``draft-ietf-httpapi-idempotency-key-header`` 07.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from agi_router.db.connection import Queries
from agi_router.doors.http.answers import write
from agi_router.doors.http.auth import Desk
from agi_router.errors import StoreHeld
from agi_router.schemas.problems import Problem

__all__ = [
    "KEYED",
    "PATIENCE",
    "Kept",
    "Made",
    "answer_once",
    "do_once",
    "keep_once",
    "names_of",
    "only_name",
    "read_key",
]

PATIENCE: Final = 2000
"""Milliseconds for which a request waits for another one under its key."""

_HEADER: Final = "Idempotency-Key"

KEYED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": _HEADER,
            "in": "header",
            "required": True,
            "description": "A string in double quotes, or without them; new for each thing to be"
            " made. Sent again with the same body, it is answered again and makes nothing.",
            "schema": {"type": "string", "pattern": '^"?[!#-~]{1,128}"?$'},
            "example": '"order-A-1001"',
        }
    ]
}
"""The header, for the document."""

# A structured string, or the same without its quotes.
_KEY = re.compile(r'"?([!#-~]{1,128})"?')


Made = tuple[int, str, Mapping[str, str]]
"""Status, body and headers of an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    What is answered.
    """

    status: int
    body: str
    headers: Mapping[str, str]
    again: bool
    """Whether it was answered before."""

    def response(self, **headers: str) -> Response:
        """
        The answer, which says whether it was given before.

        Args:
            headers: More of them.
        """
        again = {"Idempotency-Replayed": "true"} if self.again else {}
        return Response(
            self.body,
            status_code=self.status,
            media_type="application/json",
            headers={**self.headers, **again, **headers},
        )


def answer_once(
    request: Request, desk: Desk, make: Callable[[], tuple[int, Any, dict[str, str]]]
) -> Response:
    """
    Make something, and answer; or answer once more what was answered before.

    Args:
        request: With its ``Idempotency-Key``.
        desk: Who asks.
        make: Makes it, in the transaction that is open; returns status, body and headers.

    Raises:
        Problem: There is no key, or it was used for another request.
    """
    return keep_once(request, desk, make).response()


def keep_once(
    request: Request, desk: Desk, make: Callable[[], tuple[int, Any, dict[str, str]]]
) -> Kept:
    """
    The same, for whoever tells more than what is kept.

    Raises:
        Problem: See :func:`answer_once`.
    """
    name, payload = names_of(request, desk)

    def made() -> Made:
        status, body, headers = make()
        return status, write(body).decode(), headers

    return do_once(desk, name=name, payload=payload, make=made)


def names_of(request: Request, desk: Desk) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """
    Under what the answer to a request is kept, and what is asked.

    Raises:
        Problem: It has no key.
    """
    key = read_key(request)
    owner = (desk.tenant or "").encode()
    asked = json.dumps(json.loads(request.state.body), sort_keys=True).encode()
    return (owner, key), (owner, request.state.action.encode(), asked)


def read_key(request: Request) -> bytes:
    """
    The key of a request.

    Raises:
        Problem: There is none.
    """
    match = _KEY.fullmatch(request.headers.get(_HEADER, ""))
    if match is None:
        raise Problem.of_door("idempotency_key_missing")
    return match[1].encode()


def only_name(
    desk: Desk, name: Sequence[bytes], payload: Sequence[bytes]
) -> Mapping[str, Any] | None:
    """
    The *name* under which an answer is kept, and its *payload*, as the query ``bind_asked`` does.

    Args:
        desk: Who asks.
        name: See :func:`do_once`.
        payload: See :func:`do_once`.

    Returns:
        Both; :obj:`None` where it could be kept under a name of an older key, too.
    """
    names = desk.keys.request_tags(b"name", *name)
    payloads = desk.keys.request_tags(b"payload", *payload)
    return {"name": names[0], "payload": payloads[0]} if len(names) == 1 else None


def do_once(
    desk: Desk, *, name: Sequence[bytes], payload: Sequence[bytes], make: Callable[[], Made]
) -> Kept:
    """
    Make something under a name; or find what was made under it.

    Args:
        desk: Who asks.
        name: Under what it is kept, for a day.
        payload: What is asked.
        make: Makes it, in the transaction that is open.

    Raises:
        Problem: The name was used for something else, or what is asked is still being done.
    """
    keys = desk.store.keys
    names = keys.request_tags(b"name", *name)
    payloads = keys.request_tags(b"payload", *payload)
    queries = desk.queries

    def done() -> Kept:
        with queries.transaction():
            # Waits for whoever is about to answer the same request.
            taken = {"name": names[0], "payload": payloads[0], "patience": PATIENCE}
            known = queries.row("find_answer", {"names": names[1:]}) if names[1:] else None
            if known is None and _take(queries, taken) is None:
                known = queries.row("find_answer", {"names": names[:1]})
            if known is not None:
                if known["payload"] not in payloads:
                    raise Problem.of_door("idempotency_key_reused")
                return Kept(
                    status=known["status"],
                    body=known["body"],
                    headers=known["headers"],
                    again=True,
                )
            status, body, headers = make()
            kept = {
                "name": names[0],
                "status": status,
                "headers": json.dumps(dict(headers)),
                "body": body,
            }
            queries.row("keep_answer", kept)
        return Kept(status=status, body=body, headers=headers, again=False)

    return queries.again(done)


def _take(queries: Queries, taken: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return queries.row("take_answer", taken)
    except StoreHeld:
        raise Problem.of_door("idempotency_key_running", headers={"Retry-After": "1"}) from None
