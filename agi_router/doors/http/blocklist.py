"""
``/v1/blocklist``: who is kept from whom.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import BlocklistEntryNotFound
from agi_router.persons.blocklist import Pairing, parse_entry_id
from agi_router.persons.views import describe_entry
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.blocklist import (
    BlocklistEntryOut,
    BlocklistIn,
    BlocklistOut,
    BlocklistSearchIn,
)
from agi_router.schemas.fields import read_cursor, read_number
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["block lists"])

_MOST = 1000
_Reads = Annotated[Desk, Depends(Needs(KeyScope.BLOCKLIST_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.BLOCKLIST_WRITE), scope="function")]


@router.get("/blocklist", responses=answers(BlocklistOut), response_model=None)
def list_blocklist(
    request: Request,
    desk: _Reads,
    everything: Annotated[bool, Query(description="Those that are over, too.")] = False,  # noqa: FBT002
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List entries, newest first, a page at a time; to a tenant, those that hold for it alone.
    """
    found = desk.store.blocklist.all(everything=everything, after=read_cursor(cursor), limit=limit)
    return page_of(request, "entries", found, describe_entry, limit=limit)


@router.post(
    "/blocklist",
    status_code=201,
    responses=answers(BlocklistEntryOut, 404, 409, 413, 415, ok=201, told="Added"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_to_blocklist(body: BlocklistIn, request: Request, desk: _Writes) -> Response:
    """
    Keep a person from another one, or from anybody.

    A tenant's key does so in the tenant's own bindings.
    """
    fixed_lines = desk.options.fixed_lines
    pairing = Pairing(
        person=read_number("/person", body.person, fixed_lines=fixed_lines),
        other=None
        if body.other is None
        else read_number("/other", body.other, fixed_lines=fixed_lines),
        tenant=body.tenant or desk.tenant,
    )

    def make() -> tuple[int, Any, dict[str, str]]:
        made = desk.store.blocklist.add(
            pairing,
            by=f"API key {desk.key.id}",
            direction=body.direction,
            note=body.note,
            ends_at=body.ends_at,
        )
        desk.audit("POST /v1/blocklist", f"blocklist entry {made.id}", person=pairing.person)
        return 201, describe_entry(made), {"Location": f"/v1/blocklist/{made.id}"}

    return answer_once(request, desk, make)


@router.post("/blocklist/search", responses=answers(BlocklistOut, 413, 415), response_model=None)
def search_blocklist(body: BlocklistSearchIn, desk: _Reads) -> Response:
    """
    Find the entries that a person is on either side of: the newest thousand.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    subject = "the block list entries of a person"
    desk.audit("POST /v1/blocklist/search", subject, person=person)
    found = desk.store.blocklist.of_person(person, everything=body.everything, limit=_MOST)
    return answer({"entries": list(map(describe_entry, found)), "next_cursor": None})


@router.get(
    "/blocklist/{entry_id}", responses=answers(BlocklistEntryOut, 404), response_model=None
)
def get_blocklist_entry(entry_id: str, desk: _Reads) -> Response:
    """
    Get an entry by its id.
    """
    return answer(describe_entry(desk.store.blocklist.find(_entry_id(entry_id))))


@router.post(
    "/blocklist/{entry_id}/remove",
    responses=answers(BlocklistEntryOut, 404, 409, told="Removed"),
    response_model=None,
)
def remove_from_blocklist(entry_id: str, desk: _Writes) -> Response:
    """
    Remove an entry now.
    """
    with desk.queries.transaction():
        removed = desk.store.blocklist.remove(_entry_id(entry_id), by=f"API key {desk.key.id}")
        desk.audit("POST /v1/blocklist/{entry_id}/remove", f"blocklist entry {removed.id}")
    return answer(describe_entry(removed))


def _entry_id(text: str) -> int:
    try:
        return parse_entry_id(text)
    except ValueError:
        # What was asked for could be anything, a number too.
        raise BlocklistEntryNotFound from None
