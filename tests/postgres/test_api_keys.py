"""API keys on a real PostgreSQL: two at once, what is kept of a secret, who may change what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres.test_cli import Cli

from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.rights import grant
from agi_router.errors import ApiKeyLimit, ApiKeyNotFound, SealError, TenantNotFound
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.records.audit import Audit, AuditEntry
from agi_router.tenants.api_key_store import ApiKeyStore
from agi_router.tenants.api_keys import (
    ApiKey,
    KeyForm,
    KeyScope,
    KeyState,
    Network,
    new_key_id,
    parse_bearer,
    same_secret,
)
from agi_router.tenants.store import TenantStore
from harness.database import (
    HOUR,
    Clock,
    Server,
    database_of,
    on_each_version,
    on_one_server,
    set_clock,
)

pytestmark = on_each_version

NETWORKS = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))


def add(
    connection: Connection,
    ring: KeyRing,
    *,
    tenant: str | None = "default",
    form: KeyForm = KeyForm.BEARER,
    networks: Sequence[Network] = (),
    life: timedelta = HOUR,
    **more: Any,
) -> tuple[ApiKey, str]:
    """A key and its secret."""
    return ApiKeyStore(Queries(connection)).add(
        tenant=tenant,
        form=form,
        label="orders",
        scopes=frozenset({KeyScope.BINDINGS_READ}),
        networks=networks,
        life=life,
        keys=ring,
        **more,
    )


@pytest.fixture
def ring(connection: Connection, keys: KeyRing) -> KeyRing:
    """The keys of this database."""
    return check_keys(connection, keys)


def test_a_bearer_is_kept_as_a_digest(connection: Connection, ring: KeyRing) -> None:
    """Its secret is nowhere in the row."""
    written = ip_network("::ffff:198.51.100.0/120")
    key, secret = add(connection, ring, networks=(*NETWORKS, written))
    found = ApiKeyStore(Queries(connection)).find(key.id)
    assert found.key == key
    assert found.digest is not None
    assert same_secret(secret, found.digest)
    assert found.sealed is None
    # As addresses of requests are, whatever an older program wrote.
    assert key.networks == (*NETWORKS, ip_network("198.51.100.0/24"))
    assert key.tenant == "default"
    assert key.state is KeyState.ACTIVE
    assert key.expires_at - key.created_at >= HOUR
    assert secret not in str(connection.execute("SELECT * FROM agi_router.api_key").fetchall())


def test_a_key_that_is_shown(connection: Connection, ring: KeyRing) -> None:
    """Is found by its id alone, though another one is read where there is none."""
    store = ApiKeyStore(Queries(connection))
    ids = sorted(new_key_id() for _ in range(3))
    assert [store.find_shown(each) for each in ids] == [None] * 3
    key, _ = add(connection, ring)
    found = store.find_shown(key.id)
    assert found is not None
    assert found.key == key
    for none in ("", "\0", "0" * len(key.id), "z" * len(key.id), f"{key.id}0", *ids):
        assert store.find_shown(none) is None


def test_a_signing_secret_is_sealed_for_its_key(connection: Connection, ring: KeyRing) -> None:
    """With the key ring, and opens for no other one."""
    key, secret = add(connection, ring, tenant=None, form=KeyForm.SIGNED)
    found = ApiKeyStore(Queries(connection)).find(key.id)
    assert found.digest is None
    assert found.sealed is not None
    assert secret.encode() not in found.sealed
    assert ring.open_secret(found.sealed, key.id) == secret
    for sealed, key_id in (
        (found.sealed, "another"),
        (found.sealed[:-1], key.id),
        (b"", key.id),
    ):
        with pytest.raises(SealError):
            ring.open_secret(sealed, key_id)


def test_two_at_once(connection: Connection, ring: KeyRing) -> None:
    """Two for each tenant, and two for each role of the operator's; one revoked makes room."""
    store = ApiKeyStore(Queries(connection))
    TenantStore(Queries(connection)).add("couriers")
    for owner in ("default", "couriers", None):
        most = 6 if owner is None else 2
        first, *others = [add(connection, ring, tenant=owner)[0] for _ in range(most)]
        with pytest.raises(ApiKeyLimit):
            add(connection, ring, tenant=owner)
        revoked = store.revoke(first.id)
        assert revoked.state is KeyState.REVOKED
        assert store.revoke(first.id) == revoked
        third, _ = add(connection, ring, tenant=owner)
        assert {third.id, *(each.id for each in others)} == {
            key.id for key in store.all() if key.tenant == owner and key.state is KeyState.ACTIVE
        }
    assert len(store.all()) == 13
    assert len(store.all(tenant="couriers")) == 3
    with pytest.raises(TenantNotFound):
        add(connection, ring, tenant="nobody")
    with pytest.raises(ApiKeyNotFound):
        store.revoke("nothing")


