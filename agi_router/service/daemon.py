"""
The daemon behind ``agi-router serve``: the doors, the settlement, and the router's health.

The doors may be served by one process, or by one each: a process that is frozen freezes all that
it serves.

A door that fails ends the process, which is started again. Nothing else does: all that is no door
is a job (see :mod:`agi_router.service.jobs`), and a job that fails is told and tried again.

Draining: on the first SIGTERM or SIGINT, or when another router of the same name has taken over,
the calls that were taken get their answer, the journal is settled once more, and the connection
to Asterisk is closed. Calls that are up do not need us. A router that another one has replaced
then stands by (see :mod:`agi_router.service.succession`).
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any

from agi_router.ari import AriUnavailable
from agi_router.calls.checker import CallChecker
from agi_router.calls.cutting import Cutter
from agi_router.calls.hang_ups import HangUpWatch
from agi_router.calls.journal import EndJournal
from agi_router.calls.journal_probe import JournalProbe
from agi_router.calls.router import Router
from agi_router.calls.settlement import Settlement
from agi_router.calls.store import AdmissionStore
from agi_router.doors.ari import EVENTS, AriDoor
from agi_router.errors import AsteriskError, JournalError, SettingsError
from agi_router.inventory.cell_health import CUT_OFF_AFTER, tell_unheard
from agi_router.keys.ring import KeyRing
from agi_router.pbx.sound_state import SoundState, read_state
from agi_router.service.checks import operator_service, tenant_services
from agi_router.service.descriptors import NEEDED, raise_limit
from agi_router.service.gauges import (
    DatabaseGauges,
    show,
    show_ari,
    show_clocks,
    show_fastagi,
    show_sound,
    show_unheard,
)
from agi_router.service.health import Health
from agi_router.service.health_server import HealthServer
from agi_router.service.jobs import Alive, Job, Jobs
from agi_router.service.metrics import Metrics
from agi_router.service.nodes import Node
from agi_router.service.process import keep_for_good
from agi_router.service.succession import require_free_name, stand_by
from agi_router.service.systemd import Notifier
from agi_router.service.upkeep import (
    AriAtHand,
    ProfileWatch,
    ari_client,
    asterisk_jobs,
    database_jobs,
    health_jobs,
    lent,
    own,
    settle_job,
)
from agi_router.settings import Settings

if TYPE_CHECKING:
    from agi_router.doors.fastagi import FastAgiDoor

__all__ = ["Doors", "serve"]

log = logging.getLogger(__name__)

_Work = Callable[[], Coroutine[Any, Any, None]]

# Between two looks at the PBX's profile because of calls that came in elsewhere.
_LOOK_AGAIN = 5.0
# How long FastAGI waits for the first one.
_FIRST_LOOK = 2.0
# Between two jobs that are woken by one event.
_STAGGER = 0.5
# Seconds for what goes on to end when this router does.
_ENDING = 5.0


class Doors(StrEnum):
    """
    Which doors a process serves.
    """

    ARI = "ari"
    AGI = "agi"
    BOTH = "both"


async def serve(
    settings: Settings,
    keys: KeyRing,
    doors: Doors = Doors.BOTH,
    *,
    take_over: bool = True,
) -> None:
    """
    Serve calls until SIGTERM or SIGINT, then drain.

    While another router has taken the name of the ARI application over, stand by.

    Args:
        settings: The operator's.
        keys: The key ring.
        doors: What to serve.
        take_over: Whether to begin by taking the name from a router that has it.

    Raises:
        AsteriskError: Asterisk is away at the start, or the address of FastAGI is taken, or
            another router serves.
        SettingsError: FastAGI is off and nothing else was to be served; or the PBX's profile can
            leak, now or later, and the operator has not accepted that.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    notifier = Notifier(os.environ)
    if (most := raise_limit()) < NEEDED:
        log.warning("serve.few_descriptors", extra={"most": most, "needed": NEEDED})
    look = partial(ari_client, settings, f"{settings.ari_app}_look_{os.getpid()}", ())
    if doors is not Doors.AGI and not take_over:
        await require_free_name(look, settings.ari_app)
    while await _serve(settings, keys, doors, stop, notifier):
        if not await stand_by(look, settings.ari_app, stop, notifier):
            break
    log.info("serve.stopped")


