"""
What comes in bodies: their fields, and how they become parties and terms.

A field that we do not know is refused. A number of a party is a text, in any form that people
write numbers in; it is read by :class:`agi_router.numbers.PhoneNumber` alone.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
)

from agi_router.bindings.expiry import LONGEST_LIFE, find_expiry
from agi_router.bindings.fields import Dialled, Members, PartyNumber, reader
from agi_router.bindings.modes import GROUP_MAX
from agi_router.bindings.party_groups import LONGEST_LABEL
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.pools import Pool
from agi_router.bindings.requests import BindRequest, find_misplaced, make_request, place_y
from agi_router.bindings.terms import CHANGEABLE, TERMS, Kind, Name, Span, Term, Text, Whole, Words
from agi_router.bindings.words import (
    Callback,
    Language,
    Mode,
    check_group,
    check_order_id,
    check_pool,
    check_prompts,
)
from agi_router.calls.check import Unanswered
from agi_router.consent.ledger import How, Purpose, check_evidence, check_version
from agi_router.cursors import Cursor
from agi_router.doors.http.problems import FieldFault, Problem, problem_of
from agi_router.doors.http.queries import CURSOR
from agi_router.errors import AgiRouterError
from agi_router.events.model import (
    LARGEST_BATCH,
    LONGEST_WAIT,
    EventType,
    Format,
    Numbers,
    check_url,
    event_name,
    parse_event_name,
    parse_types,
)
from agi_router.feeds.model import RECORDS_AT_ONCE, Trust, check_feed_name, check_file_name
from agi_router.inventory.model import BlockState, check_carrier, check_certificate
from agi_router.messages.rules import LONGEST_HOLD, MOST_WORDS, NumberRule, check_words
from agi_router.numbers import Block, PhoneNumber
from agi_router.persons.appeals import EvidenceKind, check_digest, check_reference
from agi_router.persons.blocklist import BlockDirection
from agi_router.persons.complaints import (
    ComplaintKind,
    check_complaint_reference,
    check_complaint_source,
)
from agi_router.persons.locks import LockReason, check_rule, parse_lock_id
from agi_router.persons.real_names import RealName, check_source
from agi_router.rates import parse_rate
from agi_router.records.audit import check_case, check_note
from agi_router.tenants.api_keys import (
    KeyForm,
    KeyScope,
    check_label,
    parse_network,
)
from agi_router.tenants.hours import check_hours
from agi_router.tenants.model import check_tenant
from agi_router.tenants.rules import MOST_SCENES, Consent, check_scenes
from agi_router.texts import LONGEST_NAME, check_name

__all__ = [
    "LARGEST_BINDINGS",
    "AcknowledgementIn",
    "ApiKeyIn",
    "AppealIn",
    "BatchIn",
    "BindingChange",
    "BindingIn",
    "BlockChange",
    "BlockIn",
    "BlocklistIn",
    "BlocklistSearchIn",
    "Body",
    "CallLimitsIn",
    "CaseIn",
    "CheckIn",
    "ComplaintIn",
    "ConsentIn",
    "ConsentSearchIn",
    "DecideIn",
    "EventTypesIn",
    "EvidenceIn",
    "ExplanationIn",
    "FeedIn",
    "GroupChange",
    "GroupIn",
    "HoldIn",
    "HoldSearchIn",
    "LiftIn",
    "LockIn",
    "LockSearchIn",
    "MembersIn",
    "MessageRulesIn",
    "OrderIn",
    "PersonTraceIn",
    "PoolChange",
    "PoolIn",
    "QualificationIn",
    "RealNameIn",
    "RealNameSearchIn",
    "RebindIn",
    "RecordIn",
    "RecordsIn",
    "ReleaseIn",
    "ResendIn",
    "RotationIn",
    "SearchIn",
    "TakeIn",
    "TenantChange",
    "TenantIn",
    "TextExplanationIn",
    "TraceIn",
    "WebhookChange",
    "WebhookIn",
    "WithdrawalIn",
    "check_lock_id",
    "describe_term",
    "read_changes",
    "read_choice",
    "read_cursor",
    "read_field",
    "read_members",
    "read_number",
    "read_pool",
    "read_request",
    "read_time",
    "read_webhook_change",
]

Value = TypeVar("Value")

LARGEST_BINDINGS = 200
"""Bindings of one batch; ``agi_router.take_quota`` reckons with it."""
_POOL_BLOCKS = 1000
_NUMBER = Field(
    max_length=64,
    description="A mainland mobile number, in any form that people write numbers in.",
    examples=["13800000001"],
)
_Number = Annotated[str, _NUMBER]
_X = Annotated[
    str, Field(max_length=32, description="A 700 number.", examples=["700123456780001"])
]


def _read_time(value: object) -> datetime:
    try:
        read = datetime.fromisoformat(value if isinstance(value, str) else "")
        if read.tzinfo is not None and len(str(value)) > len("2026-01-31T15:04"):
            return read.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ValueError("a time looks like 2026-01-31T15:04:05+08:00, with its offset")


_Time = Annotated[
    datetime,
    BeforeValidator(_read_time),
    Field(strict=False, examples=["2026-01-31T15:04:05+08:00"]),
]


def _is_network(text: str) -> str:
    return str(parse_network(text))


def _is_event(text: str) -> str:
    return event_name(parse_event_name(text))


def _asked_for(types: list[EventType]) -> list[EventType]:
    return list(parse_types(types))


def _perhaps_asked_for(types: list[EventType]) -> list[EventType]:
    return _asked_for(types) if types else types


def _seconds(about: str, low: timedelta, high: timedelta | None = None) -> Any:
    return Field(
        default=None,
        ge=int(low.total_seconds()),
        le=None if high is None else int(high.total_seconds()),
        description=f"Seconds: {about}.",
    )


_SECOND, _MINUTE = timedelta(seconds=1), timedelta(minutes=1)


class Body(BaseModel):
    """
    A body: its fields are these and no others.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        # No message of pydantic may carry what came.
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


