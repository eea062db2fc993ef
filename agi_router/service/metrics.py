"""
Metrics: what a process counts and times, in the form of Prometheus.

They belong to one :class:`Figures`, not to the process. No label holds a number of any
kind: only reasons, outcomes and states, which are few.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal, Route
from agi_router.calls.end import End, Outcome
from agi_router.service.counters import Counter, Histogram
from agi_router.service.exposition import Family, Kind, Sample, expose
from agi_router.service.process import process_families

__all__ = ["JOB_FAILURES", "Figures", "Metrics"]

log = logging.getLogger(__name__)

# What is noted of calls is counted so much at a time, and before each scrape: by itself, with
# caches that have gone cold, each takes several times as long.
_TOGETHER: Final = 200

# Seconds. A decision takes some milliseconds; 0.4 is the time-out.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 1.0)


class Figures:
    """
    What a process tells Prometheus: of itself, and values that are kept elsewhere.
    """

    def __init__(self) -> None:
        self._families: list[Callable[[], Iterable[Family]]] = [process_families]

    def tell(self) -> bytes:
        """
        What answers a scrape.
        """
        return expose(self._now())

    def _now(self) -> Iterator[Family]:
        for families in self._families:
            try:
                yield from families()
            except Exception as error:  # noqa: BLE001 - a disk, or a value that is none
                log.warning("metrics.failed", extra={"error": type(error).__name__})
                self.unseen()

    def unseen(self) -> None:
        """
        Whatever is to be done where a value cannot be had: nothing.
        """

    def show(self, name: str, text: str, value: Callable[[], float]) -> None:
        """
        Tell *value* at each scrape. It is asked from another thread and must only look.
        """
        self._families.append(lambda: [Family(name, text, "gauge", [Sample(float(value()))])])

    def show_total(self, name: str, text: str, value: Callable[[], float]) -> None:
        """
        The same for a value that only grows; its name is told with ``_total``.
        """
        total = f"{name}_total"
        self._families.append(lambda: [Family(total, text, "counter", [Sample(float(value()))])])

    def show_each(
        self, name: str, text: str, label: str, values: Callable[[], Mapping[str, float]]
    ) -> None:
        """
        The same for several values that differ by one label.
        """
        self._show_each(name, text, "gauge", label, values)

    def show_each_total(
        self, name: str, text: str, label: str, values: Callable[[], Mapping[str, float]]
    ) -> None:
        """
        The same for several values that only grow; their name is told with ``_total``.
        """
        self._show_each(f"{name}_total", text, "counter", label, values)

    def _show_each(
        self,
        name: str,
        text: str,
        kind: Kind,
        label: str,
        values: Callable[[], Mapping[str, float]],
    ) -> None:
        def families() -> Iterable[Family]:
            samples = [Sample(float(value), ((label, key),)) for key, value in values().items()]
            return [Family(name, text, kind, samples)]

        self._families.append(families)

    def keep(self, kept: Counter | Histogram) -> None:
        """
        Tell what is kept here at each scrape.
        """
        self._families.append(lambda: [kept.family()])


# What it is called, and what it means.
JOB_FAILURES: Final = (
    "agi_router_job_failures",
    "Runs of a job beside the doors that failed or hung, by job.",
)


class Metrics(Figures):
    """
    Counts and times calls; fits :class:`agi_router.calls.ports.Meter`.

    Everything here is cheap: an addition to a list, or a lock and an addition.
    """

    def __init__(self) -> None:
        super().__init__()
        self._noted: deque[tuple[Callable[[float], None], float]] = deque()
        decided = Counter(
            "agi_router_calls_decided",
            "Calls decided, by decision (routed, refused) and reason (empty if routed).",
            "decision",
            "reason",
        )
        # Looked up once; all are there from the start.
        self._routed = decided.of("routed", "")
        self._refused = {each: decided.of("refused", each.value) for each in Reason}
        ended = Counter(
            "agi_router_calls_ended",
            "Calls whose end was read from the journal and settled, by outcome of the dialled leg"
            " (none if none was dialled). After a fault an end may count twice here; never in the"
            " database.",
            "outcome",
        )
        self._ended = {each: ended.of(each.value) for each in Outcome}
        self._undialled = ended.of("none")
        self._decision = Histogram(
            "agi_router_decision_seconds",
            "From a call's arrival in the router to its decision.",
            _BUCKETS,
        )
        self._admission = Histogram(
            "agi_router_admission_seconds", "What the database took of it.", _BUCKETS
        )
        self._job_failures = Counter(*JOB_FAILURES, "job")
        without_end = Counter(
            "agi_router_calls_without_end",
            "Calls that ended without a line in the journal, found by reconciling: Asterisk was"
            " killed, or may not write there.",
        )
        self._without_end = without_end.of()
        counters = (decided, ended, self._job_failures, without_end)
        for kept in (*counters, self._decision, self._admission):
            self.keep(kept)

    def tell(self) -> bytes:
        """
        What answers a scrape.
        """
        self._count()
        return super().tell()

    def decided(self, decision: Route | Refusal) -> None:
        """
        Count one decision.
        """
        match decision:
            case Route():
                self._note(self._routed.add, 1)
            case Refusal():
                self._note(self._refused[decision.reason].add, 1)

    def took(self, seconds: float) -> None:
        """
        Note how long one decision took.
        """
        self._note(self._decision.observe, seconds)

    def admission_took(self, seconds: float) -> None:
        """
        Note how long the database took for one admission, also a failed one.
        """
        self._note(self._admission.observe, seconds)

    def _note(self, count: Callable[[float], None], value: float) -> None:
        self._noted.append((count, value))
        if len(self._noted) >= _TOGETHER:
            self._count()

    def _count(self) -> None:
        """
        Count what was noted; from any thread.
        """
        while self._noted:
            try:
                count, value = self._noted.popleft()
            except IndexError:  # another thread has had the last one
                return
            count(value)

    def settled(self, ends: Iterable[End]) -> None:
        """
        Count calls that have ended.
        """
        for end in ends:
            (self._undialled if end.outcome is None else self._ended[end.outcome]).add()

    def job_failed(self, job: str) -> None:
        """
        Count a job that failed.
        """
        self._job_failures.of(job).add()

    def ended_unseen(self, calls: int) -> None:
        """
        Count calls whose end nobody saw.
        """
        self._without_end.add(calls)

    def unseen(self) -> None:
        """
        Count that a value could not be had.
        """
        self.job_failed("metrics")
