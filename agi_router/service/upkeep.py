"""
Upkeep: the jobs of a router, what each does once, how often, and for how long at most.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from agi_router.ari import AriClient, AriError
from agi_router.calls.cutting import Cutter
from agi_router.calls.hang_ups import HangUpWatch
from agi_router.calls.journal_probe import JournalProbe
from agi_router.calls.router import Router
from agi_router.calls.settlement import Settlement
from agi_router.calls.store import AdmissionStore
from agi_router.db.connection import connect
from agi_router.errors import AsteriskError, SettingsError
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.maintenance.pace import paced
from agi_router.maintenance.retention import Sweep, Swept
from agi_router.numbering import RangesFollower
from agi_router.pbx.audit import refuse_leaks
from agi_router.service.gauges import DatabaseGauges
from agi_router.service.health import Health
from agi_router.service.jobs import Alive, Job
from agi_router.settings import Settings
from agi_router.side_thread import SideThread

__all__ = [
    "AriAtHand",
    "KeyFollower",
    "ProfileWatch",
    "Sweeper",
    "ari_client",
    "asterisk_jobs",
    "database_jobs",
    "health_jobs",
    "key_jobs",
    "lent",
    "own",
    "ranges_job",
    "settle_job",
]

log = logging.getLogger(__name__)

AriAtHand: TypeAlias = Callable[[str], AbstractAsyncContextManager[AriClient]]
"""A connection to Asterisk for the time of a block: for the job of this name."""

# Seconds between two runs of the settlement: an unanswered call gives its use back after at most
# two of them. A run that finds an empty journal costs a few system calls.
_SETTLE_EVERY: Final = 0.2
# Seconds of one look at a journal that is empty; it ends early for who else wants to settle.
_LOOK: Final = 10.0
# Seconds for which a file is left to the router that has claimed it.
_ABANDONED: Final = 2.0
_SWEEP_PAUSE: Final = 0.05
_SWEEP_TIMEOUT: Final = 5
_RETRY: Final = 1.0
# The same where nobody waits for it.
_RETRY_LATER: Final = 10.0


def health_jobs(health: Health, *, interval: float) -> list[Job]:
    """
    Those by which others know that this router lives, and whether its database does.

    Args:
        health: Who tells them.
        interval: Seconds between two signs of life.
    """

    async def beat(_: Alive) -> None:
        health.beat()

    async def ask_database(_: Alive) -> None:
        await health.ask_database()

    return [
        Job(name="beat", work=beat, every=interval, limit=None, retry=interval),
        Job(name="database", work=ask_database, every=interval, limit=5.0, retry=interval),
    ]


def settle_job(settlement: Settlement) -> Job:
    """
    The one that settles calls as they end.
    """

    async def settle(alive: Alive) -> None:
        await settlement.settle_journal(others_after=_ABANDONED, wait=_LOOK, alive=alive)

    return Job(
        name="settle", work=settle, every=_SETTLE_EVERY, limit=30.0, retry=_RETRY, patience=2.0
    )


def database_jobs(
    settings: Settings, store: AdmissionStore, gauges: DatabaseGauges, keys: KeyRing
) -> list[Job]:
    """
    Those that need nothing but the database: counting, sweeping, days of calls, keys.
    """

    async def look(_: Alive) -> None:
        await gauges.look()

    async def make_days(_: Alive) -> None:
        await store.ensure_days()

    jobs = [
        # Not together, and not while the first calls find the database cold.
        Job(name="statistics", work=look, every=60.0, limit=30.0, retry=_RETRY_LATER, first=2.0),
        Job(
            name="count_bindings",
            work=gauges.count_bindings,
            first=4.0,
            every=600.0,
            limit=120.0,
            retry=_RETRY_LATER,
        ),
        Job(
            name="count_numbers",
            work=gauges.count_numbers,
            first=6.0,
            every=600.0,
            limit=120.0,
            retry=_RETRY_LATER,
        ),
        Job(
            name="days",
            work=make_days,
            # They are made two weeks ahead: there is no fail_fast.
            every=6 * 3600.0,
            limit=30.0,
            retry=300.0,
            first=1.0,
            patience=3600.0,
        ),
        Job(
            name="sweep",
            work=Sweeper(settings).sweep,
            every=300.0,
            # Its steps end by themselves; that of a day's digest has four long statements.
            limit=1200.0,
            retry=_RETRY_LATER,
            first=300.0,
        ),
    ]
    return [*jobs, *key_jobs(settings, store.use, keys), ranges_job(settings)]


def key_jobs(
    settings: Settings, use: Callable[[KeyRing], Awaitable[None]], keys: KeyRing
) -> list[Job]:
    """
    The one that follows the key file, if there is one: keys from the environment stay as they are.

    Args:
        settings: Which file.
        use: Told the new keys.
        keys: Those that are in use.
    """
    if settings.key_file is None:
        return []
    # A look at the file is one system call.
    follower = KeyFollower(settings, use, keys)
    return [Job(name="keys", work=follower.look, every=1.0, limit=30.0, retry=_RETRY)]


def ranges_job(settings: Settings) -> Job:
    """
    The one that keeps to the ranges of numbers as they are on the day.
    """
    follower = RangesFollower(settings.number_ranges)

    async def look(_: Alive) -> None:
        follower.look()

    return Job(name="ranges", work=look, every=10.0, limit=30.0, retry=_RETRY)


def asterisk_jobs(
    settlement: Settlement,
    cutter: Cutter,
    probe: JournalProbe,
    watch: "ProfileWatch",
    at_hand: AriAtHand,
    *,
    hang_ups: HangUpWatch,
    cuts: asyncio.Event,
    first: float,
) -> list[Job]:
    """
    Those that ask Asterisk: reconcile, end calls, see that its lines come, watch its profile.

    Each is woken by its event: Asterisk has come back, and may have done so with another profile.

    Args:
        settlement: What is reconciled.
        cutter: Who cuts calls.
        probe: What sees whether lines come.
        watch: Who looks at the profile; the last of the jobs is its.
        at_hand: How Asterisk is asked.
        hang_ups: Who sees hang-ups that Asterisk's player has taken.
        cuts: Set when calls are to be cut.
        first: Seconds until they run for the first time, unless they are woken.
    """

    async def reconcile(_: Alive) -> None:
        async with at_hand("reconcile") as ari:
            await settlement.reconcile(ari)

    async def cut(_: Alive) -> None:
        await cutter.look()

    async def watch_hang_ups(_: Alive) -> None:
        await hang_ups.look()

    async def probe_journal(_: Alive) -> None:
        async with at_hand("journal") as ari:
            await probe.ask(ari)

    async def look_again(_: Alive) -> None:
        async with at_hand("profile") as ari:
            await watch.look_again(ari)

    job = partial(Job, limit=60.0, first=first)
    return [
        job(name="reconcile", work=reconcile, every=300.0, retry=_RETRY, wake=asyncio.Event()),
        # As locks begin; now and then for what was missed.
        job(name="cut", work=cut, every=300.0, retry=_RETRY, wake=cuts),
        job(
            name="hang_ups",
            work=watch_hang_ups,
            every=1.0,
            retry=_RETRY_LATER,
            wake=asyncio.Event(),
        ),
        job(
            name="journal",
            work=probe_journal,
            every=60.0,
            retry=_RETRY_LATER,
            wake=asyncio.Event(),
        ),
        job(
            name="profile",
            work=look_again,
            every=watch.every,
            retry=_RETRY,
            wake=asyncio.Event(),
            # A number could get out: no call may be taken.
            fatal=(SettingsError,),
        ),
    ]


class ProfileWatch:
    """
    Sees that the PBX's profile lets no number out, and tells the router where calls may come in.

    Args:
        settings: What of a profile is accepted.
        router: Who is told.
        looked: Set once it is known.
    """

    def __init__(
        self, settings: Settings, router: Router, looked: asyncio.Event | None = None
    ) -> None:
        self.unguarded: tuple[str, ...] = ()
        """What came through to sound at the last look, so that the simple bridge joins calls."""
        self._settings = settings
        self._router = router
        self._looked = looked or asyncio.Event()

    @property
    def every(self) -> float:
        """
        Seconds between two looks: a guard of sound may be taken away at any time.
        """
        return 300.0 if self._settings.media_ports is None else 60.0

    async def look(self, ari: AriClient) -> None:
        """
        Look once.

        Raises:
            SettingsError: A number could get out.
            AsteriskError: The profile cannot be read.
        """
        read = await refuse_leaks(
            ari, accepted=self._settings.unsafe_profile, ports=self._settings.media_ports
        )
        self._router.ways_in = frozenset(f"PJSIP/{name}" for name in read.ways_in)
        self.unguarded = read.unguarded
        self._looked.set()
        for fault in read.accepted:
            log.warning(
                "profile.unsafe",
                extra={"option": fault.name, "value": fault.value, "wanted": fault.wanted},
            )

    async def look_again(self, ari: AriClient) -> None:
        """
        Look at the profile of a PBX that was in order before.

        In the midst of a reload it may look broken for a moment: it is looked at twice before the
        router ends, and no call is let through between the two.

        Raises:
            SettingsError: A number could get out.
            AsteriskError: The profile cannot be read.
        """
        try:
            await self.look(ari)
        except SettingsError as error:
            self._router.ways_in = frozenset()
            log.warning("profile.refused", extra={"error": str(error)})
            await asyncio.sleep(_RETRY)
            await self.look(ari)


def ari_client(settings: Settings, app: str, events: Sequence[str]) -> AriClient:
    """
    A client for Asterisk, not connected.

    Raises:
        SettingsError: There is no password for it.
    """
    return AriClient(
        url=settings.ari_url,
        user=settings.ari_user,
        password=settings.load_ari_password(),
        app=app,
        events=events,
    )


def lent(ari: AriClient) -> AriAtHand:
    """
    The connection of the ARI door, for its jobs.
    """

    @asynccontextmanager
    async def at_hand(_: str) -> AsyncIterator[AriClient]:
        with _in_our_words():
            yield ari

    return at_hand


def own(settings: Settings) -> AriAtHand:
    """
    A connection that is made for each run, under another name than the doors'.

    So it is where no ARI door keeps one.
    """

    @asynccontextmanager
    async def at_hand(job: str) -> AsyncIterator[AriClient]:
        try:
            client = ari_client(settings, f"{settings.ari_app}_{job}_{os.getpid()}", ())
        except SettingsError as error:
            # Calls go on without: it is this job's trouble, and no reason to end.
            raise AsteriskError(str(error)) from None
        with _in_our_words():
            async with client as ari:
                yield ari

    return at_hand


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except AriError as error:
        raise AsteriskError(f"Asterisk cannot be asked: {error}") from None


class Sweeper:
    """
    Sweeps, in a thread and on a connection of its own.

    Args:
        settings: Of which database, and how long what is kept.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = SideThread("sweep")

    async def sweep(self, alive: Alive) -> None:
        """
        Sweep once.

        Args:
            alive: Told after each step.

        Raises:
            StoreError: The database failed; what was done is done.
        """
        stop = threading.Event()
        try:
            done = await self._thread.do(self._all_steps, stop, alive)
        finally:
            # A thread cannot be cancelled: it ends with the step it is at.
            stop.set()
        log.info("sweep.done", extra=asdict(done))

    def _all_steps(self, stop: threading.Event, alive: Alive) -> Swept:
        done = Swept()
        settings = self._settings
        with connect(settings.dsn, timeout=_SWEEP_TIMEOUT) as connection:
            steps = Sweep(
                connection, settings.quarantine, settings.kept, limits=settings.stock_limits
            ).steps()
            for step in paced(steps, stop.wait, least=_SWEEP_PAUSE):
                done += step
                alive()
        return done


