"""
What would become of a call, rule by rule; nothing is dialled, and nothing is taken.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from agi_router.bindings.reach import Step, explain
from agi_router.calls.arrival import Call
from agi_router.calls.decision import Decision, Refusal, decide, screen
from agi_router.calls.ports import Admission
from agi_router.tenants.call_rates import CallRates

__all__ = ["Explanation", "explain_call"]

_NO_RATES = CallRates()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """
    A decision, and the rules that led to it.
    """

    decision: Decision
    steps: tuple[Step, ...]
    """In order; the first that fails is the last."""
    at: datetime | None
    """The time it was judged by; :obj:`None` where no time was needed."""
    limits: tuple[str, ...] = ()
    """Rates that such a call is held to by what each router has counted; not judged here."""


def explain_call(
    look: Callable[[Call], Admission],
    *,
    caller: str,
    dialled: str,
    extension: str | None = None,
    at: datetime | None = None,
    fixed_lines: bool = False,
    open_modes: bool = False,
    rates: CallRates = _NO_RATES,
) -> Explanation:
    """
    Explain the decision on a call.

    Args:
        look: Finds the facts as of *at*, see :meth:`agi_router.calls.lookup.CallLookup.facts`; not
            called where the numbers alone decide.
        caller: Caller id, as it would arrive.
        dialled: What is dialled.
        extension: What the caller types when it is asked.
        at: Decide as of this time instead of now.
        fixed_lines: Whether fixed lines may call.
        open_modes: Whether strangers may be let through, and be asked for an extension.
        rates: The operator's limits on calls.

    Raises:
        StoreError: The store did not answer.
    """
    screened = screen(
        caller=caller,
        dialled=dialled,
        fixed_lines=fixed_lines,
        attempts_left=1 if open_modes and extension is None else 0,
        typed=extension,
    )
    steps = [Step("numbers are of an accepted form", not isinstance(screened, Refusal))]
    if isinstance(screened, Refusal):
        return Explanation(decision=screened, steps=tuple(steps), at=at)
    admission = look(screened)
    steps += explain(screened.caller, admission.facts, now=admission.now)
    decision = decide(screened, admission.facts, now=admission.now)
    hit = admission.facts.hit
    own = _NO_RATES if hit is None else hit.call_rates or _NO_RATES
    limits = [
        f"{whose}: {name} {rate}"
        for whose, each in (("all tenants", rates), ("the tenant", own))
        for name, rate in each.words.items()
    ]
    return Explanation(
        decision=decision, steps=tuple(steps), at=admission.now, limits=tuple(limits)
    )
