"""Retention: what goes and when, what a hold keeps, and the proofs."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.model import Binding
from agi_router.bindings.store import BindingStore
from agi_router.consent.ledger import Act, How, Statement
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.rights import Purpose, grant
from agi_router.durations import parse_duration
from agi_router.errors import BindingNotFound, HoldNotFound
from agi_router.keys.file import load_key_ring, write_key_ring
from agi_router.keys.registry import KINDS, check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import FLOORS, Kind, Retention, RetentionClass, digest_names
from agi_router.maintenance.classes import KINDS as RULES
from agi_router.maintenance.deletion import Deletion
from agi_router.maintenance.holds import HeldThing, HoldStore
from agi_router.maintenance.proofs import Kept, kept, proofs
from agi_router.maintenance.retention import Sweep
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.persons.register import PersonRegister
from agi_router.traces.store import Tracer
from harness.cli import run
from harness.database import HOUR, NO_REST, Server, bind, new_party, one, until
from harness.values import BLOCK, A, B, C, D, X

RETENTION = Retention()
DAY = timedelta(days=1)
OLD = timedelta(days=300)
TEST = "a test"


@pytest.fixture
def holds(store: BindingStore) -> HoldStore:
    """The holds of this database."""
    return HoldStore(Queries(store.connection), store.keys)


def today(connection: Connection) -> date:
    day: date = one(connection, "SELECT (now() AT TIME ZONE 'UTC')::date")
    return day


def age(store: BindingStore, made: Binding, by: timedelta = OLD) -> None:
    """Let a binding, and its routes, have begun and ended so long ago."""
    name = made.id
    store.connection.execute(
        "UPDATE agi_router.binding SET begins_at = begins_at - %s, expires_at = now() - %s,"
        " ended_at = now() - %s, state = 'expired' WHERE id = %s",
        (by, by, by, name.id),
    )
    store.connection.execute(
        "UPDATE agi_router.route SET begins_at = begins_at - %s, ends_at = now() - %s"
        " WHERE binding_id = %s",
        (by, by, name.id),
    )


def add_calls(store: BindingStore, made: Binding, names: list[str], by: timedelta = OLD) -> date:
    """Calls of a binding, so long ago, in a table of their day."""
    connection = store.connection
    name = made.id
    day = today(connection) - by
    connection.execute("SELECT agi_router.ensure_days('call', %s, %s)", (day, day))
    for each in names:
        connection.execute(
            "INSERT INTO agi_router.call (block, id, day, x_number, received_at, binding_id,"
            " shown, tenant_id, state) VALUES (%s, %s, %s, %s, now() - %s, %s, %s, 1, 'settled')",
            (BLOCK.value, each, day, X.value, by, name.id, X.value),
        )
    return day


def sweep(store: BindingStore) -> int:
    """Sweep once; how many rows are deleted."""
    return sum(step.deleted for step in Sweep(store.connection, NO_REST, RETENTION).steps())


def delete(store: BindingStore, *, batch: int = 500) -> dict[Kind, int]:
    """Delete what is past retention, though it was looked through today."""
    rows = dict.fromkeys(Kind, 0)
    for step in Deletion(store.connection, RETENTION, batch=batch).steps(again=True):
        rows[step.kind] += step.rows
    return {kind: count for kind, count in rows.items() if count}


def show(store: BindingStore, kind: Kind) -> Kept:
    """What is shown of a kind."""
    return next(each for each in kept(Queries(store.connection), RETENTION) if each.kind is kind)


def oldest(store: BindingStore, kind: Kind) -> date | None:
    """The oldest day of a kind that is shown."""
    return show(store, kind).oldest


def test_the_oldest_of_each(store: BindingStore) -> None:
    """What goes next is told behind what is alive; a run of a feed that told nothing is none."""
    bind(store, A, B)
    later = bind(store, C, D, x=BLOCK.number(9))
    assert oldest(store, Kind.BINDING) is None
    age(store, later)
    assert oldest(store, Kind.BINDING) == today(store.connection) - OLD
    run_id = one(
        store.connection,
        "WITH feed AS (INSERT INTO agi_router.feed (name, kind, numbers, trust)"
        " VALUES ('lists', 'push', 'plain', 'full') RETURNING id)"
        " INSERT INTO agi_router.feed_run (feed_id, file, digest, begun_at)"
        " SELECT id, '-', sha256(''), now() - %s FROM feed RETURNING id",
        3 * OLD,
    )
    assert oldest(store, Kind.FEED) is None
    # Of tables that nobody has analysed, too.
    until(lambda: show(store, Kind.BINDING).rows == 2)
    store.connection.execute(
        "INSERT INTO agi_router.feed_fault (run_id, line, why) VALUES (%s, 1, 'a test')", [run_id]
    )
    assert oldest(store, Kind.FEED) == today(store.connection) - 3 * OLD
    assert delete(store) == {Kind.FEED: 1}
    assert oldest(store, Kind.FEED) is None
    told = one(
        store.connection,
        "SELECT subject FROM agi_router.audit WHERE act = 'retention' AND subject LIKE 'feed %%'",
    )
    assert ": 1 run(s), sha256 " in told


def test_a_proof_of_each_deletion(store: BindingStore) -> None:
    """What, which day, how many, a digest that whoever has the names can make, in the audit."""
    made = [bind(store, PhoneNumber.parse(f"1390000{n:04}"), B, x=BLOCK.number(n)) for n in (3, 4)]
    for each in made:
        age(store, each)
    names = ["pbx1-1.1", "pbx1-2.2", "pbx1-3.3"]
    day = add_calls(store, made[0], names)
    assert sweep(store) == 5
    proofs = store.connection.execute(
        "SELECT * FROM agi_router.deletion WHERE deleted > 0 ORDER BY kind"
    ).fetchall()
    bindings, calls = proofs
    assert (bindings["kind"], bindings["whole"], bindings["deleted"]) == ("binding", False, 2)
    assert bindings["day"] == RETENTION.last_day(Kind.BINDING, today(store.connection))
    assert bindings["digest"] == digest_names(bytes(32), [str(each.id) for each in made])
    assert (calls["kind"], calls["whole"], calls["day"]) == ("call", True, day)
    assert (calls["deleted"], calls["digest"]) == (3, digest_names(bytes(32), names))
    assert calls["rule"] == "records, 190 days after its day"
    told = store.connection.execute(
        "SELECT subject, reason FROM agi_router.audit WHERE act = 'retention' ORDER BY id"
    ).fetchall()
    assert [row["subject"] for row in told] == [
        f"binding up to {bindings['day']}: 2 row(s), sha256 {bindings['digest'].hex()}",
        f"call of {day}: 3 row(s), sha256 {calls['digest'].hex()}",
    ]
    assert [row["reason"] for row in told] == [bindings["rule"], calls["rule"]]
    # Looked through once on a day; by hand as often as one likes.
    age(store, bind(store, C, D, x=BLOCK.number(5)))
    assert sweep(store) == 0
    assert delete(store) == {Kind.BINDING: 1}
    assert delete(store) == {}


THINGS = {
    "number": HeldThing(number=X),
    "side a": HeldThing(person=A),
    "side b": HeldThing(person=B),
    "order": HeldThing(order="O-1"),
    "order of a tenant": HeldThing(order="O-1", tenant="default"),
}


@pytest.mark.parametrize("held", THINGS.values(), ids=THINGS)
def test_what_is_held_is_kept(store: BindingStore, holds: HoldStore, held: HeldThing) -> None:
    """Until it is released: binding, parties, calls and locks; a trace tells all of it."""
    made = bind(store, A, B, order_id="O-1")
    other = bind(store, C, D, x=BLOCK.number(7), order_id="O-2")
    lock = store.locks.set(
        LockedThing(subject=Subject.PERSON, person=A), LockReason.MISUSE, by=TEST
    )
    store.locks.lift(lock.id, by=TEST)
    store.connection.execute(
        "UPDATE agi_router.lock SET starts_at = now() - interval '800 days',"
        " over_at = now() - interval '790 days'"
    )
    for each in (made, other):
        age(store, each)
    day = add_calls(store, made, ["pbx1-1.1", "pbx1-2.2"])
    store.connection.execute(
        "UPDATE agi_router.call SET binding_id = %s, x_number = %s, shown = %s"
        " WHERE id = 'pbx1-2.2'",
        (other.id.id, BLOCK.number(7).value, BLOCK.number(7).value),
    )
    hold = holds.add(held, case="P-1", reason="police", by=TEST)
    assert sweep(store) == 2
    assert store.find(made.id).id == made.id
    with pytest.raises(BindingNotFound):
        store.find(other.id)
    assert one(store.connection, "SELECT count(*) FROM agi_router.call WHERE day = %s", day) == 0
    tracer = Tracer(store.connection, store.keys)
    since, until = store.now() - OLD - HOUR * 2, store.now()
    number = tracer.number(X, since=since, until=until, limit=9)
    for found in (number, tracer.person(A, since=since, until=until, limit=9)):
        (stretch,) = found.bound
        assert {party.number for party in stretch.parties} == {A, B}
        assert [row["id"] for row in found.calls] == ["pbx1-1.1"]
    assert store.locks.find(lock.id).id == lock.id
    assert delete(store) == {}
    assert [each.id for each in holds.all(limit=9)] == [hold.id]
    released = holds.release(hold.id, by=TEST, note="closed")
    assert (released.released_by, holds.all(limit=9)) == (TEST, [])
    with pytest.raises(HoldNotFound):
        holds.release(hold.id, by=TEST, note=None)
    assert delete(store) == {Kind.BINDING: 1, Kind.CALL: 1, Kind.LOCK: 1}
    assert not tracer.number(X, since=since, until=until, limit=9).calls


def test_a_hold_that_comes_late(store: BindingStore, holds: HoldStore) -> None:
    """Set while a day is being deleted: its rows are looked through once more, and kept."""
    made = bind(store, A, B)
    day = add_calls(store, made, ["pbx1-1.1", "pbx1-2.2"])
    steps = Deletion(store.connection, RETENTION).steps()
    for step in steps:
        if step.kind is Kind.CALL and step.rows:
            break
    assert one(store.connection, "SELECT deleted FROM agi_router.deletion WHERE whole") == 2
    holds.add(HeldThing(number=X), case="P-1", reason="police", by=TEST)
    for _ in steps:
        pass
    proof = store.connection.execute("SELECT * FROM agi_router.deletion WHERE whole").fetchone()
    assert proof is not None
    assert (proof["day"], proof["deleted"], proof["ended_at"] is None) == (day, 0, False)
    assert one(store.connection, "SELECT count(*) FROM agi_router.kept_call") == 2


def test_a_hold_that_is_committed_late(store: BindingStore, dsn: str) -> None:
    """Written before a day's deletion began, and seen only after its rows were looked through."""
    made = bind(store, A, B)
    add_calls(store, made, ["pbx1-1.1", "pbx1-2.2"])
    with connect(dsn) as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            HoldStore(Queries(other), store.keys).add(
                HeldThing(number=X), case="P-1", reason="police", by=TEST
            )
            deletion = pool.submit(delete, store)
            waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND NOT granted"
            until(lambda: one(other, waiting) == 1)
        deletion.result()
    proof = store.connection.execute("SELECT * FROM agi_router.deletion WHERE whole").fetchone()
    assert proof is not None
    assert (proof["deleted"], proof["ended_at"] is None) == (0, False)
    assert one(store.connection, "SELECT count(*) FROM agi_router.kept_call") == 2


