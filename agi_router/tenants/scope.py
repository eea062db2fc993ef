"""
Whose things an operation may see and change.
"""

from dataclasses import dataclass
from typing import Any, Final

from agi_router.errors import OperatorOnly, TenantNotFound

__all__ = ["OPERATOR", "Scope"]


@dataclass(frozen=True, slots=True)
class Scope:
    """
    The things of one tenant, or everybody's: :data:`OPERATOR`.

    A store is made for a scope, and every query of it that reads or changes what belongs to a
    tenant names ``%(scope)s``. What lies outside is answered as what does not exist. See
    :meth:`agi_router.tenants.store.TenantStore.scope`.

    Attributes:
        tenant_id: Key of the tenant; :obj:`None` for the operator.
        tenant: Its name; :obj:`None` for the operator.
    """

    tenant_id: int | None
    tenant: str | None

    @property
    def whole(self) -> bool:
        """
        Whether nothing lies outside.
        """
        return self.tenant_id is None

    @property
    def values(self) -> dict[str, Any]:
        """
        What every query of a store in this scope is given.
        """
        return {"scope": self.tenant_id}

    def check_tenant(self, name: str) -> None:
        """
        Make sure that something may be made for the tenant *name*.

        Raises:
            TenantNotFound: It is another one than that of the scope.
        """
        if not self.whole and name != self.tenant:
            raise TenantNotFound(f"there is no tenant {name!r}")

    def check_operator(self, what: str) -> None:
        """
        Make sure that the operator asks, before it is looked whether *what* is there.

        Raises:
            OperatorOnly: A tenant asks.
        """
        if not self.whole:
            raise OperatorOnly(f"only the operator {what}")


OPERATOR: Final = Scope(None, None)
"""
The scope of the person who runs the service: everything.
"""
