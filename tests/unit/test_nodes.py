"""Nodes: an Asterisk whose name another one has is not served."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from agi_router.ari import AriClient, AriTimeout
from agi_router.calls.store import AdmissionStore
from agi_router.errors import NodeTaken, StoreUnavailable
from agi_router.service import nodes as nodes_module
from agi_router.service.nodes import Node


class Store:
    """Where nodes are noted; it may know of another one, or be away."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.seen: list[tuple[str, str]] = []

    async def see_node(self, name: str, entity_id: str, started_at: datetime) -> None:
        """Take note, or fail."""
        assert started_at.tzinfo is UTC
        self.seen.append((name, entity_id))
        if self.error is not None:
            raise self.error


class Ari:
    """An Asterisk, which may not answer."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def asterisk_info(self) -> SimpleNamespace:
        """Tell who it is."""
        if self.error is not None:
            raise self.error
        return SimpleNamespace(
            system_name="", entity_id="00:16:3e:00:00:01", startup_time=datetime.now(UTC)
        )


@pytest.fixture
def store() -> Store:
    """A store that knows nobody."""
    return Store()


@pytest.fixture
def ari() -> Ari:
    """An Asterisk that answers."""
    return Ari()


@pytest.fixture
def node(ari: Ari, store: Store) -> Node:
    """The Asterisk that is served."""
    return Node(cast(AriClient, ari), cast(AdmissionStore, store))


async def test_a_name_of_its_own(node: Node, store: Store) -> None:
    """It is noted."""
    await node.claim()
    assert store.seen == [("", "00:16:3e:00:00:01")]
    assert node.trouble == []


async def test_another_asterisk_has_the_name(
    node: Node, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not served, and it is said why, once."""
    store.error = NodeTaken("another one")
    for _ in range(2):
        with pytest.raises(NodeTaken):
            await node.claim()
    assert node.trouble == ["node: another one"]
    assert [record.getMessage() for record in caplog.records] == ["node.taken"]


async def test_one_that_may_be_this_one(node: Node, store: Store) -> None:
    """Its clock may have been set back: it is served, and not ready, until the other is gone."""
    store.error = NodeTaken("a later start", certain=False)
    await node.claim()
    assert node.trouble == ["node: a later start"]
    store.error = None
    await node.claim()
    assert node.trouble == []


@pytest.mark.parametrize("who", ["store", "ari"])
async def test_nobody_knows(node: Node, store: Store, ari: Ari, who: str) -> None:
    """While the database or Asterisk says nothing, calls are not kept waiting for it."""
    if who == "store":
        store.error = StoreUnavailable()
    else:
        ari.error = AriTimeout("GET", "asterisk/info")
    await node.claim()
    assert node.trouble == []


async def test_it_goes_on_being_noted(
    node: Node,
    store: Store,
    ari: Ari,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever happens; what was found wrong is told as long as it is."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(nodes_module, "_INTERVAL", 0.0)
    keeping = asyncio.create_task(node.run())

    async def looks(count: int) -> None:
        goal = len(store.seen) + count
        async with asyncio.timeout(10):
            while len(store.seen) < goal:  # noqa: ASYNC110 - polled
                await asyncio.sleep(0)

    try:
        await looks(2)
        store.error = NodeTaken("another one")
        await looks(2)
        assert node.trouble == ["node: another one"]
        store.error = StoreUnavailable()
        await looks(2)
        assert node.trouble == ["node: another one"]
        store.error = None
        await looks(2)
        assert node.trouble == []
        ari.error = AriTimeout("GET", "asterisk/info")
        await asyncio.sleep(0.01)
        assert not keeping.done()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
