"""
How one who is A, or B, is replaced by another while the binding lives; or its party group.

All routes of the binding are made anew, in one transaction that holds it: whoever left has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import psycopg

from agi_router.bindings.conflicts import place_columns
from agi_router.bindings.group import GroupChanging
from agi_router.bindings.group_members import GroupSharing
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Ax, Gxb, Parties, compile_routes, group_of, replace_party
from agi_router.bindings.names import name_values
from agi_router.bindings.parties import open_callees, parties_of
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.rows import order_tags
from agi_router.bindings.sealed_routes import find_back, route_columns, row_of, seal_routes
from agi_router.bindings.words import Side
from agi_router.db.connection import violated
from agi_router.errors import BindingChanged, ModeError
from agi_router.keys.registry import key_ids
from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["PartyReplacing"]

# How often it is tried anew where somebody changes the binding meanwhile.
_TRIES = 5


class PartyReplacing(GroupChanging, GroupSharing):
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
            Locked: A party, a number, its block or the tenant is locked.
            AgiRouterError: A rule of the tenant is in the way, as of :meth:`BindingStore.bind`.
        """
        return self._replacing(name, version, lambda: self._replace(name, side, number, version))

    def set_default(
        self, name: BindingId, number: PhoneNumber, *, version: int | None = None
    ) -> Binding:
        """
        Say whom B of a group reaches; by the callback ``last``, until a member calls again.

        Where strangers call it is whom A reaches, until one of them calls.

        Who is not of the group comes to the binding by this: of its own group he is a member then;
        of a party group he is beside it, and leaves when another is said.

        Args:
            name: The group's binding.
            number: Whom B reaches.
            version: The one that the binding is to have still.

        Raises:
            BindingChanged: It has another version by now.
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            ModeError: It has no group and strangers do not call, or all ring at once.
            SameParty: It is B.
            BindingConflict: Who comes is on the number already, by another binding.
            NumberResting: Who comes was, not long ago.
        """
        return self._replacing(name, version, lambda: self._let_default(name, number, version))

    def _let_default(self, name: BindingId, number: PhoneNumber, version: int | None) -> None:
        found = self._replaceable(name, version)
        if found.mode.open:

            def call_back(parties: Parties) -> Parties:
                assert isinstance(parties, Ax)  # noqa: S101 - strangers call by no other
                return replace(parties, default=number)

            self._replace_parties(found, _numbers(found)[0], [number], call_back, forget=True)
            return
        self._find_group(name)
        present = {party.number for party in found.parties if party.side is Side.A}
        with self._queries.transaction():
            self.rules.hold(self.inventory.tenants.rules(found.tenant))
            # The group before the binding, as all who take both.
            shared = (
                None
                if found.group is None
                else self._share_group(found.tenant, found.group, another=False)
            )
            members = tuple(present) if shared is None else shared
            if present == set(members) and number in members:
                self._set_default(name, number, version)
                return

            def change(parties: Parties) -> Parties:
                assert isinstance(parties, Gxb)  # noqa: S101 - its mode has a group
                own = parties.members if shared is None else members
                return replace(parties, members=own, default=number)

            newcomers = [] if number in present else [number]
            self._replace_parties(found, _numbers(found)[0], newcomers, change)

    def set_group(self, name: BindingId, group: str, *, version: int | None = None) -> Binding:
        """
        Let a party group be side A, instead of another one or of members of the binding's own.

        A call that is up goes on. Nobody calls back who called last, and who is called back by
        default is so still only if the group has it.

        Args:
            name: The binding.
            group: The name of a party group of its tenant.
            version: The one that the binding is to have still.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            BindingChanged: It has another version by now.
            GroupNotFound: Its tenant has no party group of this name.
            GroupInUse: As many bindings live by it as may.
            ModeError: The binding has no group, or nobody is in the new one.
            SameParty: B is in it.
            BindingConflict: A member is on the number already, by another binding.
            NumberResting: A member was, not long ago.
        """
        return self._replacing(name, version, lambda: self._set_group(name, group, version))

    def _replacing(
        self, name: BindingId, version: int | None, work: Callable[[], None]
    ) -> Binding:
        for left in reversed(range(_TRIES)):
            try:
                self._under_current_keys(work)
                break
            except BindingChanged:
                if version is not None or not left:
                    raise
        return self.find(name)

    def _replace(
        self, name: BindingId, side: Side, number: PhoneNumber, version: int | None
    ) -> None:
        found = self._replaceable(name, version)

        def change(parties: Parties) -> Parties:
            return replace_party(parties, side, number)

        # Says so where there is nobody to be replaced.
        change(parties_of(found, ()))
        a_number, b_number = _numbers(found)
        dialled = a_number if side is Side.A else b_number
        self._replace_parties(found, dialled, [number], change, counted=True)

    def _set_group(self, name: BindingId, group: str, version: int | None) -> None:
        found = self._replaceable(name, version)
        if group_of(found.mode) is None:
            raise ModeError(f"binding {name} has no group: its mode is {found.mode}")
        if found.group == group:
            return
        with self._queries.transaction():
            self.rules.hold(self.inventory.tenants.rules(found.tenant))
            # The group before the binding, as all who take both.
            members = self._share_group(found.tenant, group)

            def change(parties: Parties) -> Parties:
                assert isinstance(parties, Gxb)  # noqa: S101 - its mode has a group
                default = parties.default if parties.default in members else None
                return replace(parties, group=group, default=default).with_members(members)

            present = {party.number for party in found.parties if party.side is Side.A}
            newcomers = [each for each in members if each not in present]
            self._replace_parties(found, _numbers(found)[0], newcomers, change)

    def _replace_parties(
        self,
        found: Binding,
        dialled: XNumber,
        newcomers: Sequence[PhoneNumber],
        change: Callable[[Parties], Parties],
        *,
        counted: bool = False,
        forget: bool = False,
    ) -> None:
        """
        Write the routes of a binding anew.

        Args:
            found: The binding.
            dialled: The number that who comes dials.
            newcomers: Who comes.
            change: What becomes of its parties.
            counted: Whether it counts as one binding more by its order, and of the two.
            forget: Whether who called last is forgotten even where nobody is another.
        """
        name = found.id
        places = [(dialled.value, tag) for each in newcomers for tag in self.keys.tags(each)]
        joining: list[RouteRow] = []
        rules = self.inventory.tenants.rules(found.tenant)
        try:
            with self._queries.transaction():
                self.rules.hold(rules)
                if counted and rules is not None and rules.bind_rates.on:
                    # Before the binding, as whoever binds does.
                    self.rules.hold_one(rules, change(parties_of(found, ())), found.order_id)
                if found.mode.open:
                    # Before the binding, as whoever binds there does, and in his turn.
                    self.rules.hold_one(rules, None, found.order_id)
                    self._queries.row("lock_block", {"block": name.block.value})
                with self._locked(name, places, version=found.version):
                    whole = self._write(
                        found, change, newcomers, joining, counted=counted, forget=forget
                    )
                    self.rules.check_people(
                        rules,
                        newcomers,
                        order=found.order_id,
                        stated=found.consent,
                        binding=found.id,
                    )
                    if rules is not None and whole is not None:
                        # As if they were just bound.
                        rules.check(order=found.order_id, scene=found.scene)
                        if counted:
                            self.rules.check_made(rules, whole, found.order_id, in_turn=True)
                            side = Side.A if set(newcomers) & set(whole.side_a) else Side.B
                            self.rules.count_bind(rules, {side: newcomers}, {dialled})
        except psycopg.errors.UniqueViolation as error:
            constraint = violated(error)
            if constraint == "route_alone":
                raise self._not_alone(found.mode, name.block, joining) from None
            raise self._conflict(name.block, joining, constraint) from None

    def _replaceable(self, name: BindingId, version: int | None) -> Binding:
        """
        A binding whose parties may change.

        Raises:
            BindingChanged: It has another version.
        """
        found = self.find(name)
        self._check_live(found)
        if found.parent is not None:
            raise ModeError(f"binding {name} was made by a call: change its parent")
        self._check_readable(found)
        if version not in {None, found.version}:
            raise BindingChanged
        return found

    def _write(
        self,
        found: Binding,
        change: Callable[[Parties], Parties],
        newcomers: Sequence[PhoneNumber],
        joining: list[RouteRow],
        *,
        counted: bool,
        forget: bool,
    ) -> Parties | None:
        """
        Write the routes of a binding that is held; *joining* gets the rows of who comes.

        Returns:
            Who is bound now; :obj:`None`: who was before.
        """
        rings = Side.A if found.mode.open else Side.B
        routes = self._current_routes(found.id)
        calling_back = next((route for route in routes if route["side"] == rings), None)
        called_back = () if calling_back is None else open_callees(calling_back, self.keys)
        before = parties_of(found, called_back)
        whole = change(before)
        if whole == before:
            if forget and calling_back is not None and calling_back["last_callee"] is not None:
                self._call_back(found.id, row_of(calling_back), called_back, forget=True)
                self._raise_version(found.id)
            return None
        rows = compile_routes(whole, *_numbers(found))
        joining += (row for row in rows if row.caller in newcomers)
        self._check_rests(found.id, rows, newcomers)
        back = find_back(whole.sealed_for, rows, self.keys, binding_id=found.id.id)
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
            "counted": counted,
            **route_columns(seal_routes(rows, self.keys, binding_id=found.id.id, back=back)),
            **place_columns(places),
        }
        if whole.group != found.group:
            self._queries.execute(
                "set_party_group", {**name_values(found.id), "party_group": whole.group}
            )

        def write() -> None:
            with self._queries.attempt():
                self._queries.row("replace_parties", values)

        self._past_strangers(
            whole.people, _numbers(found), found.id.block, lambda: found.tenant, write
        )
        self._wait_no_more(found.id, before.people - whole.people)
        return whole


def _numbers(found: Binding) -> tuple[XNumber, XNumber]:
    """
    What side A dials, and side B; the same where B's number is made on a call, or B is anyone.
    """
    dials = {party.side: party.dials for party in found.parties}
    a_number = dials[Side.A]
    assert a_number is not None  # noqa: S101 - side A has a number from the beginning
    b_number = dials.get(Side.B) if found.y_ttl is None else None
    return a_number, b_number or a_number
