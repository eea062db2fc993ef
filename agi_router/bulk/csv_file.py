"""
CSV files: bytes in, records with their line numbers out; and new files that nobody else may read.

Format: RFC 4180 in UTF-8, with or without a byte order mark; in GB18030, of which GBK is a part;
or in UTF-16 with its mark. Between cells stands ``,``, ``;``, a tab, ``，`` or ``；``, as the
header has it, or a first line like ``sep=;``. A line ends by CR LF or LF. A file that is not so is
not read beyond the fault.
"""

import codecs
import contextlib
import csv
import io
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from agi_router.errors import CsvError
from agi_router.files import written_whole
from agi_router.texts import strip

__all__ = ["LONGEST_LINE", "CsvReader", "Record", "find_columns", "new_file", "write_record"]

LONGEST_LINE = 65536
"""
Bytes of a line, and of a row that goes over several: many times what a group of 200 takes.
"""

# The first of them that the header has.
_DELIMITERS = (",", ";", "\t", "，", "；")
# Excel's own line before the header.
_SEPARATOR_LINE = re.compile(r"sep=([,;\t，；|])\s*", re.IGNORECASE)
# What may be told of a header that is not ours.
_WORD = re.compile(r"[a-z_ -]{1,32}")
_BOM = "\ufeff"
_CHINESE = "gb18030"
# From here on a character has three bytes in UTF-8.
_THREE_BYTES = "\u0800"
# How much is looked at to tell encodings apart, in bytes.
_AHEAD = 65536
_LONGEST_MARK = 8
_WIDE = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
# What people hand over in its place, by its first bytes.
_NO_TEXT = {
    b"PK\x03\x04": "an Excel workbook (.xlsx) or another archive",
    b"\xd0\xcf\x11\xe0": "an Excel workbook (.xls)",
    b"\x1f\x8b": "compressed by gzip",
    b"%PDF": "a PDF",
    codecs.BOM_UTF32_LE: "in UTF-32",
    codecs.BOM_UTF32_BE: "in UTF-32",
    b"<": "a web page or XML",
}
_ENDLESS = "row larger than the limit"
_SAVE = "save it as 'CSV UTF-8 (comma delimited)' and import that"


class Record(NamedTuple):
    """
    One row as it stands in a file.
    """

    line: int
    """The line it begins on, from 1."""
    cells: list[str]


class CsvReader:
    """
    The records of a stream, the header first; rows of empty cells are left out.

    Args:
        stream: The file. It is read as the records are asked for.
        told: Who is told by what encoding the file is read, where it is not UTF-8.

    Raises:
        CsvError: It is empty, or not a CSV file; so does whoever asks for records.
    """

    def __init__(self, stream: BinaryIO, told: Callable[[str], None] = lambda _: None) -> None:
        self._stream = stream
        self._ahead = io.BytesIO()
        self._told = told
        self._line = 0
        self._fed = 0
        # Of the row that is being read.
        self._row = 0
        lines = self._lines()
        filled = (line for line in lines if strip(line))
        first = next(filled, "")
        if match := _SEPARATOR_LINE.fullmatch(first):
            first = next(filled, "")
            self.delimiter = match[1]
        else:
            self.delimiter = next((each for each in _DELIMITERS if each in first), ",")
        if not first:
            raise CsvError("the file is empty; its first line is to name the columns")
        try:
            self.header: list[str] = next(self._reader([first]))
        except csv.Error as error:
            raise CsvError(f"line {self._line}: {_why(error)}") from None
        self._rest = self._records(lines)

    @property
    def bytes_read(self) -> int:
        """
        How much of the stream is read.
        """
        return self._fed

    def __iter__(self) -> Iterator[Record]:
        return self._rest

    def _records(self, lines: Iterator[str]) -> Iterator[Record]:
        reader = self._reader(self._bounded(lines))
        while True:
            begin = self._line + 1
            self._row = 0
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise CsvError(f"line {begin}: {_why(error)}") from None
            if cells is None:
                return
            if any(map(strip, cells)):
                yield Record(begin, cells)

    def _bounded(self, lines: Iterator[str]) -> Iterator[str]:
        """
        The lines, as long as they make up rows that end.

        Raises:
            csv.Error: A row does not end.
        """
        for line in lines:
            self._row += len(line)
            if self._row > LONGEST_LINE:
                raise csv.Error(_ENDLESS)
            yield line

    def _reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        """
        The lines, by the encoding that the first bytes tell, or the first that are not ASCII.
        """
        begin = self._look(_LONGEST_MARK)
        for mark, what in _NO_TEXT.items():
            if begin.startswith(mark):
                raise CsvError(f"the file is {what}; {_SAVE}")
        for mark, encoding in _WIDE.items():
            if begin.startswith(mark):
                self._told("UTF-16")
                return self._wide_lines(encoding, len(mark))
        return self._narrow_lines("utf-8" if begin.startswith(codecs.BOM_UTF8) else "ascii")

    def _narrow_lines(self, encoding: str) -> Iterator[str]:
        while raw := self._next_line():
            self._line += 1
            self._fed += len(raw)
            if len(raw) > LONGEST_LINE:
                raise CsvError(self._too_long(self._line))
            if b"\0" in raw:
                raise CsvError(f"line {self._line}: it holds a NUL; {_SAVE}")
            if encoding == "ascii" and not raw.isascii():
                encoding = self._guess(raw)
            try:
                text = raw.decode(encoding)
            except UnicodeDecodeError:
                wanted = "neither UTF-8 nor GB18030" if encoding == _CHINESE else "not UTF-8"
                raise CsvError(f"line {self._line}: it is {wanted}; {_SAVE}") from None
            if encoding == _CHINESE and _is_utf8(raw):
                raise CsvError(f"line {self._line}: it is UTF-8, but others are not; {_SAVE}")
            yield text.removeprefix(_BOM) if self._line == 1 else text

    def _wide_lines(self, encoding: str, mark: int) -> Iterator[str]:
        rest = ""
        self._fed = mark
        try:
            for text in self._decoded(encoding, self._ahead.read()[mark:]):
                *lines, rest = (rest + text).split("\n")
                for line in lines:
                    self._line += 1
                    yield f"{line}\n"
                if len(rest) > LONGEST_LINE:
                    raise CsvError(self._too_long(self._line + 1))
        except UnicodeDecodeError:
            raise CsvError(f"below line {self._line}: it is not UTF-16; {_SAVE}") from None
        if rest:
            self._line += 1
            yield rest

    def _decoded(self, encoding: str, begin: bytes) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(encoding)()
        for raw in chain([begin], iter(lambda: self._stream.read(_AHEAD), b"")):
            self._fed += len(raw)
            yield decoder.decode(raw)
        yield decoder.decode(b"", final=True)

    def _too_long(self, line: int) -> str:
        return f"line {line}: it is longer than {LONGEST_LINE} bytes"

    def _look(self, size: int) -> bytes:
        """
        The next bytes, as many as there are up to *size*; they are still to be read.
        """
        ahead = self._ahead.read()
        while len(ahead) < size and (more := self._stream.read(size - len(ahead))):
            ahead += more
        self._ahead = io.BytesIO(ahead)
        return ahead[:size]

    def _next_line(self) -> bytes:
        line = self._ahead.readline(LONGEST_LINE + 1)
        if line.endswith(b"\n") or len(line) > LONGEST_LINE:
            return line
        return line + self._stream.readline(LONGEST_LINE + 1 - len(line))

    def _guess(self, raw: bytes) -> str:
        """
        UTF-8, or what Excel saves in China: by what comes next, for one line may be both.
        """
        seen = raw + self._look(_AHEAD)
        try:
            codecs.getincrementaldecoder("utf-8")().decode(seen)
        except UnicodeDecodeError:
            self._told("GB18030")
            return _CHINESE
        return "utf-8"


