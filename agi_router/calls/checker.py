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

__all__ = ["CallChecker", "TenantServices"]


class TenantServices:
    """
    The services of tenants; what asks them is loaded when the first one is to be asked.

    Args:
        open_verifiers: Loads it: a process without such tenants is to hold none of it in memory.
    """

    def __init__(self, open_verifiers: "Callable[[], TenantVerifiers]") -> None:
        self._open_verifiers = open_verifiers
        self._verifiers: asyncio.Future[TenantVerifiers] | None = None

    def close(self) -> None:
        """
        Close the connections that are kept.
        """
        loading = self._verifiers
        if loading is not None and loading.done() and loading.exception() is None:
            loading.result().close()

    async def ask(
        self,
        service: TenantService,
        question: Question,
        *,
        timeout: float,  # noqa: ASYNC109
    ) -> Checked:
        """
        Ask a service within *timeout* seconds.
        """
        deadline = time.monotonic() + timeout
        if self._verifiers is None:
            # In a thread: to load it takes longer than others are to wait.
            self._verifiers = asyncio.ensure_future(asyncio.to_thread(self._open_verifiers))
        try:
            async with asyncio.timeout(timeout):
                verifiers = await asyncio.shield(self._verifiers)
        except TimeoutError:
            return Checked(id=question.id, verdict=Verdict.UNAVAILABLE, ms=0)
        left = max(0.0, deadline - time.monotonic())
        return await verifiers.ask(service, question, timeout=left)


class CallChecker:
    """
    Has calls confirmed; fits :class:`agi_router.calls.ports.Checker`.

    Args:
        store: Where the calls are on record.
        verifier: The operator's service; :obj:`None`: it has none.
        services: Those of tenants.
        numbers: Whether the operator's is sent the real numbers.
    """

    def __init__(
        self,
        store: AdmissionStore,
        verifier: "HttpVerifier | None",
        services: TenantServices,
        *,
        numbers: bool,
    ) -> None:
        self._store = store
        self._verifier = verifier
        self._services = services
        self._numbers = numbers

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
        self._services.close()

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
            self._ask_tenant(service, question, left(NOTE_CHECK)),
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
        self,
        service: TenantService | None,
        question: Question,
        timeout: float,  # noqa: ASYNC109
    ) -> Checked | None:
        """
        Ask the tenant's service, which is told no real number, whatever the operator's is.
        """
        if service is None:
            return None
        own = replace(question, id=str(uuid4()))
        return await self._services.ask(service, own, timeout=timeout)
