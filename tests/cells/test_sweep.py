"""Sweeping the global database: what is in cells they sweep, and a dead one holds up nothing."""

from __future__ import annotations

from cells.conftest import BLOCKS

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection
from harness.cells import NAMES, Cells
from harness.cli import run
from harness.database import one


def test_cells_sweep_what_they_have(
    cells: Cells, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """What is old in one cell was looked for by its place, at which another has what is young."""
    assert store
    dsns = cells.dsns(dsn)
    with cells.connect(dsns[0]) as north, cells.connect(dsns[1]) as south:
        for cell, block, age in ((north, BLOCKS[0], "3 days"), (south, BLOCKS[1], "0")):
            cell.execute(
                "INSERT INTO agi_router.message_part (block, same, number, content, at)"
                " VALUES (%s, sha256('text'), 1, sha256('part'), now() - %s::interval)",
                (block.value, age),
            )
    connection.execute(
        b"INSERT INTO agi_router.answer (name, payload, made_at)"
        b" VALUES (sha256('a'), sha256('b'), now() - interval '3 days')"
    )
    cells.hurry()
    cells.cells[1].kill()
    try:
        done = run(["sweep", "--json"], {"AGI_ROUTER_DSN": dsn})
        assert done.json["answers"] == 1
        assert f"in the cells {', '.join(NAMES)}" in done.err
        # What holds keep is told by what all cells have.
        assert run(["retention", "run"], {"AGI_ROUTER_DSN": dsn}).code == 69
    finally:
        cells.cells[1].start()
    parts = "SELECT count(*) FROM agi_router.message_part"
    with cells.connect(dsns[0]) as north, cells.connect(dsns[1]) as south:
        assert (one(north, parts), one(south, parts)) == (1, 1)
        done = run(["sweep"], {"AGI_ROUTER_DSN": dsns[0]})
        assert (done.code, done.err) == (0, "")
        assert (one(north, parts), one(south, parts)) == (0, 1)
