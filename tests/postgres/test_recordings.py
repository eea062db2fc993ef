"""What is on record of recordings, and which calls are to be recorded."""

from __future__ import annotations

import io
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Recording as Wanted
from agi_router.calls.decision import Route, decide
from agi_router.calls.end import End, Outcome, ReleasedBy
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import RecordingNotFound, RecordingsUnusable
from agi_router.events.model import EventType
from agi_router.events.store import EventStore
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.maintenance.rotation import Rotation
from agi_router.recordings.model import Gap, Kept, RecordingState
from agi_router.recordings.places import Places
from agi_router.recordings.reconciliation import Comparison, compare
from agi_router.recordings.store import RecordingLedger, RecordingStore
from agi_router.recordings.vault import Vault
from agi_router.recordings.wav import HEADER
from agi_router.service.keeping import KeepingService
from agi_router.settings import Settings
from harness.cli import run
from harness.database import (
    NEWEST,
    Server,
    a_call,
    admit_as_router,
    an_end,
    bind,
    new_call_id,
    one,
    until,
)
from harness.recordings import DirectoryBucket, seal_recording
from harness.values import X

_TOLD = (EventType.RECORDING_KEPT, EventType.RECORDING_MISSING, EventType.RECORDING_DELETED)
NAME = "abcdefabcdefabcdef"
CIPHER = FileCipher.AES_256_GCM
SOUND = bytes([0x2A]) * 8000
STEPS = (
    *((os, name) for name in ("listdir", "open", "read", "stat", "fsync", "chmod", "mkdir")),
    *((os, name) for name in ("link", "rename", "replace", "unlink")),
    (io, "open"),
    *((Queries, name) for name in ("row", "rows", "execute")),
)


@pytest.fixture
def keys(connection: Connection) -> KeyRing:
    """Keys that the database knows."""
    return check_keys(connection, KeyRing.generate())


@pytest.fixture
def recordings(connection: Connection) -> RecordingStore:
    """The store of recordings."""
    return RecordingStore(Queries(connection))


@pytest.fixture
def ledger(connection: Connection) -> RecordingLedger:
    """Where they are written down."""
    return RecordingLedger(Queries(connection))


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """An empty one."""
    made = Vault(tmp_path / "sealed")
    made.prepare()
    return made


def sealed(vault: Vault, keys: KeyRing, call_id: str, name: str = NAME) -> Kept:
    """A recording that says who it is of."""
    return seal_recording(vault, keys, call_id, name, clear=call_id.encode(), length_ms=2000)


@pytest.mark.parametrize(
    ("tenant", "binding", "recorded"),
    [
        (False, None, False),
        (True, None, True),
        (False, Wanted.ON, True),
        (True, Wanted.OFF, False),
    ],
)
async def test_which_calls(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    *,
    tenant: bool,
    binding: Wanted | None,
    recorded: bool,
) -> None:
    """The binding's word wins over its tenant's, and the call's row says so."""
    store.inventory.tenants.set_record("default", on=tenant)
    bind(store, record=binding)
    call_id = new_call_id()
    _, route = await admit_as_router(admissions, a_call(), call_id)
    assert isinstance(route, Route)
    assert route.record is recorded
    (row,) = connection.execute(b"SELECT record FROM agi_router.call").fetchall()
    assert row["record"] is (recorded or None)
    # What is read again after a lost answer says the same.
    again = await admissions.admit(a_call(), call_id, timeout=10)
    stored = decide(a_call(), again.facts, now=again.now)
    assert isinstance(stored, Route)
    assert stored.record is recorded


