"""``If-Match`` where it need not be sent: who sends it changes nothing that has changed since."""

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
    body = {"mode": "gxb", "g": [A], "b": B, "ttl": 3600}
    made = client.post("/v1/bindings", body, status=201)
    return f"/v1/bindings/{made['id']}", {"max_calls": 5}


def pool(client: Client) -> tuple[str, dict[str, Any]]:
    client.post("/v1/pools", {"name": "north"}, status=201)
    return "/v1/pools/north", {"mode": "axb"}


def group(client: Client) -> tuple[str, dict[str, Any]]:
    client.post("/v1/groups", {"name": "night", "g": [A]}, status=201)
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
        answer = couriers.ask("POST", f"{path}/members", {"g": [C, D]}, If_Match=etag)
        assert answer.status_code == status, answer.text
    now = couriers.ask("GET", path).headers["etag"]
    for etag, status in ((before, 412), (now, 200)):
        answer = couriers.ask("POST", f"{path}/members/remove", {"g": [C, D]}, If_Match=etag)
        assert answer.status_code == status, answer.text
    assert couriers.get(path)["g"] == ["138****0600"]
