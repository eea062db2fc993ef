"""Bindings: made whole or not at all, one caller on one number has one, races have one winner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import pytest

from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Axb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Counting, Direction, Language, Side
from agi_router.calls.decision import Refusal, decide
from agi_router.cli.exit_codes import exit_code
from agi_router.db.connection import Connection, connect
from agi_router.errors import (
    AgiRouterError,
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    BlockExists,
    BlockInUse,
    BlockNotFound,
    ExpiryInvalid,
    NoNumberAvailable,
    SameParty,
    StoreError,
)
from agi_router.inventory.model import BlockState
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from harness.database import (
    HOUR,
    NO_REST,
    Clock,
    a_call,
    bind,
    expire,
    look_up,
    new_party,
    on_each_version,
    one,
    set_clock,
    until,
)
from harness.values import BLOCK, A, B, C, D, X, Y

pytestmark = on_each_version

OTHER_BLOCK = Block.parse("70012345679")

Stores = Callable[[], BindingStore]


@pytest.fixture
def stores(dsn: str, keys: KeyRing) -> Iterator[Stores]:
    """Open stores with connections of their own."""
    with ExitStack() as stack:
        yield lambda: BindingStore(stack.enter_context(connect(dsn)), keys, NO_REST)


def connection_of(store: BindingStore) -> Connection:
    return store._queries._connection


def rows(connection: Connection) -> tuple[int, int, int]:
    """Count bindings, routes and past routes."""
    count = "SELECT count(*) FROM agi_router.{}"
    bindings, routes, past = (
        int(one(connection, count.format(table))) for table in ("binding", "route", "past_route")
    )
    return bindings, routes, past


def sides(binding: Binding) -> dict[Side, tuple[PhoneNumber, XNumber | None]]:
    return {party.side: (party.number, party.dials) for party in binding.parties}


def reason(store: BindingStore, caller: PhoneNumber, x: XNumber = X) -> Reason | None:
    """Return why a call would be refused."""
    looked = look_up(store, a_call(caller, x), at=None)
    decision = decide(a_call(caller, x), looked.facts, now=looked.now)
    return decision.reason if isinstance(decision, Refusal) else None


def test_bind_on_a_number(store: BindingStore) -> None:
    """Both parties dial the number asked for; all that was agreed is kept."""
    expires_at = store.now() + HOUR
    made = store.bind(
        Axb(a=A, b=B),
        Terms(
            expires_at=expires_at,
            max_calls=10,
            counting=Counting.ATTEMPTS,
            direction=Direction.A,
            ring_timeout=timedelta(seconds=20),
            max_duration=timedelta(minutes=30),
            language=Language.EN,
            order_id="A-1001",
        ),
        x=X,
    )
    assert sides(made) == {Side.A: (A, X), Side.B: (B, X)}
    assert (made.id.block, made.mode, made.state) == (BLOCK, "axb", BindingState.ACTIVE)
    assert (made.expires_at, made.max_calls, made.calls_used) == (expires_at, 10, 0)
    assert (made.counting, made.direction) == (Counting.ATTEMPTS, Direction.A)
    assert made.ring_timeout == timedelta(seconds=20)
    assert made.max_duration == timedelta(minutes=30)
    assert (made.language, made.order_id, made.tenant) == (Language.EN, "A-1001", "default")
    assert made.begins_at <= store.now()
    assert made.ended_at is None
    assert store.find(made.id) == made
    assert store.bindings(everything=False, order_id="A-1001", limit=10) == [made]
    assert store.bindings(everything=False, order_id="A-1002", limit=10) == []


def test_number_is_chosen(store: BindingStore) -> None:
    """Without a number one is chosen from the open blocks; a pair gets another each time."""
    store.inventory.add_block(OTHER_BLOCK, operator=None, certificate=None)
    made = [bind(store, x=None) for _ in range(20)]
    numbers = {sides(each)[Side.A][1] for each in made}
    assert len(numbers) == 20
    assert {x.block for x in numbers if x} <= {BLOCK, OTHER_BLOCK}


def test_number_is_shared_by_strangers(store: BindingStore) -> None:
    """A number on which neither party is bound can be used for another pair."""
    first, second = bind(store), bind(store, C, D)
    assert sides(first)[Side.A][1] == sides(second)[Side.A][1] == X
    for caller in (A, B, C, D):
        assert reason(store, caller) is None


@pytest.mark.parametrize(
    ("a", "b", "holder"),
    [(A, C, A), (C, A, A), (B, C, B), (C, B, B)],
    ids=["a-as-a", "a-as-b", "b-as-a", "b-as-b"],
)
def test_conflict_names_party_and_binding(
    a: PhoneNumber,
    b: PhoneNumber,
    holder: PhoneNumber,
    connection: Connection,
    store: BindingStore,
) -> None:
    """A party that is on the number already is named, masked, with the binding that holds it."""
    made = bind(store)
    before = rows(connection)
    with pytest.raises(BindingConflict) as caught:
        bind(store, a, b)
    text = str(caught.value)
    assert caught.value.constraint == "route_pkey"
    assert f"{holder.masked} is on {X} already, by binding {made.id};" in text
    assert text.count("already") == 1
    assert caught.value.__cause__ is None
    for number in (A, B, C):
        assert number.digits not in text
    assert rows(connection) == before


def test_conflict_names_all(store: BindingStore) -> None:
    """If both are on the number, by two bindings, both are told."""
    first, second = bind(store, A, B), bind(store, C, D)
    with pytest.raises(BindingConflict) as caught:
        bind(store, A, C)
    assert str(first.id) in str(caught.value)
    assert str(second.id) in str(caught.value)


def test_same_party(connection: Connection, store: BindingStore) -> None:
    """Nobody is bound with himself."""
    for x in (X, None):
        with pytest.raises(SameParty):
            bind(store, A, A, x=x)
    assert rows(connection) == (0, 0, 0)


@pytest.mark.parametrize(
    "life",
    [timedelta(0), -HOUR, timedelta(days=90, seconds=5), timedelta(days=36500)],
)
def test_expiry_out_of_bounds(
    life: timedelta, connection: Connection, store: BindingStore
) -> None:
    """A binding ends later than now and within ninety days, also when it is extended."""
    with pytest.raises(ExpiryInvalid):
        bind(store, life=life)
    assert rows(connection) == (0, 0, 0)
    made = bind(store)
    with pytest.raises(ExpiryInvalid):
        store.extend(made.id, store.now() + life)
    assert store.find(made.id) == made


def test_expiry_of_ninety_days(store: BindingStore) -> None:
    """Ninety days are allowed."""
    assert bind(store, life=timedelta(days=90)).state is BindingState.ACTIVE


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ("UPDATE agi_router.block SET state = 'draining'", NoNumberAvailable),
        ("UPDATE agi_router.block SET state = 'returned'", NoNumberAvailable),
        (
            "UPDATE agi_router.block SET valid_until = now() - interval '1s'",
            NoNumberAvailable,
        ),
        ("UPDATE agi_router.block SET valid_from = now() + interval '1h'", NoNumberAvailable),
        ("UPDATE agi_router.block SET tenant_id = 1001", NoNumberAvailable),
        ("DELETE FROM agi_router.block", BlockNotFound),
        ("UPDATE agi_router.tenant SET active = false WHERE name = 'default'", StoreError),
    ],
    ids=["draining", "returned", "certificate-over", "not-yet", "tenant", "not-ours", "inactive"],
)
def test_block_is_closed(
    change: str, error: type[AgiRouterError], connection: Connection, store: BindingStore
) -> None:
    """A block that takes no new bindings takes none, asked for by number or not."""
    connection.execute("INSERT INTO agi_router.tenant (id, name) VALUES (1001, 'other')")
    connection.execute(change.encode())
    with pytest.raises(error):
        bind(store)
    with pytest.raises(NoNumberAvailable if error is BlockNotFound else error):
        bind(store, x=None)
    assert rows(connection) == (0, 0, 0)


def test_block_kept_for_a_tenant(connection: Connection, store: BindingStore) -> None:
    """Its own tenant may bind in it; a tenant that is not there may not bind at all."""
    connection.execute("INSERT INTO agi_router.tenant (id, name) VALUES (1001, 'other')")
    connection.execute("UPDATE agi_router.block SET tenant_id = 1001")
    assert bind(store, tenant="other").tenant == "other"
    assert bind(store, x=None, tenant="other").id.block == BLOCK
    with pytest.raises(StoreError, match="nobody"):
        bind(store, tenant="nobody")


def test_block_added_twice(store: BindingStore) -> None:
    """A block that is there stays as it is."""
    store.inventory.add_block(OTHER_BLOCK, operator="Mobile", certificate="1")
    with pytest.raises(BlockExists, match=str(OTHER_BLOCK)):
        store.inventory.add_block(OTHER_BLOCK, operator="Telecom", certificate="2")
    bind(store)
    ended = bind(store, C, D)
    store.unbind(ended.id)
    assert [
        (b["block"], b["operator"], b["certificate"], b["bindings"])
        for b in store.inventory.blocks()
    ] == [
        (BLOCK.value, None, None, 1),
        (OTHER_BLOCK.value, "Mobile", "1", 0),
    ]


def occupy(
    connection: Connection, keys: KeyRing, holder: Binding, party: PhoneNumber, free: set[int]
) -> None:
    """Put *party* on every number of the block but those at *free*."""
    with connection.cursor().copy(
        "COPY agi_router.route (block, x_number, caller_tag, binding_id, shown, side, callee,"
        " ends_at) FROM STDIN"
    ) as copy:
        for serial in range(10_000):
            x = BLOCK.number(serial)
            if x != X and serial not in free:
                tag = keys.tag(party)
                end = holder.expires_at
                row = (BLOCK.value, x.value, tag, holder.id.id, x.value, "a", b"-", end)
                copy.write_row(row)


def test_party_on_every_number(connection: Connection, store: BindingStore, keys: KeyRing) -> None:
    """The last free number is found; where none is left, that is said."""
    holder = bind(store)
    occupy(connection, keys, holder, A, free={7777})
    last = bind(store, A, C, x=None)
    assert sides(last)[Side.A][1] == BLOCK.number(7777)
    before = rows(connection)
    with pytest.raises(NoNumberAvailable, match="no 700 number can be had"):
        bind(store, D, A, x=None)
    assert rows(connection) == before
    # Others are not kept out by it.
    assert bind(store, C, D, x=None).state is BindingState.ACTIVE
    store.unbind(last.id)
    again = bind(store, A, D, x=None)
    assert sides(again)[Side.A][1] == BLOCK.number(7777)


def test_what_is_told_where_no_number_is_left(
    connection: Connection, store: BindingStore, keys: KeyRing
) -> None:
    """Which rule took how many; a tenant hears it of its own blocks, where nobody else is."""
    occupy(connection, keys, bind(store), A, free=set())
    store.inventory.tenants.add("rides")
    rides = store.within(store.inventory.tenants.scope("rides"))
    wanted: dict[str, Any] = {"x": None, "tenant": "rides"}
    closed = Block.parse("70012345699")
    store.inventory.add_block(closed, operator=None, certificate=None)
    store.inventory.set_block_state(closed, BlockState.DRAINING)
    met = {"resting": 0, "party_met": 10_000}
    told: list[NoNumberAvailable] = []
    for asking in (store, rides):
        with pytest.raises(NoNumberAvailable) as caught:
            bind(asking, D, A, **wanted)
        told.append(caught.value)
    assert [each.rules for each in told] == [{**met, "draining": 10_000}, {}]
    assert str(told[1]) == "no 700 number can be had for these parties"
    connection.execute(
        "UPDATE agi_router.block SET tenant_id = t.id FROM agi_router.tenant t"
        " WHERE t.name = 'rides' AND block = %s",
        [BLOCK.value],
    )
    with pytest.raises(NoNumberAvailable, match="of 10,000 numbers in 1 open block") as caught:
        bind(rides, D, A, **wanted)
    assert caught.value.rules == met


def test_no_block(connection: Connection, store: BindingStore) -> None:
    """Without any block the error says how to get one."""
    connection.execute(b"DELETE FROM agi_router.block")
    with pytest.raises(NoNumberAvailable, match="agi-router block add"):
        bind(store, x=None)


@pytest.mark.parametrize("end", ["expired", "unbound", "order_ended"])
def test_place_of_an_ended_binding_is_taken(
    end: str, connection: Connection, store: BindingStore
) -> None:
    """It still shows its parties afterwards, and who was not replaced still hears its reason."""
    old = bind(store)
    match end:
        case "expired":
            expire(connection, old.id)
        case "unbound":
            store.unbind(old.id)
        case _:
            connection.execute(
                b"UPDATE agi_router.binding SET state = 'order_ended', ended_at = now()"
            )
    assert reason(store, A) is Reason(end)
    new = bind(store, A, C)
    found = store.find(old.id)
    assert found.state is BindingState(end)
    assert found.ended_at is not None
    assert found.ended_at == found.expires_at or end != "expired"
    assert sides(found) == {Side.A: (A, X), Side.B: (B, X)}
    assert sides(store.find(new.id)) == {Side.A: (A, X), Side.B: (C, X)}
    assert rows(connection) == (2, 3, 1)
    assert [reason(store, caller) for caller in (A, B, C)] == [None, Reason(end), None]
    # And the other one.
    bind(store, B, D)
    assert rows(connection) == (3, 4, 2)
    assert sides(store.find(old.id)) == {Side.A: (A, X), Side.B: (B, X)}
    everything = store.bindings(everything=True, order_id=None, limit=10)
    assert [each.id for each in everything] == sorted(
        (each.id for each in everything), reverse=True
    )
    assert old.id in {each.id for each in everything}
    assert old.id not in {
        each.id for each in store.bindings(everything=False, order_id=None, limit=10)
    }


def test_same_pair_again_and_again(connection: Connection, store: BindingStore) -> None:
    """A pair may be bound on one number as often as the binding before has ended."""
    for _ in range(4):
        made = bind(store)
        expire(connection, made.id)
    assert rows(connection) == (4, 2, 6)
    for each in store.bindings(everything=True, order_id=None, limit=10):
        assert sides(each) == {Side.A: (A, X), Side.B: (B, X)}
        assert each.state is BindingState.EXPIRED


def test_unbind(store: BindingStore) -> None:
    """A binding ends now, once; its uses and parties still show."""
    made = bind(store)
    ended = store.unbind(made.id)
    assert (ended.state, ended.parties) == (BindingState.UNBOUND, made.parties)
    assert ended.ended_at is not None
    assert ended.ended_at <= store.now()
    with pytest.raises(BindingEnded, match="unbound"):
        store.unbind(made.id)
    with pytest.raises(BindingEnded, match="unbound"):
        store.extend(made.id, store.now() + HOUR)
    assert reason(store, A) is Reason.UNBOUND


def test_expired_cannot_change(connection: Connection, store: BindingStore) -> None:
    """What the clock has ended is neither extended nor unbound."""
    made = bind(store)
    expire(connection, made.id)
    with pytest.raises(BindingEnded, match="expired"):
        store.extend(made.id, store.now() + HOUR)
    with pytest.raises(BindingEnded, match="expired"):
        store.unbind(made.id)
    assert store.find(made.id).state is BindingState.EXPIRED


def test_extend(store: BindingStore) -> None:
    """The end moves to a later time and never to an earlier one."""
    made = bind(store)
    later = made.expires_at + HOUR
    assert store.extend(made.id, later).expires_at == later
    assert store.extend(made.id, later).expires_at == later
    with pytest.raises(ExpiryInvalid, match="earlier"):
        store.extend(made.id, made.expires_at)
    assert store.find(made.id).expires_at == later


@pytest.mark.parametrize(
    "text", ["", "1", "x-1", "70012345678", "70012345678-", "70012345678-x", "70012345678-\u0661"]
)
def test_name_of_no_binding(text: str) -> None:
    """What cannot be a binding's name is not there."""
    with pytest.raises(BindingNotFound):
        BindingId.parse(text)


