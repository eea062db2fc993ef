"""The inventory: blocks and tenants, numbers that rest and remember, how numbers are chosen."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Axb, Axyb, Gxb
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Side
from agi_router.calls import store as admission_module
from agi_router.calls.decision import Refusal, decide
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import (
    BindingConflict,
    BlockNotFound,
    NoNumberAvailable,
    NumberResting,
    TenantExists,
    TenantNotFound,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.inventory.model import BlockState
from agi_router.keys.ring import KeyRing
from agi_router.numbers import BLOCK_SIZE, Block, PhoneNumber, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.service import gauges as gauges_module
from agi_router.service.gauges import DatabaseGauges
from harness.database import (
    HOUR,
    Clock,
    Server,
    a_call,
    bind,
    database_of,
    dials,
    look_up,
    new_party,
    on_each_version,
    one,
    set_clock,
)
from harness.values import BLOCK, A, B, C, D, X

pytestmark = on_each_version

RESTS = Quarantine(number=timedelta(minutes=10), party=timedelta(days=7))
TICK = timedelta(microseconds=1)
SECOND = Block.parse("70022345678")
THIRD = Block.parse("70032345678")


@pytest.fixture
def resting(shadowed: Connection, keys: KeyRing) -> BindingStore:
    """A store where numbers rest, with one block, whose clock can be set."""
    opened = BindingStore(shadowed, keys, RESTS)
    opened.inventory.add_block(BLOCK, operator=None, certificate=None)
    return opened


def x_of(binding: Binding, side: Side = Side.A) -> XNumber:
    return next(dials(party) for party in binding.parties if party.side is side)


def reason(store: BindingStore, caller: PhoneNumber, x: XNumber = X) -> Reason | None:
    looked = look_up(store, a_call(caller, x), at=None)
    decision = decide(a_call(caller, x), looked.facts, now=looked.now)
    return decision.reason if isinstance(decision, Refusal) else None


def anywhere(
    store: BindingStore,
    a: PhoneNumber = A,
    b: PhoneNumber = B,
    *,
    tenant: str = "default",
    **wishes: Any,
) -> Binding:
    terms = Terms(expires_at=store.now() + HOUR, tenant=tenant)
    return store.bind(Axb(a=a, b=b), terms, choice=NumberPolicy(**wishes))


# Quarantine.

ENDS: dict[str, Callable[[BindingStore, Connection, Binding], object]] = {
    "unbound": lambda store, _, made: store.unbind(made.id),
    "order": lambda store, _, __: store.end_order("A-1"),
    "expired": lambda _, connection, made: set_clock(connection, made.expires_at),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_number_rests_for_strangers(
    end: str, shadowed: Connection, resting: BindingStore
) -> None:
    """For all, from the end on however it came; the late caller hears what ended it."""
    made = bind(resting, order_id="A-1")
    ENDS[end](resting, shadowed, made)
    ended = resting.find(made.id).ended_at
    assert ended is not None
    until = ended + RESTS.number
    with pytest.raises(NumberResting, match=rf"{X} rests until {until:%Y-%m-%dT%H:%M:%S}"):
        bind(resting, C, D)
    heard = Reason.ORDER_ENDED if end == "order" else Reason(end)
    assert reason(resting, A) is heard
    set_clock(shadowed, until - TICK)
    with pytest.raises(NumberResting):
        bind(resting, C, D)
    set_clock(shadowed, until)
    bind(resting, C, D)
    # Strangers are on it now; who was on it before still hears of the old one, and meets nobody.
    assert [reason(resting, each) for each in (A, B, C)] == [heard, heard, None]


def test_a_number_rests_longer_for_a_party(shadowed: Connection, resting: BindingStore) -> None:
    """Who was on it may not meet somebody else on it; in words that show no number."""
    made = resting.unbind(bind(resting).id)
    assert made.ended_at is not None
    until = made.ended_at + RESTS.party
    for pair in ((A, C), (D, B)):
        set_clock(shadowed, until - TICK)
        with pytest.raises(NumberResting, match=r"139\*\*\*\*000. was on 7\d{14} by another"):
            bind(resting, *pair)
    set_clock(shadowed, until)
    again = bind(resting, A, C)
    assert reason(resting, A) is None
    assert reason(resting, B) is Reason.UNBOUND
    # And the one whose place was taken is remembered: B met A, not C.
    resting.unbind(again.id)
    set_clock(shadowed, until + RESTS.number)
    with pytest.raises(NumberResting):
        bind(resting, A, B, x=X)


def test_the_same_pair_needs_no_rest(shadowed: Connection, resting: BindingStore) -> None:
    """They meet nobody new, in either role, as often as they like; unless others rest there."""
    for pair in ((A, B), (B, A), (A, B)):
        resting.unbind(bind(resting, *pair).id)
    assert one(shadowed, "SELECT count(*) FROM agi_router.past_route") == 4
    set_clock(shadowed, resting.now() + RESTS.number)
    resting.unbind(bind(resting, C, D).id)
    with pytest.raises(NumberResting, match="because a binding on it ended"):
        bind(resting, A, B)


def test_a_part_of_a_group_is_no_stranger(resting: BindingStore) -> None:
    """Who were all in one group may meet on its number again; with one who was not, not."""
    terms = Terms(expires_at=resting.now() + HOUR)
    group = Gxb(members=(A, C), b=B, callback=Callback.DEFAULT)
    resting.unbind(resting.bind(group, terms, x=X).id)
    resting.unbind(bind(resting, C, B).id)
    with pytest.raises(NumberResting):
        bind(resting, C, D)


def test_who_joins_a_group(shadowed: Connection, resting: BindingStore) -> None:
    """Not one who was on its number with others; one who left it may come back."""
    resting.unbind(bind(resting, D, C).id)
    set_clock(shadowed, resting.now() + RESTS.number)
    terms = Terms(expires_at=resting.now() + HOUR)
    made = resting.bind(Gxb(members=(A,), b=B), terms, x=X)
    with pytest.raises(NumberResting, match=rf"^{D.masked[:3]}\S+ was on {X} by another binding"):
        resting.add_members(made.id, [D])
    fresh = new_party()
    for _ in range(2):
        resting.add_members(made.id, [fresh])
        resting.remove_member(made.id, fresh)
    # The number rests for others since a member has left it.
    with pytest.raises(NumberResting):
        bind(resting, new_party(), new_party())


def test_both_numbers_rest(resting: BindingStore) -> None:
    """Where a mode has two numbers, so it is with both."""
    y = BLOCK.number(2)
    pair = Axyb(a=A, b=B)
    terms = Terms(expires_at=resting.now() + HOUR)
    for _ in range(2):
        resting.unbind(resting.bind(pair, terms, x=X, y=y).id)
    for x in (X, y):
        with pytest.raises(NumberResting, match=str(x)):
            bind(resting, C, D, x=x)
    with pytest.raises(NumberResting):
        resting.bind(pair, terms, x=y, y=X)


def test_extended_and_expired(shadowed: Connection, resting: BindingStore) -> None:
    """A rest begins with the end that came, not with the one that was agreed first."""
    made = bind(resting)
    longer = resting.extend(made.id, made.expires_at + HOUR)
    set_clock(shadowed, made.expires_at + RESTS.number)
    bind(resting, C, D)
    set_clock(shadowed, longer.expires_at)
    with pytest.raises(NumberResting):
        bind(resting, new_party(), new_party())


def test_a_live_party_conflicts(resting: BindingStore) -> None:
    """Where nothing rests and a party is on the number, that is what is said."""
    bind(resting)
    with pytest.raises(BindingConflict):
        bind(resting, A, C)
    bind(resting, C, D)


# Blocks and tenants.


def test_a_block_with_all_that_is_known(resting: BindingStore) -> None:
    """What was given is shown; a block without an end has none."""
    resting.inventory.tenants.add("couriers")
    start, end = resting.now() - HOUR, resting.now() + HOUR
    resting.inventory.add_block(
        SECOND,
        operator="Mobile",
        certificate="7-1",
        tenant="couriers",
        valid_from=start,
        valid_until=end,
    )
    row = resting.inventory.block(SECOND)
    assert (row["tenant"], row["valid_from"], row["valid_until"]) == ("couriers", start, end)
    assert (row["operator"], row["certificate"], row["state"]) == ("Mobile", "7-1", "active")
    shared = resting.inventory.block(BLOCK)
    assert (shared["tenant"], shared["valid_from"], shared["valid_until"]) == (None,) * 3
    with pytest.raises(BlockNotFound):
        resting.inventory.block(THIRD)
    with pytest.raises(TenantNotFound, match="'nobody'"):
        resting.inventory.add_block(THIRD, operator=None, certificate=None, tenant="nobody")


def test_tenants(resting: BindingStore) -> None:
    """One is added once, suspended with its bindings and calls, and goes on."""
    inventory = resting.inventory
    inventory.tenants.add("couriers")
    with pytest.raises(TenantExists, match="'couriers'"):
        inventory.tenants.add("couriers")
    inventory.add_block(SECOND, operator=None, certificate=None, tenant="couriers")
    assert [(row["name"], row["active"], row["blocks"]) for row in inventory.tenants.all()] == [
        ("couriers", True, 1),
        ("default", True, 0),
    ]
    bind(resting, tenant="couriers")
    assert inventory.tenants.set_active("couriers", active=False)["active"] is False
    assert reason(resting, A) is Reason.TENANT_SUSPENDED
    with pytest.raises(TenantNotFound, match="no active tenant"):
        bind(resting, C, D, tenant="couriers")
    assert inventory.tenants.set_active("couriers", active=True)["active"] is True
    assert reason(resting, A) is None
    with pytest.raises(TenantNotFound):
        inventory.tenants.set_active("nobody", active=True)


def test_own_blocks_first(resting: BindingStore) -> None:
    """A tenant's numbers come from its own blocks, and from shared ones when those are full."""
    resting.inventory.tenants.add("couriers")
    resting.inventory.add_block(SECOND, operator=None, certificate=None, tenant="couriers")
    for _ in range(5):
        made = anywhere(resting, new_party(), new_party(), tenant="couriers")
        assert made.id.block == SECOND
        assert anywhere(resting, new_party(), new_party()).id.block == BLOCK
    resting.inventory.set_block_state(SECOND, BlockState.DRAINING)
    assert anywhere(resting, tenant="couriers").id.block == BLOCK
    resting.inventory.set_block_state(SECOND, BlockState.ACTIVE)
    with pytest.raises(NoNumberAvailable, match="is kept for another tenant"):
        bind(resting, C, D, x=SECOND.number(1))


