"""Delivering: at least once, in the order of the binding, signed; no number is at rest."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg
import pytest
from postgres.test_cli import PROGRAM, Cli, key_file
from standardwebhooks import WebhookVerificationError

from agi_router.bindings.store import BindingStore
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.rights import Purpose, check_rights, grant
from agi_router.errors import StoreUnavailable, WebhookInvalid
from agi_router.events.deliverer import Deliverer
from agi_router.events.deliveries import DeliveryStore, Parcel
from agi_router.events.model import (
    EventType,
    Format,
    Numbers,
    Webhook,
    WebhookState,
    event_name,
    parse_event_name,
)
from agi_router.events.sender import LIMITS, Answer
from agi_router.events.store import EventStore
from agi_router.keys.ring import KeyRing
from agi_router.service.gauges import show_deliveries
from agi_router.service.metrics import Figures
from harness.database import (
    HOUR,
    SOON,
    Server,
    a_call,
    admit_as_router,
    an_end,
    bind,
    database_of,
    expire,
    new_call_id,
    new_party,
    on_one_server,
    one,
    until,
)
from harness.receiver import Received, Receiver, Reply
from harness.values import BLOCK, A, B

__all__ = ["key_file"]

TENANT = "default"
ALL = tuple(each for each in EventType if each is not EventType.WEBHOOK_TEST)
LOOPBACK = ["127.0.0.1"]
CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'delivers'"


@pytest.fixture
def events(connection: Connection, store: BindingStore) -> EventStore:
    """Where webhooks are made."""
    return EventStore(Queries(connection), store.keys)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Who is sent events; it takes all."""
    with Receiver() as running:
        yield running


@contextmanager
def delivering(dsn: str, keys: KeyRing, **options: Any) -> Iterator[None]:
    """Deliver meanwhile, and then until all that is under way has ended."""
    stop = threading.Event()
    options = {"allowed": LOOPBACK, **options}
    deliverer = Deliverer(lambda _: connect(dsn), lambda: keys, **options)
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def state_of(events: EventStore, webhook: Webhook) -> tuple[str, int, int]:
    """What a webhook is, and what it is owed and what is held."""
    for found, debts in events.webhooks():
        if found.id == webhook.id:
            return found.state.value, debts.owed, debts.held
    raise AssertionError


def reached(receiver: Receiver, count: int) -> bool:
    return len(receiver.received) >= count


def owed(events: EventStore, webhook: Webhook) -> int:
    return state_of(events, webhook)[1]


