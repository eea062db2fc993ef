"""
Requests that are sent again: what was made once is answered again, and not made again.

The answer is kept in the transaction that makes the thing, under a keyed hash of who asks and of
the ``Idempotency-Key``, with a keyed hash of what is asked. So a request whose answer was lost, by
a crash after the commit too, finds it. Of several at once one makes the thing; the others wait.

Source:
    IETF draft ``draft-ietf-httpapi-idempotency-key-header`` 07.
"""

import json
import re
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer
from agi_router.doors.http.auth import Desk
from agi_router.doors.http.problems import Problem

__all__ = ["HEADER", "answer_once"]

HEADER: Final = "Idempotency-Key"

# A structured string, or the same without its quotes.
_KEY = re.compile(r'"?([!#-~]{1,128})"?')


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
    match = _KEY.fullmatch(request.headers.get(HEADER, ""))
    if match is None:
        raise Problem.of_door("idempotency_key_missing")
    keys = desk.store.keys
    owner = (desk.tenant or "").encode()
    names = keys.request_tags(b"name", owner, match[1].encode())
    asked = json.dumps(json.loads(request.state.body), sort_keys=True).encode()
    payloads = keys.request_tags(b"payload", owner, request.state.action.encode(), asked)
    queries = desk.queries
    with queries.transaction():
        # Waits for whoever is about to answer the same request.
        taken = {"name": names[0], "payload": payloads[0]}
        known = queries.row("find_answer", {"names": names[1:]}) if names[1:] else None
        if known is None and queries.row("take_answer", taken) is None:
            known = queries.row("find_answer", {"names": names[:1]})
        if known is not None:
            if known["payload"] not in payloads:
                raise Problem.of_door("idempotency_key_reused")
            return Response(
                known["body"],
                status_code=known["status"],
                media_type="application/json",
                headers={**known["headers"], "Idempotency-Replayed": "true"},
            )
        status, body, headers = make()
        made = answer(body, status=status, headers=headers)
        kept = {
            "name": names[0],
            "status": status,
            "headers": json.dumps(headers),
            "body": bytes(made.body).decode(),
        }
        queries.row("keep_answer", kept)
    return made