def _type_of(kind: Kind) -> Any:
    match kind:
        case Words(enum=enum):
            return Annotated[enum, Field(strict=False)]
        case Whole(high=high):
            return Annotated[int, Field(ge=1, le=high)]
        case Span(low=low, high=high):
            bounds: dict[str, Any] = {"ge": int(low.total_seconds())}
            if high is not None:
                bounds["le"] = int(high.total_seconds())
            return Annotated[int, Field(**bounds)]
        case Name(check=check):
            return Annotated[str, Field(max_length=128), AfterValidator(check)]
        case Text(longest=longest):
            length = Field(min_length=1, max_length=longest)
            return Annotated[str, length, AfterValidator(kind.read)]
        case _:
            raise TypeError(kind)


def describe_term(term: Term) -> str:
    """
    What a term is, for the OpenAPI document.
    """
    unit = "Seconds: " if isinstance(term.kind, Span) else ""
    return f"{unit}{term.about}.".replace("`", "")


def _terms(*, new: bool) -> dict[str, Any]:
    """
    The fields of the terms.

    Args:
        new: Whether what is left out is as it is by default; else it stays as it is.
    """
    return {
        term.word: (
            _type_of(term.kind) | None,
            Field(
                default=term.default if new else None,
                description=describe_term(term),
            ),
        )
        for term in (TERMS if new else CHANGEABLE)
    }


if TYPE_CHECKING:

    class _TermsIn(Body):
        pool: str | None

    _TermsChange = Body
else:
    _TermsIn = create_model("_TermsIn", __base__=Body, **_terms(new=True))
    _TermsChange = create_model("_TermsChange", __base__=Body, **_terms(new=False))


_Group = Annotated[str, Field(max_length=64), AfterValidator(check_group)]


class BindingIn(_TermsIn):
    """
    A binding to be made. Fields that are left out are as the mode and the settings have them.
    """

    mode: Annotated[Mode, Field(strict=False)] = Mode.AXB
    a: _Number | None = Field(default=None, description="Party A; of groups, give g.")
    g: list[_Number] | None = Field(
        default=None,
        max_length=GROUP_MAX,
        description="The members of a group: gxb, gxyb; or give group.",
    )
    group: _Group | None = Field(
        default=None, description="The party group whose members are the group; or give g."
    )
    b: _Number | None = Field(default=None, description="Party B.")
    callback: Annotated[Callback, Field(strict=False)] | None = Field(
        default=None, description="Who rings when a group, or a stranger, is called back."
    )
    default: _Number | None = Field(
        default=None, description="The default member; of ax and axe, the fixed number."
    )
    window: int | None = _seconds("how long who called last is called back", _SECOND, LONGEST_LIFE)
    x: _X | None = Field(
        default=None, description="The number that A's side dials; chosen if left out."
    )
    y: _X | None = Field(
        default=None, description="The number that B dials: axyb, gxyb; chosen if left out."
    )
    y_on_call: bool = Field(default=False, description="axyb: make B's number when A calls.")
    y_ttl: int | None = _seconds("how long such a number lives", _SECOND, LONGEST_LIFE)
    extension: str | None = Field(
        default=None, max_length=4, description="axe: 1 to 4 digits; chosen if left out."
    )
    ttl: int | None = _seconds("how long it lives from now", _MINUTE, LONGEST_LIFE)
    expires_at: _Time | None = Field(
        default=None, description="When it ends, with an offset; give this or ttl."
    )
    order: Annotated[str, Field(max_length=512), AfterValidator(check_order_id)] | None = Field(
        default=None, description="The order behind it.", examples=["A-1001"]
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )
    operator_digit: int | None = Field(
        default=None, ge=0, le=9, description="Only numbers with this digit after 700."
    )
    same_x: Annotated[Affinity, Field(strict=False)] | None = Field(
        default=None, description="Prefer or avoid the numbers that the parties had before."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "mode": "axb",
                    "a": "13800000001",
                    "b": "13800000002",
                    "ttl": 7200,
                    "max_calls": 10,
                    "order": "A-1001",
                }
            ]
        }
    )


