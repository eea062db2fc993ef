"""
Taking a text: the store and the rules together, and the number that its receiver is to be shown.

Whose binding it is, and so by which rules of its tenant it is judged, only the store knows. So a
text of a tenant who has some is offered twice: unjudged, which takes nothing, and judged.
"""

from dataclasses import dataclass, replace
from typing import Final

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import AllocationNeeded as ChildNeeded
from agi_router.calls.decision import Refusal
from agi_router.calls.ports import Admissions
from agi_router.errors import NoNumberAvailable
from agi_router.messages.decision import AllocationNeeded, decide_text
from agi_router.messages.model import Hands, Text
from agi_router.messages.rules import judge_body
from agi_router.messages.store import UNJUDGED, JudgedBy, MessageStore, Repeated, Unasked

__all__ = ["Accepted", "take_text"]

# Pieces of a decision: the number that is made first, the rules of its tenant, and a use that came
# back meanwhile.
_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    The text is stored, and will be sent.
    """

    id: str


async def take_text(
    text: Text,
    same: bytes,
    *,
    store: MessageStore,
    admissions: Admissions,
    hands: Hands | None = None,
    timeout: float,  # noqa: ASYNC109
) -> Accepted | Repeated | Unasked | Reason:
    """
    Take *text*, if every guard holds.

    Args:
        text: The text.
        same: Digest of its request, see :meth:`MessageStore.digest`.
        store: Where it is kept.
        admissions: What makes a number that its receiver can be shown.
        hands: Who sends it as soon as it is stored; :obj:`None`: whoever looks what is due.
        timeout: Seconds for each step.

    Returns:
        That it is stored, or was by the same request; or that the store could not be asked; or why
        it is refused.

    Raises:
        StoreError: Nobody knows whether it was stored.
        SealError: The receiver does not open.
    """
    name = store.name_text(text)
    offered, judged = text, UNJUDGED
    for _ in range(_TRIES):
        stored = await store.admit(
            offered, same, name=name, judged=judged, hands=hands, timeout=timeout
        )
        if isinstance(stored, Repeated | Unasked):
            return stored
        if stored.admitted:
            return Accepted(name)
        found = decide_text(text, stored.facts, now=stored.now)
        if isinstance(found, Refusal):
            return found.reason
        if isinstance(found, AllocationNeeded):
            needed = ChildNeeded(
                binding=found.binding,
                binding_id=found.binding_id,
                x_number=text.x_number,
                caller=text.sender,
                callee=found.receiver,
            )
            try:
                await admissions.allocate(needed, timeout=timeout)
            except NoNumberAvailable:
                return Reason.NO_CAPACITY
            continue
        found_rules = await store.find_rules(BindingId.parse(found.binding), timeout=timeout)
        if found_rules is None:
            offered, judged = text, UNJUDGED
            continue
        version, rules = found_rules
        fit = judge_body(text.body, rules, text.sender)
        if fit is None:
            return Reason.BODY_REFUSED
        offered = replace(text, body=fit.body)
        judged = JudgedBy(version=version, hold=rules.hold, opts_out=fit.opts_out)
    return Reason.PLATFORM_FAULT
