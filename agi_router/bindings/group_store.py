"""
Party groups, as the store keeps them: added, changed with all bindings by them, removed.

A change of members is one transaction. It holds the group, so nobody binds by it meanwhile, and
makes ready what is to be written; only then it holds the bindings, block by block, and writes. So
calls wait for the writing alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg

from agi_router.bindings.group import GroupChanging
from agi_router.bindings.group_members import GroupMembers, Members, no_such_group
from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import GROUP_MAX, Gxb, compile_routes, group_of
from agi_router.bindings.parties import open_callees
from agi_router.bindings.party_groups import PartyGroup
from agi_router.bindings.routes import RouteRow
from agi_router.bindings.sealed_routes import (
    SealedRoute,
    check_caller,
    route_columns,
    row_of,
    seal_routes,
)
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.cursors import Cursor, numbered
from agi_router.db.arrays import array_of_bytes, array_of_integers, array_of_texts
from agi_router.db.connection import violated
from agi_router.errors import (
    BindingChanged,
    GroupChanged,
    GroupExists,
    GroupInUse,
    MemberNotFound,
    ModeError,
    SameParty,
    StoreError,
    StoreHeld,
)
from agi_router.keys.damage import open_or_tell
from agi_router.keys.registry import assert_current_keys, key_ids
from agi_router.keys.ring import Purpose
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.tenants.rules import TenantRules

__all__ = ["PartyGroupKeeping"]

# How often a change is tried anew where somebody changes one of the bindings meanwhile.
_TRIES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """
    What becomes of the members of a group.
    """

    group: str
    members: tuple[PhoneNumber, ...]
    """All of them, in their order."""
    joining: tuple[PhoneNumber, ...]
    leaving: tuple[PhoneNumber, ...]
    tags_before: frozenset[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """
    What is to be written of one binding.
    """

    name: BindingId
    joined: tuple[RouteRow, ...]
    sealed: Sequence[SealedRoute]
    callees: tuple[PhoneNumber, ...] | None
    """Whom B reaches from now on; :obj:`None`: whom it did before."""
    callee: bytes | None
    parties: Gxb
    a_number: XNumber
    b_number: XNumber


class PartyGroupKeeping(GroupChanging):
    """
    The party groups of one database; for a tenant, its own.
    """

    def add_group(
        self,
        tenant: str,
        name: str,
        members: Sequence[PhoneNumber] = (),
        *,
        label: str | None = None,
    ) -> PartyGroup:
        """
        Add a party group.

        Args:
            tenant: Whose it is.
            name: As :func:`agi_router.bindings.words.check_group` allows it.
            members: Who is in it, in their order; it may be nobody yet.
            label: A text of the tenant's own.

        Raises:
            TenantNotFound: There is no such tenant.
            GroupExists: It has a group of this name.
            SameParty: A member is named twice.
            ModeError: There are too many.
        """
        tenant_id = self.inventory.tenants.find_id(tenant)
        _check_members(members)

        def add() -> None:
            with self._queries.transaction():
                assert_current_keys(self._queries, self.keys)
                values = {"tenant_id": tenant_id, "name": name, "label": label}
                added = self._queries.row("add_group", values)
                if added is None:
                    raise GroupExists(f"tenant {tenant!r} has a party group {name} already")
                GroupMembers(self._queries, self.keys).write(
                    added["id"], dict.fromkeys(members, None)
                )

        self._under_current_keys(add)
        return self.find_group(tenant, name)

    def find_group(self, tenant: str, name: str) -> PartyGroup:
        """
        One party group.

        Raises:
            GroupNotFound: The tenant has none of this name.
        """
        found = self._list_groups(tenant=tenant, name=name, limit=1)
        if not found:
            raise no_such_group(tenant, name)
        return found[0]

    def find_group_by_id(self, tenant: str, group_id: int) -> PartyGroup:
        """
        One party group by its number.

        Raises:
            GroupNotFound: The tenant has none of this number.
        """
        found = self._list_groups(tenant=tenant, group_id=group_id, limit=1)
        if not found:
            raise no_such_group(tenant, group_id)
        return found[0]

    def groups(
        self, *, tenant: str | None = None, after: Cursor | None = None, limit: int | None
    ) -> list[PartyGroup]:
        """
        Party groups, newest first.

        Args:
            tenant: Only those of this one.
            after: Only those behind the last one of another page, see :attr:`PartyGroup.cursor`.
            limit: At most so many; :obj:`None`: all.

        Raises:
            CursorInvalid: *after* is of another list.
        """
        return self._list_groups(tenant=tenant, after=after, limit=limit)

    def label_group(
        self, tenant: str, name: str, label: str | None, *, version: int | None = None
    ) -> PartyGroup:
        """
        Keep another text with a party group, or none; its name stays.

        Raises:
            GroupNotFound: The tenant has none of this name.
            GroupChanged: It has another version by now than *version*.
        """
        with self._queries.transaction():
            group = self._lock_group(tenant, name, version)
            values = {"group_id": group["id"], "relabel": True, "label": label}
            self._queries.execute("change_group", values)
        return self.find_group(tenant, name)

    def change_members(
        self,
        tenant: str,
        name: str,
        *,
        joining: Sequence[PhoneNumber] = (),
        leaving: Sequence[PhoneNumber] = (),
        version: int | None = None,
    ) -> PartyGroup:
        """
        Let members into a party group and take others out, in all bindings by it at once.

        It is done whole or not at all. A call that is up goes on. Where B reached one who has
        left, it reaches nobody until a default is set.

        Args:
            tenant: Whose group it is.
            name: The group.
            joining: Who comes in, behind those who stay.
            leaving: Who goes.
            version: The one that the group is to have still.

        Raises:
            GroupNotFound: The tenant has none of this name.
            GroupChanged: It has another version by now.
            MemberNotFound: Who is to leave is not in it.
            SameParty: Who comes is in it already, is named twice, or is B of a binding.
            ModeError: There would be too many, or nobody while bindings live.
            BindingConflict: Who comes is on a binding's number already, by another one.
            NumberResting: Who comes was, not long ago.
            StoreHeld: The bindings are changed all the time.
        """

        def wished(present: Members) -> tuple[PhoneNumber, ...]:
            for each in leaving:
                if each not in present:
                    raise MemberNotFound(f"{each} is no member of party group {name}")
            return (*(each for each in present if each not in leaving), *joining)

        return self._change_group(tenant, name, wished, version)

    def set_members(
        self,
        tenant: str,
        name: str,
        members: Sequence[PhoneNumber],
        *,
        version: int | None = None,
    ) -> PartyGroup:
        """
        Say anew who is in a party group, in their order; see :meth:`change_members`.

        Raises:
            AgiRouterError: See :meth:`change_members`.
        """
        return self._change_group(tenant, name, lambda _: tuple(members), version)

    def remove_group(self, tenant: str, name: str, *, version: int | None = None) -> PartyGroup:
        """
        Forget a party group; bindings by it that are over keep their parties and its name.

        Returns:
            What it was.

        Raises:
            GroupNotFound: The tenant has none of this name.
            GroupChanged: It has another version by now than *version*.
            GroupInUse: A binding by it lives.
        """
        with self._queries.transaction():
            self._queries.execute("hold_moves", {})
            group = self._lock_group(tenant, name, version)
            found = self.find_group(tenant, name)
            used = self._queries.row("is_group_used", group)
            if used is not None and used["used"]:
                raise GroupInUse(f"bindings by party group {name} live: end them first")
            self._queries.execute("remove_group", {"group_id": group["id"]})
        return found

    def _list_groups(
        self,
        *,
        tenant: str | None,
        name: str | None = None,
        group_id: int | None = None,
        after: Cursor | None = None,
        limit: int | None,
    ) -> list[PartyGroup]:
        values = {
            "tenant": tenant,
            "name": name,
            "id": group_id,
            **numbered(after),
            "limit": limit,
        }
        rows = self._queries.rows("list_groups", values)
        kept = GroupMembers(self._queries, self.keys)
        members = kept.rows([row["id"] for row in rows])
        return [_read(row, kept, members[row["id"]]) for row in rows]

    def _lock_group(self, tenant: str, name: str, version: int | None) -> dict[str, Any]:
        group = self._queries.row("lock_group", {"tenant": tenant, "name": name})
        if group is None:
            raise no_such_group(tenant, name)
        if version not in {None, group["version"]}:
            raise GroupChanged
        return group

    def _change_group(
        self,
        tenant: str,
        name: str,
        wished: Callable[[Members], tuple[PhoneNumber, ...]],
        version: int | None,
    ) -> PartyGroup:
        for _ in range(_TRIES):
            try:
                self._under_current_keys(lambda: self._change_once(tenant, name, wished, version))
            except BindingChanged:
                continue
            return self.find_group(tenant, name)
        raise StoreHeld(f"bindings by party group {name} are changed all the time: try again")

    def _change_once(
        self,
        tenant: str,
        name: str,
        wished: Callable[[Members], tuple[PhoneNumber, ...]],
        version: int | None,
    ) -> None:
        """
        Change the members of a group.

        Raises:
            BindingChanged: Somebody has changed a binding meanwhile; nothing was done.
        """
        # Those of the block that is being written.
        joined: list[RouteRow] = []
        try:
            with self._queries.transaction():
                self._queries.execute("hold_moves", {})
                rules = self.inventory.tenants.rules(tenant)
                self.rules.hold(rules)
                assert_current_keys(self._queries, self.keys)
                group = self._lock_group(tenant, name, version)
                kept = GroupMembers(self._queries, self.keys)
                present = kept.of(group["id"])
                members = wished(present)
                _check_members(members)
                if members == tuple(present):
                    return
                change = _Change(
                    group=name,
                    members=members,
                    joining=tuple(each for each in members if each not in present),
                    leaving=tuple(each for each in present if each not in members),
                    tags_before=frozenset(map(self.keys.tag, present)),
                )
                # Before the bindings are held: calls on them wait.
                self._check_joining(rules, group, change.joining)
                self._change_bindings(group, change, joined)
                kept.write(group["id"], {each: present.get(each) for each in members})
                values = {"group_id": group["id"], "relabel": False, "label": None}
                self._queries.execute("change_group", values)
        except psycopg.errors.UniqueViolation as error:
            block = joined[0].x_number.block
            raise self._conflict(block, joined, violated(error)) from None

    def _change_bindings(
        self, group: dict[str, Any], change: _Change, joined: list[RouteRow]
    ) -> None:
        rows = self._queries.rows("list_group_bindings", group)
        if not change.members and not all(row["over"] for row in rows):
            raise ModeError(
                f"bindings by party group {change.group} live, so it keeps at least one member"
            )
        for block, own in groupby(rows, key=itemgetter("block")):
            self._change_block(Block(value=block), list(own), change, joined)

    def _check_joining(
        self, rules: TenantRules | None, group: dict[str, Any], joining: Sequence[PhoneNumber]
    ) -> None:
        """
        Make sure that who comes into a group agrees to each binding by it.

        Raises:
            PartyUnverified: One is not known by its real name.
            ConsentMissing: One does not.
        """
        if rules is None or not rules.asks_people or not joining:
            return
        for row in self._queries.rows("list_group_bindings", group):
            if not row["over"]:
                found = self.find(BindingId(Block(value=row["block"]), row["id"]))
                self.rules.check_people(
                    rules,
                    joining,
                    order=found.order_id,
                    stated=found.consent,
                    binding=found.id,
                )

    def _change_block(
        self, block: Block, rows: list[dict[str, Any]], change: _Change, joined: list[RouteRow]
    ) -> None:
        """
        Change the bindings of one block.
        """
        live = {BindingId(block, row["id"]): row for row in rows if not row["over"]}
        routes: dict[BindingId, list[dict[str, Any]]] = {name: [] for name in live}
        for route in self._routes_under_current_keys(list(live)) if live else ():
            routes[BindingId(block, route["id"])].append(route)
        prepared = [self._prepare(name, row, routes[name], change) for name, row in live.items()]
        joined[:] = [row for each in prepared for row in each.joined]
        places = [
            (row.x_number.value, tag, each.name.id)
            for each in prepared
            for row in each.joined
            if row.caller is not None
            for tag in self.keys.tags(row.caller)
        ]
        held = {
            row["id"]: row
            for row in self._queries.rows(
                "hold_group_bindings",
                {
                    "block": block.value,
                    "id": array_of_integers(row["id"] for row in rows),
                    "place_x": array_of_integers(x_number for x_number, _, _ in places),
                    "place_tag": array_of_integers(tag for _, tag, _ in places),
                    "place_id": array_of_integers(each for _, _, each in places),
                    "party_quarantine": self._quarantine.party,
                },
            )
        }
        for row in rows:
            now = held.get(row["id"])
            if now is None or now["version"] != row["version"] or (row["over"] and now["alive"]):
                raise BindingChanged
        alive = [each for each in prepared if held[each.name.id]["alive"]]
        for each in alive:
            if held[each.name.id]["rests"]:
                of_all = compile_routes(each.parties, each.a_number, each.b_number)
                self._check_rests(each.name, of_all, change.joining)
        several = len(self.keys.tag_keys) > 1
        self._write_block(block, alive, change, places if several else ())

    def _prepare(
        self,
        name: BindingId,
        row: dict[str, Any],
        routes: Sequence[dict[str, Any]],
        change: _Change,
    ) -> _Prepared:
        """
        What is to be written of one binding, under the current keys.

        Raises:
            SameParty: Who comes is its B.
            StoreError: Its rows are not those of the group's members.
        """
        mode = group_of(Mode(row["mode"]))
        back = next((route for route in routes if route["side"] == Side.B), None)
        own = [route for route in routes if route["side"] == Side.A]
        tags = {route["caller_tag"] for route in own}
        before = () if back is None else open_callees(back, self.keys)
        # The default may be somebody who is not of the group.
        extra = tags - change.tags_before
        beside = tuple(each for each in before if extra and self.keys.tag(each) in extra)
        expected = change.tags_before | set(map(self.keys.tag, beside))
        if mode is None or back is None or tags != expected:
            raise StoreError(f"binding {name} has not the members of its party group: unbind it")
        (b,) = open_callees(own[0], self.keys)
        check_caller(row_of(back), b, self.keys)
        if b in change.joining:
            raise SameParty(f"{b} is party B of binding {name}, and so no member too")
        callback = Callback(row["callback"])
        a_number = XNumber.from_int(own[0]["x_number"])
        b_number = XNumber.from_int(back["x_number"])
        parties = mode(members=change.members, group=change.group, b=b, callback=callback)
        joined: tuple[RouteRow, ...] = ()
        if joining := _without(change.joining, beside):
            newcomers = mode(members=joining, b=b, callback=callback)
            of_them = compile_routes(newcomers, a_number, b_number)
            joined = tuple(each for each in of_them if each.side is Side.A)
        place = row_of(back)
        callees = parties.called_back if parties.rings_all else _without(before, change.leaving)
        return _Prepared(
            name=name,
            joined=joined,
            sealed=seal_routes(joined, self.keys, binding_id=name.id, back=place),
            callees=None if callees == before else callees,
            callee=self.keys.seal(callees, place, Purpose.CALLEE)
            if callees and callees != before
            else None,
            parties=parties,
            a_number=a_number,
            b_number=b_number,
        )

    def _write_block(
        self,
        block: Block,
        alive: Sequence[_Prepared],
        change: _Change,
        places: Sequence[tuple[int, int, int]],
    ) -> None:
        rung = [each for each in alive if each.callees is not None]
        ids = {each.name.id for each in alive}
        tags = [tuple(map(self.keys.tag, each.callees or ())) for each in rung]
        columns = route_columns([route for each in alive for route in each.sealed])
        values = {
            "block": block.value,
            **key_ids(self.keys),
            "id": array_of_integers(ids),
            "leaving": array_of_integers(map(self.keys.tag, change.leaving)),
            "left": array_of_integers(t for each in change.leaving for t in self.keys.tags(each)),
            "binding_id": array_of_integers(each.name.id for each in alive for _ in each.sealed),
            **{name: column for name, column in columns.items() if name != "side"},
            "place_x": array_of_integers(x for x, _, own in places if own in ids),
            "place_tag": array_of_integers(tag for _, tag, own in places if own in ids),
            "back_id": array_of_integers(each.name.id for each in rung),
            "back_callee": array_of_bytes(each.callee for each in rung),
            "back_tags": array_of_texts(
                array_of_integers(each) if each else None for each in tags
            ),
        }

        def write() -> None:
            with self._queries.attempt():
                self._queries.row("change_group_bindings", values)

        if change.joining and alive:
            name = alive[0].name
            self._past_strangers(change.joining, (), block, lambda: self.find(name).tenant, write)
        else:
            write()


def _check_members(members: Sequence[PhoneNumber]) -> None:
    """
    Make sure that they may be in a group together.

    Raises:
        SameParty: One is there twice.
        ModeError: There are too many.
    """
    if len({*members}) != len(members):
        raise SameParty("a member is named twice, or is in the party group already")
    if len(members) > GROUP_MAX:
        raise ModeError(f"a group has {GROUP_MAX} members at most")


def _without(
    some: tuple[PhoneNumber, ...], leaving: Sequence[PhoneNumber]
) -> tuple[PhoneNumber, ...]:
    return tuple(each for each in some if each not in leaving)


def _read(
    row: dict[str, Any], kept: GroupMembers, members: Sequence[dict[str, Any]]
) -> PartyGroup:
    known, damage = open_or_tell(lambda: tuple(kept.open(members)))
    return PartyGroup(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        label=row["label"],
        members=known or (),
        bindings=row["bindings"],
        created_at=row["created_at"],
        version=row["version"],
        damage=damage,
    )
