"""Who may ask: bearers, signatures, scopes, networks, limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.testclient import TestClient

from agi_router.db.connection import Connection, Queries
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.keys.ring import KeyRing
from agi_router.rates import Rate
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import KeyForm, KeyScope, parse_bearer
from harness.api import Client
from harness.api_scopes import SCOPED
from harness.database import one, until
from harness.signer import Signer

A, B = "13800000101", "13800000102"
PATIENCE = 30


@contextmanager
def opened(stores: StorePool, options: Options, address: str = "testclient") -> Iterator[Any]:
    """A door with options of its own, asked from an address."""
    app = create_app(stores, options)
    with TestClient(app, raise_server_exceptions=False, client=(address, 1)) as client:
        yield client


def asked(http: TestClient, authorization: str | None, path: str = "/v1/bindings") -> Any:
    """What is answered."""
    return http.get(
        path, headers={} if authorization is None else {"Authorization": authorization}
    )


def test_without_a_key(http: TestClient) -> None:
    """It is said how to show one."""
    answer = asked(http, None)
    assert (answer.status_code, answer.json()["code"]) == (401, "credentials_missing")
    assert answer.headers["www-authenticate"] == "Bearer, ACS3-HMAC-SHA256"


def test_wrong_keys_are_all_the_same(http: TestClient, make_key: Callable[..., str]) -> None:
    """Whether the id is there is not told, nor what is wrong."""
    bearer = make_key("couriers")
    key_id, secret = parse_bearer(bearer) or ("", "")
    wrong = [
        f"Bearer agr_{key_id}_{'A' * 43}",
        f"Bearer agr_{'q' * 16}_{secret}",
        "Bearer ",
        f"Bearer {bearer}x",
        "Basic dTpw",
        "ACS3-HMAC-SHA256 Credential=x",
    ]
    answers = [asked(http, each) for each in wrong]
    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json(), "instance": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert asked(http, f"bearer {bearer}").status_code == 200


def test_what_has_become_of_a_key(
    http: TestClient, make_key: Callable[..., str], connection: Connection
) -> None:
    """Revoked, expired, suspended: from that moment on."""
    first, second = make_key("couriers"), make_key("couriers")
    for bearer in (first, second):
        assert asked(http, f"Bearer {bearer}").status_code == 200
    key_id, _ = parse_bearer(first) or ("", "")
    used = ApiKeyStore(Queries(connection)).find(key_id).key.last_used_at
    assert used is not None
    ApiKeyStore(Queries(connection)).revoke(key_id)
    assert asked(http, f"Bearer {first}").json()["code"] == "credentials_invalid"
    connection.execute("UPDATE agi_router.tenant SET active = false WHERE name = 'couriers'")
    suspended = asked(http, f"Bearer {second}")
    assert (suspended.status_code, suspended.json()["code"]) == (403, "tenant_suspended")
    connection.execute("UPDATE agi_router.tenant SET active = true")
    connection.execute("UPDATE agi_router.api_key SET expires_at = now() - interval '1 second'")
    assert asked(http, f"Bearer {second}").json()["code"] == "credentials_invalid"


def test_a_key_that_waits(couriers: Client, http: TestClient, connection: Connection) -> None:
    """It opens nothing, and nobody learns that it will; from its time on it does."""
    body = {"label": "next", "scopes": ["bindings:read"]}
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    made = couriers.post("/v1/keys", {**body, "begins_at": soon}, status=201)
    assert made["state"] == "waiting"
    assert datetime.fromisoformat(made["begins_at"]) == datetime.fromisoformat(soon)
    assert asked(http, f"Bearer {made['bearer']}").json()["code"] == "credentials_invalid"
    connection.execute("UPDATE agi_router.api_key SET begins_at = now()")
    assert asked(http, f"Bearer {made['bearer']}").status_code == 200
    couriers.ask("DELETE", f"/v1/keys/{made['id']}")
    late = (datetime.now(UTC) + timedelta(days=400)).isoformat()
    told = couriers.post("/v1/keys", {**body, "begins_at": late}, status=422)
    assert told["errors"][0]["pointer"] == "/begins_at"


def test_networks(stores: StorePool, options: Options, make_key: Callable[..., str]) -> None:
    """Who has stolen a key uses it from nowhere else."""
    bearer = make_key("couriers", networks=[ip_network("192.0.2.0/24")])
    for address in ("192.0.2.9", "::ffff:192.0.2.9"):
        with opened(stores, options, address) as near:
            assert asked(near, f"Bearer {bearer}").status_code == 200
    with opened(stores, options, "198.51.100.9") as far:
        assert asked(far, f"Bearer {bearer}").json()["code"] == "address_refused"


def test_no_key_makes_one_for_elsewhere(
    stores: StorePool, options: Options, make_key: Callable[..., str]
) -> None:
    """A key that is good in a network makes none that is good outside of it."""
    bearer = make_key("couriers", networks=[ip_network("192.0.2.0/24")])
    body = {"label": "x", "scopes": ["bindings:read"]}
    with opened(stores, options, "192.0.2.9") as near:
        client = Client(near, bearer)
        for networks in (["0.0.0.0/0"], ["192.0.2.9/32", "198.51.100.0/24"], ["2001:db8::/32"]):
            told = client.post("/v1/keys", {**body, "networks": networks}, status=422)
            assert told["errors"][0]["pointer"] == "/networks"
        made = client.post("/v1/keys", body, status=201)
        assert made["networks"] == ["192.0.2.0/24"]
        client.ask("DELETE", f"/v1/keys/{made['id']}")
        part = {**body, "networks": ["192.0.2.8/30"]}
        assert client.post("/v1/keys", part, status=201)["networks"] == ["192.0.2.8/30"]


def test_every_operation_needs_its_scope(
    operator: Client, http: TestClient, connection: Connection
) -> None:
    """With all others it is refused, whatever the body; with it alone it is not."""
    document = http.get("/v1/openapi.json").json()
    operations = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    assert len(operations) == len(SCOPED)
    for method, path, scope in SCOPED:
        for scopes, refused in ((set(KeyScope) - {scope}, True), ({scope}, False)):
            connection.execute("UPDATE agi_router.api_key SET scopes = %s", (sorted(scopes),))
            answer = operator.ask(method, path, None if method in {"GET", "DELETE"} else {})
            assert (answer.status_code == 403) is refused, (method, path, answer.text)


def test_what_is_lacking_is_named(http: TestClient, make_key: Callable[..., str]) -> None:
    """A scope is no secret; a field that is not known could be a number, and is not told back."""
    client = Client(http, make_key("couriers", KeyScope.BINDINGS_READ, KeyScope.KEYS_WRITE))
    refused = client.ask("POST", "/v1/bindings", {"a": A, "b": B}, Idempotency_Key="one")
    assert refused.json()["detail"].endswith(": bindings:write")
    wanted = {"label": "x", "scopes": ["calls:read", "bindings:read", "numbers:read"]}
    refused = client.ask("POST", "/v1/keys", wanted, Idempotency_Key="two")
    assert refused.json()["detail"].endswith(": calls:read, numbers:read")
    refused = client.ask("POST", "/v1/keys", {**wanted, A: "x"}, Idempotency_Key="three")
    assert refused.status_code == 422
    assert A not in refused.text
    assert "openapi.json" in refused.json()["errors"][0]["detail"]


def test_the_rate_of_a_key(
    stores: StorePool, options: Options, make_key: Callable[..., str]
) -> None:
    """How many are left is said; one key's are not another's."""
    limited = replace(options, rate=Rate(3, timedelta(days=1)))
    first, second = make_key("couriers"), make_key("couriers")
    with opened(stores, limited) as http:
        answers = [asked(http, f"Bearer {first}") for _ in range(4)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"key";q=3;w=86400'
        left = [each.headers["ratelimit"].split(";")[1] for each in answers]
        assert left == ["r=2", "r=1", "r=0", "r=0"]
        assert answers[3].json()["code"] == "rate_exceeded"
        # One of three is free again after a third of the day.
        assert 28_700 < int(answers[3].headers["retry-after"]) <= 28_800
        assert asked(http, f"Bearer {second}").status_code == 200


def test_wrong_keys_of_an_address(
    stores: StorePool, options: Options, make_key: Callable[..., str]
) -> None:
    """From a certain number on nothing is looked at, the right key neither."""
    limited = replace(options, wrong_keys=Rate(3, timedelta(days=1)))
    right = f"Bearer {make_key('couriers')}"
    with opened(stores, limited, "192.0.2.9") as http:
        codes = [asked(http, f"Bearer agr_{'q' * 16}_{'A' * 43}").status_code for _ in range(4)]
        assert codes == [401, 401, 401, 429]
        blocked = asked(http, right)
        assert blocked.json()["code"] == "address_blocked"
        assert 28_700 < int(blocked.headers["retry-after"]) <= 28_800
        other = TestClient(http.app, client=("192.0.2.10", 1))
        assert asked(other, right).status_code == 200
        # Whoever has one address of IPv6 has all of its /64.
        wrong = f"Bearer agr_{'q' * 16}_{'A' * 43}"
        beside = [TestClient(http.app, client=(f"2001:db8::{n}", 1)) for n in range(1, 5)]
        assert [asked(each, wrong).status_code for each in beside] == [401, 401, 401, 429]
        elsewhere = TestClient(http.app, client=("2001:db8:0:1::1", 1))
        assert asked(elsewhere, right).status_code == 200
        # As proxies for both versions write those of IPv4: each is itself, and no part of one /64.
        same, another = (TestClient(http.app, client=(f"::ffff:192.0.2.{n}", 1)) for n in (9, 11))
        assert asked(same, right).json()["code"] == "address_blocked"
        assert [asked(another, wrong).status_code for _ in range(4)] == [401, 401, 401, 429]
        assert asked(other, right).status_code == 200


@pytest.fixture
def signer(http: TestClient, connection: Connection, ring: KeyRing) -> Signer:
    """A key of couriers that signs."""
    key, secret = ApiKeyStore(Queries(connection)).add(
        tenant="couriers",
        form=KeyForm.SIGNED,
        label="signs",
        scopes=frozenset({KeyScope.BINDINGS_READ, KeyScope.BINDINGS_WRITE}),
        networks=(),
        life=timedelta(hours=1),
        keys=ring,
    )
    return Signer(http, key.id, secret)


@pytest.mark.parametrize("algorithm", ["ACS3-HMAC-SHA256", "ACS3-HMAC-SM3"])
def test_signed_requests(signer: Signer, algorithm: str) -> None:
    """Accepted once: what was captured is of no use, nor is a part of it."""
    body = f'{{"a":"{A}","b":"{B}"}}'.encode()
    headers = signer.headers(
        "POST", "/v1/bindings", body, algorithm=algorithm, idempotency_key="one"
    )
    # It is part of what is signed: under another one the same would be made again.
    other = signer.http.post(
        "/v1/bindings", content=body, headers={**headers, "idempotency-key": "two"}
    )
    assert (other.status_code, other.json()["code"]) == (401, "credentials_invalid")
    made = signer.http.post("/v1/bindings", content=body, headers=headers)
    assert made.status_code == 201, made.text
    assert made.json()["tenant"] == "couriers"
    again = signer.http.post("/v1/bindings", content=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (401, "signature_repeated")
    url = "/v1/bindings?limit=1&order=A-1"
    listed = signer.http.get(url, headers=signer.headers("GET", url, b"", algorithm=algorithm))
    assert listed.status_code == 200
    moved = signer.headers("GET", url, b"", algorithm=algorithm)
    other = signer.http.get("/v1/bindings?limit=2&order=A-1", headers=moved)
    assert (other.status_code, other.json()["code"]) == (401, "credentials_invalid")
    tampered = signer.headers("POST", "/v1/bindings", body, algorithm=algorithm)
    refused = signer.http.post("/v1/bindings", content=body + b" ", headers=tampered)
    assert refused.json()["code"] == "credentials_invalid"


def test_a_key_that_is_not_there_takes_no_longer(
    signer: Signer, make_key: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As much is read and opened, whether it is there, signs, or neither; to bind, too."""
    asked_for: list[str] = []
    row, open_secret = Queries.row, KeyRing.open_secret

    def noted(queries: Queries, name: str, values: Any) -> Any:
        asked_for.append(name)
        return row(queries, name, values)

    def opened(keys: KeyRing, sealed: bytes, key_id: str) -> str:
        asked_for.append(f"{len(sealed)} octets")
        return open_secret(keys, sealed, key_id)

    key_id, _ = parse_bearer(make_key("couriers")) or ("", "")
    # Remembered from now on.
    headers = signer.headers("GET", "/v1/bindings", b"", algorithm="ACS3-HMAC-SHA256")
    assert signer.http.get("/v1/bindings", headers=headers).status_code == 200
    monkeypatch.setattr(Queries, "row", noted)
    monkeypatch.setattr(KeyRing, "open_secret", opened)
    counts = []
    for each in (signer.key_id, "q" * 16, key_id):
        asked_for.clear()
        wrong = Signer(signer.http, each, "A" * 43)
        for method, body in (("GET", b""), ("POST", b"{}")):
            headers = wrong.headers(method, "/v1/bindings", body, algorithm="ACS3-HMAC-SHA256")
            answer = signer.http.request(method, "/v1/bindings", content=body, headers=headers)
            assert answer.json()["code"] == "credentials_invalid"
        counts.append(list(asked_for))
    once = ["find_api_key", "74 octets"]
    assert counts == [[*once, "74 octets", *once]] * 3


