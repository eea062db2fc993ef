"""
The end journal: a directory where Asterisk leaves one line per ended call.

Where somebody wants to hear of it, another line before it says that the callee has answered.

Asterisk appends to the file ``ends``. To read it, the router moves it into ``claimed``, its own
directory, and reads it on the next run: by then nobody writes to it any more (a line is opened,
written and closed in one go). A file is deleted when all its lines are settled, so whoever dies in
between only makes lines be told twice. Several routers of one account may share a journal: moving
has one winner, who settles; what it leaves is taken by the others after a while, and settling is
idempotent.

Asterisk reads what callers send, so whoever takes it over must get nothing from the journal: no
link is followed, no pipe waited for, nothing read but plain files of the account that writes
there, and what is no line is kept where that account does not see it. See
:mod:`agi_router.files`. All of it blocks.
"""

import contextlib
import errno
import itertools
import logging
import math
import os
import secrets
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agi_router.calls.end import Answer, End, dials_a_pattern, parse_line
from agi_router.errors import JournalError, ProtocolError
from agi_router.files import (
    UnfitFile,
    open_directory,
    open_foreign,
    open_private_directory,
)
from agi_router.texts import shown

__all__ = ["Backlog", "EndJournal"]

log = logging.getLogger(__name__)

_ENDS: Final = "ends"
_CLAIMED: Final = "claimed"
_UNREADABLE: Final = "unreadable"
_REFUSED: Final = "refused"
_PROBE: Final = "probe"
# Seconds after which nobody waits for a probe any more, and names that are looked at for such.
_PROBE_LIFE: Final = 60.0
_LOOKED_AT: Final = 1000
# Bytes of a line: it has about 130.
_LONGEST: Final = 4096
# Bytes read at a time: some 120 lines, a millisecond or two of work. What more take in memory, for
# a moment, the process keeps: 500 lines 1.1 MB.
_PIECE: Final = 16_384
# The same where a line without an end is passed over.
_PASSED: Final = 1 << 20
# Bytes of unreadable lines that are kept for people, in memory and on disk.
_KEPT: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """
    The lines that are not settled.
    """

    size: int
    """Bytes; a line has about 130."""
    age: float
    """Seconds since the oldest file was last touched."""


