"""
``/v1/bindings`` and ``/v1/orders``: bindings are made, changed, ended and looked at.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.bind import wished_terms
from agi_router.bindings.model import Binding
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.pools import Pool
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.views import describe_binding, reveal_binding
from agi_router.bindings.words import BindingState, Mode, Side
from agi_router.doors.http.answers import (
    RECALLED,
    answer,
    binding_answer,
    etag,
    etag_of_body,
    matched,
    page_of,
    read_version,
    recalled,
    write,
)
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.batches import Result, refused, result_of
from agi_router.doors.http.idempotency import (
    KEYED,
    Kept,
    answer_once,
    keep_once,
    names_of,
    only_name,
)
from agi_router.errors import AgiRouterError, BindingChanged, ExpiryInvalid
from agi_router.feeds.store import FeedStore
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.bindings import (
    BatchIn,
    BatchOut,
    BindingChange,
    BindingIn,
    BindingOut,
    BindingsOut,
    OrderIn,
    SearchIn,
    read_changes,
    read_choice,
    read_request,
)
from agi_router.schemas.fields import (
    read_cursor,
    read_field,
    read_members,
    read_number,
    read_order,
    read_time,
)
from agi_router.schemas.groups import MembersIn
from agi_router.schemas.problems import FieldFault, Problem, problem_of
from agi_router.tenants.api_keys import KeyScope

__all__ = ["plan_binding", "read_asked", "router", "tell_bound"]

router = APIRouter(prefix="/v1", tags=["bindings"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_READ), scope="function")]
# Feeds are the operator's, and so is what they hold.
_Releases = Annotated[Desk, Depends(Needs(KeyScope.FEEDS_WRITE), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.BINDINGS_WRITE), scope="function")]


# Who is said in a change; each by itself.
_PEOPLE = {"a", "b", "default", "group"}


@router.post(
    "/bindings",
    status_code=201,
    responses=answers(BindingOut, 404, 409, 413, 415, ok=201, told="Bound"),
    openapi_extra=KEYED,
    response_model=None,
)
def create_binding(body: BindingIn, request: Request, desk: _Writes) -> Response:
    """
    Bind parties to 700 numbers.
    """
    plan = plan_binding(body, request, desk)
    done = None if plan is None else desk.bind_at_once(plan)
    if done is not None:
        return tell_bound(done)

    def make() -> tuple[int, Any, dict[str, str]]:
        made = _bind(body, read_asked(body, desk), desk)
        return 201, describe_binding(made), _place(made)

    kept = keep_once(request, desk, make)
    # It is kept as it was made, in its first version.
    return kept.response(ETag=etag_of_body(1, kept.body.encode()))


def plan_binding(body: BindingIn, request: Request, desk: Desk) -> Asked | None:
    """
    What is asked for, for the one statement that does it in most cases.

    The key is not looked at, so nothing of it may be told.

    Returns:
        It; :obj:`None`: step by step it is found out why it cannot be done.
    """
    try:
        name, payload = names_of(request, desk)
        asked, choice = read_asked(body, desk, desk.guess_pool)
    # It is told step by step.
    except (Problem, AgiRouterError):
        return None
    kept = only_name(desk, name, payload)
    if kept is None or (asked.x, asked.y) != (None, None):
        return None
    terms, life = wished_terms(asked, default_ttl=desk.options.ttl)
    return Asked(
        parties=asked.parties,
        terms=terms,
        life=life,
        choice=choice,
        kept={"status": 201, "pool": None, **kept},
        tell=_tell,
    )


def tell_bound(done: Answered) -> Response:
    """
    The answer where :func:`plan_binding` has planned what was done.
    """
    headers, body = done
    kept = Kept(status=201, body=body, headers=headers, again=False)
    return kept.response(ETag=etag_of_body(1, body.encode()))


def _place(made: Binding) -> dict[str, str]:
    return {"Location": f"/v1/bindings/{made.id}"}


def _tell(made: Binding, unknown: Collection[str]) -> tuple[dict[str, str], str]:
    """
    What is answered where it is made, but for what is not known yet.
    """
    return _place(made), write({**describe_binding(made), **dict.fromkeys(unknown)}).decode()


@router.post(
    "/bindings/batch",
    responses=answers(BatchOut, 413, 415, told="What became of each"),
    openapi_extra=KEYED,
    response_model=None,
)
def create_bindings(body: BatchIn, request: Request, desk: _Writes) -> Response:
    """
    Make up to 200 bindings, each by itself: one that cannot be made keeps off no other.
    """

    def make() -> tuple[int, Any, dict[str, str]]:
        return 200, {"results": _results(body.bindings, desk)}, {}

    return answer_once(request, desk, make)


@router.get("/bindings", responses=answers(BindingsOut), response_model=None)
def list_bindings(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    order: Annotated[str | None, Query(max_length=512, description="Of this order.")] = None,
    x: Annotated[str | None, Query(max_length=32, description="On this 700 number.")] = None,
    state: Annotated[BindingState | None, Query(description="In this state.")] = None,
    mode: Annotated[Mode | None, Query(description="Of this mode.")] = None,
    created_after: Annotated[
        str | None, Query(max_length=40, description="Made after this time, with its offset.")
    ] = None,
    everything: Annotated[bool, Query(description="Those that are over, too.")] = False,  # noqa: FBT002
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List bindings, newest first, a page at a time.
    """
    x_number = None if x is None else _x_number(x)
    order_id = None if order is None else read_order(order)
    found = desk.store.bindings(
        everything=everything or (state is not None and not state.lives),
        order_id=order_id,
        x_number=x_number,
        state=state,
        mode=mode,
        created_after=None
        if created_after is None
        else read_time("/created_after", created_after),
        after=read_cursor(cursor),
        limit=limit,
    )
    return page_of(request, "bindings", found, describe_binding, limit=limit)


