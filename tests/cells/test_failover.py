"""A cell's primary dies, and its standby is promoted: the global database goes on with that."""

from __future__ import annotations

import contextlib
from datetime import timedelta

from cells.conftest import BLOCKS
from psycopg.conninfo import conninfo_to_dict

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Queries
from agi_router.errors import StoreUnavailable
from agi_router.keys.ring import KeyRing
from agi_router.tenants.store import TenantStore
from harness.cells import Cells
from harness.database import (
    HOUR,
    a_call,
    admit_as_router,
    database_of,
    new_call_id,
    one,
    until,
    until_async,
)
from harness.values import A, B, C

SOUTH = BLOCKS[1]


def used(store: BindingStore, name: BindingId) -> int | None:
    """How many uses are taken of a binding; unless its cell does not answer."""
    with contextlib.suppress(StoreUnavailable):
        return store.find(name).calls_used
    return None


async def test_it_is_followed(cells: Cells, dsn: str, store: BindingStore, keys: KeyRing) -> None:
    """The same sessions go on: both ways into the cell find the host that takes writes."""
    cells.hurry()
    south = cells.cells[1]
    cell = database_of(cells.dsns(dsn)[1])
    bound = store.bind(Axb(a=A, b=B), Terms(expires_at=store.now() + HOUR), x=SOUTH.number(1))
    standby = south.standby()
    try:
        ports = [conninfo_to_dict(each.dsn(""))["port"] for each in (standby, south)]
        with cells.admin(database_of(dsn)) as admin:
            # The standby stands first, and is passed over.
            admin.execute(
                "UPDATE agi_cells.cell SET host = '127.0.0.1,127.0.0.1', port = %s WHERE id = 1",
                (",".join(map(str, ports)),),
            )
            admin.execute("SELECT agi_cells.compose()")
        async with AdmissionStore(dsn, keys, connections=1) as admissions:
            await until_async(lambda: admissions.pool.connected)

            async def called() -> bool:
                try:
                    answer, _ = await admit_as_router(
                        admissions, a_call(A, SOUTH.number(1)), new_call_id()
                    )
                except StoreUnavailable:
                    return False
                return answer.admitted

            assert await called()
            store.extend(bound.id, store.now() + 2 * HOUR)
            assert store.find(bound.id).calls_used == 1
            with south.admin() as admin:
                until(
                    lambda: one(
                        admin,
                        "SELECT pg_current_wal_lsn() <= replay_lsn FROM pg_stat_replication"
                        " WHERE application_name = 'walreceiver'",
                    )
                )
            south.kill()
            standby.promote()
            while not await called():
                pass
            # A session whose line went with the old one is told so once, by each way.
            until(lambda: used(store, bound.id) == 2)
        later = store.bind(
            Axb(a=C, b=B), Terms(expires_at=store.now() + timedelta(hours=1)), x=SOUTH.number(2)
        )
        assert store.unbind(later.id).state is BindingState.UNBOUND
        # It takes what is changed for all, from where the one before was.
        TenantStore(Queries(store.connection)).set_active("default", active=False)
        with standby.admin(cell) as admin:
            off = "SELECT NOT active FROM agi_router.tenant WHERE name = 'default'"
            until(lambda: one(admin, off))
            admin.execute(f"ALTER SUBSCRIPTION {cells.subscription(cells.dsns(dsn)[1])} DISABLE")
    finally:
        standby.remove()
        if not south.runs:
            south.start()
