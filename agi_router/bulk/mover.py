"""
The move to 700: bindings on middle numbers of before become bindings on 700 numbers.

A file for it is one that an import reads, with a column more: ``old``, the middle number on which
the parties were. All rows of one old number get the same 700 number, as far as it is free for
their parties: whoever has one printed prints one again. The rows go through the import, so a file
that is moved again changes nothing that is done.
"""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Final

from agi_router.bindings.requests import BindRequest, Fault
from agi_router.bindings.rows import order_tags
from agi_router.bulk.columns import Header, unescape
from agi_router.bulk.csv_file import CsvReader, Record
from agi_router.bulk.importer import Importer, Tally, Watcher
from agi_router.db.connection import Queries
from agi_router.errors import CsvError, NumberError
from agi_router.keys.ring import KeyRing
from agi_router.numbers import NumberFault, parse_old_number
from agi_router.texts import narrow, strip

__all__ = ["Moved", "Mover"]

_OLD: Final = "old"
_X: Final = "x"


@dataclass(frozen=True, slots=True)
class Moved:
    """
    A binding that has a 700 number now.

    Attributes:
        old: The middle number of before.
        new: The 700 number that side A dials.
        new_b: The one that side B dials.
        order: The order.
        tenant: Whose it is.
    """

    old: str
    new: str
    new_b: str
    order: str
    tenant: str


@dataclass(slots=True)
class _Row:
    """
    A row of the file.
    """

    record: Record
    cells: list[str]
    old: str
    asked: BindRequest | None
    """What it asks for; nothing where it says that it is over, or has faults."""
    faults: list[Fault] = field(default_factory=list)


