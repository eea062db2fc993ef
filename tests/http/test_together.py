"""Binds that are asked for at the same moment: one statement, and each its own answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from starlette.responses import Response
from starlette.testclient import TestClient

from agi_router.bindings import bind as bind_room
from agi_router.bindings.choose import draw_numbers
from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.doors.http import known_keys
from agi_router.doors.http import pool as pools
from agi_router.doors.http.app import create_app
from agi_router.doors.http.gathering import Gathering, Job
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.errors import ModeError, StoreUnavailable
from agi_router.keys.ring import KeyRing
from agi_router.numbers import XNumber
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope, parse_bearer
from agi_router.tenants.rules import Consent, RulesChange
from harness.alibaba import AlibabaClient, beijing
from harness.api import Client
from harness.database import NO_REST, SOON, one, until
from harness.signer import Signer
from harness.values import BLOCK

A, B, C = (f"1380000050{serial}" for serial in range(3))
HOUR = timedelta(hours=1)

Asking = Callable[[], Any]


class Crowd:
    """
    Whoever asks a door that has one store at the same moment.

    Attributes:
        http: By what they ask.
    """

    def __init__(self, http: TestClient, stores: StorePool, came: list[str]) -> None:
        self.http = http
        self._stores = stores
        self._came = came

    def ask(
        self, first: Asking, asking: Sequence[Asking], meanwhile: Asking = lambda: None
    ) -> list[Any]:
        """What all are answered that wait while the first is served; the first is left out."""
        with ThreadPoolExecutor(len(asking) + 1) as crowd:
            with self._stores.lend():
                told = []
                for number, each in enumerate((first, *asking), len(self._came) + 1):
                    told.append(crowd.submit(each))
                    until(lambda number=number: len(self._came) == number)  # type: ignore[misc]
                meanwhile()
            return [each.result(8 * SOON) for each in told][1:]


@pytest.fixture
def crowd(
    dsn: str,
    ring: KeyRing,
    store: BindingStore,
    options: Options,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Crowd]:
    """They, of whom nobody is told that all is busy; keys are remembered meanwhile."""
    assert store
    monkeypatch.setattr(pools, "_WAIT", 8 * SOON)
    monkeypatch.setattr(known_keys, "_AGE", 3600.0)
    came: list[str] = []
    run = Gathering.run

    async def counting(self: Gathering, who: str, job: Job) -> Response:
        came.append(who)
        return await run(self, who, job)

    monkeypatch.setattr(Gathering, "run", counting)
    stores = StorePool(lambda: BindingStore(connect(dsn), ring, NO_REST), 1)
    app = create_app(stores, options)
    with TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 1)) as http:
        yield Crowd(http, stores, came)
    stores.close()


@pytest.fixture
def bound(crowd: Crowd, make_key: Callable[..., str]) -> Client:
    """A tenant that has bound before."""
    client = Client(crowd.http, make_key("couriers"))
    for key in ("before", "last"):
        assert bind(client, key)().status_code == 201
    return client


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that bind, from now on."""
    names: list[str] = []
    held = threading.Lock()

    def heard(method: Callable[..., Any]) -> Callable[..., Any]:
        def run(self: Queries, name: str, values: dict[str, Any]) -> Any:
            if name.startswith("bind"):
                with held:
                    names.append(name)
            return method(self, name, values)

        return run

    for name in ("row", "rows"):
        monkeypatch.setattr(Queries, name, heard(getattr(Queries, name)))
    return names


def bind(client: Client, key: str, **said: Any) -> Asking:
    """Binds two parties, under a key."""
    body = {"a": A, "b": B, **said}
    return lambda: client.ask("POST", "/v1/bindings", body, Idempotency_Key=key)


def count(connection: Connection, table: str) -> int:
    """How many rows there are."""
    return int(one(connection, f"SELECT count(*) FROM agi_router.{table}"))


