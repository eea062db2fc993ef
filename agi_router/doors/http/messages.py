"""
``/v1/messages``: what became of texts, and what would become of one; never what they say.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from agi_router.bindings.model import BindingId
from agi_router.calls.ports import Admission
from agi_router.doors.http.answers import answer, page
from agi_router.doors.http.auth import Desk, Needs
from agi_router.errors import BindingNotFound, MessageNotFound
from agi_router.messages.explanation import explain_text
from agi_router.messages.model import MessageState, Text
from agi_router.messages.records import MessageRecords, cursor_of
from agi_router.messages.views import describe_message, describe_text_explanation
from agi_router.numbers import XNumber
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.explanations import TextExplanationIn, TextExplanationOut
from agi_router.schemas.fields import read_cursor, read_field, read_time
from agi_router.schemas.messages import MessageOut, MessagesOut
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["messages"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.MESSAGES_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.MESSAGES_WRITE), scope="function")]

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
        binding=None if binding is None else _binding(binding, desk),
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
        return _records(desk).facts(text, desk.store.keys, at=body.at)

    explanation = explain_text(
        look, sender=body.sender, to=body.x, at=body.at, fixed_lines=desk.options.fixed_lines
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
    try:
        return answer(describe_message(_records(desk).release(message_id)))
    except MessageNotFound:
        raise MessageNotFound from None


@router.post(
    "/messages/{message_id}/discard",
    responses=answers(MessageOut, 404, 409, told="Discarded"),
    response_model=None,
)
def discard_message(message_id: str, desk: _Writes) -> Response:
    """
    End a text that is not sent yet: what it says is deleted, and its use comes back.
    """
    try:
        return answer(describe_message(_records(desk).discard(message_id)))
    except MessageNotFound:
        raise MessageNotFound from None


def _records(desk: Desk) -> MessageRecords:
    return MessageRecords(desk.store.connection, desk.store.scope)


def _binding(text: str, desk: Desk) -> BindingId:
    """
    The name of a binding that this key reaches.

    Raises:
        BindingNotFound: There is none.
    """
    try:
        return desk.store.find(BindingId.parse(text)).id
    except BindingNotFound:
        raise BindingNotFound from None
