"""What would become of a call: the decision with its rules; facts are asked for only if needed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from agi_router.bindings.facts import Facts
from agi_router.bindings.reasons import Reason
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import Ask, Refusal
from agi_router.calls.explanation import explain_call
from agi_router.calls.ports import Admission
from harness import values
from harness.values import NOW

A, X = values.A.digits, values.X.digits
NOBODY = Facts(block_known=True, certificate_valid=True, x_bound=True, hit=None)
EXTENDED = replace(NOBODY, x_extended=True)


class Lookup:
    """Facts that are always the same; remembers the calls that it was asked about."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.asked: list[Call] = []

    def __call__(self, call: Call) -> Admission:
        """Tell them."""
        self.asked.append(call)
        return Admission(admitted=False, facts=self.facts, now=NOW)


@pytest.mark.parametrize(
    ("caller", "dialled", "reason"),
    [("anonymous", X, Reason.CALLER_HIDDEN), (A, "12345", Reason.X_MALFORMED)],
)
def test_what_the_numbers_alone_decide(caller: str, dialled: str, reason: Reason) -> None:
    """No facts are asked for."""
    lookup, at = Lookup(NOBODY), NOW - timedelta(hours=1)
    found = explain_call(lookup, caller=caller, dialled=dialled, at=at)
    assert isinstance(found.decision, Refusal)
    assert (found.decision.reason, found.at, lookup.asked) == (reason, at, [])
    assert [step.holds for step in found.steps] == [False]


def test_what_the_facts_decide() -> None:
    """The rules up to the first that fails, by the store's time."""
    found = explain_call(Lookup(NOBODY), caller=A, dialled=X)
    assert found.decision == Refusal(reason=Reason.STRANGER)
    assert found.at == NOW
    assert [step.holds for step in found.steps] == [True] * 6 + [False]


@pytest.mark.parametrize(
    ("open_modes", "extension", "attempts_left", "decision"),
    [
        (False, None, 0, Refusal(reason=Reason.STRANGER)),
        (True, None, 1, Ask(attempts_left=0, again=False)),
        (True, "12", 0, Refusal(reason=Reason.EXTENSION_WRONG)),
    ],
)
def test_an_extension_is_asked_for_once(
    *, open_modes: bool, extension: str | None, attempts_left: int, decision: object
) -> None:
    """And only where strangers may be let through, and none is given."""
    lookup = Lookup(EXTENDED)
    found = explain_call(lookup, caller=A, dialled=X, extension=extension, open_modes=open_modes)
    assert found.decision == decision
    [call] = lookup.asked
    typed = None if extension is None else DialledExtension(extension=extension)
    assert (call.attempts_left, call.typed) == (attempts_left, typed)
