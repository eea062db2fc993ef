"""How many bindings a tenant makes in a time: of a person, on a 700 number, in all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from postgres.test_import import Importing

from agi_router.bindings.modes import Axb, Gxb
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import make_request
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Mode, Side
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import TooManyBinds
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.rates import parse_rate
from agi_router.tenants.bind_rates import BindRates
from agi_router.tenants.rules import RulesChange
from harness.cli import run
from harness.database import HOUR, bind, new_party, on_each_version, one
from harness.values import A, B, C, D, E, F

TENANT = "default"
USES = "SELECT count(*) FROM agi_router.bind_use"


def keep(store: BindingStore, **rates: str) -> None:
    """Let the tenant make so many bindings in a time."""
    said = BindRates(**{name: parse_rate(rate) for name, rate in rates.items()})
    store.inventory.tenants.set_rules(TENANT, RulesChange(bind_rates=said))


def pass_by(connection: Connection, span: str) -> None:
    """Have what was counted lie back by a time."""
    connection.execute(
        "UPDATE agi_router.bind_use SET at = at - %(span)s::interval,"
        " until = until - %(span)s::interval",
        {"span": span},
    )


@on_each_version
def test_of_a_person(store: BindingStore, connection: Connection) -> None:
    """On each side by itself; what is refused counts nowhere, and a window later all may."""
    bind(store)
    keep(store, a="2/1h", b="3/1h")
    for b in (B, C):
        bind(store, A, b, x=None)
    with pytest.raises(
        TooManyBinds, match="as A so many bindings were made as may be, 2/1h"
    ) as refused:
        bind(store, A, D, x=None)
    assert 3500 < (refused.value.wait or 0) <= 3600
    assert one(connection, USES) == 4
    bind(store, D, A, x=None)
    bind(store, D, B, x=None)
    bind(store, E, B, x=None)
    with pytest.raises(TooManyBinds, match="as B"):
        bind(store, F, B, x=None)
    pass_by(connection, "1 h")
    bind(store, A, B, x=None)
    keep(store)
    for _ in range(3):
        bind(store, A, new_party(), x=None)


def test_of_a_number_and_of_the_tenant(store: BindingStore, connection: Connection) -> None:
    """A number that is given is refused, and one that is chosen is another."""
    keep(store, number="1/1h", tenant="4/1h")
    first = bind(store, x=None)
    (number,) = {each.dials for each in first.parties}
    with pytest.raises(TooManyBinds, match="on this 700 number"):
        bind(store, C, D, x=number)
    for _ in range(2):
        bind(store, new_party(), new_party(), x=None)
    assert one(connection, "SELECT count(DISTINCT x_number) FROM agi_router.route") == 3
    # Nor by taking a place.
    with pytest.raises(TooManyBinds, match="on this 700 number"):
        store.replace(first.id, Side.B, C)
    keep(store, tenant="4/1h")
    store.replace(first.id, Side.B, C)
    with pytest.raises(TooManyBinds, match="of this tenant"):
        bind(store, E, F, x=None)
    with pytest.raises(TooManyBinds, match="of this tenant"):
        store.replace(first.id, Side.B, D)
    assert {each.number for each in store.find(first.id).parties} == {A, C}
    store.inventory.tenants.add("others")
    store.bind(
        Axb(a=E, b=F), Terms(expires_at=store.now() + HOUR, tenant="others", order_id="A-1")
    )


def test_of_each_member(store: BindingStore) -> None:
    """Each counts as A, and one who has had its share keeps the group from being bound."""
    keep(store, a="1/1h")
    group = Gxb(members=(A, C), b=B)
    store.bind(group, Terms(expires_at=store.now() + HOUR))
    with pytest.raises(TooManyBinds):
        bind(store, C, D, x=None)
    bind(store, B, D, x=None)


def test_many_at_once(store: BindingStore, dsn: str, keys: KeyRing) -> None:
    """It is exact: they take turns; in a batch, too."""
    keep(store, tenant="3/1h")

    def try_to_bind(_: int) -> bool:
        with connect(dsn) as connection:
            own = BindingStore(connection, keys)
            try:
                bind(own, new_party(), new_party(), x=None)
            except TooManyBinds:
                return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(try_to_bind, range(6))) == 3
    keep(store, tenant="5/1h")
    values = {"mode": Mode.AXB, "tenant": TENANT, "ttl": HOUR}
    requests = [make_request({**values, "a": new_party(), "b": new_party()}) for _ in range(3)]
    done: list[bool] = []
    with store._queries.transaction():
        store.hold_together(requests)
        asked = [(request, NumberPolicy()) for request in requests]
        assert store.make_together(asked, default_ttl=HOUR) == {}
        for request in requests:
            try:
                with store._queries.attempt():
                    store.make(request, default_ttl=HOUR)
                done.append(True)
            except TooManyBinds:
                done.append(False)
    assert done == [True, True, False]


def test_who_does_not_know_of_them_yet(store: BindingStore) -> None:
    """A store that remembers where to bind asks again once there are rates."""
    bind(store, x=None)
    bind(store, C, D, x=None)
    keep(store, tenant="1/1h")
    bind(store, E, F, x=None)
    with pytest.raises(TooManyBinds):
        bind(store, E, A, x=None)


def test_an_import(store: BindingStore, connection: Connection, dsn: str, keys: KeyRing) -> None:
    """It is held to what is of persons, and hurries as it likes."""
    keep(store, a="1/1h", number="1/1h", tenant="1/1h")
    importing = Importing(dsn, keys)
    rows = (
        "mode,a,b,order\naxb,13800000031,13800000032,A-1\naxb,13800000033,13800000034,A-2\n"
        "axb,13800000031,13800000036,A-3\n"
    )
    assert importing(rows, keep_going=True).bound == 2
    assert [line for line, _ in importing.faults] == [4]
    assert "as A" in importing.faults[0][1]
    assert one(connection, USES) == 2


def test_they_are_found_under_older_keys(store: BindingStore, connection: Connection) -> None:
    """What was counted before a rotation counts after it; what counts no longer is forgotten."""
    keep(store, a="1/1h")
    bind(store, x=None)
    tag = store.keys.tags(A)[0]
    assert one(connection, "SELECT key FROM agi_router.bind_use WHERE kind = 'a'") == tag
    pass_by(connection, "59 min")
    Queries(connection).row("forget_binds", {})
    assert one(connection, USES) == 1
    pass_by(connection, "61 s")
    assert Queries(connection).row("forget_binds", {}) == {"rows": 1}


def test_the_command(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """Rates are set one by one, and the audit says which."""
    write_key_ring(tmp_path / "keys", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "keys")}
    words = ["tenant", "binds", TENANT]
    told = run([*words, "--a", "30/60m", "--all", "100/1s", "--json"], env).json
    assert told["bind_limits"] == {"a": "30/1h", "tenant": "100/1s"}
    told = run([*words, "--a", "none", "--number", "5/1m", "--json"], env).json
    assert told["bind_limits"] == {"number": "5/1m", "tenant": "100/1s"}
    for wrong in ([], ["--a", "0/1h"], ["--a", "10001/1h"], ["--number", "x"]):
        assert run([*words, *wrong], env).code == 2
    run(["tenant", "rules", TENANT, "--scene", "meal", "--max-pair-binds", "3", "--no-order"], env)
    run(["tenant", "limit", TENANT, "--max-binds", "9"], env)
    rows = store.connection.execute(b"SELECT act, subject FROM agi_router.audit ORDER BY id")
    assert [(row["act"], row["subject"]) for row in rows.fetchall()] == [
        ("tenant binds", "tenant default: a 30/1h, tenant 100/1s"),
        ("tenant binds", "tenant default: a off, number 5/1m"),
        ("tenant rules", "tenant default: needs_order off, scenes meal, max_pair_binds 3"),
        ("tenant limit", "tenant default: max_binds 9"),
    ]