def test_tenants_hear_of_their_numbers(connection: Connection, resting: BindingStore) -> None:
    """Whom a block is kept for, or who is bound in a shared one; once for each change."""
    for name in ("couriers", "rides", "meals"):
        resting.inventory.tenants.add(name)
    connection.execute("UPDATE agi_router.tenant SET told = '{number.changed}'")
    resting.inventory.add_block(SECOND, operator=None, certificate=None, tenant="couriers")
    assert anywhere(resting, tenant="rides").id.block == BLOCK
    for state in (BlockState.DRAINING, BlockState.DRAINING, BlockState.ACTIVE):
        for block in (BLOCK, SECOND):
            resting.inventory.set_block_state(block, state)
    told = connection.execute(
        "SELECT t.name, e.data ->> 'block' AS block, e.data ->> 'state' AS state,"
        " (e.data -> 'shared')::boolean AS shared FROM agi_router.event e"
        " JOIN agi_router.tenant t ON t.id = e.tenant_id ORDER BY e.id"
    ).fetchall()
    assert [tuple(row.values()) for row in told] == [
        (name, str(block), state, block == BLOCK)
        for state in ("draining", "active")
        for name, block in (("rides", BLOCK), ("couriers", SECOND))
    ]


def test_operator_digit(resting: BindingStore) -> None:
    """Only blocks with the digit asked for, chosen or given."""
    resting.inventory.add_block(SECOND, operator=None, certificate=None)
    for digit, block in ((1, BLOCK), (2, SECOND)):
        for _ in range(5):
            made = anywhere(resting, new_party(), new_party(), operator_digit=digit)
            assert made.id.block == block
    with pytest.raises(NoNumberAvailable, match=r"no block is open; 2 block\(s\) with another"):
        anywhere(resting, operator_digit=9)
    terms = Terms(expires_at=resting.now() + HOUR)
    with pytest.raises(NoNumberAvailable, match="another operator digit"):
        resting.bind(Axb(a=A, b=B), terms, x=X, choice=NumberPolicy(operator_digit=2))


