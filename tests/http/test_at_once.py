"""A bind by one statement: what it looks at, what it keeps, what is left where it does nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.testclient import TestClient

from agi_router.bindings import draw
from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries
from agi_router.doors.http import known_keys
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.inventory.model import BlockState
from agi_router.keys.ring import KeyRing
from agi_router.numbers import XNumber
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope, parse_bearer
from agi_router.tenants.rules import Consent, RulesChange
from harness.alibaba import AlibabaClient, beijing
from harness.api import Client
from harness.database import one
from harness.values import BLOCK

A, B, C = (f"1380000050{serial}" for serial in range(3))


@pytest.fixture(autouse=True)
def remembering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are remembered for as long as a test takes."""
    monkeypatch.setattr(known_keys, "_AGE", 3600.0)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all statements from now on."""
    names: list[str] = []

    def heard(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Queries, name: str, values: dict[str, Any]) -> Any:
            names.append(name)
            return method(self, name, values)

        return run

    for name in ("row", "rows", "execute"):
        monkeypatch.setattr(Queries, name, heard(getattr(Queries, name)))
    return names


@pytest.fixture
def alibaba(
    stores: StorePool, options: Options, connection: Connection, ring: KeyRing
) -> Iterator[AlibabaClient]:
    """The tenant's key that signs, which has bound before."""
    key, secret = ApiKeyStore(Queries(connection)).add(
        tenant="couriers",
        form=KeyForm.SIGNED,
        label="test",
        scopes=frozenset(each for each in KeyScope if not each.of_operator),
        networks=(),
        life=timedelta(hours=1),
        keys=ring,
    )
    app = create_app(stores, options)
    with TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 1)) as http:
        client = AlibabaClient(http, key.id, secret)
        for _ in range(2):
            assert client.code("BindAxb700", **wish()) == "OK"
        yield client


@pytest.fixture
def bound(couriers: Client) -> Client:
    """A tenant that has bound before."""
    for key in ("before", "last"):
        assert bind(couriers, key, a=C).status_code == 201
    return couriers


def bind(client: Client, key: str, **said: Any) -> Any:
    """Bind two parties, under a key."""
    body = {"a": A, "b": B, **said}
    return client.ask("POST", "/v1/bindings", body, Idempotency_Key=key)


def wish(**own: str) -> dict[str, str]:
    """What is asked of the other door."""
    return {
        "PoolKey": "couriers",
        "Expiration": beijing(timedelta(hours=1)),
        "TelA": A,
        "TelB": B,
        **own,
    }


def count(connection: Connection, table: str) -> int:
    """How many rows there are."""
    return int(one(connection, f"SELECT count(*) FROM agi_router.{table}"))


@pytest.mark.parametrize(
    "said",
    [{"ttl": 3600}, {"user_data": '","begins_at":null,"x":"'}, {"expires_at": "2026-12-31"}],
)
def test_it_is_one_statement(
    bound: Client, asked: list[str], store: BindingStore, said: dict[str, Any]
) -> None:
    """It is told as it would be read, and told again as it was told."""
    if "expires_at" in said:
        said = {"expires_at": (store.now() + timedelta(hours=1)).isoformat()}
    asked.clear()
    made = bind(bound, "three", **said)
    assert made.status_code == 201, made.text
    assert asked == ["bind_asked"]
    again = bind(bound, "three", **said)
    assert (again.content, again.headers["etag"]) == (made.content, made.headers["etag"])
    read = bound.ask("GET", made.headers["location"])
    assert (read.content, read.headers["etag"]) == (made.content, made.headers["etag"])


