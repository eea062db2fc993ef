"""
Quotas: how many bindings a tenant may have, and how many may be made for it on a day.

What is counted, and how exactly: ``agi_router.take_quota`` (``sql/``).
"""

from datetime import UTC, datetime, timedelta

from agi_router.db.connection import Queries
from agi_router.errors import QuotaExceeded
from agi_router.tenants.model import Quota

__all__ = ["take_quota"]


def take_quota(queries: Queries, tenant_id: int, count: int) -> None:
    """
    Count bindings that the transaction under way has made for a tenant.

    Args:
        queries: Where.
        tenant_id: The tenant.
        count: How many.

    Raises:
        QuotaExceeded: It may not have so many: the transaction has to be undone.
    """
    row = queries.row("take_quota", {"tenant_id": tenant_id, "count": count})
    if row is None:
        return
    if row["quota"] == Quota.BINDINGS:
        raise QuotaExceeded(
            f"of this tenant {row['most']} bindings may live at once, and so many do: end some"
        )
    error = QuotaExceeded(
        f"for this tenant {row['most']} bindings may be made on a day, and so many were: the next"
        " day begins at 00:00 UTC"
    )
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    error.wait = max(1, round((midnight - now).total_seconds()))
    raise error