# The choice.


def test_the_same_number_for_the_same_pair(shadowed: Connection, resting: BindingStore) -> None:
    """Both times asked for, in either role; not while they are bound there, nor across tenants."""
    first = anywhere(resting, same_x=Affinity.PREFER)
    second = anywhere(resting, B, A, same_x=Affinity.PREFER)
    assert x_of(second) != x_of(first)
    resting.unbind(second.id)
    resting.unbind(first.id)
    for pair in ((A, B), (B, A)):
        made = anywhere(resting, *pair, same_x=Affinity.PREFER)
        assert x_of(made) == x_of(second)
        resting.unbind(made.id)
    resting.inventory.tenants.add("couriers")
    assert x_of(anywhere(resting, tenant="couriers", same_x=Affinity.PREFER)) != x_of(second)
    # What was not to be remembered is not.
    assert one(shadowed, "SELECT count(pair_tag) FROM agi_router.binding") == 5
    plain = resting.unbind(anywhere(resting, C, D).id)
    assert one(shadowed, "SELECT count(pair_tag) FROM agi_router.binding") == 5
    assert x_of(anywhere(resting, C, D, same_x=Affinity.PREFER)) != x_of(plain)


def test_the_same_numbers_where_a_mode_has_two(resting: BindingStore) -> None:
    """Each party keeps its own, also when the sides change places."""
    choice = NumberPolicy(same_x=Affinity.PREFER)
    terms = Terms(expires_at=resting.now() + HOUR)
    first = resting.unbind(resting.bind(Axyb(a=A, b=B), terms, choice=choice).id)
    second = resting.bind(Axyb(a=B, b=A), terms, choice=choice)
    had = {party.number: party.dials for party in first.parties}
    assert {party.number: party.dials for party in second.parties} == had


