"""CSV files as bytes: what is read of them, what is refused and how, and what is written."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import Any

import pytest

from agi_router.bulk import csv_file
from agi_router.bulk.csv_file import LONGEST_LINE, CsvReader, new_file, write_record
from agi_router.errors import CsvError

NOT_CLOSED = "behind a closing quotation mark stands neither a delimiter nor the line's end"
SAVE = "save it as 'CSV UTF-8 (comma delimited)' and import that"
ENDLESS = f"a quotation mark is opened and not closed, or the row has over {LONGEST_LINE} bytes"
TOO_LONG = f"it is longer than {LONGEST_LINE} bytes"


def read(content: bytes) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header, and the other records with their lines."""
    reader = CsvReader(io.BytesIO(content))
    return reader.header, [(record.line, record.cells) for record in reader]


@pytest.mark.parametrize(
    "content",
    [
        b"mode,order\naxb,A-1\ngxb,A-2\n",
        b"mode,order\naxb,A-1\ngxb,A-2",
        b"mode,order\r\naxb,A-1\r\ngxb,A-2\r\n",
        b"\xef\xbb\xbfmode,order\r\naxb,A-1\r\ngxb,A-2\r\n",
        b"mode;order\naxb;A-1\ngxb;A-2\n",
        b'"mode","order"\n"axb","A-1"\n"gxb",A-2\n',
        b"mode\torder\naxb\tA-1\ngxb\tA-2\n",
        "mode，order\naxb，A-1\ngxb，A-2\n".encode(),
        "mode；order\naxb；A-1\ngxb；A-2\n".encode("gb18030"),
        "mode\torder\r\naxb\tA-1\r\ngxb\tA-2\r\n".encode("utf-16"),
        "\ufeffmode,order\naxb,A-1\ngxb,A-2".encode("utf-16-be"),
    ],
)
def test_ways_to_write_the_same(content: bytes) -> None:
    """FastConnection ends, byte order mark, delimiter and quotation marks make no difference."""
    assert read(content) == (["mode", "order"], [(2, ["axb", "A-1"]), (3, ["gxb", "A-2"])])


def test_a_line_for_excel() -> None:
    """It tells the delimiter, and is no header."""
    assert read(b"sep=|\nmode|order\naxb|A;1\n") == (["mode", "order"], [(3, ["axb", "A;1"])])


def test_rows_of_empty_cells() -> None:
    """They are left out, and their lines count."""
    content = b"mode,order\n,\n \xc2\xa0,\t\naxb,A-1\n,,,,\n"
    assert read(content)[1] == [(4, ["axb", "A-1"])]


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("utf-8", []), ("utf-8-sig", []), ("gb18030", ["GB18030"]), ("utf-16", ["UTF-16"])],
)
@pytest.mark.parametrize("lines", [1, 3_000, 40_000])
def test_encodings(encoding: str, told: list[str], lines: int) -> None:
    """Each is recognised, however far its first character lies that is not ASCII."""
    said: list[str] = []
    cells = [*(f"B-{serial}" for serial in range(lines)), "粤B9", "一"]
    content = "\n".join(["order", *cells]).encode(encoding)
    reader = CsvReader(io.BytesIO(content), said.append)
    assert [record.cells for record in reader] == [[cell] for cell in cells]
    assert (said, reader.bytes_read) == (told, len(content))


def test_lines_are_counted_as_an_editor_does() -> None:
    """Empty lines and lines inside quotation marks count, also before the header."""
    content = b'\n\r\nmode,order\n\naxb,"A\n-\r\n1"\n\n\ngxb,A-2\n'
    assert read(content) == (["mode", "order"], [(5, ["axb", "A\n-\r\n1"]), (10, ["gxb", "A-2"])])


def test_only_the_header_tells_the_delimiter() -> None:
    """A semicolon in another line is a part of a cell."""
    assert read(b"g,b\n1;2,3\n")[1] == [(2, ["1;2", "3"])]
    assert read(b"g;b\n1,2;3\n")[1] == [(2, ["1,2", "3"])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty; its first line is to name the columns"),
        (b"\n \r\n", "the file is empty; its first line is to name the columns"),
        (b"\xef\xbb\xbf", "the file is empty; its first line is to name the columns"),
        (b"a,b\n1,\xff\n", f"line 2: it is neither UTF-8 nor GB18030; {SAVE}"),
        (b"\xef\xbb\xbfa\n\xff\n", f"line 2: it is not UTF-8; {SAVE}"),
        ("é\n".encode() * 40_000 + b"\xff\n", f"line 40001: it is not UTF-8; {SAVE}"),
        ("a,b\n".encode("utf-16-le"), f"line 1: it holds a NUL; {SAVE}"),
        ("a\n1".encode("utf-16") + b"2", f"below line 1: it is not UTF-16; {SAVE}"),
        ("\ufeff".encode("utf-16-le"), "the file is empty; its first line is to name the columns"),
        (("a\n" + "1" * LONGEST_LINE + "5").encode("utf-16"), f"line 2: {TOO_LONG}"),
        (b"sep=;\n", "the file is empty; its first line is to name the columns"),
        (b"a,b\n1,\0\n", f"line 2: it holds a NUL; {SAVE}"),
        (b'a,b\n1,2\n3,"4\n', "line 3: a quotation mark is opened and not closed"),
        (b'"a', "line 1: a quotation mark is opened and not closed"),
        (b'a,b\n1,"' + b"5\n" * 70_000, f"line 2: {ENDLESS}"),
        (b"a,b\n1,2\n" + b'"\n\n",' * 40_000, f"line 3: {ENDLESS}"),
        (("a,b\n1,2\n" + '"\n\n",' * 40_000).encode("utf-16"), f"line 3: {ENDLESS}"),
        (b'a,b\n1,"2"3\n', f"line 2: {NOT_CLOSED}"),
        (b"a,b\n1,2\r3,4\n", "line 2: it is not a row of a CSV file"),
        (b"a,b\n" + b"1" * LONGEST_LINE + b"\n", f"line 2: {TOO_LONG}"),
        (b"1" * 10_000_000, f"line 1: {TOO_LONG}"),
    ],
)  # fmt: skip
def test_files_that_are_none(content: bytes, message: str) -> None:
    """They are refused with the line, and without anything that stands there."""
    with pytest.raises(CsvError) as caught:
        read(content)
    assert str(caught.value) == message


