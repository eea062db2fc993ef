"""
Calls at a steady rate, alone or beside something: how long each waits for its admission.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from statistics import median, quantiles

from agi_router.calls.arrival import Call
from agi_router.calls.store import AdmissionStore
from agi_router.errors import StoreUnavailable
from agi_router.keys.ring import KeyRing
from harness.database import new_call_id

__all__ = ["place_calls", "told"]

_TIMEOUT = 5.0
_CONNECTIONS = 4


async def place_calls(
    dsn: str, keys: KeyRing, calls: Iterator[Call], *, rate: int, over: Callable[[float], bool]
) -> list[float]:
    """
    Place calls until that is over; the milliseconds of each, and of one that is refused the most.

    Args:
        dsn: The database.
        keys: Its keys.
        calls: Which calls; each is admitted.
        rate: Calls per second.
        over: Whether it is, given when it began by the monotonic clock.
    """
    taken: list[float] = []

    async def place(admissions: AdmissionStore) -> None:
        began = time.perf_counter()
        try:
            answer = await admissions.admit(next(calls), new_call_id(), timeout=_TIMEOUT)
        except StoreUnavailable:
            # As bad as the longest wait.
            taken.append(_TIMEOUT * 1000)
            return
        taken.append((time.perf_counter() - began) * 1000)
        assert answer.admitted

    async with AdmissionStore(dsn, keys, connections=_CONNECTIONS) as admissions:
        # What a connection's first call reads is of no matter here.
        await asyncio.gather(*(place(admissions) for _ in range(2 * _CONNECTIONS)))
        taken.clear()
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            placed = 0
            while not over(began):
                group.create_task(place(admissions))
                placed += 1
                await asyncio.sleep(max(0, began + placed / rate - time.monotonic()))
    return taken


def told(name: str, rounds: list[list[float]]) -> dict[str, float]:
    """Percentiles of all calls of the rounds."""
    every = sorted(taken for each in rounds for taken in each)
    cuts = quantiles(every, n=100)
    return {
        f"{name}_calls": len(every),
        f"{name}_p50_ms": round(median(every), 2),
        f"{name}_p99_ms": round(cuts[98], 2),
        f"{name}_most_ms": round(every[-1], 2),
    }
