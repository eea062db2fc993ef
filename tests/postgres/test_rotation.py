"""Rotation: from one key to the next, with bindings of every mode and calls that go on."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
from postgres.test_import import Importing

from agi_router.bindings.model import Binding
from agi_router.bindings.modes import Y_TTL, Ax, Axb, Axe, Axyb, Gxb, Gxyb, Parties
from agi_router.bindings.once import bind_once
from agi_router.bindings.policy import Affinity, NumberPolicy
from agi_router.bindings.reasons import Reason
from agi_router.bindings.reseal import Renewal
from agi_router.bindings.store import BindingStore
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Callback, Side
from agi_router.bulk import importer
from agi_router.calls.arrival import Call, DialledExtension
from agi_router.calls.decision import Refusal, Route, decide
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.queries import query
from agi_router.errors import (
    BindingConflict,
    KeyInUse,
    KeyMismatch,
    KeyRingError,
    KeysOutdated,
    KeyUsedUp,
    NumberResting,
    StoreError,
)
from agi_router.inventory.capacity import Quarantine
from agi_router.keys.file import load_key_ring, write_key_ring
from agi_router.keys.registry import (
    KINDS,
    SEALS_ALLOWED,
    SEALS_WARNED,
    check_keys,
    count_sealed,
    key_ids,
)
from agi_router.keys.ring import Cipher, KeyRing
from agi_router.maintenance.rotation import Rotation
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.service.jobs import Job, Jobs
from agi_router.service.upkeep import KeyFollower
from agi_router.settings import Settings
from harness.database import (
    HOUR,
    NO_REST,
    Server,
    a_call,
    admit_as_router,
    bind,
    expire,
    insert_route,
    look_up,
    new_call_id,
    on_each_version,
    on_one_server,
    one,
    until,
    until_async,
)
from harness.values import BLOCK, A, B, C, D, E, F, X

pytestmark = on_each_version

TIMEOUT = 10.0
PROGRAM = Path(sys.executable).parent / "agi-router"
EXTENSION = "1234"

Command = Callable[..., subprocess.CompletedProcess[str]]

PARTIES: dict[str, Parties] = {
    "axb": Axb(a=A, b=B),
    "axyb": Axyb(a=A, b=B),
    "gxb without a default": Gxb(members=(A, C, D), b=B),
    "gxb with a default": Gxb(members=(A, C, D), b=B, default=C),
    "gxb that rings the last": Gxb(members=(A, C, D), b=B, callback=Callback.LAST),
    "gxyb that rings all": Gxyb(members=(A, C, D), b=B, callback=Callback.ALL),
    "gxyb in turn": Gxyb(members=(A, C, D), b=B, callback=Callback.SEQUENCE),
    "axyb on call": Axyb(a=A, b=B, y_ttl=Y_TTL),
    "axyb on call, called": Axyb(a=A, b=B, y_ttl=Y_TTL),
    "ax": Ax(a=A),
    "ax with a fixed number": Ax(a=A, callback=Callback.DEFAULT, default=D),
    "ax, last called": Ax(a=A, default=D),
    "axe": Axe(a=A, extension=EXTENSION),
    "axe, last called": Axe(a=A, extension=EXTENSION),
}


@pytest.fixture
def key_file(tmp_path: Path, keys: KeyRing) -> Path:
    """The key file of this test."""
    file = tmp_path / "key"
    write_key_ring(file, keys)
    return file


@pytest.fixture
def keys(connection: Connection) -> KeyRing:
    """Keys that the database knows."""
    return check_keys(connection, KeyRing.generate())


@pytest.fixture
def store(connection: Connection, keys: KeyRing) -> BindingStore:
    """Where bindings of every mode are made, with one block to make them in."""
    made = opened(connection, keys)
    made.inventory.add_block(BLOCK, operator=None, certificate=None)
    return made


def opened(
    connection: Connection, keys: KeyRing, quarantine: Quarantine = NO_REST
) -> BindingStore:
    """The same with other keys."""
    return BindingStore(connection, keys, quarantine, open_modes=True)


@contextmanager
def rotating(dsn: str, file: Path, *, cipher: Cipher = Cipher.AES_256_GCM) -> Iterator[Rotation]:
    """The keys, to be changed, on a connection of their own."""
    with connect(dsn) as own:
        yield Rotation(own, check_keys(own, load_key_ring(file, cipher=cipher)), file)
        # A server ends a session a moment after its client, who may change keys again at once.
        with suppress(psycopg.Error):
            own.execute("SELECT pg_advisory_unlock_all()")


def rotate(dsn: str, file: Path, kinds: Sequence[Any] = KINDS) -> KeyRing:
    """Rotate as the command does, and return the keys."""
    with rotating(dsn, file) as rotation:
        rotation.switch(rotation.add(kinds))
        renewal = rotation.renewal()
        for _ in renewal.run():
            pass
        assert renewal.left == []
        assert renewal.outstanding() == 0
        return rotation.keys


def sealed(connection: Connection) -> list[bytes]:
    """Every sealed value there is."""
    rows = connection.execute(
        b"SELECT callee, caller, last_callee FROM agi_router.route"
        b" UNION ALL SELECT callee, caller, NULL FROM agi_router.past_route"
    ).fetchall()
    return [value for row in rows for value in row.values() if value is not None]


def outcomes(store: BindingStore, numbers: Sequence[XNumber]) -> dict[tuple[str, str], Any]:
    """What becomes of a call of everybody on each of some numbers."""
    found = {}
    for x in numbers:
        for caller in (A, B, C, D, E, F):
            found[caller.digits, x.digits] = outcome(store, a_call(caller, x))
        found["typed", x.digits] = outcome(
            store, Call(caller=F, x_number=x, typed=DialledExtension(extension=EXTENSION))
        )
    return found


def outcome(store: BindingStore, call: Call) -> Any:
    """What becomes of one call."""
    looked = look_up(store, call, at=None)
    decision = decide(call, looked.facts, now=looked.now)
    return decision.reason if isinstance(decision, Refusal) else decision


def make(store: BindingStore, parties: Parties, x: XNumber = X) -> Binding:
    return store.bind(
        parties,
        Terms(expires_at=store.now() + HOUR),
        x=x,
        y=BLOCK.number(2) if parties.numbers == 2 else None,
    )


@pytest.mark.parametrize("kinds", [("tag", "seal"), ("tag",), ("seal",)], ids=str)
@pytest.mark.parametrize("mode", PARTIES)
async def test_every_mode(
    mode: str,
    kinds: Sequence[Any],
    dsn: str,
    connection: Connection,
    store: BindingStore,
    key_file: Path,
    keys: KeyRing,
) -> None:
    """Everybody reaches whom they reached, is shown as before, and no row needs the old keys."""
    made = make(store, PARTIES[mode])
    numbers = [X, BLOCK.number(2)]
    if "last" in mode or "called" in mode:
        call = a_call(A if mode.startswith("axyb") else D)
        if mode.startswith("axe"):
            call = replace(call, typed=DialledExtension(extension=EXTENSION))
        async with AdmissionStore(dsn, keys, connections=1, open_modes=True) as admissions:
            _, decision = await admit_as_router(admissions, call, new_call_id())
        assert isinstance(decision, Route)
        numbers.append(decision.shown)
    found, before = store.find(made.id), outcomes(store, numbers)

    fresh = rotate(dsn, key_file, kinds)

    assert (fresh.tag_key_id, fresh.seal_key_id) == (
        1 + ("tag" in kinds),
        1 + ("seal" in kinds),
    )
    with rotating(dsn, key_file) as rotation:
        for kind in kinds:
            rotation.retire(kind, 1)
        alone = rotation.keys
    assert alone == load_key_ring(key_file)
    assert len(alone.tag_keys) + len(alone.seal_keys) == 2
    renewed = opened(connection, alone)
    assert renewed.find(made.id) == found
    assert outcomes(renewed, numbers) == before
    assert {value[:3] for value in sealed(connection)} <= {alone.header}
    # And it can be done once more, with nothing to do in between.
    assert Renewal(renewed._queries, alone).outstanding() == 0
    again = rotate(dsn, key_file, kinds)
    assert outcomes(opened(connection, again), numbers) == before


def test_what_is_over_is_renewed_too(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """Ended bindings, those whose place was taken, and members who left, once or twice."""
    over = bind(store)
    store.unbind(over.id)
    taken = bind(store, C, D)
    store.unbind(taken.id)
    group = store.bind(
        Gxb(members=(C, D, E), b=F, default=E), Terms(expires_at=store.now() + HOUR), x=X
    )
    for _ in range(2):
        store.remove_member(group.id, D)
        store.add_members(group.id, [D])
    store.remove_member(group.id, E)
    names = [over.id, taken.id, group.id]
    found, before = [store.find(name) for name in names], outcomes(store, [X])
    assert one(connection, "SELECT count(*) FROM agi_router.past_route") == 5

    rotate(dsn, key_file)
    with rotating(dsn, key_file) as rotation:
        rotation.retire("tag", 1)
        rotation.retire("seal", 1)
        renewed = opened(connection, rotation.keys)

    assert [renewed.find(name) for name in names] == found
    assert outcomes(renewed, [X]) == before
    assert before[A.digits, X.digits] is Reason.UNBOUND


def test_a_party_group(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """Its members are renewed, and it is bound by and changed before and after that."""
    store.add_group("default", "team", [A, C])
    terms = Terms(expires_at=store.now() + HOUR, order_id="O-1")
    made = store.bind(Gxb(group="team", b=B), terms, x=X)
    with rotating(dsn, key_file) as rotation:
        rotation.switch(rotation.add(KINDS))
        both = opened(connection, rotation.keys)
        assert both.change_members("default", "team", joining=[D]).members == (A, C, D)
        later = both.bind(Gxb(group="team", b=E), terms)
        # It was changed, and is renewed by that.
        assert rotation.renew_secrets() == 0
        assert sum(rotation.renewal().run()) == 0
        both.add_group("default", "others", [E])
    rotate(dsn, key_file)
    with rotating(dsn, key_file) as rotation:
        values = {"header": rotation.keys.header, "limit": 1}
        assert len(Queries(connection).rows("list_unrenewed_groups", values)) == 1
        assert rotation.renew_secrets() == 2
        for kind in KINDS:
            rotation.retire(kind, 1)
            rotation.retire(kind, 2)
        alone = opened(connection, rotation.keys)
    group = alone.set_members("default", "team", [D, F])
    assert (group.members, group.bindings) == ((D, F), 2)
    for name in (made.id, later.id):
        members = {p.number for p in alone.find(name).parties if p.side is Side.A}
        assert members == {D, F}
    assert bind_once(alone, Gxb(group="team", b=B), terms).id == made.id


def test_rows_for_anyone(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """A row for anyone has no tag, before and afterwards; that of whom it rings is renewed."""
    made = bind(store)
    insert_route(connection, keys, binding=made.id.id, caller=None, callee=A)
    before = outcomes(store, [X])
    renewed = opened(connection, rotate(dsn, key_file))
    assert outcomes(renewed, [X]) == before
    assert [value[2] for value in sealed(connection)] == [2, 2, 2]
    with rotating(dsn, key_file) as rotation:
        rotation.retire("tag", 1)


def test_whoever_calls_reaches_a(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """Where side B is anyone, its row says who A is."""
    made = bind(store)
    connection.execute(b"DELETE FROM agi_router.route WHERE side = 'b'")
    insert_route(connection, keys, binding=made.id.id, caller=None, callee=A, side="b")
    before = outcomes(store, [X])
    renewed = opened(connection, rotate(dsn, key_file))
    assert outcomes(renewed, [X]) == before
    assert before[A.digits, X.digits].callees == (B,)
    assert before[F.digits, X.digits].callees == (A,)


def test_from_one_cipher_to_the_other(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """By SM4-GCM and back; both are read side by side meanwhile."""
    bind(store)
    before = outcomes(store, [X])
    national = replace(keys, cipher=Cipher.SM4_GCM)
    bind(opened(connection, national), C, D)
    assert {value[0] for value in sealed(connection)} == {4, 5}
    assert outcomes(opened(connection, national), [X]) == outcomes(store, [X]) != before
    for cipher, version in ((Cipher.SM4_GCM, 5), (Cipher.AES_256_GCM, 4)):
        with rotating(dsn, key_file, cipher=cipher) as rotation:
            assert sum(rotation.renewal().run()) == 1 + (version == 4)
        assert {value[0] for value in sealed(connection)} == {version}
        assert outcomes(store, [X])[D.digits, X.digits].callees == (C,)


def test_states(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """New, current, old, retired; refused is what would lose a number."""
    bind(store)

    def listed(rotation: Rotation) -> list[tuple[object, ...]]:
        columns = ("kind", "id", "state", "uses")
        return [tuple(row[column] for column in columns) for row in rotation.listed()]

    with rotating(dsn, key_file) as rotation:
        assert listed(rotation) == [("tag", 1, "current", 2), ("seal", 1, "current", 2)]
        assert rotation.add(["seal"]) == {"seal": 2}
        assert listed(rotation)[1:] == [("seal", 1, "current", 2), ("seal", 2, "new", 0)]
    # Interrupted here, the next one takes the same key; the file has it once.
    with rotating(dsn, key_file) as rotation:
        assert rotation.add(["seal"]) == {"seal": 2}
        assert len(load_key_ring(key_file).seal_keys) == 2
        with pytest.raises(KeyInUse, match="rotate first"):
            rotation.retire("seal", 1)
        assert load_key_ring(key_file).seal_key_id == 1
        rotation.switch({"seal": 2})
        assert load_key_ring(key_file).seal_key_id == 2
        assert listed(rotation)[1:] == [("seal", 1, "old", 2), ("seal", 2, "current", 0)]
        with pytest.raises(KeyInUse, match="renew"):
            rotation.retire("seal", 1)
        with pytest.raises(KeyRingError, match="no seal key 9"):
            rotation.retire("seal", 9)
        assert list(rotation.renewal().run()) == [1]
        rotation.retire("seal", 1)
        assert listed(rotation)[1:] == [("seal", 1, "retired", 0), ("seal", 2, "current", 2)]
        # An old copy of the file does not make it a new one, and its id is not given again.
        copy = replace(keys, seal_keys=keys.seal_keys + rotation.keys.seal_keys)
        assert check_keys(connection, copy).with_floor == rotation.keys
        assert rotation.add(["seal"]) == {"seal": 3}
        # A new key that was never used may go, and a retirement that was cut short is finished.
        rotation.retire("seal", 3)
        rotation.retire("seal", 3)
    with pytest.raises(KeyMismatch, match="lacks seal key 2"):
        check_keys(connection, keys)


def test_every_sealed_column_is_renewed(connection: Connection) -> None:
    """Whoever adds a column of sealed or tagged values has to let Renewal know."""
    rows = connection.execute(
        b"SELECT table_name || '.' || column_name AS name FROM information_schema.columns"
        b" WHERE table_schema = 'agi_router'"
        b" AND (data_type = 'bytea' OR column_name LIKE '%%tag' OR column_name LIKE '%%tags')"
    ).fetchall()
    columns = {"callee", "callee_tags", "caller", "caller_tag"}
    assert {row["name"] for row in rows} == {
        "key.fingerprint",
        "binding.order_tag",
        "binding.pair_tag",
        "route.last_callee",
        "route.last_tag",
        # Rotation.renew_secrets.
        "group_member.sealed",
        "group_member.tag",
        "api_key.sealed",
        "webhook.secret",
        "webhook.old_secret",
        "tenant_check.secret",
        "tenant_check.old_secret",
        "feed_pull.sealed",
        "feed_body.sealed",
        "recording.sealed_key",
        "lock.sealed",
        "lock_mark.sealed",
        "lock_mark.other_sealed",
        "blocklist.sealed",
        "blocklist.other_sealed",
        "person_mark.sealed",
        "person_mark.tag",
        "person_mark.digest",
        # Digests, which are under no key or are forgotten in a day.
        "api_key.digest",
        "answer.name",
        "answer.payload",
        "nonce.digest",
        # Of whom a binding waits for; those of a key that is gone are released by hand.
        "binding_hold.tag",
        # What was signed: counts and digests of files.
        "export_day.manifest",
        "recording.sha256",
        # What its address has said.
        "feed_pull.etag",
        # Of a file of a feed.
        "feed_run.digest",
        # Stays as it is until its text ends; it is counted, so that no key is retired before.
        "message_out.body",
        "message_out.callee",
        "message_out.caller_tag",
        "message_out.stranger_tag",
        # Of evidence that the tenant keeps.
        "consent.evidence",
        # So does this, until they are all there.
        "message_part.sealed",
        # Digests.
        "appeal_evidence.digest",
        "message_part.same",
        "message_part.content",
        "message_seen.same",
        # Of ten minutes.
        "message_seen.asked",
        "message_seen.receiver_tag",
        "audit_chain.digest",
        "audit_head.digest",
        "audit_head.signature",
        "deletion.digest",
        # By the key of then: no row of the audit changes, and a person is looked for by all keys.
        "audit.tag",
    } | {f"{table}.{column}" for table in ("route", "past_route") for column in columns}


async def test_seals_are_counted(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """Whoever seals: a bind, an import, a change of a group, a call, a renewal; by each key."""
    counts = []

    def counted() -> int:
        counts.append(count_sealed(connection))
        return counts[-1] - (counts[-2] if len(counts) > 1 else 0)

    bind(store)
    assert counted() == 2
    group = store.bind(Gxb(members=(C, D), b=E), Terms(expires_at=store.now() + HOUR), x=X)
    assert counted() == 4
    store.add_members(group.id, [F])
    store.set_default(group.id, F)
    assert counted() == 2 + 1
    # Before the import, which draws its numbers from all that are free.
    make(store, Ax(a=A), BLOCK.number(2))
    make(store, Axyb(a=A, b=B, y_ttl=Y_TTL), BLOCK.number(3))
    counted()
    rows = "".join(f"axb,A-{i},{A.digits},{B.digits}\n" for i in range(100))
    assert Importing(dsn, keys)(f"mode,order,a,b\n{rows}").bound == 100
    assert counted() == 200
    async with AdmissionStore(dsn, keys, connections=1, open_modes=True) as admissions:
        await admit_as_router(admissions, a_call(D, BLOCK.number(2)), new_call_id())
        assert counted() == 1
        await admit_as_router(admissions, a_call(A, BLOCK.number(3)), new_call_id())
        assert counted() == 3
        # A call that needs none pays for none.
        await admit_as_router(admissions, a_call(C), new_call_id())
        assert counted() == 0
    values = len(sealed(connection))
    rotate(dsn, key_file, ["seal"])
    assert count_sealed(connection) == values
    with rotating(dsn, key_file) as rotation:
        assert [row["sealed"] for row in rotation.listed()] == [None, counts[-1], values]


@on_one_server
def test_a_key_that_has_sealed_enough(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, command: Command
) -> None:
    """It is told of in time; then nothing is sealed, calls are routed, and another key helps."""
    made = bind(store)
    connection.execute("SELECT setval('agi_router.seals', %s)", (SEALS_WARNED,))
    doctor = command("doctor").stdout
    assert "warn  key         seal key 1 has sealed 2,147,483,648 of the 4,294,967,296" in doctor
    bind(store, C, D)
    connection.execute("SELECT setval('agi_router.seals', %s)", (SEALS_ALLOWED,))
    assert "fail  key         seal key 1 has sealed" in command("doctor").stdout
    with pytest.raises(KeyUsedUp, match="key rotate --seal"):
        bind(store, E, F)
    with pytest.raises(KeyUsedUp):
        Importing(dsn, store.keys)(f"mode,order,a,b\naxb,A-1,{E.digits},{F.digits}\n")
    assert outcomes(store, [X])[A.digits, X.digits].binding == str(made.id)
    fresh = opened(connection, rotate(dsn, key_file, ["seal"]))
    assert bind(fresh, E, F)
    assert "ok    key" in command("doctor").stdout


@on_one_server
def test_a_switch_that_got_no_further_than_the_database(
    dsn: str, store: BindingStore, key_file: Path, command: Command
) -> None:
    """The floor is seen to by the next command."""
    bind(store)
    before = command("key", "renew")
    assert (before.returncode, "floor" in key_file.read_text()) == (0, False)
    with rotating(dsn, key_file) as rotation:
        ids = rotation.add(KINDS)
        text = key_file.read_text()
        rotation.switch(ids)
    assert key_file.read_text().endswith("floor tag 2\nfloor seal 2\n")
    key_file.write_text(text)
    assert command("key", "renew").returncode == 0
    assert key_file.read_text().endswith("floor tag 2\nfloor seal 2\n")


def test_ids_are_bounded(dsn: str, connection: Connection, key_file: Path, keys: KeyRing) -> None:
    """After the last id there is none, and nothing has happened."""
    connection.execute(
        "INSERT INTO agi_router.key (kind, id, fingerprint, state)"
        " VALUES ('seal', 255, '12345678', 'retired')"
    )
    with rotating(dsn, key_file) as rotation, pytest.raises(KeyRingError, match="all 255 ids"):
        rotation.add(KINDS)
    assert load_key_ring(key_file) == keys


def test_one_at_a_time(dsn: str, key_file: Path, keys: KeyRing) -> None:
    """While somebody changes the keys, nobody else does."""
    assert keys
    with rotating(dsn, key_file):
        second = rotating(dsn, key_file)
        with pytest.raises(KeyInUse, match="by another command"):
            second.__enter__()
    with rotating(dsn, key_file):
        pass


@pytest.mark.parametrize("newcomer", [(A, C), (C, A), (A, B), (B, A)], ids=str)
def test_bound_under_an_old_key(
    newcomer: tuple[PhoneNumber, PhoneNumber], dsn: str, store: BindingStore, key_file: Path
) -> None:
    """A party who is on a number by its old tag cannot be bound there by its new one."""
    made = bind(store)
    with rotating(dsn, key_file) as rotation, connect(dsn) as own:
        rotation.switch(rotation.add(KINDS))
        fresh = opened(own, rotation.keys)
        with pytest.raises(BindingConflict, match=f"is on {X} already, by binding {made.id}"):
            bind(fresh, *newcomer)
        with pytest.raises(BindingConflict):
            fresh.bind(
                Gxb(members=(newcomer[0], D), b=newcomer[1]),
                Terms(expires_at=fresh.now() + HOUR),
                x=X,
            )
        # A number is chosen where nobody is by any tag.
        chosen = bind(fresh, *newcomer, x=None)
        assert {party.dials for party in chosen.parties} != {X}


def test_member_bound_under_an_old_key(dsn: str, store: BindingStore, key_file: Path) -> None:
    """Nor be let into a group; and who changes a group brings it under the new keys."""
    bind(store)
    group = store.bind(Gxb(members=(C, D), b=E), Terms(expires_at=store.now() + HOUR), x=X)
    with rotating(dsn, key_file) as rotation, connect(dsn) as own:
        rotation.switch(rotation.add(KINDS))
        fresh = opened(own, rotation.keys)
        with pytest.raises(BindingConflict, match=f"is on {X} already"):
            fresh.add_members(group.id, [A])
        changed = fresh.add_members(group.id, [F])
        assert {p.number for p in changed.parties if p.side is Side.A} == {C, D, F}
        rows = own.execute(
            "SELECT callee FROM agi_router.route WHERE binding_id = %s AND callee IS NOT NULL",
            (group.id.id,),
        ).fetchall()
        assert {row["callee"][:3] for row in rows} == {rotation.keys.header}
        fresh.set_default(group.id, C)
        assert fresh.remove_member(group.id, C).called_back == ()


@pytest.mark.parametrize("end", ["unbound", "expired"])
def test_old_bindings_make_room(
    end: str, dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """What is over is in nobody's way, under whatever key; it is found as it was."""
    made = bind(store)
    if end == "unbound":
        store.unbind(made.id)
    else:
        expire(connection, made.id)
    with rotating(dsn, key_file) as rotation, connect(dsn) as own:
        rotation.switch(rotation.add(KINDS))
        fresh = opened(own, rotation.keys)
        again = bind(fresh, A, C)
        assert outcomes(fresh, [X])[A.digits, X.digits].binding == str(again.id)
        assert fresh.find(made.id).state == end
        assert sum(rotation.renewal().run()) == 1
        assert outcomes(fresh, [X])[A.digits, X.digits].binding == str(again.id)
        assert fresh.find(made.id).parties == made.parties
        with pytest.raises(BindingConflict):
            bind(fresh, A, D)


