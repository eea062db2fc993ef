"""Every operation of the document, asked by a tenant for the things of another one."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from agi_router.doors.http.app import describe_api
from harness.api import Client

A, B, C, D = (f"1380000080{serial}" for serial in range(4))
METHODS = {"get", "post", "put", "patch", "delete"}
# Lists of a tenant's own, by which it sees whether anything of it has changed.
OWN = (
    "/v1/bindings?everything=true",
    "/v1/groups",
    "/v1/pools",
    "/v1/webhooks",
    "/v1/check",
    "/v1/events/types",
    "/v1/keys",
)


@pytest.fixture
def theirs(drivers: Client) -> dict[str, str]:
    """What drivers have, by the word behind ``/v1/`` that leads to it."""
    hook = {"url": "https://drivers.example/hooks", "types": ["binding.created"]}
    webhook = drivers.post("/v1/webhooks", hook, status=201)
    drivers.post("/v1/groups", {"name": "drivers-team", "members": [D]}, status=201)
    drivers.post("/v1/groups", {"name": "drivers-night", "members": [D]}, status=201)
    drivers.post("/v1/pools", {"name": "drivers-pool"}, status=201)
    drivers.ask("PUT", "/v1/check", {"url": "https://drivers.example/check"})
    for a in (A, C):
        made = drivers.bind(a, B, order="drivers-1", out_id="drivers-out")
    (key,) = drivers.get("/v1/keys")["keys"]
    event = drivers.get("/v1/events")["events"][0]
    return {
        "bindings": made["id"],
        "x": made["x"],
        "groups": "drivers-team",
        "pools": "drivers-pool",
        "webhooks": webhook["id"],
        "keys": key["id"],
        "events": event["id"],
        "tenants": "drivers",
    }


def has(client: Client) -> list[Any]:
    """All that a tenant sees of its own, but for when its key was used."""
    seen = [client.get(path) for path in OWN]
    for key in seen[-1]["keys"]:
        del key["last_used_at"]
    return seen


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each."""
    return [
        (method.upper(), path, told)
        for path, methods in describe_api()["paths"].items()
        for method, told in methods.items()
        if method in METHODS and path.startswith("/v1/")
    ]


def example(told: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A body that an operation takes; nothing where it takes none."""
    content = told.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return None
    name = content["schema"].get("$ref", "").rpartition("/")[2]
    return schemas.get(name, {}).get("examples", [None])[0]


def test_no_operation_reaches_another_tenant(
    couriers: Client, drivers: Client, theirs: dict[str, str]
) -> None:
    """Whatever is asked for by its name, its tenant or its number: nothing is told or changed."""
    before = has(drivers)
    schemas = describe_api()["components"]["schemas"]
    asked = 0
    for method, path, told in operations():
        resource = path.split("/")[2]
        url = re.sub(r"\{[^}]*\}", theirs.get(resource, "1"), path)
        words = {each["name"] for each in told.get("parameters", ()) if each["in"] == "query"}
        urls = [url]
        if "tenant" in words:
            urls.append(f"{url}?tenant=drivers")
        for word, value in (("x", theirs["x"]), ("binding", theirs["bindings"])):
            if word in words:
                urls.append(f"{url}?{word}={value}")
        body = example(told, schemas)
        bodies = [body]
        if isinstance(body, dict):
            bodies.append({**body, "tenant": "drivers"})
            bodies += [{**body, word: theirs["x"]} for word in ("x", "to")]
        for one in urls:
            for given in bodies:
                key = f"every-{asked}"
                answer = couriers.ask(method, one, given, If_Match="*", Idempotency_Key=key)
                asked += 1
                assert answer.status_code < 500, (method, one, answer.text)
                if resource in theirs and "{" in path:
                    assert answer.status_code >= 400, (method, one)
                for secret in ("drivers-", "drivers.example", theirs["keys"]):
                    assert secret not in answer.text, (method, one)
    assert asked > len(operations()) > len(METHODS)
    assert has(drivers) == before


@pytest.mark.parametrize("path", ["/v1/bindings", "/v1/groups", "/v1/events"])
def test_a_cursor_of_another_tenant(
    couriers: Client, drivers: Client, theirs: dict[str, str], path: str
) -> None:
    """It is a place and no right."""
    assert theirs
    cursor = drivers.get(f"{path}?limit=1")["next_cursor"]
    assert cursor
    told = couriers.get(f"{path}?cursor={cursor}")
    assert "drivers" not in json.dumps({**told, "next_cursor": None})
