"""Sweeping the global database: what is in cells they sweep, and a dead one holds up nothing."""

from __future__ import annotations

import pytest
from cells.conftest import BLOCKS

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries
from agi_router.errors import StoreUnavailable
from agi_router.maintenance.classes import Kind, Retention
from agi_router.maintenance.deletion import Deletion
from agi_router.maintenance.proofs import kept
from harness.cells import NAMES, Cells
from harness.cli import run
from harness.database import bind, database_of, one


def due(connection: Connection) -> list[Kind]:
    """The kinds of which a deletion has something to delete now."""
    return [each.kind for each in kept(Queries(connection), Retention()) if each.due]


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


def test_cells_are_whole_as_long_as_something_is_deleted(
    cells: Cells, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """A cell that is set away in the middle of a deletion ends it: what it has may hold a lock."""
    connection.execute(
        b"INSERT INTO agi_router.lock"
        b" (id, subject, key, reason, set_by, set_at, starts_at, over_at, lifted_by)"
        b" SELECT 1, 'number', 700123456780001, 'misuse', 'a test', at, at, at, 'a test'"
        b" FROM (SELECT now() - interval '3 years' AS at) old"
    )
    locks = "SELECT count(*) FROM agi_router.lock"
    deletion = Deletion(connection, Retention())
    steps = deletion.steps()
    assert next(steps).kind is Kind.EVENT
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, true)", (NAMES[1],))
        with pytest.raises(StoreUnavailable):
            list(steps)
        assert one(connection, locks) == 1
        admin.execute("SELECT agi_cells.set_away(%s, false)", (NAMES[1],))
    with cells.connect(cells.cell(dsn)) as north:
        made = bind(store, x=BLOCKS[0].number(1))
        north.execute(
            "UPDATE agi_router.binding SET begins_at = at - interval '1 hour', expires_at = at,"
            " ended_at = at, state = 'expired'"
            " FROM (SELECT now() - interval '3 years' AS at) old WHERE id = %s",
            (made.id.id,),
        )
        # What is the cells' is not due here.
        assert due(connection) == [Kind.LOCK]
        assert Kind.BINDING in due(north)
    list(deletion.steps())
    assert one(connection, locks) == 0
