"""
What is remembered of where tenants may bind.
"""

import time

from agi_router.bindings.choose import OpenBlocks
from agi_router.errors import QuotaExceeded

__all__ = ["Openings"]

# Who binds a second time will again: so many binds are told at once where they may be made.
_AHEAD = 32
_TENANTS = 1000
# Seconds. By then a quota is heeded that a tenant was given.
_KEPT = 10.0
# A quota that is used up is looked at once in so many: bindings that live are counted for it.
_FULL = 1.0

_Whose = tuple[str, int | None]
"""A tenant, and the operator digit asked for."""


class Openings:
    """
    Open blocks of tenants, and numbers of bindings to come, for the next binds of one connection.

    It is no more than a guess: the statement that binds looks whether it holds.
    """

    def __init__(self) -> None:
        self._kept: dict[_Whose, tuple[OpenBlocks, list[int], float]] = {}
        self._full: dict[int, tuple[QuotaExceeded, float]] = {}

    def ahead(self, whose: _Whose) -> int:
        """
        For how many binds it is worth asking.
        """
        return _AHEAD if whose in self._kept else 1

    def keep(self, whose: _Whose, opening: OpenBlocks) -> None:
        """
        Remember *opening*, the first of whose bindings is being made.
        """
        if len(self._kept) >= _TENANTS:
            self._kept.clear()
        self._kept[whose] = opening, list(opening.binding_ids[1:]), time.monotonic() + _KEPT

    def take(self, whose: _Whose) -> tuple[OpenBlocks, int] | None:
        """
        Where the next binding may be made, and its number; :obj:`None` where it is to be asked.
        """
        if whose not in self._kept:
            return None
        opening, left, until = self._kept[whose]
        return (opening, left.pop(0)) if left and time.monotonic() < until else None

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
        error, until = self._full.get(tenant_id, (None, 0.0))
        if error is not None and time.monotonic() < until:
            raise error
