"""What tenants' bindings keep to, where they are made by one statement: as if step by step."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count, islice
from typing import Any

import pytest
from bench.pgbench import Recorder
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from agi_router.bindings import draw, openings
from agi_router.bindings.modes import Ax
from agi_router.bindings.policy import NumberPolicy
from agi_router.bindings.requests import BindRequest, make_request
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Mode, Side
from agi_router.consent.ledger import Act, How, Statement
from agi_router.db.connection import Connection, connect
from agi_router.db.queries import query
from agi_router.errors import (
    AgiRouterError,
    ConsentMissing,
    OrderCrowded,
    PairTooOften,
    QuotaExceeded,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber
from agi_router.persons.real_name_store import RealNameStore
from agi_router.persons.real_names import RealName
from agi_router.tenants.model import Quota
from agi_router.tenants.rules import Consent, RulesChange
from harness.database import HOUR, NO_REST, SOON, new_party, on_each_version, one, until
from harness.values import BLOCK, A, B, C, D

TENANT = "default"
ANY = NumberPolicy()
AT_ONCE = 20


def asked(a: PhoneNumber = A, b: PhoneNumber = B, **said: Any) -> BindRequest:
    """Two who are to be bound for an hour."""
    given_ = {word: value for word, value in said.items() if value is not None}
    return make_request({"mode": Mode.AXB, "a": a, "b": b, "ttl": HOUR, **given_})


def make(store: BindingStore, request: BindRequest) -> None:
    """Bind as it is asked for."""
    store.make(request, default_ttl=HOUR, choice=ANY)


def keep(store: BindingStore, **rules: Any) -> None:
    """Let the tenant's bindings keep to rules."""
    store.inventory.tenants.set_rules(TENANT, RulesChange(**rules))


def agree(store: BindingStore, *people: PhoneNumber) -> None:
    """Let people agree to any order."""
    for each in people:
        said = Statement(act=Act.GIVEN, how=How.PAPER)
        store.consents.write(each, TENANT, said, by="a test")


def verify(store: BindingStore, *people: PhoneNumber, status: RealName = RealName.YES) -> None:
    """Let people be known by their real names, or let it be known that they are not."""
    names = RealNameStore(store._queries, store.keys, store.scope)
    for each in people:
        names.write(each, status, source="carrier", by="a test")


class Steps(BindingStore):
    """One that draws no number by the statement that binds."""

    def _may_draw_in(self, _: object) -> bool:
        return False


RULES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "asserted": ({"consent": Consent.ASSERTED}, {"consent": How.APP}),
    "required": ({"consent": Consent.REQUIRED}, {}),
    "real name": ({"needs_real_name": True}, {}),
    "scene": ({"scenes": ["meal"]}, {"scene": "meal"}),
    "pair": ({"max_pair_binds": 30}, {}),
    "order": ({"max_order_pairs": 30, "refuses_pairs": True}, {"order": "A-1"}),
    "quota": ({}, {}),
    "pool": ({}, {"pool": "north"}),
}


@pytest.fixture
def listened(dsn: str, keys: KeyRing, monkeypatch: pytest.MonkeyPatch) -> Iterator[BindingStore]:
    """A store whose statements are heard; it remembers for as long as a busy machine takes."""
    monkeypatch.setattr(openings, "_KEPT", 3600.0)
    with Recorder.connect(dsn, autocommit=True, row_factory=dict_row) as recorder:
        yield BindingStore(recorder, keys, NO_REST)


