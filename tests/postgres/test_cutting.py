"""Calls that are up as a lock begins: which are found, and of which Asterisk is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any, cast

import pytest

from agi_router.ari import AriClient, AriRefused
from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Ax, Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback
from agi_router.calls.cutting import Cutter
from agi_router.calls.end import Clock, ReleasedBy
from agi_router.calls.store import AdmissionStore
from agi_router.consent.ledger import Act, ConsentLine, Purpose, Statement
from agi_router.db.connection import Connection, connect
from agi_router.db.queries import query
from agi_router.errors import RequestInvalid
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from harness.database import (
    HOUR,
    a_call,
    admit_as_router,
    an_end,
    bind,
    forged,
    new_call_id,
    on_each_version,
    one,
    until,
)
from harness.identities import told
from harness.values import BLOCK, A, B, C, D, X, Y

Z = BLOCK.number(3)
NODE = "pbx1"
_GONE, _HANGS = 404, 500


class Asterisk:
    """The calls that are up: who has dialled, and who is dialled or has answered."""

    def __init__(self) -> None:
        self.up: dict[str, dict[str, str]] = {}
        self.cut: list[str] = []
        self.asked = 0
        self.broken = False

    def call(self, call_id: str, caller: PhoneNumber, **variables: str) -> str:
        """A call that came here."""
        said = told(asserted=[f"<sip:{caller.digits}@192.0.2.1>"])
        self.up[call_id] = {"CALLER": said, **variables}
        return call_id

    async def channel_variable(self, channel: str, name: str) -> str:
        """As the client has it."""
        self.asked += 1
        if self.broken:
            raise AriRefused(_HANGS, "Allocation Failed", "channels")
        if name not in self.up.get(channel, {}):
            raise AriRefused(_GONE, "Not Found", "channels")
        return self.up[channel][name]

    async def hangup(self, channel: str, *, reason_code: int) -> None:
        """As the client has it."""
        assert reason_code == 21
        if self.broken:
            raise AriRefused(_HANGS, "Allocation Failed", "channels")
        if self.up.pop(channel, None) is None:
            raise AriRefused(_GONE, "Not Found", "channels")
        self.cut.append(channel)


@pytest.fixture
def asterisk() -> Asterisk:
    """An Asterisk without calls."""
    return Asterisk()


@pytest.fixture
def cutter(admissions: AdmissionStore, asterisk: Asterisk) -> Cutter:
    """Who cuts its calls."""

    @asynccontextmanager
    async def at_hand(_: str) -> AsyncIterator[AriClient]:
        yield cast(Any, asterisk)

    admissions.node = NODE
    return Cutter(admissions, at_hand, believe_from=False, fixed_lines=False)


def put(store: BindingStore, thing: LockedThing, **said: Any) -> str:
    """Lock a thing, and cut its calls; returns the lock's id."""
    reason = said.pop("reason", LockReason.MISUSE)
    return str(store.locks.set(thing, reason, **{"by": "a test", "cut": True, **said}).id)


def on(person: PhoneNumber, tenant: str | None = None) -> LockedThing:
    return LockedThing(subject=Subject.PERSON, person=person, tenant=tenant)


async def place(
    admissions: AdmissionStore,
    asterisk: Asterisk,
    caller: PhoneNumber,
    x: XNumber,
    callee: PhoneNumber,
    **said: str,
) -> str:
    """A call that is admitted and answered."""
    call_id = new_call_id()
    answer, _ = await admit_as_router(admissions, a_call(caller, x), call_id)
    assert answer.admitted
    said = {"CALLEE": callee.digits, "DIALEDPEERNUMBER": f"+86{callee.digits}@out-0"} | said
    return asterisk.call(call_id, caller, **said)


def cut_on_record(connection: Connection, call_id: str) -> Any:
    """Why a call was cut, by its record."""
    return one(connection, "SELECT cut FROM agi_router.call WHERE id = %s", call_id)


@on_each_version
async def test_whatever_a_lock_is_on(
    store: BindingStore, admissions: AdmissionStore, asterisk: Asterisk, cutter: Cutter
) -> None:
    """Both sides, both numbers, the block, the tenant; each for itself, and for its tenant."""
    bind(store)
    store.inventory.tenants.add("others")
    things = (
        on(A),
        on(B),
        on(A, "default"),
        LockedThing(subject=Subject.NUMBER, number=X),
        LockedThing(subject=Subject.BLOCK, block=BLOCK),
        LockedThing(subject=Subject.TENANT, tenant="default"),
    )
    for thing in things:
        call_id = await place(admissions, asterisk, A, X, B)
        for other in (on(A, "others"), on(C), LockedThing(subject=Subject.NUMBER, number=Y)):
            put(store, other)
        put(store, thing, cut=False)
        await cutter.look()
        assert asterisk.cut == []
        for lock in store.locks.all(limit=9):
            store.locks.lift(lock.id, by="a test")
        lock_id = put(store, thing, reason=LockReason.SECURITY_RISK)
        await cutter.look()
        assert asterisk.cut == [call_id]
        assert cut_on_record(store.connection, call_id) == "security_risk"
        await cutter.look()
        store.locks.lift(int(lock_id), by="a test")
        asterisk.cut.clear()


