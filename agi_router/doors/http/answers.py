"""
What is answered: JSON, times with their offset, numbers of parties masked.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from agi_router.bindings.model import Binding
from agi_router.bindings.views import describe_binding
from agi_router.cursors import Cursor

__all__ = ["answer", "binding_answer", "etag", "page", "read_etag", "write"]

_DIGEST = 16
_ETAG = re.compile(rf'"([0-9]{{1,9}})\.[0-9a-f]{{{_DIGEST}}}"')


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
    request: Request, name: str, items: Sequence[Mapping[str, Any]], behind: Cursor | None
) -> Response:
    """
    A page of a list, and where the next one begins.

    Args:
        request: With the filters of the list.
        name: Of the items.
        items: They.
        behind: The last of them; :obj:`None` where there are no more.
    """
    if behind is None:
        return answer({name: items, "next_cursor": None})
    asked = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
    query = urlencode([*asked, ("cursor", str(behind))])
    following = {"Link": f'<{request.url.path}?{query}>; rel="next"'}
    return answer({name: items, "next_cursor": str(behind)}, headers=following)


def etag(binding: Binding) -> str:
    """
    What is another one after whatever can be seen of a binding: its version, and a digest.

    Uses and states change by themselves, without a new version.
    """
    seen = sha256(write(describe_binding(binding))).hexdigest()
    return f'"{binding.version}.{seen[:_DIGEST]}"'


def read_etag(text: str) -> int | None:
    """
    The version in an ETag; :obj:`None` where it is none of ours.
    """
    match = _ETAG.fullmatch(text.strip())
    return None if match is None else int(match[1])


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
