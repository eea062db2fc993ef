"""Webhooks by HTTP: added, looked at, changed, tried; by whom, and with which addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from agi_router.db.connection import Connection
from agi_router.events.store import MOST_WEBHOOKS
from agi_router.tenants.api_keys import KeyScope
from harness.api import Client
from harness.database import one

A, B = "13800000501", "13800000502"
URL = "https://shop.example/hooks"
OTHER = "https://other.example/?token=s1"
BODY = {"url": URL, "types": ["binding.created", "binding.ended"]}
SECRET = "whsec_"


def add(client: Client, **terms: Any) -> Any:
    """Add a webhook."""
    return client.post("/v1/webhooks", {**BODY, **terms}, status=201)


def patch(client: Client, webhook: Any, body: Any, if_match: str = "*") -> Any:
    """Change one."""
    return client.ask("PATCH", f"/v1/webhooks/{webhook['id']}", body, If_Match=if_match)


def test_a_webhook_and_what_it_is_owed(couriers: Client, connection: Connection) -> None:
    """What was added is what is found; its types are written, and its secret is told once."""
    made = add(couriers)
    assert made.pop("secret").startswith(SECRET)
    assert (made["tenant"], made["url"], made["types"]) == ("couriers", URL, BODY["types"])
    assert (made["format"], made["numbers"], made["state"]) == ("cloudevents", "masked", "active")
    assert couriers.get("/v1/webhooks") == {"webhooks": [made]}
    assert couriers.get(f"/v1/webhooks/{made['id']}") == made
    assert couriers.get("/v1/events/types") == {"tenant": "couriers", "types": BODY["types"]}
    couriers.bind(A, B)
    place = f"/v1/webhooks/{made['id']}"
    assert couriers.get(place)["owed"] == 1
    assert couriers.post(f"{place}/pause", None)["state"] == "paused"
    event = couriers.post(f"{place}/test", None)["event"]
    assert couriers.get(f"/v1/events/{event}")["type"] == "agi_router.webhook.test"
    resumed = couriers.post(f"{place}/resume", None)
    assert (resumed["state"], resumed["owed"]) == ("active", 2)
    connection.execute("DELETE FROM agi_router.delivery")
    assert couriers.post(f"{place}/resend", {"event": event}) == {"owed": 0}
    since = {"since": made["created_at"]}
    assert couriers.post(f"{place}/resend", since) == {"owed": 1}
    connection.execute("DELETE FROM agi_router.delivery")
    assert couriers.post("/v1/events/resend", since) == {"owed": 1}
    assert couriers.post("/v1/events/resend", {}, status=422)["code"] == "request_invalid"
    until = {**since, "until": made["created_at"]}
    assert couriers.post(f"{place}/resend", until) == {"owed": 0}
    for wrong in ({}, {"event": event, **since}, {"until": made["created_at"]}, {"event": A}):
        refused = couriers.post(f"{place}/resend", wrong, status=422)
        assert (refused["code"], A in str(refused)) == ("request_invalid", False)
    connection.execute(
        "INSERT INTO agi_router.attempt (webhook_id, event_id, at, tries, status, ms, why)"
        " VALUES (%s, 7, now(), 2, 503, 41, 'it answered 503')",
        (made["id"],),
    )
    (attempt,) = couriers.get(f"{place}/deliveries")["deliveries"]
    assert {**attempt, "at": ""} == {
        "event": "evt_7",
        "at": "",
        "try": 2,
        "status": 503,
        "ms": 41,
        "why": "it answered 503",
    }
    renewed = couriers.post(f"{place}/rotate-secret", {})["secret"]
    assert renewed.startswith(SECRET)
    removed = couriers.ask("DELETE", place)
    assert (removed.status_code, removed.json()["id"]) == (200, made["id"])
    assert couriers.get("/v1/webhooks") == {"webhooks": []}
    assert couriers.ask("DELETE", place).json()["code"] == "webhook_not_found"
    assert one(connection, "SELECT count(*) FROM agi_router.delivery") == 0
    # What was looked for and not found is no act.
    acts = connection.execute("SELECT act FROM agi_router.audit ORDER BY id").fetchall()
    assert [row["act"].rpartition("/")[2] for row in acts] == [
        *("webhooks", "pause", "test", "resume", *["resend"] * 4, "rotate-secret"),
        "{webhook_id}",
    ]


def test_asked_again(couriers: Client, connection: Connection) -> None:
    """It is added once; the secret is in no answer that is kept, nor in the next one."""
    first, again = (
        couriers.ask("POST", "/v1/webhooks", BODY, Idempotency_Key="one") for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    told = first.json()
    secret = told.pop("secret")
    assert again.json() == told
    assert again.headers["etag"] == first.headers["etag"]
    assert first.headers["location"] == f"/v1/webhooks/{told['id']}"
    kept = one(connection, "SELECT string_agg(a::text, ' ') FROM agi_router.answer a")
    assert told["url"] in kept
    assert secret.removeprefix(SECRET) not in kept
    missing = couriers.ask("POST", "/v1/webhooks", BODY)
    assert missing.json()["code"] == "idempotency_key_missing"
    other = couriers.ask("POST", "/v1/webhooks", {"url": URL}, Idempotency_Key="one")
    assert other.json()["code"] == "idempotency_key_reused"
    assert one(connection, "SELECT count(*) FROM agi_router.webhook") == 1


def test_a_change(couriers: Client) -> None:
    """Of what was read, and of nothing else; null is what a new one has."""
    made = add(couriers)
    read = couriers.ask("GET", f"/v1/webhooks/{made['id']}")
    same = couriers.ask("GET", f"/v1/webhooks/{made['id']}", If_None_Match=read.headers["etag"])
    assert (same.status_code, same.content) == (304, b"")
    changed = patch(couriers, made, {"types": ["call.ended"]}, read.headers["etag"])
    assert changed.status_code == 200, changed.text
    assert (changed.json()["types"], changed.json()["version"]) == (["call.ended"], 2)
    assert changed.json()["url"] == URL
    assert changed.headers["etag"] != read.headers["etag"]
    written = couriers.get("/v1/events/types")["types"]
    assert written == ["binding.created", "binding.ended", "call.ended"]
    for stale in (read.headers["etag"], '"another"'):
        late = patch(couriers, made, {"url": f"{URL}/2"}, stale)
        assert (late.status_code, late.json()["code"]) == (412, "webhook_changed")
    without = couriers.ask("PATCH", f"/v1/webhooks/{made['id']}", {})
    assert (without.status_code, without.json()["code"]) == (428, "precondition_missing")
    assert patch(couriers, made, {"types": None}).json()["types"] == [
        "binding.created",
        "binding.changed",
        "binding.ended",
        "call.admitted",
        "call.answered",
        "call.ended",
        "call.refused",
        "message.held",
        "message.accepted",
        "message.sent",
        "message.failed",
        "message.delivered",
        "message.undelivered",
        "recording.kept",
        "recording.missing",
        "recording.deleted",
        "feed.finished",
        "export.finished",
        "number.changed",
        "block.expiring",
        "pool.low",
        "lock.set",
        "lock.lifted",
        "appeal.filed",
        "appeal.changed",
        "appeal.closed",
        "appeal.overdue",
        "appeal.rebound",
        "complaint.alarm",
        "order.crowded",
        "blocklist.added",
        "blocklist.removed",
        "webhook.held",
        "webhook.off",
    ]
    assert patch(couriers, made, {"url": None}).json()["errors"][0]["pointer"] == "/url"
    wrong = patch(couriers, made, {"format": "ali", "numbers": "full"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "webhook_invalid")
    assert patch(couriers, {"id": A}, {}).json()["code"] == "webhook_not_found"


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hooks",
        "https://127.0.0.1/hooks",
        "https://10.1.2.3:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:192.168.1.1]/",
        "https://[fd00::1]/",
        "https://shop.example:99999/",
        "https://[1:2]/",
        "https://me@shop.example/",
        f"ftp://shop.example/{A}",
    ],
)
def test_addresses_that_nobody_sends_to(couriers: Client, url: str) -> None:
    """They are refused at once, when a webhook is added and when it is changed."""
    refused = couriers.post("/v1/webhooks", {**BODY, "url": url}, status=422)
    assert [each["pointer"] for each in refused["errors"]] == ["/url"]
    assert A not in str(refused)
    changed = patch(couriers, add(couriers), {"url": url})
    assert (changed.status_code, changed.json()["errors"][0]["pointer"]) == (422, "/url")
    assert [each["url"] for each in couriers.get("/v1/webhooks")["webhooks"]] == [URL]


def test_a_name_is_not_resolved_here(couriers: Client) -> None:
    """The deliverer looks at each try: whatever a name is today, it may be another one then."""
    made = add(couriers, url="https://localhost/hooks")
    assert made["state"] == "active"


def test_numbers_in_full(
    http: TestClient, make_key: Callable[..., str], connection: Connection
) -> None:
    """Only who may see them has them sent, somewhere else too; and it is on record before."""
    writes, both = (
        Client(http, make_key("couriers", KeyScope.WEBHOOKS_WRITE, *more))
        for more in ((), (KeyScope.NUMBERS_READ,))
    )
    assert writes.post("/v1/webhooks", {**BODY, "numbers": "full"}, status=403)["code"] == (
        "scope_missing"
    )
    masked, full = add(writes), add(both, numbers="full", url=f"{URL}/{A}")
    for webhook, body in (
        (masked, {"numbers": "full"}),
        (full, {"url": OTHER}),
        (full, {"types": ["call.ended"]}),
    ):
        assert patch(writes, webhook, body).json()["code"] == "scope_missing"
    assert patch(both, full, {"url": OTHER}).status_code == 200
    assert patch(writes, full, {"numbers": "masked"}).status_code == 200
    rows = connection.execute("SELECT act, subject FROM agi_router.audit ORDER BY id").fetchall()
    assert [row["act"] for row in rows] == [
        *("POST /v1/webhooks", "POST /v1/webhooks"),
        *("PATCH /v1/webhooks/{webhook_id}", "PATCH /v1/webhooks/{webhook_id}"),
    ]
    assert [row["subject"].partition(" to ")[0] for row in rows] == [
        *("events", "numbers in full", "numbers in full", "events"),
    ]
    assert A not in rows[1]["subject"]
    kept = one(connection, "SELECT string_agg(a::text, ' ') FROM agi_router.audit a")
    assert ("https://other.example/" in kept, "token" in kept) == (True, False)


def test_of_another_tenant(couriers: Client, drivers: Client, operator: Client) -> None:
    """What is another's was never there, by every operation."""
    theirs = add(drivers)
    del theirs["secret"]
    never = {"id": f"{theirs['id']}999"}
    asked: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PATCH", "", {"url": URL}),
        ("DELETE", "", None),
        ("POST", "/pause", None),
        ("POST", "/resume", None),
        ("POST", "/rotate-secret", {}),
        ("POST", "/test", None),
        ("GET", "/deliveries", None),
        ("POST", "/resend", {"event": "evt_1"}),
    ]
    for method, rest, body in asked:
        answers = [
            couriers.ask(method, f"/v1/webhooks/{each['id']}{rest}", body, If_Match="*")
            for each in (theirs, never, {"id": A})
        ]
        told = [{**answer.json(), "instance": ""} for answer in answers]
        assert answers[0].status_code == 404, answers[0].text
        assert told[0] == told[1] == told[2]
    assert drivers.get("/v1/webhooks") == operator.get("/v1/webhooks") == {"webhooks": [theirs]}
    assert couriers.get("/v1/webhooks") == {"webhooks": []}
    for tenant in ("drivers", "nobody", A):
        told = couriers.post("/v1/webhooks", {**BODY, "tenant": tenant}, status=404)
        assert (told["code"], tenant in str(told)) == ("tenant_not_found", False)
    assert operator.post("/v1/webhooks", {**BODY, "tenant": "drivers"}, status=201)["tenant"] == (
        "drivers"
    )


