"""Complaints in the database: whose they are, how they are counted, and what they stop."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.modes import Axyb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.calls.store import AdmissionStore
from agi_router.cursors import Cursor
from agi_router.db.connection import Connection, Queries
from agi_router.errors import (
    BlockNotFound,
    ComplaintNotFound,
    CursorInvalid,
    OperatorOnly,
    RequestInvalid,
    TenantLocked,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.numbers import XNumber
from agi_router.persons.complaint_limits import ComplaintLevel, ComplaintLimits
from agi_router.persons.complaint_store import RULE, ComplaintStore
from agi_router.persons.complaints import Complaint, ComplaintKind
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from harness.cli import run
from harness.database import (
    HOUR,
    SOON,
    a_call,
    admit_as_router,
    bind,
    new_call_id,
    on_each_version,
    one,
)
from harness.pbx import Cli
from harness.values import BLOCK, A, B, C, D, X, Y

OTHER = "others"
NUMBER = LockedThing(subject=Subject.NUMBER, number=X)
TENANT = LockedThing(subject=Subject.TENANT, tenant="default")
# Half of 100 %, so that a few calls are enough.
LIMITS = ComplaintLimits(share=10_000, least=2)
_serial = count()


def complaints_of(store: BindingStore, limits: ComplaintLimits = LIMITS) -> ComplaintStore:
    """The complaints, as whoever has this store sees them."""
    return ComplaintStore(Queries(store.connection), store.keys, limits, store.scope)


def file(
    store: BindingStore, x: XNumber = X, *, at: datetime | None = None, **said: Any
) -> Complaint:
    """One more complaint."""
    given: dict[str, Any] = {"source": "12321", "reference": f"C-{next(_serial)}", **said}
    return complaints_of(store, given.pop("limits", LIMITS)).file(
        x, ComplaintKind.HARASSMENT, at=at or store.now(), by="a test", **given
    )


def called(connection: Connection, x: XNumber, tenant: str, calls: int) -> None:
    """So many calls went through on a number."""
    connection.execute(
        "INSERT INTO agi_router.call"
        " (block, id, day, x_number, shown, tenant_id, binding_id, state)"
        " SELECT %s, gen_random_uuid()::text, current_date, %s, %s, t.id, 1, 'settled'"
        "   FROM agi_router.tenant t, generate_series(1, %s) WHERE t.name = %s",
        (x.block.value, x.value, x.value, calls, tenant),
    )


def alarms(connection: Connection) -> list[tuple[str, str, int, int, bool]]:
    """Events of complaints."""
    rows = connection.execute(
        "SELECT data ->> 'subject' AS subject, data ->> 'level' AS level,"
        " (data ->> 'complaints')::integer AS complaints, (data ->> 'calls')::integer AS calls,"
        " data ->> 'lock_id' IS NOT NULL AS locked"
        " FROM agi_router.event WHERE type = 'complaint.alarm' ORDER BY id"
    ).fetchall()
    return [tuple(row.values()) for row in rows]


@on_each_version
def test_whose_call_it_was(store: BindingStore, connection: Connection) -> None:
    """Of the last call before, else of who was bound then, else of the block; or it is said."""
    store.inventory.tenants.add(OTHER)
    assert file(store).tenant is None
    pair = bind(store, A, B, tenant=OTHER)
    assert file(store).tenant == OTHER
    assert file(store, at=pair.begins_at - timedelta(hours=1)).tenant is None
    called(connection, X, "default", 1)
    assert file(store).tenant == "default"
    assert file(store, tenant=OTHER).tenant == OTHER
    connection.execute("DELETE FROM agi_router.call")
    store.unbind(pair.id)
    assert file(store, at=pair.begins_at).tenant == OTHER
    with pytest.raises(BlockNotFound):
        file(store, XNumber.parse("700999999990001"))


def test_calls_are_not_counted_for_too_few(store: BindingStore, connection: Connection) -> None:
    """What has too few complaints to matter, as most numbers have, has no calls looked for."""
    called(connection, X, "default", 9)
    limits = ComplaintLimits(share=10_000, least=4)
    for calls in (0, 9):
        file(store, limits=limits)
        for thing in (NUMBER, TENANT):
            assert complaints_of(store, limits).count(thing, brief=True).calls == calls
            assert complaints_of(store, limits).count(thing).calls == 9


async def test_the_number_that_was_shown(
    store: BindingStore, admissions: AdmissionStore, connection: Connection
) -> None:
    """Whoever complains knows it alone; who has dialled it meanwhile was another's."""
    store.inventory.tenants.add(OTHER)
    terms = Terms(expires_at=store.now() + HOUR)
    before = store.bind(Axyb(a=C, b=D), replace(terms, tenant=OTHER), x=X, y=Y)
    await admit_as_router(admissions, a_call(D, Y), new_call_id())
    store.unbind(before.id)
    store.bind(Axyb(a=A, b=B), terms, x=X, y=Y)
    for _ in range(2):
        await admit_as_router(admissions, a_call(A, X), new_call_id())
    assert file(store, Y).tenant == "default"
    connection.execute(b"UPDATE agi_router.call SET state = 'settled'")
    count = complaints_of(store).count
    assert [count(LockedThing(subject=Subject.NUMBER, number=each)).calls for each in (X, Y)] == [
        1,
        2,
    ]


