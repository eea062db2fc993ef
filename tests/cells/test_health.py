"""What is told of cells: by doctor, by the HTTP door, and by routers of a cell that is cut off."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from agi_router.bindings.store import BindingStore
from agi_router.calls.store import AdmissionStore
from agi_router.inventory.cell_health import CUT_OFF_AFTER
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from harness.cells import NAMES, Cells
from harness.cli import run
from harness.database import SOON, database_of, one, until, until_async

PROGRAM = str(Path(sys.executable).with_name("agi-router"))


@pytest.fixture
def env(dsn: str, store: BindingStore, keys: KeyRing, tmp_path: Path) -> dict[str, str]:
    """The settings of who works with the global database."""
    write_key_ring(tmp_path / "key", keys)
    check_keys(store.connection, keys)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
        "AGI_ROUTER_AGI_LISTEN": "off",
        "AGI_ROUTER_HTTP_LISTEN": f"127.0.0.1:{port}",
    }


def told(env: dict[str, str]) -> list[tuple[str, str]]:
    """What doctor says of cells."""
    checks = json.loads(run(["doctor", "--json"], env).out)["checks"]
    return [(each["status"], each["text"]) for each in checks if each["check"] == "cells"]


def test_doctor(cells: Cells, dsn: str, store: BindingStore, env: dict[str, str]) -> None:
    """Each thing that may be wrong is named, with the cell and with what mends it."""
    cells.hurry()
    south = cells.cells[1]
    databases = [database_of(each) for each in cells.dsns(dsn)]

    def all_well() -> bool:
        store.inventory.look_at_cells(beat=True)
        return [status for status, _ in told(env)] == ["ok", "ok", "ok"]

    until(all_well)
    whole, *each = [text for _, text in told(env)]
    assert whole.startswith("2, ")
    assert [text.partition(":")[0] for text in each] == list(NAMES)

    def faults() -> str:
        return "\n".join(text for status, text in told(env) if status == "fail")

    with cells.cells[0].admin(databases[0]) as north:
        north.execute("UPDATE agi_router.function SET checksum = 'x' WHERE name = 'admit'")
        north.execute("UPDATE agi_router.migration SET checksum = 'x'")
        north.execute("SELECT agi_cells.become(5)")
        north.execute("DROP TRIGGER agi_cells_close_others ON agi_router.block")
        north.execute(f"ALTER SUBSCRIPTION {cells.subscription(cells.dsns(dsn)[0])} DISABLE")
        found = faults()
        for words in (
            "(admit)",
            "other tables",
            "it has become cell 5",
            "(agi_cells_close_others)",
            "is disabled",
        ):
            assert f"{NAMES[0]}: " in found
            assert words in found
        assert f"{NAMES[1]}: " not in found
        north.execute(f"ALTER SUBSCRIPTION {cells.subscription(cells.dsns(dsn)[0])} ENABLE")
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("UPDATE agi_cells.cell SET host = 'localhost' WHERE id = 1")
        admin.execute(
            "CREATE FUNCTION agi_router.newer(_block bigint) RETURNS int LANGUAGE sql RETURN 1"
        )
        admin.execute("ALTER PUBLICATION agi_cell_1 DROP TABLE agi_router.lock")
        found = faults()
        for words in ("newer would run", "south: asked elsewhere", "lock: not published"):
            assert words in found
        admin.execute("UPDATE agi_cells.cell SET host = '127.0.0.1' WHERE id = 1")
        admin.execute("DROP FUNCTION agi_router.newer")
        admin.execute("UPDATE agi_cells.cell SET slot = 'none' WHERE id = 1")
        assert "south: it takes nothing that is changed for all, locks" in faults()
        south.kill()
        try:
            assert "south: the cell south does not answer" in faults()
            admin.execute("SELECT agi_cells.set_away('south', true)")
            assert any(text.startswith("south: it is said to be away") for _, text in told(env))
            assert "south" not in faults().replace("published", "")
        finally:
            south.start()


@pytest.fixture
def door(env: dict[str, str], tmp_path: Path) -> Iterator[Callable[[], str]]:
    """The HTTP door with the global DSN; what it says when it is asked whether it is ready."""
    with (tmp_path / "log").open("wb") as file:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--door", "http"], env=env, stdout=file, stderr=file
        )

    def ask() -> str:
        assert process.poll() is None, (tmp_path / "log").read_text()
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(f"http://{env['AGI_ROUTER_HTTP_LISTEN']}/readyz", timeout=SOON).text
        return ""

    try:
        until(lambda: ask() == "ok\n")
        yield ask
    finally:
        process.kill()
        process.wait(SOON)


async def test_a_cell_that_is_cut_off(
    cells: Cells,
    dsn: str,
    keys: KeyRing,
    tmp_path: Path,
    door: Callable[[], str],
    record_property: Callable[[str, object], None],
) -> None:
    """Both sides tell it: the door in front, and the routers of the cell, which go on."""
    cells.hurry()
    log = tmp_path / "log"

    def lines(event: str) -> list[str]:
        return [line for line in log.read_text().splitlines() if f" {event} " in line]

    async with AdmissionStore(cells.dsns(dsn)[0], keys, connections=1) as north:
        await until_async(lambda: north.pool.connected)

        async def unheard() -> float:
            await north.check(timeout=SOON)
            assert north.heard_ago is not None
            return north.heard_ago

        while await unheard() > CUT_OFF_AFTER:
            pass
        # The line of one is cut; of the other no process moves any more, and no line is cut.
        with cells.admin(database_of(dsn)) as admin:
            slot = cells.subscription(cells.dsns(dsn)[0])
            with cells.cells[0].admin(database_of(cells.dsns(dsn)[0])) as cut:
                cut.execute(f"ALTER SUBSCRIPTION {slot} DISABLE")
                cells.cells[1].freeze()
                since = time.monotonic()
                try:
                    until(lambda: all(f"cell {name}: " in door() for name in NAMES))
                    record_property("told after [s]", round(time.monotonic() - since, 1))
                    assert door().startswith("ok\n")
                    assert len(lines("cell.cut_off")) == len(NAMES)
                    while await unheard() <= CUT_OFF_AFTER:
                        pass
                finally:
                    cells.cells[1].thaw()
                cut.execute(f"ALTER SUBSCRIPTION {slot} ENABLE")
            until(lambda: door() == "ok\n")
            assert len(lines("cell.back")) == len(NAMES)
            while await unheard() > CUT_OFF_AFTER:
                pass
            # One box hears of nobody, and says nothing.
            assert one(admin, "SELECT agi_router.heard_ago()") is None
