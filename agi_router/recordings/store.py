"""
Recordings, as the database keeps them.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from agi_router.bindings.model import BindingId
from agi_router.cursors import Cursor
from agi_router.db.connection import Queries
from agi_router.errors import RecordingKept, RecordingNotFound
from agi_router.keys.registry import assert_current_keys
from agi_router.keys.renewal import renew_locked
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.numbers import Block, XNumber
from agi_router.recordings.model import Gap, Kept, Note, Recording, RecordingState
from agi_router.recordings.vault import SealedSound, open_key, renewed_key
from agi_router.tenants.scope import OPERATOR, Scope
from agi_router.tenants.store import TenantStore

__all__ = ["RecordingLedger", "RecordingStore", "check_heard"]

_FILES: Final = 500
_SEAL_KEY_AT: Final = 1


class RecordingLedger:
    """
    What is written of recordings, by whoever keeps them; the operator's.

    Args:
        queries: Where.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def keep(self, kept: Kept, keys: KeyRing, vault: str) -> bool:
        """
        Put a recording on record.

        Args:
            kept: What is known of it.
            keys: Its key is sealed under the current one of them.
            vault: The name of the directory that its file lies in.

        Returns:
            Whether it is new; of a call that has one already, nothing is changed.

        Raises:
            KeysOutdated: The keys were rotated since they were read.
            SealError: Its key does not open with these.
        """
        note, sealed_key = kept.note, kept.sealed_key
        if sealed_key is not None:
            sealed_key = renewed_key(keys, kept.name, sealed_key)
        values = {
            "block": note.x_number.block.value,
            "call_id": note.call_id,
            "day": note.day,
            "x_number": note.x_number.value,
            "name": kept.name,
            "vault": None if sealed_key is None else vault,
            "state": kept.state,
            "gap": kept.gap,
            "begun_at_ms": note.begun_at_ms,
            "length_ms": kept.length_ms,
            "octets": kept.octets,
            "sha256": kept.sha256,
            "cipher": kept.cipher,
            "sealed_key": sealed_key,
        }
        with self._queries.transaction():
            assert_current_keys(self._queries, keys)
            return self._queries.row("keep_recording", values) is not None

    def is_over(self, note: Note) -> bool:
        """
        Whether a call is known to have ended, so that nothing more of it is recorded.
        """
        values = {
            "block": note.x_number.block.value,
            "call_id": note.call_id,
            "day": note.day,
        }
        return self._queries.row("is_call_over", values) is not None

    def mark_lost(self) -> list[str]:
        """
        Put on record of which calls nothing came that were to be recorded.

        Returns:
            Their ids.
        """
        return [row["call_id"] for row in self._queries.rows("mark_lost_recordings", {})]

    def delete(self, recording: Recording, *, early: bool) -> None:
        """
        Destroy the key of a recording; its file goes soon after, by whoever keeps it.

        Args:
            recording: Which.
            early: Whether it goes though six months are not over: somebody has ordered it.

        Raises:
            RecordingNotFound: There is nothing of it.
            RecordingKept: A hold is on it, or six months are not over.
        """
        check_heard(recording)
        values = {"call_id": recording.call_id, "early": early}
        if self._queries.row("delete_recording", values) is None:
            raise RecordingKept(
                "it is kept: a hold is on it, or six months are not over; what a court or an"
                " authority has ordered to be deleted goes with --early, once nothing holds it"
            )

    def find_vault(self, name: str) -> str | None:
        """
        The name of the place that a file lies in; :obj:`None`: it has no key on record.
        """
        row = self._queries.row("find_recording_vault", {"name": name})
        return None if row is None else str(row["vault"])

    def find_vaults(self, names: Sequence[str]) -> dict[str, str | None]:
        """
        The names of the places that files lie in; :obj:`None`: the key of that one was destroyed.

        What is on no record is not among them.
        """
        found: dict[str, str | None] = {}
        for first in range(0, len(names), _FILES):
            values = {"names": names[first : first + _FILES]}
            rows = self._queries.rows("find_recording_vaults", values)
            found.update((row["name"], row["vault"]) for row in rows)
        return found

    def move(self, name: str, source: str, target: str) -> None:
        """
        Put on record that a file was brought from one place to another, if it has a key still.
        """
        values = {"name": name, "source": source, "target": target}
        self._queries.execute("move_recording", values)

    def names(self, folder: str) -> list[tuple[str, str]]:
        """
        The names of the files that begin so and have a key, and of the places that they lie in.
        """
        rows = self._queries.rows("list_recording_names", {"folder": folder})
        return [(row["name"], row["vault"]) for row in rows]

    def gone(self, vault: str) -> list[str]:
        """
        The names of files that are to be removed from a place; so many at a time.
        """
        rows = self._queries.rows("list_gone_recordings", {"vault": vault, "limit": _FILES})
        return [row["name"] for row in rows]

    def check_all_seen(self) -> None:
        """
        Make sure that what is not in the lists of this database is on no record.

        Raises:
            RecordingKept: It may be on one: of another cell, of one that is away, or on its way.
        """
        (row,) = self._queries.rows("look_at_records", {})
        if row["is_cell"]:
            raise RecordingKept(
                "this database is a cell's, and knows no recordings of other cells: use the DSN of"
                " the global one"
            )
        if row["away"]:
            raise RecordingKept(
                f"the cell(s) {', '.join(row['away'])} are away, and so are their records: wait"
                " until they are back ('agi-router cell back')"
            )
        if row["moving"]:
            blocks = ", ".join(str(Block(value=each)) for each in row["moving"])
            raise RecordingKept(
                f"the block(s) {blocks} are being moved, and records of theirs are in no list"
                " meanwhile: bring the move to its end first ('agi-router cell move')"
            )

    def erase_gone(self, vault: str, erase: Callable[[str], None]) -> int:
        """
        Remove the files of a place whose keys were destroyed.

        Args:
            vault: Its name.
            erase: Removes a file, if it is there.

        Returns:
            How many there were.

        Raises:
            RecordingsUnusable: They cannot be removed.
        """
        names = self.gone(vault)
        for name in names:
            erase(name)
            self._queries.execute("forget_gone_recording", {"name": name})
        return len(names)

    def renew(self, keys: KeyRing) -> int:
        """
        Seal keys of recordings with the current key that were sealed with an older one.

        Their files are not touched.

        Returns:
            How many there were.

        Raises:
            SealError: One does not open.
        """

        def seal(row: dict[str, Any]) -> None:
            sealed = renewed_key(keys, row["name"], row["sealed_key"])
            self._queries.row("seal_recording_key", {"name": row["name"], "sealed_key": sealed})

        return renew_locked(self._queries, keys, "list_recording_keys", seal)


