"""Keys are rotated once, in the global database, for all cells."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from cells.conftest import BLOCKS
from cells.test_cells import bound

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.queries import query
from agi_router.errors import BindingConflict, KeyInUse, StoreUnavailable
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import KINDS, check_keys, lock_keys, make_current
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from harness.cells import NAMES, Cells
from harness.database import NO_REST, database_of, one, until
from harness.values import A, B


@pytest.fixture
def rotation(connection: Connection, store: BindingStore, tmp_path: Path) -> Rotation:
    """The keys of all cells, to be changed."""
    file = tmp_path / "key"
    write_key_ring(file, store.keys)
    return Rotation(connection, check_keys(connection, store.keys), file)


def test_keys_of_all_cells(
    cells: Cells,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    rotation: Rotation,
) -> None:
    """Routers of each cell are looked at first; then what is sealed in each is sealed anew."""
    made = [bound(store, block) for block in BLOCKS]
    ids = rotation.add(["tag", "seal"])
    with connect(cells.dsns(dsn)[1], name=f"agi_router serve {keys.digest}"):
        assert len(rotation.unaware()) == 1
    until(lambda: rotation.unaware() == [])
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
    rotation: Rotation,
) -> None:
    """What a cell undoes because a row was just changed there is sealed anew once more."""
    made = bound(store, BLOCKS[0])
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


def test_who_writes_in_a_cell_is_waited_for(
    cells: Cells,
    dsn: str,
    connection: Connection,
    keys: KeyRing,
    rotation: Rotation,
) -> None:
    """An import, others going on; then who has just bound, of whom nothing is left behind."""
    ids = rotation.add(KINDS)
    cell, x = cells.cell(dsn), BLOCKS[0].number(7)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = %s"
    with (
        connect(cell) as importing,
        connect(cell) as writing,
        connect(dsn) as others,
        cells.cell_admin(dsn) as admin,
        ThreadPoolExecutor(1) as pool,
    ):
        old = BindingStore(writing, keys, NO_REST)
        terms = Terms(expires_at=old.now() + timedelta(hours=1))
        with Queries(writing).transaction():
            with importing.transaction():
                importing.execute(query("lock_imports"))
                made = old.bind(Axb(a=A, b=B), terms, x=x)
                switch = pool.submit(rotation.switch, ids)
                until(lambda: one(admin, waiting, "ExclusiveLock") == 1)
                bound(BindingStore(others, keys, NO_REST), BLOCKS[0])
            key_waited_for = f"{waiting} AND relation = 'agi_router.key'::regclass"
            until(lambda: one(admin, key_waited_for, "ExclusiveLock") == 1)
            assert not switch.done()
        switch.result()
        with pytest.raises(KeyInUse):
            rotation.retire("seal", keys.seal_key_id)
        assert sum(rotation.renewal().run()) == 2
        rotation.renew_secrets()
        fresh = BindingStore(connection, rotation.keys, NO_REST)
        with pytest.raises(BindingConflict):
            fresh.bind(Axb(a=A, b=B), terms, x=x)
        rotation.retire("tag", keys.tag_key_id)
        rotation.retire("seal", keys.seal_key_id)
        assert fresh.find(made.id).parties == made.parties


def test_who_binds_as_keys_are_switched(
    cells: Cells, dsn: str, connection: Connection, rotation: Rotation
) -> None:
    """A cell has switched and the global database is about to: who hears of it waits for that."""
    ids = rotation.add(KINDS)
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'agi_router.key'::regclass"
    )
    with (
        connect(cells.cell(dsn)) as cell,
        connect(dsn) as others,
        cells.admin(database_of(dsn)) as admin,
        ThreadPoolExecutor(1) as pool,
    ):
        queries = Queries(connection)
        with queries.transaction():
            lock_keys(queries)
            make_current(Queries(cell), ids)
            made = pool.submit(bound, BindingStore(others, rotation.keys, NO_REST), BLOCKS[0])
            until(lambda: one(admin, waiting) == 1 or made.done())
            make_current(queries, ids)
        assert made.result().id.block == BLOCKS[0]
