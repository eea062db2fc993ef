"""
Figures that are kept here: counters and histograms, counted from any thread.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from agi_router.service.exposition import Family, Sample, show_number

__all__ = ["Count", "Counter", "Histogram"]


class Count:
    """
    One value that only grows.
    """

    __slots__ = ("_lock", "_value")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0.0

    def add(self, more: float = 1.0) -> None:
        """
        Let it grow.
        """
        with self._lock:
            self._value += more

    @property
    def value(self) -> float:
        """
        What it is now.
        """
        return self._value


class Counter:
    """
    Counts of one name, one for each set of values of its labels.

    Args:
        name: The name; it is told with ``_total``.
        text: What is counted.
        labels: The names of its labels.
    """

    def __init__(self, name: str, text: str, *labels: str) -> None:
        self._name = f"{name}_total"
        self._text = text
        self._labels = labels
        self._counts: dict[tuple[str, ...], Count] = {}
        if not labels:
            self.of()

    def of(self, *values: str) -> Count:
        """
        The count of these values, which is told from now on.
        """
        return self._counts.setdefault(values, Count())

    def family(self) -> Family:
        """
        What is told of it now.
        """
        samples = [
            Sample(count.value, tuple(zip(self._labels, values, strict=True)))
            for values, count in list(self._counts.items())
        ]
        return Family(self._name, self._text, "counter", samples)


class Histogram:
    """
    How often values were at most so large, and their sum.

    Args:
        name: The name.
        text: What is observed.
        buckets: The upper bounds, in ascending order.
    """

    def __init__(self, name: str, text: str, buckets: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._bounds = tuple(buckets)
        self._lock = threading.Lock()
        # One more, for what is above all bounds.
        self._counts = [0] * (len(self._bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """
        Note a value.
        """
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._counts[place] += 1
            self._sum += value

    def family(self) -> Family:
        """
        What is told of it now.
        """
        with self._lock:
            counts, total = list(accumulate(self._counts)), self._sum
        bounds = [*map(show_number, self._bounds), "+Inf"]
        samples = [
            Sample(count, (("le", bound),), "_bucket")
            for bound, count in zip(bounds, counts, strict=True)
        ]
        samples += [Sample(counts[-1], suffix="_count"), Sample(total, suffix="_sum")]
        return Family(self._name, self._text, "histogram", samples)
