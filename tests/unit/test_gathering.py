"""Who goes with whom, and who waits for how long: the requests of one key at the HTTP door."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import pytest
from starlette.responses import Response

from agi_router.bindings.asked import Answered, Asked
from agi_router.bindings.store import BindingStore
from agi_router.doors.http import gathering
from agi_router.doors.http.auth import Desk, Door
from agi_router.doors.http.gathering import Gathering, Job
from agi_router.doors.http.pool import StorePool, bearable
from agi_router.schemas.problems import Problem

SOON = 5.0


class Stores:
    """Turns at stores, without any store: a thread for each."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.wait = SOON
        self.turns = asyncio.Semaphore(size)
        self.refusal: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def run(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do something when it is its turn."""
        gate, self.gate = self.gate, None
        if gate is not None:
            await gate.wait()
        if self.refusal is not None:
            raise self.refusal

        def do() -> Any:
            try:
                return work(*args)
            except BaseException as error:  # noqa: BLE001 - as the pool's threads
                raise bearable(error) from None

        async with self.turns:
            return await asyncio.to_thread(do)

    @contextmanager
    def lend(self) -> Iterator[None]:
        """Nothing: no job here looks at it."""
        yield None


class Asking(Job):
    """A request that says how it was served."""

    def __init__(self, name: str, served: list[str], gate: threading.Event | None = None) -> None:
        super().__init__(cast("Door", None))
        self._name, self._served, self._gate = name, served, gate
        self.error: BaseException | None = None
        self.begun = threading.Event()

    def admit_known(self, store: BindingStore) -> Desk | None:  # noqa: ARG002
        """Note that it was tried with others; nobody knows its key."""
        self._served.append(f"{self._name} with others")
        if self.error is not None:
            raise self.error
        return None

    def plan(self, desk: Desk) -> Asked | None:
        """Nobody comes so far."""
        raise AssertionError(desk)

    def tell(self, done: Answered) -> Response:
        """Nor here."""
        raise AssertionError(done)

    def serve(self, desk: Desk | None, borrowed: ExitStack) -> Response:  # noqa: ARG002
        """Serve it by itself."""
        self.begun.set()
        if self._gate is not None:
            assert self._gate.wait(SOON)
        self._served.append(f"{self._name} alone")
        if self.error is not None:
            raise self.error
        return Response(self._name)


class Standing:
    """Requests that stand still."""

    def __init__(self) -> None:
        self.served: list[str] = []
        self.gate = threading.Event()
        self.asking: list[asyncio.Future[Response]] = []


def gather(stores: Stores) -> Gathering:
    """What is tried."""
    return Gathering(cast("StorePool", stores))


async def stand(door: Gathering, *names: str) -> Standing:
    """Some of one key, each of which holds a session until the gate is open."""
    standing = Standing()
    for name in names:
        job = Asking(name, standing.served, standing.gate)
        standing.asking.append(asyncio.ensure_future(door.run("one", job)))
        assert await asyncio.to_thread(job.begun.wait, SOON)
    return standing


async def test_who_is_alone_and_who_goes_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """While two are served the others of the key wait; one of another key is served at once."""
    monkeypatch.setattr(gathering, "_PATIENCE", 60.0)
    door = gather(Stores(8))
    standing = await stand(door, "a", "b")
    served, asking = standing.served, standing.asking
    asking += [asyncio.ensure_future(door.run("one", Asking(name, served))) for name in "cde"]
    assert (await door.run("other", Asking("f", served))).body == b"f"
    assert served == ["f alone"]
    standing.gate.set()
    answers = await asyncio.wait_for(asyncio.gather(*asking), SOON)
    assert [each.body for each in answers] == [b"a", b"b", b"c", b"d", b"e"]
    # What could not be done together was done by itself.
    assert {f"{name} with others" for name in "cde"} <= set(served)
    assert {f"{name} alone" for name in "abcdef"} <= set(served)
    assert door._lanes == {}


async def test_nobody_waits_for_long() -> None:
    """Where two stand still, another session serves those that wait."""
    door = gather(Stores(8))
    standing = await stand(door, "a", "b")
    asked = door.run("one", Asking("c", standing.served))
    answer = await asyncio.wait_for(asked, SOON)
    assert (answer.body, standing.served) == (b"c", ["c alone"])
    standing.gate.set()
    await asyncio.gather(*standing.asking)


async def test_what_is_refused() -> None:
    """It is told to whom it is about: to one, or to all where no store can be had."""
    stores = Stores(1)
    door = gather(stores)
    standing = await stand(door, "a")
    served = standing.served
    bad = Asking("b", served)
    bad.error = Problem.of_door("rate_exceeded")
    asking = [asyncio.ensure_future(door.run("one", each)) for each in (bad, Asking("c", served))]
    await asyncio.sleep(0)
    standing.gate.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert told[0] is bad.error
    assert isinstance(told[1], Response)
    await asyncio.gather(*standing.asking)
    stores.refusal = Problem.of_door("busy")
    told = await asyncio.gather(
        *(door.run("one", Asking(name, served)) for name in "de"), return_exceptions=True
    )
    assert told == [stores.refusal] * 2
    assert door._lanes == {}


class Panic(BaseException):
    """What a library written in Rust raises."""


@pytest.mark.parametrize("error", [Panic(), StopIteration()])
async def test_what_no_future_takes(error: BaseException) -> None:
    """Whoever asked is told that it failed, alone or with others, and the lane goes on."""
    stores = Stores(1)
    door = gather(stores)

    def bad() -> Asking:
        job = Asking("bad", [])
        job.error = error
        return job

    with pytest.raises(RuntimeError):
        await asyncio.wait_for(door.run("one", bad()), SOON)
    standing = await stand(door, "a")
    jobs = [bad(), Asking("b", standing.served)]
    asking = [asyncio.ensure_future(door.run("one", each)) for each in jobs]
    await asyncio.sleep(0)
    standing.gate.set()
    told = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), SOON)
    assert isinstance(told[0], RuntimeError)
    assert isinstance(told[1], Response)
    await asyncio.gather(*standing.asking)
    assert door._lanes == {}


async def test_all_stand_still() -> None:
    """Who comes then is told that all are busy, after as long as he would wait by himself."""
    stores = Stores(2)
    stores.wait = 0.0
    door = gather(stores)
    standing = await stand(door, "a", "b")
    with pytest.raises(Problem) as told:
        await asyncio.wait_for(door.run("one", Asking("c", standing.served)), SOON)
    assert told.value.code == "busy"
    standing.gate.set()
    await asyncio.gather(*standing.asking)
    assert door._lanes == {}


async def test_who_came_after_a_session_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """He is not refused with it: those that it was to serve another one has served."""
    monkeypatch.setattr(gathering, "_WIDTH", 1)
    stores = Stores(2)
    door = gather(stores)
    gate = stores.gate = asyncio.Event()
    served: list[str] = []
    first = asyncio.ensure_future(door.run("one", Asking("a", served)))
    await asyncio.sleep(0)
    await asyncio.wait_for(asyncio.gather(first, door.run("one", Asking("b", served))), SOON)
    monkeypatch.setattr(gathering, "_PATIENCE", 60.0)
    last = asyncio.ensure_future(door.run("one", Asking("c", served)))
    await asyncio.sleep(0)
    stores.refusal = Problem.of_door("busy")
    gate.set()
    await asyncio.sleep(0)
    stores.refusal = None
    assert isinstance(await asyncio.wait_for(last, SOON), Response)