async def test_what_is_on_record(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    recordings: RecordingStore,
    ledger: RecordingLedger,
    keys: KeyRing,
    vault: Vault,
) -> None:
    """Once, with whose it is; a tenant sees its own; what was given up may still come."""
    EventStore(Queries(connection), keys).set_types("default", _TOLD)
    bound = bind(store, record=Wanted.ON)
    call_id = new_call_id()
    await admit_as_router(admissions, a_call(), call_id)
    kept = sealed(vault, keys, call_id)
    assert not ledger.is_over(kept.note)
    await admissions.settle([an_end(call_id, Outcome.ANSWERED)])
    assert ledger.mark_lost() == []
    old = "UPDATE agi_router.call SET ended_at = now() - interval '2 hours'"
    connection.execute(old.encode())
    assert ledger.is_over(kept.note)
    assert (ledger.mark_lost(), ledger.mark_lost()) == ([call_id], [])
    lost = recordings.find(call_id)
    assert (lost.state, lost.gap, lost.name) == (RecordingState.MISSING, Gap.LOST, None)
    with pytest.raises(RecordingNotFound, match="missing"):
        recordings.listen(lost, vault, keys)

    assert ledger.keep(kept, keys, vault.name)
    assert not ledger.keep(sealed(vault, keys, call_id, "fedcbafedcba"), keys, vault.name)
    (found,) = recordings.all(binding=bound.id, tenant="default", limit=10)
    assert (found.call_id, found.tenant, found.binding) == (call_id, "default", str(bound.id))
    assert (found.state, found.gap, found.key_id) == (RecordingState.READY, None, 1)
    assert b"".join(recordings.listen(found, vault, keys)) == call_id.encode()
    assert recordings.all(after=found.cursor, limit=10) == []
    ledger.delete(found, early=True)
    told = connection.execute(
        b"SELECT type, binding_id, sequence, data FROM agi_router.event ORDER BY id"
    ).fetchall()
    assert [(each["type"], each["sequence"]) for each in told] == [
        ("recording.missing", 1),
        ("recording.kept", 2),
        ("recording.deleted", 3),
    ]
    assert {(each["binding_id"], each["data"]["call_id"]) for each in told} == {
        (bound.id.id, call_id)
    }
    assert [each["data"]["gap"] for each in told] == ["lost", None, None]
    assert told[1]["data"]["length_ms"] == kept.length_ms
    assert NAME not in str(told)
    store.inventory.tenants.add("others")
    others = RecordingStore(Queries(connection), store.inventory.tenants.scope("others"))
    assert others.all(limit=10) == []
    with pytest.raises(RecordingNotFound):
        others.find(call_id)


async def test_what_went_with_the_machine(
    connection: Connection,
    store: BindingStore,
    admissions: AdmissionStore,
    ledger: RecordingLedger,
) -> None:
    """A talk however short, and a call whose end nobody saw; not one that was never answered."""
    bind(store, record=Wanted.ON)
    short, unseen, busy, gone = (new_call_id() for _ in range(4))
    for each in (short, unseen, busy, gone):
        await admit_as_router(admissions, a_call(), each)
    talked = replace(an_end(short, Outcome.ANSWERED), talk_time=timedelta(seconds=2))
    hung_up = replace(an_end(gone, None), released_by=ReleasedBy.CALLER)
    nobody_saw = End.unseen(unseen, X, now=datetime.now(UTC))
    await admissions.settle([talked, nobody_saw, an_end(busy, Outcome.BUSY), hung_up])
    connection.execute(b"UPDATE agi_router.call SET ended_at = now() - interval '2 hours'")
    assert {*ledger.mark_lost()} == {short, unseen}


def test_keys_are_rotated_without_the_files(
    dsn: str,
    recordings: RecordingStore,
    ledger: RecordingLedger,
    keys: KeyRing,
    vault: Vault,
    tmp_path: Path,
) -> None:
    """The key of a file is sealed anew; the old seal key may go, and the file opens as before."""
    call_id = new_call_id()
    assert ledger.keep(sealed(vault, keys, call_id), keys, vault.name)
    write_key_ring(tmp_path / "key", keys)
    with connect(dsn) as own:
        rotation = Rotation(own, keys, tmp_path / "key")
        rotation.switch(rotation.add(["seal"]))
        assert rotation.uses()["seal", 1] == 1
        assert (rotation.renew_secrets(), rotation.renew_secrets()) == (1, 0)
        rotation.retire("seal", 1)
        found = recordings.find(call_id)
        assert found.key_id == 2
        assert b"".join(recordings.listen(found, vault, rotation.keys)) == call_id.encode()


def test_the_commands(
    dsn: str, ledger: RecordingLedger, keys: KeyRing, vault: Vault, tmp_path: Path
) -> None:
    """They tell what is there; listening needs a case and a reason, and is on record first."""
    write_key_ring(tmp_path / "key", keys)
    env = {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
        "AGI_ROUTER_RECORDINGS_SEALED": str(vault.path),
    }
    call_id = new_call_id()
    ledger.keep(sealed(vault, keys, call_id), keys, vault.name)
    assert call_id in run(["recording", "list"], env).out
    shown = run(["recording", "show", call_id, "--json"], env).json
    assert (shown["state"], shown["length_ms"], shown["cipher"]) == ("ready", 2000, "aes-256-gcm")
    assert "key" not in shown
    words = ["recording", "listen", call_id]
    assert run(words, env).code == 2
    case = ["--case", "P-1", "--reason", "court order"]
    assert run([*words, *case], env).out == call_id
    assert run(["recording", "listen", new_call_id(), *case], env).code == 66
    acts = [row["act"] for row in run(["audit", "list", "--json"], env).json]
    assert acts == ["recording listen"]
    vault.erase(NAME)
    assert run([*words, *case], env).code == 70
    assert run(["recording", "keep", "--once"], env).code == 78


