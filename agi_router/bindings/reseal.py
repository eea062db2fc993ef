"""
Renewal: rows of older keys, or of the other cipher, are tagged and sealed anew.

Rules for the editor:

1. A binding is renewed whole, in one transaction that holds its lock: calls on it wait for that
   moment and find it afterwards, before by its old tags and then by its new ones. All its rows are
   of one tag key, ever.
2. A tag cannot be read back, so the caller's number is needed. It is known from the other side of
   the binding: B from the callee of a row of side A; A, or a member, from the callee of B's row or
   as sealed for it. Where there is no row of B, or it is for strangers, A is sealed for its own
   row; an extension is no secret. Routes taken out of use are read with the others. Whoever it is,
   the row's tag of before must be its own: else the row is forged, and a new tag would make it
   valid.
3. What cannot be renewed stays as it is, and keeps its keys from being retired: a value that does
   not open, a row that is not its party's, a live binding whose place another live one holds, and
   what the database refuses. It is named, and the others are renewed.
4. Where a party was replaced, the rows of then all ended at that time. Those of one time are read
   with each other, and with no row of another.
5. An order and a pair are recognised by tags of their parties, which are made anew with the rows.
   Where the members of a group are not those any more who were bound, the old tag stays: after its
   key is retired, an import does not recognise that order.
6. What is done is seen in the rows themselves. So it may be interrupted anywhere, and begun again.
"""

import contextlib
import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import group_of
from agi_router.bindings.rows import tag_order
from agi_router.bindings.sealed_routes import purpose_of_caller, row_of
from agi_router.bindings.words import Mode, Side
from agi_router.db.arrays import array_of_integers
from agi_router.db.connection import NO_TIMES, Queries
from agi_router.errors import (
    RowInvalid,
    SchemaMismatch,
    SealError,
    StoreError,
    StoreHeld,
    StoreUnavailable,
)
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import Block, PhoneNumber, XNumber

__all__ = ["Renewal"]

# Calls on the bindings of one batch wait until it is done: some milliseconds.
_BATCH = 20
# Milliseconds for which one of them is waited for, and seconds until it is tried again.
_LOCK_WAIT = 20
_PAUSE = 0.2
_SEALED = ("callee", "caller", "last_callee")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """
    One route: as it is found, and what it will be.
    """

    name: BindingId
    x_number: XNumber
    old_tag: int
    removed_at: datetime | None
    tag: int
    callee: bytes | None
    callee_tags: tuple[int, ...] | None
    caller: bytes | None
    last_callee: bytes | None
    last_tag: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tags:
    """
    By what the order and the pair of a binding are recognised.
    """

    order: int | None
    pair: int | None


