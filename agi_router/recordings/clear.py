"""
The directory of calls as they are recorded: in memory, and no longer than they go on.

Asterisk writes there, and nobody else: ``NAME.call`` says which call it is, ``NAME-caller.alaw``
and ``NAME-callee.alaw`` are what each has said, ``NAME.end`` says that these are whole. Asterisk
gets nothing from it: what lies there is opened as another account's.
"""

import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agi_router.errors import RecordingsUnusable
from agi_router.files import UnfitFile, open_directory, open_foreign
from agi_router.recordings.model import is_name

__all__ = ["CALLEE", "CALLER", "ClearDirectory", "Found", "is_in_memory", "judge_directory"]

CALLER: Final = "-caller.alaw"
"""What the caller has said, behind the name."""

CALLEE: Final = "-callee.alaw"
"""What the callee has said."""

log = logging.getLogger(__name__)

_CALL: Final = ".call"
_END: Final = ".end"
# The note goes last: as long as it is there, the rest is looked for.
_PARTS: Final = (CALLER, CALLEE, _END, _CALL)
_NOTE_LONGEST: Final = 4096
_SHARED: Final = 0o3770
# Seconds after which what no note belongs to is removed.
_STRAY: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """
    What lies there of a call.

    Attributes:
        name: By which.
        note: What is noted of it; empty where there was no room.
        over: Whether Asterisk has said that it is whole.
        over_at: When it said so, in seconds since 1970; :obj:`None` where there was no room.
        samples: Of the longer track.
        touched_at: When anything of it was written last, in seconds since 1970.
    """

    name: str
    note: str
    over: bool
    over_at: int | None
    samples: int
    touched_at: float


class ClearDirectory:
    """
    Calls as they are recorded.

    Args:
        path: The directory that the dialplan's ``AGI_ROUTER_RECORDINGS`` names.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """Where it lies."""
        self._unfit: set[str] = set()

    def check(self) -> None:
        """
        Make sure that it can be used as it is meant.

        Raises:
            RecordingsUnusable: It is not there, is not in memory, or is open to others.
        """
        for fault in judge_directory(self.path):
            raise RecordingsUnusable(f"{self.path} {fault}")

    def room(self) -> tuple[int, int]:
        """
        Octets that are free there, and that there are in all.

        Raises:
            RecordingsUnusable: It cannot be looked at.
        """
        with self._in_words():
            found = os.statvfs(self.path)
            return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize

    def found(self) -> list[Found]:
        """
        All that lies there, oldest first; what is not as Asterisk writes it is told, once.

        Raises:
            RecordingsUnusable: It cannot be read.
        """
        with self._in_words(), open_directory(self.path) as directory:
            listed = os.listdir(directory)  # noqa: PTH208 - by its descriptor
            names = {each.removesuffix(_CALL) for each in listed if each.endswith(_CALL)}
            looked_at = [self._looked(directory, name) for name in names if is_name(name)]
        return sorted(
            (each for each in looked_at if each is not None), key=lambda each: each.touched_at
        )

    def remove_strays(self) -> None:
        """
        Remove what no note belongs to: Asterisk says late that a call is whole.

        Raises:
            RecordingsUnusable: It cannot be read.
        """
        with self._in_words(), open_directory(self.path) as directory:
            listed = {*os.listdir(directory)}  # noqa: PTH208 - by its descriptor
            for file in listed:
                name = next((file.removesuffix(e) for e in _PARTS if file.endswith(e)), "")
                if not is_name(name) or name + _CALL in listed:
                    continue
                status = os.stat(file, dir_fd=directory, follow_symlinks=False)
                if time.time() - status.st_mtime > _STRAY:
                    os.unlink(file, dir_fd=directory)

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[tuple[int, int]]:
        """
        Both tracks, open to be read; what is not there is empty.

        Raises:
            OSError: They cannot be read.
            UnfitFile: One is a link, or no regular file.
        """
        with open_directory(self.path) as directory, contextlib.ExitStack() as stack:
            tracks = []
            for part in (CALLER, CALLEE):
                try:
                    track = open_foreign(name + part, directory, writer=None)
                except FileNotFoundError:
                    track = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, track)
                tracks.append(track)
            yield tracks[0], tracks[1]

    def remove(self, name: str) -> None:
        """
        Remove all of a call.

        Raises:
            RecordingsUnusable: It cannot be removed.
        """
        with self._in_words(), open_directory(self.path) as directory:
            for part in _PARTS:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name + part, dir_fd=directory)

    def tell_unfit(self, name: str, error: Exception) -> None:
        """
        Tell that what lies there of a call cannot be read; once of each.
        """
        if name not in self._unfit:
            self._unfit.add(name)
            why = error.strerror if isinstance(error, OSError) else str(error)
            log.error("recording.unreadable", extra={"recording": name, "why": why})

    def _looked(self, directory: int, name: str) -> Found | None:
        try:
            return _look(directory, name)
        except (UnfitFile, OSError) as error:
            self.tell_unfit(name, error)
        return None

    @contextlib.contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RecordingsUnusable(f"{self.path} cannot be used: {error.strerror}") from error


def is_in_memory(path: Path) -> bool:
    """
    Whether a directory lies in a file system that is memory (tmpfs, ramfs).

    Raises:
        OSError: It cannot be looked at.
    """
    device = path.stat().st_dev
    with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="replace") as mounts:
        for line in mounts:
            left, _, right = line.partition(" - ")
            major, _, minor = left.split()[2].partition(":")
            if os.makedev(int(major), int(minor)) == device:
                return right.split()[0] in {"tmpfs", "ramfs"}
    return False


def judge_directory(path: Path) -> Iterator[str]:
    """
    What is wrong with the directory of calls as they are recorded, to stand behind its name.
    """
    try:
        status = path.lstat()
        in_memory = is_in_memory(path)
    except OSError as error:
        yield f"cannot be looked at: {error.strerror}"
        return
    if not stat.S_ISDIR(status.st_mode):
        yield "is no directory"
        return
    if not in_memory:
        yield "is not in memory: mount a tmpfs there, or clear sound would lie on a disk"
    if os.geteuid() not in {0, status.st_uid}:
        yield f"belongs to the account {status.st_uid}: give it to the one that keeps recordings"
    if stat.S_IMODE(status.st_mode) != _SHARED:
        yield (
            f"has mode {stat.S_IMODE(status.st_mode):04o}, wanted {_SHARED:04o}, with Asterisk's"
            " group: others could read calls, or Asterisk cannot write them"
        )


def _look(directory: int, name: str) -> Found | None:
    """
    What lies there under a name; :obj:`None`: it has just been removed.
    """
    note = _read(directory, name + _CALL)
    if note is None:
        return None
    end = _read(directory, name + _END)
    samples, touched = [0], [note[1]]
    for part in (CALLER, CALLEE):
        with contextlib.suppress(FileNotFoundError):
            track = os.stat(name + part, dir_fd=directory, follow_symlinks=False)
            samples.append(track.st_size)
            touched.append(track.st_mtime)
    return Found(
        name=name,
        note=note[0],
        over=end is not None,
        over_at=int(end[0]) if end is not None and end[0].strip().isdecimal() else None,
        samples=max(samples),
        touched_at=max(touched),
    )


def _read(directory: int, name: str) -> tuple[str, float] | None:
    """
    What a small file says, and when it was written.
    """
    try:
        file = open_foreign(name, directory, writer=None)
    except FileNotFoundError:
        return None
    try:
        text = os.read(file, _NOTE_LONGEST).decode("ascii", errors="replace")
        return text, os.fstat(file).st_mtime
    finally:
        os.close(file)
