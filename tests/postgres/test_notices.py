"""Tenants hear once that their numbers run out, or the certificate of a block."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.db.connection import Connection, Queries
from agi_router.errors import RequestInvalid, StoreUnavailable
from agi_router.inventory.capacity import Quarantine, StockLimits
from agi_router.inventory.model import CertificateChange
from agi_router.maintenance import notices as notices_module
from agi_router.maintenance.notices import Notices
from agi_router.numbers import Block
from harness.database import HOUR, new_party, one
from harness.values import BLOCK

SECOND = Block.parse("70022345678")
DAY = timedelta(days=1)
ENOUGH, FEW = StockLimits(free=1), StockLimits(free=100)


def look(connection: Connection, limits: StockLimits = ENOUGH) -> list[tuple[str, Any]]:
    """Look once; who was told of what, by the pool or the block."""
    last = one(connection, "SELECT coalesce(max(id), 0) FROM agi_router.event")
    told = sum(Notices(Queries(connection), Quarantine(), limits).steps())
    rows = connection.execute(
        "SELECT t.name, coalesce(e.data ->> 'pool', e.data ->> 'block') AS thing"
        " FROM agi_router.event e JOIN agi_router.tenant t ON t.id = e.tenant_id"
        " WHERE e.id > %s ORDER BY e.id",
        [last],
    ).fetchall()
    assert len(rows) == told
    return [tuple(row.values()) for row in rows]


def later(connection: Connection, span: timedelta = HOUR) -> None:
    """Let all that was looked at, and told, be so much older."""
    connection.execute(
        "UPDATE agi_router.notice"
        " SET looked_at = looked_at - %s, told_at = told_at - %s, over_at = over_at - %s",
        [span, span, span],
    )


def bind_for(store: BindingStore, tenant: str) -> None:
    """Bind two for a tenant."""
    terms = Terms(expires_at=store.now() + HOUR, tenant=tenant)
    store.bind(Axb(a=new_party(), b=new_party()), terms)


def test_few_numbers(connection: Connection, store: BindingStore) -> None:
    """Of all that is kept for a tenant, and of each pool of it."""
    for name in ("couriers", "rides"):
        store.inventory.tenants.add(name)
    store.inventory.add_block(SECOND, operator=None, certificate=None, tenant="couriers")
    store.pools.add("couriers", "FC1", blocks=(SECOND,))
    store.pools.add("couriers", "common", blocks=(BLOCK,))
    assert look(connection, FEW) == []
    connection.execute("UPDATE agi_router.tenant SET told = '{pool.low}'")
    assert look(connection) == []
    # They are counted once an hour.
    assert look(connection, FEW) == []
    later(connection)
    both = [("couriers", None), ("couriers", "FC1")]
    assert look(connection, FEW) == both
    assert one(connection, "SELECT data FROM agi_router.event ORDER BY id LIMIT 1") == {
        "pool": None,
        "numbers": 10_000,
        "free": 10_000,
        "exhausted_at": None,
    }
    # It is few again within a day of that: they hear of it a day after, and no more.
    for span, limits, told in (
        (HOUR, FEW, []),
        (2 * HOUR, ENOUGH, []),
        (20 * HOUR, FEW, []),
        (HOUR, FEW, both),
        (2 * DAY, FEW, []),
        (HOUR, ENOUGH, []),
    ):
        later(connection, span)
        assert look(connection, limits) == told
    # A number more than a day ago: ten thousand days are left.
    bind_for(store, "couriers")
    for days, told in ((9_000, []), (10_001, both)):
        later(connection)
        assert look(connection, StockLimits(free=1, ahead=timedelta(days=days))) == told
    store.pools.remove("couriers", "FC1")
    connection.execute("UPDATE agi_router.block SET state = 'draining'")
    later(connection, DAY)
    look(connection)
    rows = connection.execute("SELECT subject, told_at FROM agi_router.notice").fetchall()
    # None of them takes bindings, so it is few still.
    assert [(row["subject"], row["told_at"] is None) for row in rows] == [("", False)]


def test_the_end_of_a_certificate(connection: Connection, store: BindingStore) -> None:
    """Whom a block is kept for, or who is bound in a shared one."""
    for name in ("couriers", "rides", "meals"):
        store.inventory.tenants.add(name)
    store.inventory.add_block(
        SECOND,
        operator=None,
        certificate=None,
        tenant="couriers",
        valid_until=store.now() + 10 * DAY,
    )
    bind_for(store, "rides")
    ends = "UPDATE agi_router.block SET valid_until = now() + %s WHERE block = %s"
    connection.execute(ends, [10 * DAY, BLOCK.value])
    assert look(connection) == []
    connection.execute("UPDATE agi_router.tenant SET told = '{block.expiring}'")
    assert look(connection, StockLimits(certificate=9 * DAY)) == []
    assert sorted(look(connection)) == [("couriers", str(SECOND)), ("rides", str(BLOCK))]
    assert look(connection) == []
    # Who was told is not looked for again, and others once an hour.
    bind_for(store, "meals")
    assert look(connection) == []
    later(connection)
    assert look(connection) == [("meals", str(BLOCK))]
    shared = "SELECT data -> 'shared' FROM agi_router.event ORDER BY id DESC LIMIT 1"
    assert one(connection, shared) is True
    # There is another certificate, and in the end that is over, too.
    for_long, for_short = store.now() + 100 * DAY, store.now() + 20 * DAY
    certify = store.inventory.certify_block
    row = certify(SECOND, CertificateChange(certificate="2028-1", valid_until=for_long))
    assert (row["certificate"], row["valid_until"]) == ("2028-1", for_long)
    assert look(connection) == []
    assert certify(SECOND, CertificateChange(valid_until=for_short))["certificate"] == "2028-1"
    with pytest.raises(RequestInvalid):
        certify(SECOND, CertificateChange(valid_from=for_long))
    assert look(connection) == [("couriers", str(SECOND))]
    connection.execute(ends, [timedelta(), SECOND.value])
    assert look(connection) == []


def test_blocks_that_cannot_be_counted(
    connection: Connection, store: BindingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are in a cell that is away: others hear of theirs."""
    store.inventory.tenants.add("couriers")
    ends = store.now() + 10 * DAY
    store.inventory.add_block(
        SECOND, operator=None, certificate=None, tenant="couriers", valid_until=ends
    )
    connection.execute("UPDATE agi_router.tenant SET told = '{pool.low}'")

    def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("the cell is away")

    with monkeypatch.context() as patch:
        patch.setattr(notices_module, "reckon_block", fail)
        assert look(connection, FEW) == []
    later(connection)
    assert look(connection, FEW) == [("couriers", None)]
    store.inventory.tenants.add("rides")
    bind_for(store, "rides")
    connection.execute("UPDATE agi_router.tenant SET told = '{block.expiring}'")
    connection.execute("UPDATE agi_router.block SET valid_until = %s", [ends])
    connection.execute("ALTER TABLE agi_router.binding RENAME TO away")
    assert look(connection) == [("couriers", str(SECOND))]
    connection.execute("ALTER TABLE agi_router.away RENAME TO binding")
    later(connection)
    assert look(connection) == [("rides", str(BLOCK))]
