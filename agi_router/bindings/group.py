"""
How members come to a group and leave it, and which of them is called back.

Each change is one transaction, which holds the binding: calls on it wait.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import psycopg

from agi_router.bindings.conflicts import RouteConflicts, place_columns, until
from agi_router.bindings.listing import BindingListing
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Gxb, compile_routes, group_of
from agi_router.bindings.names import name_values
from agi_router.bindings.parties import open_callees, open_caller, open_last_caller
from agi_router.bindings.reseal import Renewal
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.sealed_routes import check_caller, route_columns, row_of, seal_routes
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import violated
from agi_router.errors import (
    BindingChanged,
    MemberNotFound,
    ModeError,
    NumberResting,
    StoreError,
)
from agi_router.keys.registry import assert_current_keys, key_ids
from agi_router.keys.ring import Purpose, Row
from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["GroupChanging"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """
    A group as it stands, under lock.
    """

    members: dict[PhoneNumber, int]
    """Its members, and the tags they are found by."""
    b: PhoneNumber
    a_number: XNumber
    b_number: XNumber
    back: Row
    """The row of B."""
    callback: Callback
    callees: tuple[PhoneNumber, ...]
    """Whom B reaches, the last caller apart."""
    last: tuple[PhoneNumber, ...]
    """Who called last, if that is who is called back."""
    mode: type[Gxb]
    name: str | None
    """That of the party group, if it is one."""

    @property
    def rings_all(self) -> bool:
        """
        Whether all members ring.
        """
        return self.callback in {Callback.ALL, Callback.SEQUENCE}


class GroupChanging(BindingListing, RouteConflicts):
    """
    Changes of a binding's group.
    """

    def add_members(
        self, name: BindingId, members: Sequence[PhoneNumber], *, version: int | None = None
    ) -> Binding:
        """
        Let more members into a group.

        Args:
            name: The group's binding.
            members: All of them are let in, or none.
            version: The one that the binding is to have still.

        Raises:
            BindingChanged: It has another version by now.
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            ModeError: It has no group of its own, or the group would be too large.
            SameParty: One of them is a member already, is B, or is named twice.
            BindingConflict: One of them is on the group's number by another binding.
            NumberResting: One of them was, not long ago.
        """
        self._under_current_keys(lambda: self._add_members(name, members, version))
        return self.find(name)

    def _add_members(
        self, name: BindingId, members: Sequence[PhoneNumber], version: int | None
    ) -> None:
        a_number = self._find_group(name)
        found = self.find(name)
        rules = self.inventory.tenants.rules(found.tenant)
        rows: list[RouteRow] = []
        try:
            tags = [tag for member in members for tag in self.keys.tags(member)]
            places_of_tags = [(a_number.value, tag) for tag in tags]
            with self._queries.transaction():
                self.rules.hold(rules)
                with self._changing(name, places_of_tags, version=version) as group:
                    _check_own(name, group)
                    self.rules.check_people(
                        rules,
                        members,
                        order=found.order_id,
                        stated=found.consent,
                        binding=name,
                    )
                    whole = replace(_parties(group), members=(*group.members, *members))
                    of_all = compile_routes(whole, group.a_number, group.b_number)
                    rows += (row for row in of_all if row.caller in members)
                    self._check_rests(name, of_all, members)
                    routes = seal_routes(rows, self.keys, binding_id=name.id, back=group.back)
                    # With one key, the key of the table sees to it.
                    places = self._places(rows if len(self.keys.tag_keys) > 1 else ())
                    values = {
                        **name_values(name),
                        **key_ids(self.keys),
                        **route_columns(routes),
                        **place_columns(places),
                    }
                    numbers = (group.a_number, group.b_number)
                    self._past_strangers(
                        (*members, *whole.side_b),
                        numbers,
                        name.block,
                        lambda: self.find(name).tenant,
                        lambda: self._add_routes(values),
                    )
                    if group.rings_all:
                        self._call_back(name, group.back, (*group.callees, *members))
        except psycopg.errors.UniqueViolation as error:
            raise self._conflict(name.block, rows, violated(error)) from None

    def _add_routes(self, values: dict[str, Any]) -> None:
        with self._queries.attempt():
            self._queries.row("add_routes", values)

    def remove_member(
        self, name: BindingId, member: PhoneNumber, *, version: int | None = None
    ) -> Binding:
        """
        Take a member out of a group; from then on B does not reach it either.

        Args:
            name: The group's binding.
            member: Who leaves.
            version: The one that the binding is to have still.

        Raises:
            BindingChanged: It has another version by now.
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            ModeError: It has no group of its own, or no other member.
            MemberNotFound: It has no such member.
        """
        self._under_current_keys(lambda: self._remove_member(name, member, version))
        return self.find(name)

    def _remove_member(self, name: BindingId, member: PhoneNumber, version: int | None) -> None:
        self._find_group(name)
        with self._changing(name, version=version) as group:
            _check_own(name, group)
            tag = _member(name, group, member)
            if len(group.members) == 1:
                raise ModeError("a group keeps at least one member; unbind it instead")
            place = {"x_number": group.a_number.value, "caller_tag": tag}
            self._queries.row("remove_route", {**name_values(name), **place})
            if member in (*group.callees, *group.last):
                left = tuple(each for each in group.callees if each != member)
                self._call_back(name, group.back, left, forget=member in group.last)
            self._wait_no_more(name, [member])

    def _set_default(self, name: BindingId, member: PhoneNumber, version: int | None) -> None:
        """
        Let B reach a member.

        Raises:
            ModeError: All ring at once.
            MemberNotFound: It is none.
        """
        self._find_group(name)
        with self._changing(name, version=version) as group:
            _member(name, group, member)
            # Says so where all ring at once.
            replace(_parties(group), default=member)
            self._call_back(name, group.back, (member,), forget=True)

    def _check_rests(
        self, name: BindingId, rows: Sequence[RouteRow], joining: Sequence[PhoneNumber]
    ) -> None:
        """
        Make sure that nobody who joins a binding was on its number by another binding of late.

        Raises:
            NumberResting: Somebody was.
        """
        # The binding is on the number, so the number need not rest for it.
        for each, caller in self._find_rests(name.block, name.id, rows, timedelta()):
            if caller in joining:
                # Of another tenant's binding nobody learns when it ended.
                before = f" before {until(each)}" if self.scope.whole else " yet"
                raise NumberResting(
                    f"{caller} was on {each['x_number']} by another binding and may not be again"
                    f"{before}"
                )

    def _find_group(self, name: BindingId) -> XNumber:
        """
        The number that the members of a live group dial.
        """
        found = self.find(name)
        self._check_live(found)
        self._check_readable(found)
        if group_of(found.mode) is None:
            raise ModeError(f"binding {name} has no group: its mode is {found.mode}")
        return next(party.dials for party in found.parties if party.side is Side.A and party.dials)

    @contextmanager
    def _changing(
        self,
        name: BindingId,
        places: Sequence[tuple[int, int]] = (),
        *,
        version: int | None = None,
    ) -> Iterator[_Group]:
        """
        A transaction in which a live group is read and changed; calls on it wait.

        Args:
            name: The binding.
            places: Numbers and tags, under every key, for which routes will be added.
            version: The one that the binding is to have still.
        """
        with self._locked(name, places, version=version) as row:
            yield self._group(row, self._current_routes(name))
            self._raise_version(name)

    def _raise_version(self, name: BindingId) -> None:
        # Last: with it a trigger tells of the change, and of the parties as they are then.
        self._queries.execute("raise_version", name_values(name))

    @contextmanager
    def _locked(
        self, name: BindingId, places: Sequence[tuple[int, int]], *, version: int | None
    ) -> Iterator[dict[str, Any]]:
        """
        A transaction in which a live binding is held; calls on it wait.

        Args:
            name: The binding.
            places: Numbers and tags, under every key, for which routes will be added.
            version: The one that the binding is to have still.
        """
        locked = {
            "x_number": [x_number for x_number, _ in places],
            "caller_tag": [tag for _, tag in places],
        }
        with self._queries.transaction():
            assert_current_keys(self._queries, self.keys)
            row = self._queries.row("lock_binding", {**name_values(name), **locked})
            if row is None:
                raise self._over(self.find(name))
            if version not in {None, row["version"]}:
                raise BindingChanged
            yield row

    def _current_routes(self, name: BindingId) -> list[dict[str, Any]]:
        """
        The routes of a locked binding, brought under the current keys: its rows are of one key.
        """
        return self._routes_under_current_keys([name])

    def _routes_under_current_keys(self, names: Sequence[BindingId]) -> list[dict[str, Any]]:
        """
        The routes of several bindings, brought under the current keys; those are held by it.
        """
        values = {"block": [each.block.value for each in names], "id": [each.id for each in names]}
        routes = self._queries.rows("list_routes", values)
        columns = ("callee", "caller", "last_callee")
        sealed = [route[column] for route in routes for column in columns]
        if all(each is None or each[:3] == self.keys.header for each in sealed):
            return routes
        renewal = Renewal(self._queries, self.keys)
        renewal.renew(names)
        for name, why in renewal.left:
            raise StoreError(f"binding {name} cannot be brought under the current keys: {why}")
        return self._queries.rows("list_routes", values)

    def _group(self, row: dict[str, Any], routes: Sequence[dict[str, Any]]) -> _Group:
        mode = group_of(Mode(row["mode"]))
        assert mode is not None  # noqa: S101 - it was looked at, and no binding changes its mode
        (back,) = (route for route in routes if route["side"] == Side.B)
        members: dict[PhoneNumber, int] = {}
        for route in routes:
            if route["side"] == Side.A:
                (member,) = open_caller(route, back, self.keys)
                check_caller(row_of(route), member, self.keys)
                members[member] = route["caller_tag"]
        one = next(route for route in routes if route["side"] == Side.A)
        (b,) = open_callees(one, self.keys)
        check_caller(row_of(back), b, self.keys)
        return _Group(
            members=members,
            b=b,
            a_number=XNumber.from_int(one["x_number"]),
            b_number=XNumber.from_int(back["x_number"]),
            back=row_of(back),
            callback=Callback(row["callback"]),
            callees=open_callees(back, self.keys),
            last=open_last_caller(back, self.keys, mode=Mode(row["mode"])),
            mode=mode,
            name=row["party_group"],
        )

    def _wait_no_more(self, name: BindingId, left: Iterable[PhoneNumber]) -> None:
        """
        Let a locked binding wait no more to learn whose number those have who left it.
        """
        tags = array_of_integers(tag for each in left for tag in self.keys.tags(each))
        values = {"version": None, "tags": tags, "run_id": None, "line": None}
        self._queries.row("release_held", {**name_values(name), **values})

    def _call_back(
        self,
        name: BindingId,
        back: Row,
        callees: Sequence[PhoneNumber],
        *,
        forget: bool = False,
    ) -> None:
        """
        Let who calls back by the row *back* reach *callees*; perhaps *forget* who called last.
        """
        callee = self.keys.seal(callees, back, Purpose.CALLEE) if callees else None
        tags = [self.keys.tag(each) for each in callees] or None
        place = {"x_number": back.x_number, "caller_tag": back.caller_tag}
        values = {**place, "callee": callee, "callee_tags": tags, "forget": forget}
        self._queries.row("set_callee", {**name_values(name), **values})


def _parties(group: _Group) -> Gxb:
    return group.mode(members=tuple(group.members), b=group.b, callback=group.callback)


def _check_own(name: BindingId, group: _Group) -> None:
    """
    Make sure that the members are the binding's alone.

    Raises:
        ModeError: Its side A is a party group.
    """
    if group.name is not None:
        raise ModeError(
            f"the members of binding {name} are those of party group {group.name}: change that"
        )


def _member(name: BindingId, group: _Group, member: PhoneNumber) -> int:
    """
    The tag by which *member* is found in *group*.
    """
    if member not in group.members:
        raise MemberNotFound(f"{member} is no member of binding {name}")
    return group.members[member]
