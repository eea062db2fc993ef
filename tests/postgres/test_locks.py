"""Locks: who neither calls, nor is called, nor is bound, from when and until when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axyb, Gxb
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback
from agi_router.calls.decision import AllocationNeeded, Decision, Refusal, Route, decide
from agi_router.calls.end import call_day
from agi_router.calls.rows import read_admission
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.queries import query
from agi_router.errors import (
    BlockExists,
    ExpiryInvalid,
    LockNotFound,
    LockOver,
    NoNumberAvailable,
    NumberLocked,
    OperatorOnly,
    PartyLocked,
    TenantExists,
    TenantLocked,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.file import load_key_ring, write_key_ring
from agi_router.keys.registry import KINDS, check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import Lock, LockedThing, LockState
from agi_router.persons.store import LockStore
from harness.cli import run
from harness.database import (
    HOUR,
    NO_REST,
    SOON,
    a_call,
    admit_as_router,
    bind,
    forged,
    new_call_id,
    on_each_version,
    on_one_server,
    one,
    set_clock,
    until,
    until_async,
)
from harness.pbx import Cli
from harness.values import BLOCK, A, B, C, D, X, Y

pytestmark = on_each_version

NOW = datetime(2030, 3, 1, 12, tzinfo=UTC)
OTHER = "others"
TEST = "a test"


def on_person(person: PhoneNumber, tenant: str | None = None) -> LockedThing:
    return LockedThing(subject=Subject.PERSON, person=person, tenant=tenant)


def on_number(number: XNumber) -> LockedThing:
    return LockedThing(subject=Subject.NUMBER, number=number)


def on_block(block: Block) -> LockedThing:
    return LockedThing(subject=Subject.BLOCK, block=block)


def on_tenant(tenant: str) -> LockedThing:
    return LockedThing(subject=Subject.TENANT, tenant=tenant)


def put(store: BindingStore, thing: LockedThing, **said: Any) -> Lock:
    """Lock a thing."""
    return store.locks.set(thing, said.pop("reason", LockReason.MISUSE), by=TEST, **said)


def forge(connection: Connection, keys: KeyRing, person: PhoneNumber, tag: int) -> int:
    """Lock a person whose tag is that of another one."""
    lock_id = int(one(connection, "SELECT nextval('agi_router.lock_id')"))
    connection.execute(
        "INSERT INTO agi_router.lock (id, subject, key, sealed, reason, set_by, set_at, starts_at)"
        " VALUES (%s, 'person', %s, %s, 'misuse', 'a test', now(), now())",
        (lock_id, tag, forged(keys, person, lock_id, tag)),
    )
    connection.execute(
        "INSERT INTO agi_router.lock_mark SELECT key, id, subject, reason, tenant_id, sealed,"
        " starts_at, ends_at FROM agi_router.lock WHERE id = %s",
        (lock_id,),
    )
    return lock_id


def admit(connection: Connection, keys: KeyRing, caller: PhoneNumber, x: XNumber) -> Decision:
    """Admit a call as the store does, in the clock of this session."""
    call, strangers = a_call(caller, x), list[int]()
    while True:
        call_id = new_call_id()
        row = connection.execute(
            query("admit_person" if strangers else "admit"),
            {
                "block": x.block.value,
                "x_number": x.value,
                "tags": keys.tags(caller),
                "person": keys.tags(caller),
                "strangers": strangers,
                "call_id": call_id,
                "day": call_day(call_id),
            },
        ).fetchone()
        assert row is not None
        admission = read_admission(row, call.caller, call.x_number, keys)
        if not admission.strangers:
            break
        strangers += admission.strangers
    decision = decide(call, admission.facts, now=admission.now)
    assert admission.admitted is isinstance(decision, Route)
    return decision


def told(decision: Decision) -> Reason | None:
    """Why a call is refused; nothing where it is not."""
    return decision.reason if isinstance(decision, Refusal) else None


@dataclass
class Model:
    """The locks, in plain Python."""

    now: datetime = NOW
    locks: dict[int, tuple[LockedThing, datetime, datetime | None]] = field(default_factory=dict)

    def in_force(self, tenant: str | None) -> Iterator[LockedThing]:
        """The things that are locked now, for a tenant."""
        for thing, starts_at, ends_at in self.locks.values():
            holds = starts_at <= self.now and (ends_at is None or self.now < ends_at)
            person_of_other = thing.subject is Subject.PERSON and thing.tenant not in {
                None,
                tenant,
            }
            if holds and not person_of_other:
                yield thing

    def expected(
        self, caller: PhoneNumber, x: XNumber, callee: PhoneNumber | None, tenant: str
    ) -> Reason | None:
        """Why a call is refused, if it is."""
        locked = list(self.in_force(tenant))
        if any(each.number == x or each.block == x.block for each in locked if not each.person):
            return Reason.X_LOCKED
        people = {each.person for each in locked if each.person}
        everywhere = {each.person for each in locked if each.person and each.tenant is None}
        if caller in everywhere:
            return Reason.PARTY_LOCKED
        if callee is None:
            return Reason.STRANGER
        if any(each.tenant == tenant for each in locked if each.subject is Subject.TENANT):
            return Reason.TENANT_SUSPENDED
        if caller in people:
            return Reason.PARTY_LOCKED
        return Reason.CALLEE_LOCKED if callee in people else None

    def bars_bind(self, people: set[PhoneNumber], x: XNumber, tenant: str) -> bool:
        """Whether a bind is refused."""
        return any(
            each.number == x
            or each.block == x.block
            or (each.subject is Subject.TENANT and each.tenant == tenant)
            or each.person in people
            for each in self.in_force(tenant)
        )


# On X: A and B, of one tenant; on Y: A and C, of another.
BOUND = {
    (A, X): (B, "default"),
    (B, X): (A, "default"),
    (A, Y): (C, OTHER),
    (C, Y): (A, OTHER),
}
things = st.sampled_from(
    [
        on_person(A),
        on_person(B),
        on_person(C),
        on_person(A, "default"),
        on_person(A, OTHER),
        on_number(X),
        on_block(BLOCK),
        on_tenant(OTHER),
    ]
)
seconds = st.sampled_from([0, 10, 20])
acts = st.lists(
    st.one_of(
        st.tuples(st.just("lock"), things, seconds, st.sampled_from([None, 10, 20])),
        st.tuples(st.just("lift"), st.integers(0, 3)),
        st.tuples(st.just("wait"), st.sampled_from([9, 10, 11])),
        st.tuples(st.just("call"), st.sampled_from([A, B, C, D]), st.sampled_from([X, Y])),
        st.tuples(st.just("bind"), st.sampled_from([A, D]), st.sampled_from(["default", OTHER])),
    ),
    min_size=4,
    max_size=16,
)


def forget_all(connection: Connection) -> None:
    """No example finds what the one before has left: what is undone is seen in no cell."""
    for name in ("call", "route", "past_route", "binding", "lock_mark", "lock"):
        connection.execute(f"DELETE FROM agi_router.{name}".encode())


# The guard on each version: tests/postgres/test_admit_agrees.py.
@on_one_server
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(asked=acts)
def test_whatever_is_locked_and_lifted(  # noqa: C901 - a case for each act
    asked: list[tuple[Any, ...]], shadowed: Connection, keys: KeyRing
) -> None:
    """No call rings whoever is locked, and nobody is refused without a lock in force."""
    model = Model()
    set_clock(shadowed, NOW)
    store = BindingStore(shadowed, keys, NO_REST)
    forget_all(shadowed)
    with suppress(BlockExists, TenantExists):
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
        store.inventory.tenants.add(OTHER)
    life = timedelta(days=30)
    bind(store, A, B, x=X, life=life)
    bind(store, A, C, x=Y, life=life, tenant=OTHER)
    for place, act in enumerate(asked):
        match act:
            case ("lock", thing, after, span):
                starts_at = model.now + timedelta(seconds=after)
                ends_at = None if span is None else starts_at + timedelta(seconds=span)
                made = put(store, thing, starts_at=starts_at, ends_at=ends_at)
                model.locks[made.id] = (thing, starts_at, ends_at)
            case ("lift", number) if model.locks:
                lock_id = sorted(model.locks)[number % len(model.locks)]
                with suppress(LockOver):
                    assert store.locks.lift(lock_id, by=TEST).state is LockState.LIFTED
                ends_at = model.locks[lock_id][2]
                if ends_at is None or ends_at > model.now:
                    del model.locks[lock_id]
            case ("wait", span):
                model.now += timedelta(seconds=span)
                set_clock(shadowed, model.now)
            case ("call", caller, x):
                callee, tenant = BOUND.get((caller, x), (None, BOUND[A, x][1]))
                decision = admit(shadowed, keys, caller, x)
                assert told(decision) == model.expected(caller, x, callee, tenant), asked
                if isinstance(decision, Route):
                    assert decision.callees == (callee,)
            case ("bind", party, tenant):
                x, other = BLOCK.number(100 + place), PhoneNumber(digits="13912340009")
                barred = model.bars_bind({party, other}, x, tenant)
                try:
                    bind(store, party, other, x=x, tenant=tenant)
                except (PartyLocked, NumberLocked, TenantLocked, NoNumberAvailable):
                    assert barred
                else:
                    assert not barred


async def test_the_router_hears_of_a_lock_at_the_next_call(
    store: BindingStore, admissions: AdmissionStore, keys: KeyRing
) -> None:
    """Set, it holds; lifted, it holds no more. Nothing is cached."""
    bind(store)
    for thing, reason in (
        (on_person(A), Reason.PARTY_LOCKED),
        (on_person(B, "default"), Reason.CALLEE_LOCKED),
        (on_number(X), Reason.X_LOCKED),
        (on_block(BLOCK), Reason.X_LOCKED),
        (on_tenant("default"), Reason.TENANT_SUSPENDED),
    ):
        lock = put(store, thing)
        _, decision = await admit_as_router(admissions, a_call(A), new_call_id())
        assert told(decision) is reason
        store.locks.lift(lock.id, by=TEST)
        _, decision = await admit_as_router(admissions, a_call(A), new_call_id())
        assert isinstance(decision, Route)
    assert keys


async def test_no_call_is_admitted_after_a_tenant_was_stopped(
    dsn: str, store: BindingStore, admissions: AdmissionStore
) -> None:
    """While calls come without a pause: none whose admission begins once the command is done."""
    bind(store)
    admitted, refused = list[datetime](), list[Reason | None]()
    stopped = asyncio.Event()

    async def calls_on() -> None:
        while not stopped.is_set():
            answer = await admissions.admit(a_call(A), new_call_id(), timeout=SOON)
            if answer.admitted:
                admitted.append(answer.now)
            else:
                refused.append(told(decide(a_call(A), answer.facts, now=answer.now)))

    def stop() -> datetime:
        with connect(dsn) as beside:
            mine = BindingStore(beside, store.keys, NO_REST)
            put(mine, on_tenant("default"))
            return mine.now()

    callers = [asyncio.create_task(calls_on()) for _ in range(8)]
    try:
        await until_async(lambda: len(admitted) > 50)
        moment = await asyncio.to_thread(stop)
        await until_async(lambda: len(refused) > 50)
    finally:
        stopped.set()
        await asyncio.gather(*callers)
    assert max(admitted) < moment
    assert set(refused) == {Reason.TENANT_SUSPENDED}


async def test_a_strangers_lock_locks_nobody(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, keys: KeyRing
) -> None:
    """It has the tag of A, of B; but the number that it seals is another one."""
    for party in (A, B):
        forge(connection, keys, PhoneNumber(digits="13912349999"), keys.tag(party))
    bind(store)
    answer, decision = await admit_as_router(admissions, a_call(A), new_call_id())
    assert answer.admitted
    assert isinstance(decision, Route)
    # What this session was told of strangers it has forgotten: of its own lock it is refused.
    put(store, on_person(A))
    with pytest.raises(PartyLocked):
        bind(store, A, C, x=Y)
    assert store.locks.of_person(A)[0].thing.person == A
    assert len(store.locks.of_person(A)) == 1


async def test_of_a_group_those_ring_who_are_not_locked(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Until none is left; the caller learns nothing of whom."""
    store.bind(
        Gxb(members=(A, C), b=B, callback=Callback.ALL),
        Terms(expires_at=store.now() + HOUR),
        x=X,
    )
    put(store, on_person(A))
    call_id = new_call_id()
    for _ in range(2):
        # Asked again, as after a lost reply.
        _, decision = await admit_as_router(admissions, a_call(B), call_id)
        assert isinstance(decision, Route)
        assert decision.callees == (C,)
    put(store, on_person(C))
    _, decision = await admit_as_router(admissions, a_call(B), new_call_id())
    assert told(decision) is Reason.CALLEE_LOCKED


