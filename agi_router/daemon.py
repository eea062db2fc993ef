"""
The daemon behind ``agi-router serve``: the doors, and the books.

Draining: on the first SIGTERM or SIGINT the calls that were taken get their answer, the journal is
settled once more, and the connection to Asterisk is closed. Calls that are up do not need us.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from typing import Any

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.ari_door import EVENTS, AriDoor
from agi_router.adapters.journal import EndJournal
from agi_router.adapters.live_profile import refuse_leaks
from agi_router.ari import AriClient, AriError, AriUnavailable
from agi_router.books import Books
from agi_router.errors import AsteriskError, SettingsError, StoreError
from agi_router.router import Router
from agi_router.seal import KeyRing
from agi_router.settings import Settings

__all__ = ["serve"]

log = logging.getLogger(__name__)

_RETRY = 1.0
_RECONCILE = 300.0
_PARTITIONS = 6 * 3600.0


async def serve(settings: Settings, keys: KeyRing) -> None:
    """
    Serve calls until SIGTERM or SIGINT, then drain.

    Raises:
        AsteriskError: Asterisk is away at the start, or another router took over.
        SettingsError: The journal's directory cannot be used; or the PBX's profile can leak, now
            or later, and the operator has not accepted that.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    journal = _open_journal(settings)
    store = AdmissionStore(settings.dsn, keys, connections=settings.db_connections)
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
    )
    async with store:
        books = Books(store, journal)
        try:
            async with ari:
                door = AriDoor(ari, router)
                # Calls that come meanwhile wait in the client; nobody is dialled before this.
                await _check_profile(ari, settings)
                log.info("serve.ready", extra={"app": settings.ari_app})
                await _run_until(
                    stop,
                    door.serve(),
                    books.keep(),
                    _every(_PARTITIONS, store.ensure_call_days),
                    _reconcile(door, ari, books, settings),
                )
                log.info("serve.draining")
                await door.drain()
        except AriUnavailable as error:
            raise AsteriskError(f"Asterisk cannot be reached: {error}") from None
        await books.close()
    log.info("serve.stopped")


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


async def _run_until(stop: asyncio.Event, *works: Coroutine[Any, Any, None]) -> None:
    """
    Run *works* until *stop* is set; an error in one of them ends all.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    stopped = asyncio.ensure_future(stop.wait())
    try:
        done, _ = await asyncio.wait({stopped, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopped}:
            task.result()
    finally:
        for task in (stopped, *tasks):
            task.cancel()
        await asyncio.gather(stopped, *tasks, return_exceptions=True)


async def _every(seconds: float, work: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await work()
        except StoreError as error:
            log.warning("partitions.deferred", extra={"error": str(error)})
            await asyncio.sleep(_RETRY * 10)
        else:
            await asyncio.sleep(seconds)


async def _check_profile(ari: AriClient, settings: Settings) -> None:
    for fault in await refuse_leaks(ari, accepted=settings.unsafe_profile):
        log.warning(
            "profile.unsafe",
            extra={"option": fault.name, "value": fault.value, "wanted": fault.wanted},
        )


async def _reconcile(door: AriDoor, ari: AriClient, books: Books, settings: Settings) -> None:
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
            await _check_profile(ari, settings)
        except (StoreError, AriError, AsteriskError) as error:
            log.warning("reconcile.deferred", extra={"error": str(error)})
            await asyncio.sleep(_RETRY)
            door.connected.set()