def test_the_same_number_is_not_to_be_had(resting: BindingStore) -> None:
    """Where others rest on it, or its block is closed, another is chosen."""
    first = resting.unbind(anywhere(resting, same_x=Affinity.PREFER).id)
    resting.inventory.add_block(SECOND, operator=None, certificate=None)
    resting.inventory.set_block_state(BLOCK, BlockState.DRAINING)
    assert anywhere(resting, same_x=Affinity.PREFER).id.block == SECOND
    resting.inventory.set_block_state(BLOCK, BlockState.ACTIVE)
    assert x_of(first).block == BLOCK


def fill(
    connection: Connection,
    holder: Binding,
    serials: Callable[[int], bool],
    *,
    ended_ago: timedelta | None = None,
    block: Block = BLOCK,
) -> None:
    """Put routes on the numbers whose serials are wanted: live ones, or ones that have ended."""
    now = one(connection, "SELECT clock_timestamp()")
    end = holder.expires_at if ended_ago is None else now - ended_ago
    with connection.cursor().copy(
        "COPY agi_router.route (block, x_number, caller_tag, binding_id, shown, side, callee,"
        " ends_at) FROM STDIN"
    ) as copy:
        for serial in filter(serials, range(10_000)):
            x = block.number(serial).value
            copy.write_row((block.value, x, serial + 1, holder.id.id, x, "a", b"-", end))


def test_every_number_rests_but_one(shadowed: Connection, resting: BindingStore) -> None:
    """It is found, in the one block and the other; then the words count what rests."""
    holder = bind(resting, C, D)
    fill(shadowed, holder, lambda serial: serial != 77, ended_ago=timedelta(minutes=1))
    assert x_of(anywhere(resting)) == BLOCK.number(77)
    with pytest.raises(
        NoNumberAvailable,
        match=r"of 10,000 numbers in 1 open block\(s\) 9,999 rest, and on 1 more one of the"
        r" parties is already",
    ):
        anywhere(resting, A, C)


