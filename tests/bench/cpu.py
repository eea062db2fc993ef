"""
CPU time of whole servers, from /proc.

A server is a process and all its descendants; those that have ended count too, because their time
goes to whoever waited for them. Threads, also those that have ended, are in a process's own time.
"""

import os
from collections.abc import Collection
from pathlib import Path

__all__ = ["Processes"]

_TICK = os.sysconf("SC_CLK_TCK")


class Processes:
    """All processes of this machine at one moment."""

    def __init__(self) -> None:
        self._ticks: dict[int, int] = {}
        self._children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                text = (entry / "stat").read_text("utf-8", "replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            # The name, in parentheses, may hold anything; fields are counted behind it.
            fields = text.rpartition(")")[2].split()
            pid = int(entry.name)
            # utime, stime, cutime, cstime
            self._ticks[pid] = sum(map(int, fields[11:15]))
            self._children.setdefault(int(fields[1]), []).append(pid)

    def cpu(self, root: int, *, but: Collection[int] = ()) -> float:
        """CPU seconds of the process *root* and its descendants, without those in *but*."""
        ticks = 0
        left = [root]
        while left:
            pid = left.pop()
            if pid not in but:
                ticks += self._ticks[pid]
            left += self._children.get(pid, ())
        return ticks / _TICK
