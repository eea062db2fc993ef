"""
Fetching: events that databases behind this one have written come here.
"""

import logging
from typing import Final, NamedTuple

from agi_router.db.connection import Queries
from agi_router.errors import StoreUnavailable

__all__ = ["ANSWER", "Fetched", "fetch_events"]

log = logging.getLogger(__name__)

ANSWER: Final = 5.0
"""Seconds that a database behind this one has to answer: others wait for it as long."""


class Fetched(NamedTuple):
    """
    What came of it.
    """

    marked: int
    """Bindings that were marked."""
    behind: bool
    """Whether there are databases behind this one."""


def fetch_events(queries: Queries, *, expired: int = 0) -> Fetched:
    """
    Have events of all databases behind this one be here.

    Each is asked in a transaction of its own. One that does not answer is passed over for a
    minute, and may have cost the session: go on with *queries* renewed.

    Args:
        queries: Where they are to be.
        expired: So many bindings at most are marked in each that the clock has ended.
    """
    visits = queries.rows("list_visits", {})
    marked = 0
    for cell in [row["cell"] for row in visits if row["due"]]:
        with queries.renewed() as own:
            answers = True
            try:
                with own.transaction_until(ANSWER):
                    marked += _visit(own, cell, expired)
            except StoreUnavailable as error:
                answers = False
                log.warning("cell.silent", extra={"cell": cell, "error": str(error)})
        if not answers:
            with queries.renewed() as own:
                own.execute("pass_over_cell", {"cell": cell})
    return Fetched(marked, bool(visits))


def _visit(queries: Queries, cell: int, expired: int) -> int:
    row = queries.row("visit_cell", {"cell": cell, "expired": expired})
    assert row is not None  # noqa: S101 - a function has one row
    return row["rows"]  # type: ignore[no-any-return]