class Renewal:
    """
    Brings the rows of one database under the current keys and cipher.

    Args:
        queries: Where the rows are kept.
        keys: The current keys, and those that the rows may be of.
        over: Whether bindings that are over are brought under them, too.
        patience: Seconds for which bindings that somebody holds are tried again, at the end.
    """

    def __init__(
        self, queries: Queries, keys: KeyRing, *, over: bool = True, patience: float = 10.0
    ) -> None:
        self._queries = queries
        self._keys = keys
        self._over = over
        self._patience = patience
        self.left: list[tuple[BindingId, str]] = []
        """Bindings that could not be renewed, each with the reason."""

    def outstanding(self) -> int:
        """
        How many bindings have a row to renew.
        """
        row = self._queries.row("count_unrenewed", self._header())
        return 0 if row is None else row["bindings"]

    def run(self) -> Iterator[int]:
        """
        Renew all of them, a few at a time; yields after each transaction how many were looked at.

        Raises:
            StoreError: The database failed; what was renewed stays so.
        """
        last = BindingId(Block(value=70000000000), 0)
        held: list[BindingId] = []
        while True:
            rows = self._queries.rows(
                "list_unrenewed",
                {**self._header(), "block": last.block.value, "id": last.id, "limit": _BATCH},
            )
            if not rows:
                break
            names = [_name(row["block"], row["id"]) for row in rows]
            held += self._renew_each(names)
            last = names[-1]
            yield len(names)
        deadline = time.monotonic() + self._patience
        while held and time.monotonic() < deadline:
            time.sleep(_PAUSE)
            held = self._renew_each(held)
        self.left += [(name, "somebody holds it: do it again later") for name in held]

    def _renew_each(self, names: Sequence[BindingId]) -> list[BindingId]:
        """
        Renew all of these bindings, one by one if not together; returns those that somebody holds.
        """
        with contextlib.suppress(StoreHeld):
            if self._queries.again(lambda: self._renew_whole(names)):
                return []
        held = []
        for name in names:
            try:
                if not self._queries.again(partial(self._renew_whole, [name])):
                    self.left.append((name, "the database refuses its new rows"))
            except StoreHeld:
                held.append(name)
        return held

    def _renew_whole(self, names: Sequence[BindingId]) -> bool:
        """
        Renew all of these bindings; if the database refuses one of their rows, none.

        Raises:
            StoreHeld: Somebody holds one of them; nothing was done.
        """
        before = len(self.left)
        try:
            with self._queries.transaction():
                # Whoever waits for one of them has calls on the others wait.
                self._queries.row("set_lock_timeout", {"milliseconds": _LOCK_WAIT})
                self.renew(names)
        except (StoreUnavailable, SchemaMismatch):
            del self.left[before:]
            raise
        except StoreError:
            del self.left[before:]
            return False
        return True

    def renew(self, names: Sequence[BindingId]) -> None:
        """
        Renew some bindings, within a transaction.
        """
        values = {"block": [n.block.value for n in names], "id": [n.id for n in names]}
        bindings = {
            _name(row["block"], row["id"]): row
            for row in self._queries.rows("lock_bindings", values)
        }
        # One that was just swept away is not there any more.
        found: dict[BindingId, list[dict[str, Any]]] = {name: [] for name in bindings}
        for row in self._queries.rows("lock_routes", values):
            found[_name(row["block"], row["binding_id"])].append(
                {**row, "removed_at": None, "left_group": False, "ends_at": None}
            )
        for row in self._queries.rows("list_past_routes", values):
            found[_name(row["block"], row["binding_id"])].append({**row, "last_callee": None})
        rows: list[_Row] = []
        tags: dict[BindingId, _Tags] = {}
        for name, routes in found.items():
            try:
                renewed, tags[name] = self._anew(name, bindings[name], routes)
                rows += renewed
            except SealError as error:
                self.left.append((name, str(error)))
            except ValueError:
                # A word or a number that is never written.
                self.left.append((name, str(RowInvalid())))
        barred = self._write(rows, {name: row["over"] for name, row in bindings.items()})
        changed = {
            name: new
            for name, new in tags.items()
            if name not in barred
            and new != _Tags(order=bindings[name]["order_tag"], pair=bindings[name]["pair_tag"])
        }
        if changed:
            columns = {
                "block": [name.block.value for name in changed],
                "id": [name.id for name in changed],
                "order_tag": [new.order for new in changed.values()],
                "pair_tag": [new.pair for new in changed.values()],
            }
            self._queries.execute("tag_bindings", columns)

    def _write(self, rows: Sequence[_Row], over: dict[BindingId, bool]) -> set[BindingId]:
        """
        Write *rows*; returns the bindings whose place another holds.
        """
        present = [row for row in rows if row.removed_at is None]
        taken = {
            (row["id"], row["x_number"], row["caller_tag"])
            for row in self._queries.rows("list_held_by_others", _columns(present))
        }
        in_the_way = [
            row for row in present if (row.name.id, row.x_number.value, row.tag) in taken
        ]
        barred = {row.name for row in in_the_way if not over[row.name]}
        for name in sorted(barred):
            self.left.append((name, "another live binding holds its place under the new key"))
        moved = self._retire([row for row in in_the_way if row.name not in barred])
        past = [row for row in rows if row.removed_at is not None]
        for statement, some in (
            ("renew_routes", [row for row in present if row not in in_the_way]),
            ("renew_past_routes", [*moved, *past]),
        ):
            chosen = [row for row in some if row.name not in barred]
            if chosen:
                columns = _columns(chosen)
                self._queries.execute(statement, columns)
                sealed = [value for name in _SEALED for value in columns[name]]
                count = len(sealed) - sealed.count(None)
                self._queries.execute("count_seals", {"count": count})
        return barred

    def _retire(self, rows: Sequence[_Row]) -> list[_Row]:
        """
        Take routes of bindings that are over out of the way of newer ones.
        """
        if not rows:
            return []
        moments = {
            (row["block"], row["x_number"], row["caller_tag"]): row["removed_at"]
            for row in self._queries.rows("retire_routes", _columns(rows))
        }
        return [
            replace(row, removed_at=moments[row.name.block.value, row.x_number.value, row.old_tag])
            for row in rows
        ]

    def _anew(
        self, name: BindingId, binding: dict[str, Any], routes: Sequence[dict[str, Any]]
    ) -> tuple[list[_Row], _Tags]:
        """
        The routes of one binding under the current keys, and its tags.

        Raises:
            SealError: A value does not open, or the number of a caller cannot be known.
        """
        if any(route["removed_at"] in NO_TIMES for route in routes):
            raise ValueError("a time by which a row cannot be found again")
        rows: list[_Row] = []
        callers: list[tuple[PhoneNumber, bool]] = []
        side_b: tuple[PhoneNumber, ...] = ()
        for own in _of_each_time(Mode(binding["mode"]), routes):
            renewed, callers, side_b = self._anew_of_a_time(name, binding, own)
            rows += renewed
        return rows, self._tags(binding, callers, side_b)

    def _anew_of_a_time(
        self, name: BindingId, binding: dict[str, Any], routes: Sequence[dict[str, Any]]
    ) -> tuple[list[_Row], list[tuple[PhoneNumber, bool]], tuple[PhoneNumber, ...]]:
        """
        The routes of a binding while nobody was replaced; with side A, and side B.

        Each of side A with whether it has left the group.

        Raises:
            SealError: A value does not open, or the number of a caller cannot be known.
        """
        # A is sealed for its own row where there may be none of B, or B is anyone.
        alone = Mode(binding["mode"]).open or binding["y_ttl"] is not None
        # A row of B that is for anyone rings A too, and so tells who A is.
        tagged = [route for route in routes if route["caller_tag"] != 0]
        back = next((route for route in (*tagged, *routes) if route["side"] == Side.B), None)
        # B is the callee of all rows of side A, but for those who call a stranger back.
        b = next(
            (
                number
                for route in tagged
                if route["side"] == Side.A and route["callee"] is not None
                for number in self._open(route["callee"], row_of(route), Purpose.CALLEE)
                if not Mode(binding["mode"]).open
            ),
            None,
        )
        extension = binding["extension"]
        back_tag = 0 if back is None else self._tag(back, b, extension)
        rows: list[_Row] = []
        callers: list[tuple[PhoneNumber, bool]] = []
        for route in routes:
            if route["side"] == Side.B:
                tag = self._tag(route, b, extension)
            else:
                caller = self._side_a(route, route if alone else back)
                tag = self._tag(route, caller, None)
                if caller is not None:
                    callers.append((caller, route["left_group"]))
            row = row_of(route)
            # As it was: sealed for the row of B, or its own.
            place, place_tag = (route, tag) if alone else (back, back_tag)
            callee, callee_tags = self._seal(route["callee"], row, tag, Purpose.CALLEE)
            last_callee, last_tags = self._seal(
                route["last_callee"],
                row.for_strangers if Mode(binding["mode"]).open else row,
                tag,
                Purpose.LAST_CALLER,
            )
            rows.append(
                _Row(
                    name=name,
                    x_number=_x(route),
                    old_tag=row.caller_tag,
                    removed_at=route["removed_at"],
                    tag=tag,
                    callee=callee,
                    callee_tags=callee_tags,
                    caller=None
                    if place is None
                    else self._seal(
                        route["caller"],
                        row_of(place),
                        place_tag,
                        purpose_of_caller(row_of(place)),
                    )[0],
                    last_callee=last_callee,
                    last_tag=None if last_tags is None else last_tags[0],
                )
            )
        return rows, callers, () if alone or b is None else (b,)

    def _side_a(self, route: dict[str, Any], place: dict[str, Any] | None) -> PhoneNumber | None:
        """
        Who dials a row of side A: as sealed for *place*, or whom that row of B rings.
        """
        if place is None:
            return None
        row, sealed, purpose = row_of(place), route["caller"], purpose_of_caller(row_of(place))
        if sealed is None and place is not route:
            sealed, purpose = place["callee"], Purpose.CALLEE
        return None if sealed is None else self._open(sealed, row, purpose)[0]

    def _tag(
        self, route: dict[str, Any], caller: PhoneNumber | None, extension: str | None
    ) -> int:
        """
        The tag of a row's caller, or of its extension, under the current key.

        Raises:
            SealError: The row is not that caller's.
        """
        if route["caller_tag"] == 0:  # the row is for anyone
            return 0
        if extension is not None:
            tags = self._keys.extension_tags(extension)
        elif caller is not None:
            tags = self._keys.tags(caller)
        else:
            raise SealError("the number of a caller cannot be known: the other side's row is gone")
        if route["caller_tag"] not in tags:
            raise SealError("a row is not that of the party whom the binding's other rows name")
        return tags[0]

    def _tags(
        self,
        binding: dict[str, Any],
        callers: Sequence[tuple[PhoneNumber, bool]],
        side_b: tuple[PhoneNumber, ...],
    ) -> _Tags:
        """
        The tags of a binding's order and pair, as far as it still has the parties of then.

        Args:
            binding: The binding.
            callers: Side A, and whether each has left the group.
            side_b: Side B, if it is somebody in particular.
        """
        order, pair = binding["order_tag"], binding["pair_tag"]
        present = {number for number, left in callers if not left}
        for side_a in (present, {number for number, _ in callers}):
            if binding["order_tag"] is not None:
                tags = tag_order(
                    Mode(binding["mode"]),
                    tuple(side_a),
                    side_b,
                    group=binding["party_group"],
                    tenant=binding["tenant"],
                    order_id=binding["order_id"],
                    keys=self._keys,
                )
                if binding["order_tag"] in tags:
                    order = tags[0]
            if binding["pair_tag"] is not None:
                tags = self._keys.pair_tags((*side_a, *side_b))
                if binding["pair_tag"] in tags:
                    pair = tags[0]
        return _Tags(order=order, pair=pair)

    def _open(self, sealed: bytes, row: Row, purpose: Purpose) -> tuple[PhoneNumber, ...]:
        return self._keys.open(sealed, row, purpose)

    def _seal(
        self, sealed: bytes | None, row: Row, tag: int, purpose: Purpose
    ) -> tuple[bytes, tuple[int, ...]] | tuple[None, None]:
        """
        What was sealed for *row*, sealed anew for the same row with another *tag*, and its tags.
        """
        if sealed is None:
            return None, None
        anew = row._replace(caller_tag=tag if row.caller_tag else 0)
        numbers = self._open(sealed, row, purpose)
        return (
            self._keys.seal(numbers, anew, purpose),
            tuple(self._keys.tag(number) for number in numbers),
        )

    def _header(self) -> dict[str, Any]:
        return {"header": self._keys.header, "over": self._over}