def _x_number(text: str) -> XNumber:
    return read_field("/x", lambda: XNumber.parse(text))


@router.post("/bindings/search", responses=answers(BindingsOut, 413, 415), response_model=None)
def search_bindings(body: SearchIn, desk: _Reads) -> Response:
    """
    Find the bindings of a party, newest first, a page at a time.

    Needs the scope numbers:read as well, and is audited.
    """
    desk.require(KeyScope.NUMBERS_READ)
    party = read_number("/number", body.number, fixed_lines=desk.options.fixed_lines)
    x_number = None if body.x is None else _x_number(body.x)
    subject = f"a party on {x_number or 'any number'}"
    desk.audit("POST /v1/bindings/search", subject, person=party)
    found = desk.store.bindings(
        everything=body.everything,
        order_id=None,
        x_number=x_number,
        party=party,
        after=read_cursor(body.cursor),
        limit=body.limit,
    )
    behind = str(found[-1].cursor) if len(found) == body.limit else None
    return answer({"bindings": list(map(describe_binding, found)), "next_cursor": behind})


@router.get(
    "/bindings/{name}",
    responses=answers(BindingOut, 404),
    openapi_extra=RECALLED,
    response_model=None,
)
def get_binding(
    name: str, request: Request, desk: _Reads, numbers: queries.Full = None
) -> Response:
    """
    Get a binding by its id.
    """
    found = desk.binding(name)
    if numbers is not None:
        desk.require(KeyScope.NUMBERS_READ)
        desk.audit("GET /v1/bindings/{name}?numbers=full", f"binding {found.id}")
        return answer(reveal_binding(found), headers={"ETag": etag(found)})
    return recalled(request, etag(found)) or binding_answer(found)


@router.delete(
    "/bindings/{name}",
    responses=answers(BindingOut, 404, 409, 412, told="Ended"),
    openapi_extra=matched("binding", needed=False),
    response_model=None,
)
def end_binding(name: str, request: Request, desk: _Writes) -> Response:
    """
    End a binding now. A call that is up goes on; the next one is refused.
    """
    version = read_version(request, BindingChanged, needed=False)
    return binding_answer(desk.store.unbind(desk.binding(name).id, version=version))


