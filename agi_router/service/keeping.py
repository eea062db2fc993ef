"""
The process that seals recordings: ``agi-router recording keep``.

It is none of the router's: a router has nothing of it in memory, and no call waits for it.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from agi_router.db.connection import Connection, Queries, connect
from agi_router.db.migrate import check_schema
from agi_router.db.rights import check_rights
from agi_router.errors import AgiRouterError, RecordingsUnusable, SettingsError
from agi_router.events.keys import KeysAtHand
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher
from agi_router.recordings.clear import ClearDirectory
from agi_router.recordings.keeper import Keeper
from agi_router.recordings.store import RecordingLedger
from agi_router.service.recording_places import places_of
from agi_router.service.systemd import Notifier
from agi_router.settings import PREFIX, Settings

__all__ = ["KeepingService"]

log = logging.getLogger(__name__)

# Seconds between two looks at what was recorded, and after a failure; looks between two tidyings.
# Whoever brings files to a bucket looks as often.
_LOOK: Final = 0.5
_RETRY: Final = 2
_TIDY: Final = 120
_TIMEOUT: Final = 30
# Seconds between two words of one bucket that cannot be used; for which the end waits for it.
_REMIND: Final = 600
_LAST: Final = 5


class KeepingService:
    """
    Keeps recordings as the settings say.

    Args:
        settings: They say where.
        keys: The key ring, as it was read.

    Raises:
        SettingsError: They name no directory in memory.
        RecordingsUnusable: A directory is not what it has to be, or another process keeps there.
    """

    def __init__(self, settings: Settings, keys: KeyRing) -> None:
        if settings.recordings is None:
            raise SettingsError(
                f"{PREFIX}RECORDINGS is not set: name the directory in memory that the dialplan's"
                " global of this name names"
            )
        self._settings = settings
        self._clear = ClearDirectory(settings.recordings)
        self._places = places_of(settings)
        self._vault = self._places.vault
        self._clear.check()
        self._vault.prepare()
        self._vault.claim()
        self._keys = KeysAtHand(settings.key_file, settings.load_keys, keys)
        cipher = FileCipher(settings.cipher.value)
        self._keeper = Keeper(self._clear, self._vault, self._keys.now, cipher)
        self._stop = threading.Event()
        self._broken: Exception | None = None
        self._away_at: float | None = None
        self._notifier = Notifier(os.environ)

    def once(self) -> None:
        """
        Seal what is over, and put it on record.

        Raises:
            RecordingsUnusable: A directory cannot be used.
            StoreError: The database failed.
        """
        with self._store() as (store, ring):
            self._look(store, ring)
            self._tidy(store)
            self._bring_some(store, tidy=True)

    def run(self) -> None:
        """
        Do so until SIGTERM, whatever fails meanwhile.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        self._notifier.ready()
        bringing = threading.Thread(target=self._bring, daemon=True)
        bringing.start()
        while not self._stop.is_set():
            try:
                with self._store() as (store, ring):
                    self._serve(store, ring)
            except AgiRouterError as error:
                log.warning("recordings.waiting", extra={"error": str(error)})
                self._seal_alone()
                self._notifier.alive()
                self._stop.wait(_RETRY)
        bringing.join(_LAST)
        if self._broken is not None:
            raise self._broken

    def _end(self, _: int, __: FrameType | None) -> None:
        self._notifier.stopping("what is being sealed is waited for")
        self._stop.set()

    def _serve(self, store: RecordingLedger, ring: KeyRing) -> None:
        """
        Look for what is over, as long as the keys are the same.
        """
        keys, looks = self._keys.now(), 0
        while not self._stop.is_set() and self._keys.now() is keys:
            self._look(store, ring)
            if looks % _TIDY == 0:
                self._tidy(store)
            looks += 1
            self._notifier.alive()
            self._stop.wait(_LOOK)

    def _look(self, store: RecordingLedger, ring: KeyRing) -> None:
        self._keeper.look_for_room()
        self._keeper.seal(store.is_over)
        self._keeper.record(store, ring)

    def _tidy(self, store: RecordingLedger) -> None:
        self._clear.remove_strays()
        for call in store.mark_lost():
            log.error("recording.gap", extra={"call": call, "gap": "lost"})

    def _bring(self) -> None:
        """
        Bring what was sealed to the bucket, and remove what is gone: no sealing waits for it.
        """
        while not self._stop.is_set():
            try:
                with self._connected("agi_router brings recordings") as connection:
                    self._bring_all(RecordingLedger(Queries(connection)))
            except RecordingsUnusable as error:
                self._tell_away(error)
                self._stop.wait(_RETRY)
            except AgiRouterError:
                # Of the database, which who seals tells.
                self._stop.wait(_RETRY)
            except Exception as error:  # noqa: BLE001 - the process is to end with it
                self._broken = error
                self._stop.set()

    def _bring_all(self, store: RecordingLedger) -> None:
        looks = 0
        while not self._stop.is_set():
            self._bring_some(store, tidy=looks % _TIDY == 0)
            if self._away_at is not None:
                self._away_at = None
                if self._places.bucket is not None:
                    log.info("recordings.store_back")
            looks += 1
            self._stop.wait(_LOOK)

    def _bring_some(self, store: RecordingLedger, *, tidy: bool) -> None:
        """
        Remove what is gone, if asked, and bring what was sealed: neither keeps the other waiting.
        """
        failed = []
        for step in (self._places.tidy,) * tidy + (self._places.bring,):
            try:
                step(store)
            except RecordingsUnusable as error:
                failed.append(error)
        if failed:
            raise failed[0]

    def _tell_away(self, error: RecordingsUnusable) -> None:
        now = time.monotonic()
        if self._away_at is not None and now - self._away_at < _REMIND:
            return
        self._away_at = now
        if self._places.bucket is None:
            log.warning("recordings.unusable", extra={"error": str(error)})
        else:
            waiting = self._places.count_waiting()
            log.error("recordings.store_away", extra={"error": str(error), "waiting": waiting})

    def _seal_alone(self) -> None:
        """
        Seal what is over without the database, for which clear sound does not wait.
        """
        try:
            self._keeper.look_for_room()
            self._keeper.seal(lambda _: False)
        except RecordingsUnusable as error:
            log.warning("recordings.unusable", extra={"error": str(error)})

    @contextmanager
    def _store(self) -> Iterator[tuple[RecordingLedger, KeyRing]]:
        keys = self._keys.now()
        # By the name whoever rotates the keys sees which of them are known here.
        with self._connected(f"agi_router serve recordings {keys.digest}") as connection:
            ring = check_keys(connection, keys, remember=False)
            yield RecordingLedger(Queries(connection)), ring

    @contextmanager
    def _connected(self, name: str) -> Iterator[Connection]:
        dsn = self._settings.dsn
        with connect(dsn, timeout=_TIMEOUT, writable=True, name=name) as connection:
            check_schema(connection)
            check_rights(connection)
            yield connection
