"""
Where sealed recordings are kept: files whose names say nothing, each under a key of its own.

``new/`` holds what was sealed and is not on record yet, a file and what is to be noted of it; it
counts from the moment that the note is there. Else a file lies in a folder by the first letters of
its name. The key of a file is not beside it: it stands on record, sealed.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

from agi_router.errors import AgiRouterError, RecordingDamaged, RecordingsUnusable
from agi_router.files import sync_directory, written_whole
from agi_router.keys.ring import KeyRing
from agi_router.keys.segments import FileCipher, SegmentSealer, open_segments
from agi_router.numbers import XNumber
from agi_router.recordings.model import Gap, Kept, Note, RecordingState, is_name

__all__ = [
    "SealedSound",
    "Vault",
    "checked",
    "key_sealed_for",
    "new_key",
    "new_vault_name",
    "open_key",
    "opened_segments",
    "place_of",
    "renewed_key",
]

log = logging.getLogger(__name__)

_NEW: Final = "new"
_NOTE: Final = ".note"
_NAMED: Final = "name"
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_FOLDER: Final = 2
# Of what stays: sealed, for whoever reads it by the group. What is new is the keeper's alone.
_SHARED: Final = 0o640
_SHARED_DIRECTORY: Final = 0o750


class SealedSound(Protocol):
    """
    Where sealed recordings are heard from.
    """

    def read(self, name: str, cipher: FileCipher, key: bytes) -> Iterator[bytes]:
        """
        What a recording says, some at a time, each checked.

        Raises:
            RecordingDamaged: It is not there, or not as it was sealed.
        """
        ...


class Vault:
    """
    Sealed recordings in a directory.

    Args:
        path: The directory, of this account; its group may read what stays there.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """Where it lies."""
        self._unread: set[str] = set()
        self._claim: int | None = None

    def prepare(self) -> None:
        """
        Make what is missing of it.

        Raises:
            RecordingsUnusable: It cannot be written to.
        """
        with self._in_words():
            (self.path / _NEW).mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self.path / _NAMED).exists():
                with written_whole(self.path / _NAMED, replace=True) as file:
                    file.write(new_vault_name())
            if not os.access(self.path / _NEW, os.W_OK | os.X_OK):
                raise RecordingsUnusable(f"{self.path} is not this account's to write to")

    @property
    def name(self) -> str:
        """
        What the directory is called on record, wherever it is moved; of letters.

        Raises:
            RecordingsUnusable: It was not prepared.
        """
        with self._in_words():
            return (self.path / _NAMED).read_text("ascii")

    def claim(self) -> None:
        """
        Be the one that seals here, until the process ends; what another left half done goes.

        Its clear sound is still there, unless the machine lost its power.

        Raises:
            RecordingsUnusable: Another process keeps recordings here.
        """
        with self._in_words():
            self._claim = os.open(self.path / _NEW, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(self._claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RecordingsUnusable(
                    f"another process keeps recordings in {self.path}: one at a time does"
                ) from None
            for each in (self.path / _NEW).iterdir():
                if each.suffix != _NOTE and not each.with_name(each.name + _NOTE).exists():
                    each.unlink()

    def seal(
        self, name: str, clear: Iterable[bytes], cipher: FileCipher, key: bytes
    ) -> tuple[int, bytes]:
        """
        Seal a recording, and see it on disk; it counts once :meth:`note` has noted it.

        Args:
            name: Its name.
            clear: What it says, some at a time.
            cipher: By what.
            key: Under which; it seals nothing else.

        Returns:
            The octets of the sealed file, and its SHA-256.

        Raises:
            RecordingsUnusable: It cannot be written.
        """
        digest, octets = hashlib.sha256(), 0
        with self._in_words(), open(self._new(name), "wb", opener=_privately) as file:

            def write(sealed: bytes) -> None:
                nonlocal octets
                file.write(sealed)
                digest.update(sealed)
                octets += len(sealed)

            sealer = SegmentSealer(write, cipher, key, name.encode("ascii"))
            for some in clear:
                sealer.write(some)
            sealer.close()
            file.flush()
            os.fsync(file.fileno())
        return octets, digest.digest()

    def note(self, kept: Kept) -> None:
        """
        Note what is to be put on record; from now on the sealed file counts.

        Raises:
            RecordingsUnusable: It cannot be written.
        """
        with self._in_words(), written_whole(self._noted(kept.name), replace=True) as file:
            file.write(json.dumps(_to_json(kept)))

    def waiting(self) -> list[Kept]:
        """
        What is not on record yet; a note that is not as it was written is told, once.

        Raises:
            RecordingsUnusable: It cannot be read.
        """
        waiting = []
        with self._in_words():
            for each in sorted((self.path / _NEW).glob(f"[!.]*{_NOTE}")):
                text = each.read_bytes()
                try:
                    waiting.append(_from_json(json.loads(text)))
                except (AgiRouterError, KeyError, TypeError, ValueError):
                    self._tell_unread(each.stem)
        return waiting

    def is_noted(self, name: str) -> bool:
        """
        Whether a recording waits to be put on record.
        """
        return self._noted(name).exists()

    def put_away(self, name: str) -> None:
        """
        Bring a sealed file to where it stays; it may be there already.

        Raises:
            RecordingsUnusable: It cannot be.
        """
        with self._in_words():
            place = self._place(name)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            if self._new(name).exists():
                # Whatever the umask is: the HTTP door reads it there, as one of the group.
                place.parent.chmod(_SHARED_DIRECTORY)
                self._new(name).chmod(_SHARED)
                self._new(name).replace(place)
                sync_directory(place.parent)
                sync_directory(self.path)

    def forget_note(self, name: str) -> None:
        """
        It is on record.

        Raises:
            RecordingsUnusable: It cannot be.
        """
        with self._in_words():
            self._noted(name).unlink(missing_ok=True)

    def erase(self, name: str) -> None:
        """
        Remove a sealed file, if it is there.

        Raises:
            RecordingsUnusable: It cannot be.
        """
        with self._in_words():
            for place in (self._new(name), self._place(name)):
                place.unlink(missing_ok=True)

    def names(self) -> list[str]:
        """
        Those of the sealed files that lie where they stay.

        Raises:
            RecordingsUnusable: They cannot be listed.
        """
        with self._in_words():
            found = self.path.glob(f"{'[a-f]' * _FOLDER}/*")
            return sorted(each.name for each in found if is_name(each.name))

    def open(self, name: str) -> BinaryIO:
        """
        A sealed file where it stays, open to be read.

        Raises:
            OSError: It is not there, or cannot be.
        """
        return self._place(name).open("rb")

    def read(self, name: str, cipher: FileCipher, key: bytes) -> Iterator[bytes]:
        """
        What a recording says, some at a time, each checked.

        Raises:
            RecordingDamaged: It is not there, or not as it was sealed.
        """
        try:
            file = self.open(name)
        except OSError as error:
            raise RecordingDamaged(f"its file cannot be read: {error.strerror}") from error
        with file:
            yield from opened_segments(file.read, name, cipher, key)

    def _tell_unread(self, name: str) -> None:
        if name not in self._unread:
            self._unread.add(name)
            why = "the note of its sealed file is not as it was written"
            log.error("recording.unreadable", extra={"recording": name, "why": why})

    def _new(self, name: str) -> Path:
        return self.path / _NEW / checked(name)

    def _noted(self, name: str) -> Path:
        return self.path / _NEW / (checked(name) + _NOTE)

    def _place(self, name: str) -> Path:
        return self.path / place_of(checked(name))

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordingsUnusable(
                f"the sealed recordings in {self.path} cannot be used: {error.strerror}"
            ) from error


def new_key(keys: KeyRing, name: str, cipher: FileCipher) -> tuple[bytes, bytes]:
    """
    A key for one recording, and the same sealed for it.
    """
    key = secrets.token_bytes(cipher.key_length)
    return key, keys.seal_secret(base64.b64encode(key).decode("ascii"), key_sealed_for(name))


def open_key(keys: KeyRing, name: str, sealed: bytes) -> bytes:
    """
    The key of a recording.

    Raises:
        SealError: It does not open with these keys.
    """
    return base64.b64decode(keys.open_secret(sealed, key_sealed_for(name)))


def renewed_key(keys: KeyRing, name: str, sealed: bytes) -> bytes:
    """
    The key of a recording as it is sealed under the current seal key.

    Raises:
        SealError: It does not open with these keys.
    """
    return keys.renewed_secret(sealed, key_sealed_for(name))


def key_sealed_for(name: str) -> str:
    """
    What the key of a recording is sealed for.
    """
    return f"recording {name}"


def opened_segments(
    read: Callable[[int], bytes], name: str, cipher: FileCipher, key: bytes
) -> Iterator[bytes]:
    """
    What a sealed file says, some at a time, each checked.

    Args:
        read: Reads so many octets of it, fewer at its end alone.
        name: Its name.
        cipher: By what it is sealed.
        key: Under which.

    Raises:
        RecordingDamaged: It is not as it was sealed, or cannot be read.
    """
    try:
        yield from open_segments(read, cipher, key, name.encode("ascii"))
    except OSError as error:
        raise RecordingDamaged(f"its file cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RecordingDamaged(f"its file {error}") from None


def place_of(name: str) -> str:
    """
    Where a sealed file lies: a folder by the first letters of its name, and its name.
    """
    return f"{name[:_FOLDER]}/{name}"


def new_vault_name() -> str:
    """
    What a place of sealed files is called on record.
    """
    return "".join(secrets.choice(_LETTERS) for _ in range(16))


def checked(name: str) -> str:
    """
    A name of a recording, which is no way out of its directory.

    Raises:
        RecordingsUnusable: It is none.
    """
    if not is_name(name):
        raise RecordingsUnusable("a recording has a name of small letters, a to f")
    return name


def _privately(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _to_json(kept: Kept) -> dict[str, Any]:
    return {
        "name": kept.name,
        "call": kept.note.call_id,
        "day": kept.note.day.isoformat(),
        "x": str(kept.note.x_number),
        "begun": kept.note.begun_at_ms,
        "state": kept.state.value,
        "gap": kept.gap,
        "length_ms": kept.length_ms,
        "octets": kept.octets,
        "sha256": None if kept.sha256 is None else kept.sha256.hex(),
        "cipher": kept.cipher,
        "key": None if kept.sealed_key is None else kept.sealed_key.hex(),
    }


def _from_json(told: dict[str, Any]) -> Kept:
    return Kept(
        name=checked(told["name"]),
        note=Note(
            call_id=told["call"],
            day=date.fromisoformat(told["day"]),
            x_number=XNumber.parse(told["x"]),
            begun_at_ms=told["begun"],
            told=told["gap"] != Gap.NO_NOTICE,
        ),
        state=RecordingState(told["state"]),
        gap=None if told["gap"] is None else Gap(told["gap"]),
        length_ms=told["length_ms"],
        octets=told["octets"],
        sha256=None if told["sha256"] is None else bytes.fromhex(told["sha256"]),
        cipher=None if told["cipher"] is None else FileCipher(told["cipher"]),
        sealed_key=None if told["key"] is None else bytes.fromhex(told["key"]),
    )
