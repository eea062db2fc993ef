"""
Binds that are asked for at the same moment: one session makes them by one statement.

A lone request is served at once, by itself. While two sessions serve requests that show a key,
others that show it wait for one of them, no longer than some milliseconds: then another session
serves those that wait. What cannot be done together is done by itself, as ever.

Rules for the editor:

1. What a request shows is a guess, by which it only waits: each is let in by itself, and those
   alone go together whom one key has let in.
2. A session that serves several waits for nobody long, and serves none of them step by step.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.responses import Response

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.store import BindingStore
from agi_router.doors.http.auth import Desk, Door
from agi_router.doors.http.pool import StorePool, bearable, busy
from agi_router.errors import StoreUnavailable

__all__ = ["Gathering", "Job"]

# Sessions at once of who shows one key: one asks the database, the other reads and answers.
_WIDTH: Final = 2
_MOST: Final = 32
# Seconds that a request waits for others that are under way.
_PATIENCE: Final = 0.01
# Where so often in a row most could not be served together, each is by itself for so many seconds.
_VAIN: Final = 4
_ALONE: Final = 1.0


class Job(ABC):
    """
    A request that may be served together with others.

    Args:
        door: At which.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self.desk: Desk | None = None
        """Once it was let in."""

    @abstractmethod
    def admit_known(self, store: BindingStore) -> Desk | None:
        """
        Let it in, if its key stood a moment ago and has not asked too often.
        """

    @abstractmethod
    def plan(self, desk: Desk) -> Asked | None:
        """
        What it asks for, if one statement may do it.
        """

    @abstractmethod
    def tell(self, done: Answered) -> Response:
        """
        The answer, where that was done.
        """

    @abstractmethod
    def serve(self, desk: Desk | None, borrowed: ExitStack) -> Response:
        """
        Serve it by itself.

        Args:
            desk: Where it was let in, if it was.
            borrowed: Gives back what is lent.
        """

    def run(self) -> Response:
        """
        Serve it by itself, whatever was tried.
        """
        with ExitStack() as borrowed:
            if self.desk is not None:
                self.desk.move(borrowed.enter_context(self._door.stores.lend()))
            return self.serve(self.desk, borrowed)


_Told = Response | BaseException | None
"""An answer, or why there is none; :obj:`None`: nothing was done, it is to be served by itself."""
_Future = asyncio.Future[Response | None]


@dataclass(slots=True, eq=False)
class _Lane:
    """
    Requests that show one key.
    """

    waiting: deque[tuple[Job, _Future, float]] = field(default_factory=deque)
    """What is served next, each since when it waits."""
    serving: int = 0
    """How many sessions are at it."""
    timer: asyncio.TimerHandle | None = None
    vain: int = 0
    """How many times in a row little came of serving several together."""


class Gathering:
    """
    Serves requests, together those that come together.

    Args:
        stores: What they work with.
    """

    def __init__(self, stores: StorePool) -> None:
        self._stores = stores
        self._lanes: dict[str, _Lane] = {}
        self._alone: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, who: str, job: Job) -> Response:
        """
        Serve a request.

        Args:
            who: The key that it shows, without its secret, which nobody has looked at: those that
                show the same wait for each other.
            job: The request.

        Raises:
            Exception: Whatever came of it.
        """
        loop = asyncio.get_running_loop()
        if loop.time() < self._alone.get(who, 0.0):
            return await self._stores.run(job.run)
        lane = self._lanes.setdefault(who, _Lane())
        future: _Future = loop.create_future()
        lane.waiting.append((job, future, loop.time()))
        if lane.serving < _WIDTH:
            self._start(who, lane)
        elif lane.timer is None:
            lane.timer = loop.call_later(_PATIENCE, self._hurry, who, lane)
        told = await future
        return await self._stores.run(job.run) if told is None else told

    def _start(self, who: str, lane: _Lane) -> None:
        lane.serving += 1
        task = asyncio.get_running_loop().create_task(self._serve(who, lane))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hurry(self, who: str, lane: _Lane) -> None:
        """
        Let another session serve those that have waited for long enough; or say that all are busy.
        """
        lane.timer = None
        loop = asyncio.get_running_loop()
        # As whoever waits for a store by himself: where all stand still nobody comes for them.
        for _, future, _ in _take_since(lane, loop.time() - self._stores.wait):
            _set(future, busy())
        try:
            _, _, since = lane.waiting[0]
        # They were taken meanwhile.
        except IndexError:
            return
        left = since + _PATIENCE - loop.time()
        if left <= 0:
            left = _PATIENCE
            if lane.serving < self._stores.size:
                self._start(who, lane)
        lane.timer = loop.call_later(left, self._hurry, who, lane)

    async def _serve(self, who: str, lane: _Lane) -> None:
        """
        Serve those that wait in a lane when it is a session's turn.
        """
        begun = asyncio.get_running_loop().time()
        served: Sequence[tuple[Job, _Future, _Told]] = []
        try:
            served = await self._stores.run(self._serve_next, lane)
        except BaseException as error:
            # Who came later may have a turn yet.
            served = [(job, future, error) for job, future, _ in _take_since(lane, begun)]
            if not isinstance(error, Exception):
                raise
        finally:
            for _, future, told in served:
                _set(future, told)
            left = sum(told is None and job.desk is not None for job, _, told in served)
            self._end(who, lane, in_vain=2 * left > len(served))

    def _end(self, who: str, lane: _Lane, *, in_vain: bool) -> None:
        """
        A session has served those that it has taken.
        """
        lane.vain = lane.vain + 1 if in_vain else 0
        if lane.vain >= _VAIN:
            self._let_alone(who)
        lane.serving -= 1
        if lane.waiting:
            if lane.serving < _WIDTH:
                self._start(who, lane)
        elif not lane.serving:
            if lane.timer is not None:
                lane.timer.cancel()
            del self._lanes[who]

    def _let_alone(self, who: str) -> None:
        """
        Little comes of serving them together: a moment long each is served by itself.
        """
        now = asyncio.get_running_loop().time()
        self._alone = {each: until for each, until in self._alone.items() if until > now}
        self._alone[who] = now + _ALONE

    def _serve_next(self, lane: _Lane) -> Sequence[tuple[Job, _Future, _Told]]:
        """
        Serve those that wait now.

        Returns:
            Each, who is to hear of it, and what came of it.
        """
        taken = list(_take(lane, _MOST))
        jobs = [job for job, _, _ in taken]
        told: Sequence[_Told] = []
        try:
            if len(jobs) == 1:
                told = [jobs[0].run()]
            elif jobs:
                with self._stores.lend() as store:
                    told = _serve_together(jobs, store)
        except BaseException as error:  # noqa: BLE001 - whoever waits is to have it
            told = [error] * len(jobs)
        return [(job, future, each) for (job, future, _), each in zip(taken, told, strict=True)]


