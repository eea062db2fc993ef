"""
``/v1/traces``: who was behind a 700 number at some time, and where a person was bound.
"""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from agi_router.doors.http.answers import answer
from agi_router.doors.http.auth import Desk, Needs
from agi_router.logs import redact
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_field, read_number
from agi_router.schemas.traces import PersonTraceIn, TraceIn, TraceOut
from agi_router.tenants.api_keys import KeyScope
from agi_router.traces.model import Trace, around
from agi_router.traces.store import Tracer
from agi_router.traces.views import describe_trace, reveal_trace

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["traces"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.AUDIT_READ), scope="function")]
_NUMBER = "POST /v1/traces"
_PERSON = "POST /v1/traces/persons"
_FULL = "?numbers=full"


@router.post("/traces", responses=answers(TraceOut, 413, 415, 429), response_model=None)
def trace_number(body: TraceIn, desk: _Reads) -> Response:
    """
    Say who was behind a 700 number at a time, and which calls and texts had it on one side.

    Real numbers are shown where a case is named; that needs the scope numbers:read as well, and is
    audited and limited.
    """
    x_number = read_field("/x", lambda: XNumber.parse(body.x))
    _record(body, desk, _NUMBER, f"number {x_number}")
    since, until = around(body.at, timedelta(seconds=body.window))
    found = Tracer(desk.store.connection, desk.store.keys).number(
        x_number, since=since, until=until, limit=body.limit
    )
    return answer(_told(body, found))


@router.post("/traces/persons", responses=answers(TraceOut, 413, 415, 429), response_model=None)
def trace_person(body: PersonTraceIn, desk: _Reads) -> Response:
    """
    Say where a person was bound in a time, and which calls and texts came of it.

    Needs the scope numbers:read as well, and is audited.
    """
    desk.require(KeyScope.NUMBERS_READ)
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    if body.case is None:
        desk.audit(_PERSON, "a person", person=person)
    _record(body, desk, _PERSON, "a person", person)
    found = Tracer(desk.store.connection, desk.store.keys).person(
        person, since=body.since, until=body.until or desk.store.now(), limit=body.limit
    )
    return answer(_told(body, found))


def _record(
    body: TraceIn | PersonTraceIn,
    desk: Desk,
    act: str,
    subject: str,
    person: PhoneNumber | None = None,
) -> None:
    if body.case is None:
        return
    desk.require(KeyScope.NUMBERS_READ)
    desk.audit_reveal(
        f"{act}{_FULL}",
        subject,
        case=body.case.id,
        reason=redact(body.case.reason),
        acts=[f"{each}{_FULL}" for each in (_NUMBER, _PERSON)],
        person=person,
    )


def _told(body: TraceIn | PersonTraceIn, found: Trace) -> dict[str, Any]:
    return describe_trace(found) if body.case is None else reveal_trace(found)
