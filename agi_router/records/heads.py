"""
The file of signed heads, and the files of the keys that sign them and look at them.

Rules for the editor:

1. The file only grows, by whole lines, each seen on disk before anybody is told of it.
2. A line that was cut by a crash is no head: it ends without a line end, and the next one that is
   written takes its place.
3. One process writes at a time, and holds the file from the look at it until the line is written.
"""

import fcntl
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from agi_router.errors import AuditFileInvalid
from agi_router.files import UnfitFile, read_private, written_whole
from agi_router.records.chain import Head, SigningKey, VerifyingKey

__all__ = [
    "HeadsFile",
    "open_heads",
    "read_heads",
    "read_signing_key",
    "read_verifying_key",
    "write_keys",
]

_LARGEST_KEY: Final = 4096
_NO_KEY: Final = "is not there: run 'agi-router audit new-key', or name another file"
_NO_PUBLIC_KEY: Final = (
    "is not there: 'agi-router audit new-key' made it beside the signing key; name a copy of it"
)


class HeadsFile:
    """
    The heads of a file that is held for writing.

    Args:
        fd: The file, open for reading and appending, and locked.
        name: Its name, for messages.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name
        content = _content(fd)
        whole = content[: content.rfind(b"\n") + 1]
        self._length = len(whole)
        self._heads = _parse(whole, name)

    @property
    def last(self) -> Head | None:
        """
        The head that was signed last.
        """
        return self._heads[-1] if self._heads else None

    def append(self, head: Head) -> None:
        """
        Add a head, and see it on disk.

        Raises:
            AuditFileInvalid: It cannot be written.
        """
        line = f"{head.to_line()}\n".encode("ascii")
        try:
            os.ftruncate(self._fd, self._length)
            written = os.write(self._fd, line)
            os.fsync(self._fd)
        except OSError as error:
            raise _unfit(self._name, f"cannot be written: {error.strerror}") from error
        if written != len(line):
            raise _unfit(self._name, "cannot be written: the disk is full")
        self._length += written
        self._heads.append(head)


@contextmanager
def open_heads(path: Path) -> Iterator[HeadsFile]:
    """
    Hold the file of heads for writing; it is made if there is none.

    Raises:
        AuditFileInvalid: It cannot be read or written.
    """
    name = shlex.quote(str(path))
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o644)
    except OSError as error:
        raise _unfit(name, f"cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield HeadsFile(fd, name)
    finally:
        os.close(fd)


def read_heads(path: Path) -> list[Head]:
    """
    The heads of a file, in the order in which they were written.

    Raises:
        AuditFileInvalid: It cannot be read, or a line of it is no head.
    """
    name = shlex.quote(str(path))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unfit(name, f"cannot be read: {error.strerror}") from error
    return _parse(content[: content.rfind(b"\n") + 1], name)


def read_signing_key(path: Path) -> SigningKey:
    """
    Read the private key, which its owner alone may read.

    Raises:
        AuditFileInvalid: There is none, or others may read it.
    """
    name = shlex.quote(str(path))
    try:
        return SigningKey.parse(read_private(path, largest=_LARGEST_KEY))
    except FileNotFoundError:
        raise _unfit(name, _NO_KEY) from None
    except OSError as error:
        raise _unfit(name, f"cannot be read: {error.strerror}") from error
    except (UnfitFile, ValueError) as error:
        raise _unfit(name, str(error)) from error


def read_verifying_key(path: Path) -> VerifyingKey:
    """
    Read a public key.

    Raises:
        AuditFileInvalid: There is none.
    """
    name = shlex.quote(str(path))
    try:
        return VerifyingKey.parse(path.read_bytes())
    except FileNotFoundError:
        raise _unfit(name, _NO_PUBLIC_KEY) from None
    except OSError as error:
        raise _unfit(name, f"cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise _unfit(name, str(error)) from error


def write_keys(path: Path, key: SigningKey) -> Path:
    """
    Write a private key to a new file, mode 0600, and its partner beside it.

    Returns:
        The file of the public key: the same name with ``.pub`` behind it.

    Raises:
        AuditFileInvalid: One of them is there already, or cannot be written.
    """
    public = path.with_name(f"{path.name}.pub")
    for file, content in ((public, key.partner.to_pem()), (path, key.to_pem())):
        name = shlex.quote(str(file))
        try:
            with written_whole(file) as stream:
                stream.write(content)
        except FileExistsError:
            raise _unfit(name, "exists and is left as it is: choose another file") from None
        except FileNotFoundError:
            folder = shlex.quote(str(file.parent))
            raise _unfit(
                name, f"cannot be written: make {folder} first, for its account"
            ) from None
        except (OSError, ValueError) as error:
            raise _unfit(name, f"cannot be written: {error}") from error
    return public


def _content(fd: int) -> bytes:
    content = bytearray()
    while chunk := os.pread(fd, 1 << 16, len(content)):
        content += chunk
    return bytes(content)


def _parse(content: bytes, name: str) -> list[Head]:
    heads = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            heads.append(Head.parse(line.decode("ascii")))
        except ValueError:
            raise _unfit(name, f"is no file of heads: line {number} is none") from None
    return heads


def _unfit(name: str, why: str) -> AuditFileInvalid:
    return AuditFileInvalid(f"{name} {why}")
