"""
Files of plain numbers, read in blocks.

Nearly all lines of a large file are alike: one pattern takes them apart, all at once, in a seventh
of the time that they take one by one. What comes is what
:func:`agi_router.feeds.files.read_records` and :func:`agi_router.feeds.model.read_notice` say of
the same file, line by line. A line that the pattern does not take is read as they read it. Where
something is met that may reach over lines (quotes, another encoding), the blocks end before it:
what is left is to be read line by line.
"""

import codecs
import contextlib
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from operator import itemgetter
from typing import BinaryIO, NamedTuple, TypeVar

from agi_router.bulk.csv_file import LONGEST_LINE, CsvReader, find_columns
from agi_router.errors import CsvError
from agi_router.feeds.model import COLUMNS, NEEDED, Answer, Fault, Notice, NumberForm, read_notice
from agi_router.numbers import PhoneNumber, judged_by
from agi_router.texts import strip

__all__ = ["PIECE", "Block", "BlockReader"]

PIECE = 1 << 20
"""
Bytes that are read at once: some 30,000 records.
"""

# What the pattern takes: of a status or a date, of a cell that is passed over, of all behind them.
_CELL = 40
_OTHER_CELL = 200
_REST = 1000
# Of longer lines a block would hold too much.
_LINE = 4096

_Row = tuple[bytes, ...]
_Each = TypeVar("_Each")

_Said = tuple[bytes, bytes]
"""A status and a date, as they stand in a line."""

_NOTHING: _Said = (b"", b"")
"""What is said by a line that the pattern has not taken."""


class Block(NamedTuple):
    """
    Some records that follow one another.

    Attributes:
        size: How many records, those that cannot be read among them.
        numbers: Those of the records that the pattern has taken.
        lines: The line of each of these.
        said: What each of these says.
        means: What that means: a record of some number.
        notices: The records that the pattern has not taken.
        faults: What cannot be read, by line.
        answers: What is said how often.
    """

    size: int
    numbers: Sequence[bytes]
    lines: Sequence[int]
    said: Sequence[_Said]
    means: dict[_Said, Notice]
    notices: Sequence[Notice]
    faults: Sequence[Fault]
    answers: Counter[Answer]

    def chosen(self, places: Iterable[int]) -> list[Notice]:
        """
        The records of some places in :attr:`numbers`, and all that the pattern has not taken.
        """
        found = [
            self.means[self.said[place]]._replace(
                line=self.lines[place],
                number=PhoneNumber(digits=self.numbers[place].decode("ascii")),
            )
            for place in places
        ]
        return sorted([*found, *self.notices], key=itemgetter(0))


class BlockReader:
    """
    The blocks of a file, as far as it can be read so.

    Args:
        stream: The file, at its begin.
        now: The store's clock; no record is of a later time.
        skip: How many records are passed over.
        piece: How many bytes are read at once.
    """

    def __init__(
        self, stream: BinaryIO, *, now: datetime, skip: int = 0, piece: int = PIECE
    ) -> None:
        self._stream = stream
        self._now = now
        self._skip = skip
        self._piece = piece
        self.whole = False
        """Whether nothing of the file is left."""

    def __iter__(self) -> Iterator[Block]:
        # What cannot be read is told by whoever reads line by line.
        with contextlib.suppress(OSError):
            yield from self._blocks()

    def _blocks(self) -> Iterator[Block]:
        shape = _Shape.of(self._stream.readline(LONGEST_LINE))
        if shape is None:
            return
        line = 2
        rest = b""
        while True:
            more = self._stream.read(self._piece)
            piece, end, rest = (rest + more).rpartition(b"\n")
            piece += end
            if not more and rest:
                piece, rest = rest + b"\n", b""
            if not _is_simple(piece) or len(rest) > _LINE:
                return
            rows = shape.pattern.findall(piece)
            if any(len(row[-1]) > _LINE for row in rows):
                return
            block = self._block(shape, rows, line)
            if block.size:
                yield block
            if not more:
                self.whole = True
                return
            line += len(rows)

    def _block(self, shape: "_Shape", rows: list[_Row], first: int) -> Block:
        """
        The records of some rows, the first of which stands on the line *first*.
        """
        lines: Sequence[int] = range(first, first + len(rows))
        numbers = list(map(shape.number, rows))
        if not all(numbers):
            kept = [i for i, row in enumerate(rows) if numbers[i] or shape.is_filled(row)]
            rows, lines, numbers = _at(kept, rows), _at(kept, lines), _at(kept, numbers)
        skipped = min(self._skip, len(rows))
        self._skip -= skipped
        rows, lines, numbers = rows[skipped:], lines[skipped:], numbers[skipped:]
        said = list(map(shape.said, rows))
        counts = Counter(said)
        sample = next(filter(None, numbers), b"").decode("ascii")
        read = {
            each: read_notice(0, _cells(sample, *each), NumberForm.PLAIN, now=self._now)
            for each in counts
            if each != _NOTHING
        }
        means = {each: notice for each, notice in read.items() if isinstance(notice, Notice)}
        answers: Counter[Answer] = Counter()
        for each, notice in means.items():
            answers[notice.answer] += counts[each]
        others: list[Notice | Fault] = []
        if len(means) < len(counts):
            for line, row, each in zip(lines, rows, said, strict=True):
                if each == _NOTHING:
                    cells = shape.cells(row)
                    others.append(read_notice(line, cells, NumberForm.PLAIN, now=self._now))
                elif each not in means:
                    others.append(read[each]._replace(line=line))
            kept = [i for i, each in enumerate(said) if each in means]
            numbers, lines, said = _at(kept, numbers), _at(kept, lines), _at(kept, said)
        notices = [each for each in others if isinstance(each, Notice)]
        answers.update(each.answer for each in notices)
        return Block(
            size=len(rows),
            numbers=numbers,
            lines=lines,
            said=said,
            means=means,
            notices=notices,
            faults=[each for each in others if isinstance(each, Fault)],
            answers=answers,
        )


