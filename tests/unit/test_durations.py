"""Durations: the forms people write."""

from __future__ import annotations

from datetime import timedelta

import pytest

from agi_router.durations import format_duration, parse_duration


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
        *("", " ", "h", "-1h", "+1h", "1.5h", "30m1h", "1h1h", "2 h", "1w", "2h\0"),
        *("\u0661h", "\u00b2s", "1e3", "inf", "1000000d", "1" * 5000),
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    """The message gives examples."""
    with pytest.raises(ValueError, match="looks like 2h"):
        parse_duration(text)


def test_part_of_a_second_is_cut() -> None:
    """Nothing here needs less than a second."""
    assert format_duration(timedelta(seconds=1.9)) == "1s"


def test_negative_is_refused() -> None:
    """There is no way to write it."""
    with pytest.raises(ValueError, match="not negative"):
        format_duration(timedelta(seconds=-1))
