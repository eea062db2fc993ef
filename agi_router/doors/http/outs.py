"""
What is answered, for the OpenAPI document: fields and examples of the views of the rooms.

The views make the answers; a test holds both together.
"""

from typing import TYPE_CHECKING, Any, Literal

from fastapi import status
from pydantic import BaseModel, ConfigDict, Field, create_model

from agi_router.bindings.reasons import Reason
from agi_router.bindings.terms import TERMS, Span, Term, Whole, Words
from agi_router.bindings.words import BindingState, Callback, Language, Mode
from agi_router.calls.end import Clock
from agi_router.consent.ledger import Act, How, Purpose
from agi_router.doors.http.bodies import describe_term
from agi_router.feeds.findings import FindingStatus
from agi_router.feeds.model import FeedKind, NumberForm, Outcome, Trust
from agi_router.inventory.model import BlockState
from agi_router.messages.model import MessageState
from agi_router.messages.rules import NumberRule
from agi_router.persons.appeals import NOTICES, AppealState, EvidenceKind
from agi_router.persons.blocklist import BlockDirection, EntryState
from agi_router.persons.complaints import ComplaintKind
from agi_router.persons.locks import LockReason, LockState, Subject
from agi_router.persons.real_names import RealName
from agi_router.tenants.api_keys import KeyForm, KeyScope, KeyState
from agi_router.tenants.model import UnknownNumbers
from agi_router.tenants.rules import Consent

__all__ = [
    "AcknowledgementOut",
    "ActOut",
    "ApiKeyMadeOut",
    "ApiKeyOut",
    "ApiKeysOut",
    "AppealOut",
    "AppealsOut",
    "AuditOut",
    "BatchOut",
    "BindingOut",
    "BindingsOut",
    "BlockOut",
    "BlockPoolOut",
    "BlocklistEntryOut",
    "BlocklistOut",
    "BlocksOut",
    "CallOut",
    "CallsOut",
    "ComplaintOut",
    "ComplaintsOut",
    "ConsentOut",
    "ConsentsOut",
    "EvidenceOut",
    "ExplanationOut",
    "FaultOut",
    "FeedOut",
    "FeedsOut",
    "FieldFaultOut",
    "FindingOut",
    "FindingsOut",
    "GroupOut",
    "GroupsOut",
    "LockOut",
    "LocksOut",
    "MatchOut",
    "MessageLinkOut",
    "MessageLinksOut",
    "MessageOut",
    "MessageRulesOut",
    "MessagesOut",
    "NumberPoolOut",
    "NumberPoolsOut",
    "Out",
    "PoolOut",
    "ProblemOut",
    "PushOut",
    "RealNameOut",
    "RealNameStatusOut",
    "RealNamesOut",
    "RebindOut",
    "ResultOut",
    "RuleOut",
    "RunOut",
    "RunReportOut",
    "RunsOut",
    "StretchOut",
    "TakenFindingOut",
    "TakenOut",
    "TenantOut",
    "TenantsOut",
    "TextExplanationOut",
    "TraceOut",
    "TracedParty",
    "WithdrawalOut",
    "answers",
]

_TIME = "2026-01-31T15:04:05+00:00"
_MASKED = "138****0001"


class Out(BaseModel):
    """
    A body of an answer: its fields are these and no others.
    """

    model_config = ConfigDict(extra="forbid")


_BINDING: dict[str, Any] = {
    "id": "70012345678-42",
    "mode": "axb",
    "x": "700123456780001",
    "a": _MASKED,
    "b": "138****0002",
    "state": "active",
    "begins_at": _TIME,
    "expires_at": "2026-01-31T17:04:05+00:00",
    "ended_at": None,
    "calls_used": 0,
    "messages_used": 0,
    **{term.word: term.store(term.default) for term in TERMS},
    "max_calls": 10,
    "order": "A-1001",
    "tenant": "couriers",
    "version": 1,
    "damage": None,
}


class _BindingHead(Out):
    id: str
    mode: Mode
    x: str | None = Field(description="What A's side dials.")
    y: str | None = Field(default=None, description="What B dials, where it is another one.")
    y_ttl: int | None = None
    parent: str | None = Field(default=None, description="The binding whose call made this one.")
    extension: str | None = None
    a: str | None = None
    g: list[str] | None = None
    group: str | None = Field(default=None, description="The party group that is side A.")
    b: str | None
    callback: Callback | None = None
    window: int | None = None
    called_back: list[str] | None = Field(default=None, description="Who rings, as it stands.")
    state: BindingState
    begins_at: str
    expires_at: str
    ended_at: str | None
    calls_used: int
    messages_used: int


def _type_of(term: Term) -> Any:
    match term.kind:
        case Words(enum=enum):
            kind: Any = enum
        case Whole() | Span():
            kind = int
        case _:
            kind = str
    return kind | None if term.default is None else kind


if TYPE_CHECKING:
    _TermsOut = _BindingHead
