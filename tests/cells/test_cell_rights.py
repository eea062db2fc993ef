"""Who may do what in cells: who serves deletes nothing there, and nobody else asks them."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from cells.conftest import BLOCKS

from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import connect
from agi_router.db.rights import Purpose, check_rights, grant
from harness.cells import NAMES, Cells
from harness.database import HOUR, NO_REST, Server, database_of, one
from harness.values import A, B

NORTH, _ = BLOCKS
WHO = "who_comes"


@pytest.fixture
def granted() -> Iterator[list[tuple[Server, str]]]:
    """Databases in which there is a role that is to go again."""
    made: list[tuple[Server, str]] = []
    yield made
    for server, database in made:
        with server.admin(database) as admin:
            admin.execute(f"DROP OWNED BY {WHO}; DROP ROLE {WHO}")


def made(server: Server, database: str, purpose: Purpose) -> None:
    """Make a role for a purpose."""
    with server.admin(database) as admin:
        if not one(admin, f"SELECT count(*) FROM pg_roles WHERE rolname = '{WHO}'"):
            admin.execute(f"CREATE ROLE {WHO} LOGIN")
    with server.connect(server.dsn(database)) as owner:
        grant(owner, WHO, purpose)


def bound(store: BindingStore) -> int:
    """A binding of the north."""
    terms = Terms(expires_at=store.now() + HOUR, order_id="O-1")
    return store.bind(Axb(a=A, b=B), terms, x=NORTH.number(1)).id.id


def test_who_serves_deletes_nothing_in_a_cell(
    cells: Cells, dsn: str, store: BindingStore, granted: list[tuple[Server, str]]
) -> None:
    """It is the mover that sets aside, forgets, and takes in what it has written."""
    bound(store)
    server, north = cells.cells[0], database_of(cells.dsns(dsn)[0])
    granted.append((server, north))
    made(server, north, Purpose.SERVE)
    move = [
        f"SELECT agi_cells.prepare(0, {NORTH.value})",
        f"SELECT agi_cells.set_aside(0, {NORTH.value}, NULL)",
        f"SELECT count(*) FROM agi_cells.digest(0, {NORTH.value})",
        f"SELECT agi_cells.forget(0, {NORTH.value})",
        f"SELECT agi_cells.take_in(0, {NORTH.value})",
        f"SELECT agi_cells.put_back(0, {NORTH.value})",
        f"SELECT agi_cells.drop_settled(0, {NORTH.value}, '{{}}')",
        f"SELECT agi_cells.wipe(1, {NORTH.value})",
    ]
    with server.admin(north) as admin:
        # As an older release gave it to whoever serves.
        admin.execute(f"SELECT agi_cells.prepare(0, {NORTH.value})")
        admin.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA agi_cells TO {WHO}")
        admin.execute(f"GRANT SELECT, INSERT ON agi_cells.moving_call TO {WHO}")
        admin.execute("SELECT agi_cells.become(0)")
    with server.connect(server.dsn(north, user=WHO)) as serving:
        check_rights(serving)
        for asked in [*move, "INSERT INTO agi_cells.moving_call (block) VALUES (1)"]:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                serving.execute(asked)
        assert one(serving, "SELECT count(*) FROM agi_router.binding") == 1
        assert one(serving, "SELECT bindings FROM agi_cells.load(0)") == 1
    with server.connect(server.dsn(north, user="agi_mover")) as mover:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            mover.execute("SELECT count(*) FROM agi_router.binding")
        assert one(mover, move[2]) == 0


ELSEWHERE = {
    "unbind": f"SELECT * FROM agi_router.unbind({NORTH.value}, 1, NULL, NULL)",
    "end_order": "SELECT * FROM agi_router.end_order('O-1', NULL)",
    "a twin": f"SELECT agi_router.agi_cells_alone_extend({NORTH.value}, 1, NULL, NULL)",
    "run_in": "SELECT agi_router.agi_cells_run_in(0, 'extend', '{}')",
    "look": "SELECT * FROM agi_cells.look(true)",
    "look_at_cells": "SELECT * FROM agi_router.look_at_cells(true)",
    "ask": f"SELECT * FROM agi_cells.ask('{NAMES[0]}')",
}
"""What runs in cells as their login, or writes a sign of life."""


def test_who_serves_alone_asks_cells(
    cells: Cells, dsn: str, store: BindingStore, granted: list[tuple[Server, str]]
) -> None:
    """Whatever else somebody is for in the global database; and nobody there asks as the mover."""
    made_id = bound(store)
    front = database_of(dsn)
    granted.append((cells.front, front))
    for purpose in set(Purpose) - {Purpose.SERVE}:
        made(cells.front, front, purpose)
    with cells.connect(cells.dsn(front, user=WHO)) as other:
        for asked in ELSEWHERE.values():
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                other.execute(asked)
    with cells.admin(front) as admin:
        admin.execute(f"DROP OWNED BY {WHO}")
    made(cells.front, front, Purpose.SERVE)
    for again in (False, True):
        with connect(cells.dsn(front, user=WHO)) as serving:
            check_rights(serving)
            opened = BindingStore(serving, store.keys, NO_REST)
            assert opened.find(BindingId(NORTH, made_id)).calls_used == 0
            assert opened.extend(BindingId(NORTH, made_id), store.now() + 2 * HOUR)
            assert opened.inventory.look_at_cells(beat=True)
            assert opened.inventory.loads()[0]["bindings"] == 1
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                serving.execute(f"SELECT agi_cells.prepare(0, {NORTH.value})")
            if again:
                assert opened.end_order("O-1")
        with cells.admin(front) as admin:
            admin.execute("SELECT agi_cells.compose()")
