"""What the bindings of a tenant keep to, whoever makes them, and until when it is qualified."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from postgres.test_feeds import hears
from postgres.test_import import Importing

from agi_router.bindings.modes import Axb, Gxb, Parties
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.reasons import Reason
from agi_router.bindings.requests import make_request
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Mode, Side
from agi_router.db.connection import Connection, connect
from agi_router.errors import (
    AgiRouterError,
    OrderCrowded,
    OrderMissing,
    PairTooOften,
    RequestInvalid,
    SceneUnknown,
    StoreHeld,
    TenantUnqualified,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.tenants.rules import RulesChange
from harness.cli import run
from harness.database import HOUR, a_call, bind, new_party, on_each_version, one
from harness.values import A, B, C, D, E, F, X

TENANT = "default"


def keep(store: BindingStore, **rules: object) -> None:
    """Let the tenant's bindings keep to rules."""
    store.inventory.tenants.set_rules(TENANT, RulesChange(**rules))  # type: ignore[arg-type]


def draw(store: BindingStore, parties: Parties | None = None, **terms: str) -> None:
    """Bind two on a number that is drawn."""
    parties = parties or Axb(a=new_party(), b=new_party())
    store.bind(parties, Terms(expires_at=store.now() + HOUR, **terms))  # type: ignore[arg-type]


@on_each_version
def test_no_order_no_binding(connection: Connection, store: BindingStore) -> None:
    """On a number that is drawn, remembered or given; and at once when the rule is set."""
    draw(store)
    draw(store)
    keep(store, needs_order=True)
    for x in (None, X):
        with pytest.raises(OrderMissing):
            bind(store, x=x)
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 2
    bind(store, order_id="A-1")
    keep(store, needs_order=False)
    draw(store)


def test_no_order_in_a_batch(store: BindingStore) -> None:
    """Each is bound, or refused, for itself."""
    keep(store, needs_order=True)
    requests = []
    for order in ("A-1", None):
        values = {"mode": Mode.AXB, "a": new_party(), "b": new_party(), "tenant": TENANT}
        values |= {"ttl": HOUR} | ({} if order is None else {"order": order})
        requests.append((make_request(values), NumberPolicy()))
    made = store.make_together(requests, default_ttl=HOUR)
    assert {place: each.order_id for place, each in made.items()} == {0: "A-1"}
    with pytest.raises(OrderMissing):
        store.make(requests[1][0], default_ttl=HOUR)


def test_a_scene(store: BindingStore, dsn: str, keys: KeyRing) -> None:
    """It is one of the tenant's, kept and shown; without a list it may be any."""
    assert bind(store, scene="any").scene == "any"
    keep(store, scenes=["parcel", "meal"])
    with pytest.raises(SceneUnknown, match="names no scene"):
        draw(store)
    with pytest.raises(SceneUnknown, match="'any'"):
        draw(store, scene="any")
    draw(store, scene="meal")
    importing = Importing(dsn, keys)
    rows = (
        "mode,a,b,order,scene\naxb,13800000031,13800000032,A-1,parcel\n"
        "axb,13800000033,13800000034,A-2,x\n"
    )
    assert importing(rows, keep_going=True).bound == 1
    assert importing.faults == [(3, "the binding names the scene 'x': say one of parcel, meal")]


@on_each_version
def test_the_same_two_within_an_hour(store: BindingStore, connection: Connection) -> None:
    """They are bound so often, whichever of them is A; others are not counted with them."""
    keep(store, max_pair_binds=2)
    bind(store)
    bind(store, B, A, x=None)
    with pytest.raises(PairTooOften, match="2 times") as refused:
        bind(store, x=None)
    assert 3500 < (refused.value.wait or 0) <= 3600
    bind(store, A, C, x=None)
    bind(store, B, D, x=None)
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 4
    connection.execute("UPDATE agi_router.route SET begins_at = begins_at - interval '1 h'")
    bind(store, x=None)


def test_the_same_two_at_once(store: BindingStore, dsn: str, keys: KeyRing) -> None:
    """Of many who bind them at the same moment so many get through as may."""
    keep(store, max_pair_binds=3)

    def try_to_bind(_: int) -> bool:
        with connect(dsn) as connection:
            try:
                draw(BindingStore(connection, keys), Axb(a=A, b=B))
            except PairTooOften:
                return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(try_to_bind, range(6))) == 3


