"""Bindings move from middle numbers of before by HTTP, once each."""

from __future__ import annotations

import csv
import io
from typing import Any

from agi_router.db.connection import Connection
from harness.api import Client

A, B, C, D = (f"1380000090{serial}" for serial in range(4))
OLD, OTHER = "95013000001", "13012340001"
BATCH = "/v1/old-numbers/batch"


def moved(order: str, a: str, b: str, old: str = OLD, **more: Any) -> dict[str, Any]:
    """A binding to be moved."""
    return {"old": old, "order": order, "a": a, "b": b, "ttl": 3600, **more}


def send(client: Client, *bindings: dict[str, Any]) -> list[dict[str, Any]]:
    """What became of each."""
    results: list[dict[str, Any]] = client.post(BATCH, {"bindings": list(bindings)})["results"]
    return results


def test_a_batch(
    couriers: Client, drivers: Client, operator: Client, connection: Connection
) -> None:
    """One old number is one 700 number; sent again, nothing is made; each by itself."""
    first, second, third = moved("A-1", A, B), moved("A-2", C, D), moved("A-3", A, D, OTHER)
    told = send(couriers, first, second, third, moved("A-4", A, C), moved("A-5", A, B, "70"))
    assert [each["status"] for each in told] == [201, 201, 201, 409, 422]
    assert [each["problem"]["code"] for each in told[3:]] == [
        "bind_conflict",
        "number_invalid",
    ]
    assert told[4]["problem"]["errors"][0]["pointer"] == "/old"
    made = [each["binding"] for each in told[:3]]
    assert made[0]["x"] == made[1]["x"] != made[2]["x"]
    assert A not in str(told)
    query = b"SELECT number, x_number FROM agi_router.old_number ORDER BY number"
    kept = connection.execute(query).fetchall()
    assert {row["number"]: str(row["x_number"]) for row in kept} == {
        OLD: made[0]["x"],
        OTHER: made[2]["x"],
    }
    # Also what has ended since is not made again.
    couriers.ask("DELETE", f"/v1/bindings/{made[0]['id']}")
    again = send(couriers, first, second, moved("A-6", B, D, x=made[2]["x"]))
    assert [each["status"] for each in again] == [200, 200, 409]
    assert [each["binding"]["id"] for each in again[:2]] == [made[0]["id"], made[1]["id"]]
    assert again[0]["binding"]["state"] == "unbound"
    # Who names another number has it, and the others go on with the first.
    (apart,) = send(couriers, moved("A-7", B, C, x=made[2]["x"]))
    assert (apart["status"], apart["binding"]["x"]) == (201, made[2]["x"])
    assert connection.execute(query).fetchall() == kept
    # Another tenant's are none of its own, whatever it names.
    (named,) = send(drivers, {**second, "tenant": "couriers"})
    assert named["problem"]["code"] == "tenant_not_found"
    (own,) = send(drivers, moved("A-2", C, D))
    assert own["status"] == 201
    assert own["binding"]["x"] != made[1]["x"]
    (by_operator,) = send(operator, {**second, "tenant": "couriers"})
    assert (by_operator["status"], by_operator["binding"]["id"]) == (200, made[1]["id"])
    lines = connection.execute(b"SELECT act, subject FROM agi_router.audit").fetchall()
    assert {row["act"] for row in lines} >= {f"POST {BATCH}"}
    assert "5 on old middle numbers" in {row["subject"] for row in lines}


def test_the_map(couriers: Client, drivers: Client, operator: Client) -> None:
    """Which number has come in the place of which: page by page, and as a file to print from."""
    told = send(couriers, moved("A-1", A, B), moved("A-2", A, D, OTHER))
    (other,) = send(drivers, moved("D-1", C, D, "95013000002"))
    new = {OLD: told[0]["binding"]["x"], OTHER: told[1]["binding"]["x"]}
    rows = couriers.get("/v1/old-numbers")["old_numbers"]
    assert {row["old"]: row["new"] for row in rows} == new
    page = couriers.get("/v1/old-numbers?limit=1")
    rest = couriers.get(f"/v1/old-numbers?limit=1&cursor={page['next_cursor']}")
    assert page["old_numbers"] + rest["old_numbers"] == rows
    file = couriers.ask("GET", "/v1/old-numbers/map")
    assert file.headers["content-type"] == "text/csv; charset=utf-8"
    read = list(csv.DictReader(io.StringIO(file.text)))
    assert {row["old"]: row["new"] for row in read} == new
    assert {row["tenant"] for row in read} == {"couriers"}
    everything = operator.get("/v1/old-numbers")["old_numbers"]
    assert {row["new"] for row in everything} == {*new.values(), other["binding"]["x"]}
    (own,) = operator.get("/v1/old-numbers?tenant=drivers")["old_numbers"]
    assert own["old"] == "95013000002"
