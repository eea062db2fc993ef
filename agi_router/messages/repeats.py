"""
Requests of a protocol that gives them no name of their own: which of those that come are repeats.

A message centre sends a text again that it has no answer to, and nothing of it says so. But it is
known which answers it may not have read: only what was asked by those can come again, and the same
text that a person writes twice is two. A request is named by what it says and a random part, so
that those which may come again are found by what they say, though somebody else has taken them.
"""

from collections.abc import Iterable
from typing import Final

__all__ = ["CONTENT", "Repeats"]

CONTENT: Final = 16
"""Octets of a name that tell what a request says; as many random ones follow."""


class Repeats:
    """
    Which requests may come again.
    """

    def __init__(self) -> None:
        self._waiting: dict[bytes, dict[bytes, float]] = {}

    def may_return(self, names: Iterable[bytes], *, until: float) -> None:
        """
        Requests of these names may come again.

        Args:
            names: Of requests.
            until: By when they have; seconds of any clock that does not go back.
        """
        for name in names:
            # The last to be over stand last.
            waiting = self._waiting.pop(name[:CONTENT], {})
            waiting[name] = until
            self._waiting[name[:CONTENT]] = waiting

    def find(self, content: bytes, *, now: float) -> bytes | None:
        """
        The name of the earlier request that this one may repeat, if there is one; only one does.

        Args:
            content: Digest of what it says.
            now: By the clock of :meth:`may_return`.
        """
        self._forget(now)
        waiting = self._waiting.get(content[:CONTENT], {})
        while waiting:
            name = next(iter(waiting))
            until = waiting.pop(name)
            if not waiting:
                del self._waiting[content[:CONTENT]]
            if until >= now:
                return name
        return None

    def _forget(self, now: float) -> None:
        while self._waiting:
            content, waiting = next(iter(self._waiting.items()))
            if any(until >= now for until in waiting.values()):
                return
            del self._waiting[content]

    def __len__(self) -> int:
        """
        How many requests may come again, those included whose time is over since the last look.
        """
        return sum(map(len, self._waiting.values()))

    @staticmethod
    def make(content: bytes, chance: bytes) -> bytes:
        """
        The name of a new request: 32 octets.

        Args:
            content: Digest of what it says.
            chance: As many random octets.
        """
        return content[:CONTENT] + chance[:CONTENT]
