"""Quotas: how many bindings a tenant may have at once, and make on a day, whoever makes them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from postgres.test_import import Importing

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Axb
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import make_request
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Mode
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import QuotaExceeded
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.tenants.model import Quota
from agi_router.tenants.quotas import take_quota
from harness.cli import run
from harness.database import HOUR, NO_REST, on_each_version, one
from testpbx.waiting import until

TENANT = "default"
PATIENCE = 20


def pair(serial: int) -> tuple[PhoneNumber, PhoneNumber]:
    """Two parties that nobody else has."""
    return PhoneNumber(digits=f"138{serial:08d}"), PhoneNumber(digits=f"139{serial:08d}")


def bind(store: BindingStore, serial: int) -> Binding:
    """Bind them on a number that is drawn."""
    a, b = pair(serial)
    return store.bind(Axb(a=a, b=b), Terms(expires_at=store.now() + HOUR))


def limit(store: BindingStore, quota: Quota, most: int | None) -> None:
    """Set a quota."""
    store.inventory.tenants.set_quota(TENANT, quota, most)


def alive(connection: Connection) -> int:
    """How many bindings there are."""
    found = one(connection, "SELECT count(*) FROM agi_router.binding WHERE ended_at IS NULL")
    return int(found)


def is_bound(store: BindingStore, serial: int) -> bool:
    """Whether there was a place for them."""
    try:
        bind(store, serial)
    except QuotaExceeded:
        return False
    return True


@on_each_version
def test_so_many_live_at_once(connection: Connection, store: BindingStore) -> None:
    """One more is refused and nothing of it is left; one that ends makes a place."""
    limit(store, Quota.BINDINGS, 2)
    made = [bind(store, serial) for serial in range(2)]
    for _ in range(2):
        with pytest.raises(QuotaExceeded, match="2 bindings may live") as refused:
            bind(store, 2)
        assert refused.value.wait is None
    assert alive(connection) == 2
    store.unbind(made[0].id)
    assert until(lambda: is_bound(store, 3), timeout=PATIENCE)
    # One that the clock has ended, though nobody has marked it.
    connection.execute(
        "UPDATE agi_router.binding SET expires_at = now() - interval '1 s' WHERE id = %s",
        (made[1].id.id,),
    )
    assert until(lambda: is_bound(store, 4), timeout=PATIENCE)
    limit(store, Quota.BINDINGS, None)
    assert is_bound(store, 5)


def test_so_many_are_made_on_a_day(connection: Connection, store: BindingStore) -> None:
    """Whether they live or not; yesterday's do not count."""
    limit(store, Quota.BINDS, 2)
    store.unbind(bind(store, 0).id)
    bind(store, 1)
    with pytest.raises(QuotaExceeded, match="2 bindings may be made") as refused:
        bind(store, 2)
    assert refused.value.wait
    assert 0 < refused.value.wait <= 86_400
    connection.execute("UPDATE agi_router.quota_use SET day = day - 1")
    assert until(lambda: is_bound(store, 3), timeout=PATIENCE)


def test_who_has_none_is_not_counted(connection: Connection, store: BindingStore) -> None:
    """Nor is who is far from a quota counted more than once a minute."""
    bind(store, 0)
    assert one(connection, "SELECT count(*) FROM agi_router.quota_use") == 0
    limit(store, Quota.BINDINGS, 10**9)
    with BindingStoreOf(store) as other:
        for serial in (1, 2):
            bind(other, serial)
        counted = "SELECT alive, mark FROM agi_router.quota_count"
        assert connection.execute(counted.encode()).fetchone() == {"alive": 2, "mark": 1}
        connection.execute(
            "UPDATE agi_router.quota_count SET counted_at = now() - interval '61 s'"
        )
        bind(other, 3)
    assert connection.execute(counted.encode()).fetchone() == {"alive": 4, "mark": 3}