else:
    _TermsOut = create_model(
        "_TermsOut",
        __base__=_BindingHead,
        **{term.word: (_type_of(term), Field(description=describe_term(term))) for term in TERMS},
    )


class BindingOut(_TermsOut):
    """
    A binding. Numbers of parties are masked.
    """

    order: str | None
    tenant: str
    version: int = Field(description="Counts its changes.")
    damage: str | None = Field(description="Why its parties cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_BINDING]})


class BindingsOut(Out):
    """
    Bindings, newest first.
    """

    bindings: list[BindingOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"bindings": [_BINDING]}]})


_GROUP: dict[str, Any] = {
    "id": "17",
    "name": "night-shift",
    "tenant": "couriers",
    "label": None,
    "g": [_MASKED, "138****0003"],
    "bindings": 3,
    "created_at": _TIME,
    "version": 1,
    "damage": None,
}


class GroupOut(Out):
    """
    A party group. Numbers of members are masked.
    """

    id: str
    name: str
    tenant: str
    label: str | None
    g: list[str] = Field(description="Its members, in their order.")
    bindings: int = Field(description="How many bindings by it live.")
    created_at: str
    version: int = Field(description="Another one after each change.")
    damage: str | None = Field(description="Why its members cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_GROUP]})


class GroupsOut(Out):
    """
    Party groups, newest first.
    """

    groups: list[GroupOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"groups": [_GROUP]}]})


class FieldFaultOut(Out):
    """
    What is wrong with a field.
    """

    pointer: str = Field(description="RFC 6901; empty: the whole body.")
    code: str
    detail: str


_PROBLEM: dict[str, Any] = {
    "type": "urn:agi-router:problem:binding_not_found",
    "title": "Not Found",
    "status": 404,
    "detail": "there is no binding 70012345678-42",
    "code": "binding_not_found",
    "instance": "urn:agi-router:request:5f1de0a4c0a84f0c9a3a7f1de0a4c0a8",
}


