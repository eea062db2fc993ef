"""Traces by HTTP."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.doors.http.options import Options
from agi_router.rates import OFF
from agi_router.tenants.api_keys import KeyScope
from harness.api import Client

A, B = "13800000721", "13800000722"


@pytest.fixture
def options() -> Options:
    """A key may have numbers shown twice in an hour."""
    return Options(rate=OFF, wrong_keys=OFF, ttl=timedelta(hours=24), traces_per_hour=2)


def test_a_number(operator: Client, couriers: Client) -> None:
    """Masked, and in full for a case; so often as may be."""
    made = couriers.bind(A, B, order="A-1")
    body = {"x": made["x"], "at": datetime.now(UTC).isoformat()}
    told = operator.post("/v1/traces", body)
    (bound,) = told["bound"]
    assert (bound["binding"], bound["tenant"], bound["order"]) == (made["id"], "couriers", "A-1")
    assert A not in str(told)
    full = {**body, "case": {"id": "P-17", "reason": "asked"}}
    for _ in range(2):
        assert operator.post("/v1/traces", full)["bound"][0]["a"][0]["number"] == A
    refused = operator.ask("POST", "/v1/traces", full)
    assert (refused.status_code, refused.json()["code"]) == (429, "reveal_limit")
    # This one is written down, too, and so the one before has to be an hour old.
    assert 3500 < int(refused.headers["retry-after"]) <= 3600
    person = {"person": A, "since": made["begins_at"]}
    assert operator.post("/v1/traces/persons", person)["bound"][0]["binding"] == made["id"]
    refused = operator.ask("POST", "/v1/traces/persons", {**person, "case": full["case"]})
    assert refused.status_code == 429


def test_who_may(
    store: BindingStore, make_key: Callable[..., str], http: object, couriers: Client
) -> None:
    """The operator's keys alone, and numbers by those alone that may read them."""
    made = couriers.bind(A, B)
    body = {"x": made["x"], "at": datetime.now(UTC).isoformat()}
    assert couriers.ask("POST", "/v1/traces", body).status_code == 403
    auditor = Client(http, make_key(None, KeyScope.AUDIT_READ))  # type: ignore[arg-type]
    assert len(auditor.post("/v1/traces", body)["bound"]) == 1
    full = {**body, "case": {"id": "P-17", "reason": "asked"}}
    person = {"person": A, "since": made["begins_at"]}
    for path, asked in (("/v1/traces", full), ("/v1/traces/persons", person)):
        refused = auditor.ask("POST", path, asked)
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
        assert A not in refused.text
    assert store.scope.whole
