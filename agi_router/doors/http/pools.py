"""
``/v1/pools``: named sets of numbers, with what bindings on them have by default.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agi_router.bindings.pools import Pool
from agi_router.bindings.views import describe_pool
from agi_router.bindings.words import check_pool
from agi_router.doors.http.answers import (
    RECALLED,
    answer,
    etag_of,
    matched,
    page_of,
    read_version,
    recalled,
)
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.doors.http.webhooks import tenant_of, whose
from agi_router.errors import PoolChanged, PoolNotFound
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.blocks import PoolOut
from agi_router.schemas.fields import read_cursor
from agi_router.schemas.pools import NumberPoolOut, NumberPoolsOut, PoolChange, PoolIn, read_pool
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["pools"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.POOLS_WRITE), scope="function")]


@router.get("/pools", responses=answers(NumberPoolsOut, 404), response_model=None)
def list_pools(
    request: Request,
    desk: _Reads,
    tenant: queries.Tenant = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List pools, newest first, a page at a time.
    """
    whose = None if tenant is None else tenant_of(tenant, desk)
    found = desk.store.pools.all(tenant=whose, after=read_cursor(cursor), limit=limit)
    return page_of(request, "pools", found, describe_pool, limit=limit)


@router.post(
    "/pools",
    status_code=201,
    responses=answers(NumberPoolOut, 404, 409, 413, 415, ok=201, told="Added"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_pool(body: PoolIn, request: Request, desk: _Writes) -> Response:
    """
    Add a pool.
    """
    tenant, said = tenant_of(body.tenant, desk), read_pool(body)

    def make() -> tuple[int, Any, dict[str, str]]:
        pool = desk.store.pools.add(tenant, body.name, **said)
        desk.audit("POST /v1/pools", f"pool {pool.name} of tenant {pool.tenant}")
        seen, headers = _seen(pool)
        place = f"/v1/pools/{pool.name}{whose(pool.tenant, desk)}"
        return 201, seen, {"Location": place, **headers}

    return answer_once(request, desk, make)


@router.get(
    "/pools/{name}",
    responses=answers(NumberPoolOut, 404),
    openapi_extra=RECALLED,
    response_model=None,
)
def get_pool_by_name(
    name: str, request: Request, desk: _Reads, tenant: queries.Tenant = None
) -> Response:
    """
    Get a pool.
    """
    seen, headers = _seen(_find(name, tenant, desk))
    return recalled(request, headers["ETag"]) or answer(seen, headers=headers)


@router.get("/pools/{name}/capacity", responses=answers(PoolOut, 404), response_model=None)
def get_pool_capacity(name: str, desk: _Reads, tenant: queries.Tenant = None) -> Response:
    """
    Say how full the blocks of a pool are; to a tenant, those that are kept for it.
    """
    pools = desk.store.pools
    return answer({"blocks": pools.capacity(_find(name, tenant, desk))})


@router.patch(
    "/pools/{name}",
    responses=answers(NumberPoolOut, 404, 412, 413, 415, 428, told="Changed"),
    openapi_extra=matched("pool"),
    response_model=None,
)
def change_pool(
    name: str, body: PoolChange, request: Request, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Change a pool, if it is still as it was read. Bindings that were made in it stay as they are.
    """
    asked, said = read_version(request, PoolChanged), read_pool(body)
    with desk.queries.transaction():
        found = _find(name, tenant, desk)
        seen_before = _as_read(found, request, asked)
        changed = desk.store.pools.change(found.tenant, found.name, seen=seen_before, **said)
        desk.audit("PATCH /v1/pools/{name}", f"pool {found.name} of tenant {found.tenant}")
    seen, headers = _seen(changed)
    return answer(seen, headers=headers)


@router.delete(
    "/pools/{name}",
    responses=answers(NumberPoolOut, 404, 412, told="Removed"),
    openapi_extra=matched("pool", needed=False),
    response_model=None,
)
def remove_pool(
    name: str, request: Request, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Remove a pool. Bindings that were made in it stay as they are.
    """
    asked = read_version(request, PoolChanged, needed=False)
    with desk.queries.transaction():
        found = _find(name, tenant, desk)
        seen_before = _as_read(found, request, asked)
        removed = desk.store.pools.remove(found.tenant, found.name, seen=seen_before)
        desk.audit("DELETE /v1/pools/{name}", f"pool {found.name} of tenant {found.tenant}")
    return answer(describe_pool(removed))


def _find(name: str, tenant: str | None, desk: Desk) -> Pool:
    """
    A pool that this key may see.

    Raises:
        PoolNotFound: There is none, or it is another tenant's.
    """
    whose = tenant_of(tenant, desk)
    try:
        return desk.store.pools.find(whose, check_pool(name))
    except (ValueError, PoolNotFound):
        # What was asked for could be anything, a number too.
        raise PoolNotFound from None


def _as_read(found: Pool, request: Request, asked: int | None) -> Pool | None:
    """
    What a pool is to be still; :obj:`None`: whatever it is.

    Raises:
        PoolChanged: It is not what was read: by all of the ETag, as a pool that was added anew
            has a version of the same number again.
    """
    if asked is None:
        return None
    if request.headers["if-match"].strip() != _seen(found)[1]["ETag"]:
        raise PoolChanged
    return found


def _seen(pool: Pool) -> tuple[dict[str, Any], dict[str, str]]:
    seen = describe_pool(pool)
    return seen, {"ETag": etag_of(pool.version, seen)}
