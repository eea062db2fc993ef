"""The audit by HTTP, and what a key of each role may do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agi_router.tenants.api_keys import KeyRole, KeyScope
from harness.api import Client
from harness.api_scopes import SCOPED

A, B = "13800000731", "13800000732"


def test_pages_and_filters(operator: Client, couriers: Client) -> None:
    """Newest first, page by page; no real number is in it."""
    couriers.bind(A, B)
    for _ in range(3):
        operator.post("/v1/bindings/search", {"number": A})
    rows = operator.get("/v1/audit?act=POST+/v1/bindings/search&limit=200")["audit"]
    assert len(rows) >= 3
    assert rows == sorted(rows, key=lambda row: (row["at"], int(row["id"])), reverse=True)
    assert A not in str(rows)
    first = operator.get("/v1/audit?act=POST+/v1/bindings/search&limit=2")
    rest = operator.get(
        f"/v1/audit?act=POST+/v1/bindings/search&limit=200&cursor={first['next_cursor']}"
    )
    assert first["audit"] + rest["audit"] == rows
    key = rows[0]["api_key"]
    assert {row["api_key"] for row in operator.get(f"/v1/audit?api_key={key}")["audit"]} == {key}
    assert operator.get("/v1/audit?case=none&user=nobody")["audit"] == []
    assert operator.get("/v1/audit?until=2020-01-01T00:00:00Z")["audit"] == []
    assert operator.ask("GET", "/v1/audit?cursor=x").status_code == 422
    assert couriers.ask("GET", "/v1/audit").status_code == 403


@pytest.mark.parametrize("role", KeyRole)
def test_what_a_role_may(role: KeyRole, make_key: Callable[..., str], http: object) -> None:
    """An auditor reads and cannot act; nobody but an admin says who may."""
    client = Client(http, make_key(None, *role.scopes))  # type: ignore[arg-type]
    for method, path, scope in SCOPED:
        answer = client.ask(method, path, {} if method != "GET" else None)
        refused = answer.status_code == 403 and answer.json()["code"] == "scope_missing"
        assert refused is (scope not in role.scopes), (method, path, answer.text)
        changes = method != "GET" and not path.endswith(("/search", "/explanations"))
        reads = not changes or path.startswith("/v1/traces")
        if role is KeyRole.AUDITOR:
            assert reads or refused, (method, path)
    assert KeyScope.NUMBERS_READ not in KeyRole.AUDITOR.scopes
    assert not {each for each in KeyRole.AUDITOR.scopes if not each.reads}
