"""A party who is replaced while the binding lives."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.bindings.model import Binding, BindingId
from agi_router.bindings.modes import Ax, Axb, Axe, Axyb, Gxb, Gxyb, Parties
from agi_router.bindings.once import bind_once
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Side
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.queries import query
from agi_router.errors import (
    AgiRouterError,
    BindingChanged,
    BindingConflict,
    BindingEnded,
    BindingNotFound,
    ModeError,
    NumberResting,
    SameParty,
    StoreUnavailable,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys, key_ids
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    admit_as_router,
    an_end,
    bind,
    look_up,
    new_call_id,
    on_each_version,
    on_one_server,
    one,
    until,
)
from harness.values import BLOCK, A, B, C, D, X, Y

TIMEOUT = 15.0
NEW = PhoneNumber.parse("13912340077")
ALL = tuple(each for each in EventType if each is not EventType.WEBHOOK_TEST)
# How many wait for a lock.
WAITING = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"

Stores = Callable[[], BindingStore]


@pytest.fixture
def stores(dsn: str, keys: KeyRing) -> Iterator[Stores]:
    """Open stores with connections of their own."""
    with ExitStack() as stack:
        yield lambda: BindingStore(stack.enter_context(connect(dsn)), keys, NO_REST)


def make(store: BindingStore, parties: Parties, **terms: Any) -> Binding:
    """Bind for an hour, on X, and on Y where the mode has a number for B from the beginning."""
    agreed = Terms(expires_at=store.now() + HOUR, **terms)
    return store.bind(parties, agreed, x=X, y=Y if parties.numbers == 2 else None)


def sides(binding: Binding) -> tuple[set[PhoneNumber], set[PhoneNumber]]:
    """Who is on each side."""
    of_a, of_b = ({p.number for p in binding.parties if p.side is side} for side in Side)
    return of_a, of_b


def outcome(
    store: BindingStore, caller: PhoneNumber, dialled: XNumber = X
) -> tuple[PhoneNumber, ...] | Reason:
    """Whom a call would ring, or why nobody."""
    looked = look_up(store, a_call(caller, dialled), at=None)
    decision = decide(a_call(caller, dialled), looked.facts, now=looked.now)
    if isinstance(decision, Refusal):
        return decision.reason
    assert isinstance(decision, Route)
    return decision.callees


@on_each_version
@pytest.mark.parametrize(
    ("parties", "side"),
    [
        (Axb(a=A, b=B), Side.A),
        (Axb(a=A, b=B), Side.B),
        (Axyb(a=A, b=B), Side.A),
        (Axyb(a=A, b=B), Side.B),
        (Gxb(members=(A, C), b=B, callback=Callback.SEQUENCE), Side.B),
        (Gxyb(members=(A, C), b=B, default=C), Side.B),
    ],
    ids=lambda value: value.mode if isinstance(value, Parties) else value,
)
def test_replaced(open_store: BindingStore, parties: Parties, side: Side) -> None:
    """Who comes reaches whom the other reached, and is reached; who left is a stranger."""
    store = open_store
    made = make(store, parties)
    other = Side.B if side is Side.A else Side.A
    dialled = {p.side: p.dials or X for p in made.parties}
    leaver = next(p.number for p in made.parties if p.side is side)
    reached = outcome(store, leaver, dialled[side])
    changed = store.replace(made.id, side, NEW)
    assert (changed.version, store.find(made.id)) == (2, changed)
    assert sides(changed)[list(Side).index(side)] == {NEW}
    assert sides(changed)[list(Side).index(other)] == sides(made)[list(Side).index(other)]
    assert outcome(store, leaver, dialled[side]) is Reason.STRANGER
    assert outcome(store, NEW, dialled[side]) == reached
    for party in changed.parties:
        if party.side is other:
            assert outcome(store, party.number, dialled[other]) == (NEW,)
    assert outcome(store, NEW, BLOCK.number(9)) is Reason.NO_BINDING


async def place(
    admissions: AdmissionStore, caller: PhoneNumber, dialled: XNumber = X, **call: Any
) -> tuple[PhoneNumber, ...] | Reason:
    """Place a call as the router does; whom it rings, or why nobody."""
    asked = Call(caller=caller, x_number=dialled, **call)
    _, decision = await admit_as_router(admissions, asked, new_call_id())
    if isinstance(decision, Refusal):
        return decision.reason
    assert isinstance(decision, Route)
    return decision.callees


@on_each_version
@pytest.mark.parametrize("parties", [Ax(a=A, default=C), Axe(a=A, extension="12", default=C)])
async def test_replaced_where_strangers_call(
    open_store: BindingStore,
    open_admissions: AdmissionStore,
    connection: Connection,
    parties: Ax,
) -> None:
    """They reach who came, who calls back nobody who has called the other."""
    typed: dict[str, Any] = {}
    if parties.extension is not None:
        typed["typed"] = DialledExtension(extension=parties.extension)
    made = make(open_store, parties)
    assert await place(open_admissions, D, **typed) == (A,)
    assert await place(open_admissions, A) == (D,)
    (before,) = connection.execute(
        "SELECT last_callee, last_tag, last_at, begins_at FROM agi_router.route WHERE side = 'a'"
    ).fetchall()
    changed = open_store.replace(made.id, Side.A, NEW)
    assert (sides(changed)[0], changed.called_back) == ({NEW}, (C,))
    assert await place(open_admissions, NEW) == (C,)
    assert await place(open_admissions, D, **typed) == (NEW,)
    assert await place(open_admissions, NEW) == (D,)
    # A call that came before is not remembered for who came after, however late that is written.
    connection.execute("UPDATE agi_router.route SET last_callee = NULL, last_at = NULL")
    values = {"block": BLOCK.value, "id": made.id.id, "at": before["last_at"]}
    remembered = {"caller": before["last_callee"], "tag": before["last_tag"]}
    connection.execute(
        query("remember_caller"), {**values, **key_ids(open_store.keys), **remembered}
    )
    assert one(connection, "SELECT count(*) FROM agi_router.route WHERE last_at IS NOT NULL") == 0
    with pytest.raises(ModeError, match="whoever calls"):
        open_store.replace(made.id, Side.B, NEW)


@on_each_version
@pytest.mark.parametrize("side", [Side.A, Side.B])
async def test_replaced_where_y_is_made_on_a_call(
    store: BindingStore, admissions: AdmissionStore, connection: Connection, side: Side
) -> None:
    """The Y of before leads to nobody; the next call of A makes another."""
    made = make(store, Axyb(a=A, b=B, y_ttl=HOUR))
    assert await place(admissions, A) == (B,)
    y = XNumber.from_int(one(connection, "SELECT shown FROM agi_router.route WHERE side = 'a'"))
    assert await place(admissions, B, y) == (A,)
    changed = store.replace(made.id, side, NEW)
    a, b = (NEW, B) if side is Side.A else (A, NEW)
    assert sides(changed) == ({a}, {b})
    assert await place(admissions, B, y) is Reason.NO_BINDING
    assert await place(admissions, a) == (b,)
    shown = one(connection, "SELECT shown FROM agi_router.route WHERE side = 'a'")
    assert await place(admissions, b, XNumber.from_int(shown)) == (a,)
    children = connection.execute(
        "SELECT id, state FROM agi_router.binding WHERE parent_id IS NOT NULL ORDER BY id"
    ).fetchall()
    assert [row["state"] for row in children] == ["unbound", "active"]
    with pytest.raises(ModeError, match="change its parent"):
        store.replace(BindingId(BLOCK, children[1]["id"]), side, C)


@on_one_server
async def test_the_last_caller_is_forgotten(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Who comes as B calls back the default, until a member has called."""
    made = make(store, Gxb(members=(A, C), b=B, callback=Callback.LAST, default=C))
    await place(admissions, A)
    assert await place(admissions, B) == (A,)
    store.replace(made.id, Side.B, NEW)
    assert await place(admissions, NEW) == (C,)
    await place(admissions, A)
    assert await place(admissions, NEW) == (A,)


