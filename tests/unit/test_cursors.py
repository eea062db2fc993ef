"""Cursors: as text they are opaque, and nothing but what a list has given is one."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agi_router.cursors import Cursor, numbered
from agi_router.errors import CursorInvalid


@pytest.mark.parametrize(
    "at",
    [
        datetime(2026, 1, 31, 15, 4, 5, 123456, UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        datetime(2026, 1, 31, 15, 4, 5, 1, timezone(timedelta(hours=8))),
        datetime(9999, 12, 29, tzinfo=UTC),
        datetime(1, 1, 3, tzinfo=UTC),
    ],
)
@pytest.mark.parametrize("name", ["70012345678-42", "pbx_1.a-1769843045.17"])
def test_there_and_back(at: datetime, name: str) -> None:
    """To the microsecond, in characters that an address may hold."""
    text = str(Cursor(at, name))
    assert Cursor.parse(text) == Cursor(at, name)
    assert text.isascii()
    assert text.replace("-", "").replace("_", "").isalnum()


def _of(plain: str) -> str:
    return urlsafe_b64encode(plain.encode()).decode()


@pytest.mark.parametrize(
    "text",
    [
        *("", "=", "x", "ü", "42"),
        *map(_of, ("42", "42|", "|a", "a|b", "1|a b", "1|ü", "9" * 18 + "|a", "1|" + "a" * 129)),
        urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)


def test_a_list_of_numbers() -> None:
    """What it is told; a cursor of another list is none of it."""
    at = datetime(2026, 1, 31, tzinfo=UTC)
    assert numbered(None) == {"after_at": None, "after_id": None}
    assert numbered(Cursor(at, "17")) == {"after_at": at, "after_id": 17}
    for name in ("70012345678-42", "a", "١", "0", str(2**63)):
        with pytest.raises(CursorInvalid):
            numbered(Cursor(at, name))
