"""Appeals in the database: steps, two actors, deadlines, and who hears of them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.modes import Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState
from agi_router.calls.decision import Refusal, decide
from agi_router.calls.store import AdmissionStore
from agi_router.cursors import Cursor
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import (
    AppealNotFound,
    AppealNotReady,
    AppealOpen,
    AppealOver,
    BindingEnded,
    CursorInvalid,
    LockNotFound,
    LockOver,
    OperatorOnly,
    PartyLocked,
    RequestInvalid,
    SameActor,
    SameParty,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.feeds.model import FeedKind, NumberForm, Trust
from agi_router.feeds.recycler import Recycler
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.numbers import PhoneNumber
from agi_router.persons.appeal_states import AppealState, Spans
from agi_router.persons.appeal_store import AppealStore
from agi_router.persons.appeals import AppealStep, Evidence, EvidenceKind
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import Lock, LockedThing, LockState
from agi_router.tenants.model import UnknownNumbers
from harness.cli import run
from harness.database import (
    NO_REST,
    SOON,
    Clock,
    a_call,
    bind,
    new_call_id,
    on_each_version,
    one,
    set_clock,
    until,
)
from harness.pbx import Cli
from harness.values import BLOCK, A, B, C, D, E, X

SETTER, JUDGE, TENANT = "root@one", "root@two", "API key abc"
OTHER = "others"
PAID = Evidence(kind=EvidenceKind.PAYMENT_RECORD, reference="ticket-77", digest="9f86d081" * 8)


def appeals_of(store: BindingStore, spans: Spans | None = None) -> AppealStore:
    """The appeals, as whoever has this store sees them."""
    queries = Queries(store.connection)
    return AppealStore(queries, store.keys, spans or Spans(), store.scope)


def locked(store: BindingStore, **said: Any) -> Lock:
    """A is locked, everywhere if nothing else is said."""
    thing = LockedThing(subject=Subject.PERSON, person=A, tenant=said.pop("tenant", None))
    return store.locks.set(thing, said.pop("reason", LockReason.ARREARS), by=SETTER, **said)


def told(connection: Connection) -> list[tuple[str, str]]:
    """The events of appeals: type and state."""
    rows = connection.execute(
        b"SELECT type, data ->> 'state' AS state FROM agi_router.event"
        b" WHERE type LIKE 'appeal.%%' ORDER BY id"
    ).fetchall()
    return [(row["type"].removeprefix("appeal."), row["state"]) for row in rows]


@on_each_version
async def test_from_its_filing_to_its_end(
    store: BindingStore, admissions: AdmissionStore, keys: KeyRing
) -> None:
    """The lock is lifted by who has not set it; the caller hears of each state, the tenant too."""
    pair = bind(store, order_id="order-1")
    EventStore(Queries(store.connection), keys).set_types("default", list(EventType)[:-1])
    appeals = appeals_of(store)
    lock = locked(store)

    async def heard() -> tuple[LockReason | None, str | None]:
        answer = await admissions.admit(a_call(A), new_call_id(), timeout=SOON)
        decision = decide(a_call(A), answer.facts, now=answer.now)
        assert isinstance(decision, Refusal)
        return decision.lock, decision.appeal

    assert await heard() == (LockReason.ARREARS, None)
    made = appeals.file(lock.id, by=TENANT, note="I have paid")
    assert (made.state, made.missing) == (AppealState.FILED, (EvidenceKind.PAYMENT_RECORD,))
    assert made.deadline_at == made.filed_at + Spans().evidence
    assert made.thing.person == A
    assert await heard() == (LockReason.ARREARS, "filed")
    with pytest.raises(AppealOpen):
        appeals.file(lock.id, by=TENANT)
    with pytest.raises(AppealNotReady):
        appeals.take(made.id, AppealStep.REVIEW, by=JUDGE)
    wrong = Evidence(kind=EvidenceKind.EXPLANATION, reference="x", digest="00" * 32)
    with pytest.raises(RequestInvalid, match="needs payment_record"):
        appeals.add_evidence(made.id, wrong, by=TENANT)
    complete = appeals.add_evidence(made.id, PAID, by=TENANT)
    assert (complete.state, complete.missing) == (AppealState.COMPLETE, ())
    assert appeals.add_evidence(made.id, PAID, by=TENANT) == complete
    with pytest.raises(SameActor):
        appeals.take(made.id, AppealStep.REVIEW, by=SETTER)
    assert appeals.take(made.id, AppealStep.REVIEW, by=JUDGE).reviewer == JUDGE
    assert await heard() == (LockReason.ARREARS, "review")
    with pytest.raises(SameActor):
        appeals.take(made.id, AppealStep.LIFT, by=SETTER)
    done = appeals.take(made.id, AppealStep.LIFT, by=JUDGE, note="paid")
    assert (done.state, done.decided_by, done.decision_note, done.deadline_at) == (
        AppealState.LIFTED,
        JUDGE,
        "paid",
        None,
    )
    lifted = store.locks.find(lock.id)
    assert (lifted.state, lifted.lifted_by, lifted.lift_note) == (LockState.LIFTED, JUDGE, "paid")
    assert (await admissions.admit(a_call(A), new_call_id(), timeout=SOON)).admitted
    with pytest.raises(AppealOver):
        appeals.take(made.id, AppealStep.WITHDRAW, by=TENANT)
    with pytest.raises(LockOver):
        appeals.file(lock.id, by=TENANT)
    assert told(store.connection) == [
        ("filed", "filed"),
        ("changed", "evidence_complete"),
        ("changed", "in_review"),
        ("closed", "lifted"),
    ]
    row = store.connection.execute(
        b"SELECT data FROM agi_router.event WHERE type = 'appeal.filed'"
    ).fetchone()
    assert row is not None
    assert row["data"]["bindings"] == [{"binding_id": str(pair.id), "order_id": "order-1"}]
    assert len(row["data"]["person_tag"]) == 16


async def test_the_statement_holds_to_two_actors_itself(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Whoever asks it; upheld, the lock stays, the caller hears so, and one may appeal anew."""
    bind(store)
    appeals = appeals_of(store)
    lock = locked(store, reason=LockReason.MAINTENANCE, ends_at=store.now() + timedelta(hours=2))
    made = appeals.file(lock.id, by=TENANT)
    assert made.state is AppealState.COMPLETE

    def step(source: str, target: str, actor: str) -> bool:
        row = store.connection.execute(
            "SELECT agi_router.step_appeal(%s, ARRAY[%s], %s, %s, NULL, NULL, NULL) AS done",
            (made.id, source, target, actor),
        ).fetchone()
        assert row is not None
        return bool(row["done"])

    assert not step("evidence_complete", "in_review", SETTER)
    assert not step("filed", "in_review", JUDGE)
    assert step("evidence_complete", "in_review", JUDGE)
    assert not step("in_review", "upheld", SETTER)
    assert not step("in_review", "lifted", SETTER)
    assert step("in_review", "upheld", JUDGE)
    assert store.locks.find(lock.id).state is LockState.IN_FORCE
    answer = await admissions.admit(a_call(A), new_call_id(), timeout=SOON)
    decision = decide(a_call(A), answer.facts, now=answer.now)
    assert isinstance(decision, Refusal)
    assert decision.appeal == "upheld"
    again = appeals.file(lock.id, by=TENANT)
    assert [each.id for each in appeals.all(limit=9)] == [again.id, made.id]
    assert [each.id for each in appeals.all(state=AppealState.UPHELD, limit=9)] == [made.id]
    assert appeals.all(lock_id=lock.id + 1, limit=9) == []
    assert appeals.all(after=again.cursor, limit=9) == appeals.all(
        state=AppealState.UPHELD, limit=9
    )
    with pytest.raises(CursorInvalid):
        appeals.all(after=Cursor(store.now(), "x"), limit=9)
    # Another tenant's it does not withdraw either.
    store.connection.execute(
        "UPDATE agi_router.appeal SET tenant_id = 1 WHERE id = %s", (again.id,)
    )
    made = again
    assert not step("evidence_complete", "withdrawn", TENANT)
    store.connection.execute("UPDATE agi_router.appeal SET tenant_id = NULL")
    assert appeals.take(again.id, AppealStep.WITHDRAW, by=TENANT).state is AppealState.WITHDRAWN


