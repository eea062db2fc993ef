"""A block goes from one cell to the other: nothing is lost, doubled or rung in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import pytest
from cells.conftest import BLOCKS

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.decision import Route
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.consent.ledger import Act, Statement
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import (
    BlockMoves,
    BlockNotFound,
    RecordingKept,
    StoreError,
    StoreHeld,
    StoreUnavailable,
)
from agi_router.inventory.model import BlockState
from agi_router.inventory.moves import BlockMove, MoveStep
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block
from agi_router.recordings.store import RecordingLedger, RecordingStore
from agi_router.recordings.vault import Vault
from agi_router.tenants.store import TenantStore
from harness.cells import NAMES, Cells
from harness.cli import run
from harness.database import (
    HOUR,
    NO_REST,
    Server,
    a_call,
    admit_as_router,
    an_end,
    database_of,
    new_call_id,
    one,
    until,
    until_async,
)
from harness.recordings import keep_recording
from harness.values import A, B, C

NORTH, SOUTH = BLOCKS
FROM, TO = NAMES
ANSWERED = Outcome.ANSWERED
_LATE = f"""
SELECT agi_router.settle(ARRAY[{NORTH.value}], day, ARRAY['pbx1-' || at || '.1'],
                         ARRAY[{NORTH.number(1).value}], ARRAY[now()],
                         ARRAY['certificate_invalid'], ARRAY[NULL], ARRAY[NULL::integer],
                         ARRAY[NULL::integer], ARRAY[NULL],
                         ARRAY[NULL::integer], ARRAY[NULL::integer], ARRAY[NULL], ARRAY[false])
  FROM (SELECT (now() AT TIME ZONE 'UTC')::date, extract(epoch FROM now())::bigint) t (day, at)
