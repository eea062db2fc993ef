"""Events of all cells are told, and pulled, from the global database, each once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from cells.conftest import BLOCKS
from cells.test_cells import HERE, bound

from agi_router.bindings.model import Binding
from agi_router.bindings.store import BindingStore
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.rights import Purpose, check_rights, grant
from agi_router.events.deliverer import Deliverer
from agi_router.events.deliveries import DeliveryStore
from agi_router.events.fetching import fetch_events
from agi_router.events.model import Event, EventType
from agi_router.events.store import EventStore
from agi_router.inventory.capacity import Quarantine, StockLimits
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.notices import Notices
from harness.cells import NAMES, Cells
from harness.database import (
    a_call,
    admit_as_router,
    an_end,
    database_of,
    expire,
    new_call_id,
    one,
    until,
    until_async,
)
from harness.receiver import Receiver
from harness.values import B

NORTH, SOUTH = BLOCKS
TENANT = "default"
TYPES = [EventType.BINDING_CREATED, EventType.CALL_ENDED, EventType.BINDING_ENDED]
CREATED = f"agi_router.{EventType.BINDING_CREATED}"
WHO = "delivers_all"


@pytest.fixture
def events(connection: Connection, store: BindingStore) -> EventStore:
    """Where a webhook is made, and events are pulled."""
    return EventStore(Queries(connection), store.keys)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Who is sent events."""
    with Receiver() as running:
        yield running


@pytest.fixture
def deliver_dsn(cells: Cells, dsn: str, connection: Connection) -> Iterator[str]:
    """The global database for a role that delivers, and may do no more."""
    with cells.admin() as admin:
        admin.execute(f"CREATE ROLE {WHO} LOGIN")
    grant(connection, WHO, Purpose.DELIVER)
    yield cells.dsn(database_of(dsn), user=WHO)
    with cells.admin(database_of(dsn)) as admin:
        admin.execute(f"DROP OWNED BY {WHO}; DROP ROLE {WHO}")


@contextmanager
def delivering(dsn: str, keys: KeyRing) -> Iterator[None]:
    """Deliver meanwhile, and then until all that is under way has ended."""
    with connect(dsn) as own:
        check_rights(own, Purpose.DELIVER)
    stop = threading.Event()
    deliverer = Deliverer(lambda _: connect(dsn, timeout=30), lambda: keys, allowed=["127.0.0.1"])
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def told_of(receiver: Receiver) -> Counter[tuple[str, str]]:
    """Which bindings were told of, by what, and how often."""
    return Counter((each.told["subject"], each.told["type"]) for each in receiver.received)


def pulled(events: EventStore) -> list[Event]:
    """All that is pulled, two at a time."""
    found: list[Event] = []
    place = None
    while (page := events.events(TENANT, after=place, limit=2)).events:
        for event, parties in page.events:
            assert parties
            found.append(event)
        place = page.next
    return found


def tell_end(cell: Connection) -> None:
    """Tell in a cell that its bindings ended."""
    cell.execute(
        "SELECT agi_router.tell_binding(block, id, 'binding.ended') FROM agi_router.binding"
    )


async def called_in_its_cell(cells: Cells, dsn: str, keys: KeyRing, made: Binding) -> None:
    """A call to a binding, by a router that knows its cell alone."""
    number = BLOCKS.index(made.id.block)
    async with AdmissionStore(cells.dsns(dsn)[number], keys, connections=1) as admissions:
        await until_async(lambda: admissions.pool.connected)
        call_id = new_call_id()
        x = made.id.block.number(1)
        answer, _ = await admit_as_router(admissions, a_call(HERE[made.id.block], x), call_id)
        assert answer.admitted
        await admissions.settle([an_end(call_id, Outcome.ANSWERED, x=x)])


