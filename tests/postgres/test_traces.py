"""Traces: who was behind a number then, and what came of it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from postgres.test_cli import Cli

from agi_router.bindings.modes import Axyb, Gxb
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import BindingState, Side
from agi_router.calls.arrival import Call
from agi_router.calls.end import Outcome
from agi_router.calls.store import AdmissionStore
from agi_router.consent.ledger import Act, How, Statement
from agi_router.db.connection import Connection, Queries
from agi_router.errors import RevealLimit
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber
from agi_router.persons.effects import LockReason, Subject
from agi_router.persons.locks import LockedThing
from agi_router.records.audit import Audit, AuditEntry
from agi_router.traces.model import Stretch, Trace
from agi_router.traces.store import Tracer
from harness.cli import run
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    admit_as_router,
    an_end,
    bind,
    dials,
    new_call_id,
    on_each_version,
    one,
)
from harness.values import BLOCK, A, B, C, D, X, Y

pytestmark = on_each_version


def trace(
    store: BindingStore, who: object = X, *, ago: timedelta = HOUR, limit: int = 100
) -> Trace:
    """The trace of a number or a person up to now."""
    tracer = Tracer(store.connection, store.keys)
    now = store.now()
    times = {"since": now - ago, "until": now}
    if isinstance(who, PhoneNumber):
        return tracer.person(who, **times, limit=limit)
    return tracer.number(X if who is X else Y, **times, limit=limit)


def who(stretch: Stretch) -> tuple[set[PhoneNumber], set[PhoneNumber]]:
    """The parties of a stretch, A's side and B's."""
    a, b = (
        {party.number for party in stretch.parties if party.side is side}
        for side in (Side.A, Side.B)
    )
    return a, b


async def place(admissions: AdmissionStore, call: Call) -> str:
    """A call that came in, and was answered and ended if it was let through."""
    call_id = new_call_id()
    admitted, _ = await admit_as_router(admissions, call, call_id)
    if admitted.admitted:
        await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
    return call_id


async def test_what_has_no_end(cli: Cli, store: BindingStore, admissions: AdmissionStore) -> None:
    """A call that is up, and a lock until it is reviewed, are told without one."""
    admitted, _ = await admit_as_router(admissions, a_call(A, X), new_call_id())
    assert admitted.admitted
    lock = store.locks.set(
        LockedThing(subject=Subject.NUMBER, number=X), LockReason.MISUSE, by="a test"
    )
    told = cli("trace", X)
    assert told.code == 0, told.err
    calls, locks = told.out.split("\n\n")[1::2]
    assert calls.splitlines()[1].split()[-1] == "-"
    assert locks.splitlines()[1].split()[:2] == [str(lock.id), str(X)]
    assert locks.splitlines()[1].split()[-2:] == ["-", "-"]


async def test_a_number(store: BindingStore, admissions: AdmissionStore) -> None:
    """Who is bound, and the calls to it and from it."""
    made = bind(store, A, B, order_id="A-1001")
    ids = [await place(admissions, a_call(caller, X)) for caller in (A, B)]
    found = trace(store)
    (stretch,) = found.bound
    assert (stretch.binding, stretch.order, stretch.tenant) == (made.id, "A-1001", made.tenant)
    assert (who(stretch), stretch.state) == (({A}, {B}), BindingState.ACTIVE)
    assert (stretch.since >= made.begins_at, stretch.until) == (True, made.expires_at)
    assert [row["id"] for row in found.calls] == ids[::-1]
    assert (found.cut, list(found.locks), list(found.messages)) == (False, [], [])
    assert trace(store, limit=2).cut


async def test_a_number_that_was_shown(store: BindingStore, admissions: AdmissionStore) -> None:
    """Whoever was called from a number finds the caller, who dialled another one."""
    terms = Terms(expires_at=store.now() + HOUR)
    made = store.bind(Axyb(a=A, b=B), terms)
    a, b = (dials(next(p for p in made.parties if p.number == each)) for each in (A, B))
    call_id = await place(admissions, a_call(A, a))
    tracer = Tracer(store.connection, store.keys)
    now = store.now()
    for number in (a, b):
        found = tracer.number(number, since=now - HOUR, until=now + HOUR, limit=10)
        assert [who(each) for each in found.bound] == [({A}, {B})]
        assert [row["id"] for row in found.calls] == [call_id]


def test_who_was_replaced(store: BindingStore) -> None:
    """Each time has its own parties."""
    made = bind(store, A, B)
    changed = store.replace(made.id, Side.A, C)
    first, second = trace(store).bound
    assert (who(first), who(second)) == (({A}, {B}), ({C}, {B}))
    assert (first.until <= second.since, second.until) == (True, changed.expires_at)
    # Later than all of it, and before it.
    now = store.now()
    tracer = Tracer(store.connection, store.keys)
    assert len(tracer.number(X, since=now, until=now + HOUR, limit=9).bound) == 1
    assert not tracer.number(X, since=now - 2 * HOUR, until=made.begins_at, limit=9).bound
    # A is found by what is past, and by nothing of now.
    assert [who(each) for each in trace(store, A).bound] == [({A}, {B})]
    assert [who(each) for each in trace(store, C).bound] == [({C}, {B})]
    assert len(trace(store, B).bound) == 2
    assert not trace(store, D).bound


def test_members_who_came_and_left(store: BindingStore) -> None:
    """A group has a time for each set of members."""
    terms = Terms(expires_at=store.now() + HOUR)
    made = store.bind(Gxb(members=(A, C), b=B, default=A), terms)
    # A moment in which a binding is written is none of its own.
    store.connection.execute(
        b"UPDATE agi_router.route SET begins_at = begins_at - interval '1 min'"
    )
    store.connection.execute(
        b"UPDATE agi_router.binding SET begins_at = begins_at - interval '1 min'"
    )
    store.add_members(made.id, [D])
    store.remove_member(made.id, C)
    x = dials(made.parties[0])
    found = Tracer(store.connection, store.keys).number(
        x, since=store.now() - HOUR, until=store.now(), limit=9
    )
    assert [who(each)[0] for each in found.bound] == [{A, C}, {A, C, D}, {A, D}]
    assert all(one.until == other.since for one, other in pairwise(found.bound))


def test_what_is_over(store: BindingStore, connection: Connection, tmp_path: Path) -> None:
    """Who was bound before, though the number was given to others since, and keys were changed."""
    old = bind(store, A, B)
    store.unbind(old.id)
    new = bind(store, C, B, x=X)
    assert one(connection, "SELECT count(*) FROM agi_router.past_route") > 0
    first, second = trace(store).bound
    assert (first.binding, who(first)) == (old.id, ({A}, {B}))
    assert first.state is BindingState.UNBOUND
    assert (second.binding, who(second)) == (new.id, ({C}, {B}))
    file = tmp_path / "key"
    write_key_ring(file, store.keys)
    rotation = Rotation(connection, check_keys(connection, store.keys), file)
    rotation.switch(rotation.add(["tag", "seal"]))
    assert sum(rotation.renewal().run()) > 0
    rotated = BindingStore(connection, rotation.keys, NO_REST)
    assert [who(each) for each in trace(rotated).bound] == [({A}, {B}), ({C}, {B})]


def test_locks_of_that_time(store: BindingStore) -> None:
    """On the number, its block, the tenant and the parties; those that are over included."""
    made = bind(store, A, B)
    locks = store.locks
    things = [
        LockedThing(subject=Subject.NUMBER, number=X),
        LockedThing(subject=Subject.BLOCK, block=BLOCK),
        LockedThing(subject=Subject.TENANT, tenant=made.tenant),
        LockedThing(subject=Subject.PERSON, person=B),
        LockedThing(subject=Subject.PERSON, person=A, tenant=made.tenant),
    ]
    ids = [locks.set(each, LockReason.MISUSE, by="a test").id for each in things]
    for other in (
        LockedThing(subject=Subject.NUMBER, number=Y),
        LockedThing(subject=Subject.PERSON, person=C),
    ):
        locks.set(other, LockReason.MISUSE, by="a test")
    before = store.now()
    locks.lift(ids[0], by="a test")
    assert [lock.id for lock in trace(store).locks] == ids
    now = store.now()
    later = Tracer(store.connection, store.keys).number(X, since=now, until=now + HOUR, limit=9)
    assert [lock.id for lock in later.locks] == ids[1:]
    assert before < now


def test_what_cannot_be_read(store: BindingStore, connection: Connection) -> None:
    """It is told as damaged, and hides nothing else."""
    damaged, whole = bind(store, A, B), bind(store, C, D, x=X)
    connection.execute(
        b"UPDATE agi_router.route SET callee = 'x' WHERE binding_id = %s", (damaged.id.id,)
    )
    first, second = trace(store).bound
    assert (first.binding, first.parties) == (damaged.id, ())
    assert first.damage is not None
    assert (second.binding, who(second)) == (whole.id, ({C}, {D}))
    assert [each.binding for each in trace(store, A).bound] == [damaged.id]


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line on this test's database, with one binding."""
    bind(store, A, B, order_id="A-1001")
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})


