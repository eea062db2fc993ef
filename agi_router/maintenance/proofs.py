"""
What is kept of each kind, and what was deleted.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from agi_router.db.connection import Queries
from agi_router.maintenance.classes import KINDS, Kind, Retention

__all__ = ["Kept", "kept", "proofs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """
    What is kept of a kind.

    Attributes:
        kind: It.
        days: For how many days, once it is over.
        oldest: The oldest day (UTC) that is kept; :obj:`None`: nothing is over.
        rows: About how many rows there are.
        next_on: When the oldest day is deleted; in the past, it is due.
        due: Whether something is to be deleted now, and here: what is in cells is theirs.
    """

    kind: Kind
    days: int
    oldest: date | None
    rows: int
    next_on: date | None
    due: bool


def kept(queries: Queries, retention: Retention) -> list[Kept]:
    """
    What is kept of each kind, in their order.
    """
    behind = bool(queries.cells_behind())
    row = queries.row("today", {})
    today: date = row["day"] if row else date.max
    rows = {row["kind"]: row for row in queries.rows("describe_kept", {})}
    found = []
    for kind, rule in KINDS.items():
        oldest = rows[kind]["oldest"]
        next_on = None if oldest is None else retention.gone_on(kind, oldest)
        ours = rule.by_us and not (rule.by_cells and behind)
        found.append(
            Kept(
                kind=kind,
                days=retention.kept(kind).days,
                oldest=oldest,
                rows=rows[kind]["rows"],
                next_on=next_on,
                due=ours and next_on is not None and next_on <= today,
            )
        )
    return found


def proofs(queries: Queries, *, since: datetime, limit: int) -> list[dict[str, Any]]:
    """
    Proofs of what was deleted since a time, the latest first: rows of ``deletion``.
    """
    return queries.rows("list_deletions", {"since": since, "limit": limit})
