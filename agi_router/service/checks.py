"""
What asks the verification services, as it is set.
"""

from functools import partial
from typing import TYPE_CHECKING

from agi_router.calls.checker import TenantServices
from agi_router.settings import Settings

if TYPE_CHECKING:
    from agi_router.calls.tenant_verifiers import TenantVerifiers
    from agi_router.calls.verifier import HttpVerifier

__all__ = ["operator_service", "tenant_services"]


def operator_service(settings: Settings) -> "HttpVerifier | None":
    """
    The operator's service; :obj:`None`: there is none.

    Raises:
        SettingsError: The file of its token cannot be read.
    """
    if settings.check_url is None:
        return None
    # Here, so that a router that asks nobody does not hold h11 as well.
    from agi_router.calls.verifier import HttpVerifier  # noqa: PLC0415

    return HttpVerifier(
        settings.check_url, timeout=settings.check_timeout, token=settings.load_check_token()
    )


def tenant_services(settings: Settings) -> TenantServices:
    """
    The services of tenants, none of which is asked yet.
    """
    return TenantServices(partial(_open, settings))


def _open(settings: Settings) -> "TenantVerifiers":
    from agi_router.calls.tenant_verifiers import TenantVerifiers  # noqa: PLC0415

    return TenantVerifiers(timeout=settings.check_timeout, allowed=settings.webhook_hosts)
