"""Texts by HTTP: listed, shown, discarded, explained; never what they say."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.keys.registry import key_ids
from agi_router.keys.ring import KeyRing
from agi_router.messages.limits import TextLimits
from agi_router.messages.model import message_day, name_message
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.rates import OFF, Rate
from harness.api import Client
from harness.database import one, until

A, B = "13800000001", "13800000002"
BODY = "到门口了"


@pytest.fixture
def bound(couriers: Client) -> Any:
    """Two parties who may text each other twice."""
    return couriers.bind(A, B, ttl=7200, messages="both", max_messages=2)


@pytest.fixture
def text(connection: Connection, ring: KeyRing, bound: Any) -> Callable[..., str]:
    """Have a text accepted, and return its id."""

    def accept(sender: str = A, hold: timedelta | None = None) -> str:
        x_number = XNumber.parse(bound["x"])
        now = one(connection, "SELECT now()")
        name = name_message(x_number.block, now, secrets.randbits(64))
        row = connection.execute(
            query("admit_message"),
            {
                **key_ids(ring),
                "block": x_number.block.value,
                "x_number": x_number.value,
                "tags": ring.tags(PhoneNumber.parse(sender)),
                "id": name,
                "day": message_day(name),
                "same": secrets.token_bytes(32),
                "asked": None,
                "link_in": "sip",
                "link_out": "sip",
                "validity": timedelta(days=1),
                "octets": len(BODY.encode()),
                "parts": 1,
                "body": ring.seal_text(BODY, name),
                "strangers": [],
                "rules": None,
                "hold": hold,
                "opts_out": False,
                "lease": None,
                "scope": None,
                "check_id": None,
                "check_verdict": None,
                "check_ms": None,
                "tenant_check_id": None,
                "tenant_check_verdict": None,
                "tenant_check_ms": None,
                "stranger_of": None,
                "stranger": None,
            },
        ).fetchone()
        assert row is not None
        assert row["admitted"]
        return name

    return accept


def test_a_text(couriers: Client, connection: Connection, bound: Any, text: Any) -> None:
    """It is listed, shown and discarded, once; its use comes back."""
    name = text()
    shown = couriers.get(f"/v1/messages/{name}")
    assert couriers.get("/v1/messages") == {"messages": [shown], "next_cursor": None}
    assert (shown["id"], shown["x"], shown["binding"]) == (name, bound["x"], bound["id"])
    assert (shown["state"], shown["side"], shown["octets"]) == ("queued", "a", 12)
    assert not any(secret in str(shown) for secret in (A, B, BODY))
    discarded = couriers.post(f"/v1/messages/{name}/discard", None)
    assert (discarded["state"], discarded["reason"]) == ("failed", "discarded")
    assert couriers.get(f"/v1/messages/{name}") == discarded
    subject = one(connection, "SELECT subject FROM agi_router.audit")
    assert subject == f"text {name}"
    assert (
        couriers.post(f"/v1/messages/{name}/discard", None, status=409)["code"] == "message_over"
    )
    assert couriers.get(f"/v1/bindings/{bound['id']}")["messages_used"] == 0
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 0


def test_pages_and_filters(couriers: Client, bound: Any, text: Any) -> None:
    """Newest first; each stands on one page."""
    first, second = text(), text(B)
    page = couriers.get("/v1/messages?limit=1&state=queued")
    assert [each["id"] for each in page["messages"]] == [second]
    page = couriers.get(f"/v1/messages?limit=1&state=queued&cursor={page['next_cursor']}")
    assert [each["id"] for each in page["messages"]] == [first]
    page = couriers.get(f"/v1/messages?limit=1&state=queued&cursor={page['next_cursor']}")
    assert page == {"messages": [], "next_cursor": None}
    couriers.post(f"/v1/messages/{first}/discard", None)
    for query_, names in (
        (f"binding={bound['id']}", [second, first]),
        (f"x={bound['x']}", [second, first]),
        (f"x={bound['x'][:-1]}{(int(bound['x'][-1]) + 1) % 10}", []),
        ("state=failed", [first]),
        ("until=2026-01-31T15:04:05%2B08:00", []),
        ("since=2026-01-31T15:04:05%2B08:00", [second, first]),
    ):
        found = couriers.get(f"/v1/messages?{query_}")["messages"]
        assert [each["id"] for each in found] == names, query_
    for query_ in ("state=nothing", "since=yesterday", "cursor=x", "from=1"):
        assert couriers.ask("GET", f"/v1/messages?{query_}").status_code == 422


def test_links(operator: Client, couriers: Client, connection: Connection, text: Any) -> None:
    """The operator sees who has each, and what it owes, and has one unbound and bound again."""
    assert operator.get("/v1/links") == {"links": []}
    values = {"name": "sip", "holder": "h", "node": "texts-1", "for": timedelta(hours=1)}
    row = connection.execute(query("hold_link"), {**values, "up": True, "heard": None, "gone": ""})
    assert row.fetchone()
    text()
    [link] = operator.get("/v1/links")["links"]
    assert (link["name"], link["state"], link["owed"]) == ("sip", "up", 1)
    assert operator.post("/v1/links/sip/drain", None)["state"] == "draining"
    assert operator.post("/v1/links/sip/resume", None)["state"] == "up"
    assert operator.post("/v1/links/none/drain", None, status=404)["code"] == "link_not_found"
    acts = "SELECT count(*) FROM agi_router.audit WHERE act ^@ 'POST /v1/links/'"
    assert one(connection, acts) == 2
    assert couriers.ask("GET", "/v1/links").status_code == 403
    assert couriers.ask("POST", "/v1/links/sip/drain").status_code == 403


def test_another_tenants_texts(couriers: Client, drivers: Client, bound: Any, text: Any) -> None:
    """Are as if they were not there."""
    name = text()
    assert drivers.get("/v1/messages") == {"messages": [], "next_cursor": None}
    for method, path in (
        ("GET", f"/v1/messages/{name}"),
        ("POST", f"/v1/messages/{name}/discard"),
        ("GET", "/v1/messages/70012345678-1790000000.1"),
        ("GET", f"/v1/messages/{A}"),
    ):
        answer = drivers.ask(method, path)
        assert (answer.status_code, answer.json()["code"]) == (404, "message_not_found")
        assert A not in answer.text
    answer = drivers.ask("GET", f"/v1/messages?binding={bound['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "binding_not_found")
    body = {"from": A, "to": bound["x"]}
    assert drivers.post("/v1/messages/explanations", body)["reason"] == "no_binding"
    assert couriers.get(f"/v1/messages/{name}")["state"] == "queued"


def test_explanations(couriers: Client, bound: Any) -> None:
    """By the rules of texts, with the receiver masked."""
    path = "/v1/messages/explanations"
    told = couriers.post(path, {"from": A, "to": bound["x"]})
    assert (told["verdict"], told["receiver"], told["shown"]) == (
        "take",
        "138****0002",
        bound["x"],
    )
    assert all(rule["holds"] for rule in told["rules"])
    told = couriers.post(path, {"from": A, "to": "1"})
    assert (told["verdict"], told["reason"]) == ("refuse", "x_malformed")
    body = {"from": A, "to": bound["x"], "at": "2036-01-31T15:04:05+08:00"}
    assert couriers.post(path, body)["verdict"] == "refuse"
    assert couriers.ask("POST", path, {"sender": A, "to": bound["x"]}).status_code == 422


def test_rules(couriers: Client, operator: Client, connection: Connection) -> None:
    """Said, read, and taken back; the operator says whose; it is audited."""
    nothing: dict[str, Any] = {
        "tenant": "couriers",
        "numbers": "pass",
        "words": [],
        "templates": [],
        "opt_out": [],
        "hold": None,
        "checked": False,
        "changed_at": None,
    }
    assert couriers.get("/v1/message-rules") == nothing
    wanted = {
        "numbers": "redact",
        "words": ["加微信"],
        "templates": ["*"],
        "opt_out": ["TD"],
        "hold": 600,
        "checked": True,
    }
    assert couriers.ask("PUT", "/v1/message-rules", wanted).status_code == 422
    wanted["templates"] = ["到了，在*"]
    said = couriers.ask("PUT", "/v1/message-rules", wanted).json()
    assert said == {"tenant": "couriers", **wanted, "changed_at": said["changed_at"]}
    assert couriers.get("/v1/message-rules") == said
    assert operator.get("/v1/message-rules?tenant=couriers") == said
    assert operator.get("/v1/message-rules?tenant=drivers")["numbers"] == "pass"
    hidden = couriers.ask("PUT", "/v1/message-rules?tenant=drivers", {})
    assert (hidden.status_code, hidden.json()["code"]) == (404, "tenant_not_found")
    for wrong in ({"numbers": "perhaps"}, {"hold": 0}, {"hold": 90_000}, {"words": [" "]}):
        refused = couriers.ask("PUT", "/v1/message-rules", wrong)
        assert refused.status_code == 422
    assert couriers.ask("PUT", "/v1/message-rules", {}).json() == nothing
    acts = one(connection, "SELECT string_agg(act, ', ' ORDER BY id) FROM agi_router.audit")
    assert acts == ", ".join(["PUT /v1/message-rules"] * 2)


def test_a_text_that_is_held_is_released(
    couriers: Client, connection: Connection, text: Callable[..., str]
) -> None:
    """Once; what is not held cannot be."""
    name = text(hold=timedelta(hours=1))
    assert couriers.get(f"/v1/messages/{name}")["state"] == "held"
    assert couriers.get("/v1/messages?state=held")["messages"][0]["id"] == name
    released = couriers.post(f"/v1/messages/{name}/release", None)
    assert released["state"] == "queued"
    again = couriers.post(f"/v1/messages/{name}/release", None, status=409)
    assert again["code"] == "message_not_held"
    unknown = couriers.post("/v1/messages/70012345678-1790000000.1/release", None, status=404)
    assert unknown["code"] == "message_not_found"
    assert one(connection, "SELECT held FROM agi_router.message_out") is False


def test_a_text_is_sent(
    couriers: Client, drivers: Client, connection: Connection, bound: Any
) -> None:
    """As if a party had; the same request sends one; another tenant's numbers send none."""
    connection.execute(
        b"INSERT INTO agi_router.old_number (number, x_number, tenant_id)"
        b" SELECT '95123456', 700123456780001, min(id) FROM agi_router.tenant"
    )
    asked = {"from": A, "to": bound["x"], "text": BODY}
    sent = couriers.post("/v1/messages", asked, status=202, Idempotency_Key="first")
    assert (sent["binding"], sent["side"], sent["state"]) == (bound["id"], "a", "queued")
    assert couriers.post("/v1/messages", asked, status=202, Idempotency_Key="first") == sent
    # Another text as long as it, or by somebody else.
    for changed in ({"text": BODY[::-1]}, {"from": B}):
        again = asked | changed
        refused = couriers.post("/v1/messages", again, status=422, Idempotency_Key="first")
        assert refused["code"] == "idempotency_key_reused"
    refused = drivers.post("/v1/messages", asked, status=409)
    assert (refused["code"], refused["detail"]) == (
        "text_refused",
        "The text is refused: no_binding",
    )
    assert couriers.post("/v1/messages", {**asked, "from": B}, status=202)["side"] == "b"
    for changed, detail in (({}, "used_up"), ({"from": "13900000009"}, "stranger")):
        refused = couriers.post("/v1/messages", asked | changed, status=409)
        assert refused["detail"] == f"The text is refused: {detail}"
    assert couriers.post("/v1/messages", {**asked, "link": "nobodys"}, status=422)
    refused = couriers.post("/v1/messages", {**asked, "to": "95123456"}, status=409)
    assert refused["detail"] == "The text is refused: number_changed"
    assert couriers.ask("POST", "/v1/messages", asked).status_code == 400
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 2
    audited = "SELECT count(*) FROM agi_router.audit WHERE act = 'POST /v1/messages'"
    assert one(connection, audited) > 0


