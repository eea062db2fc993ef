"""
The database's clock, by which all is judged that lies in the past or in the future.
"""

from datetime import datetime

from agi_router.db.connection import Queries
from agi_router.times import check_past

__all__ = ["check_has_been"]


def check_has_been(queries: Queries, at: datetime | None, *, word: str) -> None:
    """
    Make sure that something has been.

    Args:
        queries: Where.
        at: When it was; :obj:`None`: nobody has said so.
        word: What it is called in files and JSON.

    Raises:
        RequestInvalid: It is to be.
    """
    if at is not None:
        row = queries.row("now", {})
        assert row is not None  # noqa: S101 - a SELECT without FROM has one row
        check_past(at, row["clock_timestamp"], word=word)
