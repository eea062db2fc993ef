"""
What a receiver gets: an event as a CloudEvent, or as the report of an older service.

Both have the parties as texts, which are masked where the webhook is.

Sources:
    CloudEvents 1.0.2, JSON format; Alibaba Cloud's ``SecretReport``, ``SecretStartReport``,
    ``SecretPickUpReport`` and ``SecretRecording``; of texts ``call_type`` is 2, 3 or 5.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from agi_router.bindings.modes import group_of
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import BindingState, Mode, Side
from agi_router.events.model import ALI_TYPES, Event, EventType, Format, event_name
from agi_router.persons.appeal_states import AppealState
from agi_router.persons.appeals import NOTICES, REBOUND

__all__ = ["Parties", "ali_reports", "asked_at", "cloud_event", "is_damaged", "shape_of"]

Parties = Mapping[Side, Sequence[str]]
"""The numbers of each side, as they may be shown."""

_SOURCE = "/agi-router"
_TYPE = "agi_router."
_BEIJING = timezone(timedelta(hours=8))
_MILLISECOND = timedelta(milliseconds=1)
_EPOCH = datetime.fromtimestamp(0, UTC)

# Which clock has ended a binding.
_ENDED_BY = {
    BindingState.EXPIRED: "time",
    BindingState.USED_UP: "count",
    BindingState.UNBOUND: "unbind",
    BindingState.ORDER_ENDED: "order",
    BindingState.PARTY_RECYCLED: "recycled",
    BindingState.RECYCLE_UNKNOWN: "recycled",
    BindingState.CONSENT_WITHDRAWN: "consent",
}

_RELEASED = {"us": 0, "caller": 1, "callee": 2}
# 0 normal, 1 block list, 2 no binding, 3 call restriction, 4 other.
_UNCONNECTED = {
    Reason.BLOCKED: 1,
    Reason.NO_BINDING: 2,
    Reason.STRANGER: 2,
    Reason.EXPIRED: 2,
    Reason.IDLE_EXPIRED: 2,
    Reason.ORDER_ENDED: 2,
    Reason.UNBOUND: 2,
    Reason.CONSENT_WITHDRAWN: 2,
    Reason.USED_UP: 3,
    Reason.WRONG_DIRECTION: 3,
    Reason.RATE_CALLER: 3,
    Reason.RATE_CALLEE: 3,
    Reason.RATE_X: 3,
    Reason.RATE_TENANT: 3,
    Reason.OUTSIDE_HOURS: 3,
    Reason.TENANT_SUSPENDED: 3,
    Reason.TENANT_UNQUALIFIED: 3,
    Reason.CERTIFICATE_INVALID: 3,
    Reason.REGION_NOT_SERVED: 3,
}
_OTHER = 4
_OF_TEXTS = frozenset({EventType.MESSAGE_SENT, EventType.MESSAGE_FAILED})
# What a report of an answer has of that of a start.
_OF_PICK_UP = (
    *("phone_no", "secret_no", "peer_no", "call_type", "call_id", "call_time"),
    *("pool_key", "sub_id", "out_id"),
)


def cloud_event(event: Event, parties: Parties) -> dict[str, Any]:
    """
    An event in the JSON format of CloudEvents 1.0.

    Args:
        event: The event.
        parties: Those of its binding when it was written; without one, nobody.
    """
    binding = None if event.binding is None else str(event.binding)
    return {
        "specversion": "1.0",
        "id": event_name(event.id),
        "source": _SOURCE,
        "type": _TYPE + event.type,
        "subject": binding
        or event.data.get("call_id")
        or event.data.get("lock_id")
        or event.data.get("entry_id")
        or event.data.get("webhook_id")
        or event.data.get("block"),
        "time": _rfc3339(event.at),
        "datacontenttype": "application/json",
        "sequence": event.sequence,
        "data": {
            **event.data,
            **_ended_by(event),
            **_notice(event),
            "tenant": event.tenant,
            "binding_id": binding,
            "parties": {side.value: list(parties.get(side, ())) for side in Side},
        },
    }


def shape_of(event: Event, parties: Parties, form: Format) -> tuple[Any, str]:
    """
    What a webhook of a form gets of an event, and of what media type that is.

    What the older service knows no report for is a CloudEvent there, too.
    """
    if form is Format.ALI and event.type in ALI_TYPES:
        return ali_reports(event, parties), "application/json"
    return cloud_event(event, parties), "application/cloudevents+json"


def asked_at(event: Event) -> datetime:
    """
    When whoever is told of was a party: of a call, when it came.

    One may be replaced while they talk.

    Raises:
        TypeError, ValueError, AttributeError: The event's row is damaged.
    """
    received_at = event.data.get("received_at")
    return event.at if received_at is None else _time(received_at)


def is_damaged(event: Event, form: Format = Format.CLOUDEVENTS) -> bool:
    """
    Whether an event's row lacks what is told of it: it must stop no other.

    Args:
        event: The event.
        form: How it is to be told.
    """
    try:
        asked_at(event)
        cloud_event(event, {})
        if form is Format.ALI:
            shape_of(event, {}, form)
    # Whatever is wrong with it.
    except Exception:  # noqa: BLE001
        return True
    return False


def _notice(event: Event) -> dict[str, Any]:
    """
    What a person is told of its appeal, or of another number that came of one.
    """
    if event.type is EventType.APPEAL_REBOUND:
        return {"text": dict(REBOUND)}
    if "appeal_id" not in event.data:
        return {}
    return {"text": dict(NOTICES[AppealState(event.data["state"])])}


def ali_reports(event: Event, parties: Parties) -> list[dict[str, Any]]:
    """
    An event of a call or a text as an older service reports it, in a list of one.

    It is a ``SecretReport``; as a call is admitted, a ``SecretStartReport``, as it is answered, a
    ``SecretPickUpReport``, of its recording a ``SecretRecording``, and of a text that is held a
    ``SecretSmsIntercept``. A time that did not happen is a copy of the one before, as receivers of
    that format expect.

    Args:
        event: Of a type that is in :data:`agi_router.events.model.ALI_TYPES`.
        parties: As above, in full.
    """
    data = event.data
    if event.type is EventType.MESSAGE_HELD:
        return [_intercepted(event, parties)]
    if event.type is EventType.RECORDING_KEPT:
        return [_recorded(event)]
    a, b = _sides(event)
    start = {
        "id": event.id,
        "partner_key": event.tenant,
        "pool_key": _pool_key(event),
        "sub_id": 0 if event.binding is None else event.binding.id,
        "out_id": data["out_id"] or data["order_id"] or "",
        "call_id": data["message_id" if event.type in _OF_TEXTS else "call_id"],
        "phone_no": _single(parties.get(a, ())),
        "secret_no": data["x_number"],
        "peer_no": _single(parties.get(b, ())),
        "called_display_no": data["shown"] or "",
        "call_type": _call_type(event),
        "call_time": _local(data["received_at"]),
        "control_type": data["reason"] or "",
    }
    if event.type is EventType.CALL_ADMITTED:
        return [start]
    extension = data.get("extension") or ""
    if event.type is EventType.CALL_ANSWERED:
        called = {"ring_time": start["call_time"], "start_time": _local(data["answered_at"])}
        kept = {name: start[name] for name in _OF_PICK_UP}
        return [{**kept, **called, "city": "", "extension": extension}]
    if event.type in _OF_TEXTS:
        return [{**start, **_rest_of_text(data)}]
    began, ended = _time(data["received_at"]), _time(data["ended_at"])
    rang = began if data["ring_ms"] is None else began + data["ring_ms"] * _MILLISECOND
    answered = ended - (data["talk_ms"] or 0) * _MILLISECOND
    return [
        {
            **start,
            "call_out_time": _text(began),
            "ring_time": _text(rang),
            "free_ring_time": _text(rang),
            "start_time": _text(answered),
            "release_time": _text(ended),
            "release_dir": _RELEASED.get(data["released_by"], 0),
            "release_cause": data["q850"] or 0,
            "unconnected_cause": _unconnected(data["reason"]),
            "control_msg": data["reason"] or "",
            "record_url": "",
            "ring_record_url": "",
            "city": "",
            "sms_number": 0,
            "extension": extension,
        }
    ]


def _rest_of_text(data: Mapping[str, Any]) -> dict[str, Any]:
    done = _local(data["done_at"])
    return {
        **dict.fromkeys(
            ("call_out_time", "ring_time", "free_ring_time"), _local(data["received_at"])
        ),
        "start_time": done,
        "release_time": done,
        "release_dir": 0,
        "release_cause": 0,
        "unconnected_cause": _unconnected_text(data["reason"]),
        "control_msg": data["reason"] or "",
        "record_url": "",
        "ring_record_url": "",
        "city": "",
        "sms_number": data["parts"],
        "extension": "",
    }


def _ended_by(event: Event) -> dict[str, str]:
    if event.type is not EventType.BINDING_ENDED:
        return {}
    return {"ended_by": _ENDED_BY[BindingState(event.data["state"])]}


def _intercepted(event: Event, parties: Parties) -> dict[str, Any]:
    """
    A ``SecretSmsIntercept``: a text that waits for its release; never what it says.
    """
    data = event.data
    a, b = _sides(event)
    by_a = data["sender_side"] == a
    sides = (a, b) if by_a else (b, a)
    sender, receiver = (_single(parties.get(side, ())) for side in sides)
    return {
        "id": event.id,
        "partner_key": event.tenant,
        "pool_key": _pool_key(event),
        "sub_id": 0 if event.binding is None else event.binding.id,
        "out_id": data["out_id"] or data["order_id"] or "",
        "sms_type": 1 if by_a else 3,
        "send_no": sender,
        "secret_no": data["x_number"],
        "receive_no": receiver,
        "sms_content": "",
        "sms_sign": "",
        "status": 0,
        "sms_intercept_type": "NORMAL",
        "call_id": data["message_id"],
        "code": "",
        "start_time": _local(data["received_at"]),
    }


def _recorded(event: Event) -> dict[str, Any]:
    """
    A ``SecretRecording``: what was said is asked for by its ``call_id``; of it, this is all.
    """
    data = event.data
    called = _time(data["received_at"] or data["begun_at"])
    return {
        "pool_key": _pool_key(event),
        "sub_id": 0 if event.binding is None else event.binding.id,
        "call_id": data["call_id"],
        # The only time of theirs that is a number.
        "call_time": (called - _EPOCH) // _MILLISECOND,
        "out_id": data["out_id"] or data["order_id"] or "",
    }


def _call_type(event: Event) -> int:
    """
    0: A calls, 1: A is called, 4: refused; 2: A texts, 3: B does, 5: a text that was not sent.
    """
    if event.type is EventType.CALL_REFUSED:
        return 4
    if event.type is EventType.MESSAGE_FAILED:
        return 5
    if event.type is EventType.MESSAGE_SENT:
        return 2 if event.data["sender_side"] == _sides(event)[0] else 3
    return 0 if event.data["caller_side"] == _sides(event)[0] else 1


def _sides(event: Event) -> tuple[Side, Side]:
    """
    Who is A to an older service, and who is its peer: of a group A is whom its members reach.
    """
    mode = event.data.get("mode")
    grouped = mode is not None and group_of(Mode(mode)) is not None
    return (Side.B, Side.A) if grouped else (Side.A, Side.B)


def _pool_key(event: Event) -> str:
    """
    By what the door for clients of Alibaba Cloud reaches a binding: its pool, or its tenant.
    """
    return event.data.get("pool") or event.tenant


def _unconnected(reason: str | None) -> int:
    return 0 if reason is None else _UNCONNECTED.get(Reason(reason), _OTHER)


def _unconnected_text(reason: str | None) -> int:
    # Some are no reasons by which a text is refused: refused, discarded.
    if reason is None:
        return 0
    return _unconnected(reason) if reason in set(Reason) else _OTHER


def _single(numbers: Sequence[str]) -> str:
    """
    A number where it is known which: of a group, nobody's.
    """
    return numbers[0] if len(numbers) == 1 else ""


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _local(text: str) -> str:
    return _text(_time(text))


def _text(when: datetime) -> str:
    return when.astimezone(_BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def _rfc3339(when: datetime) -> str:
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
