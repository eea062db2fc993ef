"""
The ground on which all of it stands: a network, a list of processes and mounts of its own.

Nothing of it can be in anybody's way, and whatever becomes of it: with its first process all
others are gone, and so is all that was mounted.
"""

import os
import signal
from pathlib import Path

from testpbx import processes
from testpbx.errors import PbxError
from testpbx.waiting import until

__all__ = ["Ground"]

_SPACES = ("--net", "--mount", "--pid")
# The first process: whoever has lost its parent is its child, and it buries them.
_FIRST = """
set -e
ip link set lo up
mount -t tmpfs -o mode=755 tmpfs "$1"
while :; do sleep 1d & wait; done
"""


class Ground:
    """
    The ground.

    Args:
        state: A directory; what is mounted in it is seen on the ground alone.
        log: Where it says why it could not be made.
    """

    def __init__(self, state: Path, log: Path) -> None:
        self.inside = state / "inside"
        """A directory in memory, there while the ground is."""
        self._pid_file = state / "ground.pid"
        self._log = log

    def lay(self) -> None:
        """
        Make it.

        Raises:
            PbxError: This machine does not let us.
        """
        self.inside.mkdir(parents=True, exist_ok=True)
        self._log.parent.mkdir(parents=True, exist_ok=True)
        first = ["bash", "-c", _FIRST, "first", str(self.inside)]
        processes.start(
            self._pid_file,
            ["unshare", *_SPACES, "--fork", "--kill-child", "--mount-proc", *first],
            log=self._log,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        until(lambda: self._is_laid() or not self.is_there, timeout=30)
        if not self._is_laid():
            self.remove()
            raise PbxError(f"no network and mounts of our own: see {self._log}")

    @property
    def is_there(self) -> bool:
        """Whether it was made, and has not ended."""
        return bool(processes.running(self._pid_file))

    @property
    def root(self) -> Path:
        """Its files, as they are seen from outside."""
        return Path(f"/proc/{self._first()}/root")

    def enter(self) -> list[str]:
        """What is put in front of a command that is to run on it."""
        return ["nsenter", "--target", str(self._first()), *_SPACES]

    def remove(self) -> None:
        """End all that runs on it."""
        first = self._first() if self.is_there else 0
        # Its parent, with which it ends; SIGTERM is not for a first process.
        processes.stop(self._pid_file, politely=signal.SIGKILL)
        until(lambda: not first or not processes.started(first), timeout=30)

    def _first(self) -> int:
        pid = processes.running(self._pid_file)
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            children = []
        return int(children[0]) if children else 0

    def _is_laid(self) -> bool:
        first = self._first()
        try:
            return bool(first) and os.path.ismount(f"/proc/{first}/root{self.inside}")
        except OSError:
            return False
