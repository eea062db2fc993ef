"""
The end journal: a directory where Asterisk leaves one line per ended call.

Asterisk appends to the file ``ends``. To read it, it is renamed first, and read on the next visit:
by then nobody writes to it any more (a line is opened, written and closed in one go). A file is
deleted when all its lines are settled, so whoever dies in between only makes lines be told twice.
Several routers may share a directory: renaming has one winner, who settles; what it leaves is
taken by the others after a while, and settling is idempotent.
"""

import contextlib
import itertools
import logging
import math
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agi_router.calls import End, dials_a_pattern, parse_end
from agi_router.errors import ProtocolError

__all__ = ["Backlog", "EndJournal"]

log = logging.getLogger(__name__)

# Lines read at a time: a millisecond or two of work. What more take in memory, for a moment, the
# process keeps: 500 of them 1.1 MB.
_BATCH = 100


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
        self._directory = directory
        self._current = directory / "ends"
        self._unreadable: dict[Path, list[str]] = {}
        # No process id: in containers each router may have the same.
        self._owner = secrets.token_hex(8)

    def claimed(self, *, others_after: float = 0.0) -> list[Path]:
        """
        Files that were renamed before and wait to be settled, oldest first.

        Args:
            others_after: Seconds for which a file that another router has claimed is left to it.
        """
        return sorted(
            file
            for file in self._directory.glob("ends.*.claimed")
            if self._owner in file.name or self.age(file) >= others_after
        )

    def claim(self) -> bool:
        """
        Rename the file that Asterisk writes to, if there is one.

        Returns:
            Whether there was one.
        """
        try:
            self._current.rename(
                self._directory / f"ends.{time.time_ns():020}.{self._owner}.claimed"
            )
        except FileNotFoundError:
            return False
        return True

    def age(self, file: Path) -> float:
        """
        Seconds since *file* was claimed, by whomever; never negative.
        """
        try:
            return max(0.0, time.time() - file.stat().st_ctime)
        except FileNotFoundError:
            return math.inf

    def read(self, file: Path) -> Iterator[list[End]]:
        """
        The ends in a claimed file, some at a time; none if another router has discarded it.

        After an outage a file may hold those of hours: they are never all in memory.
        """
        self._unreadable[file] = unreadable = []
        with (
            contextlib.suppress(FileNotFoundError),
            file.open(encoding="utf-8", errors="replace") as lines,
        ):
            while texts := list(itertools.islice(lines, _BATCH)):
                ends = []
                for text in texts:
                    line = text.rstrip("\n")
                    try:
                        ends.append(parse_end(line))
                    except ProtocolError:
                        # What any caller can bring about must not fill the disk, nor call people.
                        if not dials_a_pattern(line):
                            unreadable.append(line)
                yield ends

    def backlog(self) -> Backlog:
        """
        What waits to be settled.
        """
        size, oldest = 0, math.inf
        for file in (*self.claimed(), self._current):
            with contextlib.suppress(FileNotFoundError):
                status = file.stat()
                size += status.st_size
                oldest = min(oldest, status.st_ctime)
        return Backlog(size=size, age=max(0.0, time.time() - oldest) if size else 0.0)

    def discard(self, file: Path) -> None:
        """
        Delete a claimed file whose ends are settled.

        Lines that could not be read are kept in ``ends.unreadable``.
        """
        unreadable = self._unreadable.pop(file, [])
        if unreadable:
            log.error("journal.unreadable", extra={"lines": len(unreadable)})
            with (self._directory / "ends.unreadable").open("a", encoding="utf-8") as kept:
                kept.writelines(f"{line}\n" for line in unreadable)
        file.unlink(missing_ok=True)