def test_what_is_locked_is_not_bound(store: BindingStore) -> None:
    """Not by number, not into a group, not instead of somebody; refused by name."""
    group = store.bind(
        Gxb(members=(C,), b=D), Terms(expires_at=store.now() + HOUR), x=BLOCK.number(5)
    )
    pair = bind(store, C, B, x=BLOCK.number(6))
    lock = put(store, on_person(A))
    refusals: list[Callable[[], object]] = [
        lambda: bind(store),
        lambda: bind(store, B, A, x=None),
        lambda: store.add_members(group.id, [A]),
        lambda: store.replace(pair.id, pair.parties[0].side, A),
    ]
    for refused in refusals:
        with pytest.raises(PartyLocked, match=f"misuse, lock {lock.id}"):
            refused()
    store.locks.lift(lock.id, by=TEST)
    bind(store)
    put(store, on_number(Y))
    with pytest.raises(NumberLocked):
        bind(store, B, D, x=Y)
    tenant = put(store, on_tenant("default"))
    with pytest.raises(TenantLocked):
        bind(store, B, D, x=BLOCK.number(7))
    store.locks.lift(tenant.id, by=TEST)


def test_a_fixed_number_is_not_bound(connection: Connection, keys: KeyRing) -> None:
    """It is called back, though it is no party."""
    store = BindingStore(connection, keys, NO_REST, open_modes=True)
    store.inventory.add_block(BLOCK, operator=None, certificate=None)
    put(store, on_person(C))
    parties = Ax(a=A, callback=Callback.DEFAULT, default=C)
    with pytest.raises(PartyLocked):
        store.bind(parties, Terms(expires_at=store.now() + HOUR), x=X)
    store.bind(replace(parties, default=D), Terms(expires_at=store.now() + HOUR), x=X)


