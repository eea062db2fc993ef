"""
What is answered: JSON, times with their offset, numbers of parties masked.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

from starlette.responses import Response

from agi_router.bindings.model import Binding
from agi_router.bindings.views import describe_binding

__all__ = ["answer", "binding_answer", "etag", "read_etag", "write"]

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