"""
"""A call is settled in the database of a cell that no longer has its block."""


@pytest.fixture
def hurried(cells: Cells) -> Cells:
    """Commits that wait for no cell, as an operator has them: what comes late comes late."""
    cells.hurry()
    return cells


@pytest.fixture
def bound(store: BindingStore, hurried: Cells) -> Binding:
    """A binding in the north, and one there that is over."""
    assert hurried
    over = store.bind(Axb(a=A, b=C), Terms(expires_at=store.now() + HOUR), x=NORTH.number(2))
    store.unbind(over.id)
    terms = Terms(expires_at=store.now() + HOUR, max_calls=10)
    return store.bind(Axb(a=A, b=B), terms, x=NORTH.number(1))


def to_the_end(store: BindingStore) -> MoveStep:
    """Move the block of the north to the south."""
    return store.inventory.move(NORTH, TO).run(wait=0, opened=lambda: None)


def rows_in(cells: Cells, dsn: str) -> list[dict[str, int]]:
    """Of each cell, how many rows of the block each table has."""
    counted = []
    for number, cell in enumerate(cells.dsns(dsn)):
        with cells.cells[number].admin(database_of(cell)) as admin:
            names = [row["n"] for row in admin.execute("SELECT agi_cells.tables() AS n")]
            counted.append(
                {
                    name: found
                    for name in names
                    if (
                        found := one(
                            admin,
                            f"SELECT count(*) FROM agi_router.{name} WHERE block = {NORTH.value}",
                        )
                    )
                }
            )
    return counted


async def called(admissions: AdmissionStore, call_id: str) -> bool:
    """Whether a call of A to the first number is admitted."""
    call = a_call(A, NORTH.number(1))
    answer, decision = await admit_as_router(admissions, call, call_id)
    assert answer.admitted == isinstance(decision, Route)
    return answer.admitted


def test_every_table_with_a_block_goes_or_has_a_reason_to_stay(cells: Cells, dsn: str) -> None:
    """Whoever adds a table with a block says what becomes of it."""
    with cells.cells[0].admin(database_of(cells.dsns(dsn)[0])) as admin:
        having = {
            row["relname"]
            for row in admin.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
                " WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind IN ('r', 'p')"
                " AND NOT c.relispartition AND a.attname ~ '^(new_)?block$'"
            )
        }
        goes = {row["n"] for row in admin.execute("SELECT agi_cells.tables() AS n")}
        stays = {row["name"] for row in admin.execute("SELECT name FROM agi_cells.stays()")}
        assert not goes & stays
        assert goes | stays == having
    with cells.admin(database_of(dsn)) as admin:
        assert set(one(admin, "SELECT agi_cells.tables()")) == goes


async def test_all_of_a_block_goes(
    cells: Cells, dsn: str, store: BindingStore, keys: KeyRing, bound: Binding
) -> None:
    """Bindings, routes and calls; a call that was up is settled in its new cell, once."""
    north, south = (AdmissionStore(each, keys, connections=1) for each in cells.dsns(dsn))
    up, later, over = (new_call_id() for _ in range(3))
    async with north, south:
        await until_async(lambda: north.pool.connected and south.pool.connected)
        assert await called(north, over)
        assert not (await north.settle([an_end(over, ANSWERED, x=NORTH.number(1))])).broken
        assert await called(north, up)
        before = rows_in(cells, dsn)[0]
        at = to_the_end(store)
        # One call is up, in an Asterisk of the north.
        assert (at.step, at.waits) == ("follow", "calls")
        assert at.closed_for is not None
        left, there = rows_in(cells, dsn)
        assert left == {"call": 1}
        assert there == before
        assert store.find(bound.id).calls_used == 2
        assert store.inventory.block(NORTH)["state"] == "active"
        assert not await called(north, new_call_id())
        assert await called(south, later)
        # Its node settles with the cell that it has; so does one whose line comes twice.
        for _ in range(2):
            assert not (await north.settle([an_end(up, ANSWERED, x=NORTH.number(1))])).broken
        at = to_the_end(store)
        assert at.step == "done"
        assert not rows_in(cells, dsn)[0]
        assert not (await south.settle([an_end(later, ANSWERED, x=NORTH.number(1))])).broken
    found = store.find(bound.id)
    assert (found.calls_used, found.version) == (3, bound.version)
    assert store.unbind(bound.id).id == bound.id
    # Asked again, what has come since is fetched, and nothing is where there is nothing.
    assert to_the_end(store).step == "done"


async def test_who_is_killed_in_a_step_is_followed_by_another(
    cells: Cells, dsn: str, store: BindingStore, keys: KeyRing, bound: Binding
) -> None:
    """At each: what it has done in cells stays done, and is not written down; it is done again."""
    async with AdmissionStore(cells.dsns(dsn)[0], keys, connections=1) as north:
        await until_async(lambda: north.pool.connected)
        over = new_call_id()
        assert await called(north, over)
        assert not (await north.settle([an_end(over, x=NORTH.number(1))])).broken
    before = rows_in(cells, dsn)[0]
    at = store.inventory.move(NORTH, TO).step()
    steps = [at.step]
    while at.step != "done":
        with cells.connect(dsn) as killed:
            killed.execute("BEGIN")
            killed.execute(f"SELECT * FROM agi_router.step_move({NORTH.value}, '{TO}')")
            killed.execute("ROLLBACK")
        at = store.inventory.move(NORTH, TO).step()
        if at.waits is None and at.step != steps[-1]:
            steps.append(at.step)
    assert " ".join(steps) == (
        "prepare drain arrive close fence take_out send verify days take_in forget switch open"
        " share history send verify days take_in forget history reopen follow history finish done"
    )
    assert rows_in(cells, dsn) == [{}, before]
    assert store.find(bound.id) == bound
    assert store.inventory.block(NORTH)["state"] == "active"


@pytest.mark.parametrize("step", ["drain", "fence", "send", "take_in"])
def test_what_is_on_its_way_can_be_left_where_it_was(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding, step: str
) -> None:
    """Up to the moment in which the new cell alone has it."""
    before = rows_in(cells, dsn)
    way = store.inventory.move(NORTH, TO)
    while way.step().step != step:
        pass
    assert way.undo()
    assert rows_in(cells, dsn) == before
    assert store.find(bound.id) == bound
    assert not way.undo()
    assert to_the_end(store).step == "done"
    assert not way.undo()


def test_no_other_state_while_it_goes(dsn: str, store: BindingStore, bound: Binding) -> None:
    """It would be open in the midst of it, or forgotten at its end; behind that it is heard."""
    assert bound
    way = store.inventory.move(NORTH, TO)
    steps: list[str] = []
    while "reopen" not in steps:
        steps.append(way.step().step)
        for state in BlockState:
            with pytest.raises(BlockMoves, match="on its way to another cell"):
                store.inventory.set_block_state(NORTH, state)
    told = run(["block", "drain", str(NORTH)], {"AGI_ROUTER_DSN": dsn})
    assert told.code == 73
    assert way.step().step == "follow"
    store.inventory.set_block_state(NORTH, BlockState.DRAINING)
    assert to_the_end(store).step == "done"
    assert store.inventory.block(NORTH)["state"] == "draining"


async def test_calls_while_it_goes(
    cells: Cells, dsn: str, store: BindingStore, keys: KeyRing, bound: Binding
) -> None:
    """Callers everywhere, at both cells at once: ten uses are ten calls, wherever they were."""
    admitted: list[str] = []
    refused = 0
    moved = asyncio.Event()

    async def keeps_calling(admissions: AdmissionStore) -> None:
        nonlocal refused
        while not moved.is_set():
            call_id = new_call_id()
            if await called(admissions, call_id):
                admitted.append(call_id)
            else:
                refused += 1
            await asyncio.sleep(0.005)

    north, south = (AdmissionStore(each, keys, connections=2) for each in cells.dsns(dsn))
    async with north, south:
        await until_async(lambda: north.pool.connected and south.pool.connected)
        callers = [asyncio.create_task(keeps_calling(each)) for each in (north, south) * 4]
        at = await asyncio.to_thread(to_the_end, store)
        moved.set()
        await asyncio.gather(*callers)
        assert at.step == "follow"
        assert len(admitted) == 10
        assert refused
        for each in admitted:
            for admissions in (north, south):
                left = await admissions.settle([an_end(each, ANSWERED, x=NORTH.number(1))])
                assert not left.broken
    assert to_the_end(store).step == "done"
    found = store.find(bound.id)
    assert (found.calls_used, found.state) == (10, "used_up")
    rows = rows_in(cells, dsn)
    assert not rows[0]
    assert rows[1]["call"] >= 10


def test_whoever_writes_for_long_is_not_waited_for(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding
) -> None:
    """An import, say: the block takes calls again before five seconds are over."""
    with cells.connect(cells.dsns(dsn)[0]) as writer:
        writer.execute("BEGIN")
        writer.execute("LOCK TABLE agi_router.binding IN ROW EXCLUSIVE MODE")
        with pytest.raises(StoreHeld, match="writes for long in cell north"):
            to_the_end(store)
        assert store.find(bound.id) == bound
        writer.execute("ROLLBACK")
    assert to_the_end(store).step == "done"


async def test_a_recorded_call_waits_for_its_recording(
    cells: Cells, dsn: str, store: BindingStore, keys: KeyRing, bound: Binding
) -> None:
    """Whoever seals it in the old cell finds there whose call it is, and both go along."""
    assert bound
    call_id = new_call_id()
    north = cells.dsns(dsn)[0]
    async with AdmissionStore(north, keys, connections=1) as admissions:
        await until_async(lambda: admissions.pool.connected)
        assert await called(admissions, call_id)
        with cells.connect(north) as connection:
            connection.execute("UPDATE agi_router.call SET record = true")
            assert to_the_end(store).waits == "calls"
            left = await admissions.settle([an_end(call_id, ANSWERED, x=NORTH.number(1))])
            assert not left.broken
            assert to_the_end(store).waits == "calls"
            connection.execute(
                "INSERT INTO agi_router.recording (block, call_id, day, x_number, tenant_id,"
                " binding_id, state, gap, begun_at, length_ms, octets)"
                " SELECT block, id, day, x_number, tenant_id, binding_id, 'missing', 'lost',"
                " now(), 0, 0 FROM agi_router.call"
            )
    assert to_the_end(store).step == "done"
    rows = rows_in(cells, dsn)
    assert not rows[0]
    assert (rows[1]["call"], rows[1]["recording"]) == (1, 1)
    assert store.find(bound.id).calls_used == 1


def test_recordings_that_are_in_no_list(
    dsn: str,
    cells: Cells,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    bound: Binding,
    tmp_path: Path,
) -> None:
    """Their files stay; who deletes a recording has its cell's keeper remove its file."""
    assert bound
    north = cells.dsns(dsn)[0]
    ledger = RecordingLedger(Queries(connection))
    ledger.check_all_seen()
    store.inventory.move(NORTH, TO).step()
    with pytest.raises(RecordingKept, match=f"block.* {NORTH} are being moved"):
        ledger.check_all_seen()
    assert store.inventory.move(NORTH, TO).undo()
    connection.execute(b"SELECT agi_router.set_cell_away(%s, true)", [TO])
    with pytest.raises(RecordingKept, match=f"{TO} are away"):
        ledger.check_all_seen()
    connection.execute(b"SELECT agi_router.set_cell_away(%s, false)", [TO])
    access = tmp_path / "s3"
    access.touch(0o600)
    access.write_text("id\nsecret\n")
    env = {
        "AGI_ROUTER_DSN": north,
        "AGI_ROUTER_S3_ENDPOINT": "http://127.0.0.1:9",
        "AGI_ROUTER_S3_BUCKET": "recordings",
        "AGI_ROUTER_S3_CREDENTIALS_FILE": str(access),
    }
    told = run(["recording", "reconcile", "--remove"], env)
    assert (told.code, "use the DSN of the global one" in told.err) == (73, True)

    call_id, name = new_call_id(), "abcdefabcdefabcdef"
    with connect(north, idle=0) as own:
        binding, x = str(bound.id), str(NORTH.number(1))
        keep_recording(own, keys, tmp_path, binding=binding, x=x, call_id=call_id, name=name)
        vault = Vault(tmp_path)
        ledger.delete(RecordingStore(Queries(connection)).find(call_id), early=True)
        assert RecordingLedger(Queries(own)).erase_gone(vault.name, vault.erase) == 1
    assert vault.names() == []


