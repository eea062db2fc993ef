"""
Rows of bindings and routes in the binary format of COPY.

The columns are those of the statements ``copy_bindings`` and ``copy_routes``, in their order.

Source:
    PostgreSQL documentation, COPY, "Binary Format"; the types' own ``…recv`` functions.
"""

import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

__all__ = ["BINDING", "ROUTE", "RowPacker", "pack_file"]

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = struct.pack("!h", -1)
_NULL = struct.pack("!i", -1)
_INT4 = struct.Struct("!ii")
_INT8 = struct.Struct("!iq")
_LENGTH = struct.Struct("!i")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Distinct sets of terms that are kept packed.
_KEPT = 1000


def _int4(value: int) -> bytes:
    return _INT4.pack(4, value)


def _seconds(value: timedelta) -> bytes:
    return _INT4.pack(4, int(value.total_seconds()))


def _time(value: datetime) -> bytes:
    return _INT8.pack(8, (value - _EPOCH) // _MICROSECOND)


def _text(value: str) -> bytes:
    return _bytes(value.encode())


def _bytes(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


class RowPacker:
    """
    Packs rows of one table. Its columns come in three parts, in this order.

    Args:
        integers: Columns of eight-byte integers that are never null.
        own: Other columns of which each row has its own values.
        shared: Columns whose values many rows share.
    """

    def __init__(
        self,
        integers: Sequence[str],
        own: Mapping[str, Callable[[Any], bytes]],
        shared: Mapping[str, Callable[[Any], bytes]],
    ) -> None:
        self.integers = tuple(integers)
        self.own = tuple(own)
        self.shared = tuple(shared)
        self._own = tuple(own.values())
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

    def pack(self, integers: Sequence[int], own: Sequence[Any], shared: Sequence[Any]) -> bytes:
        """
        Pack one row.

        Args:
            integers: The values of the first part.
            own: Those of the second; :obj:`None` is null.
            shared: Those of the third, hashable; :obj:`None` is null.
        """
        tail = self._packed.get(shared)
        if tail is None:
            if len(self._packed) >= _KEPT:
                self._packed.clear()
            tail = self._packed[shared] = _joined(self._shared, shared)
        self._slots[2::2] = integers
        return self._head.pack(*self._slots) + _joined(self._own, own) + tail


def _joined(packers: Sequence[Callable[[Any], bytes]], values: Sequence[Any]) -> bytes:
    return b"".join(
        [
            _NULL if value is None else pack(value)
            for pack, value in zip(packers, values, strict=True)
        ]
    )


BINDING = RowPacker(
    integers=("block", "id", "order_tag"),
    own={"expires_at": _time, "order_id": _text},
    shared={
        "tenant_id": _int4,
        "mode": _text,
        "callback": _text,
        "callback_window": _int4,
        "max_calls": _int4,
        "counting": _text,
        "direction": _text,
        "ring_timeout": _seconds,
        "max_duration": _seconds,
        "language": _text,
        "display_a": _text,
        "display_b": _text,
        "prompts": _text,
    },
)
"""
New bindings; columns that are not here have what every new binding has.
"""

ROUTE = RowPacker(
    integers=("block", "binding_id", "x_number", "caller_tag", "shown"),
    own={"ends_at": _time, "callee": _bytes, "caller": _bytes},
    shared={"side": _text},
)
"""
Their routes.
"""


def pack_file(rows: Iterable[bytes]) -> bytes:
    """
    What COPY takes: rows with a header and a trailer.
    """
    return b"".join((_HEADER, *rows, _TRAILER))
