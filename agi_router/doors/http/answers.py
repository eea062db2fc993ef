"""
What is answered: JSON, times with their offset, numbers of parties masked.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from agi_router.bindings.model import Binding
from agi_router.bindings.views import describe_binding
from agi_router.cursors import Cursor
from agi_router.errors import AgiRouterError
from agi_router.events.model import Cursor as Place
from agi_router.schemas.problems import Problem

__all__ = [
    "RECALLED",
    "answer",
    "binding_answer",
    "etag",
    "etag_of",
    "etag_of_body",
    "link",
    "matched",
    "page",
    "page_of",
    "read_etag",
    "read_version",
    "recalled",
    "write",
]

_DIGEST = 16
_ETAG = re.compile(rf'"([0-9]{{1,9}})\.[0-9a-f]{{{_DIGEST}}}"')


class _Listed(Protocol):
    @property
    def cursor(self) -> Cursor: ...


_Item = TypeVar("_Item", bound=_Listed)


def write(value: Any) -> bytes:
    """
    A value as JSON.
    """
    return json.dumps(value, ensure_ascii=False, default=_plain, separators=(",", ":")).encode()


def answer(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """
    An answer of JSON.
    """
    return Response(
        write(value),
        status_code=status,
        media_type="application/json",
        headers=dict(headers or {}),
    )


def binding_answer(binding: Binding, *, status: int = 200) -> Response:
    """
    A binding, with its ETag.
    """
    return answer(describe_binding(binding), status=status, headers={"ETag": etag(binding)})


def page(
    request: Request,
    name: str,
    items: Sequence[Mapping[str, Any]],
    behind: Cursor | Place | None,
    **beside: Any,
) -> Response:
    """
    A page of a list, and where the next one begins.

    Args:
        request: With the filters of the list.
        name: Of the items.
        items: They.
        behind: The last of them; :obj:`None` where there are no more.
        beside: What else is told.
    """
    told = {name: items, **beside}
    if behind is None:
        return answer({**told, "next_cursor": None})
    headers = {"Link": link(request, behind)}
    return answer({**told, "next_cursor": str(behind)}, headers=headers)


def page_of(
    request: Request,
    name: str,
    found: Sequence[_Item],
    describe: Callable[[_Item], Mapping[str, Any]],
    *,
    limit: int,
) -> Response:
    """
    A page of what a store has found; where it is full, more may follow.

    Args:
        request: With the filters of the list.
        name: Of the items.
        found: They.
        describe: Shows one of them.
        limit: How many the store was asked for.
    """
    behind = found[-1].cursor if len(found) == limit else None
    return page(request, name, list(map(describe, found)), behind)


def link(request: Request, behind: Cursor | Place) -> str:
    """
    The header ``Link`` that names what follows.

    Args:
        request: With the filters of the list.
        behind: The last item of this page.
    """
    asked = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    query = urlencode([*asked, ("cursor", str(behind))])
    return f'<{request.url.path}?{query}>; rel="next"'


def etag(binding: Binding) -> str:
    """
    The ETag of a binding.
    """
    return etag_of(binding.version, describe_binding(binding))


def etag_of(version: int, seen: Mapping[str, Any]) -> str:
    """
    What is another one after whatever can be seen of a thing: its version, and a digest.

    Uses and states change by themselves, without a new version.

    Args:
        version: How often somebody has said what it is.
        seen: It, as it is answered.
    """
    return etag_of_body(version, write(seen))


def etag_of_body(version: int, body: bytes) -> str:
    """
    The same of a thing as it was written.
    """
    return f'"{version}.{sha256(body).hexdigest()[:_DIGEST]}"'


def matched(about: str, *, needed: bool = True) -> dict[str, Any]:
    """
    The header ``If-Match`` of an operation, for the document.

    Args:
        about: What has the ETag.
        needed: Whether it has to be there.
    """
    return {
        "parameters": [
            {
                "name": "If-Match",
                "in": "header",
                "required": needed,
                "description": f"The ETag of the {about} as it was read.",
                "schema": {"type": "string"},
                "example": '"1.9f0c2a7be4d54c19"',
            }
        ]
    }


RECALLED: Final[dict[str, Any]] = {
    "parameters": [
        {
            "name": "If-None-Match",
            "in": "header",
            "required": False,
            "description": "ETags that it had when it was read: only another one is answered.",
            "schema": {"type": "string"},
            "example": '"1.9f0c2a7be4d54c19"',
        }
    ],
    "responses": {"304": {"description": "It has an ETag of If-None-Match still"}},
}
"""The header ``If-None-Match`` of an operation, and its answer, for the document."""


def recalled(request: Request, etag: str) -> Response | None:
    """
    The answer to whoever has read a thing as it is, by ``If-None-Match``; :obj:`None`: to nobody.

    Args:
        request: What came.
        etag: Of the thing.
    """
    known = (each.strip() for each in request.headers.get("if-none-match", "").split(","))
    # Compared weakly (RFC 9110, 13.1.2): a proxy that has packed an answer says W/.
    if not {etag, "*"} & {each.removeprefix("W/") for each in known}:
        return None
    return Response(status_code=304, headers={"ETag": etag})


def read_version(
    request: Request, changed: type[AgiRouterError], *, needed: bool = True
) -> int | None:
    """
    The version that a thing is to have still, by ``If-Match``; :obj:`None`: any.

    Args:
        request: What came.
        changed: What is raised where it is none that such a thing ever had.
        needed: Whether it has to be said.

    Raises:
        Problem: It has to be, and is not.
    """
    asked = request.headers.get("if-match")
    if asked is None:
        if needed:
            raise Problem.of_door("precondition_missing")
        return None
    if asked.strip() == "*":
        return None
    version = read_etag(asked)
    if version is None:
        raise changed("If-Match is none of the ETags that were told: it stands in double quotes")
    return version


def read_etag(text: str) -> int | None:
    """
    The version in an ETag; :obj:`None` where it is none of ours.
    """
    match = _ETAG.fullmatch(text.strip())
    return None if match is None else int(match[1])


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