@on_each_version
def test_calls_of_other_numbers_are_not_read(store: BindingStore, connection: Connection) -> None:
    """However many its block has: of a number's own an index tells, and of those that are up."""
    bind(store)
    called(connection, X, "default", 3)
    connection.execute(
        "INSERT INTO agi_router.call"
        " (block, id, day, x_number, shown, tenant_id, binding_id, state)"
        " SELECT %(block)s, 'n-' || n, current_date, x, x, 1, n, 'settled'"
        "   FROM (SELECT n, %(block)s * 10000 + 5000 + n %% 4000 AS x"
        "           FROM generate_series(1, 20000) n) n",
        {"block": BLOCK.value},
    )
    connection.execute(b"ANALYZE agi_router.call")

    def read() -> int:
        row = connection.execute(
            b"SELECT sum(pg_stat_get_xact_tuples_returned(c.oid)"
            b" + pg_stat_get_xact_tuples_fetched(c.oid))::bigint AS n FROM pg_class c"
            b" WHERE c.relname LIKE 'call%'"
        ).fetchone()
        assert row is not None
        return int(row["n"])

    with connection.transaction():
        before = read()
        for _ in range(2):
            assert file(store).tenant == "default"
        assert complaints_of(store).count(NUMBER).calls == 3
        assert read() - before < 200


@on_each_version
def test_too_many_stop_a_tenant_then_a_number(
    store: BindingStore, connection: Connection, keys: KeyRing
) -> None:
    """At half of the share, once; told from half of that on; lifted, counting begins anew."""
    EventStore(Queries(connection), keys).set_types("default", [EventType.COMPLAINT_ALARM])
    bind(store)
    called(connection, X, "default", 60)
    limits = ComplaintLimits(share=10_000, least=2)
    for _ in range(2):
        file(store, limits=limits)
    # Two of sixty: under a tenth, and over a fortieth.
    assert alarms(connection) == [
        ("tenant", "alarm", 2, 60, False),
        ("number", "alarm", 2, 60, False),
    ]
    first = file(store, limits=limits)
    assert alarms(connection)[2:] == [("tenant", "stop", 3, 60, True)]
    (lock,) = store.locks.all(limit=9)
    told = "SELECT name || ': ' || act || ' ' || subject || ', ' || reason FROM agi_router.audit"
    assert one(connection, told) == f"by itself: lock set lock {lock.id}, complaints"
    assert (lock.thing, lock.reason, lock.rule, lock.set_by, lock.ends_at) == (
        TENANT,
        LockReason.MISUSE,
        RULE,
        RULE,
        None,
    )
    with pytest.raises(TenantLocked):
        bind(store, A, C, x=None)
    file(store, limits=limits)
    assert [each.thing for each in store.locks.all(limit=9)] == [NUMBER, TENANT]
    assert len(complaints_of(store).all(limit=99)) == 4
    again = file(store, limits=limits, reference=first.reference)
    assert again == first
    for each in store.locks.all(limit=9):
        store.locks.lift(each.id, by="a judge")
    assert complaints_of(store).count(TENANT).complaints == 0
    file(store, limits=limits)
    assert store.locks.all(limit=9) == []
    assert complaints_of(store).count(NUMBER).complaints == 1


