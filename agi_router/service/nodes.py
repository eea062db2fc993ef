"""
Nodes: whether the Asterisk that a router serves has a name of its own.

A call is named by its Asterisk: ``systemname``, the time, a number. Where two have one name, or
both have none, reconciling the one gives back the uses of the other. So each is noted in the
database by whoever serves it, with its entity id and the time of its start, and the second of a
name is refused.
"""

import asyncio
import logging
from typing import Final

from agi_router.ari import AriClient, AriError
from agi_router.calls.store import AdmissionStore
from agi_router.errors import NodeTaken, StoreError

__all__ = ["Node"]

log = logging.getLogger(__name__)

# Seconds between two signs of life; the database forgets a node after two minutes.
_INTERVAL: Final = 30.0


class Node:
    """
    The Asterisk that is served.

    Args:
        ari: The connection to it.
        store: Where nodes are noted.
    """

    def __init__(self, ari: AriClient, store: AdmissionStore) -> None:
        self._ari = ari
        self._store = store
        self.trouble: list[str] = []
        """What is wrong with its name, in a line; mostly nothing."""

    async def claim(self) -> None:
        """
        Note that it is alive, or refuse to serve it. While the database is away nobody knows.

        Raises:
            NodeTaken: Another Asterisk has its name.
        """
        try:
            await self._see()
        except NodeTaken as error:
            if error.certain:
                raise
        except (StoreError, AriError) as error:
            log.warning("node.deferred", extra={"error": str(error)})

    async def run(self) -> None:
        """
        Go on noting that it is alive, for ever.
        """
        while True:
            await asyncio.sleep(_INTERVAL)
            try:
                await self._see()
            except (NodeTaken, StoreError, AriError) as error:
                log.info("node.deferred", extra={"error": str(error)})

    async def _see(self) -> None:
        info = await self._ari.asterisk_info()
        try:
            await self._store.see_node(info.system_name, info.entity_id, info.startup_time)
        except NodeTaken as error:
            if not self.trouble:
                log.error("node.taken", extra={"error": str(error)})  # noqa: TRY400 - no fault of ours
            self.trouble = [f"node: {error}"]
            raise
        self.trouble = []