def test_nothing_else_is_moved(store: BindingStore, bound: Binding, dsn: str) -> None:
    """No block that is not ours, to no cell that is not there or has it already."""
    with pytest.raises(BlockNotFound):
        store.inventory.move(Block(value=SOUTH.value + 1), TO).step()
    for name, why in ((FROM, "there"), ("west", "unknown")):
        at = store.inventory.move(NORTH, name).step()
        assert (at.step, at.waits) == ("refused", why)
    assert store.find(bound.id) == bound
    full = ["cell", "move", str(NORTH), "--to", TO, "--most", "0"]
    told = run(full, {"AGI_ROUTER_DSN": dsn})
    assert (told.code, "1 bindings live" in told.err) == (73, True)
    assert store.find(bound.id) == bound
    assert store.inventory.block(NORTH)["state"] == "active"
    assert not store.inventory.move(NORTH, TO).undo()
    told = run(["cell", "move", str(NORTH), "--to", "west"], {"AGI_ROUTER_DSN": dsn})
    assert told.code == 2
    assert "no such cell" in told.err


def test_the_operator_moves_and_looks(
    dsn: str, connection: Connection, bound: Binding, tmp_path: Any
) -> None:
    """By one command, which writes the proxy's tables once the block is there."""
    assert bound
    env = {"AGI_ROUTER_DSN": dsn}
    lines = [f"node {name} 192.0.2.{serial}" for serial, name in enumerate(NAMES, 1)]
    places = tmp_path / "places"
    places.write_text("\n".join([*lines, "trunk carrier 198.51.100.1"]))
    proxy = tmp_path / "proxy"
    proxy.mkdir()
    read = tmp_path / "read"
    command = ["cell", "move", str(NORTH), "--to", TO, "--json", "--kamailio", str(proxy)]
    command += ["--places", str(places), "--reload", f"touch {read}"]
    told = run(command, env)
    assert told.code == 0, told.err
    assert told.json["step"] == "done"
    assert told.json["rows"] > 0
    assert f"{NORTH}:0:1:2:0" in (proxy / "blocks").read_text()
    assert read.exists()
    assert one(connection, "SELECT subject FROM agi_router.audit ORDER BY id DESC LIMIT 1") == (
        f"block {NORTH} to cell {TO}"
    )
    north, south = run(["cell", "status", "--json"], env).json
    assert (north["name"], north["blocks"], north["numbers_free"]) == (FROM, 0, 0)
    assert (south["blocks"], south["bindings"], south["answers"]) == (2, 1, True)
    assert south["followed"]
    assert south["bytes_behind"] >= 0
    assert south["numbers_free"] > 0


