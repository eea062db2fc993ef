"""Appeals by HTTP."""

from __future__ import annotations

from harness.api import Client

A, B = "13800000811", "13800000812"
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
