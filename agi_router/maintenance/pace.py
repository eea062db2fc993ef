"""
The pace of work that calls go beside: it rests three times as long as it has worked.
"""

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from typing import Final, TypeVar

__all__ = ["paced"]

_RESTS: Final = 3
# Seconds: a step that takes minutes is a statement about a whole day, and there are few.
_LONGEST: Final = 1.0

_Step = TypeVar("_Step")


def paced(
    steps: Generator[_Step, None, None],
    wait: Callable[[float], bool | None] = time.sleep,
    *,
    least: float = 0.0,
) -> Iterator[_Step]:
    """
    The same steps, with a rest behind each.

    Args:
        steps: What is done, a step each time one is asked for. Closed at the end, while the caller
            has still got what they need for that.
        wait: Rests for so many seconds; true: no further step is wanted.
        least: Seconds that it rests at least.
    """
    began = time.monotonic()
    with closing(steps):
        for step in steps:
            took = time.monotonic() - began
            yield step
            if wait(max(least, min(_RESTS * took, _LONGEST))):
                return
            began = time.monotonic()