async def test_all_cells_are_told_of(
    cells: Cells,
    dsn: str,
    deliver_dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """Sent once by two deliverers with the parties, in each binding's order, and pulled once."""
    webhook, secret = events.add(TENANT, receiver.url, TYPES)
    made = [bound(store, block) for block in BLOCKS]
    for each in made:
        await called_in_its_cell(cells, dsn, keys, each)
        expire(connection, each.id)
    expected = Counter((str(each.id), f"agi_router.{event}") for each in made for event in TYPES)
    with delivering(deliver_dsn, keys), delivering(deliver_dsn, keys):
        until(lambda: told_of(receiver) == expected)
    of_each: dict[str, list[str]] = {}
    for got in receiver.received:
        told = got.verified(secret)
        assert told["data"]["parties"]["b"] == [B.masked]
        of_each.setdefault(told["subject"], []).append(told["type"])
    assert set(map(tuple, of_each.values())) == {tuple(f"agi_router.{each}" for each in TYPES)}
    assert Counter((str(each.binding), f"agi_router.{each.type}") for each in pulled(events)) == (
        expected
    )
    assert not events.webhooks()[0][1].owed
    # As after a promotion in a cell: it is read anew, and nothing is told twice.
    before = pulled(events)
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("UPDATE agi_cells.fetched SET life = 'another'")
    assert [each.id for each in pulled(events)] == [each.id for each in before]
    assert not events.webhooks()[0][1].owed
    assert events.resend(webhook.id) == len(before)


def test_a_dead_cell_keeps_no_other_from_being_told_of(
    cells: Cells,
    dsn: str,
    deliver_dsn: str,
    store: BindingStore,
    keys: KeyRing,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """What the others have is told; what it has, also where it was fetched, when it is back."""
    events.add(TENANT, receiver.url, TYPES)
    cells.hurry()
    fetched = bound(store, SOUTH)
    assert [each.binding for each in pulled(events)] == [fetched.id]
    (event,) = [each.id for each in pulled(events)]
    south = cells.cells[1]
    south.kill()
    try:
        # Whether or not somebody has noticed.
        assert events.event(event)[1] == {}
        assert [parties for _, parties in events.events(TENANT, limit=9).events] == [{}]
        alive = bound(store, NORTH)
        with delivering(deliver_dsn, keys):
            until(lambda: told_of(receiver) == Counter([(str(alive.id), CREATED)]))
            south.start()
            with cells.admin(database_of(dsn)) as admin:
                # By itself it would be asked again a minute later.
                admin.execute("UPDATE agi_cells.fetched SET retry_at = '-infinity'")
                admin.execute("UPDATE agi_router.delivery SET next_at = now()")
            until(lambda: told_of(receiver)[str(fetched.id), CREATED] == 1)
    finally:
        if not south.runs:
            south.start()


def test_a_cell_that_stands_still_keeps_no_other_from_being_told_of(
    cells: Cells,
    dsn: str,
    deliver_dsn: str,
    store: BindingStore,
    keys: KeyRing,
    events: EventStore,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who has a session to it is given up with that session, and the others are asked."""
    for place in ("fetching", "parties"):
        monkeypatch.setattr(f"agi_router.events.{place}.ANSWER", 0.5)
    events.add(TENANT, receiver.url, TYPES)
    cells.hurry()
    before = bound(store, SOUTH)
    south = cells.cells[1]
    try:
        with delivering(deliver_dsn, keys):
            until(lambda: told_of(receiver)[str(before.id), CREATED] == 1)
            assert [each.binding for each in pulled(events)] == [before.id]
            south.freeze()
            alive = bound(store, NORTH)
            until(lambda: told_of(receiver)[str(alive.id), CREATED] == 1)
        with cells.admin(database_of(dsn)) as admin:
            # Who pulls finds it anew.
            admin.execute("UPDATE agi_cells.fetched SET retry_at = '-infinity'")
        with connect(dsn) as another:
            found = EventStore(Queries(another), keys).events(TENANT, limit=9).events
        parties = {event.binding: bool(of) for event, of in found}
        assert parties == {before.id: False, alive.id: True}
    finally:
        south.thaw()


def test_a_cell_that_is_away_holds_up_no_other(
    cells: Cells,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    keys: KeyRing,
    events: EventStore,
) -> None:
    """What it has is pulled without parties, is of no batch any more, and is put off."""
    webhook, _ = events.add(TENANT, "https://example.org/", TYPES, batch=9)
    made = [bound(store, block) for block in BLOCKS]
    assert Counter(each.binding for each in pulled(events)) == Counter(each.id for each in made)
    deliveries = DeliveryStore(connection)
    (due,) = deliveries.due(keys)
    batch = deliveries.claim_batch(due, keys)
    assert batch is not None
    assert len(batch[1]) == len(BLOCKS)
    with cells.admin(database_of(dsn)) as admin:
        admin.execute("SELECT agi_cells.set_away(%s, true)", (NAMES[1],))
    parties = {each.binding: of for each, of in events.events(TENANT, limit=9).events}
    assert [bool(parties[each.id]) for each in made] == [True, False]
    deliveries.expire_bindings()
    batches = "SELECT array_agg(batch ORDER BY block) FROM agi_router.delivery"
    with cells.admin(database_of(dsn)) as admin:
        assert one(admin, batches) == [batch[0], None]
    assert events.resend(webhook.id) == len(made)
    again = deliveries.claim_batch(due, keys)
    assert again is not None
    assert [each.parties is None for each in again[1]] == [False, True]


def test_a_clock_that_was_ahead(
    cells: Cells, dsn: str, store: BindingStore, events: EventStore
) -> None:
    """What a cell tells when its clock is right again is pulled, too."""
    events.set_types(TENANT, TYPES)
    made = bound(store, NORTH)
    with cells.connect(cells.dsns(dsn)[0]) as north:
        north.execute("UPDATE agi_router.event SET day = day + 30")
        assert len(pulled(events)) == 1
        store.unbind(made.id)
        assert [each.binding for each in pulled(events)] == [made.id] * 2


def test_who_tells_of_numbers(
    cells: Cells, dsn: str, connection: Connection, store: BindingStore
) -> None:
    """The global database, of the blocks of all cells together."""
    store.inventory.tenants.add("couriers")
    bound(store, NORTH, tenant="couriers")
    kept_for = "(SELECT id FROM agi_router.tenant WHERE name = 'couriers')"
    for change in (
        "tenant SET told = '{block.expiring,pool.low}' WHERE name = 'couriers'",
        "block SET valid_until = now() + interval '1 day'",
        f"block SET tenant_id = {kept_for} WHERE block = {SOUTH.value}",
    ):
        connection.execute(f"UPDATE agi_router.{change}".encode())
    for place, told in (*((cell, 0) for cell in cells.dsns(dsn)), (dsn, 3)):
        with connect(place) as own:
            notices = Notices(Queries(own), Quarantine(), StockLimits(free=100))
            assert sum(notices.steps()) == told
    fetch_events(Queries(connection))
    events = "SELECT data FROM agi_router.event WHERE type IN ('block.expiring', 'pool.low')"
    data = [row["data"] for row in connection.execute(events.encode()).fetchall()]
    assert {each.get("block", each.get("numbers")) for each in data} == {
        str(NORTH.value),
        str(SOUTH.value),
        10_000,
    }


def test_an_id_that_is_given_again(
    cells: Cells, dsn: str, store: BindingStore, events: EventStore
) -> None:
    """What a cell writes anew after a loss is owed; where it cannot be, the log says so."""
    events.add(TENANT, "https://example.org/", TYPES)
    made = bound(store, NORTH)
    assert [each.binding for each in pulled(events)] == [made.id]
    told: list[str] = []
    with cells.admin(database_of(dsn)) as admin, cells.connect(cells.dsns(dsn)[0]) as north:
        admin.add_notice_handler(lambda notice: told.append(str(notice.message_primary)))

        def again() -> None:
            least = one(north, "SELECT min(id) FROM agi_router.event")
            north.execute("SELECT setval('agi_router.event_id', %s, false)", (least,))
            north.execute("DELETE FROM agi_router.event")
            tell_end(north)
            admin.execute("SELECT agi_cells.visit(0, 0)")

        admin.execute("UPDATE agi_router.event SET day = day - 1")
        admin.execute("UPDATE agi_router.delivery SET day = day - 1, next_at = 'infinity'")
        again()
        owed = (
            "SELECT count(*) FROM agi_router.delivery JOIN agi_router.event USING (day, sequence)"
        )
        assert one(admin, f"{owed} WHERE type = 'binding.ended' AND next_at < 'infinity'") == 1
        assert told == []
        again()
        (warning,) = told
        assert "ids of 1 events again" in warning
