"""Texts by HTTP: listed, shown, discarded, explained; never what they say."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.keys.registry import key_ids
from agi_router.keys.ring import KeyRing
from agi_router.messages.model import message_day, name_message
from agi_router.numbers import PhoneNumber, XNumber
from harness.api import Client
from harness.database import one

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
                "check_id": None,
                "check_verdict": None,
                "check_ms": None,
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
    body = {"sender": A, "x": bound["x"]}
    assert drivers.post("/v1/messages/explanations", body)["reason"] == "no_binding"
    assert couriers.get(f"/v1/messages/{name}")["state"] == "queued"


def test_explanations(couriers: Client, bound: Any) -> None:
    """By the rules of texts, with the receiver masked."""
    path = "/v1/messages/explanations"
    told = couriers.post(path, {"sender": A, "x": bound["x"]})
    assert (told["verdict"], told["receiver"], told["shown"]) == (
        "take",
        "138****0002",
        bound["x"],
    )
    assert all(rule["holds"] for rule in told["rules"])
    told = couriers.post(path, {"sender": A, "x": "1"})
    assert (told["verdict"], told["reason"]) == ("refuse", "x_malformed")
    body = {"sender": A, "x": bound["x"], "at": "2036-01-31T15:04:05+08:00"}
    assert couriers.post(path, body)["verdict"] == "refuse"
    assert couriers.ask("POST", path, {"caller": A, "x": bound["x"]}).status_code == 422


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
