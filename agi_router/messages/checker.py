"""
The real-time check of a text: verification services are asked before it is taken.

The operator's is asked about each where he wants that, its tenant's where that one does.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.calls.check import Checked, Question, TenantService, Unanswered, Verdict, judge
from agi_router.calls.checker import TenantServices
from agi_router.errors import SealError
from agi_router.messages.decision import Taken
from agi_router.messages.model import Text
from agi_router.messages.store import MessageStore

if TYPE_CHECKING:
    from agi_router.calls.verifier import HttpVerifier

__all__ = ["TextChecker", "TextVerdicts"]

log = logging.getLogger(__name__)

# Seconds that a service has at most: its sender has an answer within half a second.
_PATIENCE: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class TextVerdicts:
    """
    What the services have said about a text that may go on.
    """

    operator: Checked | None
    """:obj:`None`: it was not asked."""
    tenant: Checked | None


class TextChecker:
    """
    Has texts confirmed.

    Args:
        store: Where it is kept what services are told.
        services: Those of tenants.
        verifier: The operator's; :obj:`None`: it is not asked about texts.
        numbers: Whether that one is sent the real numbers.
    """

    def __init__(
        self,
        store: MessageStore,
        services: TenantServices,
        verifier: "HttpVerifier | None" = None,
        *,
        numbers: bool = False,
    ) -> None:
        self._store = store
        self._services = services
        self._verifier = verifier
        self._numbers = numbers

    @property
    def asks_of_all(self) -> bool:
        """
        Whether there is somebody to be asked about every text.
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
        text: Text,
        found: Taken,
        *,
        name: str,
        of_tenant: bool,
        timeout: float,  # noqa: ASYNC109
    ) -> TextVerdicts | Reason:
        """
        Ask about a text that every guard lets through, both services at once.

        Args:
            text: The text.
            found: By which binding it goes, and to whom.
            name: What it is going to be called.
            of_tenant: Whether its tenant's service is to be asked.
            timeout: Seconds that the store has.

        Returns:
            What goes on its record; or why it is refused: also where its tenant has no service, or
            the secret of that does not open.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        binding = BindingId.parse(found.binding)
        try:
            question, service = await self._store.find_question(
                text, name=name, binding=binding, side=found.side, timeout=timeout
            )
        except SealError:
            log.warning("message.check_sealed", extra={"binding": str(binding)})
            return Reason.CHECK_UNAVAILABLE
        if of_tenant and service is None:
            return Reason.CHECK_UNAVAILABLE
        operator, tenant = await asyncio.gather(
            self._ask_operator(text, found, question),
            self._ask_tenant(service if of_tenant else None, question),
        )
        unanswered = Unanswered.REFUSE if service is None else service.unanswered
        match judge(operator, tenant, unanswered):
            case Verdict.YES:
                return TextVerdicts(operator=operator, tenant=tenant)
            case Verdict.NO:
                return Reason.CHECK_REFUSED
            case Verdict.UNAVAILABLE:
                return Reason.CHECK_UNAVAILABLE

    async def _ask_operator(self, text: Text, found: Taken, question: Question) -> Checked | None:
        if self._verifier is None:
            return None
        if self._numbers:
            question = replace(question, caller=text.sender, callees=(found.receiver,))
        return await self._verifier.ask(question, timeout=_PATIENCE)

    async def _ask_tenant(
        self, service: TenantService | None, question: Question
    ) -> Checked | None:
        """
        Ask the tenant's service, which is told no real number, whatever the operator's is.
        """
        if service is None:
            return None
        own = replace(question, id=str(uuid4()))
        return await self._services.ask(service, own, timeout=_PATIENCE)
