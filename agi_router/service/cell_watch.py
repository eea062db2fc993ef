"""
The watch over cells: which of them do not take what is changed in the global database.

A cell that is cut off keeps the last state that it has, and so lets through whom nobody else does.
Whoever serves with the global DSN gives all cells a sign of life each second, on the way that all
changes go, and sees how far each has come.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from agi_router.inventory.cell_health import CUT_OFF_AFTER

__all__ = ["CellWatch"]

log = logging.getLogger(__name__)


class CellWatch:
    """
    Tells of each cell once that it is cut off, and once that it is back.
    """

    def __init__(self) -> None:
        self._cut_off: dict[str, float] = {}

    def judge(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """
        Take what a look at the cells has found; whether there are any.

        Args:
            rows: Those of ``look_at_cells``.
        """
        found = {row["name"]: row["behind"] or 0.0 for row in rows}
        late = {name: behind for name, behind in found.items() if behind > CUT_OFF_AFTER}
        for name in late.keys() - self._cut_off.keys():
            log.warning("cell.cut_off", extra={"cell": name, "seconds": round(late[name])})
        for name in self._cut_off.keys() - late.keys():
            log.warning("cell.back", extra={"cell": name})
        self._cut_off = late
        return bool(found)

    @property
    def remarks(self) -> list[str]:
        """
        What is to be known, a line each; from any thread.
        """
        return [
            f"cell {name}: it has taken nothing of what is changed for all for {seconds:.0f} s:"
            " whoever is locked or switched off goes on there; 'agi-router doctor' says why"
            for name, seconds in sorted(self._cut_off.copy().items())
        ]
