"""
The end journal: a directory where Asterisk leaves one line per ended call.

Asterisk appends to the file ``ends``. To read it, it is renamed first, and read on the next visit:
by then nobody writes to it any more (a line is opened, written and closed in one go). A file is
deleted when all its lines are settled, so whoever dies in between only makes lines be told twice.
Several routers may share a directory: renaming has one winner, and settling is idempotent.
"""

import logging
import os
import time
from collections.abc import Iterator
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

    def claimed(self) -> list[Path]:
        """
        Files that were renamed before and wait to be settled, oldest first.
        """
        return sorted(self._directory.glob("ends.*.claimed"))

    def claim(self) -> bool:
        """
        Rename the file that Asterisk writes to, if there is one.

        Returns:
            Whether there was one.
        """
        try:
            self._current.rename(
                self._directory / f"ends.{time.time_ns():020}.{os.getpid()}.claimed"
            )
        except FileNotFoundError:
            return False
        return True

    def read(self, file: Path) -> list[End]:
        """
        The ends in a claimed file. Lines that cannot be read are kept in ``ends.unreadable``.
        """
        return list(self._parse(file.read_text("utf-8", errors="replace")))

    def discard(self, file: Path) -> None:
        """
        Delete a claimed file, all of whose lines are settled.
        """
        file.unlink(missing_ok=True)

    def _parse(self, text: str) -> Iterator[End]:
        for line in text.splitlines():
            try:
                yield parse_end(line)
            except ProtocolError as error:
                log.warning("journal.unreadable", extra={"error": str(error)})
                with (self._directory / "ends.unreadable").open("a", encoding="utf-8") as kept:
                    kept.write(f"{line}\n")
