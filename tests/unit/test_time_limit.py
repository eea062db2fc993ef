"""A test that stands still fails, whatever it waits in."""

import asyncio
import threading
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from harness.time_limit import TimeLimit

LIMIT = TimeLimit(2)


def lock() -> None:
    """Wait for a lock that nobody lets go."""
    held = threading.Lock()
    held.acquire()
    held.acquire()


def loop() -> None:
    """Wait in an event loop."""
    asyncio.run(asyncio.Event().wait())


def uvloop_loop() -> None:
    """Wait in the event loop of the services, which sees a signal in a callback of its own."""
    uvloop.run(asyncio.Event().wait())


def example() -> None:
    """Wait in an example, which Hypothesis would try again after a failure."""
    given(st.booleans())(lambda _: lock())()


@pytest.mark.parametrize("stand_still", [lock, loop, uvloop_loop, example])
def test_what_stands_still_fails(stand_still: Callable[[], None]) -> None:
    """The failure says what other threads were at; pytest shows the stack of this one."""
    over = threading.Event()
    beside = threading.Thread(target=over.wait, name="beside", daemon=True)
    beside.start()
    with (
        pytest.raises(
            pytest.fail.Exception, match=r"not done after 0.05 s\n(?s:.*)thread beside:"
        ),
        LIMIT.limited(0.05),
    ):
        stand_still()
    over.set()
    beside.join()
