"""
How often programs may ask: requests counted by the API key, and by its tenant.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agi_router.calls.refusal_limit import RefusalLimit
from agi_router.rates import Rate

__all__ = ["Asking", "RequestRates", "lower_rate"]

_MANY: Final = 10_000


@dataclass(frozen=True, slots=True)
class Asking:
    """
    Who asks, and how often he may.
    """

    policy: str
    """What the limit is called in headers."""
    who: str
    rate: Rate


class RequestRates:
    """
    Counts requests, each by all who ask with it; for one thread at a time.

    Args:
        capacity: So many are counted at once; of more, those who asked longest ago are forgotten.
    """

    def __init__(self, *, capacity: int = _MANY) -> None:
        self._capacity = capacity
        self._limits: OrderedDict[tuple[str, str], tuple[Rate, RefusalLimit]] = OrderedDict()

    def count(self, asking: Sequence[Asking], *, now: int) -> tuple[bool, Mapping[str, str]]:
        """
        Count a request of somebody, if none of his limits is reached.

        Args:
            asking: Who asks; those without a limit are left out.
            now: Nanoseconds.

        Returns:
            Whether it may be served; and headers that say how many are left, none without limits,
            and when to come again where it may not.
        """
        limited = [each for each in asking if each.rate.count]
        if not limited:
            return True, {}
        found = [(each, self._limit(each)) for each in limited]
        free = not any(limit.reached(each.who, now=now) for each, limit in found)
        left = []
        for each, limit in found:
            if free:
                limit.note(each.who, now=now)
            left.append((each, *limit.left(each.who, now=now)))
        policies = (
            f'"{each.policy}";q={each.rate.count};w={int(each.rate.window.total_seconds())}'
            for each in limited
        )
        counts = (f'"{each.policy}";r={count};t={seconds}' for each, count, seconds in left)
        told = {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(counts)}
        if not free:
            wait = max(limit.wait(each.who, now=now) for each, limit in found)
            told["Retry-After"] = str(wait)
        return free, told

    def _limit(self, asking: Asking) -> RefusalLimit:
        """
        What counts somebody; begun anew where he may ask as often as he could not before.
        """
        name = asking.policy, asking.who
        rate, limit = self._limits.pop(name, (None, None))
        if limit is None or rate != asking.rate:
            limit = RefusalLimit(asking.rate, capacity=1)
        self._limits[name] = asking.rate, limit
        if len(self._limits) > self._capacity:
            self._limits.popitem(last=False)
        return limit


def lower_rate(first: Rate, second: Rate) -> Rate:
    """
    The one of two rates that lets fewer through; one that is off lets all.
    """
    limits = [each for each in (first, second) if each.count]
    return min(limits, key=lambda each: each.count / each.window.total_seconds(), default=first)
