"""
How many texts are looked at and taken, by each process.
"""

import hashlib
import secrets
import time
from datetime import timedelta

from agi_router.bindings.reasons import Reason
from agi_router.calls.refusal_limit import RefusalLimit
from agi_router.messages.model import Text
from agi_router.numbers import PhoneNumber
from agi_router.rates import OFF, Rate

__all__ = ["TextLimits"]


class TextLimits:
    """
    Limits of one process.

    Args:
        sender: Texts of one sender that are looked at, taken or refused.
        number: Those to one number.
        tenant: Texts of one tenant that are taken.
    """

    def __init__(self, sender: Rate, number: Rate, tenant: Rate = OFF) -> None:
        self._senders = RefusalLimit(sender)
        self._numbers = RefusalLimit(number)
        self._tenants = RefusalLimit(tenant)
        self.of_tenants = bool(tenant.count)
        """Whether it must be known whose a text is before it is taken."""
        self._windows = {
            Reason.RATE_CALLER: sender.window,
            Reason.RATE_X: number.window,
            Reason.RATE_TENANT: tenant.window,
        }
        self._salt = secrets.token_bytes(16)

    def count(self, text: Text) -> Reason | None:
        """
        Count a text of its sender and to its number; why it is one too many, if it is.
        """
        now = time.monotonic_ns()
        if too_many := self.count_sender(text.sender):
            return too_many
        if self._numbers.reached(text.x_number.value, now=now):
            return Reason.RATE_X
        self._numbers.note(text.x_number.value, now=now)
        return None

    def count_sender(self, sender: PhoneNumber) -> Reason | None:
        """
        Count a text of its sender alone; why it is one too many, if it is.
        """
        now = time.monotonic_ns()
        key = hashlib.blake2b(sender.digits.encode(), digest_size=8, key=self._salt).digest()
        # What is refused so fills nothing: who writes on and on is not shut out for ever.
        if self._senders.reached(key, now=now):
            return Reason.RATE_CALLER
        self._senders.note(key, now=now)
        return None

    def wait(self, reason: Reason) -> timedelta | None:
        """
        After which time a text is not one too many any more; :obj:`None`: that is not why.
        """
        return self._windows.get(reason)

    def is_too_many(self, tenant_id: int) -> bool:
        """
        Whether no more texts of a tenant are taken for now.
        """
        return self._tenants.reached(tenant_id, now=time.monotonic_ns())

    def count_tenant(self, tenant_id: int) -> None:
        """
        A text of a tenant is being taken.
        """
        self._tenants.note(tenant_id, now=time.monotonic_ns())