@router.post(
    "/bindings/{name}/release",
    responses=answers(BindingOut, 404, told="It rings again"),
    response_model=None,
)
def release_binding(name: str, desk: _Releases) -> Response:
    """
    Let a binding ring again that is held: nobody knows whether a party's number has a new owner.
    """
    with desk.queries.transaction():
        found = desk.binding(name)
        FeedStore(desk.queries).release(found.id)
        desk.audit("POST /v1/bindings/{name}/release", f"binding {found.id}")
    return binding_answer(desk.binding(name))


@router.patch(
    "/bindings/{name}",
    responses=answers(BindingOut, 404, 409, 412, 413, 415, 428, told="Changed"),
    openapi_extra=matched("binding"),
    response_model=None,
)
def change_binding(name: str, body: BindingChange, request: Request, desk: _Writes) -> Response:
    """
    Change a binding, if it is still as it was read; or who is in it, which is audited.
    """
    version = read_version(request, BindingChanged)
    people = sorted(_PEOPLE & body.model_fields_set)
    if not people:
        found = desk.binding(name)
        changes = read_changes(body, now=desk.store.now())
        return binding_answer(desk.store.change(found.id, version=version, **changes))
    word = people[0]
    number = getattr(body, word)
    if number is None:
        fault = FieldFault(f"/{word}", "missing", "nobody can be left out: say who it is")
        raise Problem.of_fields([fault])
    if len(body.model_fields_set) > 1:
        raise Problem.of_fields([FieldFault(f"/{word}", "alone", "change it by itself")])
    if word == "group":
        return _move(name, number, version, desk)
    party = read_number(f"/{word}", number, fixed_lines=desk.options.fixed_lines)

    def replace(found: Binding, kept: int) -> tuple[Binding, str]:
        if word == "default":
            changed = desk.store.set_default(found.id, party, version=kept)
        else:
            changed = desk.store.replace(found.id, Side(word), party, version=kept)
        return changed, f"another {word} of binding {found.id}"

    return _alter(name, version, desk, replace, person=party)


def _move(name: str, group: str, version: int | None, desk: Desk) -> Response:
    """
    Let another group be side A.
    """

    def move(found: Binding, kept: int) -> tuple[Binding, str]:
        changed = desk.store.set_group(found.id, group, version=kept)
        return changed, f"another group of binding {found.id}"

    return _alter(name, version, desk, move)


def _alter(
    name: str,
    version: int | None,
    desk: Desk,
    work: Callable[[Binding, int], tuple[Binding, str]],
    *,
    person: PhoneNumber | None = None,
) -> Response:
    """
    Change a binding by *work*, which is given its version and says what it did; write it down.
    """

    def altered() -> Binding:
        with desk.queries.transaction():
            found = desk.binding(name)
            # Of the one that is written down as it was.
            changed, subject = work(found, found.version if version is None else version)
            both = found, changed
            desk.audit("PATCH /v1/bindings/{name}", subject, person=person, bindings=both)
        return changed

    return binding_answer(desk.queries.again(altered))


@router.post(
    "/bindings/{name}/members",
    responses=answers(BindingOut, 404, 409, 412, 413, 415, told="They are members"),
    openapi_extra=matched("binding", needed=False),
    response_model=None,
)
def add_members(name: str, body: MembersIn, request: Request, desk: _Writes) -> Response:
    """
    Let members into a group: all of them, or none if one cannot be.
    """
    version = read_version(request, BindingChanged, needed=False)
    members = read_members(body.members, fixed_lines=desk.options.fixed_lines)
    found = desk.binding(name)
    return binding_answer(desk.store.add_members(found.id, members, version=version))


