"""
Rows of bindings and routes in the binary format of COPY.

The statement ``copy_bindings`` has the columns of :data:`BINDING`, ``copy_routes`` those of
:data:`ROUTE`, in their order.

Source:
    PostgreSQL documentation, COPY, "Binary Format"; the types' own ``…recv`` functions.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from agi_router.bindings.terms import TERMS, Kind, Name, Span, Text, Whole, Words
from agi_router.db.queries import query

__all__ = [
    "BINDING",
    "ROUTE",
    "RowPacker",
    "copy_statement",
    "pack_array",
    "pack_file",
    "to_microseconds",
]

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_INT4 = struct.Struct("!ii")
_LENGTH = struct.Struct("!i")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT8_OID = 20
# Distinct sets of terms that are kept packed.
_KEPT = 1000


def _int4(value: int) -> bytes:
    return _INT4.pack(4, value)


def _seconds(value: timedelta) -> bytes:
    return _INT4.pack(4, int(value.total_seconds()))


def _text(value: str) -> bytes:
    encoded = value.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def pack_array(values: Sequence[int]) -> bytes:
    """
    Pack a ``bigint[]``, without the length in front.

    Source:
        PostgreSQL's ``array_recv``: dimensions, flags, type; size and first index; the values.
    """
    head = (1, 0, _INT8_OID, len(values), 1)
    return struct.pack(
        f"!{len(head)}i{'iq' * len(values)}",
        *head,
        *[each for value in values for each in (8, value)],
    )


def to_microseconds(value: datetime) -> int:
    """
    A time as the eight-byte integer that a ``timestamptz`` is.
    """
    return (value - _EPOCH) // _MICROSECOND


class RowPacker:
    """
    Packs rows of one table. Its columns come in three parts, in this order.

    Args:
        integers: Columns of eight bytes that are never null: integers, and times (see
            :func:`to_microseconds`).
        own: Columns of bytes or text of which each row has its own values.
        shared: Columns whose values many rows share.
    """

    def __init__(
        self,
        integers: Sequence[str],
        own: Sequence[str],
        shared: Mapping[str, Callable[[Any], bytes]],
    ) -> None:
        self.integers = tuple(integers)
        self.own = tuple(own)
        self.shared = tuple(shared)
        self._shared = tuple(shared.values())
        self._head = struct.Struct("!h" + "iq" * len(integers))
        # The number of columns; then length and value of each integer.
        self._slots = [len(integers) + len(own) + len(shared), *(8, 0) * len(integers)]
        self._packed: dict[Sequence[Any], bytes] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """
        The names of all columns, in their order.
        """
        return self.integers + self.own + self.shared

    def pack(
        self, integers: Sequence[Any], own: Iterable[bytes | None], shared: Sequence[Any]
    ) -> bytes:
        """
        Pack one row.

        Args:
            integers: The values of the first part, none of them :obj:`None`.
            own: Those of the second, text in UTF-8; :obj:`None` is null.
            shared: Those of the third, hashable; :obj:`None` is null.
        """
        tail = self._packed.get(shared)
        if tail is None:
            if len(self._packed) >= _KEPT:
                self._packed.clear()
            tail = self._packed[shared] = b"".join(
                _NULL if value is None else pack(value)
                for pack, value in zip(self._shared, shared, strict=True)
            )
        self._slots[2::2] = integers
        row = self._head.pack(*self._slots)
        for value in own:
            row += _NULL if value is None else _LENGTH.pack(len(value)) + value
        return row + tail


_PACKERS: Mapping[type[Kind], Callable[[Any], bytes]] = {
    Words: _text,
    Name: _text,
    Text: _text,
    Whole: _int4,
    Span: _seconds,
}

BINDING = RowPacker(
    integers=("block", "id", "order_tag", "expires_at"),
    own=("order_id",),
    shared={
        "tenant_id": _int4,
        "mode": _text,
        "callback": _text,
        "callback_window": _int4,
        **{term.name: _PACKERS[type(term.kind)] for term in TERMS},
    },
)
"""
New bindings; columns that are not here have what every new binding has.
"""

ROUTE = RowPacker(
    integers=("block", "binding_id", "x_number", "caller_tag", "shown", "ends_at"),
    own=("callee", "callee_tags", "caller"),
    shared={"side": _text},
)
"""
Their routes.
"""


def copy_statement(name: str) -> bytes:
    """
    The query of this name, by which rows are loaded, with the columns of bindings in their place.
    """
    return query(name).replace(b"{columns}", ", ".join(BINDING.columns).encode())


def pack_file(rows: Iterable[bytes]) -> bytes:
    """
    What COPY takes: rows with a header and a trailer.
    """
    return b"".join((_HEADER, *rows, _TRAILER))
