"""
Rows of the files that ``agi-router import`` reads and ``export`` writes: cells in, a value out.

1. The columns are what may be said of a new binding (:mod:`agi_router.bindings.fields`), and a few
   of the file's own, in :data:`COLUMNS`. A row becomes a
   :class:`~agi_router.bindings.requests.BindRequest`, as anything does that asks for a binding.
2. :meth:`Header.read` is total: it returns a row, or all faults of the row, and raises nothing.
3. No message quotes a cell, but for a number of three digits: any of them may hold a real number,
   in the wrong column too.
4. A spreadsheet takes a cell for a formula that begins with ``=``, ``+``, ``-``, ``@`` or a
   control character, and it may split a cell at separators that are not ours. :func:`escape` puts
   an apostrophe in front, :func:`unescape` takes away exactly what was put there.

Source:
    OWASP, CSV Injection.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agi_router.bindings.fields import FIELDS, reader
from agi_router.bindings.pools import Pool
from agi_router.bindings.requests import BindRequest, Fault, find_misplaced, make_request
from agi_router.bindings.words import BindingState
from agi_router.errors import CsvError, RequestInvalid
from agi_router.tenants.model import check_tenant
from agi_router.texts import narrow, strip

__all__ = [
    "COLUMNS",
    "DAMAGED",
    "EXPORTED",
    "Column",
    "Header",
    "escape",
    "unescape",
    "write_cells",
]

_FORMULA = r"[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]"
_SEPARATOR = r"[,;|\t\r\n\"]"
_BEGINS = rf"(?:(?<={_SEPARATOR})|^)"
# Behind apostrophes too: else one that stood there before could not be told from ours.
_ESCAPE = re.compile(rf"{_BEGINS}(?='*{_FORMULA})")
_UNESCAPE = re.compile(rf"{_BEGINS}'(?='*{_FORMULA})")


DAMAGED = "damaged"
"""The state of a binding whose numbers could not be read where it was exported."""


def escape(text: str) -> str:
    """
    Write *text* so that no spreadsheet takes any part of it for a formula.
    """
    return _ESCAPE.sub("'", text)


def unescape(text: str) -> str:
    """
    Read what :func:`escape` has written; other text stays as it is.
    """
    return _UNESCAPE.sub("", text) if "'" in text else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """
    One column of a file.

    Attributes:
        about: What stands there, for people.
        read: Makes a value of a cell that is not empty; raises :exc:`ValueError`.
        write: Makes a cell of a value that is there.
    """

    about: str
    read: Callable[[str], Any] = str
    write: Callable[[Any], str] = str


COLUMNS: Mapping[str, Column] = {
    **{
        word: Column(about=field.about, read=field.kind.read, write=field.kind.write)
        for word, field in FIELDS.items()
    },
    "order": Column(
        about=f"{FIELDS['order'].about}; required",
        read=FIELDS["order"].kind.read,
        write=FIELDS["order"].kind.write,
    ),
    "id": Column(about="name that the binding had where it was exported; not read"),
    "state": Column(
        about="`active`; a row where another word stands is over: it is left out, and counted;"
        " but `damaged` and `held`, which are faults",
        read=str.lower,
    ),
    "fault": Column(about="why a row was rejected; not read"),
}
"""
All columns, by name: what may be said of a new binding, and what an export tells besides.
"""

EXPORTED = tuple(name for name in COLUMNS if name not in {"ttl", "fault"})
"""
The columns that an export has, in their order.
"""

_REQUIRED = ("mode", "order")
# Bindings that are not to be made anew as they stand there.
_NOT_TAKEN = {
    DAMAGED: "the binding was damaged where it comes from: bind it anew",
    BindingState.HELD: "it is held where it comes from: release it there first",
}
_TENANT = "default"
_NO_POOLS: Mapping[tuple[str, str], Pool] = {}
_UNREAD = frozenset({"id", "fault"})


class Header:
    """
    The first line of a file, and how the others are read by it.

    Args:
        names: Its cells. A column without a name is to be empty.
        fixed_lines: Whether fixed lines may be parties.
        tenant: Whose rows alone it may have; :obj:`None` for anybody's.
        pools: The pools that rows may name, by tenant and name.

    Raises:
        CsvError: A column is not known, comes twice, or is missing; its name is not told where it
            could be a number.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        fixed_lines: bool = False,
        tenant: str | None = None,
        pools: Mapping[tuple[str, str], Pool] = _NO_POOLS,
    ) -> None:
        self.names = tuple(narrow(strip(unescape(strip(name)))).lower() for name in names)
        _check_names(self.names)

        def only(text: str) -> str:
            name = check_tenant(text)
            if tenant not in {None, name}:
                raise ValueError(f"this is an import of tenant {tenant!r} alone")
            return name

        readers: dict[str, Callable[[str], Any]] = {
            **{name: column.read for name, column in COLUMNS.items()},
            **{word: reader(word, fixed_lines=fixed_lines).read for word in FIELDS},
            "tenant": only,
        }
        self._tenant = _TENANT if tenant is None else tenant
        self._pools = pools
        # Modes, and the columns that are filled; as many as there are kinds of rows.
        self._well_placed: set[tuple[Any, ...]] = set()
        self._readers = [
            (place, name, readers[name])
            for place, name in enumerate(self.names)
            if name and name not in _UNREAD
        ]
        self._unnamed = [place for place, name in enumerate(self.names) if not name]
        # Spreadsheets leave out empty cells at a row's end, or add some.
        self._least = len(self.names)
        while not self.names[self._least - 1]:
            self._least -= 1

    def read(self, cells: Sequence[str]) -> BindRequest | list[Fault] | None:
        """
        Read one row.

        Returns:
            The row; or all its faults; or :obj:`None` where it says itself that it is over.
        """
        if len(cells) != len(self.names) and (
            len(cells) < self._least or any(map(strip, cells[len(self.names) :]))
        ):
            return [
                Fault(None, f"the header has {len(self.names)} columns, this row {len(cells)}")
            ]
        values, faults = self._values(cells)
        faults += (
            Fault(None, f"column {place + 1} has no name in the header, and something in this row")
            for place in self._unnamed
            if place < len(cells) and strip(cells[place])
        )
        if (why := _NOT_TAKEN.get(values.get("state", ""))) is not None:
            return [Fault("state", why)]
        if values.get("state", BindingState.ACTIVE) != BindingState.ACTIVE:
            return None
        faulty = {fault.word for fault in faults}
        faults += (
            Fault(name, "it is required")
            for name in _REQUIRED
            if name not in values and name not in faulty
        )
        if "ttl" in values and "expires" in values:
            faults.append(Fault("ttl", "give ttl or expires, not both"))
        mode = values.get("mode")
        # Most rows of a file have the same cells filled.
        filled = (mode, *values)
        if mode is not None and (faults or filled not in self._well_placed):
            faults += find_misplaced(mode, values, faulty=faulty)
            if not faults:
                self._well_placed.add(filled)
        if faults or mode is None:
            return faults
        try:
            return make_request(self._filled(values), tenant=self._tenant)
        except ValueError as error:
            return [Fault(None, str(error))]

    def _filled(self, values: dict[str, Any]) -> dict[str, Any]:
        """
        The same, with what their pool has by default, if they name one.

        Raises:
            RequestInvalid: There is no such pool, or it takes nothing of this mode.
        """
        if "pool" not in values:
            return values
        pool = self._pools.get((values.get("tenant", self._tenant), values["pool"]))
        if pool is None:
            raise RequestInvalid("the tenant has no pool of this name", ("pool",))
        return pool.fill(values)

    def _values(self, cells: Sequence[str]) -> tuple[dict[str, Any], list[Fault]]:
        """
        What the cells say that are not empty, by column; and those that say nothing we know.
        """
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for place, name, read in self._readers:
            text = strip(cells[place])
            if not text:
                continue
            text = unescape(text)
            try:
                values[name] = read(text)
            except ValueError as error:
                faults.append(Fault(name, str(error)))
        return values, faults


def _check_names(names: Sequence[str]) -> None:
    for place, name in enumerate(names, start=1):
        if name and name not in COLUMNS:
            raise CsvError(
                f"the header's column {place} is not known; a header is made of"
                f" {', '.join(COLUMNS)}"
            )
    for name in names:
        if name and names.count(name) > 1:
            raise CsvError(f"the header has the column {name} twice")
    for name in _REQUIRED:
        if name not in names:
            raise CsvError(f"the header lacks the column {name}")


def write_cells(values: Mapping[str, Any]) -> list[str]:
    """
    Write the cells of one row, in the order of :data:`EXPORTED`; escaped.

    Args:
        values: By column; what is absent or :obj:`None` is an empty cell.
    """
    return [
        "" if (value := values.get(name)) is None else escape(COLUMNS[name].write(value))
        for name in EXPORTED
    ]
