"""
The survey: what of the state of the service is shown beside the counts of single calls.

What the router knows itself is looked at when somebody asks. What only the database knows is asked
for now and then, however often it is shown.
"""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.ari_door import AriDoor
from agi_router.adapters.connection_pool import ConnectionPool
from agi_router.adapters.journal import EndJournal
from agi_router.ari import AriClient
from agi_router.errors import StoreError
from agi_router.metrics import Metrics
from agi_router.numbers import BLOCK_SIZE

__all__ = ["Surveyor", "show", "show_ari"]

log = logging.getLogger(__name__)

# Seconds between two looks. Counting the bindings of a large service reads them all.
_INTERVAL: Final = 60.0
# Of the time that counting takes: how long the database is left alone after each block.
_REST: Final = 50


class Surveyor:
    """
    Asks the database how many calls are open, how many bindings live, and what numbers do.

    Args:
        store: Who knows.
    """

    def __init__(self, store: AdmissionStore) -> None:
        self.open_calls = 0
        """Calls that are reserved and not settled, of all nodes."""
        self.bindings = 0
        """Bindings alive."""
        self.blocks: Mapping[str, int] = {}
        """Managed blocks, by state."""
        self.numbers: Mapping[str, int] = {}
        """Numbers of the active blocks, by state; empty until all are counted once."""
        self._store = store

    async def keep(self) -> None:
        """
        Look every minute, for ever; while the database is away the last look stands.
        """
        while True:
            try:
                survey = await self._store.survey()
            except StoreError as error:
                log.info("survey.deferred", extra={"error": str(error)})
            else:
                self.open_calls = survey.open_calls
                self.bindings = survey.bindings
                self.blocks = survey.blocks
            await asyncio.sleep(_INTERVAL)

    async def keep_counting(self) -> None:
        """
        Count numbers, for ever, a block at a time, which leaves the database alone in between.

        A thousand blocks take about an hour.
        """
        while True:
            try:
                self.numbers = await self._count()
            except StoreError as error:
                log.info("survey.deferred", extra={"error": str(error)})
            await asyncio.sleep(_INTERVAL)

    async def _count(self) -> Mapping[str, int]:
        clock = asyncio.get_running_loop().time
        bound = resting = blocks = after = 0
        begun = clock()
        while (count := await self._store.count_numbers(after=after)) is not None:
            blocks += 1
            bound += count.bound
            resting += count.resting
            after = count.block
            await asyncio.sleep(_REST * (clock() - begun))
            begun = clock()
        free = blocks * BLOCK_SIZE - bound - resting
        return {"bound": bound, "resting": resting, "free": free}


def show(
    metrics: Metrics,
    *,
    pool: ConnectionPool,
    journal: EndJournal,
    survey: Surveyor,
) -> None:
    """
    Show the state of the service, and of what every router has, among the metrics.
    """
    gauge, total = metrics.show, metrics.show_total
    gauge(
        "agi_router_calls_open",
        "Calls that take a use and are not settled, of all nodes; looked at every minute.",
        lambda: survey.open_calls,
    )
    gauge(
        "agi_router_bindings_alive",
        "Bindings alive; looked at every minute.",
        lambda: survey.bindings,
    )
    metrics.show_each(
        "agi_router_blocks",
        "Managed blocks, by state; looked at every minute.",
        "state",
        lambda: survey.blocks,
    )
    metrics.show_each(
        "agi_router_numbers",
        "Numbers of the active blocks, by state (bound, resting, free); counted block by block,"
        " about a thousand blocks an hour.",
        "state",
        lambda: survey.numbers,
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
