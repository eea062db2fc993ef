"""Events by HTTP: pulled in order, each once, by their tenant alone, as the document says."""

from __future__ import annotations

import io
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.calls.end import Outcome, call_day
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries
from agi_router.events.model import EventType
from agi_router.exports.kinds import KINDS
from agi_router.feeds.model import FeedKind, NumberForm, Trust
from agi_router.feeds.recycler import Recycler
from agi_router.inventory.capacity import StockLimits
from agi_router.inventory.model import BlockState
from agi_router.inventory.store import InventoryStore
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.maintenance.notices import Notices
from agi_router.messages.link_store import LinkStore
from agi_router.messages.model import MessageState, Outgoing, Text
from agi_router.messages.store import JudgedBy, MessageStore
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.persons.blocklist import Pairing
from agi_router.persons.blocklist_store import BlocklistStore
from agi_router.persons.complaint_limits import ComplaintLimits
from agi_router.persons.complaint_store import ComplaintStore
from agi_router.persons.complaints import ComplaintKind
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.store import LockStore
from agi_router.recordings.model import Gap, Kept, Note, RecordingState
from agi_router.recordings.store import RecordingLedger, RecordingStore
from agi_router.recordings.vault import new_key
from agi_router.schemas.events import EVENTS
from agi_router.tenants.rules import RulesChange
from agi_router.tenants.store import TenantStore
from harness.api import Client
from harness.database import HOUR, NO_REST, SOON, a_call, an_end, new_call_id

A, B = "13800000601", "13800000602"
AES = FileCipher.AES_256_GCM
ALL = [each.value for each in EventType if each is not EventType.WEBHOOK_TEST]


@pytest.fixture
def told(couriers: Client) -> Client:
    """A tenant that has all events written."""
    body = {"types": ALL}
    answer = couriers.ask("PATCH", "/v1/events/types", body)
    assert answer.json() == {"tenant": "couriers", "types": ALL}
    return couriers


def types(page: Any) -> list[str]:
    """Of the events of a page, without what is before each."""
    return [each["type"].removeprefix("agi_router.") for each in page["events"]]


def test_a_life_is_pulled(told: Client) -> None:
    """Page by page, none missed and none twice; by type and by time; one by its id."""
    made = told.bind(A, B, order="A-1")
    for calls in (5, 6):
        changed = told.ask(
            "PATCH", f"/v1/bindings/{made['id']}", {"max_calls": calls}, If_Match="*"
        )
        assert changed.status_code == 200
    assert told.ask("DELETE", f"/v1/bindings/{made['id']}").status_code == 200
    whole = told.get("/v1/events")
    assert types(whole) == [
        "binding.created",
        "binding.changed",
        "binding.changed",
        "binding.ended",
    ]
    assert [each["sequence"] for each in whole["events"]] == [1, 2, 3, 4]
    assert {each["subject"] for each in whole["events"]} == {made["id"]}
    first = whole["events"][0]
    assert first["data"]["parties"] == {"a": ["138****0601"], "b": ["138****0602"]}
    assert A not in str(whole)
    assert told.get(f"/v1/events/{first['id']}") == first
    path, seen = "/v1/events?limit=1", list[Any]()
    while True:
        answer = told.ask("GET", path)
        page = answer.json()
        if not page["events"]:
            break
        seen += page["events"]
        path = answer.links["next"]["url"]
    assert seen == whole["events"]
    assert page["next_cursor"] == whole["next_cursor"]
    # Who has waited goes on from there.
    told.bind(A, B)
    assert types(told.get(path)) == ["binding.created"]
    query = "type=binding.created&type=binding.ended"
    found = told.get(f"/v1/events?{query}&cursor=0.0")
    assert types(found) == ["binding.created", "binding.ended", "binding.created"]
    ended = whole["events"][3]["time"]
    assert types(told.get(f"/v1/events?until={ended}")) == types(whole)[:3]
    assert types(told.get(f"/v1/events?since={ended}")) == ["binding.ended", "binding.created"]


def test_what_is_no_place(told: Client) -> None:
    """It is refused, and not told back."""
    for query in (f"cursor={A}", "cursor=x", "type=nothing", "since=today", "limit=201"):
        answer = told.ask("GET", f"/v1/events?{query}")
        assert (answer.status_code, A in answer.text) == (422, False)
    for name in ("evt_999", "evt_x", A, f"evt_{A}"):
        answer = told.ask("GET", f"/v1/events/{name}")
        assert (answer.json()["code"], A in answer.text) == ("event_not_found", False)


def test_a_damaged_row_hides_nothing_beside_it(told: Client, connection: Connection) -> None:
    """It is named in its page, which goes on; of itself nothing can be told."""
    for b in ("13800000606", "13800000607", "13800000608"):
        told.bind("13800000605", b)
    before = told.get("/v1/events")
    assert before["damaged"] == []
    fine, *broken = before["events"]
    for event, data in zip(broken, ("[]", '{"received_at": "lost"}'), strict=True):
        connection.execute(
            "UPDATE agi_router.event SET data = %s::jsonb WHERE id = %s",
            (data, int(event["id"].removeprefix("evt_"))),
        )
    ids = [each["id"] for each in broken]
    assert told.get("/v1/events") == {**before, "events": [fine], "damaged": ids}
    assert told.ask("GET", f"/v1/events/{ids[0]}").json()["code"] == "seal_invalid"