class BatchIn(Body):
    """
    Bindings to be made, each by itself.
    """

    bindings: list[BindingIn] = Field(min_length=1, max_length=LARGEST_BINDINGS)

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"bindings": [{"a": "13800000001", "b": "13800000002", "order": "A-1001"}]}
            ]
        }
    )


class BindingChange(_TermsChange):
    """
    What changes of a binding (RFC 7396): what is left out stays as it is, null takes it back.
    """

    ttl: int | None = _seconds("it ends so long from now", _MINUTE, LONGEST_LIFE)
    expires_at: _Time | None = Field(
        default=None, description="It ends then, earlier or later; give this or ttl."
    )
    order: Annotated[str, Field(max_length=512), AfterValidator(check_order_id)] | None = Field(
        default=None, description="The order behind it."
    )
    default: _Number | None = Field(
        default=None,
        description="By itself: the member whom B reaches; by last, until one has called.",
    )
    a: _Number | None = Field(default=None, description="By itself: who takes the place of A.")
    b: _Number | None = Field(default=None, description="By itself: who takes the place of B.")
    group: _Group | None = Field(
        default=None, description="By itself: the party group that becomes side A."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"ttl": 3600, "max_calls": 20, "ring": None}, {"a": "13800000003"}]
        }
    )


class MembersIn(Body):
    """
    Members of a group.
    """

    g: list[_Number] = Field(min_length=1, max_length=GROUP_MAX)

    model_config = ConfigDict(json_schema_extra={"examples": [{"g": ["13800000003"]}]})


class GroupChange(Body):
    """
    What changes of a party group (RFC 7396): what is left out stays, null is what a new one has.
    """

    label: Annotated[str, Field(min_length=1, max_length=LONGEST_LABEL)] | None = Field(
        default=None, description="A text of your own; comes back with it."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": "couriers by night"}]})


class GroupIn(GroupChange):
    """
    A party group to be added.
    """

    name: _Group
    g: list[_Number] = Field(
        default=[], max_length=GROUP_MAX, description="Its members, in their order."
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "night-shift", "g": ["13800000001", "13800000003"]}]
        }
    )


class SearchIn(Body):
    """
    A party, and perhaps a number that it is on.
    """

    number: _Number
    x: _X | None = Field(default=None, description="On this 700 number only.")
    everything: bool = Field(default=False, description="Bindings that are over, too.")
    cursor: str | None = Field(default=None, max_length=256, description=CURSOR)
    limit: int = Field(default=100, ge=1, le=200)

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"number": "13800000001", "x": "700123456780001"}]}
    )


class OrderIn(Body):
    """
    An order.
    """

    order: Annotated[str, Field(max_length=512), AfterValidator(check_order_id)]
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"order": "A-1001"}]})


class ExplanationIn(Body):
    """
    A call that nobody places.
    """

    caller: str = Field(
        max_length=64, description="Caller id, as it would arrive.", examples=["13800000001"]
    )
    x: str = Field(max_length=64, description="What is dialled.", examples=["700123456780001"])
    extension: str | None = Field(
        default=None, max_length=16, description="What the caller types when it is asked."
    )
    at: _Time | None = Field(default=None, description="Decide as of this time instead of now.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"caller": "13800000001", "x": "700123456780001"}]}
    )


class TextExplanationIn(Body):
    """
    A text that nobody sends.
    """

    sender: str = Field(
        max_length=64,
        description="The sender's number, as it would arrive.",
        examples=["13800000001"],
    )
    x: str = Field(
        max_length=64, description="The number it is sent to.", examples=["700123456780001"]
    )
    at: _Time | None = Field(default=None, description="Decide as of this time instead of now.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"sender": "13800000001", "x": "700123456780001"}]}
    )


_Paper = Annotated[
    str,
    Field(max_length=512),
    AfterValidator(lambda text: check_name(text, what="a qualification", longest=LONGEST_NAME)),
]


class TenantIn(Body):
    """
    A tenant to be added.
    """

    name: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)]
    needs_order: bool = Field(
        default=True, description="Whether each of its bindings needs the id of an order."
    )
    consent: Annotated[Consent, Field(strict=False)] = Field(
        default=Consent.ASSERTED,
        description="Whether its parties' consent is stated with each bind (`asserted`), or is in"
        " the ledger before (`required`).",
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "couriers"}]})


class QualificationIn(Body):
    """
    By what a tenant is qualified; outside of its time there are no calls and no new bindings.
    """

    number: _Paper | None = Field(default=None, description="Number of the paper that says so.")
    issuer: _Paper | None = Field(default=None, description="Who has issued it.")
    valid_from: _Time | None = Field(default=None, description="Since when; null: since ever.")
    valid_until: _Time | None = Field(default=None, description="Until when; null: for ever.")


_Rate = Annotated[
    str,
    Field(max_length=32, examples=["30/1h"]),
    AfterValidator(lambda text: str(parse_rate(text))),
]


