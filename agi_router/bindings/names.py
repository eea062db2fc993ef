"""
What bindings are called: by their id, by the number they are on, by their order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from agi_router.bindings.model import BindingId
from agi_router.bindings.words import BindingState, Mode
from agi_router.cursors import Cursor
from agi_router.db.connection import Queries
from agi_router.errors import BindingNotFound, CursorInvalid, NumberError
from agi_router.numbers import Block, XNumber
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["NONE_OF_ORDER", "BindingNames", "filter_values", "name_values", "read_names"]

NONE_OF_ORDER = "no binding was made for this order"
"""What is said of an order without bindings."""

_NAMED = 5


class BindingNames:
    """
    The names of bindings; no key is needed, for nothing of them is sealed.

    Args:
        queries: Where bindings are kept.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)

    def find(self, text: str, *, over: bool = False) -> BindingId:
        """
        The name of a binding, given by its id or by the 700 number that it is alone on.

        Args:
            text: What was typed.
            over: Whether it may be the last one that was there, where none lives.

        Raises:
            BindingNotFound: The text names none, or several; says which.
        """
        try:
            return BindingId.parse(text)
        except BindingNotFound:
            try:
                x_number = XNumber.parse(text)
            except NumberError:
                # What is wrong with it as a name.
                pass
            else:
                return self._only_one(x_number, over=over)
            raise

    def _only_one(self, x_number: XNumber, *, over: bool) -> BindingId:
        alive = self.on(x_number, everything=False, limit=_NAMED + 1)
        if len(alive) > 1:
            told = ", ".join(map(str, alive[:_NAMED]))
            if len(alive) > _NAMED:
                told += f" and more (see 'agi-router list --x {x_number}')"
            raise BindingNotFound(f"several bindings live on {x_number}: {told}; name one")
        found = alive or (self.on(x_number, everything=True, limit=1) if over else [])
        if not found:
            raise BindingNotFound(
                f"no binding {'is or was' if over else 'lives'} on {x_number}"
                + ("" if over else f"; see 'agi-router list --all --x {x_number}'")
            )
        return found[0]

    def on(self, x_number: XNumber, *, everything: bool, limit: int) -> list[BindingId]:
        """
        The names of the bindings on a number, newest first.

        Args:
            x_number: The number.
            everything: Whether those that are over are wanted too.
            limit: At most so many.
        """
        values = {
            **filter_values(),
            "all": everything,
            "order_id": None,
            "block": x_number.block.value,
            "x_number": x_number.value,
            "limit": limit,
        }
        return read_names(self._queries.rows("list_on_number", values))

    def of(self, order_id: str) -> list[BindingId]:
        """
        The names of all bindings of an order, those that are over too.

        Raises:
            BindingNotFound: It has none.
        """
        values = {**filter_values(), "all": True, "order_id": order_id, "limit": None}
        found = read_names(self._queries.rows("list_order", values))
        if not found:
            raise BindingNotFound(NONE_OF_ORDER)
        return found


def filter_values(
    *,
    state: BindingState | None = None,
    mode: Mode | None = None,
    created_after: datetime | None = None,
    after: Cursor | None = None,
) -> dict[str, Any]:
    """
    What every list of bindings may be asked for, as values of its query.

    For what they are see :meth:`agi_router.bindings.store.BindingStore.bindings`.

    Raises:
        CursorInvalid: *after* is of another list.
    """
    try:
        last = None if after is None else BindingId.parse(after.name)
    except BindingNotFound:
        raise CursorInvalid from None
    return {
        "state": state,
        "mode": mode,
        "created_after": created_after,
        "after_at": None if after is None else after.at,
        "after_block": None if last is None else last.block.value,
        "after_id": None if last is None else last.id,
    }


def name_values(name: BindingId) -> dict[str, int]:
    """
    The same as values of a query.
    """
    return {"block": name.block.value, "id": name.id}


def read_names(rows: Sequence[dict[str, Any]]) -> list[BindingId]:
    """
    The names in rows of bindings.
    """
    return [BindingId(Block(value=row["block"]), row["id"]) for row in rows]