class RecordingStore:
    """
    The recordings of one database.

    Args:
        queries: Where they are kept.
        scope: Who asks.
    """

    def __init__(self, queries: Queries, scope: Scope = OPERATOR) -> None:
        self._queries = queries.given(scope.values)
        self._tenants = TenantStore(queries, scope)

    def find(self, call_id: str) -> Recording:
        """
        The recording of a call.

        Raises:
            RecordingNotFound: It was not to be recorded, or there is no such call.
        """
        for found in self.all(call_id=call_id, limit=1):
            return found
        raise RecordingNotFound("there is no recording of such a call")

    def find_named(self, name: str) -> Recording:
        """
        The recording that has a file of this name.

        Raises:
            RecordingNotFound: There is none.
        """
        for found in self.all(name=name, limit=1):
            return found
        raise RecordingNotFound("there is no such recording")

    def all(
        self,
        *,
        call_id: str | None = None,
        name: str | None = None,
        tenant: str | None = None,
        binding: BindingId | None = None,
        x_number: XNumber | None = None,
        since: datetime | None = None,
        after: Cursor | None = None,
        limit: int,
    ) -> list[Recording]:
        """
        Recordings, newest first.

        Args:
            call_id: Of this call alone.
            name: That has a file of this name.
            tenant: Of this tenant alone.
            binding: Of this binding alone.
            x_number: Of calls to this number alone.
            since: Begun since then.
            after: Behind the last one of another page.
            limit: At most so many.

        Raises:
            TenantNotFound: There is no such tenant.
        """
        values = {
            "call_id": call_id,
            "name": name,
            "tenant_id": None if tenant is None else self._tenants.find_id(tenant),
            "block": None if binding is None else binding.block.value,
            "binding_id": None if binding is None else binding.id,
            "x_number": None if x_number is None else x_number.value,
            "since": since,
            "after_at": None if after is None else after.at,
            "after_id": None if after is None else after.name,
            "limit": limit,
        }
        return [_read(row) for row in self._queries.rows("list_recordings", values)]

    def listen(self, recording: Recording, place: SealedSound, keys: KeyRing) -> Iterator[bytes]:
        """
        What was said, as a WAV file in stereo, some at a time, each bit checked.

        Raises:
            RecordingNotFound: There is nothing of it.
            RecordingDamaged: The file is not there, or not as it was sealed.
            SealError: Its key does not open with these.
        """
        name, cipher, sealed_key = check_heard(recording)
        return place.read(name, cipher, open_key(keys, name, sealed_key))


def check_heard(recording: Recording) -> tuple[str, FileCipher, bytes]:
    """
    By what a recording is heard: the name of its file, its cipher, its sealed key.

    Raises:
        RecordingNotFound: There is nothing of it.
    """
    if recording.name is None or recording.cipher is None or recording.sealed_key is None:
        raise RecordingNotFound(f"there is no sound: the recording is {recording.state}")
    return recording.name, recording.cipher, recording.sealed_key


def _read(row: dict[str, Any]) -> Recording:
    sealed = row["sealed_key"]
    return Recording(
        call_id=row["call_id"],
        tenant=row["tenant"],
        binding=None
        if row["binding_id"] is None
        else f"{Block(value=row['block'])}-{row['binding_id']}",
        x_number=XNumber.from_int(row["x_number"]),
        name=row["name"],
        state=RecordingState(row["state"]),
        gap=None if row["gap"] is None else Gap(row["gap"]),
        begun_at=row["begun_at"],
        length_ms=row["length_ms"],
        octets=row["octets"],
        sha256=row["sha256"],
        cipher=None if row["cipher"] is None else FileCipher(row["cipher"]),
        sealed_key=sealed,
        key_id=None if sealed is None else sealed[_SEAL_KEY_AT],
    )
