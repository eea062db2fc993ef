"""Admission: every guard and its reason, limits under concurrency, and one call is one use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Direction, Language
from agi_router.calls import store as admission
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.end import Outcome
from agi_router.calls.ports import Admission
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.errors import ProtocolError, SchemaMismatch
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from harness.database import (
    HOUR,
    Clock,
    Server,
    a_call,
    an_end,
    bind,
    call_states,
    calls_used,
    insert_route,
    look_up,
    new_call_id,
    on_each_version,
    one,
)
from harness.values import A, B, C, D, X, Y

pytestmark = on_each_version

TIMEOUT = 10.0
FOREIGN_X = XNumber.parse("700000000000001")

BINDING = "UPDATE agi_router.binding SET"
BLOCKS = "UPDATE agi_router.block SET"
TENANT = "UPDATE agi_router.tenant SET"


@dataclass(frozen=True)
class Guard:
    """One case: what is changed about a binding of A and B on X, who calls, and what comes."""

    name: str
    change: str | None
    reason: Reason | None
    caller: PhoneNumber = A
    x: XNumber = X


GUARDS = [
    Guard("a calls", None, None),
    Guard("b calls", None, None, caller=B),
    Guard("number of no block of ours", None, Reason.X_UNKNOWN, x=FOREIGN_X),
    Guard("nobody on the number", None, Reason.NO_BINDING, x=Y),
    Guard("stranger", None, Reason.STRANGER, caller=C),
    # What was on the number is over: a stranger is told no more than that nobody is there.
    Guard(
        "stranger, later",
        f"{BINDING} begins_at = now() - interval '2s', expires_at = now() - interval '1s'",
        Reason.NO_BINDING,
        caller=C,
    ),
    Guard(
        "stranger, unbound",
        f"{BINDING} state = 'unbound', ended_at = now()",
        Reason.NO_BINDING,
        caller=C,
    ),
    Guard("block draining", f"{BLOCKS} state = 'draining'", None),
    Guard("block returned", f"{BLOCKS} state = 'returned'", Reason.CERTIFICATE_INVALID),
    Guard(
        "certificate not yet valid",
        f"{BLOCKS} valid_from = now() + interval '1h'",
        Reason.CERTIFICATE_INVALID,
    ),
    Guard(
        "certificate over",
        f"{BLOCKS} valid_until = now() - interval '1s'",
        Reason.CERTIFICATE_INVALID,
    ),
    Guard(
        "certificate valid",
        f"{BLOCKS} valid_from = now() - interval '1s', valid_until = now() + interval '1h'",
        None,
    ),
    Guard("tenant suspended", f"{TENANT} active = false", Reason.TENANT_SUSPENDED),
    Guard("not begun", f"{BINDING} begins_at = now() + interval '1h'", Reason.NO_BINDING),
    Guard(
        "expired by the clock",
        f"{BINDING} begins_at = now() - interval '2s', expires_at = now() - interval '1s'",
        Reason.EXPIRED,
    ),
    Guard(
        "expired and marked so",
        f"{BINDING} state = 'expired', expires_at = now(), ended_at = now()",
        Reason.EXPIRED,
    ),
    Guard("unbound", f"{BINDING} state = 'unbound', ended_at = now()", Reason.UNBOUND),
    Guard("order ended", f"{BINDING} state = 'order_ended', ended_at = now()", Reason.ORDER_ENDED),
    Guard(
        "a number has a new owner",
        f"{BINDING} state = 'party_recycled', ended_at = now()",
        Reason.PARTY_RECYCLED,
    ),
    Guard(
        "nobody knows whose number it is",
        f"{BINDING} state = 'recycle_unknown', ended_at = now()",
        Reason.RECYCLE_UNKNOWN,
    ),
    Guard("held", f"{BINDING} state = 'held'", Reason.RECYCLE_UNKNOWN),
    Guard("last use", f"{BINDING} max_calls = 3, calls_used = 2", None),
    Guard("used up", f"{BINDING} max_calls = 3, calls_used = 3", Reason.USED_UP),
    Guard("no limit", f"{BINDING} calls_used = 1000", None),
    Guard("only a may, a calls", f"{BINDING} direction = 'a'", None),
    Guard("only a may, b calls", f"{BINDING} direction = 'a'", Reason.WRONG_DIRECTION, caller=B),
    Guard("only b may, a calls", f"{BINDING} direction = 'b'", Reason.WRONG_DIRECTION),
    Guard("only b may, b calls", f"{BINDING} direction = 'b'", None, caller=B),
    # The first rule that fails gives the reason.
    Guard(
        "unbound and used up",
        f"{BINDING} state = 'unbound', ended_at = now(), max_calls = 1, calls_used = 1",
        Reason.UNBOUND,
    ),
    Guard(
        "used up and wrong direction",
        f"{BINDING} max_calls = 1, calls_used = 1, direction = 'b'",
        Reason.USED_UP,
    ),
]


def reason_of(admission: Admission, caller: PhoneNumber = A, x: XNumber = X) -> Reason | None:
    """Decide as the router does; the guard in SQL must have said the same."""
    decision = decide(a_call(caller, x), admission.facts, now=admission.now)
    assert admission.admitted is isinstance(decision, Route)
    return decision.reason if isinstance(decision, Refusal) else None


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name.replace(" ", "-"))
async def test_guard(
    guard: Guard, connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """
    A guard that fails gives its reason, and nothing is taken or written.

    The look-up that takes nothing tells the same facts.
    """
    bind(store)
    if guard.change is not None:
        connection.execute(guard.change.encode())
    before = calls_used(connection)
    call_id = new_call_id()
    call = a_call(guard.caller, guard.x)
    looked = look_up(store, call, at=None)
    decision = decide(call, looked.facts, now=looked.now)
    assert not looked.admitted
    assert (decision.reason if isinstance(decision, Refusal) else None) is guard.reason
    assert (calls_used(connection), await admissions.reserved("")) == (before, {})
    admission = await admissions.admit(call, call_id, timeout=TIMEOUT)
    assert reason_of(admission, guard.caller, guard.x) is guard.reason
    taken = guard.reason is None
    assert calls_used(connection) == before + taken
    assert call_states(connection) == ({call_id: "reserved"} if taken else {})


async def test_facts_are_those_before_the_use(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """The facts of an admitted call carry all that was agreed, and the count before it."""
    made = bind(
        store,
        max_calls=5,
        ring_timeout=timedelta(seconds=20),
        max_duration=timedelta(minutes=3),
        language=Language.EN,
        direction=Direction.A,
    )
    connection.execute(b"UPDATE agi_router.binding SET calls_used = 2")
    call_id = new_call_id()
    admission = await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
    leg = admission.facts.hit
    assert leg is not None
    assert (leg.callees, leg.shown, leg.binding) == ((B,), X, str(made.id))
    assert (leg.max_calls, leg.calls_used, leg.direction) == (5, 2, Direction.A)
    assert (leg.ring_timeout, leg.max_duration) == (
        timedelta(seconds=20),
        timedelta(minutes=3),
    )
    assert leg.language is Language.EN
    assert (leg.begins_at, leg.expires_at) == (made.begins_at, made.expires_at)
    assert one(connection, "SELECT received_at FROM agi_router.call") == admission.now
    assert one(connection, "SELECT side FROM agi_router.call") == "a"
    assert await admissions.reserved("pbx1") == {call_id: X}


async def test_fifty_at_once_with_ten_left(
    connection: Connection, store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """Exactly ten are admitted, forty are used up; unanswered ones give their use back."""
    bind(store, max_calls=12)
    connection.execute(b"UPDATE agi_router.binding SET calls_used = 2")
    ids = [new_call_id() for _ in range(50)]
    async with AdmissionStore(dsn, keys, connections=16) as admissions:
        answers = await asyncio.gather(
            *(admissions.admit(a_call(), each, timeout=TIMEOUT) for each in ids)
        )
        reasons = [reason_of(answer) for answer in answers]
        assert reasons.count(None) == 10
        assert reasons.count(Reason.USED_UP) == 40
        assert calls_used(connection) == 12
        # Four are answered; the refused ones leave a line as well.
        admitted = [each for each, reason in zip(ids, reasons, strict=True) if reason is None]
        answered = set(admitted[:4])
        ends = [
            an_end(each, Outcome.ANSWERED if each in answered else Outcome.BUSY)
            if each in admitted
            else an_end(each, None, reason=Reason.USED_UP)
            for each in ids
        ]
        await admissions.settle(ends)
        assert calls_used(connection) == 6
        assert set(call_states(connection)) == set(ids)
        # What came back can be used again.
        again = await asyncio.gather(
            *(admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT) for _ in range(20))
        )
        assert sum(answer.admitted for answer in again) == 6


async def test_same_call_again(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """Asked again, also many times at once, a call gets the decision it had and takes nothing."""
    made = bind(store, max_calls=1)
    call_id = new_call_id()
    answers = await asyncio.gather(
        *(admissions.admit(a_call(), call_id, timeout=TIMEOUT) for _ in range(12))
    )
    # Used up by itself, unbound and taken out of service since: the decision stands.
    connection.execute(b"UPDATE agi_router.tenant SET active = false")
    store.unbind(made.id)
    answers.append(await admissions.admit(a_call(), call_id, timeout=TIMEOUT))
    for answer in answers:
        assert reason_of(answer) is None
        assert answer.facts.hit is not None
        assert (answer.facts.hit.callees, answer.facts.hit.shown) == ((B,), X)
        assert answer.now == answers[0].now
    assert calls_used(connection) == 1


async def test_same_call_again_for_another_caller(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """A call id that is used again for another number gets no decision of the first."""
    bind(store)
    bind(store, C, D, x=Y)
    call_id = new_call_id()
    assert (await admissions.admit(a_call(), call_id, timeout=TIMEOUT)).admitted
    with pytest.raises(ProtocolError):
        await admissions.admit(a_call(C, Y), call_id, timeout=TIMEOUT)
    assert calls_used(connection) == 1


@pytest.mark.parametrize("reason", [None, Reason.USED_UP], ids=["gave-up", "refused"])
async def test_caller_gone_before_admission(
    reason: Reason | None,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
) -> None:
    """An admission that comes after its call was settled rolls back and is refused."""
    bind(store, max_calls=1)
    call_id = new_call_id()
    await admissions.settle([an_end(call_id, None, reason=reason)])
    for _ in range(2):
        with pytest.raises(ProtocolError):
            await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
    assert calls_used(connection) == 0
    assert call_states(connection) == {call_id: "settled"}
    assert (await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)).admitted


async def test_exact_row_wins_over_anyone(
    connection: Connection, store: BindingStore, open_admissions: AdmissionStore, keys: KeyRing
) -> None:
    """A row for anyone takes strangers; who has a row of his own is routed by it."""
    made = bind(store)
    insert_route(connection, keys, binding=made.id.id, caller=None, callee=D)
    callees = {}
    for caller in (A, B, C):
        admission = await open_admissions.admit(a_call(caller), new_call_id(), timeout=TIMEOUT)
        assert reason_of(admission, caller) is None
        assert admission.facts.hit is not None
        callees[caller] = admission.facts.hit.callees
    assert callees == {A: (B,), B: (A,), C: (D,)}


async def test_row_for_anyone_asked_again(
    connection: Connection, store: BindingStore, open_admissions: AdmissionStore, keys: KeyRing
) -> None:
    """A retry finds the row for anyone too."""
    made = bind(store)
    insert_route(connection, keys, binding=made.id.id, caller=None, callee=D)
    call_id = new_call_id()
    for _ in range(2):
        admission = await open_admissions.admit(a_call(C), call_id, timeout=TIMEOUT)
        assert admission.facts.hit is not None
        assert admission.facts.hit.callees == (D,)
    assert calls_used(connection) == 1


@pytest.mark.parametrize(
    ("offset", "reason"),
    [
        (timedelta(microseconds=-1), None),
        (timedelta(0), Reason.EXPIRED),
        (timedelta(microseconds=1), Reason.EXPIRED),
    ],
    ids=["just-before", "exactly-then", "just-after"],
)
async def test_moment_of_expiry(
    offset: timedelta,
    reason: Reason | None,
    clock: Clock,
    store: BindingStore,
    admissions: AdmissionStore,
) -> None:
    """A binding lives until its expiry, and no longer at that very moment."""
    made = bind(store)
    clock.set(made.expires_at + offset)
    admission = await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
    assert admission.now == made.expires_at + offset
    assert reason_of(admission) is reason
    looked = look_up(store, a_call(), at=made.expires_at + offset)
    decision = decide(a_call(), looked.facts, now=looked.now)
    assert (decision.reason if isinstance(decision, Refusal) else None) is reason


@pytest.mark.parametrize(
    ("column", "offset", "reason"),
    [
        # The certificate's dates hold from the first to before the last moment.
        ("valid_from", timedelta(0), None),
        ("valid_from", timedelta(microseconds=1), Reason.CERTIFICATE_INVALID),
        ("valid_until", timedelta(0), Reason.CERTIFICATE_INVALID),
        ("valid_until", timedelta(microseconds=1), None),
    ],
)
async def test_moment_of_certificate(
    column: str,
    offset: timedelta,
    reason: Reason | None,
    clock: Clock,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
) -> None:
    """A certificate is judged at the moment of the call."""
    made = bind(store)
    now = made.begins_at + timedelta(minutes=1)
    connection.execute(f"{BLOCKS} {column} = %s".encode(), (now + offset,))
    clock.set(now)
    admission = await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
    assert reason_of(admission) is reason


async def test_moment_of_begin(
    clock: Clock, store: BindingStore, admissions: AdmissionStore
) -> None:
    """A binding may be called from the moment it was made."""
    made = bind(store)
    clock.set(made.begins_at)
    admission = await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
    assert reason_of(admission) is None


async def test_small_tags(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    keys: KeyRing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A tag that happens to be a small number is a tag like any other."""
    made = bind(store)
    connection.execute(b"DELETE FROM agi_router.route")
    monkeypatch.setattr(KeyRing, "tag", lambda _, number: 7 if number == A else 8)
    monkeypatch.setattr(KeyRing, "tags", lambda _, number: [7 if number == A else 8])
    insert_route(connection, keys, binding=made.id.id, caller=A, callee=B)
    call_id = new_call_id()
    for _ in range(2):
        admission = await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
        assert reason_of(admission) is None
    assert look_up(store, a_call(), at=None).facts.hit is not None


