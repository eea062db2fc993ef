"""Real names by HTTP, and by Alibaba's words."""

from __future__ import annotations

from harness.api import Client

A, B = "13800000821", "13800000822"


def test_a_platform_says_and_asks(operator: Client, couriers: Client, drivers: Client) -> None:
    """For itself; what the operator knows comes first; a bind is refused by name."""
    operator.ask("PATCH", "/v1/tenants/couriers", {"needs_real_name": True})
    couriers.post("/v1/real-names", {"person": A, "status": "yes", "source": "app"}, status=201)
    body = {"a": A, "b": B}
    refused = couriers.ask("POST", "/v1/bindings", body, Idempotency_Key="r-1")
    assert (refused.status_code, refused.json()["code"]) == (409, "party_unverified")
    assert B not in refused.text
    said = {
        "person": B,
        "status": "yes",
        "source": "carrier",
        "checked_at": "2026-03-01T00:00:00Z",
    }
    made = operator.post("/v1/real-names", said, status=201)
    assert (made["tenant"], made["person"]) == (None, "138****0822")
    couriers.bind(A, B)
    asked = couriers.post("/v1/real-names/search", {"person": B})
    assert (asked["status"], asked["source"], asked["real_names"]) == ("yes", "carrier", [])
    (own,) = couriers.get("/v1/real-names?status=yes")["real_names"]
    assert (own["tenant"], own["added_by"]) == ("couriers", None)
    assert drivers.post("/v1/real-names/search", {"person": A})["status"] == "unknown"
    assert drivers.get("/v1/real-names")["real_names"] == []
    page = operator.get("/v1/real-names?limit=1")
    assert page["real_names"] == [made]
    assert len(operator.get(f"/v1/real-names?cursor={page['next_cursor']}")["real_names"]) == 1
    wrong = couriers.ask(
        "POST",
        "/v1/real-names",
        {"person": A, "status": "perhaps", "source": "app"},
        Idempotency_Key="r-2",
    )
    assert wrong.status_code == 422
    strange = couriers.ask(
        "POST",
        "/v1/real-names",
        {"person": A, "status": "yes", "source": "app", "tenant": "drivers"},
        Idempotency_Key="r-3",
    )
    assert strange.json()["code"] == "tenant_not_found"
