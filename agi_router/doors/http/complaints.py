"""
``/v1/complaints``: complaints about calls, and how many are too many.
"""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.batches import Result, result_of
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.doors.http.webhooks import tenant_of
from agi_router.errors import ComplaintNotFound, RequestInvalid
from agi_router.numbers import XNumber
from agi_router.persons.complaint_store import ComplaintStore
from agi_router.persons.complaint_views import describe_complaint, describe_count
from agi_router.persons.complaints import Complaint
from agi_router.persons.effects import Subject
from agi_router.persons.locks import LockedThing, parse_lock_id
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.complaints import (
    ComplaintBatchIn,
    ComplaintBatchOut,
    ComplaintCountOut,
    ComplaintIn,
    ComplaintOut,
    ComplaintsOut,
)
from agi_router.schemas.fields import read_cursor, read_field
from agi_router.schemas.locks import LiftIn
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["complaints"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.COMPLAINTS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.COMPLAINTS_WRITE), scope="function")]


@router.get("/complaints", responses=answers(ComplaintsOut), response_model=None)
def list_complaints(
    request: Request,
    desk: _Reads,
    x: Annotated[str | None, Query(max_length=32, description="About this 700 number.")] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List complaints, newest first, a page at a time; to a tenant, those about its calls.
    """
    number = None if x is None else read_field("/x", lambda: XNumber.parse(x))
    found = _store(desk).all(x_number=number, after=read_cursor(cursor), limit=limit)
    return page_of(request, "complaints", found, describe_complaint, limit=limit)


@router.post(
    "/complaints",
    status_code=201,
    responses=answers(ComplaintOut, 404, 413, 415, ok=201, told="Written"),
    openapi_extra=KEYED,
    response_model=None,
)
def file_complaint(body: ComplaintIn, request: Request, desk: _Writes) -> Response:
    """
    Write a complaint down; with too many its tenant, or its number, is locked for misuse.

    One of the same source and reference is answered, and changes nothing.
    """
    number = read_field("/x", lambda: XNumber.parse(body.x))

    def make() -> tuple[int, Any, dict[str, str]]:
        made = _file(number, body, desk)
        desk.audit("POST /v1/complaints", f"complaint {made.id}")
        return 201, describe_complaint(made), {"Location": f"/v1/complaints/{made.id}"}

    return answer_once(request, desk, make)


@router.post(
    "/complaints/batch",
    responses=answers(ComplaintBatchOut, 413, 415, told="What became of each"),
    openapi_extra=KEYED,
    response_model=None,
)
def file_complaints(body: ComplaintBatchIn, request: Request, desk: _Writes) -> Response:
    """
    Write up to 200 complaints down, each by itself: one that cannot be keeps off no other.

    One of the same source and reference is answered, and changes nothing.
    """

    def make() -> tuple[int, Any, dict[str, str]]:
        results = [result_of(partial(_result, each, desk)) for each in body.complaints]
        return 200, {"results": results}, {}

    return answer_once(request, desk, make)


@router.get("/complaints/count", responses=answers(ComplaintCountOut, 404), response_model=None)
def count_complaints(
    desk: _Reads,
    x: Annotated[
        str | None, Query(max_length=32, description="Of this 700 number; else of a tenant.")
    ] = None,
    tenant: queries.Tenant = None,
) -> Response:
    """
    Say how a 700 number or a tenant stands: complaints, calls, and the part of the legal share.

    A tenant asks for its own numbers: those of its blocks, and those that its bindings are on.
    """
    if x is not None and tenant is not None:
        raise RequestInvalid("give x or tenant, not both", words=("x", "tenant"))
    thing = (
        LockedThing(subject=Subject.TENANT, tenant=tenant_of(tenant, desk))
        if x is None
        else LockedThing(subject=Subject.NUMBER, number=read_field("/x", lambda: XNumber.parse(x)))
    )
    return answer(describe_count(_store(desk).count(thing)))


@router.get(
    "/complaints/{complaint_id}", responses=answers(ComplaintOut, 404), response_model=None
)
def get_complaint(complaint_id: str, desk: _Reads) -> Response:
    """
    Get a complaint by its id.
    """
    return answer(describe_complaint(_store(desk).find(_id(complaint_id))))


@router.post(
    "/complaints/{complaint_id}/dismiss",
    responses=answers(ComplaintOut, 404, 413, 415, told="It counts no longer"),
    response_model=None,
)
def dismiss_complaint(complaint_id: str, body: LiftIn, desk: _Writes) -> Response:
    """
    Have a complaint count no longer; what it has stopped stays so until its lock is lifted.
    """
    with desk.queries.transaction():
        found = _store(desk).dismiss(
            _id(complaint_id), by=f"API key {desk.key.id}", note=body.note
        )
        desk.audit("POST /v1/complaints/{complaint_id}/dismiss", f"complaint {found.id}")
    return answer(describe_complaint(found))


def _result(body: ComplaintIn, desk: Desk) -> Result:
    """
    What became of one of a batch; raises why it was not written.
    """
    number = read_field("/x", lambda: XNumber.parse(body.x))
    known = _store(desk).knows(body.source, body.reference)
    with desk.queries.attempt():
        made = _file(number, body, desk)
        if not known:
            desk.audit("POST /v1/complaints/batch", f"complaint {made.id}")
    return {"status": 200 if known else 201, "complaint": describe_complaint(made)}


def _file(number: XNumber, body: ComplaintIn, desk: Desk) -> Complaint:
    return _store(desk).file(
        number,
        body.kind,
        at=body.at,
        source=body.source,
        reference=body.reference,
        by=f"API key {desk.key.id}",
        tenant=body.tenant,
        note=body.note,
    )


def _store(desk: Desk) -> ComplaintStore:
    store = desk.store
    return ComplaintStore(desk.queries, store.keys, desk.options.complaint_limits, store.scope)


def _id(text: str) -> int:
    try:
        return parse_lock_id(text)
    except ValueError:
        # What was asked for could be anything, a number too.
        raise ComplaintNotFound from None
