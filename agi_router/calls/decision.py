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
from agi_router.calls.arrival import Call, Typed
from agi_router.calls.facts import Facts, Leg
from agi_router.calls.reasons import Reason
from agi_router.errors import NumberError
from agi_router.numbers import E164, NumberFault, XNumber, is_extension

__all__ = [
    "Ask",
    "Decision",
    "NumberNeeded",
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


def screen(
    *,
    caller: str | Reason,
    dialled: str,
    fixed_lines: bool = False,
    tries_left: int = 0,
    typed: str | None = None,
) -> Call | Refusal:
    """
    Read a call's numbers, or refuse it for what they are.

    Args:
        caller: The caller's number, or why it is not known.
        dialled: What was dialled.
        fixed_lines: Whether fixed lines may call.
        tries_left: How often the caller may be asked for an extension.
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
        party = E164.parse(caller, fixed_lines=fixed_lines)
    except NumberError as error:
        return Refusal(reason=_CALLER_REASONS.get(error.kind, Reason.CALLER_FOREIGN))
    return Call(
        caller=party,
        x_number=x_number,
        tries_left=tries_left,
        typed=None if typed is None else Typed(extension=typed if is_extension(typed) else ""),
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
class _LegRule:
    """
    What must hold of the row that was hit, else the reason to refuse.
    """

    text: str
    reason: Reason
    holds: Callable[[Call, Leg, datetime], bool]


def _alive(leg: Leg, now: datetime, state: BindingState) -> bool:
    # A state without its time, or a time without its state, is no life either.
    return leg.state is not state or (leg.ended_at is not None and leg.ended_at > now)


def _callees(leg: Leg, now: datetime) -> tuple[E164, ...]:
    """
    Whom the leg rings: the last caller, as long as its window is open, or whom it stands for.
    """
    if leg.last_caller is not None and leg.last_at is not None:
        window = leg.callback_window
        if window is None or now - leg.last_at < window:
            return (leg.last_caller,)
    return leg.callees


def _number_lives(leg: Leg, now: datetime) -> bool:
    return leg.shown is not None and (leg.child_until is None or leg.child_until > now)


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
        lambda f: f.x_bound or f.leg is not None,
    ),
)
_IS_PARTY = "the caller is a party on the number"
_LEG_RULES = (
    _LegRule("the binding has begun", Reason.NO_BINDING, lambda _, g, now: g.begins_at <= now),
    _LegRule("the tenant is active", Reason.TENANT_SUSPENDED, lambda _, g, __: g.tenant_active),
    _LegRule(
        "the binding was not unbound",
        Reason.UNBOUND,
        lambda _, g, now: _alive(g, now, BindingState.UNBOUND),
    ),
    _LegRule(
        "the order has not ended",
        Reason.ORDER_ENDED,
        lambda _, g, now: _alive(g, now, BindingState.ORDER_ENDED),
    ),
    _LegRule(
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
    _LegRule(
        "the number dialled has not expired",
        Reason.EXPIRED,
        # That of A lives as long as the binding; the one that A's call has made may not.
        lambda _, g, now: g.side is Side.A or _number_lives(g, now),
    ),
    _LegRule(
        "calls are left",
        Reason.USED_UP,
        lambda _, g, __: (
            g.state is not BindingState.USED_UP
            and (g.max_calls is None or g.calls_used < g.max_calls)
        ),
    ),
    _LegRule(
        "this side may call",
        Reason.WRONG_DIRECTION,
        lambda _, g, __: g.direction.allows(g.side),
    ),
    _LegRule(
        "somebody has called, or a fixed number is set",
        Reason.NO_CALLBACK,
        lambda _, g, now: not g.mode.open or bool(_callees(g, now)),
    ),
    _LegRule(
        "the other side has somebody to ring",
        Reason.NO_DEFAULT_PARTY,
        lambda _, g, now: bool(_callees(g, now)),
    ),
    _LegRule(
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
    leg = facts.leg
    for rule in _X_RULES:
        if not rule.holds(facts):
            return Refusal(reason=rule.reason)
    if leg is None:
        return _stranger(call, facts)
    for leg_rule in _LEG_RULES:
        if not leg_rule.holds(call, leg, now):
            return Refusal(
                reason=leg_rule.reason,
                binding=leg.binding,
                language=leg.language,
                prompts=leg.prompts,
            )
    callees = _callees(leg, now)
    if leg.shown is None or not _number_lives(leg, now):
        return NumberNeeded(
            binding=leg.binding,
            binding_id=leg.binding_id,
            x_number=call.x_number,
            caller=call.caller,
            callee=callees[0],
        )
    return Route(
        binding=leg.binding,
        callees=callees,
        shown=leg.shown,
        ring_timeout=leg.ring_timeout,
        max_duration=leg.max_duration,
        language=leg.language,
        sequence=leg.callback is Callback.SEQUENCE and len(callees) > 1,
        display=leg.display,
        prompts=leg.prompts,
    )


def _stranger(call: Call, facts: Facts) -> Refusal | Ask:
    if not facts.x_extended:
        return Refusal(reason=Reason.STRANGER)
    if call.tries_left > 0:
        return Ask(tries_left=call.tries_left - 1, again=call.typed is not None)
    match call.typed:
        case None:
            return Refusal(reason=Reason.STRANGER)
        case Typed(extension=""):
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
    leg = facts.leg
    yield Step(_IS_PARTY, leg is not None)
    if leg is not None:
        for leg_rule in _LEG_RULES:
            yield Step(leg_rule.text, leg_rule.holds(call, leg, now))
