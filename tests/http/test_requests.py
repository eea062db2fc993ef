"""What can be said in two ways is not answered in one of them."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from agi_router.doors.http.guard import new_request_id
from agi_router.logs import redact
from harness.api import Client

A, B = "13800000701", "13800000702"


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "Authorization",
        "Content-Type",
        "Content-Encoding",
        "Idempotency-Key",
        "If-Match",
        "If-None-Match",
    ],
)
def test_headers_that_are_there_twice(couriers: Client, name: str) -> None:
    """Whoever stands in between may have read the other one."""
    headers = [
        ("Authorization", f"Bearer {couriers.bearer}"),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "one"),
    ]
    body = f'{{"a": "{A}", "b": "{B}"}}'
    twice = [*(pair for pair in headers if pair[0] != name), (name, "one"), (name, "two")]
    answer = couriers.http.post("/v1/bindings", content=body, headers=twice)
    assert (answer.status_code, answer.json()["code"]) == (400, "header_repeated")
    told = couriers.http.post("/", headers=[(name, "one"), (name, "two")]).json()
    assert told["Code"] == "InvalidParameter"


@pytest.mark.parametrize(
    "query", ["limt=1", f"limit=1&{A}=1", "limit=1&limit=2", "limit=1&limit=1", "Order=A-1", "=1"]
)
def test_queries_that_are_not_known(couriers: Client, query: str) -> None:
    """A filter with a slip of the pen would list everything; nothing of it is told back."""
    couriers.bind(A, B)
    answer = couriers.ask("GET", f"/v1/bindings?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "query_invalid")
    assert A not in answer.text + str(answer.headers)
    ended = couriers.ask("POST", f"/v1/orders/end?{query}", {"order": "A-1"})
    assert ended.json()["code"] == "query_invalid"


def test_a_body_that_is_packed(couriers: Client) -> None:
    """It is not read as if it were not."""
    asked: dict[str, Any] = {"Idempotency_Key": "one", "Content_Encoding": "gzip"}
    answer = couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, **asked)
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    asked["Content_Encoding"] = "identity"
    assert couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, **asked).status_code == 201


@pytest.mark.parametrize("length", [str(2**20 + 1), "9" * 30])
def test_a_body_that_is_told_to_be_too_large(http: TestClient, length: str) -> None:
    """It is not waited for."""
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