@on_each_version
@pytest.mark.parametrize("rule", RULES)
def test_a_bind_is_one_statement(store: BindingStore, listened: BindingStore, rule: str) -> None:
    """Whatever the tenant is held to; and so is a batch, but for where it is made."""
    rules, said = RULES[rule]
    if rules:
        keep(store, needs_order=False, **rules)
    if rule == "quota":
        store.inventory.tenants.set_quota(TENANT, Quota.BINDS, 100_000)
    store.pools.add(TENANT, "north", blocks=(BLOCK,))
    # Others each time, whose numbers do not meet.
    wanted = [asked(new_party(), new_party(), **said) for _ in range(20)]
    people = [each for request in wanted for each in request.parties.people]
    if rule == "required":
        agree(store, *people)
    if rule == "real name":
        verify(store, *people)
    for request in wanted[:2]:
        make(listened, request)
    recorder = listened.connection
    assert isinstance(recorder, Recorder)
    recorder.asked.clear()
    for request in wanted[2:11]:
        make(listened, request)
    assert [each for each, _ in recorder.asked] == [query("bind_drawn")] * 9
    recorder.asked.clear()
    made = listened.make_together([(each, ANY) for each in wanted[11:]], default_ttl=HOUR)
    binds = [each for each, _ in recorder.asked if each == query("bind_drawn")]
    assert (len(binds), len(made)) == (1, 9)
    assert len(recorder.asked) <= 3
    found = store.find(made[0].id)
    assert found == made[0]
    assert (found.pool, found.scene) == (said.get("pool"), said.get("scene"))
    if rule == "asserted":
        (line,) = store.consents.of_person(wanted[11].parties.side_b[0])
        assert (line.how, line.added_by) == (How.APP, "the tenant, with the bind")
        assert line.binding == str(found.id)


people = st.sampled_from([A, B, C, D])
wishes = st.tuples(
    st.permutations([A, B, C, D]),
    st.fixed_dictionaries(
        {
            "order": st.sampled_from(["A-1", "A-1", "A-2", None]),
            "scene": st.sampled_from(["meal", "meal", None]),
            "consent": st.sampled_from([How.APP, None]),
            "pool": st.sampled_from([None, None, "north"]),
        }
    ),
).map(lambda drawn: asked(drawn[0][0], drawn[0][1], **drawn[1]))
tenants = st.fixed_dictionaries(
    {
        "needs_order": st.booleans(),
        "scenes": st.sampled_from([[], [], ["meal"]]),
        "max_pair_binds": st.sampled_from([0, 1, 2]),
        "max_order_pairs": st.sampled_from([0, 1, 2]),
        "refuses_pairs": st.booleans(),
        "consent": st.sampled_from(Consent),
        "needs_real_name": st.sampled_from([False, False, True]),
    }
)


@settings(
    deadline=None,
    max_examples=40,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    rules=tenants,
    quota=st.sampled_from([None, None, 1, 3]),
    agreed=st.sets(people),
    known=st.sets(people, min_size=2),
    wanted=st.lists(wishes, min_size=1, max_size=7),
    batch=st.booleans(),
)
def test_it_binds_and_refuses_as_step_by_step(
    store: BindingStore,
    rules: dict[str, Any],
    quota: int | None,
    agreed: set[PhoneNumber],
    known: set[PhoneNumber],
    wanted: list[BindRequest],
    *,
    batch: bool,
) -> None:
    """The same are bound, the others are refused for the same, and the same is written down."""
    if batch:
        # Of several pools one is bound after the other, and what states nothing comes last.
        alike = {word: wanted[0].terms[word] for word in ("consent", "pool")}
        wanted = [replace(each, terms={**each.terms, **alike}) for each in wanted]

    def outcomes(kind: type[BindingStore]) -> list[Any]:
        own = kind(store.connection, store.keys, NO_REST)
        numbers = (BLOCK.number(serial) for serial in count())
        with (
            pytest.MonkeyPatch.context() as patch,
            own.connection.transaction(force_rollback=True),
        ):
            # None is in the way of another: what is left for a second try comes later.
            patch.setattr(draw, "draw_numbers", lambda _, many: list(islice(numbers, many)))
            keep(own, **rules)
            EventStore(own._queries, own.keys).set_types(TENANT, [EventType.ORDER_CROWDED])
            if quota is not None:
                own.inventory.tenants.set_quota(TENANT, Quota.BINDS, quota)
            own.pools.add(TENANT, "north", blocks=(BLOCK,))
            agree(own, *agreed)
            verify(own, *known)
            verify(own, *{A} - known, status=RealName.NO)
            made = {}
            if batch:
                own.hold_together(wanted)
                made = own.make_together([(each, ANY) for each in wanted], default_ttl=HOUR)
            ends = [
                "bound" if place in made else end(own, each) for place, each in enumerate(wanted)
            ]
            return [ends, *written(own)]

    assert outcomes(BindingStore) == outcomes(Steps)


