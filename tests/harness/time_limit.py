"""
A limit of time for a part of a test, so that one that stands still does not hold the whole run.

pytest-timeout sets its limit once for a test. Nothing is left of it for a second try
(``--reruns``), nor for what cleans up after a failure.
"""

import faulthandler
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest
from _pytest.outcomes import OutcomeException

__all__ = ["TimeLimit"]

# What goes on standing still as it cleans up fails again after so many seconds.
_AGAIN = 60
# So many seconds later a process ends that no signal has reached.
_LATER = 300
# What is left of a process when all is said and done has so many seconds to end.
_END = 60


class _Stop(OutcomeException, KeyboardInterrupt):
    """
    A part of a test has taken longer than it may; all let it through.

    An event loop swallows what is no KeyboardInterrupt, pytest leaves fixtures standing after what
    is no outcome, and after any failure Hypothesis tries the same example again.
    """


class TimeLimit:
    """
    The limit of what a process of pytest does.

    Args:
        stderr: Where to tell what threads were at as the process was ended; a descriptor.
    """

    def __init__(self, stderr: int) -> None:
        self._stderr = stderr
        self._ends = math.inf
        threading.Thread(target=self._watch, name="time limit", daemon=True).start()

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """
        Let what takes longer fail, and tell what all threads were at.

        To be used by the main thread. What no signal reaches, deep in C, ends with its process.

        Raises:
            pytest.fail.Exception: It took longer.
        """

        def stop(_number: int, _frame: FrameType | None) -> None:
            __tracebackhide__ = True
            raise _Stop(f"not done after {seconds:g} s\n{_others()}")

        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
        self._ends = time.monotonic() + seconds + _LATER
        try:
            yield
        except _Stop as stopped:
            raise pytest.fail.Exception(str(stopped)) from stopped
        finally:
            self._ends = math.inf
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def _watch(self) -> None:
        # Not by faulthandler: a timer of it costs a thread each time, and a failure cancels it.
        while time.monotonic() < self._ends:
            time.sleep(1)
        faulthandler.dump_traceback(self._stderr)
        os._exit(1)

    def end(self) -> None:
        """Let this process end soon, even if a thread goes on."""
        faulthandler.dump_traceback_later(_END, file=self._stderr, exit=True)


def _others() -> str:
    """The stacks of all threads but this one, whose stack pytest shows."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    return "\n".join(
        f"thread {names.get(ident, 'that Python has not made')}:\n"
        + "".join(traceback.format_stack(frame))
        for ident, frame in sys._current_frames().items()
        if ident != threading.get_ident()
    )
