"""
The records of a day, as the database has them.
"""

import json
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Final

from psycopg import sql

from agi_router.bindings.model import BindingId
from agi_router.bindings.words import Side
from agi_router.db.connection import Connection, Queries, translated
from agi_router.db.queries import query
from agi_router.exports.kinds import Kind, bounds, write_cells
from agi_router.keys.damage import open_or_tell
from agi_router.keys.ring import KeyRing
from agi_router.logs import redact
from agi_router.numbers import Block, PhoneNumber
from agi_router.persons.register import PersonRegister
from agi_router.traces.model import Stretch
from agi_router.traces.store import Tracer

__all__ = ["BATCH", "DayRecords", "Records"]

BATCH: Final = 5000
"""So many records are in memory at once."""

_ROWS: Final = 1000
_COPIED: Final = {"calls": "copy_calls_of_day", "texts": "copy_texts_of_day"}
_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Records:
    """
    Some records, in their order.

    Attributes:
        lines: One each, numbers shown as they were asked for.
        masked: The same with numbers masked.
    """

    lines: Sequence[bytes]
    masked: Sequence[bytes]


class DayRecords:
    """
    The records of one day.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        keys: What numbers are sealed with.
        day: The day.
        reveal: Whether real numbers are shown in full.
    """

    def __init__(self, connection: Connection, keys: KeyRing, day: date, *, reveal: bool) -> None:
        self._connection = connection
        self._queries = Queries(connection)
        self._keys = keys
        self._reveal = reveal
        self._since, self._until = bounds(day)
        self._tracer = Tracer(connection, keys)
        self._register = PersonRegister(self._queries, keys)

    def read(self, kind: Kind, after: Sequence[str] | None) -> Generator[Records, None, None]:
        """
        All of a kind as they stand at one moment, in their order; to be closed.

        Args:
            kind: Which.
            after: Behind which one, see :meth:`Kind.place`; :obj:`None`: from the first on.
        """
        with self._queries.snapshot():
            self._queries.execute("steer_export", {})
            if kind.name in _COPIED:
                yield from self._copy(kind, after)
            else:
                yield from self._stream(kind, after)

    def _copy(self, kind: Kind, after: Sequence[str] | None) -> Generator[Records, None, None]:
        at, x_number, name = after or (None, None, None)
        values = {
            **self._times(),
            "first": self._since.date(),
            "last": self._until.date(),
            "after_at": at,
            "after_x": x_number,
            "after_id": name,
        }
        lines: list[bytes] = []
        with translated(), self._connection.cursor() as cursor:
            # A COPY takes no parameters.
            text = _bound(query(_COPIED[kind.name]), values)
            with cursor.copy(text) as copy:
                for row in copy:
                    lines.append(bytes(row)[:-1])
                    if len(lines) == BATCH:
                        yield Records(lines, lines)
                        lines = []
        if lines:
            yield Records(lines, lines)

    def _stream(self, kind: Kind, after: Sequence[str] | None) -> Generator[Records, None, None]:
        values = {**self._times(), "after_block": None, "after_id": None}
        if after is not None:
            block, _, serial = after[0].rpartition("-")
            values |= {"after_block": block or None, "after_id": serial}
        name, write = {
            "bindings": ("stream_bindings_of_day", self._bindings),
            "locks": ("stream_locks_of_day", self._locks),
            "consents": ("stream_consents_of_day", self._consents),
        }[kind.name]
        for rows in self._queries.stream(name, values, size=_ROWS):
            lines = write(rows)
            yield Records([line[self._reveal] for line in lines], [line[False] for line in lines])

    def _times(self) -> dict[str, Any]:
        return {"since": self._since, "until": self._until}

    def _bindings(self, rows: Sequence[_Row]) -> list[tuple[bytes, bytes]]:
        names = [BindingId(Block(value=row["block"]), row["id"]) for row in rows]
        first = min(row["begins_at"] for row in rows)
        bound: dict[BindingId, list[Stretch]] = {}
        for each in self._tracer.bound(names, since=first, until=self._until):
            bound.setdefault(each.binding, []).append(each)
        return [
            self._both(partial(self._binding, row, name, bound))
            for row, name in zip(rows, names, strict=True)
        ]

    def _binding(
        self,
        row: _Row,
        name: BindingId,
        bound: Mapping[BindingId, Sequence[Stretch]],
        shown: "_Shown",
    ) -> Sequence[Any]:
        parties = [
            self._stretch(each, shown) for each in bound.get(name, ()) if each.since < self._until
        ]
        texts = [_text(row[each], shown) for each in ("industrial_id", "out_id", "user_data")]
        return [
            name,
            row["tenant"],
            _text(row["order_id"], shown),
            *(row[each] for each in ("mode", "state", "begins_at")),
            *(row[each] for each in ("expires_at", "ended_at", "direction", "max_calls")),
            *(row[each] for each in ("messages", "max_messages", "extension", "scene", "consent")),
            *texts,
            row["pool"],
            row["party_group"],
            None if row["parent_id"] is None else f"{row['block']}-{row['parent_id']}",
            json.dumps(parties, separators=(",", ":")),
        ]

    def _stretch(self, stretch: Stretch, shown: "_Shown") -> dict[str, Any]:
        sides = {
            side.value: [
                {"number": shown(each.number), "dials": each.dials and str(each.dials)}
                for each in stretch.parties
                if each.side is side
            ]
            for side in Side
        }
        told: dict[str, Any] = {
            "since": stretch.since.isoformat(),
            # What ends later ends on a later day.
            "until": stretch.until.isoformat() if stretch.until < self._until else None,
            **sides,
        }
        if stretch.called_back:
            told["called_back"] = list(map(shown, stretch.called_back))
        if stretch.damage is not None:
            told["damage"] = stretch.damage
        return told

    def _locks(self, rows: Sequence[_Row]) -> list[tuple[bytes, bytes]]:
        return [self._both(partial(self._lock, row)) for row in rows]

    def _lock(self, row: _Row, shown: "_Shown") -> Sequence[Any]:
        if row["sealed"] is None:
            what = row["tenant"] if row["subject"] == "tenant" else row["key"]
        else:
            what = self._opened(
                lambda: self._keys.open_locked(row["sealed"], row["id"], row["key"]), shown
            )
        over = ("over_at", "lifted_by", "lift_note")
        return [
            row["id"],
            row["subject"],
            what,
            *(row[each] for each in ("tenant", "reason", "rule", "note", "set_by", "set_at")),
            *(row[each] for each in ("starts_at", "ends_at")),
            *(row[each] if row["is_over"] else None for each in over),
            row["cut"],
        ]

    def _consents(self, rows: Sequence[_Row]) -> list[tuple[bytes, bytes]]:
        people = self._people({row["person_id"] for row in rows})
        return [self._both(partial(self._consent, row, people)) for row in rows]

    def _people(self, ids: set[int]) -> Mapping[int, PhoneNumber]:
        opened = self._register.open(ids).items()
        return {each: person for each, (person, _) in opened if person is not None}

    @staticmethod
    def _consent(row: _Row, people: Mapping[int, PhoneNumber], shown: "_Shown") -> Sequence[Any]:
        person = people.get(row["person_id"])
        return [
            row["id"],
            row["tenant"],
            None if person is None else shown(person),
            *(row[each] for each in ("act", "purpose")),
            _text(row["order_id"], shown),
            *(row[each] for each in ("how", "at")),
            None if row["evidence"] is None else row["evidence"].hex(),
            *(row[each] for each in ("version", "binding", "added_at", "added_by")),
        ]

    def _both(self, write: Callable[["_Shown"], Sequence[Any]]) -> tuple[bytes, bytes]:
        """
        A record masked, and in full where that is asked for.
        """
        masked = write_cells(write(_masked))
        return masked, write_cells(write(_in_full)) if self._reveal else masked

    @staticmethod
    def _opened(open_it: Callable[[], PhoneNumber], shown: "_Shown") -> str | None:
        number, _ = open_or_tell(open_it)
        return None if number is None else shown(number)


_Shown = Callable[[PhoneNumber], str]


def _masked(number: PhoneNumber) -> str:
    return number.masked


def _in_full(number: PhoneNumber) -> str:
    return number.digits


def _text(text: str | None, shown: _Shown) -> str | None:
    """
    What a tenant has written; where numbers are masked, those in it are, too.
    """
    return text if text is None or shown is _in_full else redact(text)


def _bound(text: bytes, values: Mapping[str, Any]) -> sql.Composed:
    """
    A statement with its values as literals.
    """
    parts: list[sql.Composable] = []
    rest = text.decode()
    while (at := rest.find("%(")) >= 0:
        name, _, behind = rest[at + 2 :].partition(")s")
        parts += [sql.SQL(rest[:at]), sql.Literal(values[name])]
        rest = behind
    return sql.Composed([*parts, sql.SQL(rest)])
