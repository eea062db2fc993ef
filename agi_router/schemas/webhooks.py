"""
What is said of webhooks and their deliveries.
"""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from agi_router.events.model import (
    LARGEST_BATCH,
    LONGEST_WAIT,
    EventType,
    Format,
    Numbers,
    WebhookState,
    check_url,
    event_name,
    parse_event_name,
    parse_types,
)
from agi_router.schemas.base import TIME, Body, Out, example
from agi_router.schemas.fields import Time
from agi_router.schemas.problems import FieldFault, Problem
from agi_router.tenants.model import check_tenant

__all__ = [
    "DeliveriesOut",
    "DeliveryOut",
    "EventTypesIn",
    "EventTypesOut",
    "OwedOut",
    "ResendIn",
    "ResendToAllIn",
    "RotationIn",
    "SecretOut",
    "SentOut",
    "WebhookChange",
    "WebhookIn",
    "WebhookMadeOut",
    "WebhookOut",
    "WebhooksOut",
    "read_resend",
    "read_webhook_change",
]


def _is_event(text: str) -> str:
    return event_name(parse_event_name(text))


def _asked_for(types: list[EventType]) -> list[EventType]:
    return list(parse_types(types))


def _perhaps_asked_for(types: list[EventType]) -> list[EventType]:
    return _asked_for(types) if types else types


_Types = Annotated[
    list[Annotated[EventType, Field(strict=False)]],
    Field(min_length=1, max_length=len(EventType)),
    AfterValidator(_asked_for),
]
_Url = Annotated[
    str,
    Field(max_length=2000, examples=["https://shop.example/hooks"]),
    AfterValidator(check_url),
]
_ALL_TYPES = parse_types(["all"])


class WebhookIn(Body):
    """
    A webhook to be added: an address to which events are sent.
    """

    url: _Url = Field(description="An https address at a public host.")
    types: _Types = Field(
        default=list(_ALL_TYPES), description="What it gets, and what is written from now on."
    )
    format: Annotated[Format, Field(strict=False)] = Format.CLOUDEVENTS
    numbers: Annotated[Numbers, Field(strict=False)] = Field(
        default=Numbers.MASKED,
        description="Whether parties are sent in full: needs numbers:read, and is audited.",
    )
    batch: int = Field(
        default=1,
        ge=1,
        le=LARGEST_BATCH,
        description="So many events are sent in one request at most; 1: each by itself.",
    )
    batch_wait: int = Field(
        default=0,
        ge=0,
        le=LONGEST_WAIT,
        description="So many seconds a batch that is not full waits for more; 0: not at all.",
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )

    model_config = example(
        {
            "url": "https://shop.example/hooks",
            "types": ["binding.ended", "call.ended"],
        }
    )


class WebhookChange(Body):
    """
    What changes of a webhook (RFC 7396): what is left out stays, null is what a new one has.
    """

    url: _Url | None = None
    types: _Types | None = None
    format: Annotated[Format, Field(strict=False)] | None = None
    numbers: Annotated[Numbers, Field(strict=False)] | None = None
    batch: int | None = Field(default=None, ge=1, le=LARGEST_BATCH)
    batch_wait: int | None = Field(default=None, ge=0, le=LONGEST_WAIT)

    model_config = example({"types": ["call.ended"]})


class RotationIn(Body):
    """
    How a webhook or a check gets a new secret.
    """

    overlap: int = Field(
        default=86_400,
        ge=0,
        le=30 * 86_400,
        description="Seconds for which the old secret signs, too.",
    )

    model_config = example({"overlap": 86_400})


class ResendIn(Body):
    """
    Events to be sent to a webhook once more: one, or those of a time.
    """

    event: Annotated[str, Field(max_length=32), AfterValidator(_is_event)] | None = Field(
        default=None, description="This one.", examples=["evt_4711"]
    )
    since: Time | None = Field(default=None, description="Those since this time.")
    until: Time | None = Field(default=None, description="With since: those before this time.")

    model_config = example({"event": "evt_4711"}, {"since": "2026-01-31T15:04:05Z"})


class ResendToAllIn(ResendIn):
    """
    Events to be sent once more to every webhook that gets their types.
    """

    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose; the operator's keys alone may say so."
    )


class EventTypesIn(Body):
    """
    The types of events that are written for a tenant.
    """

    types: Annotated[
        list[Annotated[EventType, Field(strict=False)]],
        Field(max_length=len(EventType)),
        AfterValidator(_perhaps_asked_for),
    ] = Field(description="All others are not written; empty: none is, and no webhook gets any.")
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose; the operator's keys alone may say so."
    )

    model_config = example({"types": ["binding.ended", "call.ended"]})


