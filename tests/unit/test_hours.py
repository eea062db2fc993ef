"""Hours of the week, as they are read and as they hold."""

from __future__ import annotations

import pytest

from agi_router.tenants.hours import WEEK, Hours, check_hours

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def minute(text: str) -> int:
    """The minute of the week of a day and a time."""
    day, clock = text.split()
    hour, of_hour = map(int, clock.split(":"))
    return DAYS.index(day) * 1440 + hour * 60 + of_hour


@pytest.mark.parametrize(
    ("hours", "inside", "outside"),
    [
        ("09:00-18:00", ["mon 09:00", "sun 17:59"], ["mon 08:59", "sun 18:00"]),
        ("00:00-24:00", ["mon 00:00", "sun 23:59"], []),
        ("mon-fri 09:00-18:00", ["fri 09:00"], ["sat 09:00", "sun 12:00"]),
        ("22:00-06:00", ["mon 22:00", "mon 05:59", "mon 00:00"], ["mon 06:00", "mon 21:59"]),
        ("fri 22:00-02:00", ["fri 22:00", "sat 01:59"], ["fri 01:00", "sat 02:00", "sat 22:00"]),
        ("sun 22:00-02:00", ["mon 01:00"], ["sun 01:00"]),
        ("sat-mon 10:00-11:00", ["sat 10:00", "sun 10:59", "mon 10:30"], ["tue 10:30"]),
        ("mon 09:00-10:00; sat 22:00-24:00", ["mon 09:30", "sat 23:59"], ["sun 00:00"]),
    ],
)
def test_when_they_hold(hours: str, inside: list[str], outside: list[str]) -> None:
    """From the first minute until before the last, over midnight too."""
    read = Hours.parse(hours)
    assert all(read.holds(minute(each)) for each in inside)
    assert not any(read.holds(minute(each)) for each in outside)
    assert check_hours(hours) == hours
    assert minute("sun 23:59") + 1 == WEEK


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (" MON - FRI  09:00 - 18:00,sat 10:00-11:00 ", "mon-fri 09:00-18:00; sat 10:00-11:00"),
        ("mon-mon 09:00-10:00", "mon 09:00-10:00"),
        ("\uff10\uff19:00-10:00", "09:00-10:00"),
    ],
)
def test_as_they_are_kept(text: str, kept: str) -> None:
    """One form, whatever people type."""
    assert check_hours(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "9:00-10:00", "09:00", "09:00-09:00", "24:00-10:00", "09:00-24:01"),
        *("09:60-10:00", "09:00-10:60", "day 09:00-10:00", "09:00-10:00;", "mon 09:00"),
        "; ".join(["09:00-10:00"] * 15),
    ],
)
def test_what_are_none(text: str) -> None:
    """The error says what are."""
    with pytest.raises(ValueError, match="hours like 'mon-fri"):
        Hours.parse(text)
