"""Appeals as values: which step may follow which, by whom, and what is missing."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from agi_router.errors import AppealNotReady, AppealOver, SameActor
from agi_router.persons.appeal_states import AppealState, Spans, to_prompt
from agi_router.persons.appeals import (
    EVIDENCE,
    NOTICES,
    OPEN,
    STEPS,
    AppealStep,
    EvidenceKind,
    check_digest,
    check_reference,
    find_missing,
    take,
)
from agi_router.persons.effects import LockReason

PAGE = (Path(__file__).parents[2] / "docs/persons.md").read_text("utf-8").split("## Appeals")[1]
SETTER, JUDGE = "root@pbx", "API key x"
ALLOWED = {
    (AppealState.FILED, AppealStep.COMPLETE): AppealState.COMPLETE,
    (AppealState.FILED, AppealStep.LAPSE): AppealState.LAPSED,
    (AppealState.FILED, AppealStep.WITHDRAW): AppealState.WITHDRAWN,
    (AppealState.COMPLETE, AppealStep.REVIEW): AppealState.IN_REVIEW,
    (AppealState.COMPLETE, AppealStep.WITHDRAW): AppealState.WITHDRAWN,
    (AppealState.IN_REVIEW, AppealStep.LIFT): AppealState.LIFTED,
    (AppealState.IN_REVIEW, AppealStep.UPHOLD): AppealState.UPHELD,
    (AppealState.IN_REVIEW, AppealStep.WITHDRAW): AppealState.WITHDRAWN,
}


@pytest.mark.parametrize("state", AppealState)
@pytest.mark.parametrize("step", AppealStep)
def test_each_step_in_each_state(state: AppealState, step: AppealStep) -> None:
    """These, and no others; what is over stays so."""
    if (state, step) in ALLOWED:
        assert take(state, step, actor=JUDGE, set_by=SETTER) is ALLOWED[state, step]
    else:
        with pytest.raises(AppealNotReady if state in OPEN else AppealOver):
            take(state, step, actor=JUDGE, set_by=SETTER)


@pytest.mark.parametrize(("state", "step"), ALLOWED)
def test_two_actors(state: AppealState, step: AppealStep) -> None:
    """Whoever has set the lock may file and withdraw, and judges nothing."""
    if step in {AppealStep.REVIEW, AppealStep.LIFT, AppealStep.UPHOLD}:
        with pytest.raises(SameActor):
            take(state, step, actor=SETTER, set_by=SETTER)
    else:
        assert take(state, step, actor=SETTER, set_by=SETTER) is ALLOWED[state, step]


def test_the_page_has_these_states_and_this_evidence() -> None:
    """Each with what may follow, and each reason with what it needs."""
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \|[^|]+\|([^|]*)\|[^|]*\|$", PAGE))
    for state in AppealState:
        after = {target.value for (source, _), target in ALLOWED.items() if source is state}
        assert set(re.findall(r"`(\w+)`", rows[state])) == after, state
    needs = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \|$", PAGE))
    assert {
        reason: tuple(re.findall(r"`(\w+)`", needs[reason])) for reason in LockReason
    } == EVIDENCE


def test_what_is_missing() -> None:
    """What the reason needs, but for what is there."""
    assert find_missing(LockReason.ARREARS, ()) == (EvidenceKind.PAYMENT_RECORD,)
    assert find_missing(LockReason.ARREARS, {EvidenceKind.PAYMENT_RECORD}) == ()
    assert find_missing(LockReason.MAINTENANCE, ()) == ()
    given = {EvidenceKind.IDENTITY_PROOF, EvidenceKind.EXPLANATION}
    assert find_missing(LockReason.ACCOUNT_ANOMALY, given) == (
        EvidenceKind.BOUND_NUMBER,
        EvidenceKind.ACCOUNT_DATA,
    )


@pytest.mark.parametrize("state", AppealState)
def test_every_state_is_told_in_two_languages(state: AppealState) -> None:
    """And is due some day while it is open."""
    assert set(NOTICES[state]) == {"zh", "en"}
    assert all(NOTICES[state].values())
    assert (Spans().of(state) is not None) is (state in OPEN)
    assert Spans(evidence=timedelta(1)).of(AppealState.FILED) == timedelta(1)


def test_what_a_locked_caller_hears() -> None:
    """What goes on, and that it was in vain; nothing else."""
    assert {state: to_prompt(state) for state in AppealState} == {
        AppealState.FILED: "filed",
        AppealState.COMPLETE: "review",
        AppealState.IN_REVIEW: "review",
        AppealState.UPHELD: "upheld",
        AppealState.LIFTED: None,
        AppealState.WITHDRAWN: None,
        AppealState.LAPSED: None,
    }
    assert to_prompt(None) is None
    assert {rule.target for rule in STEPS.values()} | {AppealState.FILED} == set(AppealState)


def test_references_and_digests() -> None:
    """A digest in letters of either case; nothing else is one."""
    assert check_digest("AB" * 32) == "ab" * 32
    assert check_reference(" ticket-77 ") == "ticket-77"
    for wrong in ("", "ab" * 31, "zz" * 32):
        with pytest.raises(ValueError, match="64 hexadecimal"):
            check_digest(wrong)
    with pytest.raises(ValueError, match="reference"):
        check_reference("x" * 129)
