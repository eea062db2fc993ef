"""Upkeep: each job of a router may raise, hang or be told garbage, and the doors do not notice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from agi_router.ari import AriClient
from agi_router.calls.cutting import Cutter
from agi_router.calls.hang_ups import HangUpWatch
from agi_router.calls.journal import EndJournal
from agi_router.calls.journal_probe import JournalProbe
from agi_router.calls.settlement import Settlement
from agi_router.errors import AsteriskError, SettingsError
from agi_router.keys.ring import KeyRing
from agi_router.service import upkeep
from agi_router.service.gauges import DatabaseGauges
from agi_router.service.health import Health
from agi_router.service.jobs import Job, Jobs
from agi_router.service.upkeep import (
    ProfileWatch,
    asterisk_jobs,
    database_jobs,
    health_jobs,
    lent,
    own,
    settle_job,
)
from agi_router.settings import Settings

NAMES = [
    "beat",
    "count_bindings",
    "count_numbers",
    "cut",
    "database",
    "days",
    "hang_ups",
    "journal",
    "keys",
    "profile",
    "ranges",
    "reconcile",
    "settle",
    "statistics",
    "sweep",
]


class Fault(StrEnum):
    """What goes wrong behind a job."""

    RAISE = "raise"
    HANG = "hang"
    GARBAGE = "garbage"


class Broken:
    """A part all of whose methods go wrong; *release* ends those that hang in a thread."""

    def __init__(self, fault: Fault, release: threading.Event, *, blocks: bool = False) -> None:
        self._fault = fault
        self._release = release
        self._blocks = blocks

    def __getattr__(self, name: str) -> Any:
        return self._blocking if self._blocks else self._waiting

    def _blocking(self, *_: object, **__: object) -> object:
        match self._fault:
            case Fault.RAISE:
                raise OSError(5, "Input/output error")
            case Fault.HANG:
                self._release.wait(60)
        return object()

    async def _waiting(self, *_: object, **__: object) -> object:
        match self._fault:
            case Fault.RAISE:
                raise OSError(5, "Input/output error")
            case Fault.HANG:
                await asyncio.Event().wait()
        return object()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set after the test, for threads that hang."""
    event = threading.Event()
    yield event
    event.set()


def jobs_over(
    fault: Fault, release: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Job]:
    """All jobs of a router whose parts are broken."""
    broken = cast(Any, Broken(fault, release))
    blocking = cast(Any, Broken(fault, release, blocks=True))
    monkeypatch.setattr(upkeep, "connect", blocking.connect)
    settings = cast(
        Settings,
        SimpleNamespace(
            dsn="",
            key_file=tmp_path / "key",
            load_keys=blocking.load_keys,
            quarantine=None,
            retention=timedelta(),
            unsafe_profile=frozenset(),
            media_ports=None,
            number_ranges=None,
        ),
    )
    (tmp_path / "key").touch()
    health = Health(broken, cast(Any, SimpleNamespace(alive=blocking.alive)), timeout=0.1)
    if fault is Fault.HANG:
        # What hangs the event loop itself is ended by systemd.
        health = Health(broken, cast(Any, SimpleNamespace(alive=lambda: None)), timeout=0.1)
    settlement = Settlement(broken, cast(EndJournal, blocking))
    watch = ProfileWatch(settings, cast(Any, SimpleNamespace(ways_in=None)))
    made = [
        settle_job(settlement),
        *health_jobs(health, interval=1.0),
        *database_jobs(settings, broken, DatabaseGauges(broken), KeyRing.generate()),
        *asterisk_jobs(
            settlement,
            Cutter(
                cast(Any, SimpleNamespace(node="pbx1", pool=broken, keys=None)),
                lent(cast(AriClient, broken)),
                believe_from=False,
                fixed_lines=False,
            ),
            JournalProbe(EndJournal(tmp_path), patience=0.05),
            watch,
            lent(cast(AriClient, broken)),
            hang_ups=HangUpWatch(
                cast(Any, SimpleNamespace(node="pbx1", pool=broken)),
                lent(cast(AriClient, broken)),
                longest=timedelta(hours=1),
            ),
            cuts=asyncio.Event(),
            first=300.0,
        ),
    ]
    return {job.name: job for job in made}


