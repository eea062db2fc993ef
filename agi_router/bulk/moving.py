"""
The move to 700, a binding at a time; :mod:`agi_router.bulk.mover` moves the rows of a file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agi_router.bindings.model import Binding
from agi_router.bindings.names import read_names
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.rows import order_tags
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Side
from agi_router.cursors import Cursor
from agi_router.db.connection import Queries
from agi_router.numbers import XNumber

__all__ = ["MovedNumber", "hold_orders", "list_moved", "move_once"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MovedNumber:
    """
    An old number, and what has come in its place.

    Attributes:
        old: The middle number of before: nobody's own.
        new: The 700 number that its side A dials.
        tenant: Whose it is.
        moved_at: When it was moved last.
    """

    old: str
    new: XNumber
    tenant: str
    moved_at: datetime

    @property
    def cursor(self) -> Cursor:
        """
        Where it stands in a list.
        """
        return Cursor(self.moved_at, self.old)

    def describe(self) -> dict[str, Any]:
        """
        It, as it is told.
        """
        return {
            "old": self.old,
            "new": str(self.new),
            "tenant": self.tenant,
            "moved_at": self.moved_at,
        }


def list_moved(
    store: BindingStore, *, tenant: str | None = None, after: Cursor | None = None, limit: int
) -> list[MovedNumber]:
    """
    The old numbers that were moved, newest first.

    Args:
        store: Where; its scope says whose.
        tenant: Of this tenant alone.
        after: Only those behind the last one of another page, see :attr:`MovedNumber.cursor`.
        limit: At most so many.
    """
    values = {
        "scope": store.scope.tenant_id,
        "tenant": tenant,
        "after_at": None if after is None else after.at,
        "after_number": None if after is None else after.name,
        "limit": limit,
    }
    rows = Queries(store.connection).rows("list_old_numbers", values)
    return [
        MovedNumber(
            old=row["number"],
            new=XNumber.from_int(row["x_number"]),
            tenant=row["tenant"],
            moved_at=row["moved_at"],
        )
        for row in rows
    ]


def hold_orders(store: BindingStore, requests: Sequence[BindRequest]) -> None:
    """
    Hold the orders of what one transaction moves: others that move one of them wait.

    Args:
        store: Where.
        requests: What is to be moved.
    """
    tags = [tag for each in requests for tag in _tags(store, each)]
    Queries(store.connection).execute("lock_order", {"order_tag": tags})
    store.hold_together(requests)


def move_once(
    store: BindingStore,
    request: BindRequest,
    old: str,
    *,
    default_ttl: timedelta,
    choice: NumberPolicy,
) -> tuple[Binding, bool]:
    """
    Bind on a 700 number who were on an old number, unless that was done, even if it is over.

    All of one old number of a tenant get the same 700 number; where it is not free for them, they
    are refused. Whoever names another one is bound on that, and the first stays in the old one's
    place.

    Args:
        store: Where; its transaction holds the order, see :func:`hold_orders`.
        request: What is to be bound; its order is said.
        old: The middle number of before, see :func:`agi_router.numbers.parse_old_number`.
        default_ttl: How long it lives where nothing is said of it.
        choice: How numbers are chosen that are not given.

    Returns:
        The binding, and whether it was made now.

    Raises:
        AgiRouterError: See :meth:`agi_router.bindings.store.BindingStore.make`.
    """
    store.scope.check_tenant(request.tenant)
    queries = Queries(store.connection)
    order = {"order_id": request.order_id, "tags": _tags(store, request)}
    with queries.transaction():
        if found := read_names(queries.rows("find_moved_binding", order)):
            return store.find(found[0]), False
        moved = queries.row("find_moved_to", {"number": old, "tenant": request.tenant})
        if moved is not None and request.x is None:
            request = replace(request, x=XNumber.parse(str(moved["x_number"])))
        made = store.make(request, default_ttl=default_ttl, choice=choice)
        if moved is not None:
            return made, True
        # All of its side A dial one number; of a party group there may be nobody yet.
        for new in {each.dials for each in made.parties if each.side is Side.A and each.dials}:
            kept = {"numbers": [old], "x_numbers": [new.value], "tenants": [request.tenant]}
            queries.execute("keep_old_numbers", kept)
        return made, True


def _tags(store: BindingStore, request: BindRequest) -> list[int]:
    return order_tags(
        request.parties,
        tenant=request.tenant,
        order_id=request.order_id or "",
        keys=store.keys,
    )
