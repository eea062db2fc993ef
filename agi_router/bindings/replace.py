"""
How one who is A, or B, is replaced by another while the binding lives.

All routes of the binding are made anew, in one transaction that holds it: whoever left has none.
"""

import psycopg

from agi_router.bindings.conflicts import place_columns
from agi_router.bindings.group import GroupChanging
from agi_router.bindings.model import Binding, BindingId, RouteRow
from agi_router.bindings.modes import compile_routes, replace_party
from agi_router.bindings.names import name_values
from agi_router.bindings.parties import open_callees, parties_of
from agi_router.bindings.rows import find_back, order_tags, route_columns, seal_routes
from agi_router.bindings.words import Side
from agi_router.errors import BindingChanged, ModeError
from agi_router.keys.registry import key_ids
from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["PartyReplacing"]

# How often it is tried anew where somebody changes the binding meanwhile.
_TRIES = 5


class PartyReplacing(GroupChanging):
    """
    Replacing a party.
    """

    def replace(
        self, name: BindingId, side: Side, number: PhoneNumber, *, version: int | None = None
    ) -> Binding:
        """
        Put another into the place of A, or of B, on the same 700 number.

        Who leaves can call nobody through it any more, and nobody calls back who called last. A
        call that is up goes on. Where it is who is there already, nothing changes.

        Args:
            name: The binding.
            side: Who leaves.
            number: Who comes.
            version: The one that the binding is to have still.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            BindingChanged: It has another version by now.
            ModeError: The side is a group, or whoever calls; or a call has made the binding.
            SameParty: Who comes is on the other side, or is called back.
            BindingConflict: Who comes is on the number already, by another binding.
            NumberResting: Who comes was, not long ago.
        """
        for left in reversed(range(_TRIES)):
            try:
                self._under_current_keys(lambda: self._replace(name, side, number, version))
                break
            except BindingChanged:
                if version is not None or not left:
                    raise
        return self.find(name)

    def _replace(
        self, name: BindingId, side: Side, number: PhoneNumber, version: int | None
    ) -> None:
        found = self._replaceable(name)
        if version not in {None, found.version}:
            raise BindingChanged
        # Says so where there is nobody to be replaced.
        replace_party(parties_of(found, ()), side, number)
        a_number, b_number = _numbers(found)
        dialled = a_number if side is Side.A else b_number
        places = [(dialled.value, tag) for tag in self.keys.tags(number)]
        joining: list[RouteRow] = []
        try:
            with self._queries.transaction():
                if found.mode.open:
                    # Before the binding, as whoever binds there does.
                    self._queries.row("lock_block", {"block": name.block.value})
                with self._locked(name, places, version=found.version):
                    self._write(found, side, number, (a_number, b_number), joining)
        except psycopg.errors.UniqueViolation as error:
            constraint = error.diag.constraint_name
            if constraint == "route_alone":
                raise self._not_alone(found.mode, name.block, joining) from None
            raise self._conflict(name.block, joining, constraint) from None

    def _replaceable(self, name: BindingId) -> Binding:
        """
        A binding whose parties may change.
        """
        found = self.find(name)
        self._check_live(found)
        if found.parent is not None:
            raise ModeError(f"binding {name} was made by a call: change its parent")
        self._check_readable(found)
        return found

    def _write(
        self,
        found: Binding,
        side: Side,
        number: PhoneNumber,
        numbers: tuple[XNumber, XNumber],
        joining: list[RouteRow],
    ) -> None:
        """
        Write the routes of a binding that is held; *joining* gets the rows of who comes.
        """
        rings = Side.A if found.mode.open else Side.B
        called_back = next(
            (
                open_callees(route, self.keys)
                for route in self._current_routes(found.id)
                if route["side"] == rings
            ),
            (),
        )
        before = parties_of(found, called_back)
        whole = replace_party(before, side, number)
        if whole == before:
            return
        rows = compile_routes(whole, *numbers)
        joining += (row for row in rows if row.caller == number)
        self._check_rests(found.id, rows, [number])
        back = find_back(whole, rows, self.keys, binding_id=found.id.id)
        # With one key, the key of the table sees to it.
        places = self._places(joining if len(self.keys.tag_keys) > 1 else ())
        order = found.order_id
        values = {
            **name_values(found.id),
            **key_ids(self.keys),
            "order_tag": None
            if order is None
            else order_tags(whole, tenant=found.tenant, order_id=order, keys=self.keys)[0],
            "pair_tag": self.keys.pair_tag((*whole.side_a, *whole.side_b)),
            **route_columns(seal_routes(rows, self.keys, binding_id=found.id.id, back=back)),
            **place_columns(places),
        }
        self._queries.row("replace_parties", values)


def _numbers(found: Binding) -> tuple[XNumber, XNumber]:
    """
    What side A dials, and side B; the same where B's number is made on a call, or B is anyone.
    """
    dials = {party.side: party.dials for party in found.parties}
    a_number = dials[Side.A]
    assert a_number is not None  # noqa: S101 - side A has a number from the beginning
    b_number = dials.get(Side.B) if found.y_ttl is None else None
    return a_number, b_number or a_number
