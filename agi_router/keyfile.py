"""
The key file: reads and writes a key ring on disk, for its owner only.

Whoever reads this file can open every number in the database: a file that others may read is
refused, and one that exists is never overwritten.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

from agi_router.errors import KeyRingError
from agi_router.seal import KeyRing

__all__ = ["load_key_ring", "write_key_ring"]

_LARGEST = 65536


def load_key_ring(path: Path) -> KeyRing:
    """
    Read the key ring in *path*.

    Raises:
        KeyRingError: No such file, not readable, readable by others, or malformed; the message
            says what to do and shows no key.
    """
    name = shlex.quote(str(path))
    try:
        # Not blocking: a named pipe must be refused and not waited for.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyRingError(
            f"there is no key file {name}: run 'agi-router key new', or name the right file"
        ) from None
    except (OSError, ValueError) as exc:
        raise KeyRingError(f"key file {name} cannot be read: {_why(exc)}") from exc
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise KeyRingError(f"key file {name} is not a regular file")
        if status.st_mode & 0o077:
            raise KeyRingError(
                f"key file {name} is open to others (mode {stat.S_IMODE(status.st_mode):04o}):"
                f" run 'chmod 600 {name}'"
            )
        content = os.read(fd, _LARGEST + 1)
    except OSError as exc:
        raise KeyRingError(f"key file {name} cannot be read: {_why(exc)}") from exc
    finally:
        os.close(fd)
    if len(content) > _LARGEST:
        raise KeyRingError(f"key file {name} is too large for a key ring")
    try:
        return KeyRing.parse(content.decode("utf-8"))
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
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise KeyRingError(
            f"{name} exists and is left as it is: without its keys no number sealed with them"
            " can be read; choose another file"
        ) from None
    except (OSError, ValueError) as exc:
        raise KeyRingError(f"key file {name} cannot be written: {_why(exc)}") from exc
    try:
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(
                "# Keys of agi_router. Keep a copy in a safe place, outside the database's\n"
                "# backups: without them no number in the database can be read.\n"
            )
            file.write(ring.to_text())
            file.flush()
            os.fsync(fd)
        directory = os.open(Path(path).absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as exc:
        Path(path).unlink(missing_ok=True)
        raise KeyRingError(f"key file {name} cannot be written: {_why(exc)}") from exc


def _why(exc: OSError | ValueError) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
