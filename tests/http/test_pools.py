"""Pools by HTTP: made, changed, named by bindings; of one tenant alone."""

from __future__ import annotations

from typing import Any

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection
from agi_router.numbers import Block
from harness.api import Client
from harness.values import BLOCK

A, B, C, D = (f"1380000050{serial}" for serial in range(4))
OTHER, FOREIGN = Block.parse("70022345678"), Block.parse("70032345678")


@pytest.fixture(autouse=True)
def blocks(store: BindingStore) -> None:
    """One more that is shared, and one that is kept for drivers."""
    store.inventory.add_block(OTHER, operator=None, certificate=None)
    store.inventory.add_block(FOREIGN, operator=None, certificate=None, tenant="drivers")


@pytest.fixture
def pool(couriers: Client) -> Any:
    """A pool of couriers, of one block."""
    body = {"name": "FC1001", "blocks": [str(OTHER)], "language": "en", "prompts": "rides"}
    return couriers.post("/v1/pools", body, status=201)


def test_the_life_of_a_pool(couriers: Client, connection: Connection, pool: Any) -> None:
    """Added, shown, changed where it is as it was read, removed; each change is on record."""
    assert (pool["name"], pool["tenant"], pool["blocks"]) == ("FC1001", "couriers", [str(OTHER)])
    assert (pool["mode"], pool["version"]) == (None, 1)
    again = couriers.ask("POST", "/v1/pools", {"name": "FC1001"}, Idempotency_Key="again")
    assert (again.status_code, again.json()["code"]) == (409, "pool_exists")
    found = couriers.ask("GET", "/v1/pools/FC1001")
    assert found.json() == pool
    etag = found.headers["etag"]
    same = couriers.ask("GET", "/v1/pools/FC1001", If_None_Match=etag)
    assert (same.status_code, same.content) == (304, b"")
    change = {"mode": "gxb", "callback": "last", "window": 1800, "language": None}
    missing = couriers.ask("PATCH", "/v1/pools/FC1001", change)
    assert missing.json()["code"] == "precondition_missing"
    changed = couriers.ask("PATCH", "/v1/pools/FC1001", change, If_Match=etag)
    assert changed.status_code == 200, changed.text
    assert changed.json() == {**pool, **change, "version": 2}
    stale = couriers.ask("PATCH", "/v1/pools/FC1001", {"mode": None}, If_Match=etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "pool_changed")
    assert couriers.get("/v1/pools/FC1001") == changed.json()
    removed = couriers.ask("DELETE", "/v1/pools/FC1001")
    assert removed.json() == changed.json()
    assert couriers.ask("GET", "/v1/pools/FC1001").json()["code"] == "pool_not_found"
    # Another of this name has a first version, too, and was not read.
    couriers.post("/v1/pools", {"name": "FC1001"}, status=201)
    stale = couriers.ask("PATCH", "/v1/pools/FC1001", {"mode": None}, If_Match=etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "pool_changed")
    couriers.ask("DELETE", "/v1/pools/FC1001")
    rows = connection.execute(b"SELECT act, subject FROM agi_router.audit ORDER BY at").fetchall()
    assert [row["act"].partition(" ")[0] for row in rows] == [
        "POST",
        "PATCH",
        "DELETE",
        "POST",
        "DELETE",
    ]
    assert {row["subject"] for row in rows} == {"pool FC1001 of tenant couriers"}


@pytest.mark.usefixtures("pool")
def test_bindings_of_a_pool(couriers: Client) -> None:
    """Numbers are of its blocks, drawn or given; what is not said is as the pool has it."""
    body = {"a": A, "b": B, "pool": "FC1001"}
    # Where the tenant can bind is remembered from now on, and is not where its pool is.
    for _ in range(2):
        assert couriers.bind(A, B)["pool"] is None
    made = couriers.post("/v1/bindings", body, status=201)
    assert made["x"].startswith(str(OTHER))
    assert (made["pool"], made["language"], made["prompts"]) == ("FC1001", "en", "rides")
    assert couriers.get(f"/v1/bindings/{made['id']}") == made
    other = couriers.post("/v1/bindings", {**body, "a": C, "prompts": "own"}, status=201)
    assert (other["prompts"], other["x"][:11]) == ("own", str(OTHER))
    given = {**body, "a": D, "x": str(BLOCK.number(7))}
    refused = couriers.ask("POST", "/v1/bindings", given, Idempotency_Key="x")
    assert (refused.status_code, refused.json()["code"]) == (404, "block_not_found")
    assert "is not of pool FC1001" in refused.json()["detail"]
    fixed = couriers.ask("PATCH", f"/v1/bindings/{made['id']}", {"pool": "FC2"}, If_Match="*")
    assert fixed.status_code == 422
    absent = couriers.ask("POST", "/v1/bindings", {**body, "pool": "FC2"}, Idempotency_Key="y")
    assert (absent.status_code, absent.json()["code"]) == (404, "pool_not_found")
    (result,) = couriers.post("/v1/bindings/batch", {"bindings": [{**body, "a": D}]})["results"]
    assert (result["status"], result["binding"]["x"][:11]) == (201, str(OTHER))
    # Of shared blocks a tenant is told nothing.
    assert couriers.get("/v1/pools/FC1001/capacity")["blocks"] == []


