"""Blocks of a file say what its lines say one by one."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice

from hypothesis import given
from hypothesis import strategies as st

from agi_router.errors import CsvError
from agi_router.feeds.blocks import BlockReader
from agi_router.feeds.files import read_records
from agi_router.feeds.model import Answer, Fault, Notice, NumberForm, read_notice
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)

_NUMBERS = st.sampled_from(
    [
        *("13800000001", "+8613900000002", "8613900000002", "19912345678", " 13800000001"),
        *("0571-88000001", "14512345678", "12000000000", "1380000000", "", "70012345678"),
        "\uff11\uff13\uff18" + "0" * 8,
    ]
)
_STATUS = st.sampled_from(["reissued", "1", "kept", "unknown", "CANCELLED", " 3", "gone", ""])
_DATES = st.sampled_from(
    [
        "2026-01-31",
        "20260131",
        "2026-01-31T15:04:05+08:00",
        "2027-01-01",
        "",
        "31.1.2026",
        "x" * 41,
    ]
)
_OTHERS = st.sampled_from(["", "note", "a;b", "中文", '"a, b"', '"', "\0", "z" * 300, "z" * 9999])
_COLUMNS = st.permutations(["number", "status", "date", "note"]).flatmap(
    lambda names: st.integers(2, 4).map(lambda size: names[:size])
)
_ENDS = st.sampled_from(["\n"] * 8 + ["\r\n"] * 4 + ["\r", "\n\n", "\n,,\n", "\n \n"])


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Files as they come, and as they should not."""
    names = draw(_COLUMNS)
    # One in five has what reaches over lines.
    others = _OTHERS if draw(st.integers(0, 4)) == 0 else st.sampled_from(["", "note", "a;b"])
    cells = {"number": _NUMBERS, "status": _STATUS, "date": _DATES, "note": others}
    delimiter = draw(st.sampled_from([",", ",", ";", "\t"]))
    text = delimiter.join(names) + draw(st.sampled_from(["\n", "\r\n"]))
    for _ in range(draw(st.integers(0, 8))):
        row = [draw(cells[name]) for name in names[: draw(st.sampled_from([1, 4, 4, 4, 4]))]]
        text += delimiter.join(row) + draw(st.sampled_from(["", "", "", delimiter + "more"]))
        text += draw(_ENDS)
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    begin = draw(st.sampled_from(["", "", "\ufeff", "\n", "sep=,\n"]))
    return (begin + text).encode(draw(st.sampled_from(["utf-8", "utf-8", "gb18030"])))


Said = tuple[list[Notice], list[Fault], Counter[Answer], str | None]


def by_lines(file: bytes, skip: int) -> Said:
    """What the lines say, one by one, from some record on; and what ends the file early."""
    notices, faults, broken = [], [], None
    try:
        for record in islice(read_records(io.BytesIO(file)), skip, None):
            assert not isinstance(record, Fault)
            read = read_notice(*record, NumberForm.PLAIN, now=NOW)
            if isinstance(read, Fault):
                faults.append(read)
            else:
                notices.append(read)
    except CsvError as error:
        broken = str(error)
    return notices, faults, Counter(each.answer for each in notices), broken


def by_blocks(file: bytes, skip: int, piece: int) -> tuple[Said, bool]:
    """The same by blocks, with what is left by lines; and whether nothing was."""
    blocks = BlockReader(io.BytesIO(file), now=NOW, skip=skip, piece=piece)
    notices: list[Notice] = []
    faults: list[Fault] = []
    answers: Counter[Answer] = Counter()
    for block in blocks:
        assert len(block.numbers) + len(block.notices) + len(block.faults) == block.size
        notices += block.chosen(range(len(block.numbers)))
        faults += block.faults
        answers += block.answers
        skip += block.size
    if blocks.whole:
        return (notices, faults, answers, None), True
    left = by_lines(file, skip)
    return (notices + left[0], faults + left[1], answers + left[2], left[3]), False


@given(files(), st.integers(0, 5), st.sampled_from([1, 40, 200, 1 << 21]))
def test_blocks_say_what_lines_say(file: bytes, skip: int, piece: int) -> None:
    """Whatever stands in a file, how much of it is done, and where it is cut."""
    said, _ = by_blocks(file, skip, piece)
    assert said == by_lines(file, skip)


def test_a_simple_file_is_read_in_blocks_alone() -> None:
    """A line that cannot be read does not end them, and quotes do."""
    lines = ["13800000001,reissued,2026-01-31\r\n"] * 5 + ["nonsense\n", "13800000002,kept,"]
    file = "number,status,date\n" + "".join(lines)
    said, whole = by_blocks(file.encode(), 2, 64)
    assert whole
    assert said == by_lines(file.encode(), 2)
    assert by_blocks(file.replace("nonsense", '"nonsense"').encode(), 2, 64) == (said, False)


@given(st.lists(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)), st.integers(1, 3))
def test_tags_in_bulk(numbers: Sequence[str], count: int) -> None:
    """They are those of each number by itself."""
    ring = KeyRing(
        tag_keys=tuple((i, bytes([i]) * 32) for i in range(1, count + 1)),
        seal_keys=((1, bytes(32)),),
    )
    each = [ring.tags(PhoneNumber(digits=digits)) for digits in numbers]
    tags = ring.bulk_tags([digits.encode() for digits in numbers])
    assert tags == [tags[i] for i in range(count) for tags in each]
