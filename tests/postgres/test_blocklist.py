"""Block lists: who is kept from whom, from when and until when."""

from __future__ import annotations

import hashlib
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.bindings.store import BindingStore
from agi_router.calls.decision import Decision, Refusal, Route
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import (
    BlocklistEntryNotFound,
    BlocklistEntryOver,
    ExpiryInvalid,
    OperatorOnly,
)
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.feeds.model import FeedKind, NumberForm, Trust
from agi_router.feeds.recycler import Recycler
from agi_router.keys.file import load_key_ring, write_key_ring
from agi_router.keys.registry import KINDS, check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.classes import Retention
from agi_router.maintenance.retention import Sweep
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber
from agi_router.persons.blocklist import BlocklistEntry, EntryState, Pairing
from agi_router.persons.blocklist_store import BlocklistStore
from agi_router.persons.effects import BlockDirection, LockReason, Subject
from agi_router.persons.locks import LockedThing
from harness.cli import run
from harness.database import (
    HOUR,
    NO_REST,
    a_call,
    admit_as_router,
    bind,
    forged,
    new_call_id,
    on_each_version,
    one,
)
from harness.pbx import Cli
from harness.values import BLOCK, A, B, C, D

TEST = "a test"


def put(
    store: BindingStore,
    person: PhoneNumber,
    other: PhoneNumber | None = None,
    tenant: str | None = None,
    **said: Any,
) -> BlocklistEntry:
    """Keep somebody from somebody."""
    return store.blocklist.add(Pairing(person=person, other=other, tenant=tenant), by=TEST, **said)


async def hears(admissions: AdmissionStore, caller: PhoneNumber) -> Reason | None:
    """Why a call is refused, if it is."""
    decision: Decision
    _, decision = await admit_as_router(admissions, a_call(caller), new_call_id())
    assert isinstance(decision, Refusal | Route)
    return decision.reason if isinstance(decision, Refusal) else None


@on_each_version
async def test_whom_an_entry_keeps_from_whom(
    store: BindingStore, admissions: AdmissionStore
) -> None:
    """At the next call, by its direction, for its tenant; removed, it keeps nobody."""
    bind(store)
    store.inventory.tenants.add("others")
    out, into = BlockDirection.OUT, BlockDirection.IN
    table: list[tuple[BlocklistEntry, tuple[Reason | None, Reason | None]]] = []
    for person, other, tenant, direction, blocked in (
        (A, B, None, BlockDirection.BOTH, (True, True)),
        (A, B, None, out, (True, False)),
        (A, B, None, into, (False, True)),
        (B, A, "default", into, (True, False)),
        (A, None, None, out, (True, False)),
        (A, None, "default", into, (False, True)),
        (A, None, "others", BlockDirection.BOTH, (False, False)),
        (A, C, None, BlockDirection.BOTH, (False, False)),
        (C, None, None, BlockDirection.BOTH, (False, False)),
    ):
        entry = put(store, person, other, tenant, direction=direction)
        expected = tuple(Reason.BLOCKED if each else None for each in blocked)
        heard = (await hears(admissions, A), await hears(admissions, B))
        assert heard == expected, entry
        assert store.blocklist.remove(entry.id, by=TEST).state is EntryState.REMOVED
        table.append((entry, heard))
    assert {await hears(admissions, A), await hears(admissions, B)} == {None}
    with pytest.raises(BlocklistEntryOver):
        store.blocklist.remove(table[0][0].id, by=TEST)
    # Nothing that is bound ends by it, and bindings can be made.
    put(store, A)
    bind(store, A, C, x=BLOCK.number(2))


@on_each_version
async def test_a_strangers_entry_keeps_nobody_off(
    connection: Connection, store: BindingStore, admissions: AdmissionStore, keys: KeyRing
) -> None:
    """It has the tags of A and B; but the numbers that it seals are others."""
    bind(store)
    stranger = PhoneNumber(digits="13912349999")
    for person, other in ((A, None), (A, B), (B, None)):
        entry = put(store, C, None if other is None else D)
        tag = keys.tag(person)
        connection.execute(
            "UPDATE agi_router.lock_mark SET key = %s, sealed = %s WHERE lock_id = %s",
            (tag, forged(keys, stranger, entry.id, tag), entry.id),
        )
        if other is not None:
            other_tag = keys.tag(other)
            connection.execute(
                "UPDATE agi_router.lock_mark SET other_key = %s, other_sealed = %s"
                " WHERE lock_id = %s",
                (other_tag, forged(keys, stranger, entry.id, other_tag), entry.id),
            )
    assert {await hears(admissions, A), await hears(admissions, B)} == {None}
    put(store, A, B, direction=BlockDirection.OUT)
    assert await hears(admissions, A) is Reason.BLOCKED
    assert len(store.blocklist.of_person(A, limit=9)) == 1