@on_each_version
def test_deadlines(store: BindingStore, keys: KeyRing) -> None:
    """Who files and is late loses it; a review that is late is told once, and goes on."""
    bind(store)
    EventStore(Queries(store.connection), keys).set_types("default", list(EventType)[:-1])
    hour = timedelta(hours=1)
    appeals = appeals_of(store, Spans(evidence=hour, review=hour, decision=hour))
    filed = appeals.file(locked(store).id, by=TENANT)
    complete = appeals.file(
        locked(store, reason=LockReason.MAINTENANCE, ends_at=store.now() + 9 * hour).id, by=TENANT
    )
    list(Sweep(store.connection, NO_REST, Retention()).steps())
    assert appeals.find(filed.id) == filed
    store.connection.execute(
        "UPDATE agi_router.appeal SET deadline_at = deadline_at - interval '1 hour'"
    )
    for _ in range(2):
        list(Sweep(store.connection, NO_REST, Retention()).steps())
    lapsed, late = appeals.find(filed.id), appeals.find(complete.id)
    assert (lapsed.state, lapsed.deadline_at, lapsed.decided_by) == (
        AppealState.LAPSED,
        None,
        None,
    )
    assert lapsed.state_at == filed.filed_at
    assert (late.state, late.overdue) == (AppealState.COMPLETE, True)
    assert told(store.connection)[2:] in (
        [("closed", "lapsed"), ("overdue", "evidence_complete")],
        [("overdue", "evidence_complete"), ("closed", "lapsed")],
    )
    taken = appeals.take(complete.id, AppealStep.REVIEW, by=JUDGE)
    assert (taken.overdue, taken.state) == (False, AppealState.IN_REVIEW)
    # One that has lapsed may be filed anew.
    assert appeals.file(filed.lock_id, by=TENANT).state is AppealState.FILED


