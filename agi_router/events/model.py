"""
Events, and the webhooks they are sent to, as values.

Closed sets are enums; their values are the words of database, command line and receivers.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from agi_router.bindings.model import BindingId
from agi_router.errors import WebhookInvalid
from agi_router.texts import strip

__all__ = [
    "ALI_TYPES",
    "LARGEST_BATCH",
    "LONGEST_WAIT",
    "Cursor",
    "Event",
    "EventType",
    "Format",
    "Numbers",
    "Webhook",
    "WebhookState",
    "batch_name",
    "check_url",
    "check_webhook",
    "event_name",
    "parse_event_name",
    "parse_types",
]


class EventType(StrEnum):
    """
    What happened.
    """

    BINDING_CREATED = "binding.created"
    BINDING_CHANGED = "binding.changed"
    BINDING_ENDED = "binding.ended"
    CALL_ADMITTED = "call.admitted"
    CALL_ANSWERED = "call.answered"
    CALL_ENDED = "call.ended"
    CALL_REFUSED = "call.refused"
    MESSAGE_HELD = "message.held"
    MESSAGE_ACCEPTED = "message.accepted"
    MESSAGE_SENT = "message.sent"
    MESSAGE_FAILED = "message.failed"
    MESSAGE_DELIVERED = "message.delivered"
    MESSAGE_UNDELIVERED = "message.undelivered"
    RECORDING_KEPT = "recording.kept"
    RECORDING_MISSING = "recording.missing"
    RECORDING_DELETED = "recording.deleted"
    FEED_FINISHED = "feed.finished"
    EXPORT_FINISHED = "export.finished"
    NUMBER_CHANGED = "number.changed"
    BLOCK_EXPIRING = "block.expiring"
    POOL_LOW = "pool.low"
    LOCK_SET = "lock.set"
    LOCK_LIFTED = "lock.lifted"
    APPEAL_FILED = "appeal.filed"
    APPEAL_CHANGED = "appeal.changed"
    APPEAL_CLOSED = "appeal.closed"
    APPEAL_OVERDUE = "appeal.overdue"
    APPEAL_REBOUND = "appeal.rebound"
    COMPLAINT_ALARM = "complaint.alarm"
    ORDER_CROWDED = "order.crowded"
    BLOCKLIST_ADDED = "blocklist.added"
    BLOCKLIST_REMOVED = "blocklist.removed"
    WEBHOOK_HELD = "webhook.held"
    WEBHOOK_OFF = "webhook.off"
    WEBHOOK_TEST = "webhook.test"


class Format(StrEnum):
    """
    How events are written for a webhook: as CloudEvents, or as an older service did.
    """

    CLOUDEVENTS = "cloudevents"
    ALI = "ali"


class Numbers(StrEnum):
    """
    Whether a webhook gets real numbers masked, or in full.
    """

    MASKED = "masked"
    FULL = "full"


class WebhookState(StrEnum):
    """
    Whether a webhook is sent to, and why not.
    """

    ACTIVE = "active"
    PAUSED = "paused"
    """Its tenant asked for it."""
    FAILED = "failed"
    """It has taken nothing for days."""
    GONE = "gone"
    """It said so, by 410."""
    REMOVED = "removed"


ALI_TYPES = frozenset(
    {
        EventType.CALL_ADMITTED,
        EventType.CALL_ANSWERED,
        EventType.CALL_ENDED,
        EventType.CALL_REFUSED,
        EventType.MESSAGE_HELD,
        EventType.MESSAGE_SENT,
        EventType.MESSAGE_FAILED,
        EventType.RECORDING_KEPT,
    }
)
"""What the format ``ali`` has a report for."""

LARGEST_BATCH = 100
"""Events in one request, at most."""

LONGEST_WAIT = 60
"""Seconds that a batch may wait for more."""

_ASKED_FOR = tuple(each for each in EventType if each is not EventType.WEBHOOK_TEST)
_LONGEST_URL = 2000
_URL = re.compile(
    r"(https?)://([a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[0-9]{1,5})?(/[!-\"$-~]*)?"
)
_CURSOR = re.compile(r"([0-9]{1,20})\.([0-9]{1,18})")
_NAME = re.compile(r"evt_([0-9]{1,18})")
_LARGEST_XID = 2**64 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """
    One event, as it was written.
    """

    id: int
    type: EventType
    at: datetime
    tenant: str
    binding: BindingId | None
    sequence: int | None
    """Its place among the events of its binding."""
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """
    Where a tenant has events sent to; without its secrets.
    """

    id: int
    tenant: str
    url: str
    types: tuple[EventType, ...]
    format: Format
    numbers: Numbers
    batch: int
    """So many events are sent in one request at most; 1: each by itself."""
    batch_wait: timedelta
    """For so long a batch that is not full waits for more."""
    state: WebhookState
    failures: int
    failed_since: datetime | None
    created_at: datetime
    version: int
    """How often somebody has said what it is."""


@dataclass(frozen=True, slots=True, order=True)
class Cursor:
    """
    Where somebody who pulls events stands: behind this event of this transaction.
    """

    xid: int
    id: int

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """
        Read a cursor, as a list of events has given it.

        Raises:
            ValueError: It is none.
        """
        match = _CURSOR.fullmatch(strip(text))
        if match is None or int(match[1]) > _LARGEST_XID:
            raise ValueError("a cursor is what a list of events has given as the next one")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.xid}.{self.id}"


def event_name(event_id: int) -> str:
    """
    What an event is called outside.
    """
    return f"evt_{event_id}"


def parse_event_name(text: str) -> int:
    """
    Read an event's name.

    Raises:
        ValueError: It is none.
    """
    match = _NAME.fullmatch(strip(text))
    if match is None:
        raise ValueError("an event's id looks like evt_1234")
    return int(match[1])


def parse_types(words: Iterable[str]) -> tuple[EventType, ...]:
    """
    Read types of events, in the order in which they are listed here; ``all`` is all of them.

    Raises:
        ValueError: One is unknown, or there is none.
    """
    wanted = {strip(word) for word in words}
    known = {each.value for each in _ASKED_FOR}
    if not wanted or not wanted <= known | {"all"}:
        raise ValueError(f"types are all, or some of {', '.join(sorted(known))}")
    return tuple(each for each in _ASKED_FOR if each.value in wanted or "all" in wanted)


def check_url(text: str) -> str:
    """
    Return *text* if it may be the address of a webhook.

    Raises:
        ValueError: It may not: another scheme, a user, a fragment, or what is no address.
    """
    text = strip(text)
    if len(text) > _LONGEST_URL or not _URL.fullmatch(text) or not _has_address(text):
        raise ValueError(
            "a webhook's address looks like https://example.com/hooks/calls, with a host in small"
            " letters, and without user and fragment"
        )
    return text


def _has_address(url: str) -> bool:
    """
    Whether what stands in brackets is an address, and the port is one.
    """
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def batch_name(batch: int) -> str:
    """
    What a batch of events is called outside.
    """
    return f"batch_{batch}"


def check_webhook(
    url: str,
    types: Collection[EventType],
    form: Format,
    numbers: Numbers,
    *,
    batch: int = 1,
    batch_wait: timedelta = timedelta(),
) -> None:
    """
    Make sure that a webhook may be like this.

    Raises:
        WebhookInvalid: Its format does not go with its types, numbers or batches, or numbers
            would be sent in the open.
    """
    if form is Format.ALI and batch > 1:
        raise WebhookInvalid("the format ali has no batches: a batch is 1")
    if batch_wait and batch == 1:
        raise WebhookInvalid("a batch of 1 is full at once: batch_wait goes with a larger one")
    if form is Format.ALI and not ALI_TYPES.issuperset(types):
        known = ", ".join(sorted(ALI_TYPES))
        raise WebhookInvalid(f"the format ali has reports for {known} only: name these as types")
    if form is Format.ALI and numbers is not Numbers.FULL:
        raise WebhookInvalid("the format ali has real numbers in full: ask for them")
    if numbers is Numbers.FULL and not url.startswith("https:"):
        raise WebhookInvalid("real numbers are sent in full by https only")
