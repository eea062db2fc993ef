"""
The management store: bindings and their groups.

Every change is one statement or one transaction: it is done whole or not at all.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from agi_router.bindings.choose import NumberChooser, NumberPolicy, OpenBlocks
from agi_router.bindings.expiry import LONGEST_LIFE, check_expiry
from agi_router.bindings.model import Binding, BindingId, RouteRow
from agi_router.bindings.modes import Gxb, Parties, compile_routes, group_of
from agi_router.bindings.names import NONE_OF_ORDER, BindingNames, filter_values, read_names
from agi_router.bindings.parties import (
    mode_columns,
    open_callees,
    open_caller,
    open_last_caller,
    read_parties,
    who_rings,
)
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.reseal import Renewal
from agi_router.bindings.rows import (
    check_caller,
    find_back,
    order_tags,
    read_binding,
    read_damaged,
    route_columns,
    row_of,
    seal_routes,
    tag_order,
    tags_of_caller,
)
from agi_router.bindings.terms import TERMS, Terms
from agi_router.bindings.words import BindingState, Callback, Mode, Side
from agi_router.cursors import Cursor
from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import NO_TIMES, Connection, Queries
from agi_router.errors import (
    AgiRouterError,
    BindingChanged,
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    ExpiryInvalid,
    KeysOutdated,
    LimitTooLow,
    MemberNotFound,
    ModeError,
    NoNumberAvailable,
    NumberResting,
    RowInvalid,
    SealError,
    StoreError,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.inventory.store import InventoryStore
from agi_router.keys.registry import check_keys, key_ids
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["FOREIGN", "BindingStore"]


_QUARANTINE = Quarantine()
_POLICY = NumberPolicy()
_STREAMED = 1000
# How often a change is tried anew that has to look at the binding first.
_TRIES = 5
_TERMS = {term.name: term for term in TERMS}

_Done = TypeVar("_Done")

FOREIGN = (
    "bindings of other tenants are on this number, or were not long ago: leave it out, or give"
    " another one"
)
"""
What a tenant is told of a number that others are on: neither who nor by what.
"""


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

    @property
    def rings_all(self) -> bool:
        """
        Whether all members ring.
        """
        return self.callback in {Callback.ALL, Callback.SEQUENCE}


class BindingStore:
    """
    Where bindings are made, changed and looked at.

    Args:
        connection: See :func:`agi_router.db.connection.connect`.
        keys: To tag and seal the parties' numbers.
        quarantine: How long numbers are kept from new bindings after a binding's end.
        open_modes: Whether numbers may be bound that strangers can call.
        scope: Whose bindings these are; see :meth:`within`.
    """

    def __init__(
        self,
        connection: Connection,
        keys: KeyRing,
        quarantine: Quarantine = _QUARANTINE,
        *,
        open_modes: bool = False,
        scope: Scope = OPERATOR,
    ) -> None:
        self.connection = connection
        """What the stores of other rooms may use too."""
        self.scope = scope
        """What lies outside is answered as what does not exist."""
        self._queries = Queries(connection, scope.values)
        self._quarantine = quarantine
        self._wider: BindingStore | None = None
        self.names = BindingNames(self._queries, scope)
        """Bindings by what they are called."""
        self.inventory = InventoryStore(self._queries, quarantine, scope)
        """The blocks."""
        self._use_keys(keys)
        self._open_modes = open_modes

    def within(self, scope: Scope) -> "BindingStore":
        """
        The same bindings, so far as they lie within *scope*; on the same connection.

        Costs no query: one for every request.

        Raises:
            OperatorOnly: It is wider than this one.
        """
        if scope != self.scope:
            self.scope.check_operator("acts for others")
        store = BindingStore(
            self.connection, self.keys, self._quarantine, open_modes=self._open_modes, scope=scope
        )
        store._wider = self
        return store

    def _use_keys(self, keys: KeyRing) -> None:
        if self._wider is not None:
            # For those who come after.
            self._wider._use_keys(keys)  # noqa: SLF001 - one of us
        self.keys = keys
        """What numbers are tagged and sealed with now."""
        self.chooser = NumberChooser(
            self._queries,
            keys,
            self._quarantine,
            inventory=self.inventory,
            discreet=not self.scope.whole,
        )
        """The choice of numbers."""

    def now(self) -> datetime:
        """
        The database's clock, which alone judges expiry.
        """
        row = self._queries.row("now", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        return row["clock_timestamp"]  # type: ignore[no-any-return]

    def bind(
        self,
        parties: Parties,
        terms: Terms,
        *,
        x: XNumber | None = None,
        y: XNumber | None = None,
        choice: NumberPolicy = _POLICY,
    ) -> Binding:
        """
        Bind *parties* on the numbers given; those that are not are chosen for them.

        Args:
            parties: Who is bound; their class names the mode.
            terms: What is agreed.
            x: The number that side A dials, and side B too where the mode has one number.
            y: The number that side B dials, where the mode has two.
            choice: How those not given are chosen.

        Raises:
            ModeError: The mode does not allow these numbers.
            ExpiryInvalid: The binding would end before it begins, or live too long.
            TenantNotFound: There is no such tenant, or it is suspended.
            BlockNotFound: *x* lies in no block of ours.
            BindingConflict: A party is on *x* already.
            NumberResting: A binding on *x* ended not long ago.
            NoNumberAvailable: No number can be chosen; says why.
        """
        self.scope.check_tenant(terms.tenant)
        if parties.mode.open and not self._open_modes:
            raise ModeError(
                f"{parties.mode} lets strangers call, and nothing says that 700 numbers may:"
                " it is off until AGI_ROUTER_OPEN_MODES is on"
            )
        try:
            return self._under_current_keys(
                lambda: self._bind_parties(parties, terms, x, y, choice)
            )
        except (BindingConflict, NumberResting):
            # Somebody may have come to the number meanwhile.
            self._check_foreign(x, y)
            raise

    def make(
        self, request: BindRequest, *, default_ttl: timedelta, choice: NumberPolicy = _POLICY
    ) -> Binding:
        """
        Bind as it is asked for.

        Args:
            request: What is asked for.
            default_ttl: How long it lives where nothing is said of it.
            choice: How numbers that are not given are chosen.

        Raises:
            ExpiryInvalid: Its end is in the past or too far away.
            AgiRouterError: See :meth:`bind`.
        """
        terms = request.agreed(self.now(), default_ttl=default_ttl)
        return self.bind(request.parties, terms, x=request.x, y=request.y, choice=choice)

    def unbind(self, name: BindingId) -> Binding:
        """
        End a binding now; calls that are up go on.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
        """
        if self._queries.row("unbind", _key(name)) is None:
            raise self._over(self.find(name))
        return self.find(name)

    def end_order(self, order_id: str) -> list[Binding]:
        """
        End all bindings of an order that are alive; calls that are up go on.

        Of the operator these are the orders of all tenants that have one of this id.

        Raises:
            BindingNotFound: The order has none.
            BindingEnded: All of them are over already.
        """
        ended = self._queries.rows("end_order", {"order_id": order_id})
        if not ended:
            if self.bindings(everything=True, order_id=order_id, limit=1):
                raise BindingEnded("every binding of this order is over already")
            raise BindingNotFound(NONE_OF_ORDER)
        return [self.find(name) for name in sorted(read_names(ended))]

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
            ModeError: It has no group, or the group would be too large.
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
        rows: list[RouteRow] = []
        try:
            tags = [tag for member in members for tag in self.keys.tags(member)]
            places_of_tags = [(a_number.value, tag) for tag in tags]
            with self._changing(name, places_of_tags, version=version) as group:
                whole = replace(_parties(group), members=(*group.members, *members))
                rows += (
                    row
                    for row in compile_routes(whole, group.a_number, group.b_number)
                    if row.caller in members
                )
                self._check_rests(name, whole, group, members)
                routes = seal_routes(rows, self.keys, binding_id=name.id, back=group.back)
                # With one key, the key of the table sees to it.
                places = self._places(rows if len(self.keys.tag_keys) > 1 else ())
                values = {
                    **_key(name),
                    **key_ids(self.keys),
                    **route_columns(routes),
                    **_columns_of(places),
                }
                self._queries.row("add_routes", values)
                if group.rings_all:
                    self._call_back(name, group, (*group.callees, *members))
        except psycopg.errors.UniqueViolation as error:
            raise self._conflict(name.block, rows, error.diag.constraint_name) from None

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
            ModeError: It has no group, or no other member.
            MemberNotFound: It has no such member.
        """
        self._under_current_keys(lambda: self._remove_member(name, member, version))
        return self.find(name)

    def _remove_member(self, name: BindingId, member: PhoneNumber, version: int | None) -> None:
        self._find_group(name)
        with self._changing(name, version=version) as group:
            tag = _member(name, group, member)
            if len(group.members) == 1:
                raise ModeError("a group keeps at least one member; unbind it instead")
            place = {"x_number": group.a_number.value, "caller_tag": tag}
            self._queries.row("remove_route", {**_key(name), **place})
            if member in (*group.callees, *group.last):
                left = tuple(each for each in group.callees if each != member)
                self._call_back(name, group, left, forget=member in group.last)

    def set_default(
        self, name: BindingId, member: PhoneNumber, *, version: int | None = None
    ) -> Binding:
        """
        Say which member B reaches; by the callback ``last``, until a member calls again.

        Args:
            name: The group's binding.
            member: Whom B reaches.
            version: The one that the binding is to have still.

        Raises:
            BindingChanged: It has another version by now.
            BindingNotFound: There is no such binding.
            BindingEnded: It is over.
            ModeError: It has no group, or one that rings all at once.
            MemberNotFound: It has no such member.
        """
        self._under_current_keys(lambda: self._set_default(name, member, version))
        return self.find(name)

    def _set_default(self, name: BindingId, member: PhoneNumber, version: int | None) -> None:
        self._find_group(name)
        with self._changing(name, version=version) as group:
            _member(name, group, member)
            # Says so where all ring at once.
            replace(_parties(group), default=member)
            self._call_back(name, group, (member,), forget=True)

    def change(self, name: BindingId, *, version: int | None = None, **changes: Any) -> Binding:
        """
        Say anew what is agreed; a call that is up goes on as it began.

        Args:
            name: The binding.
            version: The one that it is to have still.
            changes: New values by the names of :class:`Terms`: all but the tenant.
                ``expires_at`` may be earlier or later; :obj:`None` takes back what was agreed.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            BindingChanged: It has another version by now.
            ExpiryInvalid: It would end in the past, or live too long.
            LimitTooLow: More calls are used already than ``max_calls``.
            ModeError: A call has made it; its parent may be changed.
            TypeError: There is no such term.
        """
        columns = {key: _column(key, value) for key, value in changes.items()}
        for _ in range(_TRIES):
            expected = version
            if "order_id" in columns:
                # By its order and its parties an import recognises it: these may change meanwhile.
                found = self.find(name)
                columns["order_tag"] = self._tag_of(found, columns["order_id"])
                expected = version or found.version
            outcome = self._change(name, columns, expected)
            if outcome != "stale" or version is not None:
                break
        if outcome not in {"changed", "same"}:
            raise self._not_changed(name, outcome, changes)
        return self.find(name)

    def _change(self, name: BindingId, columns: dict[str, Any], version: int | None) -> str:
        def work() -> str:
            values = {
                **_key(name),
                **key_ids(self.keys),
                "changes": Jsonb(columns),
                "version": version,
                "longest": LONGEST_LIFE,
            }
            row = self._queries.row("change", values)
            assert row is not None  # noqa: S101 - the function returns one row always
            return row["outcome"]  # type: ignore[no-any-return]

        return self._under_current_keys(work)

    def _not_changed(
        self, name: BindingId, outcome: str, changes: dict[str, Any]
    ) -> AgiRouterError:
        """
        The error for what came of a change.
        """
        match outcome:
            case "missing":
                return _no_such(name)
            case "over":
                return self._over(self.find(name))
            case "child":
                return ModeError(f"binding {name} was made by a call: change its parent")
            case "expiry":
                return _bad_expiry(changes["expires_at"], self.now())
            case "used":
                return LimitTooLow()
            case _:
                return BindingChanged()

    def _tag_of(self, found: Binding, order_id: str | None) -> int | None:
        """
        The tag by which an import recognises a binding; none without an order.

        Raises:
            SealError: Its parties cannot be read.
        """
        if order_id is None:
            return None
        if found.damage is not None:
            raise SealError(f"binding {found.id} cannot be read: {found.damage}")
        # B is nobody in particular, or not on a number yet.
        alone = found.mode.open or found.y_ttl is not None
        sides = {
            side: [party.number for party in found.parties if party.side is side] for side in Side
        }
        return tag_order(
            found.mode,
            sides[Side.A],
            () if alone else sides[Side.B],
            tenant=found.tenant,
            order_id=order_id,
            keys=self.keys,
        )[0]

    def _under_current_keys(self, work: Callable[[], _Done]) -> _Done:
        """
        Do something; once more with the new keys where they were rotated since they were read.
        """
        try:
            return work()
        except KeysOutdated:
            # The new ones were in the file before.
            self._use_keys(check_keys(self.connection, self.keys))
            return work()

    def extend(self, name: BindingId, expires_at: datetime) -> Binding:
        """
        Move a binding's end to a later time.

        Raises:
            BindingNotFound: There is none.
            BindingEnded: It is over already.
            ExpiryInvalid: The new end is in the past, or earlier than the one it has.
        """
        check_expiry(expires_at, self.now())
        if self._queries.row("extend", {**_key(name), "expires_at": expires_at}) is None:
            found = self.find(name)
            if found.state is not BindingState.ACTIVE:
                raise self._over(found)
            raise ExpiryInvalid(
                "the binding would end earlier than it does now; it can only be extended"
            )
        return self.find(name)

    def find(self, name: BindingId) -> Binding:
        """
        One binding.

        Raises:
            BindingNotFound: There is none.
        """
        row = self._queries.row("find_binding", _key(name))
        if row is None:
            raise _no_such(name)
        return self._read([row])[0]

    def bindings(
        self,
        *,
        everything: bool,
        order_id: str | None,
        x_number: XNumber | None = None,
        party: PhoneNumber | None = None,
        state: BindingState | None = None,
        mode: Mode | None = None,
        created_after: datetime | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[Binding]:
        """
        Bindings, newest first; those that are over only if *everything* is asked for.

        Args:
            everything: Whether those that are over are wanted too.
            order_id: Only those of this order.
            x_number: Only those that somebody dials this number for.
            party: Only those that this number is a party of, or the fixed number that is called
                back. Those that are damaged are among them by their tags.
            state: Only those in this state.
            mode: Only those of this mode.
            created_after: Only those made after this time.
            after: Only those behind the last one of another page, see :attr:`Binding.cursor`.
            limit: At most so many.

        Raises:
            CursorInvalid: *after* is of another list.
        """
        if state is BindingState.ACTIVE:
            # By an index of these alone.
            everything, state = False, None
        values: dict[str, Any] = {
            **filter_values(state=state, mode=mode, created_after=created_after, after=after),
            "all": everything,
            "order_id": order_id,
            "limit": limit,
        }
        if party is not None:
            return self._of_party(party, {**values, **_number(x_number)})
        if x_number is not None:
            name = "list_on_number"
            values |= _number(x_number)
        elif order_id is not None:
            name = "list_order"
        else:
            name = "list_bindings" if everything else "list_alive"
        return self._read(self._queries.rows(name, values))

    def stream(self, *, everything: bool, order_id: str | None) -> Generator[Binding, None, None]:
        """
        Bindings by block and age, as they stand at one moment; to be closed.
        """
        values = {"all": everything, "order_id": order_id}
        with self._queries.snapshot():
            for rows in self._queries.stream("stream_bindings", values, size=_STREAMED):
                yield from self._read(rows)

    def _bind_parties(
        self,
        parties: Parties,
        terms: Terms,
        x: XNumber | None,
        y: XNumber | None,
        choice: NumberPolicy,
    ) -> Binding:
        given = x or y
        opening = self.chooser.opening(terms.tenant, choice, None if given else parties)
        check_expiry(terms.expires_at, opening.now)
        if y is not None and parties.numbers == 1:
            raise ModeError(f"a binding by {parties.mode} has one number")
        columns = {
            **_columns(terms),
            "tenant_id": opening.tenant_id,
            # So that its values can be sealed for it.
            "id": opening.binding_id,
            "pair_tag": self.chooser.pair_tag(parties, choice),
            "order_tag": self._order_tag(parties, terms),
        }
        if given is not None:
            self.chooser.check_open(given.block, opening)
            self._check_foreign(x, y)
        for numbers in self.chooser.pairs(parties, opening, choice, x, y):
            try:
                made = self._bind(parties, numbers, columns, terms)
            except BindingConflict:
                # Another took the place between choosing and binding.
                if given is None:
                    continue
                raise
            if made is not None:
                return made
            if given is not None:
                raise self._refusal(parties, numbers, opening)
        raise AssertionError("pairs() ends by an error")

    def _bind(
        self,
        parties: Parties,
        numbers: tuple[XNumber, XNumber],
        columns: dict[str, Any],
        terms: Terms,
    ) -> Binding | None:
        """
        Bind *parties* on *numbers*; :obj:`None` where the block is closed or a number rests.
        """
        parties = parties.with_extension(lambda: self.chooser.choose_extension(numbers[0]))
        rows = compile_routes(parties, *numbers)
        block, binding_id = rows[0].x_number.block, columns["id"]
        back = find_back(parties, rows, self.keys, binding_id=binding_id)
        routes = seal_routes(rows, self.keys, binding_id=binding_id, back=back)
        written = {**columns, **mode_columns(parties, numbers[0])}
        values = {
            "block": block.value,
            "terms": Jsonb(written),
            "rest": self._quarantine.number,
            "party_rest": self._quarantine.party,
            **route_columns(routes),
            **key_ids(self.keys),
            **_columns_of(self._places(rows)),
        }
        try:
            with self._queries.attempt():
                made = self._queries.row("bind", values)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name == "route_alone":
                raise self._not_alone(parties.mode, block, rows) from None
            raise self._conflict(block, rows, error.diag.constraint_name) from None
        if made is None:
            return None
        # As it was just written, so it would be read.
        row = {
            **written,
            "block": block.value,
            "tenant": terms.tenant,
            "state": BindingState.ACTIVE,
            "begins_at": made["begins_at"],
            "expires_at": terms.expires_at.astimezone(UTC),
            "ended_at": None,
            "calls_used": 0,
            "parent_id": None,
            "version": 1,
            "now": made["begins_at"],
        }
        own = [
            {**route._asdict(), "binding_id": binding_id, "last_callee": None} for route in routes
        ]
        return read_binding(row, read_parties(row, own, self.keys), who_rings(row, own, self.keys))

    def _refusal(
        self, parties: Parties, numbers: tuple[XNumber, XNumber], opening: OpenBlocks
    ) -> StoreError:
        """
        Why *parties* were not bound on *numbers*.

        Raises:
            NoNumberAvailable: Their block is closed.
        """
        rows = compile_routes(parties, *numbers)
        block = rows[0].x_number.block
        self.chooser.check_open(block, opening)
        return self._resting(block, rows) or NoNumberAvailable(
            "the number was resting, or its block closed, until this moment: try again"
        )

    def _resting(self, block: Block, rows: Sequence[RouteRow]) -> NumberResting | None:
        """
        Which places of a new binding's *rows* rest, in words; :obj:`None` if none does.
        """
        found = self._find_rests(block, None, rows, self._quarantine.number)
        words = [
            f"{each['x_number']} rests until {_moment(each)}, because a binding on it ended"
            if caller is None
            else f"{caller} was on {each['x_number']} by another binding and may not be again"
            f" before {_moment(each)}"
            for each, caller in found
        ]
        return NumberResting("; ".join(words) + "; or choose another number") if words else None

    def _check_foreign(self, *given: XNumber | None) -> None:
        """
        Make sure that a tenant who gives a number learns nothing of others on it.

        Where any are, or were not long ago, it is refused whoever they are: else he could try for
        each party whether it is on the number.

        Raises:
            BindingConflict: There are such.
        """
        numbers = [each.value for each in given if each is not None]
        if self.scope.whole or not numbers:
            return
        values = {
            "x_number": numbers,
            "tenant": self.scope.tenant,
            "memory": self._quarantine.memory,
        }
        for row in self._queries.rows("find_foreign_numbers", values):
            raise BindingConflict(f"{row['x_number']}: {FOREIGN}")

    def _check_rests(
        self, name: BindingId, whole: Gxb, group: _Group, joining: Sequence[PhoneNumber]
    ) -> None:
        """
        Make sure that nobody who joins a group was on its number by another binding of late.

        Raises:
            NumberResting: Somebody was.
        """
        rows = compile_routes(whole, group.a_number, group.b_number)
        # The group is on the number, so the number need not rest for it.
        for each, caller in self._find_rests(name.block, name.id, rows, timedelta()):
            if caller in joining:
                # Of another tenant's binding nobody learns when it ended.
                before = f" before {_moment(each)}" if self.scope.whole else " yet"
                raise NumberResting(
                    f"{caller} was on {each['x_number']} by another binding and may not be again"
                    f"{before}"
                )

    def _find_rests(
        self, block: Block, binding_id: int | None, rows: Sequence[RouteRow], rest: timedelta
    ) -> list[tuple[dict[str, Any], PhoneNumber | None]]:
        """
        The places of *rows* that rest, each with the party it rests for; none: for everybody.
        """
        places = self._places(rows)
        found = self._queries.rows(
            "find_rests",
            {
                "block": block.value,
                "id": binding_id,
                **_columns_of(places),
                "rest": rest,
                "party_rest": self._quarantine.party,
            },
        )
        return [
            (
                each,
                None
                if each["caller_tag"] is None
                else rows[places[each["x_number"], each["caller_tag"]]].caller,
            )
            for each in found
        ]

    def _places(self, rows: Sequence[RouteRow]) -> dict[tuple[int, int], int]:
        """
        Where the callers of *rows* may be found, as numbers and tags under every key: which row.
        """
        return {
            (row.x_number.value, tag): i
            for i, row in enumerate(rows)
            for tag in tags_of_caller(row, self.keys)
        }

    def _conflict(
        self, block: Block, rows: Sequence[RouteRow], constraint: str | None
    ) -> BindingConflict:
        places = self._places(rows)
        held = self._queries.rows(
            "find_conflict",
            {
                "block": block.value,
                "x_number": [x_number for x_number, _ in places],
                "caller_tag": [tag for _, tag in places],
            },
        )
        words = [
            f"{_who(rows[places[each['x_number'], each['caller_tag']]])} is on {each['x_number']}"
            f" already, by binding {BindingId(block, each['binding_id'])}"
            for each in held
        ]
        return BindingConflict(
            "; ".join(words) + "; unbind it, or choose another number" if words else None,
            constraint=constraint,
        )

    def _not_alone(self, mode: Mode, block: Block, rows: Sequence[RouteRow]) -> BindingConflict:
        numbers = [row.x_number.value for row in rows]
        values = {"block": block.value, "x_number": numbers, "mode": mode}
        words = [
            f"{each['x_number']} is in use by binding {BindingId(block, each['binding_id'])}"
            for each in self._queries.rows("find_others", values)
        ]
        return BindingConflict(
            "; ".join(words)
            + "; a number that strangers may call is shared with nobody, by extensions with its"
            " like; choose another number"
            if words
            else None,
            constraint="route_alone",
        )

    def _order_tag(self, parties: Parties, terms: Terms) -> int | None:
        if terms.order_id is None:
            return None
        return order_tags(parties, tenant=terms.tenant, order_id=terms.order_id, keys=self.keys)[0]

    def _find_group(self, name: BindingId) -> XNumber:
        """
        The number that the members of a live group dial.
        """
        found = self.find(name)
        if found.state is not BindingState.ACTIVE:
            raise self._over(found)
        if found.damage is not None:
            raise SealError(f"binding {name} cannot be read: {found.damage}")
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
        locked = {
            "x_number": [x_number for x_number, _ in places],
            "caller_tag": [tag for _, tag in places],
        }
        with self._queries.transaction():
            self._queries.row("assert_current_keys", {**_key(name), **key_ids(self.keys)})
            row = self._queries.row("lock_binding", {**_key(name), **locked})
            if row is None:
                raise self._over(self.find(name))
            if version not in {None, row["version"]}:
                raise BindingChanged
            yield self._group(row, self._current_routes(name))
            # Last: with it a trigger tells of the change, and of the parties as they are then.
            self._queries.execute("raise_version", _key(name))

    def _current_routes(self, name: BindingId) -> list[dict[str, Any]]:
        """
        The routes of a locked binding, brought under the current keys: its rows are of one key.
        """
        values = {"block": [name.block.value], "id": [name.id]}
        routes = self._queries.rows("list_routes", values)
        columns = ("callee", "caller", "last_callee")
        sealed = [route[column] for route in routes for column in columns]
        if all(each is None or each[:3] == self.keys.header for each in sealed):
            return routes
        renewal = Renewal(self._queries, self.keys)
        renewal.renew([name])
        for _, why in renewal.left:
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
        )

    def _call_back(
        self,
        name: BindingId,
        group: _Group,
        callees: Sequence[PhoneNumber],
        *,
        forget: bool = False,
    ) -> None:
        """
        Let B reach *callees* from now on; perhaps *forget* who called last.
        """
        callee = self.keys.seal(callees, group.back, Purpose.CALLEE) if callees else None
        tags = [self.keys.tag(each) for each in callees] or None
        place = {"x_number": group.back.x_number, "caller_tag": group.back.caller_tag}
        values = {**place, "callee": callee, "callee_tags": tags, "forget": forget}
        self._queries.row("set_callee", {**_key(name), **values})

    def _over(self, found: Binding) -> BindingEnded:
        return BindingEnded(f"binding {found.id} is over ({found.state}); make a new one")

    def _of_party(self, party: PhoneNumber, values: dict[str, Any]) -> list[Binding]:
        """
        Bindings that *party* is found in by its tags, and that concern it: two may have one tag.
        """
        rows = self._queries.rows("list_of_party", {**values, "tags": self.keys.tags(party)})
        routes = self._routes_of(rows)
        read = [(own, self._read_one(row, own)) for row, own in zip(rows, routes, strict=True)]
        return [
            each
            for own, each in read
            if each.damage is not None
            or any(known.number == party for known in each.parties)
            or any(party in open_callees(route, self.keys) for route in own)
        ]

    def _read(self, rows: Sequence[dict[str, Any]]) -> list[Binding]:
        routes = self._routes_of(rows)
        return [self._read_one(row, own) for row, own in zip(rows, routes, strict=True)]

    def _routes_of(self, rows: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """
        The routes of each binding in *rows*.
        """
        routes: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for route in self._queries.rows(
            "list_routes",
            {"block": [row["block"] for row in rows], "id": [row["id"] for row in rows]},
        ):
            routes.setdefault((route["block"], route["id"]), []).append(route)
        return [routes.get((row["block"], row["id"]), []) for row in rows]

    def _read_one(self, row: dict[str, Any], routes: Sequence[dict[str, Any]]) -> Binding:
        """
        A binding with its parties; one that is damaged hides no other.
        """
        if not NO_TIMES.isdisjoint((row["begins_at"], row["expires_at"], row["ended_at"])):
            return read_damaged(row, str(RowInvalid()))
        try:
            parties = read_parties(row, routes, self.keys)
            return read_binding(row, parties, who_rings(row, routes, self.keys))
        except SealError as error:
            return read_damaged(row, str(error))
        except ValueError:
            return read_damaged(row, str(RowInvalid()))


def _columns(terms: Terms) -> dict[str, Any]:
    """
    What is agreed, as columns of a binding.
    """
    return {
        "expires_at": terms.expires_at.isoformat(),
        **{term.name: term.store(getattr(terms, term.name)) for term in TERMS},
        "order_id": terms.order_id,
    }


def _column(name: str, value: Any) -> Any:
    """
    A new value of what is agreed, as it stands in JSON.

    Raises:
        TypeError: There is nothing of this name, or it may not be changed.
    """
    if name == "expires_at":
        return value.isoformat()
    if name == "order_id":
        return value
    if name not in _TERMS:
        raise TypeError(f"a binding has no {name} that may be changed")
    term = _TERMS[name]
    return term.store(term.default if value is None else value)


def _bad_expiry(expires_at: datetime, now: datetime) -> ExpiryInvalid:
    try:
        check_expiry(expires_at, now)
    except ExpiryInvalid as error:
        return error
    return ExpiryInvalid()


def _no_such(name: BindingId) -> BindingNotFound:
    return BindingNotFound(f"there is no binding {name}")


def _columns_of(places: dict[tuple[int, int], int]) -> dict[str, str]:
    """
    Places as columns, those of one row under one number; each an array as text.
    """
    return {
        "place_x": array_of_integers(x_number for x_number, _ in places),
        "place_tag": array_of_integers(tag for _, tag in places),
        "place": array_of_integers(places.values()),
    }


def _who(row: RouteRow) -> str:
    if row.extension is not None:
        return f"extension {row.extension}"
    return "anyone" if row.caller is None else str(row.caller)


def _moment(rest: dict[str, Any]) -> str:
    return rest["until"].isoformat(timespec="seconds")  # type: ignore[no-any-return]


def _number(x_number: XNumber | None) -> dict[str, int | None]:
    if x_number is None:
        return {"block": None, "x_number": None}
    return {"block": x_number.block.value, "x_number": x_number.value}


def _key(name: BindingId) -> dict[str, int]:
    return {"block": name.block.value, "id": name.id}


def _parties(group: _Group) -> Gxb:
    return group.mode(members=tuple(group.members), b=group.b, callback=group.callback)


def _member(name: BindingId, group: _Group, member: PhoneNumber) -> int:
    """
    The tag by which *member* is found in *group*.
    """
    if member not in group.members:
        raise MemberNotFound(f"{member} is no member of binding {name}")
    return group.members[member]
