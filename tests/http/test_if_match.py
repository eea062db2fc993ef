"""ETags that need not be sent: what has changed is not removed, what has not is not told again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.api import Client

A, B, C, D = (f"1380000060{serial}" for serial in range(4))


def bound(client: Client) -> tuple[str, dict[str, Any]]:
    made = client.bind(A, B, ttl=3600)
    return f"/v1/bindings/{made['id']}", {"max_calls": 5}


def of_group(client: Client) -> tuple[str, dict[str, Any]]:
    body = {"mode": "gxb", "members": [A], "b": B, "ttl": 3600}
    made = client.post("/v1/bindings", body, status=201)
    return f"/v1/bindings/{made['id']}", {"max_calls": 5}


def pool(client: Client) -> tuple[str, dict[str, Any]]:
    client.post("/v1/pools", {"name": "north"}, status=201)
    return "/v1/pools/north", {"mode": "axb"}


def group(client: Client) -> tuple[str, dict[str, Any]]:
    client.post("/v1/groups", {"name": "night", "members": [A]}, status=201)
    return "/v1/groups/night", {"label": "of the night"}


def webhook(client: Client) -> tuple[str, dict[str, Any]]:
    body = {"url": "https://shop.example/hooks", "types": ["call.ended"]}
    made = client.post("/v1/webhooks", body, status=201)
    return f"/v1/webhooks/{made['id']}", {"types": ["call.refused"]}


Made = Callable[[Client], tuple[str, dict[str, Any]]]


@pytest.mark.parametrize("make", [bound, pool, group, webhook])
def test_what_has_changed_since_is_not_removed(couriers: Client, make: Made) -> None:
    """Nor by an ETag that is none; but by its own, and by any."""
    path, change = make(couriers)
    before = couriers.ask("GET", path).headers["etag"]
    changed = couriers.ask("PATCH", path, change, If_Match=before)
    assert changed.status_code == 200, changed.text
    for stale in (before, '"none"'):
        refused = couriers.ask("DELETE", path, If_Match=stale)
        assert refused.status_code == 412, refused.text
        assert refused.json()["code"].endswith("_changed")
    assert "double quotes" in refused.json()["detail"]
    assert couriers.ask("GET", path).headers["etag"] == changed.headers["etag"]
    assert couriers.ask("DELETE", path, If_Match=changed.headers["etag"]).status_code == 200
    # What is not there is not changed.
    again = couriers.ask("DELETE", path, If_Match=changed.headers["etag"])
    assert again.status_code in {404, 409}


@pytest.mark.parametrize("make", [bound, pool, group, webhook])
def test_any_is_removed(couriers: Client, make: Made) -> None:
    path, _ = make(couriers)
    assert couriers.ask("DELETE", path, If_Match="*").status_code == 200


@pytest.mark.parametrize("make", [of_group, group])
def test_members_of_what_has_changed_since(couriers: Client, make: Made) -> None:
    """They neither come nor go; several go by one request though each makes a version."""
    path, change = make(couriers)
    before = couriers.ask("GET", path).headers["etag"]
    assert couriers.ask("PATCH", path, change, If_Match=before).status_code == 200
    now = couriers.ask("GET", path).headers["etag"]
    for etag, status in ((before, 412), (now, 200)):
        answer = couriers.ask("POST", f"{path}/members", {"members": [C, D]}, If_Match=etag)
        assert answer.status_code == status, answer.text
    now = couriers.ask("GET", path).headers["etag"]
    for etag, status in ((before, 412), (now, 200)):
        answer = couriers.ask("POST", f"{path}/members/remove", {"members": [C, D]}, If_Match=etag)
        assert answer.status_code == status, answer.text
    assert couriers.get(path)["members"] == ["138****0600"]


@pytest.mark.parametrize("make", [bound, pool, group, webhook])
def test_what_was_read_is_not_told_again(couriers: Client, make: Made) -> None:
    """Whichever of its ETags, weak ones too, are named; another one is told."""
    path, _ = make(couriers)
    etag = couriers.ask("GET", path).headers["etag"]
    for known in (etag, f"W/{etag}", f'"none", {etag}', "*"):
        same = couriers.ask("GET", path, If_None_Match=known)
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    for other in ('"none"', etag.strip('"'), ""):
        assert couriers.ask("GET", path, If_None_Match=other).status_code == 200


@pytest.mark.parametrize("kind", ["pools", "groups"])
def test_where_the_operator_finds_what_it_has_made(operator: Client, kind: str) -> None:
    """With its tenant, of whom there are many."""
    body = {"name": "north", "tenant": "couriers"}
    made = operator.ask("POST", f"/v1/{kind}", body, Idempotency_Key=kind)
    assert made.status_code == 201, made.text
    assert operator.get(made.headers["location"]) == made.json()