def test_two_at_once_whoever_comes_together(
    dsn: str, connection: Connection, ring: KeyRing
) -> None:
    """Eight make one at the same moment: two do, and both can be used."""

    def make(_: int) -> str | None:
        with connect(dsn) as own:
            try:
                return add(own, ring)[0].id
            except ApiKeyLimit:
                return None

    with ThreadPoolExecutor(8) as pool:
        made = [each for each in pool.map(make, range(8)) if each]
    assert sorted(made) == sorted(
        key.id for key in ApiKeyStore(Queries(connection)).all() if key.state is KeyState.ACTIVE
    )
    assert len(made) == 2


def test_a_key_that_waits(clock: Clock, shadowed: Connection, keys: KeyRing) -> None:
    """It has its place and opens nothing until its time, from which on it lives."""
    assert clock
    ring = check_keys(shadowed, keys)
    store = ApiKeyStore(Queries(shadowed))
    first, _ = add(shadowed, ring)
    begin = first.created_at + HOUR
    waiting, _ = add(shadowed, ring, begins_at=begin)
    assert (waiting.state, waiting.begins_at) == (KeyState.WAITING, begin)
    assert waiting.expires_at - begin == first.expires_at - first.begins_at
    assert waiting in store.all()
    (count,) = Queries(shadowed).rows("count_api_keys", {})
    assert count == {"keys": 1}
    with pytest.raises(ApiKeyLimit):
        add(shadowed, ring)
    set_clock(shadowed, begin)
    assert store.find(waiting.id).key.state is KeyState.ACTIVE
    store.revoke(first.id)
    past, _ = add(shadowed, ring, begins_at=begin - HOUR)
    assert (past.state, past.begins_at) == (KeyState.ACTIVE, begin)


def test_an_expired_key_makes_room(clock: Clock, shadowed: Connection, keys: KeyRing) -> None:
    """And says that it is expired, before anybody has marked it."""
    assert clock
    ring = check_keys(shadowed, keys)
    store = ApiKeyStore(Queries(shadowed))
    first, _ = add(shadowed, ring)
    add(shadowed, ring)
    set_clock(shadowed, first.expires_at)
    assert store.find(first.id).key.state is KeyState.EXPIRED
    assert {key.state for key in store.all()} >= {KeyState.EXPIRED}
    third, _ = add(shadowed, ring)
    assert store.find(third.id).key.state is KeyState.ACTIVE


def test_last_use_is_noted_to_the_minute(
    clock: Clock, shadowed: Connection, keys: KeyRing
) -> None:
    """Not for each request anew."""
    assert clock
    store = ApiKeyStore(Queries(shadowed))
    key, _ = add(shadowed, check_keys(shadowed, keys))
    seen = []
    for seconds in (10, 40, 71):
        set_clock(shadowed, key.created_at + timedelta(seconds=seconds))
        store.note_use(key.id)
        seen.append(store.find(key.id).key.last_used_at)
    assert seen[0] is not None
    assert seen[0] == seen[1]
    assert seen[2] == seen[0] + timedelta(seconds=61)


