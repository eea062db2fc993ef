"""
Pools, as the database keeps them.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from agi_router.bindings.pools import Pool, check_pool_values
from agi_router.bindings.words import Callback, Language, Mode
from agi_router.cursors import Cursor, numbered
from agi_router.db.connection import Queries
from agi_router.errors import (
    BlockNotFound,
    PoolChanged,
    PoolExists,
    PoolNotFound,
)
from agi_router.inventory.store import InventoryStore
from agi_router.numbers import Block
from agi_router.tenants.scope import OPERATOR, Scope

__all__ = ["PoolStore"]

# What a new pool has, and what may be said of it.
_NEW: Mapping[str, Any] = {
    "blocks": (),
    "operator_digit": None,
    "mode": None,
    "callback": None,
    "window": None,
    "language": None,
    "prompts": None,
}


class PoolStore:
    """
    The pools of one database; for a tenant, its own.

    Args:
        queries: Where they are kept.
        inventory: The blocks.
        scope: Who asks.
    """

    def __init__(
        self, queries: Queries, inventory: InventoryStore, scope: Scope = OPERATOR
    ) -> None:
        self._queries = queries.given(scope.values)
        self._inventory = inventory

    def add(self, tenant: str, name: str, **said: Any) -> Pool:
        """
        Add a pool.

        Args:
            tenant: Whose it is.
            name: As :func:`agi_router.bindings.words.check_pool` allows it.
            said: By the names of :class:`~agi_router.bindings.pools.Pool`: *blocks*,
                *operator_digit*, *mode*, *callback*, *window*, *language*, *prompts*. What is
                left out, or :obj:`None`, is as it is by default.

        Raises:
            TenantNotFound: There is no such tenant.
            PoolExists: It has one of this name.
            BlockNotFound: A block is not ours, or is kept for another tenant.
            RequestInvalid: See :func:`agi_router.bindings.pools.check_pool_values`.
        """
        tenant_id = self._inventory.tenants.find_id(tenant)
        wished = {**_NEW, **{each: value for each, value in said.items() if value is not None}}
        check_pool_values(wished)
        with self._queries.transaction():
            self._check_blocks(wished["blocks"], tenant_id)
            values = {"tenant_id": tenant_id, "name": name, **_columns(wished)}
            if self._queries.row("add_pool", values) is None:
                raise PoolExists(f"tenant {tenant!r} has a pool {name} already")
        return self.find(tenant, name)

    def find(self, tenant: str, name: str) -> Pool:
        """
        One pool.

        Raises:
            PoolNotFound: The tenant has none of this name.
        """
        found = self._list(tenant, name, None, 1)
        if not found:
            raise PoolNotFound(f"tenant {tenant!r} has no pool {name}")
        return found[0]

    def all(
        self, *, tenant: str | None = None, after: Cursor | None = None, limit: int | None
    ) -> list[Pool]:
        """
        Pools, newest first.

        Args:
            tenant: Only those of this one.
            after: Only those behind the last one of another page, see :attr:`Pool.cursor`.
            limit: At most so many; :obj:`None`: all.

        Raises:
            CursorInvalid: *after* is of another list.
            TenantNotFound: There is no such tenant.
        """
        if tenant is not None:
            self._inventory.tenants.find_id(tenant)
        return self._list(tenant, None, after, limit)

    def change(self, tenant: str, name: str, *, seen: Pool | None = None, **said: Any) -> Pool:
        """
        Say anew what a pool is; what is left out stays as it is.

        Bindings that were made in it stay as they are.

        Args:
            tenant: Whose it is.
            name: Its name, which it keeps.
            seen: What it is to be still. Its version alone says too little: another pool may have
                the name by now.
            said: As for :meth:`add`, but that what is left out stays as it is.

        Raises:
            PoolNotFound: The tenant has none of this name.
            PoolChanged: It is another by now.
            BlockNotFound: A block is not ours, or is kept for another tenant.
            RequestInvalid: See :func:`agi_router.bindings.pools.check_pool_values`.
        """
        with self._queries.transaction():
            found = self.find(tenant, name)
            if seen not in {None, found}:
                raise PoolChanged
            wished = {each: getattr(found, each) for each in _NEW}
            wished |= {each: _NEW[each] if new is None else new for each, new in said.items()}
            check_pool_values(wished)
            if "blocks" in said:
                self._check_blocks(wished["blocks"], self._inventory.tenants.find_id(tenant))
            values = {"id": found.id, "version": found.version, **_columns(wished)}
            # Of two at once the second finds what the first has made of it.
            if self._queries.row("change_pool", values) is None:
                raise PoolChanged
        return self.find(tenant, name)

    def remove(self, tenant: str, name: str, *, seen: Pool | None = None) -> Pool:
        """
        Forget a pool. Bindings that were made in it stay as they are.

        Args:
            tenant: Whose it is.
            name: It.
            seen: What it is to be still; see :meth:`change`.

        Returns:
            What it was.

        Raises:
            PoolChanged: It is another one by now than *seen*.
            PoolNotFound: The tenant has none of this name.
        """
        found = self.find(tenant, name)
        if seen not in {None, found}:
            raise PoolChanged
        asked = {"id": found.id, "version": None if seen is None else found.version}
        if self._queries.row("remove_pool", asked) is None and seen is not None:
            raise PoolChanged
        return found

    def capacity(self, pool: Pool) -> list[dict[str, Any]]:
        """
        How full the blocks of a pool are; of those that are shared the operator alone is told.

        Returns:
            As :meth:`agi_router.inventory.store.InventoryStore.statistics`.
        """
        return self._inventory.statistics(
            tenant=pool.tenant, digit=pool.operator_digit, blocks=pool.blocks
        )

    def _list(
        self, tenant: str | None, name: str | None, after: Cursor | None, limit: int | None
    ) -> list[Pool]:
        values = {
            "tenant": tenant,
            "name": name,
            **numbered(after),
            "limit": limit,
        }
        return list(map(_read, self._queries.rows("list_pools", values)))

    def _check_blocks(self, blocks: tuple[Block, ...], tenant_id: int) -> None:
        """
        Make sure that a tenant may have numbers of these blocks.
        """
        values = {"blocks": [block.value for block in {*blocks}], "tenant_id": tenant_id}
        row = self._queries.row("count_kept_blocks", values)
        if row is None or row["blocks"] < len({*blocks}):
            raise BlockNotFound("a block of the pool is not ours, or is kept for another tenant")


def _columns(wished: Mapping[str, Any]) -> dict[str, Any]:
    window: timedelta | None = wished["window"]
    return {
        **{name: value for name, value in wished.items() if name != "window"},
        "blocks": sorted({block.value for block in wished["blocks"]}),
        "callback_window": None if window is None else int(window.total_seconds()),
    }


def _read(row: Mapping[str, Any]) -> Pool:
    seconds = row["callback_window"]
    return Pool(
        id=row["id"],
        tenant=row["tenant"],
        name=row["name"],
        blocks=tuple(Block(value=each) for each in row["blocks"]),
        operator_digit=row["operator_digit"],
        mode=None if row["mode"] is None else Mode(row["mode"]),
        callback=None if row["callback"] is None else Callback(row["callback"]),
        window=None if seconds is None else timedelta(seconds=seconds),
        language=None if row["language"] is None else Language(row["language"]),
        prompts=row["prompts"],
        created_at=row["created_at"],
        version=row["version"],
    )
