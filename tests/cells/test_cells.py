"""
Many databases as one: what is where, what is told everywhere, and what a dead cell takes along.

The suites of admission, settling, bindings, modes, locks and texts run on them as well:
``./tests/run cells``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cells.conftest import BLOCKS
from postgres.test_messages_agree import asked

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb, Axyb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Messages
from agi_router.calls.decision import Decision, Refusal, Route
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect, translated
from agi_router.db.queries import query
from agi_router.errors import MessageOver, QuotaExceeded, StoreUnavailable
from agi_router.keys.registry import check_keys, make_current
from agi_router.keys.ring import KeyRing
from agi_router.messages.model import CARRIED, MessageState, name_message
from agi_router.messages.records import MessageRecords
from agi_router.numbers import Block
from agi_router.tenants.store import TenantStore
from harness.cells import NAMES, Cells
from harness.cli import run
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    admit_as_router,
    an_end,
    call_states,
    database_of,
    new_call_id,
    new_party,
    one,
    until,
    until_async,
)
from harness.values import A, B, C

NORTH, SOUTH = BLOCKS
HERE = {NORTH: A, SOUTH: C}


@pytest.fixture
def pair(store: BindingStore) -> tuple[Binding, Binding]:
    """A binding in each cell, of one order."""
    made = [bound(store, block, order_id="O-1") for block in BLOCKS]
    return made[0], made[1]


def bound(store: BindingStore, block: Block, **terms: Any) -> Binding:
    """Bind a caller of its own and B on the first number of a block."""
    agreed = Terms(expires_at=store.now() + HOUR, **terms)
    return store.bind(Axb(a=HERE[block], b=B), agreed, x=block.number(1))


def rows_of(cells: Cells, dsn: str, table: str) -> list[list[int]]:
    """The blocks of a table's rows, cell by cell."""
    found = []
    for cell in cells.dsns(dsn):
        with cells.connect(cell) as connection:
            rows = connection.execute(f"SELECT block FROM agi_router.{table} ORDER BY block")
            found.append([row["block"] for row in rows])
    return found


def newest(store: BindingStore, **asked: Any) -> list[Any]:
    """The names of what is listed."""
    wanted = {"everything": False, "order_id": None, "limit": 10, **asked}
    return [binding.id for binding in store.bindings(**wanted)]


async def test_what_is_of_a_block_is_in_its_cell(
    cells: Cells,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    pair: tuple[Binding, Binding],
) -> None:
    """Bound, called and settled through the global database, which has nothing of it itself."""
    ids = [new_call_id() for _ in BLOCKS]
    async with AdmissionStore(dsn, keys, connections=2) as admissions:
        await until_async(lambda: admissions.pool.connected)
        for block, call_id in zip(BLOCKS, ids, strict=True):
            call = a_call(HERE[block], block.number(1))
            answer, _ = await admit_as_router(admissions, call, call_id)
            assert answer.admitted
        # A batch of lines of both cells is split.
        ends = [an_end(each, x=block.number(1)) for block, each in zip(BLOCKS, ids, strict=True)]
        assert not (await admissions.settle(ends)).broken
    assert call_states(connection) == dict.fromkeys(ids, "settled")
    apart = [[NORTH.value], [SOUTH.value]]
    for table in ("binding", "call", "block"):
        assert rows_of(cells, dsn, table) == apart
    # Lists go through all cells by one cursor.
    first, second = pair
    assert newest(store) == [second.id, first.id]
    assert newest(store, limit=1, after=store.find(second.id).cursor) == [first.id]
    assert newest(store, party=B) == [second.id, first.id]
    assert {each.id for each in store.end_order("O-1")} == {first.id, second.id}
    assert {store.find(each.id).state for each in pair} == {BindingState.ORDER_ENDED}


def test_what_becomes_of_texts_is_told_in_front(
    cells: Cells,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
) -> None:
    """Reported and discarded by the global database; forgotten as the links of each cell are."""
    names = []
    for block, carried in ((NORTH, True), (SOUTH, False)):
        made = bound(store, block, messages=Messages.BOTH)
        x = made.parties[0].dials
        assert x is not None
        name = name_message(block, store.now(), block.value)
        values = asked(keys, HERE[block], x, name)
        if carried:
            values |= {"link_in": CARRIED, "link_out": CARRIED, "body": None}
        row = connection.execute(query("admit_message"), values).fetchone()
        assert row is not None
        assert row["admitted"]
        names.append(name)
    records = MessageRecords(connection)
    for _ in range(2):
        assert records.report(names[0], MessageState.DELIVERED)["state"] == "delivered"
    with pytest.raises(MessageOver):
        records.report(names[0], MessageState.UNDELIVERED)
    assert records.discard(names[1])["reason"] == "discarded"
    with pytest.raises(MessageOver):
        records.discard(names[1])
    south = cells.dsns(dsn)[1]
    with cells.connect(south) as cell:
        cell.execute(
            b"INSERT INTO agi_router.message_link (name, holder, node, until, heard_at)"
            b" VALUES ('away', 'h', 'n', now(), now() - interval '1 hour')"
        )
    connection.execute(b"UPDATE agi_router.message_seen SET at = now() - interval '20 minutes'")
    assert Queries(connection).row("forget_seen_messages", {"limit": 9}) == {"rows": 1}
    assert rows_of(cells, dsn, "message_seen") == [[], [SOUTH.value]]


