"""
The key ring of a program that runs for long: read again when its file has changed.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from agi_router.errors import KeyRingError
from agi_router.keys.ring import KeyRing

__all__ = ["KeysAtHand"]

log = logging.getLogger(__name__)

_LOOK = 1.0


class KeysAtHand:
    """
    The keys of a file as they are now.

    Args:
        file: The file; :obj:`None`: the keys are in the environment, and stay.
        load: Reads them.
        keys: As they were read at first.
    """

    def __init__(self, file: Path | None, load: Callable[[], KeyRing], keys: KeyRing) -> None:
        self._file = file
        self._load = load
        self._keys = keys
        self._seen = self._stamp()
        self._looked = time.monotonic()

    def now(self) -> KeyRing:
        """
        The keys; looks at the file once a second. One that is not in order is left alone.
        """
        if time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            found = self._stamp()
            if found not in {None, self._seen}:
                self._read(found)
        return self._keys

    def _read(self, found: tuple[int, int] | None) -> None:
        try:
            self._keys = self._load()
        except KeyRingError as error:
            log.warning("keys.unusable", extra={"error": str(error)})
            return
        self._seen = found
        log.info("keys.changed", extra={"keys": repr(self._keys)})

    def _stamp(self) -> tuple[int, int] | None:
        try:
            status = None if self._file is None else self._file.stat()
        except OSError:
            return None
        return status and (status.st_ino, status.st_mtime_ns)
