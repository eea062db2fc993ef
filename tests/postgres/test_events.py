"""Events are written in the transaction that makes them true, and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest

from agi_router.bindings.modes import Axyb, Gxb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Side
from agi_router.calls.end import Answer, End, Outcome, call_day
from agi_router.calls.lookup import CallLookup
from agi_router.calls.store import AdmissionStore
from agi_router.calls.views import describe_call
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import (
    BindingConflict,
    TenantNotFound,
    WebhookChanged,
    WebhookInvalid,
    WebhookNotFound,
)
from agi_router.events.model import Cursor, Event, EventType, Format, Numbers, WebhookState
from agi_router.events.shapes import ali_reports
from agi_router.events.store import EventStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.maintenance.rotation import Rotation
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    admit_as_router,
    an_end,
    bind,
    expire,
    new_call_id,
    one,
    until,
)
from harness.values import BLOCK, A, B, C, X

ALL = tuple(each for each in EventType if each is not EventType.WEBHOOK_TEST)
TENANT = "default"
TIMEOUT = 15.0
# Whether anybody waits for a lock.
WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


@pytest.fixture
def events(connection: Connection, store: BindingStore) -> EventStore:
    """Where it is said who is told of what."""
    return EventStore(Queries(connection), store.keys)


@pytest.fixture
def told(events: EventStore) -> Callable[[], list[Event]]:
    """What the tenant of all bindings is told, which wants all there is."""
    events.set_types(TENANT, ALL)
    return lambda: [event for event, _ in events.events(TENANT, limit=1000).events]


def types_of(events: list[Event]) -> list[str]:
    return [event.type.value for event in events]


async def a_used_call(admissions: AdmissionStore, outcome: Outcome, **call: Any) -> str:
    """A call that is let through and ends."""
    call_id = new_call_id()
    await admit_as_router(admissions, a_call(**call), call_id)
    left = await admissions.settle([an_end(call_id, outcome)])
    assert not left.held
    return call_id


def an_answer(call_id: str) -> Answer:
    """The callee of a call has answered just now."""
    now = datetime.now(UTC)
    return Answer(call_id=call_id, day=call_day(call_id), x_number=X, answered_at=now)


async def test_an_answer_that_was_told_keeps_its_use(
    store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """Where nobody saw the end, and it is unlikely that it was answered: here it is known."""
    told()
    made = bind(store, max_calls=9)
    calls = [new_call_id() for _ in range(3)]
    for call_id in calls:
        await admit_as_router(admissions, a_call(), call_id)
    answered, _, given_back = calls
    await admissions.tell_answers([an_answer(answered), an_answer(given_back)])
    now = datetime.now(UTC)
    for call_id in calls:
        kept = False if call_id == given_back else None
        await admissions.settle([End.unseen(call_id, X, now=now, kept=kept)])
    assert store.find(made.id).calls_used == 1


async def test_an_answer_is_told_while_the_call_goes_on(
    store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """Once, however often its line is read, and before the end; also where the end is first."""
    told()
    bind(store)
    calls = [new_call_id() for _ in range(3)]
    for call_id in calls:
        await admit_as_router(admissions, a_call(), call_id)
    first, *_ = calls
    answer = an_answer(first)
    for _ in range(2):
        left = await admissions.tell_answers([answer, answer])
        assert (left.held, left.refused) == ([], [])
    found = told()
    assert types_of(found)[-1:] == ["call.answered"]
    data = found[-1].data
    assert (data["call_id"], data["ended_at"], data["outcome"]) == (first, None, None)
    assert datetime.fromisoformat(data["answered_at"]) == answer.answered_at
    # All at once: of two nobody has told that they were answered, and one was not.
    outcomes = [Outcome.ANSWERED, Outcome.ANSWERED, Outcome.BUSY]
    await admissions.settle(
        [an_end(call_id, outcome) for call_id, outcome in zip(calls, outcomes, strict=True)]
    )
    await admissions.tell_answers(list(map(an_answer, calls)))
    found = told()
    assert [event.sequence for event in found] == list(range(1, len(found) + 1))
    of_each = {
        call_id: [e.type.value for e in found if e.data.get("call_id") == call_id]
        for call_id in calls
    }
    heard = ["call.admitted", "call.answered", "call.ended"]
    assert list(of_each.values()) == [heard, heard, ["call.admitted", "call.ended"]]
    for event in found:
        if event.type is EventType.CALL_ANSWERED:
            assert (event.data["ended_at"], event.data["clock"]) == (None, None)


async def test_an_answer_that_nobody_stays_for_has_a_time(
    store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """Where they hang up at once, and its end is the first that is heard of it."""
    told()
    bind(store)
    call_id = new_call_id()
    await admit_as_router(admissions, a_call(), call_id)
    end = replace(an_end(call_id, Outcome.ANSWERED), talk_time=timedelta())
    await admissions.settle([end])
    for event in told()[-2:]:
        assert datetime.fromisoformat(event.data["answered_at"]) == end.ended_at
        assert ali_reports(event, {})[0]["start_time"]
    (row,) = CallLookup(store.connection).calls(since=end.ended_at - HOUR, limit=1)
    assert describe_call(row)["answered_at"] == end.ended_at


async def test_who_wants_no_answers_hears_of_none(
    store: BindingStore, admissions: AdmissionStore, events: EventStore
) -> None:
    """And the dialplan is told not to write any; who wants them has the ends as well."""
    events.set_types(TENANT, [EventType.CALL_ENDED])
    bind(store)
    call_id = new_call_id()
    admission, _ = await admit_as_router(admissions, a_call(), call_id)
    assert admission.facts.hit is not None
    assert not admission.facts.hit.tell_answer
    await admissions.tell_answers([an_answer(call_id)])
    await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
    events.set_types(TENANT, [EventType.CALL_ANSWERED])
    wanted = new_call_id()
    for _ in range(2):
        # Asked again, as by another door, it is the same.
        admission, _ = await admit_as_router(admissions, a_call(), wanted)
        assert admission.facts.hit is not None
        assert admission.facts.hit.tell_answer
    await admissions.settle([an_end(wanted, Outcome.ANSWERED)])
    found = [event for event, _ in events.events(TENANT, limit=10).events]
    assert types_of(found) == ["call.ended", "call.answered", "call.ended"]


async def test_an_answer_whose_binding_is_held_is_told_later(
    dsn: str, store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """It keeps no other from being told."""
    told()
    bind(store)
    bind(store, a=A, b=B, x=BLOCK.number(77))
    held, free = new_call_id(), new_call_id()
    await admit_as_router(admissions, a_call(), held)
    other = replace(an_answer(free), x_number=BLOCK.number(77))
    await admit_as_router(admissions, a_call(x=BLOCK.number(77)), free)
    with connect(dsn, writable=True, idle=600) as holder, holder.transaction():
        holder.execute("SELECT FROM agi_router.call WHERE id = %s FOR UPDATE", [held])
        left = await admissions.tell_answers([an_answer(held), other])
        assert [each.call_id for each in left.held] == [held]
    assert types_of(told()).count("call.answered") == 1
    assert not (await admissions.tell_answers(left.held)).held
    assert types_of(told()).count("call.answered") == 2


async def test_many_answers_that_are_held_keep_no_end_waiting(
    dsn: str, store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """They are waited for a second in all, 20 ms each; the rest is not even asked for."""
    told()
    bind(store)
    calls = [new_call_id() for _ in range(60)]
    for call_id in calls:
        await admit_as_router(admissions, a_call(), call_id)
    submit = mock.patch.object(admissions.pool, "submit", wraps=admissions.pool.submit)
    with (
        connect(dsn, writable=True, idle=600) as holder,
        holder.transaction(),
        submit as submitted,
    ):
        holder.execute("SELECT FROM agi_router.call WHERE id = ANY (%s) FOR UPDATE", [calls])
        left = await admissions.tell_answers(list(map(an_answer, calls)))
    assert {each.call_id for each in left.held} == set(calls)
    assert submitted.call_count == 50
    assert not (await admissions.tell_answers(left.held)).held


async def test_nothing_is_written_for_who_wants_nothing(
    connection: Connection, store: BindingStore, admissions: AdmissionStore
) -> None:
    """And no binding counts events."""
    made = bind(store)
    await a_used_call(admissions, Outcome.ANSWERED)
    store.extend(made.id, made.expires_at + HOUR)
    store.unbind(made.id)
    assert one(connection, "SELECT count(*) FROM agi_router.event") == 0
    assert one(connection, "SELECT sum(sequence) FROM agi_router.binding") == 0


async def test_the_life_of_a_binding(
    store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """Each step is told once, in order, with what was true then."""
    made = bind(store, max_calls=3)
    await a_used_call(admissions, Outcome.BUSY)
    await a_used_call(admissions, Outcome.ANSWERED)
    store.extend(made.id, made.expires_at + HOUR)
    store.unbind(made.id)
    found = told()
    assert types_of(found) == [
        "binding.created",
        "call.admitted",
        "call.ended",
        "call.admitted",
        "call.answered",
        "call.ended",
        "binding.changed",
        "binding.ended",
    ]
    assert [event.sequence for event in found] == list(range(1, 9))
    assert {event.binding for event in found} == {made.id}
    busy, answered = found[2].data, found[5].data
    assert (busy["outcome"], busy["calls_used"], busy["caller_side"]) == ("busy", 0, "a")
    assert (answered["outcome"], answered["calls_used"], answered["max_calls"]) == (
        "answered",
        1,
        3,
    )
    assert answered["x_number"] == str(X)
    assert found[7].data["state"] == "unbound"
    assert found[6].data["expires_at"] > found[0].data["expires_at"]


@pytest.mark.parametrize("clock", ["time", "count", "unbind", "order"])
async def test_which_clock_has_ended_it(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    told: Callable[[], list[Event]],
    clock: str,
) -> None:
    """The first that does, and the last call of a binding is told before its end."""
    made = bind(store, max_calls=1, order_id="O-1")
    match clock:
        case "time":
            expire(connection, made.id)
            assert one(connection, "SELECT agi_router.expire_bindings(9)") == 1
        case "count":
            await a_used_call(admissions, Outcome.ANSWERED)
        case "unbind":
            store.unbind(made.id)
        case "order":
            store.end_order("O-1")
    last = max(told(), key=lambda event: event.sequence or 0)
    assert last.type is EventType.BINDING_ENDED
    states = {"time": "expired", "count": "used_up", "unbind": "unbound", "order": "order_ended"}
    assert last.data["state"] == states[clock]
    if clock == "count":
        assert [e.type for e in told() if e.sequence == (last.sequence or 0) - 1] == ["call.ended"]


def test_a_sweep_tells_an_end_once(
    connection: Connection, store: BindingStore, told: Callable[[], list[Event]]
) -> None:
    """Whoever marks it first: a sweep, or the job that looks each second."""
    made = bind(store)
    expire(connection, made.id)
    list(Sweep(connection, NO_REST, Retention()).steps())
    assert one(connection, "SELECT agi_router.expire_bindings(9)") == 0
    assert types_of(told())[-1:] == ["binding.ended"]


async def test_many_calls_of_one_batch(
    store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """Those of one binding have places of their own, one after the other."""
    first, second = bind(store), bind(store, C, B, x=BLOCK.number(2))
    calls = [new_call_id() for _ in range(6)]
    for i, call_id in enumerate(calls):
        call = a_call() if i % 2 else a_call(C, BLOCK.number(2))
        assert (await admissions.admit(call, call_id, timeout=TIMEOUT)).admitted
    ends = [
        an_end(i, Outcome.ANSWERED, x=X if n % 2 else BLOCK.number(2)) for n, i in enumerate(calls)
    ]
    await admissions.settle(ends)
    await admissions.settle(ends)
    for made in (first, second):
        own = [event for event in told() if event.binding == made.id]
        assert sorted(event.sequence or 0 for event in own) == list(range(1, 11))
        assert types_of(own).count("call.ended") == 3


async def test_a_refused_call(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    told: Callable[[], list[Event]],
) -> None:
    """It is told to whom its block is kept for; of a shared one nobody knows whose it was."""
    bind(store)
    end = an_end(new_call_id(), None, reason=Reason.NO_BINDING)
    await admissions.settle([end])
    assert types_of(told()) == ["binding.created"]
    connection.execute("UPDATE agi_router.block SET tenant_id = 1")
    end = an_end(new_call_id(), None, reason=Reason.NO_BINDING)
    await admissions.settle([end])
    *_, refused = told()
    assert (refused.type, refused.binding, refused.sequence) == ("call.refused", None, None)
    assert (refused.data["reason"], refused.data["call_id"]) == ("no_binding", end.call_id)


def test_groups(store: BindingStore, told: Callable[[], list[Event]]) -> None:
    """Who comes and goes changes the binding."""
    made = store.bind(Gxb(members=(A, C), b=B), Terms(expires_at=store.now() + HOUR))
    store.remove_member(made.id, C)
    store.add_members(made.id, [C])
    assert types_of(told()) == ["binding.created", "binding.changed", "binding.changed"]


async def test_a_child_is_its_parents(
    store: BindingStore, admissions: AdmissionStore, told: Callable[[], list[Event]]
) -> None:
    """A Y that is made on a call is no binding of anybody's; it ends in silence."""
    made = store.bind(Axyb(a=A, b=B, y_ttl=HOUR), Terms(expires_at=store.now() + HOUR))
    dialled = made.parties[0].dials
    assert dialled is not None
    await admit_as_router(admissions, a_call(A, dialled), new_call_id())
    store.unbind(made.id)
    assert types_of(told()) == ["binding.created", "call.admitted", "binding.ended"]
    assert {event.binding for event in told()} == {made.id}


