"""Locks as values: whether one holds, on whom, and which of several speaks."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from agi_router.numbers import Block, PhoneNumber
from agi_router.persons.effects import Effect, LockReason, Subject, find_strongest, holds_for
from agi_router.persons.locks import (
    REASONS,
    Lock,
    LockedThing,
    LockState,
    check_rule,
    parse_lock_id,
)
from agi_router.persons.views import describe_lock
from agi_router.records.audit import check_note
from harness.values import NOW, A, B, X

PAGE = (Path(__file__).parents[2] / "docs/persons.md").read_text("utf-8")
TICK = timedelta(microseconds=1)
LOCK = Lock(
    id=17,
    thing=LockedThing(subject=Subject.PERSON, person=A),
    reason=LockReason.ARREARS,
    rule="R-7",
    note=None,
    set_by="a test",
    set_at=NOW,
    starts_at=NOW,
    ends_at=NOW + TICK,
    over_at=None,
    lifted=False,
    lifted_by=None,
    lift_note=None,
    cut=False,
    own=True,
    liftable=True,
    now=NOW,
)


@pytest.mark.parametrize(
    ("lock", "state"),
    [
        (LOCK, LockState.IN_FORCE),
        (replace(LOCK, now=NOW - TICK), LockState.PLANNED),
        (replace(LOCK, now=NOW + TICK), LockState.ENDED),
        (replace(LOCK, ends_at=None, now=NOW + timedelta(days=999)), LockState.IN_FORCE),
        (replace(LOCK, over_at=NOW), LockState.ENDED),
        (replace(LOCK, over_at=NOW, lifted=True), LockState.LIFTED),
    ],
)
def test_state(lock: Lock, state: LockState) -> None:
    """From its start until its end, or until somebody ends it."""
    assert lock.state is state
    assert lock.cursor.name == "17"


@pytest.mark.parametrize(
    ("subject", "key", "person", "holds"),
    [
        (Subject.NUMBER, X.value, None, True),
        (Subject.NUMBER, X.value + 1, None, False),
        (Subject.BLOCK, X.block.value, None, True),
        (Subject.BLOCK, X.value, None, False),
        (Subject.TENANT, 7, None, True),
        (Subject.TENANT, 8, None, False),
        (Subject.PERSON, 5, A, True),
        (Subject.PERSON, 5, B, False),
    ],
)
def test_what_a_lock_is_on(
    subject: Subject, key: int, person: PhoneNumber | None, *, holds: bool
) -> None:
    """A key may be that of something else; a person is known by the number alone."""
    effect = Effect(id=1, subject=subject, reason=LockReason.MISUSE, key=key, person=person)
    meant = holds_for(effect, numbers={X.value}, block=X.block.value, tenant=7, people=[A])
    assert meant is holds


def test_the_strongest_speaks() -> None:
    """By reason, and of one reason the first."""
    several = [
        Effect(id=number, subject=Subject.PERSON, reason=reason, key=0, person=A)
        for number, reason in enumerate((LockReason.ARREARS, LockReason.MISUSE, LockReason.MISUSE))
    ]
    found = find_strongest(several)
    assert found is not None
    assert found.id == 1
    assert find_strongest([]) is None


def test_the_page_lists_the_reasons() -> None:
    """In their order, with what they mean."""
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)
    assert [(LockReason(reason), case, lifts) for reason, case, lifts in rows] == [
        (reason, rule.case, rule.lifts) for reason, rule in REASONS.items()
    ]
    assert list(REASONS) == list(LockReason)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "x", "13912340001" * 3, "١"])
def test_what_is_no_id(text: str) -> None:
    """Nothing of it is told back."""
    with pytest.raises(ValueError, match="whole number"):
        parse_lock_id(text)


def test_words() -> None:
    """What is written beside a lock is one line that can be seen."""
    assert parse_lock_id("17") == 17
    assert check_rule(" R-7 ") == "R-7"
    assert check_note(" paid ") == "paid"
    assert check_note("139 1234 5678 says no") == "139****5678 says no"
    for check in (check_rule, check_note):
        with pytest.raises(ValueError, match="characters"):
            check("")


def test_as_it_is_shown() -> None:
    """A person masked, a number and a block as they are."""
    assert describe_lock(LOCK)["person"] == "139****0001"
    number = LockedThing(subject=Subject.NUMBER, number=X)
    assert describe_lock(replace(LOCK, thing=number))["x"] == str(X)
    block = LockedThing(subject=Subject.BLOCK, block=Block.parse("70012345678"))
    assert describe_lock(replace(LOCK, thing=block))["block"] == "70012345678"
    assert "13912340001" not in repr(LOCK)
