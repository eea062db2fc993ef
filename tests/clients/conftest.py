"""The HTTP door in service, and the clients of Alibaba Cloud, as they are to be had."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.rates import OFF
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope
from harness.database import NEWEST, NO_REST, Server, until
from harness.values import BLOCK

HERE = Path(__file__).parent
POOL = "couriers"

Ask = Callable[[str, str, dict[str, Any]], dict[str, Any]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """The full length, which takes minutes."""
    parser.addoption(
        "--random-texts",
        type=int,
        default=60,
        help="clients: how many random texts go round by SMPP at each message centre; default 60",
    )


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """A migrated database; the server goes, and so does it."""
    with Server(NEWEST) as server:
        yield server.clone()


@pytest.fixture(scope="session")
def connection(dsn: str) -> Iterator[Connection]:
    """A connection to it."""
    with connect(dsn) as opened:
        yield opened


@pytest.fixture(scope="session")
def store(connection: Connection) -> BindingStore:
    """Its bindings, with a tenant and its own block to make them in."""
    ring = check_keys(connection, KeyRing.generate())
    opened = BindingStore(connection, ring, NO_REST)
    opened.inventory.tenants.add(POOL)
    opened.inventory.add_block(BLOCK, operator=None, certificate=None, tenant=POOL)
    return opened


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where sealed recordings lie."""
    return tmp_path_factory.mktemp("sealed")


@pytest.fixture(scope="session")
def endpoint(dsn: str, store: BindingStore, sealed: Path) -> Iterator[str]:
    """Host and port of a door that is in service."""
    options = Options(
        rate=OFF,
        wrong_keys=OFF,
        ttl=timedelta(hours=24),
        open_modes=True,
        recordings_sealed=sealed,
    )
    pool = StorePool(lambda: BindingStore(connect(dsn), store.keys, NO_REST, open_modes=True), 2)
    server = uvicorn.Server(
        uvicorn.Config(
            create_app(pool, options),
            http="httptools",
            loop="asyncio",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            # A client that reuses a connection must not meet its end.
            timeout_keep_alive=3600,
        )
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            until(lambda: server.started)
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            pool.close()


@pytest.fixture(scope="session")
def credentials(connection: Connection, store: BindingStore) -> tuple[str, str]:
    """Id and secret of a key that signs."""
    key, secret = ApiKeyStore(Queries(connection)).add(
        tenant=POOL,
        form=KeyForm.SIGNED,
        label="clients",
        scopes=frozenset(each for each in KeyScope if not each.of_operator),
        networks=(),
        life=timedelta(hours=1),
        keys=store.keys,
    )
    return key.id, secret


class Speaker:
    """
    A process that asks by the clients of one language, a line each.

    Args:
        command: What starts it.
        environment: What it has beside PATH.
    """

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "NO_PROXY": "127.0.0.1", **environment},
        )

    def ask(self, client: str, action: str, given: dict[str, Any]) -> dict[str, Any]:
        """What a client returns or raises."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({"client": client, "action": action, "given": given})
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        told = json.loads(self._process.stdout.readline())
        assert isinstance(told, dict)
        return told

    def end(self) -> None:
        """Let it end."""
        self._process.communicate()
        assert self._process.returncode == 0


@pytest.fixture(scope="session")
def ask(endpoint: str, credentials: tuple[str, str]) -> Iterator[Ask]:
    """Asks by a client, whose name tells the language."""
    installed = Path(os.environ["PBX_CLIENTS"])
    python = [str(installed / "venv/bin/python"), str(HERE / "sdk.py")]
    node = ["node", str(HERE / "node.js")]
    speakers = {
        "sdk": Speaker([*python, endpoint, *credentials], {}),
        "node": Speaker(
            [*node, endpoint, *credentials], {"NODE_PATH": str(installed / "node_modules")}
        ),
    }

    def ask(client: str, action: str, given: dict[str, Any]) -> dict[str, Any]:
        language = "node" if client.startswith(("openapi", "pop")) else "sdk"
        return speakers[language].ask(client, action, given)

    yield ask
    for speaker in speakers.values():
        speaker.end()
