"""
Quotas: how many bindings a tenant may have, and how many it, or one of its keys, may make a day.

What is counted, and how exactly: ``agi_router.take_quota`` and ``take_key_quota`` (``sql/``).
"""

from datetime import UTC, datetime, timedelta

from agi_router.db.connection import Queries
from agi_router.errors import QuotaExceeded
from agi_router.tenants.model import Quota

__all__ = ["take_key_quota", "take_quota"]


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
    raise _used_up(
        f"for this tenant {row['most']} bindings may be made on a day, and so many were"
    )


def take_key_quota(queries: Queries, key_id: str, count: int) -> None:
    """
    Count bindings that the transaction under way has made with an API key.

    Args:
        queries: Where.
        key_id: The key.
        count: How many.

    Raises:
        QuotaExceeded: It may not make so many: the transaction has to be undone.
    """
    row = queries.row("take_key_quota", {"key": key_id, "count": count})
    if row is not None:
        raise _used_up(
            f"with this API key {row['most']} bindings may be made on a day, and so many were"
        )


def _used_up(told: str) -> QuotaExceeded:
    """
    Of a quota of a day; says when the next one begins.
    """
    error = QuotaExceeded(f"{told}: the next day begins at 00:00 UTC")
    now = datetime.now(UTC)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    error.wait = max(1, round((midnight - now).total_seconds()))
    return error
