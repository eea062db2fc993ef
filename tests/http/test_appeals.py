"""Appeals by HTTP."""

from __future__ import annotations

from collections.abc import Callable

from agi_router.tenants.api_keys import KeyScope
from harness.api import Client

A, B, C = "13800000811", "13800000812", "13800000813"
DIGEST = "9f86d081" * 8


def test_a_platform_appeals_for_its_customer(operator: Client, couriers: Client) -> None:
    """It files and backs it; the operator judges, unless its key has set the lock."""
    couriers.bind(A, B)
    lock = operator.post("/v1/locks", {"person": A, "reason": "arrears"}, status=201)
    made = couriers.post("/v1/appeals", {"lock_id": lock["id"], "note": "paid"}, status=201)
    assert (made["state"], made["missing"]) == ("filed", ["payment_record"])
    assert set(made["text"]) == {"zh", "en"}
    place = f"/v1/appeals/{made['id']}"
    body = {"kind": "payment_record", "reference": "t-7", "digest": DIGEST}
    assert couriers.post(f"{place}/evidence", body)["state"] == "evidence_complete"
    for client, code in ((couriers, "operator_only"), (operator, "same_actor")):
        told = client.ask("POST", f"{place}/review")
        assert told.json()["code"] == code, told.text
    told = operator.ask("POST", f"{place}/decide", {"decision": "lift"})
    assert (told.status_code, told.json()["code"]) == (409, "appeal_not_ready")
    assert couriers.get("/v1/appeals?state=evidence_complete&limit=1")["appeals"] == [
        couriers.get(place)
    ]
    assert couriers.get(f"/v1/appeals?lock_id={lock['id']}")["appeals"][0]["id"] == made["id"]
    assert couriers.post(f"{place}/withdraw", {"note": "never mind"})["state"] == "withdrawn"
    told = couriers.ask("POST", f"{place}/withdraw", {})
    assert told.json()["code"] == "appeal_over"
    for name in (f"{A}x", "0", "99999"):
        assert operator.ask("GET", f"/v1/appeals/{name}").json()["code"] == "appeal_not_found"
    wrong = operator.ask("POST", "/v1/appeals", {"lock_id": f"{A}x"}, Idempotency_Key="a-1")
    assert wrong.status_code == 422
    assert A not in wrong.text


def test_a_platform_takes_the_other_number_that_it_is_offered(
    operator: Client, couriers: Client, make_key: Callable[..., str]
) -> None:
    """Once it is offered; with somebody in the place of whoever is locked; sent again, once."""
    pair = couriers.bind(A, B, order="A-7")
    body = {"person": A, "reason": "maintenance", "ends_at": "2099-01-01T00:00:00Z"}
    lock = operator.post("/v1/locks", body, status=201)
    made = couriers.post("/v1/appeals", {"lock_id": lock["id"]}, status=201)
    place = f"/v1/appeals/{made['id']}"
    asked = {"binding_id": pair["id"], "instead": C}
    early = couriers.ask("POST", f"{place}/rebind", asked, Idempotency_Key="early")
    assert (early.status_code, early.json()["code"]) == (409, "appeal_not_ready")
    judge = Client(operator.http, make_key(None))
    judge.post(f"{place}/review", None)
    assert judge.post(f"{place}/decide", {"decision": "uphold"})["offers"] == ["rebind"]
    poor = Client(operator.http, make_key("couriers", KeyScope.APPEALS_WRITE))
    refused = poor.ask("POST", f"{place}/rebind", asked, Idempotency_Key="poor")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    new = couriers.post(f"{place}/rebind", asked, status=201, Idempotency_Key="once")
    assert couriers.post(f"{place}/rebind", asked, status=201, Idempotency_Key="once") == new
    assert new["order"] == "A-7"
    assert C not in str(new)
    (carried,) = couriers.get(place)["rebinds"]
    assert (carried["old_binding_id"], carried["new_binding_id"]) == (pair["id"], new["id"])
    assert couriers.get(f"/v1/bindings/{pair['id']}")["state"] == "unbound"
    for name, code in (("x", "binding_not_found"), (pair["id"], "binding_ended")):
        told = couriers.ask(
            "POST", f"{place}/rebind", {**asked, "binding_id": name}, Idempotency_Key=f"n-{code}"
        )
        assert told.json()["code"] == code
