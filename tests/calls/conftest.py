"""
Fixtures for real calls: the test PBX, its router under the tests' hand, phones, and the CLI.
"""

import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from calls import patience
from harness import prompts, shares
from harness.ends import clear_the_far_end
from harness.pbx import BLOCK, STATE, Asterisk, Cli, Dialplan, Router, end_others, unused_number
from testpbx.phones import Phones
from testpbx.waiting import until

Serving = Callable[..., AbstractContextManager[Router]]

# Strangers are refused where no binding lets them through, with the modes that do so on.
OPEN = {"AGI_ROUTER_OPEN_MODES": "on"}


@pytest.fixture(scope="session")
def pbx(pbx: dict[str, Any]) -> dict[str, Any]:
    """The test PBX, patient and of few words; for tiers that follow it is as shipped again."""
    patience.lengthen(Path(pbx["rootfs"]))
    prompts.shorten(Path(pbx["rootfs"]))
    return {**pbx, "env": {**pbx["env"], **patience.SETTINGS}}


@pytest.fixture(scope="session")
def cli(pbx: dict[str, Any]) -> Cli:
    """The command line; the block of all tests is there."""
    command = Cli({**pbx["env"], **OPEN})
    command("block", "add", BLOCK)
    return command


@pytest.fixture(scope="session")
def running_router(pbx: dict[str, Any]) -> Iterator[Router]:
    """A router of our own in place of those that the PBX brought up; FastAGI only on demand."""
    env = {
        **pbx["env"],
        **OPEN,
        "AGI_ROUTER_LOG_LEVEL": "DEBUG",
        # Tests refuse one caller many times; those of the limit have a router of their own.
        "AGI_ROUTER_REFUSAL_LIMIT_CALLER": "off",
    }
    router = Router(env, STATE / "logs/router.log")
    fastagi = Router(env, STATE / "logs/fastagi.log", door="agi")
    for service in ("router", "fastagi"):
        # It is gone already where this fixture has failed before.
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((STATE / f"{service}.pid").read_text().split()[0]), signal.SIGTERM)
    assert until(lambda: not router.registered() and not fastagi.registered(), timeout=60)
    with router.serving():
        yield router


@pytest.fixture(scope="session")
def asterisk(pbx: dict[str, Any]) -> Asterisk:
    """The Asterisk of the PBX."""
    return Asterisk(pbx)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    """Where several runs share these tests, leave a file to the one that has begun it."""
    return None if shares.is_ours(item.path) else True


_failed = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note which test has failed."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture
def router(
    request: pytest.FixtureRequest, running_router: Router, asterisk: Asterisk
) -> Iterator[Router]:
    """
    The running router; whatever a test does to it, the next one finds it running, and alone.

    Nor does the next one, or a second try, find calls of a test that has failed.
    """
    running_router.ensure()
    yield running_router
    end_others(running_router)
    if _failed in request.node.stash:
        asterisk.hang_up()
        clear_the_far_end()
    running_router.ensure()


@pytest.fixture
def serving(cli: Cli, router: Router) -> Serving:
    """A router with settings of its own in place of the running one."""

    @contextmanager
    def with_settings(**settings: str) -> Iterator[Router]:
        router.stop()
        env = {**cli.env, **settings}
        with Router(env, STATE / "logs/router-of-its-own.log").serving() as other:
            yield other
        router.ensure()

    return with_settings


@pytest.fixture
def fastagi(pbx: dict[str, Any], router: Router) -> Iterator[Router]:
    """The FastAGI door, in a process of its own, beside the router."""
    assert router
    with Router(pbx["env"], STATE / "logs/fastagi.log", door="agi").serving() as door:
        yield door


@pytest.fixture
def dialplan(pbx: dict[str, Any]) -> Iterator[Dialplan]:
    """The dialplan's globals, which are as shipped again after the test."""
    changed = Dialplan(Path(pbx["rootfs"]))
    yield changed
    changed.reset()


@pytest.fixture
def phones(pbx: dict[str, Any], router: Router, tmp_path: Path) -> Iterator[Phones]:
    """SIPp phones, with a router that serves; none calls any more after the test."""
    assert router
    made = Phones.of_pbx(pbx, tmp_path)
    yield made
    made.kill()


@pytest.fixture
def database(pbx: dict[str, Any]) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """A connection to the database of the PBX."""
    with psycopg.connect(
        pbx["dsn"], autocommit=True, row_factory=psycopg.rows.dict_row
    ) as connection:
        yield connection


@pytest.fixture
def unused(cli: Cli, database: psycopg.Connection[dict[str, Any]]) -> str:
    """A 700 number of ours on which nobody is bound, and of which no call is on record."""
    assert cli
    return unused_number(database)


_numbers = itertools.count(13800001000)


@pytest.fixture
def a() -> str:
    """A number that no other test uses."""
    return str(next(_numbers))


@pytest.fixture
def b() -> str:
    """Another such number."""
    return str(next(_numbers))


@pytest.fixture
def numbers() -> list[str]:
    """More such numbers, for a test with many calls."""
    return [str(next(_numbers)) for _ in range(13)]


@pytest.fixture
def stranger() -> str:
    """A number that is bound nowhere."""
    return str(next(_numbers))
