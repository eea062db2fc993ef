"""More who ask than there are threads: those that wait take nothing from those that are served."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import connect
from agi_router.doors.http import pool as pools
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.keys.ring import KeyRing
from harness.api import Client
from harness.database import NO_REST, SOON, until

# More than the threads in which handlers run.
ASKING = 60


def test_who_waits_takes_no_thread(
    dsn: str,
    ring: KeyRing,
    couriers: Client,
    options: Options,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All are served in turn, as soon as the only store is free."""
    monkeypatch.setattr(pools, "_WAIT", 8 * SOON)
    stores = StorePool(lambda: BindingStore(connect(dsn), ring, NO_REST), 1)
    app, came = create_app(stores, options), []

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        came.append(scope["type"])
        await app(scope, receive, send)

    door = TestClient(counting, client=("127.0.0.1", 1))
    with door as http, ThreadPoolExecutor(ASKING) as crowd:
        client = Client(http, couriers.bearer)

        def ask(serial: int) -> int:
            if serial % 10:
                return client.ask("GET", "/v1/bindings").status_code
            return http.get("/readyz").status_code

        with stores.lend():
            asked = [crowd.submit(ask, serial) for serial in range(ASKING)]
            until(lambda: came.count("http") == ASKING, timeout=8 * SOON)
            assert http.get("/livez").status_code == 200
        found = [each.result(8 * SOON) for each in asked]
    stores.close()
    assert found == [200] * ASKING