def test_there_are_not_too_many(couriers: Client, drivers: Client) -> None:
    """Each event is owed to every one of them; another tenant has its own."""
    made = [add(couriers) for _ in range(MOST_WEBHOOKS)]
    assert couriers.post("/v1/webhooks", BODY, status=409)["code"] == "webhook_limit"
    add(drivers)
    couriers.ask("DELETE", f"/v1/webhooks/{made[0]['id']}")
    add(couriers)


def test_batches(couriers: Client) -> None:
    """From 1 to 100, null is 1; the older format has none."""
    made = add(couriers, batch=100)
    assert made["batch"] == 100
    assert patch(couriers, made, {"batch": 7}).json()["batch"] == 7
    assert patch(couriers, made, {"batch": None}).json()["batch"] == 1
    for wrong in (0, 101, "7"):
        assert patch(couriers, made, {"batch": wrong}).status_code == 422
    ali = {"format": "ali", "numbers": "full", "types": ["call.ended"], "batch": 2}
    refused = patch(couriers, made, ali)
    assert (refused.status_code, refused.json()["code"]) == (422, "webhook_invalid")


def test_batches_that_wait(couriers: Client) -> None:
    """Up to a minute, null is not at all; a batch of one waits for nothing."""
    made = add(couriers, batch=100, batch_wait=5)
    assert (made["batch"], made["batch_wait"]) == (100, 5)
    for wrong in (-1, 61, "5", 1.5):
        assert patch(couriers, made, {"batch_wait": wrong}).status_code == 422
    refused = patch(couriers, made, {"batch": 1})
    assert (refused.status_code, refused.json()["code"]) == (422, "webhook_invalid")
    assert patch(couriers, made, {"batch": None, "batch_wait": None}).json()["batch_wait"] == 0
