"""
Fixtures for chaos: the test PBX without its router, callers, and the table of what was seen.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agi_router.calls.journal import EndJournal
from calls.patience import SETTINGS, lengthen, shorten
from harness import prompts
from harness.load import Caller, callee
from harness.pbx import STATE, stop_routers
from harness.service import CallRecords, Dialplan, Router, Servers
from harness.table import Table
from testpbx import processes
from testpbx.waiting import until

SEED = 20250314
BINDINGS = 200


def pytest_addoption(parser: pytest.Parser) -> None:
    """The full length, which takes an hour."""
    parser.addoption("--long", action="store_true", help="chaos: run it at full length")


def pytest_configure(config: pytest.Config) -> None:
    """Tests that look at anything but how long somebody waits."""
    config.addinivalue_line(
        "markers", "patient(first): chaos with a patience of seconds, or so with all but the first"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What has only a long version is not part of the short one."""
    if not config.getoption("--long", default=False):
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("long")])
        items[:] = [i for i in items if not i.get_closest_marker("long")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table, before pytest's last line."""
    for line in Table.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long version."""
    return bool(request.config.getoption("--long", default=False))


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Chance that is the same in every run, and another in each test."""
    return random.Random(f"{SEED} {request.node.name}")  # noqa: S311 - not a secret


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    """The table of faults; a test adds its row before it judges."""
    return Table(request.node.name)


@pytest.fixture(scope="session")
def env(pbx: dict[str, Any]) -> dict[str, str]:
    """The settings of the PBX, as shipped; its own routers are ended, and those of other tiers."""
    stop_routers()
    shorten(Path(pbx["rootfs"]))
    prompts.restore(Path(pbx["rootfs"]))
    for service in ("router", "fastagi"):
        # Another tier may have ended them before.
        processes.stop(STATE / f"{service}.pid")
    return dict(pbx["env"])


@pytest.fixture(scope="session")
def servers(pbx: dict[str, Any]) -> Servers:
    """Asterisk and PostgreSQL."""
    return Servers(pbx)


@pytest.fixture
def settings(
    request: pytest.FixtureRequest, env: dict[str, str], pbx: dict[str, Any]
) -> Iterator[dict[str, str]]:
    """Those of routers: as shipped, or with a patience of seconds for tests that are "patient"."""
    patient = request.node.get_closest_marker("patient")
    if patient is None:
        yield env
        return
    lengthen(Path(pbx["rootfs"]), **patient.kwargs)
    try:
        yield {**env, **SETTINGS} if not patient.kwargs else env
    finally:
        shorten(Path(pbx["rootfs"]))


@contextmanager
def kept(running: Router) -> Iterator[Router]:
    """A router that is started, and ended whether or not its door ever opens."""
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def router(settings: dict[str, str], pbx: dict[str, Any]) -> Iterator[Router]:
    """A router that is started again when it dies; it serves the ARI door."""
    with kept(Router(settings, Path(pbx["logs"]) / "chaos.log")) as running:
        yield running


@pytest.fixture
def fastagi(settings: dict[str, str], pbx: dict[str, Any]) -> Iterator[Router]:
    """The same for FastAGI, the second door."""
    with kept(Router(settings, Path(pbx["logs"]) / "chaos-fastagi.log", door="agi")) as running:
        yield running


@pytest.fixture
def second(env: dict[str, str], pbx: dict[str, Any]) -> Iterator[Router]:
    """A second router at the ARI door; each of the two takes over from the other."""
    own = {
        "AGI_ROUTER_ARI_APP": "agi_router_2",
        "AGI_ROUTER_METRICS_LISTEN": "127.0.0.1:9702",
    }
    dialplan = Dialplan(Path(pbx["rootfs"]))
    dialplan.set(
        AGI_ROUTER_NEXT_agi_router="agi_router_2", AGI_ROUTER_NEXT_agi_router_2="agi_router"
    )
    try:
        with kept(Router({**env, **own}, Path(pbx["logs"]) / "chaos-2.log")) as running:
            yield running
    finally:
        dialplan.reset()


@pytest.fixture
def records(env: dict[str, str], pbx: dict[str, Any]) -> CallRecords:
    """The records of calls, as their owner: they are begun again, which the router may not."""
    return CallRecords({**env, "AGI_ROUTER_DSN": pbx["dsn"]})


@pytest.fixture
def pairs(
    records: CallRecords, router: Router, servers: Servers, env: dict[str, str]
) -> list[tuple[str, str]]:
    """Who may call which number; no call of an earlier test is left, and there are no records."""
    assert router
    journal = EndJournal(Path(env["AGI_ROUTER_JOURNAL"]))
    # What has no media ends after half a minute.
    assert until(lambda: servers.channels() == 0, timeout=60)
    assert until(lambda: journal.backlog().size == 0, timeout=60)
    return records.open(BINDINGS)


class Callers:
    """Loads of calls, all answered by one callee."""

    def __init__(self, work: Path, sip: str, pairs: list[tuple[str, str]]) -> None:
        self._work = work
        self._sip = sip
        self._pairs = pairs
        self._loads = 0

    def call(
        self,
        *,
        rate: int,
        talk: float,
        calls: int | None = None,
        pairs: list[tuple[str, str]] | None = None,
    ) -> Caller:
        """Begin to place calls, by all pairs or by some."""
        self._loads += 1
        return Caller(
            self._work / f"load{self._loads}",
            self._sip,
            pairs or self._pairs,
            rate=rate,
            talk=talk,
            calls=calls,
        )


@pytest.fixture
def callers(
    pbx: dict[str, Any], pairs: list[tuple[str, str]], tmp_path: Path
) -> Iterator[Callers]:
    """Callers, and a callee who answers them all."""
    with callee(tmp_path / "callee", int(pbx["carrier_out"].rpartition(":")[2])):
        yield Callers(tmp_path, pbx["sip"], pairs)