def test_what_is_rolled_back_is_not_told(
    connection: Connection, store: BindingStore, told: Callable[[], list[Event]]
) -> None:
    """Neither a bind in conflict, nor one whose transaction is undone."""
    bind(store)
    with pytest.raises(BindingConflict):
        bind(store)
    with connection.transaction(force_rollback=True):
        bind(store, C, B, x=BLOCK.number(2))
    assert types_of(told()) == ["binding.created"]


def test_parties_are_those_of_the_time(
    connection: Connection, store: BindingStore, events: EventStore
) -> None:
    """No event holds a number; whoever left a group later was of it then."""
    events.set_types(TENANT, ALL)
    made = store.bind(Gxb(members=(A, C), b=B), Terms(expires_at=store.now() + HOUR))
    store.remove_member(made.id, C)
    (_, before), (_, after) = events.events(TENANT, limit=9).events
    assert set(before[Side.A]) == {A.masked, C.masked}
    assert list(after[Side.A]) == [A.masked]
    assert list(before[Side.B]) == [B.masked]
    text = one(connection, "SELECT string_agg(e::text, ' ') FROM agi_router.event e")
    assert not any(number.digits in text for number in (A, B, C))


def test_whoever_pulls_misses_nothing(dsn: str, store: BindingStore, events: EventStore) -> None:
    """An event that is written early and committed late comes behind all that was read."""
    events.set_types(TENANT, ALL)
    with connect(dsn) as other:
        slow = BindingStore(other, store.keys, NO_REST)
        with other.transaction():
            late = bind(slow, C, B, x=BLOCK.number(2))
            early = bind(store)
            page = events.events(TENANT, limit=9)
            assert page.events == []
        page = events.events(TENANT, after=page.next, limit=9)
    assert {event.binding for event, _ in page.events} == {late.id, early.id}
    assert events.events(TENANT, after=page.next, limit=9).events == []
    place, seen = Cursor(0, 0), []
    while (next_ := events.events(TENANT, after=place, limit=1)).events:
        seen += [event.id for event, _ in next_.events]
        place = next_.next
    assert seen == [event.id for event, _ in page.events]


