"""
``/v1/audit``: who had real numbers shown, and who changed what.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from agi_router.doors.http.answers import page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.records.audit import Audit, cursor_of
from agi_router.records.views import describe_act
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.audit import AuditOut
from agi_router.schemas.fields import read_cursor, read_time
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["audit"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.AUDIT_READ), scope="function")]
_DAY = timedelta(days=1)


@router.get("/audit", responses=answers(AuditOut), response_model=None)
def list_audit(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    since: queries.Since = None,
    until: queries.Until = None,
    act: Annotated[
        str | None,
        Query(max_length=100, description="Whose act begins so: `lock`, or `POST /v1/locks`."),
    ] = None,
    user: Annotated[
        str | None, Query(max_length=64, description="By this user of a host.")
    ] = None,
    api_key: Annotated[str | None, Query(max_length=64, description="With this API key.")] = None,
    case: Annotated[str | None, Query(max_length=64, description="For this case.")] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List who had real numbers shown, and who changed what, newest first, a page at a time.

    Whether that record is whole, `agi-router audit verify` tells, by signatures kept elsewhere.
    """
    rows = Audit(desk.queries).rows(
        since=desk.store.now() - _DAY if since is None else read_time("/since", since),
        until=None if until is None else read_time("/until", until),
        act=act,
        user=user,
        api_key=api_key,
        case_id=case,
        after=read_cursor(cursor),
        limit=limit,
    )
    behind = cursor_of(rows[-1]) if len(rows) == limit else None
    return page(request, "audit", list(map(describe_act, rows)), behind)