async def _serve(
    settings: Settings, keys: KeyRing, doors: Doors, stop: asyncio.Event, notifier: Notifier
) -> bool:
    """
    Serve calls until *stop*, or until another router takes over, then drain.

    Returns:
        Whether another router has taken over, and this one was not told to end.
    """
    metrics = Metrics()
    jobs = Jobs(metrics.job_failed)
    journal = _open_journal(settings)
    store = AdmissionStore(
        settings.dsn,
        keys,
        connections=settings.db_connections,
        quarantine=settings.quarantine,
        open_modes=settings.open_modes,
    )
    checker = CallChecker(
        store,
        operator_service(settings),
        tenant_services(settings),
        numbers=settings.check_numbers,
    )
    router = Router(
        store,
        timeout=settings.decision_timeout,
        ring_timeout=timedelta(seconds=settings.ring_timeout),
        max_duration=settings.max_duration,
        language=settings.language,
        fixed_lines=settings.fixed_lines,
        believe_from=settings.unasserted == "from",
        extension_tries=settings.extension_tries if settings.open_modes else 0,
        meter=metrics,
        strict=settings.strict,
        caller_limit=settings.refusal_limit_caller,
        trunk_limit=settings.refusal_limit_trunk,
        extension_limit=settings.refusal_limit_extensions,
        call_rates=settings.call_rates,
        old_numbers=store,
        old_until=settings.old_numbers_until,
        checker=checker,
    )
    fastagi = None if doors is Doors.ARI else _open_fastagi(settings, router)
    if doors is Doors.AGI and fastagi is None:
        raise SettingsError("AGI_ROUTER_AGI_LISTEN is off: there is nothing to serve")
    async with store:
        settlement = Settlement(
            store,
            journal,
            settled=metrics.settled,
            unknown_end=settings.unknown_end,
            without_end=metrics.ended_unseen,
        )
        health = Health(store, notifier, timeout=settings.decision_timeout)
        health.others += [lambda: settlement.trouble, lambda: jobs.troubles]
        gauges = DatabaseGauges(store)
        show(metrics, pool=store.pool, journal=journal, gauges=gauges)
        show_clocks(metrics, clocks=health.clocks)
        _tell_of_silence(store, health, metrics)
        parts = _Parts(
            settings, store, router, settlement, journal, health, metrics, notifier, jobs, stop
        )
        works = parts.running(
            settle_job(settlement),
            *health_jobs(health, interval=notifier.interval),
            *_health_servers(settings, health, metrics),
            *database_jobs(settings, store, gauges, keys),
        )
        _warn_of_surroundings(settings)
        keep_for_good()
        if fastagi is not None:
            show_fastagi(metrics, door=fastagi)
            health.others.append(lambda: fastagi.crowding)
        if fastagi is not None and doors is Doors.AGI:
            await _serve_fastagi(parts, fastagi, works)
        else:
            await _serve_ari(parts, works if fastagi is None else [*works, fastagi.serve])
        if fastagi is not None:
            await fastagi.drain()
        await settlement.close()
        checker.close()
    return not stop.is_set()


