"""The report: what counts as clean, and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from agi_router.bindings.words import Mode
from agi_router.leaktest.leaks import Leak, Spelling
from agi_router.leaktest.report import as_json, rows, succeeded, summary
from agi_router.leaktest.results import Finding, Result
from agi_router.leaktest.suite import scenarios
from agi_router.leaktest.vectors import VECTORS, End

LEAK = Leak(secret="138****0001", spelling=Spelling.AS_TYPED, offset=3)
AT_CALLEE = Finding(at=End.CALLEE, leak=LEAK, message="INVITE sip:139****0002@h SIP/2.0")
AT_CALLER = Finding(at=End.CALLER, leak=LEAK, message="SIP/2.0 180 Ringing")
ELSEWHERE = Finding(at=None, leak=None, message="INVITE sip:137****0003@h SIP/2.0")


def report(*first: Finding, faults: tuple[str, ...] = ()) -> dict[str, Any]:
    """A report on two vectors in two calls each, of which the first call went as given."""
    plan = scenarios(VECTORS[:2], modes=[Mode.AXB], directions=[True])
    results = [Result(scenario=scenario, findings=(), invites=1, faults=()) for scenario in plan]
    results[0] = Result(scenario=plan[0], findings=first, invites=1, faults=faults)
    found = rows(results)
    return {"ok": succeeded(found), "summary": summary(found), **as_json(found)}


def test_all_kinds_of_calls() -> None:
    """Each vector, by each mode, from each party, with and without early media."""
    plan = scenarios(VECTORS)

    assert len(plan) == len({str(scenario) for scenario in plan}) == 8 * len(VECTORS)
    assert str(plan[0]) == "from-name/axb/a-calls/ringing"


def test_clean() -> None:
    made = report()

    assert made["ok"]
    assert made["summary"] == "scenarios 4, matches 0, faults 0"
    assert [row["outcome"] for row in made["vectors"]] == ["clean", "clean"]
    assert [row["invites"] for row in made["vectors"]] == [2, 2]


@pytest.mark.parametrize(
    ("findings", "outcome"),
    [
        ([AT_CALLEE], "leaks: callee"),
        ([AT_CALLER, AT_CALLEE], "leaks: callee, caller"),
        ([ELSEWHERE], "leaks: elsewhere"),
    ],
)
def test_a_finding(findings: list[Finding], outcome: str) -> None:
    """It fails the test, and is told with its call, and masked."""
    made = report(*findings)

    assert not made["ok"]
    assert made["matches"] == len(findings)
    assert made["vectors"][0]["outcome"] == outcome
    assert made["vectors"][1]["outcome"] == "clean"
    assert made["vectors"][0]["findings"][0].startswith("from-name/axb/a-calls/ringing: ")


def test_a_fault_is_not_clean() -> None:
    """A call that did not go as it should proves nothing."""
    made = report(faults=("the caller got 404", "the caller has not planted its name"))

    assert not made["ok"]
    assert (made["matches"], made["faults"]) == (0, 1)


def test_findings_in_words() -> None:
    assert str(AT_CALLER) == (
        "138****0001 as typed, at byte 3 at the caller, in SIP/2.0 180 Ringing"
    )
    assert str(ELSEWHERE).startswith("a message to a place of the other side's choice: INVITE")