def test_a_key_that_no_longer_stands(
    bound: Client, connection: Connection, asked: list[str]
) -> None:
    """Revoked, expired, suspended, narrowed: it binds nothing from that moment on."""
    key_id, _ = parse_bearer(bound.bearer) or ("", "")
    for change, back, status in (
        ("api_key SET scopes = '{bindings:read}'", "api_key SET scopes = '{bindings:write}'", 403),
        ("tenant SET active = false", "tenant SET active = true", 403),
        (
            "api_key SET expires_at = clock_timestamp()",
            "api_key SET expires_at = now() + interval '1 hour'",
            401,
        ),
    ):
        # With a look-up first, if the last one has found another key.
        assert bind(bound, str(status) + change[:3]).status_code == 201
        asked.clear()
        connection.execute(f"UPDATE agi_router.{change}".encode())
        refused = bind(bound, "two")
        assert refused.status_code == status, change
        assert asked[0] == "bind_asked"
        # Nor does it learn whether what it asks for could be.
        assert bind(bound, "two", b="1").status_code == status
        connection.execute(f"UPDATE agi_router.{back}".encode())
    assert bind(bound, "three").status_code == 201
    ApiKeyStore(Queries(connection)).revoke(key_id)
    for body in ({}, {"b": "1"}):
        answer = bind(bound, "four", **body)
        assert (answer.status_code, answer.json()["code"]) == (401, "credentials_invalid")
    assert (count(connection, "binding"), count(connection, "answer")) == (6, 6)