class CallLimitsIn(Body):
    """
    How many calls go through in any such time, at each router; what is left out is any number.
    """

    caller: _Rate | None = Field(default=None, description="Of each caller.")
    callee: _Rate | None = Field(default=None, description="To each callee.")
    number: _Rate | None = Field(default=None, description="To each 700 number.")
    tenant: _Rate | None = Field(default=None, description="Of the tenant in all.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"caller": "30/1h"}]})


class TenantChange(Body):
    """
    Whether a tenant's calls and bindings go on, how many it may have, and what they keep to.

    What is left out stays (RFC 7396); null is any number.
    """

    active: bool = True
    max_bindings: int | None = Field(
        default=None, ge=1, le=10**9, description="So many of its bindings may live at once."
    )
    max_binds: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many may be made for it on a day, which begins at 00:00 UTC.",
    )
    max_requests: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many requests may its API keys make in a minute, at each process of the"
        " door.",
    )
    qualification: QualificationIn | None = Field(
        default=None, description="By what it is qualified, and until when; null: nothing is said."
    )
    needs_order: bool = Field(
        default=True, description="Whether each of its bindings needs the id of an order."
    )
    scenes: Annotated[list[str], Field(max_length=MOST_SCENES), AfterValidator(check_scenes)] = (
        Field(
            default_factory=list,
            description="Codes of the uses that it binds for: each binding names one. None: any.",
        )
    )
    max_pair_binds: int | None = Field(
        default=None, ge=1, le=10**9, description="So often the same two may be bound in an hour."
    )
    max_order_pairs: int | None = Field(
        default=None, ge=1, le=10**9, description="So many pairs may be bound by one order."
    )
    refuses_pairs: bool = Field(
        default=False,
        description="Whether more pairs of an order are refused, and not only told.",
    )
    hours: Annotated[str, Field(max_length=512), AfterValidator(check_hours)] | None = Field(
        default=None,
        description="In which calls and texts go through of bindings without hours of their own:"
        " mon-fri 09:00-18:00; sat 22:00-02:00. null: always.",
    )
    time_zone: Annotated[str, Field(max_length=64)] = Field(
        default="Asia/Shanghai", description="Of these hours, and of those of its bindings."
    )
    call_limits: CallLimitsIn | None = Field(
        default=None, description="How many of its calls go through; null: any number."
    )

    consent: Annotated[Consent, Field(strict=False)] = Field(
        default=Consent.ASSERTED, description="Whether its parties' consent is asked for."
    )
    needs_real_name: bool = Field(
        default=False, description="Whether nobody is bound who is not known by its real name."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"active": False}]})


class BlockIn(Body):
    """
    A managed block to be added.
    """

    block: str = Field(
        max_length=32, description="Its 11 digits, beginning 700.", examples=["70012345678"]
    )
    operator: Annotated[str, Field(max_length=512), AfterValidator(check_carrier)] | None = Field(
        default=None, description="The carrier."
    )
    certificate: (
        Annotated[str, Field(max_length=512), AfterValidator(check_certificate)] | None
    ) = Field(default=None, description="Of the assignment.")
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whom it is kept for; shared if left out."
    )
    valid_from: _Time | None = None
    valid_until: _Time | None = None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"block": "70012345678", "operator": "China Mobile"}]}
    )


class BlockChange(Body):
    """
    What becomes of a block.
    """

    state: Annotated[BlockState, Field(strict=False)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "draining"}]})


class ApiKeyIn(Body):
    """
    An API key to be made; of a tenant's key, for the same tenant.
    """

    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's if left out by the operator."
    )
    form: Annotated[KeyForm, Field(strict=False)] = KeyForm.BEARER
    label: Annotated[str, Field(max_length=512), AfterValidator(check_label)]
    scopes: list[Annotated[KeyScope, Field(strict=False)]] = Field(
        min_length=1, max_length=len(KeyScope)
    )
    networks: list[Annotated[str, Field(max_length=64), AfterValidator(_is_network)]] = Field(
        default=[],
        max_length=32,
        description="Where requests may come from; empty: from where the asking key may be used.",
    )
    ttl: int = Field(
        default=365 * 86400, ge=60, le=3650 * 86400, description="Seconds that it lives."
    )
    max_binds: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many bindings may it make on a day, which begins at 00:00 UTC; not for"
        " the operator's, nor with keys:write.",
    )
    max_requests: int | None = Field(
        default=None,
        ge=1,
        le=10**9,
        description="So many requests may it make in a minute, at each process of the door; not"
        " with keys:write.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"label": "orders", "scopes": ["bindings:read", "bindings:write"]}]
        }
    )


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

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "url": "https://shop.example/hooks",
                    "types": ["binding.ended", "call.ended"],
                }
            ]
        }
    )