@pytest.mark.parametrize("blank", [b"\xa0", b"\x85", b"\t", b" ", b"\xa0\t"])
def test_a_signature_in_another_spelling(signer: Signer, blank: bytes) -> None:
    """Blanks around its date make no other request of it: it is good once."""
    headers = signer.headers("GET", "/v1/bindings", b"", algorithm="ACS3-HMAC-SHA256")
    assert signer.http.get("/v1/bindings", headers=headers).status_code == 200
    for name in ("x-acs-date", "x-acs-signature-nonce", "host", "authorization"):
        value = headers[name].encode()
        for spelled in (value + blank, blank + value):
            again = {k.encode(): v.encode() for k, v in headers.items()}
            again[name.encode()] = spelled
            answer = signer.http.get("/v1/bindings", headers=again)
            assert answer.status_code == 401, name
            assert answer.json()["code"] in {"signature_repeated", "credentials_invalid"}


def test_headers_that_decide_are_signed(signer: Signer) -> None:
    """One that is not signed could be anybody's on the way."""
    for name in ("idempotency-key", "if-match"):
        headers = signer.headers("GET", "/v1/bindings", b"", algorithm="ACS3-HMAC-SHA256")
        answer = signer.http.get("/v1/bindings", headers={**headers, name: '"1"'})
        assert (answer.status_code, answer.json()["code"]) == (401, "credentials_invalid")


