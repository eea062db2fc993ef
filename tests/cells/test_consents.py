"""What people agree to with a bind is known in front and in all cells, and in no cell alone."""

from __future__ import annotations

import pytest
from cells.conftest import BLOCKS

from agi_router.bindings.asked import Asked
from agi_router.bindings.model import BindingId
from agi_router.bindings.modes import Axb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState
from agi_router.consent.ledger import Act, How, Statement
from agi_router.errors import QuotaExceeded, StoreError
from agi_router.keys.ring import KeyRing
from agi_router.tenants.api_keys import KeyScope
from agi_router.tenants.model import Quota
from agi_router.tenants.rules import Consent, RulesChange
from harness.cells import Cells
from harness.database import HOUR, NO_REST, new_party, one, until
from harness.values import C

LINES = "SELECT array_agg(id ORDER BY id) FROM agi_router.consent"


def test_stated_with_a_bind(cells: Cells, dsn: str, store: BindingStore, keys: KeyRing) -> None:
    """Lines of one ledger go to all cells: none of a cell's own is in the way of the next."""
    store.inventory.tenants.set_rules("default", RulesChange(consent=Consent.ASSERTED))

    def bind(into: BindingStore) -> None:
        terms = Terms(expires_at=store.now() + HOUR, consent=How.APP)
        into.bind(Axb(a=new_party(), b=new_party()), terms)

    bind(store)
    bind(store)
    x = BLOCKS[1].number(7)
    terms = Terms(expires_at=store.now() + HOUR, consent=How.APP)
    store.bind(Axb(a=new_party(), b=new_party()), terms, x=x)
    lines = one(store.connection, LINES)
    assert len(lines) == 6
    store.consents.write(C, "default", Statement(act=Act.GIVEN, how=How.PAPER), by="a test")
    lines = one(store.connection, LINES)
    for each in cells.dsns(dsn):
        with cells.connect(each) as cell:
            until(lambda there=cell: one(there, LINES) == lines)  # type: ignore[misc]
            beside = BindingStore(cell, keys, NO_REST)
            with pytest.raises(StoreError):
                bind(beside)
            assert one(cell, LINES) == lines


def test_stated_with_binds_that_come_together(store: BindingStore) -> None:
    """Each has its own answer; behind the cell's, what is left to write is waited for."""
    store.inventory.tenants.set_rules("default", RulesChange(consent=Consent.ASSERTED))
    terms = Terms(expires_at=store.now() + HOUR, consent=How.APP)
    store.bind(Axb(a=new_party(), b=new_party()), terms)
    store.connection.execute(
        "INSERT INTO agi_router.api_key (id, tenant_id, place, form, label, scopes, networks,"
        " digest, expires_at) SELECT %s, t.id, 1, 'bearer', 'x', '{bindings:write}', '{}',"
        " sha256('x'), now() + interval '1 day' FROM agi_router.tenant t",
        ("abcdefghijklmnop",),
    )
    asked = [
        Asked(
            parties=Axb(a=new_party(), b=new_party()),
            terms=terms,
            life=None,
            kept={"status": 201, **dict.fromkeys(("pool", "name", "payload"))},
            tell=lambda made, _: ({}, str(made.id)),
        )
        for _ in range(2)
    ]
    claims = [dict.fromkeys(("nonce", "signed_at"))] * 2
    beside = {"api_key": "abcdefghijklmnop", "api_scope": KeyScope.BINDINGS_WRITE}
    with store.connection.transaction():
        told = store.make_asked_together(asked, claims, beside)
        assert one(store.connection, "SHOW lock_timeout") == "0"
    for _, name in told.values():
        assert store.find(BindingId.parse(name)).state is BindingState.ACTIVE
    assert len({name for _, name in told.values()}) == 2
    assert len(one(store.connection, LINES)) == 6


def test_too_many(cells: Cells, dsn: str, store: BindingStore) -> None:
    """What is refused behind the bind, step by step, does not stay."""
    store.inventory.tenants.set_quota("default", Quota.BINDINGS, 1)
    terms = Terms(expires_at=store.now() + HOUR)
    kept = store.bind(Axb(a=new_party(), b=new_party()), terms, x=BLOCKS[0].number(1))
    with pytest.raises(QuotaExceeded):
        store.bind(Axb(a=new_party(), b=new_party()), terms, x=BLOCKS[0].number(2))
    with cells.connect(cells.dsns(dsn)[0]) as north:
        alive = "SELECT array_agg(id) FROM agi_router.binding WHERE ended_at IS NULL"
        assert one(north, alive) == [kept.id.id]
