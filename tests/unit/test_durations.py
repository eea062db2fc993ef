"""Durations: the forms people write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agi_router.durations import format_duration, parse_duration, parse_within


@pytest.mark.parametrize(
    ("text", "seconds", "written"),
    [
        ("45", 45, "45s"),
        ("90s", 90, "1m30s"),
        ("30m", 1800, "30m"),
        ("2h", 7200, "2h"),
        ("1h30m", 5400, "1h30m"),
        ("1d", 86400, "1d"),
        ("24h", 86400, "1d"),
        ("1d2h3m4s", 93784, "1d2h3m4s"),
        (" 2H ", 7200, "2h"),
        ("10min", 600, "10m"),
        ("2 h", 7200, "2h"),
        ("1 day 2 hours 3 minutes 4 seconds", 93784, "1d2h3m4s"),
        ("2小时30分钟", 9000, "2h30m"),
        ("２ｈ", 7200, "2h"),
        ("\u200b2h\u00a0", 7200, "2h"),
        ("0", 0, "0s"),
        ("0m", 0, "0s"),
        ("999999d", 999999 * 86400, "999999d"),
    ],
)
def test_forms(text: str, seconds: int, written: str) -> None:
    """A duration is read, and written in its shortest form, which reads the same."""
    duration = parse_duration(text)
    assert duration == timedelta(seconds=seconds)
    assert format_duration(duration) == written
    assert parse_duration(written) == duration


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "h", "-1h", "+1h", "1.5h", "30m1h", "1h1h", "2 hs", "1w", "2h\0"),
        *("\u0661h", "\u00b2s", "1e3", "inf", "1000000d", "1" * 5000),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """The message gives examples."""
    with pytest.raises(ValueError, match="looks like 2h"):
        parse_duration(text)


MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("text", "low", "high", "message"),
    [
        ("2", MINUTE, None, "1m is the least; a number alone is seconds: 2h, 2m?"),
        ("０2 ", MINUTE, None, "1m is the least; a number alone is seconds: 02h, 02m?"),
        ("2", MINUTE, DAY, "1m to 1d is allowed; a number alone is seconds: 2h, 2m?"),
        ("30", MINUTE, DAY, "1m to 1d is allowed; a number alone is seconds: 30m?"),
        ("0", MINUTE, None, "1m is the least"),
        ("2s", MINUTE, None, "1m is the least"),
        ("2d", MINUTE, DAY, "1m to 1d is allowed"),
        ("2", timedelta(seconds=5), MINUTE, "5s to 1m is allowed"),
        ("138000000", MINUTE, DAY, "1m to 1d is allowed"),
        ("soon", MINUTE, DAY, "a duration looks like 2h, 30m, 1h30m, 90s, 1d or 45 (seconds)"),
    ],
)
def test_out_of_bounds(text: str, low: timedelta, high: timedelta | None, message: str) -> None:
    """What may be meant is told where a number stands alone; a longer one is not quoted."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared whole below
        parse_within(text, low, high)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "high", "message"),
    [
        ("30", None, "1s is the least; a number alone is seconds: 30h, 30m, 30s?"),
        ("5", MINUTE, "1s to 1m is allowed; a number alone is seconds: 5s?"),
        ("0", None, "1s is the least"),
    ],
)
def test_a_number_that_needs_a_unit(text: str, high: timedelta | None, message: str) -> None:
    """Few seconds are meant as such where they are written as such."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - compared whole below
        parse_within(text, timedelta(seconds=1), high, bare=MINUTE)
    assert str(caught.value) == message
    assert parse_within("5s", timedelta(seconds=1), high, bare=MINUTE) == timedelta(seconds=5)


def test_within_bounds() -> None:
    """The bounds themselves are allowed."""
    assert parse_within("60", MINUTE, DAY) == parse_within("1m", MINUTE) == MINUTE
    assert parse_within("1d", MINUTE, DAY) == DAY
    assert parse_within("9999d", MINUTE) == 9999 * DAY


def test_part_of_a_second_is_cut() -> None:
    """Nothing here needs less than a second."""
    assert format_duration(timedelta(seconds=1.9)) == "1s"


def test_negative_is_refused() -> None:
    """There is no way to write it."""
    with pytest.raises(ValueError, match="not negative"):
        format_duration(timedelta(seconds=-1))