def test_these_are_all(
    release: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new job is tried below, too."""
    assert sorted(jobs_over(Fault.RAISE, release, tmp_path, monkeypatch)) == NAMES


@asynccontextmanager
async def serving() -> AsyncIterator[list[int]]:
    """A door beside the jobs: it counts while it can."""
    count = [0]

    async def serve() -> None:
        while True:
            count[0] += 1
            await asyncio.sleep(0.001)

    task = asyncio.create_task(serve())
    yield count
    assert not task.done()
    task.cancel()


@pytest.mark.parametrize("fault", Fault)
# The ranges are a file, and ask nobody.
@pytest.mark.parametrize("name", [each for each in NAMES if each != "ranges"])
async def test_a_job_goes_wrong(
    name: str,
    fault: Fault,
    release: threading.Event,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told as often as it is tried, it goes on being tried, and the door serves."""
    job = jobs_over(fault, release, tmp_path, monkeypatch)[name]
    # Nothing is read of what these get.
    untouched = (name, fault) in {
        ("days", Fault.GARBAGE),
        ("beat", Fault.GARBAGE),
        ("beat", Fault.HANG),
    }
    # On a busy machine what does not hang has its time.
    limit = 0.02 if fault is Fault.HANG and not untouched else 30.0
    failed: list[str] = []
    jobs = Jobs(failed.append)
    job = replace(job, first=0.0, every=0.0, retry=0.0, limit=job.limit and limit)
    async with serving() as count:
        running = asyncio.create_task(jobs.run(job))
        async with asyncio.timeout(20):
            if untouched:
                while count[0] < 100:  # noqa: ASYNC110 - it is a test's
                    await asyncio.sleep(0.001)
                assert not failed
            else:
                while len(failed) < 3:  # noqa: ASYNC110 - it is a test's
                    await asyncio.sleep(0.001)
                assert set(failed) == jobs.failing.keys() == {name}
            before = count[0]
            while count[0] == before:  # noqa: ASYNC110 - it is a test's
                await asyncio.sleep(0.001)
        assert not running.done()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_password_that_is_gone_ends_no_door() -> None:
    """It would end the router where it stood for a profile that leaks."""
    settings = Settings.from_env({"AGI_ROUTER_ARI_PASSWORD_FILE": "/nowhere/at/all"})
    with pytest.raises(AsteriskError, match="ARI_PASSWORD_FILE cannot be read"):
        async with own(settings)("profile"):
            pass


async def test_a_profile_that_leaks_ends_the_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at twice, with no call between the two; this alone is fatal."""
    looks: list[None] = []

    async def refuse(*_: object, **__: object) -> None:
        looks.append(None)
        raise SettingsError("this PBX can leak numbers")

    monkeypatch.setattr(upkeep, "refuse_leaks", refuse)
    monkeypatch.setattr(upkeep, "_RETRY", 0.0)
    router = SimpleNamespace(ways_in=None)
    watch = ProfileWatch(Settings(), cast(Any, router))
    jobs = asterisk_jobs(
        cast(Settlement, None),
        cast(Cutter, None),
        JournalProbe(EndJournal(Path("/nowhere"))),
        watch,
        lent(cast(AriClient, None)),
        hang_ups=cast(HangUpWatch, None),
        cuts=asyncio.Event(),
        first=0,
    )
    assert [job.name for job in jobs if job.fatal] == ["profile"]
    with pytest.raises(SettingsError, match="can leak"):
        await Jobs().run(jobs[-1])
    assert len(looks) == 2
    assert router.ways_in == frozenset()