class ProblemOut(Out):
    """
    A request that cannot be done (RFC 9457).
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    instance: str | None = None
    errors: list[FieldFaultOut] | None = None

    model_config = ConfigDict(json_schema_extra={"examples": [_PROBLEM]})


class ResultOut(Out):
    """
    What became of one of a batch.
    """

    status: int
    binding: BindingOut | None = None
    problem: ProblemOut | None = None


class BatchOut(Out):
    """
    What became of each, in the order in which they came.
    """

    results: list[ResultOut]

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"results": [{"status": 201, "binding": _BINDING}]}]}
    )


_CALL: dict[str, Any] = {
    "id": "pbx1-1769843045.17",
    "tenant": "couriers",
    "x": "700123456780001",
    "binding": "70012345678-42",
    "shown": "700123456780001",
    "side": "a",
    "verdict": "route",
    "reason": None,
    "outcome": "answered",
    "state": "settled",
    "received_at": _TIME,
    "ringing_at": "2026-01-31T15:04:09.200000+00:00",
    "answered_at": "2026-01-31T15:04:35+00:00",
    "ended_at": "2026-01-31T15:05:05+00:00",
    "ring_ms": 4200,
    "talk_ms": 30000,
    "released_by": "caller",
    "cause": 16,
    "sip_status": 200,
    "clock": None,
    "cut": None,
    "check_id": None,
    "check_verdict": None,
    "check_ms": None,
    "tenant_check_id": None,
    "tenant_check_verdict": None,
    "tenant_check_ms": None,
}


class CallOut(Out):
    """
    A call, admitted or refused.
    """

    id: str
    tenant: str | None = Field(description="Of the binding that it used.")
    x: str
    binding: str | None
    shown: str | None = Field(description="The 700 number that the callee is shown.")
    side: str | None
    verdict: str
    reason: Reason | None
    outcome: str | None
    state: str
    received_at: str
    ringing_at: str | None
    answered_at: str | None
    ended_at: str | None
    ring_ms: int | None
    talk_ms: int | None
    released_by: str | None
    cause: int | None
    sip_status: int | None = Field(
        description="The callee's final SIP status; null: it gave none, or several rang at once."
    )
    clock: Clock | None = Field(description="Which clock ended it; null: none.")
    cut: LockReason | Literal["consent_withdrawn"] | None = Field(
        description="The reason of the lock for which it was cut, or that a party has withdrawn"
        " its consent; null: it was not."
    )
    check_id: str | None = Field(
        description="Of the question to the operator's verification service."
    )
    check_verdict: str | None = Field(description="yes, no or unavailable; null: nobody asked.")
    check_ms: int | None
    tenant_check_id: str | None = Field(description="The same of the tenant's own service.")
    tenant_check_verdict: str | None
    tenant_check_ms: int | None

    model_config = ConfigDict(json_schema_extra={"examples": [_CALL]})


class CallsOut(Out):
    """
    Calls, newest first.
    """

    calls: list[CallOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"calls": [_CALL]}]})


class RuleOut(Out):
    """
    A rule, and whether it holds.
    """

    rule: str
    holds: bool


class ExplanationOut(Out):
    """
    What would become of a call, rule by rule.
    """

    verdict: str
    reason: Reason | None
    shown: str | None
    ring: str | None
    binding: str | None
    prompt: str | None
    cause: int | None
    display: str | None = None
    sequence: bool | None = None
    at: str | None
    rules: list[RuleOut]
    limits: list[str] = Field(
        default_factory=list,
        description="Rates that it is held to by what each router has counted; not judged here.",
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "verdict": "refuse",
                    "reason": "stranger",
                    "shown": None,
                    "ring": None,
                    "binding": None,
                    "prompt": "no_binding",
                    "cause": 21,
                    "at": _TIME,
                    "rules": [{"rule": "numbers are of an accepted form", "holds": True}],
                }
            ]
        }
    )


_MESSAGE_RULES: dict[str, Any] = {
    "tenant": "couriers",
    "numbers": "redact",
    "words": ["加微信"],
    "templates": [],
    "opt_out": ["TD", "退订"],
    "hold": None,
    "changed_at": _TIME,
}
_MESSAGE: dict[str, Any] = {
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
    "received_at": _TIME,
    "expires_at": "2026-01-31T17:04:05+00:00",
    "done_at": "2026-01-31T15:04:06+00:00",
}


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

    model_config = ConfigDict(json_schema_extra={"examples": [_MESSAGE]})


_MESSAGE_LINK: dict[str, Any] = {
    "name": "carrier",
    "state": "up",
    "drained": False,
    "node": "texts-1",
    "up_since": _TIME,
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

    model_config = ConfigDict(json_schema_extra={"examples": [_MESSAGE_LINK]})


class MessageLinksOut(Out):
    """
    The links to message centres.
    """

    links: list[MessageLinkOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"links": [_MESSAGE_LINK]}]})


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
    changed_at: str | None = Field(description="Null: all texts go on, as of itself.")

    model_config = ConfigDict(json_schema_extra={"examples": [_MESSAGE_RULES]})


class MessagesOut(Out):
    """
    Texts, newest first.
    """

    messages: list[MessageOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"messages": [_MESSAGE]}]})


class TextExplanationOut(Out):
    """
    What would become of a text, rule by rule.
    """

    verdict: str = Field(description="take or refuse.")
    reason: Reason | None
    binding: str | None
    receiver: str | None
    shown: str | None = Field(description="null: a number is made by the text.")
    at: str | None
    rules: list[RuleOut]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "verdict": "take",
                    "reason": None,
                    "binding": "70012345678-42",
                    "receiver": "138****0002",
                    "shown": "700123456780001",
                    "at": _TIME,
                    "rules": [{"rule": "texts are left", "holds": True}],
                }
            ]
        }
    )


_POOL: dict[str, Any] = {
    "block": "70012345678",
    "state": "active",
    "tenant": None,
    "bound": 9120,
    "resting": 300,
    "free": 580,
    "growth": 240,
    "exhausted_at": _TIME,
}


class BlockPoolOut(Out):
    """
    How full a block is.
    """

    block: str
    state: BlockState
    tenant: str | None
    bound: int
    resting: int
    free: int
    growth: int
    exhausted_at: str | None


class PoolOut(Out):
    """
    How full the blocks are.
    """

    blocks: list[BlockPoolOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"blocks": [_POOL]}]})


_NUMBER_POOL: dict[str, Any] = {
    "name": "FC1001",
    "tenant": "couriers",
    "blocks": ["70012345678"],
    "operator_digit": None,
    "mode": "gxb",
    "callback": "last",
    "window": 1800,
    "language": "zh",
    "prompts": None,
    "created_at": _TIME,
    "version": 1,
}


class NumberPoolOut(Out):
    """
    A pool: a named set of a tenant's numbers, with what bindings on them have by default.
    """

    name: str
    tenant: str
    blocks: list[str] = Field(description="None: all that are open to the tenant.")
    operator_digit: int | None
    mode: Mode | None
    callback: Callback | None
    window: int | None
    language: Language | None
    prompts: str | None
    created_at: str
    version: int = Field(description="Counts its changes.")

    model_config = ConfigDict(json_schema_extra={"examples": [_NUMBER_POOL]})


class NumberPoolsOut(Out):
    """
    Pools, newest first.
    """

    pools: list[NumberPoolOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"pools": [_NUMBER_POOL], "next_cursor": None}]}
    )


_BLOCK: dict[str, Any] = {
    "block": "70012345678",
    "first": "700123456780000",
    "last": "700123456789999",
    "operator_digit": "1",
    "operator": "China Mobile",
    "certificate": None,
    "tenant": None,
    "state": "active",
    "valid_from": None,
    "valid_until": None,
    "bindings": 0,
    "created_at": _TIME,
}


class BlockOut(Out):
    """
    A managed block.
    """

    block: str
    first: str
    last: str
    operator_digit: str
    operator: str | None
    certificate: str | None
    tenant: str | None
    state: BlockState
    valid_from: str | None
    valid_until: str | None
    bindings: int
    created_at: str

    model_config = ConfigDict(json_schema_extra={"examples": [_BLOCK]})


class BlocksOut(Out):
    """
    The managed blocks.
    """

    blocks: list[BlockOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"blocks": [_BLOCK]}]})


_TENANT: dict[str, Any] = {
    "name": "couriers",
    "state": "active",
    "unknown_numbers": "ring",
    "max_bindings": 100_000,
    "max_binds": None,
    "max_requests": None,
    "qualification": "B2-20260001",
    "qualified_by": "MIIT",
    "qualified_from": None,
    "qualified_until": _TIME,
    "needs_order": True,
    "scenes": ["parcel", "meal"],
    "max_pair_binds": 30,
    "max_order_pairs": 5,
    "refuses_pairs": False,
    "hours": None,
    "time_zone": "Asia/Shanghai",
    "call_limits": {"caller": "30/1h"},
    "consent": "asserted",
    "needs_real_name": False,
    "created_at": _TIME,
}


class TenantOut(Out):
    """
    A tenant.
    """

    name: str
    state: str
    unknown_numbers: UnknownNumbers = Field(
        description="What becomes of bindings where a feed does not know whether a party's number"
        " has a new owner: ring, they go on; refuse, they end."
    )
    max_bindings: int | None = Field(
        description="So many of its bindings may live at once; null: any number."
    )
    max_binds: int | None = Field(
        description="So many may be made for it on a day, which begins at 00:00 UTC."
    )
    max_requests: int | None = Field(
        description="So many requests may its API keys make in a minute, at each process of the"
        " door; null: any number."
    )
    qualification: str | None = Field(description="Number of the paper that qualifies it.")
    qualified_by: str | None = Field(description="Who has issued it.")
    qualified_from: str | None = Field(
        description="Before it no calls and no new bindings; null: since ever."
    )
    qualified_until: str | None = Field(
        description="From then on no calls and no new bindings; null: for ever."
    )
    needs_order: bool = Field(description="Whether each of its bindings needs an order.")
    scenes: list[str] = Field(
        description="Codes of the uses that it binds for: each binding names one. None: any."
    )
    max_pair_binds: int | None = Field(
        description="So often the same two may be bound within an hour; null: any number."
    )
    max_order_pairs: int | None = Field(
        description="So many different pairs may be bound by one order; null: any number."
    )
    refuses_pairs: bool = Field(
        description="Whether more pairs of one order are refused, and not only told."
    )
    hours: str | None = Field(
        description="In which calls and texts go through of bindings without hours of their own."
    )
    time_zone: str = Field(description="Of its hours, and of those of its bindings.")
    call_limits: dict[str, str] = Field(
        description="So many calls go through in a time: of a caller, to a callee, to a number, or"
        " of the tenant; at each router."
    )
    consent: Consent = Field(
        description="Whether its parties' consent is asked for: `off`; `asserted`, it states it"
        " with each bind; `required`, it is in the ledger before."
    )
    needs_real_name: bool = Field(
        description="Whether nobody is bound who is not known by its real name."
    )
    created_at: str

    model_config = ConfigDict(json_schema_extra={"examples": [_TENANT]})


class TenantsOut(Out):
    """
    The tenants.
    """

    tenants: list[TenantOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"tenants": [_TENANT]}]})


_FEED: dict[str, Any] = {
    "name": "carriers",
    "kind": "push",
    "path": None,
    "numbers": "plain",
    "trust": "full",
    "every": 86_400,
    "created_at": _TIME,
    "last_at": _TIME,
    "overdue": False,
    "authorized": False,
    "pulled_at": None,
    "failed_at": None,
    "failure": None,
}


class FeedOut(Out):
    """
    A feed of numbers with new owners.
    """

    name: str
    kind: FeedKind = Field(
        description="Where its records come from; push: a program sends them. The others are read"
        " by the command line."
    )
    path: str | None
    numbers: NumberForm
    trust: Trust
    every: int | None = Field(description="Seconds in which new records are expected.")
    created_at: str
    last_at: str | None = Field(description="When a file of it was done last.")
    overdue: bool
    authorized: bool = Field(
        description="Whether a secret is sent to the address of a pulled one."
    )
    pulled_at: str | None = Field(
        description="When its address was asked last, and all was done that was new."
    )
    failed_at: str | None = Field(description="When that failed last.")
    failure: str | None = Field(description="Why the last try has failed; null: it did not.")

    model_config = ConfigDict(json_schema_extra={"examples": [_FEED]})


class FeedsOut(Out):
    """
    The feeds.
    """

    feeds: list[FeedOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"feeds": [_FEED]}]})


_FINDING: dict[str, Any] = {
    "id": 17,
    "operator": 1,
    "number": "138****0001",
    "status": "misuse",
    "source": "lock",
    "since": _TIME,
    "rule": None,
    "found_at": _TIME,
    "taken_at": None,
    "acknowledged_at": None,
    "damage": None,
}
_TAKEN: dict[str, Any] = {
    "id": 17,
    "number": "13800000001",
    "status": "misuse",
    "since": _TIME,
    "rule": None,
}


class FindingOut(Out):
    """
    A finding of misuse.
    """

    id: int
    operator: int = Field(description="The operator digit whose carrier is told.")
    number: str | None = Field(description="Masked; null: it is damaged.")
    status: FindingStatus
    source: str = Field(description="What has led to it.")
    since: str
    rule: str | None
    found_at: str
    taken_at: str | None = Field(description="When it was handed out first.")
    acknowledged_at: str | None = Field(description="When its carrier had it.")
    damage: str | None = Field(description="Why its number cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_FINDING]})


class FindingsOut(Out):
    """
    A page of findings.
    """

    findings: list[FindingOut]
    next_cursor: str | None

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"findings": [_FINDING], "next_cursor": None}]}
    )


class TakenFindingOut(Out):
    """
    A finding, as its carrier is told.
    """

    id: int
    number: str = Field(description="The real number.")
    status: FindingStatus = Field(
        description="withdrawn: what was found before is true no more, so the number is not to be"
        " frozen by it."
    )
    since: str
    rule: str | None

    model_config = ConfigDict(json_schema_extra={"examples": [_TAKEN]})


class TakenOut(Out):
    """
    Findings that are handed out.
    """

    findings: list[TakenFindingOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"findings": [_TAKEN]}]})


class AcknowledgementOut(Out):
    """
    What a carrier has, and is told no more.
    """

    acknowledged: int = Field(description="How many findings.")

    model_config = ConfigDict(json_schema_extra={"examples": [{"acknowledged": 17}]})


_RUN: dict[str, Any] = {
    "run": 7,
    "feed": "carriers",
    "file": "2026-02-01/17",
    "state": "done",
    "begun_at": _TIME,
    "ended_at": _TIME,
    "records": 3,
    "reissued": 1,
    "cancelled": 0,
    "kept": 0,
    "unknown": 1,
    "malformed": 1,
    "matched": 1,
    "ended": 1,
}
_RUN_REPORT: dict[str, Any] = {
    **_RUN,
    "faults": [{"line": 3, "why": "a date looks like 2026-01-31, or 2026-01-31 15:04"}],
    "matches": [
        {
            "line": 1,
            "binding": "70012345678-42",
            "tenant": "couriers",
            "outcome": "ended",
            "at": _TIME,
        }
    ],
}


class RunOut(Out):
    """
    A file of a feed, and what came of it.
    """

    run: int
    feed: str
    file: str
    state: Literal["unfinished", "done"] = Field(
        description="unfinished: it is read now, or was broken off; sent again it goes on."
    )
    begun_at: str
    ended_at: str | None
    records: int = Field(description="How many are done, whatever they say.")
    reissued: int
    cancelled: int
    kept: int
    unknown: int
    malformed: int
    matched: int = Field(description="Live bindings that have such a party.")
    ended: int = Field(description="Those of them that ended by it.")

    model_config = ConfigDict(json_schema_extra={"examples": [_RUN]})


class RunsOut(Out):
    """
    Runs of a feed, the latest first.
    """

    runs: list[RunOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"runs": [_RUN]}]})


class FaultOut(Out):
    """
    A record that cannot be read, by its place among those of the file, from 1.
    """

    line: int
    why: str

    model_config = ConfigDict(json_schema_extra={"examples": _RUN_REPORT["faults"]})


class MatchOut(Out):
    """
    A binding with a party of such a number.
    """

    line: int
    binding: str
    tenant: str
    outcome: Outcome = Field(
        description="began_later: the new owner was bound; rings: nobody knows, and its tenant"
        " lets it ring."
    )
    at: str

    model_config = ConfigDict(json_schema_extra={"examples": _RUN_REPORT["matches"]})


class RunReportOut(RunOut):
    """
    The same, with its first thousand faults, and ten thousand bindings at most.
    """

    faults: list[FaultOut]
    matches: list[MatchOut]

    model_config = ConfigDict(json_schema_extra={"examples": [_RUN_REPORT]})


class PushOut(RunReportOut):
    """
    The same, as it was sent just now.
    """

    damaged: int = Field(
        description="Rows that do not open and were passed over; `agi-router list` shows which."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{**_RUN_REPORT, "damaged": 0}]})


_CONSENT: dict[str, Any] = {
    "id": "4711",
    "person": _MASKED,
    "tenant": "couriers",
    "act": "given",
    "purpose": "binding",
    "order": None,
    "how": "app",
    "at": _TIME,
    "evidence": None,
    "version": "2026-07",
    "binding": None,
    "cut": False,
    "void": False,
    "added_at": _TIME,
    "added_by": "API key qkzwhtdmxcvbnrpl",
    "damage": None,
}


_COMPLAINT: dict[str, Any] = {
    "id": "5",
    "x": "700123456780001",
    "tenant": "couriers",
    "kind": "harassment",
    "at": _TIME,
    "source": "12321",
    "reference": "C-77",
    "note": None,
    "added_at": _TIME,
    "added_by": None,
    "dismissed_at": None,
    "dismiss_note": None,
}


class ComplaintOut(Out):
    """
    A complaint about a call.
    """

    id: str
    x: str = Field(description="The 700 number that was shown.")
    tenant: str | None = Field(description="Whose call it was; null: that is not known.")
    kind: ComplaintKind
    at: str = Field(description="When the call was.")
    source: str
    reference: str
    note: str | None
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    dismissed_at: str | None = Field(description="Since when it counts no longer.")
    dismiss_note: str | None

    model_config = ConfigDict(json_schema_extra={"examples": [_COMPLAINT]})


class ComplaintsOut(Out):
    """
    Complaints, newest first.
    """

    complaints: list[ComplaintOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"complaints": [_COMPLAINT]}]})


_REAL_NAME: dict[str, Any] = {
    "id": "812",
    "person": _MASKED,
    "tenant": None,
    "status": "yes",
    "source": "carrier",
    "checked_at": _TIME,
    "void": False,
    "added_at": _TIME,
    "added_by": "API key qkzwhtdmxcvbnrpl",
    "damage": None,
}


class RealNameOut(Out):
    """
    Whether a person is known by its real name, as somebody has found. Its number is masked.
    """

    id: str
    person: str | None = Field(description="null: it is damaged.")
    tenant: str | None = Field(description="For which tenant alone it counts; null: for all.")
    status: RealName
    source: str = Field(description="Who has checked.")
    checked_at: str
    void: bool = Field(description="Whether the number has had a new owner since.")
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    damage: str | None = Field(description="Why its person cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_REAL_NAME]})


class RealNamesOut(Out):
    """
    What was found, newest first.
    """

    real_names: list[RealNameOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"real_names": [_REAL_NAME]}]})


class RealNameStatusOut(Out):
    """
    What counts of a person for whoever asks, and the lines that it sees, newest first.
    """

    status: RealName
    source: str | None = Field(description="Who has checked; null: nobody.")
    checked_at: str | None
    real_names: list[RealNameOut]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "status": "yes",
                    "source": "carrier",
                    "checked_at": _TIME,
                    "real_names": [_REAL_NAME],
                }
            ]
        }
    )


class ConsentOut(Out):
    """
    A line of the consent ledger. The number of the person is masked.
    """

    id: str
    person: str | None = Field(description="null: it is damaged.")
    tenant: str
    act: Act
    purpose: Purpose
    order: str | None = Field(description="For which order alone; null: for all of the tenant.")
    how: How | None = Field(description="How it was given.")
    at: str = Field(description="When it was said.")
    evidence: str | None = Field(description="Digest of the evidence, in hexadecimal.")
    version: str | None = Field(description="Which text was agreed to.")
    binding: str | None = Field(description="The binding with which it was stated.")
    cut: bool = Field(description="Whether calls that were up are cut by it.")
    void: bool = Field(description="Whether the number has had a new owner since.")
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    damage: str | None = Field(description="Why its person cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_CONSENT]})


class WithdrawalOut(ConsentOut):
    """
    What was withdrawn, and the bindings that have ended by it.
    """

    ended: list[str]

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_CONSENT, "act": "withdrawn", "how": None, "ended": ["70012345678-1"]}]
        }
    )


class ConsentsOut(Out):
    """
    Lines of the consent ledger, newest first.
    """

    consents: list[ConsentOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"consents": [_CONSENT]}]})


_LOCK: dict[str, Any] = {
    "id": "17",
    "subject": "person",
    "x": None,
    "block": None,
    "person": _MASKED,
    "tenant": None,
    "reason": "arrears",
    "state": "in_force",
    "rule": "R-7",
    "note": None,
    "starts_at": _TIME,
    "ends_at": None,
    "over_at": None,
    "set_at": _TIME,
    "set_by": "API key qkzwhtdmxcvbnrpl",
    "lifted_by": None,
    "lift_note": None,
    "cut": False,
    "damage": None,
}


class LockOut(Out):
    """
    A lock. The number of a person is masked.
    """

    id: str
    subject: Subject
    x: str | None = Field(description="The 700 number, where it is on one.")
    block: str | None = Field(description="The block, where it is on one.")
    person: str | None = Field(description="Whom it is on, masked.")
    tenant: str | None = Field(description="Which it is on, or for which alone a person is.")
    reason: LockReason
    state: LockState
    rule: str | None
    note: str | None = Field(description="What the person may be told.")
    starts_at: str
    ends_at: str | None = Field(description="null: until it is reviewed.")
    over_at: str | None
    set_at: str
    set_by: str | None = Field(description="Told to the operator alone.")
    lifted_by: str | None = Field(description="The same.")
    lift_note: str | None
    cut: bool = Field(description="Whether calls that are up as it begins are cut.")
    damage: str | None = Field(description="Why what it is on cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_LOCK]})


_APPEAL: dict[str, Any] = {
    "id": "3",
    "lock_id": "17",
    "subject": "person",
    "x": None,
    "block": None,
    "person": _MASKED,
    "reason": "arrears",
    "tenant": "couriers",
    "state": "evidence_complete",
    "text": dict(NOTICES[AppealState.COMPLETE]),
    "missing": [],
    "evidence": [
        {
            "kind": "payment_record",
            "reference": "ticket-77",
            "digest": "9f86d081" * 8,
            "added_at": _TIME,
        }
    ],
    "note": None,
    "filed_at": _TIME,
    "filed_by": None,
    "state_at": _TIME,
    "deadline_at": _TIME,
    "overdue": False,
    "reviewer": None,
    "decided_by": None,
    "decision_note": None,
    "offers": [],
    "rebinds": [],
    "damage": None,
}


class RebindOut(Out):
    """
    A binding that was carried over to another number.
    """

    old_binding_id: str = Field(description="It has ended.")
    new_binding_id: str = Field(description="It has its place.")
    at: str


class EvidenceOut(Out):
    """
    One piece of evidence.
    """

    kind: EvidenceKind
    reference: str
    digest: str
    added_at: str


class AppealOut(Out):
    """
    An appeal against a lock. The number of a person is masked.
    """

    id: str
    lock_id: str
    subject: Subject
    x: str | None
    block: str | None
    person: str | None
    reason: LockReason = Field(description="Of the lock.")
    tenant: str | None = Field(description="Who has filed it; null: the operator.")
    state: AppealState
    text: dict[str, str] = Field(description="For the person, in zh and en.")
    missing: list[EvidenceKind]
    evidence: list[EvidenceOut]
    note: str | None
    filed_at: str
    filed_by: str | None = Field(description="Told to the operator alone; so the two below.")
    state_at: str
    deadline_at: str | None = Field(description="Until when the next step is due.")
    overdue: bool
    reviewer: str | None
    decided_by: str | None
    decision_note: str | None
    offers: list[Literal["rebind"]] = Field(description="What may be done about it yet.")
    rebinds: list[RebindOut] = Field(description="Of the tenant's bindings.")
    damage: str | None = Field(description="Why what its lock is on cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_APPEAL]})


class AppealsOut(Out):
    """
    Appeals, newest first.
    """

    appeals: list[AppealOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"appeals": [_APPEAL]}]})


class LocksOut(Out):
    """
    Locks, newest first.
    """

    locks: list[LockOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"locks": [_LOCK]}]})


_ENTRY: dict[str, Any] = {
    "id": "18",
    "person": _MASKED,
    "other": None,
    "tenant": "couriers",
    "direction": "both",
    "state": "in_force",
    "note": None,
    "added_at": _TIME,
    "added_by": None,
    "ends_at": None,
    "over_at": None,
    "damage": None,
}


class BlocklistEntryOut(Out):
    """
    An entry of a block list. The numbers of persons are masked.
    """

    id: str
    person: str | None = Field(description="Whose entry it is, masked; null: it is damaged.")
    other: str | None = Field(
        description="From whom it keeps the person; null: from anybody, where it is not damaged."
    )
    tenant: str | None = Field(description="In whose bindings alone it holds; null: in all.")
    direction: BlockDirection
    state: EntryState
    note: str | None
    added_at: str
    added_by: str | None = Field(description="Told to the operator alone.")
    ends_at: str | None = Field(description="null: it holds until it is removed.")
    over_at: str | None
    damage: str | None = Field(description="Why its persons cannot be read.")

    model_config = ConfigDict(json_schema_extra={"examples": [_ENTRY]})


class BlocklistOut(Out):
    """
    Entries of block lists, newest first.
    """

    entries: list[BlocklistEntryOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"entries": [_ENTRY]}]})


_STRETCH: dict[str, Any] = {
    "binding": "70012345678-42",
    "tenant": "couriers",
    "order": "A-1001",
    "mode": "axb",
    "state": "expired",
    "since": _TIME,
    "until": "2026-01-31T17:04:05+00:00",
    "a": [{"number": _MASKED, "dials": "700123456780001"}],
    "b": [{"number": _MASKED, "dials": "700123456780001"}],
    "called_back": [],
    "damage": None,
}


class TracedParty(Out):
    """
    Who was bound.
    """

    number: str = Field(description="The real number; masked where no case is named.")
    dials: str | None = Field(description="The 700 number that it dials.")


class StretchOut(Out):
    """
    A time in which a binding had the same parties.
    """

    binding: str
    tenant: str
    order: str | None
    mode: Mode
    state: BindingState
    since: str
    until: str = Field(description="In the future where the binding is to end then.")
    a: list[TracedParty]
    b: list[TracedParty]
    called_back: list[str] = Field(description="Who else was rung by it.")
    damage: str | None = Field(description="Why the parties cannot be read.")


_ACT: dict[str, Any] = {
    "id": "7",
    "at": _TIME,
    "act": "lock set",
    "subject": "lock 17",
    "reason": None,
    "case_id": None,
    "api_key": None,
    "request_id": None,
    "name": "li",
    "uid": 1001,
    "effective_uid": 1001,
    "login_uid": 1001,
    "claimed": None,
    "host": "console",
}


class ActOut(Out):
    """
    A row of the audit; it holds no real number.
    """

    id: str
    at: str
    act: str = Field(description="The command, or the method and path of a request.")
    subject: str = Field(description="What was asked for, or changed.")
    reason: str | None
    case_id: str | None = Field(description="The case that a full trace, or a legal hold, is for.")
    api_key: str | None = Field(description="The key of a request; null: it was a command.")
    request_id: str | None
    name: str = Field(description="The user of the host; of a request, that of the door.")
    uid: int
    effective_uid: int
    login_uid: int | None = Field(description="Who had logged in, as the kernel keeps it.")
    claimed: str | None = Field(description="What sudo said: a hint, anybody can set it.")
    host: str

    model_config = ConfigDict(json_schema_extra={"examples": [_ACT]})


class AuditOut(Out):
    """
    Rows of the audit, newest first.
    """

    audit: list[ActOut]
    next_cursor: str | None = Field(
        default=None, description="Where the next page begins; null: there is none."
    )

    model_config = ConfigDict(json_schema_extra={"examples": [{"audit": [_ACT]}]})


class TraceOut(Out):
    """
    Who was bound in a time, the earliest first, and what came of it, the newest first.
    """

    since: str
    until: str
    bound: list[StretchOut]
    calls: list[CallOut]
    messages: list[MessageOut]
    locks: list[LockOut]
    consents: list[ConsentOut] = Field(
        description="What the parties had said to the tenants by whom they were bound."
    )
    cut: bool = Field(description="Whether there is more than was asked for.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "since": _TIME,
                    "until": "2026-01-31T17:04:05+00:00",
                    "bound": [_STRETCH],
                    "calls": [_CALL],
                    "messages": [_MESSAGE],
                    "locks": [_LOCK],
                    "consents": [_CONSENT],
                    "cut": False,
                }
            ]
        }
    )


_API_KEY: dict[str, Any] = {
    "id": "qkzwhtdmxcvbnrpl",
    "tenant": "couriers",
    "form": "bearer",
    "label": "orders",
    "scopes": ["bindings:read", "bindings:write"],
    "networks": [],
    "max_binds": None,
    "max_requests": None,
    "state": "active",
    "created_at": _TIME,
    "expires_at": "2027-01-31T15:04:05+00:00",
    "revoked_at": None,
    "last_used_at": None,
}


class ApiKeyOut(Out):
    """
    An API key, without its secret.
    """

    id: str
    tenant: str | None
    form: KeyForm
    label: str
    scopes: list[KeyScope]
    networks: list[str]
    max_binds: int | None = Field(
        description="So many bindings may it make on a day; null: any number."
    )
    max_requests: int | None = Field(
        description="So many requests may it make in a minute, at each process of the door; what"
        " the operator says for all keys holds besides."
    )
    state: KeyState
    created_at: str
    expires_at: str
    revoked_at: str | None
    last_used_at: str | None

    model_config = ConfigDict(json_schema_extra={"examples": [_API_KEY]})


class ApiKeyMadeOut(ApiKeyOut):
    """
    An API key that was just made: its secret is told here, and never again.
    """

    bearer: str | None = Field(default=None, description="What is shown with each request.")
    secret: str | None = Field(default=None, description="What requests are signed with.")

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**_API_KEY, "bearer": f"agr_qkzwhtdmxcvbnrpl_{'A' * 43}"}]
        }
    )


class ApiKeysOut(Out):
    """
    API keys.
    """

    api_keys: list[ApiKeyOut]

    model_config = ConfigDict(json_schema_extra={"examples": [{"api_keys": [_API_KEY]}]})


def answers(
    model: type[BaseModel], *problems: int, ok: int = status.HTTP_200_OK, told: str = "Done"
) -> dict[int | str, dict[str, Any]]:
    """
    What an operation answers, for the document.

    Args:
        model: Of the body, where it was done.
        problems: Other statuses beside those that every operation has.
        ok: The status, where it was done.
        told: The same in words.
    """
    problem = {
        "description": "A problem",
        "content": {"application/problem+json": {"schema": _reference(ProblemOut)}},
    }
    every = {400, 401, 403, 422, 429, 500, 503, *problems}
    return {ok: {"model": model, "description": told}, **dict.fromkeys(sorted(every), problem)}


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}
