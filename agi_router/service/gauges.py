"""
The gauges: what of the state of the service is shown beside the counts of single calls.

What the router knows itself is looked at when somebody asks. What only the database knows is asked
for now and then, however often it is shown.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from agi_router.ari import AriClient
from agi_router.calls.journal import EndJournal
from agi_router.calls.store import AdmissionStore
from agi_router.clocks import OtherClock
from agi_router.db.pool import ConnectionPool
from agi_router.doors.ari import AriDoor
from agi_router.pbx.bridge_switch import BRIDGES
from agi_router.pbx.sound_state import SoundState
from agi_router.service.metrics import Figures, Metrics

if TYPE_CHECKING:
    # The process of the ARI door is not to hold pystrix as well.
    from agi_router.doors.fastagi import FastAgiDoor

    # It needs an extra.
    from agi_router.events.deliverer import Deliverer

__all__ = [
    "DatabaseGauges",
    "show",
    "show_ari",
    "show_clocks",
    "show_deliveries",
    "show_fastagi",
    "show_sound",
    "show_unheard",
]

# Of the time that a piece of counting takes: how long the database is left alone after it.
_REST: Final = 50
# Seconds; a database that takes longer for a piece has other troubles.
_LONGEST_REST: Final = 60.0


_Count = TypeVar("_Count")


class DatabaseGauges:
    """
    Asks the database how many calls are open, how many bindings live, and what numbers do.

    Args:
        store: Who knows.
    """

    def __init__(self, store: AdmissionStore) -> None:
        self.open_calls = 0
        """Calls that are reserved and not settled, of all nodes."""
        self.blocks: Mapping[str, int] = {}
        """Managed blocks, by state."""
        self.bindings = 0
        """Bindings alive; 0 until all are counted once."""
        self.numbers: Mapping[str, int] = {}
        """Numbers of the active blocks, by state; empty until all are counted once."""
        self._store = store

    async def look(self) -> None:
        """
        Look once.

        Raises:
            StoreError: No answer; the last look stands.
        """
        found = await self._store.statistics()
        self.open_calls, self.blocks = found.open_calls, found.blocks

    async def count_bindings(self, alive: Callable[[], None]) -> None:
        """
        Count bindings, in pieces: calls need the database in between.

        A million take some ten seconds.

        Args:
            alive: Told after each piece.

        Raises:
            StoreError: No answer; the last count stands.
        """
        living = 0
        async for count in _pieces(self._store.count_bindings, alive):
            living += count.alive
        self.bindings = living

    async def count_numbers(self, alive: Callable[[], None]) -> None:
        """
        Count numbers, in pieces as well. A thousand blocks take about an hour.

        Args:
            alive: Told after each piece.

        Raises:
            StoreError: No answer; the last count stands.
        """
        numbers = bound = resting = 0
        async for count in _pieces(self._store.count_numbers, alive):
            numbers += count.numbers
            bound += count.bound
            resting += count.resting
        self.numbers = {"bound": bound, "resting": resting, "free": numbers - bound - resting}


async def _pieces(
    count: Callable[[_Count | None], Awaitable[_Count | None]], alive: Callable[[], None]
) -> AsyncIterator[_Count]:
    """
    Count piece by piece, with a rest after each.

    Args:
        count: Counts the piece behind one, or the first; gives nothing behind the last.
        alive: Told after each.
    """
    clock = asyncio.get_running_loop().time
    piece: _Count | None = None
    while True:
        begun = clock()
        piece = await count(piece)
        if piece is None:
            return
        alive()
        yield piece
        await asyncio.sleep(min(_LONGEST_REST, _REST * (clock() - begun)))


def show(
    metrics: Metrics,
    *,
    pool: ConnectionPool,
    journal: EndJournal,
    gauges: DatabaseGauges,
) -> None:
    """
    Show the state of the service, and of what every router has, among the metrics.
    """
    gauge, total = metrics.show, metrics.show_total
    gauge(
        "agi_router_calls_open",
        "Calls that take a use and are not settled, of all nodes; looked at every minute.",
        lambda: gauges.open_calls,
    )
    gauge(
        "agi_router_bindings_alive",
        "Bindings alive; counted every ten minutes.",
        lambda: gauges.bindings,
    )
    metrics.show_each(
        "agi_router_blocks",
        "Managed blocks, by state; looked at every minute.",
        "state",
        lambda: gauges.blocks,
    )
    metrics.show_each(
        "agi_router_numbers",
        "Numbers of the active blocks, by state (bound, resting, free); counted every ten minutes,"
        " a thousand blocks in about an hour.",
        "state",
        lambda: gauges.numbers,
    )
    gauge(
        "agi_router_database_connections",
        "Connections to the database that are up.",
        lambda: pool.connected,
    )
    total(
        "agi_router_database_losses",
        "Connections to the database that were lost so far.",
        lambda: pool.losses,
    )
    gauge(
        "agi_router_database_waiting",
        "Statements that wait for a connection, those included whose caller has left.",
        lambda: pool.waiting,
    )
    gauge(
        "agi_router_settle_backlog_bytes",
        "Size of the end journal that is not settled; a line has about 130 bytes.",
        lambda: journal.backlog().size,
    )
    gauge(
        "agi_router_settle_backlog_seconds",
        "Since when the oldest part of it waits.",
        lambda: journal.backlog().age,
    )


def show_ari(metrics: Metrics, *, ari: AriClient, door: AriDoor) -> None:
    """
    Show the state of the ARI door among the metrics.
    """
    gauge = metrics.show
    gauge("agi_router_calls_waiting", "Calls that wait for a decision now.", lambda: door.waiting)
    gauge("agi_router_ari_connected", "1 while Asterisk is connected.", lambda: ari.ready)
    metrics.show_total(
        "agi_router_ari_connections",
        "Connections to Asterisk made so far; the first one counts.",
        lambda: ari.connections,
    )
    gauge(
        "agi_router_ari_backlog",
        "Events of Asterisk that wait to be looked at.",
        lambda: ari.backlog,
    )


def show_clocks(metrics: Figures, *, clocks: Mapping[str, OtherClock]) -> None:
    """
    Show among the metrics how far the clocks of others are from ours.
    """
    metrics.show_each(
        "agi_router_clock_ahead_seconds",
        "Seconds by which this machine's clock is ahead of others (asterisk, database).",
        "of",
        lambda: {name: clock.ahead for name, clock in list(clocks.items())},
    )


def show_unheard(metrics: Figures, *, seconds: Callable[[], float]) -> None:
    """
    Show among the metrics of a cell since when nothing has come from the global database.
    """
    metrics.show(
        "agi_router_global_unheard_seconds",
        "Seconds since a sign of life of the global database has come to this cell; 0 where there"
        " is none.",
        seconds,
    )


def show_sound(metrics: Metrics, *, state: Callable[[], SoundState | None]) -> None:
    """
    Show among the metrics what the watch over the guard of sound has seen.
    """

    def native() -> dict[str, float]:
        told = state()
        return {} if told is None else {each: told.bridge == each for each in BRIDGES}

    def refused() -> Mapping[str, float]:
        told = state()
        return {} if told is None else told.refused

    metrics.show_each(
        "agi_router_media_bridge",
        "1 for the bridge by which new calls are joined, as the watch over the media guard says;"
        " nothing without a watch.",
        "bridge",
        native,
    )
    metrics.show_each_total(
        "agi_router_media_refused",
        "Packets that the media guard has refused, or counted where it only counts, by rule.",
        "rule",
        refused,
    )


def show_fastagi(metrics: Metrics, *, door: "FastAgiDoor") -> None:
    """
    Show the state of the FastAGI door among the metrics.
    """
    metrics.show(
        "agi_router_fastagi_calls", "Calls that FastAGI is answering now.", lambda: door.busy
    )
    metrics.show(
        "agi_router_fastagi_strangers",
        "Connections that have shown no token yet.",
        lambda: door.strangers,
    )
    metrics.show_total(
        "agi_router_fastagi_refused",
        "Connections so far that showed no valid token, or told what Asterisk does not.",
        lambda: door.refused,
    )
    metrics.show_total(
        "agi_router_fastagi_sent_away",
        "Connections so far that had to leave: strangers who were slow or too many, and calls"
        " beyond the limit.",
        lambda: door.sent_away,
    )


def show_deliveries(figures: Figures, *, deliverer: "Deliverer") -> None:
    """
    Show what a deliverer has done, and what webhooks are owed.
    """
    figures.show_each_total(
        "agi_router_deliveries",
        "Tries of this process that have ended, by result: delivered, failed, unreadable (the"
        " parties of the event, or its row, cannot be read), and of the last two held, when there"
        " is to be no further one.",
        "result",
        lambda: {name.value: count for name, count in list(deliverer.ended.items())},
    )
    figures.show(
        "agi_router_deliveries_under_way",
        "Deliveries of this process whose receivers have not answered yet.",
        lambda: deliverer.under_way,
    )
    figures.show(
        "agi_router_events_waiting",
        "Deliveries that active webhooks are owed, of all deliverers; looked at every minute.",
        lambda: deliverer.backlog.waiting,
    )
    figures.show(
        "agi_router_events_oldest_seconds",
        "For how long the oldest of them has been owed.",
        lambda: deliverer.backlog.oldest / timedelta(seconds=1),
    )
    figures.show(
        "agi_router_events_held",
        "Deliveries that nobody tries any more, of all deliverers; looked at every minute.",
        lambda: deliverer.backlog.held,
    )
    figures.show(
        "agi_router_webhooks_off",
        "Webhooks that were switched off, as they take nothing; looked at every minute.",
        lambda: deliverer.backlog.off,
    )
