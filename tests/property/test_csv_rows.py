"""Whatever is written as CSV is read back the same, and does nothing in a spreadsheet."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agi_router.bindings.modes import Axb, Gxb
from agi_router.bindings.requests import BindRequest, Fault
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import (
    Callback,
    Counting,
    Direction,
    Display,
    Language,
    Messages,
    Mode,
    Recording,
    check_order_id,
)
from agi_router.bulk.columns import COLUMNS, EXPORTED, Header, escape, unescape, write_cells
from agi_router.bulk.csv_file import CsvReader, write_record
from agi_router.consent.ledger import How
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.texts import strip
from harness.draws import mobiles

# Rich in what matters here.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("=+-@\t\r\n'\";,| \uff1d"),
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
    ),
    max_size=40,
)


def is_name(text: str) -> bool:
    """Whether an order can have this id."""
    try:
        return check_order_id(text) == text
    except ValueError:
        return False


NAMES = TEXTS.map(
    lambda text: strip("".join(char for char in text if char.isprintable() or char == " "))
).filter(is_name)
MOBILES = mobiles.map(lambda digits: PhoneNumber(digits=digits))
NUMBERS = st.integers(700 * 10**12, 701 * 10**12 - 1).map(lambda value: XNumber(value=value))
MINUTES = st.integers(60, 14400).map(lambda value: timedelta(seconds=value))
SECONDS = st.integers(5, 120).map(lambda value: timedelta(seconds=value))


@given(TEXTS)
def test_escaping_is_undone(text: str) -> None:
    assert unescape(escape(text)) == text


@given(TEXTS, TEXTS)
def test_escaping_keeps_apart(one: str, other: str) -> None:
    assert (escape(one) == escape(other)) is (one == other)


@given(TEXTS)
def test_nothing_written_is_a_formula(text: str) -> None:
    """Neither a cell as a whole nor what a spreadsheet may split off it."""
    for part in re.split(r"[,;|\t\r\n\"]", escape(text)):
        assert not part.startswith(("=", "+", "-", "@", "\uff1d"))
    assert not escape(text).startswith(("\t", "\r"))


# A row of empty cells is none.
@given(st.lists(TEXTS, min_size=1, max_size=5).filter(lambda cells: any(map(strip, cells))))
def test_cells_survive_a_file(cells: list[str]) -> None:
    out = io.StringIO(newline="")
    write_record(out, ["h"] * len(cells) if len(cells) > 1 else ["h"])
    write_record(out, list(map(escape, cells)))
    (record,) = CsvReader(io.BytesIO(out.getvalue().encode()))
    assert list(map(unescape, record.cells)) == cells


@st.composite
def bindings(draw: st.DrawFn) -> dict[str, Any]:
    """What an export writes, by column."""
    numbers = draw(st.lists(MOBILES, min_size=2, max_size=8, unique=True))
    grouped, two = draw(st.booleans()), draw(st.booleans())
    x = draw(NUMBERS)
    callback = draw(st.sampled_from((Callback.DEFAULT, Callback.LAST)))
    parties = (
        {
            "members": " ".join(number.digits for number in numbers[1:]),
            "callback": callback,
            "default": draw(st.sampled_from((None, numbers[1].digits))),
        }
        if grouped
        else {"a": numbers[1].digits}
    )
    return {
        "mode": (Mode.GXYB if two else Mode.GXB) if grouped else (Mode.AXYB if two else Mode.AXB),
        **parties,
        "b": numbers[0].digits,
        "x": x,
        "y": x.block.number((x.serial + 1) % 10**4) if two else None,
        "expires": draw(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1))).replace(  # noqa: DTZ001
            tzinfo=UTC
        ),
        "max_calls": draw(st.none() | st.integers(1, 2**31 - 1)),
        "count": draw(st.sampled_from(Counting)),
        "direction": draw(st.sampled_from(Direction)),
        "ring": draw(st.none() | SECONDS),
        "max_duration": draw(st.none() | MINUTES),
        "language": draw(st.none() | st.sampled_from(Language)),
        "display_a": draw(st.sampled_from(Display)),
        "display_b": draw(st.sampled_from(Display)),
        "prompts": draw(st.sampled_from((None, "rides"))),
        "out_id": draw(st.none() | NAMES),
        "user_data": draw(st.none() | NAMES),
        "industrial_id": draw(st.none() | NAMES),
        "pool": None,
        "consent": draw(st.none() | st.sampled_from(How)),
        "scene": draw(st.none() | st.sampled_from(["parcel", "B2.1_x"])),
        "messages": draw(st.sampled_from(Messages)),
        "max_messages": draw(st.none() | st.integers(1, 2**31 - 1)),
        "record": draw(st.sampled_from([None, *Recording])),
        "hours": draw(st.sampled_from([None, "mon-fri 09:00-18:00; sat 22:00-02:00"])),
        "order": draw(NAMES),
        "tenant": draw(NAMES),
        "id": "70012345678-1",
        "state": "active",
    }


@given(bindings())
def test_a_row_written_is_read(values: dict[str, Any]) -> None:
    """Nothing is lost on the way through a file."""
    out = io.StringIO(newline="")
    write_record(out, EXPORTED)
    write_record(out, write_cells(values))
    reader = CsvReader(io.BytesIO(out.getvalue().encode()))
    (record,) = reader
    row = Header(reader.header).read(record.cells)
    assert isinstance(row, BindRequest)
    assert (row.x, row.y) == (values["x"], values["y"])
    assert (row.expires_at, row.ttl) == (values["expires"], None)
    assert (row.tenant, row.order_id) == (values["tenant"], values["order"])
    assert row.terms == {term.name: values[term.word] for term in TERMS}
    assert row.parties.mode is values["mode"]
    if isinstance(row.parties, Gxb):
        assert row.parties.b.digits == values["b"]
        assert " ".join(number.digits for number in row.parties.members) == values["members"]
        assert row.parties.callback is values["callback"]
    else:
        assert isinstance(row.parties, Axb)
        assert (row.parties.a.digits, row.parties.b.digits) == (values["a"], values["b"])


@given(
    st.lists(
        st.one_of(TEXTS, st.sampled_from(("axb", "gxb", "13800000001", "700123456780001", "2h"))),
        min_size=len(COLUMNS) - 1,
        max_size=len(COLUMNS) + 1,
    )
)
def test_reading_is_total(cells: list[str]) -> None:
    """Any cells are a row, a list of faults or over; and no fault tells a number."""
    found = Header(list(COLUMNS)).read(cells)
    assert found is None or isinstance(found, BindRequest) or found
    if isinstance(found, list):
        assert all(isinstance(fault, Fault) for fault in found)
        assert "13800000001" not in "".join(map(str, found))