def test_command(cli: Cli, store: BindingStore) -> None:
    """Masked where no case is named; else a row of the audit comes first."""
    thing = LockedThing(subject=Subject.PERSON, person=A, tenant="default")
    store.locks.set(thing, LockReason.ARREARS, by="a test")
    at = datetime.now(UTC).isoformat()
    told = cli("trace", X, "--at", at)
    assert (told.code, A.masked in told.out, "A-1001" in told.out) == (0, True, True)
    assert f"{A.masked} for default" in told.out
    assert cli("trace", X).out == told.out
    assert cli("audit", "list", "--json").json == []
    person = run(["trace", "--person", "-", "--since", "1h"], cli.env, typed=f"{A.digits}\n")
    assert (person.code, A.masked in person.out) == (0, True)
    assert not any(each.digits in told.out + person.out for each in (A, B))
    case = ("--reveal", "--case", "P-17", "--reason", f"asked about {C.digits}")
    shown = run(["trace", str(X), "--at", at, *case, "--json"], cli.env).json
    assert shown["bound"][0]["a"] == [{"number": A.digits, "dials": str(X)}]
    first, second = cli("audit", "list", "--json").json
    assert (second["act"], second["subject"], second["case_id"]) == ("trace", "a person", None)
    assert (first["act"], first["subject"], first["case_id"]) == (
        "trace --reveal",
        f"number {X}",
        "P-17",
    )
    assert C.digits not in first["reason"]


