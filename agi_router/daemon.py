"""
The daemon behind ``agi-router serve``: the doors, the books, and the router's health.

Draining: on the first SIGTERM or SIGINT, or when another router of the same name has taken over,
the calls that were taken get their answer, the journal is settled once more, and the connection
to Asterisk is closed. Calls that are up do not need us.
"""

import asyncio
import contextlib
import logging
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.ari_door import EVENTS, AriDoor
from agi_router.adapters.database import connect
from agi_router.adapters.health_server import HealthServer
from agi_router.adapters.journal import EndJournal
from agi_router.adapters.keys import check_keys
from agi_router.adapters.sweep import Sweep, Swept
from agi_router.adapters.systemd import Notifier
from agi_router.ari import AriClient, AriError, AriUnavailable
from agi_router.books import Books
from agi_router.errors import AgiRouterError, AsteriskError, SettingsError, StoreError
from agi_router.health import Health
from agi_router.metrics import Metrics
from agi_router.router import Router
from agi_router.seal import KeyRing
from agi_router.settings import Settings
from agi_router.survey import Surveyor, show

__all__ = ["serve"]

log = logging.getLogger(__name__)

_RETRY = 1.0
_RECONCILE = 300.0
_PARTITIONS = 6 * 3600.0
_SWEEP = 300.0
_SWEEP_PAUSE = 0.05
_SWEEP_TIMEOUT = 5
# A look at the key file is one system call.
_KEYS = 1.0


async def serve(settings: Settings, keys: KeyRing) -> None:
    """
    Serve calls until SIGTERM or SIGINT, or until another router takes over, then drain.

    Raises:
        AsteriskError: Asterisk is away at the start.
        SettingsError: The journal's directory cannot be used.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    notifier = Notifier(os.environ)
    metrics = Metrics()
    journal = _open_journal(settings)
    store = AdmissionStore(
        settings.dsn,
        keys,
        connections=settings.db_connections,
        rests=settings.rests,
        open_modes=settings.open_modes,
    )
    ari = AriClient(
        url=settings.ari_url,
        user=settings.ari_user,
        password=settings.load_ari_password(),
        app=settings.ari_app,
        events=EVENTS,
    )
    router = Router(
        store,
        timeout=settings.decision_timeout,
        ring_timeout=timedelta(seconds=settings.ring_timeout),
        max_duration=settings.max_duration,
        language=settings.language,
        fixed_lines=settings.fixed_lines,
        extension_tries=settings.extension_tries if settings.open_modes else 0,
        meter=metrics,
        strict=settings.strict,
        caller_limit=settings.refusal_limit_caller,
        trunk_limit=settings.refusal_limit_trunk,
    )
    async with store:
        books = Books(store, journal, settled=metrics.settled)
        try:
            async with ari:
                door = AriDoor(ari, router, waiting_limit=settings.waiting_limit)
                health = Health(ari, store, notifier, timeout=settings.decision_timeout)
                survey = Surveyor(store)
                show(metrics, ari=ari, door=door, pool=store.pool, journal=journal, survey=survey)
                log.info("serve.ready", extra={"app": settings.ari_app})
                if settings.open_modes:
                    log.warning("serve.open_modes", extra={"strangers": "get through"})
                notifier.ready()
                await _run_until(
                    _leaving(stop, door, health, settings.handover),
                    door.serve(),
                    books.keep(),
                    health.keep(),
                    survey.keep(),
                    *_health_servers(settings, health, metrics),
                    _every(_PARTITIONS, store.ensure_call_days),
                    _reconcile(door, ari, books),
                    _sweep(settings),
                    _follow_keys(settings, store, keys),
                )
                notifier.stopping("draining")
                log.info("serve.draining")
                await door.drain()
        except AriUnavailable as error:
            raise AsteriskError(f"Asterisk cannot be reached: {error}") from None
        await books.close()
    log.info("serve.stopped")


async def _leaving(stop: asyncio.Event, door: AriDoor, health: Health, handover: float) -> None:
    """
    Wait until this router is to take no more calls: replaced by another, or told to end.

    Who is told to end may be replaced first, within *handover* seconds.
    """
    replaced = asyncio.ensure_future(door.replaced.wait())
    stopped = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({replaced, stopped}, return_when=asyncio.FIRST_COMPLETED)
        health.draining = True
        if not replaced.done() and handover:
            log.info("serve.handing_over", extra={"seconds": handover})
            await asyncio.wait({replaced}, timeout=handover)
        if replaced.done():
            log.warning("serve.replaced")
    finally:
        replaced.cancel()
        stopped.cancel()


def _health_servers(
    settings: Settings, health: Health, metrics: Metrics
) -> list[Coroutine[Any, Any, None]]:
    if settings.metrics_listen == "off":
        return []
    host, _, port = settings.metrics_listen.rpartition(":")
    server = HealthServer(
        host,
        int(port),
        alive=lambda: health.alive,
        missing=lambda: health.missing,
        metrics=metrics.application(),
    )
    return [server.serve()]


def _open_journal(settings: Settings) -> EndJournal:
    try:
        settings.journal.mkdir(parents=True, exist_ok=True)
        probe = settings.journal / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise SettingsError(
            f"AGI_ROUTER_JOURNAL: the directory cannot be written to ({error.strerror});"
            " the router renames and deletes files there"
        ) from None
    return EndJournal(settings.journal)


async def _run_until(stop: Coroutine[Any, Any, None], *works: Coroutine[Any, Any, None]) -> None:
    """
    Run *works* until *stop* is over; an error in one of them ends all.
    """
    tasks = [asyncio.ensure_future(work) for work in (stop, *works)]
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
            await asyncio.sleep(_RETRY * 10)
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


async def _reconcile(door: AriDoor, ari: AriClient, books: Books) -> None:
    """
    Reconcile after each connection, and now and then.
    """
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RECONCILE):
                await door.connected.wait()
        door.connected.clear()
        try:
            await books.reconcile(ari)
        except (StoreError, AriError) as error:
            log.warning("reconcile.deferred", extra={"error": str(error)})
            await asyncio.sleep(_RETRY)
            door.connected.set()
