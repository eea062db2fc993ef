"""
``/v1/audit``: who had real numbers shown, and who changed what.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response

from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.records.audit import Audit, cursor_of
from agi_router.records.chain import Head, VerifyingKey
from agi_router.records.signing import AuditChain, cursor_of_head
from agi_router.records.views import describe_act, describe_verdict
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.audit import AuditOut, AuditSearchIn, HeadsOut, VerdictOut, VerifyIn
from agi_router.schemas.fields import read_cursor, read_number, read_time
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["audit"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.AUDIT_READ), scope="function")]
_DAY = timedelta(days=1)
_YEAR = timedelta(days=366)
_MOST = 1000
_STRETCH = 100_000
_Value = TypeVar("_Value")


@router.get("/audit", responses=answers(AuditOut), response_model=None)
def list_audit(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    since: queries.Since = None,
    until: queries.Until = None,
    act: Annotated[
        str | None,
        Query(max_length=100, description="Whose act begins so: `lock`, or `POST /v1/locks`."),
    ] = None,
    user: Annotated[
        str | None, Query(max_length=64, description="By this user of a host.")
    ] = None,
    api_key: Annotated[str | None, Query(max_length=64, description="With this API key.")] = None,
    case: Annotated[str | None, Query(max_length=64, description="For this case.")] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List who had real numbers shown, and who changed what, newest first, a page at a time.

    Whether that record is whole, `POST /v1/audit/verify` tells, by signatures kept elsewhere.
    """
    rows = Audit(desk.queries).rows(
        since=desk.store.now() - _DAY if since is None else read_time("/since", since),
        until=None if until is None else read_time("/until", until),
        act=act,
        user=user,
        api_key=api_key,
        case_id=case,
        after=read_cursor(cursor),
        limit=limit,
    )
    behind = cursor_of(rows[-1]) if len(rows) == limit else None
    return page(request, "audit", list(map(describe_act, rows)), behind)


@router.post("/audit/search", responses=answers(AuditOut, 413, 415), response_model=None)
def search_audit(body: AuditSearchIn, desk: _Reads) -> Response:
    """
    Find what was done about a person: the newest thousand rows; this is audited.
    """
    person = read_number("/person", body.person, fixed_lines=desk.options.fixed_lines)
    since = desk.now - _YEAR if body.since is None else read_time("/since", body.since)
    desk.audit("POST /v1/audit/search", "the audit of a person", person=person)
    rows = Audit(desk.queries).rows(since=since, tags=desk.keys.tags(person), limit=_MOST)
    return answer({"audit": list(map(describe_act, rows)), "next_cursor": None})


@router.get("/audit/heads", responses=answers(HeadsOut), response_model=None)
def list_heads(
    request: Request,
    desk: _Reads,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List the signed heads, newest first, a page at a time: keep them where nobody else comes.
    """
    heads = AuditChain(desk.queries).heads(after=read_cursor(cursor), limit=limit)
    behind = cursor_of_head(heads[-1]) if len(heads) == limit else None
    return page(request, "heads", [each.describe() for each in heads], behind)


@router.post("/audit/verify", responses=answers(VerdictOut, 413, 415), response_model=None)
def verify_audit(body: VerifyIn, desk: _Reads) -> Response:
    """
    Look whether a part of the audit is as it was signed; the first row that is not is named.

    A part ends at a head, and has a hundred thousand rows at most; `next` says where the next one
    begins. One looks at a time.
    """
    keys = [
        _read(f"/public_keys/{place}", partial(VerifyingKey.parse, text.encode()))
        for place, text in enumerate(body.public_keys)
    ]
    heads = [
        _read(f"/heads/{place}", partial(Head.read, each.model_dump()))
        for place, each in enumerate(body.heads)
    ]
    chain = AuditChain(desk.queries)
    with chain.looked_at_alone():
        desk.audit("POST /v1/audit/verify", f"the audit behind place {body.after}")
        verdict, behind = chain.verify_stretch(heads, keys, after=body.after, rows=_STRETCH)
    return answer({**describe_verdict(verdict), "next": None if verdict.findings else behind})


def _read(pointer: str, read: Callable[[], _Value]) -> _Value:
    """
    What *read* makes of a field.

    Raises:
        Problem: It is not acceptable; names the field, and quotes nothing of it.
    """
    try:
        return read()
    except ValueError:
        fault = FieldFault(pointer, "invalid", "it is none, or was cut: send it as it was told")
        raise Problem.of_fields([fault]) from None