async def test_a_call_that_came_after_the_lock(
    store: BindingStore, admissions: AdmissionStore, asterisk: Asterisk, cutter: Cutter
) -> None:
    """It was judged by it, and is not asked for again; one set later for before is no such."""
    bind(store)
    call_id = await place(admissions, asterisk, A, X, B)
    put(store, LockedThing(subject=Subject.NUMBER, number=X))
    before = "now() - interval '2 min'"
    store.connection.execute(f"UPDATE agi_router.lock SET starts_at = {before}, set_at = {before}")
    store.connection.execute(f"UPDATE agi_router.lock_mark SET starts_at = {before}")
    await cutter.look()
    assert asterisk.cut == []
    store.connection.execute("UPDATE agi_router.lock SET set_at = now()")
    await cutter.look()
    assert asterisk.cut == [call_id]


async def test_whoever_is_in_the_call(
    store: BindingStore, admissions: AdmissionStore, asterisk: Asterisk, cutter: Cutter
) -> None:
    """Of a group it is who has answered; while they ring, each of them; Asterisk is asked once."""
    store.bind(
        Gxb(members=(A, C), b=B, callback=Callback.ALL),
        Terms(expires_at=store.now() + HOUR),
        x=X,
    )
    of_a = await place(admissions, asterisk, A, X, B)
    of_b = await place(admissions, asterisk, B, X, A)
    rings = {"DIALEDPEERNUMBER": "", "CALLEE": f"{A.digits}+{C.digits}"}
    ringing = await place(admissions, asterisk, B, X, A, **rings)
    put(store, on(C))
    await cutter.look()
    assert asterisk.cut == [ringing]
    assert not (await admissions.settle([an_end(ringing)])).held
    asked = asterisk.asked
    await cutter.look()
    assert asterisk.asked == asked
    put(store, on(A))
    await cutter.look()
    assert sorted(asterisk.cut) == sorted([ringing, of_a, of_b])


async def test_strangers_and_those_who_were_replaced(
    connection: Connection, keys: KeyRing, asterisk: Asterisk, cutter: Cutter, dsn: str
) -> None:
    """They are not on the binding any more, or never were; they talk nevertheless."""
    assert cutter
    store = BindingStore(connection, keys, open_modes=True)
    if not store.inventory.blocks():
        store.inventory.add_block(BLOCK, operator=None, certificate=None)
    store.bind(Ax(a=A), Terms(expires_at=store.now() + HOUR), x=Z)
    pair = bind(store, C, D)
    async with AdmissionStore(dsn, keys, connections=1, open_modes=True) as admissions:
        admissions.node = NODE

        @asynccontextmanager
        async def at_hand(_: str) -> AsyncIterator[AriClient]:
            yield cast(Any, asterisk)

        here = Cutter(admissions, at_hand, believe_from=False, fixed_lines=False)
        of_stranger = await place(admissions, asterisk, B, Z, A)
        of_pair = await place(admissions, asterisk, C, X, D)
        store.replace(pair.id, pair.parties[1].side, PhoneNumber(digits="13912349876"))
        put(store, on(D))
        await here.look()
        assert asterisk.cut == [of_pair]
        put(store, on(B))
        await here.look()
        assert asterisk.cut == [of_pair, of_stranger]


async def test_what_is_not_sure_is_left(
    store: BindingStore,
    admissions: AdmissionStore,
    asterisk: Asterisk,
    cutter: Cutter,
    keys: KeyRing,
) -> None:
    """A stranger's lock, a caller who cannot be read, a call that is over, Asterisk in trouble."""
    bind(store)
    call_id = await place(admissions, asterisk, A, X, B)
    lock_id = int(put(store, on(C)))
    store.connection.execute(
        "UPDATE agi_router.lock_mark SET key = %s, sealed = %s WHERE lock_id = %s",
        (keys.tag(A), forged(keys, C, lock_id, keys.tag(A)), lock_id),
    )
    await cutter.look()
    assert asterisk.cut == []
    store.locks.lift(lock_id, by="a test")
    put(store, on(A))
    whole = asterisk.up[call_id]
    for said in ("0.0.0-.0-.0-.0-.end", told(asserted=["<sip:12@192.0.2.1>"])):
        asterisk.up[call_id] = {**whole, "CALLER": said, "DIALEDPEERNUMBER": ""}
        other = Cutter(admissions, cutter._at_hand, believe_from=False, fixed_lines=False)
        await other.look()
        assert asterisk.cut == []
    asterisk.up[call_id] = whole
    asterisk.broken = True
    with pytest.raises(AriRefused):
        await cutter.look()
    asterisk.broken = False
    del asterisk.up[call_id]
    await cutter.look()
    assert asterisk.cut == []
    assert cut_on_record(store.connection, call_id) is None