async def test_a_call_is_told(
    dsn: str,
    keys: KeyRing,
    store: BindingStore,
    admissions: AdmissionStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """Signed by the webhook's secret, with masked numbers, and on record."""
    webhook, secret = events.add(TENANT, receiver.url, [EventType.CALL_ENDED])
    made = bind(store, order_id="A-1001")
    call_id = new_call_id()
    await admit_as_router(admissions, a_call(), call_id)
    await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
    with delivering(dsn, keys):
        until(lambda: not owed(events, webhook))
    [got] = receiver.received
    told = got.verified(secret)
    assert told["id"] == got.id
    assert (told["type"], told["subject"]) == ("agi_router.call.ended", str(made.id))
    assert told["data"]["parties"] == {"a": [A.masked], "b": [B.masked]}
    assert (told["data"]["call_id"], told["data"]["order_id"]) == (call_id, "A-1001")
    assert got.headers["content-type"].startswith("application/cloudevents+json")
    assert got.path == "/hooks?of=shop"
    [attempt] = events.attempts(webhook.id, limit=9)
    assert (attempt["status"], attempt["why"], attempt["tries"]) == (204, None, 1)
    assert event_name(attempt["event_id"]) == got.id


def test_an_end_by_time_is_told_by_itself(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """No sweep has to come by."""
    events.add(TENANT, receiver.url, [EventType.BINDING_ENDED])
    with delivering(dsn, keys):
        expire(connection, bind(store).id)
        until(lambda: receiver.received)
    assert receiver.received[0].told["data"]["ended_by"] == "time"


def test_many_ends_by_time_are_told_at_once(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More than are marked at a time: the next ones wait for nothing."""
    monkeypatch.setattr("agi_router.events.deliveries._EXPIRED", 2)
    monkeypatch.setattr("agi_router.events.deliverer._EXPIRE", 2 * SOON)
    events.add(TENANT, receiver.url, [EventType.BINDING_ENDED])
    for serial in range(5):
        bound = bind(store, new_party(), new_party(), x=BLOCK.number(serial))
        expire(connection, bound.id)
    with delivering(dsn, keys):
        until(lambda: reached(receiver, 5))


def test_a_count_that_takes_too_long_keeps_nothing_back(
    dsn: str, keys: KeyRing, store: BindingStore, events: EventStore, receiver: Receiver
) -> None:
    """What is owed is delivered, however much it is."""
    events.add(TENANT, receiver.url, [EventType.BINDING_CREATED])
    bind(store)
    slow = mock.patch.object(DeliveryStore, "backlog", side_effect=StoreUnavailable("too long"))
    with slow, delivering(dsn, keys):
        until(lambda: receiver.received)


def test_what_it_has_done_is_counted(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """And what is owed: what arrived, what failed, what nobody tries any more, what waits."""
    receiver.answer = lambda got: Reply(204 if got.path.startswith("/hooks") else 500)
    events.add(TENANT, receiver.url, [EventType.BINDING_CREATED])
    bad, _ = events.add(TENANT, receiver.url.replace("hooks", "bad"), [EventType.BINDING_CREATED])
    bind(store)
    # The next one of those is told at the end of its week, and fails for good.
    connection.execute(
        "UPDATE agi_router.delivery SET owed_since = now() - interval '7 days'"
        " WHERE webhook_id = %s",
        [bad.id],
    )
    deliverer = Deliverer(lambda _: connect(dsn), lambda: keys, allowed=LOOPBACK)
    figures = Figures()
    show_deliveries(figures, deliverer=deliverer)

    def sample(name: str) -> float:
        told = dict(line.rsplit(" ", 1) for line in figures.tell().decode().splitlines())
        return float(told[f"agi_router_{name}"])

    def results() -> list[float]:
        names = ("delivered", "failed", "held", "unreadable")
        return [sample(f'deliveries_total{{result="{name}"}}') for name in names]

    assert results() == [0, 0, 0, 0]
    stop = threading.Event()
    thread = threading.Thread(target=deliverer.run, args=(stop,))
    thread.start()
    try:
        until(lambda: results() == [1, 1, 1, 0])
        assert deliverer.alive
        assert not deliverer.trouble
    finally:
        stop.set()
        thread.join()
    assert sample("deliveries_under_way") == 0
    # Of another one, which finds what is there now.
    connection.execute("UPDATE agi_router.webhook SET state = 'gone' WHERE id = %s", [bad.id])
    bound = bind(store, new_party(), new_party(), x=BLOCK.number(9))
    assert bound.id
    connection.execute("UPDATE agi_router.delivery SET owed_since = now() - interval '1 day'")
    found = DeliveryStore(connection).backlog()
    assert (found.waiting, found.held, found.off) == (1, 1, 1)
    assert timedelta(days=1) <= found.oldest <= timedelta(days=1, hours=1)


@on_one_server
def test_it_tells_how_it_does(dsn: str, key_file: Path) -> None:
    """To whoever asks by HTTP."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    environment = {
        **os.environ,
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(key_file),
        "AGI_ROUTER_DELIVER_METRICS_LISTEN": address,
    }
    process = subprocess.Popen([PROGRAM, "deliver"], env=environment)
    try:

        def asked(path: str) -> str:
            try:
                with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
                    return str(answer.read().decode())
            except OSError:
                return ""

        for path, told in (
            ("/livez", "ok\n"),
            ("/readyz", "ok\n"),
            ("/metrics", 'agi_router_deliveries_total{result="held"} 0.0\n'),
        ):
            until(lambda path=path, told=told: told in asked(path))  # type: ignore[misc]
    finally:
        process.terminate()
        assert process.wait(30) == 0


def hurry(connection: Connection) -> bool:
    """Let what waits for its next try be due."""
    connection.execute(
        "UPDATE agi_router.delivery d SET next_at = now()"
        " FROM agi_router.attempt a WHERE a.webhook_id = d.webhook_id AND a.event_id = d.event_id"
        " AND a.tries = d.tries AND d.next_at < 'infinity'"
    )
    connection.execute("UPDATE agi_router.webhook SET retry_at = '-infinity'")
    return False


def abandon(connection: Connection) -> None:
    """Let the time be over for which a deliverer that died had taken anything."""
    connection.execute("UPDATE agi_router.delivery SET next_at = now()")


def test_the_order_of_a_binding(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """The next one is sent when the one before has arrived, also where that took several tries."""
    tried: set[str] = set()

    def answer(request: Received) -> Reply:
        first = request.id not in tried
        tried.add(request.id)
        return Reply(500) if first and len(tried) % 3 == 0 else Reply()

    receiver.answer = answer
    webhook, _ = events.add(TENANT, receiver.url, ALL)
    bindings = [bind(store, new_party(), new_party(), x=BLOCK.number(i)) for i in range(5)]
    for _ in range(3):
        for made in bindings:
            store.extend(made.id, store.find(made.id).expires_at + HOUR)
    with delivering(dsn, keys):
        until(lambda: owed(events, webhook) == 0 or hurry(connection))
    for made in bindings:
        told = [each.told for each in receiver.received if each.told["subject"] == str(made.id)]
        places = [each["sequence"] for each in told]
        assert places == sorted(places)
        assert set(places) == {1, 2, 3, 4}


def test_a_batch(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """Signed as a whole; sent again as it was, under its id; of a binding in order."""
    failing = True
    receiver.answer = lambda _: Reply(503 if failing else 200)
    webhook, secret = events.add(TENANT, receiver.url, ALL, batch=4)
    bindings = [bind(store, new_party(), new_party(), x=BLOCK.number(i)) for i in range(6)]
    for made in bindings:
        store.extend(made.id, store.find(made.id).expires_at + HOUR)
    with delivering(dsn, keys):
        until(lambda: len({each.id for each in receiver.received}) == 2 or hurry(connection))
        until(lambda: len(receiver.received) > 3 or hurry(connection))
        failing = False
        until(lambda: owed(events, webhook) == 0 or hurry(connection))
    of_each: dict[str, set[bytes]] = {}
    for each in receiver.received:
        of_each.setdefault(each.id, set()).add(each.body)
        assert each.verified(secret) == each.told
        assert each.headers["content-type"].startswith("application/cloudevents-batch+json")
    assert {len(bodies) for bodies in of_each.values()} == {1}
    arrays = [json.loads(body) for bodies in of_each.values() for body in bodies]
    assert max(map(len, arrays)) == 4
    told = [event for array in arrays for event in array]
    assert len({event["id"] for event in told}) == len(told) == 12
    for made in bindings:
        places = [each["sequence"] for each in told if each["subject"] == str(made.id)]
        assert places == [1, 2]
    assert events.find(webhook.id).failures == 0


def test_an_event_that_is_asked_for_again_while_it_is_under_way(
    dsn: str,
    keys: KeyRing,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """Both tries are the first of it, and both end; the next event is told, too."""
    answered = threading.Event()
    receiver.answer = lambda _: Reply() if answered.wait(60) else Reply(500)
    webhook, _ = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED])
    bind(store)
    with delivering(dsn, keys):
        until(lambda: reached(receiver, 1))
        events.resend(webhook.id, event_id=parse_event_name(receiver.received[0].id))
        until(lambda: reached(receiver, 2))
        answered.set()
        until(lambda: not owed(events, webhook))
        bind(store, new_party(), new_party(), x=BLOCK.number(2))
        until(lambda: reached(receiver, 3) and not owed(events, webhook))
    first, again, other = (each.id for each in receiver.received)
    assert first == again != other


def test_a_batch_of_events_that_were_sent_by_themselves(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """They have as many tries as the others in it from now on: all fail together."""
    receiver.answer = lambda _: Reply(500)
    webhook, _ = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED])
    bind(store)
    with delivering(dsn, keys):
        until(lambda: events.attempts(webhook.id, limit=9))
    events.change(webhook.id, batch=9)
    bind(store, new_party(), new_party(), x=BLOCK.number(2))
    hurry(connection)
    with delivering(dsn, keys):
        until(lambda: len(events.attempts(webhook.id, limit=9)) == 3)
    assert len(receiver.received[-1].told) == 2
    rows = connection.execute(b"SELECT batch, tries FROM agi_router.delivery").fetchall()
    assert len(rows) == 2
    assert len({(row["batch"], row["tries"]) for row in rows}) == 1
    # Sent by themselves again they are of no batch.
    events.change(webhook.id, batch=1)
    hurry(connection)
    with delivering(dsn, keys):
        until(lambda: len(events.attempts(webhook.id, limit=9)) == 5)
    assert one(connection, "SELECT count(batch) FROM agi_router.delivery") == 0


def test_a_failed_batch_is_one_failure(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """Of the webhook; of each event in it there is a try. One that cannot be read leaves it."""
    receiver.answer = lambda _: Reply(500)
    webhook, _ = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED], batch=9)
    for place in range(3):
        bind(store, new_party(), new_party(), x=BLOCK.number(place))
    with delivering(dsn, keys):
        until(lambda: events.attempts(webhook.id, limit=9))
    # It may have been tried twice by now.
    tries = len(receiver.received)
    assert len(events.attempts(webhook.id, limit=99)) == 3 * tries
    assert events.find(webhook.id).failures == tries
    [got] = {each.id for each in receiver.received}
    assert {len(each.told) for each in receiver.received} == {3}
    connection.execute(
        "UPDATE agi_router.route SET callee = '\\x00' WHERE binding_id ="
        " (SELECT min(binding_id) FROM agi_router.route)"
    )
    hurry(connection)
    receiver.answer = lambda _: Reply()
    with delivering(dsn, keys):
        until(lambda: reached(receiver, tries + 1))
    again = receiver.received[-1]
    assert (again.id, len(again.told)) == (got, 2)
    batches = connection.execute("SELECT batch FROM agi_router.delivery").fetchall()
    assert batches == [{"batch": None}]


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(500), "it answered 500"),
        (Reply(302, {"Location": "/elsewhere"}), "it answered 302: redirects are not followed"),
        (Reply(404, body=b"138 0000 0001"), "it answered 404"),
    ],
)
def test_a_failed_try(
    dsn: str,
    keys: KeyRing,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
    reply: Reply,
    why: str,
) -> None:
    """It is put off, and what the receiver said is kept nowhere but its status."""
    receiver.answer = lambda _: reply
    webhook, _ = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED])
    bind(store)
    with delivering(dsn, keys):
        until(lambda: events.attempts(webhook.id, limit=1))
    [attempt] = events.attempts(webhook.id, limit=9)
    assert (attempt["status"], attempt["why"]) == (reply.status, why)
    found = events.find(webhook.id)
    assert (found.state, found.failures) == (WebhookState.ACTIVE, 1)
    assert owed(events, webhook) == 1
    assert [each.path for each in receiver.received] == ["/hooks?of=shop"]


