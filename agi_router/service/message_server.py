"""
``agi-router serve --door sip-messages`` and ``--door smpp``: processes of the doors for texts.

They serve no calls. Each ends on SIGTERM or SIGINT, after the texts that it has begun to send;
what is owed then is sent by whoever serves the door next.
"""

import asyncio
import logging
import os
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from agi_router.calls.store import AdmissionStore
from agi_router.doors import smpp
from agi_router.doors.sip_messages import Options, SipMessageDoor, Transport
from agi_router.errors import SettingsError
from agi_router.keys.ring import KeyRing
from agi_router.messages.checker import TextChecker
from agi_router.messages.link_store import LinkStore
from agi_router.messages.store import MessageStore
from agi_router.service import process
from agi_router.service.gauges import show_clocks
from agi_router.service.health import Health
from agi_router.service.health_server import HealthServer
from agi_router.service.jobs import Alive, Job, Jobs
from agi_router.service.message_gauges import (
    LinkGauges,
    MessageGauges,
    TextDoor,
    show_link,
    show_messages,
)
from agi_router.service.metrics import JOB_FAILURES, Figures
from agi_router.service.process import keep_for_good
from agi_router.service.systemd import Notifier
from agi_router.service.text_place import text_checker
from agi_router.service.upkeep import health_jobs, key_jobs, ranges_job
from agi_router.settings import Settings
from agi_router.smpp import Alphabet, IdForm, Splitting

__all__ = ["link_options_of", "options_of", "serve", "serve_link"]

log = logging.getLogger(__name__)

_LINK: Final = "sip"
# Seconds the database may take for a sign of life: as long as for a text.
_SIGN: Final = 0.45
_FORGETTING: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Served:
    """
    A door, and what its process has beside those of the others.
    """

    name: str
    door: TextDoor
    opened: Callable[["asyncio.Task[None]"], Awaitable[None]]
    """Waits until it is served."""
    jobs: Sequence[Job] = ()
    troubles: Callable[[], list[str]] = list
    show: Callable[[Figures], None] = lambda _: None


async def serve(settings: Settings, keys: KeyRing) -> None:
    """
    Take and send texts by SIP until SIGTERM or SIGINT.

    Args:
        settings: The operator's.
        keys: The key ring.

    Raises:
        SettingsError: It is off, or not said where texts come from and go to; or its address
            cannot be had.
    """
    options = options_of(settings)

    def make(store: AdmissionStore, messages: MessageStore, checker: TextChecker) -> _Served:
        door = SipMessageDoor(messages, store, options, checker, old_numbers=store)
        return _Served("sip-messages", door, lambda serving: _open(door, serving))

    await _serve(settings, keys, _LINK, make)


async def serve_link(settings: Settings, keys: KeyRing) -> None:
    """
    Take and send texts by a link to a message centre until SIGTERM or SIGINT.

    Args:
        settings: The operator's.
        keys: The key ring.

    Raises:
        SettingsError: It is not said where the message centre is and who we are there.
    """
    options = link_options_of(settings)

    def make(store: AdmissionStore, messages: MessageStore, checker: TextChecker) -> _Served:
        links = LinkStore(store.pool, messages)
        door = smpp.SmppDoor(messages, links, store, options, checker, old_numbers=store)
        gauges = LinkGauges(links)

        async def opened(_: "asyncio.Task[None]") -> None:
            # It is served though another process has the link, or the message centre is away.
            return

        async def forget(_: Alive) -> None:
            if lost := await links.forget_parts(settings.smpp_parts_wait, timeout=_FORGETTING):
                log.warning("message.incomplete", extra={"parts": lost})
                door.link_counts.incomplete += lost

        async def give_up(_: Alive) -> None:
            await links.give_up_receipts(timeout=_FORGETTING)

        async def look(_: Alive) -> None:
            await gauges.look()

        return _Served(
            "smpp",
            door,
            opened,
            jobs=[
                Job(name="parts", work=forget, every=10.0, limit=60.0, retry=10.0, first=5.0),
                Job(name="receipts", work=give_up, every=60.0, limit=120.0, retry=10.0, first=7.0),
                Job(name="unmatched", work=look, every=10.0, limit=30.0, retry=10.0),
            ],
            troubles=lambda: [door.trouble] if door.trouble else [],
            show=lambda figures: show_link(figures, door=door, gauges=gauges),
        )

    await _serve(settings, keys, settings.smpp_link, make)


