"""
What of a day was handed over already, so that a correction tells what came late and nothing else.

A ledger is a file of eight octets for each record, in the order of the records: a hash of what it
says, with numbers masked. The next export of the day goes through the records in the same order,
beside the ledger: whatever is not found there has come late, or has changed.
"""

import hashlib
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["Ledger", "LedgerWriter", "marks_of"]

_MARK: Final = 8
# Of records that are gone from the database so many may follow each other.
_AHEAD: Final = 65536


def marks_of(lines: Sequence[bytes]) -> list[bytes]:
    """
    What stands for some records in a ledger.
    """
    return [hashlib.blake2b(line, digest_size=_MARK).digest() for line in lines]


class LedgerWriter:
    """
    Writes a ledger; a context manager.

    Args:
        path: The file.
        length: Octets of it that are kept; what a killed export has written behind is not.
    """

    def __init__(self, path: Path, *, length: int = 0) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.ftruncate(self._fd, length)
        os.lseek(self._fd, 0, os.SEEK_END)
        self.length = length

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def add(self, marks: Sequence[bytes]) -> None:
        """
        Add some records.
        """
        rest = memoryview(b"".join(marks))
        self.length += len(rest)
        while rest:
            rest = rest[os.write(self._fd, rest) :]

    def sync(self) -> None:
        """
        See it on disk.
        """
        os.fsync(self._fd)


class Ledger:
    """
    A ledger that is gone along; a context manager.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            # An empty file cannot be mapped.
            empty = os.fstat(file.fileno()).st_size == 0
            self._marks = None if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._at = 0
        self._missed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        if self._marks is not None:
            self._marks.close()

    def knows(self, mark: bytes) -> bool:
        """
        Whether the next record is in it. Records come in their order.
        """
        if self._marks is None:
            return False
        if self._marks[self._at : self._at + _MARK] == mark:
            self._at += _MARK
            self._missed = 0
            return True
        # Each that was missed may stand for one that has changed.
        end = self._at + (self._missed + _AHEAD) * _MARK
        found = self._marks.find(mark, self._at, end)
        while found >= 0 and found % _MARK:
            found = self._marks.find(mark, found + 1, end)
        if found < 0:
            self._missed += 1
            return False
        self._at = found + _MARK
        self._missed = 0
        return True
