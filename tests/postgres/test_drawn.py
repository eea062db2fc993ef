"""Bindings on numbers that are drawn for them: one by one statement, and many by one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bench.pgbench import Recorder
from psycopg.rows import dict_row

from agi_router.bindings import draw, openings
from agi_router.bindings.draw import can_draw
from agi_router.bindings.model import Binding
from agi_router.bindings.modes import MODES, Ax, Axb, Axyb, Gxb, Parties
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest, make_request
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Mode, Side
from agi_router.db.connection import Connection, Queries
from agi_router.db.queries import query
from agi_router.errors import ExpiryInvalid, NoNumberAvailable, TenantNotFound
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.inventory.model import BlockState
from agi_router.keys.ring import KeyRing
from agi_router.numbers import Block, PhoneNumber, XNumber
from agi_router.tenants.rules import RulesChange
from harness.database import HOUR, NO_REST, bind, dials, new_party, on_each_version
from harness.values import BLOCK, A, B, C, D

pytestmark = on_each_version

DAY = timedelta(days=1)
SECOND = Block.parse("70022345678")


def x_of(binding: Binding) -> XNumber:
    return next(dials(party) for party in binding.parties if party.side is Side.A)


def anywhere(
    store: BindingStore, parties: Parties | None = None, tenant: str = "default"
) -> Binding:
    wanted = parties or Axb(a=new_party(), b=new_party())
    return store.bind(wanted, Terms(expires_at=store.now() + HOUR, tenant=tenant))


def remembered(store: BindingStore, tenant: str = "default") -> None:
    """From now on the store binds without asking where."""
    anywhere(store, tenant=tenant)
    anywhere(store, tenant=tenant)


def wanted(
    a: PhoneNumber = A, *, tenant: str = "default", ttl: timedelta = HOUR, order: str = "A-1"
) -> tuple[BindRequest, NumberPolicy]:
    said = {"mode": Mode.AXB, "a": a, "b": new_party(), "tenant": tenant, "ttl": ttl}
    return make_request({**said, "order": order}), NumberPolicy()


@pytest.mark.parametrize(
    "parties",
    [
        Axb(a=A, b=B),
        Axyb(a=A, b=B, y_ttl=HOUR),
        Gxb(members=(A, C), b=B, callback=Callback.ALL),
        Gxb(members=(A, C, D), b=B, callback=Callback.LAST, window=HOUR, default=C),
    ],
    ids=lambda parties: parties.mode,
)
def test_it_is_as_it_would_be_read(store: BindingStore, parties: Parties) -> None:
    """What is told of a binding, with and without asking where, is what is found of it."""
    for _ in range(3):
        terms = Terms(expires_at=store.now() + HOUR, order_id="A-1", max_calls=3, out_id="x")
        made = store.bind(parties, terms)
        assert made == store.find(made.id)


def test_which_are_drawn() -> None:
    """Those of one number that nobody else is to be on, of whatever operator; and no others."""
    parties = {Axb(a=A, b=B): True, Axyb(a=A, b=B): False, Ax(a=A): False}
    for each, drawn in parties.items():
        assert can_draw(each, NumberPolicy()) is drawn
        assert can_draw(each, NumberPolicy(operator_digit=1)) is drawn
    assert {type(each) for each in parties} < set(MODES.values())


def test_a_life_begins_with_the_binding(store: BindingStore) -> None:
    """Where no end is said, the database reckons it; one too long is refused in our words."""
    remembered(store)
    request, choice = wanted()
    made = store.make(request, default_ttl=DAY, choice=choice)
    assert abs(made.expires_at - made.begins_at - HOUR) < timedelta(minutes=1)
    assert made == store.find(made.id)
    for ttl in (timedelta(), -HOUR, timedelta(days=91), timedelta.max):
        request, choice = wanted(ttl=ttl)
        with pytest.raises(ExpiryInvalid):
            store.make(request, default_ttl=DAY, choice=choice)


def test_what_is_remembered_is_no_more_than_a_guess(store: BindingStore) -> None:
    """A block that is closed is left at once, one of a tenant's own is used, none is an error."""
    inventory = store.inventory
    inventory.tenants.add("couriers")
    remembered(store)
    remembered(store, "couriers")
    inventory.add_block(SECOND, operator=None, certificate=None, tenant="couriers")
    assert anywhere(store, tenant="couriers").id.block == SECOND
    assert anywhere(store).id.block == BLOCK
    inventory.set_block_state(SECOND, BlockState.DRAINING)
    assert anywhere(store, tenant="couriers").id.block == BLOCK
    inventory.set_block_state(BLOCK, BlockState.DRAINING)
    with pytest.raises(NoNumberAvailable, match="draining"):
        anywhere(store)
    inventory.set_block_state(BLOCK, BlockState.ACTIVE)
    assert anywhere(store, tenant="couriers").id.block == BLOCK
    inventory.tenants.set_active("couriers", active=False)
    with pytest.raises(TenantNotFound):
        anywhere(store, tenant="couriers")