def test_a_carrier_that_keeps_the_text(
    operator: Client, couriers: Client, connection: Connection, bound: Any
) -> None:
    """It asks, is told to whom, and what has become of it is on record; one request is one use."""
    asked = {"from": A, "to": bound["x"], "octets": 33, "parts": 2}
    path = "/v1/messages/decisions"
    connection.execute(
        b"INSERT INTO agi_router.message_seen VALUES (70012345678, %s, 'of old', 'http',"
        b" now() - interval '20 minutes')",
        [bytes(32)],
    )
    connection.execute(
        b"INSERT INTO agi_router.old_number (number, x_number, tenant_id)"
        b" SELECT '95123456', 700123456780001, min(id) FROM agi_router.tenant"
    )
    told = operator.post(path, asked, Idempotency_Key="m1")
    assert told == {
        "verdict": "take",
        "reason": None,
        "id": told["id"],
        "receiver": "138****0002",
        "shown": bound["x"],
        "binding": bound["id"],
        "tenant": "couriers",
    }
    assert operator.post(path, asked, Idempotency_Key="m1") == told
    full = operator.post(f"{path}?numbers=full", asked, Idempotency_Key="m1")
    assert full == {**told, "receiver": B}
    subject = f"the receiver of text {told['id']}"
    audited = f"SELECT count(*) FROM agi_router.audit WHERE subject = '{subject}'"
    assert one(connection, audited) == 1
    record = couriers.get(f"/v1/messages/{told['id']}")
    assert (record["state"], record["octets"], record["parts"]) == ("sent", 33, 2)
    assert one(connection, "SELECT count(*) FROM agi_router.message_out") == 0
    assert couriers.get(f"/v1/bindings/{bound['id']}")["messages_used"] == 1
    for changed in ({"octets": 34}, {"parts": 1}, {"from": B}):
        other = operator.post(path, asked | changed, status=422, Idempotency_Key="m1")
        assert other["code"] == "idempotency_key_reused"
    # Its carrier could not deliver it: so the use is there for another one.
    outcome = f"/v1/messages/{told['id']}/outcome"
    for _ in range(2):
        ended = operator.post(outcome, {"state": "undelivered"})
        assert ended["state"] == "undelivered"
    assert operator.post(outcome, {"state": "delivered"}, status=409)["code"] == "message_over"
    assert operator.post(path, asked, status=409, Idempotency_Key="m1")["code"] == "message_over"
    assert couriers.get(f"/v1/bindings/{bound['id']}")["messages_used"] == 0
    names = [operator.post(path, asked)["id"] for _ in range(2)]
    refused = operator.post(path, asked)
    assert (refused["verdict"], refused["reason"], refused["id"]) == ("refuse", "used_up", None)
    assert operator.post(f"/v1/messages/{names[0]}/outcome", {"state": "delivered"})
    assert couriers.get(f"/v1/messages/{names[0]}")["state"] == "delivered"
    # There may be no door for texts that forgets what nobody repeats any more.
    old = "SELECT count(*) FROM agi_router.message_seen WHERE id = 'of old'"
    until(lambda: one(connection, old) == 0)
    for changed, reason in (
        ({"from": "13900000009"}, "stranger"),
        ({"to": "12345"}, "x_malformed"),
        ({"to": "95123456"}, "number_changed"),
        ({"to": "700999999990001"}, "x_unknown"),
        ({"parts": 11}, "too_long"),
    ):
        assert operator.post(path, asked | changed)["reason"] == reason
    assert couriers.ask("POST", path, asked, Idempotency_Key="m2").status_code == 403


