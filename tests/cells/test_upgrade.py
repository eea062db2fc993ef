"""What makes databases one of several stays in force when the program's functions are replaced."""

from __future__ import annotations

import pytest
from cells.conftest import BLOCKS

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import Connection, connect
from agi_router.db.migrate import check_schema, functions, migrate
from agi_router.errors import SchemaMismatch
from harness.cells import NAMES, OVERLAY, Cells
from harness.cli import run
from harness.database import HOUR, NO_REST, database_of, one
from harness.values import A, B

NORTH, _ = BLOCKS
EVERY = sorted(each.name for each in functions())


def replaced(dsn: str) -> None:
    """Migrate a database of which every function differs, as its owner does."""
    with connect(dsn) as owner:
        owner.execute("UPDATE agi_router.function SET checksum = 'of another release'")
        assert migrate(owner).functions == EVERY
        check_schema(owner)
        assert not migrate(owner)


def test_all_functions_are_replaced(
    cells: Cells, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """In front and in a cell: what is of a block goes to its cell, which keeps others' closed."""
    north = cells.dsns(dsn)[0]
    with connect(dsn) as front:
        front.execute("UPDATE agi_router.function SET checksum = 'x' WHERE name = 'why_closed'")
        assert migrate(front).functions == ["why_closed"]
    replaced(north)
    replaced(dsn)
    fresh = BindingStore(connection, store.keys, NO_REST)
    made = fresh.bind(Axb(a=A, b=B), Terms(expires_at=store.now() + HOUR), x=NORTH.number(1))
    with cells.connect(north) as cell:
        assert one(cell, "SELECT count(*) FROM agi_router.binding") == 1
    assert fresh.unbind(made.id).id == made.id
    with cells.cells[0].admin(database_of(north)) as admin:
        # As a row comes by replication.
        admin.execute("SET session_replication_role = replica")
        admin.execute("UPDATE agi_router.block SET cell = 1")
        assert one(admin, "SELECT state FROM agi_router.block") == "returned"
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, true)", (NAMES[0],))
        closed = one(admin, "SELECT agi_cells.is_away(block) FROM agi_router.block WHERE cell = 0")
        assert closed
        assert one(admin, "SELECT array_agg(n) FROM agi_router.list_missing() n") == [NAMES[0]]
        # A release with another overlay: its file is loaded again.
        admin.execute((OVERLAY / "global.sql").read_text("utf-8").encode())
        admin.execute("SELECT agi_cells.compose()")
    check_schema(connection)


HARM = {
    "agi_cells_close_others": "DROP TRIGGER agi_cells_close_others ON agi_router.block",
    "agi_cells_take_key": "ALTER TABLE agi_router.key ENABLE TRIGGER agi_cells_take_key",
    "heard_ago": "CREATE OR REPLACE FUNCTION agi_router.heard_ago() RETURNS double precision"
    " LANGUAGE sql AS 'SELECT NULL::double precision'",
    "become": "DELETE FROM agi_cells.me",
    "reapply": "DROP FUNCTION agi_cells.reapply()",
}
"""What is told, and of what."""


def test_nobody_serves_on_half_a_cell(cells: Cells, dsn: str) -> None:
    """It is told with what mends it, and that does."""
    north = cells.dsns(dsn)[0]
    with cells.cells[0].admin(database_of(north)) as admin, connect(north) as router:
        for told, harm in HARM.items():
            admin.execute(harm)
            with pytest.raises(SchemaMismatch, match=rf"cell\.sql.*\({told}\)"):
                check_schema(router)
            mend(admin)
        admin.execute("DROP FUNCTION agi_cells.reapply()")
        with pytest.raises(SchemaMismatch, match=r"nothing was done.*cell\.sql"):
            migrate(router)
        said = run(["doctor"], {"AGI_ROUTER_DSN": north})
        assert "reapply" in said.out
        mend(admin)
        check_schema(router)


def mend(cell: Connection) -> None:
    """As docs/operate-many.md has it."""
    cell.execute((OVERLAY / "cell.sql").read_text("utf-8").encode())
    cell.execute("SELECT agi_cells.become(0)")
