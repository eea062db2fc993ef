"""
What is handed over of a day: kinds of records, their columns, and how a record is written down.

Rules for the editor:

1. A record of a day says what was so at the end of that day: what came of it later is told by a
   later day. The database does not know the terms of a binding of before: they are those of the
   time of packing, and their columns say so. All else is the same again, however late a day is
   exported.
2. A record is a line of cells in the text form of PostgreSQL's COPY; formats are made of that.
3. A column that is added goes to the end, and :data:`VERSION` counts up.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, Final

__all__ = [
    "KINDS",
    "VERSION",
    "ZONE",
    "Column",
    "Kind",
    "bounds",
    "describe",
    "read_cells",
    "write_cells",
]

VERSION: Final = 1
"""Of the schema below."""

ZONE: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Whose days they are; China has had no other time since 1991."""


@dataclass(frozen=True, slots=True)
class Column:
    """
    One column.

    Attributes:
        name: Its name.
        type: ``text``; ``integer``; ``time``, ISO 8601 in UTC; ``json``.
        about: What stands there.
    """

    name: str
    type: str
    about: str


@dataclass(frozen=True, slots=True)
class Kind:
    """
    One kind of record.

    Attributes:
        name: Its name.
        about: Which records are of a day.
        columns: Its columns, in order; each may be empty.
        key: Columns by which records are in order.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def tenants(self, lines: Iterable[bytes]) -> Counter[bytes]:
        """
        How many of some records are of whom, by the cell that names the tenant.
        """
        at = [column.name for column in self.columns].index("tenant")
        return Counter(line.split(b"\t", at + 1)[at] for line in lines)

    def place(self, line: bytes) -> list[str]:
        """
        Where a record stands in the order.
        """
        cells = read_cells(line)
        names = [column.name for column in self.columns]
        return [cells[names.index(name)] or "" for name in self.key]


def _columns(*rows: str) -> tuple[Column, ...]:
    return tuple(Column(*(part.strip() for part in row.split("|"))) for row in rows)


KINDS: Final = (
    Kind(
        "bindings",
        "Bindings that were made or ended on the day, or whose parties changed on it, as they were"
        " at its end.",
        _columns(
            "binding | text | Its name",
            "tenant | text | Whose it is",
            "order | text | The real order behind it; as of packing",
            "mode | text | Its mode",
            "state | text | active, or what had ended it by the end of the day",
            "begins_at | time | When it was bound",
            "expires_at | time | When it ends by time; as of packing",
            "ended_at | time | When it ended, if it had by the end of the day",
            "direction | text | Which side may call; as of packing",
            "max_calls | integer | Calls in all; empty: any number; as of packing",
            "messages | text | Which side may text; as of packing",
            "max_messages | integer | Texts in all; empty: any number; as of packing",
            "extension | text | The digits by which A is reached",
            "scene | text | The code of the use that it is made for",
            "consent | text | How its parties have agreed, as the tenant has stated it",
            "industrial_id | text | The order's id at an industrial platform; as of packing",
            "out_id | text | The tenant's id for it; as of packing",
            "user_data | text | The tenant's text; as of packing",
            "pool | text | The pool that its numbers came from",
            "party_group | text | The party group that is its side A",
            "parent | text | The binding whose call has made it",
            "parties | json | Who its parties were and when: a list of since, until, a, b (each a"
            " list of number and dials), called_back, and damage where they cannot be read",
        ),
        ("binding",),
    ),
    Kind(
        "calls",
        "Calls that came on the day and have ended; refused ones, too.",
        _columns(
            "id | text | Its id",
            "x | text | The 700 number dialled",
            "received_at | time | When it came",
            "answered_at | time | When it was answered, where that was told at once",
            "ended_at | time | When it ended",
            "binding | text | The binding that it used; empty: it was refused",
            "side | text | Side of the binding that the caller stood on",
            "shown | text | The 700 number that the callee was shown",
            "tenant | text | Whose it was, if anybody's",
            "reason | text | Why it was refused",
            "outcome | text | What became of the dialled leg",
            "ring_ms | integer | Milliseconds until the callee rang",
            "talk_ms | integer | Milliseconds of talk",
            "released_by | text | Who ended it",
            "clock | text | Which clock ended it",
            "cut | text | The lock for whose sake it was cut",
            "cause | integer | Q.850 cause at the end",
            "sip_status | integer | Final SIP status of the callee's leg",
            "check_id | text | Id of the question to the verification service",
            "check_verdict | text | What became of it",
            "check_ms | integer | Milliseconds that it took",
            "tenant_check_id | text | The same of the tenant's service",
            "tenant_check_verdict | text | What became of it",
            "tenant_check_ms | integer | Milliseconds that it took",
        ),
        ("received_at", "x", "id"),
    ),
    Kind(
        "texts",
        "Texts that were accepted on the day and have a final state.",
        _columns(
            "id | text | Its id",
            "x | text | The 700 number it was sent to",
            "received_at | time | When it was accepted",
            "done_at | time | When it reached its state",
            "binding | text | The binding that it used",
            "side | text | Side of the binding that the sender stood on",
            "shown | text | The 700 number that the receiver was shown",
            "tenant | text | Whose it was",
            "link_in | text | The door it came in by",
            "octets | integer | Its length in UTF-8",
            "parts | integer | How many short messages it is",
            "state | text | What became of it",
            "reason | text | Why it was not sent",
            "status | integer | Final status of the last try",
            "attempts | integer | How often it was tried",
            "maybe_twice | text | t: a try was begun of which nobody knows how it ended",
            "check_id | text | Id of the question to the verification service",
            "check_verdict | text | What became of it",
            "check_ms | integer | Milliseconds that it took",
            "tenant_check_id | text | The same of the tenant's service",
            "tenant_check_verdict | text | What became of it",
            "tenant_check_ms | integer | Milliseconds that it took",
        ),
        ("received_at", "x", "id"),
    ),
    Kind(
        "locks",
        "Locks that were set on the day or came to an end on it, as they were at its end.",
        _columns(
            "id | integer | Its id",
            "subject | text | What kind of thing is locked",
            "what | text | The 700 number, block, tenant or real number that is locked",
            "tenant | text | For which tenant alone",
            "reason | text | Why",
            "rule | text | The rule by which it was set",
            "note | text | What the person may be told",
            "set_by | text | Who has set it",
            "set_at | time | When",
            "starts_at | time | From when it holds",
            "ends_at | time | When it ends by itself; empty: not before it is reviewed",
            "over_at | time | When it ended or was lifted, if it was by the end of the day",
            "lifted_by | text | Who has lifted it",
            "lift_note | text | Why",
            "cut | text | t: it cuts calls that are up",
        ),
        ("id",),
    ),
    Kind(
        "consents",
        "Lines of the consent ledger that were written on the day.",
        _columns(
            "id | integer | Its id",
            "tenant | text | To whom it was said",
            "number | text | Who has said it",
            "act | text | given or withdrawn",
            "purpose | text | To what",
            "order | text | For which order alone",
            "how | text | How it was given",
            "at | time | When it was said",
            "evidence | text | SHA-256 of the evidence, in hexadecimal",
            "version | text | Which text was agreed to",
            "binding | text | The binding with which the tenant has stated it",
            "added_at | time | When it was written",
            "added_by | text | Who has written it",
        ),
        ("id",),
    ),
)
"""All kinds, in the order in which they are written."""


def bounds(day: date) -> tuple[datetime, datetime]:
    """
    When a day begins and ends, in UTC.
    """
    begin = datetime(day.year, day.month, day.day, tzinfo=ZONE).astimezone(UTC)
    return begin, begin + timedelta(days=1)


def describe() -> dict[str, Any]:
    """
    The schema, as it lies in each package.
    """
    return {
        "schema": "agi_router export",
        "version": VERSION,
        "kinds": [
            {
                "name": kind.name,
                "about": kind.about,
                "order": list(kind.key),
                "columns": [
                    {"name": each.name, "type": each.type, "about": each.about}
                    for each in kind.columns
                ],
            }
            for kind in KINDS
        ],
    }


_ESCAPED: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
_SPECIAL: Final = re.compile(r"[\\\t\n\r]")
_UNESCAPED: Final = {"t": "\t", "n": "\n", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}
_SEQUENCE: Final = re.compile(r"\\(.)")


def write_cells(values: Iterable[str | int | bool | datetime | None]) -> bytes:
    """
    A record as a line, without its end.
    """
    return "\t".join(map(_write, values)).encode()


def read_cells(line: bytes) -> Sequence[str | None]:
    """
    The cells of such a line; :obj:`None`: empty.
    """
    return [_read(cell) for cell in line.decode().split("\t")]


def _write(value: str | int | bool | datetime | None) -> str:  # noqa: FBT001 - a cell
    match value:
        case None:
            return r"\N"
        case bool():
            return "t" if value else "f"
        case datetime():
            return value.astimezone(UTC).isoformat()
        case _:
            return _SPECIAL.sub(lambda found: _ESCAPED[found[0]], str(value))


def _read(cell: str) -> str | None:
    if cell == r"\N":
        return None
    return _SEQUENCE.sub(lambda found: _UNESCAPED.get(found[1], found[1]), cell)
