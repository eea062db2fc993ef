"""
The real-time check of a call: verification services are asked, and their verdicts go on record.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from agi_router.calls.arrival import Call
from agi_router.calls.check import (
    NOTE_CHECK,
    Checked,
    Question,
    TenantService,
    Unanswered,
    Verdict,
    judge,
)
from agi_router.calls.decision import Route
from agi_router.calls.store import AdmissionStore

if TYPE_CHECKING:
    from agi_router.calls.tenant_verifiers import TenantVerifiers
    from agi_router.calls.verifier import HttpVerifier

__all__ = ["CallChecker"]


class CallChecker:
    """
    Has calls confirmed; fits :class:`agi_router.calls.ports.Checker`.

    Args:
        store: Where the calls are on record.
        verifier: The operator's service; :obj:`None`: it has none.
        open_verifiers: Opens what asks tenants' services, when the first one is to be asked: a
            router without such tenants is to hold none of it in memory.
        numbers: Whether the operator's is sent the real numbers.
    """

    def __init__(
        self,
        store: AdmissionStore,
        verifier: "HttpVerifier | None",
        open_verifiers: "Callable[[], TenantVerifiers]",
        *,
        numbers: bool,
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._open_verifiers = open_verifiers
        self._numbers = numbers
        self._verifiers: asyncio.Future[TenantVerifiers] | None = None

    @property
    def asks_of_all(self) -> bool:
        """
        Whether there is somebody to be asked about every call.
        """
        return self._verifier is not None

    def close(self) -> None:
        """
        Close the connections that are kept.
        """
        if self._verifier is not None:
            self._verifier.close()
        loading = self._verifiers
        if loading is not None and loading.done() and loading.exception() is None:
            loading.result().close()

    async def check(
        self,
        call: Call,
        call_id: str,
        route: Route,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> Verdict:
        """
        Ask about one call, both services at once, and write down what became of it.

        Raises:
            StoreError: It cannot be put on record within *timeout* seconds, or the call is over.
            SealError: The secret of the tenant's service does not open.
        """
        deadline = time.monotonic() + timeout

        def left(kept: float = 0.0) -> float:
            return max(0.0, deadline - kept - time.monotonic())

        question, service = await self._store.find_question(call, call_id, route, timeout=left())
        operator, tenant = await asyncio.gather(
            self._ask_operator(call, route, question, left(NOTE_CHECK)),
            self._ask_tenant(service, question, lambda: left(NOTE_CHECK)),
        )
        if operator is not None or tenant is not None:
            await self._store.note_checks(call, call_id, operator, tenant, timeout=left())
        return judge(
            operator, tenant, Unanswered.REFUSE if service is None else service.unanswered
        )

    async def _ask_operator(
        self,
        call: Call,
        route: Route,
        question: Question,
        timeout: float,  # noqa: ASYNC109
    ) -> Checked | None:
        if self._verifier is None:
            return None
        if self._numbers:
            question = replace(question, caller=call.caller, callees=route.callees)
        return await self._verifier.ask(question, timeout=timeout)

    async def _ask_tenant(
        self, service: TenantService | None, question: Question, left: Callable[[], float]
    ) -> Checked | None:
        """
        Ask the tenant's service, which is told no real number, whatever the operator's is.
        """
        if service is None:
            return None
        if self._verifiers is None:
            # In a thread: to load it takes longer than other calls are to wait.
            self._verifiers = asyncio.ensure_future(asyncio.to_thread(self._open_verifiers))
        own = replace(question, id=str(uuid4()))
        try:
            async with asyncio.timeout(left()):
                verifiers = await asyncio.shield(self._verifiers)
        except TimeoutError:
            return Checked(id=own.id, verdict=Verdict.UNAVAILABLE, ms=0)
        return await verifiers.ask(service, own, timeout=left())