def test_each_is_answered_as_by_itself(
    crowd: Crowd, bound: Client, connection: Connection, asked: list[str]
) -> None:
    """Made, told again, refused: none keeps off another, and all are told as they are kept."""
    before = bind(bound, "before")()
    made = ["one", "two", "three"]
    wishes = [
        *(bind(bound, key, user_data='","begins_at":null,"') for key in made),
        bind(bound, "two", user_data='","begins_at":null,"'),
        bind(bound, "four", ttl=60),
        bind(bound, "before"),
        bind(bound, "last", ttl=60),
        bind(bound, "wrong", b="1"),
        bind(bound, "taken", x=before.json()["x"]),
    ]
    asked.clear()
    answers = crowd.ask(bind(bound, "first"), wishes)
    statuses = [201, 201, 201, 201, 201, 201, 422, 422, 409]
    assert [each.status_code for each in answers] == statuses
    # Of two that last another time each has one; all that is left is by itself.
    assert asked[:3] == ["bind_asked", "bind_asked_together", "bind_asked_together"]
    assert "bind_asked_together" not in asked[3:]
    assert len({each.json()["id"] for each in answers[:3]}) == 3
    assert answers[3].content == answers[1].content
    assert answers[5].content == before.content
    replayed = ["idempotency-replayed" in each.headers for each in answers]
    assert replayed == [False] * 3 + [True, False, True] + [False] * 3
    for key, answer in zip(made, answers, strict=False):
        again = bind(bound, key, user_data='","begins_at":null,"')()
        read = bound.ask("GET", answer.headers["location"])
        assert answer.content == again.content == read.content
        assert answer.headers["etag"] == again.headers["etag"] == read.headers["etag"]
    assert (count(connection, "binding"), count(connection, "answer")) == (7, 7)


def test_a_key_that_no_longer_stands(
    crowd: Crowd, bound: Client, connection: Connection, asked: list[str]
) -> None:
    """Revoked while they wait: nothing is made."""
    key_id, _ = parse_bearer(bound.bearer) or ("", "")
    answers = crowd.ask(
        bind(bound, "first"),
        [bind(bound, "one"), bind(bound, "two"), bind(bound, "wrong", b="1")],
        lambda: ApiKeyStore(Queries(connection)).revoke(key_id),
    )
    assert {each.json()["code"] for each in answers} == {"credentials_invalid"}
    assert "bind_asked_together" in asked
    assert (count(connection, "binding"), count(connection, "answer")) == (2, 2)