@pytest.fixture
def south(cells: Cells) -> Iterator[Server]:
    """The server of the south, which a test kills."""
    yield cells.cells[1]
    if not cells.cells[1].runs:
        cells.cells[1].start()


@pytest.mark.parametrize("step", ["arrive", "send", "take_in"])
def test_a_cell_that_is_dead_gets_nothing(
    store: BindingStore,
    connection: Connection,
    bound: Binding,
    dsn: str,
    south: Server,
    step: str,
) -> None:
    """And the block stays where it was, with its calls; the list of cells says who is missing."""
    way = store.inventory.move(NORTH, TO)
    while way.step().step != step:
        pass
    south.kill()
    with pytest.raises(StoreUnavailable, match="does not answer"):
        way.run(wait=0, opened=lambda: None)
    assert store.find(bound.id) == bound
    state = one(connection, f"SELECT state FROM agi_router.block WHERE block = {NORTH.value}")
    assert state == "active"
    told = run(["cell", "status", "--json"], {"AGI_ROUTER_DSN": dsn}).json
    assert [each["answers"] for each in told] == [True, False]
    assert told[1]["numbers_free"] is None
    south.start()
    assert to_the_end(store).step == "done"
    assert store.find(bound.id) == bound


def up_to(store: BindingStore, step: str, block: Block = NORTH) -> BlockMove:
    """Move a block as far as a step that is to be taken next."""
    way = store.inventory.move(block, TO)
    while way.step().step != step:
        pass
    return way