async def test_who_hung_up_first_is_on_record(
    store: BindingStore, admissions: AdmissionStore, asterisk: Asterisk, cutter: Cutter
) -> None:
    """A call that somebody has ended, or a clock, in the same moment was not cut."""
    bind(store)
    put(store, LockedThing(subject=Subject.NUMBER, number=Y), starts_at=store.now())
    for released_by, clock, cut in (
        (ReleasedBy.US, None, "misuse"),
        (ReleasedBy.CALLER, None, None),
        (ReleasedBy.US, Clock.TALK, None),
    ):
        call_id = await place(admissions, asterisk, A, X, B)
        lock_id = int(put(store, LockedThing(subject=Subject.NUMBER, number=X)))
        await cutter.look()
        store.locks.lift(lock_id, by="a test")
        end = replace(an_end(call_id), released_by=released_by, clock=clock)
        assert not (await admissions.settle([end])).held
        assert cut_on_record(store.connection, call_id) == cut


async def test_a_router_hears_of_it_by_its_sign_of_life(
    store: BindingStore, admissions: AdmissionStore, cutter: Cutter
) -> None:
    """As the lock begins, not before; without one, nothing is asked for."""
    assert cutter
    await admissions.check(timeout=10)
    put(store, on(A), cut=False)
    put(store, on(A), starts_at=store.now() + timedelta(hours=1))
    await admissions.check(timeout=10)
    assert not admissions.cuts.is_set()
    put(store, on(A))
    await admissions.check(timeout=10)
    assert admissions.cuts.is_set()


async def test_before_the_node_is_known_nothing_is_cut(
    store: BindingStore, admissions: AdmissionStore, asterisk: Asterisk, cutter: Cutter
) -> None:
    """Nor calls of another Asterisk."""
    bind(store)
    call_id = await place(admissions, asterisk, A, X, B)
    put(store, on(A))
    for node in (None, "pbx", ""):
        admissions.node = node
        await cutter.look()
        assert asterisk.cut == []
    admissions.node = NODE
    await cutter.look()
    assert asterisk.cut == [call_id]


def test_other_reasons_cut_nothing(store: BindingStore) -> None:
    """It is refused."""
    for reason in (LockReason.ARREARS, LockReason.ACCOUNT_ANOMALY):
        with pytest.raises(RequestInvalid, match="cuts no calls: misuse and security_risk do"):
            put(store, on(A), reason=reason)


@pytest.mark.parametrize("held", ["party_group", "binding"])
def test_a_withdrawal_that_waits(store: BindingStore, dsn: str, keys: KeyRing, held: str) -> None:
    """Its line is as new as what it ends, for however long others hold that."""
    store.add_group("default", "g", [A, C])
    terms = Terms(expires_at=store.now() + HOUR)
    made = store.bind(Gxb(members=(A, C), b=D, default=A, group="g"), terms, x=X)

    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"

    def withdraw() -> tuple[ConsentLine, list[Binding]]:
        with connect(dsn, idle=60) as own:
            said = Statement(act=Act.WITHDRAWN, cut=True)
            return BindingStore(own, keys).withdraw(A, "default", said, by="a test")

    with connect(dsn, idle=60) as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute(f"SELECT FROM agi_router.{held} FOR NO KEY UPDATE")
            running = pool.submit(withdraw)
            until(lambda: one(store.connection, waits))
            released = store.now()
        line, ended = running.result()
    assert [each.id for each in ended] == [made.id]
    assert line.added_at > released


@on_each_version
async def test_whoever_has_withdrawn(
    store: BindingStore, admissions: AdmissionStore, asterisk: Asterisk, cutter: Cutter
) -> None:
    """Where that is said, and of the calls that the person is in on the bindings that end."""
    bind(store, order_id="order-1")
    bind(store, A, C, x=Y, order_id="order-2")
    terms = Terms(expires_at=store.now() + HOUR, order_id="order-3")
    store.bind(Gxb(members=(A, C), b=D), terms, x=Z)
    first = await place(admissions, asterisk, A, X, B)
    second = await place(admissions, asterisk, C, Y, A)
    apart = await place(admissions, asterisk, C, Z, D)

    def withdraw(person: PhoneNumber, order: str | None, *, cut: bool) -> None:
        said = Statement(act=Act.WITHDRAWN, order=order, cut=cut)
        line, _ = store.withdraw(person, "default", said, by="a test")
        assert line.cut is cut

    withdraw(A, "order-1", cut=False)
    withdraw(D, "order-9", cut=True)
    await cutter.look()
    assert asterisk.cut == []
    withdraw(A, "order-2", cut=True)
    await cutter.look()
    await cutter.look()
    assert asterisk.cut == [second]
    assert cut_on_record(store.connection, second) == "consent_withdrawn"
    # Of a group that ends, those talk on who have not withdrawn.
    withdraw(A, None, cut=True)
    await cutter.look()
    assert asterisk.cut == [second]
    assert {first, apart} <= set(asterisk.up)
    row = store.connection.execute(query("beat")).fetchone()
    assert row is not None
    assert row["cuts"]
    recording = Statement(act=Act.WITHDRAWN, purpose=Purpose.RECORDING, cut=True)
    with pytest.raises(RequestInvalid, match="recorded"):
        store.withdraw(A, "default", recording, by="a test")