def test_new_numbers_come_from_both(
    store: BindingStore, connection: Connection, keys: KeyRing
) -> None:
    """Where nobody says a number, one is drawn from the blocks of all cells."""
    assert store
    drawn = set()

    def has_drawn_both() -> bool:
        # A store stays in one block for a while.
        fresh = BindingStore(connection, keys, NO_REST)
        drawn.add(fresh.bind(Axb(a=A, b=C), Terms(expires_at=fresh.now() + HOUR)).id.block)
        return drawn == set(BLOCKS)

    until(has_drawn_both)


async def test_ids_of_cells_are_no_others(
    dsn: str, store: BindingStore, keys: KeyRing, connection: Connection
) -> None:
    """A number that B is shown is made in the cell, whose ids the global database never gives."""
    terms = Terms(expires_at=store.now() + HOUR)
    parent = store.bind(Axyb(a=A, b=B, y_ttl=HOUR), terms, x=NORTH.number(1))
    async with AdmissionStore(dsn, keys, connections=2) as admissions:
        await until_async(lambda: admissions.pool.connected)
        answer, _ = await admit_as_router(admissions, a_call(A, NORTH.number(1)), new_call_id())
        assert answer.admitted
    child = one(connection, "SELECT max(id) FROM agi_router.binding")
    assert child >= 10_000_000_000_000 > parent.id.id


async def test_a_tenant_is_switched_off_in_all_cells(
    cells: Cells, dsn: str, connection: Connection, keys: KeyRing, pair: tuple[Binding, Binding]
) -> None:
    """A row of the global database, which reaches each cell by replication and by nothing else."""
    assert pair
    cells.hurry()
    stores = [AdmissionStore(each, keys, connections=1) for each in cells.dsns(dsn)]
    async with stores[0] as north, stores[1] as south:
        places = list(zip((north, south), BLOCKS, strict=True))
        for admissions, block in places:
            assert isinstance(await called(admissions, block), Route)
        TenantStore(Queries(connection)).set_active("default", active=False)
        for admissions, block in places:
            decision = await called(admissions, block)
            while not isinstance(decision, Refusal):
                decision = await called(admissions, block)
            assert decision.reason == "tenant_suspended"


def test_a_router_that_notes_keys_first_keeps_nothing_away(
    cells: Cells, dsn: str, connection: Connection, keys: KeyRing
) -> None:
    """What the global database says of keys takes the place of it, and all else comes, too."""
    cells.hurry()
    north, _ = cells.dsns(dsn)
    added = keys.with_new("seal", 2)
    with connect(north) as cell:
        check_keys(cell, keys)
        check_keys(cell, added)
        noted = states(cell)
    check_keys(connection, keys)
    check_keys(connection, added)
    with connection.transaction():
        make_current(Queries(connection), {"seal": 2})
    TenantStore(Queries(connection)).set_active("default", active=False)
    with connect(north) as cell:
        until(lambda: not one(cell, "SELECT active FROM agi_router.tenant WHERE name = 'default'"))
        assert states(cell) == states(connection) != noted


def states(connection: Connection) -> list[dict[str, Any]]:
    """What a database says of keys."""
    asked = "SELECT kind, id, state, seen_at FROM agi_router.key ORDER BY kind, id"
    return connection.execute(asked).fetchall()


async def called(admissions: AdmissionStore, block: Block) -> Decision:
    """What becomes of a call to the first number of a block."""
    await until_async(lambda: admissions.pool.connected)
    call = a_call(HERE[block], block.number(1))
    return (await admit_as_router(admissions, call, new_call_id()))[1]


@pytest.fixture
def without_south(cells: Cells, pair: tuple[Binding, Binding]) -> Iterator[Cells]:
    """The south is dead, as a machine is that has lost its power; commits wait for it no more."""
    assert pair
    cells.hurry()
    south = cells.cells[1]
    south.kill()
    yield cells
    if not south.runs:
        south.start()


