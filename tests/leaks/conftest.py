"""
Fixtures of the leak suite: it runs once on the shipped PBX and once on the naive one.
"""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agi_router.leaktest.lanes import Lane, people
from agi_router.leaktest.report import as_json, rows
from agi_router.leaktest.suite import run_suite, scenarios
from agi_router.leaktest.vectors import VECTORS
from leaks.naive_pbx import FAR, MODE, NEAR, SIP, naive_pbx

# Not that of the calls, which come after on the same PBX.
BLOCK = "70012345670"
FIRST = 13801570000
LANES = 24
NUMBERS = f"{FIRST}-{FIRST + 3 * LANES - 1}"


def agi_router(pbx: dict[str, Any], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line on the test PBX."""
    return subprocess.run(
        ["agi-router", *arguments],
        env=pbx["env"],
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def serving(pbx: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The test PBX, with numbers to give out for the time of these tests."""
    assert agi_router(pbx, "block", "add", BLOCK).returncode == 0
    yield pbx
    assert agi_router(pbx, "block", "return", BLOCK).returncode == 0


@pytest.fixture(scope="module")
def shipped(
    serving: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """What ``agi-router leaktest`` says of the shipped PBX, vector by vector."""
    done = agi_router(
        serving,
        "leaktest",
        *("--numbers", NUMBERS),
        *("--captures", str(tmp_path_factory.mktemp("leaktest"))),
        "--json",
    )
    assert done.returncode in {0, 1}, done.stderr
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["ok"] else 1)
    return {row["vector"]: row for row in report["vectors"]}


@pytest.fixture(scope="module")
def naive(rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The same of a PBX that masks From and nothing else; it knows neither modes nor sides."""
    lanes = []
    for number in range(LANES):
        a, b, other = people([str(FIRST + 3 * number + each) for each in range(3)])
        x = f"{BLOCK}{number:04d}"
        lanes.append(Lane(a=a, b=b, other=other, dialled={MODE: (x, x)}))
    plan = scenarios(VECTORS, modes=[MODE], directions=[True])
    work = tmp_path_factory.mktemp("naive")
    with naive_pbx(rootfs, lanes):
        results = asyncio.run(run_suite(plan, lanes, pbx=SIP, near=NEAR, far=FAR, work=work))
    return {row["vector"]: row for row in as_json(rows(results))["vectors"]}
