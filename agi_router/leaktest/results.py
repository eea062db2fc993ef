"""
Results: a scenario, and what came of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agi_router.bindings.words import Mode
from agi_router.leaktest.leaks import Leak
from agi_router.leaktest.vectors import End, Vector

__all__ = ["Finding", "Result", "Scenario"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """
    One call.

    Attributes:
        vector: What is planted.
        mode: Mode of the binding.
        from_a: Whether A calls, otherwise B.
        early_media: Whether there is sound before the answer.
    """

    vector: Vector
    mode: Mode
    from_a: bool
    early_media: bool

    def __str__(self) -> str:
        direction = "a-calls" if self.from_a else "b-calls"
        media = "early-media" if self.early_media else "ringing"
        return f"{self.vector.name}/{self.mode.value}/{direction}/{media}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """
    A secret that got through.

    Attributes:
        at: Who received it; :obj:`None` where a call arrived at a place nobody may arrive at.
        leak: What and where.
        message: Start line of the message, masked.
    """

    at: End | None
    leak: Leak | None
    message: str

    def __str__(self) -> str:
        if self.leak is None:
            return f"a message to a place of the other side's choice: {self.message}"
        return f"{self.leak} at the {self.at.value if self.at else 'decoy'}, in {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """
    What came of one scenario.

    Attributes:
        scenario: The call.
        findings: Every secret that got through.
        invites: Calls that the PBX placed to the callee.
        faults: In what it did not go as it should, so that it proves nothing.
    """

    scenario: Scenario
    findings: tuple[Finding, ...]
    invites: int
    faults: tuple[str, ...]
