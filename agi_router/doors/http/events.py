"""
``/v1/events``: what tenants are told, to be pulled.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.webhooks import events_of, tenant_of
from agi_router.errors import CursorInvalid, EventNotFound
from agi_router.events.model import Cursor, Event, EventType, event_name, parse_event_name
from agi_router.events.shapes import Parties, cloud_event
from agi_router.logs import redact
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.events import EventOut, EventsOut
from agi_router.schemas.fields import read_time
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.schemas.webhooks import (
    EventTypesIn,
    EventTypesOut,
    OwedOut,
    ResendToAllIn,
    read_resend,
)
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["events"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.EVENTS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.WEBHOOKS_WRITE), scope="function")]


@router.get("/events", responses=answers(EventsOut, 404), response_model=None)
def list_events(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    type_: Annotated[
        list[EventType] | None, Query(alias="type", description="Of this type, or one of these.")
    ] = None,
    since: Annotated[
        str | None, Query(max_length=40, description="Written since, with an offset.")
    ] = None,
    until: Annotated[
        str | None, Query(max_length=40, description="Written before, with an offset.")
    ] = None,
    tenant: queries.Tenant = None,
    cursor: Annotated[
        str | None,
        Query(max_length=64, description="next_cursor of the page before, however old."),
    ] = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    Pull events, oldest first. Whoever goes on from next_cursor misses none and sees none twice.

    There is always a next_cursor: where there are no more events, new ones come behind it.
    """
    found = events_of(desk).events(
        tenant_of(tenant, desk),
        after=None if cursor is None else _cursor(cursor),
        since=None if since is None else read_time("/since", since),
        until=None if until is None else read_time("/until", until),
        types=type_,
        limit=limit,
    )
    damaged = list(map(event_name, found.damaged))
    return page(
        request, "events", [_told(each) for each in found.events], found.next, damaged=damaged
    )


@router.get("/events/types", responses=answers(EventTypesOut, 404), response_model=None)
def get_event_types(desk: _Reads, tenant: queries.Tenant = None) -> Response:
    """
    Get the types of events that are written.
    """
    name = tenant_of(tenant, desk)
    return answer({"tenant": name, "types": list(events_of(desk).types(name))})


@router.patch(
    "/events/types",
    responses=answers(EventTypesOut, 404, 413, 415, told="Written from now on"),
    response_model=None,
)
def set_event_types(body: EventTypesIn, desk: _Writes) -> Response:
    """
    Say which types of events are written, for a tenant that pulls and has no webhook.

    A webhook has its types written by itself; of those that are not written any more it gets none.
    """
    name = tenant_of(body.tenant, desk)
    events = events_of(desk)
    with desk.queries.transaction():
        events.set_types(name, body.types)
        desk.audit("PATCH /v1/events/types", redact(f"events of tenant {name}"))
    return answer({"tenant": name, "types": list(events.types(name))})


@router.post(
    "/events/resend",
    responses=answers(OwedOut, 404, 413, 415, told="They are owed"),
    response_model=None,
)
def resend_events(body: ResendToAllIn, desk: _Writes) -> Response:
    """
    Send events again to all webhooks that get their types, under the ids they had.
    """
    asked, name = read_resend(body), tenant_of(body.tenant, desk)
    with desk.queries.transaction():
        owed = events_of(desk).resend_to_all(name, **asked)
        desk.audit("POST /v1/events/resend", redact(f"events of tenant {name}"))
    return answer({"owed": owed})


@router.get("/events/{event_id}", responses=answers(EventOut, 404), response_model=None)
def get_event(event_id: str, desk: _Reads) -> Response:
    """
    Get an event, as a webhook got it; numbers of parties are masked.
    """
    try:
        return answer(_told(events_of(desk).event(parse_event_name(event_id))))
    except (ValueError, EventNotFound):
        # What was asked for could be anything, a number too.
        raise EventNotFound from None


def _told(found: tuple[Event, Parties]) -> dict[str, Any]:
    return cloud_event(*found)


def _cursor(text: str) -> Cursor:
    try:
        return Cursor.parse(text)
    except ValueError:
        fault = FieldFault("/cursor", CursorInvalid.code, str(CursorInvalid()))
        raise Problem.of_fields([fault]) from None
