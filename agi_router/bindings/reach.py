"""
Whether one side may reach the other now, by a call or by anything else: facts and rules.

Rules for the editor:

1. A rule is a text, a reason and a predicate; the first that fails gives the reason. The texts are
   what :func:`explain` shows.
2. What is asked for changes the rules about uses and sides, and nothing else: what a refused
   caller hears, and what rings, is of :mod:`agi_router.calls`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

from agi_router.bindings.facts import Facts, RouteHit
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import BindingState, Callback, Messages, Mode, Side
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.effects import Subject

__all__ = ["Asked", "Reach", "Step", "Unreachable", "explain", "find_reach", "parties_of"]


class Asked(Enum):
    """
    What somebody wants of the other side.
    """

    CALL = auto()
    TEXT = auto()


@dataclass(frozen=True, slots=True)
class Reach:
    """
    The other side may be reached.
    """

    hit: RouteHit
    parties: tuple[PhoneNumber, ...]
    """Who is reached: one or more."""
    shown: XNumber | None
    """The number that they see; :obj:`None` where one has to be made first."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """
    It may not be, and why.
    """

    reason: Reason
    hit: RouteHit | None
    """The row by which it would be, where the reason is of it; :obj:`None` where none is known."""


@dataclass(frozen=True, slots=True)
class Step:
    """
    One rule as it was applied.
    """

    rule: str
    holds: bool


@dataclass(frozen=True, slots=True)
class _Rule:
    """
    What must hold of an X, else the reason to refuse.
    """

    text: str
    reason: Reason
    holds: Callable[[Facts], bool]
    of_locks: bool = False
    """Whether it holds wherever no lock, no entry of a block list and no hours were found."""


@dataclass(frozen=True, slots=True)
class _HitRule:
    """
    What must hold of the row that was hit, else the reason to refuse.
    """

    text: str
    reason: Reason
    holds: Callable[[PhoneNumber, RouteHit, datetime], bool]
    of_locks: bool = False


def _alive(hit: RouteHit, now: datetime, state: BindingState) -> bool:
    # A state without its time, or a time without its state, is no life either.
    return hit.state is not state or (hit.ended_at is not None and hit.ended_at > now)


def parties_of(hit: RouteHit, now: datetime) -> tuple[PhoneNumber, ...]:
    """
    Whom the hit rings: the last caller, as long as its window is open, or whom it stands for.
    """
    if hit.last_caller is not None and hit.last_at is not None:
        window = hit.callback_window
        if window is None or now - hit.last_at < window:
            return (hit.last_caller,)
    return hit.callees


def _unblocked(caller: PhoneNumber, hit: RouteHit, now: datetime) -> tuple[PhoneNumber, ...]:
    """
    Those of them whom no block list keeps the caller from.
    """
    parties = parties_of(hit, now)
    if not hit.bans:
        return parties
    return tuple(
        party for party in parties if not any(ban.keeps(caller, party) for ban in hit.bans)
    )


def _free(caller: PhoneNumber, hit: RouteHit, now: datetime) -> tuple[PhoneNumber, ...]:
    """
    Those of these that no lock is on.
    """
    parties = _unblocked(caller, hit, now)
    if not hit.locks:
        return parties
    locked = {each.person for each in hit.locks}
    return tuple(party for party in parties if party not in locked)


def _number_lives(hit: RouteHit, now: datetime) -> bool:
    return hit.shown is not None and (hit.child_until is None or hit.child_until > now)


# The order is that of the domain notes, 2.3: the first rule that fails gives the reason.
_X_RULES = (
    _Rule("the 700 number lies in a block of ours", Reason.X_UNKNOWN, lambda f: f.block_known),
    _Rule(
        "its block is in service and certified",
        Reason.CERTIFICATE_INVALID,
        lambda f: f.certificate_valid,
    ),
    _Rule(
        "neither the number nor its block is locked",
        Reason.X_LOCKED,
        lambda f: all(each.subject is Subject.PERSON for each in f.locks),
        of_locks=True,
    ),
    _Rule(
        "the caller is not locked",
        Reason.PARTY_LOCKED,
        lambda f: not f.locks,
        of_locks=True,
    ),
    _Rule(
        "somebody is bound on the number",
        Reason.NO_BINDING,
        lambda f: f.x_bound or f.hit is not None,
    ),
)
_IS_PARTY = "the caller is a party on the number"
_LIFE_RULES = (
    _HitRule("the binding has begun", Reason.NO_BINDING, lambda _, g, now: g.begins_at <= now),
    _HitRule("the tenant is active", Reason.TENANT_SUSPENDED, lambda _, g, __: g.tenant_active),
    _HitRule(
        "the tenant's qualification is valid",
        Reason.TENANT_UNQUALIFIED,
        lambda _, g, __: g.tenant_qualified,
    ),
    _HitRule(
        "the tenant is not locked",
        Reason.TENANT_SUSPENDED,
        lambda _, g, __: all(each.subject is not Subject.TENANT for each in g.locks),
        of_locks=True,
    ),
    _HitRule(
        "the number that is shown is not locked",
        Reason.X_LOCKED,
        lambda _, g, __: all(each.subject is not Subject.NUMBER for each in g.locks),
        of_locks=True,
    ),
    _HitRule(
        "the binding was not unbound",
        Reason.UNBOUND,
        lambda _, g, now: _alive(g, now, BindingState.UNBOUND),
    ),
    _HitRule(
        "the order has not ended",
        Reason.ORDER_ENDED,
        lambda _, g, now: _alive(g, now, BindingState.ORDER_ENDED),
    ),
    _HitRule(
        "no party's number was given to somebody else",
        Reason.PARTY_RECYCLED,
        lambda _, g, now: _alive(g, now, BindingState.PARTY_RECYCLED),
    ),
    _HitRule(
        "the owner of no party's number is unknown",
        Reason.RECYCLE_UNKNOWN,
        lambda _, g, now: (
            _alive(g, now, BindingState.RECYCLE_UNKNOWN)
            and not (g.state is BindingState.HELD and g.expires_at > now)
        ),
    ),
    _HitRule(
        "no party has withdrawn its consent",
        Reason.CONSENT_WITHDRAWN,
        lambda _, g, now: _alive(g, now, BindingState.CONSENT_WITHDRAWN),
    ),
    _HitRule(
        "the binding has not expired",
        Reason.EXPIRED,
        # What its count has ended no longer ends by time.
        lambda _, g, now: (
            g.state is BindingState.USED_UP
            or (
                _alive(g, now, BindingState.EXPIRED)
                and (g.ended_at is None or g.ended_at > now)
                and g.expires_at > now
            )
        ),
    ),
    _HitRule(
        "the number dialled has not expired",
        Reason.EXPIRED,
        # That of A lives as long as the binding; the one that A's call has made may not.
        lambda _, g, now: g.side is Side.A or _number_lives(g, now),
    ),
)
_CALL_RULES = (
    _HitRule(
        "calls are left",
        Reason.USED_UP,
        lambda _, g, __: (
            g.state is not BindingState.USED_UP
            and (g.max_calls is None or g.calls_used < g.max_calls)
        ),
    ),
    _HitRule(
        "this side may call",
        Reason.WRONG_DIRECTION,
        lambda _, g, __: g.direction.allows(g.side),
    ),
)
# A text has the uses and the sides of its own. It says no extension, and it goes to one.
_TEXT_RULES = (
    _HitRule(
        "the mode takes texts",
        Reason.MODE_UNSUPPORTED,
        lambda _, g, __: (
            g.mode is not Mode.AXE and not (g.callback is Callback.ALL and len(g.callees) > 1)
        ),
    ),
    _HitRule(
        "texts are on", Reason.MESSAGES_OFF, lambda _, g, __: g.direction is not Messages.OFF
    ),
    _HitRule(
        "texts are left",
        Reason.USED_UP,
        lambda _, g, __: (
            g.state is not BindingState.USED_UP
            and (g.max_calls is None or g.calls_used < g.max_calls)
        ),
    ),
    _HitRule(
        "this side may text",
        Reason.WRONG_DIRECTION,
        lambda _, g, __: g.direction.allows(g.side),
    ),
)
_PARTY_RULES = (
    _HitRule(
        "the caller is not locked for this tenant",
        Reason.PARTY_LOCKED,
        lambda caller, g, __: all(each.person != caller for each in g.locks),
        of_locks=True,
    ),
    _HitRule(
        "somebody has called, or a fixed number is set",
        Reason.NO_CALLBACK,
        lambda _, g, now: not g.mode.open or bool(parties_of(g, now)),
    ),
    _HitRule(
        "the other side has somebody to ring",
        Reason.NO_DEFAULT_PARTY,
        lambda _, g, now: bool(parties_of(g, now)),
    ),
    _HitRule(
        "no block list keeps the caller from the other side",
        Reason.BLOCKED,
        lambda caller, g, now: bool(_unblocked(caller, g, now)),
        of_locks=True,
    ),
    _HitRule(
        "the other side has somebody who is not locked",
        Reason.CALLEE_LOCKED,
        lambda caller, g, now: bool(_free(caller, g, now)),
        of_locks=True,
    ),
    _HitRule(
        "the call does not ring its own caller",
        Reason.SELF_CALL,
        lambda caller, g, now: caller not in parties_of(g, now),
    ),
)
_HOURS_RULE = _HitRule(
    "it is within the hours of the binding or its tenant",
    Reason.OUTSIDE_HOURS,
    lambda _, g, __: g.hours is None or g.hours.holds(g.minute),
    of_locks=True,
)
# Of several who would ring in turn the first receives a text, and nobody in its stead.
_RECEIVER_RULES = (
    _HitRule(
        "no block list keeps the sender from the receiver",
        Reason.BLOCKED,
        lambda caller, g, now: _unblocked(caller, g, now)[:1] == parties_of(g, now)[:1],
        of_locks=True,
    ),
    _HitRule(
        "the receiver is not locked",
        Reason.CALLEE_LOCKED,
        lambda caller, g, now: _free(caller, g, now)[:1] == parties_of(g, now)[:1],
        of_locks=True,
    ),
)
_HIT_RULES = {
    Asked.CALL: (*_LIFE_RULES, *_CALL_RULES, *_PARTY_RULES, _HOURS_RULE),
    Asked.TEXT: (*_LIFE_RULES, *_TEXT_RULES, *_PARTY_RULES, _HOURS_RULE, *_RECEIVER_RULES),
}
# Those that a call which met no lock can fail: of the others it pays for none.
_UNLOCKED_X_RULES = tuple(rule for rule in _X_RULES if not rule.of_locks)
_UNLOCKED_HIT_RULES = {
    asked: tuple(rule for rule in rules if not rule.of_locks)
    for asked, rules in _HIT_RULES.items()
}


def find_reach(
    caller: PhoneNumber, facts: Facts, *, now: datetime, asked: Asked = Asked.CALL
) -> Reach | Unreachable:
    """
    Whether *caller* may reach the other side.

    Args:
        caller: Who asks.
        facts: What the store knows of it on the number that it dials, for what is asked.
        now: The store's time, timezone-aware.
        asked: What is asked for.

    Returns:
        Who is reached, or why nobody is: ``stranger`` where the caller is no party. Never raises.
    """
    for rule in _X_RULES if facts.locks else _UNLOCKED_X_RULES:
        if not rule.holds(facts):
            return Unreachable(rule.reason, None)
    hit = facts.hit
    if hit is None:
        return Unreachable(Reason.STRANGER, None)
    for hit_rule in (_HIT_RULES if hit.locks or hit.bans or hit.hours else _UNLOCKED_HIT_RULES)[
        asked
    ]:
        if not hit_rule.holds(caller, hit, now):
            return Unreachable(hit_rule.reason, hit)
    return Reach(hit, _free(caller, hit, now), hit.shown if _number_lives(hit, now) else None)


def explain(
    caller: PhoneNumber, facts: Facts, *, now: datetime, asked: Asked = Asked.CALL
) -> Iterator[Step]:
    """
    The rules that :func:`find_reach` applies, in order, up to the first that fails.
    """
    for step in _steps(caller, facts, now, asked):
        yield step
        if not step.holds:
            return


def _steps(
    caller: PhoneNumber, facts: Facts, now: datetime, asked: Asked = Asked.CALL
) -> Iterator[Step]:
    for rule in _X_RULES:
        yield Step(rule.text, rule.holds(facts))
    hit = facts.hit
    yield Step(_IS_PARTY, hit is not None)
    if hit is not None:
        for hit_rule in _HIT_RULES[asked]:
            yield Step(hit_rule.text, hit_rule.holds(caller, hit, now))