def test_carriers_that_ask_at_once(operator: Client, couriers: Client, bound: Any) -> None:
    """Two uses are left for twelve texts, each of which is asked about three times at once."""

    def decide(number: int) -> tuple[int, Any]:
        answer = operator.ask(
            "POST",
            "/v1/messages/decisions",
            {"from": A, "to": bound["x"], "octets": 3},
            Idempotency_Key=f"text-{number}",
        )
        return number, answer.json()["id"] if answer.status_code == 200 else answer.json()["code"]

    with ThreadPoolExecutor(4) as threads:
        told = set(threads.map(decide, [number for number in range(12) for _ in range(3)]))
    taken = {each for each in told if each[1] is not None}
    assert len(taken) == len({number for number, _ in taken}) == 2
    assert len(told) == 12
    assert couriers.get(f"/v1/bindings/{bound['id']}")["messages_used"] == 2


def test_what_a_carrier_asks_about_again(operator: Client, couriers: Client, bound: Any) -> None:
    """Where it may not be delivered any more it is refused, and its use comes back."""
    asked = {"from": A, "to": bound["x"], "octets": 33}
    path = "/v1/messages/decisions"
    told = operator.post(path, asked, Idempotency_Key="m1")
    couriers.ask("DELETE", f"/v1/bindings/{bound['id']}")
    for _ in range(2):
        again = operator.post(path, asked, Idempotency_Key="m1")
        assert (again["verdict"], again["reason"]) == ("refuse", "unbound")
    assert couriers.get(f"/v1/messages/{told['id']}")["state"] == "undelivered"
    assert couriers.get(f"/v1/bindings/{bound['id']}")["messages_used"] == 0
    # Of a text that we send ourselves no carrier tells.
    made = couriers.bind(A, B, ttl=7200, messages="both")
    sent = couriers.post("/v1/messages", {"from": A, "to": made["x"], "text": BODY}, status=202)
    assert operator.post(f"/v1/messages/{sent['id']}/outcome", {"state": "delivered"}, status=404)