def test_a_lock_that_is_over_takes_its_appeal_with_it(store: BindingStore) -> None:
    """Lifted otherwise, or at its end."""
    appeals = appeals_of(store)
    lock = locked(store)
    made = appeals.file(lock.id, by=TENANT)
    store.locks.lift(lock.id, by=SETTER)
    assert (appeals.find(made.id).state, appeals.find(made.id).decided_by) == (
        AppealState.LIFTED,
        SETTER,
    )
    ending = locked(store, ends_at=store.now() + timedelta(hours=1))
    made = appeals.file(ending.id, by=TENANT)
    store.connection.execute(
        "UPDATE agi_router.lock SET starts_at = now() - interval '2 h',"
        " ends_at = now() - interval '1 h' WHERE id = %s",
        (ending.id,),
    )
    list(Sweep(store.connection, NO_REST, Retention()).steps())
    closed = appeals.find(made.id)
    assert (closed.state, closed.decided_by) == (AppealState.LIFTED, None)


def test_who_may_do_what(store: BindingStore) -> None:
    """A tenant files for its own parties; it judges what it has locked, and sees no other's."""
    store.inventory.tenants.add(OTHER)
    bind(store)
    mine = store.within(store.inventory.tenants.scope("default"))
    theirs = store.within(store.inventory.tenants.scope(OTHER))
    lock = locked(store)
    with pytest.raises(LockNotFound):
        appeals_of(theirs).file(lock.id, by=TENANT)
    made = appeals_of(mine).file(lock.id, by=TENANT)
    assert (made.tenant, made.filed_by) == ("default", None)
    with pytest.raises(AppealNotFound):
        appeals_of(theirs).find(made.id)
    assert appeals_of(theirs).all(limit=9) == []
    assert appeals_of(mine).add_evidence(made.id, PAID, by=TENANT).missing == ()
    with pytest.raises(OperatorOnly):
        appeals_of(mine).take(made.id, AppealStep.REVIEW, by=JUDGE)
    assert appeals_of(store).take(made.id, AppealStep.REVIEW, by=JUDGE).filed_by == TENANT
    # Who has set the lock, or may see the appeal, does not withdraw it for who has filed it.
    with pytest.raises(SameActor, match="whoever has filed"):
        appeals_of(store).take(made.id, AppealStep.WITHDRAW, by=JUDGE)
    # Its list stays whole once the person is party of nothing any more.
    store.connection.execute("DELETE FROM agi_router.route")
    assert [each.thing.person for each in appeals_of(mine).all(limit=9)] == [A]
    done = appeals_of(mine).take(made.id, AppealStep.WITHDRAW, by=TENANT)
    assert done.state is AppealState.WITHDRAWN
    own = locked(mine, tenant="default")
    appeals_of(mine).add_evidence(appeals_of(mine).file(own.id, by=TENANT).id, PAID, by=TENANT)
    [found] = appeals_of(mine).all(lock_id=own.id, limit=9)
    assert appeals_of(mine).take(found.id, AppealStep.REVIEW, by=JUDGE).reviewer is None


