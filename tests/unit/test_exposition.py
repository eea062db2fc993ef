"""What is told to Prometheus, read by its own library."""

from __future__ import annotations

import math
import threading

from prometheus_client.parser import text_string_to_metric_families

from agi_router.service.counters import Counter, Histogram
from agi_router.service.exposition import Family, Sample, expose
from agi_router.service.process import process_families


def read(*families: Family) -> dict[str, tuple[str, str, dict[tuple[str, str], float]]]:
    """Kind, text and samples by the name of the family; samples by name and label values."""
    return {
        found.name: (
            found.type,
            found.documentation,
            {(each.name, "|".join(each.labels.values())): each.value for each in found.samples},
        )
        for found in text_string_to_metric_families(expose(families).decode())
    }


def test_what_would_break_a_line() -> None:
    """Quotes, backslashes and ends of lines come through, in texts and labels; so do extremes."""
    label = 'a"b\\c\nd'
    family = Family(
        "x",
        "One\\two\nlines.",
        "gauge",
        [
            Sample(math.inf, (("of", label),)),
            Sample(-math.inf, (("of", "less"),)),
            Sample(1e300, (("of", "much"), ("in", ""))),
            Sample(2),
        ],
    )
    kind, text, samples = read(family)["x"]
    assert (kind, text) == ("gauge", "One\\two\nlines.")
    assert samples == {
        ("x", label): math.inf,
        ("x", "less"): -math.inf,
        ("x", "much|"): 1e300,
        ("x", ""): 2,
    }
    assert expose([Family("y", "", "gauge", [Sample(math.nan)])]).endswith(b"\ny NaN\n")


def test_counters() -> None:
    """Each set of values by itself; one without labels is there from the start."""
    counter = Counter("ends", "Ends.", "how", "why")
    counter.of("late", "held").add()
    counter.of("late", "held").add(2)
    counter.of("early", "").add(0)
    plain = Counter("all", "All.")
    assert read(counter.family(), plain.family()) == {
        "ends": (
            "counter",
            "Ends.",
            {("ends_total", "late|held"): 3, ("ends_total", "early|"): 0},
        ),
        "all": ("counter", "All.", {("all_total", ""): 0}),
    }


def test_histogram() -> None:
    """A value counts in every bucket whose bound it does not pass."""
    histogram = Histogram("wait_seconds", "Waits.", (0.5, 1.0))
    for value in (0.25, 0.5, 0.75, 2.0):
        histogram.observe(value)
    assert read(histogram.family())["wait_seconds"] == (
        "histogram",
        "Waits.",
        {
            ("wait_seconds_bucket", "0.5"): 2,
            ("wait_seconds_bucket", "1.0"): 3,
            ("wait_seconds_bucket", "+Inf"): 4,
            ("wait_seconds_count", ""): 4,
            ("wait_seconds_sum", ""): 3.5,
        },
    )


def test_many_threads_count() -> None:
    """Nothing is lost."""
    count = Counter("calls", "Calls.").of()
    histogram = Histogram("wait_seconds", "Waits.", (1.0,))

    def work() -> None:
        for _ in range(2_000):
            count.add()
            histogram.observe(0.5)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count.value == 8_000
    samples = read(histogram.family())["wait_seconds"][2]
    assert samples["wait_seconds_count", ""] == 8_000


def test_the_process() -> None:
    """Under the names that dashboards know, and plausible."""
    found = read(*process_families())
    assert set(found) == {
        "process_virtual_memory_bytes",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_cpu_seconds",
        "process_open_fds",
        "process_max_fds",
    }
    values = {name: next(iter(samples.values())) for name, (_, _, samples) in found.items()}
    assert values["process_virtual_memory_bytes"] >= values["process_resident_memory_bytes"] > 1e6
    assert values["process_start_time_seconds"] > 1.6e9
    assert values["process_cpu_seconds"] > 0
    assert 3 <= values["process_open_fds"] <= values["process_max_fds"]
