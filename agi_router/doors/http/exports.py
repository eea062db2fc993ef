"""
``/v1/exports``: what was packed of each day for whoever is handed it.

Nothing is packed in this process: it may read no package, and the exporter's timer makes them.
"""

from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agi_router.cursors import Cursor
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.errors import ExportNotFound
from agi_router.exports.days import ExportDays, describe_export_day
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.exports import ExportOut, ExportsOut, ManifestOut
from agi_router.schemas.fields import read_cursor
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1/exports", tags=["exports"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.EXPORTS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.EXPORTS_WRITE), scope="function")]
_DIGEST = 32


@router.get("", responses=answers(ExportsOut), response_model=None)
def list_exports(
    request: Request,
    desk: _Reads,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List days, the latest first, with what was packed of each; those that are missing, too.
    """
    after = read_cursor(cursor)
    before = None if after is None else after.at.date()
    days = ExportDays(desk.queries).all(now=desk.now, before=before, limit=limit)
    behind = None
    if len(days) == limit:
        last = days[-1].day
        behind = Cursor(datetime.combine(last, time.min, UTC), last.isoformat())
    return page(request, "exports", list(map(describe_export_day, days)), behind)


@router.get("/{day}", responses=answers(ExportOut, 404), response_model=None)
def get_export(day: str, desk: _Reads) -> Response:
    """
    Get a day, with what was packed of it.
    """
    return answer(describe_export_day(ExportDays(desk.queries).find(_day(day), now=desk.now)))


@router.post(
    "/{day}/pack",
    status_code=202,
    responses=answers(ExportOut, 404, ok=202, told="It is packed soon"),
    response_model=None,
)
def pack_export(day: str, desk: _Writes) -> Response:
    """
    Have a day packed, or what came late of it, by the timer that does so.

    `state` is no longer `asked` once it is done; `failure` says why nothing was packed.
    """
    asked = _day(day)
    with desk.queries.transaction():
        told = ExportDays(desk.queries).ask(
            asked, by=f"API key {desk.key.id}", now=desk.now, kept=desk.options.kept
        )
        desk.audit("POST /v1/exports/{day}/pack", f"day {asked.isoformat()}")
    return answer(describe_export_day(told), status=202)


@router.get("/{day}/{manifest}", responses=answers(ManifestOut, 404), response_model=None)
def get_manifest(day: str, manifest: str, desk: _Reads) -> Response:
    """
    Get the manifest of a package by its SHA-256, octet by octet as it lies there.
    """
    try:
        digest = bytes.fromhex(manifest)
    except ValueError:
        digest = b""
    if len(digest) != _DIGEST:
        # What was asked for could be anything, a number too.
        raise ExportNotFound
    signed = ExportDays(desk.queries).manifest(_day(day), digest)
    return Response(signed, media_type="application/json")


def _day(text: str) -> date:
    """
    A day as it is written in a path.

    Raises:
        ExportNotFound: It is none.
    """
    try:
        return date.fromisoformat(text)
    except ValueError:
        # As above.
        raise ExportNotFound from None