def test_what_stands_before_a_fault_is_read() -> None:
    """A record is handed out before the next one is looked at."""
    reader = CsvReader(io.BytesIO(b"a\n1\n\xff\n"))
    records = iter(reader)
    assert next(records).cells == ["1"]
    assert reader.bytes_read == 4
    with pytest.raises(CsvError):
        next(records)


def test_a_longest_line() -> None:
    """The limit itself is allowed."""
    cell = "1" * (LONGEST_LINE - 1)
    assert read(b"a\n" + cell.encode() + b"\n")[1] == [(2, [cell])]


class Endless(io.RawIOBase):
    """One row of short lines and of cells that all close, and no end of it."""

    def __init__(self) -> None:
        super().__init__()
        self.given = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Give more of it."""
        view = memoryview(buffer)
        piece = (b"a,b\n" if not self.given else b"") + b'"\n\n",' * (len(view) // 5 - 1)
        view[: len(piece)] = piece
        self.given += len(piece)
        if self.given > 100 * LONGEST_LINE:
            raise AssertionError("it reads on")
        return len(piece)


def test_a_row_without_end_is_not_read_to_its_end() -> None:
    """It costs no more than the longest row, however large the file is."""
    with pytest.raises(CsvError, match=r"line 2: .* the row has over 65536 bytes"):
        list(CsvReader(io.BufferedReader(Endless())))


def test_a_longest_row() -> None:
    """Over several lines, and again after it: what is counted is of one row."""
    row = b'"' + b"1\n" * (LONGEST_LINE // 2 - 2) + b'1"\n'
    assert len(row) == LONGEST_LINE
    assert len(read(b"a\n" + row * 3)[1]) == 3


@pytest.mark.parametrize(
    "cells", [["a", "b"], ["", "x"], ['"', "a,b", "a;b"], ["a\r\nb", "\r", "\n"], ["'=1", " x "]]
)
def test_what_is_written_is_read(cells: list[str]) -> None:
    """Whatever stands in a cell."""
    out = io.StringIO(newline="")
    write_record(out, ["h"] * len(cells) if "," in "".join(cells) else ["h,"])
    write_record(out, cells)
    (record,) = CsvReader(io.BytesIO(out.getvalue().encode()))
    assert record.cells == cells


def test_a_new_file(tmp_path: Path) -> None:
    """It is the owner's alone, and there once it is whole."""
    path = tmp_path / "out.csv"
    with new_file(path) as stream:
        stream.write("a\r\n")
        assert not path.exists()
    assert path.read_bytes() == b"a\r\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_is_there(tmp_path: Path) -> None:
    """It is left as it is, unless it is to be replaced; then it is the owner's alone."""
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(0o644)
    with pytest.raises(CsvError, match="exists and is left as it is"), new_file(path):
        pass
    assert path.read_text() == "old"
    with new_file(path, overwrite=True) as stream:
        stream.write("new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_comes_meanwhile(tmp_path: Path) -> None:
    """Somebody who was faster is not overwritten."""
    path = tmp_path / "out.csv"
    with pytest.raises(CsvError, match="cannot be written"), new_file(path):
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """Nor is its target written, where it is to be replaced."""
    target, path = tmp_path / "target", tmp_path / "out.csv"
    target.write_text("old")
    path.symlink_to(target)
    with pytest.raises(CsvError), new_file(path):
        pass
    with new_file(path, overwrite=True) as stream:
        stream.write("new")
    assert (target.read_text(), path.read_text()) == ("old", "new")


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    """Half a file is none."""
    with pytest.raises(RuntimeError), new_file(tmp_path / "out.csv"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(CsvError, match="No such file"), new_file(tmp_path / "no/out.csv"):
        pass


def test_words_for_what_the_reader_may_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit of the csv module that is lower than ours is told as a quotation mark too."""
    monkeypatch.setattr(csv_file, "LONGEST_LINE", 10**6)
    with pytest.raises(CsvError, match="line 2: a quotation mark is opened and not closed"):
        read(b"a\n" + b"1" * 200_000 + b"\n")
