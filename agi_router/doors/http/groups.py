"""
``/v1/groups``: party groups, each the side A of many bindings.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.bindings.party_groups import PartyGroup
from agi_router.bindings.views import describe_group, reveal_group
from agi_router.bindings.words import check_group
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
from agi_router.errors import GroupChanged, GroupNotFound
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor, read_members
from agi_router.schemas.groups import GroupChange, GroupIn, GroupOut, GroupsOut, MembersIn
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["groups"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_WRITE), scope="function")]
_Full = Annotated[
    str | None,
    Query(
        pattern="^full$",
        description="Show the members' numbers; needs the scope numbers:read, and is audited.",
    ),
]


@router.get("/groups", responses=answers(GroupsOut, 404), response_model=None)
def list_groups(
    request: Request,
    desk: _Reads,
    tenant: queries.Tenant = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List party groups, newest first, a page at a time.
    """
    whose = None if tenant is None else tenant_of(tenant, desk)
    found = desk.store.groups(tenant=whose, after=read_cursor(cursor), limit=limit)
    return page_of(request, "groups", found, describe_group, limit=limit)


@router.post(
    "/groups",
    status_code=201,
    responses=answers(GroupOut, 404, 409, 413, 415, ok=201, told="Added"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_group(body: GroupIn, request: Request, desk: _Writes) -> Response:
    """
    Add a party group.
    """
    members = read_members(body.members, fixed_lines=desk.options.fixed_lines)
    tenant = tenant_of(body.tenant, desk)

    def make() -> tuple[int, Any, dict[str, str]]:
        group = desk.store.add_group(tenant, body.name, members, label=body.label)
        desk.audit("POST /v1/groups", _subject(group))
        seen, headers = _seen(group)
        place = f"/v1/groups/{group.name}{whose(group.tenant, desk)}"
        return 201, seen, {"Location": place, **headers}

    return answer_once(request, desk, make)


@router.get(
    "/groups/{name}",
    responses=answers(GroupOut, 404),
    openapi_extra=RECALLED,
    response_model=None,
)
def get_group(
    name: str, request: Request, desk: _Reads, tenant: queries.Tenant = None, numbers: _Full = None
) -> Response:
    """
    Get a party group.
    """
    found = _find(name, tenant, desk)
    seen, headers = _seen(found)
    if numbers is not None:
        desk.require(KeyScope.NUMBERS_READ)
        desk.audit("GET /v1/groups/{name}?numbers=full", _subject(found))
        return answer(reveal_group(found), headers=headers)
    return recalled(request, headers["ETag"]) or answer(seen, headers=headers)


@router.patch(
    "/groups/{name}",
    responses=answers(GroupOut, 404, 412, 413, 415, 428, told="Changed"),
    openapi_extra=matched("group"),
    response_model=None,
)
def change_group(
    name: str, body: GroupChange, request: Request, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Change what a party group is labelled by, if it is still as it was read.
    """
    version = read_version(request, GroupChanged)
    found = _find(name, tenant, desk)
    if "label" not in body.model_fields_set:
        return _answer(found)
    return _done(
        desk,
        "PATCH /v1/groups/{name}",
        lambda: desk.store.label_group(found.tenant, found.name, body.label, version=version),
    )


@router.delete(
    "/groups/{name}",
    responses=answers(GroupOut, 404, 409, 412, told="Removed"),
    openapi_extra=matched("group", needed=False),
    response_model=None,
)
def remove_group(
    name: str, request: Request, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Remove a party group by which no binding lives.
    """
    version = read_version(request, GroupChanged, needed=False)
    found = _find(name, tenant, desk)
    return _done(
        desk,
        "DELETE /v1/groups/{name}",
        lambda: desk.store.remove_group(found.tenant, found.name, version=version),
    )


@router.post(
    "/groups/{name}/members",
    responses=answers(GroupOut, 404, 409, 412, 413, 415, told="They are members"),
    openapi_extra=matched("group", needed=False),
    response_model=None,
)
def add_group_members(
    name: str, body: MembersIn, request: Request, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Let members into a party group, in all bindings by it: all of them, or none if one cannot be.
    """
    version = read_version(request, GroupChanged, needed=False)
    members = read_members(body.members, fixed_lines=desk.options.fixed_lines)
    found = _find(name, tenant, desk)
    return _done(
        desk,
        "POST /v1/groups/{name}/members",
        lambda: desk.store.change_members(
            found.tenant, found.name, joining=members, version=version
        ),
    )


@router.post(
    "/groups/{name}/members/remove",
    responses=answers(GroupOut, 404, 409, 412, 413, 415, told="They are none any more"),
    openapi_extra=matched("group", needed=False),
    response_model=None,
)
def remove_group_members(
    name: str, body: MembersIn, request: Request, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Take members out of a party group, in all bindings by it: all of them, or none.
    """
    version = read_version(request, GroupChanged, needed=False)
    members = read_members(body.members, fixed_lines=desk.options.fixed_lines)
    found = _find(name, tenant, desk)
    return _done(
        desk,
        "POST /v1/groups/{name}/members/remove",
        lambda: desk.store.change_members(
            found.tenant, found.name, leaving=members, version=version
        ),
    )


@router.put(
    "/groups/{name}/members",
    responses=answers(GroupOut, 404, 409, 412, 413, 415, 428, told="They are the members"),
    openapi_extra=matched("group"),
    response_model=None,
)
def set_group_members(
    name: str, body: MembersIn, request: Request, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Say anew who is in a party group, if it is still as it was read.
    """
    version = read_version(request, GroupChanged)
    members = read_members(body.members, fixed_lines=desk.options.fixed_lines)
    found = _find(name, tenant, desk)
    return _done(
        desk,
        "PUT /v1/groups/{name}/members",
        lambda: desk.store.set_members(found.tenant, found.name, members, version=version),
    )


def _done(desk: Desk, act: str, work: Callable[[], PartyGroup]) -> Response:
    """
    Do something with a group, and write it down.
    """

    def done() -> PartyGroup:
        with desk.queries.transaction():
            group = work()
            desk.audit(act, _subject(group))
        return group

    return _answer(desk.queries.again(done))


def _find(name: str, tenant: str | None, desk: Desk) -> PartyGroup:
    """
    A party group that this key may see.

    Raises:
        GroupNotFound: There is none, or it is another tenant's.
    """
    whose = tenant_of(tenant, desk)
    try:
        return desk.store.find_group(whose, check_group(name))
    except (ValueError, GroupNotFound):
        # What was asked for could be anything, a number too.
        raise GroupNotFound from None


def _subject(group: PartyGroup) -> str:
    return f"party group {group.name} of tenant {group.tenant}"


def _answer(group: PartyGroup) -> Response:
    seen, headers = _seen(group)
    return answer(seen, headers=headers)


def _seen(group: PartyGroup) -> tuple[dict[str, Any], dict[str, str]]:
    seen = describe_group(group)
    return seen, {"ETag": etag_of(group.version, seen)}
