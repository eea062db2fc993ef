"""Number ranges: the table, its dates, the operator's file, and how numbers are judged by it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_router import numbers
from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal, screen
from agi_router.errors import NumberError, NumberFault, SettingsError
from agi_router.number_ranges import ANY_MOBILE, NumberRanges, RangeKind
from agi_router.numbering import RangesFollower, judge_by_ranges, load_ranges, today
from agi_router.numbers import PhoneNumber
from harness.values import A, X

HEAD = "prefix,kind,carrier,from,until,note\n"
DAY = date(2026, 6, 1)


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    """What numbers are judged by afterwards is what they were judged by before."""
    before = numbers.judged_by()
    yield
    numbers.judge_by(before)


def parsed(*rows: str) -> NumberRanges:
    return NumberRanges.parse(HEAD + "\n".join(rows), own=True)


def test_the_shipped_table() -> None:
    """It covers the whole plan, tells its day, and excepts what is nobody's phone."""
    ranges = load_ranges(None)
    table = ranges.on(today())
    assert ranges.as_of is not None
    assert ranges.as_of <= today()
    assert not any(row.own for row in ranges.rows)
    for digits, kind in [
        (A.digits, RangeKind.MOBILE),
        ("19212340001", RangeKind.MOBILE),
        # Given out by nobody yet: newcomers are not refused.
        ("15412340001", RangeKind.MOBILE),
        ("14012340001", RangeKind.MACHINE),
        ("13412340001", RangeKind.MOBILE),
        ("13492340001", RangeKind.SATELLITE),
        ("17402340001", RangeKind.SATELLITE),
    ]:
        assert table.kind_of(digits) is kind
        assert table.is_mobile(digits) is (kind is RangeKind.MOBILE)


def test_dates_and_the_longest_prefix() -> None:
    """A range begins with its day and ends before the other one."""
    ranges = parsed(
        "16,mobile",
        "161,unassigned,,,2026-06-01,",
        "1612,machine,,2026-07-01,2026-08-01,",
    )
    for day, kind in [
        (date(2026, 5, 31), RangeKind.UNASSIGNED),
        (date(2026, 6, 1), RangeKind.MOBILE),
        (date(2026, 7, 1), RangeKind.MACHINE),
        (date(2026, 7, 31), RangeKind.MACHINE),
        (date(2026, 8, 1), RangeKind.MOBILE),
    ]:
        assert ranges.on(day).kind_of("16122340001") is kind
    assert ranges.on(DAY).kind_of("13912340001") is RangeKind.UNASSIGNED


def test_the_operators_rows_take_the_place_of_the_shipped_ones() -> None:
    """Of the same prefix, all of them; the newer day counts."""
    shipped = NumberRanges.parse(
        f"# as of 2022-07-01\n{HEAD}16,mobile,,,2026-01-01,\n16,machine,,2026-01-01,,\n17,mobile\n"
    )
    whole = shipped.extended_by(NumberRanges.parse(f"{HEAD}16,satellite,x\n", own=True))
    assert whole.as_of == date(2022, 7, 1)
    assert [(row.prefix, row.kind, row.own) for row in whole.rows] == [
        ("16", RangeKind.SATELLITE, True),
        ("17", RangeKind.MOBILE, False),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", None),
        ("prefix\n", "line 1: the first row has to name the column 'kind', once"),
        (f"# x\n{HEAD}\n12,mobile\n", "line 4: a prefix has 2 to 7 digits beginning 13 to 19"),
        (f"{HEAD}13800000001,mobile\n", "line 2: a prefix has 2 to 7 digits"),
        (f"{HEAD}138,phone\n", "line 2: a kind is one of mobile, machine"),
        (f"{HEAD}138,mobile,,soon\n", "line 2: a day looks like 2026-01-31"),
        (f"{HEAD}138,mobile,,2026-01-02,2026-01-02\n", "line 2: it ends before it begins"),
        (f"{HEAD}138,mobile,a\u200bb\n", "line 2: a carrier holds a character"),
        (f'{HEAD}138,"mobile\n', "line 2: it is not CSV"),
        ("# as of today\n", "line 1: a day looks like 2026-01-31"),
        (f"{HEAD}138,mobile\n138,machine\n", "the prefix 138 has two rows that hold at one time"),
        (HEAD + "138,mobile\n" * 20_001, "it has more than 20000 ranges"),
    ],
)
def test_what_is_no_table(text: str, told: str | None) -> None:
    """The line and the fault are told; a file without rows extends nothing."""
    if told is None:
        assert NumberRanges.parse(text).rows == ()
        return
    with pytest.raises(ValueError, match="^" + told.replace("(", "\\(")):
        NumberRanges.parse(text)


@given(
    st.integers(13_000_000_000, 19_999_999_999).map(str),
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
)
def test_the_quick_look_agrees(digits: str, day: date) -> None:
    """The set of heads says the same as the prefixes one by one."""
    table = load_ranges(None).on(day)
    assert table.is_mobile(digits) == (table.kind_of(digits) is RangeKind.MOBILE)
    assert ANY_MOBILE.is_mobile(digits)


def test_a_number_is_judged_where_it_is_read(tmp_path: Path) -> None:
    """Parties and callers are refused by name; what was sealed once is read as it is."""
    own = tmp_path / "ranges.csv"
    own.write_text(f"{HEAD}1391,machine\n", "utf-8")
    judge_by_ranges(own)
    for text in (A.digits, f"+86 {A.digits[:3]} {A.digits[3:]}"):
        with pytest.raises(NumberError, match="by its range it is a machine number") as caught:
            PhoneNumber.parse(text)
        assert caught.value.kind is NumberFault.OTHER_RANGE
    assert PhoneNumber(digits=A.digits) == A
    found = screen(caller=A.digits, dialled=X.digits)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.CALLER_TYPE


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    """The setting is named."""
    own = tmp_path / "ranges.csv"
    with pytest.raises(SettingsError, match="AGI_ROUTER_NUMBER_RANGES cannot be read: No such"):
        load_ranges(own)
    for content, told in [
        (b"\xff", "the file is not in UTF-8"),
        (b"#" * ((1 << 20) + 1), "more than 1 MiB"),
        (b"x", "line 1: the first row"),
    ]:
        own.write_bytes(content)
        with pytest.raises(SettingsError, match=f"AGI_ROUTER_NUMBER_RANGES.*{told}"):
            load_ranges(own)


def test_a_service_follows_day_and_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another day or file counts at once; a file that cannot be read is told once."""
    own = tmp_path / "ranges.csv"
    own.write_text(f"{HEAD}139,machine,,2026-06-02,,\n", "utf-8")
    day = [DAY]
    numbers.judge_by(load_ranges(own).on(DAY))
    follower = RangesFollower(own, day=lambda: day[0])
    follower.look()
    assert PhoneNumber.parse(A.digits) == A
    day[0] += timedelta(days=1)
    follower.look()
    with pytest.raises(NumberError):
        PhoneNumber.parse(A.digits)
    own.rename(tmp_path / "kept")
    follower.look()
    follower.look()
    assert [each.getMessage() for each in caplog.records] == ["ranges.unreadable"]
    assert not numbers.judged_by().is_mobile(A.digits)
    own.write_text(f"{HEAD}139,mobile\n", "utf-8")
    follower.look()
    assert PhoneNumber.parse(A.digits) == A
