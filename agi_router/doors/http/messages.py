"""
``/v1/messages``: what became of texts, and what would become of one; never what they say.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal, refuse_old_number
from agi_router.calls.ports import Admission
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Door, Needs, without_store
from agi_router.doors.http.idempotency import KEYED, read_key
from agi_router.doors.http.text_taking import TextTaking
from agi_router.errors import MessageNotFound, MessageOver, NumberError
from agi_router.messages.decision import Taken, decide_text, screen_text
from agi_router.messages.explanation import explain_text
from agi_router.messages.limits import TextLimits
from agi_router.messages.model import CARRIED, LONGEST, MOST_PARTS, CarriedText, MessageState, Text
from agi_router.messages.records import LinkRecords, MessageRecords, Seen, cursor_of
from agi_router.messages.store import Repeated
from agi_router.messages.taking import Accepted
from agi_router.messages.views import describe_message, describe_text_explanation
from agi_router.numbers import XNumber, parse_old_number
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.explanations import TextExplanationIn, TextExplanationOut
from agi_router.schemas.fields import read_cursor, read_field, read_time
from agi_router.schemas.messages import (
    DecisionIn,
    DecisionOut,
    MessageIn,
    MessageOut,
    MessagesOut,
    OutcomeIn,
)
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["messages"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.MESSAGES_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.MESSAGES_WRITE), scope="function")]
_Decides = Annotated[Desk, Depends(Needs(KeyScope.MESSAGES_DECIDE), scope="function")]

_DAY = timedelta(days=1)


@router.get("/messages", responses=answers(MessagesOut, 404), response_model=None)
def list_messages(  # noqa: PLR0917 - filters
    request: Request,
    desk: _Reads,
    since: queries.Since = None,
    until: queries.Until = None,
    binding: queries.Binding = None,
    x: queries.Number = None,
    state: Annotated[MessageState | None, Query(description="In this state.")] = None,
    cursor: queries.Cursor = None,
    limit: queries.Limit = 100,
) -> Response:
    """
    List texts that were accepted, newest first, a page at a time.
    """
    rows = _records(desk).messages(
        since=desk.store.now() - _DAY if since is None else read_time("/since", since),
        until=None if until is None else read_time("/until", until),
        binding=None if binding is None else desk.binding(binding).id,
        x_number=None if x is None else read_field("/x", lambda: XNumber.parse(x)),
        state=state,
        after=read_cursor(cursor),
        limit=limit,
    )
    behind = cursor_of(rows[-1]) if len(rows) == limit else None
    return page(request, "messages", list(map(describe_message, rows)), behind)


@router.post(
    "/messages/explanations",
    responses=answers(TextExplanationOut, 413, 415),
    response_model=None,
)
def explain_message(body: TextExplanationIn, desk: _Reads) -> Response:
    """
    Say what would become of a text, rule by rule; nothing is sent, and nothing is counted.

    To a tenant, as if there were no bindings but its own.
    """

    def look(text: Text) -> Admission:
        return _records(desk).facts(
            text, desk.store.keys, at=body.at, open_modes=desk.options.open_modes
        )

    explanation = explain_text(
        look, sender=body.from_, to=body.to, at=body.at, fixed_lines=desk.options.fixed_lines
    )
    return answer(describe_text_explanation(explanation))


@router.get("/messages/{message_id}", responses=answers(MessageOut, 404), response_model=None)
def get_message(message_id: str, desk: _Reads) -> Response:
    """
    Get the record of a text.
    """
    try:
        return answer(describe_message(_records(desk).find(message_id)))
    except MessageNotFound:
        # What was asked for could be anything, a number too.
        raise MessageNotFound from None


@router.post(
    "/messages/{message_id}/release",
    responses=answers(MessageOut, 404, 409, told="Released"),
    response_model=None,
)
def release_message(message_id: str, desk: _Writes) -> Response:
    """
    Let a text go that is held: it is sent at once.
    """
    return _done(
        desk,
        "POST /v1/messages/{message_id}/release",
        lambda: _records(desk).release(message_id),
    )


@router.post(
    "/messages/{message_id}/discard",
    responses=answers(MessageOut, 404, 409, told="Discarded"),
    response_model=None,
)
def discard_message(message_id: str, desk: _Writes) -> Response:
    """
    End a text that is not sent yet: what it says is deleted, and its use comes back.
    """
    return _done(
        desk,
        "POST /v1/messages/{message_id}/discard",
        lambda: _records(desk).discard(message_id),
    )


@router.post(
    "/messages",
    status_code=202,
    responses=answers(MessageOut, 409, 413, 415, ok=202, told="It is stored, and will be sent"),
    openapi_extra=KEYED,
    response_model=None,
)
async def send_message(body: MessageIn, request: Request, desk: _Writes) -> Response:
    """
    Send a text as if a party had: it is judged, counted, stored, and sent by the door.

    Audited. The same request within ten minutes sends nothing more.
    """
    text = screen_text(
        sender=body.from_, to=body.to, body=body.text, fixed_lines=desk.options.fixed_lines
    )
    if isinstance(text, Refusal):
        reason = await asyncio.to_thread(_explain, text.reason, body.to, desk)
        raise Problem.of_door("text_refused", more=reason.value)
    asked = _asked(request, desk, text, body.text, body.link)
    row = await asyncio.to_thread(_prepare, body, text, asked, desk)
    replayed = row is not None
    if row is None:
        texts = _texts(request)
        taken: Accepted | Repeated | Reason | None = texts.limits.count(text)
        if taken is None:
            keys, scope = desk.keys, desk.store.scope
            async with without_store(request, desk):
                taken = await texts.take(
                    text,
                    asked.same[-1],
                    asked=asked.what[-1],
                    keys=keys,
                    link=body.link,
                    scope=scope,
                )
        if isinstance(taken, Reason):
            raise _problem(taken, texts.limits, desk)
        row = await asyncio.to_thread(_find_made, text, taken, asked, desk)
        replayed = isinstance(taken, Repeated)
    headers = {"Idempotency-Replayed": "true"} if replayed else {}
    return answer(describe_message(row), status=202, headers=headers)


@router.post(
    "/messages/decisions",
    responses=answers(DecisionOut, 409, 413, 415),
    openapi_extra=KEYED,
    response_model=None,
)
async def decide_message(
    body: DecisionIn, request: Request, desk: _Decides, numbers: queries.Full = None
) -> Response:
    """
    Say whether a carrier may deliver a text that it keeps, and to whom; a use is counted.

    The same request within ten minutes counts nothing more, and is looked at anew.
    """
    if numbers is not None:
        desk.require(KeyScope.NUMBERS_READ)
    screened = screen_text(
        sender=body.from_, to=body.to, body="", fixed_lines=desk.options.fixed_lines
    )
    if isinstance(screened, Refusal):
        reason = await asyncio.to_thread(_explain, screened.reason, body.to, desk)
        return answer(_refused(reason))
    if body.octets > LONGEST or body.parts > MOST_PARTS:
        return answer(_refused(Reason.TOO_LONG))
    text = CarriedText(
        sender=screened.sender,
        x_number=screened.x_number,
        said_octets=body.octets,
        said_parts=body.parts,
    )
    asked = _asked(request, desk, text, str(body.octets), str(body.parts))
    again = await asyncio.to_thread(_look_again, text, asked, desk)
    if again is None:
        again = await _decide(text, asked, request, desk)
    if isinstance(again, Reason):
        return answer(_refused(_told(again, desk)))
    name, found = again
    if numbers is not None:
        act = "POST /v1/messages/decisions?numbers=full"
        await asyncio.to_thread(desk.audit, act, f"the receiver of text {name}")
    tenant = await asyncio.to_thread(lambda: _records(desk).find(name)["tenant"])
    return answer(
        {
            "verdict": "take",
            "reason": None,
            "id": name,
            "receiver": found.receiver.masked if numbers is None else found.receiver.digits,
            "shown": str(found.shown),
            "binding": found.binding,
            "tenant": tenant,
        }
    )


@router.post(
    "/messages/{message_id}/outcome",
    responses=answers(MessageOut, 404, 409, 413, 415, told="Noted"),
    response_model=None,
)
def report_message(message_id: str, body: OutcomeIn, desk: _Decides) -> Response:
    """
    Note what has become of a text that its carrier keeps; the same may be told again.
    """
    try:
        row = _records(desk).report(message_id, MessageState(body.state))
    except MessageNotFound:
        raise MessageNotFound from None
    return answer(describe_message(row))


def _done(desk: Desk, act: str, work: Callable[[], dict[str, Any]]) -> Response:
    """
    Do something with a text, and write it down.

    Raises:
        MessageNotFound: There is none, or it is another tenant's.
    """
    try:
        with desk.queries.transaction():
            row = work()
            # A name is one of ours once it was found.
            desk.audit(act, f"text {row['id']}")
    except MessageNotFound:
        # What was asked for could be anything, a number too.
        raise MessageNotFound from None
    return answer(describe_message(row))


def _explain(reason: Reason, to: str, desk: Desk) -> Reason:
    """
    Why a text is refused that was refused for its numbers: also one to a number of before.
    """
    if reason is not Reason.X_MALFORMED:
        return reason
    try:
        row = desk.queries.row("find_new_number", {"number": parse_old_number(to)})
    except NumberError:
        return reason
    if row is None:
        return reason
    new, until = XNumber.from_int(row["x_number"]), desk.options.old_until
    return refuse_old_number(new, now=desk.now, until=until).reason


def _texts(request: Request) -> TextTaking:
    door: Door = request.app.state.door
    return door.texts


@dataclass(frozen=True, slots=True)
class _Asked:
    """
    By what a request is known again: digests under every tag key.

    A new one is kept under the last of them.
    """

    same: list[bytes]
    """Of its key."""
    what: list[bytes]
    """Of what it asks for: under the same key nothing else may be."""


def _asked(request: Request, desk: Desk, text: Text, *said: str) -> _Asked:
    owner = (desk.tenant or "").encode()
    action = request.state.action.encode()
    what = (text.sender.digits, str(text.x_number.value), *said)
    return _Asked(
        same=desk.keys.request_tags(b"message", b"http", action, owner, read_key(request)),
        what=desk.keys.request_tags(b"message asked", *(each.encode() for each in what)),
    )


def _prepare(body: MessageIn, text: Text, asked: _Asked, desk: Desk) -> dict[str, Any] | None:
    """
    Make sure that its door is known, and write down that it is sent.

    Returns:
        The record of the text that was taken by the same request before, if any.

    Raises:
        Problem: There is no such door; or by the same key another one was asked for.
    """
    links = {"sip"}
    if desk.tenant is None:
        # They are the operator's.
        links |= {row["name"] for row in LinkRecords(desk.store.connection).links()}
    if body.link not in links:
        fault = FieldFault("/link", "link_not_found", "there is no such door: sip, or a link")
        raise Problem.of_fields([fault])
    desk.audit("POST /v1/messages", f"a text to {text.x_number}")
    seen = _find_seen(text, asked, desk)
    return None if seen is None else seen.record


def _find_made(
    text: Text, taken: Accepted | Repeated, asked: _Asked, desk: Desk
) -> dict[str, Any]:
    """
    The record of a text that was taken, now or before.

    Raises:
        Problem: By the same key another one was.
        MessageNotFound: It has been forgotten meanwhile.
    """
    if isinstance(taken, Accepted):
        return _records(desk).find(taken.id)
    seen = _find_seen(text, asked, desk)
    if seen is None:
        raise MessageNotFound
    return seen.record


def _find_seen(text: Text, asked: _Asked, desk: Desk) -> Seen | None:
    """
    The text that was taken by the same request before, if any.

    Raises:
        Problem: By the same key another one was asked for.
    """
    seen = _records(desk).seen(text.x_number.block, asked.same, asked.what)
    if seen is not None and not seen.is_same:
        raise Problem.of_door("idempotency_key_reused")
    return seen


def _problem(reason: Reason, limits: TextLimits, desk: Desk) -> Problem:
    """
    What is answered to a text that is refused, and when it may be sent again where that passes.
    """
    wait = limits.wait(reason)
    told = _told(reason, desk).value
    if wait is not None:
        headers = {"Retry-After": str(math.ceil(wait.total_seconds()))}
        return Problem.of_door("too_many_texts", headers=headers, more=reason.value)
    headers = {"Retry-After": "5"} if reason.is_platform_fault else {}
    return Problem.of_door("text_refused", headers=headers, more=told)


def _look_again(text: CarriedText, asked: _Asked, desk: Desk) -> tuple[str, Taken] | Reason | None:
    """
    What is to be said of a text that was asked about before; :obj:`None`: it was not.

    It is looked at anew: where it may not be delivered any more, or would reach somebody else, its
    use comes back, and it is refused as often as it is asked about.

    Raises:
        Problem: By the same key another text was asked about.
        MessageOver: It might be delivered, but its use has come back.
    """
    seen = _find_seen(text, asked, desk)
    if seen is None:
        return None
    row = seen.record
    name = row["id"]
    over = row["state"] == MessageState.UNDELIVERED
    records = _records(desk)
    admission = records.facts(text, desk.keys, at=None, open_modes=desk.options.open_modes)
    facts = admission.facts
    if facts.hit is not None and not over:
        # Its own use is counted already.
        hit = replace(facts.hit, calls_used=facts.hit.calls_used - 1)
        facts = replace(facts, hit=hit)
    found = decide_text(text, facts, now=admission.now)
    binding = f"{row['block']}-{row['binding_id']}"
    if (
        isinstance(found, Taken)
        and found.binding == binding
        and seen.receiver_tag in desk.keys.tags(found.receiver)
    ):
        if over:
            raise MessageOver
        return name, found
    if not over:
        records.report(name, MessageState.UNDELIVERED)
    return found.reason if isinstance(found, Refusal) else Reason.UNBOUND


async def _decide(
    text: CarriedText, asked: _Asked, request: Request, desk: Desk
) -> tuple[str, Taken] | Reason:
    """
    Take a text that its carrier keeps, if it may be delivered.

    Raises:
        Problem: The store could not be asked.
        StoreError: Nobody knows whether it was taken.
        MessageOver: See :func:`_look_again`.
    """
    texts = _texts(request)
    if too_many := texts.limits.count(text):
        return too_many
    keys, scope = desk.keys, desk.store.scope
    async with without_store(request, desk):
        taken = await texts.take(
            text,
            asked.same[-1],
            asked=asked.what[-1],
            keys=keys,
            link=CARRIED,
            scope=scope,
        )
    if isinstance(taken, Accepted):
        found = decide_text(text, taken.stored.facts, now=taken.stored.now)
        # The guard and the rule are one.
        return (taken.id, found) if isinstance(found, Taken) else Reason.PLATFORM_FAULT
    if isinstance(taken, Repeated):
        # Asked twice at once: the other one was first.
        again = await asyncio.to_thread(_look_again, text, asked, desk)
        return Reason.PLATFORM_FAULT if again is None else again
    return taken


def _told(reason: Reason, desk: Desk) -> Reason:
    """
    Why a text is refused, as whoever has asked is told.
    """
    return Reason.NO_BINDING if desk.options.strict and reason.reveals_binding else reason


def _refused(reason: Reason) -> dict[str, Any]:
    empty = dict.fromkeys(("id", "receiver", "shown", "binding", "tenant"))
    return {"verdict": "refuse", "reason": reason.value, **empty}


def _records(desk: Desk) -> MessageRecords:
    return MessageRecords(desk.store.connection, desk.store.scope)
