"""A global database and two cells for these tests, and stores in front of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, connect
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block
from harness.cells import Cells
from harness.database import NO_REST, SOON
from harness.values import BLOCK

BLOCKS = (BLOCK, Block(value=BLOCK.value + 1))
"""One in the north, one in the south."""


@pytest.fixture(scope="session")
def cells() -> Iterator[Cells]:
    """Three servers that run."""
    with Cells() as running:
        yield running


@pytest.fixture
def dsn(cells: Cells) -> Iterator[str]:
    """A global database whose commits wait for both cells."""
    made = cells.clone()
    yield made
    cells.drop(made)


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to the global database."""
    with connect(dsn, idle=int(SOON)) as opened:
        yield opened


@pytest.fixture
def keys() -> KeyRing:
    """New keys."""
    return KeyRing.generate()


@pytest.fixture
def store(connection: Connection, keys: KeyRing) -> BindingStore:
    """Where bindings are made, with a block in each cell."""
    opened = BindingStore(connection, keys, NO_REST)
    for block in BLOCKS:
        opened.inventory.add_block(block, operator=None, certificate=None)
    return opened
