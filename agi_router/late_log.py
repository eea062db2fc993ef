"""
The late log: lines that need not be there at once, written together.

For what is said of each call. A line by itself, with caches that have gone cold since the last,
takes several times as long as one among others, just when Asterisk has the call to place.
"""

import asyncio
import atexit
import logging
import time
from typing import Final

__all__ = ["LateLog"]

# Seconds.
_DELAY: Final = 0.1


class LateLog:
    """
    Says at INFO what happened, a tenth of a second later at most, with the time when it happened.

    A process that ends says the rest; one that is killed has lost it.

    Args:
        log: Who says it.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._events: list[tuple[float, str, dict[str, object]]] = []
        self._timer: asyncio.TimerHandle | None = None
        atexit.register(self.write)

    def info(self, event: str, **fields: object) -> None:
        """
        Keep an event and its fields; within an event loop.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_DELAY, self.write)
        self._events.append((time.time(), event, fields))

    def write(self) -> None:
        """
        Log what has been kept.
        """
        self._timer = None
        events, self._events = self._events, []
        if not self._log.isEnabledFor(logging.INFO):
            return
        for at, event, fields in events:
            record = self._log.makeRecord(
                self._log.name, logging.INFO, __file__, 0, event, (), None, extra=fields
            )
            record.created = at
            self._log.handle(record)
