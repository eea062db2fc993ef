"""
Why a call may be refused: the only list, with the Q.850 cause and the prompt of each.
"""

from enum import StrEnum

__all__ = ["Reason"]


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
