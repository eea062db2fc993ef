"""What can be said in two ways is not answered in one of them."""

from __future__ import annotations

import json
from typing import Any

from starlette.testclient import TestClient

from agi_router.doors.http.guard import new_request_id
from agi_router.logs import redact
from harness.api import Client

A, B = "13800000701", "13800000702"


ONCE = ("Host", "Authorization", "Content-Type", "Content-Encoding")
CONDITIONS = ("Idempotency-Key", "If-Match", "If-None-Match")


def test_headers_that_are_there_twice(couriers: Client) -> None:
    """Whoever stands in between may have read the other one."""
    headers = [
        ("Authorization", f"Bearer {couriers.bearer}"),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "one"),
    ]
    body = f'{{"a": "{A}", "b": "{B}"}}'
    for name in (*ONCE, *CONDITIONS):
        twice = [*(pair for pair in headers if pair[0] != name), (name, "one"), (name, "two")]
        answer = couriers.http.post("/v1/bindings", content=body, headers=twice)
        assert (answer.status_code, answer.json()["code"]) == (400, "header_repeated")
        told = couriers.http.post("/", headers=[(name, "one"), (name, "two")]).json()
        assert told["Code"] == "InvalidParameter"


def test_queries_that_are_not_known(couriers: Client) -> None:
    """A filter with a slip of the pen would list everything; nothing of it is told back."""
    for query in ("limt=1", f"limit=1&{A}=1", "limit=1&limit=1", "Order=A-1", "=1"):
        answer = couriers.ask("GET", f"/v1/bindings?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "query_invalid")
        assert A not in answer.text + str(answer.headers)
        ended = couriers.ask("POST", f"/v1/orders/end?{query}", {"order": "A-1"})
        assert ended.json()["code"] == "query_invalid"
    assert couriers.get("/v1/events?type=call.ended&type=call.refused")["events"] == []


def test_a_body_that_is_packed(couriers: Client) -> None:
    """It is not read as if it were not."""
    asked: dict[str, Any] = {"Idempotency_Key": "one", "Content_Encoding": "gzip"}
    answer = couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, **asked)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    asked["Content_Encoding"] = "identity"
    assert couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, **asked).status_code == 201


def test_a_change_may_be_told_to_be_one(couriers: Client) -> None:
    """By the media type of RFC 7396; nothing else may."""
    kind = {"Content_Type": "application/merge-patch+json; charset=utf-8"}
    place = f"/v1/bindings/{couriers.bind(A, B)['id']}"
    changed = couriers.ask("PATCH", place, {"max_calls": 3}, If_Match="*", **kind)
    assert changed.json()["max_calls"] == 3
    ended = couriers.ask("POST", "/v1/orders/end", {"order": "A-1"}, **kind)
    assert ended.json()["code"] == "media_type_unsupported"


def test_a_body_that_is_told_to_be_too_large(http: TestClient) -> None:
    """It is not waited for."""
    for length in (str(2**20 + 1), "9" * 30):
        for path, code in (("/v1/bindings", "body_too_large"), ("/", "RequestBodyTooLarge")):
            answer = http.post(path, content=b"x", headers={"Content-Length": length})
            told = answer.json()
            assert (answer.status_code, told.get("code") or told["Code"]) == (413, code)
            assert answer.headers["connection"] == "close"


def test_no_redirection(couriers: Client) -> None:
    """It would lead where the Host says, by another method, with the query."""
    answer = couriers.http.get(
        "/v1/bindings/", headers={"Host": "elsewhere.example"}, follow_redirects=False
    )
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "location" not in answer.headers


def test_ids_of_requests() -> None:
    """None of them is masked in the log, where it is looked for."""
    ids = {new_request_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert not [each for each in ids if redact(each) != each or not each.isalpha()]


AXE: dict[str, Any] = {"mode": "axe", "a": A}
GXB: dict[str, Any] = {"mode": "gxb", "members": [A], "b": B, "callback": "last"}
AXB: dict[str, Any] = {"a": A, "b": B}
AXYB: dict[str, Any] = {"mode": "axyb", **AXB, "y_on_call": True}
BLOCK: dict[str, Any] = {"block": "70012345679"}
KEY: dict[str, Any] = {"label": "one", "scopes": ["bindings:read"]}


def faulty(client: Client, path: str, body: dict[str, Any]) -> list[str]:
    """Which fields are named, where they are not acceptable."""
    headers = {"Idempotency-Key": "one", "Content-Type": "application/json"}
    headers["Authorization"] = f"Bearer {client.bearer}"
    answer = client.http.post(path, content=json.dumps(body), headers=headers)
    assert answer.status_code == 422, (path, list(body), answer.text)
    return [each["pointer"].removeprefix("/") for each in answer.json()["errors"]]


def test_numbers_that_are_too_large(operator: Client) -> None:
    """The field is named; nothing in the service breaks on it."""
    fields = ("y_ttl", "ttl", "ring", "max_duration", "max_calls")
    for value in (2**31, 2**63, 10**30, 10**400):
        for body, name in ((AXE, "window"), (GXB, "window"), *((AXYB, name) for name in fields)):
            assert faulty(operator, "/v1/bindings", {**body, name: value}) == [name]
        chosen = {**AXB, "choice": {"operator_digit": value}}
        assert faulty(operator, "/v1/bindings", chosen) == ["choice/operator_digit"]
        assert faulty(operator, "/v1/keys", {**KEY, "ttl": value}) == ["ttl"]


def test_texts_that_are_none(operator: Client) -> None:
    """PostgreSQL keeps no NUL, and UTF-8 has no surrogates."""
    for value in ("\0", "a\0b", "\ud800", "x" * 1100):
        for name in ("order", "tenant", "prompts", "out_id", "industrial_id", "user_data"):
            assert faulty(operator, "/v1/bindings", {**AXB, name: value}) == [name]
        for name in ("operator", "certificate", "tenant"):
            assert faulty(operator, "/v1/blocks", {**BLOCK, name: value}) == [name]
        for name in ("label", "tenant"):
            assert faulty(operator, "/v1/keys", {**KEY, name: value}) == [name]
        assert faulty(operator, "/v1/tenants", {"name": value}) == ["name"]
        assert faulty(operator, "/v1/orders/end", {"order": value}) == ["order"]


def test_names_that_are_none(operator: Client) -> None:
    """They are of nothing that is there."""
    for name in ("%00", "a%00b", "%FF", "%ED%A0%80", "%EF%BC%91", "9" * 300):
        for room in ("bindings", "blocks", "keys", "tenants", "webhooks", "events"):
            body = {"active": True} if room == "tenants" else {"state": "draining"}
            for method, given in (("GET", None), ("PATCH", body), ("DELETE", None)):
                answer = operator.ask(method, f"/v1/{room}/{name}", given, If_Match="*")
                assert answer.status_code in {404, 405, 422}, (method, room, name, answer.text)


def test_a_key_whose_id_is_none(http: TestClient) -> None:
    """A client of Alibaba Cloud may say anything."""
    signed = "SignatureMethod=HMAC-SHA1&SignatureVersion=1.0&SignatureNonce=0123456789&Signature=x"
    answer = TestClient(http.app, client=("127.0.0.1", 1)).post(f"/?AccessKeyId=%00&{signed}")
    assert (answer.status_code, answer.json()["Code"]) == (404, "InvalidAccessKeyId.NotFound")
