"""
The table of chaos: fault, expected, seen.
"""

from collections.abc import Iterator
from typing import ClassVar

__all__ = ["Table"]


class Table:
    """
    Takes the rows of one test.

    Args:
        test: Its name.
    """

    _rows: ClassVar[list[tuple[str, str, str]]] = []

    def __init__(self, test: str) -> None:
        self._test = test

    def row(self, fault: str, expected: str, seen: str) -> None:
        """
        Add a row.
        """
        self._rows.append((fault, expected, seen))

    @classmethod
    def lines(cls) -> Iterator[str]:
        """
        The table as text, in Markdown; nothing if there is no row.
        """
        if not cls._rows:
            return
        rows = [("fault", "expected", "seen"), ("---", "---", "---"), *cls._rows]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        yield ""
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f"| {' | '.join(cells)} |"