@pytest.mark.parametrize(
    "change",
    ["tenant SET active = false", "api_key SET state = 'revoked', revoked_at = now()"],
)
def test_a_refused_signature_is_looked_at_once(
    alibaba: AlibabaClient, connection: Connection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """Looked at twice, its nonce would be one that was used: that is not why."""
    connection.execute(f"UPDATE agi_router.{change}".encode())
    told = alibaba.code("BindAxb700", **wish())
    monkeypatch.setattr(known_keys, "_AGE", -1.0)
    assert told == alibaba.code("BindAxb700", **wish())
    assert told != "SignatureNonceUsed"


def test_a_number_that_cannot_be_had(
    bound: Client, connection: Connection, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one is found; where none is, nothing is left, and all is as if nobody had asked."""
    taken = XNumber.parse(bind(bound, "one").json()["x"])
    monkeypatch.setattr(draw, "draw_numbers", lambda *_: [taken])
    asked.clear()
    made = bind(bound, "two")
    assert made.status_code == 201
    assert made.json()["x"] != str(taken)
    assert asked == ["bind_asked", "bind_asked"]
    assert bind(bound, "two").content == made.content
    connection.execute("UPDATE agi_router.block SET state = 'draining'")
    refused = bind(bound, "three").json()
    assert (refused["code"], "rules" in refused) == ("no_number_available", False)
    assert (count(connection, "binding"), count(connection, "answer")) == (4, 4)
    connection.execute("UPDATE agi_router.block SET state = 'active'")
    assert bind(bound, "three").status_code == 201


def test_a_signed_one(
    alibaba: AlibabaClient, connection: Connection, asked: list[str], store: BindingStore
) -> None:
    """The nonce is taken with it: what was captured is of no use."""
    own = wish()
    asked.clear()
    signed = alibaba.acs3("BindAxb700", own)
    answers = [alibaba.http.post("/", params=own, headers=signed).json() for _ in range(2)]
    assert [each["Code"] for each in answers] == ["OK", "SignatureNonceUsed"]
    assert asked[0] == "bind_asked"
    assert count(connection, "binding") == 3
    # One that does nothing takes it step by step.
    store.inventory.set_block_state(BLOCK, BlockState.DRAINING)
    assert alibaba.code("BindAxb700", **own) == "isv.NO_AVAILABLE_NUMBER"
    assert count(connection, "nonce") == 4


def test_a_signed_one_that_is_asked_again(
    alibaba: AlibabaClient, connection: Connection, asked: list[str]
) -> None:
    """It is told again, by another signature."""
    own = wish(OutOrderId="1")
    asked.clear()
    made = alibaba.ask("BindAxb700", **own)
    assert asked == ["bind_asked"]
    assert alibaba.ask("BindAxb700", **own)["Data"] == made["Data"]
    assert count(connection, "binding") == 3


def test_a_pool_of_the_tenants_own_name(
    alibaba: AlibabaClient, connection: Connection, store: BindingStore
) -> None:
    """It comes first from that moment on."""
    store.pools.add("couriers", "couriers")
    assert alibaba.code("BindAxb700", **wish()) == "OK"
    pools = connection.execute("SELECT pool FROM agi_router.binding ORDER BY id").fetchall()
    assert [each["pool"] for each in pools] == [None, None, "couriers"]


@pytest.mark.parametrize("pool", ["couriers", "north"])
def test_an_order_is_bound_once(
    alibaba: AlibabaClient,
    connection: Connection,
    asked: list[str],
    store: BindingStore,
    pool: str,
) -> None:
    """By one statement, in a pool too; asked again it is looked for, and told as it was made."""
    store.pools.add("couriers", "north", blocks=(BLOCK,))
    for _ in range(2):
        assert alibaba.code("BindAxb700", **wish(PoolKey=pool)) == "OK"
    asked.clear()
    own = wish(PoolKey=pool, OrderId="A-1")
    made = alibaba.ask("BindAxb700", **own)
    assert asked == ["bind_asked"]
    assert alibaba.ask("BindAxb700", **own)["Data"] == made["Data"]
    # Of other parties it is another one.
    assert alibaba.ask("BindAxb700", **{**own, "TelB": C})["Data"] != made["Data"]
    rows = connection.execute(
        "SELECT pool, order_id FROM agi_router.binding ORDER BY id OFFSET 4"
    ).fetchall()
    kept = None if pool == "couriers" else pool
    assert [(row["pool"], row["order_id"]) for row in rows] == [(kept, "A-1")] * 2
    assert count(connection, "nonce") == 4 + 3


def test_by_the_rules_of_a_new_tenant(
    bound: Client, connection: Connection, asked: list[str], store: BindingStore
) -> None:
    """It is one statement too; what is refused is told step by step, and leaves nothing."""
    rules = RulesChange(needs_order=True, consent=Consent.ASSERTED)
    store.inventory.tenants.set_rules("couriers", rules)
    said = {"order": "A-1", "consent": "app", "ttl": 3600}
    # It is found out that there are rules.
    assert bind(bound, "one", **said).status_code == 201
    assert bind(bound, "two", **said).status_code == 201
    asked.clear()
    made = bind(bound, "three", **said)
    assert made.status_code == 201, made.text
    assert asked[-1] == "bind_asked"
    assert set(asked) <= {"bind_asked", "new_person_ids", "find_opening", "find_tenant_rules"}
    assert count(connection, "consent") == 6
    for word, code in (("consent", "consent_missing"), ("order", "order_missing")):
        left = {**said, "b": C, "order": "A-2", word: None}
        refused = bind(bound, word, **{key: each for key, each in left.items() if each})
        assert refused.json()["code"] == code, refused.text
    assert count(connection, "consent") == 6
    wanted = [{"a": A, "b": B, **said}, {"a": A, "b": C, "ttl": 3600, "order": "A-2"}] * 2
    answer = bound.ask("POST", "/v1/bindings/batch", {"bindings": wanted}, Idempotency_Key="all")
    assert [each["status"] for each in answer.json()["results"]] == [201, 409, 201, 409]
    assert count(connection, "consent") == 10


def test_a_batch_reads_each_once(
    bound: Client, connection: Connection, asked: list[str], store: BindingStore
) -> None:
    """A pool that several name is looked up once, and once where none of it was bound before."""
    store.pools.add("couriers", "north")
    asked.clear()
    wanted = [{"a": A, "b": B, "pool": "north"}] * 3 + [{"a": A, "b": "1"}, {"a": A, "b": C}]
    answer = bound.ask("POST", "/v1/bindings/batch", {"bindings": wanted}, Idempotency_Key="all")
    results = answer.json()["results"]
    assert [each["status"] for each in results] == [201, 201, 201, 422, 201]
    assert results[3]["problem"]["errors"][0]["pointer"] == "/b"
    assert [each["binding"]["pool"] for each in results[:3]] == ["north"] * 3
    assert asked.count("list_pools") == 1 + 1
    assert count(connection, "binding") == 2 + 4
