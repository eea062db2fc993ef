"""
A database of one's own for one side of a round, so that no side pays for another.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import connect
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block
from harness.database import Server

__all__ = ["fresh_database"]


@contextmanager
def fresh_database(server: Server, keys: KeyRing, *, first: int, blocks: int) -> Iterator[str]:
    """
    A migrated database with so many blocks from the first on; what came before is on disk.
    """
    dsn = server.clone()
    with connect(dsn) as connection:
        inventory = BindingStore(connection, keys).inventory
        for block in range(first, first + blocks):
            inventory.add_block(Block(value=block), operator=None, certificate=None)
    with server.admin() as admin:
        admin.execute("CHECKPOINT")
    try:
        yield dsn
    finally:
        server.drop(dsn)
