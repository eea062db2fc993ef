"""
What is said of API keys.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.schemas.base import TIME, Body, NextCursor, Out, example
from agi_router.schemas.fields import Time
from agi_router.tenants.api_keys import KeyForm, KeyScope, KeyState, check_label, parse_network
from agi_router.tenants.model import check_tenant

__all__ = ["ApiKeyIn", "ApiKeyMadeOut", "ApiKeyOut", "ApiKeysOut"]


def _is_network(text: str) -> str:
    return str(parse_network(text))


class ApiKeyIn(Body):
    """
    An API key to be made; of a tenant's key, for the same tenant.
    """

    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's if left out by the operator."
    )
    form: Annotated[KeyForm, Field(strict=False)] = KeyForm.BEARER
    label: Annotated[str, Field(max_length=512), AfterValidator(check_label)]
    scopes: list[Annotated[KeyScope, Field(strict=False)]] = Field(
        min_length=1, max_length=len(KeyScope)
    )
    networks: list[Annotated[str, Field(max_length=64), AfterValidator(_is_network)]] = Field(
        default=[],
        max_length=32,
        description="Where requests may come from; empty: from where the asking key may be used.",
    )
    begins_at: Time | None = Field(
        default=None, description="It opens nothing before; from now on if left out."
    )
    ttl: int = Field(
        default=365 * 86400,
        ge=60,
        le=3650 * 86400,
        description="Seconds that it lives from its beginning.",
    )
    max_binds: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many bindings may it make on a day, which begins at 00:00 UTC; not for"
        " the operator's, nor with keys:write.",
    )
    max_requests: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many requests may it make in a minute, at each process of the door; not"
        " with keys:write.",
    )

    model_config = example({"label": "orders", "scopes": ["bindings:read", "bindings:write"]})


_API_KEY: dict[str, Any] = {
    "id": "qkzwhtdmxcvbnrpl",
    "tenant": "couriers",
    "form": "bearer",
    "label": "orders",
    "scopes": ["bindings:read", "bindings:write"],
    "networks": [],
    "max_binds": None,
    "max_requests": None,
    "state": "active",
    "created_at": TIME,
    "begins_at": TIME,
    "expires_at": "2027-01-31T15:04:05+00:00",
    "revoked_at": None,
    "last_used_at": None,
}


class ApiKeyOut(Out):
    """
    An API key, without its secret.
    """

    id: str
    tenant: str | None
    form: KeyForm
    label: str
    scopes: list[KeyScope]
    networks: list[str]
    max_binds: int | None = Field(
        description="So many bindings may it make on a day; null: any number."
    )
    max_requests: int | None = Field(
        description="So many requests may it make in a minute, at each process of the door; what"
        " the operator says for all keys holds besides."
    )
    state: KeyState
    created_at: str
    begins_at: str = Field(description="It opens nothing before.")
    expires_at: str
    revoked_at: str | None
    last_used_at: str | None

    model_config = example(_API_KEY)


class ApiKeyMadeOut(ApiKeyOut):
    """
    An API key that was just made: its secret is told here, and never again.
    """

    bearer: str | None = Field(default=None, description="What is shown with each request.")
    secret: str | None = Field(default=None, description="What requests are signed with.")

    model_config = example({**_API_KEY, "bearer": f"agr_qkzwhtdmxcvbnrpl_{'A' * 43}"})


class ApiKeysOut(Out):
    """
    API keys, newest first.
    """

    keys: list[ApiKeyOut]
    next_cursor: NextCursor = None

    model_config = example({"keys": [_API_KEY]})