@router.post(
    "/bindings/{name}/members/remove",
    responses=answers(BindingOut, 404, 409, 412, 413, 415, told="They are none any more"),
    openapi_extra=matched("binding", needed=False),
    response_model=None,
)
def remove_members(name: str, body: MembersIn, request: Request, desk: _Writes) -> Response:
    """
    Take members out of a group: all of them, or none if one cannot be.
    """
    version = read_version(request, BindingChanged, needed=False)
    members = read_members(body.members, fixed_lines=desk.options.fixed_lines)
    found = desk.binding(name)

    def removed() -> Binding:
        changed, seen = found, version
        with desk.queries.transaction():
            for member in members:
                changed = desk.store.remove_member(found.id, member, version=seen)
                # Each makes another version of it, which nobody but this transaction sees.
                seen = None
        return changed

    return binding_answer(desk.queries.again(removed))


@router.post(
    "/orders/end",
    responses=answers(BindingsOut, 404, 409, 413, 415, told="Ended"),
    response_model=None,
)
def end_order(body: OrderIn, desk: _Writes) -> Response:
    """
    End all bindings of an order that are alive.
    """
    store = desk.store
    if body.tenant is not None:
        store = store.within(store.inventory.tenants.scope(body.tenant))
    ended = store.end_order(body.order)
    return answer({"bindings": list(map(describe_binding, ended))})


_Asked = tuple[BindRequest, NumberPolicy]
"""What is asked for, and how its number is to be chosen."""


def read_asked(
    body: BindingIn, desk: Desk, find_pool: Callable[[str, str], Pool] | None = None
) -> _Asked:
    """
    What is asked for.

    Args:
        body: What came.
        desk: Who asks.
        find_pool: Finds a pool of a tenant by its name, if not as it is now.
    """
    tenant = desk.tenant or "default"
    pool = None
    if body.pool is not None:
        pool = (find_pool or desk.store.pools.find)(body.tenant or tenant, body.pool)
    request = read_request(body, fixed_lines=desk.options.fixed_lines, tenant=tenant, pool=pool)
    return request, read_choice(body)


class _Pools:
    """
    Pools that the bindings of one batch name: each is looked up once.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._found: dict[tuple[str, str], Pool] = {}

    def find(self, tenant: str, name: str) -> Pool:
        """
        One of them; raises :exc:`PoolNotFound`.
        """
        if (tenant, name) not in self._found:
            self._found[tenant, name] = self._desk.store.pools.find(tenant, name)
        return self._found[tenant, name]


def _bind(body: BindingIn, asked: _Asked, desk: Desk) -> Binding:
    request, choice = asked
    try:
        return desk.store.make(request, default_ttl=desk.options.ttl, choice=choice)
    except ExpiryInvalid as error:
        pointer = "/expires_at" if body.expires_at is not None else "/ttl"
        raise problem_of(error, pointer=pointer) from None


def _results(bodies: Sequence[BindingIn], desk: Desk) -> list[Result]:
    """
    What became of each of a batch: most are made together, and what is left one by one.
    """
    read: dict[int, _Asked] = {}
    results: dict[int, Result] = {}
    pools = _Pools(desk)
    for place, body in enumerate(bodies):
        try:
            read[place] = read_asked(body, desk, pools.find)
        except (Problem, AgiRouterError) as error:
            results[place] = refused(error)
    desk.store.hold_together([request for request, _ in read.values()])
    places = []
    for place, (request, _) in read.items():
        if request.x is None and request.y is None:
            places.append(place)
        else:
            # Before any number is drawn, which could be the one that is given.
            results[place] = _result(bodies[place], read[place], desk)
    together = desk.store.make_together(
        [read[place] for place in places], default_ttl=desk.options.ttl
    )
    results |= {places[each]: _made(binding) for each, binding in together.items()}
    return [
        results.get(place) or _result(body, read[place], desk) for place, body in enumerate(bodies)
    ]


def _made(binding: Binding) -> Result:
    return {"status": 201, "binding": describe_binding(binding)}


def _result(body: BindingIn, asked: _Asked, desk: Desk) -> Result:
    """
    What became of one of a batch.
    """

    def make() -> Result:
        with desk.queries.attempt():
            return _made(_bind(body, asked, desk))

    return result_of(make)