@pytest.mark.parametrize("refuses", [False, True])
def test_an_order_of_many(store: BindingStore, connection: Connection, *, refuses: bool) -> None:
    """More pairs than may be are told; or refused, and then the last that is not is told."""
    events = EventStore(store._queries, store.keys)
    events.set_types(TENANT, [EventType.ORDER_CROWDED])
    keep(store, max_order_pairs=2, refuses_pairs=refuses)
    for _ in range(2):
        draw(store, order_id="A-1")
    draw(store, order_id="A-2")
    if refuses:
        with pytest.raises(OrderCrowded, match="2 different pairs"):
            draw(store, order_id="A-1")
    else:
        draw(store, order_id="A-1")
    told = [
        row["data"] for row in connection.execute(b"SELECT data FROM agi_router.event").fetchall()
    ]
    pairs = 2 if refuses else 3
    assert told == [{"order_id": "A-1", "pairs": pairs, "most": 2, "refused": refuses}]


def test_another_order(store: BindingStore) -> None:
    """A binding that comes under another order is judged as if it were just made."""
    made = bind(store, order_id="A-0")
    bind(store, C, D, x=None, order_id="A-1")
    keep(store, needs_order=True, max_order_pairs=1, refuses_pairs=True)
    with pytest.raises(OrderMissing):
        store.change(made.id, order_id=None)
    with pytest.raises(OrderCrowded):
        store.change(made.id, order_id="A-1")
    assert store.change(made.id, order_id="A-0", max_calls=2).order_id == "A-0"
    keep(store, scenes=["meal"])
    with pytest.raises(SceneUnknown):
        store.change(made.id, order_id="A-2")
    keep(store, scenes=[])
    assert store.change(made.id, order_id="A-2").order_id == "A-2"


@on_each_version
def test_who_takes_a_place_is_counted(store: BindingStore) -> None:
    """As if it were bound: by the order, by the pair, and by what a binding is to name."""
    made = bind(store, order_id="A-1")
    keep(store, max_order_pairs=2, refuses_pairs=True)
    store.replace(made.id, Side.B, C)
    with pytest.raises(OrderCrowded):
        store.replace(made.id, Side.B, D)
    with pytest.raises(OrderCrowded):
        draw(store, order_id="A-1")
    assert {each.number for each in store.find(made.id).parties} == {A, C}
    # Nor by way of another order.
    store.change(made.id, order_id="A-2")
    store.change(made.id, order_id="A-1")
    with pytest.raises(OrderCrowded):
        store.replace(made.id, Side.B, D)
    keep(store, max_order_pairs=3)
    store.replace(made.id, Side.B, D)
    keep(store, max_order_pairs=0, max_pair_binds=1)
    for pair in ((A, B), (D, A)):
        with pytest.raises(PairTooOften):
            bind(store, *pair, x=None)
    other = bind(store, A, E, x=None)
    with pytest.raises(PairTooOften):
        store.replace(other.id, Side.B, D)
    assert store.replace(other.id, Side.B, F).version == 2
    keep(store, max_pair_binds=0, needs_order=True)
    with pytest.raises(OrderMissing):
        store.replace(other.id, Side.B, E)


def test_who_comes_into_a_group_is_not_counted(store: BindingStore) -> None:
    """As a member, or beside it as its default, nor who comes with another group."""
    keep(store, max_order_pairs=1, refuses_pairs=True)
    store.add_group(TENANT, "g", [A, F])
    terms = Terms(expires_at=store.now() + HOUR, order_id="A-1")
    made = store.bind(Gxb(members=(A, C), b=B, default=A), terms)
    store.add_members(made.id, [D])
    store.set_default(made.id, E)
    store.set_group(made.id, "g")
    assert {each.number for each in store.find(made.id).parties} == {A, B, F}
    with pytest.raises(OrderCrowded):
        store.replace(made.id, Side.B, D)


def test_an_import_keeps_to_them(store: BindingStore, dsn: str, keys: KeyRing) -> None:
    """Row by row; and the same file twice changes nothing."""
    keep(store, max_order_pairs=1, refuses_pairs=True, max_pair_binds=1)
    importing = Importing(dsn, keys)
    rows = (
        "mode,a,b,order\naxb,13800000041,13800000042,A-1\naxb,13800000043,13800000044,A-1\n"
        "axb,13800000041,13800000042,A-3\n"
    )
    for bound, there in ((1, 0), (0, 1)):
        tally = importing(rows, keep_going=True)
        assert (tally.bound, tally.there) == (bound, there)
        assert [line for line, _ in importing.faults] == [3, 4]


