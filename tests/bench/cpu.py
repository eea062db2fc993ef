"""
CPU time of whole servers, from /proc.

A server is a process and all its descendants; those that have ended count too, because their time
goes to whoever waited for them. Threads, also those that have ended, are in a process's own time.
"""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

__all__ = ["Processes", "Taken", "favour"]

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


@dataclass(frozen=True, slots=True)
class Taken:
    """
    What the threads of one process have taken, of those that are there.

    Attributes:
        cpu: Nanoseconds of CPU.
        wakeups: Voluntary context switches: how often a thread slept and was woken.
    """

    cpu: int
    wakeups: int

    @classmethod
    def by(cls, pid: int) -> Self:
        """What a process has taken up to now; far finer than ticks."""
        cpu = wakeups = 0
        for task in Path(f"/proc/{pid}/task").iterdir():
            try:
                cpu += int((task / "schedstat").read_text("ascii").split()[0])
                status = (task / "status").read_text("ascii", "replace")
            except (FileNotFoundError, ProcessLookupError):
                continue
            found = re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)
            wakeups += int(found[1]) if found else 0
        return cls(cpu, wakeups)

    def __sub__(self, before: "Taken") -> "Taken":
        return Taken(self.cpu - before.cpu, self.wakeups - before.wakeups)


def favour(*processes: int) -> None:
    """
    Let processes, and those that they begin, have a core whenever they want one, if we may.

    What else runs on the machine then takes no core from what is measured.
    """
    for pid in processes:
        with suppress(PermissionError):
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
