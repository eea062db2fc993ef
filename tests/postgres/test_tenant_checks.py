"""A tenant's own check, as it is managed and as a call finds it."""

from __future__ import annotations

from typing import Any

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.calls.check import Unanswered
from agi_router.calls.decision import Route, decide
from agi_router.calls.store import AdmissionStore
from agi_router.calls.tenant_checks import TenantCheckStore
from agi_router.db.connection import Connection, Queries
from agi_router.errors import CheckNotFound, RowInvalid, SealError, TenantNotFound
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from harness.cli import run
from harness.database import HOUR, a_call, admit_as_router, bind, new_call_id

TIMEOUT = 20.0
URL = "https://shop.example/calls"
TENANT = "default"


@pytest.fixture
def checks(connection: Connection, store: BindingStore) -> TenantCheckStore:
    """Those of this database."""
    return TenantCheckStore(Queries(connection), store.keys)


async def test_a_call_finds_it(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    checks: TenantCheckStore,
) -> None:
    """Its facts say so, at every door; then it is found with what signs questions, and no more."""
    bind(store)
    none = new_call_id()
    admission, _ = await admit_as_router(admissions, a_call(), none)
    assert admission.facts.hit is not None
    assert not admission.facts.hit.tenant_check
    made, secret = checks.put(TENANT, URL, unanswered=Unanswered.RING, timeout_ms=40)
    assert (made, secret is None) == (checks.find(TENANT), False)
    newer = checks.rotate_secret(TENANT, overlap=HOUR)
    call_id = new_call_id()
    for _ in range(2):
        # Asked again, as by another door, it is the same.
        admission, _ = await admit_as_router(admissions, a_call(), call_id)
        assert admission.facts.hit is not None
        assert admission.facts.hit.tenant_check
    route = decide(a_call(), admission.facts, now=admission.now)
    assert isinstance(route, Route)
    assert route.tenant_check
    _, service = await admissions.find_question(a_call(), call_id, route, timeout=TIMEOUT)
    assert service is not None
    assert (service.url, service.timeout, service.unanswered) == (URL, 0.04, Unanswered.RING)
    assert service.secrets == (newer, secret)
    assert newer not in repr(service)
    connection.execute("UPDATE agi_router.tenant_check SET old_until = now() - interval '1 s'")
    _, service = await admissions.find_question(a_call(), call_id, route, timeout=TIMEOUT)
    assert service is not None
    assert service.secrets == (newer,)
    checks.remove(TENANT)
    _, service = await admissions.find_question(a_call(), call_id, route, timeout=TIMEOUT)
    assert service is None


async def test_a_row_that_nobody_wrote(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    checks: TenantCheckStore,
) -> None:
    """A secret that is another one's, or a word that is none, lets no call be asked about."""
    bind(store)
    checks.put(TENANT, URL)
    call_id = new_call_id()
    admission, _ = await admit_as_router(admissions, a_call(), call_id)
    route = decide(a_call(), admission.facts, now=admission.now)
    assert isinstance(route, Route)
    sealed = store.keys.seal_secret("whsec_", "check 0")
    connection.execute("UPDATE agi_router.tenant_check SET secret = %s", (sealed,))
    with pytest.raises(SealError):
        await admissions.find_question(a_call(), call_id, route, timeout=TIMEOUT)
    connection.execute(
        "ALTER TABLE agi_router.tenant_check DROP CONSTRAINT tenant_check_unanswered_check"
    )
    connection.execute("UPDATE agi_router.tenant_check SET unanswered = 'else'")
    with pytest.raises(RowInvalid):
        await admissions.find_question(a_call(), call_id, route, timeout=TIMEOUT)


def test_it_is_put_once(checks: TenantCheckStore) -> None:
    """The second time it is another one under the same secret; without one, nothing is found."""
    with pytest.raises(TenantNotFound):
        checks.put("nobody", URL)
    for work in (
        checks.find,
        checks.remove,
        lambda tenant: checks.rotate_secret(tenant, overlap=HOUR),
    ):
        with pytest.raises(CheckNotFound):
            work(TENANT)
    checks.put(TENANT, URL)
    changed, secret = checks.put(TENANT, f"{URL}/2", unanswered=Unanswered.RING)
    assert (changed.url, changed.unanswered, secret) == (f"{URL}/2", Unanswered.RING, None)
    checks.remove(TENANT)
    assert checks.put(TENANT, URL)[1] is not None


def test_secrets_follow_the_keys(
    connection: Connection, checks: TenantCheckStore, keys: KeyRing, tmp_path: Any
) -> None:
    """They are sealed anew with the rows, and a key is not retired before."""
    _, secret = checks.put(TENANT, URL)
    newer = checks.rotate_secret(TENANT, overlap=HOUR)
    file = tmp_path / "key"
    write_key_ring(file, keys)
    rotation = Rotation(connection, check_keys(connection, keys), file)
    rotation.switch(rotation.add(["seal"]))
    assert rotation.uses()["seal", keys.seal_key_id] == 2
    assert rotation.renew_secrets() == 1
    assert rotation.renew_secrets() == 0
    rotation.retire("seal", keys.seal_key_id)
    row = connection.execute(
        "SELECT tenant_id, secret, old_secret FROM agi_router.tenant_check"
    ).fetchone()
    assert row is not None
    where = f"check {row.pop('tenant_id')}"
    assert [rotation.keys.open_secret(each, where) for each in row.values()] == [newer, secret]


def test_the_command(dsn: str, keys: KeyRing, tmp_path: Any) -> None:
    """It is set, shown, given another secret and removed; a private address is refused."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)}

    def check(*words: str) -> Any:
        return run(["tenant", "check", *words, "--json"], env)

    refused = check("set", TENANT, "http://127.0.0.1:8080/")
    assert (refused.code, "https" in refused.err) == (65, True)
    made = check("set", TENANT, URL, "--timeout-ms", "50").json
    secret = made.pop("secret")
    assert check("show", TENANT).json == made
    assert (made["unanswered"], made["timeout_ms"]) == ("refuse", 50)
    assert check("rotate-secret", TENANT).json["secret"] != secret
    assert check("remove", TENANT).json == made
    assert check("show", TENANT).code == 66
    acts = [row["act"] for row in run(["audit", "list", "--json"], env).json]
    assert {f"tenant check {word}" for word in ("remove", "rotate-secret", "set")} <= set(acts)
