"""
``/v1/webhooks``: where tenants have events sent to.
"""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from agi_router.doors.http.answers import (
    RECALLED,
    answer,
    etag_of,
    matched,
    read_version,
    recalled,
)
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.idempotency import KEYED, keep_once
from agi_router.errors import (
    TenantNotFound,
    WebhookChanged,
    WebhookInvalid,
    WebhookNotFound,
)
from agi_router.events.addresses import address_on_record, check_host
from agi_router.events.model import Numbers, Webhook, event_name
from agi_router.events.store import Debts, EventStore
from agi_router.events.views import describe_attempt, describe_webhook
from agi_router.logs import redact
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.schemas.webhooks import (
    DeliveriesOut,
    OwedOut,
    ResendIn,
    RotationIn,
    SecretOut,
    SentOut,
    WebhookChange,
    WebhookIn,
    WebhookMadeOut,
    WebhookOut,
    WebhooksOut,
    read_resend,
    read_webhook_change,
)
from agi_router.tenants.api_keys import KeyScope
from agi_router.tenants.model import check_tenant

__all__ = ["check_address", "events_of", "router", "tenant_of", "whose"]

router = APIRouter(prefix="/v1", tags=["webhooks"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.WEBHOOKS_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.WEBHOOKS_WRITE), scope="function")]

_ID = re.compile(r"[0-9]{1,18}")
_Told = TypeVar("_Told")


@router.get("/webhooks", responses=answers(WebhooksOut), response_model=None)
def list_webhooks(desk: _Reads) -> Response:
    """
    List the webhooks, with how many deliveries each is owed, and how many are held.
    """
    found = events_of(desk).webhooks()
    return answer({"webhooks": [describe_webhook(webhook, debts) for webhook, debts in found]})


@router.post(
    "/webhooks",
    status_code=201,
    responses=answers(WebhookMadeOut, 404, 409, 413, 415, ok=201, told="Added"),
    openapi_extra=KEYED,
    response_model=None,
)
def add_webhook(body: WebhookIn, request: Request, desk: _Writes) -> Response:
    """
    Have events sent to an address from now on.

    The secret that signs them is told this once: no answer that is given again has it.
    """
    tenant = tenant_of(body.tenant, desk)
    check_address(body.url, desk)
    full = _is_full(body.numbers, desk)
    told_once: dict[str, str] = {}

    def make() -> tuple[int, Any, dict[str, str]]:
        webhook, told_once["secret"] = events_of(desk).add(
            tenant,
            body.url,
            body.types,
            form=body.format,
            numbers=body.numbers,
            batch=body.batch,
            batch_wait=timedelta(seconds=body.batch_wait),
        )
        _note("POST /v1/webhooks", _sent_to(body.url, full=full), desk)
        seen, headers = _seen(*events_of(desk).look_at(webhook.id))
        return 201, seen, {"Location": f"/v1/webhooks/{webhook.id}", **headers}

    kept = keep_once(request, desk, make)
    if kept.again:
        return kept.response()
    # What is kept of an answer is not sealed.
    return answer({**json.loads(kept.body), **told_once}, status=201, headers=kept.headers)


@router.get(
    "/webhooks/{webhook_id}",
    responses=answers(WebhookOut, 404),
    openapi_extra=RECALLED,
    response_model=None,
)
def get_webhook(webhook_id: str, request: Request, desk: _Reads) -> Response:
    """
    Get a webhook.
    """
    seen, headers = _seen(*_look_at(webhook_id, desk))
    return recalled(request, headers["ETag"]) or answer(seen, headers=headers)