def in_the_north(cells: Cells, dsn: str) -> Connection:
    """A superuser's connection to the database of the north."""
    return cells.cells[0].admin(database_of(cells.dsns(dsn)[0]))


def test_two_move_at_once(cells: Cells, dsn: str, store: BindingStore, bound: Binding) -> None:
    """Who prepares to move one block drops nothing of another one, which is on its way."""
    before = rows_in(cells, dsn)[0]
    up_to(store, "take_out")
    with in_the_north(cells, dsn) as one_moves, in_the_north(cells, dsn) as other_moves:
        one_moves.execute("BEGIN")
        one_moves.execute(f"SELECT agi_cells.set_aside(0, {NORTH.value}, NULL)".encode())
        with ThreadPoolExecutor(1) as beside:
            asked = f"SELECT agi_cells.prepare(0, {SOUTH.value})".encode()
            done = beside.submit(other_moves.execute, asked)
            wait([done], timeout=0.5)
            one_moves.execute("COMMIT")
            done.result()
        assert to_the_end(store).step == "done"
        assert rows_in(cells, dsn) == [{}, before]
        assert store.find(bound.id) == bound


def test_what_was_set_aside_has_to_be_there(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding
) -> None:
    """Nothing on either side is no agreement."""
    assert bound
    up_to(store, "send")
    with in_the_north(cells, dsn) as north:
        north.execute("DELETE FROM agi_cells.moving_route")
    with pytest.raises(StoreError):
        to_the_end(store)


