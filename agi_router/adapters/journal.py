"""
The end journal: a directory where Asterisk leaves one line per ended call.

Asterisk appends to the file ``ends``. To read it, it is renamed first, and read on the next visit:
by then nobody writes to it any more (a line is opened, written and closed in one go). A file is
deleted when all its lines are settled, so whoever dies in between only makes lines be told twice.
Several routers may share a directory: renaming has one winner, who settles; what it leaves is
taken by the others after a while, and settling is idempotent.
"""

import logging
import math
import secrets
import time
from pathlib import Path

from agi_router.calls import End, parse_end
from agi_router.errors import ProtocolError

__all__ = ["EndJournal"]

log = logging.getLogger(__name__)


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

    def read(self, file: Path) -> list[End]:
        """
        The ends in a claimed file; none if another router has discarded it meanwhile.
        """
        ends, unreadable = [], []
        for line in self._lines(file):
            try:
                ends.append(parse_end(line))
            except ProtocolError:
                unreadable.append(line)
        self._unreadable[file] = unreadable
        return ends

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

    def _lines(self, file: Path) -> list[str]:
        try:
            return file.read_text("utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
