"""
Transactions that are no INVITE, as values: they are told the time, and send nothing themselves.

Source:
    RFC 3261, 17.1.2 (client), 17.2.2 and 17.2.3 (server), 8.2.2.2 (merged requests are not looked
    for: a proxy that forks a MESSAGE to us twice sends two).
"""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from .errors import BadMessage
from .wire import Request, Response

__all__ = [
    "T1",
    "Answered",
    "ClientTransaction",
    "Key",
    "ServerTransactions",
    "Taken",
    "branch_of",
    "key_of",
]

T1: Final = 0.5
"""Seconds of a round trip, as the standard estimates it."""
_T2: Final = 4.0
_GIVEN_UP: Final = 64 * T1
_COOKIE: Final = "z9hG4bK"
_FINAL: Final = 200

Key: TypeAlias = bytes
"""By what a request is known to be the same as another: a hash, however much it says."""


def key_of(request: Request) -> Key:
    """
    By what a server knows *request* again when it is repeated.

    Raises:
        BadMessage: It lacks what belongs to every request.
    """
    via = request.via
    if via.branch.startswith(_COOKIE) and len(via.branch) > len(_COOKIE):
        return _hash(via.branch, via.host.lower(), str(via.port or ""), request.method)
    # RFC 2543 knew no such branches.
    number, method = request.cseq
    return _hash(
        request.uri,
        request.tag("from"),
        request.tag("to"),
        request.one("call-id"),
        f"{number} {method}",
        request.all("via")[0],
    )


def _hash(*parts: str) -> bytes:
    # No line holds a line end.
    return hashlib.blake2b("\n".join(parts).encode("latin-1"), digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class Taken:
    """
    The request is in hand, and has no answer yet.
    """


@dataclass(frozen=True, slots=True)
class Answered:
    """
    The request was answered.
    """

    data: bytes = field(repr=False)
    """What was sent, to be sent again."""


class ServerTransactions:
    """
    The requests of the last 32 seconds, and what they were answered.

    Args:
        most: How many are kept; beyond that the oldest is forgotten.
        octets: How much of answers is kept, in the same way.
    """

    def __init__(self, *, most: int = 100_000, octets: int = 64 * 1024 * 1024) -> None:
        self._most = most
        self._most_octets = octets
        self._octets = 0
        self._known: OrderedDict[Key, tuple[float, Taken | Answered]] = OrderedDict()

    def __len__(self) -> int:
        """
        How many are kept.
        """
        return len(self._known)

    def take(self, key: Key, now: float) -> Taken | Answered | None:
        """
        What is known of a request that has come.

        Args:
            key: By :func:`key_of`.
            now: Seconds of a clock that is never set.

        Returns:
            :obj:`None` where it is new: it is in hand from now on.
        """
        self._forget(now)
        if (known := self._known.get(key)) is not None:
            return known[1]
        if len(self._known) >= self._most:
            self.drop(next(iter(self._known)))
        self._known[key] = (now, Taken())
        return None

    def answered(self, key: Key, data: bytes, now: float) -> None:
        """
        Keep what a request was answered.
        """
        self.drop(key)
        self._known[key] = (now, Answered(data))
        self._octets += len(data)
        while self._octets > self._most_octets:
            self.drop(next(iter(self._known)))

    def drop(self, key: Key) -> None:
        """
        Forget a request that gets no answer: when it is repeated it is new.
        """
        _, found = self._known.pop(key, (0.0, None))
        if isinstance(found, Answered):
            self._octets -= len(found.data)

    def _forget(self, now: float) -> None:
        while self._known and now - next(iter(self._known.values()))[0] >= _GIVEN_UP:
            self.drop(next(iter(self._known)))


class ClientTransaction:
    """
    One request of ours: when it is to be sent again, and what it was answered.

    Args:
        sent_at: When it was sent first, in seconds of a clock that is never set.
        reliable: Whether it goes over a stream, which repeats by itself.
    """

    def __init__(self, sent_at: float, *, reliable: bool) -> None:
        self._pause = T1
        self._reliable = reliable
        self._given_up_at = sent_at + _GIVEN_UP
        self._next_at = self._given_up_at if reliable else sent_at + T1
        self.status: int | None = None
        """The final answer; :obj:`None` as long as there is none."""

    @property
    def next_at(self) -> float:
        """
        When something is due: to send it again, or to give it up.
        """
        return min(self._next_at, self._given_up_at)

    def is_over(self, now: float) -> bool:
        """
        Whether it has its answer, or none is waited for any more.
        """
        return self.status is not None or now >= self._given_up_at

    def repeats(self, now: float) -> bool:
        """
        Whether it is to be sent again now.
        """
        if self.is_over(now) or now < self._next_at:
            return False
        self._pause = min(2 * self._pause, _T2)
        self._next_at = now + self._pause
        return True

    def give_up(self) -> None:
        """
        Wait for no answer any more: what it would have come by is gone.
        """
        self._given_up_at = 0.0

    def receive(self, response: Response) -> None:
        """
        Take an answer; what follows a final one is none.
        """
        if self.status is not None:
            return
        if response.status >= _FINAL:
            self.status = response.status
        else:
            # It has arrived: from now on it is repeated seldom (timer E, "Proceeding").
            self._pause = _T2


def branch_of(response: Response, method: str) -> str:
    """
    The branch of our request that *response* belongs to.

    Raises:
        BadMessage: It belongs to none of this method.
    """
    if len(response.all("via")) != 1 or response.cseq[1] != method:
        raise BadMessage("an answer to no request of ours")
    return response.via.branch
