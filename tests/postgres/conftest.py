"""A database of its own for every test, on every server that is supported."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, connect
from agi_router.keys.ring import KeyRing
from harness.cells import CELLS, Cells
from harness.database import NEWEST, NO_REST, SOON, Clock, Proxy, Server, until_async
from harness.values import BLOCK

# The fixtures that are of a version.
_OF_A_VERSION = ("server", "durable_server", "gate", "version")


def pytest_configure(config: pytest.Config) -> None:
    """Which PostgreSQL a test is run on."""
    config.addinivalue_line(
        "markers", "postgres(version, ...): run on these, not on the newest one alone"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test runs on the newest version; one of SQL itself on the oldest as well."""
    marker = metafunc.definition.get_closest_marker("postgres")
    versions = marker.args if marker is not None else (NEWEST,)
    if metafunc.config.getoption("--cells"):
        versions = (CELLS,)
    for name in _OF_A_VERSION:
        if name in metafunc.fixturenames:
            ids = [f"pg{version}" for version in versions]
            metafunc.parametrize(name, versions, ids=ids, indirect=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    """What is generated can be written anew."""
    parser.addoption("--write-schema", action="store_true", help="postgres: write schema.sql anew")
    parser.addoption(
        "--cells",
        action="store_true",
        help="postgres: on a global database with two cells in place of one database",
    )
    parser.addoption(
        "--kills", type=int, default=4, help="postgres: how often texts meet a kill -9; default 4"
    )


@pytest.fixture
def kills(request: pytest.FixtureRequest) -> int:
    """How often what texts need is killed."""
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server | Cells]]:
    """
    One of each version, from when it is first asked for to the end.

    What has a parameter pytest ends whenever another one's turn has come.
    """
    with ExitStack() as stack:

        @cache
        def running(version: str) -> Server | Cells:
            if version == CELLS:
                return stack.enter_context(Cells())
            return stack.enter_context(Server(version))

        yield running


@pytest.fixture(scope="session")
def server(
    request: pytest.FixtureRequest, servers: Callable[[str], Server | Cells]
) -> Server | Cells:
    """A running PostgreSQL, with a migrated database to clone; or several that stand for one."""
    return servers(request.param)


@pytest.fixture(scope="module")
def durable_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A PostgreSQL that may be killed and keeps what it has committed."""
    with Server(request.param, durable=True) as running:
        yield running


@pytest.fixture
def version(request: pytest.FixtureRequest) -> str:
    """A version, for a test that makes servers of its own."""
    return str(request.param)


@pytest.fixture
def dsn(server: Server) -> Iterator[str]:
    """A migrated database without blocks."""
    cloned = server.clone()
    yield cloned
    server.drop(cloned)


@pytest.fixture
def empty_dsn(server: Server) -> Iterator[str]:
    """A database that was never migrated."""
    cloned = server.clone(migrated=False)
    yield cloned
    server.drop(cloned)


@pytest.fixture
def clock(server: Server, dsn: str) -> Iterator[Clock]:
    """The clock of this test's database; ask for it before any connection."""
    shadow = server.clock(dsn)
    yield shadow
    shadow.close()


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to this test's database, which may stand still in a transaction for long."""
    with connect(dsn, idle=int(SOON)) as opened:
        yield opened


@pytest.fixture
def cell(server: Server | Cells, dsn: str) -> Iterator[Connection]:
    """
    A connection to the database that has the rows of the first block.

    One box is one cell with nothing else: there it is this test's database.
    """
    with connect(server.cell(dsn), idle=int(SOON)) as opened:
        yield opened


@pytest.fixture
def keys() -> KeyRing:
    """New keys."""
    return KeyRing.generate()


@pytest.fixture
def store(connection: Connection, keys: KeyRing) -> BindingStore:
    """Where bindings are made, with one block to make them in."""
    opened = BindingStore(connection, keys, NO_REST)
    opened.inventory.add_block(BLOCK, operator=None, certificate=None)
    return opened


async def connected(admissions: AdmissionStore, request: pytest.FixtureRequest) -> None:
    """
    Wait until a store has a connection.

    A test that goes on with work of its own for longer than a connection may take would be told
    that the server does not answer. One that sets the clock does so before there is a connection.
    """
    if "clock" not in request.fixturenames:
        await until_async(lambda: admissions.pool.connected)


@pytest.fixture
async def admissions(
    dsn: str, keys: KeyRing, request: pytest.FixtureRequest
) -> AsyncIterator[AdmissionStore]:
    """Where calls are admitted and settled."""
    async with AdmissionStore(dsn, keys, connections=4) as opened:
        await connected(opened, request)
        yield opened


@pytest.fixture
def open_store(connection: Connection, store: BindingStore, keys: KeyRing) -> BindingStore:
    """Where numbers may be bound that strangers can call."""
    assert store
    return BindingStore(connection, keys, NO_REST, open_modes=True)


@pytest.fixture
async def open_admissions(
    dsn: str, keys: KeyRing, request: pytest.FixtureRequest
) -> AsyncIterator[AdmissionStore]:
    """Where strangers get through, if a binding says so."""
    async with AdmissionStore(dsn, keys, connections=4, open_modes=True) as opened:
        await connected(opened, request)
        yield opened


@pytest.fixture
async def proxy(dsn: str) -> AsyncIterator[Proxy]:
    """A line to this test's database that can be cut."""
    async with Proxy(dsn).running() as running:
        yield running


@pytest.fixture
async def through_proxy(
    proxy: Proxy, keys: KeyRing, request: pytest.FixtureRequest
) -> AsyncIterator[AdmissionStore]:
    """A store behind the line that can be cut."""
    async with AdmissionStore(proxy.dsn, keys, connections=1) as opened:
        await connected(opened, request)
        yield opened


@pytest.fixture
def shadowed(clock: Clock, dsn: str) -> Iterator[Connection]:
    """A connection whose clock can be set."""
    assert clock
    with connect(dsn) as opened:
        yield opened