class Mover:
    """
    Moves what stands in a file.

    Args:
        queries: Of the database that it is moved to.
        keys: To find what was bound.
        make: Makes an import that tells a watcher.
        watcher: Who is told; of each row that cannot be moved once, at the end.
        fixed_lines: Whether fixed lines may be parties.
        tenant: Whose rows alone are taken.
    """

    def __init__(
        self,
        queries: Queries,
        keys: KeyRing,
        make: Callable[[Watcher], Importer],
        watcher: Watcher,
        *,
        fixed_lines: bool,
        tenant: str | None,
    ) -> None:
        self._queries = queries
        self._keys = keys
        self._make = make
        self._watcher = watcher
        self._fixed_lines = fixed_lines
        self._tenant = tenant
        self.tally = Tally()

    def run(self, stream: BinaryIO) -> list[Moved]:
        """
        Move all rows that can be; what became of them stands in :attr:`tally`.

        Raises:
            CsvError: It is no such file.
            StoreError: The database failed; rows that were bound stay so.
        """
        rows = self._read(CsvReader(stream, self._watcher.encoding))
        self._move([row for row in rows if not row.faults])
        moved = []
        for row in rows:
            if row.faults:
                self.tally.rejected += 1
                self._watcher.rejected(row.record, row.faults)
            elif (made := self._find(row)) is not None:
                moved.append(made)
        self._keep(moved)
        return moved

    def _keep(self, moved: Sequence[Moved]) -> None:
        """
        Note what calls to the old numbers are told, and under which number they are on record.
        """
        told = [each for each in moved if each.new]
        self._queries.execute(
            "keep_old_numbers",
            {
                "numbers": [parse_old_number(each.old) for each in told],
                "x_numbers": [int(each.new) for each in told],
                "tenants": [each.tenant for each in told],
            },
        )

    def _move(self, left: list[_Row]) -> None:
        """
        Import rows: the first of each old number finds the number for the others.
        """
        numbers: dict[str, str] = {}
        doubtful: set[int] = set()
        while left:
            firsts: dict[str, _Row] = {}
            for row in left:
                if row.asked is not None and row.old not in numbers and id(row) not in doubtful:
                    firsts.setdefault(row.old, row)
            # Of those of whom none is thought to be bound, each goes its own way.
            some = [row for row in left if row is firsts.get(row.old, row)]
            self._import(some, numbers)
            for old, row in firsts.items():
                if not row.faults and (made := self._find(row)) is not None:
                    numbers[old] = made.new
            taken = set(map(id, some))
            left = [row for row in left if id(row) not in taken]
            # Rather than try one after the other, ask of all at once which ones cannot be bound.
            unknown = [row for row in left if row.old not in numbers and id(row) not in doubtful]
            if unknown:
                doubtful |= self._rehearse(unknown)

    def _rehearse(self, rows: Sequence[_Row]) -> set[int]:
        """
        The ids of rows that could not be bound if all were now.
        """
        found: set[int] = set()
        stream, at = self._write(rows, {})
        watcher = self._watching(lambda record, _: found.add(id(at[record.line])))
        self._make(watcher).run(stream, keep_going=True, dry_run=True)
        return found

    def _read(self, reader: CsvReader) -> list[_Row]:
        names = [narrow(strip(unescape(strip(name)))).lower() for name in reader.header]
        if _OLD not in names:
            raise CsvError("the header lacks the column 'old': the middle number of before")
        place = names.index(_OLD)
        self._names = [name for name in names if name != _OLD]
        if _X not in self._names:
            self._names.append(_X)
        pools = self._make(self._watcher).pools()
        header = Header(
            self._names, fixed_lines=self._fixed_lines, tenant=self._tenant, pools=pools
        )
        self._watcher.header(reader.header)
        rows = []
        for record in reader:
            if not any(map(strip, record.cells)):
                continue
            cells = [cell for at, cell in enumerate(record.cells) if at != place]
            cells += [""] * (len(self._names) - len(cells))
            old = re.sub(r"[\s-]", "", narrow(strip(unescape(_cell(record.cells, place)))))
            asked = header.read(cells)
            row = _Row(record, cells, old, asked if isinstance(asked, BindRequest) else None)
            if isinstance(asked, list):
                row.faults += asked
            if why := _why_no_old(old):
                row.faults.append(Fault(_OLD, why))
            rows.append(row)
        return rows

    def _import(self, rows: Sequence[_Row], numbers: Mapping[str, str]) -> None:
        stream, at = self._write(rows, numbers)

        def reject(record: Record, faults: Sequence[Fault]) -> None:
            at[record.line].faults += faults

        done = self._make(self._watching(reject)).run(stream, keep_going=True)
        self.tally.bound += done.bound
        self.tally.there += done.there
        self.tally.over += done.over

    def _watching(self, reject: Callable[[Record, Sequence[Fault]], None]) -> Watcher:
        return Watcher(
            header=lambda _: None,
            rejected=reject,
            waiting=self._watcher.waiting,
            read=lambda _: None,
            encoding=lambda _: None,
        )

    def _write(
        self, rows: Sequence[_Row], numbers: Mapping[str, str]
    ) -> tuple[BinaryIO, dict[int, _Row]]:
        """
        A file of rows for an import, and each of them by the line at which it begins.
        """
        out = io.StringIO(newline="")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self._names)
        at: dict[int, _Row] = {}
        line = 2
        for row in rows:
            cells = list(row.cells)
            place = self._names.index(_X)
            cells[place] = cells[place] or numbers.get(row.old, "")
            before = out.tell()
            writer.writerow(cells)
            at[line] = row
            out.seek(before)
            line += out.read().count("\n")
        return io.BytesIO(out.getvalue().encode()), at

    def _find(self, row: _Row) -> Moved | None:
        """
        The numbers of what a row has bound; :obj:`None` where the row says that it is over.
        """
        asked = row.asked
        if asked is None or asked.order_id is None:
            return None
        tags = order_tags(
            asked.parties, tenant=asked.tenant, order_id=asked.order_id, keys=self._keys
        )
        values: dict[str, Any] = {"order_id": asked.order_id, "tags": tags}
        found = self._queries.row("find_moved", values)
        if found is None:
            return None
        return Moved(
            old=row.old,
            new=str(found["new"] or ""),
            new_b=str(found["new_b"] or ""),
            order=asked.order_id,
            tenant=asked.tenant,
        )


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place] if place < len(cells) else ""


def _why_no_old(text: str) -> str | None:
    try:
        parse_old_number(text)
    except NumberError as error:
        if error.kind is NumberFault.IS_700:
            return "is a 700 number already"
        return "is no number: digits, as the parties dialled it"
    return None
