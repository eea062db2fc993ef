"""
The tenants' own checks, as the database keeps them: for those who manage them.

The router asks with :class:`agi_router.calls.store.AdmissionStore`.
"""

from datetime import timedelta
from typing import Any

from agi_router.calls.check import TenantCheck, Unanswered
from agi_router.calls.rows import check_sealed_for
from agi_router.db.connection import Queries
from agi_router.errors import CheckNotFound
from agi_router.events.signature import new_secret
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_locked, renewed_secrets
from agi_router.keys.ring import KeyRing
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["TenantCheckStore"]


class TenantCheckStore:
    """
    Which service is asked about the calls of which tenant.

    Args:
        queries: Where that is kept.
        keys: To seal secrets.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, keys: KeyRing, *, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._keys = keys
        self._tenants = TenantStore(queries, scope)

    def put(
        self,
        tenant: str,
        url: str,
        *,
        unanswered: Unanswered = Unanswered.REFUSE,
        timeout_ms: int | None = None,
    ) -> tuple[TenantCheck, str | None]:
        """
        Have a service asked about every call of a tenant from now on.

        Args:
            tenant: Whose.
            url: As :func:`agi_router.events.model.check_url` allows it.
            unanswered: What becomes of a call about which it says nothing in time.
            timeout_ms: Milliseconds that it has, 10 to 5000, if those are fewer than the
                operator lets it have; :obj:`None`: as many as that.

        Returns:
            It, and its secret, which is shown this once; :obj:`None` where it has one, which
            stays.

        Raises:
            TenantNotFound: There is no such tenant.
            KeysOutdated: The key ring was rotated since it was read.
        """
        tenant_id = self._tenants.find_id(tenant)
        values = {
            "tenant_id": tenant_id,
            "url": url,
            "unanswered": unanswered,
            "timeout_ms": timeout_ms,
        }
        secret = None
        with self._queries.transaction():
            # Of two at once the second finds what the first has made.
            self._mark(tenant_id, has=True)
            if self._queries.row("change_tenant_check", values) is None:
                secret = new_secret()
                sealed = self._seal(secret, tenant_id)
                self._queries.row("add_tenant_check", {**values, "secret": sealed})
        return self.find(tenant), secret

    def find(self, tenant: str) -> TenantCheck:
        """
        The check of a tenant.

        Raises:
            TenantNotFound: There is no such tenant.
            CheckNotFound: It has none.
        """
        row = self._queries.row("find_tenant_check", {"tenant_id": self._tenants.find_id(tenant)})
        if row is None:
            raise CheckNotFound
        return TenantCheck(**row | {"unanswered": Unanswered(row["unanswered"])})

    def remove(self, tenant: str) -> None:
        """
        Have nobody asked about the calls of a tenant from now on; its secret is forgotten.

        Raises:
            TenantNotFound: There is no such tenant.
            CheckNotFound: It has none.
        """
        tenant_id = self._tenants.find_id(tenant)
        with self._queries.transaction():
            self._mark(tenant_id, has=False)
            if self._queries.row("remove_tenant_check", {"tenant_id": tenant_id}) is None:
                raise CheckNotFound

    def rotate_secret(self, tenant: str, *, overlap: timedelta) -> str:
        """
        Give a check a new secret, by which questions are signed beside the old one for a time.

        Returns:
            The new one, which is shown this once.

        Raises:
            TenantNotFound: There is no such tenant.
            CheckNotFound: It has no check.
            KeysOutdated: The key ring was rotated since it was read.
        """
        tenant_id = self._tenants.find_id(tenant)
        secret = new_secret()
        with self._queries.transaction():
            sealed = self._seal(secret, tenant_id)
            values = {"tenant_id": tenant_id, "secret": sealed, "overlap": overlap}
            if self._queries.row("rotate_check_secret", values) is None:
                raise CheckNotFound
        return secret

    def renew(self) -> int:
        """
        Seal secrets with the current key that were sealed with an older one, or by another cipher.

        Returns:
            How many checks had such.

        Raises:
            SealError: One does not open.
        """

        def seal(row: dict[str, Any]) -> None:
            where = check_sealed_for(row["tenant_id"])
            self._queries.row("seal_check_secrets", renewed_secrets(self._keys, row, where))

        return renew_locked(self._queries, self._keys, "list_check_secrets", seal)

    def _mark(self, tenant_id: int, *, has: bool) -> None:
        self._queries.row("mark_tenant_check", {"tenant_id": tenant_id, "has": has})

    def _seal(self, secret: str, tenant_id: int) -> bytes:
        assert_current_keys(self._queries, self._keys)
        return self._keys.seal_secret(secret, check_sealed_for(tenant_id))
