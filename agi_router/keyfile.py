"""
The key file: reads and writes a key ring on disk, for its owner only.

Whoever reads this file can open every number in the database: a file that others may read is
refused, but for a credential of systemd, in whose directory nobody else comes. A new ring never
takes the place of another by accident: that is a function of its own.
"""

from __future__ import annotations

import os
import shlex
import stat
import tempfile
from pathlib import Path

from agi_router.errors import KeyRingError
from agi_router.seal import Cipher, KeyRing

__all__ = ["load_key_ring", "replace_key_ring", "write_key_ring"]

_LARGEST = 65536


def load_key_ring(path: Path, *, cipher: Cipher = Cipher.AES_256_GCM) -> KeyRing:
    """
    Read the key ring in *path*, which is to seal by *cipher*.

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
        if status.st_mode & _others_may(path):
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
        return KeyRing.parse(content.decode("utf-8"), cipher=cipher)
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
        _write(fd, ring)
        _sync_directory(path)
    except OSError as exc:
        Path(path).unlink(missing_ok=True)
        raise KeyRingError(f"key file {name} cannot be written: {_why(exc)}") from exc


def replace_key_ring(path: Path, ring: KeyRing) -> None:
    """
    Put *ring* in the place of the key file *path*: whoever reads finds the old one or the new one.

    Mode and owner stay. A link is followed, and stays.

    Raises:
        KeyRingError: There is no such file, or it cannot be replaced; then it is as it was.
    """
    name = shlex.quote(str(path))
    try:
        real = Path(path).resolve(strict=True)
        status = real.stat()
        fd, new = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
        try:
            # A router of another account must be able to read what root has rotated.
            os.fchown(fd, status.st_uid, status.st_gid)
            os.fchmod(fd, stat.S_IMODE(status.st_mode) & 0o700)
            _write(fd, ring)
            Path(new).replace(real)
        except BaseException:
            Path(new).unlink(missing_ok=True)
            raise
        _sync_directory(real)
    except OSError as exc:
        raise KeyRingError(f"key file {name} cannot be replaced: {_why(exc)}") from exc


def _others_may(path: Path) -> int:
    """
    The bits that the mode of *path* may not have.

    From systemd 254 on a credential's mode reads 0440: its owner is root, and the group's bits
    stand for the service's user, whom an ACL lets read (systemd.exec(5), CREDENTIALS_DIRECTORY).
    """
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    if credentials and Path(path).absolute().parent == Path(credentials):
        return 0o037
    return 0o077


def _write(fd: int, ring: KeyRing) -> None:
    """
    Write *ring* to a file, see it on disk, and close it.
    """
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(
            "# Keys of agi_router. Keep a copy in a safe place, outside the database's\n"
            "# backups: without them no number in the database can be read.\n"
        )
        file.write(ring.to_text())
        file.flush()
        os.fsync(fd)


def _sync_directory(path: Path) -> None:
    directory = os.open(Path(path).absolute().parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _why(exc: OSError | ValueError) -> str:
    return (exc.strerror if isinstance(exc, OSError) else None) or str(exc)