def test_while_keys_are_rotated(
    store: BindingStore, holds: HoldStore, dsn: str, keys: KeyRing, tmp_path: Path
) -> None:
    """A held person is found at each moment of it."""
    write_key_ring(tmp_path / "keys", keys)
    made = bind(store, A, B)
    age(store, made)
    holds.add(HeldThing(person=B), case="P-1", reason="police", by=TEST)
    with connect(dsn) as own:
        rotation = Rotation(
            own, check_keys(own, load_key_ring(tmp_path / "keys")), tmp_path / "keys"
        )

        def check() -> None:
            assert one(own, "SELECT count(*) FROM agi_router.list_held()") == 1
            assert [
                hold.thing.person
                for hold in HoldStore(Queries(own), rotation.keys).all(person=B, limit=9)
            ] == [B]

        rotation.switch(rotation.add(KINDS))
        check()
        rotation.renew_secrets()
        check()
        for _ in rotation.renewal().run():
            check()
        rotation.renew_secrets()
        check()
        for kind in KINDS:
            rotation.retire(kind, keys.tag_key_id)
        check()
    assert sweep(store) == 0


def test_withdrawn_consents(store: BindingStore) -> None:
    """Two years after the withdrawal both go; what stands, or would stand again, stays."""
    given = Statement(act=Act.GIVEN, how=How.APP)
    for person, order in ((A, None), (B, None), (C, "O-1"), (D, None)):
        store.consents.write(
            person, "default", Statement(act=Act.GIVEN, how=How.APP, order=order), by=TEST
        )
    store.withdraw(A, "default", given, by=TEST)
    store.withdraw(C, "default", Statement(act=Act.GIVEN, how=How.APP, order="O-1"), by=TEST)
    # Of one order, though C agrees to another one.
    store.consents.write(C, "default", Statement(act=Act.GIVEN, how=How.APP, order="O-2"), by=TEST)
    store.withdraw(C, "default", Statement(act=Act.GIVEN, how=How.APP, order="O-3"), by=TEST)
    # Of one order, though B agrees to all others.
    store.withdraw(B, "default", Statement(act=Act.GIVEN, how=How.APP, order="O-1"), by=TEST)
    assert delete(store) == {}
    store.connection.execute("UPDATE agi_router.consent SET added_at = added_at - %s", (3 * OLD,))
    assert oldest(store, Kind.CONSENT) is not None
    assert delete(store) == {Kind.CONSENT: 5, Kind.PERSON: 1}
    assert oldest(store, Kind.CONSENT) is None
    assert [(line.person, line.act) for line in store.consents.all(limit=9)] == [
        (B, Act.WITHDRAWN),
        (C, Act.GIVEN),
        (D, Act.GIVEN),
        (B, Act.GIVEN),
    ]


