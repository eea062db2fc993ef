"""The pool's queue: who is in a fail_fast is refused at once where it would wait too long."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from agi_router.db.fast_connection import FastConnection
from agi_router.db.pool import ConnectionPool, Work
from agi_router.errors import StoreBusy, StoreUnavailable
from harness.database import until_async

IN_TIME = 0.3


def sleep(seconds: float) -> Work:
    """Work that keeps a connection for some time."""

    async def work(connection: object) -> None:
        await connection.execute(f"SELECT pg_sleep({seconds})")  # type: ignore[attr-defined]

    return work


async def refused_of(pool: ConnectionPool, work: Work, *, asked: int) -> int:
    """Ask so often at once; how many were refused at once. A busy machine serves some late."""
    results = await asyncio.gather(
        *(pool.submit(work, timeout=IN_TIME, fail_fast=True) for _ in range(asked)),
        return_exceptions=True,
    )
    refused = [each for each in results if each is not None]
    assert all(isinstance(each, StoreUnavailable) for each in refused)
    return sum(isinstance(each, StoreBusy) for each in refused)


async def test_a_queue_that_is_too_long(dsn: str) -> None:
    """Nobody is kept waiting for nothing: some are served in time, the rest is told at once."""
    async with ConnectionPool(dsn, size=2) as pool:
        for _ in range(40):
            await pool.submit(sleep(0.02), timeout=60, fail_fast=True)
        refused = await refused_of(pool, sleep(0.02), asked=60)
    # How many, an idle machine tells: 40 of 60.
    assert 0 < refused < 60


@pytest.mark.parametrize("fail_fast", [False, True])
async def test_how_long_a_call_takes_is_learnt_from_calls(dsn: str, *, fail_fast: bool) -> None:
    """What takes long and is no call, like counting, does not count."""
    async with ConnectionPool(dsn, size=2) as pool:
        for _ in range(10):
            await pool.submit(sleep(0.2), timeout=60, fail_fast=fail_fast)
        refused = await refused_of(pool, sleep(0), asked=20)
    assert (refused > 0) is fail_fast


async def test_those_in_the_queue_are_told_of_the_end(dsn: str) -> None:
    """Who waits for a pool that is closed does not wait until its time is up."""
    async with ConnectionPool(dsn, size=1) as pool:
        await until_async(lambda: pool.connected == 1)
        asked = [asyncio.ensure_future(pool.submit(sleep(1), timeout=60)) for _ in range(3)]
        await until_async(lambda: pool.waiting == 2)
    results = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 30)
    assert all(isinstance(each, StoreUnavailable) for each in results)


async def server_process(line: FastConnection) -> int:
    """Work that takes a moment; which server process did it."""
    await line.execute("SELECT pg_sleep(0.01)")
    return line.info.backend_pid


async def test_the_last_one_is_the_next(dsn: str) -> None:
    """What comes at once is spread; what comes one by one is done where the caches are warm."""
    async with ConnectionPool(dsn, size=3) as pool:
        await until_async(lambda: pool.connected == 3)
        at_once = await asyncio.gather(
            *(pool.submit(server_process, timeout=60) for _ in range(3))
        )
        assert len(set(at_once)) == 3
        assert len({await pool.submit(server_process, timeout=60) for _ in range(9)}) == 1


async def test_probes_go_on_though_others_succeeded_first(dsn: str) -> None:
    """What was under way when its like was put off may end before what is tried for all."""
    begun: set[str] = set()
    ends = {name: asyncio.Event() for name in ("early", "probe")}

    def until_told(name: str, *, held: int = 0) -> Work:
        tries = iter(range(held))

        async def work(_: FastConnection) -> None:
            if next(tries, None) is not None:
                raise psycopg.errors.LockNotAvailable
            begun.add(name)
            await ends[name].wait()

        return work

    async def once_in_vain(_: FastConnection) -> str:
        if "later" not in begun:
            begun.add("later")
            raise psycopg.errors.LockNotAvailable
        return "done"

    async with ConnectionPool(dsn, size=2) as pool:
        await until_async(lambda: pool.connected == 2)
        early = asyncio.ensure_future(pool.submit(until_told("early"), timeout=30, about="one"))
        await until_async(lambda: "early" in begun)
        probe = asyncio.ensure_future(
            pool.submit(until_told("probe", held=1), timeout=30, about="one")
        )
        await until_async(lambda: "probe" in begun)
        ends["early"].set()
        await early
        ends["probe"].set()
        await probe
        assert await pool.submit(once_in_vain, timeout=10, about="other") == "done"