def test_a_note_of_who_has_filed_is_told_to_nobody_else(
    store: BindingStore, keys: KeyRing
) -> None:
    """What is said with a decision is for all whom it concerns."""
    store.inventory.tenants.add(OTHER)
    bind(store)
    bind(store, A, C, x=None, tenant=OTHER)
    for tenant in ("default", OTHER):
        EventStore(Queries(store.connection), keys).set_types(tenant, [EventType.APPEAL_CLOSED])
    mine = appeals_of(store.within(store.inventory.tenants.scope("default")))
    lock = locked(store, reason=LockReason.MAINTENANCE, ends_at=store.now() + timedelta(hours=2))
    first = mine.file(lock.id, by=TENANT)
    mine.take(first.id, AppealStep.WITHDRAW, by=TENANT, note="never mind")
    second = mine.file(lock.id, by=TENANT)
    appeals = appeals_of(store)
    appeals.take(second.id, AppealStep.REVIEW, by=JUDGE)
    appeals.take(second.id, AppealStep.UPHOLD, by=JUDGE, note="no")
    rows = store.connection.execute(
        "SELECT data ->> 'state' AS state, data ->> 'decision_note' AS note, t.name"
        "  FROM agi_router.event e JOIN agi_router.tenant t ON t.id = e.tenant_id"
    ).fetchall()
    assert {(row["name"], row["state"], row["note"]) for row in rows} == {
        ("default", "withdrawn", "never mind"),
        (OTHER, "withdrawn", None),
        ("default", "upheld", "no"),
        (OTHER, "upheld", "no"),
    }


def test_a_mark_under_another_key_has_the_state_of_the_appeal(store: BindingStore) -> None:
    """So the caller hears of it while keys are rotated."""
    lock = locked(store)
    appeals_of(store).file(lock.id, by=TENANT)
    row = store.connection.execute("SELECT key, sealed FROM agi_router.lock").fetchone()
    assert row is not None
    values = {"id": lock.id, "key": row["key"] + 1, "sealed": row["sealed"]}
    assert Queries(store.connection).row("add_lock_mark", values) is not None
    marks = store.connection.execute("SELECT appeal FROM agi_router.lock_mark").fetchall()
    assert [row["appeal"] for row in marks] == ["filed", "filed"]


