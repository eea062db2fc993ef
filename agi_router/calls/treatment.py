"""
How a refused call is treated: the cause that ends it, and the prompt that its caller hears.

The only list, by reason. ``no_binding`` and ``stranger`` are treated alike, so that a stranger
learns nothing.
"""

from typing import NamedTuple

from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal

__all__ = ["Treatment", "treat"]


class Treatment(NamedTuple):
    """
    How one refused call is treated.
    """

    cause: int
    """The Q.850 cause that ends it."""
    prompt: str
    """The name of the prompt, as in ``dialplan/prompts.tsv``."""


# Leaves Asterisk as 484, address incomplete.
_TOO_SHORT = 28


def treat(refusal: Refusal) -> Treatment:
    """
    How the caller of a refused call is treated.

    Where it is to learn nothing, ask with :attr:`~agi_router.calls.decision.Refusal.undisclosed`.
    """
    treatment = _TREATMENTS[refusal.reason]
    if refusal.lock is not None:
        treatment = treatment._replace(prompt=f"{treatment.prompt}_{refusal.lock.value}")
    return treatment._replace(cause=_TOO_SHORT) if refusal.too_short else treatment


# chan_pjsip has a SIP status for these causes: 1 → 404, 21 → 403, 22 → 410, 31 → 480, 34 → 503.
# Any other would leave as 603; 34 makes the network try another of our nodes, so it is not for
# policy.
_TREATMENTS = {
    Reason.X_MALFORMED: Treatment(1, "number_bad"),
    Reason.X_UNKNOWN: Treatment(1, "number_bad"),
    Reason.X_LOCKED: Treatment(31, "paused"),
    Reason.NUMBER_CHANGED: Treatment(22, "number_changed"),
    Reason.NUMBER_RETIRED: Treatment(1, "number_bad"),
    Reason.NO_BINDING: Treatment(21, "no_relation"),
    Reason.STRANGER: Treatment(21, "no_relation"),
    Reason.EXPIRED: Treatment(21, "order_ended"),
    Reason.IDLE_EXPIRED: Treatment(21, "order_ended"),
    Reason.ORDER_ENDED: Treatment(21, "order_ended"),
    Reason.UNBOUND: Treatment(21, "order_ended"),
    Reason.CONSENT_WITHDRAWN: Treatment(21, "order_ended"),
    Reason.USED_UP: Treatment(21, "used_up"),
    Reason.WRONG_DIRECTION: Treatment(21, "one_way"),
    Reason.NO_DEFAULT_PARTY: Treatment(21, "one_way"),
    Reason.NO_CALLBACK: Treatment(21, "one_way"),
    Reason.SELF_CALL: Treatment(21, "self"),
    Reason.EXTENSION_MISSING: Treatment(21, "wrong_extension"),
    Reason.EXTENSION_WRONG: Treatment(21, "wrong_extension"),
    Reason.PARTY_LOCKED: Treatment(21, "you_locked"),
    Reason.CALLEE_LOCKED: Treatment(31, "unreachable"),
    Reason.PARTY_UNVERIFIED: Treatment(21, "you_locked"),
    Reason.PARTY_RECYCLED: Treatment(31, "party_changed"),
    Reason.RECYCLE_UNKNOWN: Treatment(31, "party_changed"),
    Reason.BLOCKED: Treatment(21, "no_relation"),
    Reason.CALLER_HIDDEN: Treatment(21, "show_number"),
    Reason.CALLER_FOREIGN: Treatment(21, "no_foreign"),
    Reason.CALLER_TYPE: Treatment(21, "use_mobile"),
    Reason.CALLER_UNREADABLE: Treatment(21, "not_verified"),
    Reason.RATE_CALLER: Treatment(21, "too_often"),
    Reason.RATE_CALLEE: Treatment(21, "too_often"),
    Reason.RATE_X: Treatment(21, "too_often"),
    Reason.RATE_TENANT: Treatment(21, "too_often"),
    Reason.OUTSIDE_HOURS: Treatment(21, "hours"),
    Reason.CHECK_REFUSED: Treatment(21, "not_verified"),
    Reason.CHECK_UNAVAILABLE: Treatment(31, "try_later"),
    Reason.TENANT_SUSPENDED: Treatment(21, "paused"),
    Reason.TENANT_UNQUALIFIED: Treatment(21, "paused"),
    Reason.CERTIFICATE_INVALID: Treatment(21, "paused"),
    Reason.REGION_NOT_SERVED: Treatment(21, "paused"),
    # RFC 3261, 8.2.2.2, has 482 for a copy of a call that goes on, and no cause becomes that. A
    # 603 would end the first one, too.
    Reason.MERGED: Treatment(31, "try_later"),
    # A call is never refused so.
    Reason.MESSAGES_OFF: Treatment(21, "one_way"),
    Reason.MODE_UNSUPPORTED: Treatment(21, "one_way"),
    Reason.TOO_LONG: Treatment(21, "one_way"),
    Reason.BODY_REFUSED: Treatment(21, "one_way"),
    Reason.NO_CAPACITY: Treatment(34, "lines_busy"),
    Reason.PLATFORM_FAULT: Treatment(31, "try_later"),
}
