"""
Rows of the files that ``agi-router import`` reads and ``export`` writes: cells in, a value out.

1. :data:`COLUMNS` is the only list of columns, and :data:`_FORMS` of what each mode takes. A new
   column, or a mode, is a line there.
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
from datetime import datetime, timedelta
from typing import Any

from agi_router.bindings.modes import Ax, Axb, Axe, Axyb, AxybOnCall, Gxb, Gxyb, Parties
from agi_router.bindings.terms import TERMS, Span, Words
from agi_router.bindings.words import (
    BindingState,
    Callback,
    Mode,
    check_order_id,
)
from agi_router.durations import format_duration
from agi_router.errors import CsvError, ModeError
from agi_router.numbers import PhoneNumber, XNumber, is_extension, parse_members
from agi_router.tenants.model import check_tenant
from agi_router.texts import narrow, strip
from agi_router.times import parse_time

__all__ = [
    "COLUMNS",
    "DAMAGED",
    "EXPORTED",
    "Column",
    "CsvRow",
    "Fault",
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

_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """
    What is wrong with a row.

    Attributes:
        column: The column, where it is of one.
        message: What is wrong, without anything of the cell.
    """

    column: str | None
    message: str

    def __str__(self) -> str:
        return self.message if self.column is None else f"{self.column}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvRow:
    """
    One row that can be bound.

    Attributes:
        parties: Who is bound; their class names the mode.
        x: The number that side A dials, if it is given.
        y: The number that side B dials, if it is given.
        ttl: How long it lives from the import on, if that is given.
        expires_at: When it ends, if that is given; not both.
        tenant: Whose order it is.
        order_id: The order behind it.
        terms: What else is agreed, by attributes of :class:`agi_router.bindings.terms.Terms`.
    """

    parties: Parties
    x: XNumber | None
    y: XNumber | None
    ttl: timedelta | None
    expires_at: datetime | None
    tenant: str
    order_id: str
    terms: Mapping[str, Any]


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


def _extension(text: str) -> str:
    text = narrow(text)
    if not is_extension(text):
        raise ValueError("an extension has 1 to 4 digits")
    return text


def _write_time(time: datetime) -> str:
    return time.isoformat()


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
    "mode": Column(
        about="`axb`, `axyb`, `gxb`, `gxyb`, `ax` or `axe`; required",
        read=Words(Mode).read,
    ),
    "a": Column(about="number of party A; required but for groups"),
    "g": Column(
        about="numbers of the group's members, with `;`, `、`, `/`, a comma or a space between;"
        " `gxb`, `gxyb`"
    ),
    "callback": Column(
        about="`default`, `last`, `all`, `sequence`: whom B of a group, or A of `ax`, calls back",
        read=Words(Callback).read,
    ),
    "default": Column(
        about="number of the group's default member, or that A of `ax`, `axe` reaches"
    ),
    "window": Column(
        about="how long who called last is called back, like `30m`; always if empty",
        read=Span(_SECOND, bare=_MINUTE).read,
        write=format_duration,
    ),
    "extension": Column(
        about="1 to 4 digits by which A is reached on X in `axe`; chosen if empty",
        read=_extension,
    ),
    "b": Column(about="number of party B; required but in `ax`, `axe`"),
    "x": Column(about="the 700 number that A's side dials; chosen if empty", read=XNumber.parse),
    "y": Column(
        about="the 700 number that B dials, in `axyb`, `gxyb`; chosen if empty",
        read=XNumber.parse,
    ),
    "y_ttl": Column(
        about="in `axyb`, instead of `y`: B's number is made when A calls, and lives so long",
        read=Span(_SECOND, bare=_MINUTE).read,
        write=format_duration,
    ),
    "ttl": Column(
        about="how long it lives from the import on, like `2h`; a minute at least",
        read=Span(_MINUTE).read,
    ),
    "expires": Column(
        about="or when it ends, like `2026-01-31T15:04:05+08:00`; by this machine's zone if it has"
        " none",
        read=parse_time,
        write=_write_time,
    ),
    **{
        term.word: Column(about=term.about, read=term.kind.read, write=term.kind.write)
        for term in TERMS
    },
    "order": Column(
        about="the order behind it, 1 to 128 characters; required",
        read=check_order_id,
    ),
    "tenant": Column(about="whose order it is; `default` if empty", read=check_tenant),
    "id": Column(about="name that the binding had where it was exported; not read"),
    "state": Column(
        about="`active`; a row where another word stands is over: it is left out, and counted;"
        " but `damaged`, which is a fault",
        read=str.lower,
    ),
    "fault": Column(about="why a row was rejected; not read"),
}
"""
All columns, by name. Numbers of parties are read by :class:`Header`, which knows what is allowed.
"""

EXPORTED = tuple(name for name in COLUMNS if name not in {"ttl", "fault"})
"""
The columns that an export has, in their order.
"""

_REQUIRED = ("mode", "order")
_TENANT = "default"
_UNREAD = frozenset({"id", "fault"})


@dataclass(frozen=True, slots=True)
class _Form:
    """
    What one mode takes.
    """

    needs: tuple[str, ...]
    may: tuple[str, ...]
    make: Callable[[Mapping[str, Any]], Parties]


def _pair(cells: Mapping[str, Any]) -> Parties:
    return Axb(a=cells["a"], b=cells["b"])


def _two_numbers(cells: Mapping[str, Any]) -> Parties:
    if "y_ttl" not in cells:
        return Axyb(a=cells["a"], b=cells["b"])
    if "y" in cells:
        raise ModeError("give y or y_ttl, not both")
    return AxybOnCall(a=cells["a"], b=cells["b"], y_ttl=cells["y_ttl"])


def _open(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "a": cells["a"],
        "callback": cells.get("callback", Callback.LAST),
        "default": cells.get("default"),
        "window": cells.get("window"),
    }


def _group(mode: type[Gxb]) -> Callable[[Mapping[str, Any]], Parties]:
    return lambda cells: mode(
        members=cells["g"],
        b=cells["b"],
        callback=cells.get("callback", Callback.DEFAULT),
        default=cells.get("default"),
        window=cells.get("window"),
    )


_CALLED_BACK = ("callback", "default", "window")
_FORMS = {
    Mode.AXB: _Form(("a", "b"), ("x",), _pair),
    Mode.AXYB: _Form(("a", "b"), ("x", "y", "y_ttl"), _two_numbers),
    Mode.GXB: _Form(("g", "b"), (*_CALLED_BACK, "x"), _group(Gxb)),
    Mode.GXYB: _Form(("g", "b"), (*_CALLED_BACK, "x", "y"), _group(Gxyb)),
    Mode.AX: _Form(("a",), (*_CALLED_BACK, "x"), lambda cells: Ax(**_open(cells))),
    Mode.AXE: _Form(
        ("a",),
        (*_CALLED_BACK, "extension", "x"),
        lambda cells: Axe(**_open(cells), extension=cells.get("extension")),
    ),
}
# What some modes take and others do not.
_OF_MODES = frozenset(name for form in _FORMS.values() for name in form.needs + form.may)


class Header:
    """
    The first line of a file, and how the others are read by it.

    Args:
        names: Its cells. A column without a name is to be empty.
        fixed_lines: Whether fixed lines may be parties.
        tenant: Whose rows alone it may have; :obj:`None` for anybody's.

    Raises:
        CsvError: A column is not known, comes twice, or is missing; its name is not told where it
            could be a number.
    """

    def __init__(
        self, names: Sequence[str], *, fixed_lines: bool = False, tenant: str | None = None
    ) -> None:
        self.names = tuple(narrow(strip(unescape(strip(name)))).lower() for name in names)
        _check_names(self.names)

        def number(text: str) -> PhoneNumber:
            return PhoneNumber.parse(text, fixed_lines=fixed_lines)

        def members(text: str) -> tuple[PhoneNumber, ...]:
            return parse_members(text, fixed_lines=fixed_lines)

        def only(text: str) -> str:
            name = check_tenant(text)
            if tenant not in {None, name}:
                raise ValueError(f"this is an import of tenant {tenant!r} alone")
            return name

        special: dict[str, Callable[[str], Any]] = {
            **dict.fromkeys(("a", "b", "default"), number),
            "g": members,
            "tenant": only,
        }
        self._tenant = _TENANT if tenant is None else tenant
        # Modes, and the columns that are filled; as many as there are kinds of rows.
        self._well_placed: set[tuple[Any, ...]] = set()
        self._readers = [
            (place, name, special.get(name, COLUMNS[name].read))
            for place, name in enumerate(self.names)
            if name and name not in _UNREAD
        ]
        self._unnamed = [place for place, name in enumerate(self.names) if not name]
        # Spreadsheets leave out empty cells at a row's end, or add some.
        self._least = len(self.names)
        while not self.names[self._least - 1]:
            self._least -= 1

    def read(self, cells: Sequence[str]) -> CsvRow | list[Fault] | None:
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
        if values.get("state") == DAMAGED:
            return [Fault("state", "the binding was damaged where it comes from: bind it anew")]
        if values.get("state", BindingState.ACTIVE) != BindingState.ACTIVE:
            return None
        faulty = {fault.column for fault in faults}
        faults += (
            Fault(name, "it is required")
            for name in _REQUIRED
            if name not in values and name not in faulty
        )
        if "ttl" in values and "expires" in values:
            faults.append(Fault("ttl", "give ttl or expires, not both"))
        form = _FORMS.get(values["mode"]) if "mode" in values else None
        # Most rows of a file have the same cells filled.
        filled = (values.get("mode"), *values)
        if form is not None and (faults or filled not in self._well_placed):
            faults += _misplaced(values, form, faulty)
            if not faults:
                self._well_placed.add(filled)
        if faults or form is None:
            return faults
        try:
            return _row({"tenant": self._tenant, **values}, form)
        except ValueError as error:
            return [Fault(None, str(error))]

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


def _row(values: Mapping[str, Any], form: _Form) -> CsvRow:
    return CsvRow(
        parties=form.make(values),
        x=values.get("x"),
        y=values.get("y"),
        ttl=values.get("ttl"),
        expires_at=values.get("expires"),
        tenant=values["tenant"],
        order_id=values["order"],
        terms={term.name: values.get(term.word, term.default) for term in TERMS},
    )


def _misplaced(values: Mapping[str, Any], form: _Form, faulty: set[str | None]) -> list[Fault]:
    """
    What the mode of a row needs and is not there, and what is there and not for it.
    """
    mode = values["mode"]
    missing = [name for name in form.needs if name not in values and name not in faulty]
    strange = (values.keys() & _OF_MODES) - {*form.needs, *form.may}
    return [
        *(Fault(name, f"a binding by {mode} needs it") for name in missing),
        *(Fault(name, f"a binding by {mode} has none") for name in sorted(strange)),
    ]


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
