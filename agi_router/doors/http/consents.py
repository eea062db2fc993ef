"""
``/v1/consents``: who has agreed to be reached through 700 numbers, and who no longer does.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.consent.ledger import NOT_TAKEN, Act, Statement, Taken
from agi_router.consent.views import describe_consent
from agi_router.doors.http.answers import answer, page_of
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.batches import Result, refused
from agi_router.doors.http.idempotency import KEYED, answer_once
from agi_router.errors import AgiRouterError, ConsentNotFound, ConsentOutdated
from agi_router.logs import redact
from agi_router.numbers import PhoneNumber
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.consents import (
    ConsentBatchIn,
    ConsentBatchOut,
    ConsentIn,
    ConsentOut,
    ConsentSearchIn,
    ConsentsOut,
    GivenIn,
    WithdrawalIn,
    WithdrawalOut,
)
from agi_router.schemas.fields import read_cursor, read_number
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.api_keys import KeyScope
from agi_router.times import check_past

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["consents"])

_LONGEST_ID = 18
_ADDED = 201
_SUBJECT = "the consent of a person"

_Reads = Annotated[Desk, Depends(Needs(KeyScope.CONSENTS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.CONSENTS_WRITE), scope="function")]


@router.get("/consents", responses=answers(ConsentsOut), response_model=None)
def list_consents(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    act: Annotated[Act | None, Query(description="That say so.")] = None,
    order: Annotated[str | None, Query(max_length=512, description="About this order.")] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List lines of the ledger, newest first, a page at a time.
    """
    found = desk.store.consents.all(order=order, act=act, after=read_cursor(cursor), limit=limit)
    return page_of(request, "consents", found, describe_consent, limit=limit)


@router.post(
    "/consents",
    status_code=201,
    responses=answers(ConsentOut, 404, 413, 415, ok=201, told="Written"),
    openapi_extra=KEYED,
    response_model=None,
)
def give_consent(body: ConsentIn, request: Request, desk: _Writes) -> Response:
    """
    Write down that a person has agreed.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    tenant = _tenant(body.tenant, desk)
    said = _given(body)

    def make() -> tuple[int, Any, dict[str, str]]:
        line = desk.store.consents.write(person, tenant, said, by=f"API key {desk.key.id}")
        desk.audit("POST /v1/consents", f"{_SUBJECT}: line {line.id}", person=person)
        return 201, describe_consent(line), {"Location": f"/v1/consents/{line.id}"}

    return answer_once(request, desk, make)


@router.post(
    "/consents/batch",
    responses=answers(ConsentBatchOut, 404, 413, 415, told="What became of each"),
    openapi_extra=KEYED,
    response_model=None,
)
def give_consents(body: ConsentBatchIn, request: Request, desk: _Writes) -> Response:
    """
    Write down what up to 200 persons have agreed to before; nothing is brought back.

    What the ledger has is left out, and what was withdrawn since is refused.
    """
    tenant = _tenant(body.tenant, desk)

    def make() -> tuple[int, Any, dict[str, str]]:
        results = _results(body.consents, tenant, desk)
        # What was refused or known before changes nothing.
        if any(each["status"] == _ADDED for each in results):
            desk.audit("POST /v1/consents/batch", redact(f"consent of many, to tenant {tenant}"))
        return 200, {"results": results}, {}

    return answer_once(request, desk, make)


@router.post(
    "/consents/withdraw",
    status_code=201,
    responses=answers(WithdrawalOut, 404, 413, 415, ok=201, told="Withdrawn"),
    openapi_extra=KEYED,
    response_model=None,
)
def withdraw_consent(body: WithdrawalIn, request: Request, desk: _Writes) -> Response:
    """
    Write down that a person no longer agrees, and end its bindings of the tenant at once.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    tenant = _tenant(body.tenant, desk)
    said = Statement(
        act=Act.WITHDRAWN,
        purpose=body.purpose,
        order=body.order,
        at=body.at,
        evidence=body.evidence,
        cut=body.cut,
    )

    def make() -> tuple[int, Any, dict[str, str]]:
        line, ended = desk.store.withdraw(person, tenant, said, by=f"API key {desk.key.id}")
        desk.audit("POST /v1/consents/withdraw", f"{_SUBJECT}: line {line.id}", person=person)
        told = {**describe_consent(line), "ended": [str(each.id) for each in ended]}
        return 201, told, {"Location": f"/v1/consents/{line.id}"}

    return answer_once(request, desk, make)


@router.post("/consents/search", responses=answers(ConsentsOut, 413, 415), response_model=None)
def search_consents(body: ConsentSearchIn, desk: _Reads) -> Response:
    """
    Find the lines about a person.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    desk.audit("POST /v1/consents/search", _SUBJECT, person=person)
    found = desk.store.consents.of_person(person)
    return answer({"consents": list(map(describe_consent, found)), "next_cursor": None})


@router.get("/consents/{consent_id}", responses=answers(ConsentOut, 404), response_model=None)
def get_consent(consent_id: str, desk: _Reads) -> Response:
    """
    Get a line by its id.
    """
    if not (consent_id.isascii() and consent_id.isdigit() and len(consent_id) <= _LONGEST_ID):
        # What was asked for could be anything, a number too.
        raise ConsentNotFound
    return answer(describe_consent(desk.store.consents.find(int(consent_id))))


def _given(body: ConsentIn | GivenIn) -> Statement:
    return Statement(
        act=Act.GIVEN,
        purpose=body.purpose,
        order=body.order,
        how=body.how,
        at=body.at,
        evidence=body.evidence,
        version=body.version,
    )


def _results(bodies: Sequence[GivenIn], tenant: str, desk: Desk) -> list[Result]:
    """
    What became of each of a batch.

    Raises:
        TenantNotFound: There is no such tenant.
    """
    now = desk.store.now()
    results: dict[int, Result] = {}
    given: dict[int, tuple[PhoneNumber, Statement]] = {}
    for place, body in enumerate(bodies):
        try:
            check_past(body.at, now, word="at")
            person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
            given[place] = (person, _given(body))
        except (Problem, AgiRouterError) as error:
            results[place] = refused(error)
    by = f"API key {desk.key.id}"
    taken = desk.store.consents.write_given(tenant, list(given.values()), by=by)
    results |= {place: _result(each) for place, each in zip(given, taken, strict=True)}
    return [results[place] for place in range(len(bodies))]


def _result(taken: Taken) -> Result:
    if taken in NOT_TAKEN:
        return refused(ConsentOutdated(NOT_TAKEN[taken]))
    return {"status": _ADDED if taken is Taken.ADDED else 200}


def _tenant(said: str | None, desk: Desk) -> str:
    """
    The tenant that a line is for.

    Raises:
        Problem: The operator's key does not say.
    """
    tenant = said or desk.tenant
    if tenant is None:
        raise Problem.of_fields([FieldFault("/tenant", "missing", "say to whom")])
    return tenant
