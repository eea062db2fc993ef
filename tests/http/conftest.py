"""The HTTP door on a real PostgreSQL, asked by a client in the same process."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from unittest import mock

import pytest
from fastapi import FastAPI
from starlette.datastructures import State
from starlette.testclient import TestClient

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.doors.http import app as app_room
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.rates import OFF
from agi_router.service.text_place import open_place
from agi_router.settings import Settings
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope, write_bearer
from harness.api import Client
from harness.database import NO_REST, Server
from harness.values import BLOCK

VERSION = "18"
TENANTS = ("couriers", "drivers")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running PostgreSQL; what differs between versions is for the tier postgres."""
    with Server(VERSION) as running:
        yield running


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    """A migrated database."""
    cloned = server.clone()
    yield cloned
    server.drop(cloned)


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to it."""
    with connect(dsn) as opened:
        yield opened


@pytest.fixture
def ring(connection: Connection) -> KeyRing:
    """Its keys."""
    return check_keys(connection, KeyRing.generate())


@pytest.fixture
def store(connection: Connection, ring: KeyRing) -> BindingStore:
    """Its bindings, with two tenants and a block to make them in."""
    opened = BindingStore(connection, ring, NO_REST)
    for name in TENANTS:
        opened.inventory.tenants.add(name)
    opened.inventory.add_block(BLOCK, operator=None, certificate=None)
    return opened


@pytest.fixture
def options(dsn: str) -> Options:
    """As they are where nothing is set, without limits."""
    place = partial(open_place, Settings.from_env({"AGI_ROUTER_DSN": dsn}))
    return Options(rate=OFF, wrong_keys=OFF, ttl=timedelta(hours=24), open_place=place)


@pytest.fixture(scope="session", autouse=True)
def routes() -> Iterator[None]:
    """
    Those of the door are read once, and not for each test.

    FastAPI reads them when the first of them is asked for, which takes a tenth of a second. What
    else a door has is its own.
    """
    read = app_room._routes()

    def of_one_door() -> FastAPI:
        made = copy.copy(read)
        made.state = State()
        return made

    with mock.patch.object(app_room, "_routes", of_one_door):
        yield


@pytest.fixture
def stores(dsn: str, store: BindingStore, ring: KeyRing) -> Iterator[StorePool]:
    """What requests work with."""
    assert store
    pool = StorePool(lambda: BindingStore(connect(dsn), ring, NO_REST, open_modes=True), 4)
    yield pool
    pool.close()


@pytest.fixture
def http(stores: StorePool, options: Options) -> Iterator[TestClient]:
    """Whoever asks without a key."""
    # What fails inside is answered, not raised: so it is in service.
    client = TestClient(create_app(stores, options), raise_server_exceptions=False)
    with client:
        yield client


@pytest.fixture
def make_key(connection: Connection, store: BindingStore, ring: KeyRing) -> Callable[..., str]:
    """Make a key of a tenant, or of the operator, and return what is shown as a bearer."""
    assert store

    def make(tenant: str | None, *scopes: KeyScope, **terms: Any) -> str:
        given: dict[str, Any] = {"networks": (), "life": timedelta(hours=1), **terms}
        allowed = frozenset(
            scopes or (each for each in KeyScope if tenant is None or not each.of_operator)
        )
        key, secret = ApiKeyStore(Queries(connection)).add(
            tenant=tenant,
            form=KeyForm.BEARER,
            label="test",
            scopes=allowed,
            keys=ring,
            **given,
        )
        return write_bearer(key.id, secret)

    return make


@pytest.fixture
def couriers(http: TestClient, make_key: Callable[..., str]) -> Client:
    """A tenant, with every scope that it may have."""
    return Client(http, make_key("couriers"))


@pytest.fixture
def drivers(http: TestClient, make_key: Callable[..., str]) -> Client:
    """Another tenant, with every scope that it may have."""
    return Client(http, make_key("drivers"))


@pytest.fixture
def operator(http: TestClient, make_key: Callable[..., str]) -> Client:
    """The operator, with every scope."""
    return Client(http, make_key(None))
