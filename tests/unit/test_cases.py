"""What spreadsheets save and people type: file by file and cell by cell, with the exact words."""

from __future__ import annotations

import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from agi_router.bindings.requests import BindRequest
from agi_router.bulk.columns import Header
from agi_router.bulk.csv_file import CsvReader
from agi_router.cli import main
from agi_router.durations import format_duration
from agi_router.errors import CsvError

CASES = Path(__file__).resolve().parents[1] / "cases"
FILES = sorted(path.name for path in (CASES / "files").iterdir())
EXPECTED = tomllib.loads((CASES / "expected.toml").read_text("utf-8"))
AXB = {"mode": "axb", "order": "B-9", "a": "13800000001", "b": "13800000002"}


@pytest.fixture(autouse=True)
def in_china(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times without an offset are this machine's."""
    monkeypatch.setenv("TZ", "UTC-8")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def told(row: BindRequest) -> str:
    """Say what would be bound: all that the cases are about."""
    a, b = (", ".join(map(str, side)) for side in (row.parties.side_a, row.parties.side_b))
    words = [f"{row.parties.mode} {row.order_id}: {a} and {b}"]
    if row.ttl is not None:
        words.append(f"for {format_duration(row.ttl)}")
    if row.expires_at is not None:
        words.append(f"until {row.expires_at.isoformat()}")
    if row.tenant != "default":
        words.append(f"of {row.tenant}")
    words += [f"{name} {value}" for name, value in row.terms.items() if name in TERMS and value]
    return " ".join(words)


TERMS = ("max_calls", "max_duration", "ring_timeout", "language")


def read(name: str) -> list[str]:
    """Read a file as an import does; return a line for each row, fault or notice."""
    lines: list[str] = []
    try:
        with (CASES / "files" / name).open("rb") as stream:
            reader = CsvReader(stream, lambda encoding: lines.append(f"read as {encoding}"))
            header = Header(reader.header)
            for record in reader:
                row = header.read(record.cells)
                found = [told(row)] if isinstance(row, BindRequest) else list(map(str, row or ()))
                lines += (f"line {record.line}: {each}" for each in found)
    except CsvError as error:
        lines.append(f"error: {error}")
    return lines


@pytest.mark.parametrize("name", FILES)
def test_a_file(name: str) -> None:
    """All that an import says of it, and all that it would bind."""
    assert read(name) == EXPECTED["files"][name]


def test_every_file_is_there() -> None:
    """Nothing is expected of a file that is not there."""
    assert sorted(EXPECTED["files"]) == FILES


@pytest.mark.parametrize("case", EXPECTED["cells"], ids=lambda case: ascii(case["cell"]))
def test_a_cell(case: dict[str, str]) -> None:
    """One cell of a row that is right otherwise."""
    cells = AXB | {case["column"]: case["cell"]}
    row = Header(list(cells)).read(list(cells.values()))
    assert (told(row) if isinstance(row, BindRequest) else "; ".join(map(str, row or ()))) == case[
        "told"
    ]


@pytest.mark.parametrize("case", EXPECTED["commands"], ids=lambda case: " ".join(case["words"]))
def test_a_command(case: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    """One that is wrong: its exit code, and its line on stderr."""
    with pytest.raises(SystemExit) as ended:
        main([*case["words"]])
    assert (ended.value.code, capsys.readouterr()) == (case["code"], ("", case["told"] + "\n"))


def test_there_are_many() -> None:
    """Fifty at least."""
    assert sum(map(len, (EXPECTED["cells"], EXPECTED["commands"], FILES))) >= 50