async def test_a_dead_cell_takes_nobody_along(
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    tmp_path: Path,
    pair: tuple[Binding, Binding],
    without_south: Cells,
) -> None:
    """What is done on a block asks its cell alone; what is of all says that one is missing."""
    first, second = pair
    call_id = new_call_id()
    async with AdmissionStore(dsn, keys, connections=2) as admissions:
        await until_async(lambda: admissions.pool.connected)
        call = a_call(HERE[NORTH], NORTH.number(1))
        answer, _ = await admit_as_router(admissions, call, call_id)
        assert answer.admitted
        stranger = a_call(A, NORTH.number(2))
        answer, decision = await admit_as_router(admissions, stranger, new_call_id())
        assert isinstance(decision, Refusal)
        assert not (await admissions.settle([an_end(call_id, x=NORTH.number(1))])).broken
    later = store.bind(Axb(a=A, b=C), Terms(expires_at=store.now() + HOUR), x=NORTH.number(3))
    store.extend(later.id, store.now() + 2 * HOUR)
    assert store.unbind(later.id).state is BindingState.UNBOUND
    # Nobody has said that it is away: nothing is told that is not whole.
    for ask in (
        lambda: newest(store),
        lambda: store.find(second.id),
        lambda: store.unbind(second.id),
    ):
        with pytest.raises(StoreUnavailable, match=r"cell .* does not answer"):
            ask()
    assert store.find(first.id).state is BindingState.ACTIVE
    with without_south.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, true)", (NAMES[1],))
    assert newest(store) == [first.id]
    assert store.bind(Axb(a=A, b=C), Terms(expires_at=store.now() + HOUR)).id.block == NORTH
    assert [each.id for each in store.end_order("O-1")] == [first.id]
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"), "PATH": "/bin"}
    told = run(["tenant", "list"], env)
    assert told.code == 0
    assert "south" in told.err
    assert "missing" in told.err
    # It comes back with all that it had, and what was done meanwhile reaches it.
    TenantStore(Queries(connection)).set_active("default", active=False)
    without_south.cells[1].start()
    with without_south.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, false)", (NAMES[1],))
    assert store.find(second.id).state is BindingState.ACTIVE
    with connect(without_south.dsns(dsn)[1]) as south:
        until(
            lambda: not one(south, "SELECT active FROM agi_router.tenant WHERE name = 'default'")
        )


@pytest.mark.usefixtures("store")
def test_a_proxy_in_front_knows_where_a_block_is(dsn: str, tmp_path: Path) -> None:
    """The tables have each block at the nodes of its cell, also of one that is away."""
    env = {"AGI_ROUTER_DSN": dsn}
    assert run(["cell", "away", "west"], env).code == 2
    assert run(["cell", "away", NAMES[1]], env).code == 0
    listed = run(["cell", "list", "--json"], env).json
    assert [(each["name"], each["away"], each["blocks"]) for each in listed] == [
        (NAMES[0], False, 1),
        (NAMES[1], True, 1),
    ]
    lines = [f"node {name} 192.0.2.{serial}" for serial, name in enumerate(NAMES, 1)]
    typed = "\n".join([*lines, "trunk carrier 198.51.100.1"])
    command = ["cell", "export", "--kamailio", str(tmp_path), "--places", "-"]
    assert run(command, env, typed=typed).code == 0
    assert (tmp_path / "blocks").read_text().splitlines()[1:] == [
        f"{NORTH}:0:1:1:0",
        f"{SOUTH}:0:1:2:0",
    ]
    assert (tmp_path / "dispatcher.list").read_text().splitlines() == [
        "1 sip:192.0.2.1:5060",
        "2 sip:192.0.2.2:5060",
    ]
    assert run(["cell", "back", NAMES[1]], env).code == 0
    assert not any(each["away"] for each in run(["cell", "list", "--json"], env).json)


def test_an_api_keys_quota_is_that_of_all_cells(
    cells: Cells, connection: Connection, store: BindingStore
) -> None:
    """It is counted where keys are, and a bind that is refused is not."""
    cells.hurry()
    store.api_key = "abcdefghijklmnop"
    connection.execute(
        "INSERT INTO agi_router.api_key (id, tenant_id, place, form, label, scopes, networks,"
        " max_binds, digest, expires_at) SELECT %s, t.id, 1, 'bearer', 'x', '{}', '{}', 3,"
        " sha256('x'), now() + interval '1 day' FROM agi_router.tenant t",
        (store.api_key,),
    )
    parties = [Axb(a=new_party(), b=B) for _ in range(4)]
    for each in parties[:3]:
        store.bind(each, Terms(expires_at=store.now() + HOUR))
    with pytest.raises(QuotaExceeded):
        store.bind(parties[3], Terms(expires_at=store.now() + HOUR))
    assert len(newest(store)) == 3
    assert one(connection, "SELECT binds FROM agi_router.api_key_use") == 3


def test_what_is_read_only_changes_no_cell(connection: Connection, store: BindingStore) -> None:
    """It reads what is in cells."""
    made = bound(store, NORTH)
    queries = Queries(connection)
    with queries.snapshot():
        assert store.find(made.id).parties == made.parties
    with pytest.raises(StoreUnavailable, match="takes no writes"), queries.snapshot():
        store.extend(made.id, store.now() + 2 * HOUR)
    assert store.find(made.id).expires_at == made.expires_at


def test_what_was_bound_is_not_bound_again(connection: Connection, store: BindingStore) -> None:
    """It stays in its cell though another transaction was in the way of the rest."""
    queries = Queries(connection)
    tried: list[int] = []

    def work() -> None:
        tried.append(len(tried))
        with queries.transaction(), translated():
            if len(tried) > 1:
                store.bind(Axb(a=new_party(), b=B), Terms(expires_at=store.now() + HOUR))
            connection.execute("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")

    with pytest.raises(StoreUnavailable, match="40001"):
        queries.again(work)
    # What has not bound is done again.
    assert tried == [0, 1]
    assert len(newest(store)) == 1