@pytest.mark.parametrize("text", ["70012345678-999", "70099999999-1", f"70012345678-{10**30}"])
def test_binding_is_not_there(text: str, store: BindingStore) -> None:
    """A binding that does not exist is said so, whatever is asked of it."""
    name = BindingId.parse(text)
    with pytest.raises(BindingNotFound):
        store.find(name)
    with pytest.raises(BindingNotFound):
        store.unbind(name)
    with pytest.raises(BindingNotFound):
        store.extend(name, store.now() + HOUR)


FAULTS = {
    # In the middle of the routes.
    "route": "CREATE TRIGGER fault BEFORE INSERT ON agi_router.route FOR EACH ROW"
    " WHEN (NEW.side = 'b') EXECUTE FUNCTION public.fault()",
    "binding": "CREATE TRIGGER fault AFTER INSERT ON agi_router.binding FOR EACH ROW"
    " EXECUTE FUNCTION public.fault()",
    "past route": "CREATE TRIGGER fault BEFORE INSERT ON agi_router.past_route FOR EACH ROW"
    " EXECUTE FUNCTION public.fault()",
}


@pytest.mark.parametrize("place", FAULTS)
def test_never_half_written(
    place: str, connection: Connection, cell: Connection, store: BindingStore
) -> None:
    """Wherever binding fails, nothing of it stays; what was there is as it was."""
    old = bind(store)
    expire(connection, old.id)
    before = rows(connection)
    cell.execute(
        b"CREATE FUNCTION public.fault() RETURNS trigger LANGUAGE plpgsql AS"
        b" $$ BEGIN RAISE EXCEPTION 'fault'; END $$"
    )
    cell.execute(FAULTS[place].encode())
    with pytest.raises(StoreError, match="P0001"):
        bind(store)
    assert rows(connection) == before
    assert one(connection, "SELECT state FROM agi_router.binding") == "active"