@on_one_server
def test_what_is_refused(store: BindingStore) -> None:
    """By the rules of a bind; and nothing has changed then."""
    made = make(store, Axb(a=A, b=B), order_id="O-1")
    group = store.bind(
        Gxb(members=(A, C), b=D), Terms(expires_at=store.now() + HOUR), x=BLOCK.number(5)
    )
    other = bind(store, C, D)
    cases: list[tuple[Binding, Side, PhoneNumber, type[AgiRouterError], str]] = [
        (made, Side.A, B, SameParty, "the same number"),
        (made, Side.B, A, SameParty, "the same number"),
        (group, Side.B, C, SameParty, "all be different"),
        (group, Side.A, NEW, ModeError, "is a group"),
        (made, Side.A, C, BindingConflict, f"{C.masked} is on {X} already, by binding {other.id}"),
        (made, Side.B, D, BindingConflict, f"{D.masked} is on {X} already, by binding {other.id}"),
    ]
    for binding, side, number, error, words in cases:
        with pytest.raises(error, match=words.replace("*", "[*]")):
            store.replace(binding.id, side, number)
        assert store.find(binding.id) == binding
    assert store.replace(made.id, Side.A, A) == made
    with pytest.raises(BindingChanged):
        store.replace(made.id, Side.A, NEW, version=2)
    assert store.replace(made.id, Side.A, NEW, version=1).version == 2
    store.unbind(made.id)
    with pytest.raises(BindingEnded):
        store.replace(made.id, Side.A, A)
    with pytest.raises(BindingNotFound):
        store.replace(replace(made.id, id=10**9), Side.A, A)


