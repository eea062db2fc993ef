"""
Traces, out of what the database keeps.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from agi_router.bindings.model import BindingId, Party
from agi_router.bindings.parties import open_callees, read_parties
from agi_router.bindings.rows import read_state
from agi_router.bindings.words import Mode
from agi_router.consent.ledger import ConsentLine, Purpose
from agi_router.consent.store import ConsentLedger
from agi_router.db.connection import NO_TIMES, Connection, Queries
from agi_router.errors import RowInvalid, SealError
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.store import LockStore
from agi_router.tenants.scope import OPERATOR
from agi_router.tenants.store import TenantStore
from agi_router.traces.model import Stretch, Trace, around, join_stretches

__all__ = ["Tracer"]

_Row = dict[str, Any]

# No call or text comes before its binding begins or after it ends, but for clocks.
_MARGIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Window:
    """
    The time that is asked for, and how much of each kind is told.
    """

    since: datetime
    until: datetime
    limit: int


class Tracer:
    """
    Traces in one database.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        keys: What parties are sealed with; those of before, too.
    """

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._queries = Queries(connection)
        self._keys = keys
        self._locks = LockStore(Queries(connection), keys)
        self._consents = ConsentLedger(self._queries.given(OPERATOR.values), keys)
        self._tenants = TenantStore(self._queries)

    def number(self, x_number: XNumber, *, since: datetime, until: datetime, limit: int) -> Trace:
        """
        Who was behind a 700 number in a time, and the calls and texts that had it on one side.

        Args:
            x_number: The number.
            since: The begin of that time.
            until: Its end.
            limit: At most so many bindings, calls and texts each.
        """
        window = _Window(since, until, limit)
        block = {"block": x_number.block.value, "x_number": x_number.value}
        bound, cut = self._bound("list_bound_on_number", block, window)
        calls, texts, more = self._came_of(bound, window, x_number)
        return self._trace(window, bound, calls, texts, cut=cut or more, numbers=[x_number])

    def person(
        self, person: PhoneNumber, *, since: datetime, until: datetime, limit: int
    ) -> Trace:
        """
        Where a person was bound in a time, and the calls and texts of these bindings meanwhile.

        They are told from an hour before the person came into the first of them until an hour
        after it left the last: what a binding saw before or after that was of others.

        Args:
            person: The real number.
            since: The begin of that time.
            until: Its end.
            limit: At most so many bindings, calls and texts each.
        """
        window = _Window(since, until, limit)
        tags = {"tags": self._keys.tags(person)}
        bound, cut = self._bound("list_bound_of_person", tags, window)
        bound = [each for each in bound if each.concerns(person)]
        calls, texts, more = self._came_of(bound, window)
        return self._trace(window, bound, calls, texts, cut=cut or more, people=[person])

    def bound(
        self, bindings: Sequence[BindingId], *, since: datetime, until: datetime
    ) -> list[Stretch]:
        """
        Who was bound by some bindings in a time; of one that cannot be read, nothing.
        """
        names = [(each.block.value, each.id) for each in bindings]
        rows = [row for row in self._traced(names, limit=len(names)) if _is_readable(row)]
        return self._stretches(rows, _Window(since, until, len(names)))

    def _came_of(
        self, bound: Sequence[Stretch], window: _Window, x_number: XNumber | None = None
    ) -> tuple[list[_Row], list[_Row], bool]:
        """
        The calls and texts of bindings, newest first, and whether there may be more of them.

        Args:
            bound: The bindings.
            window: The time.
            x_number: Only those to this number, refused ones too, or from it.
        """
        bindings = _bindings(bound)
        if not bindings and x_number is None:
            return [], [], False
        values = {
            "blocks": [each.block.value for each in bindings],
            "bindings": [each.id for each in bindings],
            "x_number": None if x_number is None else x_number.value,
            "since": window.since,
            "until": window.until,
            "limit": window.limit,
        }
        if x_number is None:
            # Each day that is looked at has tables of its own, which cost a new session most.
            begin, _ = around(min(each.since for each in bound), _MARGIN)
            _, end = around(max(each.until for each in bound), _MARGIN)
            values |= {"since": max(window.since, begin), "until": min(window.until, end)}
        by = "list_calls_of_traced" if x_number is None else "list_traced_calls"
        calls = self._queries.rows(by, values)
        texts = self._queries.rows("list_traced_messages", values)
        more = max(len(calls), len(texts)) >= window.limit
        return _newest(calls), _newest(texts), more

    def _trace(
        self,
        window: _Window,
        bound: Sequence[Stretch],
        calls: Sequence[_Row],
        texts: Sequence[_Row],
        *,
        cut: bool,
        numbers: Sequence[XNumber] = (),
        people: Sequence[PhoneNumber] = (),
    ) -> Trace:
        parties = {party.number for each in bound for party in each.parties}
        dialled = {party.dials for each in bound for party in each.parties if party.dials}
        locks = self._locks.in_time(
            things=_with_blocks({*numbers, *dialled}),
            people={*people, *parties},
            tenants={each.tenant for each in bound},
            since=window.since,
            until=window.until,
        )
        return Trace(
            since=window.since,
            until=window.until,
            bound=bound,
            calls=calls[: window.limit],
            messages=texts[: window.limit],
            locks=locks,
            consents=self._consents_of(bound, window.until),
            cut=cut or max(len(calls), len(texts)) >= window.limit,
        )

    def _consents_of(self, bound: Sequence[Stretch], until: datetime) -> list[ConsentLine]:
        """
        What the parties had said by a time to the tenants by whom they were bound.
        """
        lines: list[ConsentLine] = []
        for tenant in sorted({each.tenant for each in bound}):
            of_tenant = [each for each in bound if each.tenant == tenant]
            people = {party.number for each in of_tenant for party in each.parties}
            orders = {None, *(each.order for each in of_tenant)}
            lines += [
                line
                for line in self._consents.of(people, self._tenants.find_id(tenant))
                if line.purpose is Purpose.BINDING and line.order in orders and line.at < until
            ]
        return sorted(lines, key=lambda line: line.id, reverse=True)

    def _bound(
        self, query: str, values: dict[str, Any], window: _Window
    ) -> tuple[list[Stretch], bool]:
        """
        Who was bound by the bindings that a query names, and whether there are more of them.
        """
        named = self._queries.rows(query, {**values, "since": window.since, "until": window.until})
        names = [(row["block"], row["id"]) for row in named]
        rows = self._traced(names, limit=window.limit)
        return self._stretches(rows, window), len(rows) == window.limit

    def _traced(self, names: Sequence[tuple[int, int]], *, limit: int) -> list[_Row]:
        values = {"blocks": [block for block, _ in names], "ids": [each for _, each in names]}
        return self._queries.rows("list_traced", {**values, "limit": limit})

    def _stretches(self, rows: Sequence[_Row], window: _Window) -> list[Stretch]:
        """
        Who was bound by some bindings, each by time.
        """
        times = [(row, *each) for row in rows for each in _times(row, window)]
        values = {
            "block": [row["block"] for row, _, _ in times],
            "id": [row["id"] for row, _, _ in times],
            "at": [since for _, since, _ in times],
        }
        routes: dict[int, list[_Row]] = {}
        for route in self._queries.rows("list_parties_then", values) if times else ():
            routes.setdefault(route["place"] - 1, []).append(route)
        # Its routes are written a moment after a binding begins.
        read = [
            self._stretch(row, since, until, routes[place])
            for place, (row, since, until) in enumerate(times)
            if place in routes
        ]
        return join_stretches(read)

    def _stretch(
        self, row: _Row, since: datetime, until: datetime, routes: Sequence[_Row]
    ) -> Stretch:
        parties: tuple[Party, ...] = ()
        rung: dict[PhoneNumber, None] = {}
        damage = None
        try:
            parties = read_parties(routes[0], routes, self._keys)
            for route in routes:
                rung |= dict.fromkeys(open_callees(route, self._keys))
        except SealError as error:
            damage = str(error)
        except ValueError:
            damage = str(RowInvalid())
        return Stretch(
            binding=BindingId(Block(value=row["block"]), row["id"]),
            tenant=row["tenant"],
            order=row["order_id"],
            mode=Mode(row["mode"]),
            state=read_state(row),
            since=since,
            until=until,
            parties=parties,
            called_back=tuple(
                each for each in rung if each not in {party.number for party in parties}
            ),
            damage=damage,
        )


def _is_readable(row: _Row) -> bool:
    return NO_TIMES.isdisjoint([row["expires_at"], row["ended_at"], *row["moments"]])


def _times(row: _Row, window: _Window) -> Iterator[tuple[datetime, datetime]]:
    """
    The times within which nothing can have changed in a binding, as far as they meet a window.
    """
    if not _is_readable(row):
        raise RowInvalid
    begin = row["begins_at"]
    end = row["expires_at"] if row["ended_at"] is None else min(row["ended_at"], row["expires_at"])
    moments = [begin, *(each for each in row["moments"] if begin < each < end), end]
    for since, until in pairwise(moments):
        if until > window.since and since < window.until:
            yield since, until


def _bindings(bound: Sequence[Stretch]) -> list[BindingId]:
    return list(dict.fromkeys(each.binding for each in bound))


def _with_blocks(numbers: Collection[XNumber]) -> list[XNumber | Block]:
    return [*numbers, *{each.block for each in numbers}]


def _newest(rows: Collection[_Row]) -> list[_Row]:
    """
    Each once, the newest first.
    """
    each = {row["id"]: row for row in rows}
    return sorted(each.values(), key=lambda row: (row["received_at"], row["id"]), reverse=True)
