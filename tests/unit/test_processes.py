"""The test PBX's servers: what counts as running."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from testpbx.processes import started
from testpbx.waiting import until

# Its first thread ends at once, as when the process is being killed; another one lives on.
LAST_THREAD = """
import ctypes, sys, threading
threading.Thread(target=sys.stdin.read).start()
ctypes.CDLL(None).pthread_exit(None)
"""


@contextmanager
def process(program: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends when its input does."""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as child:
        yield child


@pytest.mark.parametrize("program", ["import sys; sys.stdin.read()", LAST_THREAD])
def test_a_process_runs_until_its_last_thread_has_ended(program: str) -> None:
    """Then it is gone, though nobody has asked how it ended."""
    with process(program) as child:
        state = Path(f"/proc/{child.pid}/stat")
        wanted = "Z" if program == LAST_THREAD else "S"
        assert until(lambda: state.read_text().rpartition(")")[2].split()[0] == wanted, timeout=10)
        assert started(child.pid)
        assert child.stdin is not None
        child.stdin.close()
        assert until(lambda: not started(child.pid), timeout=10)
        assert state.exists()
