"""
``/v1/appeals``: objections to locks, from their filing to their end.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator
from starlette.responses import Response

from agi_router.bindings.model import BindingId
from agi_router.bindings.views import describe_binding
from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import AppealNotFound
from agi_router.persons.appeal_states import AppealState
from agi_router.persons.appeal_store import AppealStore
from agi_router.persons.appeal_views import describe_appeal
from agi_router.persons.appeals import AppealStep, Evidence
from agi_router.persons.locks import parse_lock_id
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.appeals import (
    AppealIn,
    AppealOut,
    AppealsOut,
    DecideIn,
    EvidenceIn,
    RebindIn,
)
from agi_router.schemas.bindings import BindingOut
from agi_router.schemas.fields import read_cursor, read_number
from agi_router.schemas.locks import LiftIn, check_lock_id
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["appeals"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.APPEALS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.APPEALS_WRITE), scope="function")]
_DONE = answers(AppealOut, 404, 409, 413, 415)


@router.get("/appeals", responses=answers(AppealsOut), response_model=None)
def list_appeals(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    state: Annotated[AppealState | None, Query(description="In this state.")] = None,
    lock_id: Annotated[
        Annotated[str, AfterValidator(check_lock_id)] | None,
        Query(max_length=32, description="Against this lock."),
    ] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List appeals, newest first, a page at a time; to a tenant, its own and those against its locks.
    """
    found = _appeals(desk).all(
        state=state,
        lock_id=None if lock_id is None else int(lock_id),
        after=read_cursor(cursor),
        limit=limit,
    )
    return page_of(request, "appeals", found, describe_appeal, limit=limit)


@router.post(
    "/appeals",
    status_code=201,
    responses=answers(AppealOut, 404, 409, 413, 415, ok=201, told="Filed"),
    openapi_extra=KEYED,
    response_model=None,
)
def file_appeal(body: AppealIn, request: Request, desk: _Writes) -> Response:
    """
    File an appeal against a lock.

    A tenant's key files it for persons who are or were parties of the tenant's bindings.
    """

    def make() -> tuple[int, Any, dict[str, str]]:
        made = _appeals(desk).file(int(body.lock_id), by=_actor(desk), note=body.note)
        desk.audit("POST /v1/appeals", f"appeal {made.id}")
        return 201, describe_appeal(made), {"Location": f"/v1/appeals/{made.id}"}

    return answer_once(request, desk, make)


@router.get("/appeals/{appeal_id}", responses=answers(AppealOut, 404), response_model=None)
def get_appeal(appeal_id: str, desk: _Reads) -> Response:
    """
    Get an appeal by its id.
    """
    return answer(describe_appeal(_appeals(desk).find(_appeal_id(appeal_id))))


@router.post("/appeals/{appeal_id}/evidence", responses=_DONE, response_model=None)
def add_evidence(appeal_id: str, body: EvidenceIn, desk: _Writes) -> Response:
    """
    Back an appeal with one more piece of evidence; with the last one it is complete.

    The same piece again changes nothing.
    """
    piece = Evidence(kind=body.kind, reference=body.reference, digest=body.digest)
    with desk.queries.transaction():
        found = _appeals(desk).add_evidence(_appeal_id(appeal_id), piece, by=_actor(desk))
        desk.audit("POST /v1/appeals/{appeal_id}/evidence", f"appeal {found.id}")
    return answer(describe_appeal(found))


@router.post("/appeals/{appeal_id}/review", responses=_DONE, response_model=None)
def review_appeal(appeal_id: str, desk: _Writes) -> Response:
    """
    Begin to review an appeal; not for whoever has set the lock.
    """
    return _take(appeal_id, AppealStep.REVIEW, None, desk)


@router.post("/appeals/{appeal_id}/decide", responses=_DONE, response_model=None)
def decide_appeal(appeal_id: str, body: DecideIn, desk: _Writes) -> Response:
    """
    Lift the lock of an appeal that is in review, or uphold it; not for whoever has set the lock.
    """
    step = AppealStep.LIFT if body.decision == "lift" else AppealStep.UPHOLD
    return _take(appeal_id, step, body.note, desk)


@router.post("/appeals/{appeal_id}/withdraw", responses=_DONE, response_model=None)
def withdraw_appeal(appeal_id: str, body: LiftIn, desk: _Writes) -> Response:
    """
    Withdraw an appeal.
    """
    return _take(appeal_id, AppealStep.WITHDRAW, body.note, desk)


@router.post(
    "/appeals/{appeal_id}/rebind",
    status_code=201,
    responses=answers(BindingOut, 404, 409, 413, 415, ok=201, told="The new binding"),
    openapi_extra=KEYED,
    response_model=None,
)
def rebind(appeal_id: str, body: RebindIn, request: Request, desk: _Writes) -> Response:
    """
    Carry a binding over to another 700 number, once an appeal was upheld.

    The new binding has the order, the terms and the end of the old one, which ends. Needs the
    scope bindings:write as well.
    """
    desk.require(KeyScope.BINDINGS_WRITE)
    instead = body.instead
    come = (
        None
        if instead is None
        else read_number("/instead", instead, fixed_lines=desk.options.fixed_lines)
    )

    def make() -> tuple[int, Any, dict[str, str]]:
        appeal = _appeals(desk).find(_appeal_id(appeal_id))
        # By its id alone: a number would be looked for.
        found = BindingId.parse(body.binding_id)
        made = desk.store.rebind(appeal, found, instead=come, by=_actor(desk))
        subject = f"appeal {appeal.id}: binding {found} by {made.id}"
        desk.audit("POST /v1/appeals/{appeal_id}/rebind", subject)
        return 201, describe_binding(made), {"Location": f"/v1/bindings/{made.id}"}

    return answer_once(request, desk, make)


def _take(appeal_id: str, step: AppealStep, note: str | None, desk: Desk) -> Response:
    with desk.queries.transaction():
        found = _appeals(desk).take(_appeal_id(appeal_id), step, by=_actor(desk), note=note)
        desk.audit(f"appeal {step.value}", f"appeal {found.id}")
    return answer(describe_appeal(found))


def _appeals(desk: Desk) -> AppealStore:
    store = desk.store
    return AppealStore(desk.queries, store.keys, desk.options.appeal_spans, store.scope)


def _actor(desk: Desk) -> str:
    return f"API key {desk.key.id}"


def _appeal_id(text: str) -> int:
    try:
        return parse_lock_id(text)
    except ValueError:
        # What was asked for could be anything, a number too.
        raise AppealNotFound from None
