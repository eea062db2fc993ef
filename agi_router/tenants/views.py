"""
Tenants and API keys as they are shown, to people and to programs; no secret.
"""

from typing import Any

from agi_router.tenants.api_keys import ApiKey

__all__ = ["describe_api_key", "describe_tenant"]


def describe_api_key(key: ApiKey) -> dict[str, Any]:
    """
    A key as it is printed.
    """
    return {
        "id": key.id,
        "tenant": key.tenant,
        "form": key.form.value,
        "label": key.label,
        "scopes": sorted(scope.value for scope in key.scopes),
        "networks": list(map(str, key.networks)),
        "max_binds": key.max_binds,
        "max_requests": key.max_requests,
        "state": key.state.value,
        "created_at": key.created_at,
        "begins_at": key.begins_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


def describe_tenant(row: dict[str, Any]) -> dict[str, Any]:
    """
    A tenant, from its row.
    """
    return {
        "name": row["name"],
        "state": "active" if row["active"] else "suspended",
        "unknown_numbers": row["unknown_numbers"],
        "max_bindings": row["max_bindings"],
        "max_binds": row["max_binds"],
        "max_requests": row["max_requests"],
        "qualification": row["qualification"],
        "qualified_by": row["qualified_by"],
        "qualified_from": row["qualified_from"],
        "qualified_until": row["qualified_until"],
        "needs_order": row["needs_order"],
        "scenes": row["scenes"],
        "max_pair_binds": row["max_pair_binds"],
        "max_order_pairs": row["max_order_pairs"],
        "refuses_pairs": row["refuses_pairs"],
        "hours": row["hours"],
        "time_zone": row["time_zone"],
        "call_limits": row["call_limits"] or {},
        "bind_limits": row["bind_limits"] or {},
        "record": row["record"],
        "consent": row["consent"],
        "needs_real_name": row["needs_real_name"],
        "notice": row["notice"],
        "created_at": row["created_at"],
    }
