"""
The soak: many calls for a long time, and a router that stays as small as it was.
"""

import os
import statistics
import time
from pathlib import Path

import pytest
from chaos.chart import chart
from chaos.conftest import Callers

from harness.service import CallRecords, Router
from harness.table import Table

_PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20
_HERE = Path(__file__).parent
_MINUTES = 20
_EVERY = 5.0


@pytest.mark.long
def test_soak(callers: Callers, router: Router, records: CallRecords, table: Table) -> None:
    """Thirty calls a second: all are answered, and memory and descriptors do not grow."""
    samples: list[tuple[float, float, int]] = []
    begun = time.monotonic()
    with callers.call(rate=30, talk=2.0) as caller:
        while (minute := (time.monotonic() - begun) / 60) < _MINUTES:
            samples.append((minute, *size_of(router)))
            time.sleep(_EVERY)
        load = caller.done(timeout=60)
    count = records.settled(len(load.calls), timeout=60)
    # The first half fills caches.
    half = len(samples) // 2
    memory = [statistics.median(s[1] for s in part) for part in (samples[:half], samples[half:])]
    files = [max(s[2] for s in part) for part in (samples[:half], samples[half:])]
    table.row(
        f"30 calls/s for {_MINUTES} minutes",
        "100 % ok; memory and descriptors flat",
        f"{load}; {memory[0]:.1f} → {memory[1]:.1f} MiB, {files[0]} → {files[1]} descriptors"
        " (first half, second half)",
    )
    for name, title, unit, column in (
        ("memory", "Memory of the router at 30 calls/s", "MiB", 1),
        ("descriptors", "Descriptors of the router at 30 calls/s", "open", 2),
    ):
        points = [(s[0], s[column]) for s in samples]
        (_HERE / f"soak-{name}.svg").write_text(chart(title, unit, points), "utf-8")
    assert load.clean
    assert count.used == count.answered == len(load.calls)
    assert memory[1] < memory[0] * 1.1 + 2
    assert files[1] <= files[0] + 4


def size_of(router: Router) -> tuple[float, int]:
    """Resident memory in MiB, and open descriptors."""
    assert router.process is not None
    proc = Path(f"/proc/{router.process.pid}")
    resident = int((proc / "statm").read_text().split()[1])
    return resident * _PAGE, len(list((proc / "fd").iterdir()))
