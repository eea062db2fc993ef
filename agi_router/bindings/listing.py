"""
Bindings as they are read, one by one or as lists.
"""

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import Any

from agi_router.bindings.context import BindingContext
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.names import filter_values, name_values
from agi_router.bindings.parties import open_callees, read_parties, who_rings
from agi_router.bindings.rows import read_binding, read_damaged
from agi_router.bindings.words import BindingState, Mode
from agi_router.cursors import Cursor
from agi_router.db.connection import NO_TIMES
from agi_router.errors import BindingEnded, BindingNotFound, RowInvalid, SealError
from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["BindingListing", "no_such"]

_STREAMED = 1000


class BindingListing(BindingContext):
    """
    How bindings are found and listed.
    """

    def find(self, name: BindingId) -> Binding:
        """
        One binding.

        Raises:
            BindingNotFound: There is none.
        """
        row = self._queries.row("find_binding", name_values(name))
        if row is None:
            raise no_such(name)
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
        if state is not None and state.lives:
            # By an index of these alone.
            everything = False
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

    def _over(self, found: Binding) -> BindingEnded:
        return BindingEnded(f"binding {found.id} is over ({found.state}); make a new one")

    def _check_live(self, found: Binding) -> None:
        """
        Make sure that a binding is not over.

        Raises:
            BindingEnded: It is.
        """
        if not found.state.lives:
            raise self._over(found)

    @staticmethod
    def _check_readable(found: Binding) -> None:
        """
        Make sure that the parties of a binding can be read.

        Raises:
            SealError: They cannot.
        """
        if found.damage is not None:
            raise SealError(f"binding {found.id} cannot be read: {found.damage}")

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


def no_such(name: BindingId) -> BindingNotFound:
    """
    The error for a name that no binding has, or none within the scope.
    """
    return BindingNotFound(f"there is no binding {name}")


def _number(x_number: XNumber | None) -> dict[str, int | None]:
    if x_number is None:
        return {"block": None, "x_number": None}
    return {"block": x_number.block.value, "x_number": x_number.value}