@router.patch(
    "/webhooks/{webhook_id}",
    responses=answers(WebhookOut, 404, 412, 413, 415, 428, told="Changed"),
    openapi_extra=matched("webhook"),
    response_model=None,
)
def change_webhook(
    webhook_id: str, body: WebhookChange, request: Request, desk: _Writes
) -> Response:
    """
    Change a webhook, if it is still as it was read.
    """
    version = read_version(request, WebhookChanged)
    changes = read_webhook_change(body)
    found = _find(webhook_id, desk)
    url = changes.get("url", found.url)
    check_address(url, desk)
    full = _is_full(changes.get("numbers", found.numbers), desk)
    # The version, too, of what was just looked at: nobody makes it another one meanwhile.
    if version not in {None, found.version}:
        raise WebhookChanged
    with desk.queries.transaction():
        changed = events_of(desk).change(found.id, version=found.version, **changes)
        _note("PATCH /v1/webhooks/{webhook_id}", _sent_to(url, full=full), desk)
    return _answer(changed, desk)


@router.delete(
    "/webhooks/{webhook_id}",
    responses=answers(WebhookOut, 404, 412, told="Removed"),
    openapi_extra=matched("webhook", needed=False),
    response_model=None,
)
def remove_webhook(webhook_id: str, request: Request, desk: _Writes) -> Response:
    """
    Remove a webhook with what it is owed; its answer is the last that is known of it.
    """
    version = read_version(request, WebhookChanged, needed=False)
    found, debts = _look_at(webhook_id, desk)
    seen, _ = _seen(found, debts)
    with desk.queries.transaction():
        events_of(desk).remove(found.id, version=version)
        _note("DELETE /v1/webhooks/{webhook_id}", _sent_to(found.url), desk)
    return answer(seen)


@router.post(
    "/webhooks/{webhook_id}/pause",
    responses=answers(WebhookOut, 404, told="Paused"),
    response_model=None,
)
def pause_webhook(webhook_id: str, desk: _Writes) -> Response:
    """
    Send nothing to a webhook; what it is owed is kept.
    """
    act = "POST /v1/webhooks/{webhook_id}/pause"
    return _answer(_done(webhook_id, act, events_of(desk).pause, desk), desk)


@router.post(
    "/webhooks/{webhook_id}/resume",
    responses=answers(WebhookOut, 404, told="Sent to again"),
    response_model=None,
)
def resume_webhook(webhook_id: str, desk: _Writes) -> Response:
    """
    Send again to a webhook that was paused, has failed or was gone; what it was owed, too.
    """
    act = "POST /v1/webhooks/{webhook_id}/resume"
    return _answer(_done(webhook_id, act, events_of(desk).resume, desk), desk)


@router.post(
    "/webhooks/{webhook_id}/rotate-secret",
    responses=answers(SecretOut, 404, 413, 415, told="The new secret"),
    response_model=None,
)
def rotate_secret(webhook_id: str, body: RotationIn, desk: _Writes) -> Response:
    """
    Give a webhook a new secret, which is told this once; the old one signs too, for a time.
    """
    act = "POST /v1/webhooks/{webhook_id}/rotate-secret"
    overlap = timedelta(seconds=body.overlap)

    def rotate(found: int) -> str:
        return events_of(desk).rotate_secret(found, overlap=overlap)

    return answer({"secret": _done(webhook_id, act, rotate, desk)})


@router.post(
    "/webhooks/{webhook_id}/test",
    responses=answers(SentOut, 404, told="It is owed"),
    response_model=None,
)
def test_webhook(webhook_id: str, desk: _Writes) -> Response:
    """
    Send a webhook an event that is of nothing; its deliveries tell what became of it.
    """
    act = "POST /v1/webhooks/{webhook_id}/test"
    event = _done(webhook_id, act, events_of(desk).test, desk)
    return answer({"event": event_name(event)})


@router.get(
    "/webhooks/{webhook_id}/deliveries",
    responses=answers(DeliveriesOut, 404),
    response_model=None,
)
def list_deliveries(webhook_id: str, desk: _Reads, limit: queries.Limit = 100) -> Response:
    """
    List the last tries to deliver to a webhook, newest first.
    """
    rows = events_of(desk).attempts(_find(webhook_id, desk).id, limit=limit)
    return answer({"deliveries": list(map(describe_attempt, rows))})


