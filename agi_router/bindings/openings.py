"""
What is remembered of where tenants may bind.
"""

from agi_router.bindings.choose import OpenBlocks

__all__ = ["Openings"]

# Who binds a second time will again: so many binds are told at once where they may be made.
_AHEAD = 32
_TENANTS = 1000

_Whose = tuple[str, int | None]
"""A tenant, and the operator digit asked for."""


class Openings:
    """
    Open blocks of tenants, and numbers of bindings to come, for the next binds of one connection.

    It is no more than a guess: the statement that binds looks whether it holds.
    """

    def __init__(self) -> None:
        self._kept: dict[_Whose, tuple[OpenBlocks, list[int]]] = {}

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
        self._kept[whose] = opening, list(opening.binding_ids[1:])

    def take(self, whose: _Whose) -> tuple[OpenBlocks, int] | None:
        """
        Where the next binding may be made, and its number; :obj:`None` where it is to be asked.
        """
        if whose not in self._kept:
            return None
        opening, left = self._kept[whose]
        return (opening, left.pop(0)) if left else None