def test_ends_wait_for_what_is_on_its_way(store: BindingStore, hurried: Cells, dsn: str) -> None:
    """An order, a withdrawal and a leaver end all that is theirs, or say that it cannot be now."""
    terms = Terms(expires_at=store.now() + HOUR, order_id="o1")
    store.add_group("default", "g", [A, C])
    first = store.bind(Axb(a=A, b=B), terms, x=NORTH.number(1))
    store.bind(Axb(a=A, b=C), terms, x=SOUTH.number(1))
    way = up_to(store, "verify")
    said = Statement(act=Act.WITHDRAWN)
    asked: list[Callable[[], Any]] = [
        lambda: store.end_order("o1"),
        lambda: store.withdraw(A, "default", said, by="x"),
        lambda: store.change_members("default", "g", leaving=[C]),
    ]
    for ask in asked:
        with pytest.raises(StoreHeld):
            ask()
    with hurried.connect(dsn) as reader:
        # Whoever reads a list for long keeps no call off.
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM agi_router.call")
        while way.step().waits != "lists":
            pass
        assert way.step().opened_at is not None
        with pytest.raises(StoreHeld):
            store.end_order("o1")
        reader.execute("ROLLBACK")
    assert to_the_end(store).step == "done"
    assert len(store.end_order("o1")) == 2
    assert store.find(first.id).state == "order_ended"


def test_what_is_there_already_is_not_wiped(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding
) -> None:
    """Where the global database was restored from before a move, and where rows came late."""
    assert to_the_end(store).step == "done"
    there = rows_in(cells, dsn)
    with in_the_north(cells, dsn) as north:
        north.execute(_LATE)
    way = store.inventory.move(NORTH, FROM)
    at = way.step()
    assert (at.step, at.waits) == ("refused", "late")
    assert to_the_end(store).step == "done"
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("DELETE FROM agi_cells.move")
        admin.execute(f"UPDATE agi_router.block SET cell = 0 WHERE block = {NORTH.value}".encode())
    with pytest.raises(StoreHeld, match="has rows of block"):
        to_the_end(store)
    assert rows_in(cells, dsn)[1].items() >= there[1].items()
    with cells.admin(database_of(dsn)) as admin:
        admin.execute(f"UPDATE agi_router.block SET cell = 1 WHERE block = {NORTH.value}".encode())
    assert store.find(bound.id) == bound


def test_an_undo_leaves_no_second_copy(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding, south: Server
) -> None:
    """What has come is deleted; where the cell is dead, as soon as it is asked for again."""
    before = rows_in(cells, dsn)
    for dies in (False, True):
        way = up_to(store, "take_in")
        with cells.connect(dsn) as killed:
            killed.execute("BEGIN")
            killed.execute(f"SELECT * FROM agi_router.step_move({NORTH.value}, '{TO}')".encode())
            killed.execute("ROLLBACK")
        if dies:
            south.kill()
        assert way.undo()
        if dies:
            assert store.find(bound.id) == bound
            south.start()
            until(way.undo)
        assert rows_in(cells, dsn) == before
        assert not way.undo()


def test_an_undo_waits_for_what_goes_on(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding
) -> None:
    """A cell may be at it still for a mover who was killed."""
    before = rows_in(cells, dsn)
    way = up_to(store, "take_out")
    with in_the_north(cells, dsn) as north:
        north.execute("BEGIN")
        north.execute(f"SELECT agi_cells.set_aside(0, {NORTH.value}, NULL)".encode())
        with ThreadPoolExecutor(1) as beside:
            undone = beside.submit(way.undo)
            wait([undone], timeout=0.5)
            north.execute("COMMIT")
            assert undone.result()
    assert rows_in(cells, dsn) == before
    assert store.find(bound.id) == bound


