"""
The queue of work for a few workers: what is next, what goes together, what is put off.

Nothing is awaited here, and no clock is asked.

Rules for the editor:

1. Places that nobody waits for are dropped unasked.
2. A job that is to fail fast is refused where the queue would take more than half of its time:
   so a server that cannot keep up does no work for callers that have left. The other half is for
   the statement, and for the way back through an event loop that is as busy then.
3. Jobs that share a transaction stand near each other in the queue. A probe goes alone.
4. A job that fails by a lock is put off, with all that is about the same thing. One of them is
   tried at a time, after other work and by few workers; as soon as it succeeds the others follow.
   So a transaction that holds some rows delays only the jobs that need these rows.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from agi_router.errors import StoreBusy, StoreHeld, StoreUnavailable

__all__ = ["Job", "JobQueue", "Promise"]

_LIMIT: Final = 2000
# Statements in one transaction: more bring less and less, and all wait for the last.
_TOGETHER: Final = 8
# Jobs of other statements that are passed over to find them: where two statements take turns, as
# texts that come and texts that end do, none would share a transaction.
_PASSED: Final = 16
# Of the last job in the average of all.
_WEIGHT: Final = 0.1
# How many things may be held for a probe to wait longer for one of them.
_FEW: Final = 3


class Promise(Protocol):
    """
    What the asker of a job waits for, like :class:`asyncio.Future`.
    """

    def done(self) -> bool:
        """
        Whether there is a result, or nobody waits any more.
        """
        ...

    def set_exception(self, exception: BaseException, /) -> None:
        """
        Let the asker fail.
        """
        ...


_Promise = TypeVar("_Promise", bound=Promise)
_Work = TypeVar("_Work")


@dataclass(slots=True, eq=False)
class Job(Generic[_Work, _Promise]):
    """
    One piece of work, and the promise of its result.
    """

    work: _Work
    result: _Promise
    fail_fast: bool = False
    """Whether it is refused at once where it would wait too long."""
    about: Hashable = None
    """What it needs that others may hold; :obj:`None`: nothing that is known before."""
    shares: Hashable = None
    """Jobs of an equal value may share a transaction; :obj:`None`: with no other."""
    put_off: bool = False
    """Whether somebody was seen to hold what it is about."""
    probe: bool = False
    """Whether it is tried for all that is put off with it."""

    def fail(self, error: BaseException) -> None:
        """
        Let its asker fail, if it still waits.
        """
        if not self.result.done():
            self.result.set_exception(error)

    def time_out(self) -> None:
        """
        Tell its asker that it has waited long enough; the work goes on.
        """
        held = "the database did not answer in time"
        self.fail(StoreHeld() if self.put_off else StoreUnavailable(held))


class _PutOff(Generic[_Work, _Promise]):
    """
    Jobs that are put off, because somebody was seen to hold what they are about.

    What is held is remembered until a job about it succeeds, so that no other waits for it first.

    Args:
        probes: How many of them are tried at once.
        waiting_limit: How many may wait for one thing that is held.
        held_limit: How many things are remembered to be held.
    """

    def __init__(self, *, probes: int, waiting_limit: int, held_limit: int) -> None:
        self._probes = probes
        self._waiting_limit = waiting_limit
        self._held_limit = held_limit
        self.held: dict[Hashable, deque[Job[_Work, _Promise]]] = {}
        """What is held, with the jobs about it; mostly nothing is: look here before you ask."""
        # What has jobs and is not being tried, in turn; and what is being tried.
        self._turns: deque[Hashable] = deque()
        self._tried: set[Hashable] = set()

    def __len__(self) -> int:
        return sum(map(len, self.held.values()))

    @property
    def are_few(self) -> bool:
        """
        Whether so little is held that each can be waited for longer.
        """
        return len(self._turns) < _FEW

    def add(self, job: Job[_Work, _Promise]) -> None:
        """
        Put *job* off, which was tried in vain or has not been tried.
        """
        tried_first = job.probe
        if tried_first:
            self._tried.discard(job.about)
            job.probe = False
        if job.about not in self.held and len(self.held) >= self._held_limit:
            self._forget_one()
        jobs = self.held.setdefault(job.about, deque())
        if len(jobs) >= self._waiting_limit:
            job.fail(StoreBusy())
        elif not job.result.done():
            job.put_off = True
            (jobs.appendleft if tried_first else jobs.append)(job)
        if jobs and (tried_first or len(jobs) == 1):
            self._turns.append(job.about)

    def next(self) -> Job[_Work, _Promise] | None:
        """
        What is to be tried, unless enough is being tried.
        """
        while self._turns and len(self._tried) < self._probes:
            about = self._turns.popleft()
            jobs = self.held.get(about)
            while jobs and about not in self._tried:
                job = jobs.popleft()
                if not job.result.done():
                    self._tried.add(about)
                    job.probe = True
                    return job
        return None

    def release(self, job: Job[_Work, _Promise]) -> Iterable[Job[_Work, _Promise]]:
        """
        Nobody holds what *job* was about: all jobs about it, which are put off no longer.
        """
        if job.probe:
            self._tried.discard(job.about)
            job.probe = False
        jobs = self.held.pop(job.about, ())
        if not self.held:
            self._turns.clear()
        return jobs

    def clear(self) -> list[Job[_Work, _Promise]]:
        """
        All jobs, which are put off no longer.
        """
        left = [job for jobs in self.held.values() for job in jobs]
        self.held.clear()
        self._turns.clear()
        return left

    def _forget_one(self) -> None:
        """
        The one that was held first of those that nobody waits for.
        """
        for about, jobs in self.held.items():
            if not jobs and about not in self._tried:
                del self.held[about]
                break


class JobQueue(Generic[_Work, _Promise]):
    """
    What waits for a worker.

    Args:
        probes: How many workers may wait for locks that others hold.
        waiting_limit: How many jobs may wait for one thing that is held.
        held_limit: How many things are remembered to be held.
    """

    def __init__(self, *, probes: int, waiting_limit: int = 200, held_limit: int = 1000) -> None:
        self._queue: deque[Job[_Work, _Promise]] = deque()
        self._put_off: _PutOff[_Work, _Promise] = _PutOff(
            probes=probes, waiting_limit=waiting_limit, held_limit=held_limit
        )
        # Whether other work was taken since the last that was put off.
        self._probes_next = False
        # Seconds of a job that is to fail fast, on the average of the last ones. Other jobs are
        # rare, and take longer.
        self._duration = 0.0

    def __len__(self) -> int:
        """
        How many jobs wait, those included whose asker has left.
        """
        return len(self._queue) + len(self._put_off)

    @property
    def idle(self) -> bool:
        """
        Whether no job waits for a worker; those that are put off wait for others.
        """
        return not self._queue

    def is_held(self, about: Hashable) -> bool:
        """
        Whether somebody was seen to hold what jobs are about, and none has succeeded since.
        """
        return about in self._put_off.held

    def check(self, *, fail_fast: bool, timeout: float, workers: int) -> None:
        """
        Make sure that a job may join.

        Args:
            fail_fast: Whether to refuse it where it would wait too long.
            timeout: Seconds that its asker waits.
            workers: How many workers there are.

        Raises:
            StoreUnavailable: Too many wait.
            StoreBusy: It is to fail fast, and would wait too long.
        """
        if len(self._queue) >= _LIMIT:
            raise StoreUnavailable("too many calls wait for the database")
        if fail_fast and len(self._queue) * self._duration / max(workers, 1) > timeout / 2:
            raise StoreBusy

    def add(self, job: Job[_Work, _Promise]) -> None:
        """
        Let *job* join at the end.
        """
        self._queue.append(job)

    def take(self) -> Job[_Work, _Promise] | None:
        """
        The next job; :obj:`None` where none is to be done now.
        """
        held = self._put_off.held
        if held and self._probes_next and (probe := self._put_off.next()) is not None:
            self._probes_next = False
            return probe
        while self._queue:
            job = self._queue.popleft()
            if held and job.about in held:
                self._put_off.add(job)
            elif not job.result.done():
                self._probes_next = True
                return job
        return self._put_off.next() if held else None

    def take_batch(self, job: Job[_Work, _Promise]) -> list[Job[_Work, _Promise]]:
        """
        Those near in the queue that may share a transaction with *job*, which was taken.
        """
        batch: list[Job[_Work, _Promise]] = []
        if job.shares is None or job.probe:
            return batch
        held = self._put_off.held
        passed: list[Job[_Work, _Promise]] = []
        while self._queue and len(batch) < _TOGETHER - 1 and len(passed) < _PASSED:
            other = self._queue.popleft()
            if other.shares != job.shares:
                passed.append(other)
            elif held and other.about in held:
                self._put_off.add(other)
            elif not other.result.done():
                batch.append(other)
        self._queue.extendleft(reversed(passed))
        return batch

    def put_first(self, jobs: Iterable[Job[_Work, _Promise]]) -> int:
        """
        Let *jobs* stand in front, in their order; those left out that nobody waits for.

        Returns:
            How many there are.
        """
        left = [job for job in jobs if not job.result.done()]
        self._queue.extendleft(reversed(left))
        return len(left)

    def put_off(self, job: Job[_Work, _Promise]) -> None:
        """
        Somebody holds what *job* is about: it waits, and others about the same thing.
        """
        self._put_off.add(job)

    def is_patient(self, job: Job[_Work, _Promise]) -> bool:
        """
        Whether *job* may wait longer for a lock than others.
        """
        return job.probe and self._put_off.are_few

    def done(self, job: Job[_Work, _Promise]) -> int:
        """
        *job* was done, in vain or not, and nobody holds what it is about.

        Returns:
            How many jobs that were put off for it stand in front now.
        """
        if job.probe or (self._put_off.held and job.about in self._put_off.held):
            return self.put_first(self._put_off.release(job))
        return 0

    def took(self, seconds: float, *, fail_fast: int) -> None:
        """
        Learn how long work took.

        Args:
            seconds: How long.
            fail_fast: How many jobs that are to fail fast were done by it.
        """
        if fail_fast:
            # As if they had been done one after the other.
            weight = 1 - (1 - _WEIGHT) ** fail_fast
            self._duration += weight * (seconds / fail_fast - self._duration)

    def fail_all(self, why: str) -> None:
        """
        Let all askers fail.
        """
        for job in (*self._queue, *self._put_off.clear()):
            job.fail(StoreUnavailable(why))
        self._queue.clear()
