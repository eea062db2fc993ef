"""Consent: no binding without it where a tenant is held to it, and none after it is withdrawn."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from postgres.test_feeds import hears
from postgres.test_import import Importing

from agi_router.bindings import withdrawal
from agi_router.bindings.modes import Axb, Gxb
from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Side
from agi_router.consent.ledger import Act, ConsentLine, How, Purpose, Statement
from agi_router.consent.store import ConsentLedger, ConsentStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import ConsentMissing, ConsentNotFound, RequestInvalid, StoreHeld
from agi_router.keys.file import load_key_ring, write_key_ring
from agi_router.keys.registry import KINDS, check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber
from agi_router.persons.register import PersonRegister
from agi_router.tenants.rules import Consent, RulesChange
from harness.cli import run
from harness.database import (
    HOUR,
    a_call,
    bind,
    expire,
    new_party,
    on_each_version,
    one,
    until,
)
from harness.values import A, B, C, D, X

TENANT = "default"
BY = "a test"


def keep(store: BindingStore, consent: Consent) -> None:
    """Hold the tenant to it."""
    store.inventory.tenants.set_rules(TENANT, RulesChange(consent=consent))


def give(store: BindingStore, *people: PhoneNumber, **said: Any) -> None:
    """Let people agree."""
    for each in people:
        said_ = Statement(act=Act.GIVEN, how=How.PAPER, **said)
        store.consents.write(each, TENANT, said_, by=BY)


def withdraw(store: BindingStore, person: PhoneNumber, **said: Any) -> int:
    """Let one withdraw; how many bindings have ended."""
    _, ended = store.withdraw(person, TENANT, Statement(act=Act.WITHDRAWN, **said), by=BY)
    return len(ended)


def lines(store: BindingStore, person: PhoneNumber) -> list[ConsentLine]:
    return store.consents.of_person(person)


GIVEN, WITHDRAWN = Act.GIVEN, Act.WITHDRAWN
BIND = Purpose.BINDING
LEDGERS: list[tuple[list[tuple[Act, str | None, Purpose]], str | None, bool]] = [
    ([], None, False),
    ([(GIVEN, None, BIND)], None, True),
    ([(GIVEN, None, BIND)], "A-1", True),
    ([(GIVEN, "A-1", BIND)], None, False),
    ([(GIVEN, "A-1", BIND)], "A-1", True),
    ([(GIVEN, "A-1", BIND)], "A-2", False),
    ([(GIVEN, None, BIND), (WITHDRAWN, None, BIND)], None, False),
    ([(WITHDRAWN, None, BIND), (GIVEN, None, BIND)], None, True),
    # Of one order only; of all, whatever was said of one before.
    ([(GIVEN, None, BIND), (WITHDRAWN, "A-1", BIND)], "A-1", False),
    ([(GIVEN, None, BIND), (WITHDRAWN, "A-1", BIND)], "A-2", True),
    ([(GIVEN, "A-1", BIND), (WITHDRAWN, None, BIND)], "A-1", False),
    ([(WITHDRAWN, None, BIND), (GIVEN, "A-1", BIND)], "A-1", True),
    ([(GIVEN, None, Purpose.RECORDING)], None, False),
    ([(GIVEN, None, BIND), (WITHDRAWN, None, Purpose.RECORDING)], None, True),
]


@on_each_version
def test_the_last_line_speaks(store: BindingStore, connection: Connection, keys: KeyRing) -> None:
    """Of those that are about the order, general ones included; of each party."""
    ledger = ConsentLedger(Queries(connection), keys)
    tenant_id = store.inventory.tenants.find_id(TENANT)
    for written, order, given in LEDGERS:
        with connection.transaction(force_rollback=True):
            give(store, B)
            for act, of, purpose in written:
                how = How.APP if act is GIVEN else None
                said = Statement(act=act, order=of, purpose=purpose, how=how)
                store.consents.write(A, TENANT, said, by=BY)
            if given:
                ledger.check(tenant_id, [A, B], order)
                continue
            with pytest.raises(ConsentMissing):
                ledger.check(tenant_id, [A, B], order)


@on_each_version
@pytest.mark.parametrize("x", [None, X])
def test_no_consent_no_binding(store: BindingStore, connection: Connection, x: Any) -> None:
    """Both parties have agreed, or nothing is bound and nothing is left of it."""
    bind(store, C, D, x=None)
    keep(store, Consent.REQUIRED)
    give(store, A)
    for stated in (None, How.APP):
        with pytest.raises(ConsentMissing):
            bind(store, x=x, consent=stated)
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 1
    give(store, B)
    assert bind(store, x=x).consent is None
    assert [line.how for line in lines(store, B)] == [How.PAPER]


@on_each_version
def test_what_a_tenant_states(store: BindingStore) -> None:
    """Is written down of each party, with the binding; without a statement the ledger counts."""
    keep(store, Consent.ASSERTED)
    with pytest.raises(ConsentMissing):
        bind(store)
    made = bind(store, order_id="A-1", consent=How.APP)
    for each in (A, B):
        (line,) = lines(store, each)
        assert (line.person, line.act, line.how, line.order) == (each, Act.GIVEN, How.APP, "A-1")
        assert line.binding == str(made.id)
        assert store.consents.find(line.id) == line
    give(store, A, B)
    bind(store, x=None)


def test_who_is_known_and_who_is_new(
    store: BindingStore, connection: Connection, dsn: str, keys: KeyRing, tmp_path: Path
) -> None:
    """A bind that states consent adds who is new, under every tag key, and finds who is known."""
    file = tmp_path / "keys"
    write_key_ring(file, keys)
    keep(store, Consent.ASSERTED)
    bind(store, x=None, consent=How.APP)
    with connect(dsn) as own:
        rotation = Rotation(own, check_keys(own, load_key_ring(file)), file)
        rotation.switch(rotation.add(KINDS))
        anew = BindingStore(own, rotation.keys)
        bind(anew, A, C, x=None, order_id="A-2", consent=How.APP)
        bind(anew, C, D, x=None, order_id="A-3", consent=How.APP)
        bind(anew, D, C, x=None, order_id="A-4", consent=How.APP)
        register = PersonRegister(Queries(own), rotation.keys)
        assert len(register.find({A, C, D})) == 3
        assert [len(lines(anew, each)) for each in (A, B, C, D)] == [2, 1, 3, 2]
        assert one(connection, "SELECT count(*) FROM agi_router.person_mark") == 8


def test_a_bind_reads_no_other_persons(store: BindingStore, connection: Connection) -> None:
    """However many there are, and though the session has planned it when there were none."""
    keep(store, Consent.ASSERTED)
    bind(store, x=None, consent=How.APP)
    connection.execute(
        "INSERT INTO agi_router.person_mark (tag, person_id, digest, sealed)"
        " SELECT n, -n, sha256(n::text::bytea), '' FROM generate_series(1, 2000) n"
    )
    with connection.transaction():
        bind(store, C, D, x=None, consent=How.APP)
        read = one(
            connection,
            "SELECT pg_stat_get_xact_tuples_returned('agi_router.person_mark'::regclass)"
            " + sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index"
            " WHERE indrelid = 'agi_router.person_mark'::regclass",
        )
    assert read < 20


def test_a_line_that_may_not_be(store: BindingStore, connection: Connection) -> None:
    """Is refused by the database itself."""
    give(store, A)
    for wrong in (
        "act = 'withdrawn'",
        "act = 'lent'",
        "purpose = 'sale'",
        "how = 'wish'",
        "order_id = ''",
        "evidence = 'short'",
        "version = ''",
        "added_by = ''",
    ):
        with pytest.raises(psycopg.errors.CheckViolation, match="consent_sound"):
            connection.execute(f"UPDATE agi_router.consent SET {wrong}".encode())


@on_each_version
def test_a_withdrawal_of_many(store: BindingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """They end by few statements, and are told as they would be read; one that is over is not."""
    monkeypatch.setattr(withdrawal, "_SOME", 3)
    keep(store, Consent.OFF)
    over, *alive = (bind(store, A, new_party(), x=None) for _ in range(8))
    expire(store.connection, over.id)
    _, ended = store.withdraw(A, TENANT, Statement(act=Act.WITHDRAWN), by=BY)
    assert {each.id for each in ended} == {each.id for each in alive}
    for each in ended:
        found = store.find(each.id)
        assert (each, each.state) == (found, BindingState.CONSENT_WITHDRAWN)


@on_each_version
def test_a_withdrawal(store: BindingStore) -> None:
    """Ends what the person is party of, and nothing else; it is heard, and consent comes back."""
    keep(store, Consent.REQUIRED)
    give(store, A, B, C, D)
    made = bind(store)
    other = bind(store, C, D, x=None)
    assert withdraw(store, B) == 1
    assert store.find(made.id).state is BindingState.CONSENT_WITHDRAWN
    assert store.find(other.id).state is BindingState.ACTIVE
    assert hears(store, a_call(A)) is Reason.CONSENT_WITHDRAWN
    assert hears(store, a_call(B)) is Reason.CONSENT_WITHDRAWN
    with pytest.raises(ConsentMissing):
        bind(store, x=None)
    assert withdraw(store, B) == 0
    assert [line.act for line in lines(store, B)] == [Act.WITHDRAWN, Act.WITHDRAWN, Act.GIVEN]
    give(store, B)
    bind(store, x=None)


def test_of_one_order(store: BindingStore) -> None:
    """What is withdrawn for an order ends that order's alone; for recording, nothing."""
    keep(store, Consent.REQUIRED)
    give(store, A, B)
    first, second = (bind(store, x=None, order_id=each) for each in ("A-1", "A-2"))
    assert withdraw(store, A, purpose=Purpose.RECORDING) == 0
    assert withdraw(store, A, order="A-1") == 1
    assert store.find(first.id).state is BindingState.CONSENT_WITHDRAWN
    assert store.find(second.id).state is BindingState.ACTIVE
    with pytest.raises(ConsentMissing):
        bind(store, x=None, order_id="A-1")
    bind(store, x=None, order_id="A-3")


