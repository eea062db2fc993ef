"""
The gauges of a door for texts: what it has done, and what it owes.
"""

import asyncio
from typing import Final, Protocol

from agi_router.doors.outbox import Counts
from agi_router.doors.smpp import SmppDoor
from agi_router.messages.link_store import LinkStore
from agi_router.messages.store import MessageStore, Owed
from agi_router.service.counters import Histogram
from agi_router.service.metrics import Figures

__all__ = ["LinkGauges", "MessageGauges", "TextDoor", "show_link", "show_messages"]

# Seconds; half a second is what a sender waits.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 5.0)
# Seconds for the database to count what is owed.
_OWED: Final = 5.0


class TextDoor(Protocol):
    """
    A door for texts.
    """

    counts: Counts

    @property
    def waiting(self) -> int:
        """
        How many texts wait for the store.
        """

    @property
    def under_way(self) -> int:
        """
        How many texts are being sent.
        """

    async def serve(self, stop: asyncio.Event) -> None:
        """
        Take and send texts until *stop*.
        """


class LinkGauges:
    """
    Asks the database what belongs to nothing.

    Args:
        links: Who knows.
    """

    def __init__(self, links: LinkStore) -> None:
        self.unmatched = 0
        """Receipts, as they were at the last look."""
        self.parts = 0
        """Parts of long texts that wait for others, of all links, ditto."""
        self._links = links

    async def look(self) -> None:
        """
        Look once.

        Raises:
            StoreError: No answer; the last look stands.
        """
        self.unmatched = await self._links.count_unmatched(timeout=_OWED)
        self.parts = await self._links.count_parts(timeout=_OWED)


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


def show_messages(figures: Figures, *, door: TextDoor, gauges: MessageGauges) -> None:
    """
    Show what a door for texts has done, and what it owes.
    """
    counts = door.counts
    admission = Histogram(
        "agi_router_message_admission_seconds",
        "What the database, and who is asked besides, took of a text.",
        _BUCKETS,
    )
    figures.keep(admission)
    counts.took = admission.observe
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


def show_link(figures: Figures, *, door: SmppDoor, gauges: LinkGauges) -> None:
    """
    Show how a link to a message centre is.
    """
    counts = door.link_counts
    figures.show("agi_router_smpp_link_up", "1 while the link is bound.", lambda: int(door.is_up))
    figures.show_total(
        "agi_router_smpp_binds", "Times that the link was bound.", lambda: counts.binds
    )
    figures.show(
        "agi_router_smpp_window_used",
        "Short messages that wait for their answer now.",
        lambda: door.window_used,
    )
    figures.show(
        "agi_router_smpp_rate",
        "Short messages in a second that are sent at most, as throttling has left it.",
        lambda: door.rate,
    )
    figures.show_total(
        "agi_router_smpp_throttled",
        "Short messages that the message centre found to be too many.",
        lambda: counts.throttled,
    )
    figures.show_total(
        "agi_router_smpp_unreadable",
        "Short messages and receipts that could not be read.",
        lambda: counts.unreadable,
    )
    figures.show_total(
        "agi_router_smpp_parts", "Parts of long texts that were kept.", lambda: counts.parts
    )
    figures.show_total(
        "agi_router_smpp_parts_incomplete",
        "Parts that were given up, as the others did not come.",
        lambda: counts.incomplete,
    )
    figures.show(
        "agi_router_smpp_parts_waiting",
        "Parts of long texts that wait for others, of all links; looked at every ten seconds.",
        lambda: gauges.parts,
    )
    figures.show_each_total(
        "agi_router_smpp_receipts",
        "Receipts, by what they tell.",
        "state",
        lambda: {state.value: count for state, count in list(counts.receipts.items())},
    )
    figures.show(
        "agi_router_smpp_receipts_unmatched",
        "Receipts that belong to nothing that is known; looked at every ten seconds.",
        lambda: gauges.unmatched,
    )
