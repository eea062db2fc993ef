"""
Events and webhooks as they are shown, to people and to programs: numbers of parties are masked.
"""

from typing import Any

from agi_router.events.model import Webhook, event_name
from agi_router.events.store import Debts

__all__ = ["describe_attempt", "describe_webhook"]


def describe_webhook(webhook: Webhook, debts: Debts | None = None) -> dict[str, Any]:
    """
    A webhook as it is printed, perhaps with what it is owed; never its secrets.
    """
    described: dict[str, Any] = {
        "id": str(webhook.id),
        "tenant": webhook.tenant,
        "url": webhook.url,
        "types": list(webhook.types),
        "format": webhook.format,
        "numbers": webhook.numbers,
        "batch": webhook.batch,
        "batch_wait": int(webhook.batch_wait.total_seconds()),
        "state": webhook.state,
        "failures": webhook.failures,
        "failed_since": webhook.failed_since,
        "created_at": webhook.created_at,
        "version": webhook.version,
    }
    return described if debts is None else described | {"owed": debts.owed, "held": debts.held}


def describe_attempt(row: dict[str, Any]) -> dict[str, Any]:
    """
    A try to deliver, from its row.
    """
    return {
        "event": event_name(row["event_id"]),
        "at": row["at"],
        "try": row["tries"],
        "status": row["status"],
        "ms": row["ms"],
        "why": row["why"],
    }
