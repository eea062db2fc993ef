"""
Number ranges: which mobile numbers are people's, as a table with dates and not as code.

1. What a mobile number looks like is the numbering plan's and stands in :mod:`agi_router.numbers`:
   11 digits beginning 13 to 19. A range says what numbers of one beginning are used for, by which
   carrier and since when.
2. Of the ranges in force on a day, the longest that a number begins with says what it is.
3. A range of the operator's takes the place of all rows of the same prefix.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Final, Self

from agi_router.texts import check_name, strip

__all__ = ["ANY_MOBILE", "NumberRange", "NumberRanges", "RangeKind", "RangesInForce"]

_COLUMNS: Final = ("prefix", "kind", "carrier", "from", "until", "note")
_PREFIX: Final = re.compile(r"1[3-9][0-9]{0,5}")
_AS_OF: Final = re.compile(r"#\s*as of\s+(\S+)\s*")
_LONGEST_TEXT: Final = 100
# Prefixes of four digits are 7,000.
_MOST: Final = 20_000


class RangeKind(StrEnum):
    """
    What the numbers of a range are used for.
    """

    MOBILE = "mobile"
    """People's: they may be parties."""
    MACHINE = "machine"
    SATELLITE = "satellite"
    UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRange:
    """
    One range.

    Attributes:
        prefix: What its numbers begin with: 2 to 7 digits.
        kind: What they are used for.
        carrier: Whose it is; empty where nobody says. A number may have been ported away.
        since: The first day that it is so, in Beijing; None: for longer than the table.
        until: The day from which it is so no more; None: nobody knows of one.
        note: For people.
        own: Whether it stands in the operator's file.
    """

    prefix: str
    kind: RangeKind
    carrier: str = ""
    since: date | None = None
    until: date | None = None
    note: str = ""
    own: bool = False

    def holds(self, day: date) -> bool:
        """
        Whether it is in force on a day.
        """
        return (self.since or day) <= day and (self.until is None or day < self.until)


@dataclass(frozen=True, slots=True, kw_only=True)
class RangesInForce:
    """
    What the ranges say on one day, made to be asked by each call.

    Attributes:
        kinds: By prefix.
        lengths: Digits of the prefixes, falling.
        plain: First three digits of which each number is a person's.
    """

    kinds: dict[str, RangeKind]
    lengths: tuple[int, ...]
    plain: frozenset[str]

    def is_mobile(self, digits: str) -> bool:
        """
        Whether a number of 11 digits beginning 13 to 19 is a person's.
        """
        return digits[:3] in self.plain or self.kind_of(digits) is RangeKind.MOBILE

    def kind_of(self, digits: str) -> RangeKind:
        """
        What a number of 11 digits beginning 13 to 19 is.
        """
        for length in self.lengths:
            if (kind := self.kinds.get(digits[:length])) is not None:
                return kind
        return RangeKind.UNASSIGNED


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberRanges:
    """
    The table.

    Attributes:
        rows: The ranges, by prefix.
        as_of: The day of which it is; None: it does not say.
    """

    rows: tuple[NumberRange, ...]
    as_of: date | None

    @classmethod
    def parse(cls, text: str, *, own: bool = False) -> Self:
        """
        Read a table: CSV with the columns prefix, kind, carrier, from, until and note.

        Args:
            text: Lines that begin with ``#`` are for people, but for ``# as of 2026-01-31``.
            own: Whether it is the operator's.

        Raises:
            ValueError: It is none; names the line and what is wrong.
        """
        as_of = None
        lines = []
        for line, each in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
            if match := _AS_OF.fullmatch(each):
                as_of = _day(match[1], line)
            # An empty line in its place, so that lines are counted as they stand.
            lines.append("" if each.startswith("#") else each)
        reader = csv.reader(lines, strict=True)
        header: list[str] | None = None
        rows: list[NumberRange] = []
        try:
            for cells in reader:
                if not any(map(strip, cells)):
                    continue
                if header is None:
                    header = _header([strip(each) for each in cells], reader.line_num)
                    continue
                if len(rows) == _MOST:
                    raise ValueError(f"it has more than {_MOST} ranges")
                rows.append(_row(dict(zip(header, cells, strict=False)), reader.line_num, own=own))
        except csv.Error:
            raise ValueError(f"line {reader.line_num}: it is not CSV") from None
        _refuse_twins(rows)
        return cls(rows=tuple(sorted(rows, key=_order)), as_of=as_of)

    def extended_by(self, own: NumberRanges) -> NumberRanges:
        """
        The same with the operator's ranges, which take the place of those of the same prefix.
        """
        theirs = {each.prefix for each in own.rows}
        kept = [each for each in self.rows if each.prefix not in theirs]
        days = [each for each in (self.as_of, own.as_of) if each is not None]
        return NumberRanges(
            rows=tuple(sorted([*kept, *own.rows], key=_order)), as_of=max(days, default=None)
        )

    def on(self, day: date) -> RangesInForce:
        """
        What it says on a day, in Beijing.
        """
        kinds = {each.prefix: each.kind for each in self.rows if each.holds(day)}
        found = RangesInForce(
            kinds=kinds,
            lengths=tuple(sorted({len(each) for each in kinds}, reverse=True)),
            plain=frozenset(),
        )
        mixed = {each[:3] for each, kind in kinds.items() if kind is not RangeKind.MOBILE}
        heads = (str(each) for each in range(130, 200))
        plain = (
            each for each in heads if each not in mixed and found.kind_of(each) is RangeKind.MOBILE
        )
        return RangesInForce(kinds=kinds, lengths=found.lengths, plain=frozenset(plain))


