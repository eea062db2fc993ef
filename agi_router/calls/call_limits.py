"""
Limits on calls that go through, over sliding windows: of callers, callees, 700 numbers, tenants.

In any time as long as a window no more calls go through than the rate says. Calls that are refused
do not count, by whatever they are refused.

Rules for the editor:

1. What is counted is in the memory of one router: nothing of it is shared, so that a call waits
   for no other, and no row is written by many. So of two routers each lets as many through; and
   one that begins anew has counted nothing.
2. Taking is one step without a pause: of calls at the same moment none gets through for another.
3. Memory is bounded: of too many keys, or times, the key that called longest ago is forgotten.
   Persons are kept by a hash whose key is in no other place.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple

from agi_router.bindings.reasons import Reason
from agi_router.calls.arrival import Call
from agi_router.calls.decision import Refusal, Route
from agi_router.numbers import PhoneNumber
from agi_router.rates import Rate
from agi_router.tenants.call_rates import CallRates

__all__ = ["CallLimits", "SlidingWindows"]

_MICROSECOND = timedelta(microseconds=1)


class _Of(StrEnum):
    """
    Whose calls are counted.
    """

    CALLER = "caller"
    CALLEE = "callee"
    NUMBER = "number"
    TENANT = "tenant"


class _Key(NamedTuple):
    """
    What is counted by itself.
    """

    owner: int | None
    """The tenant whose limit it is; :obj:`None`: the operator's."""
    of: _Of
    which: bytes | int


@dataclass(slots=True)
class _Times:
    """
    When calls of one key went through, in order.
    """

    times: "array[int]" = field(default_factory=lambda: array("q"))
    first: int = 0
    """Those before are forgotten."""

    def __len__(self) -> int:
        return len(self.times) - self.first


class SlidingWindows:
    """
    Times, by keys.

    Args:
        keys: How many keys are kept.
        times: How many times of all keys together.
    """

    def __init__(self, *, keys: int = 100_000, times: int = 1_000_000) -> None:
        self._keys = keys
        self._most = times
        self._count = 0
        # A dict would look for its first one through all that were removed.
        self._kept: OrderedDict[_Key, _Times] = OrderedDict()

    def reached(self, key: _Key, rate: Rate, *, now: int) -> bool:
        """
        Whether as many as the rate says went through in the window that ends now.

        Args:
            key: Whose.
            rate: The rate; none at all: there is no limit.
            now: Nanoseconds of a clock that does not go back.
        """
        kept = self._kept.get(key)
        if kept is None or rate.count == 0:
            return False
        begins = now - rate.window // _MICROSECOND * 1000
        times = kept.times
        while kept.first < len(times) and times[kept.first] <= begins:
            kept.first += 1
            self._count -= 1
        if kept.first * 2 > len(times):
            del times[: kept.first]
            kept.first = 0
        return len(kept) >= rate.count

    def note(self, key: _Key, *, now: int) -> None:
        """
        One goes through.
        """
        kept = self._kept.pop(key, None) or _Times()
        # Put in at the end, so that the first key called longest ago.
        self._kept[key] = kept
        kept.times.append(now)
        self._count += 1
        while len(self._kept) > self._keys or (self._count > self._most and len(self._kept) > 1):
            _, gone = self._kept.popitem(last=False)
            self._count -= len(gone)

    def give_back(self, key: _Key, *, noted: int) -> None:
        """
        The one that was noted at this time did not go through.
        """
        kept = self._kept.get(key)
        if kept is not None and noted in kept.times[kept.first :]:
            del kept.times[kept.first + kept.times[kept.first :].index(noted)]
            self._count -= 1

    def __len__(self) -> int:
        """
        How many times are kept.
        """
        return self._count


class CallLimits:
    """
    The limits of one router.

    Args:
        rates: The operator's.
        hidden: What is kept of a real number.
    """

    def __init__(self, rates: CallRates, hidden: Callable[[PhoneNumber], bytes]) -> None:
        self._rates = rates
        self._hidden = hidden
        self._windows = SlidingWindows()
        self._on = rates.on

    def take(self, call: Call, route: Route, *, now: int) -> Route | Refusal:
        """
        Let a call through that is to be connected, unless it is one too many.

        Of several callees those ring to whom it is not.

        Args:
            call: The call.
            route: Where it goes.
            now: Nanoseconds of a clock that does not go back.
        """
        if not self._on and route.call_rates is None:
            return route
        callees = tuple(
            callee
            for callee in route.callees
            if not self._reached(self._keys_of_callee(callee, route), now)
        )
        keys = list(self._keys_of_call(call, route))
        reason = self._reached(keys, now)
        if reason is None and not callees:
            reason = Reason.RATE_CALLEE
        if reason is not None:
            return Refusal(
                reason=reason,
                binding=route.binding,
                language=route.language,
                prompts=route.prompts,
            )
        left = replace(route, callees=callees)
        for key in self._all_keys(call, left):
            self._windows.note(key, now=now)
        return left

    def give_back(self, call: Call, route: Route, *, noted: int) -> None:
        """
        A call that was let through at this time is refused all the same.
        """
        if self._on or route.call_rates is not None:
            for key in self._all_keys(call, route):
                self._windows.give_back(key, noted=noted)

    def _all_keys(self, call: Call, route: Route) -> Iterator[_Key]:
        for key, rate in self._keys_of_call(call, route):
            if rate.count:
                yield key
        for callee in route.callees:
            for key, rate in self._keys_of_callee(callee, route):
                if rate.count:
                    yield key

    def _reached(self, keys: "list[tuple[_Key, Rate]]", now: int) -> Reason | None:
        for key, rate in keys:
            if self._windows.reached(key, rate, now=now):
                return _REASONS[key.of]
        return None

    def _owners(self, route: Route) -> Iterator[tuple[int | None, CallRates]]:
        if self._on:
            yield None, self._rates
        if route.call_rates is not None:
            yield route.tenant_id, route.call_rates

    def _keys_of_call(self, call: Call, route: Route) -> list[tuple[_Key, Rate]]:
        caller = self._hidden(call.caller)
        return [
            each
            for owner, rates in self._owners(route)
            for each in (
                (_Key(owner, _Of.CALLER, caller), rates.caller),
                (_Key(owner, _Of.NUMBER, call.x_number.value), rates.number),
                (_Key(owner, _Of.TENANT, route.tenant_id), rates.tenant),
            )
        ]

    def _keys_of_callee(self, callee: PhoneNumber, route: Route) -> list[tuple[_Key, Rate]]:
        who = self._hidden(callee)
        return [
            (_Key(owner, _Of.CALLEE, who), rates.callee) for owner, rates in self._owners(route)
        ]


_REASONS = {
    _Of.CALLER: Reason.RATE_CALLER,
    _Of.CALLEE: Reason.RATE_CALLEE,
    _Of.NUMBER: Reason.RATE_X,
    _Of.TENANT: Reason.RATE_TENANT,
}