@router.post(
    "/webhooks/{webhook_id}/resend",
    responses=answers(OwedOut, 404, 413, 415, told="They are owed"),
    response_model=None,
)
def resend(webhook_id: str, body: ResendIn, desk: _Writes) -> Response:
    """
    Send a webhook events again, under the ids they had.
    """
    asked = read_resend(body)
    act = "POST /v1/webhooks/{webhook_id}/resend"
    owed = _done(webhook_id, act, lambda found: events_of(desk).resend(found, **asked), desk)
    return answer({"owed": owed})


def events_of(desk: Desk) -> EventStore:
    """
    The events and webhooks that a key reaches.
    """
    return EventStore(desk.queries, desk.store.keys, scope=desk.store.scope)


def tenant_of(asked: str | None, desk: Desk) -> str:
    """
    Whose webhooks or events are meant.

    Args:
        asked: Who is named; the operator's keys alone may name another than their own.
        desk: Who asks.

    Raises:
        TenantNotFound: There is none of this name for the one who asks.
    """
    if asked is None:
        return desk.tenant or "default"
    try:
        tenant = check_tenant(asked)
        desk.store.inventory.tenants.find_id(tenant)
    except (ValueError, TenantNotFound):
        # What was asked for could be anything, a number too.
        raise TenantNotFound from None
    return tenant


def whose(tenant: str, desk: Desk) -> str:
    """
    What stands behind the path of a tenant's thing: the operator's keys say whose it is.
    """
    return "" if desk.tenant else f"?{urlencode({'tenant': tenant})}"


def _find(webhook_id: str, desk: Desk) -> Webhook:
    return _look_at(webhook_id, desk)[0]


def _look_at(webhook_id: str, desk: Desk) -> tuple[Webhook, Debts]:
    """
    A webhook that this key may see, with what it is owed.

    Raises:
        WebhookNotFound: There is none, or it is another tenant's.
    """
    try:
        if _ID.fullmatch(webhook_id) is not None:
            return events_of(desk).look_at(int(webhook_id))
    except WebhookNotFound:
        pass
    # What was asked for could be anything, a number too.
    raise WebhookNotFound


def check_address(url: str, desk: Desk) -> None:
    """
    Refuse at once what nobody would send to. A name is resolved by whoever sends.

    Raises:
        Problem: It is private by its very text, or not https.
    """
    parts = urlsplit(url)
    try:
        check_host(
            parts.hostname or "",
            secure=parts.scheme == "https",
            allowed=desk.options.webhook_hosts,
        )
    except WebhookInvalid as error:
        raise Problem.of_fields([FieldFault("/url", error.code, str(error))]) from None


def _is_full(numbers: Numbers, desk: Desk) -> bool:
    """
    Whether real numbers are to be sent in full.

    Raises:
        Problem: They are, and this key may not have that.
    """
    full = numbers is Numbers.FULL
    if full:
        desk.require(KeyScope.NUMBERS_READ)
    return full


def _sent_to(url: str, *, full: bool = False) -> str:
    return f"{'numbers in full' if full else 'events'} to {address_on_record(url)}"


def _done(webhook_id: str, act: str, work: Callable[[int], _Told], desk: Desk) -> _Told:
    """
    Do something with a webhook that this key may see, and write it down.
    """
    with desk.queries.transaction():
        found = _find(webhook_id, desk)
        done = work(found.id)
        _note(act, f"webhook {found.id}", desk)
    return done


def _note(act: str, subject: str, desk: Desk) -> None:
    # An address is anything, even a number.
    desk.audit(act, redact(subject))


def _seen(webhook: Webhook, debts: Debts) -> tuple[dict[str, Any], dict[str, str]]:
    seen = describe_webhook(webhook, debts)
    return seen, {"ETag": etag_of(webhook.version, seen)}


def _answer(webhook: Webhook, desk: Desk) -> Response:
    seen, headers = _seen(*events_of(desk).look_at(webhook.id))
    return answer(seen, headers=headers)