@on_each_version
def test_what_counts(store: BindingStore, connection: Connection) -> None:
    """Within the window, of calls that went through, and not what was dismissed."""
    store.inventory.tenants.add(OTHER)
    bind(store)
    bind(store, A, C, x=Y, tenant=OTHER)
    called(connection, X, "default", 900)
    called(connection, Y, OTHER, 7)
    connection.execute(
        "UPDATE agi_router.call SET reason = 'stranger' WHERE ctid ="
        " (SELECT ctid FROM agi_router.call WHERE x_number = %s LIMIT 1)",
        (Y.value,),
    )
    limits = ComplaintLimits(share=1, least=100)
    old, dismissed = file(store, limits=limits), file(store, limits=limits)
    file(store, Y, limits=limits)
    connection.execute(
        "UPDATE agi_router.complaint SET added_at = now() - interval '31 days' WHERE id = %s",
        (old.id,),
    )
    complaints = complaints_of(store, limits)
    found = complaints.dismiss(dismissed.id, by="a judge", note="another number")
    assert (found.dismissed_at is not None, found.dismiss_note) == (True, "another number")
    assert complaints.dismiss(dismissed.id, by="another") == found
    assert (complaints.count(NUMBER).complaints, complaints.count(TENANT).complaints) == (0, 0)
    there = complaints.count(LockedThing(subject=Subject.NUMBER, number=Y))
    assert (there.complaints, there.calls, there.level) == (1, 6, ComplaintLevel.CALM)
    file(store, limits=limits)
    assert complaints.count(TENANT).calls == 900
    assert (
        ComplaintStore(Queries(connection), store.keys, ComplaintLimits(share=10_000))
        .count(TENANT)
        .calls
        == 41
    )


def test_what_a_tenant_sees(store: BindingStore) -> None:
    """Those about its own calls; it writes none, and dismisses none."""
    store.inventory.tenants.add(OTHER)
    made = file(store, tenant="default")
    mine = complaints_of(store.within(store.inventory.tenants.scope("default")))
    theirs = complaints_of(store.within(store.inventory.tenants.scope(OTHER)))
    assert [(each.id, each.added_by) for each in mine.all(limit=9)] == [(made.id, None)]
    assert theirs.all(limit=9) == []
    # When a stop of a number was lifted is nothing to whoever was never on it.
    with pytest.raises(BlockNotFound):
        theirs.count(NUMBER)
    assert (mine.count(NUMBER).complaints, mine.count(TENANT).complaints) == (1, 1)
    with pytest.raises(ComplaintNotFound):
        theirs.find(made.id)
    with pytest.raises(OperatorOnly):
        mine.dismiss(made.id, by="a test")
    with pytest.raises(CursorInvalid):
        mine.all(after=Cursor(store.now(), "x"), limit=9)
    pair = bind(store, A, B, tenant=OTHER)
    assert theirs.count(NUMBER).complaints == 0
    store.unbind(pair.id)
    assert theirs.count(NUMBER).complaints == 0


