"""Several machines of one cell: they share limits, and one settles what a dead one has left."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from cells.conftest import BLOCKS

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.store import AdmissionStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from harness.cells import Cells
from harness.cli import run
from harness.database import (
    HOUR,
    a_call,
    admit_as_router,
    an_end,
    database_of,
    new_call_id,
    until,
    until_async,
)
from harness.values import A, B

NORTH, _ = BLOCKS
X = NORTH.number(1)
LIMIT = 10
NODES = ("pbx1", "pbx2")


async def call_at_once(cells: Cells, dsn: str, keys: KeyRing) -> dict[str, list[str]]:
    """Fifty calls of A at once, by the routers of two Asterisks; what was admitted by each."""
    admitted: dict[str, list[str]] = {node: [] for node in NODES}
    north = cells.dsns(dsn)[0]
    # One asks its cell, as routers do; the other asks by the proxy.
    first, second = (AdmissionStore(each, keys, connections=4) for each in (north, dsn))
    async with first, second:
        await until_async(lambda: first.pool.connected and second.pool.connected)

        async def call(store: AdmissionStore, node: str) -> None:
            call_id = new_call_id(node=node)
            answer, _ = await admit_as_router(store, a_call(A, X), call_id)
            if answer.admitted:
                admitted[node].append(call_id)

        pairs = tuple(zip((first, second), NODES, strict=True)) * 25
        await asyncio.gather(*(call(*pair) for pair in pairs))
        if not admitted[NODES[1]]:
            # All places went to the other one: this one is to have one that it loses.
            assert not (await first.settle([an_end(admitted[NODES[0]].pop(), x=X)])).broken
            await call(second, NODES[1])
        await first.see_node(NODES[1], "00:16:3e:00:00:02", datetime.now(UTC))
    return admitted


def test_fifty_at_once_and_one_machine_dies(
    cells: Cells, dsn: str, store: BindingStore, keys: KeyRing, tmp_path: Path
) -> None:
    """Ten are admitted; what the dead one had up is settled by its journal, or as unseen."""
    cells.hurry()
    terms = Terms(expires_at=store.now() + HOUR, max_calls=LIMIT)
    made = store.bind(Axb(a=A, b=B), terms, x=X)
    admitted = asyncio.run(call_at_once(cells, dsn, keys))
    assert sum(map(len, admitted.values())) == LIMIT
    assert store.find(made.id).calls_used == LIMIT
    alive, dead = (admitted[node] for node in NODES)
    # Of one the dialplan has written the end, which nobody has read.
    journal = tmp_path / "journal"
    journal.mkdir()
    written, *lost = dead
    (journal / "ends").write_text(
        f"2|{written}|{X.digits}|{int(time.time())}||ANSWER|1500|9000||PJSIP/a-1|16||61|talk|end\n"
    )
    key_file = tmp_path / "key"
    write_key_ring(key_file, keys)
    north = cells.dsns(dsn)[0]
    env = {
        "AGI_ROUTER_DSN": north,
        "AGI_ROUTER_KEY_FILE": str(key_file),
        "AGI_ROUTER_UNKNOWN_END": "given_back",
    }
    command = ["settle", NODES[1], str(journal), "--json"]
    # Nobody is seen by the global database, nor under a name that is mistyped.
    for wrong in (
        run(command, {**env, "AGI_ROUTER_DSN": dsn}),
        run(["settle", "pxb2", str(journal)], env),
    ):
        assert wrong.code == 2
        assert "was ever seen in this database" in wrong.err
    told = run(command, env)
    assert told.code == 2
    assert "was alive within the last two minutes" in told.err
    with cells.cells[0].admin(database_of(north)) as admin:
        admin.execute("UPDATE agi_router.node SET seen_at = seen_at - interval '3 minutes'")
    assert run(command, env).json == {"node": "pbx2", "ends": 1, "without_end": len(lost)}
    assert not (journal / "ends").exists()
    # It has kept what was answered, and those of the living one are up.
    until(lambda: store.find(made.id).calls_used == 1 + len(alive))
    assert run(command, env).json == {"node": "pbx2", "ends": 0, "without_end": 0}
