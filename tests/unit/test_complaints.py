"""How many complaints of so many calls are too many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agi_router.persons.complaint_limits import ComplaintLevel, ComplaintLimits
from agi_router.persons.complaints import check_complaint_reference, check_complaint_source

CALM, ALARM, STOP = ComplaintLevel
LIMITS = ComplaintLimits()


@pytest.mark.parametrize(
    ("complaints", "calls", "level"),
    [
        (0, 0, CALM),
        # Few are no share, whatever the calls.
        (1, 1, CALM),
        (2, 2, ALARM),
        (3, 3, STOP),
        # 0.025 % stops, 0.0125 % is an alarm; at the very edge too.
        (5, 20_000, STOP),
        (5, 20_001, ALARM),
        (5, 40_000, ALARM),
        (5, 40_001, CALM),
    ],
)
def test_a_count(complaints: int, calls: int, level: ComplaintLevel) -> None:
    """A row each."""
    assert LIMITS.judge(complaints, calls) is level


@given(
    complaints=st.integers(0, 10_000),
    calls=st.integers(0, 10**8),
    share=st.integers(1, 10_000),
    least=st.integers(1, 50),
)
def test_more_calls_need_not_be_counted(
    complaints: int, calls: int, share: int, least: int
) -> None:
    """Counted up to that number, the level is the same; and more complaints are never better."""
    limits = ComplaintLimits(share=share, least=least)
    level = limits.judge(complaints, calls)
    assert limits.judge(complaints, min(calls, limits.enough_calls(complaints))) is level
    order = list(ComplaintLevel)
    assert order.index(limits.judge(complaints + 1, calls)) >= order.index(level)


def test_names() -> None:
    """A source and a reference are short texts."""
    assert (check_complaint_source(" 12321 "), check_complaint_reference("C-1")) == (
        "12321",
        "C-1",
    )
    for wrong in ("", "x" * 129):
        with pytest.raises(ValueError, match="source"):
            check_complaint_source(wrong)
        with pytest.raises(ValueError, match="reference"):
            check_complaint_reference(wrong)
