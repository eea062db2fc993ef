"""
The daemon behind ``agi-router serve``: the doors, the books, and the router's health.

The doors may be served by one process, or by one each: a process that is frozen freezes all that
it serves.

Draining: on the first SIGTERM or SIGINT, or when another router of the same name has taken over,
the calls that were taken get their answer, the journal is settled once more, and the connection
to Asterisk is closed. Calls that are up do not need us. A router that another one has replaced
then stands by (see :mod:`agi_router.succession`).
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import asdict
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.ari_door import EVENTS, AriDoor
from agi_router.adapters.database import connect
from agi_router.adapters.descriptors import NEEDED, raise_limit
from agi_router.adapters.health_server import HealthServer
from agi_router.adapters.journal import EndJournal
from agi_router.adapters.keys import check_keys
from agi_router.adapters.live_profile import refuse_leaks
from agi_router.adapters.sweep import Sweep, Swept
from agi_router.adapters.systemd import Notifier
from agi_router.ari import AriClient, AriError, AriUnavailable
from agi_router.books import Books
from agi_router.errors import AgiRouterError, AsteriskError, SettingsError, StoreError
from agi_router.health import Health
from agi_router.metrics import Metrics
from agi_router.nodes import Node
from agi_router.router import Router
from agi_router.seal import KeyRing
from agi_router.settings import Settings
from agi_router.succession import require_free_name, stand_by
from agi_router.survey import Surveyor, show, show_ari, show_clocks, show_fastagi

if TYPE_CHECKING:
    from agi_router.adapters.fastagi_door import FastAgiDoor

__all__ = ["Doors", "serve"]

log = logging.getLogger(__name__)

_Work = Callable[[], Coroutine[Any, Any, None]]

_RETRY = 1.0
_RECONCILE = 300.0
# Between two looks at the PBX's profile because of calls that came in elsewhere.
_LOOK_AGAIN = 5.0
# How long FastAGI waits for the first one.
_FIRST_LOOK = 2.0
_PARTITIONS = 6 * 3600.0
_PARTITIONS_RETRY = 300.0
_SWEEP = 300.0
_SWEEP_PAUSE = 0.05
_SWEEP_TIMEOUT = 5
# A look at the key file is one system call.
_KEYS = 1.0


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
        SettingsError: The journal's directory cannot be used; or FastAGI is off and nothing else
            was to be served; or the PBX's profile can leak, now or later, and the operator has
            not accepted that.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    notifier = Notifier(os.environ)
    if (most := raise_limit()) < NEEDED:
        log.warning("serve.few_descriptors", extra={"most": most, "needed": NEEDED})
    look = partial(_ari_client, settings, f"{settings.ari_app}_look_{os.getpid()}", ())
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
    journal = _open_journal(settings)
    store = AdmissionStore(
        settings.dsn,
        keys,
        connections=settings.db_connections,
        rests=settings.rests,
        open_modes=settings.open_modes,
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
    )
    fastagi = None if doors is Doors.ARI else _open_fastagi(settings, router)
    if doors is Doors.AGI and fastagi is None:
        raise SettingsError("AGI_ROUTER_AGI_LISTEN is off: there is nothing to serve")
    async with store:
        books = Books(store, journal, settled=metrics.settled)
        health = Health(store, notifier, timeout=settings.decision_timeout)
        survey = Surveyor(store)
        show(metrics, pool=store.pool, journal=journal, survey=survey)
        show_clocks(metrics, clocks=health.clocks)
        works: list[_Work] = [
            books.keep,
            health.keep,
            survey.keep,
            survey.keep_bindings,
            survey.keep_numbers,
            *_health_servers(settings, health, metrics),
            partial(_every, _PARTITIONS, store.ensure_call_days),
            partial(_sweep, settings),
            partial(_follow_keys, settings, store, keys),
        ]
        if fastagi is not None:
            show_fastagi(metrics, door=fastagi)
            health.others.append(lambda: fastagi.crowding)
        if fastagi is not None and doors is not Doors.AGI:
            works.append(fastagi.serve)
        if settings.open_modes:
            log.warning("serve.open_modes", extra={"strangers": "get through"})
        if doors is Doors.AGI:
            looked = asyncio.Event()
            works.append(partial(_reconcile_now_and_then, settings, books, router, looked))
            if fastagi is not None:
                works.append(partial(_serve_once_looked, fastagi, looked))
            log.info("serve.ready", extra={"address": settings.agi_listen})
            notifier.ready()
            await _run_until(stop.wait(), *works)
            _stop_taking(health, notifier)
        else:
            await _serve_ari(
                settings, store, router, books, health, metrics, notifier, stop, works
            )
        if fastagi is not None:
            await fastagi.drain()
        await books.close()
    return not stop.is_set()


async def _serve_ari(  # noqa: PLR0917 - the parts that serve() has made
    settings: Settings,
    store: AdmissionStore,
    router: Router,
    books: Books,
    health: Health,
    metrics: Metrics,
    notifier: Notifier,
    stop: asyncio.Event,
    works: Sequence[_Work],
) -> None:
    """
    Serve the ARI door beside *works*, until its calls have their answers.
    """
    try:
        async with _ari_client(settings, settings.ari_app, EVENTS) as ari:
            door = AriDoor(
                ari,
                router,
                waiting_limit=settings.waiting_limit,
                patience=timedelta(seconds=settings.patience),
            )
            health.ari = ari
            health.clocks["asterisk"] = door.clock
            node = Node(ari, store)
            health.others.append(lambda: node.trouble)
            await node.claim()
            # Calls that come meanwhile wait in the client; nobody is dialled before this.
            await _check_profile(ari, settings, router)
            show_ari(metrics, ari=ari, door=door)
            log.info("serve.ready", extra={"app": settings.ari_app})
            notifier.ready()
            await _run_until(
                _leaving(stop, door, settings.handover),
                *works,
                door.serve,
                door.keep_time,
                node.keep,
                partial(_reconcile, door, ari, books, settings, router),
                partial(_look_again, ari, settings, router),
            )
            _stop_taking(health, notifier, ending=stop.is_set())
            await door.drain()
    except AriUnavailable as error:
        raise AsteriskError(f"Asterisk cannot be reached: {error}") from None


def _stop_taking(health: Health, notifier: Notifier, *, ending: bool = True) -> None:
    health.draining = True
    if ending:
        notifier.stopping("draining")
    log.info("serve.draining")


def _ari_client(settings: Settings, app: str, events: Sequence[str]) -> AriClient:
    return AriClient(
        url=settings.ari_url,
        user=settings.ari_user,
        password=settings.load_ari_password(),
        app=app,
        events=events,
    )


def _open_fastagi(settings: Settings, router: Router) -> "FastAgiDoor | None":
    address = settings.agi_address()
    if address is None:
        return None
    # Here, so that the process of the ARI door does not hold pystrix as well.
    from agi_router.adapters.fastagi_door import FastAgiDoor  # noqa: PLC0415

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


def _health_servers(settings: Settings, health: Health, metrics: Metrics) -> list[_Work]:
    address = settings.metrics_address()
    if address is None:
        return []
    server = HealthServer(
        *address,
        alive=lambda: health.alive,
        missing=lambda: health.missing,
        metrics=metrics.application(),
    )
    return [server.serve]


def _open_journal(settings: Settings) -> EndJournal:
    try:
        settings.journal.mkdir(parents=True, exist_ok=True)
        probe = settings.journal / ".probe"
        probe.touch()
        # Another router may start at this moment.
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise SettingsError(
            f"AGI_ROUTER_JOURNAL: the directory cannot be written to ({error.strerror});"
            " the router renames and deletes files there"
        ) from None
    return EndJournal(settings.journal)


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
        await asyncio.gather(*tasks, return_exceptions=True)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except StoreError as error:
            log.warning("partitions.deferred", extra={"error": str(error)})
            # Made two weeks ahead: there is no hurry.
            await asyncio.sleep(_PARTITIONS_RETRY)
        else:
            await asyncio.sleep(seconds)


async def _sweep(settings: Settings) -> None:
    """
    Sweep now and then, in a thread and on a connection of its own.
    """
    stop = threading.Event()
    try:
        while True:
            await asyncio.sleep(_SWEEP)
            try:
                done = await asyncio.to_thread(_sweep_once, settings, stop)
            except StoreError as error:
                log.warning("sweep.deferred", extra={"error": str(error)})
            else:
                log.info("sweep.done", extra=asdict(done))
    finally:
        # A thread cannot be cancelled: it ends with the step it is at.
        stop.set()


def _sweep_once(settings: Settings, stop: threading.Event) -> Swept:
    done = Swept()
    with connect(settings.dsn, timeout=_SWEEP_TIMEOUT) as connection:
        for step in Sweep(connection, settings.rests, settings.retention).steps():
            done += step
            if stop.wait(_SWEEP_PAUSE):
                break
    return done


async def _follow_keys(settings: Settings, store: AdmissionStore, keys: KeyRing) -> None:
    """
    Read the key file again whenever it has changed; one that is not in order is left alone.
    """
    seen = told = None
    while settings.key_file is not None:
        found = _stamp(settings.key_file)
        if found != seen:
            try:
                new = await asyncio.to_thread(_read_keys, settings)
            except AgiRouterError as error:
                # Tried again each time, for it may be the database; told once.
                if told != str(error):
                    told = str(error)
                    log.warning("keys.unusable", extra={"error": told})
            else:
                told = None
                seen = found
                if new != keys:
                    keys = new
                    await store.use(keys)
                    log.info("keys.changed", extra={"keys": repr(keys)})
        await asyncio.sleep(_KEYS)
    # Keys from the environment stay as they are.
    await asyncio.Event().wait()


def _stamp(file: Path) -> tuple[int, int] | None:
    """
    What is another after each change of a file; nothing if it is away.
    """
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns


def _read_keys(settings: Settings) -> KeyRing:
    keys = settings.load_keys()
    with connect(settings.dsn) as connection:
        return check_keys(connection, keys)


async def _check_profile_again(ari: AriClient, settings: Settings, router: Router) -> None:
    """
    Look at the profile of a PBX that was in order before.

    In the midst of a reload it may look broken for a moment: it is looked at twice before the
    router ends, and no call is let through between the two.
    """
    try:
        await _check_profile(ari, settings, router)
    except SettingsError as error:
        router.ways_in = frozenset()
        log.warning("profile.refused", extra={"error": str(error)})
        await asyncio.sleep(_RETRY)
        await _check_profile(ari, settings, router)


async def _check_profile(ari: AriClient, settings: Settings, router: Router) -> None:
    read = await refuse_leaks(ari, accepted=settings.unsafe_profile)
    router.ways_in = frozenset(f"PJSIP/{name}" for name in read.ways_in)
    for fault in read.accepted:
        log.warning(
            "profile.unsafe",
            extra={"option": fault.name, "value": fault.value, "wanted": fault.wanted},
        )


async def _reconcile(
    door: AriDoor, ari: AriClient, books: Books, settings: Settings, router: Router
) -> None:
    """
    Reconcile, and look at the profile, after each connection and now and then.
    """
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECONCILE):
                await door.connected.wait()
        door.connected.clear()
        try:
            await books.reconcile(ari)
            # Asterisk may have come back, or been reloaded, with another one.
            await _check_profile_again(ari, settings, router)
        except (StoreError, AriError, AsteriskError) as error:
            log.warning("reconcile.deferred", extra={"error": str(error)})
            await asyncio.sleep(_RETRY)
            door.connected.set()


async def _look_again(ari: AriClient, settings: Settings, router: Router) -> None:
    """
    Look at the profile when a call came in where none was known to: it may be a new way in.
    """
    while True:
        await router.unjudged.wait()
        try:
            await _check_profile_again(ari, settings, router)
        except (AriError, AsteriskError) as error:
            log.warning("profile.deferred", extra={"error": str(error)})
        await asyncio.sleep(_LOOK_AGAIN)
        router.unjudged.clear()


async def _serve_once_looked(fastagi: "FastAgiDoor", looked: asyncio.Event) -> None:
    """
    Serve FastAGI; calls that come before it is known where they may come in wait a moment.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_LOOK):
            await looked.wait()
    await fastagi.serve()


