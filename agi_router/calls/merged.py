"""
Requests that have come lately, by which a copy of one is told.

A proxy may fork one INVITE, and two ways may lead here. By RFC 3261, 8.2.2.2, the first is served
and the others are refused.

Rules for the editor:

1. A copy comes within the life of its transaction, 64 times T1 (RFC 3261, 17.1.1.2): nothing is
   kept for longer. Whether the first one still goes on is for somebody else to say.
2. Memory is bounded: of too many requests the one that came longest ago is forgotten.
3. What is kept of a request is one string of bytes, a third of the objects that it is made of: at
   100 calls a second there are 3,200 of them.
"""

import struct
from collections import OrderedDict
from typing import Final, NamedTuple

__all__ = ["First", "Requests"]

_LIFE = 32 * 10**9
"""Nanoseconds."""


class First(NamedTuple):
    """
    The call that came first with a request.
    """

    call_id: str
    """Holds no zero byte."""
    channel: str
    """The channel's name."""


_WHEN: Final = struct.Struct("!q")
_BETWEEN: Final = b"\0"


def _packed(call: First, now: int) -> bytes:
    names = (each.encode("utf-8", "surrogatepass") for each in call)
    return _WHEN.pack(now) + _BETWEEN.join(names)


def _when(packed: bytes) -> int:
    (now,) = _WHEN.unpack_from(packed)
    return int(now)


def _first(packed: bytes) -> First:
    call_id, _, channel = packed[_WHEN.size :].partition(_BETWEEN)
    return First(
        call_id.decode("utf-8", "surrogatepass"), channel.decode("utf-8", "surrogatepass")
    )


class Requests:
    """
    Which call came first with each request.

    Args:
        capacity: How many requests are kept.
    """

    def __init__(self, *, capacity: int = 100_000) -> None:
        self._capacity = capacity
        # In the order in which they came. A dict would look for its first one through all removed.
        self._came: OrderedDict[bytes, bytes] = OrderedDict()

    def meet(self, request: bytes, call: First, *, now: int) -> First | None:
        """
        Note that *call* came with *request*, unless another one did.

        Args:
            request: What a copy has, too.
            call: The call; the same one may come again.
            now: Nanoseconds; do not go back.

        Returns:
            The other one that came first.
        """
        came = self._came
        while came and now - _when(came[next(iter(came))]) >= _LIFE:
            came.popitem(last=False)
        met = came.get(request)
        if met is None:
            if len(came) >= self._capacity:
                came.popitem(last=False)
            came[request] = _packed(call, now)
            return None
        first = _first(met)
        return None if first.call_id == call.call_id else first

    def give_up(self, request: bytes, first: First) -> None:
        """
        Forget *request* if *first* came with it: whoever comes next is the first one.
        """
        met = self._came.get(request)
        if met is not None and _first(met) == first:
            del self._came[request]

    def __len__(self) -> int:
        return len(self._came)
