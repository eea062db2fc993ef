"""A verification service that is asked about a text by HTTP keeps no store from other requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import connect
from agi_router.doors.http import pool as pools
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.keys.ring import KeyRing
from agi_router.messages import checker
from agi_router.service.text_place import open_place
from agi_router.settings import Settings
from harness.api import Client
from harness.database import NO_REST, SOON
from harness.verification import Service, a_service

A, B = "13800000001", "13800000002"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """A service that has as long as a test does."""
    monkeypatch.setattr(checker, "_PATIENCE", SOON)
    with a_service() as made:
        yield made


@pytest.fixture
def options(dsn: str, options: Options, service: Service) -> Options:
    """The operator's service is asked about texts."""
    settings = {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_CHECK_URL": f"http://127.0.0.1:{service.port}/texts",
        "AGI_ROUTER_CHECK_TEXTS": "on",
        "AGI_ROUTER_CHECK_TIMEOUT": "5",
        "AGI_ROUTER_DECISION_TIMEOUT": "8",
        "AGI_ROUTER_PATIENCE": "9",
    }
    return replace(options, open_place=partial(open_place, Settings.from_env(settings)))


@pytest.fixture
def stores(dsn: str, store: BindingStore, ring: KeyRing) -> Iterator[StorePool]:
    """One for all requests."""
    assert store
    pool = StorePool(lambda: BindingStore(connect(dsn), ring, NO_REST), 1)
    yield pool
    pool.close()


@pytest.mark.parametrize("decides", [True, False], ids=["decided", "sent"])
def test_others_are_served_meanwhile(
    decides: bool,  # noqa: FBT001
    operator: Client,
    couriers: Client,
    service: Service,
) -> None:
    """There is one store, and the service asks the door before it answers."""
    made = couriers.bind(A, B, ttl=7200, messages="both")
    answer, seen = service.answer, []

    def looks(id_: str) -> tuple[int, bytes]:
        seen.append(couriers.ask("GET", f"/v1/bindings/{made['id']}").status_code)
        return answer(id_)

    service.answer = looks  # type: ignore[method-assign]
    asked: dict[str, Any] = {"from": A, "to": made["x"]}
    if decides:
        told = operator.post("/v1/messages/decisions", {**asked, "octets": 3})
        assert told["verdict"] == "take"
    else:
        told = operator.post("/v1/messages", {**asked, "text": "ok"}, status=202)
    assert seen == [200]
    record = couriers.get(f"/v1/messages/{told['id']}")
    assert (record["check_verdict"], record["binding"]) == ("yes", made["id"])


def test_who_was_confirmed_waits_for_the_only_store(
    monkeypatch: pytest.MonkeyPatch, couriers: Client, service: Service
) -> None:
    """A text that is stored is never told as one with which nothing was done."""
    made = couriers.bind(A, B, ttl=7200, messages="both")
    # None of them waits to begin; then all are confirmed at once, and whoever comes anew waits
    # for no time at all.
    monkeypatch.setattr(pools, "_WAIT", SOON)
    answer = service.answer
    all_asked = threading.Barrier(4, lambda: monkeypatch.setattr(pools, "_WAIT", 0.0))

    def together(id_: str) -> tuple[int, bytes]:
        all_asked.wait(SOON)
        return answer(id_)

    service.answer = together  # type: ignore[method-assign]

    def send(serial: int) -> str:
        asked = {"from": A, "to": made["x"], "text": f"ok {serial}"}
        return str(couriers.post("/v1/messages", asked, status=202)["id"])

    with ThreadPoolExecutor(4) as crowd:
        assert len(set(crowd.map(send, range(4)))) == 4
