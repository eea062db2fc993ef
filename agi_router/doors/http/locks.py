"""
``/v1/locks``: who and what neither calls, nor is called, nor is bound.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import LockNotFound
from agi_router.numbers import Block, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing, parse_lock_id
from agi_router.persons.views import describe_lock
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor, read_field, read_number
from agi_router.schemas.locks import LiftIn, LockIn, LockOut, LockSearchIn, LocksOut
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["locks"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.LOCKS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.LOCKS_WRITE), scope="function")]


@router.get("/locks", responses=answers(LocksOut), response_model=None)
def list_locks(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    subject: Annotated[Subject | None, Query(description="On such things.")] = None,
    reason: Annotated[LockReason | None, Query(description="For this reason.")] = None,
    x: Annotated[str | None, Query(max_length=32, description="On this 700 number.")] = None,
    everything: Annotated[bool, Query(description="Those that are over, too.")] = False,  # noqa: FBT002
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List locks, newest first, a page at a time; to a tenant, those on it, for it and on its blocks.
    """
    found = desk.store.locks.all(
        subject=subject,
        reason=reason,
        things=None if x is None else [read_field("/x", lambda: XNumber.parse(x))],
        everything=everything,
        after=read_cursor(cursor),
        limit=limit,
    )
    behind = found[-1].cursor if len(found) == limit else None
    return page(request, "locks", list(map(describe_lock, found)), behind)


@router.post(
    "/locks",
    status_code=201,
    responses=answers(LockOut, 404, 409, 413, 415, ok=201, told="Locked"),
    openapi_extra=KEYED,
    response_model=None,
)
def set_lock(body: LockIn, request: Request, desk: _Writes) -> Response:
    """
    Lock a 700 number, a block, a tenant, or a person.

    A tenant's key locks numbers of the tenant's own blocks, and persons for the tenant alone.
    """
    thing = _read_thing(body, desk)

    def make() -> tuple[int, Any, dict[str, str]]:
        made = desk.store.locks.set(
            thing,
            body.reason,
            by=f"API key {desk.key.id}",
            rule=body.rule,
            note=body.note,
            starts_at=body.starts_at,
            ends_at=body.ends_at,
            cut=body.cut,
        )
        desk.audit("POST /v1/locks", f"lock {made.id}")
        return 201, describe_lock(made), {"Location": f"/v1/locks/{made.id}"}

    return answer_once(request, desk, make)


@router.post("/locks/search", responses=answers(LocksOut, 413, 415), response_model=None)
def search_locks(body: LockSearchIn, desk: _Reads) -> Response:
    """
    Find the locks on a person, who may be told reason, end and note.

    A tenant's key finds those that are for the tenant, and those that hold everywhere of persons
    who are or were parties of its bindings.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    desk.audit("POST /v1/locks/search", "the locks on a person")
    found = desk.store.locks.of_person(person, everything=body.everything)
    return answer({"locks": list(map(describe_lock, found)), "next_cursor": None})


@router.get("/locks/{lock_id}", responses=answers(LockOut, 404), response_model=None)
def get_lock(lock_id: str, desk: _Reads) -> Response:
    """
    Get a lock by its id.
    """
    return answer(describe_lock(desk.store.locks.find(_lock_id(lock_id))))


@router.post(
    "/locks/{lock_id}/lift",
    responses=answers(LockOut, 404, 409, 413, 415, told="Lifted"),
    response_model=None,
)
def lift_lock(lock_id: str, body: LiftIn, desk: _Writes) -> Response:
    """
    Lift a lock now.
    """
    with desk.queries.transaction():
        lifted = desk.store.locks.lift(
            _lock_id(lock_id), by=f"API key {desk.key.id}", note=body.note
        )
        desk.audit("POST /v1/locks/{lock_id}/lift", f"lock {lifted.id}")
    return answer(describe_lock(lifted))


def _lock_id(text: str) -> int:
    try:
        return parse_lock_id(text)
    except ValueError:
        # What was asked for could be anything, a number too.
        raise LockNotFound from None


def _read_thing(body: LockIn, desk: Desk) -> LockedThing:
    """
    What is to be locked.

    Raises:
        Problem: A field is not acceptable, or the fields do not say one thing.
    """
    said = [name for name in ("x", "block", "person") if getattr(body, name) is not None]
    if (
        len(said) > 1
        or not (said or body.tenant)
        or (said not in ([], ["person"]) and body.tenant)
    ):
        fault = FieldFault(
            "", "alone", "say one thing: x, block, person, tenant, or a person and a tenant"
        )
        raise Problem.of_fields([fault])
    if body.x is not None:
        number = read_field("/x", lambda: XNumber.parse(body.x or ""))
        return LockedThing(subject=Subject.NUMBER, number=number)
    if body.block is not None:
        block = read_field("/block", lambda: Block.parse(body.block or ""))
        return LockedThing(subject=Subject.BLOCK, block=block)
    if body.person is None:
        return LockedThing(subject=Subject.TENANT, tenant=body.tenant)
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    tenant = body.tenant or desk.tenant
    return LockedThing(subject=Subject.PERSON, person=person, tenant=tenant)
