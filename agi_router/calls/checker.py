"""
The real-time check of a call: a verification service is asked, and its verdict goes on record.
"""

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from agi_router.calls.arrival import Call
from agi_router.calls.check import NOTE_CHECK, Verdict
from agi_router.calls.decision import Route
from agi_router.calls.store import AdmissionStore

if TYPE_CHECKING:
    from agi_router.calls.verifier import HttpVerifier

__all__ = ["CallChecker"]


class CallChecker:
    """
    Has calls confirmed; fits :class:`agi_router.calls.ports.Checker`.

    Args:
        store: Where the calls are on record.
        verifier: Who is asked.
        numbers: Whether it is sent the real numbers.
    """

    def __init__(self, store: AdmissionStore, verifier: "HttpVerifier", *, numbers: bool) -> None:
        self._store = store
        self._verifier = verifier
        self._numbers = numbers

    async def check(
        self,
        call: Call,
        call_id: str,
        route: Route,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> Verdict:
        """
        Ask about one call, and write down what became of it.

        Raises:
            StoreError: It cannot be put on record within *timeout* seconds, or the call is over.
        """
        deadline = time.monotonic() + timeout

        def left() -> float:
            return max(0.0, deadline - time.monotonic())

        question = await self._store.find_question(call, call_id, route, timeout=left())
        if self._numbers:
            question = replace(question, caller=call.caller, callees=route.callees)
        checked = await self._verifier.ask(question, timeout=max(0.0, left() - NOTE_CHECK))
        await self._store.note_check(call, call_id, checked, timeout=left())
        return checked.verdict
