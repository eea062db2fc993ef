"""Every operation of the HTTP door, and the scope that it needs."""

from __future__ import annotations

from agi_router.tenants.api_keys import KeyScope

SCOPED = [
    ("POST", "/v1/bindings", KeyScope.BINDINGS_WRITE),
    ("POST", "/v1/bindings/batch", KeyScope.BINDINGS_WRITE),
    ("GET", "/v1/bindings", KeyScope.BINDINGS_READ),
    ("POST", "/v1/bindings/search", KeyScope.BINDINGS_READ),
    ("GET", "/v1/bindings/70012345678-1", KeyScope.BINDINGS_READ),
    ("DELETE", "/v1/bindings/70012345678-1", KeyScope.BINDINGS_WRITE),
    ("PATCH", "/v1/bindings/70012345678-1", KeyScope.BINDINGS_WRITE),
    ("POST", "/v1/bindings/70012345678-1/members", KeyScope.BINDINGS_WRITE),
    ("POST", "/v1/bindings/70012345678-1/members/remove", KeyScope.BINDINGS_WRITE),
    ("POST", "/v1/orders/end", KeyScope.BINDINGS_WRITE),
    ("GET", "/v1/calls", KeyScope.CALLS_READ),
    ("POST", "/v1/explanations", KeyScope.CALLS_READ),
    ("GET", "/v1/blocks", KeyScope.INVENTORY_READ),
    ("POST", "/v1/blocks", KeyScope.INVENTORY_WRITE),
    ("GET", "/v1/blocks/70012345678", KeyScope.INVENTORY_READ),
    ("PATCH", "/v1/blocks/70012345678", KeyScope.INVENTORY_WRITE),
    ("GET", "/v1/pool", KeyScope.INVENTORY_READ),
    ("GET", "/v1/tenants", KeyScope.TENANTS_WRITE),
    ("POST", "/v1/tenants", KeyScope.TENANTS_WRITE),
    ("PATCH", "/v1/tenants/couriers", KeyScope.TENANTS_WRITE),
    ("GET", "/v1/api-keys", KeyScope.KEYS_WRITE),
    ("POST", "/v1/api-keys", KeyScope.KEYS_WRITE),
    ("DELETE", f"/v1/api-keys/{'q' * 16}", KeyScope.KEYS_WRITE),
]
