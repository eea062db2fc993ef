"""What a door has in hand, by a store that has nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from agi_router.doors.outbox import Counts, Outbox, Outcome, Tasks
from agi_router.messages.model import Outgoing

WINDOW = 2


class Sending:
    """
    Sends texts when it is told to.

    Attributes:
        begun: How many are on their way.
        goes: Whether they arrive.
    """

    def __init__(self) -> None:
        self.begun = 0
        self.goes = asyncio.Event()

    async def send(self, _: Outgoing) -> Outcome:
        """Send one."""
        self.begun += 1
        await self.goes.wait()
        return Outcome()


@pytest.fixture
async def sending() -> Sending:
    """One that waits."""
    return Sending()


@pytest.fixture
async def outbox(sending: Sending) -> AsyncIterator[Outbox]:
    """An outbox that is open."""

    async def take(*_: object, **__: object) -> list[Outgoing]:
        return []

    made = Outbox(
        SimpleNamespace(take=take),  # type: ignore[arg-type]
        sending.send,
        counts=Counts(),
        tasks=Tasks(),
        window=WINDOW,
    )
    running = made.start()
    while not made.free:  # noqa: ASYNC110
        await asyncio.sleep(0)
    yield made
    made.close()
    await running


async def test_more_may_be_in_hand_than_on_their_way(outbox: Outbox, sending: Sending) -> None:
    """Those that were stored together; the window holds all the same."""
    text = SimpleNamespace(maybe_twice=False)
    for _ in range(2 * WINDOW):
        assert outbox.free
        outbox.hand_over(text)  # type: ignore[arg-type]
    assert not outbox.free
    while sending.begun < WINDOW:  # noqa: ASYNC110
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert sending.begun == WINDOW
    sending.goes.set()
    while outbox.under_way:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert sending.begun == 2 * WINDOW


async def test_who_comes_waits_for_room(outbox: Outbox, sending: Sending) -> None:
    """So long at most, and not where the door closes."""
    text = SimpleNamespace(maybe_twice=False)
    await outbox.room(60)
    for _ in range(WINDOW):
        outbox.hand_over(text)  # type: ignore[arg-type]
    await outbox.room(0.001)
    waiting = asyncio.create_task(outbox.room(60))
    await asyncio.sleep(0)
    assert not waiting.done()
    sending.goes.set()
    await waiting
    sending.goes.clear()
    for _ in range(WINDOW):
        outbox.hand_over(text)  # type: ignore[arg-type]
    waiting = asyncio.create_task(outbox.room(60))
    await asyncio.sleep(0)
    outbox.close()
    await waiting
    sending.goes.set()


async def test_closed_before_it_has_begun(outbox: Outbox) -> None:
    """It ends all the same: a door may be told to stop at the moment that it is bound."""
    running = outbox.start()
    outbox.close()
    async with asyncio.timeout(60):
        await running
