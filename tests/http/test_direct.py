"""The short way of a bind: what is asked by it is answered as by the way of all others."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from agi_router.doors.http import direct
from agi_router.doors.http.pool import StorePool
from harness.api import Client

A, B, C = "13800000001", "13800000002", "13800000003"
_JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", sorted(direct.WAYS))
@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a": "1', {}),
        (b"\xff", {}),
        (b"", {}),
        (b"null", {}),
        (b"[]", {}),
        (b"[" * 100_000, {}),
        (b"{}", {}),
        (b'{"a": 1, "b": [], "ttl": true, "13800000003": NaN}', {}),
        (b'{"bindings": [{"a": 1}, {"window": 0.5}, 7]}', {}),
        (b'{"bindings": []}', {}),
        (b"{}", {"Content-Type": "application/xml"}),
        (b"{}", {"Content-Encoding": "gzip"}),
        (b"{}", {"Authorization": "Bearer nothing"}),
        (b"{}", {"Authorization": ""}),
    ],
)
def test_it_is_answered_as_by_the_framework(
    couriers: Client,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    body: bytes,
    headers: dict[str, str],
) -> None:
    """Whatever is wrong, the answers differ by nothing but their ids."""

    def ask() -> tuple[int, dict[str, str], Any]:
        given = {"Authorization": f"Bearer {couriers.bearer}", **_JSON, **headers}
        answer = couriers.http.post(path, content=body, headers=given)
        told, heads = answer.json(), dict(answer.headers)
        assert told.pop("instance").endswith(f":{heads.pop('x-request-id')}")
        return answer.status_code, heads, told

    by_it = ask()
    monkeypatch.setattr(direct, "WAYS", {})
    assert ask() == by_it
    assert by_it[0] in {400, 401, 415, 422}


def test_a_query_is_none_of_it(couriers: Client) -> None:
    """A bind has no query: what stands there is refused, as elsewhere."""
    answer = couriers.ask("POST", "/v1/bindings?a=1", {"a": A, "b": B}, Idempotency_Key="one")
    assert (answer.status_code, answer.json()["code"]) == (422, "query_invalid")


def test_other_methods_go_the_way_of_all(couriers: Client) -> None:
    """A list is read at the same path."""
    assert couriers.get("/v1/bindings")["bindings"] == []
    for path, methods in (
        ("/v1/bindings", "GET, POST"),
        ("/v1/groups/night-shift/members", "POST, PUT"),
        ("/livez", "GET"),
    ):
        answer = couriers.ask("TRACE", path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)


def test_what_fails_inside_tells_nothing(
    couriers: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault of ours is a 500 without a word of it, and the log names its place."""

    def fail(*_: Any) -> None:
        raise ValueError(C)

    _, model = direct.WAYS["/v1/bindings"]
    monkeypatch.setitem(direct.WAYS, "/v1/bindings", (fail, model))
    answer = couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, Idempotency_Key="one")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert C not in answer.text
    failed = [each for each in caplog.records if each.getMessage() == "http.failed"]
    assert [each.error for each in failed] == ["ValueError"]  # type: ignore[attr-defined]
    assert C not in caplog.text


def test_no_thread_keeps_the_process(couriers: Client) -> None:
    """Though the database stood still and a thread waited for it, the door could end."""
    answer = couriers.ask("POST", "/v1/bindings", {"a": A, "b": B}, Idempotency_Key="one")
    assert answer.status_code == 201
    threads = [each for each in threading.enumerate() if each.name == "store"]
    assert threads
    assert all(each.daemon for each in threads)


@pytest.mark.parametrize("error", [StopIteration(), SystemExit(3)], ids=repr)
async def test_work_that_fails_as_none_should(error: BaseException) -> None:
    """Whoever waits for it hears so, and its thread and its turn are free again."""
    pool = StorePool(lambda: pytest.fail("nobody asks for a store"), 1)

    def fail() -> None:
        raise error

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await pool.run(fail)
    assert await pool.run(lambda: 1) == 1
    pool.close()
