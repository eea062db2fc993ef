"""Bindings by HTTP: made, looked at, changed, ended."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from agi_router.bindings.model import Binding
from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Side
from agi_router.db.connection import Connection
from agi_router.doors.http.auth import Desk
from agi_router.numbers import PhoneNumber
from harness.api import Client
from harness.database import one

A, B, C, D = (f"1380000010{serial}" for serial in range(4))
MASKED = {number: f"{number[:3]}****{number[-4:]}" for number in (A, B, C, D)}


def test_bind_and_look(couriers: Client) -> None:
    """What was made is what is found; numbers of parties are masked."""
    answer = couriers.ask(
        "POST",
        "/v1/bindings",
        {"a": f"+86 {A}", "b": B, "ttl": 7200, "max_calls": 10, "order": "A-1001"},
        Idempotency_Key="one",
    )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert (made["a"], made["b"]) == (MASKED[A], MASKED[B])
    assert (made["tenant"], made["order"], made["max_calls"]) == ("couriers", "A-1001", 10)
    assert made["x"].startswith("70012345678")
    assert answer.headers["location"] == f"/v1/bindings/{made['id']}"
    assert answer.headers["cache-control"] == "no-store"
    found = couriers.ask("GET", answer.headers["location"])
    assert found.json() == made
    assert found.headers["etag"] == answer.headers["etag"]
    again = couriers.ask("GET", answer.headers["location"], If_None_Match=found.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    for query in ("", "?order=A-1001", f"?x={made['x']}", "?limit=2&everything=true"):
        assert couriers.get(f"/v1/bindings{query}") == {"bindings": [made], "next_cursor": None}
    assert couriers.get("/v1/bindings?order=A-1002") == {"bindings": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"mode": "axyb", "a": A, "b": B}, {"y"}),
        ({"mode": "axyb", "a": A, "b": B, "y_on_call": True, "y_ttl": 600}, {"y_ttl"}),
        (
            {"mode": "gxb", "members": [A, C], "b": B, "callback": "last", "window": 1800},
            {"members"},
        ),
        (
            {"mode": "gxyb", "members": [A, C], "b": B, "callback": "all"},
            {"members", "y", "callback"},
        ),
        ({"mode": "ax", "a": A, "callback": "default", "default": C}, {"called_back"}),
        ({"mode": "axe", "a": A, "extension": "1234"}, {"extension"}),
    ],
    ids=lambda value: value["mode"] if isinstance(value, dict) else "",
)
def test_every_mode(couriers: Client, body: dict[str, Any], shown: set[str]) -> None:
    """Each is made by the fields that it has."""
    made = couriers.post("/v1/bindings", body, status=201)
    assert made["mode"] == body["mode"]
    assert shown <= made.keys()
    assert couriers.get(f"/v1/bindings/{made['id']}") == made


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"b": B}, "/a", "missing"),
        ({"a": A}, "/b", "missing"),
        ({"mode": "gxb", "b": B}, "/members", "missing"),
        ({"a": A, "b": B, "y": "700123456780001"}, "/y", "not_of_mode"),
        ({"a": A, "b": B, "members": [C]}, "/members", "not_of_mode"),
        ({"a": A, "b": "700123456780001"}, "/b", "is_700"),
        ({"a": A, "b": "1380000"}, "/b", "too_short"),
        ({"a": A, "b": A}, "", "same_party"),
        ({"a": A, "b": B, "x": "123"}, "/x", "not_700"),
        ({"a": A, "b": B, "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at", "expiry_invalid"),
        ({"a": A, "b": B, "expires_at": "2030-01-01T00:00:00"}, "/expires_at", "value_error"),
        ({"a": A, "b": B, "expires_at": 1900000000}, "/expires_at", "value_error"),
        ({"a": A, "b": B, "ttl": 59}, "/ttl", "greater_than_equal"),
        ({"a": A, "b": B, "ttl": "7200"}, "/ttl", "int_type"),
        ({"a": A, "b": B, "direction": "c"}, "/direction", "enum"),
        ({"a": A, "b": B, "order": ""}, "/order", "value_error"),
        ({"a": A, "b": B, A: 1}, "", "extra_forbidden"),
        ({"mode": "gxb", "members": [A, "1"], "b": B}, "/members/1", "too_short"),
        ([], "", "model_attributes_type"),
    ],
)  # fmt: skip
def test_what_is_not_acceptable(couriers: Client, body: Any, pointer: str, code: str) -> None:
    """Each field is named, and nothing of what came is told back."""
    answer = couriers.ask("POST", "/v1/bindings", body, Idempotency_Key="one")
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert [(each["pointer"], each["code"]) for each in problem["errors"]] == [(pointer, code)]
    assert not any(number in answer.text for number in (A, B, C))


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"ttl": 60, "expires_at": "2030-01-01T00:00:00Z"}, ["/ttl", "/expires_at"]),
        ({"mode": "axyb", "y_ttl": 60}, ["/y_ttl", "/y_on_call"]),
        ({"mode": "axyb", "y_on_call": True, "y": "700123456780001"}, ["/y", "/y_on_call"]),
    ],
)
def test_what_does_not_go_together(
    couriers: Client, body: dict[str, Any], fields: list[str]
) -> None:
    """Both fields are named."""
    answer = couriers.post("/v1/bindings", {"a": A, "b": B, **body}, status=422)
    assert answer["code"] == "request_invalid"
    assert [each["pointer"] for each in answer["errors"]] == fields


@pytest.mark.parametrize("named", [{"tenant": D}, {"tenant": D, "pool": "x"}])
def test_a_tenant_that_is_not_there_is_not_told_back(
    couriers: Client, named: dict[str, str]
) -> None:
    """What stands in its place may be a number, and the answers of a batch are kept."""
    wanted = {"bindings": [{"a": A, "b": B, **named}]}
    answer = couriers.ask("POST", "/v1/bindings/batch", wanted, Idempotency_Key=f"k-{len(named)}")
    assert answer.json()["results"][0]["status"] == 404
    assert D not in answer.text


def test_a_batch(couriers: Client) -> None:
    """Each is made by itself; one that cannot be made keeps off no other."""
    bound = couriers.bind(A, B)
    wanted = [
        {"a": C, "b": D},
        {"a": A, "b": C, "x": bound["x"]},
        {"a": A, "b": A},
        {"a": A, "b": D, "order": "A-1"},
    ]
    results = couriers.post("/v1/bindings/batch", {"bindings": wanted})["results"]
    assert [each["status"] for each in results] == [201, 409, 422, 201]
    assert results[1]["problem"]["code"] == "bind_conflict"
    assert results[1]["problem"]["conflicts"] == [bound["id"]]
    assert results[2]["problem"]["code"] == "same_party"
    assert results[3]["binding"]["order"] == "A-1"
    alive = couriers.get("/v1/bindings")["bindings"]
    assert {each["id"] for each in alive} >= {results[0]["binding"]["id"]}
    assert len(alive) == 3
    too_many = couriers.ask(
        "POST", "/v1/bindings/batch", {"bindings": [wanted[0]] * 201}, Idempotency_Key="k"
    )
    assert too_many.status_code == 422


def test_pages(couriers: Client) -> None:
    """Each binding is on one of them, newest first; the link leads on with the same filters."""
    made = [couriers.bind(A, B, order="A-3")["id"] for _ in range(5)]
    couriers.bind(C, D)
    couriers.ask("DELETE", f"/v1/bindings/{made[0]}")
    seen = []
    path = "/v1/bindings?order=A-3&everything=true&limit=2"
    while path:
        answer = couriers.ask("GET", path)
        assert answer.status_code == 200, answer.text
        seen += [each["id"] for each in answer.json()["bindings"]]
        path = answer.links.get("next", {}).get("url", "")
        assert ("next" in answer.links) == (answer.json()["next_cursor"] is not None)
    assert seen == made[::-1]
    for query, found in (
        ("state=unbound", made[:1]),
        ("state=active&order=A-3", made[:0:-1]),
        ("mode=gxb", []),
        ("created_after=2100-01-01T00:00:00Z", []),
    ):
        listed = couriers.get(f"/v1/bindings?{query}")["bindings"]
        assert [each["id"] for each in listed] == found, query
    for query in ("cursor=x", "state=nothing", "created_after=yesterday"):
        assert couriers.ask("GET", f"/v1/bindings?{query}").status_code == 422


def test_change(couriers: Client) -> None:
    """Only who has seen it as it is changes it."""
    made = couriers.bind(A, B, ttl=600)
    path = f"/v1/bindings/{made['id']}"
    missing = couriers.ask("PATCH", path, {"ttl": 3600})
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_missing")
    seen = couriers.ask("GET", path).headers["etag"]
    changed = couriers.ask("PATCH", path, {"ttl": 3600}, If_Match=seen)
    assert changed.status_code == 200, changed.text
    assert changed.json()["expires_at"] > made["expires_at"]
    late = couriers.ask("PATCH", path, {"ttl": 7200}, If_Match=seen)
    assert (late.status_code, late.json()["code"]) == (412, "binding_changed")
    assert couriers.ask("PATCH", path, {"ttl": 7200}, If_Match="*").status_code == 200
    for tag in ('"1"', "1", f"W/{seen}", '"x.0123456789abcdef"'):
        assert couriers.ask("PATCH", path, {"ttl": 60}, If_Match=tag).status_code == 412


def test_every_term_changes(couriers: Client) -> None:
    """What is left out stays as it is; null takes it back; an end may come earlier."""
    made = couriers.bind(A, B, ttl=7200, max_calls=10, ring=20, order="A-1")
    path = f"/v1/bindings/{made['id']}"
    wanted = {
        "direction": "a",
        "max_calls": None,
        "ring": 30,
        "language": "en",
        "out_id": "4711",
        "user_data": "张三",
        "order": "A-2",
    }
    changed = couriers.ask("PATCH", path, {**wanted, "ttl": 600}, If_Match="*")
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert {name: body[name] for name in wanted} == wanted
    assert body["expires_at"] < made["expires_at"]
    assert body["version"] > made["version"]
    same = {"a", "b", "x", "begins_at", "count", "display_a", "tenant"}
    assert {name: body[name] for name in same} == {name: made[name] for name in same}
    for fields, status, code in (
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "expiry_invalid"),
        ({"default": C}, 422, "mode_invalid"),
        ({"default": C, "ring": 20}, 422, "request_invalid"),
        ({"direction": "c"}, 422, "request_invalid"),
        ({"a": C, "ttl": 600}, 422, "request_invalid"),
        ({"a": C, "b": D}, 422, "request_invalid"),
        ({"b": None}, 422, "request_invalid"),
        ({"a": "1380000"}, 422, "number_invalid"),
        ({"a": B}, 422, "same_party"),
        ({"ttl": 60, "expires_at": "2030-01-01T00:00:00Z"}, 422, "expiry_invalid"),
    ):
        answer = couriers.ask("PATCH", path, fields, If_Match="*")
        assert (answer.status_code, answer.json()["code"]) == (status, code), fields


def test_a_party_is_replaced(couriers: Client, connection: Connection) -> None:
    """Of what was read, and on record; who comes may not be on the number already."""
    made = couriers.bind(A, B, order="A-1")
    other = couriers.bind("13800000109", D, x=made["x"])
    path = f"/v1/bindings/{made['id']}"
    read = couriers.ask("GET", path).headers["etag"]
    changed = couriers.ask("PATCH", path, {"a": C}, If_Match=read)
    assert changed.status_code == 200, changed.text
    assert changed.json() == {**made, "a": MASKED[C], "version": 2}
    assert couriers.get(path) == changed.json()
    for fields, if_match, status, code in (
        ({"b": A}, read, 412, "binding_changed"),
        ({"b": D}, "*", 409, "bind_conflict"),
    ):
        answer = couriers.ask("PATCH", path, fields, If_Match=if_match)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert A not in answer.text
    assert other["id"] in answer.text
    assert couriers.ask("PATCH", path, {"b": A}, If_Match="*").json()["b"] == MASKED[A]
    body = {"mode": "ax", "a": A, "default": C}
    anyone = couriers.post("/v1/bindings", body, status=201)["id"]
    called = couriers.ask("PATCH", f"/v1/bindings/{anyone}", {"default": D}, If_Match="*")
    assert called.json()["called_back"] == [MASKED[D]]
    rows = connection.execute("SELECT act, subject FROM agi_router.audit ORDER BY id").fetchall()
    assert [(row["act"], row["subject"]) for row in rows] == [
        ("PATCH /v1/bindings/{name}", f"another {what}")
        for what in (
            f"a of binding {made['id']}",
            f"b of binding {made['id']}",
            f"default of binding {anyone}",
        )
    ]


def test_a_party_that_another_replaces_meanwhile(
    couriers: Client, store: BindingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is written down as before is what stood before."""
    made = couriers.bind(A, B)
    find = Desk.binding

    def found(desk: Desk, name: str) -> Binding:
        read = find(desk, name)
        store.replace(read.id, Side.B, PhoneNumber.parse(D))
        return read

    monkeypatch.setattr(Desk, "binding", found)
    answer = couriers.ask("PATCH", f"/v1/bindings/{made['id']}", {"a": C}, If_Match="*")
    assert (answer.status_code, answer.json()["code"]) == (412, "binding_changed")


