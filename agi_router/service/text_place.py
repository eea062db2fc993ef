"""
With what texts are taken, as it is set.
"""

import contextlib
from collections.abc import AsyncIterator

from agi_router.calls.store import AdmissionStore
from agi_router.keys.ring import KeyRing
from agi_router.messages.checker import TextChecker
from agi_router.messages.model import CARRIED
from agi_router.messages.store import MessageStore
from agi_router.messages.taking import TextPlace
from agi_router.service.checks import operator_service, tenant_services
from agi_router.settings import Settings

__all__ = ["open_place", "text_checker"]


def text_checker(settings: Settings, store: MessageStore) -> TextChecker:
    """
    What has texts confirmed.

    Args:
        settings: They say who is asked.
        store: Where it is kept what services are told.

    Raises:
        SettingsError: The file of the token of the operator's service cannot be read.
    """
    verifier = operator_service(settings) if settings.check_texts else None
    return TextChecker(store, tenant_services(settings), verifier, numbers=settings.check_numbers)


@contextlib.asynccontextmanager
async def open_place(settings: Settings, keys: KeyRing) -> AsyncIterator[TextPlace]:
    """
    What takes texts that come by no door of theirs, with a connection of its own.

    Args:
        settings: The operator's.
        keys: The key ring, as the database knows it.

    Raises:
        SettingsError: See :func:`text_checker`.
    """
    store = AdmissionStore(
        settings.dsn,
        keys,
        connections=1,
        quarantine=settings.quarantine,
        open_modes=settings.open_modes,
    )
    async with store:
        validity = settings.message_validity
        about = MessageStore(store.pool, keys, link=CARRIED, validity=validity)
        checker = text_checker(settings, about)
        try:
            yield TextPlace(admissions=store, checker=checker, validity=validity)
        finally:
            checker.close()
