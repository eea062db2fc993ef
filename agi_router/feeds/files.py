"""
Files of feeds: bytes in, records with their line numbers out.

A file is CSV whose first line names the columns, or JSON Lines, in UTF-8 or GB18030. The first
byte that is neither a mark nor white space says which.
"""

import codecs
import hashlib
import json
import os
import shlex
import stat
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from agi_router.bulk.csv_file import LONGEST_LINE, CsvReader, find_columns
from agi_router.errors import CsvError, FeedInvalid
from agi_router.feeds.model import COLUMNS, NEEDED, Fault

__all__ = [
    "Record",
    "changed_files",
    "digest_of",
    "list_files",
    "open_file",
    "read_records",
]

Record = tuple[int, Mapping[str, str]]
"""A line, and what stands there by the names of the columns."""

_PIECE = 1 << 20
_NO_OBJECT = 'a line is one JSON object, like {"number": …, "status": …}'


def list_files(folder: Path) -> list[Path]:
    """
    The files of a folder by name, those that begin with a dot left out.

    Raises:
        FeedInvalid: It cannot be read.
    """
    try:
        with os.scandir(folder) as entries:
            found = [Path(each.path) for each in entries if _is_file(each)]
    except OSError as error:
        raise FeedInvalid(f"{shlex.quote(str(folder))} {_cannot(error)}") from None
    return sorted(each for each in found if not each.name.startswith("."))


def changed_files(paths: Iterable[Path], since: datetime | None) -> list[Path]:
    """
    Those of some files that came, or were changed, since a time; what is not there has not come.

    By when the file system has noted it: a copy may have an older date, which is kept.
    """
    return [each for each in paths if _has_changed(each, since)]


def _has_changed(path: Path, since: datetime | None) -> bool:
    try:
        noted = path.stat().st_ctime
    except FileNotFoundError:
        return False
    except OSError:
        # Why it cannot be read is said when it is opened.
        return True
    return since is None or noted >= since.timestamp()


def open_file(path: Path) -> BinaryIO:
    """
    Open a file to be read more than once.

    Raises:
        FeedInvalid: It cannot be read, or is no regular file; the caller says which file.
    """
    try:
        # Not blocking: nobody waits for the writer of a pipe.
        stream = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    except OSError as error:
        raise FeedInvalid(f"it {_cannot(error)}") from None
    # A device may be one that can be sought in, and never ends.
    if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        stream.close()
        raise FeedInvalid("it is no regular file; give - and pipe it")
    return stream


def digest_of(stream: BinaryIO, *, name: str | None = None) -> bytes:
    """
    SHA-256 of a file, which then stands at its begin again; or of its name and what stands in it.

    Raises:
        FeedInvalid: It cannot be read.
    """
    found = hashlib.sha256(b"" if name is None else f"{name}\n".encode())
    try:
        while piece := stream.read(_PIECE):
            found.update(piece)
        stream.seek(0)
    except OSError as error:
        raise FeedInvalid(f"it {_cannot(error)}") from None
    return found.digest()


def read_records(stream: BinaryIO) -> Iterator[Record | Fault]:
    """
    The records of a file, in order; empty lines are left out.

    Raises:
        CsvError: It cannot be read from some line on, or is CSV and has not all columns.
    """
    try:
        begin = stream.read(LONGEST_LINE).removeprefix(codecs.BOM_UTF8).lstrip()
        stream.seek(0)
        yield from _json_lines(stream) if begin.startswith(b"{") else _rows(stream)
    except OSError as error:
        raise CsvError(f"it {_cannot(error)}") from None


def _rows(stream: BinaryIO) -> Iterator[Record]:
    reader = CsvReader(stream)
    places = find_columns(reader.header, COLUMNS, needed=NEEDED)
    for record in reader:
        cells = record.cells
        yield record.line, {name: cells[i] for name, i in places if i < len(cells)}


def _json_lines(stream: BinaryIO) -> Iterator[Record | Fault]:
    line = 0
    while raw := stream.readline(LONGEST_LINE + 1):
        line += 1
        if line == 1:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        if len(raw) > LONGEST_LINE:
            raise CsvError(f"line {line}: it is longer than {LONGEST_LINE} bytes")
        if raw.strip():
            found = _object(raw)
            if found is None:
                yield Fault(line, _NO_OBJECT)
            else:
                yield line, found


def _object(raw: bytes) -> Mapping[str, str] | None:
    """
    What a line says, as texts; nothing where it is no JSON object.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = raw.decode("gb18030", "replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    return {
        name: str(found[name])
        for name in COLUMNS
        if isinstance(found.get(name), str | int) and not isinstance(found[name], bool)
    }


def _is_file(entry: os.DirEntry[str]) -> bool:
    """
    Whether an entry of a folder is to be opened; one that nobody can look at says why when it is.
    """
    try:
        return entry.is_file()
    except OSError:
        return True


def _cannot(error: OSError) -> str:
    return f"cannot be read: {error.strerror}"
