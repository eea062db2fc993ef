"""
Why somebody may not be reached: the only list, for calls and for all that goes their way.

What a refused caller hears, and the cause that ends its call: :mod:`agi_router.calls.treatment`.
"""

from enum import StrEnum

__all__ = ["Reason"]


class Reason(StrEnum):
    """
    Why a call, or a text, is refused: one word.

    Source: the project's domain notes, sections 2.2 and 4.1. ``party_locked`` is told to the
    locked caller; a locked callee is another reason, because the caller must not learn of it.
    """

    X_MALFORMED = "x_malformed"
    X_UNKNOWN = "x_unknown"
    X_LOCKED = "x_locked"
    NUMBER_CHANGED = "number_changed"
    NUMBER_RETIRED = "number_retired"
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
    TENANT_UNQUALIFIED = "tenant_unqualified"
    CERTIFICATE_INVALID = "certificate_invalid"
    REGION_NOT_SERVED = "region_not_served"
    MERGED = "merged"
    MESSAGES_OFF = "messages_off"
    MODE_UNSUPPORTED = "mode_unsupported"
    TOO_LONG = "too_long"
    BODY_REFUSED = "body_refused"
    NO_CAPACITY = "no_capacity"
    PLATFORM_FAULT = "platform_fault"

    @property
    def reveals_binding(self) -> bool:
        """
        Whether it depends on what is bound: whoever is to learn nothing may not tell it.
        """
        return self not in _HIDES_NOTHING

    @property
    def is_platform_fault(self) -> bool:
        """
        Whether it is for a fault of ours, and not for what the caller did.
        """
        return self in _OURS


_OURS = frozenset({Reason.CHECK_UNAVAILABLE, Reason.NO_CAPACITY, Reason.PLATFORM_FAULT})


# Known from the numbers, the block or the caller alone. A new reason that is not listed is hidden.
_HIDES_NOTHING = _OURS | {
    Reason.X_MALFORMED,
    Reason.X_UNKNOWN,
    Reason.NUMBER_CHANGED,
    Reason.NUMBER_RETIRED,
    Reason.CERTIFICATE_INVALID,
    Reason.CALLER_HIDDEN,
    Reason.CALLER_FOREIGN,
    Reason.CALLER_TYPE,
    Reason.CALLER_UNREADABLE,
    Reason.RATE_CALLER,
    Reason.MERGED,
    Reason.TOO_LONG,
}