def test_a_receiver_that_changes(operator: Client, couriers: Client) -> None:
    """Who wrote last by then is not told to a carrier that asks once more about the same text."""
    c = "13800000003"
    group = {"mode": "gxb", "members": [A, c], "b": B, "callback": "last", "messages": "both"}
    made = couriers.post("/v1/bindings", {**group, "ttl": 7200}, status=201)
    path = "/v1/messages/decisions"

    def decide(sender: str, key: str) -> Any:
        asked = {"from": sender, "to": made["x"], "octets": 33}
        told = operator.post(f"{path}?numbers=full", asked, Idempotency_Key=key)
        return told["id"], told["receiver"], told["reason"]

    decide(A, "of-a")
    first = decide(B, "of-b")
    assert first == decide(B, "of-b") == (first[0], A, None)
    assert decide(c, "of-c")[1] == B
    # A, who was told, does not get it a second time, and nor does C.
    for _ in range(2):
        assert decide(B, "of-b") == (None, None, "unbound")
    assert couriers.get(f"/v1/messages/{first[0]}")["state"] == "undelivered"
    assert decide(B, "of-b-again")[1] == c
    assert couriers.get(f"/v1/bindings/{made['id']}")["messages_used"] == 3


def test_a_key_of_before(couriers: Client, connection: Connection, bound: Any) -> None:
    """After ten minutes it is of another text, whatever message centre is away."""
    asked = {"from": A, "to": bound["x"], "text": BODY}
    first = couriers.post("/v1/messages", asked, status=202, Idempotency_Key="first")
    connection.execute(b"UPDATE agi_router.message_seen SET at = at - interval '11 minutes'")
    again = couriers.post("/v1/messages", asked, status=202, Idempotency_Key="first")
    assert again["id"] != first["id"]
    assert couriers.post("/v1/messages", asked, status=202, Idempotency_Key="first") == again