async def test_entries_hold_while_keys_are_rotated(
    dsn: str, store: BindingStore, tmp_path: Path, keys: KeyRing
) -> None:
    """Before, between and after; what is over is sealed anew, too, and no old key is needed."""
    file = tmp_path / "keys"
    write_key_ring(file, keys)
    bind(store)
    over = put(store, C, D)
    store.blocklist.remove(over.id, by=TEST)
    pair = put(store, A, B, direction=BlockDirection.OUT)
    alone = put(store, B, direction=BlockDirection.OUT)

    async def heard(ring: KeyRing) -> set[Reason | None]:
        async with AdmissionStore(dsn, ring, connections=1) as admissions:
            return {await hears(admissions, A), await hears(admissions, B)}

    with connect(dsn) as own:
        rotation = Rotation(own, check_keys(own, load_key_ring(file)), file)
        rotation.switch(rotation.add(KINDS))
        assert await heard(rotation.keys) == {Reason.BLOCKED}
        assert rotation.renew_secrets() > 0
        for _ in rotation.renewal().run():
            pass
        rotation.renew_secrets()
        for kind in KINDS:
            rotation.retire(kind, keys.tag_key_id)
        assert await heard(rotation.keys) == {Reason.BLOCKED}
        entries = BlocklistStore(Queries(own), rotation.keys)
        assert entries.find(over.id).pairing == over.pairing
        for entry in (pair, alone):
            entries.remove(entry.id, by=TEST)
        assert await heard(rotation.keys) == {None}


@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.SHA256])
def test_a_new_owner_inherits_no_entry(
    store: BindingStore, connection: Connection, keys: KeyRing, form: NumberForm
) -> None:
    """Neither his own nor one against him; what was added since is his."""
    own, against, others = put(store, A, B), put(store, C, A), put(store, C, B)
    before = store.now()
    later = put(store, A, C)
    recycler = Recycler(connection, keys)
    feed = recycler.store.add(
        "unicom", kind=FeedKind.STDIN, path=None, numbers=form, trust=Trust.FULL
    )
    digits = A.digits
    if form is not NumberForm.PLAIN:
        digits = hashlib.new(form.value, digits.encode()).hexdigest()
    for status in ("unknown", "reissued"):
        gone = EntryState.REMOVED if status == "reissued" else EntryState.IN_FORCE
        text = f"number,status,date\n{digits},{status},{before.isoformat()}\n"
        recycler.run(feed, io.BytesIO(text.encode()), name=status)
        states = [store.blocklist.find(each.id).state for each in (own, against, others, later)]
        assert states == [gone, gone, EntryState.IN_FORCE, EntryState.IN_FORCE]


@pytest.mark.parametrize("form", [NumberForm.PLAIN, NumberForm.SHA256])
def test_a_new_owner_inherits_no_lock(
    store: BindingStore, connection: Connection, keys: KeyRing, form: NumberForm
) -> None:
    """Whoever has set it, and whether it holds yet; what was set since is his, or of others."""
    theirs = store.within(store.inventory.tenants.scope("default"))

    def lock(by: BindingStore, person: PhoneNumber, **terms: Any) -> int:
        tenant = None if by is store else "default"
        thing = LockedThing(subject=Subject.PERSON, person=person, tenant=tenant)
        return by.locks.set(thing, LockReason.MISUSE, by=TEST, **terms).id

    soon = store.now() + timedelta(hours=1)
    gone = [lock(store, A), lock(theirs, A), lock(store, A, starts_at=soon)]
    other = lock(store, B)
    before = store.now()
    later = lock(store, A)
    recycler = Recycler(connection, keys)
    feed = recycler.store.add(
        "unicom", kind=FeedKind.STDIN, path=None, numbers=form, trust=Trust.FULL
    )
    digits = A.digits
    if form is not NumberForm.PLAIN:
        digits = hashlib.new(form.value, digits.encode()).hexdigest()
    for status in ("unknown", "reissued"):
        text = f"number,status,date\n{digits},{status},{before.isoformat()}\n"
        recycler.run(feed, io.BytesIO(text.encode()), name=status)
        lifted = {each: store.locks.find(each).lifted_by for each in (*gone, other, later)}
        by = "a feed" if status == "reissued" else None
        assert lifted == {**dict.fromkeys(gone, by), other: None, later: None}
    told = "SELECT count(*) FROM agi_router.audit WHERE act = 'lock lift' AND reason = 'a feed'"
    assert one(connection, told) == len(gone)


@pytest.mark.parametrize("place", [0, 1])
def test_a_new_owner_without_a_binding_is_met(
    store: BindingStore, connection: Connection, keys: KeyRing, place: int
) -> None:
    """By an entry alone, on either side of it."""
    entry = put(store, A, B)
    recycler = Recycler(connection, keys)
    feed = recycler.store.add(
        "unicom", kind=FeedKind.STDIN, path=None, numbers=NumberForm.PLAIN, trust=Trust.FULL
    )
    text = f"number,status,date\n{(A, B)[place].digits},reissued,{store.now().isoformat()}\n"
    recycler.run(feed, io.BytesIO(text.encode()), name="file")
    assert store.blocklist.find(entry.id).state is EntryState.REMOVED