async def _reconcile_now_and_then(
    settings: Settings, books: Books, router: Router, looked: asyncio.Event
) -> None:
    """
    Look at the profile and reconcile, by a connection that is made for it under another name.

    So it is where no ARI door keeps one. FastAGI serves also where no password for ARI is set, and
    then takes calls wherever they come in; else none before it is known where they may.
    """
    if settings.ari_password is None and settings.ari_password_file is None:
        looked.set()
    else:
        router.ways_in = frozenset()
    app = f"{settings.ari_app}_books_{os.getpid()}"
    while True:
        try:
            ari = _ari_client(settings, app, ())
        except SettingsError as error:
            log.warning("reconcile.deferred", extra={"error": str(error)})
        else:
            await _visit(ari, settings, books, router, looked)
            if not looked.is_set():
                await asyncio.sleep(_RETRY)
                continue
        await asyncio.sleep(_LOOK_AGAIN)
        router.unjudged.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECONCILE - _LOOK_AGAIN):
                await router.unjudged.wait()


async def _visit(
    ari: AriClient, settings: Settings, books: Books, router: Router, looked: asyncio.Event
) -> None:
    try:
        async with ari:
            await _check_profile_again(ari, settings, router)
            looked.set()
            await books.reconcile(ari)
    except (StoreError, AriError, AsteriskError) as error:
        # Calls are settled all the same; only those that Asterisk forgot to end are not.
        log.warning("reconcile.deferred", extra={"error": str(error)})
