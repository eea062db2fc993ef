"""
``/v1/locks``: who and what neither calls, nor is called, nor is bound.
"""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.batches import Result, result_of
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import LockNotFound
from agi_router.numbers import Block, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import Lock, LockedThing, parse_lock_id
from agi_router.persons.views import describe_lock
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.fields import read_cursor, read_field, read_number
from agi_router.schemas.locks import (
    LiftedOut,
    LiftIn,
    LiftOnIn,
    LockBatchIn,
    LockBatchOut,
    LockIn,
    LockOut,
    LockSearchIn,
    LocksOut,
)
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["locks"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.LOCKS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.LOCKS_WRITE), scope="function")]
# By which a lock is told from another one on the same thing.
_SAME = ("rule", "note", "ends_at", "cut")
_MANY = FieldFault(
    "", "alone", "say x, blocks and operator; or, to lift, a person, a tenant, or both"
)


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
    return page_of(request, "locks", found, describe_lock, limit=limit)


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
        made = _set(thing, body, desk, act="POST /v1/locks")
        return 201, describe_lock(made), {"Location": f"/v1/locks/{made.id}"}

    return answer_once(request, desk, make)


@router.post(
    "/locks/batch",
    responses=answers(LockBatchOut, 413, 415, told="What became of each"),
    response_model=None,
)
def set_locks(body: LockBatchIn, desk: _Writes) -> Response:
    """
    Lock many 700 numbers and blocks, or all blocks of an operator digit, alike.

    Each is locked by itself: one that cannot be keeps off no other. Where whoever asks has set
    such a lock it is answered, and not set again; so a request without an answer is sent again.
    """
    if not _said_several(body):
        raise Problem.of_fields([_MANY])
    things, locks = _read_several(body, desk), desk.store.locks

    def made(thing: LockedThing) -> Result:
        # A transaction each: locks wait for binds, and several would in a circle.
        with desk.queries.transaction():
            locks.await_others(thing)
            for standing in locks.on_things([thing], body.reason):
                if _is_such(standing, body):
                    return {"status": 200, "lock": describe_lock(standing)}
            lock = _set(thing, body, desk, act="POST /v1/locks/batch")
        return {"status": 201, "lock": describe_lock(lock)}

    return answer(
        {"results": [{**_named(each), **result_of(partial(made, each))} for each in things]}
    )


@router.post(
    "/locks/lift",
    responses=answers(LiftedOut, 404, 413, 415, told="Lifted"),
    response_model=None,
)
def lift_locks(body: LiftOnIn, desk: _Writes) -> Response:
    """
    Lift all locks on many 700 numbers and blocks, or on a person, or on a tenant.

    A tenant's key lifts those that the tenant has set. Sent again it lifts nothing more.
    """
    several = _said_several(body)
    if several is bool(body.person or body.tenant):
        raise Problem.of_fields([_MANY])
    things = _read_several(body, desk) if several else [_read_one(body.person, body.tenant, desk)]
    with desk.queries.transaction():
        found = desk.store.locks.on_things(things, body.reason)
        sure = [each for each in found if each.liftable and each.thing.damage is None]
        lifted = desk.store.locks.lift_all(sure, by=f"API key {desk.key.id}", note=body.note)
        for each in lifted:
            desk.audit("POST /v1/locks/lift", f"lock {each.id}", person=each.thing.person)
    damaged = sum(each.thing.damage is not None for each in found)
    return answer({"locks": list(map(describe_lock, lifted)), "damaged": damaged})


@router.post("/locks/search", responses=answers(LocksOut, 413, 415), response_model=None)
def search_locks(body: LockSearchIn, desk: _Reads) -> Response:
    """
    Find the locks on a person, who may be told reason, end and note.

    A tenant's key finds those that are for the tenant, and those that hold everywhere of persons
    who are or were parties of its bindings.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    desk.audit("POST /v1/locks/search", "the locks on a person", person=person)
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
        desk.audit(
            "POST /v1/locks/{lock_id}/lift", f"lock {lifted.id}", person=lifted.thing.person
        )
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
    return _read_one(body.person, body.tenant, desk)


def _read_one(person: str | None, tenant: str | None, desk: Desk) -> LockedThing:
    """
    The person or the tenant that is named.
    """
    if person is None:
        return LockedThing(subject=Subject.TENANT, tenant=tenant)
    number = read_number("/person", person, fixed_lines=desk.options.fixed_lines)
    return LockedThing(subject=Subject.PERSON, person=number, tenant=tenant or desk.tenant)


def _said_several(body: LockBatchIn | LiftOnIn) -> bool:
    return bool(body.x or body.blocks or body.operator is not None)


def _read_several(body: LockBatchIn | LiftOnIn, desk: Desk) -> list[LockedThing]:
    """
    The 700 numbers and blocks that are named, each once.

    Raises:
        Problem: One is none.
    """
    blocks = [] if body.operator is None else desk.store.inventory.of_operator(body.operator)
    blocks += [
        read_field(f"/blocks/{place}", partial(Block.parse, each))
        for place, each in enumerate(body.blocks)
    ]
    numbers = [
        read_field(f"/x/{place}", partial(XNumber.parse, each))
        for place, each in enumerate(body.x)
    ]
    return [
        *(LockedThing(subject=Subject.BLOCK, block=each) for each in dict.fromkeys(blocks)),
        *(LockedThing(subject=Subject.NUMBER, number=each) for each in dict.fromkeys(numbers)),
    ]


def _set(thing: LockedThing, body: LockIn | LockBatchIn, desk: Desk, *, act: str) -> Lock:
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
    desk.audit(act, f"lock {made.id}", person=thing.person)
    return made


def _is_such(lock: Lock, body: LockBatchIn) -> bool:
    """
    Whether a lock is what is asked for; what is to begin now may have begun.

    Another's is not: who has set it lifts it.
    """
    same = lock.own and all(getattr(lock, name) == getattr(body, name) for name in _SAME)
    begun = lock.starts_at <= lock.now
    return same and (begun if body.starts_at is None else lock.starts_at == body.starts_at)


def _named(thing: LockedThing) -> dict[str, str | None]:
    return {
        "x": None if thing.number is None else str(thing.number),
        "block": None if thing.block is None else str(thing.block),
    }