def test_conflict_leaves_the_expired_alone(connection: Connection, store: BindingStore) -> None:
    """Where one place is free and the other is not, the free one is not cleared either."""
    old = bind(store, A, C)
    expire(connection, old.id)
    bind(store, B, D)
    before = rows(connection)
    with pytest.raises(BindingConflict):
        bind(store, A, B)
    assert rows(connection) == before
    assert one(connection, "SELECT state FROM agi_router.binding WHERE id = %s", old.id.id) == (
        "active"
    )


@pytest.mark.parametrize(
    "terms",
    [
        {"max_duration": timedelta(hours=5)},
        {"ring_timeout": timedelta(seconds=1)},
        {"order_id": "x" * 129},
        {"order_id": "\0"},
        {"max_calls": 2**31},
        {"max_calls": 0},
    ],
    ids=str,
)
def test_terms_out_of_bounds(
    terms: dict[str, Any], connection: Connection, store: BindingStore
) -> None:
    """Terms that the schema does not take fail whole, and are not taken for a schema too old."""
    with pytest.raises(StoreError) as caught:
        bind(store, **terms)
    assert exit_code(caught.value) == 70
    assert rows(connection) == (0, 0, 0)


def race(works: list[Callable[[], Binding]]) -> list[Binding | BaseException]:
    """Do all at the same moment; return what came of each."""
    barrier = Barrier(len(works))

    def run(work: Callable[[], Binding]) -> Binding | BaseException:
        barrier.wait()
        try:
            return work()
        except AgiRouterError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_race_for_one_place(connection: Connection, stores: Stores, store: BindingStore) -> None:
    """Of several who bind A on X at once, in either role, one wins and the others conflict."""
    opened = [stores() for _ in range(6)]
    for round_ in range(10):
        x = BLOCK.number(100 + round_)
        # A place that must be cleared first, every other time.
        if round_ % 2:
            expire(connection, bind(store, x=x).id)
        pairs = [(A, new_party()) if n % 2 else (new_party(), A) for n in range(len(opened))]
        results = race(
            [
                lambda each=each, pair=pair, x=x: bind(each, *pair, x=x)  # type: ignore[misc]
                for each, pair in zip(opened, pairs, strict=True)
            ]
        )
        winners = [result for result in results if isinstance(result, Binding)]
        losers = [result for result in results if isinstance(result, BindingConflict)]
        assert (len(winners), len(losers)) == (1, len(opened) - 1)
        assert all(str(winners[0].id) in str(loser) for loser in losers)
        alive = store.bindings(everything=False, order_id=None, limit=100)
        assert [each for each in alive if sides(each)[Side.A][1] == x] == winners
        assert reason(store, A, x) is None


