"""
The values that the router's parts hand to each other: all frozen.

Rules for the editor:

1. Closed sets are enums; their values are the words of database, command line and logs.
2. :class:`Reason` is the only list of why a call may be refused; each reason knows its Q.850 cause
   and its prompt, so that no other place maps them.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from agi_router.numbers import E164, Block, XNumber
from agi_router.texts import check_name

__all__ = [
    "Ask",
    "BindingState",
    "BlockState",
    "Call",
    "Callback",
    "Counting",
    "Decision",
    "Direction",
    "Display",
    "Facts",
    "Language",
    "Leg",
    "Mode",
    "NumberNeeded",
    "Reason",
    "Refusal",
    "Route",
    "RouteRow",
    "Side",
    "Typed",
    "check_order_id",
    "check_prompts",
    "check_tenant",
]


class Mode(StrEnum):
    """
    The kind of a binding. The hot path never looks at it.
    """

    AXB = "axb"
    AXYB = "axyb"
    GXB = "gxb"
    GXYB = "gxyb"
    AX = "ax"
    AXE = "axe"

    @property
    def open(self) -> bool:
        """
        Whether strangers reach A: their side is B.
        """
        return self in {Mode.AX, Mode.AXE}


class Side(StrEnum):
    """
    On which side of a binding a caller stands.
    """

    A = "a"
    B = "b"


class Direction(StrEnum):
    """
    Which side may call: both, only A, or only B.
    """

    BOTH = "both"
    A = "a"
    B = "b"

    def allows(self, side: Side) -> bool:
        """
        Whether a caller standing on *side* may call.
        """
        return self is Direction.BOTH or self.value == side.value


class Callback(StrEnum):
    """
    Who rings when a group is called back: the default, who called last, all at once or in turn.

    Where strangers call A, whom A calls back: a fixed number, or who called last.
    """

    DEFAULT = "default"
    LAST = "last"
    ALL = "all"
    SEQUENCE = "sequence"


class Display(StrEnum):
    """
    What a side sees when it is called: the 700 number that it dials to call back, or no number.
    """

    NUMBER = "number"
    ANONYMOUS = "anonymous"


class Counting(StrEnum):
    """
    What takes one of a binding's uses for good: answered calls, or every leg dialled.
    """

    ANSWERED = "answered"
    ATTEMPTS = "attempts"


class Language(StrEnum):
    """
    Language of the prompts: Mandarin or English.
    """

    ZH = "zh"
    EN = "en"


class BindingState(StrEnum):
    """
    Whether a binding is alive, or what ended it.
    """

    ACTIVE = "active"
    EXPIRED = "expired"
    UNBOUND = "unbound"
    ORDER_ENDED = "order_ended"
    USED_UP = "used_up"


class BlockState(StrEnum):
    """
    Whether a block takes new bindings and calls, only calls, or neither.
    """

    ACTIVE = "active"
    DRAINING = "draining"
    RETURNED = "returned"


class Reason(StrEnum):
    """
    Why a call is refused: one word, its Q.850 cause, and the prompt the caller hears.

    Source: the project's domain notes, sections 2.2 and 4.1. ``no_binding`` and ``stranger`` share
    cause and prompt, so that a stranger learns nothing. ``party_locked`` is told to the locked
    caller; a locked callee is another reason, because the caller must not learn of it.
    """

    X_MALFORMED = "x_malformed"
    X_UNKNOWN = "x_unknown"
    X_LOCKED = "x_locked"
    NO_BINDING = "no_binding"
    STRANGER = "stranger"
    EXPIRED = "expired"
    IDLE_EXPIRED = "idle_expired"
    ORDER_ENDED = "order_ended"
    UNBOUND = "unbound"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    USED_UP = "used_up"
    WRONG_DIRECTION = "wrong_direction"
    NO_DEFAULT_PARTY = "no_default_party"
    NO_CALLBACK = "no_callback"
    SELF_CALL = "self_call"
    EXTENSION_MISSING = "extension_missing"
    EXTENSION_WRONG = "extension_wrong"
    PARTY_LOCKED = "party_locked"
    CALLEE_LOCKED = "callee_locked"
    PARTY_UNVERIFIED = "party_unverified"
    PARTY_RECYCLED = "party_recycled"
    RECYCLE_UNKNOWN = "recycle_unknown"
    BLOCKED = "blocked"
    CALLER_HIDDEN = "caller_hidden"
    CALLER_FOREIGN = "caller_foreign"
    CALLER_TYPE = "caller_type"
    CALLER_UNREADABLE = "caller_unreadable"
    RATE_CALLER = "rate_caller"
    RATE_CALLEE = "rate_callee"
    RATE_X = "rate_x"
    RATE_TENANT = "rate_tenant"
    OUTSIDE_HOURS = "outside_hours"
    CHECK_REFUSED = "check_refused"
    CHECK_UNAVAILABLE = "check_unavailable"
    TENANT_SUSPENDED = "tenant_suspended"
    CERTIFICATE_INVALID = "certificate_invalid"
    REGION_NOT_SERVED = "region_not_served"
    MERGED = "merged"
    NO_CAPACITY = "no_capacity"
    PLATFORM_FAULT = "platform_fault"

    @property
    def cause(self) -> int:
        """
        The Q.850 cause that ends the call.
        """
        return _TREATMENTS[self][0]

    @property
    def prompt(self) -> str:
        """
        The name of the prompt, as in ``dialplan/prompts.tsv``.
        """
        return _TREATMENTS[self][1]

    @property
    def hidden(self) -> bool:
        """
        Whether it depends on what is bound: whoever is to learn nothing may not tell it.
        """
        return self not in _HIDES_NOTHING

    @property
    def ours(self) -> bool:
        """
        Whether it is for a fault of ours, and not for what the caller did.
        """
        return self in _OURS


# chan_pjsip has a SIP status for these causes: 1 → 404, 21 → 403, 31 → 480, 34 → 503. Any other
# would leave as 603; 34 makes the network try another of our nodes, so it is not for policy.
_TREATMENTS = {
    Reason.X_MALFORMED: (1, "number_bad"),
    Reason.X_UNKNOWN: (1, "number_bad"),
    Reason.X_LOCKED: (31, "paused"),
    Reason.NO_BINDING: (21, "no_relation"),
    Reason.STRANGER: (21, "no_relation"),
    Reason.EXPIRED: (21, "order_ended"),
    Reason.IDLE_EXPIRED: (21, "order_ended"),
    Reason.ORDER_ENDED: (21, "order_ended"),
    Reason.UNBOUND: (21, "order_ended"),
    Reason.CONSENT_WITHDRAWN: (21, "order_ended"),
    Reason.USED_UP: (21, "used_up"),
    Reason.WRONG_DIRECTION: (21, "one_way"),
    Reason.NO_DEFAULT_PARTY: (21, "one_way"),
    Reason.NO_CALLBACK: (21, "one_way"),
    Reason.SELF_CALL: (21, "self"),
    Reason.EXTENSION_MISSING: (21, "wrong_extension"),
    Reason.EXTENSION_WRONG: (21, "wrong_extension"),
    Reason.PARTY_LOCKED: (21, "you_locked"),
    Reason.CALLEE_LOCKED: (31, "unreachable"),
    Reason.PARTY_UNVERIFIED: (21, "you_locked"),
    Reason.PARTY_RECYCLED: (31, "party_changed"),
    Reason.RECYCLE_UNKNOWN: (31, "party_changed"),
    Reason.BLOCKED: (21, "no_relation"),
    Reason.CALLER_HIDDEN: (21, "show_number"),
    Reason.CALLER_FOREIGN: (21, "no_foreign"),
    Reason.CALLER_TYPE: (21, "use_mobile"),
    Reason.CALLER_UNREADABLE: (21, "not_verified"),
    Reason.RATE_CALLER: (21, "too_often"),
    Reason.RATE_CALLEE: (21, "too_often"),
    Reason.RATE_X: (21, "too_often"),
    Reason.RATE_TENANT: (21, "too_often"),
    Reason.OUTSIDE_HOURS: (21, "hours"),
    Reason.CHECK_REFUSED: (21, "not_verified"),
    Reason.CHECK_UNAVAILABLE: (31, "try_later"),
    Reason.TENANT_SUSPENDED: (21, "paused"),
    Reason.CERTIFICATE_INVALID: (21, "paused"),
    Reason.REGION_NOT_SERVED: (21, "paused"),
    # RFC 3261, 8.2.2.2, has 482 for a copy of a call that goes on, and no cause becomes that. A
    # 603 would end the first one, too.
    Reason.MERGED: (31, "try_later"),
    Reason.NO_CAPACITY: (34, "lines_busy"),
    Reason.PLATFORM_FAULT: (31, "try_later"),
}

_OURS = frozenset({Reason.CHECK_UNAVAILABLE, Reason.NO_CAPACITY, Reason.PLATFORM_FAULT})
# Known from the numbers, the block or the caller alone. A new reason that is not listed is hidden.
_HIDES_NOTHING = _OURS | {
    Reason.X_MALFORMED,
    Reason.X_UNKNOWN,
    Reason.CERTIFICATE_INVALID,
    Reason.CALLER_HIDDEN,
    Reason.CALLER_FOREIGN,
    Reason.CALLER_TYPE,
    Reason.CALLER_UNREADABLE,
    Reason.RATE_CALLER,
    Reason.MERGED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRow:
    """
    One compiled row: whoever dials *x_number* as *caller* rings *callees*, who are shown *shown*.
    """

    x_number: XNumber
    caller: E164 | None
    """The caller the row is for, or :obj:`None` for anyone."""
    callees: tuple[E164, ...]
    """Whom to ring; nobody if the other side has no default."""
    shown: XNumber | None
    """The number the callee sees; :obj:`None` if it is made on the first call."""
    side: Side
    """The side the caller stands on."""
    extension: str | None = None
    """The digits by which anyone reaches the row, where the number has extensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """
    One call to a 700 number, its numbers parsed.
    """

    caller: E164
    x_number: XNumber
    tries_left: int = 0
    """How often this caller may still be asked for an extension."""
    typed: "Typed | None" = None
    """What was typed when asked; :obj:`None` before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """
    What a caller typed when asked for an extension.
    """

    extension: str
    """1 to 4 digits; empty if nothing, or nothing of the kind, was typed in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """
    The row that a call hit, and the binding behind it.
    """

    block: Block
    binding_id: int
    mode: Mode
    side: Side
    callees: tuple[E164, ...]
    """Whom to ring, unless the last caller rings; nobody if the other side has no default."""
    shown: XNumber | None
    """The number the callee sees; :obj:`None` if it was never made."""
    state: BindingState
    direction: Direction
    begins_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    max_calls: int | None
    """Uses in all, or :obj:`None` for no limit."""
    calls_used: int
    ring_timeout: timedelta | None
    max_duration: timedelta | None
    language: Language | None
    tenant_active: bool
    callback: Callback | None = None
    last_caller: E164 | None = None
    """Who called last, if that is who is called back."""
    last_at: datetime | None = None
    callback_window: timedelta | None = None
    """For how long the last caller is called back; :obj:`None`: as long as the binding lives."""
    child_until: datetime | None = None
    """Until when the number shown or dialled lives; :obj:`None`: as long as the binding."""
    display: Display = Display.NUMBER
    prompts: str | None = None

    @property
    def binding(self) -> str:
        """
        The binding's name, ``<block>-<id>``.
        """
        return f"{self.block}-{self.binding_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """
    What the store knows about one caller on one X at one moment.
    """

    block_known: bool
    """Whether the X lies in a block of ours."""
    certificate_valid: bool
    """Whether the block is in service and the moment lies within its certificate's dates."""
    x_bound: bool
    """Whether anybody is bound on the X."""
    x_extended: bool = False
    """Whether a stranger on the X may reach somebody by an extension."""
    leg: Leg | None
    """The row for this caller, alive or ended; :obj:`None` for a stranger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    The decision to connect: whom to ring, what to show, how long.
    """

    binding: str
    callees: tuple[E164, ...]
    """One number or more, to be rung at once unless *sequence*."""
    shown: XNumber
    ring_timeout: timedelta | None
    """For each callee."""
    max_duration: timedelta | None
    language: Language | None
    sequence: bool = False
    """Whether the callees ring one after the other."""
    display: Display = Display.NUMBER
    prompts: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """
    The decision not to connect, and why.
    """

    reason: Reason
    binding: str | None = None
    language: Language | None = None
    prompts: str | None = None
    too_short: bool = False
    """Whether digits are missing from the number dialled."""

    @property
    def cause(self) -> int:
        """
        The Q.850 cause that ends the call: 28 leaves Asterisk as 484, address incomplete.
        """
        return 28 if self.too_short else self.reason.cause

    @property
    def strictly(self) -> "Refusal":
        """
        What the caller is told where nobody is to learn anything about a binding.

        Its language and its voice, too, would tell that there is one.
        """
        return Refusal(reason=Reason.NO_BINDING) if self.reason.hidden else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    The decision to ask the caller for an extension, and to decide again with what it types.
    """

    tries_left: int
    """How often it may be asked once more after this."""
    again: bool
    """Whether what it typed before was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberNeeded:
    """
    The decision to connect once there is a number that the callee can be shown.
    """

    binding: str
    binding_id: int
    x_number: XNumber
    """What the caller dials; the new number lies in its block."""
    caller: E164
    callee: E164


Decision = Route | Refusal | Ask | NumberNeeded
"""What becomes of a call."""


_NAME_MAX = 128
_PROMPTS = re.compile(r"[a-z0-9][a-z0-9_-]{0,15}")


def check_order_id(text: str) -> str:
    """
    Return *text*, stripped, if it may be the id of an order: 1 to 128 characters that are seen.

    Raises:
        ValueError: If it may not; says how to repair what a spreadsheet has shortened.
    """
    return check_name(text, what="an order's id", longest=_NAME_MAX)


def check_tenant(text: str) -> str:
    """
    Return *text*, stripped, if it may be a tenant's name: 1 to 128 characters that are seen.

    Raises:
        ValueError: If it may not.
    """
    return check_name(text, what="a tenant's name", longest=_NAME_MAX)


def check_prompts(text: str) -> str:
    """
    Return *text* if it may name a set of prompts: a folder beside those shipped.

    Raises:
        ValueError: If it may not.
    """
    if not _PROMPTS.fullmatch(text):
        raise ValueError("a name has 1 to 16 of a-z, 0-9, '_' and '-'")
    return text
