"""
API keys, as the database keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agi_router.cursors import Cursor
from agi_router.db.connection import Queries
from agi_router.errors import ApiKeyLimit, ApiKeyNotFound
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_each
from agi_router.keys.ring import KeyRing
from agi_router.tenants.api_keys import (
    ACTIVE_AT_ONCE,
    ApiKey,
    KeyForm,
    KeyScope,
    KeyState,
    Network,
    digest_secret,
    is_key_id,
    new_key_id,
    new_secret,
    plain_network,
)
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["ApiKeyStore", "FoundKey"]

# Another may take the place that this one was to have, but not for ever.
_TRIES = ACTIVE_AT_ONCE + 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FoundKey:
    """
    A key as it stands at one moment, with what its secret is checked by.
    """

    key: ApiKey
    digest: bytes | None
    """Of a bearer's secret."""
    sealed: bytes | None
    """The secret that requests are signed with."""
    scope: Scope
    """What it reaches."""
    owner_active: bool
    """Whether its tenant is not suspended; the operator never is."""
    tenant_requests: int | None
    """So many requests may all keys of its tenant make in a minute; :obj:`None`: any number."""
    now: datetime


class ApiKeyStore:
    """
    The API keys of one database.

    Args:
        queries: Where they are kept.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._scope = scope
        self._tenants = TenantStore(queries, scope)

    def add(
        self,
        *,
        tenant: str | None,
        form: KeyForm,
        label: str,
        scopes: frozenset[KeyScope],
        networks: Sequence[Network],
        life: timedelta,
        keys: KeyRing,
        max_binds: int | None = None,
        max_requests: int | None = None,
        begins_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """
        Make a key.

        Args:
            tenant: Whose it is; :obj:`None`: the operator's.
            form: Whether its secret is shown, or signs.
            label: What people call it.
            scopes: What it may do; see :func:`agi_router.tenants.api_keys.check_scopes`.
            networks: Where requests may come from; empty: from anywhere.
            life: How long it lives from its beginning.
            keys: To seal a secret that signs.
            max_binds: See :func:`agi_router.tenants.api_keys.check_limits`.
            max_requests: Ditto.
            begins_at: When it begins; :obj:`None`: now. It has its place meanwhile.

        Returns:
            The key and its secret, which is told here and never again.

        Raises:
            TenantNotFound: There is no such tenant.
            OperatorOnly: A tenant asks for a key of the operator's.
            ApiKeyLimit: Two of its tenant's are active, or six of the operator's.
            KeysOutdated: The key ring was rotated since it was read.
        """
        if tenant is None:
            self._scope.check_operator("makes keys of his own")
        secret, key_id = new_secret(), new_key_id()
        values: dict[str, Any] = {
            "tenant_id": None if tenant is None else self._tenants.find_id(tenant),
            "id": key_id,
            "form": form.value,
            "label": label,
            "scopes": sorted(scope.value for scope in scopes),
            "networks": list(map(str, networks)),
            "max_binds": max_binds,
            "max_requests": max_requests,
            "digest": digest_secret(secret) if form is KeyForm.BEARER else None,
            "sealed": None,
            "begins_at": begins_at,
            "life": life,
        }
        with self._queries.transaction():
            if form.signs:
                assert_current_keys(self._queries, keys)
                values["sealed"] = keys.seal_secret(secret, key_id)
                self._queries.row("count_seals", {"count": 1})
            self._queries.execute("expire_api_keys", values)
            for _ in range(_TRIES):
                if self._queries.row("add_api_key", values) is not None:
                    break
            else:
                raise ApiKeyLimit
        return self.find(key_id).key, secret

    def find(self, key_id: str) -> FoundKey:
        """
        One key, whatever has become of it.

        Raises:
            ApiKeyNotFound: There is none of this id.
        """
        row = self._find(key_id) if is_key_id(key_id) else None
        if row is None:
            raise ApiKeyNotFound(f"there is no API key {key_id!r}")
        return _read_found(row)

    def find_shown(self, key_id: str) -> FoundKey | None:
        """
        The key that somebody shows, whatever has become of it; :obj:`None`: there is none.

        It takes as long to find none: the key beside it is read, and left out.
        """
        row = self._find(key_id if is_key_id(key_id) else "", beside=True)
        found = None if row is None else _read_found(row)
        return found if found is not None and found.key.id == key_id else None

    def _find(self, key_id: str, *, beside: bool = False) -> dict[str, Any] | None:
        return self._queries.row("find_api_key", {"id": key_id, "beside": beside})

    def all(
        self, *, tenant: str | None = None, after: Cursor | None = None, limit: int | None = None
    ) -> list[ApiKey]:
        """
        The keys of a tenant, or everybody's, newest first: all, or a page of them.

        Args:
            tenant: Only those of this one.
            after: Only those behind the last one of another page, see :attr:`ApiKey.cursor`.
            limit: At most so many; :obj:`None`: all.
        """
        values = {
            "tenant": tenant,
            "after_at": None if after is None else after.at,
            "after_name": None if after is None else after.name,
            "limit": limit,
        }
        return list(map(_read, self._queries.rows("list_api_keys", values)))

    def revoke(self, key_id: str) -> ApiKey:
        """
        Let a key open nothing from now on; one that is over stays as it is.

        Raises:
            ApiKeyNotFound: There is none of this id.
        """
        self._queries.row("revoke_api_key", {"id": key_id})
        return self.find(key_id).key

    def note_use(self, key_id: str) -> None:
        """
        Remember that a key was used, to the minute.
        """
        self._queries.execute("note_api_key_use", {"id": key_id})

    def renew(self, keys: KeyRing) -> int:
        """
        Seal secrets with the current key that were sealed with an older one, or by another cipher.

        Returns:
            How many.

        Raises:
            SealError: One does not open.
            OperatorOnly: A tenant asks.
        """
        self._scope.check_operator("rotates keys")

        def seal(row: dict[str, Any]) -> None:
            sealed = keys.renewed_secret(row["sealed"], row["id"])
            self._queries.row("seal_secret", {"id": row["id"], "sealed": sealed})

        values = {"header": keys.secret_header}
        return renew_each(self._queries, keys, "list_sealed_secrets", values, seal)


def _read_found(row: dict[str, Any]) -> FoundKey:
    return FoundKey(
        key=_read(row),
        digest=row["digest"],
        sealed=row["sealed"],
        scope=OPERATOR if row["tenant_id"] is None else Scope(row["tenant_id"], row["tenant"]),
        owner_active=row["owner_active"],
        tenant_requests=row["tenant_requests"],
        now=row["now"],
    )


def _read(row: dict[str, Any]) -> ApiKey:
    return ApiKey(
        id=row["id"],
        tenant=row["tenant"],
        form=KeyForm(row["form"]),
        label=row["label"],
        scopes=frozenset(map(KeyScope, row["scopes"])),
        networks=tuple(map(plain_network, row["networks"])),
        max_binds=row["max_binds"],
        max_requests=row["max_requests"],
        state=KeyState(row["state"]),
        created_at=row["created_at"],
        begins_at=row["begins_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        last_used_at=row["last_used_at"],
    )
