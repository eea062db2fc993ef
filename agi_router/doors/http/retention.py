"""
``/v1/retention``: what is kept for how long, what is held for a case, and what was deleted.
"""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import HoldNotFound
from agi_router.maintenance.holds import HeldThing, HoldStore
from agi_router.maintenance.proofs import kept, proofs
from agi_router.maintenance.views import describe_hold, describe_kept, describe_proof
from agi_router.numbers import XNumber
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor, read_field, read_number, read_time
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.schemas.retention import (
    HoldIn,
    HoldOut,
    HoldSearchIn,
    HoldsOut,
    ProofsOut,
    ReleaseIn,
    RetentionOut,
)
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1/retention", tags=["retention"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.AUDIT_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.RETENTION_WRITE), scope="function")]

_LARGEST_ID = 18
_MOST = 1000
_YEAR = timedelta(days=366)


@router.get("", responses=answers(RetentionOut), response_model=None)
def get_retention(desk: _Reads) -> Response:
    """
    Say of each kind how long it is kept, its oldest day, and when that goes.
    """
    rows = kept(desk.queries, desk.options.kept)
    return answer({"kinds": list(map(describe_kept, rows))})


@router.get("/proofs", responses=answers(ProofsOut), response_model=None)
def list_proofs(
    desk: _Reads,
    since: Annotated[
        str | None,
        Query(max_length=40, description="A time, with its offset; else a year ago."),
    ] = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List what was deleted, the latest first.
    """
    begin = desk.now - _YEAR if since is None else read_time("/since", since)
    rows = proofs(desk.queries, since=begin, limit=limit)
    return answer({"proofs": list(map(describe_proof, rows))})


@router.get("/holds", responses=answers(HoldsOut), response_model=None)
def list_holds(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    case: Annotated[str | None, Query(max_length=64, description="Of this case.")] = None,
    everything: Annotated[bool, Query(description="Those that were released, too.")] = False,  # noqa: FBT002
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List legal holds, newest first, a page at a time.
    """
    found = _holds_of(desk).all(
        case=case, everything=everything, after=read_cursor(cursor), limit=limit
    )
    return page_of(request, "holds", found, describe_hold, limit=limit)


@router.post(
    "/holds",
    status_code=201,
    responses=answers(HoldOut, 404, 413, 415, ok=201, told="Held"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_hold(body: HoldIn, request: Request, desk: _Writes) -> Response:
    """
    Hold a 700 number, a person or an order: what a trace tells of it is kept from now on.
    """
    thing = _read_thing(body, desk)

    def make() -> tuple[int, Any, dict[str, str]]:
        made = _holds_of(desk).add(
            thing, case=body.case, reason=body.reason, by=f"API key {desk.key.id}"
        )
        desk.audit(
            "POST /v1/retention/holds",
            f"hold {made.id} of case {made.case}",
            case=made.case,
            reason=body.reason,
            person=thing.person,
        )
        return 201, describe_hold(made), {"Location": f"/v1/retention/holds/{made.id}"}

    return answer_once(request, desk, make)


@router.post("/holds/search", responses=answers(HoldsOut, 413, 415), response_model=None)
def search_holds(body: HoldSearchIn, desk: _Reads) -> Response:
    """
    Find the legal holds on a person; this is audited.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    desk.audit("POST /v1/retention/holds/search", "the legal holds on a person", person=person)
    found = _holds_of(desk).all(person=person, everything=body.everything, limit=_MOST)
    return answer({"holds": list(map(describe_hold, found)), "next_cursor": None})


@router.get("/holds/{hold_id}", responses=answers(HoldOut, 404), response_model=None)
def get_hold(hold_id: str, desk: _Reads) -> Response:
    """
    Get a legal hold by its id.
    """
    return answer(describe_hold(_holds_of(desk).find(_hold_id(hold_id))))


@router.post(
    "/holds/{hold_id}/release",
    responses=answers(HoldOut, 404, 413, 415, told="Released"),
    response_model=None,
)
def release_hold(hold_id: str, body: ReleaseIn, desk: _Writes) -> Response:
    """
    Release a legal hold: what is past retention goes with the next deletion.
    """
    with desk.queries.transaction():
        released = _holds_of(desk).release(
            _hold_id(hold_id), by=f"API key {desk.key.id}", note=body.note
        )
        desk.audit(
            "POST /v1/retention/holds/{hold_id}/release",
            f"hold {released.id} of case {released.case}",
            case=released.case,
        )
    return answer(describe_hold(released))


def _holds_of(desk: Desk) -> HoldStore:
    return HoldStore(desk.queries, desk.keys)


def _hold_id(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _LARGEST_ID):
        # What was asked for could be anything, a number too.
        raise HoldNotFound
    return int(text)


def _read_thing(body: HoldIn, desk: Desk) -> HeldThing:
    """
    What is to be held.

    Raises:
        Problem: A field is not acceptable, or the fields do not say one thing.
    """
    number, person = None, None
    if body.x is not None:
        number = read_field("/x", lambda: XNumber.parse(body.x or ""))
    if body.person is not None:
        person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    try:
        return HeldThing(number=number, person=person, order=body.order, tenant=body.tenant)
    except ValueError as error:
        raise Problem.of_fields([FieldFault("", "alone", str(error))]) from None
