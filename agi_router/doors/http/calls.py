"""
``/v1/calls`` and ``/v1/explanations``: what happened, and what would happen.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.calls.arrival import Call
from agi_router.calls.end import Outcome
from agi_router.calls.explanation import explain_call
from agi_router.calls.lookup import CallLookup, cursor_of
from agi_router.calls.ports import Admission
from agi_router.calls.views import describe_call, describe_explanation
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.errors import BindingNotFound
from agi_router.numbers import XNumber
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.calls import CallsOut
from agi_router.schemas.explanations import ExplanationIn, ExplanationOut
from agi_router.schemas.fields import read_cursor, read_field, read_time
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["calls"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.CALLS_READ), scope="function")]

_DAY = timedelta(days=1)


@router.get("/calls", responses=answers(CallsOut, 404), response_model=None)
def list_calls(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    since: queries.Since = None,
    until: queries.Until = None,
    binding: queries.Binding = None,
    x: queries.Number = None,
    reason: Annotated[Reason | None, Query(description="Refused for it.")] = None,
    outcome: Annotated[Outcome | None, Query(description="Of the dialled leg.")] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List calls, newest first, a page at a time: admitted and refused ones.

    A refused call used no binding: look for it by the number that was dialled.
    """
    x_number = None if x is None else read_field("/x", lambda: XNumber.parse(x))
    rows = CallLookup(desk.store.connection, desk.store.scope).calls(
        since=desk.store.now() - _DAY if since is None else read_time("/since", since),
        until=None if until is None else read_time("/until", until),
        bindings=None if binding is None else [_name(binding, desk)],
        x_number=x_number,
        reason=reason,
        outcome=outcome,
        after=read_cursor(cursor),
        limit=limit,
    )
    behind = cursor_of(rows[-1]) if len(rows) == limit else None
    return page(request, "calls", list(map(describe_call, rows)), behind)


@router.post("/explanations", responses=answers(ExplanationOut, 413, 415), response_model=None)
def explain(body: ExplanationIn, desk: _Reads) -> Response:
    """
    Say what would become of a call, rule by rule; nothing is dialled, and nothing is counted.

    To a tenant, as if there were no bindings but its own.
    """
    options = desk.options
    lookup = CallLookup(desk.store.connection, desk.store.scope)

    def look(call: Call) -> Admission:
        return lookup.facts(call, desk.store.keys, at=body.at, open_modes=options.open_modes)

    explanation = explain_call(
        look,
        caller=body.caller,
        dialled=body.x,
        extension=body.extension,
        at=body.at,
        fixed_lines=options.fixed_lines,
        open_modes=options.open_modes,
    )
    return answer(describe_explanation(explanation, strict=options.strict))


def _name(text: str, desk: Desk) -> BindingId:
    """
    The name of a binding that this key reaches.

    Raises:
        BindingNotFound: There is none.
    """
    try:
        return desk.store.find(BindingId.parse(text)).id
    except BindingNotFound:
        raise BindingNotFound from None