def test_avoid(shadowed: Connection, resting: BindingStore, keys: KeyRing) -> None:
    """As far as is remembered, and longer than anything rests: never a number twice."""
    holder = bind(resting, C, D)
    fill(shadowed, holder, lambda serial: serial not in {1, 5, 6}, ended_ago=timedelta())
    had = []
    for _ in range(2):
        made = anywhere(resting, same_x=Affinity.AVOID)
        had.append(x_of(made).serial)
        resting.unbind(made.id)
        set_clock(shadowed, resting.now() + RESTS.party * 2)
        shadowed.execute(
            "UPDATE agi_router.route SET ends_at = now() WHERE x_number NOT IN"
            " (SELECT x_number FROM agi_router.route WHERE caller_tag = %s AND x_number <> %s)",
            (keys.tag(A), X.value),
        )
    # 1 was free all the while but for the rest of what ended on it.
    assert set(had) <= {1, 5, 6}
    assert len(set(had)) == 2


def test_load_is_spread(resting: BindingStore, shadowed: Connection) -> None:
    """Of few numbers that are free, none is taken much more often than others."""
    holder = bind(resting, C, D)
    free = {10, 20, 30, 40}
    fill(shadowed, holder, lambda serial: serial not in free, ended_ago=timedelta())
    chosen = Counter(x_of(anywhere(resting, new_party(), new_party())).serial for _ in range(80))
    assert set(chosen) == free
    # One in forty is met by chance, alone, before the whole block is looked through.
    assert max(chosen.values()) - min(chosen.values()) <= 6


def test_the_words_name_what_closes_blocks(resting: BindingStore, shadowed: Connection) -> None:
    """Draining, returned, uncertified, kept: each with its count."""
    inventory = resting.inventory
    inventory.tenants.add("couriers")
    others = [Block(value=SECOND.value + n) for n in range(5)]
    inventory.add_block(others[0], operator=None, certificate=None, tenant="couriers")
    inventory.add_block(others[1], operator=None, certificate=None, valid_until=resting.now())
    for each in others[2:]:
        inventory.add_block(each, operator=None, certificate=None)
    inventory.set_block_state(others[2], BlockState.DRAINING)
    inventory.set_block_state(others[3], BlockState.RETURNED)
    inventory.set_block_state(others[4], BlockState.RETURNED)
    inventory.set_block_state(BLOCK, BlockState.DRAINING)
    with pytest.raises(NoNumberAvailable) as caught:
        anywhere(resting)
    words = str(caught.value)
    for part in (
        "no block is open",
        "2 block(s) draining",
        "2 block(s) returned",
        "1 block(s) outside the dates of their certificates",
        "1 block(s) kept for other tenants",
    ):
        assert part in words
    shadowed.execute("DELETE FROM agi_router.block")
    with pytest.raises(NoNumberAvailable, match="no block is ours"):
        anywhere(resting)


# The pool.


def test_statistics(shadowed: Connection, resting: BindingStore) -> None:
    """Bound, resting, free; and a forecast by what was held a day ago."""
    start = resting.now()
    set_clock(shadowed, start)
    week = timedelta(days=7)
    early = [bind(resting, new_party(), new_party(), x=BLOCK.number(n), life=week) for n in (1, 2)]
    bind(resting, new_party(), new_party(), x=BLOCK.number(1), life=week)
    set_clock(shadowed, start + timedelta(days=1))
    for n in range(3, 9):
        made = bind(resting, new_party(), new_party(), x=BLOCK.number(n))
        if n > 6:
            resting.unbind(made.id)
    (row,) = resting.inventory.statistics()
    assert (row["bound"], row["resting"], row["free"], row["growth"]) == (6, 2, 9992, 6)
    assert row["exhausted_at"] == start + timedelta(days=1) + timedelta(days=1) * 9992 / 6
    assert (row["block"], row["state"], row["tenant"]) == (str(BLOCK), "active", None)
    # A day later: two were held then too, six more are not any longer.
    set_clock(shadowed, start + timedelta(days=2, minutes=30))
    resting.unbind(early[0].id)
    (row,) = resting.inventory.statistics()
    # On the first number another pair is bound still.
    assert (row["bound"], row["resting"], row["free"]) == (2, 0, 9998)
    assert row["growth"] < 0
    assert row["exhausted_at"] is None
    free = resting.inventory.unrested(BLOCK)
    assert len(free) == 9999
    assert [x.serial for x, bound in free if bound] == [2]
    resting.inventory.set_block_state(BLOCK, BlockState.DRAINING)
    (row,) = resting.inventory.statistics()
    assert (row["state"], row["closed"]) == ("draining", "draining")


