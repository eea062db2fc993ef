"""
The masking rule: one call and the facts about it in, one decision out.

Rules for the editor:

1. Everything that decides where a call goes lives in this file, and in
   :mod:`agi_router.bindings.reach` whether its caller may reach the other side at all.
2. This file knows neither Asterisk nor PostgreSQL; it is given even the time.
3. ``agi_router.admit`` (``sql/``) guards by the same rules; a property test on a real PostgreSQL
   holds the two together: admitted if and only if :func:`decide` says :class:`Route`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agi_router.bindings.facts import Facts
from agi_router.bindings.reach import Unreachable, find_reach
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Callback, Display, Language
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.errors import NumberError
from agi_router.numbers import NumberFault, PhoneNumber, XNumber, is_extension
from agi_router.persons.appeal_states import to_prompt
from agi_router.persons.effects import Effect, LockReason, find_strongest
from agi_router.tenants.call_rates import CallRates

__all__ = [
    "AllocationNeeded",
    "Ask",
    "Decision",
    "Refusal",
    "Route",
    "decide",
    "refuse_old_number",
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
    tell_answer: bool = False
    """Whether the callee's answer is to be told while the call goes on."""
    notice: bool = False
    """Whether both hear the anti-fraud notice before they are joined."""
    record: bool = False
    """Whether it is to be recorded."""
    tenant_check: bool = False
    """Whether the service of its tenant is to be asked first."""
    tenant_id: int = 0
    call_rates: CallRates | None = None
    """How many calls its tenant lets through; :obj:`None`: any number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """
    The decision not to connect, and why.
    """

    reason: Reason
    binding: str | None = None
    language: Language | None = None
    prompts: str | None = None
    lock: LockReason | None = None
    """Why the caller is locked, where it is refused for that."""
    appeal: str | None = None
    """What has become of its appeal against that: the word of a prompt."""
    too_short: bool = False
    """Whether digits are missing from the number dialled."""
    moved_to: XNumber | None = None
    """Of a call to a middle number of before: the number that it is on record under."""

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
    NumberFault.OTHER_RANGE: Reason.CALLER_TYPE,
}


def refuse_old_number(moved_to: XNumber, *, now: datetime, until: datetime | None) -> Refusal:
    """
    What becomes of a call to a middle number of before the move to 700.

    Args:
        moved_to: The 700 number that has come in its place, which is not told to the caller.
        now: The time.
        until: Until when callers are told that it has changed; :obj:`None`: always.
    """
    over = until is not None and now >= until
    reason = Reason.NUMBER_RETIRED if over else Reason.NUMBER_CHANGED
    return Refusal(reason=reason, moved_to=moved_to)


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
    found = find_reach(call.caller, facts, now=now)
    hit = found.hit
    if isinstance(found, Unreachable):
        if found.reason is Reason.STRANGER:
            return _stranger(call, facts)
        own = _own_lock(call, facts) if found.reason is Reason.PARTY_LOCKED else None
        lock, appeal = (None, None) if own is None else (own.reason, to_prompt(own.appeal))
        if hit is None:
            return Refusal(reason=found.reason, lock=lock, appeal=appeal)
        return Refusal(
            reason=found.reason,
            lock=lock,
            appeal=appeal,
            binding=hit.binding,
            language=hit.language,
            prompts=hit.prompts,
        )
    if found.shown is None:
        return AllocationNeeded(
            binding=found.hit.binding,
            binding_id=found.hit.binding_id,
            x_number=call.x_number,
            caller=call.caller,
            callee=found.parties[0],
        )
    return Route(
        binding=found.hit.binding,
        callees=found.parties,
        shown=found.shown,
        ring_timeout=found.hit.ring_timeout,
        max_duration=found.hit.max_duration,
        language=found.hit.language,
        sequence=found.hit.callback is Callback.SEQUENCE and len(found.parties) > 1,
        display=found.hit.display,
        tell_answer=found.hit.tell_answer,
        notice=found.hit.notice,
        record=found.hit.record,
        tenant_check=found.hit.tenant_check,
        prompts=found.hit.prompts,
        tenant_id=found.hit.tenant_id,
        call_rates=found.hit.call_rates,
    )


def _own_lock(call: Call, facts: Facts) -> Effect | None:
    """
    The lock on the caller; of several the strongest speaks.
    """
    found = (*facts.locks, *(facts.hit.locks if facts.hit is not None else ()))
    return find_strongest(each for each in found if each.person == call.caller)


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