class CheckIn(Body):
    """
    How a service is asked before a call is connected.
    """

    url: Annotated[
        str,
        Field(max_length=2000, examples=["https://shop.example/calls"]),
        AfterValidator(check_url),
    ] = Field(description="An https address at a public host.")
    unanswered: Annotated[Unanswered, Field(strict=False)] = Field(
        default=Unanswered.REFUSE,
        description="What becomes of a call about which it says nothing in time.",
    )
    timeout_ms: int | None = Field(
        default=None,
        ge=10,
        le=5000,
        description="Milliseconds that it has; null, or more: as many as the operator lets it.",
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"url": "https://shop.example/calls"}]}
    )


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

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"numbers": "redact", "words": ["加微信"], "hold": 600}]}
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

    model_config = ConfigDict(json_schema_extra={"examples": [{"types": ["call.ended"]}]})


_Blocks = Annotated[list[Annotated[str, Field(max_length=32)]], Field(max_length=_POOL_BLOCKS)]
_Prompts = Annotated[str, Field(max_length=128), AfterValidator(check_prompts)]
_WINDOW = _seconds("how long who called last is called back", _SECOND, LONGEST_LIFE)


class PoolChange(Body):
    """
    What changes of a pool (RFC 7396): what is left out stays, null is what a new one has.
    """

    blocks: _Blocks | None = Field(
        default=None,
        description="Numbers come from these alone; else from any open to the tenant.",
    )
    operator_digit: int | None = Field(
        default=None, ge=0, le=9, description="Numbers have this digit after 700."
    )
    mode: Annotated[Mode, Field(strict=False)] | None = Field(
        default=None, description="The only mode in it, and that of bindings that say none."
    )
    callback: Annotated[Callback, Field(strict=False)] | None = Field(
        default=None, description="Who is called back, where a binding does not say."
    )
    window: int | None = _WINDOW
    language: Annotated[Language, Field(strict=False)] | None = None
    prompts: _Prompts | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"mode": "gxb"}]})


class PoolIn(PoolChange):
    """
    A pool to be added.
    """

    name: Annotated[str, Field(max_length=64), AfterValidator(check_pool)]
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose it is; the operator's keys alone may say so."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "FC1001",
                    "blocks": ["70012345678"],
                    "mode": "gxb",
                    "callback": "last",
                    "window": 1800,
                }
            ]
        }
    )


class FeedIn(Body):
    """
    A feed to be added, whose records a program sends.
    """

    name: Annotated[str, Field(max_length=512), AfterValidator(check_feed_name)]
    trust: Annotated[Trust, Field(strict=False)] = Field(
        default=Trust.FULL, description="hint: a new owner by this feed counts as unknown."
    )
    every: int | None = Field(
        default=None, ge=60, le=366 * 86_400, description="Seconds until new records are expected."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "carriers"}]})


class RecordIn(Body):
    """
    What is known of one number.
    """

    number: str = Field(max_length=64)
    status: str = Field(
        max_length=32,
        description="`reissued`: it has a new owner; `cancelled`: it was given back; `kept`: it"
        " has its owner still; `unknown`: nobody knows. Or `1`, `3`, `2`, `0`.",
    )
    date: str | None = Field(
        default=None,
        max_length=64,
        description="When it was reissued or cancelled: a time with its offset, or Beijing's; a"
        " day without a time is the whole day.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"number": "13800000001", "status": "reissued", "date": "2026-01-31"}]
        }
    )


class RecordsIn(Body):
    """
    Records of a feed. Sent again under the same name, the same records change nothing.
    """

    file: Annotated[str, Field(max_length=512), AfterValidator(check_file_name)] = Field(
        description="What these records are called: a new name for each time."
    )
    records: Annotated[list[RecordIn], Field(min_length=1, max_length=RECORDS_AT_ONCE)]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "file": "2026-02-01/17",
                    "records": [
                        {"number": "13800000001", "status": "reissued", "date": "2026-01-31"},
                        {"number": "13800000002", "status": "unknown"},
                    ],
                }
            ]
        }
    )


class TakeIn(Body):
    """
    Whose findings of misuse are handed out.
    """

    operator: int = Field(ge=0, le=9, description="The operator digit of 700 numbers.")
    limit: int = Field(default=1000, ge=1, le=10_000, description="At most so many.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"operator": 1}]})


class AcknowledgementIn(Body):
    """
    What a carrier has.
    """

    operator: int = Field(ge=0, le=9, description="The operator digit of 700 numbers.")
    up_to: int = Field(ge=1, le=2**63 - 1, description="The id of the last finding that it has.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"operator": 1, "up_to": 17}]})


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

    model_config = ConfigDict(json_schema_extra={"examples": [{"overlap": 86_400}]})


class ResendIn(Body):
    """
    Events to be sent to a webhook once more: one, or those of a time.
    """

    event: Annotated[str, Field(max_length=32), AfterValidator(_is_event)] | None = Field(
        default=None, description="This one.", examples=["evt_4711"]
    )
    since: _Time | None = Field(default=None, description="Those since this time.")
    until: _Time | None = Field(default=None, description="With since: those before this time.")

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"event": "evt_4711"}, {"since": "2026-01-31T15:04:05Z"}]}
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

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"types": ["binding.ended", "call.ended"]}]}
    )


