"""A tenant's own check by HTTP: put, looked at, given another secret, removed; by whom."""

from __future__ import annotations

from agi_router.db.connection import Connection
from harness.api import Client
from harness.database import one

URL = "https://shop.example/calls"


def test_a_check(couriers: Client, connection: Connection) -> None:
    """What was put is what is found; its secret is told once, and it is audited."""
    assert couriers.ask("GET", "/v1/check").json()["code"] == "check_not_found"
    made = couriers.ask("PUT", "/v1/check", {"url": URL}).json()
    assert made.pop("secret").startswith("whsec_")
    assert (made["tenant"], made["url"]) == ("couriers", URL)
    assert (made["unanswered"], made["timeout_ms"]) == ("refuse", None)
    assert couriers.get("/v1/check") == made
    wanted = {"url": f"{URL}/2?token=s1", "unanswered": "ring", "timeout_ms": 80}
    changed = couriers.ask("PUT", "/v1/check", wanted).json()
    assert changed == {**made, **wanted}
    renewed = couriers.post("/v1/check/rotate-secret", {"overlap": 60})
    assert renewed["secret"].startswith("whsec_")
    removed = couriers.ask("DELETE", "/v1/check")
    assert (removed.status_code, removed.json()) == (200, changed)
    assert couriers.ask("DELETE", "/v1/check").json()["code"] == "check_not_found"
    assert couriers.post("/v1/check/rotate-secret", {}, status=404)["code"] == "check_not_found"
    acts = one(connection, "SELECT string_agg(act, ', ' ORDER BY id) FROM agi_router.audit")
    put = "PUT /v1/check"
    assert acts == f"{put}, {put}, POST /v1/check/rotate-secret, DELETE /v1/check"
    # Nothing of a receiver's token, in what stood before and stands now neither.
    rows = one(connection, "SELECT string_agg(a::text, ' ') FROM agi_router.audit a")
    assert (f"{URL}/2" in rows, "token" in rows) == (True, False)


def test_an_address_that_nobody_asks(couriers: Client) -> None:
    """A private one, one without TLS, and what is none are refused; nothing of it is told back."""
    for url in ("https://127.0.0.1/", "http://shop.example/", "https://user@shop.example/"):
        refused = couriers.ask("PUT", "/v1/check", {"url": url})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"] == "/url"
        assert url not in refused.text
    for wrong in ({}, {"url": URL, "unanswered": "perhaps"}, {"url": URL, "timeout_ms": 9}):
        assert couriers.ask("PUT", "/v1/check", wrong).status_code == 422


def test_whose_it_is(operator: Client, couriers: Client, connection: Connection) -> None:
    """The operator says whose; a tenant reaches its own alone."""
    operator.ask("PUT", "/v1/check?tenant=drivers", {"url": URL})
    assert operator.get("/v1/check?tenant=drivers")["tenant"] == "drivers"
    assert couriers.ask("GET", "/v1/check").json()["code"] == "check_not_found"
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/rotate-secret")):
        hidden = couriers.ask(method, f"/v1/check{path}?tenant=drivers", {})
        assert (hidden.status_code, hidden.json()["code"]) == (404, "tenant_not_found")
    assert one(connection, "SELECT count(*) FROM agi_router.tenant WHERE has_check") == 1
