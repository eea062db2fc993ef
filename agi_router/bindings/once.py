"""
Binding the same parties for the same order once, however often it is asked for.
"""

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Parties
from agi_router.bindings.names import read_names
from agi_router.bindings.rows import order_tags
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import Queries
from agi_router.numbers import XNumber

__all__ = ["bind_once"]


def bind_once(
    store: BindingStore, parties: Parties, terms: Terms, *, x: XNumber | None = None
) -> Binding:
    """
    Bind *parties*, unless a binding of theirs lives of the same order, mode, tenant and pool.

    Of several who ask at once one binds, and the others wait for it. Without an order they are
    bound in any case.

    Args:
        store: Where.
        parties: Who is bound.
        terms: What is agreed; of a binding that lives already they stay as they are.
        x: The number that side A dials; it then has to be that of the binding that lives, too.

    Returns:
        The new binding, or the one that lives.

    Raises:
        AgiRouterError: See :meth:`agi_router.bindings.store.BindingStore.bind`.
    """
    if terms.order_id is None:
        return store.bind(parties, terms, x=x)
    values = {
        "order_id": terms.order_id,
        # Under every key: while keys are rotated it may be there by an old tag.
        "order_tag": order_tags(
            parties, tenant=terms.tenant, order_id=terms.order_id, keys=store.keys
        ),
        "pool": terms.pool,
        "x_number": None if x is None else x.value,
    }
    queries = Queries(store.connection, store.scope.values)
    with queries.transaction():
        queries.execute("lock_order", values)
        found = read_names(queries.rows("find_in_order", values))
        return store.find(found[0]) if found else store.bind(parties, terms, x=x)