class KeyFollower:
    """
    Reads the key file again whenever it has changed.

    Args:
        settings: Which file, and of which database.
        use: Told the new keys.
        keys: Those that are in use.
    """

    def __init__(
        self, settings: Settings, use: Callable[[KeyRing], Awaitable[None]], keys: KeyRing
    ) -> None:
        self._settings = settings
        self._use = use
        self._keys = keys
        self._seen: tuple[int, int] | None = None
        self._thread = SideThread("keys")

    async def look(self, _: Alive) -> None:
        """
        Look once. A file that is not in order is left alone, and looked at again.

        Raises:
            KeyRingError: It is not in order.
            StoreError: The database cannot be asked whether the keys are its own.
        """
        found, new = await self._thread.do(self._read)
        if new is not None and new != self._keys:
            await self._use(new)
            self._keys = new
            log.info("keys.changed", extra={"keys": repr(new)})
        self._seen = found

    def _read(self) -> tuple[tuple[int, int] | None, KeyRing | None]:
        """
        The stamp of the file, and what is in it where that is another one than before.
        """
        found = _stamp(self._settings.key_file)
        if found == self._seen:
            return found, None
        keys = self._settings.load_keys()
        with connect(self._settings.dsn) as connection:
            return found, check_keys(connection, keys)


def _stamp(file: Path | None) -> tuple[int, int] | None:
    """
    What is another after each change of a file; nothing if it is away.
    """
    try:
        status = None if file is None else file.stat()
    except OSError:
        return None
    return status and (status.st_ino, status.st_mtime_ns)
