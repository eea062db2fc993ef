"""
``/v1/message-rules``: which texts of a tenant's bindings go on, how, and when.
"""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import Response

from agi_router.doors.http.answers import answer
from agi_router.doors.http.auth import Desk, Needs
from agi_router.doors.http.webhooks import tenant_of
from agi_router.logs import redact
from agi_router.messages.rule_store import TextRuleStore
from agi_router.messages.rules import TextRules
from agi_router.messages.views import describe_rules
from agi_router.schemas import queries
from agi_router.schemas.answers import answers
from agi_router.schemas.messages import MessageRulesIn, MessageRulesOut
from agi_router.tenants.api_keys import KeyScope

__all__ = ["router"]

router = APIRouter(prefix="/v1", tags=["messages"])

_Reads = Annotated[Desk, Depends(Needs(KeyScope.MESSAGES_READ), scope="function")]
_Writes = Annotated[Desk, Depends(Needs(KeyScope.MESSAGES_WRITE), scope="function")]


@router.get("/message-rules", responses=answers(MessageRulesOut, 404), response_model=None)
def get_message_rules(desk: _Reads, tenant: queries.Tenant = None) -> Response:
    """
    Get the rules by which texts are judged.
    """
    return answer(describe_rules(_store(desk).find(tenant_of(tenant, desk))))


@router.put(
    "/message-rules",
    responses=answers(MessageRulesOut, 404, 413, 415, told="They hold from now on"),
    response_model=None,
)
def put_message_rules(
    body: MessageRulesIn, desk: _Writes, tenant: queries.Tenant = None
) -> Response:
    """
    Judge each text by these rules from now on; what is left out takes all texts.
    """
    name = tenant_of(tenant, desk)
    rules = TextRules(
        numbers=body.numbers,
        words=tuple(body.words),
        templates=tuple(body.templates),
        opt_out=tuple(body.opt_out),
        hold=None if body.hold is None else timedelta(seconds=body.hold),
        checked=body.checked,
    )
    with desk.queries.transaction():
        put = _store(desk).put(name, rules)
        desk.audit("PUT /v1/message-rules", redact(f"rules for texts of {name}"))
    return answer(describe_rules(put))


def _store(desk: Desk) -> TextRuleStore:
    return TextRuleStore(desk.queries, scope=desk.store.scope)
