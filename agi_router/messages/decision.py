"""
Whether a text is taken: its numbers and the facts in, one decision out.

``agi_router.admit_message`` (``sql/``) guards by the same rules; a property test on a real
PostgreSQL holds the two together: taken if and only if :func:`decide_text` says :class:`Taken`.
"""

from dataclasses import dataclass
from datetime import datetime

from agi_router.bindings.facts import Facts
from agi_router.bindings.reach import Asked, Unreachable, find_reach
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Side
from agi_router.calls.decision import Refusal, screen
from agi_router.messages.model import LONGEST, Text
from agi_router.numbers import PhoneNumber, XNumber

__all__ = ["AllocationNeeded", "Taken", "decide_text", "screen_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """
    The decision to take a text.
    """

    binding: str
    side: Side
    """On which its sender stands."""
    receiver: PhoneNumber
    shown: XNumber


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationNeeded:
    """
    The decision to take it once there is a number that its receiver can be shown.
    """

    binding: str
    binding_id: int
    receiver: PhoneNumber


def screen_text(
    *, sender: str | Reason, to: str, body: str, fixed_lines: bool = False
) -> Text | Refusal:
    """
    Read a text's numbers, or refuse it for what they are, or for its length.

    Args:
        sender: The sender's number, or why it is not known.
        to: The number it is sent to.
        body: What it says.
        fixed_lines: Whether fixed lines may text.

    Returns:
        The text, or the refusal. Never raises.
    """
    call = screen(caller=sender, dialled=to, fixed_lines=fixed_lines)
    if isinstance(call, Refusal):
        return call
    if len(body.encode("utf-8", "surrogatepass")) > LONGEST:
        return Refusal(reason=Reason.TOO_LONG)
    return Text(sender=call.caller, x_number=call.x_number, body=body)


def decide_text(text: Text, facts: Facts, *, now: datetime) -> Taken | AllocationNeeded | Refusal:
    """
    Decide whether *text* is taken.

    Args:
        text: The text.
        facts: What the store knows of its sender on its number, for a text.
        now: The store's time, timezone-aware.

    Returns:
        That it is, and who receives it; or why not; or that a number must be made first. Never
        raises.
    """
    found = find_reach(text.sender, facts, now=now, asked=Asked.TEXT)
    if isinstance(found, Unreachable):
        return Refusal(
            reason=found.reason, binding=None if found.hit is None else found.hit.binding
        )
    # Of several that would ring in turn, the first.
    receiver = found.parties[0]
    if found.shown is None:
        return AllocationNeeded(
            binding=found.hit.binding, binding_id=found.hit.binding_id, receiver=receiver
        )
    return Taken(
        binding=found.hit.binding, side=found.hit.side, receiver=receiver, shown=found.shown
    )
