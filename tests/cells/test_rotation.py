"""Keys are rotated once, in the global database, for all cells."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cells.conftest import BLOCKS
from cells.test_cells import bound

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, connect
from agi_router.errors import StoreUnavailable
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from harness.cells import NAMES, Cells
from harness.database import database_of, one, until


def test_keys_of_all_cells(
    cells: Cells,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    tmp_path: Path,
) -> None:
    """Routers of each cell are looked at first; then what is sealed in each is sealed anew."""
    made = [bound(store, block) for block in BLOCKS]
    file = tmp_path / "key"
    write_key_ring(file, keys)
    rotation = Rotation(connection, check_keys(connection, keys), file)
    ids = rotation.add(["tag", "seal"])
    with connect(cells.dsns(dsn)[1], name=f"agi_router serve {keys.digest}"):
        assert len(rotation.unaware()) == 1
    assert rotation.unaware() == []
    rotation.switch(ids)
    renewal = rotation.renewal()
    assert sum(renewal.run()) == len(made)
    assert renewal.outstanding() == 0
    rotation.renew_secrets()
    assert {keyid for (_, keyid), count in rotation.uses().items() if count} == set(ids.values())
    fresh = BindingStore(connection, rotation.keys)
    assert [fresh.find(each.id).parties for each in made] == [each.parties for each in made]
    cells.hurry()
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, true)", (NAMES[1],))
        # Nor is a key taken out of the file that rows there need.
        for step in (
            rotation.unaware,
            rotation.renewal,
            rotation.renew_secrets,
            lambda: rotation.retire("seal", keys.seal_key_id),
            lambda: rotation.weigh(keys.seal_key_id),
        ):
            with pytest.raises(StoreUnavailable, match=r"cell south does not answer"):
                step()
        admin.execute("SELECT agi_cells.set_away(%s, false)", (NAMES[1],))


def test_a_row_that_changes_meanwhile(
    cells: Cells,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    tmp_path: Path,
) -> None:
    """What a cell undoes because a row was just changed there is sealed anew once more."""
    made = bound(store, BLOCKS[0])
    file = tmp_path / "key"
    write_key_ring(file, keys)
    rotation = Rotation(connection, check_keys(connection, keys), file)
    rotation.switch(rotation.add(["seal"]))
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with cells.connect(cells.cell(dsn)) as call, cells.cell_admin(dsn) as admin:
        call.execute("BEGIN")
        call.execute(
            "UPDATE agi_router.binding SET calls_used = calls_used WHERE id = %s", [made.id.id]
        )
        with ThreadPoolExecutor(1) as pool:
            renewing = pool.submit(lambda: sum(rotation.renewal().run()))
            until(lambda: one(admin, waiting) == 1)
            call.execute("COMMIT")
            assert renewing.result() == 1
    assert BindingStore(connection, rotation.keys).find(made.id).parties == made.parties