def test_webhooks_are_owed_what_they_want(
    connection: Connection, store: BindingStore, events: EventStore
) -> None:
    """Each event of its types since it was made; a paused one too, none that was removed."""
    url = "https://shop.example/hooks"
    everything, _ = events.add(TENANT, url, ALL)
    ends, _ = events.add(TENANT, url, [EventType.BINDING_ENDED])
    gone, _ = events.add(TENANT, url, ALL)
    events.pause(ends.id)
    events.remove(gone.id)
    assert events.types(TENANT) == ALL
    made = bind(store)
    store.unbind(made.id)
    owed = {webhook.id: debts.owed for webhook, debts in events.webhooks()}
    assert owed == {everything.id: 2, ends.id: 1}
    assert events.find(ends.id).state is WebhookState.PAUSED
    connection.execute("DELETE FROM agi_router.delivery")
    assert events.resend(everything.id, since=made.begins_at) == 2
    event_id = events.test(ends.id)
    assert events.resend(everything.id, event_id=event_id) == 0
    assert {webhook.id: debts.owed for webhook, debts in events.webhooks(TENANT)} == owed
    with pytest.raises(WebhookNotFound):
        events.resume(gone.id)


def test_two_changes_at_once(
    dsn: str, connection: Connection, events: EventStore, keys: KeyRing
) -> None:
    """The second finds that the first has been there, and changes nothing."""
    webhook, _ = events.add(TENANT, "https://shop.example/", ALL)
    with connect(dsn) as other:
        late = EventStore(Queries(other), keys)
        assert late.find(webhook.id).version == 1
        events.change(webhook.id, url="https://shop.example/first")
        with pytest.raises(WebhookChanged):
            late.change(webhook.id, url="https://shop.example/second", version=1)
        # Of two that have read the same row one waits for the other.
        with ThreadPoolExecutor(1) as pool:
            with connection.transaction():
                events.change(webhook.id, url="https://shop.example/third")
                waiting = pool.submit(late.change, webhook.id, url="https://shop.example/second")
                until(lambda: one(connection, WAITING))
            with pytest.raises(WebhookChanged):
                waiting.result()
    found = events.find(webhook.id)
    assert (found.url, found.version) == ("https://shop.example/third", 3)


