"""
``/v1/findings``: findings of misuse, for the carriers to freeze numbers.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.cursors import Cursor
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.feeds.findings import FindingStore
from agi_router.feeds.views import describe_finding, reveal_finding
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor
from agi_router.schemas.findings import (
    AcknowledgementIn,
    AcknowledgementOut,
    FindingsOut,
    TakeIn,
    TakenOut,
)
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["feeds"])


_Reads = Annotated[Desk, Depends(Needs(KeyScope.FEEDS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.FEEDS_WRITE), scope="function")]


@router.get("/findings", responses=answers(FindingsOut), response_model=None)
def list_findings(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    operator: Annotated[
        int | None, Query(ge=0, le=9, description="For the carrier of this operator digit.")
    ] = None,
    everything: Annotated[  # noqa: FBT002
        bool, Query(description="Those that were acknowledged, too.")
    ] = False,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List findings of misuse, oldest first, a page at a time; their numbers are masked.
    """
    last = read_cursor(cursor)
    after = 0 if last is None else last.number
    found = _findings(desk).all(operator, everything=everything, after=after, limit=limit)
    behind = Cursor(found[-1].found_at, str(found[-1].id)) if len(found) == limit else None
    return page(request, "findings", list(map(describe_finding, found)), behind)


@router.post("/findings/take", responses=answers(TakenOut, 413, 415), response_model=None)
def take_findings(body: TakeIn, desk: _Writes) -> Response:
    """
    Get what the carrier of an operator digit is to be told; the same until it is acknowledged.

    The numbers are real ones: the key needs the scope numbers:read too, and it is audited.
    """
    desk.require(KeyScope.NUMBERS_READ)
    with desk.queries.transaction():
        found = _findings(desk).take(body.operator, limit=body.limit)
        desk.audit("POST /v1/findings/take", f"findings of misuse for operator {body.operator}")
    return answer({"findings": list(map(reveal_finding, found))})


@router.post(
    "/findings/acknowledge",
    responses=answers(AcknowledgementOut, 413, 415),
    response_model=None,
)
def acknowledge_findings(body: AcknowledgementIn, desk: _Writes) -> Response:
    """
    Hand out no more what was handed out to the carrier of an operator digit, up to a finding.
    """
    with desk.queries.transaction():
        done = _findings(desk).acknowledge(body.operator, body.up_to)
        desk.audit(
            "POST /v1/findings/acknowledge", f"findings of misuse for operator {body.operator}"
        )
    return answer({"acknowledged": done})


def _findings(desk: Desk) -> FindingStore:
    """
    The findings: the operator's, whose keys alone may have their scopes.
    """
    return FindingStore(desk.queries, desk.store.keys, desk.options.complaint_limits)
