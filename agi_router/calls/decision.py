"""
The masking rule: one call and the facts about it in, one decision out.

Rules for the editor:

1. Everything that decides where a call goes lives in this file.
2. This file knows neither Asterisk nor PostgreSQL; it is given even the time.
3. ``agi_router.admit`` (``sql/``) guards by the same rules; a property test on a real PostgreSQL
   holds the two together: admitted if and only if :func:`decide` says :class:`Route`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from agi_router.bindings.words import BindingState, Callback, Display, Language, Side
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.facts import Facts, RouteHit
from agi_router.calls.reasons import Reason
from agi_router.errors import NumberError
from agi_router.numbers import NumberFault, PhoneNumber, XNumber, is_extension

__all__ = [
    "AllocationNeeded",
    "Ask",
    "Decision",
    "Refusal",
    "Route",
    "Step",
    "decide",
    "explain",
    "screen",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    The decision to connect: whom to ring, what to show, how long.
    """

    binding: str
    callees: tuple[PhoneNumber, ...]
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
    def undisclosed(self) -> "Refusal":
        """
        What the caller is told where nobody is to learn anything about a binding.

        Its language and its voice, too, would tell that there is one.
        """
        return Refusal(reason=Reason.NO_BINDING) if self.reason.reveals_binding else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """
    The decision to ask the caller for an extension, and to decide again with what it types.
    """

    attempts_left: int
    """How often it may be asked once more after this."""
    again: bool
    """Whether what it typed before was wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationNeeded:
    """
    The decision to connect once there is a number that the callee can be shown.
    """

    binding: str
    binding_id: int
    x_number: XNumber
    """What the caller dials; the new number lies in its block."""
    caller: PhoneNumber
    callee: PhoneNumber


Decision = Route | Refusal | Ask | AllocationNeeded
"""What becomes of a call."""


def screen(
    *,
    caller: str | Reason,
    dialled: str,
    fixed_lines: bool = False,
    attempts_left: int = 0,
    typed: str | None = None,
) -> Call | Refusal:
    """
    Read a call's numbers, or refuse it for what they are.

    Args:
        caller: The caller's number, or why it is not known.
        dialled: What was dialled.
        fixed_lines: Whether fixed lines may call.
        attempts_left: How often the caller may be asked for an extension.
        typed: What it typed when asked; :obj:`None` if it was not asked.

    Returns:
        The call, or the refusal. Never raises.

    Source:
        Domain notes 2.2: a hidden, foreign or malformed caller id is refused by name.
    """
    try:
        x_number = XNumber.parse(dialled)
    except NumberError as error:
        return Refusal(reason=Reason.X_MALFORMED, too_short=error.kind is NumberFault.TOO_SHORT)
    if isinstance(caller, Reason):
        return Refusal(reason=caller)
    try:
        party = PhoneNumber.parse(caller, fixed_lines=fixed_lines)
    except NumberError as error:
        return Refusal(reason=_CALLER_REASONS.get(error.kind, Reason.CALLER_FOREIGN))
    return Call(
        caller=party,
        x_number=x_number,
        attempts_left=attempts_left,
        typed=None
        if typed is None
        else DialledExtension(extension=typed if is_extension(typed) else ""),
    )


_CALLER_REASONS = {
    NumberFault.EMPTY: Reason.CALLER_HIDDEN,
    NumberFault.WITHHELD: Reason.CALLER_HIDDEN,
    NumberFault.FIXED_LINE: Reason.CALLER_TYPE,
    NumberFault.IS_700: Reason.CALLER_TYPE,
}


@dataclass(frozen=True, slots=True)
class _Rule:
    """
    What must hold of an X, else the reason to refuse.
    """

    text: str
    reason: Reason
    holds: Callable[[Facts], bool]


@dataclass(frozen=True, slots=True)
class _HitRule:
    """
    What must hold of the row that was hit, else the reason to refuse.
    """

    text: str
    reason: Reason
    holds: Callable[[Call, RouteHit, datetime], bool]


def _alive(hit: RouteHit, now: datetime, state: BindingState) -> bool:
    # A state without its time, or a time without its state, is no life either.
    return hit.state is not state or (hit.ended_at is not None and hit.ended_at > now)


def _callees(hit: RouteHit, now: datetime) -> tuple[PhoneNumber, ...]:
    """
    Whom the hit rings: the last caller, as long as its window is open, or whom it stands for.
    """
    if hit.last_caller is not None and hit.last_at is not None:
        window = hit.callback_window
        if window is None or now - hit.last_at < window:
            return (hit.last_caller,)
    return hit.callees


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
        "somebody is bound on the number",
        Reason.NO_BINDING,
        lambda f: f.x_bound or f.hit is not None,
    ),
)
_IS_PARTY = "the caller is a party on the number"
_HIT_RULES = (
    _HitRule("the binding has begun", Reason.NO_BINDING, lambda _, g, now: g.begins_at <= now),
    _HitRule("the tenant is active", Reason.TENANT_SUSPENDED, lambda _, g, __: g.tenant_active),
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
    _HitRule(
        "somebody has called, or a fixed number is set",
        Reason.NO_CALLBACK,
        lambda _, g, now: not g.mode.open or bool(_callees(g, now)),
    ),
    _HitRule(
        "the other side has somebody to ring",
        Reason.NO_DEFAULT_PARTY,
        lambda _, g, now: bool(_callees(g, now)),
    ),
    _HitRule(
        "the call does not ring its own caller",
        Reason.SELF_CALL,
        lambda call, g, now: call.caller not in _callees(g, now),
    ),
)


def decide(call: Call, facts: Facts, *, now: datetime) -> Decision:
    """
    Decide where *call* goes.

    Args:
        call: The call; its numbers are already parsed.
        facts: What the store knows of this caller on this X.
        now: The store's time, timezone-aware.

    Returns:
        A route to the callee, or a refusal; a question for the caller; or that a number must be
        made first. Never raises.
    """
    hit = facts.hit
    for rule in _X_RULES:
        if not rule.holds(facts):
            return Refusal(reason=rule.reason)
    if hit is None:
        return _stranger(call, facts)
    for leg_rule in _HIT_RULES:
        if not leg_rule.holds(call, hit, now):
            return Refusal(
                reason=leg_rule.reason,
                binding=hit.binding,
                language=hit.language,
                prompts=hit.prompts,
            )
    callees = _callees(hit, now)
    if hit.shown is None or not _number_lives(hit, now):
        return AllocationNeeded(
            binding=hit.binding,
            binding_id=hit.binding_id,
            x_number=call.x_number,
            caller=call.caller,
            callee=callees[0],
        )
    return Route(
        binding=hit.binding,
        callees=callees,
        shown=hit.shown,
        ring_timeout=hit.ring_timeout,
        max_duration=hit.max_duration,
        language=hit.language,
        sequence=hit.callback is Callback.SEQUENCE and len(callees) > 1,
        display=hit.display,
        prompts=hit.prompts,
    )


def _stranger(call: Call, facts: Facts) -> Refusal | Ask:
    if not facts.x_extended:
        return Refusal(reason=Reason.STRANGER)
    if call.attempts_left > 0:
        return Ask(attempts_left=call.attempts_left - 1, again=call.typed is not None)
    match call.typed:
        case None:
            return Refusal(reason=Reason.STRANGER)
        case DialledExtension(extension=""):
            return Refusal(reason=Reason.EXTENSION_MISSING)
        case _:
            return Refusal(reason=Reason.EXTENSION_WRONG)


@dataclass(frozen=True, slots=True)
class Step:
    """
    One rule as it was applied to one call.
    """

    rule: str
    holds: bool


def explain(call: Call, facts: Facts, *, now: datetime) -> Iterator[Step]:
    """
    The rules that :func:`decide` applies to *call*, in order, up to the first that fails.
    """
    for step in _steps(call, facts, now):
        yield step
        if not step.holds:
            return


def _steps(call: Call, facts: Facts, now: datetime) -> Iterator[Step]:
    for rule in _X_RULES:
        yield Step(rule.text, rule.holds(facts))
    hit = facts.hit
    yield Step(_IS_PARTY, hit is not None)
    if hit is not None:
        for leg_rule in _HIT_RULES:
            yield Step(leg_rule.text, leg_rule.holds(call, hit, now))