def test_rotation_takes_secrets_along(connection: Connection, ring: KeyRing) -> None:
    """They are sealed anew once, and open with the old key no more."""
    store = ApiKeyStore(Queries(connection))
    key, secret = add(connection, ring, form=KeyForm.SIGNED)
    add(connection, ring)
    other = KeyRing(tag_keys=ring.tag_keys, seal_keys=ring.seal_keys, cipher=Cipher.SM4_GCM)
    assert store.renew(ring) == 0
    assert store.renew(other) == 1
    assert store.renew(other) == 0
    sealed = store.find(key.id).sealed
    assert sealed is not None
    assert ring.open_secret(sealed, key.id) == secret
    rows = Queries(connection).rows("count_keys", {})
    assert [(row["header"], row["values"]) for row in rows] == [(other.secret_header, 1)]


def test_who_serves_can_only_add_to_the_audit(
    server: Server, dsn: str, connection: Connection
) -> None:
    """What was written down stays."""
    role = f"serving_{database_of(dsn)}"
    with server.admin() as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
    try:
        grant(connection, role)
        with connect(f"{dsn} user={role}") as serving:
            audit = Audit(Queries(serving))
            audit.record(
                AuditEntry(
                    act="GET /v1/bindings/{id}",
                    subject="binding 70012345678-1",
                    reason=None,
                    api_key="abcdefghijklmnop",
                    request_id="r-1",
                )
            )
            for change in ("UPDATE agi_router.audit SET act = ''", "DELETE FROM agi_router.audit"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    serving.execute(change)
    finally:
        with server.admin(database_of(dsn)) as admin:
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")
    (row,) = connection.execute("SELECT api_key, request_id FROM agi_router.audit").fetchall()
    assert row == {"api_key": "abcdefghijklmnop", "request_id": "r-1"}


@on_one_server
def test_the_command_line(dsn: str, connection: Connection, keys: KeyRing, tmp_path: Path) -> None:
    """A secret is printed once, and each change is written down."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    cli = Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})
    scopes = ("--scope", "bindings:read", "--scope", "bindings:write")
    create = ("api-key", "create", "--label", "orders", *scopes, "--json")
    made = json.loads(cli(*create, "--tenant", "default", "--network", "192.0.2.0/24").out)
    key_id, secret = parse_bearer(made["bearer"]) or ("", "")
    assert key_id == made["id"]
    found = ApiKeyStore(Queries(connection)).find(key_id)
    assert found.digest is not None
    assert same_secret(secret, found.digest)
    signing = json.loads(cli(*create, "--operator", "--signed").out)
    sealed = ApiKeyStore(Queries(connection)).find(signing["id"]).sealed
    assert sealed is not None
    assert keys.open_secret(sealed, signing["id"]) == signing["secret"]
    listed = cli("api-key", "list")
    assert made["id"] in listed.out
    assert secret not in listed.out
    revoked = json.loads(cli("api-key", "revoke", key_id, "--json").out)
    assert revoked["state"] == "revoked"
    acts = connection.execute("SELECT act, subject FROM agi_router.audit ORDER BY id").fetchall()
    assert [(row["act"], row["subject"]) for row in acts] == [
        ("api-key create", f"API key {key_id}"),
        ("api-key create", f"API key {signing['id']}"),
        ("api-key revoke", f"API key {key_id}"),
    ]
    assert cli("api-key", "revoke", "nothing").code == 66
    assert cli(*create).code == 2
    assert cli(*create, "--tenant", "default", "--scope", "audit:read").code == 2
    limits = ("--max-binds", "3", "--max-requests", "60")
    limited = json.loads(cli(*create, "--tenant", "default", *limits).out)
    assert (limited["max_binds"], limited["max_requests"]) == (3, 60)
    refused = cli(*create, "--tenant", "default", *limits, "--scope", "keys:write")
    assert (refused.code, "keys:write" in refused.err) == (2, True)
    told = json.loads(cli("tenant", "limit", "default", "--max-requests", "90", "--json").out)
    assert told["max_requests"] == 90
