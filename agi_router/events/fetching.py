"""
Fetching: events that databases behind this one have written come here.
"""

import logging
from typing import Final

from agi_router.db.connection import Queries
from agi_router.errors import StoreUnavailable

__all__ = ["ANSWER", "fetch_events"]

log = logging.getLogger(__name__)

ANSWER: Final = 5.0
"""Seconds that a database behind this one has to answer: others wait for it as long."""


def fetch_events(queries: Queries, *, expired: int = 0) -> int:
    """
    Have events of all databases behind this one be here; where there are none nothing is done.

    Each is asked in a transaction of its own. One that does not answer is passed over for a
    minute, and may have cost the session: go on with *queries* renewed.

    Args:
        queries: Where they are to be.
        expired: So many bindings at most are marked in each that the clock has ended.

    Returns:
        How many were.
    """
    marked = 0
    for row in queries.rows("list_unvisited", {}):
        with queries.renewed() as own:
            answers = True
            try:
                with own.transaction_until(ANSWER):
                    marked += _visit(own, row["cell"], expired)
            except StoreUnavailable as error:
                answers = False
                log.warning("cell.silent", extra={"cell": row["cell"], "error": str(error)})
        if not answers:
            with queries.renewed() as own:
                own.execute("pass_over_cell", {"cell": row["cell"]})
    return marked


def _visit(queries: Queries, cell: int, expired: int) -> int:
    row = queries.row("visit_cell", {"cell": cell, "expired": expired})
    assert row is not None  # noqa: S101 - a function has one row
    return row["rows"]  # type: ignore[no-any-return]
