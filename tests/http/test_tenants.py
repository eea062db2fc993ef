"""A tenant's key reaches nothing of another tenant."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from agi_router.db.connection import Connection
from agi_router.db.queries import query as text_of
from agi_router.doors.http import auth
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.tenants.api_keys import KeyScope
from harness.api import Client
from harness.database import new_call_id
from testpbx.waiting import until

A, B, C = (f"1380000020{serial}" for serial in range(3))


@pytest.fixture
def theirs(drivers: Client) -> Any:
    """A group of drivers, with an order that couriers have as well."""
    body = {"mode": "gxb", "members": [A, C], "b": B, "order": "A-1"}
    return drivers.post("/v1/bindings", body, status=201)


def test_what_is_not_ones_own_is_not_there(couriers: Client, drivers: Client, theirs: Any) -> None:
    """Every operation says the same as of what never was, and changes nothing."""
    name, never = theirs["id"], f"{theirs['id']}999"
    asked: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("GET", "?numbers=full", None),
        ("DELETE", "", None),
        ("PATCH", "", {"ttl": 60}),
        ("PATCH", "", {"default": A}),
        ("POST", "/members", {"members": [A]}),
        ("POST", "/members/remove", {"members": [A]}),
    ]
    for method, rest, body in asked:
        answers = [
            couriers.ask(method, f"/v1/bindings/{each}{rest}", body, If_Match="*")
            for each in (name, never)
        ]
        told = [{**answer.json(), "instance": ""} for answer in answers]
        assert answers[0].status_code == 404, answers[0].text
        assert told[0] == told[1]
    assert drivers.get(f"/v1/bindings/{name}") == theirs


def test_lists_hold_ones_own(
    couriers: Client, drivers: Client, operator: Client, theirs: Any
) -> None:
    """By any filter."""
    # Only the operator lets two tenants share a number.
    parties = {"a": "13800000211", "b": "13800000212"}
    own = operator.bind(**parties, order="A-1", x=theirs["x"], tenant="couriers")
    for query in ("", "?order=A-1", f"?x={theirs['x']}", "?everything=true"):
        found = couriers.get(f"/v1/bindings{query}")["bindings"]
        assert [each["id"] for each in found] == [own["id"]]
        found = drivers.get(f"/v1/bindings{query}")["bindings"]
        assert [each["id"] for each in found] == [theirs["id"]]
    for more in ({"x": theirs["x"]}, {}):
        searched = couriers.post("/v1/bindings/search", {"number": A, **more})
        assert searched == {"bindings": [], "next_cursor": None}


def test_an_order_of_the_same_name(couriers: Client, drivers: Client, theirs: Any) -> None:
    """Ends for the one who ends it."""
    assert couriers.post("/v1/orders/end", {"order": "A-1"}, status=404)["code"] == (
        "binding_not_found"
    )
    couriers.bind("13800000211", "13800000212", order="A-1")
    (ended,) = couriers.post("/v1/orders/end", {"order": "A-1"})["bindings"]
    assert ended["tenant"] == "couriers"
    assert drivers.get(f"/v1/bindings/{theirs['id']}")["state"] == "active"


def test_nobody_acts_for_another(couriers: Client, operator: Client) -> None:
    """But the operator, who says for whom."""
    wanted = {"a": A, "b": B, "tenant": "drivers"}
    assert couriers.post("/v1/bindings", wanted, status=404)["code"] == "tenant_not_found"
    order = {"order": "A-1", "tenant": "drivers"}
    assert couriers.post("/v1/orders/end", order, status=404)["code"] == "tenant_not_found"
    key = {"label": "x", "scopes": ["bindings:read"], "tenant": "drivers"}
    assert couriers.post("/v1/keys", key, status=404)["code"] == "tenant_not_found"
    assert operator.post("/v1/bindings", wanted, status=201)["tenant"] == "drivers"


def test_a_conflict_names_nobody_elses(couriers: Client, theirs: Any) -> None:
    """Neither binding nor party."""
    wanted = {"a": A, "b": "13800000212", "x": theirs["x"]}
    answer = couriers.ask("POST", "/v1/bindings", wanted, Idempotency_Key="one")
    assert answer.status_code == 409
    assert theirs["id"] not in answer.text


def test_calls(couriers: Client, drivers: Client, theirs: Any) -> None:
    """Are looked up by a binding of one's own."""
    assert drivers.get(f"/v1/calls?binding={theirs['id']}") == {"calls": [], "next_cursor": None}
    answer = couriers.ask("GET", f"/v1/calls?binding={theirs['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "binding_not_found")
    for asked in ("", f"?x={theirs['x']}", "?reason=stranger&since=2026-01-31T15:04:05%2B08:00"):
        assert couriers.get(f"/v1/calls{asked}") == {"calls": [], "next_cursor": None}
    both = f"order=A-1&binding={theirs['id']}"
    for asked in ("since=2026-01-31T15:04:05", "since=yesterday", "reason=nothing", both):
        assert couriers.ask("GET", f"/v1/calls?{asked}").status_code == 422


def test_one_call(
    couriers: Client, drivers: Client, theirs: Any, connection: Connection, ring: KeyRing
) -> None:
    """By its id, and with others of its order, to whom it belongs."""
    call, x = new_call_id(), XNumber.parse(theirs["x"])
    connection.execute(
        text_of("admit"),
        {
            "block": x.block.value,
            "x_number": x.value,
            "tags": ring.tags(PhoneNumber(digits=A)),
            "person": ring.tags(PhoneNumber(digits=A)),
            "strangers": [],
            "call_id": call,
            "day": datetime.now(UTC).date(),
        },
    )
    shown = drivers.get(f"/v1/calls/{call}")
    assert (shown["id"], shown["binding"], shown["state"]) == (call, theirs["id"], "reserved")
    for order, found in (("A-1", [shown]), ("A-2", [])):
        assert drivers.get(f"/v1/calls?order={order}")["calls"] == found
    assert couriers.get("/v1/calls?order=A-1")["calls"] == []
    for asked, name in ((couriers, call), (drivers, new_call_id()), (drivers, A)):
        answer = asked.ask("GET", f"/v1/calls/{name}")
        assert (answer.status_code, answer.json()["code"]) == (404, "call_not_found")
        assert A not in answer.text


def test_keys(couriers: Client, drivers: Client) -> None:
    """One revokes one's own."""
    (key,) = drivers.get("/v1/keys")["keys"]
    answer = couriers.ask("DELETE", f"/v1/keys/{key['id']}")
    assert (answer.status_code, answer.json()["code"]) == (404, "api_key_not_found")
    assert drivers.get("/v1/keys")["keys"][0]["state"] == "active"


def test_blocks(couriers: Client, operator: Client, connection: Connection) -> None:
    """One sees those that are kept for oneself."""
    for block, tenant in (("70012345680", "couriers"), ("70012345681", "drivers")):
        operator.post("/v1/blocks", {"block": block, "tenant": tenant}, status=201)
    assert len(operator.get("/v1/blocks")["blocks"]) == 3
    for path in ("/v1/blocks", "/v1/pool"):
        assert [row["block"] for row in couriers.get(path)["blocks"]] == ["70012345680"]
    assert couriers.ask("GET", "/v1/blocks/70012345681").status_code == 404
    assert operator.post("/v1/blocks", {"block": "70012345681"}, status=409)["code"] == (
        "block_exists"
    )
    drained = operator.ask("PATCH", "/v1/blocks/70012345681", {"state": "draining"})
    assert drained.json()["state"] == "draining"
    assert operator.ask("PATCH", "/v1/blocks/1380000", {"state": "draining"}).status_code == 404
    paper = {"certificate": "2028-0001", "valid_until": "2099-01-01T00:00:00+08:00"}
    renewed = operator.ask("PATCH", "/v1/blocks/70012345681", paper).json()
    assert (renewed["certificate"], renewed["state"]) == ("2028-0001", "draining")
    assert renewed["valid_until"] == "2098-12-31T16:00:00+00:00"
    endless = operator.ask("PATCH", "/v1/blocks/70012345681", {"valid_until": None}).json()
    assert (endless["certificate"], endless["valid_until"]) == ("2028-0001", None)
    late = {"valid_from": "2099-01-01T00:00:00Z", "valid_until": "2098-01-01T00:00:00Z"}
    added = operator.ask(
        "POST", "/v1/blocks", {"block": "70012345682", **late}, Idempotency_Key="l"
    )
    assert added.json()["errors"][1]["pointer"] == "/valid_until"
    fault = operator.ask("PATCH", "/v1/blocks/70012345681", late)
    assert [each["pointer"] for each in fault.json()["errors"]] == ["/valid_from", "/valid_until"]
    acts = connection.execute("SELECT act, subject FROM agi_router.audit ORDER BY id").fetchall()
    assert [row["subject"] for row in acts] == [
        "block 70012345680",
        "block 70012345681",
        "block 70012345681: draining",
        "block 70012345681: certificate 2028-0001, valid until 2098-12-31T16:00:00+00:00",
        "block 70012345681: valid until ever",
    ]


def test_how_many_numbers_are_needed(operator: Client) -> None:
    """As the command reckons it; how long a number rests is known here."""
    needed = operator.get("/v1/pool/size?pairs=50000&ttl=7200&quarantine=600")
    assert needed == {
        "pairs": 50_000,
        "share": 1,
        "ttl": 7200,
        "quarantine": 600,
        "bound": 50_000,
        "resting": 4167,
        "numbers": 54_167,
        "blocks": 6,
    }
    assert operator.get("/v1/pool/size?pairs=7&ttl=60&share=7")["numbers"] == 1
    for wrong in ("", "?pairs=0&ttl=60", "?pairs=1&ttl=59", "?pairs=1&ttl=60&pairs=2"):
        assert operator.ask("GET", f"/v1/pool/size{wrong}").status_code == 422


@pytest.mark.parametrize("name", ["tenants", "blocks", "keys"])
def test_pages(operator: Client, drivers: Client, name: str) -> None:
    """Newest first, or blocks by their numbers; each thing on one page."""
    drivers.post("/v1/keys", {"label": "more", "scopes": ["bindings:read"]}, status=201)
    operator.post("/v1/blocks", {"block": "70012345670"}, status=201)
    whole = operator.get(f"/v1/{name}")
    found, path = list[Any](), f"/v1/{name}?limit=1"
    while path:
        answer = operator.ask("GET", path)
        found += answer.json()[name]
        path = answer.links.get("next", {}).get("url", "")
    seen = [{**each, "last_used_at": None} for each in found]
    assert seen == [{**each, "last_used_at": None} for each in whole[name]]
    assert len(found) > 1
    order = [each["block" if name == "blocks" else "created_at"] for each in found]
    assert order == sorted(order, reverse=name != "blocks")
    assert whole["next_cursor"] is None
    wrong = operator.ask("GET", f"/v1/{name}?cursor=x")
    assert (wrong.status_code, wrong.json()["code"]) == (422, "cursor_invalid")


def test_tenants(operator: Client, couriers: Client) -> None:
    """The operator adds them, and lets them go on or not."""
    operator.post("/v1/tenants", {"name": "taxis"}, status=201)
    assert operator.post("/v1/tenants", {"name": "taxis"}, status=409)["code"] == "tenant_exists"
    listed = operator.get("/v1/tenants")["tenants"]
    assert listed[0]["name"] == "taxis"
    assert {each["name"] for each in listed} == {"couriers", "default", "drivers", "taxis"}
    assert operator.get("/v1/tenants/taxis") == listed[0]
    absent = operator.ask("GET", "/v1/tenants/nobody")
    assert (absent.status_code, absent.json()["code"]) == (404, "tenant_not_found")
    stopped = operator.ask("PATCH", "/v1/tenants/couriers", {"active": False})
    assert stopped.json()["state"] == "suspended"
    assert couriers.ask("GET", "/v1/bindings").json()["code"] == "tenant_suspended"
    gone = operator.ask("PATCH", "/v1/tenants/nobody", {"active": False})
    assert (gone.status_code, gone.json()["code"]) == (404, "tenant_not_found")


def test_rules(operator: Client, couriers: Client) -> None:
    """Qualification and rules of a tenant's bindings; what breaks them is told by name."""
    added = operator.post("/v1/tenants", {"name": "meals"}, status=201)
    assert (added["needs_order"], added["scenes"]) == (True, [])
    rules = {"needs_order": True, "scenes": ["parcel", "meal"], "max_pair_binds": 1}
    told = operator.ask("PATCH", "/v1/tenants/couriers", rules).json()
    assert {each: told[each] for each in rules} == rules
    body = {"a": "13800000711", "b": "13800000712", "scene": "parcel"}
    for said, status, code in (
        ({}, 422, "order_missing"),
        ({"order": "A-1", "scene": "taxi"}, 422, "scene_unknown"),
        ({"order": "A-1"}, 201, None),
        ({"order": "A-2"}, 429, "pair_too_often"),
    ):
        key = f"{said}".encode().hex()[:64]
        answer = couriers.ask("POST", "/v1/bindings", {**body, **said}, Idempotency_Key=key)
        assert (answer.status_code, answer.json().get("code")) == (status, code)
    assert 0 < int(answer.headers["retry-after"]) <= 3600
    batch = {"bindings": [{**body, "b": f"1380000072{each}", "order": "A-3"} for each in range(3)]}
    done = couriers.post("/v1/bindings/batch", batch, status=200)
    assert [each["status"] for each in done["results"]] == [201] * 3
    rules = {"max_pair_binds": None, "max_order_pairs": 3, "refuses_pairs": True}
    told = operator.ask("PATCH", "/v1/tenants/couriers", rules).json()
    assert (told["max_pair_binds"], told["max_order_pairs"], told["scenes"]) == (None, 3, [
        "parcel", "meal",
    ])  # fmt: skip
    answer = couriers.ask("POST", "/v1/bindings", {**body, "order": "A-3"}, Idempotency_Key="z")
    assert (answer.status_code, answer.json()["code"]) == (409, "order_crowded")
    paper = {"number": "B2-1", "issuer": "MIIT", "valid_until": "2020-01-01T00:00:00+08:00"}
    told = operator.ask("PATCH", "/v1/tenants/couriers", {"qualification": paper}).json()
    assert (told["qualification"], told["qualified_from"]) == ("B2-1", None)
    answer = couriers.ask("POST", "/v1/bindings", {**body, "order": "A-4"}, Idempotency_Key="y")
    assert (answer.status_code, answer.json()["code"]) == (403, "tenant_unqualified")
    late = {"valid_from": "2099-01-01T00:00:00Z", "valid_until": "2098-01-01T00:00:00Z"}
    answer = operator.ask("PATCH", "/v1/tenants/couriers", {"qualification": late})
    assert (answer.status_code, answer.json()["errors"][1]["pointer"]) == (
        422,
        "/qualification/valid_until",
    )
    assert "qualified" not in answer.json()["detail"]
    told = operator.ask("PATCH", "/v1/tenants/couriers", {"qualification": None}).json()
    assert (told["qualification"], told["qualified_until"]) == (None, None)
    wrong = operator.ask("PATCH", "/v1/tenants/couriers", {"scenes": ["a b"]})
    assert wrong.status_code == 422


def test_explanations(operator: Client, couriers: Client, drivers: Client) -> None:
    """What would become of a call, rule by rule; to a tenant, as if there were no others."""
    made = couriers.bind(A, B)
    told = operator.post("/v1/explanations", {"from": A, "to": made["x"]})
    assert (told["verdict"], told["binding"]) == ("route", made["id"])
    assert all(rule["holds"] for rule in told["rules"])
    assert (
        couriers.post("/v1/explanations", {"from": A, "to": made["x"]})["binding"] == (made["id"])
    )
    told = drivers.post("/v1/explanations", {"from": A, "to": made["x"]})
    assert (told["verdict"], told["binding"]) == ("refuse", None)
    told = operator.post("/v1/explanations", {"from": C, "to": made["x"]})
    assert (told["verdict"], told["reason"]) == ("refuse", "stranger")
    told = operator.post("/v1/explanations", {"from": "anonymous", "to": made["x"]})
    assert told["verdict"] == "refuse"


def test_quotas(operator: Client, couriers: Client) -> None:
    """The operator sets them; whoever has as many as he may is told so, and until when."""
    told = operator.ask("PATCH", "/v1/tenants/couriers", {"max_bindings": 1, "max_binds": 2})
    assert (told.json()["max_bindings"], told.json()["max_binds"]) == (1, 2)
    made = couriers.bind("13800000701", "13800000702")
    body = {"a": "13800000703", "b": "13800000704"}
    refused = couriers.ask("POST", "/v1/bindings", body, Idempotency_Key="one")
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert "retry-after" not in refused.headers
    operator.ask("PATCH", "/v1/tenants/couriers", {"max_bindings": None})
    couriers.ask("DELETE", f"/v1/bindings/{made['id']}")

    def bound() -> bool:
        return couriers.ask("POST", "/v1/bindings", body, Idempotency_Key="two").status_code == 201

    assert until(bound, timeout=20)
    refused = couriers.ask("POST", "/v1/bindings", body, Idempotency_Key="three")
    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    (left,) = couriers.post("/v1/bindings/batch", {"bindings": [body]})["results"]
    assert (left["status"], left["problem"]["code"]) == (429, "quota_exceeded")
    assert operator.ask("PATCH", "/v1/tenants/couriers", {"max_binds": 0}).status_code == 422


@pytest.mark.parametrize("ways", [["bind"], ["batch"], ["bind", "batch"]])
def test_the_quota_of_a_key(
    http: TestClient, make_key: Callable[..., str], couriers: Client, ways: list[str]
) -> None:
    """It binds so many on a day, one by one or together; another key of its tenant, any number."""
    scopes = KeyScope.BINDINGS_READ, KeyScope.BINDINGS_WRITE
    limited = Client(http, make_key("couriers", *scopes, max_binds=4))
    statuses: list[int] = []
    for serial in range(6):
        way = ways[serial % len(ways)]
        body = {"a": f"1380000071{serial}", "b": "13800000720"}
        if way == "bind":
            key = f"quota-{serial}"
            answer = limited.ask("POST", "/v1/bindings", body, Idempotency_Key=key)
            statuses.append(answer.status_code)
            if answer.status_code == 429:
                assert answer.json()["code"] == "quota_exceeded"
                assert 0 < int(answer.headers["retry-after"]) <= 86_400
                assert "API key" in answer.json()["detail"]
        else:
            done = limited.post("/v1/bindings/batch", {"bindings": [body]})
            statuses += [each["status"] for each in done["results"]]
    assert statuses == [201] * 4 + [429] * 2
    # What was refused has left nothing.
    assert len(limited.get("/v1/bindings")["bindings"]) == 4
    couriers.bind("13800000716", "13800000720")


def test_a_batch_beyond_the_quota_of_a_key(http: TestClient, make_key: Callable[..., str]) -> None:
    """As many of it are made as may be."""
    limited = Client(http, make_key("couriers", KeyScope.BINDINGS_WRITE, max_binds=2))
    bodies = [{"a": f"1380000073{serial}", "b": "13800000740"} for serial in range(3)]
    done = limited.post("/v1/bindings/batch", {"bindings": bodies})["results"]
    assert sorted(each["status"] for each in done) == [201, 201, 429]


def test_a_key_with_limits(couriers: Client, operator: Client) -> None:
    """It is told what they are, and makes no key without them."""
    limits = {"max_binds": 100, "max_requests": 60}
    wanted = {"label": "partner", "scopes": ["bindings:write"], **limits}
    made = couriers.post("/v1/keys", wanted, status=201)
    assert {name: made[name] for name in limits} == limits
    for client, wrong in (
        (couriers, {**wanted, "scopes": ["keys:write"]}),
        (operator, wanted),
        (couriers, {**wanted, "max_binds": 0}),
    ):
        refused = client.ask("POST", "/v1/keys", wrong, Idempotency_Key="wrong")
        assert refused.status_code == 422
        assert [each["pointer"] for each in refused.json()["errors"]] == ["/max_binds"]


def test_how_often_a_tenant_may_ask(
    http: TestClient,
    make_key: Callable[..., str],
    operator: Client,
    couriers: Client,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of its keys together, and each by itself besides."""
    # So long that nobody gets another request while this is asked.
    monkeypatch.setattr(auth, "_MINUTE", timedelta(days=1))
    told = operator.ask("PATCH", "/v1/tenants/couriers", {"max_requests": 3})
    assert told.json()["max_requests"] == 3
    second = Client(http, make_key("couriers", KeyScope.BINDINGS_READ, max_requests=1))
    asking = (second, second, couriers, couriers)
    answers = [client.ask("GET", "/v1/bindings") for client in asking]
    assert [each.status_code for each in answers] == [200, 429, 200, 200]
    assert answers[0].headers["ratelimit-policy"] == '"key";q=1;w=86400, "tenant";q=3;w=86400'
    refused = couriers.ask("GET", "/v1/bindings")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_exceeded")
    assert refused.headers["ratelimit"].startswith('"tenant";r=0;')
    assert operator.ask("GET", "/v1/tenants").status_code == 200


def test_the_notice(operator: Client) -> None:
    """It is on for a tenant that is added."""
    made = operator.post("/v1/tenants", {"name": "silent-tenant"}, status=201)
    assert made["notice"] is True
    changed = operator.ask("PATCH", "/v1/tenants/silent-tenant", {"notice": False}).json()
    assert changed["notice"] is False


def test_hours_and_limits(operator: Client, connection: Connection) -> None:
    """As they are kept; null is always, and any number."""
    path, name = "/v1/tenants", "limited-tenant"
    operator.post(path, {"name": name}, status=201)
    body = {
        "hours": "MON-FRI 09:00-18:00, sat 10:00-11:00",
        "time_zone": "Asia/Urumqi",
        "call_limits": {"caller": "30/60m", "tenant": None},
        "bind_limits": {"b": "1/60m", "tenant": None},
        "unknown_numbers": "hold",
    }
    changed = operator.ask("PATCH", f"{path}/{name}", body).json()
    assert changed["hours"] == "mon-fri 09:00-18:00; sat 10:00-11:00"
    assert (changed["time_zone"], changed["call_limits"]) == ("Asia/Urumqi", {"caller": "30/1h"})
    assert (changed["bind_limits"], changed["unknown_numbers"]) == ({"b": "1/1h"}, "hold")
    rows = connection.execute(b"SELECT subject FROM agi_router.audit ORDER BY id").fetchall()
    assert {row["subject"].removeprefix(f"tenant {name}") for row in rows[-5:]} == {
        ": hours mon-fri 09:00-18:00; sat 10:00-11:00",
        ": time_zone Asia/Urumqi",
        ": call_limits caller 30/1h",
        ": bind_rates b 1/1h",
        ": unknown hold",
    }
    none = {"hours": None, "call_limits": None, "bind_limits": None}
    changed = operator.ask("PATCH", f"{path}/{name}", none).json()
    assert (changed["hours"], changed["call_limits"]) == (None, {})
    assert (changed["bind_limits"], changed["unknown_numbers"]) == ({}, "hold")
    for wrong in (
        {"hours": "9-5"},
        {"time_zone": "Mars/Olympus"},
        {"call_limits": {"caller": "1/0s"}},
        {"call_limits": {"x": "1/1h"}},
        {"bind_limits": {"a": "10001/1h"}},
        {"unknown_numbers": "guess"},
    ):
        assert operator.ask("PATCH", f"{path}/{name}", wrong).status_code == 422


def test_consent(operator: Client, couriers: Client, drivers: Client) -> None:
    """A tenant's own ledger: what is given lets it bind, and what is withdrawn ends that."""
    told = operator.ask("PATCH", "/v1/tenants/couriers", {"consent": "required"}).json()
    assert told["consent"] == "required"
    people = ("13800000731", "13800000732")
    body = {"a": people[0], "b": people[1], "consent": "app"}
    refused = couriers.ask("POST", "/v1/bindings", body, Idempotency_Key="a")
    assert (refused.status_code, refused.json()["code"]) == (409, "consent_missing")
    given = [
        couriers.post("/v1/consents", {"person": each, "how": "app", "version": "v2"}, status=201)
        for each in people
    ]
    assert (given[0]["person"], given[0]["added_by"]) == ("138****0731", None)
    assert couriers.get(f"/v1/consents/{given[0]['id']}") == given[0]
    assert drivers.ask("GET", f"/v1/consents/{given[0]['id']}").status_code == 404
    assert drivers.ask("GET", "/v1/consents/abc").json()["code"] == "consent_not_found"
    made = couriers.bind(*people)
    assert drivers.post("/v1/consents/search", {"person": people[0]})["consents"] == []
    (line,) = couriers.post("/v1/consents/search", {"person": people[0]})["consents"]
    assert line == given[0]
    gone = couriers.post("/v1/consents/withdraw", {"person": people[1]}, status=201)
    assert (gone["act"], gone["ended"]) == ("withdrawn", [made["id"]])
    assert couriers.get(f"/v1/bindings/{made['id']}")["state"] == "consent_withdrawn"
    page = couriers.get("/v1/consents?limit=2")
    assert [each["id"] for each in page["consents"]] == [gone["id"], given[1]["id"]]
    rest = couriers.get(f"/v1/consents?cursor={page['next_cursor']}")
    assert [each["id"] for each in rest["consents"]] == [given[0]["id"]]
    unsaid = operator.ask("POST", "/v1/consents", {"person": people[0], "how": "app"})
    assert unsaid.json()["errors"][0]["pointer"] == "/tenant"