@pytest.mark.parametrize("needs_order", [False, True])
def test_a_bind_is_one_statement(
    needs_order: bool,  # noqa: FBT001 - a parameter of the test
    dsn: str,
    keys: KeyRing,
    store: BindingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of who binds again and again; not even the clock is asked."""
    # However long a busy machine takes for them.
    monkeypatch.setattr(openings, "_KEPT", 3600.0)
    with Recorder.connect(dsn, autocommit=True, row_factory=dict_row) as recorder:
        listened = BindingStore(recorder, keys, NO_REST)
        remembered(listened)
        store.inventory.tenants.set_rules("default", RulesChange(needs_order=needs_order))
        recorder.asked.clear()
        for _ in range(20):
            request, choice = wanted(new_party())
            listened.make(request, default_ttl=DAY, choice=choice)
        assert [asked for asked, _ in recorder.asked] == [query("bind_drawn")] * 20


def test_one_of_few_that_are_free(store: BindingStore, connection: Connection) -> None:
    """A party that is on nearly all numbers gets one of those left, in two statements mostly."""
    remembered(store)
    first = bind(store, x=BLOCK.number(0))
    for side in ("a", "b"):
        connection.execute(
            "INSERT INTO agi_router.route (block, x_number, caller_tag, binding_id, shown, side,"
            " callee, ends_at)"
            " SELECT r.block, r.block * 10000 + s, r.caller_tag, r.binding_id, r.shown, r.side,"
            "        r.callee, r.ends_at"
            "   FROM agi_router.route r, generate_series(1, 9899) s"
            "  WHERE r.binding_id = %s AND r.side = %s",
            (first.id.id, side),
        )
    met = {x_of(anywhere(store, Axb(a=A, b=new_party()))).serial for _ in range(60)}
    assert len(met) == 60
    assert min(met) >= 9900


def test_many_together(store: BindingStore) -> None:
    """Those of one party are on numbers of their own; each is as it is found."""
    store.inventory.tenants.add("couriers")
    asked = [wanted(A, tenant=tenant) for tenant in ("default", "couriers") for _ in range(50)]
    made = store.make_together(asked, default_ttl=DAY)
    # One in ten thousand, or so, meets another's.
    left = [place for place in range(100) if place not in made]
    for place in left:
        request, choice = asked[place]
        made[place] = store.make(request, default_ttl=DAY, choice=choice)
    assert len({(x_of(each), each.id) for each in made.values()}) == 100
    for place, each in made.items():
        assert each == store.find(each.id)
        assert each.tenant == asked[place][0].tenant
        assert {party.number for party in each.parties} >= {A}
    assert len(left) < 10


def test_each_is_told(store: BindingStore, connection: Connection, keys: KeyRing) -> None:
    """Of many, too: one event of each binding, the first of it, owed to whoever asked for such."""
    events = EventStore(Queries(connection), keys)
    webhook, _ = events.add("default", "https://shop.example/", [EventType.BINDING_CREATED])
    events.set_types("default", [EventType.BINDING_CREATED, EventType.BINDING_ENDED])
    asked = [wanted(new_party()) for _ in range(3)]
    made = [*store.make_together(asked, default_ttl=DAY).values(), anywhere(store)]
    told = connection.execute(
        "SELECT e.binding_id, e.sequence, e.tenant_id, e.data, d.webhook_id, d.sequence AS place"
        "  FROM agi_router.event e LEFT JOIN agi_router.delivery d ON d.event_id = e.id"
        " ORDER BY e.binding_id"
    ).fetchall()
    assert [row["binding_id"] for row in told] == sorted(each.id.id for each in made)
    assert {(row["sequence"], row["place"], row["webhook_id"]) for row in told} == {
        (1, 1, webhook.id)
    }
    assert [row["data"]["order_id"] for row in told] == ["A-1"] * (len(made) - 1) + [None]
    assert {row["data"]["state"] for row in told} == {"active"}
    store.unbind(made[0].id)
    last = connection.execute(
        "SELECT sequence, type FROM agi_router.event ORDER BY id DESC LIMIT 1"
    ).fetchone()
    assert last == {"sequence": 2, "type": "binding.ended"}


@pytest.mark.usefixtures("store")
def test_large_ones_are_made_by_several_statements(
    dsn: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement has an end, however many members groups have."""
    monkeypatch.setattr(draw, "_PEOPLE", 5)
    with Recorder.connect(dsn, autocommit=True, row_factory=dict_row) as recorder:
        store = BindingStore(recorder, keys, NO_REST)
        group = tuple(new_party() for _ in range(7))
        wanted: list[Parties] = [Axb(a=new_party(), b=new_party()) for _ in range(5)]
        wanted.insert(3, Gxb(members=group, b=new_party()))
        requests = [
            (make_request({"mode": each.mode, "a": each.a, "b": each.b}), NumberPolicy())
            if isinstance(each, Axb)
            else (
                make_request({"mode": Mode.GXB, "members": group, "b": each.side_b[0]}),
                NumberPolicy(),
            )
            for each in wanted
        ]
        recorder.asked.clear()
        made = store.make_together(requests, default_ttl=DAY)
        # Two, one, the group by itself, two.
        binds = [asked for asked, _ in recorder.asked if asked == query("bind_drawn")]
    assert len(binds) == 4
    assert sorted(made) == list(range(6))
    assert [len(made[place].parties) for place in range(6)] == [2, 2, 2, 8, 2, 2]


def test_one_that_cannot_be_made_spoils_none(store: BindingStore) -> None:
    """What has no end, no tenant, or a number of its own, is left for itself."""
    good = [wanted(new_party()) for _ in range(3)]
    said = {"mode": Mode.AXB, "a": A, "b": B, "ttl": HOUR}
    asked = [
        good[0],
        wanted(tenant="nobody"),
        good[1],
        wanted(ttl=timedelta(days=91)),
        (make_request({**said, "x": BLOCK.number(1)}), NumberPolicy()),
        (make_request({"mode": Mode.AXYB, "a": A, "b": B}), NumberPolicy()),
        good[2],
    ]
    made = store.make_together(asked, default_ttl=DAY)
    assert set(made) == {0, 2, 6}
    assert store.make_together([], default_ttl=DAY) == {}


def test_a_row_that_is_refused_is_left_with_the_others(store: BindingStore) -> None:
    """What the database refuses is undone as a whole, and the transaction goes on."""
    asked = [wanted(new_party()), (make_request({**_SAID, "max_calls": 0}), NumberPolicy())]
    with store.connection.transaction():
        assert store.make_together(asked, default_ttl=DAY) == {}
        request, choice = asked[0]
        made = store.make(request, default_ttl=DAY, choice=choice)
    assert store.find(made.id) == made
    assert store.bindings(everything=True, order_id=None, limit=10) == [made]


_SAID = {"mode": Mode.AXB, "a": A, "b": B, "ttl": HOUR}