def test_end(couriers: Client) -> None:
    """Once; then it is over."""
    path = f"/v1/bindings/{couriers.bind(A, B)['id']}"
    ended = couriers.ask("DELETE", path)
    assert (ended.status_code, ended.json()["state"]) == (200, "unbound")
    again = couriers.ask("DELETE", path)
    assert (again.status_code, again.json()["code"]) == (409, "binding_ended")
    assert couriers.get("/v1/bindings")["bindings"] == []
    assert len(couriers.get("/v1/bindings?everything=true")["bindings"]) == 1


@pytest.mark.parametrize(
    "name", ["70012345678-999999", "70012345679-1", "nothing", A, "700123456780001"]
)
def test_what_is_not_there(couriers: Client, name: str) -> None:
    """Whatever was asked for, it is not told back."""
    for method in ("GET", "DELETE"):
        answer = couriers.ask(method, f"/v1/bindings/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "binding_not_found")
        assert name not in answer.text


def test_members(couriers: Client) -> None:
    """They come and go, all or none."""
    made = couriers.post("/v1/bindings", {"mode": "gxb", "members": [A], "b": B}, status=201)
    path = f"/v1/bindings/{made['id']}/members"
    assert couriers.post(path, {"members": [C, D]})["members"] == [
        MASKED[each] for each in (A, C, D)
    ]
    assert couriers.post(f"{path}/remove", {"members": [C, B]}, status=404)["code"] == (
        "member_not_found"
    )
    assert couriers.post(f"{path}/remove", {"members": [A, C]})["members"] == [MASKED[D]]
    one_way = couriers.ask("PATCH", path.removesuffix("/members"), {"default": D}, If_Match="*")
    assert one_way.json()["called_back"] == [MASKED[D]]


def test_orders(couriers: Client) -> None:
    """All bindings of an order end together."""
    for a in (A, C):
        couriers.bind(a, B, order="A-7")
    ended = couriers.post("/v1/orders/end", {"order": "A-7"})["bindings"]
    assert [each["state"] for each in ended] == ["order_ended"] * 2
    assert couriers.post("/v1/orders/end", {"order": "A-7"}, status=409)["code"] == (
        "binding_ended"
    )
    assert couriers.post("/v1/orders/end", {"order": "A-8"}, status=404)["code"] == (
        "binding_not_found"
    )


def test_numbers_in_full_are_audited(couriers: Client, connection: Connection) -> None:
    """Who saw which binding, by which key and request."""
    made = couriers.bind(A, B)
    path = f"/v1/bindings/{made['id']}"
    request_id = "0123456789abcdef0123456789abcdef"
    shown = couriers.ask("GET", f"{path}?numbers=full", X_Request_Id=request_id).json()
    assert (shown["a"], shown["b"]) == (A, B)
    row = connection.execute("SELECT * FROM agi_router.audit").fetchone()
    assert row is not None
    assert row["subject"] == f"binding {made['id']}"
    assert row["act"] == "GET /v1/bindings/{name}?numbers=full"
    assert row["request_id"] == request_id
    assert row["api_key"] in couriers.bearer
    assert couriers.ask("GET", f"{path}?numbers=all").status_code == 422


def test_where_the_audit_cannot_be_written(couriers: Client, connection: Connection) -> None:
    """Nothing is shown."""
    path = f"/v1/bindings/{couriers.bind(A, B)['id']}?numbers=full"
    connection.execute("ALTER TABLE agi_router.audit ADD CHECK (act = '')")
    answer = couriers.ask("GET", path)
    assert answer.status_code == 500
    assert A not in answer.text


def test_search_by_party(couriers: Client, connection: Connection) -> None:
    """The number stands in the body alone; each search is audited."""
    made = couriers.bind(A, B)
    other = couriers.bind(C, D, x=made["x"])
    found = couriers.post("/v1/bindings/search", {"number": A, "x": made["x"]})["bindings"]
    assert [each["id"] for each in found] == [made["id"]]
    found = couriers.post("/v1/bindings/search", {"number": D, "x": made["x"]})["bindings"]
    assert [each["id"] for each in found] == [other["id"]]
    assert one(connection, "SELECT count(*) FROM agi_router.audit") == 2


def test_search_by_party_on_all_numbers(couriers: Client) -> None:
    """Newest first, page by page; those that are over when they are asked for."""
    made = [couriers.bind(A, each)["id"] for each in (B, C, D)]
    couriers.bind(C, D)
    found: list[str] = []
    asked: dict[str, Any] = {"number": A, "limit": 2}
    while True:
        page = couriers.post("/v1/bindings/search", asked)
        found += [each["id"] for each in page["bindings"]]
        if page["next_cursor"] is None:
            break
        asked["cursor"] = page["next_cursor"]
    assert found == made[::-1]
    couriers.ask("DELETE", f"/v1/bindings/{made[0]}")
    for everything, expected in ((False, made[:0:-1]), (True, made[::-1])):
        page = couriers.post("/v1/bindings/search", {"number": A, "everything": everything})
        assert [each["id"] for each in page["bindings"]] == expected


def test_bodies(http: TestClient, couriers: Client) -> None:
    """JSON of at most 1 MiB, counted while it comes."""
    headers = {
        "Authorization": f"Bearer {couriers.bearer}",
        "Content-Type": "application/json",
        "Idempotency-Key": "one",
    }

    def post(content: Any, **more: str) -> tuple[int, str]:
        answer = http.post("/v1/bindings", content=content, headers={**headers, **more})
        return answer.status_code, answer.json()["code"]

    assert post(b'{"a":') == (400, "body_malformed")
    assert post(b"\xff") == (400, "body_malformed")
    assert post(b'{"a": NaN}')[0] in {400, 422}
    assert post(b"[" * 100_000)[0] == 400
    assert post(b"{}", **{"Content-Type": "text/plain"}) == (415, "media_type_unsupported")
    assert post(b" " * (2**20 + 1)) == (413, "body_too_large")
    assert post(iter([b" " * 2**16] * 17)) == (413, "body_too_large")
    assert post(iter([b"{", b"}"]))[0] == 422


def test_a_fault_of_ours(
    couriers: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is a problem too; the log says what and where, and not what was in it."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"something about {A}")

    monkeypatch.setattr(BindingStore, "bindings", fail)
    with caplog.at_level("INFO"):
        answer = couriers.ask("GET", "/v1/bindings")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert answer.headers["content-type"] == "application/problem+json"
    assert A not in answer.text
    (failed,) = [each for each in caplog.records if each.message == "http.failed"]
    (told,) = [each for each in caplog.records if each.message == "http.request"]
    assert (vars(failed)["error"], vars(told)["code"]) == ("RuntimeError", "internal")
    assert "test_bindings.py:" in vars(failed)["place"]
    assert not any(A in str(vars(each)) for each in (failed, told))
