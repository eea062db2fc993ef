"""
Whether the machine stood still: what happened meanwhile says nothing of the service.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Stalls", "watching"]

# Seconds between two looks.
_EVERY = 0.02


class Stalls:
    """
    What a thread sees that does nothing but sleep.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        """By how many seconds it woke too late, at the most."""
        self._over = threading.Event()

    def watch(self) -> None:
        """
        Look until told to end.
        """
        before = time.monotonic()
        while not self._over.wait(_EVERY):
            now = time.monotonic()
            self.longest = max(self.longest, now - before - _EVERY)
            before = now

    def end(self) -> None:
        """
        Look no more.
        """
        self._over.set()


@contextmanager
def watching() -> Iterator[Stalls]:
    """
    Watch for the time of a block.
    """
    stalls = Stalls()
    thread = threading.Thread(target=stalls.watch, daemon=True)
    thread.start()
    try:
        yield stalls
    finally:
        stalls.end()
        thread.join()
