"""How work that calls go beside rests."""

from __future__ import annotations

import time
from collections.abc import Generator

import pytest

from agi_router.maintenance.pace import paced


def test_it_rests_longer_than_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three times as long, as it was told at least, and a second at most."""
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rests = []

    def wait(seconds: float) -> None:
        nonlocal now
        now += seconds
        rests.append(seconds)

    def steps() -> Generator[float, None, None]:
        nonlocal now
        for took in (0.125, 0.0, 60.0):
            now += took
            yield took

    assert list(paced(steps(), wait, least=0.25)) == [0.125, 0.0, 60.0]
    assert rests == [0.375, 0.25, 1.0]


def test_it_ends_where_no_more_is_wanted() -> None:
    """The step that was done is told, and none is begun after that."""
    done = []

    def steps() -> Generator[int, None, None]:
        try:
            for number in range(3):
                done.append(str(number))
                yield number
        finally:
            done.append("cleared away")

    # Somebody has them still: they end with the work, not when nobody has.
    held = steps()
    assert list(paced(held, lambda _: True)) == [0]
    assert done == ["0", "cleared away"]