def test_a_receiver_that_is_gone(
    dsn: str, keys: KeyRing, store: BindingStore, events: EventStore, receiver: Receiver
) -> None:
    """By 410 it is switched off; what it is owed is sent when somebody resumes it."""
    receiver.answer = lambda _: Reply(410)
    webhook, secret = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED])
    bind(store)
    with delivering(dsn, keys):
        until(lambda: events.find(webhook.id).state is WebhookState.GONE)
        bind(store, new_party(), new_party(), x=BLOCK.number(2))
        assert owed(events, webhook) == 2
        receiver.answer = lambda _: Reply()
        events.resume(webhook.id)
        events.resend(webhook.id, since=store.now() - HOUR)
        until(lambda: owed(events, webhook) == 0)
    assert {each.verified(secret)["id"] for each in receiver.received} == set(receiver.ids)
    assert len(set(receiver.ids)) == 2


def test_a_receiver_that_is_down_for_an_hour(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """What happened meanwhile arrives when it is back: all of it, and of each binding in order."""
    webhook, secret = events.add(TENANT, receiver.url, ALL)
    receiver.answer = lambda _: Reply(raw=b"")
    with delivering(dsn, keys):
        made = [bind(store, new_party(), new_party(), x=BLOCK.number(2000 + i)) for i in range(5)]
        for bound in made:
            store.unbind(bound.id)
        until(lambda: len(receiver.received) > 2 * len(made) or hurry(connection))
        for row in (
            "delivery SET owed_since = owed_since",
            "webhook SET failed_since = failed_since",
        ):
            connection.execute(f"UPDATE agi_router.{row} - interval '1 hour'".encode())
        receiver.answer = lambda _: Reply()
        missed = len(receiver.received)
        until(lambda: owed(events, webhook) == 0 or hurry(connection))
    told: dict[str, dict[str, str]] = {str(bound.id): {} for bound in made}
    for each in receiver.received[missed:]:
        event = each.verified(secret)
        told[event["subject"]][event["id"]] = event["type"]
    wanted = ["agi_router.binding.created", "agi_router.binding.ended"]
    assert [list(each.values()) for each in told.values()] == [wanted] * len(made)


def test_a_receiver_that_asks_for_time(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """It gets nothing before, also of others."""
    receiver.answer = lambda _: Reply(429, {"Retry-After": "3600"})
    webhook, _ = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED])
    bind(store)
    waits = "SELECT retry_at > now() + interval '50 minutes' FROM agi_router.webhook"
    with delivering(dsn, keys):
        until(lambda: one(connection, waits))
        bind(store, new_party(), new_party(), x=BLOCK.number(2))
        assert owed(events, webhook) == 2
    again = "SELECT max(next_at) > now() + interval '50 minutes' FROM agi_router.delivery"
    assert one(connection, again)
    assert len(receiver.received) == 1


