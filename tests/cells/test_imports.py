"""A file is loaded in a cell; with the global DSN nothing of it is begun."""

from __future__ import annotations

from pathlib import Path

from cells.conftest import BLOCKS
from cells.test_cells import rows_of
from postgres.test_cli import Cli, cli, key_file

from agi_router.bindings.modes import Axb
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest
from agi_router.bindings.store import BindingStore
from agi_router.bulk.moving import hold_orders, list_moved, move_once
from agi_router.db.connection import Connection, Queries
from harness.cells import NAMES, Cells
from harness.database import HOUR, new_party, one, until

__all__ = ["cli", "key_file"]


def test_files_are_loaded_in_a_cell(
    cells: Cells, dsn: str, connection: Connection, store: BindingStore, cli: Cli, tmp_path: Path
) -> None:
    """Refused in front, before anything is read or written; in a cell all or none, and again."""
    assert store
    head = "mode,order,a,b,x"
    good, other = (f"axb,O-1,{new_party().digits},{new_party().digits}," for _ in range(2))
    south = BLOCKS[1].number(1).digits
    file, left = tmp_path / "orders.csv", tmp_path / "left.csv"
    file.write_text(f"{head}\n{good}\n{other}{south}\n")
    old = tmp_path / "old.csv"
    old.write_text(f"old,{head}\n95013000001,{good}\n")
    acts = "SELECT count(*) FROM agi_router.audit"
    before = one(connection, acts)
    for options in ([], ["--dry-run"], ["--keep-going", "--rejects", left]):
        refused = cli("import", file, *options)
        assert refused.code == 78
        assert f"the global database, and bindings are in its cells ({', '.join(NAMES)})" in (
            refused.error
        )
        assert "set it to the database of the cell" in refused.error
    moving = ("migrate-x", old, "--map", left)
    in_cells = [{"AGI_ROUTER_DSN": each} for each in cells.dsns(dsn)]
    for env in ({}, *in_cells):
        refused = cli(*moving, **env)
        assert refused.code == 78
        assert "by POST /v1/old-numbers/batch" in refused.error
    assert not left.exists()
    assert rows_of(cells, dsn, "binding") == [[], []]
    assert one(connection, acts) == before
    # A number of the other cell is none of this one's.
    refused = cli("import", file, **in_cells[0])
    assert refused.code == 65
    assert "line 3: x: " in refused.err
    assert rows_of(cells, dsn, "binding") == [[], []]
    file.write_text(f"{head}\n{good}\n{other}\n")
    assert cli("import", file, "--json", **in_cells[0]).json["bound"] == 2
    assert rows_of(cells, dsn, "binding") == [[BLOCKS[0].value] * 2, []]
    assert cli("import", file, "--json", **in_cells[0]).json["already_there"] == 2
    until(lambda: len(cli("list", "--order", "O-1", "--json").json) == 2)


def test_a_move_by_the_global_database(store: BindingStore) -> None:
    """What is said to those whose command is refused works: old numbers and bindings are told."""
    asked = [
        BindRequest(
            parties=Axb(a=new_party(), b=new_party()),
            x=None,
            y=None,
            ttl=None,
            expires_at=None,
            tenant="default",
            order_id=f"O-{serial}",
            terms={},
        )
        for serial in range(2)
    ]
    made = []
    for each in [*asked, asked[0]]:
        with Queries(store.connection).transaction():
            hold_orders(store, [each])
            made.append(
                move_once(store, each, "95013000001", default_ttl=HOUR, choice=NumberPolicy())
            )
    assert [new for _, new in made] == [True, True, False]
    assert made[2][0].id == made[0][0].id
    (moved,) = list_moved(store, limit=2)
    assert {party.dials for binding, _ in made for party in binding.parties} == {moved.new}
