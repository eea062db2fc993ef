"""
``/v1/old-numbers``: bindings move from middle numbers of before to 700 numbers.
"""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.views import describe_binding
from agi_router.bulk.moving import hold_orders, move_once
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.batches import Result, refused, result_of
from agi_router.doors.http.bindings import read_asked
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import AgiRouterError
from agi_router.numbers import parse_old_number
from agi_router.schemas.answers import answers
from agi_router.schemas.bindings import BatchOut
from agi_router.schemas.fields import read_field
from agi_router.schemas.old_numbers import MoveBatchIn, MoveIn
from agi_router.schemas.problems import Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["bindings"])

_Writes = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_WRITE), scope="function")]
_Read = tuple[str, BindRequest, NumberPolicy]


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