def test_what_fails_for_days(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """Seven days, and it is held; three without a success, and its webhook is switched off."""
    receiver.answer = lambda _: Reply(500)
    told = [EventType.WEBHOOK_HELD, EventType.WEBHOOK_OFF]
    webhook, _ = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED, *told])
    other, _ = events.add(TENANT, f"{receiver.url}/other", told)
    events.pause(other.id)
    bind(store)
    connection.execute("UPDATE agi_router.delivery SET owed_since = now() - interval '8 days'")
    with delivering(dsn, keys):
        until(lambda: state_of(events, webhook) == ("active", 0, 1))
        connection.execute(
            "UPDATE agi_router.webhook SET failed_since = now() - interval '4 days'"
        )
        bind(store, new_party(), new_party(), x=BLOCK.number(2))
        until(lambda: state_of(events, webhook) == ("failed", 1, 1))
        # Told to whoever pulls, and to the other webhook; not to the one that takes nothing.
        assert owed(events, other) == 2
        page = events.events(TENANT, types=told, limit=9)
        (held, _), (off, _) = page.events
        assert (held.type, off.type) == tuple(told)
        assert (held.data["state"], off.data["state"]) == ("active", "failed")
        assert (len(held.data["events"]), off.data["events"]) == (1, [])
        assert {each.data["webhook_id"] for each in (held, off)} == {str(webhook.id)}
        receiver.answer = lambda _: Reply()
        events.resume(webhook.id)
        # All of its types, those too that it was not told of.
        assert events.resend(webhook.id, since=store.now() - HOUR) == 4
        until(lambda: state_of(events, webhook) == ("active", 0, 0))