@on_each_version
def test_rules_that_are_set_while_an_import_goes_on(
    store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """What was loaded in bulk, as if there were none, is undone; read again it keeps to them."""
    importing = Importing(dsn, keys)
    importing.read = lambda _: keep(store, max_order_pairs=1, refuses_pairs=True)
    rows = "mode,a,b,order\naxb,13800000041,13800000042,A-1\naxb,13800000043,13800000044,A-1\n"
    with pytest.raises(StoreHeld, match="import the file again"):
        importing(rows)
    assert store.bindings(everything=True, order_id=None, limit=9) == []
    assert importing(rows, keep_going=True).bound == 1
    assert [line for line, _ in importing.faults] == [3]


@on_each_version
@pytest.mark.parametrize(
    ("since", "until", "valid"),
    [(-2, 2, True), (None, 2, True), (-2, None, True), (-2, -1, False), (1, 2, False)],
)
def test_a_qualification(
    store: BindingStore,
    since: int | None,
    until: int | None,
    *,
    valid: bool,
) -> None:
    """Outside of it no call and no bind; what was bound stays, and goes on by another one."""
    bind(store)
    draw(store)
    now = store.now()
    at = [None if each is None else now + timedelta(days=each) for each in (since, until)]
    row = store.inventory.tenants.qualify(
        TENANT, number="B2-1", issuer="MIIT", valid_from=at[0], valid_until=at[1]
    )
    assert (row["qualification"], row["qualified_by"]) == ("B2-1", "MIIT")
    assert [row["qualified_from"], row["qualified_until"]] == at
    heard = hears(store, a_call(A))
    assert heard is (None if valid else Reason.TENANT_UNQUALIFIED)
    for x in (None, X):
        try:
            bind(store, new_party(), new_party(), x=x)
        except TenantUnqualified:
            assert not valid
        else:
            assert valid
    store.inventory.tenants.qualify(
        TENANT, number=None, issuer=None, valid_from=None, valid_until=None
    )
    bind(store, new_party(), new_party(), x=None)


def test_a_qualification_that_ends_before_it_begins(store: BindingStore) -> None:
    """It is refused."""
    now = store.now()
    with pytest.raises(RequestInvalid, match="later"):
        store.inventory.tenants.qualify(
            TENANT, number=None, issuer=None, valid_from=now, valid_until=now
        )


def test_the_command(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """A new tenant's bindings need an order; rules are set one by one, and taken back."""
    assert store
    write_key_ring(tmp_path / "keys", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "keys")}
    assert run(["tenant", "add", "meals", "--json"], env).json["needs_order"] is True
    free = run(["tenant", "add", "trials", "--no-order", "--json"], env).json
    assert free["needs_order"] is False
    words = ["--scene", "meal", "--max-pair-binds", "3", "--max-order-pairs", "2"]
    told = run(["tenant", "rules", "meals", *words, "--refuse-pairs", "--json"], env).json
    kept = {each: told[each] for each in ("needs_order", "scenes", "refuses_pairs")}
    assert kept == {"needs_order": True, "scenes": ["meal"], "refuses_pairs": True}
    assert (told["max_pair_binds"], told["max_order_pairs"]) == (3, 2)
    words = ["--any-scene", "--max-pair-binds", "none", "--no-order", "--tell-pairs"]
    told = run(["tenant", "rules", "meals", *words, "--json"], env).json
    assert (told["scenes"], told["max_pair_binds"], told["needs_order"]) == ([], None, False)
    assert (told["max_order_pairs"], told["refuses_pairs"]) == (2, False)
    for wrong in ([], ["--scene", "a b"], ["--scene", "a", "--any-scene"]):
        assert run(["tenant", "rules", "meals", *wrong], env).code == 2
    words = ["--number", "B2-1", "--issuer", "MIIT", "--until", "2020-01-01T00:00+08:00"]
    told = run(["tenant", "qualify", TENANT, *words, "--json"], env).json
    assert told["qualified_until"].startswith("2019-12-31T16:00")
    with pytest.raises(AgiRouterError):
        bind(store)
    late = run(["tenant", "qualify", TENANT, "--from", "2099-01-01", "--until", "2098-01-01"], env)
    assert (late.code, "qualified" in late.err) == (2, False)
    assert run(["tenant", "qualify", TENANT], env).code == 0
    bind(store)


def test_what_is_not_of_two(store: BindingStore) -> None:
    """A pair is two: what is bound for a group is counted by the order alone."""
    keep(store, max_pair_binds=1)
    members: tuple[PhoneNumber, ...] = (A, C)
    for _ in range(2):
        draw(store, Gxb(members=members, b=B))
