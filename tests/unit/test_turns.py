"""Statements that go together, by a pool that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest

from agi_router.db.pool import SharedWork
from agi_router.db.turns import Turns
from agi_router.errors import StoreBusy, StoreUnavailable

SOON = 60.0


class Connection:
    """
    Notes what it is asked; each row is the name of its statement.

    Attributes:
        asked: The statements of each transaction.
        goes: Whether it answers.
        bad: A statement that fails, and all that go with it.
    """

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.goes = asyncio.Event()
        self.bad = ""

    async def fetch_each(self, asked: list[tuple[str, Any]]) -> list[list[dict[str, Any]]]:
        """Do them together."""
        names = [name for name, _ in asked]
        self.asked.append(names)
        await self.goes.wait()
        if self.bad in names:
            raise ValueError
        return [[{"name": name}] for name in names]

    async def fetch(self, name: str, _: Any) -> list[dict[str, Any]]:
        """Do one alone."""
        return (await self.fetch_each([(name, {})]))[0]


class Pool:
    """
    A connection for everybody.

    Attributes:
        held: What somebody was seen to hold.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.held: Hashable = None

    def is_held(self, about: Hashable) -> bool:
        """Whether it is."""
        return about == self.held

    async def submit(self, work: Any, **_: Any) -> Any:
        """Do it."""
        return await work(self.connection)


@pytest.fixture
async def connection() -> Connection:
    """One that waits."""
    return Connection()


@pytest.fixture
async def turns(connection: Connection) -> Turns:
    """Turns on it."""
    return Turns(Pool(connection))  # type: ignore[arg-type]


def ask(turns: Turns, name: str, *, about: str = "") -> asyncio.Task[Any]:
    """Ask for a statement."""
    return asyncio.create_task(turns.fetch(name, {}, about=about, timeout=SOON))


async def come(turns: Turns, name: str) -> Any:
    """Ask for one whose sender does not wait long."""

    async def read(_: Any, rows: list[dict[str, Any]]) -> Any:
        return rows

    async def alone(_: Any) -> Any:
        return None

    work = SharedWork(name, dict, read, alone)
    return await turns.submit(work, about="", timeout=SOON, fail_fast=True)


async def test_those_that_wait_go_together(connection: Connection, turns: Turns) -> None:
    """With the next one, whatever they are."""
    first = ask(turns, "a")
    while not connection.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    others = [ask(turns, name) for name in "bcd"]
    connection.goes.set()
    found = await asyncio.gather(first, *others)
    assert connection.asked == [["a"], ["b", "c", "d"]]
    assert [rows[0]["name"] for rows in found] == list("abcd")


async def test_many_have_two_transactions(connection: Connection, turns: Turns) -> None:
    """And what has ended goes before what comes."""
    first = ask(turns, "a")
    while not connection.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    coming = [asyncio.create_task(come(turns, "come")) for _ in range(20)]
    ends = [ask(turns, "end") for _ in range(20)]
    while len(connection.asked) < 2:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert connection.asked[1] == ["end"] * 20 + ["come"] * 12
    connection.goes.set()
    await asyncio.gather(first, *coming, *ends)
    assert connection.asked[2:] == [["come"] * 8]


async def test_one_that_fails_spoils_no_other(connection: Connection, turns: Turns) -> None:
    """Each is done alone then, and whoever asked for it is told."""
    connection.bad = "bad"
    connection.goes.set()
    found = await asyncio.gather(ask(turns, "good"), ask(turns, "bad"), return_exceptions=True)
    assert found[0] == [{"name": "good"}]
    assert isinstance(found[1], ValueError)


async def test_what_somebody_holds_keeps_nobody_waiting(
    connection: Connection, turns: Turns
) -> None:
    """It is asked for beside."""
    connection.goes.set()
    turns._pool.held = "row"  # type: ignore[attr-defined]
    await asyncio.gather(ask(turns, "a"), ask(turns, "b", about="row"))
    assert sorted(connection.asked) == [["a"], ["b"]]


async def test_a_wait_that_is_too_long(connection: Connection, turns: Turns) -> None:
    """Whoever waits is told; what was not sent by then never is."""
    first = ask(turns, "a")
    while not connection.asked:  # noqa: ASYNC110
        await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable):
        await turns.fetch("b", {}, about="", timeout=0.001)
    last = ask(turns, "c")
    turns._each = SOON
    with pytest.raises(StoreBusy):
        await come(turns, "d")
    connection.goes.set()
    await asyncio.gather(first, last)
    assert connection.asked == [["a"], ["c"]]
