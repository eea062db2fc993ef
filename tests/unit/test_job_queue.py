"""The queue of work: what is next, what goes together, what is put off."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agi_router.db.job_queue import Job, JobQueue
from agi_router.errors import StoreBusy, StoreHeld, StoreUnavailable


class Asker:
    """A promise whose asker waits until it is told, or leaves."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.left = False

    def done(self) -> bool:
        return self.left or self.error is not None

    def set_exception(self, exception: BaseException, /) -> None:
        self.error = exception


Jobs = Sequence[Job[str, Asker]]
Queue = JobQueue[str, Asker]


def job(name: str, *, about: object = None, shares: object = None) -> Job[str, Asker]:
    return Job(name, Asker(), about=about, shares=shares)


def queue_of(*jobs: Job[str, Asker], probes: int = 1) -> Queue:
    queue: Queue = JobQueue(probes=probes)
    for each in jobs:
        queue.add(each)
    return queue


def taken(queue: Queue) -> list[str]:
    """What is to be done now, in turn."""
    found = []
    while (each := queue.take()) is not None:
        found.append(each.work)
    return found


def test_first_come_first_served() -> None:
    queue = queue_of(job("a"), job("b"), job("c"))
    assert len(queue) == 3
    assert taken(queue) == ["a", "b", "c"]
    assert queue.idle


def test_places_of_those_who_left_are_dropped() -> None:
    left = job("left")
    queue = queue_of(left, job("b"))
    left.result.left = True
    assert taken(queue) == ["b"]


@pytest.mark.parametrize(
    ("shares", "together"),
    [
        (["s", "s", "s"], ["1", "2"]),
        (["s", "t", "s", None, "s"], ["2", "4"]),
        (["s", *["t"] * 16, "s"], []),
        (["s", None], []),
        ([None, None], []),
        (["s"] * 12, list("1234567")),
    ],
)
def test_what_goes_together(shares: Sequence[str | None], together: Sequence[str]) -> None:
    """Those near the first, of the same statement, eight at most; the others keep their order."""
    queue = queue_of(*(job(f"{i}", shares=each) for i, each in enumerate(shares)))
    first = queue.take()
    assert first is not None
    assert [each.work for each in queue.take_batch(first)] == list(together)
    others = [f"{i}" for i in range(1, len(shares)) if f"{i}" not in together]
    assert taken(queue) == others


def test_who_left_or_is_put_off_does_not_go_together() -> None:
    queue = queue_of()
    queue.put_off(job("held", about="row"))
    left, behind = job("left", shares="s"), job("behind", shares="s", about="row")
    for each in (job("first", shares="s"), left, behind, job("last", shares="s")):
        queue.add(each)
    left.result.left = True
    first = queue.take()
    assert first is not None
    assert first.work == "first"
    assert [each.work for each in queue.take_batch(first)] == ["last"]
    assert behind.put_off


def test_a_batch_that_failed_stands_in_front() -> None:
    jobs = [job("a"), job("b"), job("c")]
    queue = queue_of(job("later"))
    jobs[1].result.left = True
    assert queue.put_first(jobs) == 2
    assert taken(queue) == ["a", "c", "later"]


def test_one_is_tried_for_all_that_need_the_same() -> None:
    """The others follow as soon as it succeeds, in front of who came later."""
    jobs = [job(f"{i}", about="row") for i in range(4)]
    queue = queue_of(*jobs)
    first = queue.take()
    assert first is jobs[0]
    queue.put_off(first)
    queue.add(job("other"))
    probe = queue.take()
    assert probe is first
    assert probe.probe
    # The rest is put off when it is met.
    assert taken(queue) == ["other"]
    assert len(queue) == 3
    assert queue.done(probe) == 3
    assert taken(queue) == ["1", "2", "3"]


def test_work_about_what_is_free_again_releases_others() -> None:
    """It was taken before the thing was seen to be held."""
    early, held = job("early", about="row"), job("held", about="row")
    queue = queue_of(early)
    assert queue.take() is early
    queue.put_off(held)
    queue.put_off(job("other", about="else"))
    assert queue.done(early) == 1
    assert queue.done(early) == 0
    assert queue.take() is not None


def test_a_probe_that_fails_keeps_its_turn() -> None:
    jobs = [job("a", about="row"), job("b", about="row")]
    queue = queue_of()
    for each in jobs:
        queue.put_off(each)
    for _ in range(3):
        probe = queue.take()
        assert probe is jobs[0]
        queue.put_off(probe)


@pytest.mark.parametrize("probes", [1, 2, 3])
def test_few_are_tried_at_once(probes: int) -> None:
    queue = queue_of(probes=probes)
    for i in range(5):
        queue.put_off(job(f"{i}", about=i))
    assert len(taken(queue)) == probes


