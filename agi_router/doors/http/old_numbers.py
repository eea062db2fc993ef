"""
``/v1/old-numbers``: bindings move from middle numbers of before to 700 numbers.
"""

import io
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.views import describe_binding
from agi_router.bulk.columns import escape
from agi_router.bulk.csv_file import write_record
from agi_router.bulk.moving import MovedNumber, hold_orders, list_moved, move_once
from agi_router.doors.http.answers import link, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.batches import Result, refused, result_of
from agi_router.doors.http.bindings import read_asked
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import AgiRouterError
from agi_router.numbers import parse_old_number
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.bindings import BatchOut
from agi_router.schemas.fields import read_cursor, read_field
from agi_router.schemas.old_numbers import MoveBatchIn, MoveIn, OldNumberOut, OldNumbersOut
from agi_router.schemas.problems import Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["bindings"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_WRITE), scope="function")]
_MAP: dict[int | str, dict[str, Any]] = {
    **answers(OldNumbersOut),
    200: {
        "description": "CSV with a header: old, new, tenant, moved_at. `Link` names what follows",
        "content": {"text/csv": {"schema": {"type": "string"}}},
    },
}
_ROWS = 50_000
_Read = tuple[str, BindRequest, NumberPolicy]


@router.get("/old-numbers", responses=answers(OldNumbersOut), response_model=None)
def list_old_numbers(
    request: Request,
    desk: _Reads,
    tenant: queries.Tenant = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List middle numbers of before, and what has come in the place of each; newest first.
    """
    found = list_moved(desk.store, tenant=tenant, after=read_cursor(cursor), limit=limit)
    return page_of(request, "old_numbers", found, MovedNumber.describe, limit=limit)


@router.get("/old-numbers/map", responses=_MAP, response_model=None)
def download_map(
    request: Request,
    desk: _Reads,
    tenant: queries.Tenant = None,
    cursor: queries.Cursor = None,
) -> Response:
    """
    Download the map from old numbers to new ones as a file, for whoever prints them anew.

    A file has 50,000 rows at most. `Link` with `rel="next"` names the next one.
    """
    found = list_moved(desk.store, tenant=tenant, after=read_cursor(cursor), limit=_ROWS)
    out = io.StringIO(newline="")
    write_record(out, list(OldNumberOut.model_fields))
    for each in found:
        write_record(out, [escape(_cell(value)) for value in each.describe().values()])
    headers = {"Content-Disposition": 'attachment; filename="old-numbers.csv"'}
    if len(found) == _ROWS:
        headers["Link"] = link(request, found[-1].cursor)
    return Response(out.getvalue(), media_type="text/csv", headers=headers)


def _cell(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@router.post(
    "/old-numbers/batch",
    responses=answers(BatchOut, 413, 415, told="What became of each"),
    openapi_extra=KEYED,
    response_model=None,
)
def move_bindings(body: MoveBatchIn, request: Request, desk: _Writes) -> Response:
    """
    Move up to 200 bindings from middle numbers of before to 700 numbers, each by itself.

    All of one old number get the same 700 number. What was moved before is told as it stands, with
    the status 200. Who calls an old number hears that it has changed.
    """

    def make() -> tuple[int, Any, dict[str, str]]:
        desk.audit("POST /v1/old-numbers/batch", f"{len(body.bindings)} on old middle numbers")
        return 200, {"results": _results(body.bindings, desk)}, {}

    return answer_once(request, desk, make)


def _results(bodies: Sequence[MoveIn], desk: Desk) -> list[Result]:
    read: dict[int, _Read] = {}
    results: dict[int, Result] = {}
    for place, body in enumerate(bodies):
        try:
            old = read_field("/old", partial(parse_old_number, body.old))
            read[place] = (old, *read_asked(body, desk))
        except (Problem, AgiRouterError) as error:
            results[place] = refused(error)
    hold_orders(desk.store, [asked for _, asked, _ in read.values()])
    for place, each in read.items():
        results[place] = _result(each, desk)
    return [results[place] for place in range(len(bodies))]


def _result(read: _Read, desk: Desk) -> Result:
    old, asked, choice = read

    def make() -> Result:
        with desk.queries.attempt():
            binding, new = move_once(
                desk.store, asked, old, default_ttl=desk.options.ttl, choice=choice
            )
        return {"status": 201 if new else 200, "binding": describe_binding(binding)}

    return result_of(make)
