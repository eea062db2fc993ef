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
from agi_router.schemas.calls import CallOut, CallsOut
from agi_router.schemas.explanations import ExplanationIn, ExplanationOut
from agi_router.schemas.fields import read_cursor, read_field, read_order, read_time
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["calls"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.CALLS_READ), scope="function")]

_DAY = timedelta(days=1)
_NOT_BOTH = "give the binding or the order, not both"


@router.get("/calls", responses=answers(CallsOut, 404), response_model=None)
def list_calls(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    since: queries.Since = None,
    until: queries.Until = None,
    binding: queries.Binding = None,
    order: Annotated[
        str | None, Query(max_length=512, description="That used a binding of this order.")
    ] = None,
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
    if binding is not None and order is not None:
        raise Problem.of_fields(
            [FieldFault(f"/{name}", "not_both", _NOT_BOTH) for name in ("binding", "order")]
        )
    x_number = None if x is None else read_field("/x", lambda: XNumber.parse(x))
    used = None if binding is None else [desk.binding(binding).id]
    if order is not None and not (used := _names_of(order, desk)):
        return page(request, "calls", [], None)
    rows = CallLookup(desk.store.connection, desk.store.scope).calls(
        since=desk.store.now() - _DAY if since is None else read_time("/since", since),
        until=None if until is None else read_time("/until", until),
        bindings=used,
        x_number=x_number,
        reason=reason,
        outcome=outcome,
        after=read_cursor(cursor),
        limit=limit,
    )
    behind = cursor_of(rows[-1]) if len(rows) == limit else None
    return page(request, "calls", list(map(describe_call, rows)), behind)


@router.get("/calls/{call}", responses=answers(CallOut, 404), response_model=None)
def get_call(call: str, desk: _Reads) -> Response:
    """
    Get the record of a call.
    """
    lookup = CallLookup(desk.store.connection, desk.store.scope)
    return answer(describe_call(lookup.find(call)))


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
        caller=body.from_,
        dialled=body.to,
        extension=body.extension,
        at=body.at,
        fixed_lines=options.fixed_lines,
        open_modes=options.open_modes,
    )
    return answer(describe_explanation(explanation, strict=options.strict))


def _names_of(order: str, desk: Desk) -> list[BindingId]:
    """
    The names of an order's bindings, those that are over too; none where it has none.
    """
    try:
        return desk.store.names.of(read_order(order))
    except BindingNotFound:
        return []
