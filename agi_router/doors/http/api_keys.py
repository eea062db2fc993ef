"""
``/v1/keys``: what programs prove themselves with.
"""

import json
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, keep_once
from agi_router.errors import ApiKeyNotFound
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.api_keys import ApiKeyIn, ApiKeyMadeOut, ApiKeyOut, ApiKeysOut
from agi_router.schemas.fields import read_cursor
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import (
    LONGEST_WAIT,
    ApiKey,
    KeyScope,
    check_limits,
    check_scopes,
    narrow_networks,
    parse_network,
    write_bearer,
)
from agi_router.tenants.views import describe_api_key

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["keys"])

_Writes = Annotated[Desk, Depends(Needs(KeyScope.KEYS_WRITE), scope="function")]


@router.get("/keys", responses=answers(ApiKeysOut), response_model=None)
def list_api_keys(
    request: Request,
    desk: _Writes,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List the API keys, newest first, a page at a time; to a tenant, its own.
    """
    keys = ApiKeyStore(desk.queries, desk.store.scope)
    found = keys.all(after=read_cursor(cursor), limit=limit)
    return page_of(request, "keys", found, describe_api_key, limit=limit)


@router.get("/keys/{key_id}", responses=answers(ApiKeyOut, 404), response_model=None)
def get_api_key(key_id: str, desk: _Writes) -> Response:
    """
    Get an API key, without its secret.
    """
    return answer(describe_api_key(_find(key_id, desk)))


@router.post(
    "/keys",
    status_code=201,
    responses=answers(ApiKeyMadeOut, 404, 409, 413, 415, ok=201, told="Made"),
    openapi_extra=KEYED,
    response_model=None,
)
def create_api_key(body: ApiKeyIn, request: Request, desk: _Writes) -> Response:
    """
    Make an API key that can do nothing that the one who asks cannot do.

    Its secret is told this once: no answer that is given again has it.
    """
    tenant = body.tenant or desk.tenant
    try:
        scopes = check_scopes(body.scopes, tenant=tenant)
    except ValueError as error:
        fault = FieldFault("/scopes", "scope_invalid", str(error))
        raise Problem.of_fields([fault]) from None
    if not scopes <= desk.key.scopes:
        lacking = ", ".join(sorted(scopes - desk.key.scopes))
        raise Problem.of_door("scope_missing", more=lacking)
    limits = {"max_binds": body.max_binds, "max_requests": body.max_requests}
    try:
        check_limits(scopes, tenant=tenant, **limits)
    except ValueError as error:
        said = next(name for name, most in limits.items() if most is not None)
        raise Problem.of_fields([FieldFault(f"/{said}", "limit_invalid", str(error))]) from None
    if body.begins_at is not None and body.begins_at > desk.now + LONGEST_WAIT:
        said = f"no more than {LONGEST_WAIT.days} days ahead"
        raise Problem.of_fields([FieldFault("/begins_at", "too_late", said)])
    wanted = list(map(parse_network, body.networks))
    try:
        networks = narrow_networks(wanted, within=desk.key.networks)
    except ValueError as error:
        fault = FieldFault("/networks", "network_invalid", str(error))
        raise Problem.of_fields([fault]) from None
    told_once: dict[str, str] = {}

    def make() -> tuple[int, Any, dict[str, str]]:
        key, secret = ApiKeyStore(desk.queries, desk.store.scope).add(
            tenant=tenant,
            form=body.form,
            label=body.label,
            scopes=scopes,
            networks=networks,
            life=timedelta(seconds=body.ttl),
            begins_at=body.begins_at,
            keys=desk.store.keys,
            **limits,
        )
        desk.audit("POST /v1/keys", f"API key {key.id}")
        if body.form.signs:
            told_once["secret"] = secret
        else:
            told_once["bearer"] = write_bearer(key.id, secret)
        return 201, describe_api_key(key), {"Location": f"/v1/keys/{key.id}"}

    kept = keep_once(request, desk, make)
    if kept.again:
        return kept.response()
    # What is kept of an answer is not sealed.
    return answer({**json.loads(kept.body), **told_once}, status=201, headers=kept.headers)


@router.delete(
    "/keys/{key_id}",
    responses=answers(ApiKeyOut, 404, told="Revoked"),
    response_model=None,
)
def revoke_api_key(key_id: str, desk: _Writes) -> Response:
    """
    Let an API key open nothing from now on; the one that asks, too.
    """
    found = _find(key_id, desk)
    with desk.queries.transaction():
        revoked = ApiKeyStore(desk.queries, desk.store.scope).revoke(found.id)
        desk.audit("DELETE /v1/keys/{key_id}", f"API key {found.id}")
    return answer(describe_api_key(revoked))


def _find(key_id: str, desk: Desk) -> ApiKey:
    """
    A key; raises :exc:`ApiKeyNotFound`, which tells nothing of what was asked for.
    """
    try:
        return ApiKeyStore(desk.queries, desk.store.scope).find(key_id).key
    except ApiKeyNotFound:
        raise ApiKeyNotFound from None
