"""
Requests that have come lately, by which a copy of one is told.

A proxy may fork one INVITE, and two ways may lead here. By RFC 3261, 8.2.2.2, the first is served
and the others are refused.

Rules for the editor:

1. A copy comes within the life of its transaction, 64 times T1 (RFC 3261, 17.1.1.2): nothing is
   kept for longer. Whether the first one still goes on is for somebody else to say.
2. Memory is bounded: of too many requests the one that came longest ago is forgotten.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

__all__ = ["First", "Requests"]

_LIFE = 32 * 10**9
"""Nanoseconds."""


class First(NamedTuple):
    """
    The call that came first with a request.
    """

    call_id: str
    channel: str
    """The channel's name."""


class Requests:
    """
    Which call came first with each request.

    Args:
        capacity: How many requests are kept.
    """

    def __init__(self, *, capacity: int = 100_000) -> None:
        self._capacity = capacity
        # In the order in which they came. A dict would look for its first one through all removed.
        self._came: OrderedDict[Hashable, tuple[First, int]] = OrderedDict()

    def meet(self, request: Hashable, call: First, *, now: int) -> First | None:
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
        while came and now - came[next(iter(came))][1] >= _LIFE:
            came.popitem(last=False)
        met = came.get(request)
        if met is None:
            if len(came) >= self._capacity:
                came.popitem(last=False)
            came[request] = (call, now)
            return None
        first, _ = met
        return None if first.call_id == call.call_id else first

    def give_up(self, request: Hashable, first: First) -> None:
        """
        Forget *request* if *first* came with it: whoever comes next is the first one.
        """
        if request in self._came and self._came[request][0] is first:
            del self._came[request]

    def __len__(self) -> int:
        return len(self._came)