def test_of_another_tenant(told: Client, drivers: Client, operator: Client) -> None:
    """Neither a list nor an id shows them; the operator names whose it wants."""
    told.bind(A, B)
    (event,) = told.get("/v1/events")["events"]
    assert drivers.get("/v1/events")["events"] == []
    assert drivers.ask("GET", f"/v1/events/{event['id']}").json()["code"] == "event_not_found"
    assert operator.get(f"/v1/events/{event['id']}") == event
    assert operator.get("/v1/events?tenant=couriers")["events"] == [event]
    assert operator.get("/v1/events")["events"] == []
    for path in ("/v1/events", "/v1/events/types"):
        refused = drivers.ask("GET", f"{path}?tenant=couriers")
        assert refused.json()["code"] == "tenant_not_found"
    body = {"types": [], "tenant": "couriers"}
    assert drivers.ask("PATCH", "/v1/events/types", body).json()["code"] == "tenant_not_found"
    assert told.get("/v1/events/types")["types"] == ALL
    assert operator.ask("PATCH", "/v1/events/types", body).json()["types"] == []
    told.bind("13800000603", "13800000604")
    assert told.get("/v1/events")["events"] == [event]


async def send_texts(
    store: MessageStore, links: LinkStore, sender: PhoneNumber, x: XNumber
) -> None:
    """Have one text held, one fail, and two sent of which one arrives."""
    held = Text(sender=sender, x_number=x, body="at the gate")
    judged = JudgedBy(version=None, hold=HOUR)
    await store.admit(held, secrets.token_bytes(32), judged=judged, timeout=SOON)
    for state in (MessageState.FAILED, MessageState.DELIVERED, MessageState.UNDELIVERED):
        text = Text(sender=sender, x_number=x, body="at the gate")
        await store.admit(text, secrets.token_bytes(32), timeout=SOON)
        (taken,) = await store.take(9, timeout=SOON)
        if state is MessageState.FAILED:
            assert await store.finish(taken, state, reason=None, status=200, timeout=SOON)
        else:
            assert isinstance(taken, Outgoing)
            assert await links.note_sent(taken, {1: taken.id}, total=1, status=0, timeout=SOON)
            assert await links.note_receipt(taken.id, state, timeout=SOON)


def appeal(platform: Client, locks: LockStore, connection: Connection) -> None:
    """File an appeal, back it, let its review be late, and withdraw it."""
    person = "13800000607"
    platform.bind(person, "13800000608", order="A-3")
    thing = LockedThing(subject=Subject.PERSON, person=PhoneNumber.parse(person))
    lock = locks.set(thing, LockReason.ARREARS, by="a test")
    made = platform.post("/v1/appeals", {"lock_id": str(lock.id)}, status=201)
    body = {"kind": "payment_record", "reference": "t-7", "digest": "9f86d081" * 8}
    platform.post(f"/v1/appeals/{made['id']}/evidence", body)
    connection.execute("UPDATE agi_router.appeal SET deadline_at = now() - interval '1 s'")
    connection.execute("SELECT agi_router.lapse_appeals(100)")
    platform.post(f"/v1/appeals/{made['id']}/withdraw", {})


def carry_over(platform: Client, locks: LockStore, make_key: Callable[..., str]) -> None:
    """Take the other number that is offered where an appeal was upheld."""
    pair = platform.bind("13800000609", "13800000610", order="A-4")
    number = LockedThing(subject=Subject.NUMBER, number=XNumber.parse(pair["x"]))
    lock = locks.set(number, LockReason.MISUSE, by="a test")
    made = platform.post("/v1/appeals", {"lock_id": str(lock.id)}, status=201)
    place = f"/v1/appeals/{made['id']}"
    for kind in ("calls_in_question", "tenant_statement"):
        body = {"kind": kind, "reference": "t-7", "digest": "9f86d081" * 8}
        platform.post(f"{place}/evidence", body)
    judge = Client(platform.http, make_key(None))
    judge.post(f"{place}/review", None)
    judge.post(f"{place}/decide", {"decision": "uphold"})
    platform.post(f"{place}/rebind", {"binding_id": pair["id"]}, status=201)


def export(connection: Connection) -> None:
    """Have a package be made of a day, with a call of the couriers in it."""
    records = dict.fromkeys((kind.name for kind in KINDS), 1)
    values = {
        "day": date(2026, 1, 30),
        "sequence": 0,
        "records": json.dumps(records),
        "numbers": "masked",
        "recipient": "a test",
        "manifest": bytes(32),
        "signed": "",
        "tenants": json.dumps({"couriers": records}),
    }
    Queries(connection).execute("record_export", values)


