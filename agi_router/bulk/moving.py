"""
The move to 700, a binding at a time; :mod:`agi_router.bulk.mover` moves the rows of a file.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from agi_router.bindings.model import Binding
from agi_router.bindings.names import read_names
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.rows import order_tags
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Side
from agi_router.db.connection import Queries
from agi_router.numbers import XNumber

__all__ = ["hold_orders", "move_once"]


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