@pytest.mark.parametrize("fails", ["direct.plan_binding", "auth.BindingStore.make_asked_together"])
def test_one_that_fails(
    crowd: Crowd,
    bound: Client,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    """Each is served by itself, and nobody is told of it whose key is revoked."""

    def fail(*_: Any) -> None:
        raise ModeError("not so")

    monkeypatch.setattr(f"agi_router.doors.http.{fails}", fail)
    answers = crowd.ask(bind(bound, "first"), [bind(bound, "one"), bind(bound, "two")])
    assert [each.status_code for each in answers] == [201] * 2
    key_id, _ = parse_bearer(bound.bearer) or ("", "")
    answers = crowd.ask(
        bind(bound, "second"),
        [bind(bound, "three"), bind(bound, "four")],
        lambda: ApiKeyStore(Queries(connection)).revoke(key_id),
    )
    assert {each.json()["code"] for each in answers} == {"credentials_invalid"}
    assert (count(connection, "binding"), count(connection, "answer")) == (5, 5)


def test_a_connection_that_is_lost(
    crowd: Crowd, bound: Client, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether they were made nobody knows: all are told so, and asked again they are told."""
    rows = Queries.rows

    def lose(self: Queries, name: str, values: dict[str, Any]) -> Any:
        told = rows(self, name, values)
        if name == "bind_asked_together":
            raise StoreUnavailable
        return told

    wishes = [bind(bound, "one"), bind(bound, "two")]
    with monkeypatch.context() as patch:
        patch.setattr(Queries, "rows", lose)
        answers = crowd.ask(bind(bound, "first"), wishes)
    assert [each.status_code for each in answers] == [503] * 2
    answers = [each() for each in wishes]
    assert [each.headers["idempotency-replayed"] for each in answers] == ["true"] * 2
    assert (count(connection, "binding"), count(connection, "answer")) == (5, 5)


def test_a_key_that_asks_too_often(
    crowd: Crowd, make_key: Callable[..., str], connection: Connection, asked: list[str]
) -> None:
    """As many are served as may be, together; the others are looked at, and told so."""
    client = Client(crowd.http, make_key("couriers", max_requests=5))
    for key in ("before", "last"):
        assert bind(client, key)().status_code == 201
    asking = [bind(client, f"new-{each}") for each in range(4)]
    answers = crowd.ask(bind(client, "first"), asking)
    assert sorted(each.status_code for each in answers) == [201, 201, 429, 429]
    assert {each.json()["code"] for each in answers if each.is_error} == {"rate_exceeded"}
    assert "bind_asked_together" in asked
    assert count(connection, "binding") == 5


def test_what_no_number_is_drawn_for(crowd: Crowd, bound: Client, asked: list[str]) -> None:
    """All are told what they are alone: open modes, two numbers, party groups, the same number."""
    bound.post("/v1/groups", {"name": "night", "members": [A, C]}, status=201)
    wishes: list[dict[str, Any]] = [
        {"mode": "ax", "a": A},
        {"mode": "axe", "a": A},
        {"mode": "axyb", "a": A, "b": B},
        {"mode": "gxyb", "members": [A, C], "b": B},
        {"mode": "gxb", "group": "night", "b": B},
        {"mode": "gxb", "group": "none", "b": B},
        {"a": A, "b": B, "choice": {"same_x": "prefer"}},
        {"a": A, "b": B, "choice": {"same_x": "avoid"}},
    ]

    def ask(*, under: str) -> list[Asking]:
        return [
            lambda key=f"{under}-{number}", wish=wish: bound.ask(  # type: ignore[misc]
                "POST", "/v1/bindings", wish, Idempotency_Key=key
            )
            for number, wish in enumerate(wishes)
        ]

    alone = [each() for each in ask(under="alone")]
    asked.clear()
    together = crowd.ask(bind(bound, "first"), ask(under="together"))
    assert "bind_asked_together" not in asked
    told = [
        [(each.status_code, each.json().get("code"), "y" in each.json()) for each in answers]
        for answers in (alone, together)
    ]
    assert told[0] == told[1]
    assert len(set(told[0])) > 3


def test_a_number_that_cannot_be_had(
    crowd: Crowd,
    bound: Client,
    connection: Connection,
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whose it is gets another one, by himself."""
    taken = XNumber.parse(bind(bound, "one")().json()["x"])
    monkeypatch.setattr(bind_room, "draw_numbers", lambda *of: [taken, *draw_numbers(*of)][:-1])
    asked.clear()
    answers = crowd.ask(bind(bound, "first"), [bind(bound, f"new-{each}") for each in range(3)])
    assert [each.status_code for each in answers] == [201] * 3
    assert asked == ["bind_asked", "bind_asked_together", "bind_asked"]
    assert str(taken) not in {each.json()["x"] for each in answers}
    assert (count(connection, "binding"), count(connection, "answer")) == (7, 7)


def test_a_quota_that_some_fit_in(
    crowd: Crowd, make_key: Callable[..., str], connection: Connection
) -> None:
    """As many are made as fit."""
    client = Client(crowd.http, make_key("couriers", max_binds=4))
    assert bind(client, "before")().status_code == 201
    asking = [bind(client, f"new-{each}") for each in range(4)]
    answers = crowd.ask(bind(client, "first"), asking)
    assert sorted(each.status_code for each in answers) == [201, 201, 429, 429]
    assert (count(connection, "binding"), count(connection, "answer")) == (4, 4)


def test_somebody_is_in_the_way(
    crowd: Crowd, bound: Client, connection: Connection, asked: list[str], dsn: str
) -> None:
    """He is not waited for together: each waits as if it were alone."""
    answers: list[Any] = []
    asking = [bind(bound, "one"), bind(bound, "two")]
    with connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            other.execute("LOCK TABLE agi_router.route IN EXCLUSIVE MODE")
            # The first has a key, and is refused before it comes so far.
            told = pool.submit(crowd.ask, bind(bound, "first", b="1"), asking)
            until(lambda: "bind_asked" in asked[1:])
        answers = told.result(8 * SOON)
    assert [each.status_code for each in answers] == [201, 201]
    assert asked == ["bind_asked_together", "bind_asked", "bind_asked"]
    assert (count(connection, "binding"), count(connection, "answer")) == (4, 4)


def test_by_the_rules_of_a_new_tenant(
    crowd: Crowd, bound: Client, connection: Connection, asked: list[str], store: BindingStore
) -> None:
    """They are together too; one that the rules refuse is told so by itself."""
    rules = RulesChange(needs_order=True, consent=Consent.ASSERTED)
    store.inventory.tenants.set_rules("couriers", rules)
    said = {"consent": "app", "order": "A-1"}
    assert bind(bound, "ruled", **said)().status_code == 201
    asked.clear()
    wishes = [bind(bound, "one", **said), bind(bound, "two", **said), bind(bound, "none")]
    answers = crowd.ask(bind(bound, "first", **said), wishes)
    assert [each.status_code for each in answers] == [201, 201, 422]
    assert "bind_asked_together" in asked
    assert count(connection, "consent") == 2 * 4


@pytest.fixture
def signing(crowd: Crowd, connection: Connection, ring: KeyRing) -> tuple[str, str]:
    """A key of the tenant that signs."""
    assert crowd
    key, secret = ApiKeyStore(Queries(connection)).add(
        tenant="couriers",
        form=KeyForm.SIGNED,
        label="test",
        scopes=frozenset(each for each in KeyScope if not each.of_operator),
        networks=(),
        life=HOUR,
        keys=ring,
    )
    return key.id, secret


def test_signed_ones_of_v1(
    crowd: Crowd, signing: tuple[str, str], connection: Connection, asked: list[str]
) -> None:
    """They go together, though no two show the same signature."""
    signer = Signer(crowd.http, *signing)
    body = f'{{"a":"{A}","b":"{B}"}}'.encode()

    def ask(name: str) -> Asking:
        algorithm = "ACS3-HMAC-SHA256"
        told = signer.headers(
            "POST", "/v1/bindings", body, algorithm=algorithm, idempotency_key=name
        )
        return lambda: crowd.http.post("/v1/bindings", content=body, headers=told)

    for name in ("before", "last"):
        assert ask(name)().status_code == 201
    asked.clear()
    answers = crowd.ask(ask("first"), [ask("one"), ask("two")])
    assert [each.status_code for each in answers] == [201] * 2
    assert asked == ["bind_asked", "bind_asked_together"]
    assert (count(connection, "binding"), count(connection, "nonce")) == (5, 5)


@pytest.fixture
def alibaba(crowd: Crowd, signing: tuple[str, str]) -> AlibabaClient:
    """The tenant's key that signs, which has bound before."""
    client = AlibabaClient(crowd.http, *signing)
    for _ in range(2):
        assert client.code("BindAxb700", **wish()) == "OK"
    return client


def wish(**own: str) -> dict[str, str]:
    """What is asked of the other door."""
    return {
        "PoolKey": "couriers",
        "Expiration": beijing(HOUR),
        "TelA": A,
        "TelB": B,
        **own,
    }


def test_signed_ones(
    crowd: Crowd,
    alibaba: AlibabaClient,
    connection: Connection,
    asked: list[str],
    store: BindingStore,
) -> None:
    """A nonce is good once, an order is bound once, and an answer is told again."""
    store.pools.add("couriers", "north", blocks=(BLOCK,))
    wanted = wish()
    headers = alibaba.acs3("BindAxb700", wanted)
    form = alibaba.rpc("BindAxb", {**wish(), "PhoneNoA": A, "PhoneNoB": C})

    def captured() -> Any:
        return alibaba.http.post("/", params=wanted, headers=headers).json()

    def ask(**own: str) -> Asking:
        asked = wish(**own)
        return lambda: alibaba.send("BindAxb700", asked).json()

    asking = [
        captured,
        captured,
        *[ask(OrderId="A-1")] * 2,
        *[ask(OutOrderId="once")] * 2,
        ask(OrderId="A-1", TelB=C),
        ask(PoolKey="north"),
        ask(PoolKey="nowhere"),
        ask(TelB="1"),
        lambda: alibaba.http.post("/", data=form).json(),
    ]
    asked.clear()
    told = crowd.ask(ask(), asking)
    assert [each["Code"] for each in told] == [
        *("OK", "SignatureNonceUsed"),
        *["OK"] * 6,
        *("isv.POOLKEY_NOT_EXISTS", "isv.MOBILE_NUMBER_ILLEGAL", "OK"),
    ]
    assert told[2]["Data"] == told[3]["Data"] != told[6]["Data"]
    assert told[4]["Data"] == told[5]["Data"]
    assert asked.count("bind_asked_together") == 2
    # Two before, the first, and of ten that are good two are told again.
    assert count(connection, "binding") == 3 + 6
    assert count(connection, "answer") == 1
    assert count(connection, "nonce") == 3 + 10