def test_gone_files_are_removed(
    connection: Connection, ledger: RecordingLedger, keys: KeyRing, vault: Vault, tmp_path: Path
) -> None:
    """By whoever keeps the directory that they lie in, and forgotten then."""
    sealed(vault, keys, new_call_id())
    connection.execute(
        b"INSERT INTO agi_router.recording_gone (name, vault) VALUES (%s, %s)", [NAME, vault.name]
    )
    other = Vault(tmp_path / "other")
    other.prepare()
    erased = [ledger.erase_gone(each.name, each.erase) for each in (other, vault, vault)]
    assert erased == [0, 1, 0]
    assert not [each for each in vault.path.rglob("[a-f]*") if each.is_file()]


def test_deletion(
    dsn: str,
    connection: Connection,
    recordings: RecordingStore,
    ledger: RecordingLedger,
    keys: KeyRing,
    vault: Vault,
    tmp_path: Path,
) -> None:
    """The key goes, by hand or with its day, unless a hold keeps it; the file goes after it."""
    write_key_ring(tmp_path / "key", keys)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "key")}
    old, young = new_call_id(datetime.now(UTC) - timedelta(days=300)), new_call_id()
    ledger.keep(sealed(vault, keys, old, "fedcbafedcba"), keys, vault.name)
    ledger.keep(sealed(vault, keys, young), keys, vault.name)
    hold = ["retention", "hold", "add", "--case", "P-1", "--reason", "police", "--x", str(X)]
    held = run([*hold, "--json"], env).json
    words = ["recording", "delete", young, "--case", "P-1", "--reason", "court order"]
    assert run([*words, "--early"], env).code == 73
    assert run(["retention", "run", "--json"], env).json["recording"] == 0
    (row,) = [
        each
        for each in run(["retention", "show", "--json"], env).json
        if each["kind"] == "recording"
    ]
    assert row["oldest"] is not None
    ids = [str(each["id"]) for each in held]
    run(["retention", "hold", "release", *ids, "--note", "closed", "--json"], env)
    assert run(words, env).code == 73
    assert run([*words, "--early", "--json"], env).json["state"] == "deleted"
    assert run([*words, "--early"], env).code == 66
    assert run(["retention", "run", "--json"], env).json["recording"] == 1
    (proof, *_) = run(["retention", "proofs", "--json"], env).json
    assert (proof["kind"], proof["rows"]) == ("recording", 1)
    assert [each.call_id for each in recordings.all(limit=9)] == [young]
    assert ledger.erase_gone(vault.name, vault.erase) == 2
    assert not [each for each in vault.path.rglob("[a-f]*") if each.is_file()]
    found = connection.execute(b"SELECT sealed_key FROM agi_router.recording").fetchall()
    assert [each["sealed_key"] for each in found] == [None]


def _refused(put: Callable[[str, BinaryIO], None], name: str, file: BinaryIO) -> None:
    """As a bucket does it that refuses one file."""
    if name == NAME:
        raise RecordingsUnusable("refused")
    put(name, file)