class _Shape(NamedTuple):
    """
    What the lines of one file look like.

    Attributes:
        pattern: Takes a line apart: the cells that are read; or else the whole line, as the last.
        number: The number of a row; empty where the pattern has not taken the line.
        said: Its status and its date.
        delimiter: What stands between cells.
        columns: The cells that are read, by their places.
    """

    pattern: "re.Pattern[bytes]"
    number: Callable[[_Row], bytes]
    said: Callable[[_Row], _Said]
    delimiter: str
    columns: Sequence[tuple[str, int]]

    @classmethod
    def of(cls, header: bytes) -> "_Shape | None":
        """
        What stands below a header; None where it is none of a file that is read in blocks.
        """
        header = header.removeprefix(codecs.BOM_UTF8)
        if not header.endswith(b"\n") or header.lstrip().startswith(b"{"):
            return None
        if not _is_simple(header):
            return None
        try:
            reader = CsvReader(io.BytesIO(header))
            columns = find_columns(reader.header, COLUMNS, needed=NEEDED)
        except CsvError:
            return None
        names = {place: name for name, place in columns}
        between = re.escape(reader.delimiter)
        taken = {
            "number": _number_pattern(),
            "status": f'([^{between}"\r\n]{{1,{_CELL}}})',
            "date": f'([^{between}"\r\n]{{0,{_CELL}}})',
            "": f'[^{between}"\r\n]{{0,{_OTHER_CELL}}}',
        }
        cells = between.join(taken[names.get(i, "")] for i in range(max(names) + 1))
        rest = f'(?:{between}[^"\r\n]{{0,{_REST}}})?'
        # A file without dates has an empty one in each line.
        groups = [names[place] for place in sorted(names)] + ["date"]
        return cls(
            pattern=re.compile(f"{cells}{rest}()\r?\n|([^\n]*)\n".encode("ascii")),
            number=itemgetter(groups.index("number")),
            said=itemgetter(groups.index("status"), groups.index("date")),
            delimiter=reader.delimiter,
            columns=columns,
        )

    def is_filled(self, row: _Row) -> bool:
        """
        Whether a line that the pattern has not taken is a record.
        """
        return any(map(strip, self._split(row)))

    def cells(self, row: _Row) -> dict[str, str]:
        """
        What a line has that the pattern has not taken, by the names of the columns.
        """
        cells = self._split(row)
        return {name: cells[place] for name, place in self.columns if place < len(cells)}

    def _split(self, row: _Row) -> list[str]:
        return row[-1].decode("ascii").removesuffix("\r").split(self.delimiter)


def _number_pattern() -> str:
    """
    A mobile number of a range of which all are people's, as nearly all files write it.
    """
    thirds: dict[str, str] = {}
    for head in sorted(judged_by().plain):
        thirds[head[1]] = thirds.get(head[1], "") + head[2]
    heads = "|".join(f"{second}[{third}]" for second, third in thirds.items())
    return f"(?:\\+86)?(1(?:{heads})[0-9]{{8}})" if heads else "([^\\s\\S])"


def _is_simple(piece: bytes) -> bool:
    """
    Whether each line by itself can be told from what is beside it, and by the simplest encoding.
    """
    return (
        piece.isascii()
        and b'"' not in piece
        and b"\0" not in piece
        and piece.count(b"\r") == piece.count(b"\r\n")
    )


def _cells(number: str, status: bytes, date: bytes) -> dict[str, str]:
    return {"number": number, "status": status.decode("ascii"), "date": date.decode("ascii")}


def _at(places: Iterable[int], each: Sequence[_Each]) -> list[_Each]:
    return [each[place] for place in places]