def _take(lane: _Lane, most: int) -> Iterator[tuple[Job, _Future, float]]:
    """
    The first of those that wait; they wait no more.
    """
    # Another session may take them at the same time.
    with suppress(IndexError):
        for _ in range(most):
            yield lane.waiting.popleft()


def _take_since(lane: _Lane, last: float) -> Iterator[tuple[Job, _Future, float]]:
    """
    The first of those that wait since a time or longer; they wait no more.
    """
    # Another session may take them at the same time.
    with suppress(IndexError):
        while lane.waiting[0][2] <= last:
            taken = lane.waiting.popleft()
            if taken[2] > last:
                lane.waiting.appendleft(taken)
                return
            yield taken


def _set(future: _Future, told: _Told) -> None:
    """
    Tell what came of it whoever waits still.
    """
    if future.done():
        return
    if isinstance(told, BaseException):
        future.set_exception(bearable(told))
    else:
        future.set_result(told)


def _serve_together(jobs: Sequence[Job], store: BindingStore) -> Sequence[_Told]:
    """
    Serve several by few statements, as far as that goes.
    """
    told: list[_Told] = [None] * len(jobs)
    groups: dict[Any, list[tuple[int, Desk, Asked]]] = {}
    seen: set[Any] = set()
    for place, job in enumerate(jobs):
        asked = _plan(job, store)
        if job.desk is None or asked is None or asked.together is None:
            continue
        alone = {*asked.alone, *job.desk.alone}
        # The second of two alike has to see what came of the first.
        if not alone & seen:
            seen |= alone
            whose = (*job.desk.looked_at.values(), asked.together)
            groups.setdefault(whose, []).append((place, job.desk, asked))
    for group in groups.values():
        done: Mapping[int, Answered] = {}
        try:
            done = group[0][1].bind_all_at_once([(desk, asked) for _, desk, asked in group])
        # Whether it was done nobody knows.
        except StoreUnavailable as error:
            for place, _, _ in group:
                told[place] = error
        except BaseException:  # noqa: BLE001
            # Nothing was done, nor has anybody looked at the key: each is told by itself.
            done = {}
        for number, answered in done.items():
            place = group[number][0]
            told[place] = _tell(jobs[place], answered)
    return told


def _plan(job: Job, store: BindingStore) -> Asked | None:
    """
    What a request asks for, once it was let in; whoever may not ask is not told why it cannot be.
    """
    try:
        job.desk = job.admit_known(store)
        return None if job.desk is None else job.plan(job.desk)
    # It is told by itself, where the key is looked at.
    except BaseException:  # noqa: BLE001
        return None


def _tell(job: Job, done: Answered) -> Response | BaseException:
    """
    The answer where that was done, which no other request is to miss for this one's sake.
    """
    try:
        return job.tell(done)
    except BaseException as error:  # noqa: BLE001 - it is that request's
        return error