def test_signatures_of_before_a_crash(signer: Signer, connection: Connection) -> None:
    """The database has forgotten the nonces: it says when it can tell again."""
    headers = signer.headers("GET", "/v1/bindings", b"", algorithm="ACS3-HMAC-SHA256")
    assert signer.http.get("/v1/bindings", headers=headers).status_code == 200
    connection.execute("TRUNCATE agi_router.nonce, agi_router.nonce_since")
    answer = signer.http.get("/v1/bindings", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (503, "signatures_forgotten")
    assert answer.headers["Retry-After"] == "11"


def test_old_signatures(signer: Signer) -> None:
    """A quarter of an hour is allowed."""
    for minutes, code in ((14, None), (-14, None), (16, "signature_expired")):
        date = datetime.now(UTC) - timedelta(minutes=minutes)
        headers = signer.headers(
            "GET", "/v1/bindings", b"", algorithm="ACS3-HMAC-SHA256", date=date
        )
        answer = signer.http.get("/v1/bindings", headers=headers)
        assert answer.json().get("code") == code


def test_a_signature_that_is_one_too_many(
    stores: StorePool, options: Options, signer: Signer
) -> None:
    """Refused by its rate, it is good for nobody any more, at no process of the door."""
    body = f'{{"a":"{A}","b":"{B}"}}'.encode()

    def signed(key: str) -> dict[str, str]:
        return signer.headers(
            "POST", "/v1/bindings", body, algorithm="ACS3-HMAC-SHA256", idempotency_key=key
        )

    with opened(stores, replace(options, rate=Rate(2, timedelta(days=1)))) as http:
        for place, status in enumerate((201, 201, 429)):
            headers = signed(f"many-{place}")
            answer = http.post("/v1/bindings", content=body, headers=headers)
            assert answer.status_code == status, answer.text
    again = signer.http.post("/v1/bindings", content=body, headers=headers)
    assert (again.status_code, again.json()["code"]) == (401, "signature_repeated")


def test_a_signed_bind_that_waits_keeps_nobody_waiting(
    signer: Signer, connection: Connection
) -> None:
    """Its key's row is not held, though it says up to when nonces were taken."""
    body = f'{{"a":"{A}","b":"{B}"}}'.encode()

    def bind(key: str, ahead: int) -> int:
        headers = signer.headers(
            "POST",
            "/v1/bindings",
            body,
            algorithm="ACS3-HMAC-SHA256",
            date=datetime.now(UTC) + timedelta(seconds=ahead),
            idempotency_key=key,
        )
        answer = signer.http.post("/v1/bindings", content=body, headers=headers)
        return int(answer.status_code)

    assert [bind(f"before-{place}", 0) for place in range(2)] == [201, 201]
    waits = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event_type = 'Lock'"
    )
    with ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.execute("SELECT block FROM agi_router.block FOR UPDATE")
            waiting = pool.submit(bind, "waits", 60)
            until(lambda: one(connection, waits) == 1, timeout=PATIENCE)
            headers = signer.headers(
                "GET",
                "/v1/bindings",
                b"",
                algorithm="ACS3-HMAC-SHA256",
                date=datetime.now(UTC) + timedelta(seconds=120),
            )
            assert signer.http.get("/v1/bindings", headers=headers).status_code == 200
        assert waiting.result(PATIENCE) == 201