def test_another_order(store: BindingStore) -> None:
    """All who take part have agreed to it, or the binding stays as it was."""
    keep(store, Consent.REQUIRED)
    give(store, A, B, order="A-1")
    made = bind(store, order_id="A-1")
    for order in ("A-2", None):
        with pytest.raises(ConsentMissing):
            store.change(made.id, order_id=order)
    assert store.find(made.id) == made
    give(store, A, B, order="A-2")
    assert store.change(made.id, order_id="A-2").order_id == "A-2"
    keep(store, Consent.ASSERTED)
    stated = bind(store, C, D, x=None, order_id="A-3", consent=How.APP)
    store.change(stated.id, order_id="A-4")
    assert [line.order for line in lines(store, C)] == ["A-4", "A-3"]


def test_who_is_replaced_and_who_comes_in(store: BindingStore) -> None:
    """By the consent that is stated for the binding, or that the ledger has."""
    keep(store, Consent.ASSERTED)
    stated = bind(store, consent=How.APP)
    store.replace(stated.id, Side.B, C)
    assert [line.how for line in lines(store, C)] == [How.APP]
    group = store.bind(
        Gxb(members=(A,), b=B), Terms(expires_at=store.now() + HOUR, consent=How.SPOKEN)
    )
    store.add_members(group.id, [D])
    assert [line.how for line in lines(store, D)] == [How.SPOKEN]
    keep(store, Consent.REQUIRED)
    newcomer = PhoneNumber(digits="13800000991")
    with pytest.raises(ConsentMissing):
        store.replace(stated.id, Side.B, newcomer)
    with pytest.raises(ConsentMissing):
        store.add_members(group.id, [newcomer])
    assert len(store.find(group.id).parties) == 3
    give(store, newcomer)
    store.add_members(group.id, [newcomer])