def test_what_a_webhook_may_not_be(events: EventStore) -> None:
    """Real numbers in the open, or a format without a report."""
    ended = [EventType.CALL_ENDED]
    with pytest.raises(WebhookInvalid, match="https only"):
        events.add(TENANT, "http://shop.example/", ended, numbers=Numbers.FULL)
    with pytest.raises(WebhookInvalid, match="in full"):
        events.add(TENANT, "https://shop.example/", ended, form=Format.ALI)
    with pytest.raises(WebhookInvalid, match="reports for"):
        events.add(TENANT, "https://shop.example/", ALL, form=Format.ALI, numbers=Numbers.FULL)
    with pytest.raises(TenantNotFound):
        events.add("nobody", "https://shop.example/", ended)
    with pytest.raises(TenantNotFound):
        events.set_types("nobody", ended)
    assert events.webhooks() == []


def test_secrets_follow_the_keys(
    connection: Connection, events: EventStore, keys: KeyRing, tmp_path: Any
) -> None:
    """They are sealed anew with the rows, and a key is not retired before."""
    webhook, secret = events.add(TENANT, "https://shop.example/", ALL)
    newer = events.rotate_secret(webhook.id, overlap=HOUR)
    assert newer != secret
    file = tmp_path / "key"
    write_key_ring(file, keys)
    rotation = Rotation(connection, check_keys(connection, keys), file)
    rotation.switch(rotation.add(["seal"]))
    assert rotation.uses()["seal", keys.seal_key_id] == 2
    assert rotation.renew_secrets() == 1
    assert rotation.renew_secrets() == 0
    rotation.retire("seal", keys.seal_key_id)
    row = connection.execute("SELECT secret, old_secret FROM agi_router.webhook").fetchone()
    assert row is not None
    opened = [rotation.keys.open_secret(row[name], f"webhook {webhook.id}") for name in row]
    assert opened == [newer, secret]