def test_complaints_and_real_names(store: BindingStore, holds: HoldStore) -> None:
    """Two years after they came or were replaced; what speaks stays, and what is held."""
    connection = store.connection
    for place in (3, 4):
        connection.execute(
            "INSERT INTO agi_router.complaint (x_number, kind, at, source, reference, added_at,"
            " added_by) VALUES (%s, 'fraud', now(), 'a test', %s, now() - %s, 'a test')",
            (BLOCK.number(place).value, str(place), 3 * OLD),
        )
    names = [
        one(
            connection,
            "INSERT INTO agi_router.real_name (person_id, tenant_id, status, source, checked_at,"
            " added_at, added_by) VALUES (%s, %s, %s, 'a test', now() - %s, now() - %s, 'a test')"
            " RETURNING id",
            *(person, tenant, status, checked * OLD, added * OLD),
        )
        for person, tenant, status, checked, added in (
            (1, None, "yes", 6, 6),  # replaced
            (1, 1, "yes", 5, 5),
            (1, None, "no", 4, 4),
            (2, None, "yes", 5, 5),  # replaced of late
            (2, None, "no", 1, 1),
            (3, None, "yes", 4, 5),  # not replaced by what was checked before
            (3, None, "no", 5, 4),
        )
    ]
    hold = holds.add(HeldThing(number=BLOCK.number(4)), case="P-1", reason="police", by=TEST)
    assert oldest(store, Kind.COMPLAINT) == today(connection) - 3 * OLD
    assert oldest(store, Kind.REAL_NAME) == today(connection) - 4 * OLD
    assert delete(store, batch=2) == {Kind.COMPLAINT: 1, Kind.REAL_NAME: 1}
    left = connection.execute("SELECT id FROM agi_router.real_name ORDER BY id").fetchall()
    assert [row["id"] for row in left] == names[1:]
    assert oldest(store, Kind.REAL_NAME) == today(connection) - OLD
    holds.release(hold.id, by=TEST, note="closed")
    assert delete(store) == {Kind.COMPLAINT: 1}


