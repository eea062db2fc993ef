"""
Rows of bindings and routes in the binary format of COPY.

The columns are those of the statements ``copy_bindings`` and ``copy_routes``, in their order.

Source:
    PostgreSQL documentation, COPY, "Binary Format"; the types' own ``…recv`` functions.
"""

import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["BINDING", "ROUTE", "Columns", "pack_file", "pack_row"]

Columns = tuple[tuple[str, Callable[[Any], bytes]], ...]
"""
Columns by name, each with what packs its values.
"""

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_INT4 = struct.Struct("!ii")
_INT8 = struct.Struct("!iq")
_LENGTH = struct.Struct("!i")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _int4(value: int) -> bytes:
    return _INT4.pack(4, value)


def _int8(value: int) -> bytes:
    return _INT8.pack(8, value)


def _seconds(value: timedelta) -> bytes:
    return _INT4.pack(4, int(value.total_seconds()))


def _time(value: datetime) -> bytes:
    return _INT8.pack(8, (value - _EPOCH) // _MICROSECOND)


def _text(value: str) -> bytes:
    return _bytes(value.encode())


def _bytes(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


BINDING: Columns = (
    ("block", _int8),
    ("id", _int8),
    ("tenant_id", _int4),
    ("max_calls", _int4),
    ("expires_at", _time),
    ("mode", _text),
    ("callback", _text),
    ("counting", _text),
    ("direction", _text),
    ("ring_timeout", _seconds),
    ("max_duration", _seconds),
    ("language", _text),
    ("order_id", _text),
    ("order_tag", _int8),
)
"""
Columns of a new binding; the others have what every new binding has.
"""

ROUTE: Columns = (
    ("block", _int8),
    ("x_number", _int8),
    ("caller_tag", _int8),
    ("binding_id", _int8),
    ("shown", _int8),
    ("side", _text),
    ("callee", _bytes),
    ("caller", _bytes),
)
"""
Columns of a route.
"""


def pack_row(columns: Columns, values: Mapping[str, Any]) -> bytes:
    """
    Pack one row.

    Args:
        columns: Its columns.
        values: By column, each there; :obj:`None` is null.
    """
    return struct.pack("!h", len(columns)) + b"".join(
        [_NULL if (value := values[name]) is None else pack(value) for name, pack in columns]
    )


def pack_file(rows: Iterable[bytes]) -> bytes:
    """
    What COPY takes: rows with a header and a trailer.
    """
    return b"".join((_HEADER, *rows, _TRAILER))
