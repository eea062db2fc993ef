"""
What is said of texts, their rules and their links.
"""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from agi_router.bindings.reasons import Reason
from agi_router.messages.model import LONGEST, MessageState
from agi_router.messages.rules import LONGEST_HOLD, MOST_WORDS, NumberRule, check_words
from agi_router.schemas.base import TIME, Body, NextCursor, Out, example

__all__ = [
    "MESSAGE",
    "DecisionIn",
    "DecisionOut",
    "MessageIn",
    "MessageLinkOut",
    "MessageLinksOut",
    "MessageOut",
    "MessageRulesIn",
    "MessageRulesOut",
    "MessagesOut",
    "OutcomeIn",
]

_Words = Annotated[
    list[Annotated[str, Field(max_length=500)]],
    Field(max_length=MOST_WORDS),
    AfterValidator(lambda words: list(check_words(words))),
]


class MessageRulesIn(Body):
    """
    By which rules texts are judged: what is left out takes all of them.
    """

    numbers: Annotated[NumberRule, Field(strict=False)] = Field(
        default=NumberRule.PASS,
        description="What becomes of a text that tells a phone number.",
    )
    words: _Words = Field(default=[], description="A text with one of these is refused.")
    templates: _Words = Field(
        default=[],
        description="A text that is none of these is refused; * stands for anything.",
    )
    opt_out: _Words = Field(
        default=[],
        description="Who sends nothing but one of these is texted by that binding no more.",
    )
    hold: int | None = Field(
        default=None,
        ge=1,
        le=int(LONGEST_HOLD.total_seconds()),
        description="Seconds that a text waits for its release; null: it does not.",
    )
    checked: bool = Field(
        default=False,
        description="Whether the tenant's verification service, see `/v1/check`, is asked about"
        " each before it is taken.",
    )

    model_config = example({"numbers": "redact", "words": ["加微信"], "hold": 600})


_MESSAGE_RULES: dict[str, Any] = {
    "tenant": "couriers",
    "numbers": "redact",
    "words": ["加微信"],
    "templates": [],
    "opt_out": ["TD", "退订"],
    "hold": None,
    "checked": False,
    "changed_at": TIME,
}
MESSAGE: dict[str, Any] = {
    "id": "70012345678-1769843045.1234567890",
    "tenant": "couriers",
    "x": "700123456780001",
    "binding": "70012345678-42",
    "side": "a",
    "shown": "700123456780001",
    "octets": 33,
    "parts": 1,
    "state": "sent",
    "reason": None,
    "status": 202,
    "attempts": 1,
    "maybe_twice": False,
    "received_at": TIME,
    "expires_at": "2026-01-31T17:04:05+00:00",
    "done_at": "2026-01-31T15:04:06+00:00",
    "check_id": None,
    "check_verdict": None,
    "check_ms": None,
    "tenant_check_id": None,
    "tenant_check_verdict": None,
    "tenant_check_ms": None,
}


class MessageIn(Body):
    """
    A text that is sent as if a party had.
    """

    from_: str = Field(
        alias="from",
        max_length=64,
        description="Who sends it: a party.",
        examples=["13800000001"],
    )
    to: str = Field(
        max_length=64, description="The number it is sent to.", examples=["700123456780001"]
    )
    text: str = Field(
        min_length=1, max_length=LONGEST, description="What it says.", examples=["到门口了"]
    )
    link: str = Field(
        default="sip",
        pattern="^[a-z0-9_-]{1,32}$",
        description="The door by which it goes: sip, or a link.",
    )

    model_config = example({"from": "13800000001", "to": "700123456780001", "text": "到门口了"})


class DecisionIn(Body):
    """
    A text that its carrier keeps, and delivers if it may.
    """

    from_: str = Field(
        alias="from",
        max_length=64,
        description="The sender's number, as it arrived.",
        examples=["13800000001"],
    )
    to: str = Field(
        max_length=64, description="The number it is sent to.", examples=["700123456780001"]
    )
    octets: int = Field(ge=0, le=1_000_000, description="Its length in UTF-8.", examples=[33])
    parts: int = Field(
        default=1, ge=1, le=255, description="How many short messages it is.", examples=[1]
    )

    model_config = example({"from": "13800000001", "to": "700123456780001", "octets": 33})


