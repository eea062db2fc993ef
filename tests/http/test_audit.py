"""The audit by HTTP, and what a key of each role may do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from agi_router.db.connection import Connection
from agi_router.db.queries import query
from agi_router.errors import StoreUnavailable
from agi_router.records.audit import Audit
from agi_router.tenants.api_keys import KeyRole, KeyScope, parse_bearer
from harness.api import Client
from harness.api_scopes import SCOPED
from harness.values import BLOCK

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
    assert not {KeyScope.NUMBERS_READ, KeyScope.RECORDINGS_HEAR} & KeyRole.AUDITOR.scopes
    assert not {each for each in KeyRole.AUDITOR.scopes if not each.reads}


def test_what_cannot_be_audited_is_not_done(
    operator: Client,
    connection: Connection,
    make_key: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The change and its row are one: of links, blocks and keys as of all else."""
    found = parse_bearer(make_key(None, KeyScope.LINKS_READ))
    assert found is not None
    values = {"name": "sip", "holder": "h", "node": "here", "for": timedelta(hours=1)}
    connection.execute(query("hold_link"), {**values, "up": True, "heard": None, "gone": ""})
    read = ("/v1/links", "/v1/blocks", "/v1/api-keys")

    def lose(*_: object) -> None:
        raise StoreUnavailable("its answer was lost")

    def seen() -> list[Any]:
        return [operator.get(path) for path in read]

    before = seen()
    monkeypatch.setattr(Audit, "record", lose)
    for method, path, body in (
        ("POST", "/v1/links/sip/drain", None),
        ("POST", "/v1/blocks", {"block": "70098765432", "operator": "test"}),
        ("PATCH", f"/v1/blocks/{BLOCK}", {"state": "draining"}),
        ("DELETE", f"/v1/api-keys/{found[0]}", None),
    ):
        answer = operator.ask(method, path, body)
        assert answer.status_code == 503, (path, answer.text)
    assert seen() == before
