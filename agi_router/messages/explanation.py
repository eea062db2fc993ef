"""
What would become of a text, rule by rule; nothing is sent, and nothing is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agi_router.bindings.reach import Asked, Step, explain
from agi_router.calls.decision import Refusal
from agi_router.calls.ports import Admission
from agi_router.messages.decision import AllocationNeeded, Taken, decide_text, screen_text
from agi_router.messages.model import Text

__all__ = ["TextExplanation", "explain_text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextExplanation:
    """
    A decision, and the rules that led to it.
    """

    decision: Taken | AllocationNeeded | Refusal
    steps: tuple[Step, ...]
    """In order; the first that fails is the last."""
    at: datetime | None
    """The time it was judged by; :obj:`None` where no time was needed."""


def explain_text(
    look: Callable[[Text], Admission],
    *,
    sender: str,
    to: str,
    at: datetime | None = None,
    fixed_lines: bool = False,
) -> TextExplanation:
    """
    Explain the decision on a text, whatever it says.

    Args:
        look: Finds the facts as of *at*, see
            :meth:`agi_router.messages.records.MessageRecords.facts`; not called where the numbers
            alone decide.
        sender: The sender's number, as it would arrive.
        to: The number it is sent to.
        at: Decide as of this time instead of now.
        fixed_lines: Whether fixed lines may text.

    Raises:
        StoreError: The store did not answer.
    """
    screened = screen_text(sender=sender, to=to, body="", fixed_lines=fixed_lines)
    steps = [Step("numbers are of an accepted form", not isinstance(screened, Refusal))]
    if isinstance(screened, Refusal):
        return TextExplanation(decision=screened, steps=tuple(steps), at=at)
    admission = look(screened)
    steps += explain(screened.sender, admission.facts, now=admission.now, asked=Asked.TEXT)
    decision = decide_text(screened, admission.facts, now=admission.now)
    return TextExplanation(decision=decision, steps=tuple(steps), at=admission.now)
