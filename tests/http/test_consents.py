"""Consent by HTTP, many at once."""

from __future__ import annotations

from harness.api import Client

A, B, C = "13800000831", "13800000832", "13800000833"
OLD = {"how": "app", "at": "2026-03-01T00:00:00Z"}


def test_a_batch(operator: Client, couriers: Client, drivers: Client) -> None:
    """What was agreed to before lets a tenant bind; nothing is written twice or brought back."""
    operator.ask("PATCH", "/v1/tenants/couriers", {"consent": "required"})
    couriers.post("/v1/consents/withdraw", {"person": C}, status=201)
    batch = [
        {**OLD, "person": A},
        {**OLD, "person": B, "order": "O-1"},
        {**OLD, "person": A},
        {**OLD, "person": C},
        {**OLD, "person": "12"},
        {**OLD, "person": C, "at": "2999-01-01T00:00:00Z"},
    ]
    told = couriers.post("/v1/consents/batch", {"consents": batch}, Idempotency_Key="gb-1")
    assert [each["status"] for each in told["results"]] == [201, 201, 200, 409, 422, 422]
    codes = [each["problem"]["code"] for each in told["results"][3:]]
    assert codes == ["consent_outdated", "number_invalid", "request_invalid"]
    again = couriers.post("/v1/consents/batch", {"consents": batch}, Idempotency_Key="gb-1")
    assert again == told
    # By the operator, to whom it is to say; in place of another tenant nobody does.
    body = {"consents": batch[:2]}
    unsaid = operator.ask("POST", "/v1/consents/batch", body, Idempotency_Key="gb-2")
    assert unsaid.json()["errors"][0]["pointer"] == "/tenant"
    known = operator.post("/v1/consents/batch", {**body, "tenant": "couriers"})["results"]
    assert [each["status"] for each in known] == [200, 200]
    theirs = drivers.ask(
        "POST", "/v1/consents/batch", {**body, "tenant": "couriers"}, Idempotency_Key="gb-3"
    )
    assert theirs.json()["code"] == "tenant_not_found"
    (line,) = couriers.post("/v1/consents/search", {"person": A})["consents"]
    given = couriers.post("/v1/consents", {"person": B, "how": "app", "order": "O-2"}, status=201)
    rows = operator.get("/v1/audit?act=POST+/v1/consents")["audit"]
    assert [(row["act"].rpartition("/")[2], row["tag"] is None) for row in rows] == [
        # None of the second batch, of which nothing was written.
        *(("consents", False), ("search", False), ("batch", True)),
        ("withdraw", False),
    ]
    assert rows[0]["subject"] == f"the consent of a person: line {given['id']}"
    assert (line["act"], line["how"], line["at"][:10]) == ("given", "app", "2026-03-01")
    assert couriers.bind(A, B, order="O-1")["order"] == "O-1"
    refused = couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, Idempotency_Key="gb-4")
    assert refused.json()["code"] == "consent_missing"
    for wrong in ([], [batch[0]] * 201, [{"person": A, "how": "app"}]):
        refused = couriers.ask(
            "POST", "/v1/consents/batch", {"consents": wrong}, Idempotency_Key="gb-5"
        )
        assert refused.status_code == 422