async def test_a_number_that_is_stopped_rings_nobody(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """From the next call on."""
    bind(store)
    assert (await admissions.admit(a_call(A), new_call_id(), timeout=SOON)).admitted
    for _ in range(2):
        file(store, tenant="default")
    assert not (await admissions.admit(a_call(A), new_call_id(), timeout=SOON)).admitted


def test_by_hand(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """File, list, count, dismiss; on record."""
    bind(store)
    path = tmp_path / "key"
    write_key_ring(path, keys)
    cli = Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(path)})
    now = store.now().isoformat()
    said = ("--x", str(X), "--at", now, "--kind", "fraud", "--source", "carrier")
    made = cli("complaint", "file", *said, "--reference", "C-1", "--note", "at night")
    assert (made["x"], made["tenant"], made["kind"]) == (str(X), "default", "fraud")
    assert cli("complaint", "file", *said, "--reference", "C-1")["id"] == made["id"]
    assert "C-1" in run(["complaint", "list", "--x", str(X)], cli.env).out
    assert cli("complaint", "count", "--of", "default")["complaints"] == 1
    for calls, part, more, told in ((0, None, False, "0"), (8001, 0.25, True, "at least 8001")):
        called(store.connection, X, "default", calls)
        found = cli("complaint", "count", "--x", str(X))
        assert (found["calls"], found["more_calls"]) == (calls, more)
        assert found["part_of_share"] == part
        assert (
            f"calls          {told}\n" in run(["complaint", "count", "--x", str(X)], cli.env).out
        )
    assert cli("complaint", "count", "--x", str(X))["level"] == "calm"
    assert run(["complaint", "count"], cli.env).code == 2
    assert cli("complaint", "dismiss", made["id"], "--note", "no")["dismiss_note"] == "no"
    assert run(["complaint", "dismiss", "99"], cli.env).code == 66
    assert cli("complaint", "count", "--of", "default")["complaints"] == 0
    acts = [each["act"] for each in cli("audit", "list")]
    assert acts == ["complaint dismiss", "complaint file", "complaint file"]
    assert str(BLOCK) in made["x"]


def test_a_file(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> None:
    """Each row once, as by hand; what cannot be written is told by its line, never what it is."""
    bind(store)
    write_key_ring(tmp_path / "key", keys)
    env = {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
        "AGI_ROUTER_COMPLAINT_LEAST": "3",
    }
    at = store.now().isoformat()
    later = (store.now() + timedelta(hours=1)).isoformat()
    rows = [
        f"{X},{at},harassment,C-1,,\n",
        f"86{X},{at},FRAUD,C-2,default,spoke of {A.digits}\n",
        # The same again, in one file.
        f"{X},{at},harassment,C-1,,\n",
        f"{A.digits},{at},harassment,C-3,,\n",
        f"700999999990001,{at},harassment,C-4,,\n",
        f"{X},{later},harassment,C-5,,\n",
        f"{X},{at},noise,C-6,,\n",
        f"{X},{at},harassment,,,\n",
        f"{X},{at},harassment,C-7,nobody,\n",
        f"{X},{at},harassment,C-8,,\n",
    ]
    path = tmp_path / "complaints.csv"
    path.write_text("x,at,kind,reference,tenant,note\n" + "".join(rows), "utf-8")
    command = ["complaint", "import", str(path), "--source", "12321"]
    done = run([*command, "--json"], env)
    told = json.loads(done.out)
    assert (done.code, told["rows"], told["added"], told["known"]) == (65, 10, 3, 1)
    assert [each["line"] for each in told["faults"]] == [5, 6, 7, 8, 9, 10]
    assert A.digits not in done.out + done.err
    notes = [each.note for each in complaints_of(store).all(limit=9)]
    assert notes == [None, f"spoke of {A.masked}", None]
    # The third of them was one too many.
    (lock,) = store.locks.all(limit=9)
    assert (lock.thing, lock.rule) == (TENANT, RULE)
    again = run(command, env)
    assert (again.code, "line 5: " in again.out) == (65, True)
    assert len(complaints_of(store).all(limit=9)) == 3
    nameless = run(["complaint", "import", str(path)], env)
    assert "line 2: who passes it on is missing" in nameless.out
    path.write_text("x,at,kind\n", "utf-8")
    assert run(command, env).code == 65
    for header, told in (
        (
            "x,at,kind,reference,tennant",
            "column 5, 'tennant', is not known; a header is made of x,",
        ),
        (f"x,at,kind,reference,{A.digits}", "column 5 is not known"),
        ("x,at,kind,reference,note,note", "the column note twice"),
    ):
        path.write_text(f"{header}\n{rows[0]}", "utf-8")
        refused = run(command, env)
        assert (refused.code, told in refused.err, A.digits in refused.err) == (65, True, False)


def test_a_call_that_is_to_be(store: BindingStore) -> None:
    """A complaint is about a call that was."""
    with pytest.raises(RequestInvalid, match="future"):
        file(store, at=store.now() + HOUR)
    assert complaints_of(store).all(limit=9) == []