def test_a_party_group(store: BindingStore) -> None:
    """Its members agree as they come in; who withdraws leaves it, and its bindings end."""
    keep(store, Consent.REQUIRED)
    give(store, A, B, C)
    store.add_group(TENANT, "team", [A, C])
    terms = Terms(expires_at=store.now() + HOUR)
    made = store.bind(Gxb(group="team", b=B), terms)
    with pytest.raises(ConsentMissing):
        store.change_members(TENANT, "team", joining=[D])
    give(store, D)
    store.change_members(TENANT, "team", joining=[D])
    assert withdraw(store, D) == 1
    assert store.find(made.id).state is BindingState.CONSENT_WITHDRAWN
    assert set(store.find_group(TENANT, "team").members) == {A, C}
    store.bind(Gxb(group="team", b=B), Terms(expires_at=store.now() + HOUR))


def test_a_bind_and_a_withdrawal_at_once(store: BindingStore, dsn: str, keys: KeyRing) -> None:
    """Whichever comes first: nothing lives of who has withdrawn."""
    keep(store, Consent.REQUIRED)
    give(store, A, B)

    def try_to_bind(_: int) -> None:
        with connect(dsn) as connection:
            own = BindingStore(connection, keys)
            try:
                own.bind(Axb(a=A, b=B), Terms(expires_at=own.now() + HOUR))
            except ConsentMissing:
                return

    with ThreadPoolExecutor(5) as pool:
        binding = [pool.submit(try_to_bind, each) for each in range(4)]
        withdraw(store, A)
        for each in binding:
            each.result()
    alive = store.bindings(everything=False, order_id=None, party=A, limit=10)
    assert alive == []