def read_pool(body: PoolChange) -> dict[str, Any]:
    """
    What is said of a pool, by the names of :class:`agi_router.bindings.pools.Pool`.

    Raises:
        Problem: A block is none.
    """
    said = {name: getattr(body, name) for name in body.model_fields_set - {"name", "tenant"}}
    if said.get("window") is not None:
        said["window"] = timedelta(seconds=said["window"])
    if said.get("blocks") is not None:
        said["blocks"] = tuple(map(_read_block, range(_POOL_BLOCKS), said["blocks"]))
    return said


def _read_block(place: int, text: str) -> Block:
    return read_field(f"/blocks/{place}", lambda: Block.parse(text))


_Order = Annotated[str, Field(max_length=512), AfterValidator(check_order_id)]
_Digest = Annotated[str, Field(max_length=64), AfterValidator(check_evidence)]


class ConsentSearchIn(Body):
    """
    Whose lines of the consent ledger are looked for.
    """

    person: _Number

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "13800000001"}]})


class _ConsentSaid(ConsentSearchIn):
    """
    What is said of consent.
    """

    purpose: Annotated[Purpose, Field(strict=False)] = Field(
        default=Purpose.BINDING, description="To be bound, or recorded."
    )
    order: _Order | None = Field(default=None, description="For this order alone; else for all.")
    at: _Time | None = Field(default=None, description="When it was said; now if left out.")
    evidence: _Digest | None = Field(
        default=None, description="SHA-256 or SM3 of the evidence that you keep, in hexadecimal."
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="To whom; the operator's keys alone may say so."
    )


class WithdrawalIn(_ConsentSaid):
    """
    That a person no longer agrees.
    """

    cut: bool = Field(
        default=False,
        description="Whether the calls that the person is in, on the bindings that end, are cut.",
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"person": "13800000001", "tenant": "couriers"}]}
    )


class ConsentIn(_ConsentSaid):
    """
    That a person agrees.
    """

    how: Annotated[How, Field(strict=False)] = Field(description="How it was given.")
    version: Annotated[str, Field(max_length=512), AfterValidator(check_version)] | None = Field(
        default=None, description="Which text was agreed to."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"person": "13800000001", "how": "app", "tenant": "couriers"}]
        }
    )


class LockIn(Body):
    """
    A lock on a 700 number, a block, a tenant, or a person: everywhere, or for one tenant.
    """

    reason: LockReason = Field(strict=False)
    x: _X | None = None
    block: Annotated[str, Field(max_length=16, examples=["70012345678"])] | None = None
    person: _Number | None = None
    tenant: Annotated[str, AfterValidator(check_tenant)] | None = Field(
        default=None, description="The tenant; with a person, the one for which alone it is."
    )
    rule: Annotated[str, AfterValidator(check_rule)] | None = Field(
        default=None, description="The rule by which it is set."
    )
    note: Annotated[str, AfterValidator(check_note)] | None = Field(
        default=None, description="What the person may be told."
    )
    starts_at: _Time | None = Field(default=None, description="Absent: now.")
    ends_at: _Time | None = Field(default=None, description="Absent: until it is reviewed.")
    cut: bool = Field(
        default=False,
        description="Whether calls that are up as it begins are cut; for misuse and"
        " security_risk only.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"person": "13800000001", "reason": "arrears", "rule": "R-7"}]
        }
    )


class LockSearchIn(Body):
    """
    Whose locks are asked for.
    """

    person: _Number
    everything: bool = Field(default=False, description="Those that are over, too.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "13800000001"}]})


class BlocklistIn(Body):
    """
    A person who is to be kept from another one, or from anybody.
    """

    person: _Number
    other: _Number | None = Field(default=None, description="Absent: anybody.")
    tenant: Annotated[str, AfterValidator(check_tenant)] | None = Field(
        default=None, description="In whose bindings alone. Absent: in all, or the API key's own."
    )
    direction: BlockDirection = Field(
        default=BlockDirection.BOTH,
        strict=False,
        description="`out`: what the person asks of the other; `in`: the other way; or both.",
    )
    note: Annotated[str, AfterValidator(check_note)] | None = None
    ends_at: _Time | None = Field(default=None, description="Absent: until it is removed.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"person": "13800000001", "other": "13800000002", "direction": "out"}]
        }
    )


class BlocklistSearchIn(Body):
    """
    Whose entries are asked for.
    """

    person: _Number
    everything: bool = Field(default=False, description="Those that are over, too.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "13800000001"}]})


class LiftIn(Body):
    """
    Why a lock is lifted.
    """

    note: Annotated[str, AfterValidator(check_note)] | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "paid"}]})


