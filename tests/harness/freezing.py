"""
Processes that do not move.
"""

import os
import signal
from pathlib import Path

from testpbx.waiting import until


def freeze(*pids: int) -> None:
    """
    Stop processes; returns when none of their threads moves, which the signal does not wait for.
    """
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    assert until(lambda: all(map(_stands, pids)), timeout=10), pids


def _stands(pid: int) -> bool:
    try:
        states = [
            # After the name, which may hold anything: proc(5).
            (task / "stat").read_text().rpartition(") ")[2][0]
            for task in Path(f"/proc/{pid}/task").iterdir()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return all(state in "TtZX" for state in states)