def drain(connection: Connection, block: Block) -> None:
    """Have a block take no new bindings for a moment."""
    inventory = InventoryStore(Queries(connection), NO_REST)
    for state in (BlockState.DRAINING, BlockState.ACTIVE):
        inventory.set_block_state(block, state)


def record(connection: Connection, ring: KeyRing, call_id: str, x: XNumber) -> None:
    """Have a recording be missing, come all the same, and be deleted."""
    note = Note(call_id=call_id, day=call_day(call_id), x_number=x, begun_at_ms=0, told=True)
    ledger, key = RecordingLedger(Queries(connection)), new_key(ring, "abcdefab", AES)[1]
    lost = Kept(name="fedcbafe", note=note, state=RecordingState.MISSING, gap=Gap.NO_ROOM)
    kept = replace(
        lost,
        name="abcdefab",
        state=RecordingState.READY,
        gap=None,
        cipher=AES,
        sha256=bytes(32),
        sealed_key=key,
    )
    assert ledger.keep(lost, ring, "vault")
    assert ledger.keep(kept, ring, "vault")
    ledger.delete(RecordingStore(Queries(connection)).find(call_id), early=True)


async def test_events_are_as_the_document_says(
    told: Client,
    dsn: str,
    ring: KeyRing,
    connection: Connection,
    make_key: Callable[..., str],
) -> None:
    """Each type that there is, by the schema of its own and no other."""
    connection.execute(
        "UPDATE agi_router.block SET tenant_id ="
        " (SELECT id FROM agi_router.tenant WHERE name = 'couriers')"
    )
    made = told.bind(A, B, order="A-1", messages="both")
    x, caller = XNumber.parse(made["x"]), PhoneNumber.parse(A)
    admitted, refused = new_call_id(), new_call_id()
    async with AdmissionStore(dsn, ring, connections=1) as admissions:
        answer = await admissions.admit(a_call(caller, x), admitted, timeout=SOON)
        assert answer.admitted
        ends = [
            an_end(admitted, Outcome.ANSWERED, x=x),
            an_end(refused, None, x=x, reason=Reason.STRANGER),
        ]
        left = await admissions.settle(ends)
        assert (left.held, left.refused, left.broken) == ([], [], [])
        texts = MessageStore(admissions.pool, ring, link="carrier", validity=HOUR)
        await send_texts(texts, LinkStore(admissions.pool, texts), caller, x)
    record(connection, ring, admitted, x)
    assert told.ask("PATCH", f"/v1/bindings/{made['id']}", {"ttl": 60}, If_Match="*").is_success
    assert told.ask("DELETE", f"/v1/bindings/{made['id']}").is_success
    recycler = Recycler(connection, ring)
    feed = recycler.store.add(
        "unicom", kind=FeedKind.STDIN, path=None, numbers=NumberForm.PLAIN, trust=Trust.HINT
    )
    told.bind("13800000603", "13800000604")
    file = io.BytesIO(b"number,status\n13800000603,unknown\n")
    assert recycler.run(feed, file, name="-")
    export(connection)
    connection.execute("UPDATE agi_router.block SET valid_until = now() + interval '1 day'")
    assert sum(Notices(Queries(connection), NO_REST, StockLimits(free=100)).steps()) == 2
    drain(connection, x.block)
    locks = LockStore(Queries(connection), ring)
    number = LockedThing(subject=Subject.NUMBER, number=x)
    lock = locks.set(number, LockReason.MISUSE, by="a test")
    locks.lift(lock.id, by="a test")
    rules = RulesChange(max_order_pairs=1, refuses_pairs=True)
    TenantStore(Queries(connection)).set_rules("couriers", rules)
    told.bind("13800000605", "13800000606", order="A-2")
    blocklist = BlocklistStore(Queries(connection), ring)
    entry = blocklist.add(
        Pairing(person=PhoneNumber.parse("13800000603"), tenant="couriers"), by="a test"
    )
    blocklist.remove(entry.id, by="a test")
    appeal(told, locks, connection)
    carry_over(told, locks, make_key)
    limits = ComplaintLimits(least=2)
    ComplaintStore(Queries(connection), ring, limits).file(
        x, ComplaintKind.FRAUD, at=datetime.now(UTC), source="a test", reference="C-1", by="a test"
    )
    webhook = told.post("/v1/webhooks", {"url": "https://shop.example/"}, status=201)
    told.post(f"/v1/webhooks/{webhook['id']}/test", None)
    connection.execute("UPDATE agi_router.webhook SET state = 'gone'")
    Queries(connection).execute("tell_trouble", {"webhook_id": int(webhook["id"]), "held": [1, 2]})
    page = told.get("/v1/events")
    assert {*types(page)} == set(EventType)
    for type_, event in zip(types(page), page["events"], strict=True):
        EVENTS[EventType(type_)].model_validate(event)
    assert [each["subject"] for each in page["events"]].count(made["id"]) == 18