@pytest.fixture
def shadowed(clock: Clock, dsn: str) -> Iterator[Connection]:
    """A connection whose clock is set."""
    assert clock is not None
    with connect(dsn, idle=int(SOON)) as opened:
        yield opened


def test_the_steps_by_a_clock_that_is_given(shadowed: Connection, keys: KeyRing) -> None:
    """To the microsecond: what lapses, what is late, and when the lock ends by itself."""
    now = datetime(2026, 3, 1, 9, tzinfo=UTC)
    set_clock(shadowed, now)
    store = BindingStore(shadowed, keys, NO_REST)
    store.inventory.add_block(BLOCK, operator=None, certificate=None)
    bind(store, life=timedelta(days=60))
    EventStore(Queries(shadowed), keys).set_types("default", list(EventType)[:-1])
    spans = Spans()
    appeals = appeals_of(store, spans)
    instant = timedelta(microseconds=1)

    def sweep(when: datetime) -> None:
        set_clock(shadowed, when)
        list(Sweep(shadowed, NO_REST, Retention()).steps())

    end = now + timedelta(days=30)
    lock = locked(store, ends_at=end)
    lost = appeals.file(lock.id, by=TENANT)
    assert lost.deadline_at == now + spans.evidence
    sweep(now + spans.evidence - instant)
    assert appeals.find(lost.id).state is AppealState.FILED
    sweep(now + spans.evidence)
    assert appeals.find(lost.id).state is AppealState.LAPSED
    filed = now + timedelta(days=9)
    set_clock(shadowed, filed)
    made = appeals.file(lock.id, by=TENANT)
    set_clock(shadowed, filed + timedelta(days=6))
    complete = appeals.add_evidence(made.id, PAID, by=TENANT)
    assert complete.deadline_at == filed + timedelta(days=6) + spans.review
    sweep(complete.deadline_at - instant)
    assert not appeals.find(made.id).overdue
    sweep(complete.deadline_at)
    assert appeals.find(made.id).overdue
    with pytest.raises(SameActor):
        appeals.take(made.id, AppealStep.REVIEW, by=SETTER)
    late = complete.deadline_at + timedelta(days=1)
    set_clock(shadowed, late)
    taken = appeals.take(made.id, AppealStep.REVIEW, by=JUDGE)
    assert (taken.deadline_at, taken.overdue) == (late + spans.decision, False)
    sweep(late + spans.decision)
    assert appeals.find(made.id).overdue
    sweep(end - instant)
    assert (store.locks.find(lock.id).state, appeals.find(made.id).state) == (
        LockState.IN_FORCE,
        AppealState.IN_REVIEW,
    )
    sweep(end)
    assert store.locks.find(lock.id).over_at == end
    assert (appeals.find(made.id).state, appeals.find(made.id).decided_by) == (
        AppealState.LIFTED,
        None,
    )
    assert told(shadowed) == [
        ("filed", "filed"),
        ("closed", "lapsed"),
        ("filed", "filed"),
        ("changed", "evidence_complete"),
        ("overdue", "evidence_complete"),
        ("changed", "in_review"),
        ("overdue", "in_review"),
        ("closed", "lifted"),
    ]


