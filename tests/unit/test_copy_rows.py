"""Packing for COPY: the statements and the packers have the same columns, in one order."""

from __future__ import annotations

import re
import struct
from datetime import UTC, datetime, timedelta

from agi_router.bindings.terms import TERMS
from agi_router.bulk.copy_rows import (
    BINDING,
    ROUTE,
    copy_statement,
    pack_array,
    pack_file,
    to_microseconds,
)


def test_routes_are_loaded_by_the_columns_that_are_packed() -> None:
    found = re.search(rb"\(([^)]*)\)\s*FROM STDIN", copy_statement("copy_routes"))
    assert found is not None
    assert tuple(found[1].decode().replace(",", " ").split()) == ROUTE.columns


def test_bindings_are_loaded_with_every_term() -> None:
    found = re.search(rb"binding \(([^)]*)\)\s*FROM STDIN", copy_statement("copy_bindings"))
    assert found is not None
    assert found[1].startswith(b"block, id, order_tag, ")
    assert {term.name.encode() for term in TERMS} <= set(found[1].split(b", "))


def test_a_packed_route() -> None:
    """Each value with its length in front, a null as a length of -1."""
    packed = ROUTE.pack(
        (
            *(70012345678, 7, 700123456780001, -1, 700123456780002),
            to_microseconds(datetime(2000, 1, 1, 0, 0, 1, tzinfo=UTC)),
        ),
        (b"xy", pack_array([5, -5]), None),
        ("a",),
    )
    expected = struct.pack(
        "!h iq iq iq iq iq iq i2s iiiiiiiqiq i i1s".replace(" ", ""),
        10, 8, 70012345678, 8, 7, 8, 700123456780001, 8, -1, 8, 700123456780002, 8, 10**6,
        2, b"xy", 44, 1, 0, 20, 2, 1, 8, 5, 8, -5, -1, 1, b"a",
    )  # fmt: skip
    assert packed == expected
    assert pack_file([packed]) == b"PGCOPY\n\xff\r\n\0" + bytes(8) + expected + b"\xff\xff"


def test_shared_values_are_told_apart() -> None:
    """What is kept packed for one row is not taken for another, however many there are."""
    when = to_microseconds(datetime(2026, 1, 31, 7, 4, 5, tzinfo=UTC))

    def tail(ring: timedelta | None, calls: int | None) -> bytes:
        agreed = (1, "axb", None, None, calls, "answered", "both", ring)
        shared = (*agreed, *(None,) * (len(BINDING.shared) - len(agreed)))
        return BINDING.pack((70012345678, 1, 2, when), (b"O-1",), shared)

    seen = {tail(timedelta(seconds=s), c) for s in (5, 6, 120) for c in range(1, 500)}
    assert len(seen) == 3 * 499
    assert tail(None, None) not in seen
    assert tail(timedelta(seconds=5), 1) in seen
