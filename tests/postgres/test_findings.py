"""Findings of misuse: which carrier is told of whom, until it has acknowledged it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from postgres.test_complaints import complaints_of, file

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Ax, Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback
from agi_router.db.connection import Connection, Queries
from agi_router.feeds.findings import FindingStatus, FindingStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.persons.complaint_limits import ComplaintLimits
from agi_router.persons.complaints import Complaint
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import Lock, LockedThing
from harness.cli import run
from harness.database import HOUR, bind, one
from harness.values import A, B, C, D, X

# The operator digit of the block of these tests.
DIGIT = 1


def lock(store: BindingStore, person: PhoneNumber, reason: LockReason = LockReason.MISUSE) -> Lock:
    thing = LockedThing(subject=Subject.PERSON, person=person)
    return store.locks.set(thing, reason, by="a test")


def findings_of(store: BindingStore) -> FindingStore:
    """Two complaints are too many."""
    return FindingStore(Queries(store.connection), store.keys, ComplaintLimits(least=2))


def test_each_is_told_until_it_is_acknowledged(store: BindingStore) -> None:
    """Of the operator's locks for misuse alone, and to the carriers of the person's numbers."""
    findings = findings_of(store)
    bind(store, A, B)
    locked = [lock(store, each) for each in (A, B)]
    lock(store, C)
    lock(store, A, LockReason.ARREARS)
    theirs = store.within(store.inventory.tenants.scope("default"))
    thing = LockedThing(subject=Subject.PERSON, person=B, tenant="default")
    theirs.locks.set(thing, LockReason.MISUSE, by="a tenant")
    (first,) = findings.take(DIGIT, limit=1)
    assert (first.person, first.taken_at) == (A, None)
    (again,) = findings.take(DIGIT, limit=1)
    assert again.id == first.id
    # Lifted before anybody was told of it.
    store.locks.lift(locked[1].id, by="a test")
    assert [each.person for each in findings.take(DIGIT, limit=9)] == [A]
    assert findings.take(DIGIT + 1, limit=9) == []
    assert findings.acknowledge(DIGIT + 1, first.id) == 0
    assert [findings.acknowledge(DIGIT, first.id) for _ in range(2)] == [1, 0]
    assert findings.take(DIGIT, limit=9) == []
    store.locks.lift(locked[0].id, by="a test")
    (taken_back,) = findings.take(DIGIT, limit=9)
    assert (taken_back.person, taken_back.status) == (A, FindingStatus.WITHDRAWN)
    assert taken_back.id > first.id
    assert [each.id for each in findings.all(everything=True, limit=9)] == [
        first.id,
        taken_back.id,
    ]
    assert findings.all(everything=True, after=taken_back.id, limit=9) == []


def test_who_was_called_back(store: BindingStore) -> None:
    """Whoever had no row but those that name him was bound as well, and is told of later."""
    findings = findings_of(store)
    wide = BindingStore(store.connection, store.keys, open_modes=True)
    made = wide.bind(
        Ax(a=A, default=B, callback=Callback.DEFAULT), Terms(expires_at=store.now() + HOUR)
    )
    store.unbind(made.id)
    store.connection.execute(
        "SELECT agi_router.retire_routes(array_agg(r.block), array_agg(r.x_number),"
        " array_agg(r.caller_tag), array_agg(r.binding_id), NULL) FROM agi_router.route r"
    )
    lock(store, B)
    assert [each.person for each in findings.take(DIGIT, limit=9)] == [B]


def test_commands(
    store: BindingStore, connection: Connection, dsn: str, keys: KeyRing, tmp_path: Path
) -> None:
    """Masked in lists; in full for a carrier, on record; what is damaged is left out."""
    bind(store, A, B)
    lock(store, A)
    damaged = lock(store, B)
    connection.execute("UPDATE agi_router.lock SET sealed = '\\x00' WHERE id = %s", (damaged.id,))
    write_key_ring(tmp_path / "key", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "key")}
    listed = run(["feed", "outbound", "list", "--json"], env)
    rows = json.loads(listed.out)
    assert [(each["number"], each["damage"] is None) for each in rows] == [
        (A.masked, True),
        (None, False),
    ]
    assert (listed.code, listed.err.endswith(f": {rows[1]['id']}\n")) == (70, True)
    assert A.digits not in listed.out + run(["feed", "outbound", "list"], env).out
    taken = run(["feed", "outbound", "take", str(DIGIT)], env)
    (row,) = csv.DictReader(io.StringIO(taken.out))
    assert (row["number"], row["status"]) == (A.digits, "misuse")
    lines = run(["feed", "outbound", "take", str(DIGIT), "--format", "jsonl"], env)
    assert json.loads(lines.out)["number"] == A.digits
    act = one(connection, "SELECT subject FROM agi_router.audit ORDER BY at DESC LIMIT 1")
    assert act == f"findings of misuse for operator {DIGIT}, with numbers"
    done = run(["feed", "outbound", "acknowledge", str(DIGIT), row["id"], "--json"], env)
    assert done.json == {"acknowledged": 1}
    assert run(["feed", "outbound", "take", str(DIGIT)], env).out.splitlines() == [
        "id,number,status,since,rule"
    ]


def test_who_is_complained_of(store: BindingStore, connection: Connection) -> None:
    """Whoever has called, once complaints are too many; of a group nobody knows who that was."""
    findings = findings_of(store)
    pair = bind(store, A, B)
    group = store.bind(Gxb(members=(C, D), b=B), Terms(expires_at=store.now() + HOUR))
    (x,) = {each.dials for each in group.parties}
    assert x is not None
    called(connection, pair, X, "a")
    called(connection, group, x, "a")
    made = [complain(store, number) for number in (X, x, x)]
    assert findings.take(DIGIT, limit=9) == []
    # Found once, and whatever becomes of the binding since.
    store.unbind(pair.id)
    made.append(complain(store, X))
    (found,) = findings.take(DIGIT, limit=9)
    assert (found.person, found.source, found.rule) == (A, "complaint", "complaints")
    assert [each.id for each in findings.take(DIGIT, limit=9)] == [found.id]
    made.append(complain(store, X))
    complaints = complaints_of(store)
    complaints.dismiss(made[0].id, by="a test")
    assert [each.id for each in findings.take(DIGIT, limit=9)] == [found.id]
    complaints.dismiss(made[3].id, by="a test")
    told = findings.take(DIGIT, limit=9)
    assert [(each.person, each.status) for each in told] == [
        (A, FindingStatus.MISUSE),
        (A, FindingStatus.WITHDRAWN),
    ]
    assert findings.acknowledge(DIGIT, told[-1].id) == 2
    # One more, and it is found anew.
    complain(store, X)
    (again,) = findings.take(DIGIT, limit=9)
    assert (again.person, again.status) == (A, FindingStatus.MISUSE)
    # Not the new owner of its number.
    connection.execute(
        "INSERT INTO agi_router.new_owner (person_id, since)"
        " SELECT DISTINCT person_id, now() FROM agi_router.complaint_caller"
        "  WHERE person_id IS NOT NULL"
    )
    assert [each.status for each in findings.take(DIGIT, limit=9)] == [
        FindingStatus.MISUSE,
        FindingStatus.WITHDRAWN,
    ]
    assert one(connection, "SELECT count(*) FROM agi_router.complaint_caller") == 6


@pytest.mark.parametrize("later", [-60, 20])
def test_who_is_called_back_is_told_of_to_nobody(
    store: BindingStore, connection: Connection, later: int
) -> None:
    """Where both sides' calls showed the number nobody knows of which somebody complains."""
    pair = bind(store, A, B)
    called(connection, pair, X, "a", ago=120)
    called(connection, pair, X, "b", ago=-later)
    for _ in range(2):
        complain(store, X)
    assert findings_of(store).take(DIGIT, limit=9) == []
    noted = "SELECT count(*) FROM agi_router.complaint_caller WHERE person_id IS NULL"
    assert one(connection, noted) == 2