def test_old_numbers(store: BindingStore, holds: HoldStore) -> None:
    """Two years after they were moved, unless the number in their place is held."""
    connection = store.connection
    for place in (3, 4):
        connection.execute(
            "INSERT INTO agi_router.old_number (number, x_number, tenant_id, moved_at)"
            " VALUES (%s, %s, 1, now() - %s)",
            (f"9501300000{place}", BLOCK.number(place).value, 3 * OLD),
        )
    hold = holds.add(HeldThing(number=BLOCK.number(4)), case="P-1", reason="police", by=TEST)
    assert oldest(store, Kind.OLD_NUMBER) == today(connection) - 3 * OLD
    assert delete(store) == {Kind.OLD_NUMBER: 1}
    holds.release(hold.id, by=TEST, note="closed")
    assert delete(store) == {Kind.OLD_NUMBER: 1}


def test_persons(store: BindingStore, holds: HoldStore) -> None:
    """With the last that is kept of them, by a proof; they may be added again."""
    connection = store.connection
    given = Statement(act=Act.GIVEN, how=How.APP)
    for person in (A, B, C):
        store.consents.write(person, "default", given, by=TEST)
    holds.add(HeldThing(person=D), case="P-1", reason="police", by=TEST)
    for person in (A, B):
        store.withdraw(person, "default", given, by=TEST)
    hold = holds.add(HeldThing(person=B), case="P-2", reason="police", by=TEST)
    connection.execute("UPDATE agi_router.consent SET added_at = added_at - %s", (3 * OLD,))
    assert delete(store, batch=1) == {Kind.CONSENT: 2, Kind.PERSON: 1}
    found = proofs(Queries(connection), since=datetime.now(UTC) - HOUR, limit=9)
    assert [each["deleted"] for each in found if each["kind"] == Kind.PERSON] == [1]
    assert delete(store) == {}
    # What a hold has named can be shown; so B stays for two years more, whose lines go by now.
    holds.release(hold.id, by=TEST, note="closed")
    assert delete(store) == {Kind.CONSENT: 2}
    assert oldest(store, Kind.HOLD) == today(connection)
    for old, gone in ((2 * OLD, {}), (OLD, {Kind.HOLD: 1, Kind.PERSON: 1})):
        connection.execute(
            "UPDATE agi_router.hold SET set_at = set_at - %s, released_at = released_at - %s",
            (old, old),
        )
        assert delete(store) == gone
    assert [each.case for each in holds.all(everything=True, limit=9)] == ["P-1"]
    store.consents.write(A, "default", given, by=TEST)
    people = [each.person for each in store.consents.all(limit=9)]
    assert people == [A, C]
    assert one(connection, "SELECT count(*) FROM agi_router.person_mark") == 3


