"""Block lists by HTTP."""

from __future__ import annotations

from datetime import UTC, datetime

from agi_router.cursors import Cursor
from harness.api import Client

A, B, C = (f"1380000073{serial}" for serial in range(3))


def _why(client: Client, call: dict[str, str]) -> str | None:
    """Why a call would be refused, if it would."""
    reason: str | None = client.post("/v1/explanations", call)["reason"]
    return reason


def test_somebody_is_kept_from_somebody(operator: Client, couriers: Client) -> None:
    """By a tenant in its own bindings; masked, and found by either number."""
    made = couriers.post(
        "/v1/blocklist", {"person": A, "other": B, "direction": "out"}, status=201
    )
    assert made["person"].startswith("138****")
    assert (made["tenant"], made["direction"]) == ("couriers", "out")
    assert couriers.get(f"/v1/blocklist/{made['id']}") == made
    for number in (A, B):
        found = couriers.post("/v1/blocklist/search", {"person": number})["entries"]
        assert found == [made]
    explained = {"from": A, "to": couriers.bind(A, B)["x"]}
    assert _why(couriers, explained) == "blocked"
    assert _why(couriers, {**explained, "from": B}) is None
    hidden = operator.post("/v1/blocklist", {"person": C}, status=201)
    assert hidden["tenant"] is None
    told = couriers.ask("GET", f"/v1/blocklist/{hidden['id']}")
    assert (told.status_code, told.json()["code"]) == (404, "blocklist_entry_not_found")
    assert couriers.ask("GET", f"/v1/blocklist/{A}x").status_code == 404
    removed = couriers.post(f"/v1/blocklist/{made['id']}/remove", {})
    assert removed["state"] == "removed"
    again = couriers.ask("POST", f"/v1/blocklist/{made['id']}/remove", {})
    assert (again.status_code, again.json()["code"]) == (409, "blocklist_entry_over")
    assert _why(couriers, explained) is None


def test_pages(operator: Client) -> None:
    """Newest first, each entry once."""
    made = [operator.post("/v1/blocklist", {"person": A}, status=201)["id"] for _ in range(3)]
    first = operator.get("/v1/blocklist?limit=2")
    rest = operator.get(f"/v1/blocklist?limit=2&cursor={first['next_cursor']}")
    assert [each["id"] for each in (*first["entries"], *rest["entries"])] == made[::-1]
    told = operator.ask("GET", f"/v1/blocklist?cursor={Cursor(datetime.now(UTC), 'x')}")
    assert (told.status_code, told.json()["code"]) == (422, "cursor_invalid")


def test_what_makes_no_sense(operator: Client) -> None:
    """It is refused, and nothing of it is told back."""
    for place, body in enumerate(
        (
            {},
            {"person": "1"},
            {"person": A, "other": A},
            {"person": A, "direction": "up"},
            {"person": A, "ends_at": "2020-01-01T00:00:00+00:00"},
        )
    ):
        told = operator.ask("POST", "/v1/blocklist", body, Idempotency_Key=f"b-{place}")
        assert told.status_code == 422, told.text
        assert A not in told.text
