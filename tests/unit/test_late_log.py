"""The late log: lines that are written together, each with the time of its event."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import time

import pytest

from agi_router.logs import LateLog

LOG = logging.getLogger("agi_router.test")

# A line waits for half of it.
SOON = 0.2

ENDS_AT_ONCE = """
import asyncio, logging
from agi_router.logs import LateLog

logging.basicConfig(level="INFO", format="%(message)s %(call)s")

async def main():
    LateLog(logging.getLogger()).info("call.routed", call="pbx1-1741988825.1")

asyncio.run(main())
"""


async def test_lines_are_written_together(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing at once; all of them in order, with their fields and times, and only once."""
    caplog.set_level(logging.INFO)
    late = LateLog(LOG)
    begun = time.time()
    late.info("call.routed", call="pbx1-1741988825.1")
    told = time.time()
    assert not caplog.records
    late.info("call.refused", call="pbx1-1741988825.2", reason="expired")
    await asyncio.sleep(SOON)
    first, second = caplog.records
    assert (first.msg, vars(first)["call"]) == ("call.routed", "pbx1-1741988825.1")
    assert begun <= first.created <= told <= second.created
    assert (second.msg, vars(second)["reason"]) == ("call.refused", "expired")
    assert (second.name, second.levelname) == (LOG.name, "INFO")
    caplog.clear()
    late.info("call.routed", call="pbx1-1741988825.3")
    await asyncio.sleep(SOON)
    [third] = caplog.records
    assert vars(third)["call"] == "pbx1-1741988825.3"


async def test_level(caplog: pytest.LogCaptureFixture) -> None:
    """Where INFO is not logged, nothing is."""
    caplog.set_level(logging.WARNING)
    late = LateLog(LOG)
    late.info("call.routed")
    late.write()
    caplog.set_level(logging.INFO)
    late.write()
    assert not caplog.records


def test_the_end_of_the_process() -> None:
    """What has not been written yet is."""
    done = subprocess.run(
        [sys.executable, "-c", ENDS_AT_ONCE], capture_output=True, text=True, check=True
    )
    assert done.stderr == "call.routed pbx1-1741988825.1\n"
