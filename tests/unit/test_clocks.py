"""Clocks: how far another machine's is from ours, by asking it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from agi_router.clocks import OtherClock

# By the wall and by the steady clock, at the beginning.
WALL, STEADY = 1741988825.0, 1000.0


class Clocks:
    """This machine's two clocks, and another machine's."""

    def __init__(self, ahead: float, *, limit: float = 0.2) -> None:
        self.seconds = 0.0
        self.set_by = 0.0
        self.ahead = ahead
        self.other = OtherClock(
            "Asterisk's",
            limit=limit,
            now=lambda: STEADY + self.seconds,
            wall=lambda: WALL + self.seconds + self.set_by,
        )

    def moment(self) -> datetime:
        """What the other machine's clock says now."""
        return datetime.fromtimestamp(WALL + self.seconds - self.ahead, UTC)

    def age(self, moment: datetime) -> float:
        """How long ago that was, by our steady clock."""
        return STEADY + self.seconds - self.other.steadily(moment)

    def ask(self, *, there: float = 0.001, back: float = 0.001) -> None:
        """Ask it; question and answer take their time."""
        asked = STEADY + self.seconds
        self.seconds += there
        moment = self.moment()
        self.seconds += back
        self.other.told(moment, asked=asked)


@pytest.mark.parametrize("ahead", [0.0, 2.0, -2.0, 3600.0, -3600.0])
def test_how_far_they_are_apart(ahead: float) -> None:
    """Whichever is ahead, and by whatever: an event's age is its age."""
    clocks = Clocks(ahead)
    clocks.ask()
    assert clocks.other.ahead == pytest.approx(ahead, abs=0.002)
    moment = clocks.moment()
    clocks.seconds += 0.3
    assert clocks.age(moment) == pytest.approx(0.3, abs=0.003)


@pytest.mark.parametrize(
    ("ahead", "told"),
    [
        (0.19, None),
        (-0.19, None),
        (
            2.0,
            "2.00 s ahead of",
        ),
        (
            -2.0,
            "2.00 s behind",
        ),
    ],
)
def test_trouble(ahead: float, told: str | None) -> None:
    """It is told beyond the limit, and by how much."""
    clocks = Clocks(ahead)
    assert clocks.other.trouble == []
    clocks.ask()
    line = f"clock: this machine's is {told} Asterisk's, and may be 0.2 s: set both by NTP"
    assert clocks.other.trouble == ([] if told is None else [line])


def test_before_the_first_look() -> None:
    """Both are taken for one."""
    clocks = Clocks(2.0)
    assert clocks.other.ahead == 0.0
    assert clocks.age(clocks.moment()) == 2.0


def test_ours_is_set() -> None:
    """Nothing grows older by it; the next look says how far they are apart now."""
    clocks = Clocks(0.0)
    clocks.ask()
    moment = clocks.moment()
    clocks.set_by = 3600.0
    assert clocks.age(moment) < 0.1
    assert clocks.other.ahead == pytest.approx(3600, abs=0.01)
    assert clocks.other.trouble


def test_theirs_is_set_back() -> None:
    """Until the next look everything seems old: better than too young."""
    clocks = Clocks(0.0)
    clocks.ask()
    clocks.ahead = 1.0
    assert clocks.age(clocks.moment()) > 0.9
    clocks.ask()
    assert clocks.age(clocks.moment()) < 0.1


def test_a_slow_answer() -> None:
    """It is worth less than an older one, and makes nobody cry wolf."""
    clocks = Clocks(0.0)
    clocks.ask(there=0.0, back=3.0)
    assert clocks.other.trouble == []
    # Rather too old than too young: it may have been true when it was asked.
    assert clocks.age(clocks.moment()) >= 0
    clocks.ask()
    assert clocks.other.ahead == pytest.approx(0, abs=0.01)
    clocks.ask(there=0.0, back=3.0)
    assert clocks.other.ahead == pytest.approx(0, abs=0.01)
