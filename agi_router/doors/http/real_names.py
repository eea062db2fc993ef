"""
``/v1/real-names``: who is known by its real name.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_name_views import describe_real_name, describe_status
from agi_router.persons.real_names import RealName
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor, read_number
from agi_router.schemas.real_names import (
    RealNameIn,
    RealNameOut,
    RealNameSearchIn,
    RealNamesOut,
    RealNameStatusOut,
)
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["real names"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.REAL_NAMES_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.REAL_NAMES_WRITE), scope="function")]

_MOST = 200


@router.get("/real-names", responses=answers(RealNamesOut), response_model=None)
def list_real_names(
    request: Request,
    desk: _Reads,
    status: Annotated[RealName | None, Query(description="That say so.")] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List what was found, newest first, a page at a time; to a tenant, what it has said itself.
    """
    found = _store(desk).all(status=status, after=read_cursor(cursor), limit=limit)
    return page_of(request, "real_names", found, describe_real_name, limit=limit)


@router.post(
    "/real-names",
    status_code=201,
    responses=answers(RealNameOut, 404, 413, 415, ok=201, told="Written"),
    openapi_extra=KEYED,
    response_model=None,
)
def set_real_name(body: RealNameIn, request: Request, desk: _Writes) -> Response:
    """
    Write down whether a person is known by its real name: the result alone, never a paper.

    What a tenant's key says counts for that tenant, where the operator knows nothing.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)

    def make() -> tuple[int, Any, dict[str, str]]:
        line = _store(desk).write(
            person,
            body.status,
            source=body.source,
            by=f"API key {desk.key.id}",
            tenant=body.tenant or desk.tenant,
            checked_at=body.checked_at,
        )
        subject = f"the real name of a person: line {line.id}"
        desk.audit("POST /v1/real-names", subject, person=person)
        return 201, describe_real_name(line), {}

    return answer_once(request, desk, make)


@router.post(
    "/real-names/search", responses=answers(RealNameStatusOut, 413, 415), response_model=None
)
def search_real_names(body: RealNameSearchIn, desk: _Reads) -> Response:
    """
    Tell whether a person is known by its real name, and who has said so.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    desk.audit("POST /v1/real-names/search", "the real name of a person", person=person)
    store = _store(desk)
    lines = store.all(person=person, limit=_MOST)
    told = describe_status(store.status(person))
    return answer({**told, "real_names": list(map(describe_real_name, lines))})


def _store(desk: Desk) -> RealNameStore:
    return RealNameStore(desk.queries, desk.store.keys, desk.store.scope)