def test_statistics_of_what_is_locked(shadowed: Connection, resting: BindingStore) -> None:
    """A locked number is not free; of a locked block nothing can be had, nor before its time."""
    made = bind(resting, x=BLOCK.number(1))
    for serial in (1, 2, 3):
        thing = LockedThing(subject=Subject.NUMBER, number=BLOCK.number(serial))
        resting.locks.set(thing, LockReason.SECURITY_RISK, by="op@a")
    (row,) = resting.inventory.statistics()
    assert (row["bound"], row["locked"], row["free"], row["closed"]) == (1, 2, 9997, None)
    resting.unbind(made.id)
    (row,) = resting.inventory.statistics()
    assert (row["resting"], row["locked"], row["free"]) == (1, 2, 9997)
    whole = LockedThing(subject=Subject.BLOCK, block=BLOCK)
    lock = resting.locks.set(whole, LockReason.SECURITY_RISK, by="op@a")
    assert [each["closed"] for each in resting.inventory.statistics()] == ["locked"]
    resting.locks.lift(lock.id, by="op@a")
    shadowed.execute("UPDATE agi_router.block SET valid_until = now()")
    assert [each["closed"] for each in resting.inventory.statistics()] == ["uncertified"]


async def test_statistics_of_the_router(
    connection: Connection, dsn: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers of all active blocks, by state, and bindings alive: counted in pieces."""
    monkeypatch.setattr(gauges_module, "_REST", 0)
    monkeypatch.setattr(admission_module, "_COUNTED_BINDINGS", 2)
    # The last piece of a block is a short one.
    monkeypatch.setattr(admission_module, "_COUNTED_NUMBERS", 3_000)
    store = BindingStore(connection, keys, RESTS)
    for block in (BLOCK, SECOND, THIRD):
        store.inventory.add_block(block, operator=None, certificate=None)
        bind(store, new_party(), new_party(), x=block.number(1))
        # One more pair on the same number counts no more.
        bind(store, new_party(), new_party(), x=block.number(1))
    # The first number behind a piece, and the last of the block.
    bind(store, new_party(), new_party(), x=SECOND.number(3_000))
    bind(store, new_party(), new_party(), x=SECOND.number(BLOCK_SIZE - 1))
    store.unbind(bind(store, new_party(), new_party(), x=SECOND.number(2)).id)
    # It ends, and somebody else is on the number still.
    store.unbind(bind(store, new_party(), new_party(), x=SECOND.number(1)).id)
    store.inventory.set_block_state(THIRD, BlockState.DRAINING)
    async with AdmissionStore(dsn, keys, connections=1, quarantine=RESTS) as admissions:
        gauges = DatabaseGauges(admissions)
        assert (gauges.numbers, gauges.bindings, gauges.blocks) == ({}, 0, {})
        told: list[str] = []
        await gauges.look()
        await gauges.count_bindings(lambda: told.append("bindings"))
        await gauges.count_numbers(lambda: told.append("numbers"))
        # A sign of life after each piece: however many they are, each has its time.
        assert set(told) == {"bindings", "numbers"}
    assert gauges.numbers == {"bound": 4, "resting": 1, "free": 2 * BLOCK_SIZE - 5}
    assert gauges.bindings == 8
    assert gauges.blocks == {"active": 2, "draining": 1}


async def test_statistics_of_an_empty_service(dsn: str, keys: KeyRing) -> None:
    """Nothing there: nothing counted, and no fault."""
    async with AdmissionStore(dsn, keys, connections=1, quarantine=RESTS) as admissions:
        assert await admissions.count_bindings(after=None) is None
        assert await admissions.count_numbers(after=None) is None


# Many at once, and blocks that are nearly full.

Stores = Callable[[], BindingStore]


@pytest.fixture
def stores(dsn: str, keys: KeyRing) -> Iterator[Stores]:
    """Open stores with connections of their own, where numbers rest."""
    with ExitStack() as stack:
        yield lambda: BindingStore(stack.enter_context(connect(dsn)), keys, RESTS)


def test_many_bind_at_once(
    server: Server, dsn: str, connection: Connection, stores: Stores
) -> None:
    """64 clients at one block, some parties in common: no place twice, nobody in a circle."""
    clients = [stores() for _ in range(64)]
    clients[0].inventory.add_block(BLOCK, operator=None, certificate=None)
    common = [new_party() for _ in range(4)]
    barrier = Barrier(len(clients))

    def work(number: int) -> list[BindingId]:
        barrier.wait()
        made = []
        for turn in range(10):
            each = anywhere(clients[number], common[number % 4], new_party())
            made.append(each.id)
            if turn % 3 == 0:
                clients[number].unbind(each.id)
        return made

    with ThreadPoolExecutor(len(clients)) as pool:
        made = [each for found in pool.map(work, range(len(clients))) for each in found]
    assert len(set(made)) == 640
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 640
    # 160 bindings of each party in common, each on a number of its own.
    per_party = connection.execute(
        "SELECT caller_tag, x_number, count(*) AS n FROM agi_router.route GROUP BY 1, 2"
    ).fetchall()
    assert {row["n"] for row in per_party} == {1}
    assert one(connection, "SELECT count(*) FROM agi_router.route") == 1280
    with server.admin() as admin:
        assert (
            one(
                admin,
                "SELECT deadlocks FROM pg_stat_database WHERE datname = %s",
                database_of(dsn),
            )
            == 0
        )


@pytest.mark.parametrize("full", ["resting", "met"])
def test_a_block_nearly_full_is_not_searched_whole(
    full: str, shadowed: Connection, resting: BindingStore, keys: KeyRing
) -> None:
    """With one number in twenty free, a few statements find one: as a rule the first two looks."""
    holder = bind(resting, C, D)
    if full == "resting":
        fill(shadowed, holder, lambda serial: serial % 20 != 0, ended_ago=timedelta(minutes=1))
    else:
        fill(shadowed, holder, lambda serial: serial % 20 != 0)
        shadowed.execute(
            "UPDATE agi_router.route SET caller_tag = %s WHERE side = 'a' AND callee = '-'",
            (keys.tag(A),),
        )
    looks = []
    for _ in range(30):
        before = statements(resting)
        made = anywhere(resting, A, new_party())
        looks.append(statements(resting) - before)
        assert x_of(made).serial % 20 == 0 or x_of(made) == X
    assert statistics.median(looks) <= 5
    assert max(looks) < 12


def statements(store: BindingStore) -> int:
    """Count the statements that a store's connection has run."""
    return int(getattr(store._queries, "asked", 0))


@pytest.fixture(autouse=True)
def counting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let stores count what they ask."""
    for name in ("row", "rows"):
        inner = getattr(Queries, name)

        def counted(self: Any, *values: Any, inner: Any = inner) -> Any:
            self.asked = getattr(self, "asked", 0) + 1
            return inner(self, *values)

        monkeypatch.setattr(Queries, name, counted)


def test_an_empty_block_takes_two_statements(resting: BindingStore) -> None:
    """Where may it be and on which number, bind: nothing is asked twice."""
    before = statements(resting)
    terms = Terms(expires_at=resting.now() + HOUR)
    resting.bind(Axb(a=A, b=B), terms)
    assert statements(resting) - before == 3  # and the clock, for the test


def test_the_clock_is_the_databases(clock: Clock, resting: BindingStore) -> None:
    """A block's dates are judged by the database's clock."""
    assert clock
    resting.inventory.add_block(
        SECOND, operator=None, certificate=None, valid_from=resting.now() + HOUR
    )
    with pytest.raises(NoNumberAvailable, match="outside the dates"):
        bind(resting, x=SECOND.number(1))
    set_clock(resting._queries._connection, resting.now() + HOUR)
    bind(resting, x=SECOND.number(1))