def test_an_import(store: BindingStore, dsn: str, keys: KeyRing) -> None:
    """Rows say how it was given, or the ledger does."""
    keep(store, Consent.ASSERTED)
    importing = Importing(dsn, keys)
    rows = (
        "mode,a,b,order,consent\naxb,13800000051,13800000052,A-1,app\n"
        "axb,13800000053,13800000054,A-2,\n"
    )
    assert importing(rows, keep_going=True).bound == 1
    assert [line for line, _ in importing.faults] == [3]
    assert len(lines(store, PhoneNumber(digits="13800000052"))) == 1


def test_a_withdrawal_while_an_import_goes_on(
    store: BindingStore, connection: Connection, cell: Connection, keys: KeyRing
) -> None:
    """It does not wait; what was bound meanwhile is undone."""
    keep(store, Consent.REQUIRED)
    give(store, A, B)
    with connect(cell.info.dsn) as other:
        late = BindingStore(other, keys)
        late.counting = False
        with other.transaction(force_rollback=True):
            late.bind(Axb(a=A, b=B), Terms(expires_at=late.now() + HOUR))
            tenant_id = store.inventory.tenants.find_id(TENANT)
            withdraw(store, A)
            with pytest.raises(StoreHeld):
                late.rules.check_none_withdrawn(tenant_id)
        with other.transaction(force_rollback=True):
            other.execute("SELECT now()")
            withdraw(store, A, purpose=Purpose.RECORDING)
            # It ends no binding.
            late.rules.check_none_withdrawn(tenant_id)
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 0


def waits(connection: Connection) -> bool:
    """Whether somebody waits for a lock in this database."""
    waiting = (
        "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
        " WHERE NOT l.granted AND d.datname = current_database()"
    )
    return bool(one(connection, waiting))


