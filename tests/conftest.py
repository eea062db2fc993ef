"""Fixtures of all tiers. No test is touched by the environment it is started from."""

import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from harness.time_limit import TimeLimit

CHECKOUT = Path(__file__).parent.parent

# The test PBX and the demo are no part of the package, and are tested all the same.
sys.path.insert(0, str(CHECKOUT / "docker"))

# On a busy machine an example may take its time. In CI the examples are the same in each run, so
# that a change is judged by what it changes; elsewhere they are new ones, and find what nobody
# thought of.
settings.register_profile(
    "untimed",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("untimed")
# For --hypothesis-profile: where all examples have been tried already, by another Python.
settings.register_profile("few", settings.get_profile("untimed"), max_examples=10)

for name in [name for name in os.environ if name.startswith(("AGI_ROUTER_", "PG"))]:
    del os.environ[name]


# Under coverage Python takes half as much time again. What these tests try of the rules is covered
# by others; they are the dear ones.
UNCOVERED = {
    *("clients", "fastagi", "package"),
    *("postgres/test_admit_agrees.py", "postgres/test_bindings.py", "postgres/test_cli.py"),
    *("postgres/test_connecting.py", "postgres/test_crash.py", "postgres/test_held_rows.py"),
    *("postgres/test_hours.py", "postgres/test_import.py", "postgres/test_lives.py"),
    *("postgres/test_messages_agree.py", "postgres/test_modes.py", "postgres/test_open_modes.py"),
    *("postgres/test_rights.py", "postgres/test_scope.py", "postgres/test_sessions.py"),
    *("postgres/test_settle.py", "postgres/test_sweep.py", "http/test_openapi.py"),
}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run some tests without looking at what they cover, where others are looked at."""
    coverage = sys.modules.get("coverage")
    looking = None if coverage is None else coverage.Coverage.current()
    folder, name = item.path.parent.name, item.path.name
    if looking is None or UNCOVERED.isdisjoint({folder, f"{folder}/{name}"}):
        return (yield)
    looking.stop()
    try:
        return (yield)
    finally:
        looking.start()


# The longest part of a test takes some 200 s: a demo, or the installation.
LIMIT = 900
# What downloads, or boots a machine; all of chaos at full length takes an hour.
LONG_LIMIT = 3600
LONG = {"docker", "install", "many"}
TIME = pytest.StashKey[TimeLimit]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the stderr that no test captures."""
    config.stash[TIME] = TimeLimit(os.dup(2))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    """Let no part of a test stand still for ever: its fixtures, itself, or what cleans up."""
    long = item.path.parent.name in LONG or item.config.getoption("--long", default=False)
    with item.config.stash[TIME].limited(LONG_LIMIT if long else LIMIT):
        return (yield)


pytest_runtest_call = pytest_runtest_teardown = pytest_runtest_setup


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Nor a run that is over, where a thread goes on; xdist ends its processes itself."""
    if not hasattr(config, "workerinput"):
        config.stash[TIME].end()


@pytest.fixture(scope="session")
def rootfs() -> Path:
    """A Debian root with Asterisk in it; made if there is none."""
    if "PBX_ROOTFS" in os.environ:
        return Path(os.environ["PBX_ROOTFS"])
    setup = subprocess.run([CHECKOUT / "docker/setup"], check=True, capture_output=True, text=True)
    names = dict(line.split("=", 1) for line in setup.stdout.splitlines())
    return Path(names["PBX_ROOTFS"])


@pytest.fixture(scope="session")
def pbx() -> Iterator[dict[str, Any]]:
    """The test PBX without Docker, router and all; what `pbx up --json` says of it."""
    command = str(CHECKOUT / "docker/pbx")
    status = subprocess.run([command, "status"], check=False, capture_output=True, text=True)
    if status.stdout.strip() != "down":
        pytest.fail(f"a PBX is up that no test has started; run {command} down")
    try:
        up = subprocess.run(
            [command, "up", "--engine", "rootfs", "--json"],
            check=False,
            capture_output=True,
            text=True,
        )
        if up.returncode:
            pytest.fail(f"pbx up: {up.stderr}")
        yield json.loads(up.stdout)
    finally:
        subprocess.run([command, "down"], check=True)