def test_the_mode_of_a_pool(couriers: Client) -> None:
    """It is that of bindings that say none, and no other may be made in it."""
    body = {"name": "FC2", "mode": "gxb", "callback": "last", "window": 600, "operator_digit": 2}
    couriers.post("/v1/pools", body, status=201)
    made = couriers.post("/v1/bindings", {"members": [A, C], "b": B, "pool": "FC2"}, status=201)
    assert (made["mode"], made["callback"], made["window"]) == ("gxb", "last", 600)
    assert made["x"].startswith(str(OTHER))
    chosen = {"members": [A], "b": D, "choice": {"operator_digit": 1}}
    for wrong in ({"mode": "axb", "a": A, "b": B}, chosen):
        answer = couriers.post("/v1/bindings", {**wrong, "pool": "FC2"}, status=422)
        assert answer["errors"][0]["pointer"] in {"/mode", "/choice/operator_digit"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "1380000"}, 422, "request_invalid"),
        ({"name": "FC3", "blocks": ["123"]}, 422, "number_invalid"),
        ({"name": "FC3", "window": 60}, 422, "request_invalid"),
        ({"name": "FC3", "mode": "axb", "callback": "last"}, 422, "request_invalid"),
        ({"name": "FC3", "operator_digit": 1, "blocks": [str(OTHER)]}, 422, "request_invalid"),
        ({"name": "FC3", "blocks": ["70099999999"]}, 404, "block_not_found"),
        ({"name": "FC3", "blocks": [str(FOREIGN)]}, 404, "block_not_found"),
        ({"name": "FC3", "tenant": "drivers"}, 404, "tenant_not_found"),
    ],
)
def test_what_a_pool_may_not_be(
    couriers: Client, body: dict[str, Any], status: int, code: str
) -> None:
    """Another's block answers as one that is not there."""
    answer = couriers.ask("POST", "/v1/pools", body, Idempotency_Key="one")
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_pools_are_of_a_tenant(
    couriers: Client, drivers: Client, operator: Client, pool: Any
) -> None:
    """Another tenant may have one of the same name, and sees nothing of this one."""
    assert drivers.get("/v1/pools")["pools"] == []
    for method, rest in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("GET", "/capacity")):
        body = {"mode": "axb"} if method == "PATCH" else None
        answer = drivers.ask(method, f"/v1/pools/FC1001{rest}", body, If_Match="*")
        assert (answer.status_code, answer.json()["code"]) == (404, "pool_not_found")
    own = drivers.post("/v1/pools", {"name": "FC1001", "blocks": [str(FOREIGN)]}, status=201)
    assert drivers.get("/v1/pools")["pools"] == [own]
    (capacity,) = drivers.get("/v1/pools/FC1001/capacity")["blocks"]
    assert (capacity["block"], capacity["bound"]) == (str(FOREIGN), 0)
    assert operator.get("/v1/pools?tenant=couriers")["pools"] == [pool]
    first = operator.get("/v1/pools?limit=1")
    rest = operator.get(f"/v1/pools?cursor={first['next_cursor']}")
    assert first["pools"] + rest["pools"] == [own, pool]
    assert operator.get("/v1/pools/FC1001?tenant=couriers") == pool
    assert operator.ask("GET", "/v1/pools/FC1001").status_code == 404
    for client, body in ((operator, {"tenant": "couriers"}), (couriers, {})):
        added = client.ask(
            "POST", "/v1/pools", {"name": f"FC{len(body)}", **body}, Idempotency_Key="x"
        )
        assert client.get(added.headers["location"]) == added.json()
