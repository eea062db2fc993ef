"""What is asked again is answered again, and made once."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.doors.http import idempotency
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope
from harness.alibaba import beijing, sign_rpc
from harness.api import Client
from harness.database import NO_REST, SOON, one, until

A, B, C = (f"1380000030{serial}" for serial in range(3))
BODY = {"a": A, "b": B, "ttl": 3600}

WAITING = (
    "SELECT count(*) FROM pg_locks l WHERE NOT l.granted"
    " AND l.relation = 'agi_router.party_group'::regclass"
)

# A door of one store that is killed when its n-th answer is about to go out: what was made is
# committed.
KILLED = """
import asyncio, os, signal, sys
import uvicorn
from agi_router.doors.http.app import create_app
from agi_router.doors.http.pool import StorePool
from agi_router.service.http_server import options_of, store_opener
from agi_router.settings import Settings

settings = Settings.from_env(os.environ)
keys = settings.load_keys()
app = create_app(StorePool(store_opener(settings, lambda: keys), 1), options_of(settings))

answers = 0

async def killed(scope, receive, send):
    async def killing(message):
        global answers
        if message["type"] == "http.response.start":
            answers += 1
            if answers == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
        await send(message)
    await app(scope, receive, killing if scope["path"] in ("/v1/bindings", "/") else send)

uvicorn.run(killed, fd=int(sys.argv[1]), log_level="critical", lifespan="off")
"""


def ask(client: Client, body: Any = BODY, key: str = "one") -> httpx2.Response:
    """Bind, under a key."""
    return client.ask("POST", "/v1/bindings", body, Idempotency_Key=key)


def bindings(connection: Connection) -> int:
    """How many were made."""
    return int(one(connection, "SELECT count(*) FROM agi_router.binding"))


def test_the_same_request_is_answered_again(couriers: Client, connection: Connection) -> None:
    """With the same headers; a name in another order changes nothing."""
    first = ask(couriers)
    again = ask(couriers, {"ttl": 3600, "b": B, "a": A}, key='"one"')
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["location"] == first.headers["location"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert bindings(connection) == 1


def test_another_request_under_the_same_key(couriers: Client, connection: Connection) -> None:
    """Is refused; under another one it is made."""
    assert ask(couriers).status_code == 201
    other = ask(couriers, {**BODY, "ttl": 3601})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    batch = couriers.ask("POST", "/v1/bindings/batch", {"bindings": [BODY]}, Idempotency_Key="one")
    assert batch.json()["code"] == "idempotency_key_reused"
    assert bindings(connection) == 1


def test_keys_are_of_a_tenant(couriers: Client, drivers: Client, connection: Connection) -> None:
    """Two may use the same one."""
    assert ask(couriers).json()["tenant"] == "couriers"
    assert ask(drivers).json()["tenant"] == "drivers"
    assert bindings(connection) == 2


def test_a_key_is_needed(couriers: Client, connection: Connection) -> None:
    """Of visible characters."""
    for headers in ({}, {"Idempotency_Key": ""}, {"Idempotency_Key": "x" * 129}):
        answer = couriers.ask("POST", "/v1/bindings", BODY, **headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_missing")
    assert bindings(connection) == 0


def test_what_was_refused_can_be_asked_again(couriers: Client, connection: Connection) -> None:
    """Nothing was made, so nothing is remembered."""
    wanted = {"a": A, "b": C, "x": ask(couriers, key="before").json()["x"]}
    assert ask(couriers, wanted).status_code == 409
    connection.execute("UPDATE agi_router.binding SET state = 'unbound', ended_at = now()")
    connection.execute("DELETE FROM agi_router.route")
    assert ask(couriers, wanted).status_code == 201


def test_what_is_remembered(couriers: Client, connection: Connection) -> None:
    """Neither the key nor the request, and no number of a party."""
    assert ask(couriers, key=A).status_code == 201
    row = connection.execute("SELECT * FROM agi_router.answer").fetchone()
    assert row is not None
    assert row["status"] == 201
    assert not any(number in str(row) for number in (A, B))
    assert A.encode() not in row["name"] + row["payload"]


def test_keys_that_were_rotated_since(
    couriers: Client,
    dsn: str,
    ring: KeyRing,
    options: Options,
    connection: Connection,
) -> None:
    """The answer is found under the older key."""
    first = ask(couriers)
    later = ring.with_new("tag", 2).using(tag=2, seal=1)
    pool = StorePool(lambda: BindingStore(connect(dsn), later, NO_REST), 1)
    with TestClient(create_app(pool, options)) as http:
        again = ask(Client(http, couriers.bearer))
        other = ask(Client(http, couriers.bearer), {**BODY, "ttl": 61})
    pool.close()
    assert again.content == first.content
    assert other.json()["code"] == "idempotency_key_reused"
    assert bindings(connection) == 1


def test_twenty_at_once(couriers: Client, connection: Connection) -> None:
    """One binding, and one answer for all."""
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(couriers), range(20)))
    # Who finds no store in a second is told so, and asks again.
    answers = [ask(couriers) if each.status_code == 503 else each for each in answers]
    assert {each.status_code for each in answers} == {201}
    assert len({each.content for each in answers}) == 1
    assert bindings(connection) == 1


def test_the_first_is_still_being_done(
    couriers: Client, connection: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is told so after a while; its answer is there once the first has one."""
    monkeypatch.setattr(idempotency, "PATIENCE", 50)
    asked = ("POST", "/v1/groups", {"name": "night-shift"})
    with connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute("LOCK TABLE agi_router.party_group IN EXCLUSIVE MODE")
            first = pool.submit(couriers.ask, *asked, Idempotency_Key="one")
            until(lambda: one(connection, WAITING) == 1)
            second = couriers.ask(*asked, Idempotency_Key="one")
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_running")
        assert second.headers["retry-after"] == "1"
        assert first.result().status_code == 201
    assert couriers.ask(*asked, Idempotency_Key="one").content == first.result().content