def find_columns(
    header: Iterable[str],
    columns: Sequence[str],
    *,
    needed: Iterable[str],
    alone: bool = False,
) -> list[tuple[str, int]]:
    """
    Of the columns that are read those that a file has, and their places.

    Args:
        header: The cells of its first line.
        columns: Those that are read.
        needed: Those that it has to have.
        alone: Whether it may have no other; else others are passed over.

    Raises:
        CsvError: One that is needed is missing, or there twice; or there is another one.
    """
    names = [strip(cell).lower() for cell in header]
    if alone:
        _check_known(names, columns)
    for each in needed:
        if names.count(each) != 1:
            raise CsvError(f"the first line has to name the column {each!r}, once")
    return [(each, names.index(each)) for each in columns if each in names]


def _check_known(names: Sequence[str], columns: Sequence[str]) -> None:
    for place, name in enumerate(names, start=1):
        if name and name not in columns:
            # What is no word may be a row, and a number.
            which = f"{place}, {name!r}," if _WORD.fullmatch(name) else f"{place}"
            raise CsvError(
                f"the header's column {which} is not known; a header is made of"
                f" {', '.join(columns)}"
            )
        if name and names.count(name) > 1:
            raise CsvError(f"the header has the column {name} twice")


def write_record(stream: TextIO, cells: Sequence[str]) -> None:
    """
    Write one row as RFC 4180 has it.
    """
    csv.writer(stream, lineterminator="\r\n").writerow(cells)


@contextlib.contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[TextIO]:
    """
    A file that its owner alone may read, there under its name only once it is whole.

    Args:
        path: Its name.
        overwrite: Whether a file of this name is replaced.

    Raises:
        CsvError: There is such a file, or it cannot be written.
    """
    name = shlex.quote(str(path))
    if not overwrite and os.path.lexists(path):
        raise CsvError(f"{name} exists and is left as it is; choose another file, or --force")
    try:
        with contextlib.ExitStack() as stack:
            try:
                stream = stack.enter_context(written_whole(path, replace=overwrite))
            except ValueError:
                raise CsvError(f"{name} cannot be written: no such name") from None
            yield stream
    except OSError as error:
        raise CsvError(f"{name} cannot be written: {error.strerror}") from None


def _is_utf8(raw: bytes) -> bool:
    """
    Whether a line that should be GB18030 was written in UTF-8: two of its bytes may be both.
    """
    try:
        return max(raw.decode()) >= _THREE_BYTES
    except UnicodeDecodeError:
        return False


def _why(error: csv.Error) -> str:
    # The reader's own words speak of its parameters, and never of what stands in the file.
    text = str(error)
    if text == _ENDLESS:
        return (
            f"a quotation mark is opened and not closed, or the row has over {LONGEST_LINE} bytes"
        )
    if "field larger" in text or "unexpected end" in text:
        return "a quotation mark is opened and not closed"
    if "expected after" in text:
        return "behind a closing quotation mark stands neither a delimiter nor the line's end"
    return "it is not a row of a CSV file"