@on_one_server
def test_numbers_rest(connection: Connection, store: BindingStore) -> None:
    """Who was on the number by another binding comes later; who left this one comes back."""
    made = make(store, Axb(a=A, b=B))
    store.unbind(bind(store, C, D).id)
    careful = BindingStore(
        connection, store.keys, Quarantine(number=timedelta(), party=timedelta(days=7))
    )
    with pytest.raises(NumberResting, match="by another binding and may not be again before"):
        careful.replace(made.id, Side.A, C)
    for number in (NEW, A, NEW, A):
        assert sides(careful.replace(made.id, Side.A, number)) == ({number}, {B})
    # And who left it rests there for others.
    with pytest.raises(NumberResting, match=f"was on {X} by another"):
        bind(careful, NEW, D)


@on_one_server
def test_the_order_and_the_pair(store: BindingStore) -> None:
    """They are those of who is bound now: what is asked again finds it, and so does a pair."""
    agreed = Terms(expires_at=store.now() + HOUR, order_id="O-1")
    prefer = NumberPolicy(same_x=Affinity.PREFER)
    made = store.bind(Axb(a=A, b=B), agreed, x=X, choice=prefer)
    store.replace(made.id, Side.B, NEW)
    assert bind_once(store, Axb(a=A, b=NEW), agreed).id == made.id
    assert bind_once(store, Axb(a=A, b=B), agreed).id != made.id
    store.unbind(made.id)
    again = store.bind(Axb(a=A, b=NEW), replace(agreed, order_id=None), choice=prefer)
    assert again.parties[0].dials == X


