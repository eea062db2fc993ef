"""
Clients in processes of their own, which begin and end at one moment.
"""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import Any

from .errors import BenchError

__all__ = ["Done", "work_together"]

_PATIENCE = 120.0

Prepare = Callable[..., AbstractContextManager[Callable[[], int]]]


@dataclass(frozen=True, slots=True)
class Done:
    """
    What clients have done together.
    """

    count: int
    """How much all have made."""
    seconds: float
    """From the moment at which all were ready to that at which the last one was done."""
    cpu: float
    """CPU seconds of the clients meanwhile."""
    server: float
    """CPU seconds of the server meanwhile."""

    def describe(self, name: str) -> dict[str, float]:
        """The same, of one that was made."""
        return {
            f"{name}_per_second": self.count / self.seconds,
            f"{name}_server_ms": 1000 * self.server / self.count,
            f"{name}_client_ms": 1000 * self.cpu / self.count,
        }


def work_together(
    prepare: Prepare,
    clients: Sequence[tuple[Any, ...]],
    server_cpu: Callable[[], float] = lambda: 0.0,
) -> Done:
    """
    Have clients work beside each other.

    What a client does before, as it connects and has its session plan what it will ask, is not
    counted: it is done once, and a session lives for days.

    Args:
        prepare: Makes a client ready and gives what works, and returns how much it has made. A
            function of a module.
        clients: What it is given for each.
        server_cpu: CPU seconds of the server up to now.

    Raises:
        BenchError: One of them failed.
    """
    context = multiprocessing.get_context("spawn")
    gate = context.Barrier(len(clients) + 1, timeout=_PATIENCE)
    told: SimpleQueue[tuple[int, float]] = context.SimpleQueue()
    processes = [
        context.Process(target=_run, args=(prepare, each, gate, told), daemon=True)
        for each in clients
    ]
    for process in processes:
        process.start()
    try:
        gate.wait()
        before, begun = server_cpu(), time.monotonic()
        gate.wait()
        gate.wait()
        seconds, server = time.monotonic() - begun, server_cpu() - before
        made = [told.get() for _ in clients]
        gate.wait()
    except BrokenBarrierError:
        raise BenchError("a client failed") from None
    finally:
        for process in processes:
            process.join()
    return Done(sum(count for count, _ in made), seconds, sum(cpu for _, cpu in made), server)


def _run(
    prepare: Prepare,
    arguments: tuple[Any, ...],
    gate: Barrier,
    told: "SimpleQueue[tuple[int, float]]",
) -> None:
    try:
        with prepare(*arguments) as work:
            gate.wait()
            gate.wait()
            begun = time.process_time()
            made = work()
            told.put((made, time.process_time() - begun))
            gate.wait()
            # The end of a session is not counted either.
            gate.wait()
    except BaseException:
        gate.abort()
        raise
