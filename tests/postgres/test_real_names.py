"""Real names in the database: which line speaks, who is bound by it, and what whoever sees."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agi_router.bindings.modes import Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Side
from agi_router.cursors import Cursor
from agi_router.db.connection import Queries
from agi_router.errors import CursorInvalid, OperatorOnly, PartyUnverified, RequestInvalid
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_names import RealName, RealNameLine, check_source
from agi_router.tenants.rules import RulesChange
from harness.cli import run
from harness.database import Server, bind, on_each_version
from harness.pbx import Cli
from harness.values import BLOCK, A, B, C, D, E

YES, NO, UNKNOWN = RealName.YES, RealName.NO, RealName.UNKNOWN
OTHER = "others"


def names_of(store: BindingStore) -> RealNameStore:
    """What whoever has this store sees."""
    return RealNameStore(Queries(store.connection), store.keys, store.scope)


def say(
    store: BindingStore, person: PhoneNumber, status: RealName, tenant: str | None = None
) -> RealNameLine:
    return names_of(store).write(person, status, source="carrier", by="a test", tenant=tenant)


@on_each_version
def test_which_line_speaks(store: BindingStore) -> None:
    """What the operator knows, else what the tenant says; of each the last one, and for itself."""
    store.inventory.tenants.add(OTHER)
    names = names_of(store)
    nothing = names.status(A, tenant="default")
    assert (nothing.status, nothing.source, nothing.checked_at) == (UNKNOWN, None, None)
    for said, tenant, expected in (
        (NO, "default", NO),
        (YES, "default", YES),
        (NO, OTHER, YES),
        (NO, None, NO),
        (YES, "default", NO),
        (UNKNOWN, None, YES),
        (UNKNOWN, "default", UNKNOWN),
        (YES, None, YES),
        (NO, "default", YES),
    ):
        say(store, A, said, tenant)
        assert names.status(A, tenant="default").status is expected, (said, tenant)
    assert names.status(A).status is YES
    assert names.status(B, tenant="default").status is UNKNOWN
    assert [each.status for each in names.all(person=A, limit=2)] == [NO, YES]
    assert len(names.all(status=NO, limit=99)) == 4
    page = names.all(limit=3)
    assert names.all(after=page[0].cursor, limit=2) == page[1:]
    with pytest.raises(CursorInvalid):
        names.all(after=Cursor(store.now(), "x"), limit=9)
    mine = names_of(store.within(store.inventory.tenants.scope(OTHER)))
    assert [(each.tenant, each.added_by) for each in mine.all(limit=9)] == [(OTHER, None)]
    assert mine.status(A).status is YES
    with pytest.raises(OperatorOnly):
        mine.write(A, YES, source="app", by="a test")
    for wrong in ("", " ", "x" * 65):
        with pytest.raises(ValueError, match="source"):
            check_source(wrong)


@on_each_version
def test_nobody_else_is_bound(store: BindingStore) -> None:
    """One by one, together, in a group, in another's place; what is bound stays."""
    before = bind(store, C, D)
    store.inventory.tenants.set_rules("default", RulesChange(needs_real_name=True))
    terms = Terms(expires_at=store.now() + timedelta(hours=1))
    say(store, A, YES)
    for status in (None, NO, UNKNOWN):
        if status is not None:
            say(store, B, status, "default")
        with pytest.raises(PartyUnverified):
            bind(store, A, B, x=None)
    assert store.connection.execute("SELECT count(*) FROM agi_router.binding").fetchone() == {
        "count": 1
    }
    say(store, B, YES, "default")
    made = bind(store, A, B, x=BLOCK.number(77))
    with pytest.raises(PartyUnverified):
        store.replace(made.id, Side.B, E)
    store.add_group("default", "team", [A])
    store.bind(Gxb(group="team", b=B), terms, x=BLOCK.number(80))
    with pytest.raises(PartyUnverified):
        store.change_members("default", "team", joining=[E])
    group = store.bind(Gxb(members=(A,), b=B), terms, x=BLOCK.number(78))
    with pytest.raises(PartyUnverified):
        store.add_members(group.id, [E])
    say(store, E, YES)
    store.add_members(group.id, [E])
    say(store, A, NO)
    assert store.find(made.id).state == store.find(before.id).state == "active"
    # A tenant that does not ask for it is not held to it.
    store.inventory.tenants.set_rules("default", RulesChange(needs_real_name=False))
    bind(store, A, B, x=BLOCK.number(79))


def test_by_hand(
    server: Server, store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path
) -> None:
    """Set, show, list; an import says why; no number is told, and who has looked is on record."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    cli = Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})
    set_ = ("person", "real-name", "set", "--person", "-", "--source", "carrier")
    made = cli(*set_, "--status", "yes", "--at", "2026-03-01T00:00:00Z", typed=[A.digits])
    assert (made["status"], made["person"]) == ("yes", A.masked)
    cli(*set_, "--status", "no", "--tenant", "default", typed=[B.digits])
    shown = cli("person", "real-name", "show", "--person", "-", typed=[A.digits])
    assert (shown["status"], shown["source"], len(shown["real_names"])) == ("yes", "carrier", 1)
    assert datetime.fromisoformat(shown["checked_at"]) == datetime(2026, 3, 1, tzinfo=UTC)
    told = run(["person", "real-name", "list"], cli.env).out
    assert ("carrier" in told, A.digits in told) == (True, False)
    assert len(cli("person", "real-name", "list", "--status", "no")) == 1
    assert (
        "yes"
        in run(
            ["person", "real-name", "show", "--person", "-"], cli.env, typed=f"{A.digits}\n"
        ).out
    )
    assert store.inventory.tenants.rules("default") is None
    assert cli("tenant", "rules", "default", "--real-name")["needs_real_name"] is True
    rows = tmp_path / "rows.csv"
    rows.write_text(f"mode,a,b,order,ttl\naxb,{A.digits},{B.digits},O-1,1h\n", "utf-8")
    refused = run(["import", str(rows)], {**cli.env, "AGI_ROUTER_DSN": server.cell(dsn)})
    assert "real name" in refused.err + refused.out
    acts = [each["act"] for each in cli("audit", "list")]
    assert acts[-3:] == ["person real-name show", "person real-name set", "person real-name set"]


def test_a_check_that_is_to_be(store: BindingStore) -> None:
    """It says nothing yet."""
    names, later = names_of(store), store.now() + timedelta(hours=1)
    with pytest.raises(RequestInvalid, match="checked_at lies in the future"):
        names.write(A, YES, source="carrier", by="a test", checked_at=later)
    assert names.status(A).status is UNKNOWN