async def test_deadlines_and_an_end_for_real(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """Within seconds of the database's own clock; and the caller is let through then."""
    bind(store)
    # Far enough from each other for a machine that is busy.
    appeals = appeals_of(store, Spans(evidence=timedelta(milliseconds=200)))
    lock = locked(store, ends_at=store.now() + timedelta(seconds=4))
    made = appeals.file(lock.id, by=TENANT)
    answer = await admissions.admit(a_call(A), new_call_id(), timeout=SOON)
    assert not answer.admitted

    def swept() -> LockState:
        list(Sweep(store.connection, NO_REST, Retention()).steps())
        return store.locks.find(lock.id).state

    until(lambda: swept() is LockState.ENDED)
    found = appeals.find(made.id)
    assert (found.state, found.state_at) == (AppealState.LAPSED, made.deadline_at)
    assert (await admissions.admit(a_call(A), new_call_id(), timeout=SOON)).admitted


def test_whoever_has_filed_hears_of_it_without_a_live_binding(
    store: BindingStore, keys: KeyRing
) -> None:
    """Once of each step, and by no other's binding."""
    EventStore(Queries(store.connection), keys).set_types("default", list(EventType)[:-1])
    mine = store.within(store.inventory.tenants.scope("default"))
    pair = bind(store)
    lock = locked(store)
    made = appeals_of(mine).file(lock.id, by=TENANT)
    store.unbind(pair.id)
    appeals_of(mine).add_evidence(made.id, PAID, by=TENANT)
    appeals_of(store).take(made.id, AppealStep.REVIEW, by=JUDGE)
    appeals_of(store).take(made.id, AppealStep.UPHOLD, by=JUDGE)
    rows = store.connection.execute(
        "SELECT data ->> 'state' AS state, jsonb_array_length(data -> 'bindings') AS bindings"
        "  FROM agi_router.event WHERE type LIKE 'appeal.%%' ORDER BY id"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        ("filed", 1),
        ("evidence_complete", 0),
        ("in_review", 0),
        ("upheld", 0),
    ]


def upheld(store: BindingStore, thing: LockedThing) -> tuple[Lock, int]:
    """A lock for work, and the appeal against it that was not granted."""
    end = store.now() + timedelta(hours=9)
    lock = store.locks.set(thing, LockReason.MAINTENANCE, by=SETTER, ends_at=end)
    appeals = appeals_of(store)
    made = appeals.file(lock.id, by=TENANT)
    appeals.take(made.id, AppealStep.REVIEW, by=JUDGE)
    appeals.take(made.id, AppealStep.UPHOLD, by=JUDGE)
    return lock, made.id


@on_each_version
async def test_another_number_where_the_lock_stays(
    store: BindingStore, admissions: AdmissionStore, keys: KeyRing
) -> None:
    """The order goes on by it, with what is left of its limits; the appeal keeps both."""
    EventStore(Queries(store.connection), keys).set_types("default", list(EventType)[:-1])
    pair = bind(store, order_id="order-1", max_calls=3, out_id="mine")
    assert (await admissions.admit(a_call(A), new_call_id(), timeout=SOON)).admitted
    lock, appeal_id = upheld(store, LockedThing(subject=Subject.NUMBER, number=X))
    appeals = appeals_of(store)
    assert (appeals.find(appeal_id).offers_rebind, appeals.find(appeal_id).rebinds) == (True, ())
    with pytest.raises(RequestInvalid, match="nobody is locked"):
        store.rebind(appeals.find(appeal_id), pair.id, instead=C, by=JUDGE)
    made = store.rebind(appeals.find(appeal_id), pair.id, by=JUDGE)
    new = made.parties[0].dials
    assert new not in {X, None}
    assert (made.order_id, made.expires_at, made.out_id, made.max_calls) == (
        "order-1",
        pair.expires_at,
        "mine",
        2,
    )
    assert {party.number for party in made.parties} == {A, B}
    assert store.find(pair.id).state is BindingState.UNBOUND
    (carried,) = appeals.find(appeal_id).rebinds
    assert (carried.old, carried.new) == (str(pair.id), str(made.id))
    assert (await admissions.admit(a_call(A, new), new_call_id(), timeout=SOON)).admitted
    row = store.connection.execute(
        b"SELECT data FROM agi_router.event WHERE type = 'appeal.rebound'"
    ).fetchone()
    assert row is not None
    assert (row["data"]["old_binding_id"], row["data"]["new_binding_id"]) == (
        str(pair.id),
        str(made.id),
    )
    with pytest.raises(BindingEnded):
        store.rebind(appeals.find(appeal_id), pair.id, by=JUDGE)
    with pytest.raises(RequestInvalid, match="does not stop"):
        store.rebind(appeals.find(appeal_id), made.id, by=JUDGE)
    store.locks.lift(lock.id, by=JUDGE)
    assert not appeals.find(appeal_id).offers_rebind


def test_somebody_else_has_the_place_of_whoever_is_locked(store: BindingStore) -> None:
    """Of a pair who is said; of a group all others go on. What is refused leaves all as it was."""
    pair = bind(store)
    terms = Terms(expires_at=store.now() + timedelta(hours=1))
    group = store.bind(Gxb(members=(A, C), b=D, default=A), terms)
    _, appeal_id = upheld(store, LockedThing(subject=Subject.PERSON, person=A))
    appeal = appeals_of(store).find(appeal_id)
    with pytest.raises(RequestInvalid, match="takes the place"):
        store.rebind(appeal, pair.id, by=JUDGE)
    with pytest.raises(SameParty):
        store.rebind(appeal, pair.id, instead=B, by=JUDGE)
    with pytest.raises(PartyLocked):
        store.rebind(appeal, pair.id, instead=A, by=JUDGE)
    assert store.find(pair.id).state is BindingState.ACTIVE
    made = store.rebind(appeal, pair.id, instead=E, by=JUDGE)
    assert {party.number for party in made.parties} == {E, B}
    assert made.parties[0].dials != X
    others = store.rebind(appeal, group.id, by=JUDGE)
    assert ({party.number for party in others.parties}, others.called_back) == ({C, D}, ())
    assert len(appeals_of(store).find(appeal_id).rebinds) == 2
    # Not before it is upheld, nor for what it has nothing to do with.
    open_ = appeals_of(store).file(appeal.lock_id, by=TENANT)
    fresh = bind(store, C, D, x=BLOCK.number(77))
    with pytest.raises(RequestInvalid, match="does not stop"):
        store.rebind(open_, fresh.id, by=JUDGE)
    store.locks.set(
        LockedThing(subject=Subject.NUMBER, number=BLOCK.number(77)), LockReason.ARREARS, by=SETTER
    )
    (lock,) = store.locks.all(subject=Subject.NUMBER, limit=9)
    with pytest.raises(AppealNotReady):
        store.rebind(appeals_of(store).file(lock.id, by=TENANT), fresh.id, by=JUDGE)


def test_a_feed_that_comes_after_a_rebind(store: BindingStore) -> None:
    """Who was carried over, twice, is as old a party as before; a held binding is not carried."""
    recycler = Recycler(store.connection, store.keys)
    feed = recycler.store.add(
        "unicom", kind=FeedKind.STDIN, path=None, numbers=NumberForm.PLAIN, trust=Trust.FULL
    )

    def told(status: str, number: PhoneNumber, date: str) -> str:
        lines = f"number,status,date\n{number.digits},{status},{date}\n"
        run_id = recycler.run(feed, io.BytesIO(lines.encode()), name="file")
        return str(recycler.store.matches(run_id)[0]["outcome"])

    store.inventory.tenants.set_unknown_numbers("default", UnknownNumbers.HOLD)
    made, issued = bind(store), store.now().isoformat()
    _, appeal_id = upheld(store, LockedThing(subject=Subject.PERSON, person=A))
    appeal = appeals_of(store).find(appeal_id)
    assert told("unknown", B, issued) == "held"
    with pytest.raises(RequestInvalid, match="release it first"):
        store.rebind(appeal, made.id, instead=E, by=JUDGE)
    recycler.store.release(made.id)
    made = store.rebind(appeal, made.id, instead=E, by=JUDGE)
    _, appeal_id = upheld(store, LockedThing(subject=Subject.NUMBER, number=made.parties[0].dials))
    made = store.rebind(appeals_of(store).find(appeal_id), made.id, by=JUDGE)
    assert told("reissued", E, issued) == "began_later"
    assert told("reissued", B, issued) == "ended"
    assert store.find(made.id).state is BindingState.PARTY_RECYCLED


def test_a_deadline_by_the_clock_of_the_server(store: BindingStore) -> None:
    """What is given elsewhere: it lapses in time, and not before."""
    queries = Queries(store.connection)
    appeals = appeals_of(store, Spans(evidence=timedelta(seconds=1)))
    lock = store.locks.set(
        LockedThing(subject=Subject.PERSON, person=A), LockReason.MISUSE, by=SETTER
    )
    made = appeals.file(lock.id, by=TENANT)

    def lapsed() -> bool:
        queries.row("lapse_appeals", {"limit": 9})
        return appeals.find(made.id).state is AppealState.LAPSED

    until(lapsed)
    assert made.deadline_at is not None
    assert store.now() >= made.deadline_at
    told = "SELECT act || ' ' || subject FROM agi_router.audit"
    assert one(store.connection, told) == f"appeal lapse appeal {made.id}"
    other = appeals.file(lock.id, by=TENANT)
    store.locks.lift(lock.id, by=SETTER)
    assert one(store.connection, f"{told} WHERE act = 'appeal close'").endswith(f" {other.id}")


def test_by_hand(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """File, back, show, list, withdraw; who has set the lock is no judge of it; all audited."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    cli = Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})
    lock = cli("lock", "set", "--person", "-", "--reason", "arrears", typed=[A.digits])
    made = cli("appeal", "file", "--lock", lock["id"], "--note", "paid")
    assert (made["state"], made["missing"], made["person"]) == (
        "filed",
        ["payment_record"],
        A.masked,
    )
    piece = ("--kind", "payment_record", "--reference", "t-7", "--digest", "ab" * 32)
    assert cli("appeal", "evidence", made["id"], *piece)["state"] == "evidence_complete"
    refused = run(["appeal", "review", made["id"]], cli.env)
    assert (refused.code, "does not judge" in refused.error) == (77, True)
    assert "t-7" in run(["appeal", "show", made["id"]], cli.env).out
    assert "arrears" in run(["appeal", "list"], cli.env).out
    assert len(cli("appeal", "list", "--state", "evidence_complete")) == 1
    assert cli("appeal", "withdraw", made["id"])["state"] == "withdrawn"
    over = run(["appeal", "decide", made["id"], "--lift"], cli.env)
    assert over.code == 73
    for said in ((), ("--lift", "--uphold")):
        assert run(["appeal", "decide", made["id"], *said], cli.env).code == 2
    assert run(["appeal", "show", "99"], cli.env).code == 66
    acts = [each["act"] for each in cli("audit", "list")]
    assert acts == ["appeal withdraw", "appeal evidence", "appeal file", "lock set"]
    pair = bind(store, C, B)
    store.locks.set(
        LockedThing(subject=Subject.PERSON, person=B), LockReason.MISUSE, by="somebody@else"
    )
    [theirs] = cli("lock", "list", "--reason", "misuse")
    made = cli("appeal", "file", "--lock", theirs["id"])
    for kind in ("calls_in_question", "tenant_statement"):
        cli("appeal", "evidence", made["id"], "--kind", kind, *piece[2:])
    cli("appeal", "review", made["id"])
    assert cli("appeal", "decide", made["id"], "--uphold", "--note", "no")["state"] == "upheld"
    assert C.digits not in run(["appeal", "list"], cli.env).out
    carried = cli(
        *("appeal", "rebind", made["id"], "--binding", str(pair.id), "--with", "-"),
        typed=[D.digits],
    )
    assert (carried["a"], carried["b"]) == (C.masked, D.masked)
    shown = run(["appeal", "show", made["id"]], cli.env).out
    assert f"{pair.id} by {carried['id']}" in shown
    assert cli("audit", "list")[0]["act"] == "appeal rebind"
