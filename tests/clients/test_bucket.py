"""Sealed recordings in a bucket of SeaweedFS, by botocore; killed, away, closed, and compared."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection, Queries, connect
from agi_router.errors import RecordingDamaged
from agi_router.keys.file import write_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.recordings import bucket as bucket_room
from agi_router.recordings.bucket import PART, Bucket
from agi_router.recordings.model import Kept
from agi_router.recordings.places import Places
from agi_router.recordings.store import RecordingLedger, RecordingStore
from agi_router.recordings.vault import Vault
from agi_router.recordings.wav import HEADER
from harness.cli import run
from harness.database import NEWEST, Server, new_call_id, until
from harness.recordings import seal_recording
from harness.seaweedfs import OPEN, SeaweedFs
from harness.values import X

CIPHER = FileCipher.AES_256_GCM
NAME = "abcdefabcdefabcdef"
# What Asterisk writes of a side that says nothing, and of one that does.
CLEAR = b"\x2a\xaa" * 64


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate of this host, and its key."""
    home = tmp_path_factory.mktemp("tls")
    made = home / "host.crt", home / "host.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", made[1], "-out", made[0], "-days", "2", "-subj", "/CN=store"),
            *("-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    return made


@pytest.fixture(scope="module")
def seaweedfs(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[SeaweedFs]:
    """The server of these tests."""
    with SeaweedFs(tmp_path_factory.mktemp("seaweedfs"), tls=certificate) as server:
        yield server


@pytest.fixture
def bucket(seaweedfs: SeaweedFs) -> Bucket:
    """A new one."""
    made = seaweedfs.make(f"recordings-{secrets.token_hex(4)}")
    made.prepare()
    return made


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """An empty directory."""
    made = Vault(tmp_path / "sealed")
    made.prepare()
    return made


def names(bucket: Bucket, folder: str = NAME[:2]) -> list[str]:
    """What lies in a folder."""
    return [name for name, _ in bucket.names(folder)]


def uploads(bucket: Bucket) -> list[str]:
    """What was begun to be brought, and not ended."""
    told = bucket._ask("list_multipart_uploads")
    return [each["Key"] for each in told.get("Uploads", ())]


def sealed(vault: Vault, keys: KeyRing, clear: bytes, name: str = NAME) -> Kept:
    """A recording that waits in a directory, and what is to be put on record of it."""
    return seal_recording(vault, keys, new_call_id(), name, clear=clear)


@pytest.fixture
def keys(store: BindingStore) -> KeyRing:
    """Those of the database."""
    return store.keys


@pytest.fixture
def ledger(connection: Connection) -> Iterator[RecordingLedger]:
    """Where they are on record; nothing is left of it."""
    yield RecordingLedger(Queries(connection))
    connection.execute(b"DELETE FROM agi_router.recording")
    connection.execute(b"DELETE FROM agi_router.recording_gone")


def test_files(bucket: Bucket) -> None:
    """One piece or many, as often as one likes; what another has left half done goes."""
    assert bucket.name.isalpha()
    again = Bucket(bucket.address)
    again.prepare()
    assert again.name == bucket.name
    longer = secrets.token_bytes(2 * PART + 1000)
    key = secrets.token_bytes(32)
    begun = bucket._ask("create_multipart_upload", Key=f"{NAME[:2]}/{NAME}")
    assert begun["UploadId"]
    assert uploads(bucket) == [f"{NAME[:2]}/{NAME}"]
    for content in (longer, longer, b"short"):
        name = NAME if content is longer else "b" * 18
        bucket.put(name, BytesIO(content))
        found = bucket._ask("get_object", Key=f"{name[:2]}/{name}")["Body"].read()
        assert found == content
    assert uploads(bucket) == []
    assert (names(bucket), names(bucket, "bb")) == ([NAME], ["b" * 18])
    with pytest.raises(RecordingDamaged, match="not as it was sealed"):
        list(bucket.read(NAME, CIPHER, key))
    for _ in range(2):
        bucket.erase(NAME)
    assert names(bucket) == []
    with pytest.raises(RecordingDamaged, match="is not in the bucket"):
        list(bucket.read(NAME, CIPHER, key))
    bucket._ask("create_multipart_upload", Key="cc/" + "c" * 18)
    assert bucket.abort_left(datetime.now(UTC) - timedelta(days=1)) == 0
    assert bucket.abort_left(datetime.now(UTC) + timedelta(days=1)) == 1
    assert uploads(bucket) == []


def test_what_doctor_says(
    seaweedfs: SeaweedFs, bucket: Bucket, certificate: tuple[Path, Path]
) -> None:
    """A good one has no fault; one that is open, not there, or not to be trusted has."""
    assert list(bucket.faults()) == []
    assert names(bucket, "doctor") == []
    assert list(Bucket(seaweedfs.address(OPEN)).faults()) == [
        "can be read by everybody: make it private",
        "can be listed by everybody: make it private",
    ]
    name = bucket.address.bucket
    by_tls = {"endpoint": seaweedfs.tls_endpoint}
    assert list(Bucket(seaweedfs.address(name, **by_tls, ca_file=certificate[0])).faults()) == []
    faults: list[tuple[str, dict[str, Any]]] = [
        ("SSLError", by_tls),
        ("NoSuchBucket", {"bucket": "none"}),
        ("InvalidAccessKeyId", {"access_key": lambda: ("nobody", seaweedfs.secret)}),
        ("SignatureDoesNotMatch", {"access_key": lambda: (seaweedfs.key_id, "wrong")}),
        ("EndpointConnectionError", {"endpoint": "http://127.0.0.1:9"}),
        ("takes no such endpoint", {"endpoint": "https://my_store.internal:9"}),
    ]
    for why, other in faults:
        address = seaweedfs.address(**{"bucket": name, **other})
        (fault,) = Bucket(address).faults()
        assert why in fault
        assert seaweedfs.secret not in fault + repr(address)


class _Killed(BaseException):
    """Nobody catches it."""


def test_killed_at_every_request(
    bucket: Bucket,
    vault: Vault,
    keys: KeyRing,
    ledger: RecordingLedger,
    connection: Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Before each request and after it: nothing is lost, nothing doubled, nothing left behind.

    Of a file in two pieces, by the store and the database as they are.
    """
    # As small as a piece may be.
    monkeypatch.setattr(bucket_room, "PART", 5 << 20)
    clear, stop, kills = secrets.token_bytes((5 << 20) + 1000), 0, 0
    places = Places(vault, bucket)
    bucket.prepare()
    while kills == stop:
        name = new_name()
        kept = sealed(vault, keys, clear, name)
        assert ledger.keep(kept, keys, vault.name)
        left = [stop]
        with monkeypatch.context() as patched:
            for owner, step in (
                (Bucket, "_ask"),
                (RecordingLedger, "find_vaults"),
                (RecordingLedger, "move"),
                (Vault, "erase"),
            ):
                patched.setattr(owner, step, dying(getattr(owner, step), left))
            try:
                places.bring(ledger)
            except _Killed:
                kills += 1
        stop += 1
        places.bring(ledger)
        assert vault.names() == []
        assert (names(bucket, name[:2]).count(name), uploads(bucket)) == (1, [])
        assert ledger.find_vault(name) == bucket.name
        found = RecordingStore(Queries(connection)).find_named(name)
        assert b"".join(RecordingStore(Queries(connection)).listen(found, places, keys)) == clear
    assert kills >= 20


def new_name() -> str:
    """A name of a recording."""
    return "".join(secrets.choice("abcdef") for _ in range(18))


def dying(real: Any, left: list[int]) -> Any:
    """The same function, which kills its caller before a call or after it."""

    def tick() -> None:
        left[0] -= 1
        if left[0] == -1:
            raise _Killed

    def call(*arguments: Any, **named: Any) -> Any:
        tick()
        told = real(*arguments, **named)
        tick()
        return told

    return call


def test_whose_key_is_destroyed(
    bucket: Bucket, vault: Vault, keys: KeyRing, ledger: RecordingLedger, connection: Connection
) -> None:
    """Before it was brought, while it is, and later: then its file is nowhere."""
    places, store = Places(vault, bucket), RecordingStore(Queries(connection))

    def destroy(name: str) -> None:
        ledger.delete(store.find_named(name), early=True)

    for when in ("before", "while", "later"):
        name = new_name()
        assert ledger.keep(sealed(vault, keys, b"said", name), keys, vault.name)
        if when == "before":
            destroy(name)
        if when == "while":
            with vault.open(name) as file:
                bucket.put(name, file)
            destroy(name)
        assert places.bring(ledger) == (when == "later")
        if when == "later":
            destroy(name)
        places.tidy(ledger)
        assert (vault.names(), names(bucket, name[:2])) == ([], [])
    gone = connection.execute(b"SELECT count(*) AS n FROM agi_router.recording_gone").fetchone()
    assert gone == {"n": 0}


@dataclass
class Site:
    """A database, a directory as Asterisk writes to, and a bucket, in the settings' words."""

    env: dict[str, str]
    clear: Path
    log: Path
    vault: Vault
    bucket: Bucket
    store: RecordingStore


@pytest.fixture
def site(seaweedfs: SeaweedFs, tmp_path: Path) -> Iterator[Site]:
    """All new."""
    keys, access = KeyRing.generate(), tmp_path / "s3"
    write_key_ring(tmp_path / "key", keys)
    access.touch(0o600)
    access.write_text(f"{seaweedfs.key_id}\n{seaweedfs.secret}\n")
    bucket = seaweedfs.make(f"recordings-{secrets.token_hex(4)}")
    with Server(NEWEST) as server, tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
        dsn = server.clone()
        clear = Path(memory)
        clear.chmod(0o3770)
        env = {
            "PATH": os.environ["PATH"],
            "AGI_ROUTER_DSN": dsn,
            "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
            "AGI_ROUTER_RECORDINGS": memory,
            "AGI_ROUTER_RECORDINGS_SEALED": str(tmp_path / "sealed"),
            "AGI_ROUTER_LOG_LEVEL": "DEBUG",
            "AGI_ROUTER_S3_ENDPOINT": seaweedfs.endpoint,
            "AGI_ROUTER_S3_BUCKET": bucket.address.bucket,
            "AGI_ROUTER_S3_CREDENTIALS_FILE": str(access),
        }
        with connect(dsn, idle=0) as own:
            check_keys(own, keys)
            store = RecordingStore(Queries(own))
            yield Site(env, clear, tmp_path / "log", Vault(tmp_path / "sealed"), bucket, store)


@contextmanager
def keeping(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """The process that keeps recordings; it ends well if it was not killed."""
    command = [str(Path(sys.executable).with_name("agi-router")), "recording", "keep"]
    with (
        site.log.open("ab") as file,
        subprocess.Popen(command, env=site.env, stderr=file) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
    assert process.returncode in {0, -9}, site.log.read_text()


def test_in_service(seaweedfs: SeaweedFs, site: Site) -> None:
    """
    The process itself: killed over and over, and while the store is away.

    Each call is sealed and on record at once, can be heard wherever it lies, and ends in the
    bucket, once; no clear sound is there, and no secret in the log.
    """
    calls = []
    for _ in range(3):
        calls += [record(site.clear) for _ in range(2)]
        with keeping(site) as process:
            until(lambda: not list(site.clear.iterdir()))
            # Now it brings them; at which moment it is killed is for the machine to say.
            process.kill()
    with keeping(site) as process:
        until(lambda: len(site.store.all(limit=100)) == len(calls) and not site.vault.names())
        words = Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
        seaweedfs.kill()
        calls.append(late := record(site.clear))
        until(lambda: "recordings.store_away" in site.log.read_text())
        until(lambda: site.store.all(call_id=late, limit=1))
        assert len(site.vault.names()) == 1
        assert heard(late, site) == CLEAR
        seaweedfs.start()
        until(lambda: not site.vault.names())
        until(lambda: "recordings.store_back" in site.log.read_text())
    told = site.log.read_text() + words
    assert not [each for each in (seaweedfs.secret, seaweedfs.key_id, "Signature") if each in told]
    assert [heard(each, site) for each in (calls[0], late)] == [CLEAR, CLEAR]

    found = sorted(str(each.name) for each in site.store.all(limit=100))
    lying = sorted(
        name for folder in {each[:2] for each in found} for name in names(site.bucket, folder)
    )
    assert (lying, uploads(site.bucket)) == (found, [])
    for name in found:
        lies = site.bucket._ask("get_object", Key=f"{name[:2]}/{name}")["Body"].read()
        assert CLEAR not in lies
    checks = json.loads(run(["doctor", "--json"], site.env).out)["checks"]
    assert [each["status"] for each in checks if each["check"] == "bucket"] == ["ok"]
    words_of = ["recording", "reconcile", "--json"]
    whole = {"files": len(calls), "missing": [], "strange": []}
    assert run(words_of, site.env).json == whole
    site.bucket.erase(found[0])
    done = run(words_of, site.env)
    assert (done.code, json.loads(done.out)["missing"]) == (1, found[:1])


def record(clear: Path) -> str:
    """What Asterisk leaves of a call."""
    name, call_id = new_name(), new_call_id()
    (clear / f"{name}-caller.alaw").write_bytes(CLEAR[::2] * 60)
    (clear / f"{name}-callee.alaw").write_bytes(CLEAR[1::2] * 60)
    (clear / f"{name}.end").write_text("1790000002")
    (clear / f"{name}.call").write_text(f"1|{call_id}|{X}|1790000001000|recorded|end")
    return call_id


def heard(call_id: str, site: Site) -> bytes:
    """How what was said begins."""
    words = ["recording", "listen", call_id, "--case", "P-1", "--reason", "court order"]
    command = [str(Path(sys.executable).with_name("agi-router")), *words]
    done = subprocess.run(command, env=site.env, capture_output=True, check=True)
    return done.stdout[HEADER : HEADER + len(CLEAR)]