@on_each_version
async def test_what_is_told(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """The change, once; each event has the parties of its time, a call those who are in it."""
    events = EventStore(Queries(connection), store.keys)
    events.set_types("default", ALL)
    made = make(store, Axb(a=A, b=B))
    call_id = new_call_id()
    await admit_as_router(admissions, a_call(), call_id)
    store.replace(made.id, Side.A, NEW)
    await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
    store.replace(made.id, Side.B, C)
    told = events.events("default", limit=9).events
    assert [event.type.value for event, _ in told] == [
        "binding.created",
        "call.admitted",
        "binding.changed",
        "call.answered",
        "call.ended",
        "binding.changed",
    ]
    of_both = [(parties[Side.A], parties[Side.B]) for _, parties in told]
    before = ([A.masked], [B.masked])
    assert of_both == [
        before,
        before,
        ([NEW.masked], [B.masked]),
        before,
        before,
        ([NEW.masked], [C.masked]),
    ]


@on_one_server
async def test_keys_are_rotated(
    store: BindingStore,
    admissions: AdmissionStore,
    connection: Connection,
    keys: KeyRing,
    tmp_path: Path,
) -> None:
    """The rows of before are renewed with those of their time; then their keys go."""
    events = EventStore(Queries(connection), keys)
    events.set_types("default", ALL)
    pair = make(store, Axb(a=A, b=B), order_id="O-1")
    group = store.bind(
        Gxb(members=(A, C), b=B, callback=Callback.LAST, default=C),
        Terms(expires_at=store.now() + HOUR),
        x=BLOCK.number(3),
    )
    made = store.bind(
        Axyb(a=A, b=B, y_ttl=HOUR), Terms(expires_at=store.now() + HOUR), x=BLOCK.number(4)
    )
    await place(admissions, A, BLOCK.number(4))
    for number in (NEW, D):
        store.replace(pair.id, Side.A, number)
        store.replace(group.id, Side.B, number)
        store.replace(made.id, Side.B, number)
        store.remove_member(group.id, A)
        store.add_members(group.id, [A])
        await place(admissions, A, BLOCK.number(4))
    told = [parties for _, parties in events.events("default", limit=99).events]
    file = tmp_path / "key"
    write_key_ring(file, keys)
    old = keys.tag_key_id, keys.seal_key_id
    rotation = Rotation(connection, check_keys(connection, keys), file)
    rotation.switch(rotation.add(["tag", "seal"]))
    renewal = rotation.renewal()
    assert sum(renewal.run()) == 3
    assert renewal.left == []
    renewed = BindingStore(connection, rotation.keys, NO_REST)
    assert sides(renewed.find(pair.id)) == ({D}, {B})
    assert sides(renewed.find(group.id)) == ({A, C}, {D})
    assert outcome(renewed, D) == (B,)
    assert outcome(renewed, NEW) is Reason.STRANGER
    assert outcome(renewed, A, BLOCK.number(4)) == (D,)
    again = EventStore(Queries(connection), rotation.keys).events("default", limit=99)
    assert [parties for _, parties in again.events] == told
    agreed = Terms(expires_at=store.now() + HOUR, order_id="O-1")
    assert bind_once(renewed, Axb(a=D, b=B), agreed).id == pair.id
    rotation.retire("tag", old[0])
    rotation.retire("seal", old[1])


@on_each_version
def test_two_at_once(stores: Stores, store: BindingStore, cell: Connection) -> None:
    """One after the other; who has named the version of before is refused."""
    made = make(store, Axb(a=A, b=B))
    first, second, third = stores(), stores(), stores()
    with ThreadPoolExecutor(2) as pool:
        with first.connection.transaction():
            first.replace(made.id, Side.A, C)
            late = pool.submit(second.replace, made.id, Side.B, D)
            named = pool.submit(third.replace, made.id, Side.A, NEW, version=1)
            until(lambda: one(cell, WAITING) == 2)
        assert sides(late.result()) == ({C}, {D})
        with pytest.raises(BindingChanged):
            named.result()
    found = store.find(made.id)
    assert (found.version, sides(found)) == (3, ({C}, {D}))
    assert outcome(store, C) == (D,)
    assert outcome(store, D) == (C,)


@on_each_version
async def test_beside_calls(
    stores: Stores, store: BindingStore, admissions: AdmissionStore
) -> None:
    """A call is between the parties of before, or those of after, and never of both."""
    made = make(store, Axb(a=A, b=B))
    changer = stores()
    pairs = [(A, B), (C, D), (NEW, B)]
    ended = threading.Event()

    def change() -> None:
        for a, b in itertools.islice(itertools.cycle(pairs[1:] + pairs[:1]), 30):
            changer.replace(made.id, Side.A, a)
            changer.replace(made.id, Side.B, b)
        ended.set()

    callees: dict[PhoneNumber, set[Any]] = {}
    with ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        while not ended.is_set() and not changing.done():
            for caller in (A, B, C, D, NEW):
                found = await place(admissions, caller)
                callees.setdefault(caller, set()).add(found)
        changing.result()
    of_a, of_b = {A, C, NEW}, {B, D}
    for caller, found_by in callees.items():
        others = of_b if caller in of_a else of_a
        reached = {each for each in found_by if not isinstance(each, Reason)}
        assert {each for each in found_by if isinstance(each, Reason)} <= {Reason.STRANGER}
        assert reached <= {(each,) for each in others}
    assert await place(admissions, A) == (B,)


@on_each_version
def test_killed_on_the_way(stores: Stores, store: BindingStore, connection: Connection) -> None:
    """Nothing has changed, and nothing is held."""
    made = make(store, Axb(a=A, b=B))
    dying = stores()
    pid = dying.connection.info.backend_pid

    def change() -> None:
        with dying.connection.transaction():
            dying.replace(made.id, Side.A, NEW)
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
            dying.find(made.id)

    with pytest.raises((StoreUnavailable, psycopg.OperationalError)):
        change()
    assert store.find(made.id) == made
    assert outcome(store, A) == (B,)
    assert outcome(store, NEW) is Reason.STRANGER
    assert sides(store.replace(made.id, Side.A, NEW)) == ({NEW}, {B})