def test_so_many_texts(couriers: Client, bound: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are sent by HTTP as doors take them; a repeat is none more."""
    limits = TextLimits(OFF, Rate(1, timedelta(hours=1)))
    count, wait = TextLimits.count, TextLimits.wait
    monkeypatch.setattr(TextLimits, "count", lambda _, text: count(limits, text))
    monkeypatch.setattr(TextLimits, "wait", lambda _, reason: wait(limits, reason))
    asked = {"from": A, "to": bound["x"], "text": BODY}
    for _ in range(2):
        couriers.post("/v1/messages", asked, status=202, Idempotency_Key="first")
    refused = couriers.ask("POST", "/v1/messages", asked, Idempotency_Key="second")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_texts")
    assert refused.headers["Retry-After"] == "3600"
    assert couriers.get(f"/v1/bindings/{bound['id']}")["messages_used"] == 1


def test_links_are_the_operators(
    operator: Client, couriers: Client, connection: Connection, bound: Any
) -> None:
    """A tenant names none, be there one or not."""
    connection.execute(
        b"INSERT INTO agi_router.message_link (name, holder, node, until, heard_at)"
        b" VALUES ('centre', 'h', 'n', now(), now())"
    )
    asked = {"from": A, "to": bound["x"], "text": BODY, "link": "centre"}
    told = couriers.post("/v1/messages", asked, status=422)
    assert told["errors"][0]["code"] == "link_not_found"
    assert operator.post("/v1/messages", asked, status=202)["binding"] == bound["id"]


def test_an_outcome_is_looked_for_in_its_day(
    operator: Client, connection: Connection, bound: Any
) -> None:
    """Not in the tables of all days that there are."""
    asked = {"from": A, "to": bound["x"], "octets": 33}
    name = operator.post("/v1/messages/decisions", asked)["id"]
    values = {"block": int(bound["x"][:11]), "id": name, "day": message_day(name)}
    told = {"link": "http", "state": "delivered", "scope": None}
    days = "agi_router.ensure_days('message', current_date - 1, current_date + 29)"
    with connection.transaction():
        connection.execute(f"SELECT {days}")
    with connection.transaction():
        row = connection.execute(query("report_message"), {**values, **told}).fetchone()
        assert row == {"noted": True}
        locks = (
            "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        )
        assert one(connection, locks) < 60


@pytest.mark.parametrize(
    "rules", [{"numbers": "redact"}, {"words": ["gate"]}, {"templates": ["at *"]}, {"hold": 60}]
)
def test_rules_about_what_nobody_has_seen(
    rules: dict[str, Any], operator: Client, couriers: Client, bound: Any
) -> None:
    """Let no text through that its carrier keeps."""
    assert couriers.ask("PUT", "/v1/message-rules", rules).status_code == 200
    told = operator.post("/v1/messages/decisions", {"from": A, "to": bound["x"], "octets": 3})
    assert told["reason"] == "body_refused"
    assert couriers.get(f"/v1/bindings/{bound['id']}")["messages_used"] == 0