def test_persons_go_a_few_at_a_time(store: BindingStore, dsn: str) -> None:
    """No more in a step than were asked for; and a walk that would hold others up ends."""
    connection = store.connection
    given = Statement(act=Act.GIVEN, how=How.APP)
    for person in (A, B, C):
        store.consents.write(person, "default", given, by=TEST)
    connection.execute("DELETE FROM agi_router.consent")
    marks = "SELECT person_id FROM agi_router.person_mark ORDER BY person_id"
    ids = [row["person_id"] for row in connection.execute(marks)]
    walk = "SELECT d.ids, d.until FROM agi_router.delete_persons(%s, 2) d"

    def step(after: int) -> dict[str, Any]:
        row = connection.execute(walk, [after]).fetchone()
        assert row is not None
        return row

    with connect(dsn, idle=0) as other, other.transaction():
        other.execute("LOCK TABLE agi_router.key IN ROW SHARE MODE")
        assert step(0) == {"ids": [], "until": None}
    assert step(0) == {"ids": [str(each) for each in ids[:2]], "until": ids[1]}
    assert step(ids[1]) == {"ids": [str(ids[2])], "until": ids[2]}
    assert step(ids[2]) == {"ids": [], "until": None}


def test_a_person_who_is_deleted_does_not_come_back(
    store: BindingStore, keys: KeyRing, dsn: str
) -> None:
    """By no mark of another tag key, nor by what a feed knows, in the moment in which it goes."""
    connection = store.connection
    store.consents.write(A, "default", Statement(act=Act.GIVEN, how=How.APP), by=TEST)
    person_id = one(connection, "DELETE FROM agi_router.consent RETURNING person_id")
    both = keys.with_new("tag", 2)
    with connect(dsn, idle=0) as other, ThreadPoolExecutor(1) as pool:
        with other.transaction():
            assert one(other, "SELECT cardinality(ids) FROM agi_router.delete_persons(0, 2)") == 1
            marked = pool.submit(PersonRegister(Queries(connection), both).mark, 2)
            waiting = "SELECT count(*) FROM pg_locks WHERE mode = 'RowShareLock' AND NOT granted"
            until(lambda: marked.done() or one(other, waiting) == 1)
        assert marked.result() == 0
    values = {"person_ids": [person_id], "since": [store.now()]}
    Queries(connection).execute("note_new_owners", values)
    for table in ("person_mark", "new_owner"):
        assert one(connection, f"SELECT count(*) FROM agi_router.{table}") == 0


def test_six_months_are_the_same_everywhere(connection: Connection) -> None:
    """What the settings may not go below, and what no role may delete."""
    free = "SELECT (now() AT TIME ZONE 'UTC')::date - agi_router.last_free_day(now())"
    floor = parse_duration(FLOORS[RetentionClass.RECORDS])
    assert timedelta(days=one(connection, free)) == floor


