"""
What the router needs of the world, as protocols: the doors fit them, and so do test doubles.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agi_router.bindings.facts import Facts
from agi_router.calls.arrival import Call
from agi_router.calls.check import Verdict
from agi_router.calls.decision import AllocationNeeded, Refusal, Route
from agi_router.numbers import XNumber

__all__ = ["Admission", "Admissions", "Checker", "Meter", "OldNumbers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """
    What the store answered about one call.
    """

    admitted: bool
    """Whether a use was taken and the call written as reserved."""
    facts: Facts
    """As they stood before the use was taken."""
    now: datetime
    """The store's clock at that moment."""
    strangers: tuple[int, ...] = ()
    """Locks that were found by a tag of this call, and are of somebody else with the same tag."""


class Admissions(Protocol):
    """
    Where calls are admitted.
    """

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """
        Take one use for *call* if every guard holds, and tell the facts either way.

        Asking again with the same *call_id* takes nothing more.

        Raises:
            StoreBusy: There would be no answer within *timeout* seconds.
            StoreError: No answer within *timeout* seconds, or the store failed.
            SealError: The callee does not open.
        """
        ...

    async def allocate(self, needed: AllocationNeeded, *, timeout: float) -> None:  # noqa: ASYNC109
        """
        Make the number that a callee is to be shown, unless there is none or it is there by now.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        ...


class OldNumbers(Protocol):
    """
    Who knows the middle numbers of before the move to 700.
    """

    async def find_new_number(self, old: str, *, timeout: float) -> XNumber | None:  # noqa: ASYNC109
        """
        The 700 number that has come in the place of *old*; :obj:`None`: it is none of ours.

        Args:
            old: See :func:`agi_router.numbers.parse_old_number`.
            timeout: Seconds.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        ...


class Checker(Protocol):
    """
    Who says whether an admitted call may be connected.
    """

    @property
    def asks_of_all(self) -> bool:
        """
        Whether it is asked about every call; else about those whose tenant has a check.
        """
        ...

    async def check(
        self,
        call: Call,
        call_id: str,
        route: Route,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> Verdict:
        """
        Tell whether *call*, which is to go by *route*, is confirmed, and put that on record.

        Raises:
            StoreError: It cannot be put on record within *timeout* seconds, or the call is over.
        """
        ...


class Meter(Protocol):
    """
    Who counts and times what the router does. It must be quick, and never raise.
    """

    def decided(self, decision: Route | Refusal) -> None:
        """
        A call was decided.
        """
        ...

    def took(self, seconds: float) -> None:
        """
        How long a decision took.
        """
        ...

    def admission_took(self, seconds: float) -> None:
        """
        How long the store took for one call, also where it failed.
        """
        ...
