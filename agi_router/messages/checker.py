"""
The real-time check of a text: the verification service of its tenant is asked before it is taken.
"""

import logging
from typing import Final

from agi_router.bindings.model import BindingId
from agi_router.bindings.reasons import Reason
from agi_router.bindings.words import Side
from agi_router.calls.check import Checked, Verdict, judge
from agi_router.calls.checker import TenantServices
from agi_router.errors import SealError
from agi_router.messages.model import Text
from agi_router.messages.store import MessageStore

__all__ = ["TextChecker"]

log = logging.getLogger(__name__)

# Seconds that a service has at most: its sender has an answer within half a second.
_PATIENCE: Final = 0.3


class TextChecker:
    """
    Has texts confirmed.

    Args:
        store: Where it is kept what services are told.
        services: Those of tenants.
    """

    def __init__(self, store: MessageStore, services: TenantServices) -> None:
        self._store = store
        self._services = services

    def close(self) -> None:
        """
        Close the connections that are kept.
        """
        self._services.close()

    async def check(
        self,
        text: Text,
        *,
        name: str,
        binding: BindingId,
        side: Side,
        timeout: float,  # noqa: ASYNC109
    ) -> Checked | Reason:
        """
        Ask about a text that every guard lets through.

        Args:
            text: The text.
            name: What it is going to be called.
            binding: By which it goes.
            side: On which its sender stands.
            timeout: Seconds that the store has.

        Returns:
            What goes on its record; or why it is refused: also where its tenant has no service, or
            the secret of that does not open.

        Raises:
            StoreError: No answer within *timeout* seconds, or the store failed.
        """
        try:
            question, service = await self._store.find_question(
                text, name=name, binding=binding, side=side, timeout=timeout
            )
        except SealError:
            log.warning("message.check_sealed", extra={"binding": str(binding)})
            return Reason.CHECK_UNAVAILABLE
        if service is None:
            return Reason.CHECK_UNAVAILABLE
        checked = await self._services.ask(service, question, timeout=_PATIENCE)
        match judge(None, checked, service.unanswered):
            case Verdict.YES:
                return checked
            case Verdict.NO:
                return Reason.CHECK_REFUSED
            case Verdict.UNAVAILABLE:
                return Reason.CHECK_UNAVAILABLE
