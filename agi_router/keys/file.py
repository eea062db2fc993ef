"""
The key file: reads and writes a key ring on disk, for its owner only.

Whoever reads this file can open every number in the database: a file that others may read is
refused, but for a credential of systemd, in whose directory nobody else comes. A new ring never
takes the place of another by accident: that is a function of its own.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from agi_router.errors import KeyRingError
from agi_router.files import UnfitFile, read_private, written_whole
from agi_router.keys.ring import Cipher, KeyRing

__all__ = ["load_key_ring", "replace_key_ring", "write_key_ring"]

_LARGEST = 65536
_HEAD = (
    "# Keys of agi_router. Keep a copy in a safe place, outside the database's\n"
    "# backups: without them no number in the database can be read.\n"
)


def load_key_ring(path: Path, *, cipher: Cipher = Cipher.AES_256_GCM) -> KeyRing:
    """
    Read the key ring in *path*, which is to seal by *cipher*.

    Raises:
        KeyRingError: No such file, not readable, readable by others, or malformed; the message
            says what to do and shows no key.
    """
    name = shlex.quote(str(path))
    try:
        content = read_private(path, largest=_LARGEST)
    except FileNotFoundError:
        raise KeyRingError(
            f"there is no key file {name}: run 'agi-router key new', or name the right file"
        ) from None
    except UnfitFile as exc:
        raise KeyRingError(f"key file {name} {exc}") from None
    except (OSError, ValueError) as exc:
        raise KeyRingError(f"key file {name} cannot be read: {_why(exc)}") from exc
    try:
        # With or without a byte order mark.
        return KeyRing.parse(content.decode("utf-8-sig"), cipher=cipher)
    except UnicodeDecodeError:
        raise KeyRingError(f"key file {name} is not text") from None
    except KeyRingError as exc:
        raise KeyRingError(f"key file {name}: {exc}") from None


def write_key_ring(path: Path, ring: KeyRing) -> None:
    """
    Write *ring* to the new file *path*, mode 0600, and see it on disk.

    Raises:
        KeyRingError: The file exists, or cannot be written; then none is left behind.
    """
    name = shlex.quote(str(path))
    try:
        with written_whole(path) as file:
            file.write(_HEAD + ring.to_text())
    except FileExistsError:
        raise KeyRingError(
            f"{name} exists and is left as it is: without its keys no number sealed with them"
            " can be read; choose another file"
        ) from None
    except (OSError, ValueError) as exc:
        raise KeyRingError(f"key file {name} cannot be written: {_why(exc)}") from exc


def replace_key_ring(path: Path, ring: KeyRing) -> None:
    """
    Put *ring* in the place of the key file *path*: whoever reads finds the old one or the new one.

    Mode and owner stay: a router of another account must be able to read what root has rotated. A
    link is followed, and stays.

    Raises:
        KeyRingError: There is no such file, or it cannot be replaced; then it is as it was.
    """
    name = shlex.quote(str(path))
    try:
        real = path.resolve(strict=True)
        with written_whole(real, replace=True, as_it_was=True) as file:
            file.write(_HEAD + ring.to_text())
    except (OSError, ValueError) as exc:
        raise KeyRingError(f"key file {name} cannot be replaced: {_why(exc)}") from exc


def _why(exc: OSError | ValueError) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
