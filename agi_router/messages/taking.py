"""
Taking a text: the store and the rules together, and the number that its receiver is to be shown.

Whose binding it is, and so by which rules of its tenant it is judged, only the store knows. So a
text of a tenant who has some is offered twice: unjudged, which takes nothing, and judged. So no
use is taken, and none has to come back, where its verification service says no.
"""

from dataclasses import dataclass, replace
from typing import Final

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.calls.check import Checked
from agi_router.calls.decision import AllocationNeeded as ChildNeeded
from agi_router.calls.decision import Refusal
from agi_router.calls.ports import Admissions
from agi_router.errors import NoNumberAvailable
from agi_router.messages.checker import TextChecker
from agi_router.messages.decision import AllocationNeeded, Taken, decide_text
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
    checker: TextChecker | None = None,
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
        checker: Who has it confirmed; without one no text is taken that its tenant wants to be.
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
        match found:
            case Refusal():
                return found.reason
            case AllocationNeeded():
                if not await _make_number(text, found, admissions=admissions, timeout=timeout):
                    return Reason.NO_CAPACITY
            case Taken():
                fit = await _judge(text, name, found, store, checker, timeout=timeout)
                if isinstance(fit, Reason):
                    return fit
                offered, judged = fit
    return Reason.PLATFORM_FAULT


async def _make_number(
    text: Text,
    needed: AllocationNeeded,
    *,
    admissions: Admissions,
    timeout: float,  # noqa: ASYNC109
) -> bool:
    """
    Make the number that the receiver is shown; whether there is one.
    """
    child = ChildNeeded(
        binding=needed.binding,
        binding_id=needed.binding_id,
        x_number=text.x_number,
        caller=text.sender,
        callee=needed.receiver,
    )
    try:
        await admissions.allocate(child, timeout=timeout)
    except NoNumberAvailable:
        return False
    return True


async def _judge(
    text: Text,
    name: str,
    found: Taken,
    store: MessageStore,
    checker: TextChecker | None,
    *,
    timeout: float,  # noqa: ASYNC109
) -> tuple[Text, JudgedBy] | Reason:
    """
    What a text is to say by the rules of its tenant, if it may go on; else why not.
    """
    binding = BindingId.parse(found.binding)
    found_rules = await store.find_rules(binding, timeout=timeout)
    if found_rules is None:
        return text, UNJUDGED
    version, rules = found_rules
    fit = judge_body(text.body, rules, text.sender)
    if fit is None:
        return Reason.BODY_REFUSED
    checked: Checked | Reason | None = None
    if rules.checked:
        checked = Reason.CHECK_UNAVAILABLE
        if checker is not None:
            checked = await checker.check(
                text, name=name, binding=binding, side=found.side, timeout=timeout
            )
    if isinstance(checked, Reason):
        return checked
    judged = JudgedBy(version=version, hold=rules.hold, opts_out=fit.opts_out, checked=checked)
    return replace(text, body=fit.body), judged
