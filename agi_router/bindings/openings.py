"""
What is remembered of where tenants may bind.
"""

import time

from agi_router.bindings.choose import OpenBlocks
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.pools import Pool
from agi_router.errors import QuotaExceeded

__all__ = ["Openings"]

# Who binds a second time will again: so many binds are told at once where they may be made.
_AHEAD = 32
_TENANTS = 1000
# Seconds. By then a quota is heeded that a tenant was given.
_KEPT = 10.0
# A quota that is used up is looked at once in so many: bindings that live are counted for it.
_FULL = 1.0

_Whose = tuple[str, NumberPolicy]
"""A tenant, and how its numbers are chosen: by the operator digit and among blocks alone."""


class Openings:
    """
    Open blocks of tenants, and numbers of bindings to come, for the next binds of one connection.

    It is no more than a guess: the statement that binds looks whether it holds.
    """

    def __init__(self) -> None:
        self._kept: dict[_Whose, tuple[OpenBlocks, list[int], float]] = {}
        self._full: dict[int, tuple[QuotaExceeded, float]] = {}
        self._pools: dict[tuple[str, str], tuple[Pool, float]] = {}

    def ahead(self, whose: _Whose, count: int = 1) -> int:
        """
        For how many binds it is worth asking, where so many are to be made now.
        """
        return max(_AHEAD, count) if whose in self._kept else count

    def keep(self, whose: _Whose, opening: OpenBlocks, *, taken: int = 1) -> None:
        """
        Remember *opening*, of whose bindings the first are being made: so many are *taken*.
        """
        if len(self._kept) >= _TENANTS:
            self._kept.clear()
        left = list(opening.binding_ids[taken:])
        self._kept[whose] = opening, left, time.monotonic() + _KEPT

    def take(self, whose: _Whose, count: int = 1) -> tuple[OpenBlocks, list[int]] | None:
        """
        Where the next bindings may be made, and their numbers; :obj:`None`: it is to be asked.
        """
        if whose not in self._kept:
            return None
        opening, left, until = self._kept[whose]
        if len(left) < count or time.monotonic() >= until:
            return None
        taken = left[:count]
        del left[:count]
        return opening, taken

    def keep_pool(self, pool: Pool) -> None:
        """
        Remember a pool.
        """
        if len(self._pools) >= _TENANTS:
            self._pools.clear()
        self._pools[pool.tenant, pool.name] = pool, time.monotonic() + _KEPT

    def pool(self, tenant: str, name: str) -> Pool | None:
        """
        A pool of a tenant; :obj:`None` where it is to be asked for.
        """
        pool, until = self._pools.get((tenant, name), (None, 0.0))
        return pool if time.monotonic() < until else None

    def note_full(self, tenant_id: int, error: QuotaExceeded) -> None:
        """
        Remember that a quota of a tenant is used up.
        """
        if len(self._full) >= _TENANTS:
            self._full.clear()
        self._full[tenant_id] = error, time.monotonic() + _FULL

    def forget_full(self, tenant_id: int) -> None:
        """
        Look at a quota again, as less is asked for now.
        """
        self._full.pop(tenant_id, None)

    def check_full(self, tenant_id: int) -> None:
        """
        Refuse at once what was refused a moment ago.

        Raises:
            QuotaExceeded: It was.
        """
        error = self._refusal(tenant_id)
        if error is not None:
            raise error

    def is_full(self, tenant_id: int) -> bool:
        """
        Whether it was refused a moment ago.
        """
        return self._refusal(tenant_id) is not None

    def _refusal(self, tenant_id: int) -> QuotaExceeded | None:
        error, until = self._full.get(tenant_id, (None, 0.0))
        return error if time.monotonic() < until else None
