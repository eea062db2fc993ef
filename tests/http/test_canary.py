"""Canary numbers are asked for in every way, right and wrong, and told and kept nowhere."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from agi_router.db.connection import Connection, Queries
from agi_router.doors.http.app import create_app, describe_api
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.keys.ring import KeyRing
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope
from harness.alibaba import AlibabaClient, beijing
from harness.api import Client
from harness.canaries import found
from harness.database import HOUR

A, B, C, D = CANARIES = ("13966660472", "15077772584", "18688883695", "17799994706")
# In the place of those of the document's examples.
INVENTED = {f"1380000000{serial}": canary for serial, canary in enumerate(CANARIES, 1)}
METHODS = {"get", "post", "put", "patch", "delete"}
# They hand numbers out, each time on record.
TELL = {"/v1/findings/take", "/v1/traces", "/v1/traces/persons"}
OURS = ("agi_router", "uvicorn", "fastapi", "psycopg")
WRONG = (f"{A}x", {A: A})


@pytest.fixture
def http(stores: StorePool, options: Options) -> Iterator[TestClient]:
    """Whoever asks, on this host: from elsewhere Alibaba Cloud's clients need TLS."""
    app = create_app(stores, options)
    with TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 1)) as client:
        yield client


def operations() -> Iterator[tuple[str, str, Any]]:
    """Method and path of each, and a body that it takes, with canaries in it."""
    document = describe_api()
    for path, methods in document["paths"].items():
        for method, told in methods.items():
            if method in METHODS and path.startswith("/v1/"):
                content = told.get("requestBody", {}).get("content", {})
                name = content.get("application/json", {}).get("schema", {}).get("$ref", "")
                schema = document["components"]["schemas"].get(name.rpartition("/")[2], {})
                text = json.dumps(schema.get("examples", [None])[0])
                for invented, canary in INVENTED.items():
                    text = text.replace(invented, canary)
                yield method.upper(), path, json.loads(text)


def wrong_bodies(body: Any) -> Iterator[Any]:
    """The same with canaries where none belongs. What may be any text is kept as it comes."""
    if isinstance(body, dict):
        yield {**body, A: A}
        for field, value in body.items():
            if not isinstance(value, str | list) or any(each in str(value) for each in CANARIES):
                yield from ({**body, field: wrong} for wrong in WRONG)


def dumped(connection: Connection) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, as text."""
    tables = connection.execute(
        "SELECT c.oid::regclass::text AS name FROM pg_class c"
        " WHERE c.relnamespace = 'agi_router'::regnamespace AND c.relkind = 'r'"
    ).fetchall()
    for table in tables:
        rows = connection.execute(f"SELECT t::text AS row FROM {table['name']} t".encode())
        yield table["name"], "\n".join(row["row"] for row in rows).encode()


def test_canaries_lie_nowhere(
    http: TestClient,
    make_key: Callable[..., str],
    connection: Connection,
    ring: KeyRing,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """No answer, line of the log or row of a table has one; and it would have been found."""
    caplog.set_level(logging.DEBUG)
    tenant, operator = (Client(http, make_key(name)) for name in ("couriers", None))
    made = tenant.bind(A, B, order="A-1")
    client = signing(http, connection, ring)
    asked = 0
    answers = (
        *asked_for(tenant, operator, made["id"]),
        *((answer, False) for answer in strangers(http, operator)),
        *((answer, False) for answer in alibaba(client)),
    )
    for answer, tells in answers:
        asked += 1
        assert answer.status_code < 500, answer.text
        if not tells:
            told = found(answer.content + str(answer.headers).encode(), CANARIES)
            assert told == [], (answer.request.method, answer.request.url.path)
    assert asked > 400
    for record in caplog.records:
        if record.name.startswith(OURS):
            line = f"{record.getMessage()} {vars(record)}"
            assert found(line.encode(), CANARIES) == [], record.name
    full = tenant.ask("GET", f"/v1/bindings/{made['id']}?numbers=full")
    assert found(full.content, CANARIES)
    for table, rows in dumped(connection):
        assert found(rows, CANARIES) == [], table
    connection.execute("UPDATE agi_router.binding SET out_id = %s", [C])
    assert [table for table, rows in dumped(connection) if found(rows, CANARIES)] == [
        "agi_router.binding"
    ]


def asked_for(
    tenant: Client, operator: Client, binding: str
) -> Iterator[tuple[httpx2.Response, bool]]:
    """What every operation says, asked rightly and wrongly, and whether it may tell numbers."""
    serial = count()

    def ask(client: Client, method: str, target: str, given: Any) -> httpx2.Response:
        headers = {"Idempotency_Key": f"{A}-{next(serial)}", "If_Match": f'"{A}"'}
        return client.ask(method, target, given, **headers, X_Request_Id=A)

    for method, path, body in operations():
        place = binding if path.startswith("/v1/bindings") else "1"
        right, wrong = (re.sub(r"\{[^}]*\}", name, path) for name in (place, A))
        tells = path in TELL
        for client in (operator, tenant):
            yield ask(client, method, right, body), tells
            yield ask(client, method, f"{wrong}?{A}={A}", body), False
        for word in ("x", "cursor"):
            yield ask(operator, method, f"{right}?{word}={A}", body), False
        for each in wrong_bodies(body):
            yield ask(operator, method, right, each), tells


def strangers(http: TestClient, operator: Client) -> Iterator[httpx2.Response]:
    """What is said to bodies that are none, and to keys."""
    bearer = {"Authorization": f"Bearer {A}", "Content-Type": f"text/{A}"}
    own = {"Authorization": f"Bearer {operator.bearer}", "Content-Type": "application/json"}
    for content in (A, f'{{"a": "{A}"', f'"{A}"'):
        yield http.post("/v1/bindings", content=content, headers=bearer)
        yield http.post("/v1/bindings", content=content, headers={**own, "Idempotency-Key": A})


def signing(http: TestClient, connection: Connection, ring: KeyRing) -> AlibabaClient:
    """A client of the other door."""
    key, secret = ApiKeyStore(Queries(connection)).add(
        tenant="couriers",
        form=KeyForm.SIGNED,
        label="test",
        scopes=frozenset(each for each in KeyScope if not each.of_operator),
        networks=(),
        life=timedelta(hours=1),
        keys=ring,
    )
    return AlibabaClient(http, key.id, secret)


def alibaba(client: AlibabaClient) -> Iterator[httpx2.Response]:
    """What the other door says: of a bind, and of canaries where none belongs."""
    end = {"PoolKey": "couriers", "Expiration": beijing(HOUR)}
    wanted = {**end, "TelA": C, "TelB": D, "OrderId": "B-1"}
    reader = {"PoolKey": "couriers", "PhoneNoX": A, "SubsId": A}
    for action, given in (
        ("BindAxb700", wanted),
        ("BindAxb700", {**wanted, "OutOrderId": A}),
        *(("BindAxb700", {**wanted, name: A}) for name in end),
        *(("BindAxb700", {**wanted, name: f"{A}x"}) for name in ("TelA", "TelX", A)),
        ("QuerySubscriptionDetail", reader),
        ("AddSecretBlacklist", {"PoolKey": "couriers", "BlackNo": f"{A}:{B}", "BlackType": A}),
        (A, wanted),
    ):
        yield client.send(action, given)
    yield client.http.post(f"/?Signature={A}&TelA={A}&TelA={B}")
    yield client.http.post(f"/{A}", content=A)