def test_race_of_the_same_pair(stores: Stores) -> None:
    """The same two parties, bound at once in both orders: one wins, nobody waits in a circle."""
    opened = [stores() for _ in range(4)]
    opened[0].inventory.add_block(BLOCK, operator=None, certificate=None)
    for round_ in range(10):
        x = BLOCK.number(100 + round_)
        results = race(
            [
                lambda each=each, pair=pair, x=x: bind(each, *pair, x=x)  # type: ignore[misc]
                for each, pair in zip(opened, [(A, B), (B, A), (A, B), (B, A)], strict=True)
            ]
        )
        assert sum(isinstance(result, Binding) for result in results) == 1
        assert sum(isinstance(result, BindingConflict) for result in results) == 3


def test_race_for_numbers_to_choose(store: BindingStore, stores: Stores) -> None:
    """Those who let numbers be chosen for one party at once get one each."""
    opened = [stores() for _ in range(6)]
    for _ in range(3):
        results = race([lambda each=each: bind(each, A, new_party(), x=None) for each in opened])  # type: ignore[misc]
        assert all(isinstance(result, Binding) for result in results)
    alive = store.bindings(everything=False, order_id=None, limit=100)
    assert len({sides(each)[Side.A][1] for each in alive}) == len(alive) == 18


def waits_for_lock(connection: Connection, waiting: Connection) -> bool:
    pid = waiting.info.backend_pid
    return bool(
        one(connection, "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %s", pid)
    )


