"""
The gauges of a door for texts: what it has done, and what it owes.
"""

from typing import Final

from agi_router.doors.sip_messages import SipMessageDoor
from agi_router.messages.store import MessageStore, Owed
from agi_router.service.metrics import Figures

__all__ = ["MessageGauges", "show_messages"]

# Seconds for the database to count what is owed.
_OWED: Final = 5.0


class MessageGauges:
    """
    Asks the database what a door for texts owes.

    Args:
        store: Who knows.
    """

    def __init__(self, store: MessageStore) -> None:
        self.owed = Owed(owed=0, oldest=0.0)
        """As it was at the last look."""
        self._store = store

    async def look(self) -> None:
        """
        Look once.

        Raises:
            StoreError: No answer; the last look stands.
        """
        self.owed = await self._store.count_owed(timeout=_OWED)


def show_messages(figures: Figures, *, door: SipMessageDoor, gauges: MessageGauges) -> None:
    """
    Show what a door for texts has done, and what it owes.
    """
    counts = door.counts
    figures.show_total(
        "agi_router_messages_accepted", "Texts that were accepted.", lambda: counts.accepted
    )
    figures.show_each_total(
        "agi_router_messages_refused",
        "Texts that were refused, by reason.",
        "reason",
        lambda: {reason.value: count for reason, count in list(counts.refused.items())},
    )
    figures.show_total(
        "agi_router_messages_repeated",
        "Requests whose text was accepted before.",
        lambda: counts.repeats,
    )
    figures.show_total(
        "agi_router_messages_unanswered",
        "Requests without an answer, as nobody knew whether they were stored.",
        lambda: counts.unanswered,
    )
    figures.show_each_total(
        "agi_router_messages_ended",
        "Texts that have reached their final state, by state (sent, failed, expired).",
        "state",
        lambda: {state.value: count for state, count in list(counts.ended.items())},
    )
    figures.show_total(
        "agi_router_messages_put_off",
        "Tries that were not the last one of their text.",
        lambda: counts.put_off,
    )
    figures.show_total(
        "agi_router_messages_maybe_twice",
        "Tries of texts that an earlier try may have delivered.",
        lambda: counts.maybe_twice,
    )
    figures.show(
        "agi_router_messages_waiting",
        "Texts that wait for the database now.",
        lambda: door.waiting,
    )
    figures.show(
        "agi_router_messages_under_way", "Texts that are being sent now.", lambda: door.under_way
    )
    figures.show(
        "agi_router_messages_owed",
        "Texts that were accepted and have no final state; looked at every ten seconds.",
        lambda: gauges.owed.owed,
    )
    figures.show(
        "agi_router_messages_oldest_seconds",
        "For how long the oldest of them has been owed.",
        lambda: gauges.owed.oldest,
    )
