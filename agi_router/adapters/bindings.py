"""
The management store: blocks, bindings and call records, for the command line.

Every change is one statement or one transaction: it is done whole or not at all.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from agi_router.adapters.database import Connection, translated
from agi_router.adapters.facts import read_admission
from agi_router.adapters.queries import query
from agi_router.errors import (
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    BlockExists,
    BlockInUse,
    BlockNotFound,
    ExpiryInvalid,
    KeyMismatch,
    MemberNotFound,
    ModeError,
    NoNumberAvailable,
    StoreError,
)
from agi_router.model import (
    BindingState,
    BlockState,
    Call,
    Callback,
    Counting,
    Direction,
    Language,
    Mode,
    RouteRow,
    Side,
)
from agi_router.modes import Gxb, Gxyb, Parties, compile_routes
from agi_router.numbers import E164, Block, XNumber
from agi_router.ports import Admission
from agi_router.seal import KeyKind, KeyRing

__all__ = [
    "LONGEST_LIFE",
    "BindingId",
    "BindingStore",
    "Party",
    "StoredBinding",
    "Terms",
    "check_keys",
]

LONGEST_LIFE = timedelta(days=90)
"""A binding may not live longer; "never" would contradict that an order ends."""

_GROUPS: dict[Mode, type[Gxb]] = {Mode.GXB: Gxb, Mode.GXYB: Gxyb}
_CANDIDATES = 64
_ROUNDS = 8
_BLOCK_SIZE = 10_000


@dataclass(frozen=True, slots=True, order=True)
class BindingId:
    """
    The name of a binding, ``<block>-<id>``: the block tells where it is kept.
    """

    block: Block
    id: int

    @classmethod
    def parse(cls, text: str) -> "BindingId":
        """
        Read a binding's name.

        Raises:
            BindingNotFound: The text names no binding that could exist.
        """
        block, _, serial = text.strip().partition("-")
        try:
            if not (serial.isascii() and serial.isdigit()):
                raise BindingNotFound("a binding's id looks like 70012345678-1")
            return cls(Block.parse(block), min(int(serial[:19]), 2**63 - 1))
        except ValueError:
            raise BindingNotFound("a binding's id looks like 70012345678-1") from None

    def __str__(self) -> str:
        return f"{self.block}-{self.id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """
    What is agreed for a binding beside its parties.
    """

    expires_at: datetime
    max_calls: int | None = None
    counting: Counting = Counting.ANSWERED
    direction: Direction = Direction.BOTH
    ring_timeout: timedelta | None = None
    max_duration: timedelta | None = None
    language: Language | None = None
    order_id: str | None = None
    tenant: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """
    One party of a stored binding, and the number it dials.
    """

    side: Side
    number: E164
    dials: XNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBinding:
    """
    A binding as it is kept.
    """

    id: BindingId
    mode: str
    state: BindingState
    tenant: str
    order_id: str | None
    begins_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    max_calls: int | None
    calls_used: int
    counting: Counting
    direction: Direction
    ring_timeout: timedelta | None
    max_duration: timedelta | None
    language: Language | None
    callback: Callback | None
    parties: tuple[Party, ...]
    called_back: tuple[E164, ...]
    """Whom B reaches, as it stands."""


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


def check_keys(connection: Connection, keys: KeyRing) -> None:
    """
    Make sure that *keys* are those of this database; new ones are remembered.

    Raises:
        KeyMismatch: Another key of the same id was used here, or a key used here is missing.
    """
    ours = keys.fingerprints()
    # All new keys at once, and in one order: of two programs with different keys one comes first.
    with translated(), connection.transaction():
        known = _known_keys(connection, ours)
        for kind, number in sorted(ours.keys() - known):
            connection.execute(
                query("remember_key"),
                {"kind": kind, "id": number, "fingerprint": ours[kind, number]},
            )
        if ours.keys() - known:
            _known_keys(connection, ours)


def _known_keys(
    connection: Connection, ours: Mapping[tuple[KeyKind, int], bytes]
) -> set[tuple[KeyKind, int]]:
    """
    The keys used here before, all of which are *ours*.

    Raises:
        KeyMismatch: One of them is not.
    """
    known = {
        (row["kind"], row["id"]): row["fingerprint"]
        for row in connection.execute(query("list_keys")).fetchall()
    }
    for name, fingerprint in known.items():
        if ours.get(name) != fingerprint:
            raise KeyMismatch
    return set(known)


class BindingStore:
    """
    Where bindings are made, changed and looked at.

    Args:
        connection: See :func:`agi_router.adapters.database.connect`.
        keys: To tag and seal the parties' numbers.
    """

    def __init__(self, connection: Connection, keys: KeyRing) -> None:
        self._connection = connection
        self._keys = keys

    def now(self) -> datetime:
        """
        The database's clock, which alone judges expiry.
        """
        row = self._one("now", {})
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
            self._check_block(Block(value=given.block), tenant_id)
        for candidates in self._candidates(tenant_id, given):
            while (numbers := self._choose(parties, candidates, x, y)) is not None:
                try:
                    return self._bind(parties, numbers, terms, tenant_id)
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
        if self._one("unbind", _key(name)) is None:
            raise self._over(self.find(name))
        return self.find(name)

    def end_order(self, order_id: str) -> list[StoredBinding]:
        """
        End all bindings of an order that are alive; calls that are up go on.

        Raises:
            BindingNotFound: The order has none.
            BindingEnded: All of them are over already.
        """
        ended = self._all("end_order", {"order_id": order_id})
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
        pairs = [(a_number, self._tag(a_number, member)) for member in members]
        rows: list[RouteRow] = []
        try:
            with self._changing(name, pairs) as group:
                whole = replace(_parties(group), members=(*group.members, *members))
                rows += (
                    row
                    for row in compile_routes(whole, group.a_number, group.b_number)
                    if row.caller in members
                )
                columns = self._columns(rows, back=(group.b_number, group.tag))
                self._one("add_routes", {**_key(name), **columns})
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
            self._one("remove_route", {**_key(name), **place})
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
        if self._one("extend", {**_key(name), "expires_at": expires_at}) is None:
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
        row = self._one("find_binding", _key(name))
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
        return self._read(self._all("list_bindings", values))

    def facts(self, call: Call, *, at: datetime | None) -> Admission:
        """
        The facts about *call* at a time, nothing taken; uses are counted as they stand now.
        """
        x_number = call.x_number
        row = self._one(
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
        return self._all("list_calls", {"since": since, "limit": limit})

    def add_block(
        self, block: Block, *, operator: str | None, certificate: str | None
    ) -> dict[str, Any]:
        """
        Add a managed block.

        Raises:
            BlockExists: It is there already.
        """
        values = {"block": block.value, "operator": operator, "certificate": certificate}
        row = self._one("add_block", values)
        if row is None:
            raise BlockExists(f"block {block} is already there")
        return row

    def blocks(self) -> list[dict[str, Any]]:
        """
        All blocks, with how many bindings live in each.
        """
        return self._all("list_blocks", {})

    def set_block_state(self, block: Block, state: BlockState) -> dict[str, Any]:
        """
        Drain a block, return it, or put it into service again.

        Raises:
            BlockNotFound: It is not ours.
            BlockInUse: It is to be returned, and bindings live in it.
        """
        values = {"block": block.value, "state": state}
        with translated(), self._connection.transaction():
            if state is BlockState.RETURNED and self._one("lock_block", values) is not None:
                row = self._one("count_alive", values)
                if row is not None and row["bindings"]:
                    raise BlockInUse(
                        f"{row['bindings']} binding(s) live in block {block}, the last until"
                        f" {row['until'].isoformat(timespec='seconds')}: drain it and wait, or"
                        " unbind them"
                    )
            changed = self._one("set_block_state", values)
        if changed is None:
            raise BlockNotFound(f"block {block} is not ours")
        return changed

    def _bind(
        self,
        parties: Parties,
        numbers: tuple[XNumber, XNumber],
        terms: Terms,
        tenant_id: int,
    ) -> StoredBinding:
        rows = compile_routes(parties, *numbers)
        block = Block(value=rows[0].x_number.block)
        values = {
            "block": block.value,
            "tenant_id": tenant_id,
            "mode": parties.mode,
            "callback": parties.callback if isinstance(parties, Gxb) else None,
            "expires_at": terms.expires_at,
            "max_calls": terms.max_calls,
            "counting": terms.counting,
            "direction": terms.direction,
            "ring_timeout": _seconds(terms.ring_timeout),
            "max_duration": _seconds(terms.max_duration),
            "language": terms.language,
            "order_id": terms.order_id,
            **self._columns(rows, back=self._back(rows) if isinstance(parties, Gxb) else None),
        }
        try:
            row = self._one("bind", values)
        except psycopg.errors.UniqueViolation as error:
            raise self._conflict(block, rows, error.diag.constraint_name) from None
        assert row is not None  # noqa: S101 - the function returns one row, or raises
        if row["id"] is None:
            raise _closed(block)
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

    def _conflict(
        self, block: Block, rows: Sequence[RouteRow], constraint: str | None
    ) -> BindingConflict:
        tags = [self._tag(row.x_number, row.caller) for row in rows]
        held = self._all(
            "find_conflict",
            {
                "block": block.value,
                "x_number": [row.x_number.value for row in rows],
                "caller_tag": list(tags),
            },
        )
        who = {(row.x_number.value, tag): row.caller for row, tag in zip(rows, tags, strict=True)}
        words = [
            f"{who[each['x_number'], each['caller_tag']] or 'anyone'} is on {each['x_number']}"
            f" already, by binding {BindingId(block, each['binding_id'])}"
            for each in held
        ]
        return BindingConflict(
            "; ".join(words) + "; unbind it, or choose another number" if words else None,
            constraint=constraint,
        )

    def _choose(
        self,
        parties: Parties,
        candidates: Sequence[XNumber],
        x: XNumber | None,
        y: XNumber | None,
    ) -> tuple[XNumber, XNumber] | None:
        """
        The numbers of A and of B, out of *candidates* where they are not given; all of one block.
        """
        if parties.numbers == 1:
            one = x or self._choose_x((*parties.side_a, parties.b), candidates)
            return None if one is None else (one, one)
        a_number = x or self._choose_x(parties.side_a, [c for c in candidates if c != y])
        b_number = y or self._choose_x((parties.b,), [c for c in candidates if c != a_number])
        if b_number is None and x is None:
            # A may have been given the only number that is free for B.
            b_number = self._choose_x((parties.b,), candidates)
            a_number = self._choose_x(parties.side_a, [c for c in candidates if c != b_number])
        return None if a_number is None or b_number is None else (a_number, b_number)

    def _choose_x(self, callers: Sequence[E164], candidates: Sequence[XNumber]) -> XNumber | None:
        pairs = [(x.value, self._keys.tag(x, caller)) for x in candidates for caller in callers]
        row = self._one(
            "choose_x",
            {
                "x_number": [x_number for x_number, _ in pairs],
                "caller_tag": [tag for _, tag in pairs],
            },
        )
        return None if row is None else XNumber.from_int(row["x_number"])

    def _candidates(self, tenant_id: int, given: XNumber | None) -> Iterator[list[XNumber]]:
        """
        Numbers to choose from, always of one block: a few at random, again, then whole blocks.
        """
        blocks = (
            [Block(value=given.block)]
            if given is not None
            else [
                Block(value=row["block"])
                for row in self._all("list_open_blocks", {"tenant_id": tenant_id})
            ]
        )
        if not blocks:
            raise NoNumberAvailable(
                "no block is open for new bindings: add one with 'agi-router block add'"
            )
        pick = random.SystemRandom()
        for _ in range(_ROUNDS):
            block = pick.choice(blocks)
            yield [block.number(serial) for serial in pick.sample(range(_BLOCK_SIZE), _CANDIDATES)]
        for block in blocks:
            yield [block.number(serial) for serial in range(_BLOCK_SIZE)]

    def _tag(self, x_number: XNumber, caller: E164 | None) -> int:
        return 0 if caller is None else self._keys.tag(x_number, caller)

    def _check_expiry(self, expires_at: datetime) -> None:
        now = self.now()
        if expires_at <= now:
            raise ExpiryInvalid("the expiry is in the past")
        if expires_at > now + LONGEST_LIFE:
            raise ExpiryInvalid(f"a binding may live {LONGEST_LIFE.days} days at most")

    def _check_block(self, block: Block, tenant_id: int) -> None:
        row = self._one("find_block", {"block": block.value, "tenant_id": tenant_id})
        if row is None:
            raise BlockNotFound(
                f"block {block} is not ours: add it first with 'agi-router block add {block}'"
            )
        if not row["open"]:
            raise _closed(block)

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
        self, name: BindingId, pairs: Sequence[tuple[XNumber, int]] = ()
    ) -> Iterator[_Group]:
        """
        A transaction in which a live group is read and changed; calls on it wait.

        Args:
            name: The binding.
            pairs: Numbers and tags for which routes will be added.
        """
        places = {
            "x_number": [x_number.value for x_number, _ in pairs],
            "caller_tag": [tag for _, tag in pairs],
        }
        with translated(but=psycopg.errors.UniqueViolation), self._connection.transaction():
            row = self._one("lock_binding", {**_key(name), **places})
            if row is None:
                raise self._over(self.find(name))
            routes = self._all("list_routes", {"block": [name.block.value], "id": [name.id]})
            yield self._group(row, routes)

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
            called_back=self._open(back["callee"], back) if back["callee"] else (),
            mode=_GROUPS[Mode(row["mode"])],
        )

    def _call_back(self, name: BindingId, group: _Group, callees: Sequence[E164]) -> None:
        """
        Let B reach *callees* from now on.
        """
        x_number, tag = group.b_number, group.tag
        callee = self._keys.seal(callees, x=x_number, tag=tag) if callees else None
        place = {"x_number": x_number.value, "caller_tag": tag}
        self._one("set_callee", {**_key(name), **place, "callee": callee})

    def _find_tenant(self, name: str) -> int:
        row = self._one("find_tenant", {"name": name})
        if row is None:
            raise StoreError(f"there is no active tenant {name!r}")
        return row["id"]  # type: ignore[no-any-return]

    def _over(self, found: StoredBinding) -> BindingEnded:
        return BindingEnded(f"binding {found.id} is over ({found.state}); make a new one")

    def _read(self, rows: Sequence[dict[str, Any]]) -> list[StoredBinding]:
        routes: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for route in self._all(
            "list_routes",
            {"block": [row["block"] for row in rows], "id": [row["id"] for row in rows]},
        ):
            routes.setdefault((route["block"], route["binding_id"]), []).append(route)
        return [
            _read_binding(row, self._parties(own), self._called_back(own))
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

    def _one(self, name: str, values: dict[str, Any]) -> dict[str, Any] | None:
        with translated(but=psycopg.errors.UniqueViolation):
            return self._connection.execute(query(name), values).fetchone()

    def _all(self, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        with translated():
            return self._connection.execute(query(name), values).fetchall()


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


def _closed(block: Block) -> NoNumberAvailable:
    return NoNumberAvailable(
        f"block {block} takes no new bindings: it is draining or returned, its certificate is not"
        " valid, or it is kept for another tenant"
    )


def _read_binding(
    row: dict[str, Any], parties: tuple[Party, ...], called_back: tuple[E164, ...]
) -> StoredBinding:
    state = BindingState(row["state"])
    ended_at = row["ended_at"]
    if state is BindingState.ACTIVE and row["expires_at"] <= row["now"]:
        # Nobody has noticed yet; the clock ended it.
        state, ended_at = BindingState.EXPIRED, row["expires_at"]
    return StoredBinding(
        id=BindingId(Block(value=row["block"]), row["id"]),
        mode=row["mode"],
        state=state,
        tenant=row["tenant"],
        order_id=row["order_id"],
        begins_at=row["begins_at"],
        expires_at=row["expires_at"],
        ended_at=ended_at,
        max_calls=row["max_calls"],
        calls_used=row["calls_used"],
        counting=Counting(row["counting"]),
        direction=Direction(row["direction"]),
        ring_timeout=_span(row["ring_timeout"]),
        max_duration=_span(row["max_duration"]),
        language=None if row["language"] is None else Language(row["language"]),
        parties=parties,
        called_back=called_back,
        callback=None if row["callback"] is None else Callback(row["callback"]),
    )


def _seconds(value: timedelta | None) -> int | None:
    return None if value is None else int(value.total_seconds())


def _span(value: int | None) -> timedelta | None:
    return None if value is None else timedelta(seconds=value)