def test_a_conflict_in_a_transaction(store: BindingStore, connection: Connection) -> None:
    """It is explained, and the transaction goes on."""
    bind(store)
    with connection.transaction():
        with pytest.raises(BindingConflict, match="already, by binding"):
            bind(store)
        made = bind(store, C, D)
    assert store.find(made.id).state is BindingState.ACTIVE


@pytest.mark.parametrize("first", ["extend", "bind"])
def test_extended_at_the_moment_its_place_is_taken(
    first: str, clock: Clock, keys: KeyRing, store: BindingStore, stores: Stores, cell: Connection
) -> None:
    """One sees the binding alive and extends it, one sees it expired and binds: one wins."""
    assert clock
    old = bind(store)
    # Two clocks, or the same one before and after the moment.
    now = {"extend": old.expires_at - timedelta(microseconds=1), "bind": old.expires_at}
    holder, waiter = BindingStore(cell, keys, NO_REST), stores()
    second = "bind" if first == "extend" else "extend"
    by = {first: holder, second: waiter}
    later = old.expires_at + HOUR
    works: dict[str, Callable[[], Binding]] = {
        "extend": lambda: by["extend"].extend(old.id, later),
        "bind": lambda: by["bind"].bind(Axb(a=A, b=C), Terms(expires_at=later), x=X),
    }
    with ThreadPoolExecutor(1) as pool:
        set_clock(cell, now[first])
        with cell.transaction():
            works[first]()
            set_clock(connection_of(waiter), now[second])
            late = pool.submit(works[second])
            until(lambda: one(cell, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
        with pytest.raises(BindingConflict if second == "bind" else BindingEnded):
            late.result(timeout=10)
    if first == "extend":
        assert store.find(old.id).state is BindingState.ACTIVE
        assert store.find(old.id).expires_at == old.expires_at + HOUR
    else:
        assert store.find(old.id).state is BindingState.EXPIRED
        assert sides(store.find(old.id)) == {Side.A: (A, X), Side.B: (B, X)}


def test_unbound_and_bound_again_at_once(
    connection: Connection, store: BindingStore, stores: Stores
) -> None:
    """Whoever binds while the place is being given up gets it or a conflict, nothing else."""
    for round_ in range(10):
        x = BLOCK.number(100 + round_)
        old = bind(store, x=x)
        one_store, other = stores(), stores()
        results = race(
            [
                lambda s=one_store, old=old: s.unbind(old.id),  # type: ignore[misc]
                lambda s=other, x=x: bind(s, A, C, x=x),  # type: ignore[misc]
            ]
        )
        assert isinstance(results[0], Binding)
        assert isinstance(results[1], (Binding, BindingConflict))
        assert reason(store, A, x) is (None if isinstance(results[1], Binding) else Reason.UNBOUND)
        assert sides(store.find(old.id)) == {Side.A: (A, x), Side.B: (B, x)}
    assert rows(connection)[0] >= 10


def test_times_are_utc(store: BindingStore) -> None:
    """Times come with their zone, and that is UTC."""
    made = bind(store)
    for moment in (made.begins_at, made.expires_at, store.now()):
        assert moment.utcoffset() == timedelta(0)
    assert abs(store.now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_order_ends(connection: Connection, store: BindingStore) -> None:
    """All its live bindings end at once and say why; others, and those that were over, stay."""
    unbound = store.unbind(bind(store, order_id="A-1", x=Y).id)
    expired = bind(store, C, D, order_id="A-1", x=Y)
    expire(connection, expired.id)
    mine = [bind(store, order_id="A-1"), bind(store, C, D, order_id="A-1")]
    other = bind(store, order_id="A-2", x=BLOCK.number(3))
    nobodys = bind(store, x=BLOCK.number(4))
    ended = store.end_order("A-1")
    assert [each.id for each in ended] == [each.id for each in mine]
    for each in ended:
        assert each.state is BindingState.ORDER_ENDED
        assert each.ended_at is not None
        assert each.ended_at <= store.now()
        assert store.find(each.id) == each
    assert [reason(store, party) for party in (A, B, C, D)] == [Reason.ORDER_ENDED] * 4
    assert store.find(unbound.id).state is BindingState.UNBOUND
    assert store.find(expired.id).state is BindingState.EXPIRED
    for each in (other, nobodys):
        assert store.find(each.id).state is BindingState.ACTIVE
    with pytest.raises(BindingEnded, match="over already"):
        store.end_order("A-1")
    with pytest.raises(BindingNotFound, match="no binding was made for this order"):
        store.end_order("A-3")
    # The places are free again.
    assert bind(store).state is BindingState.ACTIVE


def test_an_order_ends_for_two_at_once(store: BindingStore, stores: Stores) -> None:
    """Who comes second finds nothing left to end, and neither waits for the other in a circle."""
    opened = [stores() for _ in range(3)]
    for round_ in range(5):
        made = [bind(store, new_party(), new_party(), order_id=f"A-{round_}") for _ in range(6)]
        barrier = Barrier(len(opened))

        def end(
            each: BindingStore,
            barrier: Barrier = barrier,
            order: str = f"A-{round_}",
        ) -> list[Binding]:
            barrier.wait()
            try:
                return each.end_order(order)
            except BindingEnded:
                return []

        with ThreadPoolExecutor(len(opened)) as pool:
            results = list(pool.map(end, opened))
        assert sorted(map(len, results)) == [0, 0, len(made)]


def test_a_block_drains_and_is_returned(store: BindingStore) -> None:
    """Draining: no new bindings, calls go on. Returned: no calls; only when nobody is bound."""
    made = bind(store)
    assert store.inventory.set_block_state(BLOCK, BlockState.DRAINING)["state"] == "draining"
    assert reason(store, A) is None
    for x in (Y, None):
        with pytest.raises(NoNumberAvailable):
            bind(store, C, D, x=x)
    with pytest.raises(BlockInUse, match=rf"1 binding\(s\) live in block {BLOCK}, the last until"):
        store.inventory.set_block_state(BLOCK, BlockState.RETURNED)
    assert reason(store, A) is None
    # What lives may be extended meanwhile, and ends as any other.
    store.extend(made.id, made.expires_at + HOUR)
    store.unbind(made.id)
    assert store.inventory.set_block_state(BLOCK, BlockState.RETURNED)["state"] == "returned"
    assert reason(store, A) is Reason.CERTIFICATE_INVALID
    with pytest.raises(NoNumberAvailable):
        bind(store)
    assert store.inventory.set_block_state(BLOCK, BlockState.ACTIVE)["state"] == "active"
    assert reason(store, A) is Reason.UNBOUND
    bind(store)


def test_an_expired_binding_does_not_keep_a_block(
    connection: Connection, store: BindingStore
) -> None:
    """Nobody need have noticed that it is over."""
    expire(connection, bind(store).id)
    assert store.inventory.set_block_state(BLOCK, BlockState.RETURNED)["state"] == "returned"


@pytest.mark.parametrize("state", BlockState)
def test_state_of_no_block(state: BlockState, store: BindingStore) -> None:
    """A block that is not ours has no state; one that has the state already keeps it."""
    with pytest.raises(BlockNotFound, match=str(OTHER_BLOCK)):
        store.inventory.set_block_state(OTHER_BLOCK, state)
    for _ in range(2):
        assert store.inventory.set_block_state(BLOCK, state)["state"] == state


@pytest.mark.parametrize("first", ["bind", "return"])
def test_bound_at_the_moment_its_block_is_returned(
    first: str, dsn: str, store: BindingStore, stores: Stores
) -> None:
    """The second waits for the first and then sees it: no binding lives in a returned block."""
    binding, returning = stores(), stores()
    works: dict[str, Callable[[], object]] = {
        "bind": lambda: bind(binding),
        "return": lambda: returning.inventory.set_block_state(BLOCK, BlockState.RETURNED),
    }
    holder, waiter = (binding, returning) if first == "bind" else (returning, binding)
    second = "return" if first == "bind" else "bind"
    with connect(dsn) as looking, ThreadPoolExecutor(1) as pool:
        connection_of(holder).execute("BEGIN")
        works[first]()
        late = pool.submit(works[second])
        until(lambda: waits_for_lock(looking, connection_of(waiter)))
        connection_of(holder).execute("COMMIT")
        with pytest.raises(BlockInUse if second == "return" else NoNumberAvailable):
            late.result(timeout=10)
    assert (reason(store, A) is None) is (first == "bind")
