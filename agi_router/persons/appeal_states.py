"""
What has become of an appeal, how long it may stay so, and what a caller hears of it.

What leads from one to the other: :mod:`agi_router.persons.appeals`.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

__all__ = ["AppealState", "Spans", "to_prompt"]


class AppealState(StrEnum):
    """
    What has become of an appeal.
    """

    FILED = "filed"
    """Evidence is missing."""
    COMPLETE = "evidence_complete"
    IN_REVIEW = "in_review"
    LIFTED = "lifted"
    """The lock was lifted, by this or otherwise, or is over."""
    UPHELD = "upheld"
    """The lock stays."""
    WITHDRAWN = "withdrawn"
    LAPSED = "lapsed"
    """Its evidence was not complete in time."""


_PROMPTS = {
    AppealState.FILED: "filed",
    AppealState.COMPLETE: "review",
    AppealState.IN_REVIEW: "review",
    AppealState.UPHELD: "upheld",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Spans:
    """
    How long each step may take.

    Attributes:
        evidence: From the filing until the evidence is complete; then the appeal lapses.
        review: From then until a review begins; then it is told to be overdue.
        decision: From then until it is decided; the same.
    """

    evidence: timedelta = timedelta(days=7)
    review: timedelta = timedelta(days=3)
    decision: timedelta = timedelta(days=7)

    def of(self, state: AppealState) -> timedelta | None:
        """
        For how long an appeal may stay in a state; :obj:`None`: for ever.
        """
        return {
            AppealState.FILED: self.evidence,
            AppealState.COMPLETE: self.review,
            AppealState.IN_REVIEW: self.decision,
        }.get(state)


def to_prompt(state: str | None) -> str | None:
    """
    The prompt of an appeal's state, behind ``appeal_``; :obj:`None`: nothing is said of it.

    Args:
        state: As the database has it; :obj:`None`: there is no appeal.
    """
    return None if state is None else _PROMPTS.get(AppealState(state))
