"""
``agi-router serve --door sip-messages``: the process of the door for texts by SIP.

It serves no calls. It ends on SIGTERM or SIGINT, after the texts that it has begun to send; what
is owed then is sent by whoever serves the door next.
"""

import asyncio
import logging
import os
import signal
from collections import Counter
from typing import Final

from agi_router.calls.store import AdmissionStore
from agi_router.doors.sip_messages import Options, SipMessageDoor
from agi_router.errors import SettingsError
from agi_router.keys.ring import KeyRing
from agi_router.messages.store import MessageStore
from agi_router.service.gauges import show_clocks
from agi_router.service.health import Health
from agi_router.service.health_server import HealthServer
from agi_router.service.jobs import Alive, Job, Jobs
from agi_router.service.message_gauges import MessageGauges, show_messages
from agi_router.service.metrics import JOB_FAILURES, Figures
from agi_router.service.systemd import Notifier
from agi_router.service.upkeep import health_jobs, key_jobs
from agi_router.settings import Settings

__all__ = ["options_of", "serve"]

log = logging.getLogger(__name__)

_LINK: Final = "sip"
# Seconds the database may take for a sign of life: as long as for a text.
_SIGN: Final = 0.45
_FORGETTING: Final = 10.0


async def serve(settings: Settings, keys: KeyRing) -> None:
    """
    Take and send texts until SIGTERM or SIGINT.

    Args:
        settings: The operator's.
        keys: The key ring.

    Raises:
        SettingsError: It is off, or not said where texts come from and go to; or its address
            cannot be had.
    """
    options = options_of(settings)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    notifier = Notifier(os.environ)
    store = AdmissionStore(
        settings.dsn,
        keys,
        connections=settings.db_connections,
        quarantine=settings.quarantine,
        open_modes=settings.open_modes,
    )
    async with store:
        messages = MessageStore(store.pool, keys, link=_LINK, validity=settings.message_validity)
        door = SipMessageDoor(messages, store, options)
        health = Health(store, notifier, timeout=_SIGN)
        failures: Counter[str] = Counter()
        # Each by its name.
        jobs = Jobs(lambda job: failures.update([job]))
        health.others.append(lambda: jobs.troubles)
        figures = Figures()
        gauges = MessageGauges(messages)
        show_messages(figures, door=door, gauges=gauges)
        figures.show_each_total(*JOB_FAILURES, "job", failures.copy)
        show_clocks(figures, clocks=health.clocks)

        async def use(ring: KeyRing) -> None:
            messages.use(ring)
            # It says so to whoever rotates them, so it is the last.
            await store.use(ring)

        works = [
            *health_jobs(health, interval=notifier.interval),
            *_message_jobs(messages, gauges),
            *key_jobs(settings, use, keys),
            *_health_server(settings, health, figures),
        ]
        running = [asyncio.create_task(jobs.run(work)) for work in works]
        serving = asyncio.create_task(door.serve(stop))
        try:
            await _open(door, serving)
            log.info("serve.ready", extra={"door": "sip-messages"})
            notifier.ready()
            await asyncio.wait(
                {serving, asyncio.create_task(stop.wait())}, return_when="FIRST_COMPLETED"
            )
            health.draining = True
            notifier.stopping("texts that are under way are sent")
            await serving
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    log.info("serve.stopped")


def options_of(settings: Settings) -> Options:
    """
    What the door needs of the settings.

    Raises:
        SettingsError: The door is off, or not said where texts come from and go to.
    """
    listen, following = settings.sip_address, settings.sip_next_address
    if listen is None:
        raise SettingsError("AGI_ROUTER_SIP_LISTEN is off: there is nothing to serve")
    if following is None:
        raise SettingsError("set AGI_ROUTER_SIP_NEXT: nobody knows where texts are sent to")
    if not settings.sip_peers:
        raise SettingsError("set AGI_ROUTER_SIP_PEERS: nobody may send texts")
    return Options(
        listen=listen,
        next_hop=following,
        peers=settings.sip_peers | {following[0]},
        believe_from=settings.unasserted == "from",
        fixed_lines=settings.fixed_lines,
        strict=settings.strict,
        sender_limit=settings.message_limit_sender,
        number_limit=settings.message_limit_number,
        waiting=settings.message_waiting,
    )


async def _open(door: SipMessageDoor, serving: "asyncio.Task[None]") -> None:
    """
    Wait until the door is open.

    Raises:
        SettingsError: Its address cannot be had.
    """
    opened = asyncio.create_task(door.opened.wait())
    await asyncio.wait({serving, opened}, return_when="FIRST_COMPLETED")
    opened.cancel()
    if serving.done():
        try:
            await serving
        except OSError as error:
            raise SettingsError(
                f"AGI_ROUTER_SIP_LISTEN: cannot listen there: {error.strerror}"
            ) from None


def _message_jobs(messages: MessageStore, gauges: MessageGauges) -> list[Job]:
    async def forget(_: Alive) -> None:
        await messages.forget_seen(timeout=_FORGETTING)

    async def look(_: Alive) -> None:
        await gauges.look()

    return [
        Job(name="forget_seen", work=forget, every=60.0, limit=120.0, retry=10.0, first=5.0),
        Job(name="owed", work=look, every=10.0, limit=30.0, retry=10.0),
    ]


def _health_server(settings: Settings, health: Health, figures: Figures) -> list[Job]:
    address = settings.metrics_address()
    if address is None:
        return []
    server = HealthServer(
        *address,
        alive=lambda: health.alive,
        missing=lambda: health.missing,
        metrics=figures.tell,
    )

    async def run(_: Alive) -> None:
        await server.serve()

    return [Job(name="health", work=run, every=1.0, limit=None, retry=1.0)]