def _of_each_time(mode: Mode, routes: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """
    The routes of one binding by the time between two replacements of a party; the present last.

    What left while the binding lived ended with the others of its time, or, a member of a group,
    before them. Of a group the row of B leaves only as all do.
    """
    in_group = group_of(mode) is not None
    ends = sorted(
        {
            route["ends_at"]
            for route in routes
            if route["left_group"] and (route["side"] == Side.B or not in_group)
        }
    )
    found: list[list[dict[str, Any]]] = [[] for _ in (*ends, None)]
    for route in routes:
        place = bisect_left(ends, route["ends_at"]) if route["left_group"] else len(ends)
        found[place].append(route)
    return found


def _name(block: int, serial: int) -> BindingId:
    return BindingId(Block(value=block), serial)


def _x(route: dict[str, Any]) -> XNumber:
    return XNumber.from_int(route["x_number"])


def _columns(rows: Sequence[_Row]) -> dict[str, list[Any]]:
    return {
        "block": [row.name.block.value for row in rows],
        "id": [row.name.id for row in rows],
        "x_number": [row.x_number.value for row in rows],
        "caller_tag": [row.old_tag for row in rows],
        "removed_at": [row.removed_at for row in rows],
        "tag": [row.tag for row in rows],
        "callee": [row.callee for row in rows],
        "callee_tags": [row.callee_tags and array_of_integers(row.callee_tags) for row in rows],
        "caller": [row.caller for row in rows],
        "last_callee": [row.last_callee for row in rows],
        "last_tag": [row.last_tag for row in rows],
    }
