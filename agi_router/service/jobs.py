"""
Jobs: what a router does now and then beside its doors, each in a task of its own.

A job may fail in any way, be slow or hang: it is told (log, metric, ``/readyz``) and tried again.
Nothing else notices it, and no door ends for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from agi_router.errors import AgiRouterError

__all__ = ["Alive", "Job", "Jobs"]

log = logging.getLogger(__name__)

Alive: TypeAlias = Callable[[], None]
"""A sign of life, for work that takes long: its time limit begins again. From any thread."""

# Seconds for a run that was told to end to do so.
_ENDING: Final = 2.0
# Seconds by which a timer may come before its time.
_EARLY: Final = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """
    What is done now and then.
    """

    name: str
    """For people and metrics, in small letters."""
    work: Callable[[Alive], Awaitable[object]]
    """One run of it."""
    every: float
    """Seconds from the end of a run to the next; a second or more may be shorter by up to one."""
    limit: float | None
    """Seconds without a sign of life after which a run hangs; none for what runs all the time."""
    retry: float
    """Seconds to the next run after one that failed."""
    first: float = 0.0
    """Seconds to the first run."""
    wake: asyncio.Event | None = None
    """Set by whoever wants it to run at once."""
    fatal: tuple[type[Exception], ...] = ()
    """Errors that end the router: where these are, it must not serve."""
    patience: float = 0.0
    """Seconds that it may fail before the router counts as not ready."""


class Jobs:
    """
    Runs jobs, and knows which of them fail.

    Args:
        failed: Who is told a job's name each time it has failed, if anybody is.
    """

    def __init__(self, failed: Callable[[str], None] | None = None) -> None:
        self.failing: dict[str, str] = {}
        """What is wrong with each job whose last run failed, or hangs: one line for people."""
        self._told_from: dict[str, float] = {}
        self._failed = failed

    @property
    def troubles(self) -> list[str]:
        """
        The same, a line each, of those that fail for longer than they may; from any thread.
        """
        now = time.monotonic()
        # A copy, for jobs come and go meanwhile.
        return [
            f"{job}: {text}"
            for job, text in sorted(self.failing.copy().items())
            if self._told_from.get(job, now) <= now
        ]

    async def run(self, job: Job) -> None:
        """
        Run *job* for ever.

        Raises:
            Exception: One of those that are fatal to the router.
        """
        await _pause(job, job.first)
        while True:
            try:
                await self._once(job)
            except job.fatal:
                raise
            except AgiRouterError as error:
                self._note(job, str(error))
                await _pause(job, job.retry)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's alone
                # Its own words may quote a value: they are for the log, which masks numbers.
                self._note(job, f"a fault of ours, {type(error).__name__}", error)
                await _pause(job, job.retry)
            else:
                if self.failing.pop(job.name, None) is not None:
                    log.warning("job.back", extra={"job": job.name})
                await _pause(job, job.every)

    async def _once(self, job: Job) -> None:
        life = _Life()
        run = asyncio.ensure_future(_started(job, life.show))
        try:
            while not run.done() and not life.over(job.limit):
                await asyncio.wait({run}, timeout=life.left(job.limit))
            if not run.done():
                await self._end(job, run)
                raise AgiRouterError(f"it has not moved for {job.limit:g} s")
        finally:
            # Also where this router ends: nobody waits for long for what does not want to.
            await _cancelled(run)
        if run.cancelled():
            raise AgiRouterError("it was cancelled, and not by us")
        run.result()

    async def _end(self, job: Job, run: asyncio.Future[object]) -> None:
        """
        End a run that hangs. One that does not end is waited for: there is never a second one.
        """
        await _cancelled(run)
        if not run.done():
            self._note(job, f"it has not moved for {job.limit:g} s, and does not end")
            await asyncio.wait({run})

    def _note(self, job: Job, text: str, error: Exception | None = None) -> None:
        if self._failed is not None:
            self._failed(job.name)
        if job.name not in self.failing:
            self._told_from[job.name] = time.monotonic() + job.patience
        if self.failing.get(job.name) != text:
            # Told once, however often it is tried again.
            self.failing[job.name] = text
            log.warning("job.failed", extra={"job": job.name, "error": text}, exc_info=error)


class _Life:
    """
    When a run last gave a sign of life.
    """

    def __init__(self) -> None:
        self._shown = time.monotonic()

    def show(self) -> None:
        """
        Give one.
        """
        self._shown = time.monotonic()

    def left(self, limit: float | None) -> float | None:
        """
        Seconds it has to give the next one; none where there is no limit.
        """
        return None if limit is None else max(0.0, self._shown + limit - time.monotonic())

    def over(self, limit: float | None) -> bool:
        """
        Whether it has none left.
        """
        return self.left(limit) == 0


async def _started(job: Job, alive: Alive) -> object:
    # Here, so that what is raised before anything is awaited belongs to the run as well.
    return await job.work(alive)


async def _cancelled(run: asyncio.Future[object]) -> None:
    if not run.done():
        run.cancel()
        await asyncio.wait({run}, timeout=_ENDING)
    if run.done() and not run.cancelled():
        # Whatever it was: nobody is to be told that nobody asked.
        run.exception()


async def _pause(job: Job, seconds: float) -> None:
    seconds = _together(seconds)
    if job.wake is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await job.wake.wait()
    job.wake.clear()


def _together(seconds: float) -> float:
    """
    A pause of a second or more, up to a second shorter: jobs that wake together wake us once.
    """
    if seconds < 1:
        return seconds
    now = asyncio.get_running_loop().time()
    # A timer may be early by a little.
    return math.floor(now + seconds + _EARLY) - now
