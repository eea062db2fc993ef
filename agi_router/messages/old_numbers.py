"""
Texts to middle numbers of before the move to 700: refused by the word that calls to them are.
"""

from datetime import UTC, datetime

from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import refuse_old_number
from agi_router.calls.ports import OldNumbers
from agi_router.errors import NumberError, StoreError
from agi_router.messages.limits import TextLimits
from agi_router.numbers import PhoneNumber, parse_old_number

__all__ = ["OldNumberTexts"]


class OldNumberTexts:
    """
    Says why a text is refused to what is no 700 number.

    Args:
        numbers: Who knows the numbers of before; :obj:`None`: nobody does.
        until: Until when their senders are told that they have changed; :obj:`None`: always.
        limits: They hold senders to a number of look-ups.
    """

    def __init__(
        self, numbers: OldNumbers | None, until: datetime | None, limits: TextLimits
    ) -> None:
        self._numbers = numbers
        self._until = until
        self._limits = limits

    async def explain(
        self,
        reason: Reason,
        *,
        sender: str | Reason,
        to: str,
        timeout: float,  # noqa: ASYNC109
    ) -> Reason:
        """
        Why a text is refused that was refused for what its numbers are.

        Args:
            reason: Why, as its numbers alone tell.
            sender: Who sends it, or why that is not known; such a one is not looked up for.
            to: What it is sent to.
            timeout: Seconds that the store has.
        """
        if self._numbers is None or reason is not Reason.X_MALFORMED or isinstance(sender, Reason):
            return reason
        try:
            old = parse_old_number(to)
            person = PhoneNumber.parse(sender, fixed_lines=True)
        except NumberError:
            return reason
        if too_many := self._limits.count_sender(person):
            return too_many
        try:
            new = await self._numbers.find_new_number(old, timeout=timeout)
        except StoreError:
            return Reason.PLATFORM_FAULT
        if new is None:
            return reason
        return refuse_old_number(new, now=datetime.now(UTC), until=self._until).reason
