"""A day of all cells is one package, packed from the global database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cells.conftest import BLOCKS
from cells.test_cells import HERE, bound
from postgres.test_export_day import CALLS, DAY, opened, pack, packing

from agi_router.bindings.model import Binding
from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.exports.kinds import bounds
from agi_router.exports.packer import Packing
from agi_router.keys.ring import KeyRing
from harness.cells import NAMES, Cells
from harness.database import database_of
from harness.values import B

__all__ = ["packing"]

NORTH, SOUTH = BLOCKS


@pytest.fixture
def full(connection: Connection, store: BindingStore) -> list[Binding]:
    """A binding and two calls of the day in each cell."""
    made = [bound(store, block) for block in BLOCKS]
    at = bounds(DAY)[0] + timedelta(hours=1)
    for table in ("binding", "route"):
        connection.execute(f"UPDATE agi_router.{table} SET begins_at = %s", [at])
    for serial, block in enumerate(BLOCKS, 1):
        values = {"block": block.value, "begin": bounds(DAY)[0], "state": "settled"}
        connection.execute(CALLS.encode(), {**values, "first": 2 * serial, "last": 2 * serial + 1})
    return made


def test_a_day_of_all_cells(
    cells: Cells,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    packing: Packing,
    full: list[Binding],
) -> None:
    """Packed without one that is away; what that has is packed when it is back."""
    exported = list(store.stream(everything=True, order_id=None))
    assert [(each.id, each.parties) for each in exported] == [
        (each.id, each.parties) for each in full
    ]
    cells.hurry()
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, true)", (NAMES[1],))
        assert [row["name"] for row in Queries(connection).rows("list_missing", {})] == [NAMES[1]]
        first = pack(packing, connection, keys)
        admin.execute("SELECT agi_cells.set_away(%s, false)", (NAMES[1],))
    with connect(dsn) as later:
        second = pack(packing, later, keys)
        assert pack(packing, later, keys) is None
    for made, manifest in zip(full, (first, second), strict=True):
        assert manifest is not None
        assert (manifest.counts["bindings"], manifest.counts["calls"]) == (1, 2)
        told = opened(packing, manifest)["bindings"].decode()
        assert str(made.id) in told
        assert HERE[made.id.block].digits in told
        assert B.digits in told


def test_a_day_that_is_deleted_in_a_cell(cells: Cells, dsn: str, connection: Connection) -> None:
    """Nobody can tell any more what was on it."""
    asked = {"since": DAY}
    queries = Queries(connection)
    assert queries.row("find_deleted", asked) is None
    with cells.cells[1].admin(database_of(cells.dsns(dsn)[1])) as south:
        south.execute(
            "INSERT INTO agi_router.deletion (kind, day, whole, rule, deleted)"
            " VALUES ('call', %s, true, 'calls', 1)",
            [DAY],
        )
    assert queries.row("find_deleted", asked) is not None