def test_an_import_that_begins_while_somebody_withdraws(
    store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """It waits for what is being written, and binds nothing of it."""
    keep(store, Consent.REQUIRED)
    give(store, A, B)
    importing = Importing(dsn, keys)
    rows = f"mode,a,b,order\naxb,{A.digits},{B.digits},A-1\n"
    with connect(dsn, idle=600) as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            withdraw(BindingStore(other, keys), A)
            running = pool.submit(importing, rows, keep_going=True)
            until(lambda: running.done() or waits(store.connection))
        assert running.result().bound == 0
    assert len(importing.faults) == 1


def test_a_default_waits_for_a_withdrawal_before_it_holds_the_group(
    store: BindingStore, dsn: str, keys: KeyRing
) -> None:
    """Or they would wait in a circle."""
    keep(store, Consent.REQUIRED)
    give(store, A, B, C, D)
    store.add_group(TENANT, "team", [A, C])
    made = store.bind(Gxb(group="team", b=B), Terms(expires_at=store.now() + HOUR))
    tenant_id = store.inventory.tenants.find_id(TENANT)
    with (
        connect(dsn, idle=600) as one_,
        connect(dsn, idle=600) as two,
        ThreadPoolExecutor(1) as pool,
    ):
        with one_.transaction():
            one_.execute("SELECT pg_advisory_xact_lock(7002043, %s)", (tenant_id,))
            setting = pool.submit(BindingStore(two, keys).set_default, made.id, D)
            until(lambda: setting.done() or waits(store.connection))
            one_.execute("SELECT id FROM agi_router.party_group FOR UPDATE NOWAIT")
        setting.result()


@on_each_version
def test_the_tag_of_somebody_else(
    store: BindingStore, connection: Connection, keys: KeyRing
) -> None:
    """Who has the tag of one who agrees has not agreed, and is not withdrawn with it."""
    keep(store, Consent.REQUIRED)
    give(store, A, B)
    # C's tag in the register belongs to A as well: as if both had one tag.
    person = PersonRegister(Queries(connection), keys)
    (a_id,) = person.find([A])
    forged = keys._seal_tagged(A, lambda _: f"person|{a_id}|{keys.tag(C)}".encode())
    connection.execute(
        "INSERT INTO agi_router.person_mark VALUES (%s, %s, %s, %s)",
        (keys.tag(C), a_id, keys.digests(A)[0], forged[0][1]),
    )
    assert lines(store, C) == []
    with pytest.raises(ConsentMissing):
        bind(store, C, B)
    made = bind(store)
    assert withdraw(store, C) == 0
    assert store.find(made.id).state is BindingState.ACTIVE


def test_while_keys_are_rotated(
    store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path
) -> None:
    """Between the switch and the last row, and afterwards without the key of before."""
    file = tmp_path / "keys"
    write_key_ring(file, keys)
    give(store, A, B)
    withdraw(store, B)
    with connect(dsn) as own:
        rotation = Rotation(own, check_keys(own, load_key_ring(file)), file)
        rotation.switch(rotation.add(KINDS))

        def check() -> None:
            consents = ConsentStore(Queries(own), rotation.keys)
            assert [line.act for line in consents.of_person(A)] == [Act.GIVEN]
            assert [line.act for line in consents.of_person(B)] == [Act.WITHDRAWN, Act.GIVEN]
            assert [line.person for line in consents.all(limit=9)] == [B, B, A]

        check()
        assert rotation.renew_secrets() > 0
        check()
        for _ in rotation.renewal().run():
            pass
        rotation.renew_secrets()
        for kind in KINDS:
            rotation.retire(kind, keys.tag_key_id)
        check()
        own.execute("SELECT pg_advisory_unlock_all()")


def test_the_command(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """Give, bind, list, show, withdraw; numbers are masked, and never in the command line."""
    write_key_ring(tmp_path / "keys", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "keys")}
    assert run(["tenant", "add", "meals", "--json"], env).json["consent"] == "required"
    told = run(["tenant", "rules", TENANT, "--consent", "required", "--json"], env).json
    assert told["consent"] == "required"
    words = ["--person", "-", "--tenant", TENANT]
    for each in (A, B):
        how = ["--how", "app", "--text-version", "v2", "--evidence", "ab" * 32]
        given = run(["consent", "give", *words, *how, "--json"], env, typed=each.digits).json
        assert (given["person"], given["version"]) == (each.masked, "v2")
        assert given["evidence"] == "ab" * 32
    made = bind(store)
    assert len(run(["consent", "list", "--json"], env).json) == 2
    assert run(["consent", "list", "--tenant", "meals", "--json"], env).json == []
    assert A.digits not in run(["consent", "list"], env).out
    shown = run(["consent", "show", "--person", "-", "--json"], env, typed=A.digits).json
    assert [each["act"] for each in shown] == ["given"]
    gone = run(["consent", "withdraw", *words, "--json"], env, typed=A.digits).json
    assert gone["ended"] == [str(made.id)]
    listed = run(["consent", "list", "--act", "withdrawn", "--json"], env).json
    assert [each["id"] for each in listed] == [gone["id"]]
    with pytest.raises(ConsentNotFound):
        store.consents.find(999)


def test_what_is_to_be_said(store: BindingStore) -> None:
    """A line says what was said: one of tomorrow is refused, and ends nothing."""
    made = bind(store)
    for act in Act:
        said = Statement(act=act, at=store.now() + 2 * HOUR, how=How.APP)
        write = store.consents.write if act is Act.GIVEN else store.withdraw
        with pytest.raises(RequestInvalid, match="future") as refused:
            write(A, TENANT, said, by=BY)
        assert refused.value.words == ("at",)
    assert store.find(made.id).state is BindingState.ACTIVE
    assert store.consents.of_person(A) == []