def test_what_is_brought_and_compared(
    ledger: RecordingLedger,
    recordings: RecordingStore,
    keys: KeyRing,
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is on record with a key, and no other; what one of the two lacks is told."""
    bucket = DirectoryBucket(tmp_path / "bucket")
    places = Places(vault, bucket)
    call_id, unknown, gone = new_call_id(), "d" * 18, "e" * 18
    ledger.keep(sealed(vault, keys, call_id), keys, vault.name)
    ledger.keep(sealed(vault, keys, new_call_id(), gone), keys, vault.name)
    sealed(vault, keys, new_call_id(), unknown)
    ledger.delete(recordings.find_named(gone), early=True)
    late = "f" * 18
    ledger.keep(sealed(vault, keys, new_call_id(), late), keys, vault.name)
    # What cannot be brought keeps no other from being brought.
    with monkeypatch.context() as patched:
        real = bucket.put
        patched.setattr(bucket, "put", lambda name, file: _refused(real, name, file))
        with pytest.raises(RecordingsUnusable, match="refused"):
            places.bring(ledger)
    assert (vault.names(), bucket.vault.names()) == ([NAME, unknown], [late])
    assert places.bring(ledger) == 1
    assert (vault.names(), bucket.vault.names()) == ([unknown], [NAME, late])
    found = recordings.find(call_id)
    assert b"".join(recordings.listen(found, places, keys)) == call_id.encode()
    places.tidy(ledger)
    assert vault.names() == [unknown]

    assert compare(bucket, ledger) == Comparison(files=2)
    with vault.open(unknown) as file:
        bucket.put(unknown, file)
    assert compare(bucket, ledger).strange == []
    os.utime(bucket.vault.path / unknown[:2] / unknown, (1, 1))
    assert compare(bucket, ledger) == Comparison(files=3, strange=[unknown])
    bucket.erase(NAME)
    assert compare(bucket, ledger).missing == [NAME]
    ledger.delete(found, early=True)
    places.tidy(ledger)
    assert compare(bucket, ledger).missing == []


@pytest.mark.parametrize("when", ["while it is moved", "after a kill"])
def test_a_key_that_goes_while_its_file_is_brought(
    when: str,
    ledger: RecordingLedger,
    recordings: RecordingStore,
    keys: KeyRing,
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On record it is in the bucket by then; the file goes from the directory, too."""
    places = Places(vault, DirectoryBucket(tmp_path / "bucket"))
    assert places.bucket is not None
    ledger.keep(sealed(vault, keys, new_call_id()), keys, vault.name)
    move = ledger.move

    def destroyed(name: str, source: str, target: str) -> None:
        move(name, source, target)
        if when == "after a kill":
            raise KeyboardInterrupt
        ledger.delete(recordings.find_named(name), early=True)

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "move", destroyed)
        if when == "after a kill":
            with pytest.raises(KeyboardInterrupt):
                places.bring(ledger)
            ledger.delete(recordings.find_named(NAME), early=True)
        assert places.bring(ledger) == 0
    assert vault.names() == []
    places.tidy(ledger)
    assert list(places.bucket.names(NAME[:2])) == []