async def test_a_number_is_made_for_a_call_beside_a_lock(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Whoever is being locked then is found by the call itself, which is refused."""
    made = store.bind(Axyb(a=A, b=B, y_ttl=Y_TTL), Terms(expires_at=store.now() + HOUR), x=X)
    needed = AllocationNeeded(
        binding=str(made.id), binding_id=made.id.id, x_number=X, caller=A, callee=B
    )
    put(store, on_person(B))
    await admissions.allocate(needed, timeout=10.0)
    _, decision = await admit_as_router(admissions, a_call(A), new_call_id())
    assert told(decision) is Reason.CALLEE_LOCKED


def test_what_is_locked_is_not_handed_out(connection: Connection, keys: KeyRing) -> None:
    """A number of the only block, then the block; where it is asked for, it says so."""
    store = BindingStore(connection, keys, NO_REST)
    store.inventory.add_block(BLOCK, operator=None, certificate=None)
    connection.execute(
        "INSERT INTO agi_router.lock (id, subject, key, reason, set_by, set_at, starts_at)"
        " SELECT nextval('agi_router.lock_id'), 'number', %s + n, 'maintenance', 'a test', now(),"
        " now() FROM generate_series(0, 9998) n",
        (BLOCK.number(0).value,),
    )
    connection.execute(
        b"INSERT INTO agi_router.lock_mark (key, lock_id, subject, reason, starts_at)"
        b" SELECT key, id, subject, reason, starts_at FROM agi_router.lock"
    )
    assert bind(store, x=None).parties[0].dials == BLOCK.number(9999)
    put(store, on_block(BLOCK))
    with pytest.raises(NoNumberAvailable, match=r"1 block\(s\) locked"):
        bind(store, C, D, x=None)
    with pytest.raises(NoNumberAvailable, match="it is locked"):
        bind(store, C, D, x=BLOCK.number(9999))


def test_another_number_is_chosen_where_the_last_is_locked(store: BindingStore) -> None:
    """Those who prefer the one that they had get another; who insists on a number is refused."""

    def bound() -> Binding:
        terms = Terms(expires_at=store.now() + HOUR)
        return store.bind(Axb(a=A, b=B), terms, choice=NumberPolicy(same_x=Affinity.PREFER))

    made = bound()
    before = made.parties[0].dials
    assert before is not None
    store.unbind(made.id)
    put(store, on_number(before))
    # A transaction that is under way goes on.
    with store.connection.transaction():
        again = bound()
    assert again.parties[0].dials not in {None, before}
    assert store.find(again.id).parties[0].dials == again.parties[0].dials
    with pytest.raises(NumberLocked):
        bind(store, C, D, x=before)


def test_a_lock_that_holds_everywhere_is_not_told_to_a_tenant(store: BindingStore) -> None:
    """Neither its id nor why; of its own it hears both, and the operator of each."""
    store.inventory.tenants.add(OTHER)
    theirs = store.within(store.inventory.tenants.scope(OTHER))
    everywhere = put(store, on_person(A), reason=LockReason.MISUSE)
    own = put(store, on_person(C, OTHER), reason=LockReason.ARREARS)
    with pytest.raises(PartyLocked) as refused:
        bind(theirs, A, B, x=None, tenant=OTHER)
    assert str(refused.value) == (
        "a party is locked: nothing is bound for it until the lock is lifted or ends"
    )
    with pytest.raises(PartyLocked, match=f"arrears, lock {own.id}"):
        bind(theirs, C, B, x=None, tenant=OTHER)
    with pytest.raises(PartyLocked, match=f"misuse, lock {everywhere.id}"):
        bind(store, A, B, x=None, tenant=OTHER)


def test_a_tenant_is_not_told_that_a_stranger_is_locked(
    connection: Connection, keys: KeyRing
) -> None:
    """Who calls a number that anyone may call is no party on it."""
    store = BindingStore(connection, keys, NO_REST, open_modes=True)
    store.inventory.add_block(BLOCK, operator=None, certificate=None)
    made = store.bind(
        Ax(a=A, callback=Callback.DEFAULT, default=C),
        Terms(expires_at=store.now() + HOUR),
        x=X,
    )
    tenant_id = store.inventory.tenants.find_id(made.tenant)
    put(store, on_person(A))
    put(store, on_person(B))

    def persons_told(caller: PhoneNumber, scope: int | None) -> int:
        tags = keys.tags(caller)
        locks = one(
            connection,
            "SELECT f.locks FROM agi_router.find_facts_within("
            "%s, %s, %s::bigint[], clock_timestamp(), %s::bigint[], '{}', %s) f",
            BLOCK.value,
            X.value,
            [*tags, 0],
            tags,
            scope,
        )
        return sum(each["key"] in tags for each in locks or ())

    assert (persons_told(A, tenant_id), persons_told(A, None)) == (1, 1)
    assert (persons_told(B, tenant_id), persons_told(B, None)) == (0, 1)


def test_a_lock_waits_for_the_bind_under_way(dsn: str, store: BindingStore) -> None:
    """And a bind for the lock that is just being set: whichever is first, the other sees it."""

    def somebody_waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        return bool(one(store.connection, waiting))

    with connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        beside = BindingStore(other, store.keys, NO_REST)
        with store.connection.transaction():
            put(store, on_person(A))
            bound = pool.submit(bind, beside, A, B)
            until(somebody_waits)
        with pytest.raises(PartyLocked):
            bound.result()
        with store.connection.transaction():
            pair = bind(store, C, D, x=Y)
            locked = pool.submit(put, beside, on_person(C))
            until(somebody_waits)
        assert locked.result().state is LockState.IN_FORCE
        assert store.find(pair.id).ended_at is None


def test_a_lock_that_is_just_lifted_gets_no_mark(dsn: str, store: BindingStore) -> None:
    """It would hold for ever: nobody could lift it any more."""
    lock = put(store, on_person(A))
    person = store.connection.execute("SELECT key, sealed FROM agi_router.lock").fetchone()
    assert person is not None
    values = {"id": lock.id, "key": person["key"] + 1, "sealed": person["sealed"]}

    def somebody_waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        return bool(one(store.connection, waiting))

    with connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        with store.connection.transaction():
            store.locks.lift(lock.id, by=TEST)
            marked = pool.submit(Queries(other).row, "add_lock_mark", values)
            until(lambda: marked.done() or somebody_waits())
        assert marked.result() is None
    assert one(store.connection, "SELECT count(*) FROM agi_router.lock_mark") == 0


def test_locks_are_swept(connection: Connection, store: BindingStore) -> None:
    """Those that are over, past retention."""
    old, new, live = (put(store, on_person(person)) for person in (A, A, B))
    for lock in (old, new):
        store.locks.lift(lock.id, by=TEST)
    connection.execute(
        "UPDATE agi_router.lock SET starts_at = now() - interval '800 days',"
        " over_at = CASE id WHEN %s THEN now() - interval '742 days' ELSE over_at END",
        (old.id,),
    )
    list(Sweep(connection, NO_REST, Retention()).steps())
    assert [lock.id for lock in store.locks.all(everything=True, limit=9)] == [live.id, new.id]
    assert store.locks.find(live.id).state is LockState.IN_FORCE


def test_a_lock_ends_by_itself(shadowed: Connection, keys: KeyRing) -> None:
    """To the microsecond, whether or not anybody has noticed; then it is put away, and told of."""
    set_clock(shadowed, NOW)
    store = BindingStore(shadowed, keys, NO_REST)
    store.inventory.add_block(BLOCK, operator=None, certificate=None)
    bind(store, life=timedelta(days=1))
    end = NOW + timedelta(hours=2)
    lock = put(store, on_number(X), reason=LockReason.MAINTENANCE, ends_at=end)
    assert lock.state is LockState.IN_FORCE
    EventStore(Queries(shadowed), keys).set_types("default", [EventType.LOCK_LIFTED])
    set_clock(shadowed, end - timedelta(microseconds=1))
    assert told(admit(shadowed, keys, A, X)) is Reason.X_LOCKED
    set_clock(shadowed, end)
    assert isinstance(admit(shadowed, keys, A, X), Route)
    assert store.locks.find(lock.id).state is LockState.ENDED
    assert store.locks.all(limit=9) == []
    with pytest.raises(LockOver, match="ended"):
        store.locks.lift(lock.id, by=TEST)
    assert one(shadowed, "SELECT agi_router.end_locks(9)") == 1
    assert one(shadowed, "SELECT agi_router.end_locks(9)") == 0
    assert one(shadowed, "SELECT count(*) FROM agi_router.lock_mark") == 0
    assert [each.over_at for each in store.locks.all(everything=True, limit=9)] == [end]
    assert one(shadowed, "SELECT data ->> 'lock_id' FROM agi_router.event") == str(lock.id)
    acts = shadowed.execute(b"SELECT name, act, subject FROM agi_router.audit").fetchall()
    assert acts == [{"name": "by itself", "act": "lock end", "subject": f"lock {lock.id}"}]


def test_a_lock_is_refused_that_makes_no_sense(store: BindingStore) -> None:
    """One that has an end before its beginning, and work without an end."""
    now = store.now()
    for said in (
        {"ends_at": now - HOUR},
        {"starts_at": now + HOUR, "ends_at": now + HOUR},
        {"reason": LockReason.MAINTENANCE},
    ):
        with pytest.raises(ExpiryInvalid):
            put(store, on_person(A), **said)
    with pytest.raises(LockNotFound):
        store.locks.find(10**9)


def test_locks_are_told_to_whom_they_concern(store: BindingStore, keys: KeyRing) -> None:
    """A person: the tenants of its live bindings; a tenant's own, the tenant; nobody else."""
    store.inventory.tenants.add(OTHER)
    queries = Queries(store.connection)
    for tenant in ("default", OTHER):
        EventStore(queries, keys).set_types(tenant, [EventType.LOCK_SET])
    pair = bind(store, order_id="order-1")
    for thing in (on_person(A), on_person(C), on_number(X), on_person(D, OTHER), on_tenant(OTHER)):
        put(store, thing)
    rows = store.connection.execute(
        b"SELECT t.name, e.data ->> 'subject' AS subject, e.data -> 'bindings' AS bindings"
        b" FROM agi_router.event e JOIN agi_router.tenant t ON t.id = e.tenant_id ORDER BY e.id"
    ).fetchall()
    known = [{"binding_id": str(pair.id), "order_id": "order-1"}]
    assert [tuple(row.values()) for row in rows] == [
        ("default", "person", known),
        ("default", "number", known),
        (OTHER, "person", []),
        (OTHER, "tenant", []),
    ]


def test_a_callee_is_told_of_too(
    open_store: BindingStore, keys: KeyRing, connection: Connection
) -> None:
    """Who is rung and never dials: its tenant hears of a lock, and finds it."""
    store = open_store
    EventStore(Queries(connection), keys).set_types(
        "default", [EventType.LOCK_SET, EventType.LOCK_LIFTED]
    )
    store.inventory.tenants.add(OTHER)
    made = store.bind(
        Ax(a=A, default=B, callback=Callback.DEFAULT), Terms(expires_at=store.now() + HOUR), x=X
    )
    lock = put(store, on_person(B))
    own, other = (
        store.within(store.inventory.tenants.scope(tenant)).locks for tenant in ("default", OTHER)
    )
    assert [each.id for each in own.of_person(B)] == [lock.id]
    assert other.of_person(B) == []
    store.locks.lift(lock.id, by=TEST)
    rows = connection.execute(
        b"SELECT type, data -> 'bindings' -> 0 ->> 'binding_id' AS binding"
        b" FROM agi_router.event ORDER BY id"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        ("lock.set", str(made.id)),
        ("lock.lifted", str(made.id)),
    ]


def test_who_binds_many_and_who_locks_wait_for_each_other_in_no_circle(
    dsn: str, store: BindingStore, keys: KeyRing
) -> None:
    """A batch takes the places of its parties one after the other, whatever their order is."""
    both = keys.with_new("tag", 2)
    # The place of its current tag lies before that of the other one.
    person = next(
        found
        for found in (PhoneNumber(digits=f"1391235{n:04}") for n in range(10_000))
        if both.tags(found)[0] & 63 < both.tags(found)[1] & 63
    )
    first, last = both.tags(person)
    with connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        beside = BindingStore(other, both, NO_REST)
        with store.connection.transaction():
            store.connection.execute("SELECT agi_router.await_locks(ARRAY[%s])", (last,))
            locked = pool.submit(put, beside, on_person(person))
            until(
                lambda: (
                    locked.done()
                    or one(store.connection, "SELECT count(*) FROM pg_locks WHERE NOT granted")
                )
            )
            store.connection.execute("SELECT agi_router.await_locks(ARRAY[%s])", (first,))
        assert locked.result().state is LockState.IN_FORCE


def test_a_tenant_locks_for_itself(store: BindingStore) -> None:
    """Persons for itself, and numbers of its own blocks; and lifts what it has set, alone."""
    own = Block.parse("70012345679")
    store.inventory.tenants.add(OTHER)
    store.inventory.add_block(own, operator=None, certificate=None, tenant=OTHER)
    theirs = store.within(store.inventory.tenants.scope(OTHER))
    for thing in (on_person(A), on_block(own), on_tenant(OTHER)):
        with pytest.raises(OperatorOnly):
            put(theirs, thing)
    mine = [put(theirs, on_person(A, OTHER)), put(theirs, on_number(own.number(1)))]
    operators = put(store, on_number(own.number(2)))
    with pytest.raises(OperatorOnly):
        theirs.locks.lift(operators.id, by=TEST)
    assert [lock.id for lock in theirs.locks.all(limit=9)] == [
        operators.id,
        *(lock.id for lock in reversed(mine)),
    ]
    assert theirs.locks.find(operators.id).set_by is None
    # One that holds everywhere is told of a party of its own alone.
    everywhere = put(store, on_person(B))
    assert theirs.locks.of_person(B) == []
    store.locks.lift(everywhere.id, by=TEST)
    bind(theirs, B, C, x=own.number(3), tenant=OTHER)
    again = put(store, on_person(B))
    assert [lock.id for lock in theirs.locks.of_person(B)] == [again.id]
    assert {lock.state for lock in theirs.locks.lift_all(mine, by=TEST)} == {LockState.LIFTED}


async def test_locks_hold_while_keys_are_rotated(
    dsn: str, store: BindingStore, keys: KeyRing, tmp_path: Path
) -> None:
    """Between the switch and the last row, and afterwards without the key of before."""
    file = tmp_path / "keys"
    write_key_ring(file, keys)
    bind(store)
    bind(store, C, D, x=Y)
    held = [put(store, on_person(person)).id for person in (B, C)]
    lifted = put(store, on_person(D))
    tenant = store.inventory.tenants.scope("default")
    store.locks.lift(lifted.id, by=TEST)
    with connect(dsn) as own:
        rotation = Rotation(own, check_keys(own, load_key_ring(file)), file)
        rotation.switch(rotation.add(KINDS))

        async def check() -> None:
            async with AdmissionStore(dsn, rotation.keys, connections=1) as admissions:
                for caller, x, reason in (
                    (A, X, Reason.CALLEE_LOCKED),
                    (B, X, Reason.PARTY_LOCKED),
                    (D, Y, Reason.CALLEE_LOCKED),
                ):
                    call = a_call(caller, x)
                    _, decision = await admit_as_router(admissions, call, new_call_id())
                    assert told(decision) is reason
            # Its tenant appeals meanwhile.
            locks = LockStore(Queries(own), rotation.keys, tenant)
            assert [locks.find_concerning(each).id for each in held] == held

        await check()
        assert rotation.renew_secrets() > 0
        await check()
        for _ in rotation.renewal().run():
            pass
        rotation.renew_secrets()
        await check()
        for kind in KINDS:
            rotation.retire(kind, keys.tag_key_id)
        await check()
        locks = LockStore(Queries(own), rotation.keys)
        assert [lock.id for lock in locks.of_person(D, everything=True)] == [lifted.id]
        own.execute("SELECT pg_advisory_unlock_all()")


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database."""
    assert store
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})


@on_one_server
def test_by_hand(cli: Cli, store: BindingStore) -> None:
    """Set, list, show and lift; numbers are typed in, masked, and on record nowhere."""
    made = cli("lock", "set", "--person", "-", "--reason", "arrears", typed=[A.digits])
    assert (made["person"], made["state"], made["tenant"]) == (A.masked, "in_force", None)
    own = ("--tenant", "default", "--for", "2h")
    cli("lock", "set", "--person", "-", *own, "--reason", "account_anomaly", typed=[A.digits])
    shown = cli("lock", "show", "--person", "-", typed=[A.digits])
    assert [each["reason"] for each in shown] == ["account_anomaly", "arrears"]
    assert cli("lock", "show", made["id"]) == made
    paid = ("--reason", "arrears", "--note", "paid")
    lifted = cli("lock", "lift", "--person", "-", *paid, typed=[A.digits])
    assert (lifted["id"], lifted["state"], lifted["lift_note"]) == (made["id"], "lifted", "paid")
    assert len(cli("lock", "list")) == 1
    assert len(cli("lock", "list", "--all", "--subject", "person")) == 2
    acts = [each["act"] for each in cli("audit", "list")]
    assert acts == ["lock lift", "lock show", "lock set", "lock set"]
    about = cli("audit", "list", "--person", "-", typed=[A.digits])
    assert {each["act"] for each in about} >= {"lock lift", "lock set"}
    assert all(A.digits not in str(each) for each in cli("audit", "list"))
    # What holds for a tenant alone is lifted by who names the tenant.
    assert cli("lock", "lift", "--person", "-", typed=[A.digits]) == []
    assert len(cli("lock", "list")) == 1
    # A note is anything, even a number.
    other = cli("lock", "set", "--x", str(X), "--reason", "misuse")
    cli("lock", "lift", other["id"], "--note", f"asked for by {A.digits}")
    assert all(A.digits not in str(each) for each in cli("audit", "list"))
    over = run(["lock", "lift", made["id"]], cli.env)
    assert (over.code, "lifted already" in over.error) == (73, True)
    assert A.digits not in run(["lock", "list", "--all"], cli.env).out
    bind(store, B, C)
    refused = run(
        ["bind", "axb", "--a", "-", "--b", "-"], cli.env, typed=f"{A.digits}\n{D.digits}\n"
    )
    assert (refused.code, "a party is locked" in refused.error) == (73, True)


@on_one_server
def test_many_at_once_by_hand(cli: Cli, tmp_path: Path) -> None:
    """For a window: a digit, blocks, and what a file has; lifted in the same way."""
    window = ("--reason", "maintenance", "--until", "2030-01-01T00:00+00:00")
    file = tmp_path / "numbers"
    file.write_text(f"{X}\n\n{BLOCK.number(7)}\n70012345678\n")
    assert cli("lock", "set", "--digit", "1", *window)["block"] == str(BLOCK)
    assert len(cli("lock", "set", "--file", str(file), "--x", str(Y), *window)) == 4
    people = run(["lock", "list"], cli.env).out
    assert f"block {BLOCK}" in people
    assert str(X) in people
    named = ("--file", str(file), "--reason", "maintenance")
    assert len(cli("lock", "lift", *named)) == 4
    tenant = cli("lock", "set", "--tenant", "default", "--reason", "misuse")
    assert "tenant default" in run(["lock", "list"], cli.env).out
    assert cli("lock", "lift", "--tenant", "default")["id"] == tenant["id"]
    for wrong in (
        ["set", "--reason", "misuse"],
        ["set", "--reason", "misuse", "--x", str(X), "--tenant", "default"],
        ["set", "--reason", "misuse", "--x", str(X), "--for", "2h", "--until", "2030-01-01"],
        ["set", "--reason", "misuse", "--x", "1"],
        ["show"],
        ["lift"],
        ["lift", "17", "--x", str(X)],
        ["lift", "17x"],
    ):
        assert run(["lock", *wrong], cli.env).code == 2, wrong
    assert run(["lock", "show", "999"], cli.env).code == 66
    assert run(["lock", "set", "--x", str(X), "--reason", "maintenance"], cli.env).code == 65
