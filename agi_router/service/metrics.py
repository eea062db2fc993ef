"""
Metrics: what a process counts and times, in the form of Prometheus.

A registry belongs to one :class:`Figures`, not to the process. No label holds a number of any
kind: only reasons, outcomes and states, which are few.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    make_wsgi_app,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal, Route
from agi_router.calls.end import End, Outcome

__all__ = ["Figures", "Metrics"]

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
        self.registry = CollectorRegistry()
        """What is told to Prometheus, by :meth:`application`."""
        ProcessCollector(registry=self.registry)
        self._live = _Live(self.unseen)
        self.registry.register(self._live)

    def application(self) -> WSGIApplication:
        """
        What answers a scrape.
        """
        tell: WSGIApplication = make_wsgi_app(self.registry)
        return tell

    def unseen(self) -> None:
        """
        Whatever is to be done where a value cannot be had: nothing.
        """

    def show(self, name: str, text: str, value: Callable[[], float]) -> None:
        """
        Tell *value* at each scrape. It is asked from another thread and must only look.
        """
        self._live.add(lambda: GaugeMetricFamily(name, text, value=float(value())))

    def show_total(self, name: str, text: str, value: Callable[[], float]) -> None:
        """
        The same for a value that only grows.
        """
        self._live.add(lambda: CounterMetricFamily(name, text, value=float(value())))

    def show_each(
        self, name: str, text: str, label: str, values: Callable[[], Mapping[str, float]]
    ) -> None:
        """
        The same for several values that differ by one label.
        """
        self._show_each(GaugeMetricFamily, name, text, label, values)

    def show_each_total(
        self, name: str, text: str, label: str, values: Callable[[], Mapping[str, float]]
    ) -> None:
        """
        The same for several values that only grow.
        """
        self._show_each(CounterMetricFamily, name, text, label, values)

    def _show_each(
        self,
        kind: type[CounterMetricFamily | GaugeMetricFamily],
        name: str,
        text: str,
        label: str,
        values: Callable[[], Mapping[str, float]],
    ) -> None:
        def family() -> Metric:
            found = kind(name, text, labels=[label])
            for key, value in values().items():
                found.add_metric([key], float(value))
            return found

        self._live.add(family)


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
            ["decision", "reason"],
            registry=self.registry,
        )
        # Looked up once: labels() costs more than counting. All are there from the start.
        self._routed = decided.labels("routed", "")
        self._refused = {each: decided.labels("refused", each.value) for each in Reason}
        ended = Counter(
            "agi_router_calls_ended",
            "Calls whose end was read from the journal and settled, by outcome of the dialled leg"
            " (none if none was dialled). After a fault an end may count twice here; never in the"
            " database.",
            ["outcome"],
            registry=self.registry,
        )
        self._ended = {each: ended.labels(each.value) for each in Outcome}
        self._undialled = ended.labels("none")
        self._decision = Histogram(
            "agi_router_decision_seconds",
            "From a call's arrival in the router to its decision.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._admission = Histogram(
            "agi_router_admission_seconds",
            "What the database took of it.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._job_failures = Counter(
            "agi_router_job_failures",
            "Runs of a job beside the doors that failed or hung, by job.",
            ["job"],
            registry=self.registry,
        )
        self._without_end = Counter(
            "agi_router_calls_without_end",
            "Calls that ended without a line in the journal, found by reconciling: Asterisk was"
            " killed, or may not write there.",
            registry=self.registry,
        )

    def application(self) -> WSGIApplication:
        """
        What answers a scrape.
        """
        tell = super().application()

        def count_and_tell(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            self._count()
            return tell(environ, start_response)

        return count_and_tell

    def decided(self, decision: Route | Refusal) -> None:
        """
        Count one decision.
        """
        match decision:
            case Route():
                self._note(self._routed.inc, 1)
            case Refusal():
                self._note(self._refused[decision.reason].inc, 1)

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
            (self._undialled if end.outcome is None else self._ended[end.outcome]).inc()

    def job_failed(self, job: str) -> None:
        """
        Count a job that failed.
        """
        self._job_failures.labels(job).inc()

    def ended_unseen(self, calls: int) -> None:
        """
        Count calls whose end nobody saw.
        """
        self._without_end.inc(calls)

    def unseen(self) -> None:
        """
        Count that a value could not be had.
        """
        self.job_failed("metrics")


class _Live(Collector):
    """
    Values that are kept elsewhere and looked at when somebody asks.

    Args:
        failed: Told where one cannot be had. The others are shown all the same.
    """

    def __init__(self, failed: Callable[[], None]) -> None:
        self._failed = failed
        self._families: list[Callable[[], Metric]] = []

    def add(self, family: Callable[[], Metric]) -> None:
        """
        Ask *family* at each scrape.
        """
        self._families.append(family)

    def describe(self) -> Iterable[Metric]:
        """
        Nothing: what is shown may not be looked at before the router runs.
        """
        return ()

    def collect(self) -> Iterator[Metric]:
        """
        What all of them say now.
        """
        for family in self._families:
            try:
                yield family()
            except Exception as error:  # noqa: BLE001 - a disk, or a value that is none
                log.warning("metrics.failed", extra={"error": type(error).__name__})
                self._failed()
