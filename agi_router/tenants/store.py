"""
Tenants, as the database keeps them.
"""

from typing import Any

from agi_router.db.connection import Queries
from agi_router.errors import (
    TenantExists,
    TenantNotFound,
)
from agi_router.tenants.model import Quota, UnknownNumbers
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["TenantStore"]


class TenantStore:
    """
    The tenants of one database; for a tenant, itself.

    Args:
        queries: Where they are kept.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._scope = scope

    def add(self, name: str) -> dict[str, Any]:
        """
        Add a tenant.

        Raises:
            TenantExists: It is there already.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("adds tenants")
        row = self._queries.row("add_tenant", {"name": name})
        if row is None:
            raise TenantExists(f"tenant {name!r} is already there")
        return row

    def all(self) -> list[dict[str, Any]]:
        """
        All tenants, with how many blocks are kept for each.
        """
        return self._queries.rows("list_tenants", {})

    def set_active(self, name: str, *, active: bool) -> dict[str, Any]:
        """
        Stop every call and every new binding of a tenant at once, or let them go on.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("suspends tenants, and lets them go on")
        return self._found("set_tenant_active", name, active=active)

    def set_unknown_numbers(self, name: str, unknown: UnknownNumbers) -> dict[str, Any]:
        """
        Say what becomes of bindings where nobody knows whether a number has a new owner.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says what becomes of numbers whose owner is unknown")
        return self._found("set_tenant_unknown_numbers", name, unknown=unknown)

    def set_quota(self, name: str, quota: Quota, most: int | None) -> dict[str, Any]:
        """
        Say how many bindings a tenant may have, or have made on a day, or how often it may ask.

        Args:
            name: Of the tenant.
            quota: Of what.
            most: So many; :obj:`None`: any number.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("says how much a tenant may have")
        return self._found("set_tenant_quota", name, quota=quota, most=most)

    def find(self, name: str) -> dict[str, Any]:
        """
        A tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        return self._found("find_tenant", name)

    def find_id(self, name: str) -> int:
        """
        The id of a tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        return self._found("find_tenant", name)["id"]  # type: ignore[no-any-return]

    def scope(self, name: str) -> Scope:
        """
        The things of one tenant.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        return Scope(self.find_id(name), name)

    def _found(self, query: str, name: str, **values: Any) -> dict[str, Any]:
        """
        The row of a tenant that a query answers.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        row = self._queries.row(query, {"name": name, **values})
        if row is None:
            raise TenantNotFound(f"there is no tenant {name!r}")
        return row
