"""AX and AXE: who gets through, who is called back, and that an X is shared with nobody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Ax, Axe, Gxb, Parties
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Direction, Side
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import Ask, Refusal, Route, decide
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.errors import BindingConflict, ModeError, NoNumberAvailable, SameParty
from agi_router.keys.ring import KeyRing, Purpose, Row
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import (
    HOUR,
    Clock,
    a_call,
    bind,
    calls_used,
    expire,
    new_call_id,
    new_party,
    on_each_version,
    one,
)
from harness.values import BLOCK, A, B, C, D, X

pytestmark = on_each_version

TIMEOUT = 10.0
Answer = tuple[PhoneNumber, ...] | Reason | Ask


def make(store: BindingStore, parties: Parties, x: XNumber | None = X, **terms: Any) -> Binding:
    """Bind for an hour."""
    return store.bind(parties, Terms(expires_at=store.now() + HOUR, **terms), x=x)


async def place(
    admissions: AdmissionStore,
    caller: PhoneNumber,
    typed: str | None = None,
    attempts_left: int = 0,
) -> Answer:
    """Place a call as the router does."""
    call = Call(
        caller=caller,
        x_number=X,
        attempts_left=attempts_left,
        typed=None if typed is None else DialledExtension(extension=typed),
    )
    admission = await admissions.admit(call, new_call_id(), timeout=TIMEOUT)
    decision = decide(call, admission.facts, now=admission.now)
    assert admission.admitted is isinstance(decision, Route)
    match decision:
        case Route():
            assert decision.shown == X
            return decision.callees
        case Refusal():
            return decision.reason
        case Ask():
            return decision
    raise AssertionError(decision)


async def test_who_reaches_whom_by_ax(
    open_store: BindingStore, open_admissions: AdmissionStore
) -> None:
    """Anyone reaches A; A reaches who called last."""
    made = make(open_store, Ax(a=A))
    assert await place(open_admissions, A) is Reason.NO_CALLBACK
    for stranger in (B, C):
        assert await place(open_admissions, stranger) == (A,)
        assert await place(open_admissions, A) == (stranger,)
        assert open_store.find(made.id).called_back == (stranger,)
    assert calls_used_of(open_store, made) == 4


def calls_used_of(store: BindingStore, made: Binding) -> int:
    return store.find(made.id).calls_used


async def test_a_fixed_number(open_store: BindingStore, open_admissions: AdmissionStore) -> None:
    """By the callback "default" nobody else; by "last" while nobody has called."""
    make(open_store, Ax(a=A, callback=Callback.DEFAULT, default=D))
    await place(open_admissions, B)
    assert await place(open_admissions, A) == (D,)


@pytest.mark.parametrize(
    "parties", [Ax(a=A), Ax(a=A, callback=Callback.DEFAULT, default=D), Axe(a=A, extension="12")]
)
async def test_another_fixed_number(
    open_store: BindingStore, open_admissions: AdmissionStore, parties: Ax
) -> None:
    """It rings from then on, by "last" until somebody calls again; A is none."""
    made = make(open_store, parties)
    for _ in range(2):
        # Said again, it forgets who has called since.
        assert await place(open_admissions, B, parties.extension) == (A,)
        assert open_store.set_default(made.id, C).called_back == (C,)
        assert await place(open_admissions, A) == (C,)
    with pytest.raises(SameParty):
        open_store.set_default(made.id, A)
    found = open_store.find(made.id)
    forgot = parties.callback is Callback.LAST
    assert found.version == made.version + 1 + forgot
    assert open_store.set_default(made.id, C).version == found.version


async def test_the_window(
    open_store: BindingStore, open_admissions: AdmissionStore, connection: Connection
) -> None:
    """After it the fixed number rings again."""
    make(open_store, Ax(a=A, default=D, window=timedelta(minutes=5)))
    await place(open_admissions, B)
    assert await place(open_admissions, A) == (B,)
    connection.execute("UPDATE agi_router.route SET last_at = last_at - interval '5 minutes'")
    assert await place(open_admissions, A) == (D,)


async def test_switched_off(
    open_store: BindingStore, store: BindingStore, admissions: AdmissionStore
) -> None:
    """No binding is made, and one that is there lets nobody through."""
    with pytest.raises(ModeError, match="AGI_ROUTER_OPEN_MODES"):
        make(store, Ax(a=A))
    with pytest.raises(ModeError, match="AGI_ROUTER_OPEN_MODES"):
        make(store, Axe(a=A, extension="1"))
    make(open_store, Ax(a=A, default=D))
    assert await place(admissions, B) is Reason.STRANGER
    make(open_store, Axe(a=A, extension="12"), x=BLOCK.number(2))
    call = a_call(B, BLOCK.number(2))
    admission = await admissions.admit(call, new_call_id(), timeout=TIMEOUT)
    # The router has no tries to give away then.
    assert decide(call, admission.facts, now=admission.now) == Refusal(reason=Reason.STRANGER)


@pytest.mark.parametrize("direction", [Direction.A, Direction.B])
async def test_direction(
    direction: Direction, open_store: BindingStore, open_admissions: AdmissionStore
) -> None:
    """Only A may call, or only strangers."""
    make(open_store, Ax(a=A, default=D), direction=direction)
    open_, closed = (A, B) if direction is Direction.A else (B, A)
    assert await place(open_admissions, closed) is Reason.WRONG_DIRECTION
    assert not isinstance(await place(open_admissions, open_), Reason)


async def test_who_was_refused_is_not_called_back(
    open_store: BindingStore, open_admissions: AdmissionStore
) -> None:
    """Only a call that rang A can be returned."""
    make(open_store, Ax(a=A), max_calls=1)
    assert await place(open_admissions, B) == (A,)
    assert await place(open_admissions, C) is Reason.USED_UP
    row = open_store.bindings(everything=True, order_id=None, limit=1)[0]
    assert row.called_back == (B,)


def row_of_a(made: Binding) -> Row:
    """What the last caller is sealed for."""
    return Row(made.id.id, X.value, 0, Side.A, shown=X.value)


async def test_the_last_caller_is_sealed(
    open_store: BindingStore,
    open_admissions: AdmissionStore,
    connection: Connection,
    keys: KeyRing,
) -> None:
    """It lies in the row of A and opens only for that number."""
    made = make(open_store, Ax(a=A))
    await place(open_admissions, B)
    sealed = one(connection, "SELECT last_callee FROM agi_router.route WHERE side = 'a'")
    assert B.digits.encode() not in sealed
    assert keys.open(sealed, row_of_a(made), Purpose.LAST_CALLER) == (B,)


async def test_who_reaches_whom_by_axe(
    open_store: BindingStore, open_admissions: AdmissionStore
) -> None:
    """Each A by its extension; wrong ones are asked again, as often as may be; A calls back."""
    make(open_store, Axe(a=A, extension="1234"))
    make(open_store, Axe(a=B, extension="7"))
    assert await place(open_admissions, C, attempts_left=2) == Ask(attempts_left=1, again=False)
    assert await place(open_admissions, C, "99", 1) == Ask(attempts_left=0, again=True)
    assert await place(open_admissions, C, "99") is Reason.EXTENSION_WRONG
    assert await place(open_admissions, C, "") is Reason.EXTENSION_MISSING
    assert await place(open_admissions, C, "1234") == (A,)
    assert await place(open_admissions, D, "7", 2) == (B,)
    assert await place(open_admissions, A) == (C,)
    assert await place(open_admissions, B) == (D,)


async def test_an_extension_under_an_older_key(
    open_store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """A new key in front finds the extensions of before."""
    make(open_store, Axe(a=A, extension="1234"))
    both = KeyRing(
        tag_keys=(*keys.tag_keys, (2, KeyRing.generate().tag_keys[0][1])),
        seal_keys=keys.seal_keys,
    )
    async with AdmissionStore(dsn, both, connections=1, open_modes=True) as later:
        assert await place(later, C, "1234") == (A,)


async def test_a_stranger_elsewhere_is_not_asked(
    open_store: BindingStore, open_admissions: AdmissionStore
) -> None:
    """Where extensions are over, or there are none."""
    bind(open_store)
    assert await place(open_admissions, C, attempts_left=3) is Reason.STRANGER
    ended = make(open_store, Axe(a=A, extension="1"), x=BLOCK.number(2))
    open_store.unbind(ended.id)
    call = Call(caller=C, x_number=BLOCK.number(2), attempts_left=3)
    admission = await open_admissions.admit(call, new_call_id(), timeout=TIMEOUT)
    assert decide(call, admission.facts, now=admission.now) == Refusal(reason=Reason.NO_BINDING)


def test_extensions_are_unique_on_x(open_store: BindingStore) -> None:
    """By the database; another A has another one, or another X."""
    made = make(open_store, Axe(a=A, extension="12"))
    with pytest.raises(BindingConflict, match=f"extension 12 is on {X} already") as caught:
        make(open_store, Axe(a=B, extension="12"))
    assert str(made.id) in str(caught.value)
    with pytest.raises(BindingConflict, match=f"is on {X} already"):
        make(open_store, Axe(a=A, extension="13"))
    make(open_store, Axe(a=B, extension="12"), x=BLOCK.number(2))


def test_extensions_are_chosen(open_store: BindingStore) -> None:
    """Four digits, others each time."""
    chosen = {make(open_store, Axe(a=new_party())).extension for _ in range(20)}
    assert len(chosen) == 20
    assert all(extension and len(extension) == 4 for extension in chosen)


ALONE = [Ax(a=A), Axe(a=A, extension="1")]


@pytest.mark.parametrize("alone", ALONE, ids=lambda parties: parties.mode)
def test_nobody_else_on_the_number(alone: Ax, open_store: BindingStore) -> None:
    """Neither comes to the other, whoever was first; the error names number and binding."""
    first = make(open_store, alone)
    with pytest.raises(BindingConflict, match=rf"{X} is in use by binding {first.id}") as caught:
        bind(open_store, C, D)
    assert caught.value.constraint == "route_alone"
    with pytest.raises(BindingConflict):
        make(open_store, Gxb(members=(C,), b=D))
    with pytest.raises(BindingConflict):
        make(open_store, Ax(a=C))
    second = bind(open_store, C, D, x=BLOCK.number(2))
    with pytest.raises(BindingConflict, match=rf"in use by binding {second.id}"):
        make(open_store, alone, x=BLOCK.number(2))
    assert len(open_store.bindings(everything=True, order_id=None, limit=9)) == 2


@pytest.mark.parametrize("alone", ALONE, ids=lambda parties: parties.mode)
def test_an_ended_binding_is_in_nobodys_way(
    alone: Ax, open_store: BindingStore, connection: Connection
) -> None:
    """Unbound or expired, on either side."""
    open_store.unbind(make(open_store, alone).id)
    expire(connection, bind(open_store, C, D).id)
    expire(connection, make(open_store, alone).id)
    bind(open_store, C, D)


@pytest.mark.parametrize("alone", ALONE, ids=lambda parties: parties.mode)
def test_both_come_at_once(
    alone: Ax, open_store: BindingStore, dsn: str, keys: KeyRing, connection: Connection
) -> None:
    """Never are both on one number, whoever is quicker."""
    assert open_store
    with connect(dsn) as one_line, connect(dsn) as other_line:
        stores = [BindingStore(line, keys, open_modes=True) for line in (one_line, other_line)]
        for round_ in range(15):
            x = BLOCK.number(100 + round_)
            barrier = Barrier(2)

            def work(store: BindingStore, parties: Parties | None) -> Binding | None:
                barrier.wait()  # noqa: B023 - the threads end before the next round
                try:
                    if parties is None:
                        return bind(store, C, D, x=x)  # noqa: B023
                    return make(store, parties, x=x)  # noqa: B023
                except BindingConflict:
                    return None

            with ThreadPoolExecutor(2) as pool:
                made = list(pool.map(work, stores, [alone, None]))
            assert sum(each is not None for each in made) == 1
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 15


def test_a_number_of_its_own_is_chosen(open_store: BindingStore, connection: Connection) -> None:
    """Not one on which others are; nor is an ordinary binding put on one that is taken whole."""
    # Of the block's numbers three are left.
    connection.execute(
        "WITH b AS (INSERT INTO agi_router.binding (block, tenant_id, mode, expires_at)"
        " SELECT %(block)s, id, 'axb', now() + interval '1 hour' FROM agi_router.tenant"
        " RETURNING id)"
        " INSERT INTO agi_router.route"
        " (block, x_number, caller_tag, binding_id, shown, side, ends_at)"
        " SELECT %(block)s, %(block)s * 10000 + n, 42, b.id, %(block)s * 10000 + n, 'a',"
        " now() + interval '1 hour'"
        " FROM b, generate_series(3, 9999) n",
        {"block": BLOCK.value},
    )
    for _ in range(2):
        made = make(open_store, Ax(a=new_party()), x=None)
        assert made.parties[0].dials in {BLOCK.number(n) for n in range(3)}
    # One number is free of all: the pair may be on it or on those where others are.
    taken = {
        party.dials
        for each in open_store.bindings(everything=True, order_id=None, limit=9)
        for party in each.parties
        if each.mode == "ax"
    }
    for _ in range(20):
        assert not {
            p.dials for p in bind(open_store, new_party(), new_party(), x=None).parties
        } & (taken)
    free = {BLOCK.number(n) for n in range(3)} - taken
    bind(open_store, C, D, x=free.pop())
    with pytest.raises(NoNumberAvailable):
        make(open_store, Ax(a=new_party()), x=None)


async def test_the_window_at_its_very_end(
    clock: Clock, open_store: BindingStore, open_admissions: AdmissionStore, connection: Connection
) -> None:
    """At that moment the last caller is forgotten; a microsecond before not."""
    made = make(open_store, Ax(a=A, default=D, window=timedelta(minutes=5)))
    connection.execute(
        "UPDATE agi_router.route SET last_at = %s, last_callee = %s WHERE side = 'a'",
        (made.begins_at, open_store.keys.seal([B], row_of_a(made), Purpose.LAST_CALLER)),
    )
    end = made.begins_at + timedelta(minutes=5)
    clock.set(end - timedelta(microseconds=1))
    assert await place(open_admissions, A) == (B,)
    assert calls_used(connection) == 1


async def test_the_window_is_over(
    clock: Clock, open_store: BindingStore, open_admissions: AdmissionStore, connection: Connection
) -> None:
    """As above, at the moment itself."""
    made = make(open_store, Ax(a=A, window=timedelta(minutes=5)))
    connection.execute(
        "UPDATE agi_router.route SET last_at = %s, last_callee = %s WHERE side = 'a'",
        (made.begins_at, open_store.keys.seal([B], row_of_a(made), Purpose.LAST_CALLER)),
    )
    clock.set(made.begins_at + timedelta(minutes=5))
    assert await place(open_admissions, A) is Reason.NO_CALLBACK
    assert calls_used(connection) == 0
