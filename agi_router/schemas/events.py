"""
What events say, as they are sent and pulled.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, RootModel

from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import BindingState, Mode, Side
from agi_router.calls.end import Clock, Outcome
from agi_router.events.model import LARGEST_BATCH, EventType, WebhookState
from agi_router.inventory.model import BlockState
from agi_router.messages.model import MessageState
from agi_router.persons.appeal_states import AppealState
from agi_router.persons.appeals import NOTICES, REBOUND
from agi_router.persons.effects import BlockDirection, LockReason, Subject
from agi_router.recordings.model import Gap, RecordingState
from agi_router.schemas.base import TIME, Out, example

__all__ = [
    "EVENTS",
    "AppealChangedEvent",
    "AppealClosedEvent",
    "AppealFiledEvent",
    "AppealOverdueEvent",
    "AppealReboundEvent",
    "AppealToldOut",
    "BindingChangedEvent",
    "BindingCreatedEvent",
    "BindingEndToldOut",
    "BindingEndedEvent",
    "BindingToldOut",
    "BlockExpiringEvent",
    "BlocklistAddedEvent",
    "BlocklistRemovedEvent",
    "CallAdmittedEvent",
    "CallAnsweredEvent",
    "CallEndedEvent",
    "CallRefusedEvent",
    "CallToldOut",
    "ComplaintAlarmEvent",
    "ComplaintToldOut",
    "EntryToldOut",
    "EventBase",
    "EventOut",
    "EventsOut",
    "ExportFinishedEvent",
    "ExportToldOut",
    "ExportedRecordsOut",
    "FeedFinishedEvent",
    "FeedToldOut",
    "LockLiftedEvent",
    "LockSetEvent",
    "LockToldOut",
    "LockedBindingOut",
    "MessageAcceptedEvent",
    "MessageDeliveredEvent",
    "MessageFailedEvent",
    "MessageHeldEvent",
    "MessageSentEvent",
    "MessageToldOut",
    "MessageUndeliveredEvent",
    "NumberChangedEvent",
    "NumberToldOut",
    "OrderCrowdedEvent",
    "OrderToldOut",
    "PoolLowEvent",
    "PoolToldOut",
    "RebindToldOut",
    "RecordingDeletedEvent",
    "RecordingKeptEvent",
    "RecordingMissingEvent",
    "RecordingToldOut",
    "ToldOut",
    "WebhookHeldEvent",
    "WebhookOffEvent",
    "WebhookTestEvent",
    "WebhookToldOut",
    "describe_sent",
]


class ToldOut(Out):
    """
    What every event tells; that of webhook.test is of nothing.
    """

    tenant: str
    binding_id: str | None
    parties: dict[Side, list[str]] = Field(
        description="Who was party to the binding then, by side: masked, or as the webhook has it."
    )


class BindingToldOut(ToldOut):
    """
    A binding as it was then.
    """

    mode: Mode
    pool: str | None = Field(description="The pool that the binding was made in.")
    state: BindingState
    order_id: str | None
    out_id: str | None
    user_data: str | None
    begins_at: str
    expires_at: str
    ended_at: str | None
    max_calls: int | None
    calls_used: int


class BindingEndToldOut(BindingToldOut):
    """
    A binding that is over, and by which clock.
    """

    ended_by: Literal["time", "count", "unbind", "order", "recycled", "consent"]


class CallToldOut(ToldOut):
    """
    A call as it was then, and the binding that it used, if any.
    """

    call_id: str
    x_number: str = Field(description="What was dialled.")
    shown: str | None = Field(description="The 700 number that the callee is shown.")
    caller_side: Side | None
    reason: Reason | None = Field(description="Why it was refused.")
    outcome: Outcome | None = Field(description="Of the dialled leg.")
    received_at: str
    answered_at: str | None
    ended_at: str | None
    ring_ms: int | None
    talk_ms: int | None
    q850: int | None
    sip_status: int | None = Field(
        description="The callee's final SIP status; null: it gave none, or several rang at once."
    )
    released_by: str | None
    clock: Clock | None = Field(description="Which clock ended it; null: none.")
    cut: LockReason | Literal["consent_withdrawn"] | None = Field(
        description="The reason of the lock for which it was cut, or that a party has withdrawn"
        " its consent; null: it was not."
    )
    mode: Mode | None
    pool: str | None = Field(description="The pool that the binding was made in.")
    extension: str | None = Field(description="By which A is reached, of AXE.")
    order_id: str | None
    out_id: str | None
    user_data: str | None
    max_calls: int | None
    calls_used: int | None


class LockedBindingOut(Out):
    """
    A live binding that a lock is about.
    """

    binding_id: str
    order_id: str | None


class EntryToldOut(ToldOut):
    """
    An entry of the tenant's block list as it was then; it names nobody.
    """

    entry_id: str
    scope: Literal["pair", "tenant"] = Field(
        description="Against one other person, or against anybody in the tenant's bindings."
    )
    direction: BlockDirection
    note: str | None
    added_at: str
    ends_at: str | None = Field(description="null: it holds until it is removed.")
    over_at: str | None


class LockToldOut(ToldOut):
    """
    A lock as it was then; whom it is on is known by the bindings.
    """

    lock_id: str
    subject: Subject
    x_number: str | None = Field(description="The 700 number, where it is on one.")
    block: str | None = Field(description="The block, where it is on one.")
    reason: LockReason
    note: str | None = Field(description="What the person may be told.")
    starts_at: str
    ends_at: str | None = Field(description="null: until it is reviewed.")
    over_at: str | None
    cut: bool = Field(description="Whether calls that are up as it begins are cut.")
    bindings: list[LockedBindingOut] = Field(
        description="The tenant's live bindings with the person or the number: a hundred at most."
    )


class AppealToldOut(ToldOut):
    """
    An appeal against a lock, as it was then.
    """

    appeal_id: str
    lock_id: str
    subject: Subject
    x_number: str | None = Field(description="The 700 number, where the lock is on one.")
    block: str | None = Field(description="The block, where it is on one.")
    person_tag: str | None = Field(
        description="Of a person: the same in each event to this tenant, until keys are rotated."
    )
    reason: LockReason
    state: AppealState
    deadline_at: str | None = Field(description="Until when the next step is due.")
    overdue: bool
    decision_note: str | None
    text: dict[str, str] = Field(description="For the person, in zh and en.")
    bindings: list[LockedBindingOut] = Field(
        description="The tenant's live bindings with the person or the number: a hundred at most."
    )


class ComplaintToldOut(ToldOut):
    """
    That many complain of calls of a number, or of the tenant.
    """

    complaint_id: str = Field(description="The last one.")
    subject: Literal["number", "tenant"] = Field(description="Of which so many are complained.")
    x_number: str = Field(description="That of the last one.")
    complaints: int
    calls: int = Field(description="Those that went through; no more than matter are counted.")
    level: Literal["alarm", "stop"]
    lock_id: str | None = Field(description="By which it is stopped; null: it is not.")


class RebindToldOut(ToldOut):
    """
    A binding that was carried over to another number, as an appeal was upheld.
    """

    appeal_id: str
    lock_id: str
    reason: LockReason
    state: AppealState
    order_id: str | None
    old_binding_id: str = Field(description="It has ended.")
    new_binding_id: str = Field(description="It has its place.")
    text: dict[str, str] = Field(description="For the parties, in zh and en.")


_PARTIES = {"a": ["138****0001"], "b": ["138****0002"]}
_OF_BINDING: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": "70012345678-42",
    "parties": _PARTIES,
    "mode": "axb",
    "pool": None,
    "order_id": "A-1001",
    "out_id": None,
    "user_data": None,
    "max_calls": 10,
    "calls_used": 1,
}
_BINDING: dict[str, Any] = {
    **_OF_BINDING,
    "state": "active",
    "begins_at": TIME,
    "expires_at": "2026-01-31T17:04:05+00:00",
    "ended_at": None,
}
_ENDED = {**_BINDING, "state": "unbound", "ended_at": TIME, "ended_by": "unbind"}
_CALL: dict[str, Any] = {
    **_OF_BINDING,
    "call_id": "pbx1-1769843045.17",
    "x_number": "700123456780001",
    "shown": "700123456780001",
    "extension": None,
    "caller_side": "a",
    "reason": None,
    "outcome": None,
    "received_at": TIME,
    "answered_at": None,
    "ended_at": None,
    "ring_ms": None,
    "talk_ms": None,
    "q850": None,
    "sip_status": None,
    "released_by": None,
    "clock": None,
    "cut": None,
}
_CALL_ANSWERED = {**_CALL, "answered_at": "2026-01-31T15:04:35+00:00"}
_CALL_ENDED = {
    **_CALL_ANSWERED,
    "outcome": "answered",
    "ended_at": "2026-01-31T15:05:05+00:00",
    "ring_ms": 4200,
    "talk_ms": 30_000,
    "q850": 16,
    "sip_status": 200,
    "released_by": "caller",
}
_REFUSED = {**_CALL, "shown": None, "reason": "wrong_direction", "ended_at": TIME, "q850": 21}
_MESSAGE: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": "70012345678-42",
    "parties": _PARTIES,
    "message_id": "70012345678-1769871845.4711",
    "x_number": "700123456780001",
    "shown": "700123456780001",
    "sender_side": "a",
    "state": "queued",
    "reason": None,
    "status": None,
    "attempts": 0,
    "maybe_twice": False,
    "octets": 12,
    "parts": 1,
    "received_at": TIME,
    "done_at": None,
    "mode": "axb",
    "pool": None,
    "order_id": "A-1001",
    "out_id": None,
    "user_data": None,
    "max_messages": 20,
    "messages_used": 1,
}
_MESSAGE_SENT = {
    **_MESSAGE,
    "state": "sent",
    "status": 200,
    "attempts": 1,
    "done_at": "2026-01-31T15:04:06+00:00",
}
_MESSAGE_FAILED = {
    **_MESSAGE_SENT,
    "state": "failed",
    "reason": "refused",
    "status": 404,
    "messages_used": 0,
}
_MESSAGE_DELIVERED = {**_MESSAGE_SENT, "state": "delivered", "status": 0}
_MESSAGE_UNDELIVERED = {**_MESSAGE_DELIVERED, "state": "undelivered", "messages_used": 0}
_RECORDING: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": "70012345678-42",
    "parties": _PARTIES,
    "call_id": "pbx1-1769843045.17",
    "x_number": "700123456780001",
    "state": "ready",
    "gap": None,
    "begun_at": TIME,
    "length_ms": 61000,
    "received_at": TIME,
    "mode": "axb",
    "pool": None,
    "order_id": "A-1001",
    "out_id": None,
    "user_data": None,
}
_FEED: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": None,
    "parties": {"a": [], "b": []},
    "feed": "carriers",
    "run": 7,
    "begun_at": TIME,
    "matched": 3,
    "ended": 2,
}
_NUMBERS: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": None,
    "parties": {"a": [], "b": []},
    "block": "70012345678",
    "state": "draining",
    "valid_until": "2027-01-31T15:04:05+00:00",
    "shared": False,
}
_POOL: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": None,
    "parties": {"a": [], "b": []},
    "pool": "FC1001",
    "numbers": 20_000,
    "free": 1_840,
    "exhausted_at": "2026-02-03T09:00:00+00:00",
}
_WEBHOOK: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": None,
    "parties": {"a": [], "b": []},
    "webhook_id": "3",
    "state": "active",
    "events": ["evt_4711", "evt_4712"],
}
_EXPORT: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": None,
    "parties": {"a": [], "b": []},
    "day": "2026-01-30",
    "sequence": 0,
    "numbers": "masked",
    "records": {"bindings": 3, "calls": 12, "texts": 0, "locks": 0, "consents": 6},
}
_ORDER: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": None,
    "parties": {"a": [], "b": []},
    "order_id": "A-1001",
    "pairs": 6,
    "most": 5,
    "refused": False,
}
_NOTHING: dict[str, Any] = {
    "tenant": "couriers",
    "binding_id": None,
    "parties": {"a": [], "b": []},
}
_LOCK: dict[str, Any] = {
    **_NOTHING,
    "lock_id": "17",
    "subject": "person",
    "x_number": None,
    "block": None,
    "reason": "arrears",
    "note": None,
    "starts_at": TIME,
    "ends_at": None,
    "over_at": None,
    "cut": False,
    "bindings": [{"binding_id": "70012345678-42", "order_id": "A-1001"}],
}
_ENTRY: dict[str, Any] = {
    **_NOTHING,
    "entry_id": "18",
    "scope": "pair",
    "direction": "both",
    "note": None,
    "added_at": TIME,
    "ends_at": None,
    "over_at": None,
}
_APPEAL: dict[str, Any] = {
    **_NOTHING,
    "appeal_id": "3",
    "lock_id": "17",
    "subject": "person",
    "x_number": None,
    "block": None,
    "person_tag": "5f2c8a6e0b1d4c37",
    "reason": "arrears",
    "state": "filed",
    "deadline_at": TIME,
    "overdue": False,
    "decision_note": None,
    "text": dict(NOTICES[AppealState.FILED]),
    "bindings": [{"binding_id": "70012345678-42", "order_id": "A-1001"}],
}
_COMPLAINTS: dict[str, Any] = {
    **_NOTHING,
    "complaint_id": "5",
    "subject": "tenant",
    "x_number": "700123456780001",
    "complaints": 5,
    "calls": 20000,
    "level": "stop",
    "lock_id": "17",
}
_REBIND: dict[str, Any] = {
    **_NOTHING,
    "appeal_id": "3",
    "lock_id": "17",
    "reason": "misuse",
    "state": "upheld",
    "order_id": "A-1001",
    "old_binding_id": "70012345678-42",
    "new_binding_id": "70012345678-57",
    "text": dict(REBOUND),
}


class EventBase(Out):
    """
    An event, as CloudEvents 1.0 has it.
    """

    specversion: Literal["1.0"]
    id: str = Field(description="The same on every try: drop what is known.")
    source: str
    subject: str | None = Field(description="The binding, else the call, the lock, or the entry.")
    time: str
    datacontenttype: Literal["application/json"]
    sequence: int | None = Field(
        description="Its place among the events of its binding, from 1; null without a binding."
    )


def _sent(type_: str, data: dict[str, Any]) -> ConfigDict:
    binding = data["binding_id"]
    return example(
        {
            "specversion": "1.0",
            "id": "evt_4711",
            "source": "/agi-router",
            "type": type_,
            "subject": binding or data.get("lock_id") or data.get("entry_id"),
            "time": "2026-01-31T15:04:05.123Z",
            "datacontenttype": "application/json",
            "sequence": None if binding is None else 3,
            "data": data,
        }
    )


class BindingCreatedEvent(EventBase):
    """
    A binding was made.
    """

    type: Literal["agi_router.binding.created"]
    data: BindingToldOut

    model_config = _sent("agi_router.binding.created", _BINDING)


class BindingChangedEvent(EventBase):
    """
    Somebody has said anew what is agreed for a binding, or who is party to it.
    """

    type: Literal["agi_router.binding.changed"]
    data: BindingToldOut

    model_config = _sent("agi_router.binding.changed", _BINDING)


class BindingEndedEvent(EventBase):
    """
    A binding has ended, by which clock it says.
    """

    type: Literal["agi_router.binding.ended"]
    data: BindingEndToldOut

    model_config = _sent("agi_router.binding.ended", _ENDED)


class CallAdmittedEvent(EventBase):
    """
    A call was let through, and rings now.
    """

    type: Literal["agi_router.call.admitted"]
    data: CallToldOut

    model_config = _sent("agi_router.call.admitted", _CALL)


class CallAnsweredEvent(EventBase):
    """
    The callee of a call has answered.
    """

    type: Literal["agi_router.call.answered"]
    data: CallToldOut

    model_config = _sent("agi_router.call.answered", _CALL_ANSWERED)


class CallEndedEvent(EventBase):
    """
    A call that was let through, or whose caller gave up, is over.
    """

    type: Literal["agi_router.call.ended"]
    data: CallToldOut

    model_config = _sent("agi_router.call.ended", _CALL_ENDED)


class CallRefusedEvent(EventBase):
    """
    A call was refused, and its prompt is over.
    """

    type: Literal["agi_router.call.refused"]
    data: CallToldOut

    model_config = _sent("agi_router.call.refused", _REFUSED)


class MessageToldOut(ToldOut):
    """
    A text as it was then, and the binding that it used; never what it says.
    """

    message_id: str
    x_number: str = Field(description="What it was sent to.")
    shown: str = Field(description="The 700 number that its receiver is shown.")
    sender_side: Side
    state: MessageState
    reason: str | None = Field(description="Why it was not sent; null: it was, or may be yet.")
    status: int | None = Field(
        description="The final status of the last try: of SIP, or command_status of SMPP."
    )
    attempts: int
    maybe_twice: bool = Field(description="Whether it may have arrived twice.")
    octets: int = Field(description="Its length in UTF-8.")
    parts: int = Field(description="How many short messages it is.")
    received_at: str
    done_at: str | None
    mode: Mode
    pool: str | None = Field(description="The pool that the binding was made in.")
    order_id: str | None
    out_id: str | None
    user_data: str | None
    max_messages: int | None
    messages_used: int


class MessageHeldEvent(EventBase):
    """
    A text was accepted, and waits for its release.
    """

    type: Literal["agi_router.message.held"]
    data: MessageToldOut

    model_config = _sent("agi_router.message.held", {**_MESSAGE, "state": "held"})


class MessageAcceptedEvent(EventBase):
    """
    A text was accepted, and will be tried.
    """

    type: Literal["agi_router.message.accepted"]
    data: MessageToldOut

    model_config = _sent("agi_router.message.accepted", _MESSAGE)


class MessageSentEvent(EventBase):
    """
    A text was sent: the next hop has taken it.
    """

    type: Literal["agi_router.message.sent"]
    data: MessageToldOut

    model_config = _sent("agi_router.message.sent", _MESSAGE_SENT)


class MessageFailedEvent(EventBase):
    """
    A text was not sent, and never will be.
    """

    type: Literal["agi_router.message.failed"]
    data: MessageToldOut

    model_config = _sent("agi_router.message.failed", _MESSAGE_FAILED)


class MessageDeliveredEvent(EventBase):
    """
    A text that was sent has arrived, by its receipts.
    """

    type: Literal["agi_router.message.delivered"]
    data: MessageToldOut

    model_config = _sent("agi_router.message.delivered", _MESSAGE_DELIVERED)


class MessageUndeliveredEvent(EventBase):
    """
    A text that was sent will not arrive, or nobody knows whether it has.
    """

    type: Literal["agi_router.message.undelivered"]
    data: MessageToldOut

    model_config = _sent("agi_router.message.undelivered", _MESSAGE_UNDELIVERED)


class RecordingToldOut(ToldOut):
    """
    The recording of a call as it was then, and the binding that the call used; no sound.
    """

    call_id: str
    x_number: str = Field(description="What was dialled.")
    state: RecordingState
    gap: Gap | None = Field(description="Why something is not there.")
    begun_at: str = Field(description="When the two were joined.")
    length_ms: int = Field(description="Milliseconds of sound.")
    received_at: str | None = Field(description="When the call came.")
    mode: Mode
    pool: str | None = Field(description="The pool that the binding was made in.")
    order_id: str | None
    out_id: str | None
    user_data: str | None


class RecordingKeptEvent(EventBase):
    """
    A recording is sealed and can be heard: all of it, or a part.
    """

    type: Literal["agi_router.recording.kept"]
    data: RecordingToldOut

    model_config = _sent("agi_router.recording.kept", _RECORDING)


class RecordingMissingEvent(EventBase):
    """
    A call was to be recorded, and there is nothing of it.
    """

    type: Literal["agi_router.recording.missing"]
    data: RecordingToldOut

    model_config = _sent(
        "agi_router.recording.missing",
        {**_RECORDING, "state": "missing", "gap": "no_notice", "length_ms": 0},
    )


class RecordingDeletedEvent(EventBase):
    """
    The key of a recording was destroyed by hand: nobody hears it any more.
    """

    type: Literal["agi_router.recording.deleted"]
    data: RecordingToldOut

    model_config = _sent("agi_router.recording.deleted", {**_RECORDING, "state": "deleted"})


class FeedToldOut(ToldOut):
    """
    What a file of a feed of numbers with new owners meant for the tenant's bindings.
    """

    feed: str
    run: int
    begun_at: str
    matched: int = Field(description="Live bindings that had such a party.")
    ended: int = Field(description="How many of them have ended; each is told as such, too.")


class FeedFinishedEvent(EventBase):
    """
    A file of a feed is done, and had to do with bindings of the tenant.
    """

    type: Literal["agi_router.feed.finished"]
    data: FeedToldOut

    model_config = _sent("agi_router.feed.finished", _FEED)


class ExportedRecordsOut(Out):
    """
    How many of the tenant's records are in a package, by kind.
    """

    bindings: int
    calls: int
    texts: int
    locks: int
    consents: int


class ExportToldOut(ToldOut):
    """
    A package of a day that somebody is handed, and what of it is the tenant's.
    """

    day: str = Field(description="The day (Asia/Shanghai).")
    sequence: int = Field(description="0: the day; what follows are corrections.")
    numbers: Literal["masked", "full"] = Field(description="How real numbers are told in it.")
    records: ExportedRecordsOut


class ExportFinishedEvent(EventBase):
    """
    A day was packed, and some of its records are the tenant's.
    """

    type: Literal["agi_router.export.finished"]
    data: ExportToldOut

    model_config = _sent("agi_router.export.finished", _EXPORT)


class NumberToldOut(ToldOut):
    """
    The 10,000 numbers of a block, as they are now.
    """

    block: str
    state: BlockState
    valid_until: str | None = Field(description="The end of its certificate; null: none.")
    shared: bool = Field(description="Whether it is kept for nobody.")


class NumberChangedEvent(EventBase):
    """
    Numbers take new bindings no more, or take them again, or are given back.
    """

    type: Literal["agi_router.number.changed"]
    data: NumberToldOut

    model_config = _sent("agi_router.number.changed", _NUMBERS)


class BlockExpiringEvent(EventBase):
    """
    The certificate of a block ends soon: nothing new is bound in it then.
    """

    type: Literal["agi_router.block.expiring"]
    data: NumberToldOut

    model_config = _sent("agi_router.block.expiring", {**_NUMBERS, "state": "active"})


class PoolToldOut(ToldOut):
    """
    The numbers that a tenant may bind, of the blocks that are kept for it.
    """

    pool: str | None = Field(description="The pool that they are of; null: all of them.")
    numbers: int
    free: int = Field(description="Those that are neither bound, resting nor locked.")
    exhausted_at: str | None = Field(
        description="When none will be free, if they go on as in the last day; null: never."
    )


class PoolLowEvent(EventBase):
    """
    Few numbers are free, or none will be before long.
    """

    type: Literal["agi_router.pool.low"]
    data: PoolToldOut

    model_config = _sent("agi_router.pool.low", _POOL)


class LockSetEvent(EventBase):
    """
    Somebody or something was locked, or will be.
    """

    type: Literal["agi_router.lock.set"]
    data: LockToldOut

    model_config = _sent("agi_router.lock.set", _LOCK)


class LockLiftedEvent(EventBase):
    """
    A lock was lifted, or has ended.
    """

    type: Literal["agi_router.lock.lifted"]
    data: LockToldOut

    model_config = _sent("agi_router.lock.lifted", {**_LOCK, "over_at": TIME})


class OrderToldOut(ToldOut):
    """
    An order by which many different parties are bound.
    """

    order_id: str
    pairs: int = Field(description="So many different parties were bound by it.")
    most: int = Field(description="So many may be.")
    refused: bool = Field(description="Whether more are refused; else they are bound, too.")


class OrderCrowdedEvent(EventBase):
    """
    By one order more different parties are bound than may be; or as many, where more are refused.
    """

    type: Literal["agi_router.order.crowded"]
    data: OrderToldOut

    model_config = _sent("agi_router.order.crowded", _ORDER)


class BlocklistAddedEvent(EventBase):
    """
    An entry was put on the tenant's block list.
    """

    type: Literal["agi_router.blocklist.added"]
    data: EntryToldOut

    model_config = _sent("agi_router.blocklist.added", _ENTRY)


class BlocklistRemovedEvent(EventBase):
    """
    An entry of the tenant's block list was removed, or has ended.
    """

    type: Literal["agi_router.blocklist.removed"]
    data: EntryToldOut

    model_config = _sent("agi_router.blocklist.removed", {**_ENTRY, "over_at": TIME})


class AppealFiledEvent(EventBase):
    """
    Somebody has appealed against a lock.
    """

    type: Literal["agi_router.appeal.filed"]
    data: AppealToldOut

    model_config = _sent("agi_router.appeal.filed", _APPEAL)


class AppealChangedEvent(EventBase):
    """
    The evidence of an appeal is complete, or its review has begun.
    """

    type: Literal["agi_router.appeal.changed"]
    data: AppealToldOut

    model_config = _sent("agi_router.appeal.changed", _APPEAL)


class AppealClosedEvent(EventBase):
    """
    An appeal was lifted, upheld or withdrawn, or has lapsed.
    """

    type: Literal["agi_router.appeal.closed"]
    data: AppealToldOut

    model_config = _sent("agi_router.appeal.closed", _APPEAL)


class AppealOverdueEvent(EventBase):
    """
    The review of an appeal has not begun, or is not decided, in time.
    """

    type: Literal["agi_router.appeal.overdue"]
    data: AppealToldOut

    model_config = _sent("agi_router.appeal.overdue", _APPEAL)


class AppealReboundEvent(EventBase):
    """
    An appeal was upheld, and a binding was carried over to another number.
    """

    type: Literal["agi_router.appeal.rebound"]
    data: RebindToldOut

    model_config = _sent("agi_router.appeal.rebound", _REBIND)


class ComplaintAlarmEvent(EventBase):
    """
    Too many complain of calls of a number, or of the tenant; or nearly so many.
    """

    type: Literal["agi_router.complaint.alarm"]
    data: ComplaintToldOut

    model_config = _sent("agi_router.complaint.alarm", _COMPLAINTS)


class WebhookToldOut(ToldOut):
    """
    A webhook that does not take what it is owed.
    """

    webhook_id: str
    state: WebhookState
    events: list[str] = Field(description="The events that are held now because of it.")


class WebhookHeldEvent(EventBase):
    """
    Events could not be delivered for seven days, and are tried no more until somebody asks.
    """

    type: Literal["agi_router.webhook.held"]
    data: WebhookToldOut

    model_config = _sent("agi_router.webhook.held", _WEBHOOK)


class WebhookOffEvent(EventBase):
    """
    A webhook was switched off: it has failed for three days, or has said that it is gone.
    """

    type: Literal["agi_router.webhook.off"]
    data: WebhookToldOut

    model_config = _sent("agi_router.webhook.off", {**_WEBHOOK, "state": "gone", "events": []})


class WebhookTestEvent(EventBase):
    """
    Somebody asked for it.
    """

    type: Literal["agi_router.webhook.test"]
    data: ToldOut

    model_config = _sent("agi_router.webhook.test", _NOTHING)


EVENTS: Final[dict[EventType, type[EventBase]]] = {
    EventType.BINDING_CREATED: BindingCreatedEvent,
    EventType.BINDING_CHANGED: BindingChangedEvent,
    EventType.BINDING_ENDED: BindingEndedEvent,
    EventType.CALL_ADMITTED: CallAdmittedEvent,
    EventType.CALL_ANSWERED: CallAnsweredEvent,
    EventType.CALL_ENDED: CallEndedEvent,
    EventType.CALL_REFUSED: CallRefusedEvent,
    EventType.MESSAGE_HELD: MessageHeldEvent,
    EventType.MESSAGE_ACCEPTED: MessageAcceptedEvent,
    EventType.MESSAGE_SENT: MessageSentEvent,
    EventType.MESSAGE_FAILED: MessageFailedEvent,
    EventType.MESSAGE_DELIVERED: MessageDeliveredEvent,
    EventType.MESSAGE_UNDELIVERED: MessageUndeliveredEvent,
    EventType.RECORDING_KEPT: RecordingKeptEvent,
    EventType.RECORDING_MISSING: RecordingMissingEvent,
    EventType.RECORDING_DELETED: RecordingDeletedEvent,
    EventType.FEED_FINISHED: FeedFinishedEvent,
    EventType.EXPORT_FINISHED: ExportFinishedEvent,
    EventType.NUMBER_CHANGED: NumberChangedEvent,
    EventType.BLOCK_EXPIRING: BlockExpiringEvent,
    EventType.POOL_LOW: PoolLowEvent,
    EventType.LOCK_SET: LockSetEvent,
    EventType.LOCK_LIFTED: LockLiftedEvent,
    EventType.COMPLAINT_ALARM: ComplaintAlarmEvent,
    EventType.ORDER_CROWDED: OrderCrowdedEvent,
    EventType.BLOCKLIST_ADDED: BlocklistAddedEvent,
    EventType.BLOCKLIST_REMOVED: BlocklistRemovedEvent,
    EventType.APPEAL_FILED: AppealFiledEvent,
    EventType.APPEAL_CHANGED: AppealChangedEvent,
    EventType.APPEAL_CLOSED: AppealClosedEvent,
    EventType.APPEAL_OVERDUE: AppealOverdueEvent,
    EventType.APPEAL_REBOUND: AppealReboundEvent,
    EventType.WEBHOOK_HELD: WebhookHeldEvent,
    EventType.WEBHOOK_OFF: WebhookOffEvent,
    EventType.WEBHOOK_TEST: WebhookTestEvent,
}
"""Each type of event, as it is sent and pulled."""
_Any = (
    BindingCreatedEvent
    | BindingChangedEvent
    | BindingEndedEvent
    | CallAdmittedEvent
    | CallAnsweredEvent
    | CallEndedEvent
    | CallRefusedEvent
    | MessageAcceptedEvent
    | MessageHeldEvent
    | MessageSentEvent
    | MessageFailedEvent
    | MessageDeliveredEvent
    | MessageUndeliveredEvent
    | RecordingKeptEvent
    | RecordingMissingEvent
    | RecordingDeletedEvent
    | FeedFinishedEvent
    | ExportFinishedEvent
    | NumberChangedEvent
    | BlockExpiringEvent
    | PoolLowEvent
    | LockSetEvent
    | LockLiftedEvent
    | AppealFiledEvent
    | AppealChangedEvent
    | AppealClosedEvent
    | AppealOverdueEvent
    | AppealReboundEvent
    | ComplaintAlarmEvent
    | OrderCrowdedEvent
    | BlocklistAddedEvent
    | BlocklistRemovedEvent
    | WebhookHeldEvent
    | WebhookOffEvent
    | WebhookTestEvent
)


class EventOut(RootModel[Annotated[_Any, Field(discriminator="type")]]):
    """
    An event of any type.
    """

    model_config = _sent("agi_router.call.ended", _CALL_ENDED)


class EventsOut(Out):
    """
    Events, oldest first.
    """

    events: list[EventOut]
    damaged: list[str] = Field(
        description="The ids of further ones whose rows are damaged: nothing can be told of them"
        " until the operator has restored them."
    )
    next_cursor: str = Field(description="Behind the last of all, or where it was asked from.")

    model_config = example({"events": [], "damaged": [], "next_cursor": "7512.301"})


_HEADERS: Final = {
    "webhook-id": "The id of the event: the same on every try.",
    "webhook-timestamp": "Seconds since 1970: when this try was made.",
    "webhook-signature": "v1, and the HMAC-SHA256 of id, timestamp and body in base64; while a"
    " secret is rotated, two of them.",
}
_ANSWERS: Final = {
    "2XX": "It has arrived",
    "410": "The webhook is switched off",
    "429": "Nothing is sent before Retry-After",
    "503": "Nothing is sent before Retry-After",
    "default": "It is sent again later",
}


def describe_sent() -> dict[str, Any]:
    """
    The section ``webhooks`` of the document: what is sent of each type, in the usual format.
    """
    headers = [
        {
            "name": name,
            "in": "header",
            "required": True,
            "description": about,
            "schema": {"type": "string"},
        }
        for name, about in _HEADERS.items()
    ]
    return {
        each.value: {
            "post": {
                "operationId": f"send_{each.value.replace('.', '_')}",
                "summary": (model.__doc__ or "").strip(),
                "tags": ["events"],
                "security": [],
                "parameters": headers,
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/cloudevents+json": {
                            "schema": {"$ref": f"#/components/schemas/{model.__name__}"}
                        },
                        # Of a webhook that has batches; other types may stand beside it.
                        "application/cloudevents-batch+json": {
                            "schema": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": LARGEST_BATCH,
                                "contains": {"$ref": f"#/components/schemas/{model.__name__}"},
                            }
                        },
                    },
                },
                "responses": {
                    status: {"description": about} for status, about in _ANSWERS.items()
                },
            }
        }
        for each, model in EVENTS.items()
    }