def end(store: BindingStore, request: BindRequest) -> str:
    """What becomes of one."""
    try:
        with store._queries.attempt():
            make(store, request)
    except AgiRouterError as error:
        return type(error).__name__
    return "bound"


def written(store: BindingStore) -> list[Any]:
    """What is there of bindings, consents, what was told and counted; in no order."""
    bound = store.bindings(everything=True, order_id=None, limit=99)
    told = store.connection.execute(b"SELECT data FROM agi_router.event ORDER BY data::text")
    lines = store.consents.all(limit=99)
    return [
        sorted((*(str(p.number) for p in each.parties), str(each.order_id)) for each in bound),
        sorted((str(each.person), str(each.order), str(each.how)) for each in lines),
        {each.binding for each in lines} - {None} <= {str(each.id) for each in bound},
        [row["data"] for row in told.fetchall()],
        one(store.connection, "SELECT coalesce(sum(binds), 0) FROM agi_router.quota_use"),
    ]


@pytest.mark.parametrize(
    ("rules", "quota", "error"),
    [
        ({"max_pair_binds": 3}, None, PairTooOften),
        ({"max_order_pairs": 3, "refuses_pairs": True}, None, OrderCrowded),
        ({"consent": Consent.ASSERTED}, 3, QuotaExceeded),
    ],
)
def test_many_at_once(
    dsn: str,
    keys: KeyRing,
    store: BindingStore,
    rules: dict[str, Any],
    quota: int | None,
    error: type[Exception],
) -> None:
    """Of many who bind at one moment by the statement alone so many get through as may."""
    start = threading.Barrier(AT_ONCE, timeout=SOON)

    def try_to_bind(serial: int) -> bool:
        # Two are always the same, or every pair is another.
        b = B if "max_pair_binds" in rules else PhoneNumber(digits=f"1380000{serial:04}")
        with connect(dsn) as connection:
            own = BindingStore(connection, keys, NO_REST)
            start.wait()
            try:
                make(own, asked(A, b, order="A-1", consent=How.APP))
            except error:
                return False
        return True

    keep(store, **rules)
    if quota is not None:
        store.inventory.tenants.set_quota(TENANT, Quota.BINDINGS, quota)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sum(pool.map(try_to_bind, range(AT_ONCE))) == 3
    assert one(store.connection, "SELECT count(*) FROM agi_router.binding") == 3
    if quota is not None:
        # What was refused was not stated either.
        assert one(store.connection, "SELECT count(*) FROM agi_router.consent") == 6


def waiting(connection: Connection) -> int:
    """How many wait for a lock in this database."""
    text = (
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE NOT l.granted AND d.datname = current_database()"
    )
    return int(one(connection, text))


@pytest.mark.parametrize("batch", [False, True])
def test_beside_a_withdrawal(dsn: str, keys: KeyRing, store: BindingStore, *, batch: bool) -> None:
    """Binds wait for what is being withdrawn, and none is made of it; then others are."""
    keep(store, consent=Consent.REQUIRED)
    agree(store, A, B, C)
    others = [connect(dsn, idle=600) for _ in range(4)]
    stores = [BindingStore(each, keys, NO_REST) for each in others]

    def bind(own: BindingStore) -> str:
        if not batch:
            return end(own, asked())
        with own.connection.transaction():
            together = [(asked(C, B), ANY), (asked(), ANY)]
            own.hold_together([request for request, _ in together])
            made = own.make_together(together, default_ttl=HOUR)
            # Once in some hundred times a number was drawn that C has already.
            made = made or own.make_together(together, default_ttl=HOUR)
            return ("bound" if list(made) == [0] else "none") + end(own, asked())

    try:
        for own in stores:
            make(own, asked(C, B))
        with connect(dsn, idle=600) as connection, ThreadPoolExecutor(4) as pool:
            with connection.transaction():
                said = Statement(act=Act.WITHDRAWN)
                BindingStore(connection, keys).withdraw(A, TENANT, said, by="a test")
                running = [pool.submit(bind, own) for own in stores]
                until(lambda: waiting(store.connection) == len(stores))
            ends = {each.result() for each in running}
    finally:
        for each in others:
            each.close()
    assert ends == {("bound" if batch else "") + ConsentMissing.__name__}
    assert store.bindings(everything=False, order_id=None, party=A, limit=1) == []


