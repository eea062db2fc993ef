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

from agi_router.leaktest.call_slots import CallSlot, people
from agi_router.leaktest.callers import Sighting, run_callers
from agi_router.leaktest.identities import IDENTITIES
from agi_router.leaktest.report import as_json, rows
from agi_router.leaktest.suite import run_suite, scenarios
from agi_router.leaktest.vectors import VECTORS
from leaks.naive_pbx import FAR, MODE, NEAR, SIP, naive_pbx

# Not that of the calls, which come after on the same PBX.
BLOCK = "70012345670"
FIRST = 13801570000
SLOTS = 24
NUMBERS = f"{FIRST}-{FIRST + 3 * SLOTS - 1}"


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
    added = agi_router(pbx, "block", "add", BLOCK)
    # It is there already where this fixture was made before.
    assert added.returncode == 0 or "is already there" in added.stderr, added.stderr
    yield pbx
    # Of a command that was ended some may be left.
    agi_router(pbx, "unbind", "--order", "leaktest")
    returned = agi_router(pbx, "block", "return", BLOCK)
    assert returned.returncode == 0, returned.stderr


def leaktest(pbx: dict[str, Any], *arguments: str) -> dict[str, Any]:
    """
    What ``agi-router leaktest`` says of all numbers here.

    It is asked again where a call went wrong by which nothing was found: callers have the patience
    that is shipped, and a machine that stalls has them refused.
    """
    for _ in range(3):
        done = agi_router(pbx, "leaktest", "--numbers", NUMBERS, *arguments, "--json")
        assert done.returncode in {0, 1}, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if report["ok"] else 1)
        rows = report["vectors"]
        wrong = [row for row in rows if row["faults"]]
        wrong += [row for row in report["identities"] if row["fault"]]
        if not wrong or any(row["findings"] for row in rows):
            break
    return report


def console(pbx: dict[str, Any], *words: str) -> None:
    """Run a command on Asterisk's console."""
    command = ["chroot", pbx["rootfs"], "asterisk", "-rx", " ".join(words)]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def report(serving: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``agi-router leaktest`` says of the shipped PBX, with sound before the answer."""
    console(serving, "dialplan set global AGI_ROUTER_EARLY_MEDIA both")
    try:
        return leaktest(serving, "--captures", str(tmp_path_factory.mktemp("leaktest")))
    finally:
        console(serving, "dialplan reload")


@pytest.fixture(scope="module")
def shipped(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same, vector by vector."""
    return {row["vector"]: row for row in report["vectors"]}


@pytest.fixture(scope="module")
def doors(serving: dict[str, Any], report: dict[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """Whom the shipped PBX takes for the caller, by door and by identity."""

    def told(door: dict[str, Any]) -> dict[str, dict[str, Any]]:
        return {row["identity"]: row for row in door["identities"]}

    # Nobody is connected by this name, so every call goes on to FastAGI, which gets its time.
    console(serving, "dialplan set global AGI_ROUTER_APP nobody")
    console(serving, "dialplan set global AGI_ROUTER_PATIENCE_FALLBACK 1.5")
    names = [word for each in IDENTITIES for word in ("--vector", each.name)]
    try:
        by_fastagi = leaktest(serving, *names)
    finally:
        console(serving, "dialplan reload")
    return {"ari": told(report), "fastagi": told(by_fastagi)}


Naive = tuple[dict[str, dict[str, Any]], list[Sighting]]


@pytest.fixture(scope="module")
def naive_pbx_report(rootfs: Path, tmp_path_factory: pytest.TempPathFactory) -> Naive:
    """The same of a PBX that masks From and nothing else; it knows neither modes nor sides."""
    slots = []
    for number in range(SLOTS):
        a, b, other = people([str(FIRST + 3 * number + each) for each in range(3)])
        x = f"{BLOCK}{number:04d}"
        slots.append(CallSlot(a=a, b=b, other=other, dialled={MODE: (x, x)}))
    plan = scenarios(VECTORS, modes=[MODE], directions=[True])
    work = tmp_path_factory.mktemp("naive")
    with naive_pbx(rootfs, slots):
        results = asyncio.run(run_suite(plan, slots, pbx=SIP, near=NEAR, far=FAR, work=work))
        sightings = asyncio.run(run_callers(IDENTITIES, slots, pbx=SIP, near=NEAR, far=FAR))
    return {row["vector"]: row for row in as_json(rows(results))["vectors"]}, sightings


@pytest.fixture(scope="module")
def naive(naive_pbx_report: Naive) -> dict[str, dict[str, Any]]:
    """The vectors of that PBX."""
    return naive_pbx_report[0]


@pytest.fixture(scope="module")
def naive_identities(naive_pbx_report: Naive) -> dict[str, Sighting]:
    """Whom that PBX takes for the caller."""
    return {seen.identity.name: seen for seen in naive_pbx_report[1]}
