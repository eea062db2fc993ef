"""
How bindings are made on numbers that are drawn for them: one or many, by one statement.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from operator import attrgetter
from typing import Any

from agi_router.bindings.choose import OpenBlocks, draw_numbers, draw_stride
from agi_router.bindings.conflicts import RouteConflicts
from agi_router.bindings.expiry import LONGEST_LIFE
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Parties, compile_routes
from agi_router.bindings.parties import mode_columns, parties_of_rows
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.pools import Pool
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.rows import order_tags
from agi_router.bindings.sealed_routes import SealedRoute, find_back, route_columns, seal_routes
from agi_router.bindings.terms import TERMS, Terms
from agi_router.bindings.words import BindingState
from agi_router.db.arrays import array_of_integers, array_of_texts
from agi_router.keys.registry import key_ids
from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["Drawn", "NumberDrawing", "Place", "Wish", "can_draw", "new_binding", "terms_columns"]


# A statement is given up after ten seconds, and large groups have two hundred members each.
_PEOPLE = 1000
_NAMES = tuple(term.name for term in TERMS)
_said = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """
    A binding that is to be made on a number that is drawn.
    """

    binding_id: int
    parties: Parties
    terms: Terms
    life: timedelta | None = None
    """How long it is to live; :obj:`None`: until the end that its terms say."""


@dataclass(frozen=True, slots=True)
class Place:
    """
    Where bindings are made.
    """

    opening: OpenBlocks
    pool: Pool | None
    """Their pool, whose blocks these are."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """
    Bindings that are to be made on numbers drawn.
    """

    values: dict[str, Any]
    """What the statement is given."""
    rows: Mapping[int, tuple[Wish, Sequence[RouteRow]]]
    """What each is, by the number of the binding."""

    def binding(self, told: Mapping[str, Any]) -> Binding:
        """
        One of them, by what is told of it: its *id*, *begins_at* and *expires_at*.
        """
        wish, rows = self.rows[told["id"]]
        return new_binding(wish.parties, wish.terms, rows, told)


def _pieces(wishes: Sequence[Wish]) -> Iterator[Sequence[Wish]]:
    """
    Runs of *wishes* that one statement may make: of so many parties, or of one wish.
    """
    start, people = 0, 0
    for place, wish in enumerate(wishes):
        more = len(wish.parties.side_a) + len(wish.parties.side_b)
        if place > start and people + more > _PEOPLE:
            yield wishes[start:place]
            start, people = place, 0
        people += more
    yield wishes[start:]


def can_draw(parties: Parties, choice: NumberPolicy) -> bool:
    """
    Whether a number may be drawn for *parties* without a look at what else there is.

    Who is in a party group is looked up first. Strangers' numbers are free of others, two numbers
    are chosen one after the other, and who asks for the same number again, or for another one,
    asks what was before.
    """
    by_chance = choice.same_x is None and parties.numbers == 1 and not parties.mode.open
    return by_chance and parties.group is None


class NumberDrawing(RouteConflicts):
    """
    Binding on numbers that are drawn, where nothing is in the way.
    """

    counting = True
    """Whether what is made is counted for quotas; an import counts it all at once by itself."""
    api_key: str | None = None
    """The API key with whose quota what is made is counted, if it has one."""

    def _draw_one(self, wish: Wish, place: Place) -> Binding | None:
        """
        Bind on a number drawn, or on one that is found instead.

        Args:
            wish: What is to be made.
            place: Where; it need not be so any more.

        Returns:
            The binding; :obj:`None`: it is to be bound step by step, which says why it cannot be.
        """
        found = self._try(wish, place, lambda drawn: self._queries.row("bind_drawn", drawn.values))
        if found is None:
            return None
        drawn, row = found
        return drawn.binding(row)

    def _try(
        self,
        wish: Wish,
        place: Place,
        ask: Callable[[Drawn], dict[str, Any] | None],
    ) -> tuple[Drawn, dict[str, Any]] | None:
        """
        Have a binding made on a number drawn, or on one that is told instead.

        Args:
            wish: What is to be made.
            place: Where.
            ask: Runs the statement; returns what it tells.

        Returns:
            What was made, and what was told of it; :obj:`None`: nothing was.
        """
        if place.opening.first is None:
            return None
        numbers = draw_numbers(place.opening.first, 1)
        for stride in (draw_stride(), None):
            drawn = self._drawn([wish], numbers, place, stride)
            row = ask(drawn)
            # One without a number is refused by a rule.
            if row is None or row["x_number"] is None:
                break
            if row["begins_at"] is not None:
                return drawn, row
            numbers = [XNumber.from_int(row["x_number"])]
        return None

    def _draw_all(self, wishes: Sequence[Wish], place: Place) -> dict[int, Binding]:
        """
        Bind many in one block by few statements, as far as that goes.

        Args:
            wishes: Of one tenant, each with an end.
            place: Where.

        Returns:
            The bindings made, by their number.
        """
        made: dict[int, Binding] = {}
        for some in _pieces(wishes):
            drawn, rows = self._draw_some(some, place)
            refused = {row["id"] for row in rows if row["x_number"] is None}
            if refused:
                # None was made because of these.
                left = [wish for wish in some if wish.binding_id not in refused]
                drawn, rows = self._draw_some(left, place)
            made |= {row["id"]: drawn.binding(row) for row in rows if row["x_number"]}
        return made

    def _draw_some(
        self, wishes: Sequence[Wish], place: Place
    ) -> tuple[Drawn, Sequence[dict[str, Any]]]:
        """
        Bind many by one statement; what it was told, and what it tells.
        """
        if place.opening.first is None or not wishes:
            return Drawn({}, {}), []
        numbers = draw_numbers(place.opening.first, len(wishes))
        drawn = self._drawn(wishes, numbers, place, None)
        return drawn, self._queries.rows("bind_drawn", drawn.values)

    def _drawn(
        self,
        wishes: Sequence[Wish],
        drawn: Sequence[XNumber],
        place: Place,
        stride: int | None,
    ) -> Drawn:
        """
        Each of *wishes*, of which there is one at least, on the number drawn for it.
        """
        block = drawn[0].block
        callers = [_callers(wish) for wish in wishes]
        known = self._tags(callers)
        current = {digits: tags[0] for digits, tags in known.items()}
        compiled, routes = {}, []
        for number, (wish, x) in enumerate(zip(wishes, drawn, strict=True), 1):
            rows = compile_routes(wish.parties, x, x)
            compiled[wish.binding_id] = wish, rows
            routes += [(number, route) for route in self._seal(wish, rows, current)]
        # One order for all: two binds of the same parties could wait for each other in a circle.
        routes.sort(key=lambda each: (each[1].x_number, each[1].caller_tag))
        values = {
            "block": block.value,
            **key_ids(self.keys),
            "tenant_id": place.opening.tenant_id,
            "digit": place.opening.digit,
            # As text: psycopg takes longer for a Jsonb than for all the rest.
            "terms": json.dumps(list(map(self._written, wishes, drawn))),
            "life": wishes[0].life,
            "longest": LONGEST_LIFE,
            "number_quarantine": self._quarantine.number,
            "party_quarantine": self._quarantine.party,
            "rules": self._rules(wishes, place),
            "stride": stride,
            "id": array_of_integers(compiled),
            "drawn": array_of_integers(number.value for number in drawn),
            "tags": array_of_texts(
                array_of_integers([tag for digits in of for tag in known[digits]])
                for of in callers
            ),
            "place": array_of_integers(number for number, _ in routes),
            **route_columns([route for _, route in routes]),
        }
        return Drawn(values, compiled)

    def _tags(self, callers: Sequence[Mapping[str, PhoneNumber]]) -> dict[str, Sequence[int]]:
        """
        The tags of all *callers*, each under every key, the current first; by their digits.
        """
        if len(callers) == 1:
            return {digits: self.keys.tags(each) for digits, each in callers[0].items()}
        people = list({digits for of in callers for digits in of})
        tags = self.keys.bulk_tags([digits.encode("ascii") for digits in people])
        return {digits: tags[place :: len(people)] for place, digits in enumerate(people)}

    def _rules(self, wishes: Sequence[Wish], place: Place) -> str | None:
        """
        What *wishes* are to keep to beside what all are.
        """
        opening, pool = place.opening, place.pool
        counted = self._is_counted(opening)
        if opening.rules is None and pool is None and not counted:
            return None
        told = self.rules.describe(opening.rules, [(wish.parties, wish.terms) for wish in wishes])
        asked = {
            "tenant_id": opening.tenant_id,
            "pool": None if pool is None else pool.id,
            "pool_version": None if pool is None else pool.version,
            "counted": counted,
            "api_key": self.api_key,
        }
        return json.dumps({**asked, **told})

    def _is_counted(self, opening: OpenBlocks) -> bool:
        """
        Whether what is made is counted: the tenant has a quota, or the API key that asks.
        """
        return self.counting and (opening.limited or self.api_key is not None)

    def _written(self, wish: Wish, number: XNumber) -> dict[str, Any]:
        """
        The columns that *wish* fills of its binding.
        """
        # What is left out is null, and an end is by the life then.
        written = terms_columns(wish.terms)
        for name, value in mode_columns(wish.parties, number).items():
            if value is not None:
                written[name] = value
        written["id"] = wish.binding_id
        if wish.terms.order_id is not None:
            written["order_tag"] = self._order_tag(wish.parties, wish.terms)
        if wish.life is None:
            written["expires_at"] = wish.terms.expires_at.isoformat()
        return written

    def _seal(
        self, wish: Wish, rows: Sequence[RouteRow], tags: Mapping[str, int] | None = None
    ) -> list[SealedRoute]:
        back = find_back(wish.parties.sealed_for, rows, self.keys, binding_id=wish.binding_id)
        return seal_routes(rows, self.keys, binding_id=wish.binding_id, back=back, tags=tags)

    def _order_tag(self, parties: Parties, terms: Terms) -> int | None:
        if terms.order_id is None:
            return None
        return order_tags(parties, tenant=terms.tenant, order_id=terms.order_id, keys=self.keys)[0]


def _callers(wish: Wish) -> dict[str, PhoneNumber]:
    """
    Who calls by a binding, by their digits.
    """
    return {each.digits: each for each in (*wish.parties.side_a, *wish.parties.side_b)}


def terms_columns(terms: Terms) -> dict[str, Any]:
    """
    What is agreed but its end, as columns of a binding; those are left out that would be null.
    """
    said = {
        term.name: term.kind.store(value)
        for term, value in zip(TERMS, _said(terms), strict=True)
        if value is not None
    }
    if terms.order_id is not None:
        said["order_id"] = terms.order_id
    return said


def new_binding(
    parties: Parties, terms: Terms, rows: Sequence[RouteRow], made: Mapping[str, Any]
) -> Binding:
    """
    A binding as it was just written, and so would be read.

    Args:
        parties: Who was bound.
        terms: What is agreed; its end may be provisional.
        rows: Its rows.
        made: Its number, *begins_at* and *expires_at*, as the store has told them.
    """
    people, called_back = parties_of_rows(parties.mode, rows)
    return Binding(
        **dict(zip(_NAMES, _said(terms), strict=True)),
        id=BindingId(rows[0].x_number.block, made["id"]),
        mode=parties.mode,
        state=BindingState.ACTIVE,
        tenant=terms.tenant,
        order_id=terms.order_id,
        begins_at=made["begins_at"],
        expires_at=made["expires_at"],
        ended_at=None,
        calls_used=0,
        messages_used=0,
        version=1,
        group=parties.group,
        callback=parties.callback,
        callback_window=parties.window,
        extension=parties.extension,
        y_ttl=parties.y_ttl,
        parent=None,
        parties=people,
        called_back=called_back,
    )