ANY_MOBILE = NumberRanges(
    rows=tuple(NumberRange(prefix=f"1{each}", kind=RangeKind.MOBILE) for each in range(3, 10)),
    as_of=None,
).on(date.min)
"""
Each number that looks like a mobile is one: what holds where no table was read.
"""


def _order(row: NumberRange) -> tuple[str, date]:
    return row.prefix, row.since or date.min


def _header(cells: list[str], line: int) -> list[str]:
    names = [each.lower() for each in cells]
    for needed in ("prefix", "kind"):
        if names.count(needed) != 1:
            raise ValueError(f"line {line}: the first row has to name the column {needed!r}, once")
    return names


def _row(cells: dict[str, str], line: int, *, own: bool) -> NumberRange:
    told = {name: strip(cells.get(name, "")) for name in _COLUMNS}
    if not _PREFIX.fullmatch(told["prefix"]):
        raise ValueError(f"line {line}: a prefix has 2 to 7 digits beginning 13 to 19")
    try:
        kind = RangeKind(told["kind"].lower())
    except ValueError:
        raise ValueError(f"line {line}: a kind is one of {', '.join(RangeKind)}") from None
    for name in ("carrier", "note"):
        if told[name]:
            try:
                check_name(told[name], what=f"a {name}", longest=_LONGEST_TEXT)
            except ValueError as error:
                raise ValueError(f"line {line}: {error}") from None
    found = NumberRange(
        prefix=told["prefix"],
        kind=kind,
        carrier=told["carrier"],
        since=_day(told["from"], line) if told["from"] else None,
        until=_day(told["until"], line) if told["until"] else None,
        note=told["note"],
        own=own,
    )
    if found.since and found.until and found.until <= found.since:
        raise ValueError(f"line {line}: it ends before it begins")
    return found


def _day(text: str, line: int) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"line {line}: a day looks like 2026-01-31") from None


def _refuse_twins(rows: Sequence[NumberRange]) -> None:
    """
    Refuse two rows of one prefix of which both hold on some day.
    """
    ordered = sorted(rows, key=_order)
    for one, other in pairwise(ordered):
        if one.prefix == other.prefix and (
            one.until is None or one.until > (other.since or date.min)
        ):
            raise ValueError(f"the prefix {one.prefix} has two rows that hold at one time")