def test_a_signing_key_is_no_bearer(signer: Signer, make_key: Callable[..., str]) -> None:
    """Nor the other way round; and who is not there cannot sign."""
    shown = asked(signer.http, f"Bearer agr_{signer.key_id}_{signer.secret}")
    assert shown.json()["code"] == "credentials_invalid"
    key_id, secret = parse_bearer(make_key("couriers")) or ("", "")
    for key in (key_id, "q" * 16):
        headers = Signer(signer.http, key, secret).headers(
            "GET", "/v1/bindings", b"", algorithm="ACS3-HMAC-SHA256"
        )
        answer = signer.http.get("/v1/bindings", headers=headers)
        assert answer.json()["code"] == "credentials_invalid"


def test_keys_make_keys(couriers: Client, operator: Client, http: TestClient) -> None:
    """That can do nothing that they cannot do themselves; the secret is told once."""
    made = couriers.post("/v1/keys", {"label": "read", "scopes": ["bindings:read"]}, status=201)
    assert asked(http, f"Bearer {made['bearer']}").status_code == 200
    listed = couriers.get("/v1/keys")["keys"]
    assert made["id"] in [key["id"] for key in listed]
    assert {key["tenant"] for key in listed} == {"couriers"}
    assert made["bearer"] not in str(listed)
    third = {"label": "third", "scopes": ["bindings:read"]}
    assert couriers.post("/v1/keys", third, status=409)["code"] == "api_key_limit"
    revoked = couriers.ask("DELETE", f"/v1/keys/{made['id']}")
    assert revoked.json()["state"] == "revoked"
    assert couriers.get(f"/v1/keys/{made['id']}") == revoked.json()
    assert asked(http, f"Bearer {made['bearer']}").status_code == 401
    small = operator.post(
        "/v1/keys", {"label": "small", "scopes": ["keys:write"], "form": "signed"}, status=201
    )
    assert "bearer" not in small
    assert len(small["secret"]) == 43
    for body in (
        {"label": "x", "scopes": ["audit:read"]},
        {"label": "x", "scopes": []},
        {"label": "x", "scopes": ["bindings:read"], "networks": ["192.0.2.1/24"]},
    ):
        assert couriers.post("/v1/keys", body, status=422)["code"] == "request_invalid"


