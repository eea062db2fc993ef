"""A recording on record, with a sealed file that says something."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from agi_router.bindings.model import BindingId
from agi_router.calls.end import call_day
from agi_router.db.connection import Connection, Queries
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.numbers import XNumber
from agi_router.recordings.bucket import Bucket
from agi_router.recordings.model import Kept, Note, RecordingState
from agi_router.recordings.store import RecordingLedger
from agi_router.recordings.vault import Vault, new_key
from harness.values import X

__all__ = ["SOUND", "DirectoryBucket", "keep_recording", "seal_recording"]

SOUND = b"sound"
"""What is heard of it."""

_CIPHER = FileCipher.AES_256_GCM


def seal_recording(
    vault: Vault,
    ring: KeyRing,
    call_id: str,
    name: str,
    *,
    clear: bytes,
    length_ms: int = 0,
    x: XNumber = X,
) -> Kept:
    """Seal a recording into a directory; returns what is to be put on record of it."""
    key, sealed_key = new_key(ring, name, _CIPHER)
    octets, digest = vault.seal(name, [clear], _CIPHER, key)
    vault.put_away(name)
    return Kept(
        name=name,
        note=Note(
            call_id=call_id,
            day=call_day(call_id),
            x_number=x,
            begun_at_ms=1_790_000_000_000,
            told=True,
        ),
        state=RecordingState.READY,
        gap=None,
        length_ms=length_ms,
        octets=octets,
        sha256=digest,
        cipher=_CIPHER,
        sealed_key=sealed_key,
    )


def keep_recording(
    connection: Connection,
    ring: KeyRing,
    directory: Path,
    *,
    binding: str,
    x: str,
    call_id: str,
    name: str,
) -> None:
    """Put a call on record that used a binding, and its recording."""
    number, bound, day = XNumber.parse(x), BindingId.parse(binding), call_day(call_id)
    connection.execute(
        b"INSERT INTO agi_router.call"
        b" (block, id, day, x_number, binding_id, tenant_id, state, record)"
        b" SELECT b.block, %s, %s, %s, b.id, b.tenant_id, 'settled', true"
        b" FROM agi_router.binding b WHERE b.block = %s AND b.id = %s",
        [call_id, day, number.value, bound.block.value, bound.id],
    )
    vault = Vault(directory)
    vault.prepare()
    kept = seal_recording(vault, ring, call_id, name, clear=SOUND, length_ms=10, x=number)
    assert RecordingLedger(Queries(connection)).keep(kept, ring, vault.name)


class DirectoryBucket(Bucket):
    """
    Stands for a bucket: another directory. The real thing is in ``tests/clients``.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.vault = Vault(path)
        """What lies in it."""
        self.vault.prepare()

    def prepare(self) -> None:
        """It is."""

    @property
    def name(self) -> str:
        """The directory's."""
        return self.vault.name

    def put(self, name: str, file: BinaryIO) -> None:
        """Bring a file."""
        place = self.vault.path / name[:2]
        place.mkdir(exist_ok=True)
        (place / name).write_bytes(file.read())

    def read(self, name: str, cipher: FileCipher, key: bytes) -> Iterator[bytes]:
        """What a recording says."""
        return self.vault.read(name, cipher, key)

    def erase(self, name: str) -> None:
        """Remove a file."""
        self.vault.erase(name)

    def names(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Those of a folder."""
        for each in self.vault.path.glob(f"{folder}/*"):
            yield each.name, datetime.fromtimestamp(each.stat().st_mtime, UTC)

    def abort_left(self, before: datetime) -> int:
        """Nothing is left."""
        assert before
        return 0
