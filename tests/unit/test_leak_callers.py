"""Who was taken for the caller: what a call shows, and what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.leaktest.callers import Sighting
from agi_router.leaktest.identities import IDENTITIES, Taken
from agi_router.leaktest.report import sightings_as_json, sightings_summary, succeeded


def sighting(must_be: Taken | Reason, seen: Taken | None, **more: Any) -> Sighting:
    """Return what a call has shown."""
    return Sighting(identity=IDENTITIES[0], must_be=must_be, seen=seen, **more)


@pytest.mark.parametrize(
    ("seen", "somebody_else", "fault", "outcome"),
    [
        (sighting(Taken.A, Taken.A), False, "", "a"),
        (sighting(Taken.C, None, status=403), False, "", "nobody (403)"),
        (sighting(Reason.CALLER_HIDDEN, None, status=403), False, "", "nobody (403)"),
        (sighting(Taken.A, Taken.B), True, "", "b"),
        (sighting(Taken.C, Taken.A), True, "", "a"),
        (sighting(Reason.CALLER_UNREADABLE, Taken.A), True, "", "a"),
        (sighting(Taken.A, None, elsewhere=True), True, "", "somebody elsewhere"),
        # What proves nothing.
        (
            sighting(Taken.A, None, status=403),
            False,
            "nobody rang, and the caller got 403",
            "nobody (403)",
        ),
        (
            sighting(Taken.B, None),
            False,
            "nobody rang, and the caller got no final response",
            "nobody (0)",
        ),
        (sighting(Taken.C, None, status=480), False, "the caller got 480", "nobody (480)"),
        (sighting(Taken.C, None), False, "the caller got no response", "nobody (0)"),
    ],
)
def test_a_sighting(seen: Sighting, somebody_else: bool, fault: str, outcome: str) -> None:  # noqa: FBT001
    """Who rang, and whether that may be."""
    assert (seen.somebody_else, seen.fault, seen.outcome) == (somebody_else, fault, outcome)
    assert succeeded([], [seen]) is not (somebody_else or bool(fault))
    assert sightings_as_json([seen]) == [
        {
            "identity": IDENTITIES[0].name,
            "must_be": seen.must_be.value,
            "taken_for": outcome,
            "somebody_else": somebody_else,
            "fault": fault,
        }
    ]


def test_the_summary() -> None:
    """A line that says how many were tried, and what of them."""
    seen = [sighting(Taken.A, Taken.A), sighting(Taken.A, Taken.B), sighting(Taken.A, None)]
    assert sightings_summary(seen) == "identities 3, taken for somebody else 1, faults 1"
    assert succeeded([])