@pytest.mark.parametrize("replaces", [False, True])
def test_a_batch_beside_an_open_mode(
    dsn: str, keys: KeyRing, store: BindingStore, *, replaces: bool
) -> None:
    """Who binds there holds the block as well, and waits for the turn without it."""
    keep(store, max_order_pairs=99)
    request = asked(order="A-1")
    opened = BindingStore(store.connection, keys, NO_REST, open_modes=True)
    terms = Terms(expires_at=store.now() + HOUR, order_id="A-1")
    made = opened.bind(Ax(a=C), terms) if replaces else None
    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    with connect(dsn) as connection, connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        own = BindingStore(connection, keys, NO_REST)
        with connection.transaction():
            own.hold_together([request])
            if made is None:
                running = pool.submit(opened.bind, Ax(a=D), terms)
            else:
                running = pool.submit(opened.replace, made.id, Side.A, D)
            until(lambda: one(other, waits))
            assert list(own.make_together([(request, ANY)], default_ttl=HOUR)) == [0]
        assert {each.number for each in running.result().parties} == {D}


def test_batches_in_other_orders(dsn: str, keys: KeyRing, store: BindingStore) -> None:
    """They wait for each other, and not in a circle, though some are bound step by step."""
    keep(store, consent=Consent.ASSERTED, max_pair_binds=99, max_order_pairs=99)
    store.inventory.tenants.add("couriers")
    for name in (TENANT, "couriers"):
        store.inventory.tenants.set_quota(name, Quota.BINDINGS, 10_000)
        store.inventory.tenants.set_rules(name, RulesChange(max_order_pairs=99, needs_order=False))
    pairs = [(new_party(), new_party()) for _ in range(8)]
    wanted = [
        asked(*pair, order=f"A-{serial}", consent=How.APP, tenant=tenant)
        for serial, pair in enumerate(pairs)
        for tenant in (TENANT, "couriers")
    ]
    start = threading.Barrier(4, timeout=SOON)

    def bind(turn: int) -> int:
        own_wishes = wanted if turn % 2 else wanted[::-1]
        bound = 0
        with connect(dsn) as connection:
            own = BindingStore(connection, keys, NO_REST)
            for _ in range(3):
                start.wait()
                with connection.transaction():
                    own.hold_together(own_wishes)
                    ends = [end(own, each) for each in own_wishes[:5]]
                    left: Sequence[BindRequest] = own_wishes[5:]
                    made = own.make_together([(each, ANY) for each in left], default_ttl=HOUR)
                    ends += [
                        end(own, each) for place, each in enumerate(left) if place not in made
                    ]
                    bound += ends.count("bound") + len(made)
        return bound

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(bind, range(4))) == [3 * len(wanted)] * 4


def test_what_is_remembered_of_a_pool_is_no_more_than_a_guess(
    store: BindingStore, listened: BindingStore
) -> None:
    """Numbers of a pool that has changed meanwhile are its own; one that is gone is none."""
    store.pools.add(TENANT, "north", blocks=(BLOCK,))
    second = type(BLOCK).parse("70022345678")
    for _ in range(3):
        make(listened, asked(pool="north"))
    store.inventory.add_block(second, operator=None, certificate=None, tenant=None)
    store.pools.change(TENANT, "north", blocks=(second,))
    make(listened, asked(pool="north"))
    (newest,) = store.bindings(everything=True, order_id=None, limit=1)
    assert newest.id.block == second
    store.pools.remove(TENANT, "north")
    assert end(listened, asked(pool="north")) == "PoolNotFound"
