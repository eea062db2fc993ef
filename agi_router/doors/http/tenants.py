"""
``/v1/tenants``: the business users whose orders the bindings serve.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agi_router.cursors import Cursor
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import TenantNotFound
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor
from agi_router.schemas.tenants import (
    BindLimitsIn,
    CallLimitsIn,
    QualificationIn,
    TenantChange,
    TenantIn,
    TenantOut,
    TenantsOut,
)
from agi_router.tenants.api_keys import KeyScope
from agi_router.tenants.bind_rates import read_bind_rates
from agi_router.tenants.call_rates import read_call_rates
from agi_router.tenants.model import Quota, check_tenant
from agi_router.tenants.rules import RulesChange
from agi_router.tenants.store import TenantStore
from agi_router.tenants.views import describe_tenant

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["tenants"])

_QUOTAS = {
    Quota.BINDINGS: "max_bindings",
    Quota.BINDS: "max_binds",
    Quota.REQUESTS: "max_requests",
}

_RULES = {each.name for each in fields(RulesChange)}

_Writes = Annotated[Desk, Depends(Needs(KeyScope.TENANTS_WRITE), scope="function")]


@router.get("/tenants", responses=answers(TenantsOut), response_model=None)
def list_tenants(
    request: Request,
    desk: _Writes,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List the tenants, newest first, a page at a time.
    """
    found = desk.store.inventory.tenants.all(after=read_cursor(cursor), limit=limit)
    last = found[-1] if len(found) == limit else None
    behind = None if last is None else Cursor(last["created_at"], str(last["id"]))
    return page(request, "tenants", list(map(describe_tenant, found)), behind)


@router.get("/tenants/{name}", responses=answers(TenantOut, 404), response_model=None)
def get_tenant(name: str, desk: _Writes) -> Response:
    """
    Get a tenant.
    """
    return answer(describe_tenant(_find(name, desk)))


@router.post(
    "/tenants",
    status_code=201,
    responses=answers(TenantOut, 409, 413, 415, ok=201, told="Added"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_tenant(body: TenantIn, request: Request, desk: _Writes) -> Response:
    """
    Add a tenant.
    """

    def make() -> tuple[int, Any, dict[str, str]]:
        row = desk.store.inventory.tenants.add(
            body.name, needs_order=body.needs_order, consent=body.consent
        )
        desk.audit("POST /v1/tenants", f"tenant {body.name}")
        place = f"/v1/tenants/{quote(row['name'], safe='')}"
        return 201, describe_tenant(row), {"Location": place}

    return answer_once(request, desk, make)


@router.patch(
    "/tenants/{name}",
    responses=answers(TenantOut, 404, 413, 415, told="Changed"),
    response_model=None,
)
def change_tenant(name: str, body: TenantChange, desk: _Writes) -> Response:
    """
    Refuse every call and every new binding of a tenant, or let them go on; set what it may.
    """
    tenants = desk.store.inventory.tenants
    row = _find(name, desk)
    known = row["name"]
    # All of it, or nothing.
    with desk.queries.transaction():
        for what, change in _changes(known, body, tenants):
            row = change()
            desk.audit("PATCH /v1/tenants/{name}", f"tenant {known}: {what}")
    return answer(describe_tenant(row))


def _changes(
    name: str, body: TenantChange, tenants: TenantStore
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """
    What is to change, as the audit names it, and what changes it.
    """
    said = body.model_fields_set
    if "active" in said:
        state = "active" if body.active else "suspended"
        yield state, lambda: tenants.set_active(name, active=body.active)
    for quota, word in _QUOTAS.items():
        if word in said:
            most = getattr(body, word)
            yield f"{word} {most or 'any'}", partial(tenants.set_quota, name, quota, most)
    if "qualification" in said:
        paper = body.qualification or QualificationIn()
        yield (
            "qualification",
            lambda: tenants.qualify(
                name,
                number=paper.number,
                issuer=paper.issuer,
                valid_from=paper.valid_from,
                valid_until=paper.valid_until,
            ),
        )
    if rules := said & _RULES:
        change = RulesChange(**{each: _rule(body, each) for each in rules})
        yield str(change), lambda: tenants.set_rules(name, change)
    if "unknown_numbers" in said:
        unknown = body.unknown_numbers
        yield f"unknown {unknown}", lambda: tenants.set_unknown_numbers(name, unknown)
    yield from _limit_changes(name, body, tenants)
    yield from _talk_changes(name, body, tenants)


def _limit_changes(
    name: str, body: TenantChange, tenants: TenantStore
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """
    The same of when, and how often, it binds and its calls go through.
    """
    said = body.model_fields_set
    if "hours" in said:
        hours = body.hours or "always"
        yield f"hours {hours}", lambda: tenants.set_hours(name, body.hours)
    if "time_zone" in said:
        zone = body.time_zone
        yield f"time_zone {zone}", lambda: tenants.set_time_zone(name, zone)
    if "call_limits" in said:
        limits = body.call_limits or CallLimitsIn()
        rates = read_call_rates(limits.model_dump(exclude_none=True))
        told = ", ".join(f"{each} {rate}" for each, rate in rates.words.items()) or "none"
        yield f"call_limits {told}", lambda: tenants.set_call_rates(name, rates)
    if "bind_limits" in said:
        wanted = body.bind_limits or BindLimitsIn()
        change = RulesChange(bind_rates=read_bind_rates(wanted.model_dump(exclude_none=True)))
        yield str(change), lambda: tenants.set_rules(name, change)


def _talk_changes(
    name: str, body: TenantChange, tenants: TenantStore
) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """
    The same of what is heard in talks, and kept of them.
    """
    said = body.model_fields_set
    if "notice" in said:
        heard = "on" if body.notice else "off"
        yield f"notice {heard}", lambda: tenants.set_notice(name, notice=body.notice)
    if "record" in said:
        word = "on" if body.record else "off"
        yield f"record {word}", lambda: tenants.set_record(name, on=body.record)


def _rule(body: TenantChange, word: str) -> Any:
    """
    The value of a rule; no limit is said by null, and written as 0.
    """
    value = getattr(body, word)
    return 0 if value is None else value


def _find(name: str, desk: Desk) -> dict[str, Any]:
    """
    A tenant; raises :exc:`TenantNotFound`, which tells nothing of what was asked for.
    """
    try:
        return desk.store.inventory.tenants.find(check_tenant(name))
    except (ValueError, TenantNotFound):
        raise TenantNotFound from None
