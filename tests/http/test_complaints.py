"""Complaints by HTTP."""

from __future__ import annotations

from agi_router.db.connection import Connection
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
    refused = drivers.ask("GET", f"/v1/complaints/count?x={x}")
    assert (refused.status_code, refused.json()["code"]) == (404, "block_not_found")
    assert couriers.get(f"/v1/complaints/count?x={x}")["complaints"] == 3
    for client in (couriers, operator):
        refused = client.ask("GET", f"/v1/complaints/count?x={x}&tenant=couriers")
        assert (refused.status_code, refused.json()["code"]) == (422, "request_invalid")
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


def test_a_batch(connection: Connection, operator: Client, couriers: Client) -> None:
    """Each is written by itself and once; the one that is too many stops, as by itself."""
    x = couriers.bind(A, B)["x"]
    said = {"x": x, "at": "2026-03-01T00:00:00Z", "kind": "fraud", "source": "12321"}
    batch = [{**said, "reference": f"C-{serial}"} for serial in (1, 2, 2, 3)]
    batch += [
        {**said, "reference": "C-4", "x": "700999999990001"},
        {**said, "reference": "C-5", "x": A},
        {**said, "reference": "C-6", "tenant": "nobody"},
        {**said, "reference": "C-7", "at": "2999-01-01T00:00:00Z"},
    ]
    told = operator.post("/v1/complaints/batch", {"complaints": batch}, Idempotency_Key="cb-1")
    results = told["results"]
    assert [each["status"] for each in results] == [201, 201, 200, 201, 404, 422, 404, 422]
    assert results[1]["complaint"] == results[2]["complaint"]
    codes = [each["problem"]["code"] for each in results[4:]]
    assert codes == ["block_not_found", "number_invalid", "tenant_not_found", "request_invalid"]
    assert A not in str(results)
    assert "nobody" not in str(results)
    listed = operator.get("/v1/complaints")["complaints"]
    assert listed == [results[place]["complaint"] for place in (3, 1, 0)]
    assert operator.get(f"/v1/complaints/count?x={x}")["complaints"] == 3
    assert len(operator.get("/v1/locks")["locks"]) == 1
    acts = connection.execute(
        "SELECT subject FROM agi_router.audit WHERE act = 'POST /v1/complaints/batch'"
    ).fetchall()
    assert len(acts) == 3
    again = operator.post("/v1/complaints/batch", {"complaints": batch}, Idempotency_Key="cb-1")
    assert again == told
    again = operator.post("/v1/complaints/batch", {"complaints": batch[:4]})["results"]
    assert [each["status"] for each in again] == [200] * 4
    for wrong in ([], [batch[0]] * 201, [{**batch[0], "kind": "noise"}]):
        refused = operator.ask(
            "POST", "/v1/complaints/batch", {"complaints": wrong}, Idempotency_Key="cb-2"
        )
        assert refused.status_code == 422
    theirs = couriers.ask("POST", "/v1/complaints/batch", {"complaints": batch})
    assert theirs.status_code == 403
