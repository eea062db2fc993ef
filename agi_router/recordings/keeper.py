"""
The keeper: seals what was recorded as soon as it is over, and puts it on record.

Rules for the editor:

1. Clear sound is removed once the sealed file and its note are on disk, and not before: whoever is
   killed loses nothing that was whole, and does a step again that was not finished.
2. Sealing needs neither the database nor a network: clear sound never waits for them.
3. A call that Asterisk has not said to be over is left alone until the database says that it is.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

from agi_router.errors import ProtocolError, SealError
from agi_router.files import UnfitFile
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.recordings.clear import ClearDirectory, Found
from agi_router.recordings.model import Gap, Kept, Note, RecordingState, parse_note
from agi_router.recordings.store import RecordingLedger
from agi_router.recordings.vault import Vault, new_key
from agi_router.recordings.wav import RATE, interleaved, wav_header

__all__ = ["Keeper"]

log = logging.getLogger(__name__)

# Seconds without a word from Asterisk after which the database is asked whether a call is over.
_QUIET: Final = 10
# The same after which a note that cannot be read is given up: it is written in one piece.
_UNREAD: Final = 5
# Milliseconds that sound may fall short of the time in which they were joined: the notice.
_SHORT: Final = 10_000
# Octets without which a second of a call cannot be written down.
_LEAST_ROOM: Final = 1 << 16
# The share of the directory below which it is told.
_LITTLE: Final = 0.1


class Keeper:
    """
    Keeps recordings.

    Args:
        clear: Where Asterisk writes them.
        vault: Where they are kept.
        keys: Says which keys there are, each time.
        cipher: By what they are sealed.
    """

    def __init__(
        self,
        clear: ClearDirectory,
        vault: Vault,
        keys: Callable[[], KeyRing],
        cipher: FileCipher,
    ) -> None:
        self._clear = clear
        self._vault = vault
        self._keys = keys
        self._cipher = cipher
        # Since 1970, as notes have it.
        self._full_at = 0.0
        self._little = False
        self._unopened: set[str] = set()

    def look_for_room(self) -> None:
        """
        Tell where the directory in memory is nearly full: calls go on unrecorded then.

        Raises:
            RecordingsUnusable: It cannot be looked at.
        """
        free, whole = self._clear.room()
        if free < _LEAST_ROOM:
            self._full_at = time.time()
        little = free < whole * _LITTLE
        if little and not self._little:
            log.error("recordings.no_room", extra={"free": free, "size": whole})
        self._little = little

    def seal(self, is_over: Callable[[Note], bool]) -> int:
        """
        Seal all that is over; what of it cannot be read keeps no other from being sealed.

        Args:
            is_over: Whether a call has ended, as far as the database knows.

        Returns:
            How many recordings there were.

        Raises:
            RecordingsUnusable: A directory cannot be used.
        """
        return sum(self._seal_one(each, is_over) for each in self._clear.found())

    def record(self, ledger: RecordingLedger, keys: KeyRing) -> int:
        """
        Put on record what was sealed.

        Args:
            ledger: Where.
            keys: Those of the database, the current ones: it is to need no others.

        Returns:
            How many recordings there were.

        Raises:
            RecordingsUnusable: A directory cannot be used.
            StoreError: The database failed; nothing is lost.
        """
        waiting, vault = self._vault.waiting(), self._vault.name
        for kept in waiting:
            if kept.sealed_key is not None:
                self._vault.put_away(kept.name)
            try:
                is_new = ledger.keep(kept, keys, vault)
            except SealError:
                # It keeps no other from being put on record.
                if kept.name not in self._unopened:
                    log.warning("recording.unopened", extra={"call": kept.note.call_id})
                self._unopened.add(kept.name)
                continue
            if is_new and kept.gap is not None:
                log.error("recording.gap", extra={"call": kept.note.call_id, "gap": kept.gap})
            self._vault.forget_note(kept.name)
        return len(waiting)

    def _seal_one(self, found: Found, is_over: Callable[[Note], bool]) -> bool:
        if self._vault.is_noted(found.name):
            # Killed before it could remove what was sealed.
            self._clear.remove(found.name)
            return False
        note = _read(found.note)
        if note is None:
            if not found.over and time.time() - found.touched_at <= _UNREAD:
                return False
            if found.note:
                # It may be of a newer dialplan: what was said stays for a keeper that reads it.
                self._clear.tell_unfit(found.name, UnfitFile("its note is not of this version"))
            else:
                log.error("recording.unreadable", extra={"recording": found.name})
                self._clear.remove(found.name)
            return False
        if note.told and not found.over and not self._is_left(found, note, is_over):
            return False
        try:
            kept = self._sealed(found, note)
        except (UnfitFile, OSError) as error:
            self._clear.tell_unfit(found.name, error)
            return False
        self._vault.note(kept)
        self._clear.remove(found.name)
        return True

    @staticmethod
    def _is_left(found: Found, note: Note, is_over: Callable[[Note], bool]) -> bool:
        """
        Whether Asterisk will say nothing more of it.
        """
        return time.time() - found.touched_at > _QUIET and is_over(note)

    def _sealed(self, found: Found, note: Note) -> Kept:
        gap = self._gap(found, note)
        if not found.samples:
            return Kept(
                name=found.name,
                note=note,
                state=RecordingState.MISSING,
                gap=gap or Gap.NO_ROOM,
            )
        key, sealed_key = new_key(self._keys(), found.name, self._cipher)
        with self._clear.opened(found.name) as (caller, callee):
            # Asterisk may write while it is looked at, if it was not over after all.
            samples = max(os.fstat(caller).st_size, os.fstat(callee).st_size)
            if samples < found.samples:
                raise UnfitFile("its sound is shorter than it was")

            def sound() -> Iterator[bytes]:
                yield wav_header(samples)
                yield from interleaved(
                    lambda count: os.read(caller, count),
                    lambda count: os.read(callee, count),
                    samples,
                )

            octets, digest = self._vault.seal(found.name, sound(), self._cipher, key)
        return Kept(
            name=found.name,
            note=note,
            state=RecordingState.READY if gap is None else RecordingState.PARTIAL,
            gap=gap,
            length_ms=samples * 1000 // RATE,
            octets=octets,
            sha256=digest,
            cipher=self._cipher,
            sealed_key=sealed_key,
        )

    def _gap(self, found: Found, note: Note) -> Gap | None:
        if not note.told:
            return Gap.NO_NOTICE
        if not found.over:
            return Gap.CUT_OFF
        if found.over_at is None:
            return Gap.NO_ROOM
        talked = found.over_at * 1000 - note.begun_at_ms
        is_short = talked - found.samples * 1000 // RATE > _SHORT
        return Gap.NO_ROOM if is_short and self._full_at * 1000 >= note.begun_at_ms else None


def _read(text: str) -> Note | None:
    try:
        return parse_note(text)
    except ProtocolError:
        return None
