"""Complaints by HTTP."""

from __future__ import annotations

from harness.api import Client

A, B = "13800000831", "13800000832"


def test_the_operator_writes_and_a_platform_reads(
    operator: Client, couriers: Client, drivers: Client
) -> None:
    """Once each; too many stop its tenant, which hears of it."""
    couriers.ask("PATCH", "/v1/events/types", {"types": ["complaint.alarm"]})
    x = couriers.bind(A, B)["x"]
    said = {"x": x, "at": "2026-03-01T00:00:00Z", "kind": "harassment", "source": "12321"}
    said["tenant"] = "couriers"
    for serial in (1, 2, 2, 3):
        made = operator.post("/v1/complaints", {**said, "reference": f"C-{serial}"}, status=201)
    assert operator.get(f"/v1/complaints/{made['id']}") == made
    listed = couriers.get(f"/v1/complaints?x={x}")["complaints"]
    assert [each["reference"] for each in listed] == ["C-3", "C-2", "C-1"]
    assert drivers.get("/v1/complaints")["complaints"] == []
    assert drivers.get(f"/v1/complaints/count?x={x}")["complaints"] == 0
    counted = couriers.get("/v1/complaints/count")
    assert (counted["tenant"], counted["complaints"], counted["level"]) == ("couriers", 3, "stop")
    theirs = operator.get("/v1/complaints/count?tenant=couriers")
    assert {**theirs, "since": counted["since"]} == counted
    assert operator.get(f"/v1/complaints/count?x={x}")["part_of_share"] is None
    page = operator.get("/v1/complaints?limit=1")
    assert len(operator.get(f"/v1/complaints?cursor={page['next_cursor']}")["complaints"]) == 2
    told = [event["data"]["level"] for event in couriers.get("/v1/events")["events"]]
    assert told == ["alarm", "alarm", "stop"]
    refused = couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, Idempotency_Key="c-1")
    assert refused.json()["code"] == "tenant_locked"
    place = f"/v1/complaints/{made['id']}"
    assert operator.post(f"{place}/dismiss", {"note": "no"})["dismiss_note"] == "no"
    for client, path in ((drivers, place), (operator, "/v1/complaints/99999")):
        assert client.ask("GET", path).json()["code"] == "complaint_not_found"
    assert couriers.ask("POST", f"{place}/dismiss", {}).status_code == 403
    wrong = operator.ask("POST", "/v1/complaints", {**said, "x": A}, Idempotency_Key="c-2")
    assert wrong.status_code == 422