def test_all_that_names_a_person(connection: Connection) -> None:
    """Another table that does is one more that agi_router.is_unmentioned has to look at."""
    tables = connection.execute(
        "SELECT DISTINCT table_name AS name FROM information_schema.columns"
        " WHERE table_schema = 'agi_router' AND column_name = 'person_id'"
    ).fetchall()
    beside = {"person_mark", "new_owner"}
    looked_at = {"consent", "real_name", "hold", "complaint_caller"}
    assert {row["name"] for row in tables} - beside == looked_at


def test_one_deletes_at_a_time(
    store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path
) -> None:
    """Another one does nothing, and says so; afterwards it does."""
    write_key_ring(tmp_path / "keys", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "keys")}
    age(store, bind(store))
    list(Sweep(store.connection, NO_REST, RETENTION).steps())
    with connect(dsn) as other:
        one(other, "SELECT pg_advisory_lock(7002045)")
        age(store, bind(store, C, D, x=BLOCK.number(8)))
        assert delete(store) == {}
        assert "another process deletes" in run(["retention", "run"], env).err
    list(Sweep(store.connection, NO_REST, RETENTION).steps())
    assert delete(store) == {Kind.BINDING: 1}


def test_the_commands(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """Show, hold, delete, release, proofs; an auditor looks, and does nothing."""
    write_key_ring(tmp_path / "keys", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "keys")}
    made = bind(store, A, B, order_id="O-1")
    age(store, made)
    day = add_calls(store, made, ["pbx1-1.1"])
    shown = {each["kind"]: each for each in run(["retention", "show", "--json"], env).json}
    assert list(shown) == list(RULES)
    call = shown["call"]
    assert (call["class"], call["days"], call["oldest"], call["due"]) == (
        "records",
        190,
        str(day),
        True,
    )
    assert call["next_on"] == str(day + 191 * DAY)
    assert shown["audit"]["due"] is False
    dry = run(["retention", "run", "--dry-run", "--json"], env).json
    assert {each["kind"] for each in dry} == {"binding", "call"}
    words = ["retention", "hold", "add", "--case", "P-1", "--reason", "police", "--person", "-"]
    (hold,) = run([*words, "--json"], env, typed=f"{A.digits}\n").json
    assert (hold["person"], hold["case"], hold["x"]) == (A.masked, "P-1", None)
    for more in (["--x", str(X)], ["--order", "O-1", "--tenant", "default"]):
        assert run([*words[:-2], *more], env).code == 0
    assert run(words[:-2], env).code == 2
    # Its routes go out of the way of calls, and no more.
    assert run(["sweep", "--json"], env).json["deleted"] == 0
    deleted = run(["retention", "run", "--json"], env).json
    assert (deleted["binding"], deleted["call"]) == (0, 0)
    listed = run(["retention", "hold", "list", "--person", "-", "--json"], env, typed=A.digits)
    assert [each["id"] for each in listed.json] == [hold["id"]]
    typo = run(["retention", "hold", "release", "--case", "P-2", "--note", "closed"], env)
    assert (typo.code, "no hold of case P-2" in typo.err) == (66, True)
    text = run(["retention", "hold", "release", "--case", "P-1", "--note", "closed"], env)
    assert text.code == 0
    assert A.digits not in text.out
    assert run(["retention", "hold", "list"], env).out == "no holds\n"
    assert len(run(["retention", "hold", "list", "--all", "--json"], env).json) == 3
    deleted = run(["retention", "run", "--json"], env).json
    assert (deleted["binding"], deleted["call"]) == (1, 1)
    proofs = run(["retention", "proofs", "--json"], env).json
    assert {each["kind"] for each in proofs} == {"binding", "call"}
    audit = run(["audit", "list", "--json"], env).json
    acts = [row["act"] for row in audit]
    assert acts.count("retention") == 2
    assert acts.count("retention hold add") == acts.count("retention hold release") == 3
    assert not re.search(A.digits, json.dumps(audit))
    of_case = run(["audit", "list", "--case", "P-1", "--json"], env).json
    assert [row["act"].rpartition(" ")[2] for row in of_case] == 3 * ["release"] + 3 * ["add"]