def test_a_bind_is_still_being_done(
    couriers: Client, connection: Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of a bind that is made by one statement."""
    monkeypatch.setattr(idempotency, "PATIENCE", 50)
    for key in ("before", "last"):
        assert ask(couriers, {**BODY, "a": C}, key).status_code == 201
    with connect(dsn) as other, ThreadPoolExecutor(2) as pool:
        with other.transaction():
            other.execute("LOCK TABLE agi_router.binding IN EXCLUSIVE MODE")
            first = pool.submit(ask, couriers)
            until(lambda: one(connection, WAITING.replace("party_group", "binding")) == 1)
            # Not from here: it would hold what it waits for.
            second = pool.submit(ask, couriers).result(timeout=4)
        assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_running")
        assert first.result().status_code == 201
    assert ask(couriers).content == first.result().content


def test_killed_after_the_commit_before_the_answer(
    door: Doors, connection: Connection, make_key: Callable[..., str]
) -> None:
    """Alone, or among several that were bound together: asked again they have one answer each."""
    bearer = make_key("couriers")
    keys = [f"key-{serial}" for serial in range(6)]
    told: list[list[httpx2.Response | None]] = []
    for asked, last in ((keys[:1], 1), (keys[1:], 2), (keys, 0)):
        with door(last) as port, ThreadPoolExecutor(len(asked)) as crowd:
            told.append(list(crowd.map(lambda key: _post(port, bearer, key), asked)))
    assert told[0] == [None]
    assert [each is None for each in told[1]].count(False) == 1
    answers = [each for each in told[2] if each is not None and each.status_code == 201]
    assert len(answers) == len(keys)
    # The one that was alone, the one that was told, and the one that was about to be, at least.
    replayed = [each for each in answers if "idempotency-replayed" in each.headers]
    assert len(replayed) >= 3
    made = connection.execute("SELECT block || '-' || id AS name FROM agi_router.binding")
    assert sorted(json.loads(each.content)["id"] for each in answers) == sorted(
        row["name"] for row in made
    )


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["OutOrderId", "OrderId"])
def test_killed_by_the_door_for_clients_of_alibaba_cloud(
    name: str, door: Doors, connection: Connection, ring: KeyRing
) -> None:
    """The same; asked again by the name of the request, or for the same order and parties."""
    key, secret = ApiKeyStore(Queries(connection)).add(
        tenant="couriers",
        form=KeyForm.SIGNED,
        label="test",
        scopes=frozenset({KeyScope.BINDINGS_WRITE}),
        networks=(),
        life=timedelta(hours=1),
        keys=ring,
    )
    wish = {"PoolKey": "couriers", "TelA": A, "TelB": B, "OrderId": "A-1001", name: "A-1001"}
    wish["Expiration"] = beijing(timedelta(hours=1))
    told = []
    for last in (1, 0):
        values = sign_rpc("BindAxb700", wish, key_id=key.id, secret=secret)
        with door(last) as port:
            told.append(_sent(f"http://127.0.0.1:{port}/", data=values))
    assert told[0] is None
    assert told[1] is not None
    answer = told[1].json()
    assert answer["Code"] == "OK"
    assert answer["Data"]["SubsId"] == one(connection, "SELECT id FROM agi_router.binding")


Doors = Callable[[int], AbstractContextManager[int]]


@pytest.fixture
def door(dsn: str, ring: KeyRing, tmp_path: Path) -> Doors:
    """A door on some port, killed as it is about to give its n-th answer; 0: afterwards."""
    write_key_ring(tmp_path / "key", ring)
    env = {
        "PATH": os.environ["PATH"],
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
    }

    @contextmanager
    def run(last: int) -> Iterator[int]:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            process = subprocess.Popen(
                [sys.executable, "-c", KILLED, str(listener.fileno()), str(last)],
                env=env,
                pass_fds=[listener.fileno()],
            )
        try:
            yield port
        finally:
            process.kill()
            code = process.wait(SOON)
        assert code == -signal.SIGKILL

    return run


def _post(port: int, bearer: str, key: str) -> httpx2.Response | None:
    """Bind; no answer where the other side is gone."""
    return _sent(
        f"http://127.0.0.1:{port}/v1/bindings",
        json=BODY,
        headers={"Authorization": f"Bearer {bearer}", "Idempotency-Key": key},
    )


def _sent(url: str, **said: Any) -> httpx2.Response | None:
    try:
        return httpx2.post(url, timeout=4 * SOON, **said)
    except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.ConnectError):
        return None