class HoldIn(Body):
    """
    What is to be held, for which case.
    """

    case: Annotated[str, AfterValidator(check_case)]
    reason: Annotated[str, AfterValidator(check_note)]
    x: str | None = Field(default=None, max_length=32, description="A 700 number.")
    person: _Number | None = None
    order: Annotated[str, AfterValidator(check_order_id)] | None = None
    tenant: Annotated[str, AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose order alone."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"case": "P-2026-17", "reason": "police request", "person": "13800000001"}
            ]
        }
    )


class HoldSearchIn(Body):
    """
    Whose legal holds are asked for.
    """

    person: _Number
    everything: bool = Field(default=False, description="Those that were released, too.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "13800000001"}]})


class ReleaseIn(Body):
    """
    Why a legal hold is released.
    """

    note: Annotated[str, AfterValidator(check_note)]

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "case closed"}]})


class CaseIn(Body):
    """
    What real numbers are shown for.
    """

    id: Annotated[str, AfterValidator(check_case)]
    reason: Annotated[str, AfterValidator(check_note)]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "P-2026-17", "reason": "police request"}]}
    )


_Case = Annotated[CaseIn | None, Field(description="Show real numbers, for this case.")]
_Most = Annotated[
    int, Field(ge=1, le=10_000, description="At most so many bindings, calls and texts each.")
]


class TraceIn(Body):
    """
    A 700 number and a time.
    """

    x: _X
    at: _Time
    window: int = Field(
        default=3600, ge=1, le=366 * 86400, description="Seconds before and behind it."
    )
    limit: _Most = 1000
    case: _Case = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"x": "700123456780001", "at": "2026-03-01T12:00:00+08:00"}]
        }
    )


class PersonTraceIn(Body):
    """
    A person and a time.
    """

    person: _Number
    since: _Time
    until: _Time | None = Field(default=None, description="Absent: now.")
    limit: _Most = 1000
    case: _Case = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"person": "13800000001", "since": "2026-03-01T00:00:00+08:00"}]
        }
    )


def check_lock_id(text: str) -> str:
    """
    Return *text* if it is the id of a lock.

    Raises:
        ValueError: It is none.
    """
    return str(parse_lock_id(text))


class AppealIn(Body):
    """
    An appeal against a lock.
    """

    lock_id: Annotated[str, Field(max_length=32, examples=["17"]), AfterValidator(check_lock_id)]
    note: Annotated[str, AfterValidator(check_note)] | None = Field(
        default=None, description="What the person says."
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"lock_id": "17", "note": "it was not me"}]}
    )


class EvidenceIn(Body):
    """
    One piece of evidence: where it lies, and the digest of what lies there; never the paper.
    """

    kind: EvidenceKind = Field(strict=False)
    reference: Annotated[str, AfterValidator(check_reference)]
    digest: Annotated[str, Field(max_length=64), AfterValidator(check_digest)] = Field(
        description="SHA-256, 64 hexadecimal digits."
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"kind": "payment_record", "reference": "ticket-77", "digest": "9f86d081" * 8}
            ]
        }
    )


class DecideIn(Body):
    """
    What becomes of the lock.
    """

    decision: Literal["lift", "uphold"]
    note: Annotated[str, AfterValidator(check_note)] | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [{"decision": "lift"}]})


class ComplaintIn(Body):
    """
    A complaint about a call; nothing of who has complained.
    """

    x: _X = Field(description="The 700 number that was shown.")
    at: _Time = Field(description="When the call was.")
    kind: Annotated[ComplaintKind, Field(strict=False)]
    source: Annotated[str, Field(max_length=512), AfterValidator(check_complaint_source)] = Field(
        description="Who passes it on."
    )
    reference: Annotated[str, Field(max_length=512), AfterValidator(check_complaint_reference)] = (
        Field(description="What it is known by there: one that comes twice is one.")
    )
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None, description="Whose call it was; found out if left out."
    )
    note: Annotated[str, AfterValidator(check_note)] | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "x": "700123456780001",
                    "at": "2026-03-01T10:00:00+08:00",
                    "kind": "harassment",
                    "source": "12321",
                    "reference": "C-77",
                }
            ]
        }
    )


class RealNameSearchIn(Body):
    """
    Of whom it is asked whether it is known by its real name.
    """

    person: _Number

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "13800000001"}]})


class RealNameIn(RealNameSearchIn):
    """
    What was found of a person: the result alone, never a name or a paper.
    """

    status: Annotated[RealName, Field(strict=False)]
    source: Annotated[str, Field(max_length=512), AfterValidator(check_source)] = Field(
        description="Who has checked."
    )
    checked_at: _Time | None = Field(default=None, description="When; now if left out.")
    tenant: Annotated[str, Field(max_length=512), AfterValidator(check_tenant)] | None = Field(
        default=None,
        description="For which tenant alone it counts; the operator's keys alone may say so, and"
        " else it counts for all.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"person": "13800000001", "status": "yes", "source": "carrier"}]
        }
    )


class RebindIn(Body):
    """
    A binding that is to be carried over to another number.
    """

    binding_id: Annotated[str, Field(max_length=64)]
    instead: str | None = Field(
        default=None,
        max_length=64,
        description="Who takes the place of a person who is locked: a real number.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"binding_id": "70012345678-42", "instead": "13800000003"}]
        }
    )


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


