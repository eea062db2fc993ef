"""
Renewal: rows of older keys, or of the other cipher, are tagged and sealed anew.

Rules for the editor:

1. A binding is renewed whole, in one transaction that holds its lock: calls on it wait for that
   moment and find it afterwards, before by its old tags and then by its new ones. All its rows are
   of one tag key, ever.
2. A tag cannot be read back, so the caller's number is needed. It is known from the other side of
   the binding: B from the callee of a row of side A; A, or a member, from the callee of B's row or
   as sealed for it. Routes taken out of use are read with the others.
3. What cannot be renewed stays as it is, and keeps its keys from being retired: a value that does
   not open, and a live binding whose place another live one holds.
4. What is done is seen in the rows themselves. So it may be interrupted anywhere, and begun again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from agi_router.adapters.database import Statements
from agi_router.adapters.records import BindingId
from agi_router.errors import SealError, StoreError
from agi_router.model import Side
from agi_router.numbers import E164, Block, XNumber
from agi_router.seal import KeyRing

__all__ = ["Renewal"]

# Calls on the bindings of one batch wait until it is done: some milliseconds.
_BATCH = 20


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
    caller: bytes | None


class Renewal:
    """
    Brings the rows of one database under the current keys and cipher.

    Args:
        statements: Where the rows are kept.
        keys: The current keys, and those that the rows may be of.
    """

    def __init__(self, statements: Statements, keys: KeyRing) -> None:
        self._statements = statements
        self._keys = keys
        self.left: list[tuple[BindingId, str]] = []
        """Bindings that could not be renewed, each with the reason."""

    def outstanding(self) -> int:
        """
        How many bindings have a row to renew.
        """
        row = self._statements.one("count_unrenewed", self._headers())
        return 0 if row is None else row["bindings"]

    def run(self) -> Iterator[int]:
        """
        Renew all of them, a few at a time; yields after each transaction how many were looked at.

        Raises:
            StoreError: The database failed; what was renewed stays so.
        """
        last = BindingId(Block(value=70000000000), 0)
        while True:
            rows = self._statements.all(
                "list_unrenewed",
                {**self._headers(), "block": last.block.value, "id": last.id, "limit": _BATCH},
            )
            if not rows:
                return
            names = [_name(row["block"], row["id"]) for row in rows]
            try:
                with self._statements.transaction():
                    self.renew(names)
            except psycopg.errors.UniqueViolation:
                raise StoreError("a number was bound at the same moment; do it again") from None
            last = names[-1]
            yield len(names)

    def renew(self, names: Sequence[BindingId]) -> None:
        """
        Renew some bindings, within a transaction.
        """
        values = {"block": [n.block.value for n in names], "id": [n.id for n in names]}
        over = {
            _name(row["block"], row["id"]): row["over"]
            for row in self._statements.all("lock_bindings", values)
        }
        found: dict[BindingId, list[dict[str, Any]]] = {name: [] for name in names}
        for row in self._statements.all("lock_routes", values):
            found[_name(row["block"], row["binding_id"])].append({**row, "removed_at": None})
        for row in self._statements.all("list_past_routes", values):
            found[_name(row["block"], row["binding_id"])].append(row)
        rows: list[_Row] = []
        for name, routes in found.items():
            try:
                rows += self._anew(name, routes)
            except SealError as error:
                self.left.append((name, str(error)))
        self._write(rows, over)

    def _write(self, rows: Sequence[_Row], over: dict[BindingId, bool]) -> None:
        present = [row for row in rows if row.removed_at is None]
        taken = {
            (row["id"], row["x_number"], row["caller_tag"])
            for row in self._statements.all("list_taken", _columns(present))
        }
        in_the_way = [
            row for row in present if (row.name.id, row.x_number.value, row.tag) in taken
        ]
        barred = {row.name for row in in_the_way if not over[row.name]}
        for name in sorted(barred):
            self.left.append((name, "another live binding holds its place under the new key"))
        past = [row for row in in_the_way if row.name not in barred]
        for statement, some in (
            ("renew_as_past", past),
            ("renew_routes", [row for row in present if row not in in_the_way]),
            ("renew_past_routes", [row for row in rows if row.removed_at is not None]),
        ):
            chosen = [row for row in some if row.name not in barred]
            if chosen:
                self._statements.run(statement, _columns(chosen))

    def _anew(self, name: BindingId, routes: Sequence[dict[str, Any]]) -> list[_Row]:
        """
        The routes of one binding under the current keys.

        Raises:
            SealError: A value does not open, or the number of a caller cannot be known.
        """
        # A row of B that is for anyone rings A too, and so tells who A is.
        tagged = [route for route in routes if route["caller_tag"] != 0]
        back = next((route for route in (*tagged, *routes) if route["side"] == Side.B), None)
        # B is the callee of all rows of side A.
        b = next(
            (
                number
                for route in tagged
                if route["side"] == Side.A and route["callee"] is not None
                for number in self._open(route["callee"], route)
            ),
            None,
        )
        back_tag = 0 if back is None else self._tag(back, b)
        rows = []
        for route in routes:
            caller = b if route["side"] == Side.B else self._side_a(route, back)
            tag = self._tag(route, caller)
            rows.append(
                _Row(
                    name=name,
                    x_number=_x(route),
                    old_tag=route["caller_tag"],
                    removed_at=route["removed_at"],
                    tag=tag,
                    callee=self._seal(route["callee"], route, tag),
                    # As it was: sealed for the row of B.
                    caller=None if back is None else self._seal(route["caller"], back, back_tag),
                )
            )
        return rows

    def _side_a(self, route: dict[str, Any], back: dict[str, Any] | None) -> E164 | None:
        """
        Who dials a row of side A: as sealed for B's row, or whom that row rings.
        """
        if back is None:
            return None
        sealed = route["caller"] if route["caller"] is not None else back["callee"]
        return None if sealed is None else self._open(sealed, back)[0]

    def _tag(self, route: dict[str, Any], caller: E164 | None) -> int:
        if route["caller_tag"] == 0:  # the row is for anyone
            return 0
        if caller is None:
            raise SealError("the number of a caller cannot be known: the other side's row is gone")
        return self._keys.tag(_x(route), caller)

    def _open(self, sealed: bytes, route: dict[str, Any]) -> tuple[E164, ...]:
        return self._keys.open(sealed, x=_x(route), tag=route["caller_tag"])

    def _seal(self, sealed: bytes | None, route: dict[str, Any], tag: int) -> bytes | None:
        if sealed is None:
            return None
        return self._keys.seal(self._open(sealed, route), x=_x(route), tag=tag)

    def _headers(self) -> dict[str, Any]:
        return {"headers": list(self._keys.headers)}


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
        "caller": [row.caller for row in rows],
    }