def test_a_batch_waits_for_more(
    connection: Connection, keys: KeyRing, store: BindingStore, events: EventStore
) -> None:
    """Until it is full, or its first event has waited for so long; what failed waits for none."""
    webhook, _ = events.add(
        TENANT,
        "https://shop.example/hooks",
        [EventType.BINDING_CREATED],
        batch=2,
        batch_wait=timedelta(seconds=60),
    )
    deliveries = DeliveryStore(connection)

    def take() -> list[int]:
        """How many are in each batch that is to be sent now."""
        found = []
        for due in deliveries.due(keys):
            while taken := deliveries.claim_batch(due, keys):
                found.append(len(taken[1]))
        return found

    places = iter(range(9))

    def told(count: int) -> None:
        for _ in range(count):
            bind(store, new_party(), new_party(), x=BLOCK.number(next(places)))

    told(1)
    assert take() == []
    assert watch(connection)["waiting"] is None
    told(2)
    assert take() == [2]
    abandon(connection)
    # What was sent before comes again as it was; beside it there is one that waits.
    assert take() == [2]
    connection.execute(
        "UPDATE agi_router.delivery SET next_at = now() - interval '61 s' WHERE batch IS NULL"
    )
    assert watch(connection)["waiting"] is not None
    assert take() == [1]
    told(1)
    assert take() == []
    assert events.change(webhook.id, batch_wait=timedelta()).batch_wait == timedelta()
    assert take() == [1]
    with pytest.raises(WebhookInvalid, match="batch_wait"):
        events.change(webhook.id, batch=1, batch_wait=timedelta(seconds=1))


def watch(connection: Connection) -> dict[str, Any]:
    """What whoever watches is told."""
    return Queries(connection).rows("watch_deliveries", {})[0]


def test_what_is_held_of_a_webhook_that_was_paused(
    connection: Connection, keys: KeyRing, store: BindingStore, events: EventStore
) -> None:
    """It is told, though the last try ended behind the pause."""
    told = [EventType.WEBHOOK_HELD]
    webhook, _ = events.add(TENANT, "https://a.example/", [EventType.BINDING_CREATED, *told])
    bind(store)
    deliveries = DeliveryStore(connection)
    (due,) = deliveries.due(keys)
    parcel = Parcel(deliveries=tuple(deliveries.claim(due, keys, limit=9)))
    events.pause(webhook.id)
    failed = Answer(status=500, ms=1, why="status")
    assert deliveries.fail(parcel, failed, delay=None, pause=timedelta()) is None
    [(held, _)] = events.events(TENANT, types=told, limit=9).events
    assert len(held.data["events"]) == 1