def test_place_that_was_taken(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """A row of a binding that is over leaves its place to a newer one, and keeps its own story."""
    over = bind(store)
    store.unbind(over.id)
    with rotating(dsn, key_file) as rotation:
        rotation.switch(rotation.add(KINDS))
        # As could be done before all keys were looked under.
        alive = bind(opened(connection, rotation.keys.without("tag", 1)), A, D)
        renewal = rotation.renewal()
        assert sum(renewal.run()) == 1
        assert renewal.left == []
        fresh = opened(connection, rotation.keys)
    assert one(connection, "SELECT binding_id FROM agi_router.past_route") == over.id.id
    assert fresh.find(over.id).parties == over.parties
    assert outcomes(fresh, [X])[A.digits, X.digits].binding == str(alive.id)


def test_what_cannot_be_renewed_stays(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """A damaged value, a party twice on a number: named, left alone, and the rest is done."""
    damaged, twice = bind(store), bind(store, C, D)
    bind(store, E, F)
    connection.execute(
        "UPDATE agi_router.route SET callee = set_bit(callee, 200, 1 - get_bit(callee, 200))"
        " WHERE binding_id = %s AND side = 'a'",
        (damaged.id.id,),
    )
    with rotating(dsn, key_file) as rotation:
        rotation.switch(rotation.add(KINDS))
        # As could be done before all keys were looked under.
        bind(opened(connection, rotation.keys.without("tag", 1)), C, B)
        renewal = rotation.renewal()
        assert sum(renewal.run()) == 3
        assert [name for name, _ in renewal.left] == [damaged.id, twice.id]
        assert "does not open" in renewal.left[0][1]
        assert "another live binding" in renewal.left[1][1]
        assert renewal.outstanding() == 2
        for kind in KINDS:
            with pytest.raises(KeyInUse, match=r"4 sealed value\(s\)"):
                rotation.retire(kind, 1)
        fresh = opened(connection, rotation.keys)
        for caller, callee in ((D, C), (F, E), (C, B)):
            looked = look_up(fresh, a_call(caller), at=None)
            assert looked.facts.hit is not None
            assert looked.facts.hit.callees == (callee,)
        fresh.unbind(twice.id)
        assert sum(rotation.renewal().run()) == 2
        assert rotation.renewal().outstanding() == 1


def test_swept_away_meanwhile(store: BindingStore, keys: KeyRing) -> None:
    """A binding that is gone since it was listed holds nothing up."""
    made = bind(store)
    gone = replace(made.id, id=made.id.id + 1)
    fresh = keys.with_new("tag", 2).using(tag=2, seal=1)
    renewal = Renewal(store._queries, fresh)
    with store._queries.transaction():
        renewal.renew([made.id, gone])
    assert (renewal.left, renewal.outstanding()) == ([], 0)


def test_other_side_is_gone(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """Without B's row nobody knows who calls: the row stays under its key, and is told."""
    made = bind(store)
    connection.execute(b"DELETE FROM agi_router.route WHERE side = 'b'")
    with rotating(dsn, key_file) as rotation:
        rotation.switch(rotation.add(["tag"]))
        renewal = rotation.renewal()
        assert sum(renewal.run()) == 1
        [(name, why)] = renewal.left
    assert (name, "the other side's row is gone" in why) == (made.id, True)


def test_damaged_group_is_not_changed(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """A change that cannot bring all rows under one key is not made."""
    group = store.bind(
        Gxb(members=(A, C, D), b=B, default=A), Terms(expires_at=store.now() + HOUR), x=X
    )
    store.remove_member(group.id, D)
    connection.execute(
        b"UPDATE agi_router.past_route SET callee = set_bit(callee, 200, 1 - get_bit(callee, 200))"
    )
    with rotating(dsn, key_file) as rotation, connect(dsn) as own:
        rotation.switch(rotation.add(KINDS))
        before = sealed(connection)
        with pytest.raises(StoreError, match="cannot be brought under the current keys"):
            opened(own, rotation.keys).set_default(group.id, C)
        assert sealed(connection) == before


def test_writer_of_before(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """Who read the keys before the switch writes under the new ones, or not at all."""
    group = store.bind(Gxb(members=(C, D), b=E), Terms(expires_at=store.now() + HOUR), x=X)
    with rotating(dsn, key_file) as rotation:
        ids = rotation.add(KINDS)
        with connect(dsn) as own:
            late = opened(own, check_keys(own, load_key_ring(key_file)))
            assert bind(late, x=BLOCK.number(2))
            rotation.switch(ids)
            assert late.add_members(group.id, [F])
            made = bind(late, x=BLOCK.number(3))
            with pytest.raises(BindingConflict):
                bind(late, A, F, x=BLOCK.number(2))
        rows = connection.execute(
            "SELECT callee FROM agi_router.route WHERE binding_id = %s", (made.id.id,)
        ).fetchall()
        assert {row["callee"][:3] for row in rows} == {rotation.keys.header}
        # One whose file was never brought up to date cannot write at all.
        with pytest.raises(KeyMismatch):
            bind(opened(connection, keys), x=BLOCK.number(4))


@on_one_server
@pytest.mark.parametrize(
    "work",
    [
        lambda late, _: bind(late, C, D, x=BLOCK.number(2)),
        lambda late, _: bind(late, C, D, x=None),
        lambda late, made: late.change(made.id, max_duration=HOUR),
    ],
    ids=["bind on a number", "bind", "change"],
)
def test_writer_of_before_in_a_transaction(
    work: Callable[[BindingStore, Binding], Binding],
    dsn: str,
    store: BindingStore,
    key_file: Path,
) -> None:
    """A command, or a bind whose answer is kept, goes on with the new keys in its transaction."""
    made = bind(store)
    with rotating(dsn, key_file) as rotation, connect(dsn) as own:
        ids = rotation.add(KINDS)
        late = opened(own, check_keys(own, load_key_ring(key_file)))
        rotation.switch(ids)
        with Queries(own).transaction():
            done = work(late, made)
        assert late.keys.tag_key_id == ids["tag"]
        assert opened(own, rotation.keys).find(done.id) == done


def test_parties_are_bound_once_while_keys_are_switched(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """Many bind the same pair on one number at once, some with the keys of before: one does."""
    assert store
    barrier = Barrier(7)

    def work(ring: KeyRing, x: XNumber) -> bool:
        with connect(dsn) as own:
            late = opened(own, ring)
            barrier.wait()
            try:
                bind(late, x=x)
            except BindingConflict:
                return False
            return True

    with rotating(dsn, key_file) as rotation, ThreadPoolExecutor(7) as pool:
        for serial in range(20, 44):
            ids = rotation.add(KINDS)
            ring, x = rotation.keys, BLOCK.number(serial)
            works = [pool.submit(work, ring, x) for _ in range(6)]
            barrier.wait()
            rotation.switch(ids)
            assert sum(each.result() for each in works) == 1
            tags = {tag for caller in (A, B) for tag in rotation.keys.tags(caller)}
            assert (
                one(
                    connection,
                    "SELECT count(*) FROM agi_router.route"
                    " WHERE x_number = %s AND caller_tag = ANY (%s)",
                    x.value,
                    list(tags),
                )
                == 2
            )
    assert keys


@pytest.mark.parametrize("then", ["found", "renewed"])
def test_rests_under_an_old_key(then: str, dsn: str, store: BindingStore, key_file: Path) -> None:
    """A party is kept off a number where it was by its old tag, unless all of them were there."""
    number_rests, party_rests = (
        Quarantine(number=n, party=p) for n, p in ((HOUR, 0 * HOUR), (0 * HOUR, HOUR))
    )
    store.unbind(bind(store).id)
    with rotating(dsn, key_file) as rotation, connect(dsn) as own:
        rotation.switch(rotation.add(KINDS))
        if then == "renewed":
            assert sum(rotation.renewal().run()) == 1
        resting = opened(own, rotation.keys, party_rests)
        with pytest.raises(NumberResting, match="was on 700123456780001 by another binding"):
            bind(resting, A, C)
        with pytest.raises(NumberResting, match="rests until"):
            bind(opened(own, rotation.keys, number_rests), C, D)
        group = resting.bind(Gxb(members=(C,), b=D), Terms(expires_at=store.now() + HOUR), x=X)
        with pytest.raises(NumberResting):
            resting.add_members(group.id, [A])
        resting.unbind(group.id)
        assert bind(resting, A, B)
        with pytest.raises(BindingConflict):
            bind(resting, A, B)


@pytest.mark.parametrize("then", ["found", "renewed"])
@pytest.mark.parametrize("sides", ["the same", "swapped"])
def test_the_same_number_again(
    sides: str,
    then: str,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    key_file: Path,
) -> None:
    """Who asked to be remembered is, under whatever key; each side dials what it dialled."""
    terms, again = Terms(expires_at=store.now() + HOUR), NumberPolicy(same_x=Affinity.PREFER)
    made = store.bind(Axyb(a=A, b=B), terms, choice=again)
    store.unbind(made.id)
    with rotating(dsn, key_file) as rotation:
        rotation.switch(rotation.add(KINDS))
        if then == "renewed":
            assert sum(rotation.renewal().run()) == 1
            rotation.retire("tag", 1)
        parties = Axyb(a=B, b=A) if sides == "swapped" else Axyb(a=A, b=B)
        other = opened(connection, rotation.keys).bind(parties, terms, choice=again)
    assert {(p.number, p.dials) for p in other.parties} == {
        (p.number, p.dials) for p in made.parties
    }


def test_a_group_that_has_changed(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """Its order is recognised while the members of then are known, and not tagged wrongly else."""
    order = Terms(expires_at=store.now() + HOUR, order_id="A-1")
    smaller = store.bind(Gxb(members=(A, C), b=B), order, x=X)
    larger = store.bind(Gxb(members=(A, C), b=B), order, x=BLOCK.number(2))
    store.remove_member(smaller.id, C)
    store.add_members(larger.id, [D])

    def tags() -> list[int]:
        rows = connection.execute(
            "SELECT order_tag FROM agi_router.binding ORDER BY id"
        ).fetchall()
        return [row["order_tag"] for row in rows]

    before = tags()
    ring = rotate(dsn, key_file)
    now = tags()
    assert before[0] == before[1] == now[1]
    expected = ring.order_tags("default", "A-1", "gxb", numbers=[A, C, B])
    assert (now[0], before[0]) == (expected[0], expected[1])


def test_extension_under_an_old_key(
    dsn: str, store: BindingStore, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that somebody has by its old tag is not given to another."""
    make(store, Axe(a=A, extension="0001"))
    with rotating(dsn, key_file) as rotation, connect(dsn) as own:
        rotation.switch(rotation.add(KINDS))
        fresh = opened(own, rotation.keys)
        with pytest.raises(BindingConflict, match=f"extension 0001 is on {X} already"):
            make(fresh, Axe(a=C, extension="0001"))
        monkeypatch.setattr("agi_router.bindings.choose.random.SystemRandom", Drawing)
        chosen = make(fresh, Axe(a=C))
        assert outcome(
            fresh, Call(caller=F, x_number=X, typed=DialledExtension(extension="0002"))
        ).binding == str(chosen.id)


class Drawing(random.SystemRandom):
    """Draws 1 and 2 first, always."""

    def sample(self, population: Sequence[Any], k: int, **_: Any) -> list[Any]:
        """Draw."""
        return list(population[1 : k + 1])


async def test_a_stranger_is_remembered_with_keys_of_before(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """A router that has not seen the switch writes under the new keys, and goes on with them."""
    make(store, Ax(a=A))
    with rotating(dsn, key_file) as rotation:
        ids = rotation.add(KINDS)
        before = load_key_ring(key_file)
        assert (before.tag_key_id, before.seal_key_id) == (1, 1)
        async with AdmissionStore(dsn, before, connections=1, open_modes=True) as admissions:
            rotation.switch(ids)
            _, decision = await admit_as_router(admissions, a_call(D), new_call_id())
            assert isinstance(decision, Route)
            value = bytes(
                one(
                    connection,
                    "SELECT last_callee FROM agi_router.route WHERE last_callee IS NOT NULL",
                )
            )
            assert value[:3] == rotation.keys.header
            assert (await admissions.admit(a_call(A), new_call_id(), timeout=TIMEOUT)).admitted
            for _ in rotation.renewal().run():
                pass
            for kind in KINDS:
                rotation.retire(kind, 1)
            # The ring in its hands still opens and finds all.
            _, decision = await admit_as_router(admissions, a_call(A), new_call_id())
            assert isinstance(decision, Route)
            assert decision.callees == (D,)


async def test_a_number_is_made_with_keys_of_before(
    dsn: str,
    connection: Connection,
    store: BindingStore,
    key_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the new keys, and never where B is already by an old tag."""
    make(store, Axyb(a=A, b=B, y_ttl=Y_TTL), BLOCK.number(9))
    for serial in range(1, 8):
        made = bind(store, C, B, x=BLOCK.number(serial))
        if serial > 4:
            store.unbind(made.id)
    monkeypatch.setattr("agi_router.calls.store._CANDIDATES", 8)
    monkeypatch.setattr("agi_router.calls.store.random.SystemRandom", Drawing)
    quarantine = Quarantine(number=0 * HOUR, party=HOUR)
    with rotating(dsn, key_file) as rotation:
        ids = rotation.add(KINDS)
        before = load_key_ring(key_file)
        async with AdmissionStore(dsn, before, connections=1, quarantine=quarantine) as admissions:
            rotation.switch(ids)
            call = a_call(A, BLOCK.number(9))
            _, decision = await admit_as_router(admissions, call, new_call_id())
        assert isinstance(decision, Route)
        assert decision.shown == BLOCK.number(8)
        value = one(
            connection,
            "SELECT callee FROM agi_router.route WHERE x_number = %s",
            decision.shown.value,
        )
        assert bytes(value)[:3] == rotation.keys.header
        # What is over makes room for a Y under whatever key.
        connection.execute(
            "UPDATE agi_router.binding SET expires_at = now() WHERE parent_id IS NOT NULL"
        )
        connection.execute(
            "UPDATE agi_router.route SET ends_at = now() - interval '1 day' WHERE x_number = %s",
            (BLOCK.number(5).value,),
        )
        async with AdmissionStore(dsn, before, connections=1, quarantine=quarantine) as admissions:
            _, decision = await admit_as_router(admissions, call, new_call_id())
        assert isinstance(decision, Route)
        assert decision.shown == BLOCK.number(5)
        # Not the one whose Y was made: its rows are under the new keys by then.
        assert sum(rotation.renewal().run()) == 7
        rotation.retire("tag", 1)
        alone = opened(connection, rotation.keys)
        assert outcome(alone, a_call(B, BLOCK.number(5))).callees == (A,)


def test_import_while_keys_are_rotated(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """Orders and parties are found under every key; what is over makes room, or rests."""
    alive, over = bind(store, order_id="A-1"), bind(store, C, D)
    store.unbind(over.id)
    a, b, c, d, e = (each.digits for each in (A, B, C, D, E))
    order = f"mode,order,a,b\naxb,A-1,{a},{b}\n"
    late = f"mode,order,a,b,x\naxb,A-2,{c},{e},{X}\n"
    with rotating(dsn, key_file) as rotation:
        rotation.switch(rotation.add(KINDS))
        importing = Importing(dsn, rotation.keys)
        assert importing(order).there == 1
        assert importing(f"mode,order,a,b,x\naxb,A-3,{a},{e},{X}\n").rejected == 1
        assert importing.faults == [(2, f"x: {A} is on {X} already, by binding {alive.id}")]
        resting = Importing(dsn, rotation.keys, quarantine=Quarantine(number=0 * HOUR, party=HOUR))
        assert resting(late).rejected == 1
        assert "was on 700123456780001 by another binding" in resting.faults[0][1]
        assert (importing(late, dry_run=True).bound, importing(late).bound) == (1, 1)
        assert outcomes(opened(connection, rotation.keys), [X])[c, X.digits].callees == (E,)
        assert sum(rotation.renewal().run()) == 2
        rotation.retire("tag", 1)
        importing = Importing(dsn, rotation.keys)
        assert (importing(order).there, importing(late).there) == (1, 1)
        assert d


def test_import_with_keys_of_before(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path
) -> None:
    """It ends, and nothing is bound; read again with those of now, it goes on."""
    assert store
    text = f"mode,order,a,b\naxb,A-1,{A.digits},{B.digits}\n"
    with rotating(dsn, key_file) as rotation:
        ids = rotation.add(KINDS)
        before = check_keys(connection, load_key_ring(key_file))
        rotation.switch(ids)
        for options in ({}, {"keep_going": True}):
            with pytest.raises(KeysOutdated, match="import the file again"):
                Importing(dsn, before)(text, **options)
        assert sealed(connection) == []
        assert Importing(dsn, rotation.keys)(text).bound == 1


def test_workers_seal_by_the_cipher(
    dsn: str,
    connection: Connection,
    keys: KeyRing,
    store: BindingStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one that is set, as the program itself."""
    assert store
    monkeypatch.setattr(importer, "_CHUNK", 1)
    national = replace(keys, cipher=Cipher.SM4_GCM)
    rows = "".join(f"axb,A-{i},{A.digits},{B.digits}\n" for i in range(4))
    assert Importing(dsn, national, processes=2)(f"mode,order,a,b\n{rows}").bound == 4
    assert {value[0] for value in sealed(connection)} == {5}


def test_an_import_is_waited_for(
    dsn: str, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """By whoever rotates keys; others bind meanwhile."""
    with (
        rotating(dsn, key_file) as rotation,
        connect(dsn) as importing,
        ThreadPoolExecutor(1) as pool,
    ):
        ids = rotation.add(KINDS)
        with importing.transaction():
            importing.execute(query("lock_imports"))
            importing.execute(query("assert_current_keys"), key_ids(keys))
            switch = pool.submit(rotation.switch, ids)
            until(
                lambda: one(
                    importing,
                    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted",
                )
            )
            bind(store)
            assert not switch.done()
        switch.result()
        assert rotation.keys.seal_key_id == 2


class Callers:
    """A and B, who call each other on some numbers all the time."""

    def __init__(self, admissions: AdmissionStore, numbers: Sequence[XNumber]) -> None:
        self._admissions = admissions
        self._ways = [(x, *pair) for x in numbers for pair in ((A, B), (B, A))]
        self.placed = 0

    async def call(self, stop: asyncio.Event) -> None:
        """Call until told to stop; every call rings the other one."""
        while not stop.is_set():
            for x, caller, callee in self._ways:
                # The route may get its new tag between two looks: then the router asks again.
                answer, _ = await admit_as_router(
                    self._admissions, a_call(caller, x), new_call_id(), timeout=TIMEOUT
                )
                assert answer.admitted
                assert answer.facts.hit is not None
                assert answer.facts.hit.callees == (callee,)
                self.placed += 1


async def follow(
    file: Path, admissions: AdmissionStore, keys: KeyRing, stop: asyncio.Event
) -> None:
    """Use the keys in the file, as late as the daemon does."""
    known = keys.digest
    while not stop.is_set():
        ring = load_key_ring(file)
        if ring.digest != known:
            known = ring.digest
            await admissions.use(ring)
        await asyncio.sleep(0.4)


def turn(dsn: str, file: Path, bindings: int) -> KeyRing:
    """Rotate and retire, as the commands do."""
    with rotating(dsn, file) as rotation:
        ids = rotation.add(KINDS)
        until(lambda: rotation.unaware() == [])
        rotation.switch(ids)
        renewal = rotation.renewal()
        assert (sum(renewal.run()), renewal.left) == (bindings, [])
        for kind in KINDS:
            rotation.retire(kind, ids[kind] - 1)
        return rotation.keys


async def test_calls_go_on(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, keys: KeyRing
) -> None:
    """While keys are rotated again and again, no call of a party is refused."""
    numbers = [BLOCK.number(serial) for serial in range(60)]
    for x in numbers:
        bind(store, x=x)
    stop = asyncio.Event()
    async with AdmissionStore(dsn, keys, connections=4) as admissions:
        parties = Callers(admissions, numbers)
        tasks = [asyncio.ensure_future(parties.call(stop)) for _ in range(3)]
        tasks.append(asyncio.ensure_future(follow(key_file, admissions, keys, stop)))
        for serial in range(2, 6):
            before = parties.placed
            ring = await asyncio.to_thread(turn, dsn, key_file, len(numbers))
            assert (ring.tag_key_id, ring.seal_key_id) == (serial, serial)
            assert parties.placed > before
        stop.set()
        await asyncio.gather(*tasks)
    assert {value[:3] for value in sealed(connection)} == {ring.header}


async def test_routers_that_do_not_know_the_keys(dsn: str, key_file: Path, keys: KeyRing) -> None:
    """Each connection says which keys it reads with, also one that is made anew."""
    async with AdmissionStore(dsn, keys, connections=3) as admissions:
        with rotating(dsn, key_file) as rotation:
            await until_async(lambda: admissions.pool.connected == 3)
            assert rotation.unaware() == []
            rotation.add(["tag"])
            assert len(rotation.unaware()) == 3
            await admissions.use(rotation.keys)
            assert rotation.unaware() == []
            with psycopg.connect(dsn, application_name="agi_router serve"):
                # A release that does not say which keys it has.
                assert len(rotation.unaware()) == 1


def let(file: Path, mode: int) -> None:
    """Change who may read a file, so that it is looked at again."""
    file.chmod(mode)
    os.utime(file)


async def test_router_reads_the_file_again(
    dsn: str,
    key_file: Path,
    keys: KeyRing,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whenever it has changed; while it is not in order the keys of before are used."""
    caplog.set_level("INFO")
    settings = Settings.from_env({"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(key_file)})

    def logged(event: str) -> int:
        return sum(record.msg == event for record in caplog.records)

    async with AdmissionStore(dsn, keys, connections=2) as admissions:
        follower = KeyFollower(settings, admissions.use, keys)
        job = Job(name="keys", work=follower.look, every=0.01, limit=10, retry=0.01)
        following = asyncio.ensure_future(Jobs().run(job))
        with rotating(dsn, key_file) as rotation:
            ids = rotation.add(KINDS)
            await until_async(lambda: logged("keys.changed") == 1)
            # A connection that was being made meanwhile takes its new name a moment later.
            await until_async(lambda: rotation.unaware() == [])
            let(key_file, 0o644)
            await until_async(lambda: logged("job.failed") == 1)
            await asyncio.sleep(0.1)
            assert logged("job.failed") == 1
            assert admissions._keys == rotation.keys
            let(key_file, 0o600)
            rotation.switch(ids)
            await until_async(lambda: logged("keys.changed") == 2)
            assert admissions._keys == rotation.keys
            assert admissions._keys.seal_key_id == 2
        assert not following.done()
        following.cancel()


def environment(dsn: str, key_file: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(key_file),
        **more,
    }


@pytest.fixture
def command(dsn: str, key_file: Path) -> Command:
    """The command line."""

    def run(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments],
            env=environment(dsn, key_file, **more),
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@on_one_server
def test_killed_in_the_middle(
    server: Server,
    dsn: str,
    connection: Connection,
    store: BindingStore,
    key_file: Path,
    command: Command,
) -> None:
    """Killed again and again while it renews, it goes on where it was; nobody is lost."""
    numbers = [BLOCK.number(serial) for serial in range(300)]
    for x in numbers:
        bind(store, x=x)
    with rotating(dsn, key_file) as rotation:
        rotation.switch(rotation.add(KINDS))
        ring = rotation.keys
    fresh = opened(connection, ring)
    renewal = Renewal(fresh._queries, ring)
    left = [renewal.outstanding()]
    assert left == [300]
    for held in (225, 150, 75):
        with server.connect(dsn) as holder:
            # However late the kill comes: what somebody holds is not renewed before it.
            holder.execute("BEGIN")
            holder.execute(
                "SELECT FROM agi_router.binding ORDER BY id DESC LIMIT %s FOR NO KEY UPDATE",
                (held,),
            )
            killed = subprocess.Popen(
                [PROGRAM, "key", "renew"],
                env=environment(dsn, key_file),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            until(lambda: renewal.outstanding() < left[-1])
            killed.send_signal(signal.SIGKILL)
            assert killed.wait() == -signal.SIGKILL
        # What the server has of it ends a moment later.
        until(
            lambda: (
                not one(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
            )
        )
        left.append(renewal.outstanding())
        assert held <= left[-1] < left[-2]
        for x in numbers[::9]:
            looked = look_up(fresh, a_call(A, x), at=None)
            assert looked.facts.hit is not None
            assert looked.facts.hit.callees == (B,)
    done = command("key", "renew")
    assert (done.returncode, renewal.outstanding()) == (0, 0), done.stderr
    assert f"{left[-1]} binding(s) renewed" in done.stdout
    assert command("key", "retire", "tag", "1").returncode == 0
    assert command("key", "retire", "seal", "1").returncode == 0
    with connect(dsn) as own:
        alone = opened(own, check_keys(own, load_key_ring(key_file)))
        assert all(look_up(alone, a_call(B, x), at=None).facts.hit for x in numbers[::9])


@on_one_server
def test_command(
    dsn: str, connection: Connection, store: BindingStore, key_file: Path, command: Command
) -> None:
    """Rotate, list, retire: what is printed, and that it is so."""
    bind(store)
    with psycopg.connect(dsn, application_name="agi_router serve 00000000"):
        late = command("key", "rotate", "--wait", "0.3")
        assert (late.returncode, late.stdout) == (73, "")
        assert "1 connection(s) of routers do not know the new keys" in late.stderr
        assert re.search(r"with: pid \d+ of 'agi_router' from 127\.0\.0\.1\.", late.stderr)
    assert [k for k, _ in load_key_ring(key_file).tag_keys] == [2, 1]
    until(lambda: not one(connection, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))
    done = command("key", "rotate")
    assert (done.returncode, done.stdout) == (0, "1 binding(s) renewed\n"), done.stderr
    assert "written with now: tag key 2, seal key 2" in done.stderr
    rows = command("key", "list").stdout.splitlines()
    assert [row.split()[:3] for row in rows[1:]] == [
        ["tag", "1", "old"],
        ["tag", "2", "current"],
        ["seal", "1", "old"],
        ["seal", "2", "current"],
    ]
    assert [row.split()[-2:] for row in rows[1:]] == [
        *(["-", "0"], ["-", "2"]),
        *(["2", "0"], ["2", "2"]),
    ]
    assert "retired" in command("key", "retire", "tag", "1").stdout
    assert command("key", "retire", "tag", "2").returncode == 73
    assert command("key", "renew", AGI_ROUTER_CIPHER="sm4-gcm").stdout.startswith("1 ")
    assert {value[0] for value in sealed(connection)} == {5}
    text = key_file.read_text()
    given = command("key", "rotate", AGI_ROUTER_KEY=text, AGI_ROUTER_KEY_FILE="")
    assert (given.returncode, "no command can change" in given.stderr) == (78, True)
    assert command("key", "rotate", "--seal").returncode == 0
    assert [k for k, _ in load_key_ring(key_file).tag_keys] == [2]
    connection.execute(
        b"UPDATE agi_router.route SET callee = set_bit(callee, 200, 1 - get_bit(callee, 200))"
    )
    broken = command("key", "rotate")
    assert (broken.returncode, "could not be renewed" in broken.stderr) == (70, True)
    for shown in (done, late, broken):
        assert not any(p.digits in shown.stdout + shown.stderr for p in (A, B))


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_key_file_that_others_may_read(command: Command, key_file: Path, mode: int) -> None:
    """It is refused before anything is done with it."""
    key_file.chmod(mode)
    done = command("key", "rotate")
    assert (done.returncode, "chmod 600" in done.stderr) == (78, True)