def test_a_cell_that_stands_still_in_the_midst_of_it(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding, south: Server
) -> None:
    """The step ends, and says why; the block is where it was, and goes when the cell does."""
    before = rows_in(cells, dsn)
    up_to(store, "take_in")
    way = BlockMove(store._queries, NORTH, TO, step_limit=1.5)
    south.freeze()
    try:
        with pytest.raises(StoreUnavailable, match="has said nothing for 2 s"):
            way.run(wait=0, opened=lambda: None)
    finally:
        south.thaw()
    with connect(dsn, idle=0) as again:
        moved = BindingStore(again, store.keys, NO_REST)
        assert moved.find(bound.id) == bound
        assert moved.inventory.block(NORTH)["state"] == "active"
        until(lambda: not moved.inventory.move(NORTH, TO).undo())
        assert rows_in(cells, dsn) == before
        assert to_the_end(moved).step == "done"


def test_another_state_waits_for_no_import(
    cells: Cells, dsn: str, store: BindingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever says it is told, as the cell would hear of nothing meanwhile."""
    monkeypatch.setattr("agi_router.inventory.store._WRITERS", 0.3)
    with cells.connect(cells.dsns(dsn)[0]) as writer:
        writer.execute("BEGIN")
        writer.execute("SELECT block FROM agi_router.block FOR KEY SHARE")
        with pytest.raises(StoreHeld, match="writes for long in the cell of block"):
            store.inventory.set_block_state(NORTH, BlockState.RETURNED)
        writer.execute("ROLLBACK")
    assert store.inventory.set_block_state(NORTH, BlockState.RETURNED)["state"] == "returned"


def test_a_cell_that_says_nothing(
    store: BindingStore, hurried: Cells, dsn: str, south: Server
) -> None:
    """It does not answer; who is away is not even asked."""
    assert store
    assert hurried
    env = {"AGI_ROUTER_DSN": dsn}
    south.freeze()
    try:
        for away in (False, True):
            told = run(["cell", "status", "--json"], env).json
            assert [each["answers"] for each in told] == [True, False]
            assert away or run(["cell", "away", TO], env).code == 0
    finally:
        south.thaw()


def test_who_holds_a_block_keeps_others_from_moving_it(
    cells: Cells, dsn: str, store: BindingStore, bound: Binding
) -> None:
    """An import would keep the cell from all that is written in the global database."""
    with cells.connect(cells.dsns(dsn)[0]) as writer:
        writer.execute("BEGIN")
        writer.execute("SELECT block FROM agi_router.block FOR KEY SHARE")
        with pytest.raises(StoreHeld, match="writes for long in cell north"):
            to_the_end(store)
        TenantStore(store._queries).set_active("default", active=False)

        def told() -> bool:
            with in_the_north(cells, dsn) as north:
                return not one(north, "SELECT bool_and(active) FROM agi_router.tenant")

        until(told)
        writer.execute("ROLLBACK")
    assert store.find(bound.id) == bound


def test_one_way_at_a_time(
    dsn: str, store: BindingStore, connection: Connection, bound: Binding
) -> None:
    """Another cell is refused while it moves, and what is refused is not on record."""
    assert bound
    env = {"AGI_ROUTER_DSN": dsn}
    acts = "SELECT count(*) FROM agi_router.audit WHERE act = 'cell move'"
    up_to(store, "drain")
    told = run(["cell", "move", str(NORTH), "--to", FROM], env)
    assert (told.code, "on its way from north to south" in told.err) == (2, True)
    assert one(connection, acts) == 0
    assert run(["cell", "move", str(NORTH), "--undo"], env).code == 0
    assert run(["cell", "move", str(NORTH), "--undo"], env).code == 2
    assert one(connection, acts) == 1