def test_what_cannot_be_brought_keeps_nothing_else(
    connection: Connection,
    ledger: RecordingLedger,
    recordings: RecordingStore,
    keys: KeyRing,
    vault: Vault,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Files that cannot be read keep no other here; a bucket that is away, no removal."""
    bucket = DirectoryBucket(tmp_path / "bucket")
    places = Places(vault, bucket)
    unread = [letter * 18 for letter in "abc"]
    for name in (*unread, "d" * 18, "e" * 18):
        ledger.keep(sealed(vault, keys, new_call_id(), name), keys, vault.name)
    for name in unread:
        vault.erase(name)
        (vault.path / name[:2] / name).mkdir()
    with pytest.raises(RecordingsUnusable, match="cannot be read"):
        places.bring(ledger)
    assert (vault.names(), bucket.vault.names()) == (unread, ["d" * 18, "e" * 18])
    for name in unread:
        (vault.path / name[:2] / name).rmdir()
    gone = "f" * 18
    ledger.keep(sealed(vault, keys, new_call_id(), gone), keys, vault.name)
    ledger.delete(recordings.find_named(gone), early=True)

    def away() -> None:
        raise RecordingsUnusable("away")

    with monkeypatch.context() as patched:
        patched.setattr(bucket, "prepare", away)
        with pytest.raises(RecordingsUnusable, match="away"):
            places.tidy(ledger)
    assert vault.names() == []
    # What somebody says to be gone, and is not, stays.
    connection.execute(
        b"INSERT INTO agi_router.recording_gone (name, vault) VALUES (%s, %s)",
        ["d" * 18, bucket.name],
    )
    places.tidy(ledger)
    assert bucket.vault.names() == ["d" * 18, "e" * 18]


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory, as Asterisk writes to."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as made:
        path = Path(made)
        path.chmod(0o3770)
        yield path


def leave_sound(memory: Path, name: str, call_id: str) -> None:
    """What Asterisk leaves of a call of a second."""
    for side in ("caller", "callee"):
        (memory / f"{name}-{side}.alaw").write_bytes(SOUND)
    (memory / f"{name}.end").write_text("1790000002")
    (memory / f"{name}.call").write_text(f"1|{call_id}|{X}|1790000001000|recorded|end")


def test_killed_at_each_step(
    dsn: str,
    recordings: RecordingStore,
    keys: KeyRing,
    tmp_path: Path,
    memory: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is lost, nothing is on record twice, and no clear sound is left."""
    for check in ("check_schema", "check_rights"):
        # Steps of no matter here.
        monkeypatch.setattr(f"agi_router.service.keeping.{check}", lambda _: None)
    write_key_ring(tmp_path / "key", keys)
    env = {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
        "AGI_ROUTER_RECORDINGS": str(memory),
        "AGI_ROUTER_RECORDINGS_SEALED": str(tmp_path / "sealed"),
    }
    settings, vault = Settings.from_env(env), Vault(tmp_path / "sealed")
    calls: list[str] = []
    for step in count(1):
        calls.append(new_call_id())
        leave_sound(memory, "".join(secrets.choice("abcdef") for _ in NAME), calls[-1])
        is_whole = kept_by_child(settings, keys, last_step=step)
        # Whoever comes next goes on, with what came meanwhile.
        assert kept_by_child(settings, keys, last_step=None)
        assert not [*memory.iterdir()]
        if is_whole:
            break
    assert step > 50
    found = recordings.all(limit=len(calls) + 1)
    assert sorted(each.call_id for each in found) == sorted(calls)
    assert {each.state for each in found} == {RecordingState.READY}
    for each in found:
        assert b"".join(recordings.listen(each, vault, keys)).count(SOUND[:1]) >= 2 * len(SOUND)
    files = [each for each in vault.path.rglob("*") if each.is_file()]
    assert len(files) == len(calls) + 1
    assert not any(SOUND[:64] in each.read_bytes() for each in files)


def kept_by_child(settings: Settings, keys: KeyRing, *, last_step: int | None) -> bool:
    """Keep recordings in a process that is killed at a step of its work; whether it was not."""
    child = os.fork()
    if child == 0:
        try:
            service = KeepingService(settings, keys)
            if last_step is not None:
                die_at(last_step)
            service.once()
        except BaseException:  # noqa: BLE001 - a child never goes on with the test
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in {0, -signal.SIGKILL}
    return status == 0


def die_at(step: int) -> None:
    """Be killed before a step, in this process: one with a file that counts, or a statement."""
    steps = count(1)

    def doom(owner: object, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, name)

        def doomed(*args: Any, **more: Any) -> Any:
            if next(steps) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return original(*args, **more)

        setattr(owner, name, doomed)

    for owner, name in STEPS:
        doom(owner, name)


def test_the_database_is_away(tmp_path: Path, memory: Path) -> None:
    """What ends meanwhile is sealed at once, and on record as soon as the database is back."""
    keys, call_id = KeyRing.generate(), new_call_id()
    write_key_ring(tmp_path / "key", keys)
    log = tmp_path / "log"
    with Server(NEWEST) as server:
        dsn = server.clone()
        with connect(dsn) as own:
            check_keys(own, keys)
        env = {
            **os.environ,
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
            "AGI_ROUTER_RECORDINGS": str(memory),
            "AGI_ROUTER_RECORDINGS_SEALED": str(tmp_path / "sealed"),
        }
        command = [str(Path(sys.executable).with_name("agi-router")), "recording", "keep"]
        with log.open("wb") as file, subprocess.Popen(command, env=env, stderr=file) as process:
            try:
                with server.admin() as admin:
                    # As a rotation of keys looks for it.
                    there = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
                    until(lambda: one(admin, there, f"agi_router serve recordings {keys.digest}"))
                server.kill()
                leave_sound(memory, NAME, call_id)
                until(lambda: not list(memory.iterdir()))
                assert "recordings.waiting" in log.read_text()
                server.start()
                with connect(dsn, idle=0) as own:
                    store = RecordingStore(Queries(own))
                    until(lambda: store.all(call_id=call_id, limit=1))
                    found = store.find(call_id)
                    assert (found.state, found.length_ms) == (RecordingState.READY, 1000)
                    heard = store.listen(found, Vault(tmp_path / "sealed"), keys)
                    assert len(b"".join(heard)) == HEADER + 2 * 8000
            finally:
                process.terminate()
        assert process.returncode == 0, log.read_text()
