"""Jobs: whatever one does, it is told and tried again, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from agi_router.errors import SettingsError, StoreUnavailable
from agi_router.service import jobs as jobs_module
from agi_router.service.jobs import Alive, Job, Jobs
from agi_router.side_thread import SideThread

Work = Callable[[Alive], Awaitable[object]]


async def until_async(condition: Callable[[], object]) -> None:
    """Let the others run until *condition* holds."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the condition is a test's
            await asyncio.sleep(0.001)


def job(work: Work, **more: Any) -> Job:
    """Return a job that does not wait."""
    settings = {"name": "count", "every": 0.0, "limit": 30.0, "retry": 0.0, **more}
    return Job(work=work, **settings)


@asynccontextmanager
async def running(jobs: Jobs, *some: Job) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Run jobs in the background."""
    tasks = [asyncio.create_task(jobs.run(each)) for each in some]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Counted:
    """Work that can be made to fail."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error
        self.runs = 0

    async def __call__(self, _: Alive) -> None:
        """Count a run."""
        self.runs += 1
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error


ERRORS = [
    (StoreUnavailable("the database is away"), "the database is away"),
    (OSError(28, "No space left on device"), "a fault of ours, OSError"),
    (MemoryError(), "a fault of ours, MemoryError"),
    (RecursionError(), "a fault of ours, RecursionError"),
    (ValueError("13800130001"), "a fault of ours, ValueError"),
    (asyncio.CancelledError(), "it was cancelled, and not by us"),
]


@pytest.mark.parametrize(("error", "words"), ERRORS)
async def test_a_job_may_fail_in_any_way(
    error: BaseException, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told once, counted each time, and tried until it goes well again."""
    failed: list[str] = []
    jobs, work, other = Jobs(failed.append), Counted(error), Counted()
    async with running(jobs, job(work), job(other, name="settle")):
        await until_async(lambda: len(failed) > 2)
        assert jobs.failing == {"count": words}
        runs = other.runs
        await until_async(lambda: other.runs > runs)
        work.error = None
        await until_async(lambda: not jobs.failing)
    assert set(failed) == {"count"}
    assert [(each.msg, vars(each)["job"]) for each in caplog.records] == [
        ("job.failed", "count"),
        ("job.back", "count"),
    ]


async def test_another_fault_is_told_as_well(caplog: pytest.LogCaptureFixture) -> None:
    """Only the same one is told once."""
    jobs, work = Jobs(), Counted(OSError())
    async with running(jobs, job(work)):
        await until_async(lambda: jobs.failing)
        work.error = ValueError()
        await until_async(lambda: "ValueError" in jobs.failing["count"])
    assert [each.msg for each in caplog.records] == ["job.failed", "job.failed"]


@pytest.mark.parametrize("garbage", [None, lambda _: 7, lambda _: iter(()), "work"])
async def test_garbage_instead_of_work(garbage: object) -> None:
    """What cannot be awaited, or called, is a failure as any other."""
    jobs, other = Jobs(), Counted()
    async with running(jobs, job(cast(Work, garbage)), job(other, name="settle")):
        await until_async(lambda: jobs.failing == {"count": "a fault of ours, TypeError"})
        runs = other.runs
        await until_async(lambda: other.runs > runs)


async def test_a_job_that_hangs_is_ended_and_begun_again() -> None:
    """It has its time, and no more."""
    begun: list[None] = []

    async def hang(_: Alive) -> None:
        begun.append(None)
        await asyncio.Event().wait()

    jobs = Jobs()
    async with running(jobs, job(hang, limit=0.01)):
        await until_async(lambda: len(begun) > 2)
        assert jobs.failing == {"count": "it has not moved for 0.01 s"}


async def test_a_job_that_moves_may_take_as_long_as_it_likes() -> None:
    """A sign of life, from any thread, gives it its time again."""
    over = threading.Event()

    async def slow(alive: Alive) -> None:
        thread = SideThread("slow")
        for _ in range(60):
            await thread.do(alive)
            await asyncio.sleep(0.01)
        over.set()

    jobs = Jobs()
    async with running(jobs, job(slow, limit=0.5, every=60)):
        await until_async(over.is_set)
        assert not jobs.failing


async def test_a_job_that_does_not_end_is_not_begun_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told that it hangs, and waited for; then all goes on."""
    monkeypatch.setattr(jobs_module, "_ENDING", 0.01)
    begun: list[None] = []
    release = asyncio.Event()

    async def stubborn(_: Alive) -> None:
        begun.append(None)
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    jobs = Jobs()
    async with running(jobs, job(stubborn, limit=0.01)):
        words = "it has not moved for 0.01 s, and does not end"
        await until_async(lambda: jobs.failing == {"count": words})
        assert len(begun) == 1
        release.set()
        await until_async(lambda: len(begun) > 1 and not jobs.failing)


async def test_the_end_does_not_wait_for_what_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A router that ends leaves it behind."""
    monkeypatch.setattr(jobs_module, "_ENDING", 0.01)
    release = asyncio.Event()

    async def stubborn(_: Alive) -> None:
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await release.wait()

    async with running(Jobs(), job(stubborn)):
        await asyncio.sleep(0)
    release.set()


async def test_what_is_fatal_ends_the_router() -> None:
    """Where a number could get out no call may be taken."""
    work = Counted(SettingsError("this PBX can leak numbers"))
    async with running(Jobs(), job(work, fatal=(SettingsError,))) as (task,):
        with pytest.raises(SettingsError, match="can leak"):
            await task


async def test_a_job_is_woken() -> None:
    """Before its time; and once for all that has happened meanwhile."""
    wake, work = asyncio.Event(), Counted()
    async with running(Jobs(), job(work, first=600, every=600, retry=600, wake=wake)):
        await asyncio.sleep(0)
        for runs in (1, 2):
            wake.set()
            await until_async(lambda runs=runs: work.runs == runs)  # type: ignore[misc]
            await until_async(lambda: not wake.is_set())


async def test_a_thread_that_hangs_holds_up_nobody_else() -> None:
    """Who waits for it may leave; what has not begun is not begun; the rest is done later."""
    thread, other = SideThread("one"), SideThread("two")
    release, done = threading.Event(), list[str]()
    hanging = asyncio.create_task(thread.do(release.wait, 30))
    left = asyncio.create_task(thread.do(done.append, "left"))
    behind = asyncio.create_task(thread.do(done.append, "behind"))
    await other.do(done.append, "other")
    assert done == ["other"]
    for task in (hanging, left):
        task.cancel()
    await asyncio.gather(hanging, left, return_exceptions=True)
    release.set()
    await behind
    assert done == ["other", "behind"]


async def test_what_a_thread_raises_is_raised_here() -> None:
    """The thread goes on."""
    thread = SideThread("one")
    with pytest.raises(OSError, match="No space"):
        await thread.do(_fail)
    assert await thread.do(len, "abc") == 3


def _fail() -> None:
    raise OSError(28, "No space left on device")


async def test_pauses_of_seconds_end_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """What wakes us for one job wakes us for all; none waits longer than it should."""
    loop = asyncio.get_running_loop()
    for now, pause, shorter in [(7.3, 1.0, 0.7), (7.0, 1.0, 1.0), (7.999, 10.0, 10.001)]:
        monkeypatch.setattr(loop, "time", lambda now=now: now)
        assert jobs_module._together(pause) == pytest.approx(shorter)
        assert jobs_module._together(0.2) == 0.2
    monkeypatch.undo()