def test_an_auditor_only_looks(
    server: Server, store: BindingStore, keys: KeyRing, tmp_path: Path
) -> None:
    """The role that reads the audit reads retention too, and holds and deletes nothing."""
    database = one(store.connection, "SELECT current_database()")
    role = f"auditor {datetime.now(UTC):%H%M%S%f}"
    with server.admin() as admin:
        admin.execute(f'CREATE ROLE "{role}" LOGIN')
    try:
        grant(store.connection, role, Purpose.AUDIT)
        write_key_ring(tmp_path / "keys", keys)
        env = {
            "AGI_ROUTER_DSN": server.dsn(database, user=role),
            "AGI_ROUTER_KEY_FILE": str(tmp_path / "keys"),
        }
        for words in (["show"], ["proofs"]):
            assert run(["retention", *words], env).code == 0
        for words in (["run"], ["hold", "add", "--case", "1", "--reason", "r", "--x", str(X)]):
            assert run(["retention", *words], env).code == 77
    finally:
        with server.admin(database) as admin:
            admin.execute(f'DROP OWNED BY "{role}"')
            admin.execute(f'DROP ROLE "{role}"')


def test_killed_at_every_statement(store: BindingStore, holds: HoldStore, dsn: str) -> None:
    """Killed at any point, a run loses nothing that is held and counts nothing twice."""
    made = [
        bind(store, new_party(), new_party(), x=BLOCK.number(n), order_id=f"O-{n % 3}")
        for n in range(12)
    ]
    # Each third is of the order that is held.
    names = {"binding": [str(each.id) for n, each in enumerate(made) if n % 3]}
    for each in made:
        age(store, each)
    for n in range(4):
        calls = [f"pbx1-{n}.{serial}" for serial in range(4)]
        day = add_calls(store, made[n], calls, OLD + n * DAY)
        if n % 3:
            names[str(day)] = calls
    holds.add(HeldThing(order="O-0"), case="P-1", reason="police", by=TEST)
    list(Sweep(store.connection, NO_REST, Retention(records=4 * OLD)).steps())
    store.connection.execute("DELETE FROM agi_router.deletion")
    deleting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 7002045"
    kills = stop = 0
    while kills == stop:
        stop += 1
        kills += is_killed(dsn, stop)
        # What the server had in hand for it goes on until it sees that nobody is there.
        until(lambda: not one(store.connection, deleting))
    assert kills >= 50
    assert delete(store) == {}
    left = store.connection.execute("SELECT id, order_id FROM agi_router.binding").fetchall()
    assert len(left) == len(made) - len(names["binding"])
    assert {row["order_id"] for row in left} == {"O-0"}
    proofs = store.connection.execute(
        "SELECT * FROM agi_router.deletion WHERE deleted > 0 ORDER BY id"
    ).fetchall()
    assert all(proof["ended_at"] for proof in proofs)
    lines = "SELECT count(*) FROM agi_router.audit WHERE act = 'retention'"
    assert one(store.connection, lines) == len(proofs)
    told = [
        (str(row["day"]) if row["whole"] else row["kind"], row["deleted"], row["digest"])
        for row in proofs
    ]
    assert sorted(told) == sorted(
        (what, len(each), digest_names(bytes(32), each)) for what, each in names.items()
    )
    kept = store.connection.execute("SELECT id FROM agi_router.kept_call ORDER BY id").fetchall()
    assert len(kept) == 4 * len(range(0, 4, 3))


def is_killed(dsn: str, stop: int) -> bool:
    """Delete in a process that is killed before or behind some statement; whether it was."""
    child = os.fork()
    if child == 0:
        try:
            for name in ("row", "rows", "execute"):
                setattr(Queries, name, Deadly(getattr(Queries, name), stop))
            with connect(dsn) as connection:
                list(Deletion(connection, Retention(), batch=1).steps(again=True))
        except BaseException:  # noqa: BLE001 - a child never goes on with the test
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}
    return status != 0


# Statements between two places to be killed at: all of them would take a minute.
_STRIDE = 2.5


class Deadly:
    """The same method, which kills its process before a call, or behind it."""

    done = 0

    def __init__(self, method: Callable[..., Any], stop: int) -> None:
        self._method = method
        self._stop = stop

    def __get__(self, queries: Queries, owner: type[Queries]) -> Callable[..., Any]:
        return partial(self, queries)

    def __call__(self, *given: Any) -> Any:
        Deadly.done += 1
        last = Deadly.done == int(_STRIDE * self._stop)
        if last and self._stop % 2:
            os.kill(os.getpid(), signal.SIGKILL)
        told = self._method(*given)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return told
