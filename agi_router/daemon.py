"""
The daemon behind ``agi-router serve``: the doors, and the books.

The doors may be served by one process, or by one each: a process that is frozen freezes all that
it serves.

Draining: on the first SIGTERM or SIGINT the calls that were taken get their answer, the journal is
settled once more, and the connection to Asterisk is closed. Calls that are up do not need us.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import Any

from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.ari_door import EVENTS, AriDoor
from agi_router.adapters.fastagi_door import FastAgiDoor
from agi_router.adapters.journal import EndJournal
from agi_router.ari import AriClient, AriError, AriUnavailable
from agi_router.books import Books
from agi_router.errors import AsteriskError, SettingsError, StoreError
from agi_router.router import Router
from agi_router.seal import KeyRing
from agi_router.settings import Settings

__all__ = ["Doors", "serve"]

log = logging.getLogger(__name__)

_Work = Callable[[], Coroutine[Any, Any, None]]

_RETRY = 1.0
_RECONCILE = 300.0
_PARTITIONS = 6 * 3600.0


class Doors(StrEnum):
    """
    Which doors a process serves.
    """

    ARI = "ari"
    AGI = "agi"
    BOTH = "both"


async def serve(settings: Settings, keys: KeyRing, doors: Doors = Doors.BOTH) -> None:
    """
    Serve calls until SIGTERM or SIGINT, then drain.

    Raises:
        AsteriskError: Asterisk is away at the start, another router took over, or the address of
            FastAGI is taken.
        SettingsError: The journal's directory cannot be used, or FastAGI is off and nothing else
            was to be served.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    journal = _open_journal(settings)
    store = AdmissionStore(settings.dsn, keys, connections=settings.db_connections)
    router = Router(
        store,
        timeout=settings.decision_timeout,
        ring_timeout=timedelta(seconds=settings.ring_timeout),
        max_duration=settings.max_duration,
        language=settings.language,
        fixed_lines=settings.fixed_lines,
    )
    fastagi = None if doors is Doors.ARI else _open_fastagi(settings, router)
    if doors is Doors.AGI and fastagi is None:
        raise SettingsError("AGI_ROUTER_AGI_LISTEN is off: there is nothing to serve")
    async with store:
        books = Books(store, journal)
        works: list[_Work] = [books.keep, partial(_every, _PARTITIONS, store.ensure_call_days)]
        if fastagi is not None:
            works.append(fastagi.serve)
        if doors is Doors.AGI:
            works.append(partial(_reconcile_now_and_then, settings, books))
            await _run_until(stop, *works)
        else:
            await _serve_ari(settings, router, books, stop, works)
        log.info("serve.draining")
        if fastagi is not None:
            await fastagi.drain()
        await books.close()
    log.info("serve.stopped")


async def _serve_ari(
    settings: Settings,
    router: Router,
    books: Books,
    stop: asyncio.Event,
    works: Sequence[_Work],
) -> None:
    """
    Serve the ARI door beside *works*, until *stop* is set and its calls have their answers.
    """
    try:
        async with _ari_client(settings, settings.ari_app, EVENTS) as ari:
            door = AriDoor(ari, router, patience=timedelta(seconds=settings.patience))
            log.info("serve.ready", extra={"app": settings.ari_app})
            await _run_until(stop, *works, door.serve, partial(_reconcile, door, ari, books))
            await door.drain()
    except AriUnavailable as error:
        raise AsteriskError(f"Asterisk cannot be reached: {error}") from None


def _ari_client(settings: Settings, app: str, events: Sequence[str]) -> AriClient:
    return AriClient(
        url=settings.ari_url,
        user=settings.ari_user,
        password=settings.load_ari_password(),
        app=app,
        events=events,
    )


def _open_fastagi(settings: Settings, router: Router) -> FastAgiDoor | None:
    address = settings.agi_address()
    if address is None:
        return None
    host, port = address
    door = FastAgiDoor(router, host=host, port=port)
    door.open()
    return door


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


async def _run_until(stop: asyncio.Event, *works: _Work) -> None:
    """
    Run *works* until *stop* is set; an error in one of them ends all.
    """
    tasks = [asyncio.ensure_future(work()) for work in works]
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


async def _reconcile_now_and_then(settings: Settings, books: Books) -> None:
    """
    Reconcile where no ARI door keeps a connection: by one that is made for it, under another name.
    """
    log.info("serve.ready", extra={"address": settings.agi_listen})
    app = f"{settings.ari_app}_books_{os.getpid()}"
    while True:
        try:
            async with _ari_client(settings, app, ()) as ari:
                await books.reconcile(ari)
        except (SettingsError, StoreError, AriError) as error:
            # Calls are settled all the same; only those that Asterisk forgot to end are not.
            log.warning("reconcile.deferred", extra={"error": str(error)})
        await asyncio.sleep(_RECONCILE)
