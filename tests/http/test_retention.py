"""Retention by HTTP."""

from __future__ import annotations

from collections.abc import Callable

from agi_router.maintenance.classes import KINDS
from agi_router.tenants.api_keys import KeyScope
from harness.api import Client

A, B = "13800000731", "13800000732"
HOLDS = "/v1/retention/holds"


def test_holds(operator: Client, make_key: Callable[..., str], http: object) -> None:
    """Held for a case and released, on record; an auditor's key looks, and does nothing."""
    auditor = Client(http, make_key(None, KeyScope.AUDIT_READ))  # type: ignore[arg-type]
    said = {"case": "P-1", "reason": "police"}
    made = operator.post(HOLDS, {**said, "person": A}, status=201)
    assert (made["case"], made["x"], made["released_by"]) == ("P-1", None, None)
    assert A not in str(made)
    number = operator.post(HOLDS, {**said, "x": "700123456780001"}, status=201)
    for wrong in ({}, {"x": "700123456780001", "person": A}, {"person": A, "tenant": "couriers"}):
        refused = operator.ask("POST", HOLDS, {**said, **wrong})
        assert (refused.status_code, refused.json()["code"]) == (422, "request_invalid")
    first = auditor.get(f"{HOLDS}?limit=1")
    assert first["holds"] == [number]
    assert auditor.get(f"{HOLDS}?limit=1&cursor={first['next_cursor']}")["holds"] == [made]
    assert auditor.post(f"{HOLDS}/search", {"person": A})["holds"] == [made]
    assert auditor.post(f"{HOLDS}/search", {"person": B})["holds"] == []
    assert auditor.get(f"{HOLDS}/{made['id']}") == made
    release = f"{HOLDS}/{made['id']}/release"
    for path, body in ((HOLDS, {**said, "x": "700123456780001"}), (release, {"note": "over"})):
        refused = auditor.ask("POST", path, body)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert operator.post(release, {"note": "over"})["release_note"] == "over"
    for path in (release, f"{HOLDS}/{A}x/release", f"{HOLDS}/99/release"):
        refused = operator.ask("POST", path, {"note": "over"})
        assert (refused.status_code, refused.json()["code"]) == (404, "hold_not_found")
    assert auditor.get(f"{HOLDS}?case=P-1")["holds"] == [number]
    acts = [row["act"] for row in auditor.get("/v1/audit?case=P-1")["audit"]]
    assert acts.count(f"POST {HOLDS}") == 2
    assert acts.count(f"POST {HOLDS}/{{hold_id}}/release") == 1


def test_what_is_kept(operator: Client, couriers: Client) -> None:
    """Each kind, and the proofs; the operator's keys alone."""
    told = operator.get("/v1/retention")["kinds"]
    assert [each["kind"] for each in told] == list(KINDS)
    assert {each["days"] for each in told} == {190, 740}
    assert operator.get("/v1/retention/proofs")["proofs"] == []
    assert operator.ask("GET", "/v1/retention/proofs?since=x").status_code == 422
    assert couriers.ask("GET", "/v1/retention").status_code == 403
