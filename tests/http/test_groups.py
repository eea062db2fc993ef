"""Party groups by HTTP: made, changed with all bindings by them, removed; of one tenant alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from agi_router.db.connection import Connection
from agi_router.tenants.api_keys import KeyScope
from harness.api import Client

A, B, C, D, E = (f"1380000060{serial}" for serial in range(5))
TEAM = "/v1/groups/night-shift"


def masked(*numbers: str) -> list[str]:
    return [f"{each[:3]}****{each[-4:]}" for each in numbers]


@pytest.fixture
def group(couriers: Client) -> Any:
    """A group of couriers."""
    return couriers.post("/v1/groups", {"name": "night-shift", "members": [A, C]}, status=201)


def by_group(client: Client, b: str = B, **terms: Any) -> Any:
    body = {"mode": "gxb", "group": "night-shift", "b": b, **terms}
    return client.post("/v1/bindings", body, status=201)


def test_the_life_of_a_group(couriers: Client, connection: Connection, group: Any) -> None:
    """Added, shown, changed where it is as it was read, removed; each change is on record."""
    assert (group["members"], group["bindings"]) == (masked(A, C), 0)
    again = couriers.post("/v1/groups", {"name": "night-shift"}, status=409)
    assert again["code"] == "group_exists"
    found = couriers.ask("GET", TEAM)
    etag = found.headers["etag"]
    assert found.json() == group
    same = couriers.ask("GET", TEAM, If_None_Match=etag)
    assert (same.status_code, same.content) == (304, b"")
    missing = couriers.ask("PATCH", TEAM, {"label": "by night"})
    assert missing.json()["code"] == "precondition_missing"
    changed = couriers.ask("PATCH", TEAM, {"label": "by night"}, If_Match=etag)
    version = changed.json()["version"]
    assert version != group["version"]
    assert changed.json() == {**group, "label": "by night", "version": version}
    stale = couriers.ask("PUT", f"{TEAM}/members", {"members": [D]}, If_Match=etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "group_changed")
    put = couriers.ask(
        "PUT", f"{TEAM}/members", {"members": [D]}, If_Match=changed.headers["etag"]
    )
    assert put.json()["members"] == masked(D)
    assert couriers.get("/v1/groups")["groups"] == [put.json()]
    assert couriers.ask("DELETE", TEAM).json() == put.json()
    assert couriers.ask("GET", TEAM).json()["code"] == "group_not_found"
    # Another of this name was not read.
    couriers.post("/v1/groups", {"name": "night-shift", "members": [A, C]}, status=201)
    stale = couriers.ask("DELETE", TEAM, If_Match=etag)
    assert (stale.status_code, stale.json()["code"]) == (412, "group_changed")
    couriers.ask("DELETE", TEAM)
    rows = connection.execute(b"SELECT act, subject FROM agi_router.audit ORDER BY at").fetchall()
    acts = [row["act"].partition(" ")[0] for row in rows]
    assert acts == ["POST", "PATCH", "PUT", "DELETE", "POST", "DELETE"]
    assert {row["subject"] for row in rows} == {"party group night-shift of tenant couriers"}


def test_sent_again(couriers: Client) -> None:
    """A group is added once, however often the same request comes."""
    body = {"name": "night-shift", "members": [A]}
    first, second = (
        couriers.ask("POST", "/v1/groups", body, Idempotency_Key="one") for _ in range(2)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert first.headers["etag"] == second.headers["etag"]


@pytest.mark.usefixtures("group")
def test_bindings_by_a_group(couriers: Client) -> None:
    """Who comes or goes does so in all of them; what cannot be is refused whole."""
    first, second = by_group(couriers), by_group(couriers, D, order="A-1")
    assert (first["group"], first["members"]) == ("night-shift", masked(A, C))
    changed = couriers.post(f"{TEAM}/members", {"members": [E]})
    assert (changed["members"], changed["bindings"]) == (masked(A, C, E), 2)
    refused = couriers.post(f"{TEAM}/members", {"members": [D]}, status=422)
    assert (refused["code"], second["id"] in refused["detail"]) == ("same_party", True)
    left = couriers.post(f"{TEAM}/members/remove", {"members": [A, C]})
    assert left["members"] == masked(E)
    for each in (first, second):
        now = couriers.get(f"/v1/bindings/{each['id']}")
        assert (now["members"], now["version"]) == (masked(E), 3)
    last = couriers.post(f"{TEAM}/members/remove", {"members": [E]}, status=422)
    assert last["code"] == "mode_invalid"
    used = couriers.ask("DELETE", TEAM)
    assert (used.status_code, used.json()["code"]) == (409, "group_in_use")
    batch = {"bindings": [{"mode": "gxb", "group": "night-shift", "b": each} for each in (A, E)]}
    results = couriers.post("/v1/bindings/batch", batch)["results"]
    assert [each["status"] for each in results] == [201, 422]
    couriers.post("/v1/groups", {"name": "day-shift", "members": [C]}, status=201)
    moved = couriers.ask(
        "PATCH", f"/v1/bindings/{first['id']}", {"group": "day-shift"}, If_Match="*"
    ).json()
    assert (moved["group"], moved["members"]) == ("day-shift", masked(C))


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/v1/groups", {"name": "1380000"}, 422, "request_invalid"),
        ("/v1/groups", {"name": "team", "members": ["1"]}, 422, "number_invalid"),
        ("/v1/groups", {"name": "team", "members": [A, A]}, 422, "same_party"),
        ("/v1/groups", {"name": "team", "label": ""}, 422, "request_invalid"),
        ("/v1/groups", {"name": "team", "tenant": "drivers"}, 404, "tenant_not_found"),
        ("/v1/groups/none/members", {"members": [A]}, 404, "group_not_found"),
        (f"{TEAM}/members", {"members": [A]}, 422, "same_party"),
        (f"{TEAM}/members/remove", {"members": [D]}, 404, "member_not_found"),
        ("/v1/bindings", {"mode": "gxb", "b": B}, 422, "request_invalid"),
        ("/v1/bindings", {"mode": "gxb", "b": B, "group": "none"}, 404, "group_not_found"),
        ("/v1/bindings", {"mode": "axb", "b": B, "group": "none"}, 422, "request_invalid"),
    ],
)
@pytest.mark.usefixtures("group")
def test_what_cannot_be(
    couriers: Client, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    """The problem names what is wrong."""
    assert couriers.post(path, body, status=status)["code"] == code


@pytest.mark.usefixtures("group")
def test_groups_are_of_a_tenant(couriers: Client, drivers: Client, operator: Client) -> None:
    """Another tenant sees nothing of it, and may have one of the same name."""
    assert drivers.get("/v1/groups")["groups"] == []
    for method, path in (("GET", TEAM), ("DELETE", TEAM), ("POST", f"{TEAM}/members")):
        answer = drivers.ask(method, path, {"members": [D]} if method == "POST" else None)
        assert (answer.status_code, answer.json()["code"]) == (404, "group_not_found")
    refused = drivers.post(
        "/v1/bindings", {"mode": "gxb", "group": "night-shift", "b": B}, status=404
    )
    assert refused["code"] == "group_not_found"
    drivers.post("/v1/groups", {"name": "night-shift", "members": [D]}, status=201)
    assert operator.get(f"{TEAM}?tenant=couriers")["members"] == masked(A, C)
    assert operator.get(f"{TEAM}?tenant=drivers")["members"] == masked(D)
    assert couriers.get(TEAM)["members"] == masked(A, C)
    assert len(operator.get("/v1/groups")["groups"]) == 2


@pytest.mark.usefixtures("group")
def test_numbers_in_full(
    http: TestClient, couriers: Client, make_key: Callable[..., str], connection: Connection
) -> None:
    """For keys that may see them, and on record."""
    reader = Client(http, make_key("couriers", KeyScope.BINDINGS_READ))
    refused = reader.ask("GET", f"{TEAM}?numbers=full")
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    assert reader.get(TEAM)["members"] == masked(A, C)

    def recorded() -> int:
        rows = connection.execute(b"SELECT act FROM agi_router.audit").fetchall()
        return [row["act"] for row in rows].count("GET /v1/groups/{name}?numbers=full")

    assert recorded() == 0
    assert couriers.get(f"{TEAM}?numbers=full")["members"] == [A, C]
    assert recorded() == 1
