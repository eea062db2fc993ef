"""
What is remembered of API keys.
"""

import time
from dataclasses import replace
from datetime import timedelta
from typing import Final

from agi_router.tenants.api_key_store import FoundKey

__all__ = ["KnownKeys"]

# Seconds. A key's last use is noted by a look-up, to the minute.
_AGE: Final = 10.0
_MANY: Final = 10_000


class KnownKeys:
    """
    Keys as they stood when their secret was last looked up.

    It is no more than a guess: whether a key still stands is looked at by whoever relies on it.
    """

    def __init__(self) -> None:
        self._found: dict[str, tuple[FoundKey, float]] = {}

    def keep(self, found: FoundKey) -> FoundKey:
        """
        Remember a key that was let in; returns it.
        """
        if len(self._found) >= _MANY:
            self._found.clear()
        self._found[found.key.id] = found, time.monotonic()
        return found

    def recall(self, key_id: str) -> FoundKey | None:
        """
        A key that stood a moment ago, with the time that it is since; :obj:`None`: look it up.
        """
        found, kept_at = self._found.get(key_id, (None, 0.0))
        since = time.monotonic() - kept_at
        if found is None or since > _AGE:
            return None
        return replace(found, now=found.now + timedelta(seconds=since))