class EndJournal:
    """
    The end journal in one directory.

    Args:
        directory: The one that the dialplan's ``AGI_ROUTER_JOURNAL`` names.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        """Where it lies."""
        self._ends = os.fspath(directory / _ENDS)
        self._unreadable: dict[str, _Unreadable] = {}
        # No process id: in containers each router may have the same.
        self._owner = secrets.token_hex(8)

    def prepare(self) -> None:
        """
        Make what is missing of its directories.

        Raises:
            JournalError: They cannot be used.
        """
        with self._in_words():
            # Asterisk comes by the group, and nobody else.
            self.directory.mkdir(mode=0o770, parents=True, exist_ok=True)
            with self._opened() as journal, _claimed(journal, make=True):
                if not os.access(".", os.W_OK | os.X_OK, dir_fd=journal):
                    raise PermissionError(errno.EACCES, "this account may not write to it")

    def claimed(self, *, others_after: float = 0.0) -> list[str]:
        """
        Files that were claimed before and wait to be settled, oldest first.

        Args:
            others_after: Seconds for which a file that another router has claimed is left to it.

        Raises:
            JournalError: The directory cannot be used.
        """
        with self._in_words(), self._opened() as journal:
            return sorted(
                name
                for name, age in self._waiting(journal)
                if self._owner in name or age >= others_after
            )

    def claim(self) -> bool:
        """
        Take the file that Asterisk writes to, if there is one.

        Returns:
            Whether there was one.

        Raises:
            JournalError: The directory cannot be used, or there is a directory of that name.
        """
        with self._in_words(), self._opened() as journal:
            try:
                status = os.stat(_ENDS, dir_fd=journal, follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    self._remove_directory(journal)
                    return False
                with _claimed(journal, make=True) as claimed:
                    name = f"{_ENDS}.{time.time_ns():020}.{self._owner}"
                    os.rename(_ENDS, name, src_dir_fd=journal, dst_dir_fd=claimed)
            except FileNotFoundError:
                return False
        return True

    def is_empty(self) -> bool:
        """
        Whether nothing has come, at a glance; says nothing of whether the directory can be used.
        """
        try:
            os.lstat(self._ends)
        except OSError:
            return True
        return False

    def age(self, name: str) -> float:
        """
        Seconds since a file was claimed, by whomever; never negative.

        Raises:
            JournalError: The directory cannot be used.
        """
        with self._in_words(), self._opened() as journal:
            return dict(self._waiting(journal)).get(name, math.inf)

    def read(self, name: str) -> Iterator[list[Answer | End]]:
        """
        The answers and ends in a claimed file, some at a time; none if it was discarded.

        After an outage a file may hold those of hours: they are never all in memory.

        Raises:
            JournalError: It cannot be read. What is no file of Asterisk's is kept as ``refused``
                in the directory of the claimed ones, in place of the one before.
        """
        unreadable = self._unreadable[name] = _Unreadable()
        with self._in_words():
            try:
                file = self._open(name)
            except FileNotFoundError:
                return
            try:
                for lines in _lines(file):
                    yield list(_read(lines, unreadable))
            finally:
                os.close(file)

    def set_aside(self, name: str, calls: frozenset[str]) -> None:
        """
        Keep the lines of these calls with those that cannot be read, when the file is discarded.

        Raises:
            JournalError: It cannot be read.
        """
        unreadable = self._unreadable.setdefault(name, _Unreadable())
        with self._in_words(), contextlib.suppress(FileNotFoundError):
            file = self._open(name)
            try:
                for lines in _lines(file):
                    for text in _of_calls(lines, calls):
                        unreadable.add(text)
            finally:
                os.close(file)

    def backlog(self) -> Backlog:
        """
        What waits to be settled.

        Raises:
            JournalError: The directory cannot be used.
        """
        found: list[os.stat_result] = []
        with self._in_words(), self._opened() as journal:
            with contextlib.suppress(FileNotFoundError):
                found.append(os.stat(_ENDS, dir_fd=journal, follow_symlinks=False))
            with contextlib.suppress(FileNotFoundError), _claimed(journal) as claimed:
                found += [status for _, status in _files(claimed)]
        size = sum(status.st_size for status in found)
        oldest = min((status.st_ctime for status in found), default=math.inf)
        return Backlog(size=size, age=max(0.0, time.time() - oldest) if size else 0.0)

    def take_probe(self, token: str) -> bool:
        """
        Whether the line is there that Asterisk was asked to leave under *token*; it is removed.

        Raises:
            JournalError: The directory cannot be used.
        """
        with self._in_words(), self._opened() as journal:
            _forget_probes(journal)
            try:
                file = open_foreign(f"{_PROBE}.{token}", journal, writer=self._writer(journal))
            except FileNotFoundError:
                return False
            try:
                came = os.read(file, len(token) + 2) == f"{token}\n".encode()
            finally:
                os.close(file)
            if came:
                os.unlink(f"{_PROBE}.{token}", dir_fd=journal)
            return came

    def discard(self, name: str) -> None:
        """
        Delete a claimed file whose ends are settled.

        Lines that could not be read are kept in ``unreadable`` in the directory of the claimed
        files, up to a limit.

        Raises:
            JournalError: The directory cannot be used.
        """
        unreadable = self._unreadable.pop(name, _Unreadable())
        with self._in_words(), self._opened() as journal, _claimed(journal) as claimed:
            if unreadable.count:
                kept = 0
                # The disk may be full: what is settled is settled all the same.
                with contextlib.suppress(OSError):
                    kept = _keep(claimed, unreadable.lines)
                log.error("journal.unreadable", extra={"lines": unreadable.count, "kept": kept})
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=claimed)

    def _waiting(self, journal: int) -> list[tuple[str, float]]:
        now = time.time()
        try:
            with _claimed(journal) as claimed:
                return [
                    (name, max(0.0, now - status.st_ctime)) for name, status in _files(claimed)
                ]
        except FileNotFoundError:
            return []

    def _open(self, name: str) -> int:
        with self._opened() as journal, _claimed(journal) as claimed:
            try:
                return open_foreign(name, claimed, writer=self._writer(journal))
            except UnfitFile as error:
                os.rename(name, _REFUSED, src_dir_fd=claimed, dst_dir_fd=claimed)
                raise UnfitFile(
                    f"{_ENDS} {error}; it is kept as {_CLAIMED}/{_REFUSED}, look who made it"
                ) from None

    @staticmethod
    def _writer(journal: int) -> int | None:
        """
        Whose files Asterisk's are, where that is known.

        A directory of the router or of root has writers by its group, any other by its owner.
        """
        owner = os.fstat(journal).st_uid
        ours = {0, os.geteuid()}
        # Root looks for the router.
        with contextlib.suppress(FileNotFoundError):
            ours.add(os.stat(_CLAIMED, dir_fd=journal, follow_symlinks=False).st_uid)
        return None if owner in ours else owner

    def _remove_directory(self, journal: int) -> None:
        try:
            os.rmdir(_ENDS, dir_fd=journal)
        except OSError:
            raise UnfitFile(f"{_ENDS} is a directory: remove it") from None
        log.error("journal.refused", extra={"what": "an empty directory"})

    @contextmanager
    def _opened(self) -> Iterator[int]:
        with open_directory(self.directory) as journal:
            yield journal

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except UnfitFile as error:
            raise JournalError(f"{self.directory}: {error}") from None
        except OSError as error:
            raise JournalError(f"{self.directory}: {error.strerror}") from None


class _Unreadable:
    """
    Lines of one file that could not be read.
    """

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[str] = []
        self._size = 0

    def add(self, line: str) -> None:
        """
        Count one, and keep it as long as there is room.
        """
        self.count += 1
        # People will look at it in a terminal, which is not to obey.
        line = shown(line)
        self._size += len(line) + 1
        if self._size <= _KEPT:
            self.lines.append(line)


def _claimed(journal: int, *, make: bool = False) -> AbstractContextManager[int]:
    return open_private_directory(_CLAIMED, journal, make=make)


def _files(claimed: int) -> Iterator[tuple[str, os.stat_result]]:
    for name in os.listdir(claimed):
        # Another router may be at it.
        with contextlib.suppress(FileNotFoundError):
            if name.startswith(f"{_ENDS}."):
                yield name, os.stat(name, dir_fd=claimed, follow_symlinks=False)


def _forget_probes(journal: int) -> None:
    """
    Remove what came too late for whoever has asked.
    """
    oldest = time.time() - _PROBE_LIFE
    with os.scandir(journal) as entries:
        for entry in itertools.islice(entries, _LOOKED_AT):
            if entry.name.startswith(f"{_PROBE}."):
                with contextlib.suppress(OSError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.name, dir_fd=journal)


def _lines(file: int) -> Iterator[list[bytes]]:
    """
    The lines of a file, some at a time, none longer than the limit: what is longer is cut.
    """
    at, rest, passing = 0, b"", False
    while piece := os.pread(file, _PASSED if passing else _PIECE, at):
        at += len(piece)
        *lines, rest = (rest + piece).split(b"\n")
        if passing and lines:
            # The end of the long one.
            del lines[0]
            passing = False
        if passing or len(rest) > _LONGEST:
            if not passing:
                lines.append(rest)
            rest, passing = b"", True
            at = _next_data(file, at)
        yield [line[:_LONGEST] for line in lines]
    if rest:
        yield [rest]


def _next_data(file: int, at: int) -> int:
    """
    Where something stands behind a hole, which may be of any size and take no disk.
    """
    try:
        return os.lseek(file, at, os.SEEK_DATA)
    except OSError:
        return os.lseek(file, 0, os.SEEK_END)


def _read(lines: list[bytes], unreadable: _Unreadable) -> Iterator[Answer | End]:
    for line in lines:
        text = line.decode("utf-8", errors="replace")
        try:
            yield parse_line(text)
        except ProtocolError:
            # What any caller can bring about must not fill the disk, nor call people.
            if not dials_a_pattern(text):
                unreadable.add(text)


def _of_calls(lines: list[bytes], calls: frozenset[str]) -> Iterator[str]:
    """
    Those of *lines* that are ends of *calls*.
    """
    for line in lines:
        text = line.decode("utf-8", errors="replace")
        with contextlib.suppress(ProtocolError):
            if parse_line(text).call_id in calls:
                yield text


def _keep(claimed: int, lines: Sequence[str]) -> int:
    """
    Add lines to those that are kept for people; returns how many there was room for.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(_UNREADABLE, flags, 0o600, dir_fd=claimed)
    with os.fdopen(file, "w", encoding="utf-8", newline="") as kept:
        room = _KEPT - os.fstat(file).st_size
        for number, line in enumerate(lines):
            room -= len(line.encode()) + 1
            if room < 0:
                return number
            kept.write(f"{line}\n")
    return len(lines)
