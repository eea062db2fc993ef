"""
What came of a file whose rows are written down one by one.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["RowFault", "Tally"]

# Faults that are told; the others are counted.
_FAULTS = 1000


class RowFault(NamedTuple):
    """
    A row that is not written, and why.
    """

    line: int
    why: str


@dataclass(slots=True, kw_only=True)
class Tally:
    """
    What came of a file.
    """

    rows: int = 0
    added: int = 0
    known: int = 0
    """Rows that were there before."""
    refused: int = 0
    """Rows that were not written."""
    faults: list[RowFault] = field(default_factory=list)
    """The first of them."""

    def refuse(self, line: int, why: str) -> None:
        """
        Count a row that is not written.
        """
        self.refused += 1
        if len(self.faults) < _FAULTS:
            self.faults.append(RowFault(line, why))