def test_what_is_held_and_other_work_take_turns() -> None:
    queue = queue_of()
    for i in range(3):
        queue.put_off(job(f"held {i}", about=i))
        queue.add(job(f"free {i}"))
    order = []
    while (each := queue.take()) is not None:
        order.append(each.work)
        queue.done(each)
    assert order == ["free 0", "held 0", "free 1", "held 1", "free 2", "held 2"]


def test_patience_is_for_probes_while_little_is_held() -> None:
    queue = queue_of()
    queue.put_off(job("a", about="a"))
    probe = queue.take()
    assert probe is not None
    assert queue.is_patient(probe)
    assert not queue.is_patient(job("b"))
    for i in range(3):
        queue.put_off(job(f"{i}", about=i))
    assert not queue.is_patient(probe)


def test_too_many_wait_for_one_thing() -> None:
    queue: Queue = JobQueue(probes=1, waiting_limit=5)
    jobs = [job(f"{i}", about="row") for i in range(7)]
    for each in jobs:
        queue.put_off(each)
    assert [isinstance(each.result.error, StoreBusy) for each in jobs] == [False] * 5 + [True] * 2
    assert len(queue) == 5


def test_a_probe_whose_asker_leaves_gives_its_turn_away() -> None:
    queue = queue_of()
    jobs = [job("left", about="row"), job("stays", about="row")]
    for each in jobs:
        queue.put_off(each)
    jobs[0].result.left = True
    assert queue.take() is jobs[1]


def test_what_everybody_left_is_not_tried() -> None:
    queue = queue_of()
    left = job("left", about="row")
    queue.put_off(left)
    left.result.left = True
    assert queue.take() is None


def test_a_job_that_left_does_not_go_together() -> None:
    left = job("left", shares="s")
    queue = queue_of(job("first", shares="s"), left)
    left.result.left = True
    first = queue.take()
    assert first is not None
    assert queue.take_batch(first) == []


def test_what_is_waited_for_is_not_forgotten() -> None:
    queue: Queue = JobQueue(probes=1, held_limit=1)
    queue.put_off(job("a", about="a"))
    queue.put_off(job("b", about="b"))
    assert len(queue) == 2


def test_what_is_remembered_is_bounded() -> None:
    """What nobody waits for is forgotten first, and found out again."""
    queue: Queue = JobQueue(probes=1, held_limit=2)
    waiting, left, new = job("w", about="w"), job("l", about="l"), job("n", about="n")
    queue.put_off(waiting)
    left.result.left = True
    queue.put_off(left)
    queue.put_off(new)
    again = job("again", about="l")
    queue.add(again)
    assert queue.take() is again
    assert len(queue) == 2


@pytest.mark.parametrize(
    ("seconds", "timeout", "workers", "refused"),
    [(0.1, 1.0, 1, True), (0.1, 1.0, 4, False), (0.1, 9.0, 1, False), (0.1, 1.0, 0, True)],
)
def test_what_is_to_fail_fast_and_would_wait_is_refused(
    seconds: float, timeout: float, workers: int, *, refused: bool
) -> None:
    """Half of its time for the queue, the other half for the statement and the way back."""
    queue = queue_of(*(job(f"{i}") for i in range(8)))
    for _ in range(100):
        queue.took(seconds, fail_fast=1)
    queue.check(fail_fast=False, timeout=timeout, workers=workers)
    if refused:
        with pytest.raises(StoreBusy):
            queue.check(fail_fast=True, timeout=timeout, workers=workers)
    else:
        queue.check(fail_fast=True, timeout=timeout, workers=workers)


def test_how_long_several_took_together() -> None:
    """A batch counts as if its jobs had been done one after the other."""
    together, alone = queue_of(job("a")), queue_of(job("a"))
    together.took(0.8, fail_fast=8)
    for _ in range(8):
        alone.took(0.1, fail_fast=1)
    together.took(5.0, fail_fast=0)
    assert together._duration == pytest.approx(alone._duration)


def test_a_queue_is_bounded() -> None:
    queue = queue_of(*(job(f"{i}") for i in range(2000)))
    with pytest.raises(StoreUnavailable, match="too many calls"):
        queue.check(fail_fast=False, timeout=1.0, workers=4)


def test_all_are_told_at_the_end() -> None:
    jobs = [job("a"), job("held", about="row"), job("left")]
    queue = queue_of(jobs[0], jobs[2])
    queue.put_off(jobs[1])
    jobs[2].result.left = True
    queue.fail_all("the service ends")
    assert [str(each.result.error) for each in jobs[:2]] == ["the service ends"] * 2
    assert jobs[2].result.error is None
    assert len(queue) == 0


def test_who_has_waited_long_enough_is_told_why() -> None:
    free, held = job("free"), job("held", about="row")
    queue_of().put_off(held)
    for each in (free, held):
        each.time_out()
        each.time_out()
    assert type(free.result.error) is StoreUnavailable
    assert type(held.result.error) is StoreHeld
