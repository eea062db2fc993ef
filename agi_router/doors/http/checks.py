"""
``/v1/check``: a tenant's own service that is asked before a call is connected.
"""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from agi_router.calls.check import TenantCheck
from agi_router.calls.tenant_checks import TenantCheckStore
from agi_router.calls.views import describe_check
from agi_router.doors.http.answers import answer
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.webhooks import check_address, tenant_of
from agi_router.events.addresses import address_on_record
from agi_router.logs import redact
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.checks import CheckIn, CheckMadeOut, CheckOut
from agi_router.schemas.webhooks import RotationIn, SecretOut
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["check"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.CHECKS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.CHECKS_WRITE), scope="function")]


@router.get("/check", responses=answers(CheckOut, 404), response_model=None)
def get_check(desk: _Reads, tenant: queries.Tenant = None) -> Response:
    """
    Get the service that is asked before a call is connected.
    """
    return answer(describe_check(_checks_of(desk).find(tenant_of(tenant, desk))))


@router.put(
    "/check",
    responses=answers(CheckMadeOut, 404, 413, 415, told="It is asked from now on"),
    response_model=None,
)
def put_check(body: CheckIn, desk: _Writes, tenant: queries.Tenant = None) -> Response:
    """
    Have a service asked about every call from now on, or have it asked otherwise.

    The secret that signs questions is told once, where there was no service before.
    """
    name = tenant_of(tenant, desk)
    check_address(body.url, desk)
    with desk.queries.transaction():
        made, secret = _checks_of(desk).put(
            name, body.url, unanswered=body.unanswered, timeout_ms=body.timeout_ms
        )
        _audit("PUT /v1/check", f"check of {name} at {address_on_record(body.url)}", desk)
    told: dict[str, Any] = {} if secret is None else {"secret": secret}
    return answer(describe_check(made) | told)


@router.delete("/check", responses=answers(CheckOut, 404, told="Removed"), response_model=None)
def remove_check(desk: _Writes, tenant: queries.Tenant = None) -> Response:
    """
    Have nobody asked from now on; the answer is the last that is known of it.
    """
    found = _find(tenant, desk)
    with desk.queries.transaction():
        _checks_of(desk).remove(found.tenant)
        _audit("DELETE /v1/check", f"check of {found.tenant}", desk)
    return answer(describe_check(found))


@router.post(
    "/check/rotate-secret",
    responses=answers(SecretOut, 404, 413, 415, told="The new secret"),
    response_model=None,
)
def rotate_check_secret(
    body: RotationIn, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Give the service a new secret, which is told this once; the old one signs too, for a time.
    """
    found = _find(tenant, desk)
    overlap = timedelta(seconds=body.overlap)
    with desk.queries.transaction():
        secret = _checks_of(desk).rotate_secret(found.tenant, overlap=overlap)
        _audit("POST /v1/check/rotate-secret", f"secret of the check of {found.tenant}", desk)
    return answer({"secret": secret})


def _checks_of(desk: Desk) -> TenantCheckStore:
    return TenantCheckStore(desk.queries, desk.store.keys, scope=desk.store.scope)


def _find(tenant: str | None, desk: Desk) -> TenantCheck:
    return _checks_of(desk).find(tenant_of(tenant, desk))


def _audit(act: str, subject: str, desk: Desk) -> None:
    # An address and a name are anything, even a number.
    desk.audit(act, redact(subject))