def test_how_often(cli: Cli, connection: Connection) -> None:
    """Whoever has seen as many as may be in an hour sees no more; that he tried is on record."""
    at = datetime.now(UTC).isoformat()
    command = ["trace", str(X), "--at", at, "--reveal", "--case", "P-17", "--reason", "asked"]
    env = {**cli.env, "AGI_ROUTER_TRACES_PER_HOUR": "2"}
    codes = [run(command, env).code for _ in range(3)]
    assert codes == [0, 0, 73]
    assert one(connection, "SELECT count(*) FROM agi_router.audit") == 3
    connection.execute(b"UPDATE agi_router.audit SET at = at - interval '1 hour'")
    assert run(command, env).code == 0
    # An API key counts by itself.
    entry = AuditEntry(act="trace --reveal", subject="x", reason="y", api_key="k", case_id="P")
    audit = Audit(Queries(connection))
    audit.record_limited(entry, acts=[entry.act], most=1)
    with pytest.raises(RevealLimit, match="within the last hour"):
        audit.record_limited(entry, acts=[entry.act], most=1)


def test_wrong_usage(cli: Cli) -> None:
    """What does not go together is refused before anything is looked up."""
    at = datetime.now(UTC).isoformat()
    for words in (
        (),
        (X, "--at", at, "--since", "1h"),
        ("--person", A.digits),
        ("--person", A.digits, "--since", "1h", "--at", at),
        (X, "--at", at, "--person", A.digits),
        (X, "--at", at, "--reveal"),
        (X, "--at", at, "--case", "P-17"),
        (X, "--at", at, "--reveal", "--case", A.digits, "--reason", "x"),
    ):
        done = cli("trace", *words)
        assert (done.code, A.digits in done.err) == (2, False), (words, done.err)


def test_nothing_is_shown_where_nothing_can_be_written(cli: Cli, connection: Connection) -> None:
    """No audit, no numbers."""
    connection.execute(b"ALTER TABLE agi_router.audit ADD CHECK (act <> 'trace --reveal')")
    at = datetime.now(UTC).isoformat()
    done = cli("trace", X, "--at", at, "--reveal", "--case", "P-17", "--reason", "asked")
    assert done.code != 0
    assert done.out == ""
    assert not re.search(r"\b1\d{10}\b", json.dumps(done.err))


def test_by_which_consent(store: BindingStore) -> None:
    """What its parties had said by then to its tenant, of its order or of all."""
    given = Statement(act=Act.GIVEN, how=How.APP)
    general = store.consents.write(A, "default", given, by="a test")
    mine = store.consents.write(
        B, "default", Statement(act=Act.GIVEN, how=How.PAPER, order="A-1"), by="a test"
    )
    store.consents.write(
        B, "default", Statement(act=Act.GIVEN, how=How.APP, order="A-2"), by="a test"
    )
    store.consents.write(C, "default", given, by="a test")
    bind(store, A, B, order_id="A-1")
    found = trace(store)
    assert [line.id for line in found.consents] == [mine.id, general.id]
    assert [line.id for line in trace(store, A).consents] == [mine.id, general.id]
    store.withdraw(A, "default", Statement(act=Act.WITHDRAWN), by="a test")
    assert [line.act for line in trace(store).consents] == [Act.WITHDRAWN, Act.GIVEN, Act.GIVEN]
