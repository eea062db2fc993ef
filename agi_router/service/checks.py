"""
What asks the verification services of tenants, as it is set.
"""

from functools import partial
from typing import TYPE_CHECKING

from agi_router.calls.checker import TenantServices
from agi_router.settings import Settings

if TYPE_CHECKING:
    from agi_router.calls.tenant_verifiers import TenantVerifiers

__all__ = ["tenant_services"]


def tenant_services(settings: Settings) -> TenantServices:
    """
    The services of tenants, none of which is asked yet.
    """
    return TenantServices(partial(_open, settings))


def _open(settings: Settings) -> "TenantVerifiers":
    from agi_router.calls.tenant_verifiers import TenantVerifiers  # noqa: PLC0415

    return TenantVerifiers(timeout=settings.check_timeout, allowed=settings.webhook_hosts)
