"""The demo, run in containers: what a user with a Docker engine sees."""

import os
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def engine() -> None:
    """A Docker engine that answers."""
    try:
        info = subprocess.run(["docker", "info"], check=False, capture_output=True, text=True)
    except FileNotFoundError:
        reason = "docker is not installed"
    else:
        if info.returncode == 0:
            return
        reason = "no Docker engine answers"
    reason = os.environ.get("PBX_NO_ENGINE", reason)
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.mark.usefixtures("engine")
def test_demo_succeeds_in_containers() -> None:
    """Every call comes out as expected, with each server in a container of its own."""
    demo = subprocess.run(
        [CHECKOUT / "docker/demo", "--engine", "docker"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert demo.returncode == 0, demo.stdout + demo.stderr
    # The table: both directions ring, and every refusal of the issue stands in it.
    for word in ("A→X→B", "B→X→A", "stranger", "expired", "used_up", "at the gate", "the locker"):
        assert word in demo.stdout