@pytest.mark.parametrize(("form", "told"), [("bearer", "bearer"), ("signed", "secret")])
def test_a_key_that_is_asked_for_again(
    couriers: Client, connection: Connection, form: str, told: str
) -> None:
    """It is made once; its secret is in no answer that is kept, nor in the next one."""
    body = {"label": "again", "scopes": ["bindings:read"], "form": form}
    unnamed = couriers.ask("POST", "/v1/keys", body)
    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "idempotency_key_missing")
    first, again = (
        couriers.ask("POST", "/v1/keys", body, Idempotency_Key="once") for _ in range(2)
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.headers["idempotency-replayed"] == "true"
    made = first.json()
    secret = made.pop(told)
    assert made == again.json()
    kept = one(connection, "SELECT body FROM agi_router.answer WHERE status = 201")
    assert made["id"] in kept
    assert secret[-43:] not in kept
    labels = [key["label"] for key in couriers.get("/v1/keys")["keys"]]
    assert labels.count("again") == 1


def test_no_key_makes_a_larger_one(http: TestClient, make_key: Callable[..., str]) -> None:
    """A scope that it lacks it cannot give."""
    small = Client(http, make_key("couriers", KeyScope.KEYS_WRITE))
    body = {"label": "x", "scopes": ["keys:write", "numbers:read"]}
    assert small.post("/v1/keys", body, status=403)["code"] == "scope_missing"
