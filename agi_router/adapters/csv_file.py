"""
CSV files: bytes in, records with their line numbers out; and new files that nobody else may read.

Format: RFC 4180 in UTF-8, with or without a byte order mark; ``,`` or ``;`` between cells, as the
header has it; a line ends by CR LF or LF. A file that is not so is not read beyond the fault.
"""

import contextlib
import csv
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

from agi_router.errors import CsvError
from agi_router.files import written_whole

__all__ = ["LONGEST_LINE", "CsvReader", "Record", "new_file", "write_record"]

LONGEST_LINE = 65536
"""
Bytes of a line: many times what a group of 200 takes.
"""

_BOM = "\ufeff"


class Record(NamedTuple):
    """
    One row as it stands in a file.
    """

    line: int
    """The line it begins on, from 1."""
    cells: list[str]


class CsvReader:
    """
    The records of a stream, the header first.

    Args:
        stream: The file. It is read as the records are asked for.

    Raises:
        CsvError: It is empty, or not a CSV file; so does whoever asks for records.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._line = 0
        self._fed = 0
        lines = self._lines()
        first = next((line for line in lines if line.strip()), None)
        if first is None:
            raise CsvError("the file is empty; its first line is to name the columns")
        self.delimiter = ";" if ";" in first and "," not in first else ","
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
        reader = self._reader(lines)
        while True:
            begin = self._line + 1
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise CsvError(f"line {begin}: {_why(error)}") from None
            if cells is None:
                return
            if cells:
                yield Record(begin, cells)

    def _reader(self, lines: Iterable[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self.delimiter, strict=True)

    def _lines(self) -> Iterator[str]:
        while raw := self._stream.readline(LONGEST_LINE + 1):
            self._line += 1
            self._fed += len(raw)
            if len(raw) > LONGEST_LINE:
                raise CsvError(f"line {self._line}: it is longer than {LONGEST_LINE} bytes")
            if b"\0" in raw:
                raise CsvError(f"line {self._line}: it holds a NUL; a file is to be in UTF-8")
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                raise CsvError(f"line {self._line}: it is not UTF-8") from None
            yield text.removeprefix(_BOM) if self._line == 1 else text


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


def _why(error: csv.Error) -> str:
    # The reader's own words speak of its parameters, and never of what stands in the file.
    text = str(error)
    if "field larger" in text or "unexpected end" in text:
        return "a quotation mark is opened and not closed"
    if "expected after" in text:
        return "behind a closing quotation mark stands neither a delimiter nor the line's end"
    return "it is not a row of a CSV file"