@dataclass(frozen=True, slots=True)
class _Parts:
    """
    What a router is made of, whichever doors it serves.
    """

    settings: Settings
    store: AdmissionStore
    router: Router
    settlement: Settlement
    journal: EndJournal
    health: Health
    metrics: Metrics
    notifier: Notifier
    jobs: Jobs
    stop: asyncio.Event

    def running(self, *jobs: Job) -> list[_Work]:
        """
        What runs these jobs.
        """
        return [partial(self.jobs.run, job) for job in jobs]

    def asking(self, watch: ProfileWatch, at_hand: AriAtHand, *, first: float) -> list[Job]:
        """
        The jobs that ask Asterisk; the last one looks at its profile.
        """
        if self.settings.media_ports is not None:
            self._tell_of_sound(watch)
        cutter = Cutter(
            self.store,
            at_hand,
            believe_from=self.settings.unasserted == "from",
            fixed_lines=self.settings.fixed_lines,
        )
        return asterisk_jobs(
            self.settlement,
            cutter,
            JournalProbe(self.journal),
            watch,
            at_hand,
            hang_ups=HangUpWatch(self.store, at_hand, longest=self.settings.max_duration),
            cuts=self.store.cuts,
            first=first,
        )

    def _tell_of_sound(self, watch: ProfileWatch) -> None:
        """
        Tell by which bridge calls are joined: as the watch over the guard says, else as we see.
        """

        def state() -> SoundState | None:
            return read_state(self.settings.media_state)

        def remarks() -> list[str]:
            if (told := state()) is not None:
                return told.notes
            if why := "; ".join(watch.unguarded):
                return [f"sound: calls are joined by the simple bridge: {why}"]
            return []

        self.health.remarks.append(remarks)
        show_sound(self.metrics, state=state)

    def watching(self, asking: Sequence[Job]) -> list[_Work]:
        """
        What wakes the last of them, if any, where a call came in that nobody has judged.
        """
        return [partial(_wake_rarely, job, self.router.unjudged) for job in asking[-1:]]

    def ready(self, **where: str) -> None:
        """
        Say that calls are taken from now on.
        """
        log.info("serve.ready", extra=where)
        self.notifier.ready()

    def stop_taking(self) -> None:
        """
        Say that no more calls are taken.
        """
        self.health.draining = True
        if self.stop.is_set():
            self.notifier.stopping("draining")
        log.info("serve.draining")


async def _serve_fastagi(parts: _Parts, fastagi: "FastAgiDoor", works: Sequence[_Work]) -> None:
    """
    Serve FastAGI alone beside *works*, until this router is told to end.
    """
    looked = asyncio.Event()
    asking: list[Job] = []
    if parts.settings.knows_ari_password:
        # Before it is known where calls may come in, none is taken.
        parts.router.ways_in = frozenset()
        watch = ProfileWatch(parts.settings, parts.router, looked)
        asking = parts.asking(watch, own(parts.settings), first=0.0)
    else:
        looked.set()
    parts.ready(address=parts.settings.agi_listen)
    await _run_until(
        parts.stop.wait(),
        *works,
        *parts.running(*asking),
        *parts.watching(asking),
        partial(_serve_once_looked, fastagi, looked),
    )
    parts.stop_taking()


async def _serve_ari(parts: _Parts, works: Sequence[_Work]) -> None:
    """
    Serve the ARI door beside *works*, until its calls have their answers.
    """
    settings = parts.settings
    try:
        async with ari_client(settings, settings.ari_app, EVENTS) as ari:
            door = AriDoor(
                ari,
                parts.router,
                waiting_limit=settings.waiting_limit,
                patience=timedelta(seconds=settings.patience),
            )
            parts.health.ari = ari
            parts.health.clocks["asterisk"] = door.clock
            node = Node(ari, parts.store)
            parts.health.others.append(lambda: node.trouble)
            await node.claim()
            # Calls that come meanwhile wait in the client; nobody is dialled before this.
            watch = ProfileWatch(settings, parts.router)
            await watch.look(ari)
            show_ari(parts.metrics, ari=ari, door=door)
            parts.ready(app=settings.ari_app)
            # They are woken at once: that it is connected is the first event.
            asking = parts.asking(watch, lent(ari), first=300.0)
            await _run_until(
                _leaving(parts.stop, door, settings.handover),
                *works,
                door.serve,
                *parts.running(_endless("clock", door.compare_clocks), _endless("node", node.run)),
                partial(_wake, asking, door.connected),
                *parts.running(*asking),
                *parts.watching(asking),
            )
            parts.stop_taking()
            await door.drain()
    except AriUnavailable as error:
        raise AsteriskError(f"Asterisk cannot be reached: {error}") from None