class BindingStoreOf:
    """The store of another connection, which remembers nothing."""

    def __init__(self, store: BindingStore) -> None:
        self._connection = connect(store.connection.info.dsn)
        self._keys = store.keys

    def __enter__(self) -> BindingStore:
        return BindingStore(self._connection, self._keys, NO_REST)

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def test_a_quota_is_heeded_by_who_remembers_where_to_bind(
    store: BindingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered is soon forgotten."""
    monkeypatch.setattr("agi_router.bindings.openings._KEPT", 0.0)
    for serial in range(3):
        bind(store, serial)
    limit(store, Quota.BINDINGS, 3)
    assert not is_bound(store, 3)


@pytest.mark.parametrize("quota", [Quota.BINDINGS, Quota.BINDS])
def test_many_at_once(dsn: str, store: BindingStore, quota: Quota) -> None:
    """It is exact: they go one by one near it."""
    limit(store, quota, 20)

    def work(worker: int) -> int:
        with connect(dsn) as connection:
            own = BindingStore(connection, store.keys, NO_REST)
            return sum(is_bound(own, worker * 100 + serial) for serial in range(6))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 20
    assert alive(store.connection) == 20


def count(dsn: str, tenant_id: int, binds: int, others: threading.Event) -> bool:
    """Count so many in a transaction that waits for others to have counted too."""
    with connect(dsn) as connection:
        try:
            with connection.transaction():
                connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
                take_quota(Queries(connection), tenant_id, binds)
                assert others.wait(PATIENCE)
        except QuotaExceeded:
            return False
    return True


def counted(connection: Connection) -> int:
    """How many transactions have counted, or wait for another that has."""
    found = one(
        connection,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND (state = 'idle in transaction' AND query LIKE '%%take_quota%%'"
        "      OR wait_event_type = 'Lock')",
    )
    return int(found)


@pytest.mark.parametrize(
    ("most", "each", "allowed"),
    [
        # Batches: more of them at once than any room that is left for a single one.
        (1201, [200] * 16, {6}),
        # An import, and a bind beside it that sees nothing of it: either, and not both.
        (10**8, [10**8, 1], {1}),
    ],
)
def test_many_under_way_at_once(
    dsn: str, store: BindingStore, most: int, each: list[int], allowed: set[int]
) -> None:
    """What others have counted and not committed is waited for where it could be too much."""
    limit(store, Quota.BINDS, most)
    tenant_id = store.inventory.tenants.find_id(TENANT)
    others = threading.Event()
    with ThreadPoolExecutor(len(each)) as pool:
        done = []
        try:
            for place, binds in enumerate(each):
                done.append(pool.submit(count, dsn, tenant_id, binds, others))
                assert until(
                    lambda place=place: counted(store.connection) == place + 1,  # type: ignore[misc]
                    timeout=PATIENCE,
                )
        finally:
            others.set()
        assert sum(one.result(PATIENCE) for one in done) in allowed


def test_a_batch(connection: Connection, store: BindingStore) -> None:
    """All or none are made together; the last ones may be had one by one."""
    limit(store, Quota.BINDINGS, 5)

    def asked(first: int, count: int) -> list[tuple[Any, NumberPolicy]]:
        parties = map(pair, range(first, first + count))
        made = [make_request({"mode": Mode.AXB, "a": a, "b": b}) for a, b in parties]
        return [(each, NumberPolicy()) for each in made]

    assert len(store.make_together(asked(0, 3), default_ttl=HOUR)) == 3
    assert store.make_together(asked(3, 3), default_ttl=HOUR) == {}
    assert alive(connection) == 3
    for request, _ in asked(3, 2):
        store.make(request, default_ttl=HOUR)
    with pytest.raises(QuotaExceeded):
        store.make(asked(5, 1)[0][0], default_ttl=timedelta(hours=1))


def test_an_import(
    dsn: str, connection: Connection, store: BindingStore, keys: KeyRing, tmp_path: Any
) -> None:
    """It is counted as a whole; what a quota does not allow leaves nothing, and says why."""
    limit(store, Quota.BINDS, 4)

    def rows(first: int, count: int) -> str:
        told = [
            f"axb,A-{serial},{a.digits},{b.digits}\n"
            for serial in range(first, first + count)
            for a, b in [pair(serial)]
        ]
        return "mode,order,a,b\n" + "".join(told)

    with pytest.raises(QuotaExceeded):
        Importing(dsn, keys)(rows(0, 5))
    assert alive(connection) == 0
    assert Importing(dsn, keys)(rows(0, 3)).bound == 3
    key = tmp_path / "key"
    write_key_ring(key, keys)
    file = tmp_path / "rows.csv"
    file.write_text(rows(3, 2))
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(key)}
    refused = run(["import", str(file)], env)
    assert (refused.code, "4 bindings may be made" in refused.err) == (73, True)
    assert (
        run(["tenant", "limit", TENANT, "--max-binds", "none", "--json"], env).json["max_binds"]
        is None
    )
    assert run(["import", str(file)], env).code == 0
    assert alive(connection) == 5
    for wrong in (["--max-binds", "0"], []):
        assert run(["tenant", "limit", TENANT, *wrong], env).code == 2
