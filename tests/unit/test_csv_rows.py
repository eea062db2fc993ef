"""Rows of CSV files: cells in, a row or all its faults out; never a number in a message."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axe, Axyb, Gxb, Gxyb, Parties
from agi_router.bindings.requests import BindRequest, Fault
from agi_router.bindings.words import (
    Callback,
    Counting,
    Direction,
    Display,
    Language,
    Messages,
    Mode,
    Recording,
)
from agi_router.bulk.columns import COLUMNS, EXPORTED, Header, escape, unescape, write_cells
from agi_router.consent.ledger import How
from agi_router.errors import CsvError
from agi_router.numbers import PhoneNumber
from harness.values import A, B, C, X, Y

PAGE = (Path(__file__).parents[2] / "docs/bulk.md").read_text("utf-8")

NO_TIME = "a time looks like 2026-01-31T15:04:05+08:00, or 2026-01-31 15:04"
NOT_AXB = "a binding by axb has none"
SHORT = "a mobile number has 11 digits beginning 13 to 19; got 8 digits"

AXB = {"mode": "axb", "order": "O-1", "a": A.digits, "b": B.digits}
GXB = {"mode": "gxb", "order": "O-1", "members": f"{A.digits};{C.digits}", "b": B.digits}


def read(cells: dict[str, str], **settings: Any) -> BindRequest | list[Fault] | None:
    """Read one row whose header has just these columns."""
    return Header(list(cells), **settings).read(list(cells.values()))


def row(cells: dict[str, str], **settings: Any) -> BindRequest:
    """Read one row that is without fault."""
    found = read(cells, **settings)
    assert isinstance(found, BindRequest), found
    return found


def faults(cells: dict[str, str], **settings: Any) -> list[str]:
    """Read one row that is not."""
    found = read(cells, **settings)
    assert isinstance(found, list)
    return list(map(str, found))


def test_a_file_of_one_tenant() -> None:
    """What says nothing is of that tenant, and nothing else may be said."""
    assert row(AXB, tenant="rides").tenant == "rides"
    assert row({**AXB, "tenant": " rides\u200b"}, tenant="rides").tenant == "rides"
    for other in ("default", "Rides", "rides-2"):
        assert faults({**AXB, "tenant": other}, tenant="rides") == [
            "tenant: this is an import of tenant 'rides' alone"
        ]


def test_the_least_there_is() -> None:
    """What is not said is left to the import, or is as in a single bind."""
    assert row(AXB) == BindRequest(
        parties=Axb(a=A, b=B),
        x=None,
        y=None,
        ttl=None,
        expires_at=None,
        tenant="default",
        order_id="O-1",
        terms={
            "max_calls": None,
            "counting": Counting.ANSWERED,
            "direction": Direction.BOTH,
            "ring_timeout": None,
            "max_duration": None,
            "language": None,
            "display_a": Display.NUMBER,
            "display_b": Display.NUMBER,
            "prompts": None,
            "out_id": None,
            "user_data": None,
            "industrial_id": None,
            "pool": None,
            "scene": None,
            "consent": None,
            "messages": Messages.OFF,
            "max_messages": None,
            "hours": None,
            "record": None,
        },
    )


def test_all_there_is() -> None:
    """Every column is read."""
    found = row(
        {
            **AXB,
            "mode": " AXYB ",
            "x": X.digits,
            "y": " 86 7001 2345 6780 002",
            "expires": "2026-01-31T15:04:05+08:00",
            "max_calls": "7",
            "count": "attempts",
            "direction": "a",
            "ring": "30s",
            "max_duration": "1h",
            "language": "en",
            "display_a": "anonymous",
            "prompts": "rides",
            "out_id": "4711",
            "user_data": "a text; 文",
            "industrial_id": "700.100.1/12345678",
            "scene": "parcel",
            "consent": "paper",
            "messages": "b",
            "max_messages": "20",
            "hours": "mon 09:00-18:00, sat 22:00-02:00",
            "record": "ON",
            "tenant": " rides\u200b",
            "order": "\t O-1\u00a0",
            "id": "70012345678-1",
            "state": "active",
            "fault": "=what was wrong",
        }
    )
    assert found.parties == Axyb(a=A, b=B)
    assert (found.x, found.y) == (X, Y)
    assert found.expires_at == datetime(2026, 1, 31, 7, 4, 5, tzinfo=UTC)
    assert (found.tenant, found.order_id) == ("rides", "O-1")
    assert found.terms == {
        "max_calls": 7,
        "counting": Counting.ATTEMPTS,
        "direction": Direction.A,
        "ring_timeout": timedelta(seconds=30),
        "max_duration": timedelta(hours=1),
        "language": Language.EN,
        "display_a": Display.ANONYMOUS,
        "display_b": Display.NUMBER,
        "prompts": "rides",
        "out_id": "4711",
        "user_data": "a text; 文",
        "industrial_id": "700.100.1/12345678",
        "pool": None,
        "scene": "parcel",
        "consent": How.PAPER,
        "messages": Messages.B,
        "max_messages": 20,
        "hours": "mon 09:00-18:00; sat 22:00-02:00",
        "record": Recording.ON,
    }


@pytest.mark.parametrize(
    "members",
    [
        *("13912340001;13912340003", " 13912340001  13912340003 ; ", "13912340001\n13912340003"),
        *("139 1234 0001、13912340003", "13912340001/139-1234-0003", "13912340001，13912340003"),
    ],
)
def test_a_group(members: str) -> None:
    """Members are joined by what people put between them."""
    assert row({**GXB, "members": members}).parties == Gxb(members=(A, C), b=B)
    called = {"mode": "gxyb", "callback": "last", "default": C.digits}
    assert row({**GXB, "members": members, **called}).parties == Gxyb(
        members=(A, C), b=B, callback=Callback.LAST, default=C
    )


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"mode": "axyb", "b": B.digits, "y_ttl": "3m"}, Axyb(a=A, b=B, y_ttl=Y_TTL)),
        ({"mode": "ax"}, Ax(a=A)),
        (
            {"mode": "ax", "callback": "last", "default": C.digits, "window": "30m"},
            Ax(a=A, default=C, window=timedelta(minutes=30)),
        ),
        ({"mode": "axe", "extension": "0042"}, Axe(a=A, extension="0042")),
        (
            {"mode": "axe", "callback": "default", "default": C.digits},
            Axe(a=A, callback=Callback.DEFAULT, default=C),
        ),
    ],
)
def test_modes_with_numbers_for_others(cells: dict[str, str], expected: Parties) -> None:
    """A Y that is made on a call, and numbers that strangers may call."""
    assert row({"order": "O-1", "a": A.digits, **cells}).parties == expected


def test_fixed_lines() -> None:
    """They are parties where they are allowed."""
    cells = {**AXB, "b": "010 12345678"}
    # The area code, and seven or eight digits that do not begin 0 or 1.
    cells["b"] = "010 82345678"
    assert faults(cells) == ["b: a mobile number is needed; got a fixed line"]
    assert row(cells, fixed_lines=True).parties == Axb(a=A, b=PhoneNumber(digits="01082345678"))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"a": "13800000", "b": ""}, [f"a: {SHORT}", "b: a binding by axb needs it"]),
        ({"b": A.digits}, ["A and B are the same number; a binding needs two"]),
        ({"mode": "abx"}, ["mode: one of axb, axyb, gxb, gxyb, ax, axe"]),
        ({"mode": "ax"}, ["b: a binding by ax has none"]),
        ({"extension": "12345"}, ["extension: an extension has 1 to 4 digits"]),
        ({"prompts": "Rides!"}, ["prompts: a name has 1 to 16 of a-z, 0-9, '_' and '-'"]),
        ({"mode": "axyb", "y": Y.digits, "y_ttl": "3m"}, ["give y or y_ttl, not both"]),
        ({"mode": "", "order": ""}, ["mode: it is required", "order: it is required"]),
        ({"order": "o" * 129}, ["order: an order's id has 1 to 128 characters"]),
        ({"callback": "all", "y": Y.digits}, [f"callback: {NOT_AXB}", f"y: {NOT_AXB}"]),
        ({"ttl": "2h", "expires": "2026-01-31T15:04:05Z"}, ["ttl: give ttl or expires, not both"]),
        ({"ttl": "soon"}, ["ttl: a duration looks like 2h, 30m, 1h30m, 90s, 1d or 45 (seconds)"]),
        ({"expires": "2026-01-31T25:04:05"}, [f"expires: {NO_TIME}"]),
        ({"expires": "0001-01-01T00:00:00+08:00"}, [f"expires: {NO_TIME}"]),
        ({"expires": "13800000009"}, [f"expires: {NO_TIME}"]),
        ({"max_calls": "0"}, ["max_calls: a whole number, 1 to 2147483647"]),
        ({"max_calls": "²"}, ["max_calls: a whole number, 1 to 2147483647"]),
        ({"max_calls": "2147483648"}, ["max_calls: a whole number, 1 to 2147483647"]),
        ({"ring": "4s"}, ["ring: 5s to 2m is allowed"]),
        ({"max_duration": "5h"}, ["max_duration: 1s to 4h is allowed"]),
        ({"x": "71012345678"}, ["x: a 700 number begins with 700; got something else"]),
    ],
)  # fmt: skip
def test_faults(cells: dict[str, str], expected: list[str]) -> None:
    """Each is told with its column, all of a row at once, and nothing of the cell."""
    assert faults({**AXB, **cells}) == expected


def test_faults_of_groups() -> None:
    """What is wrong with the parties together is told without a column."""
    assert faults({**GXB, "members": B.digits}) == [
        "the members of a group and B must all be different numbers"
    ]
    assert faults({**GXB, "a": A.digits}) == ["a: a binding by gxb has none"]
    assert faults({**GXB, "members": ""}) == ["members: a binding by gxb needs it, or group"]
    assert faults({**GXB, "group": "team"}) == ["members: give members or group, not both"]
    (told,) = faults({**GXB, "members": "", "group": "1"})
    assert told.startswith("group: a party group's name has 1 to 64 of A-Z,")


def test_rows_do_not_learn_from_each_other() -> None:
    """What one row has said, with or without a fault, excuses no other."""
    header = Header(list(AXB))
    for b, told in (
        ("1", ["b: a mobile number has 11 digits beginning 13 to 19; got 1 digits"]),
        ("", ["b: a binding by axb needs it"]),
        (B.digits, None),
        ("", ["b: a binding by axb needs it"]),
    ):
        found = header.read(["axb", "O-1", A.digits, b])
        assert (list(map(str, found)) if isinstance(found, list) else None) == told


def test_a_row_that_is_over() -> None:
    """It is neither a binding nor a fault, though it can no longer be bound."""
    assert read({**AXB, "state": "expired", "a": "139****0001"}) is None
    assert read({**AXB, "state": "used_up"}) is None
    assert isinstance(read({**AXB, "state": " ACTIVE"}), BindRequest)


def test_a_row_that_was_damaged() -> None:
    """It is a fault, whatever else it says: its numbers are not known."""
    assert faults({**AXB, "state": "damaged", "a": "", "b": ""}) == [
        "state: the binding was damaged where it comes from: bind it anew"
    ]


def test_a_row_of_another_length() -> None:
    """Cells that are missing are not guessed."""
    header = Header(list(AXB))
    assert header.read(["axb"]) == [Fault(None, "the header has 4 columns, this row 1")]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mode", "order", "13912340001"], "the header's column 3 is not known"),
        (["mode", "order", "mode"], "the header has the column mode twice"),
        (["mode", "a"], "the header lacks the column order"),
        ([""], "the header lacks the column mode"),
    ],
)
def test_headers_that_are_not_ours(names: list[str], message: str) -> None:
    """The column is named, unless it may be a number."""
    with pytest.raises(CsvError) as caught:
        Header(names)
    assert str(caught.value).startswith(message)
    assert "13912340001" not in str(caught.value)


def test_header_as_people_write_it() -> None:
    """Case, width, spaces and marks do not matter."""
    assert Header(["\ufeff Mode", "ＯＲＤＥＲ\u00a0"]).names == ("mode", "order")


def test_columns_without_a_name() -> None:
    """They are ignored, as long as nothing stands there; a row may leave them out, or add some."""
    header = Header(["mode", "", "order", "a", "b", "", " "])
    cells = ["axb", "", "O-1", A.digits, B.digits]
    for more in ([], [""], ["", " "], ["", "", "", "\t"]):
        assert isinstance(header.read([*cells, *more]), BindRequest)
    assert header.read([*cells, "", "x"]) == [
        Fault(None, "column 7 has no name in the header, and something in this row")
    ]
    assert header.read([*cells, "", "", "x"]) == [
        Fault(None, "the header has 7 columns, this row 8")
    ]
    assert header.read(cells[:-1]) == [Fault(None, "the header has 7 columns, this row 4")]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", ""),
        ("A-1", "A-1"),
        ("=1+1", "'=1+1"),
        ("+8613912340001", "'+8613912340001"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("\uff1d1", "'\uff1d1"),
        ("a;=1", "a;'=1"),
        ('a",=1', "a\",'=1"),
        ("a\n=1", "a\n'=1"),
        ("'=1", "''=1"),
        ("'tis", "'tis"),
        ("it's -1", "it's -1"),
        ("a=1", "a=1"),
    ],
)
def test_formulas_are_escaped(text: str, written: str) -> None:
    """No cell begins as a formula, nor does any part of it behind a separator."""
    assert escape(text) == written
    assert unescape(written) == text


def test_writing() -> None:
    """A row has a cell for every column, in their order."""
    cells = write_cells(
        {
            "mode": Mode.AXB,
            "order": "=O",
            "x": X,
            "ring": timedelta(seconds=90),
            "expires": datetime(2026, 1, 31, 7, 4, 5, tzinfo=UTC),
            "max_calls": None,
        }
    )
    written = dict(zip(EXPORTED, cells, strict=True))
    assert {name: cell for name, cell in written.items() if cell} == {
        "mode": "axb",
        "order": "'=O",
        "x": X.digits,
        "ring": "1m30s",
        "expires": "2026-01-31T07:04:05+00:00",
    }


def test_the_documented_columns() -> None:
    """The table in docs/bulk.md is that of the code."""
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert rows == [(name, column.about) for name, column in COLUMNS.items()]


def test_the_example_in_the_documentation() -> None:
    """It can be read as it stands there."""
    (block,) = re.findall(r"^    (mode,order,.*\n(?:    .*\n)+)", PAGE, re.MULTILINE)
    lines = [line.strip().split(",") for line in block.splitlines()]
    header = Header(lines[0])
    assert all(isinstance(header.read(cells), BindRequest) for cells in lines[1:])
