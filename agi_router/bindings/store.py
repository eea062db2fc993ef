"""
The management store: where bindings are made, changed, ended and looked at.

Every change is one statement or one transaction: it is done whole or not at all. Each part of the
store stands in a file of its own.
"""

from agi_router.bindings.change import TermsChanging
from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.names import NONE_OF_ORDER, name_values, read_names
from agi_router.bindings.rebind import AppealRebinding
from agi_router.bindings.withdrawal import ConsentWithdrawing
from agi_router.errors import BindingChanged, BindingEnded, BindingNotFound

__all__ = ["BindingStore"]


class BindingStore(AppealRebinding, TermsChanging, ConsentWithdrawing):
    """
    All that is done with bindings; for what it is made of see its bases.
    """

    def unbind(self, name: BindingId, *, version: int | None = None) -> Binding:
        """
        End a binding now; calls that are up go on.

        Args:
            name: It.
            version: The one that it is to have still.

        Raises:
            BindingChanged: It has another version by now.
            BindingNotFound: There is none.
            BindingEnded: It is over already.
        """
        if self._queries.row("unbind", {**name_values(name), "version": version}) is None:
            found = self.find(name)
            if found.state.lives and found.version != version:
                raise BindingChanged
            raise self._over(found)
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
