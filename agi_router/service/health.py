"""
Health: whether this router lives, and whether calls should come to it.

It lives while its event loop moves. It is ready while it has Asterisk and a database that answers,
no job of its own fails, and it is not about to end. Both are asked from other threads, which only
look.
"""

import time
from collections.abc import Callable
from typing import Final

from agi_router.ari import AriClient
from agi_router.calls.store import AdmissionStore
from agi_router.clocks import OtherClock, steady
from agi_router.errors import StoreError
from agi_router.service.systemd import Notifier

__all__ = ["CLOCKS_APART", "Health"]

# Seconds without a beat after which the event loop counts as hanging.
_STILL: Final = 5.0
CLOCKS_APART: Final = 5.0
"""
Seconds by which the database's clock, which judges when bindings end, may differ from ours.
"""


class Health:
    """
    What is known of this router's health.

    Args:
        store: Where calls are admitted.
        notifier: Who is told that the event loop moves.
        timeout: Seconds the database may take for a sign of life: as long as a caller waits.
    """

    def __init__(
        self,
        store: AdmissionStore,
        notifier: Notifier,
        *,
        timeout: float,
    ) -> None:
        self.draining = False
        """Whether no more calls should come."""
        self.ari: AriClient | None = None
        """The connection to Asterisk, where the ARI door is served."""
        self.others: list[Callable[[], list[str]]] = []
        """Who else knows what may be missing; each is asked from other threads and only looks."""
        self.remarks: list[Callable[[], list[str]]] = []
        """The same of what keeps no call away, and should be known all the same."""
        self.clocks = {"database": OtherClock("the database's", limit=CLOCKS_APART)}
        """The clocks of others, which may not be far from ours."""
        self._store = store
        self._notifier = notifier
        self._timeout = timeout
        self._beat = time.monotonic()
        self._database = "not asked yet"

    def beat(self) -> None:
        """
        Show that the event loop moves.
        """
        self._beat = time.monotonic()
        self._notifier.alive()

    async def ask_database(self) -> None:
        """
        Ask the database for a sign of life.
        """
        asked = steady()
        try:
            now = await self._store.check(timeout=self._timeout)
        except StoreError as error:
            self._database = str(error)
        else:
            self._database = ""
            self.clocks["database"].told(now, asked=asked)

    @property
    def alive(self) -> bool:
        """
        Whether the event loop has moved lately.
        """
        return time.monotonic() - self._beat < _STILL

    @property
    def remarked(self) -> list[str]:
        """
        What should be known of a router that is ready, a line each.
        """
        return [line for remark in self.remarks for line in remark()]

    @property
    def missing(self) -> list[str]:
        """
        What stands between this router and calls, a line each; empty if it is ready.
        """
        return [
            *([] if self.alive else ["event loop: it does not move"]),
            *(["router: it is draining"] if self.draining else []),
            *([] if self.ari is None or self.ari.ready else ["asterisk: not connected"]),
            *([f"database: {self._database}"] if self._database else []),
            *(line for clock in list(self.clocks.values()) for line in clock.trouble),
            *(line for other in self.others for line in other()),
        ]