def read_resend(body: ResendIn) -> dict[str, Any]:
    """
    What is to be sent again, by the names of :meth:`agi_router.events.store.EventStore.resend`.

    Raises:
        Problem: It is not said in one of the two ways.
    """
    if (body.event is None) == (body.since is None) or (body.until and body.since is None):
        fault = FieldFault("", "missing", "give event, or since and perhaps until")
        raise Problem.of_fields([fault])
    return {
        "event_id": None if body.event is None else parse_event_name(body.event),
        "since": body.since,
        "until": body.until,
    }


def read_webhook_change(body: WebhookChange) -> dict[str, Any]:
    """
    What is to change, by the names of :meth:`agi_router.events.store.EventStore.change`.

    Raises:
        Problem: A webhook is to be without an address.
    """
    if "url" in body.model_fields_set and body.url is None:
        raise Problem.of_fields([FieldFault("/url", "missing", "a webhook has an address")])
    said = {
        "url": body.url,
        "types": body.types or _ALL_TYPES,
        "format": body.format or Format.CLOUDEVENTS,
        "numbers": body.numbers or Numbers.MASKED,
        "batch": body.batch or 1,
        "batch_wait": timedelta(seconds=body.batch_wait or 0),
    }
    return {
        {"format": "form"}.get(name, name): said[name] for name in sorted(body.model_fields_set)
    }


_SECRET = f"whsec_{'A' * 43}="
_WEBHOOK: dict[str, Any] = {
    "id": "3",
    "tenant": "couriers",
    "url": "https://shop.example/hooks",
    "types": ["binding.ended", "call.ended"],
    "format": "cloudevents",
    "numbers": "masked",
    "batch": 1,
    "batch_wait": 0,
    "state": "active",
    "failures": 0,
    "failed_since": None,
    "created_at": TIME,
    "version": 1,
    "owed": 0,
    "held": 0,
}


class WebhookOut(Out):
    """
    A webhook, without its secrets.
    """

    id: str
    tenant: str
    url: str
    types: list[EventType]
    format: Format
    numbers: Numbers
    batch: int = Field(description="So many events are sent in one request at most.")
    batch_wait: int = Field(
        description="So many seconds a batch that is not full waits for more; 0: not at all."
    )
    state: WebhookState = Field(description="Only an active one is sent to.")
    failures: int = Field(description="Failed tries since the last success.")
    failed_since: str | None
    created_at: str
    version: int = Field(description="Counts its changes.")
    owed: int = Field(description="Deliveries that are under way or will be tried.")
    held: int = Field(description="Those that have failed for seven days: resend them.")

    model_config = example(_WEBHOOK)


class WebhookMadeOut(WebhookOut):
    """
    A webhook that was just added: its secret is told here, and never again.
    """

    secret: str | None = Field(
        default=None, description="What signs events; left out where it is answered again."
    )

    model_config = example({**_WEBHOOK, "secret": _SECRET})


class WebhooksOut(Out):
    """
    Webhooks.
    """

    webhooks: list[WebhookOut]

    model_config = example({"webhooks": [_WEBHOOK]})


class SecretOut(Out):
    """
    A secret that was just made: it is told here, and never again.
    """

    secret: str

    model_config = example({"secret": _SECRET})


class SentOut(Out):
    """
    The id of an event that is owed.
    """

    event: str

    model_config = example({"event": "evt_4711"})


class OwedOut(Out):
    """
    How many events are owed again.
    """

    owed: int

    model_config = example({"owed": 12})


_DELIVERY: dict[str, Any] = {
    "event": "evt_4711",
    "at": TIME,
    "try": 1,
    "status": 503,
    "ms": 41,
    "why": "it answered 503",
}


class DeliveryOut(Out):
    """
    A try to deliver an event.
    """

    event: str
    at: str
    try_: int = Field(alias="try")
    status: int | None = Field(description="Of HTTP; null: there was no answer.")
    ms: int
    why: str | None = Field(description="Why it failed; null: it has arrived.")

    model_config = example(_DELIVERY)


class DeliveriesOut(Out):
    """
    Tries to deliver, newest first.
    """

    deliveries: list[DeliveryOut]

    model_config = example({"deliveries": [_DELIVERY]})


class EventTypesOut(Out):
    """
    The types of events that are written for a tenant.
    """

    tenant: str
    types: list[EventType]

    model_config = example({"tenant": "couriers", "types": ["binding.ended", "call.ended"]})
