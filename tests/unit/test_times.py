"""Points in time: the forms that people and spreadsheets write."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agi_router.errors import RequestInvalid
from agi_router.times import check_order, parse_time

AT = datetime(2026, 1, 31, 7, 4, 5, tzinfo=UTC)
MINUTE = AT.replace(second=0)
MIDNIGHT = datetime(2026, 1, 30, 16, tzinfo=UTC)


@pytest.fixture(autouse=True)
def in_china(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's zone."""
    monkeypatch.setenv("TZ", "UTC-8")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-31T15:04:05+08:00", AT),
        ("2026-01-31T07:04:05Z", AT),
        ("2026-01-31t07:04:05z", AT),
        ("2026-01-31T15:04:05+0800", AT),
        ("2026-01-31T15:04:05+08", AT),
        ("20260131T150405+0800", AT),
        ("2026-01-31T15:04:05.000+08:00", AT),
        ("2026-01-31T15:04:05", AT),
        ("2026-01-31 15:04:05", AT),
        ("2026/1/31 15:04:05", AT),
        ("2026/1/31 15:04", MINUTE),
        ("2026.1.31 15:04", MINUTE),
        ("2026年1月31日 15:04", MINUTE),
        ("２０２６／１／３１　１５：０４", MINUTE),
        ("\u200b2026-01-31 15:04\u00a0", MINUTE),
        ("2026-1-31 7:04 Z", MINUTE),
        ("2026-01-31", MIDNIGHT),
        ("2026/1/31", MIDNIGHT),
        ("2026年1月31日", MIDNIGHT),
    ],
)
def test_forms(text: str, expected: datetime) -> None:
    """Without an offset it is this machine's, without a time the day's begin."""
    assert parse_time(text) == expected
    assert parse_time(text).tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *("", "tomorrow", "2026-13-01", "2026-02-30", "2026-01-31 25:00", "31/1/2026"),
        *("0001-01-01T00:00:00+08:00", "13800000009", "2h", "46053.6", "2026-01-31 15:4"),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """The message gives examples and quotes nothing."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared whole below
        parse_time(text)
    assert str(caught.value) == "a time looks like 2026-01-31T15:04:05+08:00, or 2026-01-31 15:04"


def test_what_ends_before_it_begins() -> None:
    """Either may be open; the words are those of the caller, and the text goes with any."""
    for begins, ends in ((MIDNIGHT, MINUTE), (None, MIDNIGHT), (MINUTE, None), (None, None)):
        check_order(begins, ends, words=("from", "until"))
    with pytest.raises(RequestInvalid, match=r"^the end is to be later than the beg") as caught:
        check_order(MIDNIGHT, MIDNIGHT, words=("from", "until"))
    assert caught.value.words == ("from", "until")