def test_a_batch_is_held_when_its_last_is(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """What is owed since today is not given up because something beside it is old."""
    receiver.answer = lambda _: Reply(500)
    webhook, _ = events.add(TENANT, receiver.url, [EventType.BINDING_CREATED], batch=9)
    for place in range(2):
        bind(store, new_party(), new_party(), x=BLOCK.number(place))
    connection.execute(
        "UPDATE agi_router.delivery SET owed_since = now() - interval '8 days'"
        " WHERE event_id = (SELECT min(event_id) FROM agi_router.delivery)"
    )
    with delivering(dsn, keys):
        until(lambda: len(events.attempts(webhook.id, limit=9)) >= 2)
    assert state_of(events, webhook) == ("active", 2, 0)
    connection.execute("UPDATE agi_router.delivery SET owed_since = now() - interval '8 days'")
    with delivering(dsn, keys):
        until(lambda: state_of(events, webhook)[1:] == (0, 2) or hurry(connection))


def test_a_slow_receiver_delays_no_other(
    dsn: str,
    keys: KeyRing,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """However much it is owed, it takes half of what is free at most."""
    monkeypatch.setitem(LIMITS, Format.CLOUDEVENTS, 4 * SOON)
    stuck = threading.Event()

    def wait(_: Received) -> Reply:
        stuck.wait(4 * SOON)
        return Reply()

    with Receiver(wait) as slow:
        slow_one, _ = events.add(TENANT, slow.url, [EventType.BINDING_CREATED])
        bound = [bind(store, new_party(), new_party(), x=BLOCK.number(i)) for i in range(20)]
        with delivering(dsn, keys, threads=8):
            until(lambda: len(slow.received) >= 4)
            quick, _ = events.add(TENANT, receiver.url, [EventType.BINDING_ENDED])
            for made in bound:
                store.unbind(made.id)
            until(lambda: owed(events, quick) == 0)
            assert owed(events, slow_one) == 20
            stuck.set()
            until(lambda: owed(events, slow_one) == 0)
    assert len(receiver.ids) == 20


def test_a_receiver_that_never_ends(
    dsn: str,
    keys: KeyRing,
    store: BindingStore,
    events: EventStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that sends a byte at a time has no longer than others."""
    monkeypatch.setitem(LIMITS, Format.CLOUDEVENTS, 0.5)
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def drip() -> None:
            line, _ = server.accept()
            with line:
                while not ended.wait(0.05):
                    try:
                        line.send(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        webhook, _ = events.add(TENANT, f"http://127.0.0.1:{port}/", [EventType.BINDING_CREATED])
        bind(store)
        with delivering(dsn, keys):
            until(lambda: events.attempts(webhook.id, limit=1))
        ended.set()
        thread.join()
    [attempt] = events.attempts(webhook.id, limit=9)
    assert (attempt["status"], attempt["why"]) == (None, "no answer within 0.5 s")


def test_a_secret_is_changed(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    events: EventStore,
    receiver: Receiver,
) -> None:
    """While it is, both sign; then the old one does not."""
    webhook, old = events.add(TENANT, receiver.url, [EventType.CALL_ENDED])
    new = events.rotate_secret(webhook.id, overlap=HOUR)
    with delivering(dsn, keys):
        events.test(webhook.id)
        until(lambda: owed(events, webhook) == 0)
        connection.execute("UPDATE agi_router.webhook SET old_until = now()")
        events.test(webhook.id)
        until(lambda: owed(events, webhook) == 0)
    during, after = receiver.received
    for secret in (old, new):
        assert during.verified(secret)["type"] == "agi_router.webhook.test"
    assert after.verified(new)["subject"] is None
    with pytest.raises(WebhookVerificationError):
        after.verified(old)


async def test_the_format_of_the_older_service(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    events: EventStore,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A list of reports with real numbers; 200 and a number as code take it, nothing else."""
    monkeypatch.setitem(LIMITS, Format.ALI, 10.0)
    answers = [Reply(204), Reply(200, body=b'{"code": "0"}'), Reply(200, body=b'{"code":0}')]
    receiver.answer = lambda _: answers[min(len(receiver.received), len(answers)) - 1]
    webhook, _ = events.add(
        TENANT,
        "https://127.0.0.1/",
        [EventType.CALL_ENDED],
        form=Format.ALI,
        numbers=Numbers.FULL,
    )
    # By https only, which a receiver on loopback has no certificate for.
    connection.execute("UPDATE agi_router.webhook SET url = %s", (receiver.url,))
    bind(store)
    call_id = new_call_id()
    await admit_as_router(admissions, a_call(), call_id)
    await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
    with delivering(dsn, keys):
        until(lambda: owed(events, webhook) == 0 or hurry(connection))
    [report] = receiver.received[-1].told
    assert (report["phone_no"], report["peer_no"]) == (A.digits, B.digits)
    assert (report["call_id"], report["call_type"]) == (call_id, 0)
    whys = {attempt["why"] for attempt in events.attempts(webhook.id, limit=9)}
    assert whys >= {None, "it answered 204, and not 200", "its answer has no number as code"}
    for table in ("event", "delivery", "attempt", "webhook"):
        text = one(connection, f"SELECT string_agg(t::text, ' ') FROM agi_router.{table} t") or ""
        assert not any(number.digits in text for number in (A, B))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9/", "not https"),
        ("https://127.0.0.1:9/", "not public"),
        ("https://localhost:9/", "not public"),
        ("https://[::1]:9/", "not public"),
    ],
)
def test_where_nothing_is_sent(
    dsn: str, keys: KeyRing, store: BindingStore, events: EventStore, url: str, why: str
) -> None:
    """Our own networks, unless the operator allows the host."""
    webhook, _ = events.add(TENANT, url, [EventType.BINDING_CREATED])
    bind(store)
    with delivering(dsn, keys, allowed=()):
        until(lambda: events.attempts(webhook.id, limit=1))
    [attempt] = events.attempts(webhook.id, limit=9)
    assert attempt["status"] is None
    assert why in attempt["why"]


def test_a_forged_row_stops_no_other(
    dsn: str,
    keys: KeyRing,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its own events wait; they are told to nobody with the wrong parties, or none of what was."""
    types = [EventType.BINDING_CREATED, EventType.BINDING_ENDED]
    webhook, _ = events.add(TENANT, receiver.url, types)
    forged, fine = bind(store), bind(store, new_party(), new_party(), x=BLOCK.number(2))
    connection.execute(
        "UPDATE agi_router.route r SET callee = (SELECT o.callee FROM agi_router.route o"
        " WHERE o.binding_id = %s LIMIT 1) WHERE r.binding_id = %s",
        (fine.id.id, forged.id.id),
    )
    damaged = [bind(store, new_party(), new_party(), x=BLOCK.number(n)) for n in (3, 4)]
    for bound, data in zip(damaged, ('{"state": "lost"}', '{"received_at": 5}'), strict=True):
        store.unbind(bound.id)
        # Of the first its end, of the second what comes before it: that does not wait for it.
        connection.execute(
            "UPDATE agi_router.event SET data = %s::jsonb WHERE binding_id = %s AND type = %s",
            (data, bound.id.id, types[bound is damaged[0]]),
        )
    with delivering(dsn, keys):
        until(lambda: len(receiver.received) == 3)
        until(lambda: caplog.messages.count("delivery.unreadable") >= 3)
    assert state_of(events, webhook)[1:] == (1, 2)
    assert {(each.told["subject"], each.told["type"]) for each in receiver.received} == {
        (str(fine.id), "agi_router.binding.created"),
        (str(damaged[0].id), "agi_router.binding.created"),
        (str(damaged[1].id), "agi_router.binding.ended"),
    }
    assert events.find(webhook.id).failures == 0


@on_one_server
def test_a_deliverer_that_is_killed(
    server: Server,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    events: EventStore,
    receiver: Receiver,
    key_file: Path,
) -> None:
    """Twenty times: all arrives, in order, twice under one id only."""
    role = "delivers"
    with server.admin(database_of(dsn)) as admin:
        admin.execute(f'CREATE ROLE "{role}" LOGIN')
    try:
        grant(connection, role, Purpose.DELIVER)
        webhook, secret = events.add(TENANT, receiver.url, ALL)
        environment = {
            **os.environ,
            "AGI_ROUTER_DSN": server.dsn(database_of(dsn), user=role),
            "AGI_ROUTER_KEY_FILE": str(key_file),
            "AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1",
        }
        made: list[str] = []
        for kill in range(20):
            for i in range(3):
                a, b, x = new_party(), new_party(), BLOCK.number(1000 + kill * 3 + i)
                bound = bind(store, a, b, x=x)
                store.unbind(bound.id)
                made.append(str(bound.id))
            before = len(receiver.received)
            process = subprocess.Popen([PROGRAM, "deliver"], env=environment)
            try:
                # In the midst of it: another place each time.
                until(partial(reached, receiver, before + 1 + kill % 4))
            finally:
                process.kill()
                process.wait()
            # What it had asked for last is done yet.
            until(lambda: one(connection, CONNECTED) == 0)
            abandon(connection)
        with delivering(server.dsn(database_of(dsn), user=role), store.keys):
            # After so many tries one that fails, on a machine that is busy, would wait for hours.
            until(lambda: owed(events, webhook) == 0 or hurry(connection))
    finally:
        with server.admin(database_of(dsn)) as admin:
            admin.execute(f'DROP OWNED BY "{role}"')
            admin.execute(f'DROP ROLE "{role}"')
    told: dict[str, list[tuple[str, str]]] = {}
    for each in receiver.received:
        event = each.verified(secret)
        told.setdefault(event["subject"], []).append((event["type"], event["id"]))
    assert set(told) == set(made)
    for events_of in told.values():
        first = [
            type_ for i, (type_, _) in enumerate(events_of) if type_ not in dict(events_of[:i])
        ]
        assert first == ["agi_router.binding.created", "agi_router.binding.ended"]
        assert len(set(events_of)) == 2


@on_one_server
def test_what_a_deliverer_may_not(server: Server, dsn: str, connection: Connection) -> None:
    """Neither bind nor route nor lead a webhook elsewhere."""
    role = "delivers too"
    with server.admin(database_of(dsn)) as admin:
        admin.execute(f'CREATE ROLE "{role}" LOGIN')
    try:
        grant(connection, role, Purpose.DELIVER)
        with connect(server.dsn(database_of(dsn), user=role)) as own:
            check_rights(own, Purpose.DELIVER)
            own.execute("SELECT agi_router.tell_trouble(1, '{}')")
            for statement in (
                "UPDATE agi_router.webhook SET url = ''",
                "UPDATE agi_router.webhook SET secret = ''",
                "UPDATE agi_router.binding SET state = 'unbound'",
                "UPDATE agi_router.route SET callee = NULL",
                "DELETE FROM agi_router.event",
                "INSERT INTO agi_router.event SELECT * FROM agi_router.event",
                "INSERT INTO agi_router.delivery SELECT * FROM agi_router.delivery",
                "SELECT * FROM agi_router.call",
                "SELECT * FROM agi_router.api_key",
                "SELECT * FROM agi_router.audit",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    own.execute(statement.encode())
    finally:
        with server.admin(database_of(dsn)) as admin:
            admin.execute(f'DROP OWNED BY "{role}"')
            admin.execute(f'DROP ROLE "{role}"')


@on_one_server
def test_the_command_line(
    dsn: str, store: BindingStore, receiver: Receiver, key_file: Path, connection: Connection
) -> None:
    """Everything an operator does with webhooks and events."""
    cli = Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(key_file)})
    assert cli("webhook", "add", "ftp://shop.example/").code == 2
    assert cli("webhook", "add", receiver.url, "--full").code == 65
    made = cli("webhook", "add", receiver.url, "--types", "binding.created", "--json").json
    assert made["secret"].startswith("whsec_")
    number = made["id"]
    assert cli("events", "write").out == "binding.created\n"
    bound = bind(store)
    listed = cli("events", "list", "--json").json
    assert [each["subject"] for each in listed["events"]] == [str(bound.id)]
    assert cli("events", "list", "--after", listed["next"]).out.startswith("no events\n")
    assert cli("webhook", "pause", number, "--json").json["state"] == "paused"
    assert cli("webhook", "resume", number, "--json").json["state"] == "active"
    assert cli("webhook", "test", number, "--json").json["event"].startswith("evt_")
    assert cli("webhook", "resend", number, "--since", "1h", "--json").json == {"owed": 1}
    assert cli("webhook", "resend", number).code == 2
    assert cli("webhook", "list", "--json").json[0]["owed"] == 2
    with delivering(dsn, store.keys):
        until(lambda: cli("webhook", "list", "--json").json[0]["owed"] == 0)
    assert {
        each["status"] for each in cli("webhook", "show", number, "--json").json["deliveries"]
    } == {204}
    again = cli("webhook", "rotate-secret", number, "--json").json["secret"]
    assert again != made["secret"]
    assert cli("webhook", "change", number).code == 2
    changed = cli("webhook", "change", number, "--types", "call.ended", "--json").json
    assert (changed["types"], changed["url"], changed["version"]) == (
        ["call.ended"],
        receiver.url,
        2,
    )
    assert cli("webhook", "change", number, "--reason", "x", "--masked").code == 2
    assert cli("webhook", "change", number, "--full", "--reason", "a receiver").code == 65
    event = listed["events"][0]
    shown = cli("events", "show", event["id"])
    assert json.loads(shown.out) == event
    assert cli("events", "show", "evt_1234567").code == 66
    assert cli("events", "list", "--until", event["time"], "--json").json["events"] == []
    connection.execute("UPDATE agi_router.event SET data = '[]' WHERE type = 'binding.created'")
    damaged = cli("events", "list", "--types", "binding.created", "--json")
    assert (damaged.code, json.loads(damaged.out)["damaged"]) == (70, [event["id"]])
    assert cli("events", "show", event["id"]).code == 70
    assert cli("webhook", "remove", number, "--json").json == {"removed": number}
    assert cli("webhook", "show", number).code == 66
    assert cli("events", "write", "--none").out == "none\n"
    assert cli("events", "write", "--json").json == {"tenant": "default", "types": []}
    full = cli(
        "webhook",
        "add",
        "https://shop.example/?token=s1",
        "--full",
        "--reason",
        "old receiver",
        "--json",
    )
    assert full.json["numbers"] == "full"
    assert "token" not in one(
        connection, "SELECT string_agg(a::text, ' ') FROM agi_router.audit a"
    )
    rows = connection.execute("SELECT act, reason FROM agi_router.audit ORDER BY id").fetchall()
    assert {row["act"] for row in rows} == {
        "events write",
        *(f"webhook {word}" for word in ("add", "change", "pause", "resume", "test", "resend")),
        *("webhook rotate-secret", "webhook remove"),
    }
    assert [row for row in rows if row["reason"]] == [
        {"act": "webhook change", "reason": "a receiver"},
        {"act": "webhook add", "reason": "old receiver"},
    ]


@pytest.fixture
def readiness() -> Iterator[dict[str, Any]]:
    """What stands in for an HTTP door: its address, and how it says that it is."""
    told: dict[str, Any] = {"status": 200}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(told["status"] if self.path == "/readyz" else 404)
            self.end_headers()
            self.wfile.write(b"no connection is free\x1b[2J\n")

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        told["address"] = f"127.0.0.1:{server.server_port}"
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield told
        finally:
            server.shutdown()
            serving.join()


@on_one_server
def test_the_doctor_looks_at_what_tells_platforms(
    dsn: str,
    store: BindingStore,
    events: EventStore,
    key_file: Path,
    connection: Connection,
    readiness: dict[str, Any],
) -> None:
    """At the deliverer by what waits for it, and at the door; not where nobody is told."""
    cli = Cli(
        {
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(key_file),
            "AGI_ROUTER_ARI_URL": "http://127.0.0.1:1",
            "AGI_ROUTER_HTTP_LISTEN": readiness["address"],
        }
    )

    def told() -> list[tuple[str, str]]:
        checks = json.loads(cli("doctor", "--json").out)["checks"]
        return [(c["status"], c["text"]) for c in checks if c["check"] in {"events", "http"}]

    bind(store)
    assert told() == []
    webhook, _ = events.add(TENANT, "https://shop.example/", ALL)
    store.unbind(store.bindings(everything=False, order_id=None, limit=1)[0].id)
    assert told() == [("ok", "1 webhooks, and nothing waits")]
    connection.execute("UPDATE agi_router.delivery SET next_at = now() - interval '5 minutes'")
    ((status, text),) = told()
    assert (status, text.startswith("an event has waited for ")) == ("warn", True)
    connection.execute("UPDATE agi_router.webhook SET retry_at = now() + interval '5 minutes'")
    assert told() == [("ok", "1 webhooks, and nothing waits")]
    connection.execute("UPDATE agi_router.delivery SET next_at = 'infinity'")
    connection.execute("UPDATE agi_router.webhook SET state = 'failed'")
    off, held = told()
    assert off == (
        "warn",
        f"switched off: webhook {webhook.id}; see 'agi-router webhook show', then resume it",
    )
    assert held[1].startswith("1 deliveries have failed")
    events.remove(webhook.id)
    assert (
        cli("api-key", "create", "--operator", "--label", "x", "--scope", "bindings:read").code
        == 0
    )
    assert told() == [("ok", f"answers at {readiness['address']}")]
    readiness["status"] = 503
    ((status, text),) = told()
    assert (status, "is not ready: no connection is free" in text) == ("warn", True)
    assert "\x1b" not in text
    ((status, text),) = [
        (c["status"], c["text"])
        for c in json.loads(cli("doctor", "--json", AGI_ROUTER_HTTP_LISTEN="127.0.0.1:1").out)[
            "checks"
        ]
        if c["check"] == "http"
    ]
    assert (status, "does not answer at 127.0.0.1:1" in text) == ("warn", True)