class DecisionOut(Out):
    """
    Whether a carrier may deliver a text, and to whom.
    """

    verdict: Literal["take", "refuse"]
    reason: Reason | None
    id: str | None = Field(description="By which its carrier tells what has become of it.")
    receiver: str | None = Field(description="Who receives it; masked, unless asked for in full.")
    shown: str | None = Field(description="The 700 number that the receiver is to be shown.")
    binding: str | None
    tenant: str | None

    model_config = example(
        {
            "verdict": "take",
            "reason": None,
            "id": MESSAGE["id"],
            "receiver": "138****0002",
            "shown": "700123456780001",
            "binding": "70012345678-42",
            "tenant": "couriers",
        }
    )


class OutcomeIn(Body):
    """
    What has become of a text that its carrier keeps.
    """

    state: Literal["delivered", "undelivered", "unknown"] = Field(
        description="`undelivered`: it was not delivered, for whatever reason; its use comes back."
    )

    model_config = example({"state": "delivered"})


class MessageOut(Out):
    """
    A text that was accepted, without what it said.
    """

    id: str
    tenant: str
    x: str
    binding: str
    side: str = Field(description="Of the sender.")
    shown: str = Field(description="The 700 number that the receiver is shown.")
    octets: int = Field(description="Its length in UTF-8.")
    parts: int = Field(description="How many short messages it is.")
    state: MessageState
    reason: str | None = Field(description="Why it was not sent.")
    status: int | None = Field(description="Final SIP status of the last try.")
    attempts: int
    maybe_twice: bool = Field(description="Whether it may have arrived twice.")
    received_at: str
    expires_at: str = Field(description="When it is given up.")
    done_at: str | None
    check_id: str | None = Field(
        description="Of the question to the operator's verification service; null: it was not"
        " asked."
    )
    check_verdict: str | None = Field(description="yes.")
    check_ms: int | None
    tenant_check_id: str | None = Field(description="The same of the tenant's own service.")
    tenant_check_verdict: str | None = Field(description="yes or unavailable.")
    tenant_check_ms: int | None

    model_config = example(MESSAGE)


_MESSAGE_LINK: dict[str, Any] = {
    "name": "carrier",
    "state": "up",
    "drained": False,
    "node": "texts-1",
    "up_since": TIME,
    "owed": 0,
}


class MessageLinkOut(Out):
    """
    A link to a message centre.
    """

    name: str
    state: Literal["up", "down", "draining", "drained", "unserved"] = Field(
        description="`unserved`: no process has it."
    )
    drained: bool = Field(description="Whether it is to be unbound.")
    node: str = Field(description="Machine of the process that has it, or had it last.")
    up_since: str | None
    owed: int = Field(description="How many texts are to go out by it.")

    model_config = example(_MESSAGE_LINK)


class MessageLinksOut(Out):
    """
    The links to message centres.
    """

    links: list[MessageLinkOut]

    model_config = example({"links": [_MESSAGE_LINK]})


class MessageRulesOut(Out):
    """
    The rules by which a tenant's texts are judged.
    """

    tenant: str
    numbers: NumberRule
    words: list[str]
    templates: list[str]
    opt_out: list[str]
    hold: int | None = Field(description="Seconds that a text waits for its release.")
    checked: bool = Field(description="Whether the tenant's verification service is asked.")
    changed_at: str | None = Field(description="Null: all texts go on, as of itself.")

    model_config = example(_MESSAGE_RULES)


class MessagesOut(Out):
    """
    Texts, newest first.
    """

    messages: list[MessageOut]
    next_cursor: NextCursor = None

    model_config = example({"messages": [MESSAGE]})
