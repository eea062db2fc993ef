"""
The management store: bindings, their groups, and call records, for the command line.

Every change is one statement or one transaction: it is done whole or not at all.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from agi_router.adapters.database import Connection, Statements
from agi_router.adapters.facts import read_admission
from agi_router.adapters.inventory import Inventory, closed
from agi_router.adapters.keys import check_keys
from agi_router.adapters.records import (
    BindingId,
    Party,
    StoredBinding,
    Terms,
    read_binding,
    seconds,
)
from agi_router.adapters.renewal import Renewal
from agi_router.errors import (
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    ExpiryInvalid,
    KeysOutdated,
    MemberNotFound,
    ModeError,
    NoNumberAvailable,
    StoreError,
)
from agi_router.model import (
    BindingState,
    Call,
    Callback,
    Mode,
    RouteRow,
    Side,
)
from agi_router.modes import Gxb, Gxyb, Parties, compile_routes
from agi_router.numbers import E164, Block, XNumber
from agi_router.ports import Admission
from agi_router.seal import KeyRing

__all__ = ["LONGEST_LIFE", "BindingStore"]

LONGEST_LIFE = timedelta(days=90)
"""A binding may not live longer; "never" would contradict that an order ends."""

_GROUPS: dict[Mode, type[Gxb]] = {Mode.GXB: Gxb, Mode.GXYB: Gxyb}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """
    A group as it stands, under lock.
    """

    members: dict[E164, int]
    """Its members, and the tags they are found by."""
    b: E164
    a_number: XNumber
    b_number: XNumber
    tag: int
    """The tag that B is found by."""
    callback: Callback
    called_back: tuple[E164, ...]
    mode: type[Gxb]


class BindingStore:
    """
    Where bindings are made, changed and looked at.

    Args:
        connection: See :func:`agi_router.adapters.database.connect`.
        keys: To tag and seal the parties' numbers.
    """

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._statements = Statements(connection)
        self.inventory = Inventory(self._statements, keys)
        """The blocks, and the choice of numbers."""
        self._keys = keys

    def now(self) -> datetime:
        """
        The database's clock, which alone judges expiry.
        """
        row = self._statements.one("now", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return row["clock_timestamp"]  # type: ignore[no-any-return]

    def bind(
        self,
        parties: Parties,
        terms: Terms,
        *,
        x: XNumber | None = None,
        y: XNumber | None = None,
    ) -> StoredBinding:
        """
        Bind *parties* on the numbers given; those that are not are chosen for them.

        Args:
            parties: Who is bound; their class names the mode.
            terms: What is agreed.
            x: The number that side A dials, and side B too where the mode has one number.
            y: The number that side B dials, where the mode has two.

        Raises:
            ModeError: The mode does not allow these numbers.
            ExpiryInvalid: The binding would end before it begins, or live too long.
            BlockNotFound: *x* lies in no block of ours.
            BindingConflict: A party is on *x* already.
            NoNumberAvailable: No number can be chosen; says why.
        """
        self._check_expiry(terms.expires_at)
        tenant_id = self._find_tenant(terms.tenant)
        if y is not None and parties.numbers == 1:
            raise ModeError(f"a binding by {parties.mode} has one number")
        given = x or y
        if given is not None:
            self.inventory.check_open(Block(value=given.block), tenant_id)
        for candidates in self.inventory.candidates(tenant_id, given):
            while (numbers := self.inventory.choose(parties, candidates, x, y)) is not None:
                try:
                    return self._bind_under_current_keys(parties, numbers, terms, tenant_id)
                except BindingConflict:
                    if given is not None:
                        raise
                    # Somebody else took the place between choosing and binding: choose again.
        raise NoNumberAvailable(
            "no 700 number is free for these parties: on every number of the open blocks one of"
            " them is bound already; unbind, wait for an expiry, or add a block"
        )

    def unbind(self, name: BindingId) -> StoredBinding:
        """
        End a binding now; calls that are up go on.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
        """
        if self._statements.one("unbind", _key(name)) is None:
            raise self._over(self.find(name))
        return self.find(name)

    def end_order(self, order_id: str) -> list[StoredBinding]:
        """
        End all bindings of an order that are alive; calls that are up go on.

        Raises:
            BindingNotFound: The order has none.
            BindingEnded: All of them are over already.
        """
        ended = self._statements.all("end_order", {"order_id": order_id})
        if not ended:
            if self.bindings(everything=True, order_id=order_id, limit=1):
                raise BindingEnded("every binding of this order is over already")
            raise BindingNotFound("no binding was made for this order")
        names = sorted(BindingId(Block(value=row["block"]), row["id"]) for row in ended)
        return [self.find(name) for name in names]

    def add_members(self, name: BindingId, members: Sequence[E164]) -> StoredBinding:
        """
        Let more members into a group.

        Raises:
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            ModeError: It has no group, or the group would be too large.
            SameParty: One of them is a member already, is B, or is named twice.
            BindingConflict: One of them is on the group's number by another binding.
        """
        a_number = self._find_group(name)
        rows: list[RouteRow] = []
        try:
            with self._changing(name, [(a_number, member) for member in members]) as group:
                whole = replace(_parties(group), members=(*group.members, *members))
                rows += (
                    row
                    for row in compile_routes(whole, group.a_number, group.b_number)
                    if row.caller in members
                )
                columns = self._columns(rows, back=(group.b_number, group.tag))
                self._statements.one(
                    "add_routes", {**_key(name), **columns, **self._under_keys(rows)}
                )
                if group.callback is Callback.ALL:
                    self._call_back(name, group, (*group.called_back, *members))
        except psycopg.errors.UniqueViolation as error:
            raise self._conflict(name.block, rows, error.diag.constraint_name) from None
        return self.find(name)

    def remove_member(self, name: BindingId, member: E164) -> StoredBinding:
        """
        Take a member out of a group; from then on B does not reach it either.

        Raises:
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            ModeError: It has no group, or no other member.
            MemberNotFound: It has no such member.
        """
        self._find_group(name)
        with self._changing(name) as group:
            tag = _member(name, group, member)
            if len(group.members) == 1:
                raise ModeError("a group keeps at least one member; unbind it instead")
            place = {"x_number": group.a_number.value, "caller_tag": tag}
            self._statements.one("remove_route", {**_key(name), **place})
            if member in group.called_back:
                left = tuple(each for each in group.called_back if each != member)
                self._call_back(name, group, left)
        return self.find(name)

    def set_default(self, name: BindingId, member: E164) -> StoredBinding:
        """
        Say which member B reaches; by the callback ``last``, until a member has called.

        Raises:
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            ModeError: It has no group, or one that rings all at once.
            MemberNotFound: It has no such member.
        """
        self._find_group(name)
        with self._changing(name) as group:
            _member(name, group, member)
            # Says so where all ring at once.
            replace(_parties(group), default=member)
            self._call_back(name, group, (member,))
        return self.find(name)

    def extend(self, name: BindingId, expires_at: datetime) -> StoredBinding:
        """
        Move a binding's end to a later time.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            ExpiryInvalid: The new end is in the past, or earlier than the one it has.
        """
        self._check_expiry(expires_at)
        if self._statements.one("extend", {**_key(name), "expires_at": expires_at}) is None:
            found = self.find(name)
            if found.state is not BindingState.ACTIVE:
                raise self._over(found)
            raise ExpiryInvalid(
                "the binding would end earlier than it does now; it can only be extended"
            )
        return self.find(name)

    def find(self, name: BindingId) -> StoredBinding:
        """
        One binding.

        Raises:
            BindingNotFound: There is none.
        """
        row = self._statements.one("find_binding", _key(name))
        if row is None:
            raise BindingNotFound(f"there is no binding {name}")
        return self._read([row])[0]

    def bindings(
        self, *, everything: bool, order_id: str | None, limit: int
    ) -> list[StoredBinding]:
        """
        Bindings, newest first; those that are over only if *everything* is asked for.
        """
        values = {"all": everything, "order_id": order_id, "limit": limit}
        return self._read(self._statements.all("list_bindings", values))

    def facts(self, call: Call, *, at: datetime | None) -> Admission:
        """
        The facts about *call* at a time, nothing taken; uses are counted as they stand now.
        """
        x_number = call.x_number
        row = self._statements.one(
            "find_facts",
            {
                "block": x_number.block,
                "x_number": x_number.value,
                "tags": [*self._keys.tags(x_number, call.caller), 0],
                "at": at,
            },
        )
        assert row is not None  # noqa: S101 - the function returns one row always
        return read_admission(row, x_number, self._keys)

    def calls(self, *, since: datetime, limit: int) -> list[dict[str, Any]]:
        """
        Call records since a time, newest first.
        """
        return self._statements.all("list_calls", {"since": since, "limit": limit})

    def _bind_under_current_keys(
        self,
        parties: Parties,
        numbers: tuple[XNumber, XNumber],
        terms: Terms,
        tenant_id: int,
    ) -> StoredBinding:
        try:
            return self._bind(parties, numbers, terms, tenant_id)
        except KeysOutdated:
            # They were rotated since they were read; the new ones were in the file before.
            self._keys = check_keys(self._connection, self._keys)
            self.inventory = Inventory(self._statements, self._keys)
            return self._bind(parties, numbers, terms, tenant_id)

    def _bind(
        self,
        parties: Parties,
        numbers: tuple[XNumber, XNumber],
        terms: Terms,
        tenant_id: int,
    ) -> StoredBinding:
        rows = compile_routes(parties, *numbers)
        block = Block(value=rows[0].x_number.block)
        columns = {
            "tenant_id": tenant_id,
            "mode": parties.mode,
            "callback": parties.callback if isinstance(parties, Gxb) else None,
            "expires_at": terms.expires_at.isoformat(),
            "max_calls": terms.max_calls,
            "counting": terms.counting,
            "direction": terms.direction,
            "ring_timeout": seconds(terms.ring_timeout),
            "max_duration": seconds(terms.max_duration),
            "language": terms.language,
            "order_id": terms.order_id,
        }
        values = {
            "block": block.value,
            "terms": Jsonb(columns),
            **self._columns(rows, back=self._back(rows) if isinstance(parties, Gxb) else None),
            **self._under_keys(rows),
        }
        try:
            row = self._statements.one("bind", values)
        except psycopg.errors.UniqueViolation as error:
            raise self._conflict(block, rows, error.diag.constraint_name) from None
        assert row is not None  # noqa: S101 - the function returns one row, or raises
        if row["id"] is None:
            raise closed(block)
        return self.find(BindingId(block, row["id"]))

    def _back(self, rows: Sequence[RouteRow]) -> tuple[XNumber, int]:
        """
        The place of B's row among *rows*.
        """
        (row,) = (row for row in rows if row.side is Side.B)
        return row.x_number, self._tag(row.x_number, row.caller)

    def _columns(
        self, rows: Sequence[RouteRow], *, back: tuple[XNumber, int] | None
    ) -> dict[str, list[Any]]:
        """
        Route rows as the arrays that the store takes, numbers tagged and sealed.

        Args:
            rows: What a mode has compiled.
            back: The place of B's row where side A is a group.
        """
        tags = [self._tag(row.x_number, row.caller) for row in rows]
        return {
            "x_number": [row.x_number.value for row in rows],
            "caller_tag": tags,
            "shown": [row.shown.value for row in rows],
            "side": [row.side for row in rows],
            "callee": [
                self._keys.seal(row.callees, x=row.x_number, tag=tag) if row.callees else None
                for row, tag in zip(rows, tags, strict=True)
            ],
            # Sealed for the row of B, where it becomes the callee when B calls back.
            "caller": [
                self._keys.seal([row.caller], x=back[0], tag=back[1])
                if back is not None and row.side is Side.A and row.caller
                else None
                for row in rows
            ],
        }

    def _under_keys(self, rows: Iterable[RouteRow] = ()) -> dict[str, Any]:
        """
        Under which keys these rows are written, and by which other tags they must not be there.
        """
        places = list(self._places((row.x_number, row.caller) for row in rows))
        if len(self._keys.tag_keys) == 1:
            # The key of the table sees to it.
            places = []
        return {
            "tag_key": self._keys.tag_key_id,
            "seal_key": self._keys.seal_key_id,
            "held_x": [x_number for x_number, _ in places],
            "held_tag": [tag for _, tag in places],
        }

    def _places(
        self, pairs: Iterable[tuple[XNumber, E164 | None]]
    ) -> dict[tuple[int, int], E164 | None]:
        """
        Where callers may be found on numbers: by their tags under every key.
        """
        return {
            (x_number.value, tag): caller
            for x_number, caller in pairs
            for tag in ([0] if caller is None else self._keys.tags(x_number, caller))
        }

    def _conflict(
        self, block: Block, rows: Sequence[RouteRow], constraint: str | None
    ) -> BindingConflict:
        who = self._places((row.x_number, row.caller) for row in rows)
        held = self._statements.all(
            "find_conflict",
            {
                "block": block.value,
                "x_number": [x_number for x_number, _ in who],
                "caller_tag": [tag for _, tag in who],
            },
        )
        words = [
            f"{who[each['x_number'], each['caller_tag']] or 'anyone'} is on {each['x_number']}"
            f" already, by binding {BindingId(block, each['binding_id'])}"
            for each in held
        ]
        return BindingConflict(
            "; ".join(words) + "; unbind it, or choose another number" if words else None,
            constraint=constraint,
        )

    def _tag(self, x_number: XNumber, caller: E164 | None) -> int:
        return 0 if caller is None else self._keys.tag(x_number, caller)

    def _check_expiry(self, expires_at: datetime) -> None:
        now = self.now()
        if expires_at <= now:
            raise ExpiryInvalid("the expiry is in the past")
        if expires_at > now + LONGEST_LIFE:
            raise ExpiryInvalid(f"a binding may live {LONGEST_LIFE.days} days at most")

    def _find_group(self, name: BindingId) -> XNumber:
        """
        The number that the members of a live group dial.
        """
        found = self.find(name)
        if found.state is not BindingState.ACTIVE:
            raise self._over(found)
        if found.callback is None:
            raise ModeError(f"binding {name} has no group: its mode is {found.mode}")
        return next(party.dials for party in found.parties if party.side is Side.A)

    @contextmanager
    def _changing(
        self, name: BindingId, pairs: Sequence[tuple[XNumber, E164]] = ()
    ) -> Iterator[_Group]:
        """
        A transaction in which a live group is read and changed; calls on it wait.

        Args:
            name: The binding.
            pairs: Numbers and callers for which routes will be added.
        """
        places = self._places(pairs)
        locked = {
            "x_number": [x_number for x_number, _ in places],
            "caller_tag": [tag for _, tag in places],
        }
        with self._statements.transaction():
            self._statements.one("under_keys", {**_key(name), **self._under_keys()})
            row = self._statements.one("lock_binding", {**_key(name), **locked})
            if row is None:
                raise self._over(self.find(name))
            yield self._group(row, self._current_routes(name))

    def _current_routes(self, name: BindingId) -> list[dict[str, Any]]:
        """
        The routes of a locked binding, brought under the current keys: its rows are of one key.
        """
        values = {"block": [name.block.value], "id": [name.id]}
        routes = self._statements.all("list_routes", values)
        sealed = [route[column] for route in routes for column in ("callee", "caller")]
        if all(each is None or each[:3] in self._keys.headers for each in sealed):
            return routes
        renewal = Renewal(self._statements, self._keys)
        renewal.renew([name])
        for _, why in renewal.left:
            raise StoreError(f"binding {name} cannot be brought under the current keys: {why}")
        return self._statements.all("list_routes", values)

    def _group(self, row: dict[str, Any], routes: Sequence[dict[str, Any]]) -> _Group:
        (back,) = (route for route in routes if route["side"] == Side.B)
        members = {
            number: route["caller_tag"]
            for route in routes
            if route["side"] == Side.A
            for number in self._open(route["caller"], back)
        }
        one = next(route for route in routes if route["side"] == Side.A)
        (b,) = self._open(one["callee"], one)
        return _Group(
            members=members,
            b=b,
            a_number=XNumber.from_int(one["x_number"]),
            b_number=XNumber.from_int(back["x_number"]),
            tag=back["caller_tag"],
            callback=Callback(row["callback"]),
            called_back=self._called_back(routes),
            mode=_GROUPS[Mode(row["mode"])],
        )

    def _call_back(self, name: BindingId, group: _Group, callees: Sequence[E164]) -> None:
        """
        Let B reach *callees* from now on.
        """
        x_number, tag = group.b_number, group.tag
        callee = self._keys.seal(callees, x=x_number, tag=tag) if callees else None
        place = {"x_number": x_number.value, "caller_tag": tag}
        self._statements.one("set_callee", {**_key(name), **place, "callee": callee})

    def _find_tenant(self, name: str) -> int:
        row = self._statements.one("find_tenant", {"name": name})
        if row is None:
            raise StoreError(f"there is no active tenant {name!r}")
        return row["id"]  # type: ignore[no-any-return]

    def _over(self, found: StoredBinding) -> BindingEnded:
        return BindingEnded(f"binding {found.id} is over ({found.state}); make a new one")

    def _read(self, rows: Sequence[dict[str, Any]]) -> list[StoredBinding]:
        routes: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for route in self._statements.all(
            "list_routes",
            {"block": [row["block"] for row in rows], "id": [row["id"] for row in rows]},
        ):
            routes.setdefault((route["block"], route["binding_id"]), []).append(route)
        return [
            read_binding(row, self._parties(own), self._called_back(own))
            for row in rows
            for own in [routes.get((row["block"], row["id"]), [])]
        ]

    def _parties(self, routes: Sequence[dict[str, Any]]) -> tuple[Party, ...]:
        """
        The parties, read from a binding's routes: a caller is known by who calls it back.
        """
        found: set[Party] = set()
        back = next((route for route in routes if route["side"] == Side.B), None)
        for route in routes:
            if route["side"] == Side.A:
                (b,) = self._open(route["callee"], route)
                found.add(Party(side=Side.B, number=b, dials=XNumber.from_int(route["shown"])))
                if back is not None:
                    (a,) = self._open(route["caller"] or back["callee"], back)
                    a_number = XNumber.from_int(route["x_number"])
                    found.add(Party(side=Side.A, number=a, dials=a_number))
        return tuple(sorted(found, key=lambda party: (party.side, party.number.digits)))

    def _called_back(self, routes: Sequence[dict[str, Any]]) -> tuple[E164, ...]:
        for route in routes:
            if route["side"] == Side.B and route["callee"] is not None:
                return self._open(route["callee"], route)
        return ()

    def _open(self, sealed: bytes, route: dict[str, Any]) -> tuple[E164, ...]:
        x_number = XNumber.from_int(route["x_number"])
        return self._keys.open(sealed, x=x_number, tag=route["caller_tag"])


def _key(name: BindingId) -> dict[str, int]:
    return {"block": name.block.value, "id": name.id}


def _parties(group: _Group) -> Gxb:
    return group.mode(members=tuple(group.members), b=group.b, callback=group.callback)


def _member(name: BindingId, group: _Group, member: E164) -> int:
    """
    The tag by which *member* is found in *group*.
    """
    if member not in group.members:
        raise MemberNotFound(f"{member} is no member of binding {name}")
    return group.members[member]