async def _serve(
    settings: Settings,
    keys: KeyRing,
    link: str,
    make: Callable[[AdmissionStore, MessageStore, TextChecker], _Served],
) -> None:
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
        messages = MessageStore(
            store.pool,
            keys,
            link=link,
            validity=settings.message_validity,
            open_modes=settings.open_modes,
        )
        checker = text_checker(settings, messages)
        served = make(store, messages, checker)
        health = Health(store, notifier, timeout=_SIGN)
        failures: Counter[str] = Counter()
        # Each by its name.
        jobs = Jobs(lambda job: failures.update([job]))
        health.others.append(lambda: jobs.troubles)
        health.others.append(served.troubles)
        figures = Figures()
        gauges = MessageGauges(messages)
        show_messages(figures, door=served.door, gauges=gauges)
        served.show(figures)
        figures.show_each_total(*JOB_FAILURES, "job", failures.copy)
        show_clocks(figures, clocks=health.clocks)

        async def use(ring: KeyRing) -> None:
            messages.use(ring)
            # It says so to whoever rotates them, so it is the last.
            await store.use(ring)

        works = [
            *health_jobs(health, interval=notifier.interval),
            *_message_jobs(messages, gauges),
            *served.jobs,
            *key_jobs(settings, use, keys),
            ranges_job(settings),
            *_health_server(settings, health, figures),
        ]
        keep_for_good()
        running = [asyncio.create_task(jobs.run(work)) for work in works]
        serving = asyncio.create_task(served.door.serve(stop))
        try:
            await served.opened(serving)
            log.info("serve.ready", extra={"door": served.name})
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
            checker.close()
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
        transport=Transport(settings.sip_transport),
        peers=settings.sip_peers | {following[0]},
        believe_from=settings.unasserted == "from",
        fixed_lines=settings.fixed_lines,
        strict=settings.strict,
        sender_limit=settings.message_limit_sender,
        number_limit=settings.message_limit_number,
        tenant_limit=settings.message_limit_tenant,
        old_until=settings.old_numbers_until,
        waiting=settings.message_waiting,
    )


def link_options_of(settings: Settings) -> smpp.Options:
    """
    What a link needs of the settings.

    Raises:
        SettingsError: It is not said where the message centre is and who we are there, or a file
            cannot be read.
    """
    if settings.smpp_host is None:
        raise SettingsError("set AGI_ROUTER_SMPP_HOST: nobody knows where the message centre is")
    if settings.smpp_system_id is None:
        raise SettingsError("set AGI_ROUTER_SMPP_SYSTEM_ID: the link needs a name to bind by")
    return smpp.Options(
        host=settings.smpp_host,
        port=settings.smpp_port,
        system_id=settings.smpp_system_id,
        password=settings.load_smpp_password(),
        system_type=settings.smpp_system_type,
        tls=_tls(settings.smpp_tls),
        window=settings.smpp_window,
        rate=settings.smpp_rate,
        alphabet=Alphabet(settings.smpp_alphabet),
        gb18030=settings.smpp_gb18030,
        ids=IdForm(settings.smpp_ids),
        splitting=Splitting(settings.smpp_splitting),
        drop_refused=settings.smpp_refused == "drop",
        fixed_lines=settings.fixed_lines,
        strict=settings.strict,
        sender_limit=settings.message_limit_sender,
        number_limit=settings.message_limit_number,
        tenant_limit=settings.message_limit_tenant,
        old_until=settings.old_numbers_until,
        waiting=settings.message_waiting,
        holder=process.own_name(),
        node=socket.gethostname(),
        is_gone=process.is_gone,
    )


def _tls(setting: str) -> ssl.SSLContext | None:
    if setting == "off":
        return None
    try:
        return ssl.create_default_context(cafile=None if setting == "on" else setting)
    except OSError as error:
        raise SettingsError(f"AGI_ROUTER_SMPP_TLS cannot be read: {error.strerror}") from None


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
