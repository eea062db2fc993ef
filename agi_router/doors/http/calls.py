"""
``/v1/calls`` and ``/v1/explanations``: what happened, and what would happen.
"""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from starlette.responses import Response

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.calls.arrival import Call
from agi_router.calls.explanation import explain_call
from agi_router.calls.lookup import CallLookup
from agi_router.calls.ports import Admission
from agi_router.calls.views import describe_call, describe_explanation
from agi_router.doors.http.answers import answer
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.bodies import ExplanationIn, read_field
from agi_router.doors.http.outs import CallsOut, ExplanationOut, answers
from agi_router.doors.http.problems import FieldFault, Problem
from agi_router.errors import BindingNotFound
from agi_router.numbers import XNumber
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["calls"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.CALLS_READ), scope="function")]

_DAY = timedelta(days=1)


@router.get("/calls", responses=answers(CallsOut, 404), response_model=None)
def list_calls(  # noqa: PLR0917 - filters
    desk: _Reads,
    since: Annotated[
        str | None,
        Query(max_length=40, description="A time, with its offset; else a day ago."),
    ] = None,
    binding: Annotated[str | None, Query(max_length=40, description="That used it.")] = None,
    x: Annotated[str | None, Query(max_length=32, description="To this 700 number.")] = None,
    reason: Annotated[Reason | None, Query(description="Refused for it.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 100,
) -> Response:
    """
    List calls, newest first: admitted and refused ones.

    A refused call used no binding: look for it by the number that was dialled.
    """
    x_number = None if x is None else read_field("/x", lambda: XNumber.parse(x))
    used = None
    if binding is not None:
        used = [_name(binding, desk)]
    rows = CallLookup(desk.store.connection, desk.store.scope).calls(
        since=desk.store.now() - _DAY if since is None else _time("/since", since),
        bindings=used,
        x_number=x_number,
        reason=reason,
        limit=limit,
    )
    return answer({"calls": list(map(describe_call, rows))})


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


def _time(pointer: str, text: str) -> datetime:
    try:
        # A plus in a query is a space.
        read = datetime.fromisoformat(text.replace(" ", "+"))
        if read.tzinfo is not None:
            return read
    except ValueError:
        pass
    fault = FieldFault(
        pointer, "time_invalid", "a time looks like 2026-01-31T15:04:05+08:00, with its offset"
    )
    raise Problem.of_fields([fault])