def read_field(pointer: str, read: Callable[[], Value]) -> Value:
    """
    Read one field.

    Args:
        pointer: Where it is.
        read: Returns its value.

    Raises:
        Problem: It is not acceptable; names the field.
    """
    try:
        return read()
    except AgiRouterError as error:
        raise problem_of(error, pointer=pointer) from None


def read_number(pointer: str, text: str, *, fixed_lines: bool) -> PhoneNumber:
    """
    Read a party's number.

    Raises:
        Problem: It is none; names the field.
    """
    return read_field(pointer, lambda: PhoneNumber.parse(text, fixed_lines=fixed_lines))


# What a body says beside the request itself.
_BESIDE = {"mode", "operator_digit", "same_x"}
# The words of files and options, where a field has another name.
_WORDS = {"expires_at": "expires"}


def read_request(
    body: BindingIn, *, fixed_lines: bool, tenant: str, pool: Pool | None = None
) -> BindRequest:
    """
    What is asked for.

    Args:
        body: What came.
        fixed_lines: Whether fixed lines may be parties.
        tenant: Whose binding it is, where it does not say.
        pool: The pool that it names.

    Raises:
        RequestInvalid: The pool takes no bindings by its mode.
        Problem: A field is missing, not of this mode or not acceptable, or fields do not go
            together.
    """
    said = {
        _WORDS.get(name, name): value
        for name in body.model_fields_set - _BESIDE
        if (value := getattr(body, name)) is not None
    }
    placed = {"mode": body.mode, **read_field("", lambda: place_y(said))}
    if pool is not None:
        if "mode" not in body.model_fields_set and pool.mode is not None:
            del placed["mode"]
        placed = pool.fill(placed)
    mode = placed.pop("mode")
    faults = [
        FieldFault(
            f"/{each.word}", "not_of_mode" if each.word in placed else "missing", each.message
        )
        for each in find_misplaced(mode, placed)
    ]
    if faults:
        raise Problem.of_fields(faults)
    values = {
        word: _read_word(word, value, fixed_lines=fixed_lines) for word, value in placed.items()
    }
    return read_field("", lambda: make_request({"mode": mode, **values}, tenant=tenant))


def read_changes(body: BindingChange, *, now: datetime) -> dict[str, Any]:
    """
    What is to change, by the names of :class:`agi_router.bindings.terms.Terms`.

    Args:
        body: What came, without ``default``.
        now: The store's time.

    Raises:
        Problem: Its end is not acceptable.
    """
    changes: dict[str, Any] = {}
    if (body.ttl, body.expires_at) != (None, None):
        changes["expires_at"] = read_field(
            "/ttl" if body.expires_at is None else "/expires_at",
            lambda: find_expiry(
                now,
                ttl=None if body.ttl is None else timedelta(seconds=body.ttl),
                expires_at=body.expires_at,
                default=timedelta(),
            ),
        )
    if "order" in body.model_fields_set:
        changes["order_id"] = body.order
    for term in CHANGEABLE:
        if term.word in body.model_fields_set:
            value = getattr(body, term.word)
            spans = isinstance(term.kind, Span) and value is not None
            changes[term.name] = term.kind.load(value) if spans else value
    return changes


def _read_word(word: str, value: Any, *, fixed_lines: bool) -> Any:
    kind = reader(word, fixed_lines=fixed_lines)
    match kind:
        case Members():
            return read_members(value, fixed_lines=fixed_lines)
        case Span() if isinstance(value, int):
            return timedelta(seconds=value)
        case PartyNumber() | Dialled():
            return read_field(f"/{word}", lambda: kind.read(value))
        case Name():
            return read_field(f"/{word}", lambda: kind.read(value))
        case _:
            return value


def read_members(texts: Sequence[str], *, fixed_lines: bool) -> tuple[PhoneNumber, ...]:
    """
    The numbers of a group's members.

    Raises:
        Problem: One is none; names its place.
    """
    return tuple(
        read_number(f"/g/{place}", text, fixed_lines=fixed_lines)
        for place, text in enumerate(texts)
    )


def read_cursor(text: str | None) -> Cursor | None:
    """
    Where a page begins.

    Raises:
        Problem: No list has given it.
    """
    return None if text is None else read_field("/cursor", lambda: Cursor.parse(text))


def read_time(pointer: str, text: str) -> datetime:
    """
    A time in a query, where a plus that is not escaped has become a space.

    Raises:
        Problem: It is none, or has no offset.
    """
    try:
        return _read_time(text.replace(" ", "+"))
    except ValueError as error:
        raise Problem.of_fields([FieldFault(pointer, "time_invalid", str(error))]) from None


def read_choice(body: BindingIn) -> NumberPolicy:
    """
    How numbers are chosen that are not given.
    """
    return NumberPolicy(operator_digit=body.operator_digit, same_x=body.same_x)