def test_entries_end_and_are_swept(connection: Connection, store: BindingStore) -> None:
    """By themselves; past retention they are gone."""
    entry = put(store, A, ends_at=store.now() + HOUR)
    kept = put(store, B)
    connection.execute(
        "UPDATE agi_router.blocklist SET added_at = now() - interval '2 hours',"
        " ends_at = now() - interval '1 hour' WHERE id = %s",
        (entry.id,),
    )
    assert store.blocklist.find(entry.id).state is EntryState.ENDED
    assert [each.id for each in store.blocklist.all(limit=9)] == [kept.id]
    list(Sweep(connection, NO_REST, Retention()).steps())
    assert one(connection, "SELECT count(*) FROM agi_router.lock_mark") == 1
    assert {each.id for each in store.blocklist.all(everything=True, limit=9)} == {
        entry.id,
        kept.id,
    }
    connection.execute(
        "UPDATE agi_router.blocklist SET over_at = now() - interval '800 days' WHERE id = %s",
        (entry.id,),
    )
    # It is deleted once a day: on another one.
    connection.execute(b"DELETE FROM agi_router.deletion")
    list(Sweep(connection, NO_REST, Retention()).steps())
    with pytest.raises(BlocklistEntryNotFound):
        store.blocklist.find(entry.id)


def test_a_tenant_blocks_for_itself(store: BindingStore) -> None:
    """And removes what it has added; of what holds for all it learns nothing."""
    scope = store.inventory.tenants.scope("default")
    mine = store.within(scope).blocklist
    with pytest.raises(OperatorOnly):
        mine.add(Pairing(person=A), by=TEST)
    entry = mine.add(Pairing(person=A, tenant="default"), by=TEST)
    assert (entry.removable, entry.added_by) == (True, None)
    everywhere = put(store, A)
    given = put(store, A, tenant="default")
    assert {each.id for each in mine.all(limit=9)} == {entry.id, given.id}
    with pytest.raises(BlocklistEntryNotFound):
        mine.remove(everywhere.id, by=TEST)
    with pytest.raises(OperatorOnly):
        mine.remove(given.id, by=TEST)
    mine.remove(entry.id, by=TEST)
    with pytest.raises(ExpiryInvalid):
        put(store, A, ends_at=store.now() - HOUR)


def test_a_tenant_is_told_of_its_own(
    connection: Connection, store: BindingStore, keys: KeyRing
) -> None:
    """With no number of anybody; of what holds for all it is told nothing."""
    EventStore(Queries(connection), keys).set_types(
        "default", [EventType.BLOCKLIST_ADDED, EventType.BLOCKLIST_REMOVED]
    )
    put(store, A)
    entry = put(store, A, B, "default", note="asked for it")
    store.blocklist.remove(entry.id, by=TEST)
    told = connection.execute("SELECT type, data FROM agi_router.event ORDER BY id").fetchall()
    assert [each["type"] for each in told] == ["blocklist.added", "blocklist.removed"]
    assert told[0]["data"]["entry_id"] == str(entry.id)
    assert (told[0]["data"]["scope"], told[0]["data"]["note"]) == ("pair", "asked for it")


@pytest.fixture
def cli(store: BindingStore, dsn: str, keys: KeyRing, tmp_path: Path) -> Cli:
    """The command line."""
    assert store
    file = tmp_path / "keys"
    write_key_ring(file, keys)
    return Cli({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(file)})


def test_by_hand(cli: Cli, dsn: str, tmp_path: Path) -> None:
    """Numbers come by standard input and are shown masked."""
    made = cli(
        *("blocklist", "add", "--person", "-", "--other", "-", "--direction", "out"),
        *("--for", "2h", "--note", "asked for it"),
        typed=(A.digits, B.digits),
    )
    assert (made["person"], made["other"], made["direction"]) == (A.masked, B.masked, "out")
    alone = cli("blocklist", "add", "--person", "-", "--tenant", "default", typed=(C.digits,))
    assert (alone["other"], alone["tenant"], alone["state"]) == (None, "default", "in_force")
    assert [each["id"] for each in cli("blocklist", "list")] == [alone["id"], made["id"]]
    assert cli("blocklist", "show", made["id"]) == made
    for number in (A, B):
        shown = cli("blocklist", "show", "--person", "-", typed=(number.digits,))
        assert [each["id"] for each in shown] == [made["id"]]
    assert cli("blocklist", "remove", made["id"])["state"] == "removed"
    assert cli("blocklist", "show", "--person", "-", typed=(A.digits,)) == []
    acts = [each["act"] for each in cli("audit", "list")]
    assert acts.count("blocklist show") == 3
    assert {"blocklist add", "blocklist remove"} <= set(acts)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "keys")}
    for wrong in (
        ("show",),
        ("add", "--person", "-", "--for", "2h", "--until", "2030-01-01T00:00+08:00"),
    ):
        assert run(["blocklist", *wrong], env, typed=f"{A.digits}\n").code == 2
    table = run(["blocklist", "list"], env).out
    assert "anybody" in table
    assert C.digits not in table