async def test_schema_is_missing(server: Server, keys: KeyRing) -> None:
    """On a database without the schema the error says what to do."""
    empty = server.clone(migrated=False)
    try:
        async with AdmissionStore(empty, keys, connections=1) as admissions:
            with pytest.raises(SchemaMismatch):
                await admissions.admit(a_call(), new_call_id(), timeout=TIMEOUT)
            with pytest.raises(SchemaMismatch):
                await admissions.settle([an_end(new_call_id())])
    finally:
        server.drop(empty)


async def test_reserved_are_those_of_one_node(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """A node is told its own calls, not those of a node whose name begins like its own."""
    bind(store)
    ids = {node: new_call_id(node=node) for node in ("pbx1", "pbx1-b", "pbx10")}
    nameless = new_call_id().partition("-")[2]
    for each in (*ids.values(), nameless):
        await admissions.admit(a_call(), each, timeout=TIMEOUT)
    for node, call_id in ids.items():
        assert await admissions.reserved(node) == {call_id: X}
    assert await admissions.reserved("") == {nameless: X}
    assert await admissions.reserved("other") == {}


async def test_reserved_of_days_ago(store: BindingStore, admissions: AdmissionStore) -> None:
    """A call of yesterday that was never settled is still told."""
    bind(store)
    call_id = new_call_id(datetime.now(UTC) - 24 * HOUR)
    await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
    assert await admissions.reserved("pbx1") == {call_id: X}


async def test_old_reservations_are_found_too(
    connection: Connection,
    admissions: AdmissionStore,
    store: BindingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However old, and however many: they are read in pages, each from the index."""
    monkeypatch.setattr(admission, "_RESERVED_PAGE", 3)
    bind(store)
    ids = [new_call_id() for _ in range(9)]
    others = [new_call_id(node="pbx2") for _ in range(3)]
    for call_id in (*ids, *others):
        await admissions.admit(a_call(), call_id, timeout=TIMEOUT)
    # They have become old meanwhile.
    older = {}
    for months, call_id in enumerate(ids[1:], 1):
        day = datetime.now(UTC) - months * 720 * HOUR
        older[call_id] = new_call_id(day)
        connection.execute(
            "UPDATE agi_router.call SET id = %s, day = %s WHERE id = %s",
            (older[call_id], day.date(), call_id),
        )
    ids = [older.get(call_id, call_id) for call_id in ids]
    assert await admissions.reserved("pbx1") == dict.fromkeys(ids, X)
    # A page that is just full is not the end.
    assert await admissions.reserved("pbx2") == dict.fromkeys(others, X)
    await admissions.settle([an_end(call_id) for call_id in ids])
    assert await admissions.reserved("pbx1") == {}


def test_reservations_are_found_by_their_index(cell: Connection) -> None:
    """No day of calls is read for them."""
    cell.execute("SET enable_seqscan = off")
    values = {"node": "pbx1", "after": "pbx1-", "before": "pbx1.", "limit": 10}
    plan = cell.execute(b"EXPLAIN " + query("list_reserved"), values).fetchall()
    lines = [row["QUERY PLAN"] for row in plan]
    scans = [line for line in lines if "Scan" in line and "Subquery Scan" not in line]
    assert scans
    assert all("id_idx" in scan or "call_reserved" in scan for scan in scans), plan