def test_what_cannot_be_known_now_is_looked_for_later(
    store: BindingStore, connection: Connection
) -> None:
    """Where the cell of the number is away, or the keys do not open who has called."""
    pair = bind(store, A, B)
    called(connection, pair, X, "a")
    for _ in range(2):
        complain(store, X)
    findings = findings_of(store)
    noted = "SELECT count(*) FROM agi_router.complaint_caller"
    with connection.transaction(force_rollback=True):
        connection.execute(
            b"CREATE OR REPLACE FUNCTION agi_router.list_cells()"
            b" RETURNS TABLE (cell integer, name text, away boolean, blocks bigint[])"
            b" LANGUAGE sql STABLE AS"
            b" $$ SELECT 0, 'one', true, array_agg(k.block) FROM agi_router.block k $$"
        )
        assert findings.take(DIGIT, limit=9) == []
        assert one(connection, noted) == 0
    with connection.transaction(force_rollback=True):
        connection.execute(b"UPDATE agi_router.route SET callee = '\\x00'")
        assert findings.take(DIGIT, limit=9) == []
        assert one(connection, noted) == 0
    assert [each.person for each in findings.take(DIGIT, limit=9)] == [A]


def test_age_takes_nothing_back(store: BindingStore, connection: Connection) -> None:
    """A finding holds where complaints are deleted by their age; not where one is dismissed."""
    findings = findings_of(store)
    pair = bind(store, A, B)
    called(connection, pair, X, "a")
    made = [complain(store, X) for _ in range(3)]
    complaints_of(store).dismiss(made[1].id, by="a test")
    (found,) = findings.take(DIGIT, limit=9)
    connection.execute(b"DELETE FROM agi_router.complaint WHERE id = %s", (made[0].id,))
    assert [each.id for each in findings.take(DIGIT, limit=9)] == [found.id]
    complaints_of(store).dismiss(made[2].id, by="a test")
    assert [each.status for each in findings.take(DIGIT, limit=9)] == [
        FindingStatus.MISUSE,
        FindingStatus.WITHDRAWN,
    ]


def complain(store: BindingStore, x: XNumber) -> Complaint:
    """One more complaint of a call that showed a number, too few to stop anything."""
    return file(store, x, limits=ComplaintLimits(least=99))


def called(connection: Connection, made: Binding, x: XNumber, side: str, *, ago: int = 0) -> None:
    """A call of one side of a binding went through, so many seconds ago."""
    connection.execute(
        "INSERT INTO agi_router.call"
        " (block, id, day, x_number, shown, tenant_id, binding_id, side, state, received_at)"
        " SELECT %s, gen_random_uuid()::text, current_date, %s, %s, t.id, %s, %s, 'settled',"
        "        now() - make_interval(secs => %s)"
        "   FROM agi_router.tenant t WHERE t.name = %s",
        (x.block.value, x.value, x.value, made.id.id, side, ago, made.tenant),
    )
