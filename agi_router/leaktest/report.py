"""
The report: the results of a suite, vector by vector.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agi_router.leaktest.callers import Sighting
from agi_router.leaktest.results import Result
from agi_router.leaktest.vectors import End, Vector

__all__ = [
    "Row",
    "as_json",
    "rows",
    "sightings_as_json",
    "sightings_summary",
    "succeeded",
    "summary",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """
    One vector, and what came of all its scenarios.

    Attributes:
        vector: What was planted.
        results: One for each scenario.
    """

    vector: Vector
    results: tuple[Result, ...]

    @property
    def matches(self) -> int:
        """How often a secret got through."""
        return sum(len(result.findings) for result in self.results)

    @property
    def faults(self) -> int:
        """Scenarios that did not go as they should, and prove nothing."""
        return sum(bool(result.faults) for result in self.results)

    @property
    def invites(self) -> int:
        """Calls that the PBX placed to the callee, over all scenarios."""
        return sum(result.invites for result in self.results)

    @property
    def outcome(self) -> str:
        """In words, whom the secrets reached; ``clean`` if nobody, whatever else went wrong."""
        reached = {finding.at for result in self.results for finding in result.findings}
        words = {End.CALLEE: "callee", End.CALLER: "caller", None: "elsewhere"}
        found = [word for side, word in words.items() if side in reached]
        return f"leaks: {', '.join(found)}" if found else "clean"


def rows(results: Iterable[Result]) -> list[Row]:
    """Gather *results* by vector, in the order in which vectors first occur."""
    gathered: dict[str, list[Result]] = {}
    for result in results:
        gathered.setdefault(result.scenario.vector.name, []).append(result)
    return [
        Row(vector=found[0].scenario.vector, results=tuple(found)) for found in gathered.values()
    ]


def succeeded(report: Sequence[Row], sightings: Sequence[Sighting] = ()) -> bool:
    """Whether nothing got through, nobody was taken for another, and all went as it should."""
    return not any(row.matches or row.faults for row in report) and not any(
        each.somebody_else or each.fault for each in sightings
    )


def summary(report: Sequence[Row]) -> str:
    """The result in a line."""
    scenarios = sum(len(row.results) for row in report)
    matches = sum(row.matches for row in report)
    return f"scenarios {scenarios}, matches {matches}, faults {sum(row.faults for row in report)}"


def sightings_summary(sightings: Sequence[Sighting]) -> str:
    """Who was taken for whom, in a line."""
    others = sum(each.somebody_else for each in sightings)
    faults = sum(bool(each.fault) for each in sightings)
    return f"identities {len(sightings)}, taken for somebody else {others}, faults {faults}"


def sightings_as_json(sightings: Sequence[Sighting]) -> list[dict[str, Any]]:
    """Who was taken for whom, identity by identity."""
    return [
        {
            "identity": each.identity.name,
            "must_be": each.must_be.value,
            "taken_for": each.outcome,
            "somebody_else": each.somebody_else,
            "fault": each.fault,
        }
        for each in sightings
    ]


def as_json(report: Sequence[Row]) -> dict[str, Any]:
    """The result as one JSON object; numbers in it are masked."""
    return {
        "ok": succeeded(report),
        "scenarios": sum(len(row.results) for row in report),
        "matches": sum(row.matches for row in report),
        "faults": sum(row.faults for row in report),
        "vectors": [
            {
                "vector": row.vector.name,
                "planted": row.vector.planted,
                "stopped_by": row.vector.stopped_by,
                "scenarios": len(row.results),
                "invites": row.invites,
                "matches": row.matches,
                "outcome": row.outcome,
                "findings": [
                    f"{result.scenario}: {finding}"
                    for result in row.results
                    for finding in result.findings
                ],
                "faults": [
                    f"{result.scenario}: {fault}"
                    for result in row.results
                    for fault in result.faults
                ],
            }
            for row in report
        ],
    }