def _warn_of_surroundings(settings: Settings) -> None:
    """
    Log what a router had better not run with.
    """
    if os.geteuid() == 0:
        # Nothing of ours needs it; whoever finds a way in should find no more than the calls.
        log.warning("serve.root", extra={"instead": "an account of its own, see service/"})
    if settings.open_modes:
        log.warning("serve.open_modes", extra={"strangers": "get through"})


def _endless(name: str, keep: _Work) -> Job:
    """
    A job that runs all the time, and is begun again where it ends.
    """

    async def work(_: Alive) -> None:
        await keep()

    return Job(name=name, work=work, every=1.0, limit=None, retry=1.0)


async def _wake(jobs: Sequence[Job], event: asyncio.Event) -> None:
    """
    Wake *jobs* whenever *event* is set, the last one first and at once.

    Not all together: calls come by the same connection, and what they need to know of the clocks.
    """
    while True:
        await event.wait()
        event.clear()
        for job in reversed(jobs):
            if job.wake is not None:
                job.wake.set()
            await asyncio.sleep(_STAGGER)


async def _wake_rarely(job: Job, event: asyncio.Event) -> None:
    """
    Wake *job* when *event* is set, but not again for some seconds.
    """
    while True:
        await event.wait()
        if job.wake is not None:
            job.wake.set()
        await asyncio.sleep(_LOOK_AGAIN)
        event.clear()


async def _serve_once_looked(fastagi: "FastAgiDoor", looked: asyncio.Event) -> None:
    """
    Serve FastAGI; calls that come before it is known where they may come in wait a moment.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_LOOK):
            await looked.wait()
    await fastagi.serve()


def _open_fastagi(settings: Settings, router: Router) -> "FastAgiDoor | None":
    address = settings.agi_address()
    if address is None:
        return None
    # Here, so that the process of the ARI door does not hold pystrix as well.
    from agi_router.doors.fastagi import FastAgiDoor  # noqa: PLC0415

    host, port = address
    door = FastAgiDoor(router, host=host, port=port, secret=settings.load_agi_secret())
    door.open()
    return door


async def _leaving(stop: asyncio.Event, door: AriDoor, handover: float) -> None:
    """
    Wait until this router is to take no more calls.
    """
    replaced = asyncio.ensure_future(door.replaced.wait())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({replaced, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not replaced.done() and handover:
            log.info("serve.handing_over", extra={"seconds": handover})
            await asyncio.wait({replaced}, timeout=handover)
        if replaced.done():
            log.warning("serve.replaced")
    finally:
        replaced.cancel()
        stopped.cancel()


def _tell_of_silence(store: AdmissionStore, health: Health, metrics: Metrics) -> None:
    """
    Tell of the global database, if there is one, that nothing comes from there.
    """

    def unheard() -> float:
        return store.heard_ago or 0.0

    health.remarks.append(lambda: [tell_unheard(unheard())] if unheard() > CUT_OFF_AFTER else [])
    show_unheard(metrics, seconds=unheard)


def _health_servers(settings: Settings, health: Health, metrics: Metrics) -> list[Job]:
    address = settings.metrics_address()
    if address is None:
        return []
    server = HealthServer(
        *address,
        alive=lambda: health.alive,
        missing=lambda: health.missing,
        remarked=lambda: health.remarked,
        metrics=metrics.tell,
    )

    return [_endless("health", server.serve)]


def _open_journal(settings: Settings) -> EndJournal:
    """
    The journal, also one that cannot be used: whoever may write there cannot keep calls from us.
    """
    journal = EndJournal(settings.journal)
    try:
        journal.prepare()
    except JournalError as error:
        log.error("journal.unusable", extra={"error": str(error)})  # noqa: TRY400 - words suffice
    return journal


async def _run_until(stop: Coroutine[Any, Any, Any], *works: _Work) -> None:
    """
    Run *works* until *stop* is over; an error in one of them ends all.
    """
    tasks = [asyncio.ensure_future(stop), *(asyncio.ensure_future(work()) for work in works)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        # What does not end must not keep the doors from draining.
        await asyncio.wait(tasks, timeout=_ENDING)
