"""
``agi-router serve --door http``: the HTTP door's process.

It serves no calls and holds no door of calls: what it does wrong costs none of them. It ends on
SIGTERM or SIGINT, after the requests that it has begun.
"""

import asyncio
import contextlib
import ipaddress
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Final

import uvicorn

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Queries, connect
from agi_router.db.migrate import check_schema
from agi_router.db.rights import check_rights
from agi_router.doors.http.app import create_app
from agi_router.doors.http.options import Options
from agi_router.doors.http.pool import StorePool
from agi_router.errors import AgiRouterError, SettingsError
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.numbering import RangesFollower
from agi_router.schemas.problems import Problem
from agi_router.service.cell_watch import CellWatch
from agi_router.service.certificate import Certificate
from agi_router.service.http_connections import HEAD_PATIENCE, HttpConnection
from agi_router.service.process import keep_for_good
from agi_router.service.recording_places import bucket_of
from agi_router.service.systemd import Notifier
from agi_router.service.text_place import open_place
from agi_router.settings import Settings

__all__ = ["options_of", "serve", "store_opener"]

log = logging.getLogger(__name__)

# Seconds until a statement is given up.
_TIMEOUT: Final = 10
_BACKLOG: Final = 2048
_KEEP_ALIVE: Final = 65
_LOOK: Final = 0.05
# Seconds between two looks at cells, and at whether there are any.
_CELLS_EVERY: Final = 1.0
_ANY_CELLS_EVERY: Final = 60.0
# Seconds for which the time in answers stands.
_TICK: Final = 1.0
_ENDING: Final = 10


async def serve(settings: Settings, keys: KeyRing) -> None:
    """
    Serve requests until SIGTERM or SIGINT.

    Args:
        settings: The operator's.
        keys: The key ring.

    Raises:
        SettingsError: It is to listen beyond loopback without TLS, or cannot listen there; or its
            certificate cannot be read.
    """
    certificate = _certificate(settings)
    holder = _Keys(settings, keys)
    stores = StorePool(store_opener(settings, lambda: holder.ring), settings.db_connections)
    listener = _listen(settings, secure=certificate is not None)
    cells = CellWatch()
    server = _Server(
        uvicorn.Config(
            create_app(stores, options_of(settings), remarked=lambda: cells.remarks),
            http=HttpConnection,
            loop="none",
            ws="none",
            lifespan="off",
            # Our own: one line a request, and nothing of its path.
            log_config=None,
            access_log=False,
            server_header=False,
            forwarded_allow_ips=_trusted(settings.http_proxies),
            timeout_keep_alive=_KEEP_ALIVE,
            timeout_graceful_shutdown=_ENDING,
        ),
        certificate,
    )
    keep_for_good()
    # What it warns of is told in lines of our own.
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    notifier = Notifier(os.environ)
    ranges = RangesFollower(settings.number_ranges)
    serving = asyncio.create_task(server.serve([listener]))
    followers = [ranges.look] if certificate is None else [ranges.look, certificate.look]
    beside = [
        asyncio.create_task(_watch(server, notifier, holder, stores, followers)),
        asyncio.create_task(_watch_cells(cells, stores)),
    ]
    try:
        await serving
    finally:
        notifier.stopping("ending")
        for each in beside:
            each.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await each
        stores.close()
        log.info("http.stopped")


def options_of(settings: Settings) -> Options:
    """
    What the door needs of the settings.
    """
    return Options(
        rate=settings.http_rate,
        wrong_keys=settings.http_wrong_keys,
        ttl=settings.ttl,
        traces_per_hour=settings.traces_per_hour,
        recordings_sealed=settings.recordings_sealed,
        recordings_bucket=bucket_of(settings),
        fixed_lines=settings.fixed_lines,
        open_modes=settings.open_modes,
        strict=settings.strict,
        webhook_hosts=settings.webhook_hosts,
        old_until=settings.old_numbers_until,
        open_place=partial(open_place, settings),
        text_limits=(
            settings.message_limit_sender,
            settings.message_limit_number,
            settings.message_limit_tenant,
        ),
        appeal_spans=settings.appeal_spans,
        complaint_limits=settings.complaint_limits,
        kept=settings.kept,
    )


def store_opener(settings: Settings, keys: Callable[[], KeyRing]) -> Callable[[], BindingStore]:
    """
    What opens a store, with schema, rights and keys checked.

    Args:
        settings: They say of which database.
        keys: Returns the key ring as it is now.
    """

    def open_store() -> BindingStore:
        connection = connect(settings.dsn, timeout=_TIMEOUT)
        try:
            check_schema(connection)
            check_rights(connection)
            ring = check_keys(connection, keys())
            # By its last word a rotation sees which keys are known here.
            name = {"name": f"agi_router serve http {ring.digest}"}
            Queries(connection).row("set_application_name", name)
        except BaseException:
            connection.close()
            raise
        return BindingStore(connection, ring, settings.quarantine, open_modes=settings.open_modes)

    return open_store


class _Server(uvicorn.Server):
    """
    A server that leaves the process alive when a signal has ended it, and rests till there is one.

    Args:
        config: uvicorn's.
        certificate: By which it ends TLS; :obj:`None`: it speaks in the clear.
    """

    def __init__(self, config: uvicorn.Config, certificate: Certificate | None) -> None:
        super().__init__(config)
        self._certificate = certificate
        self._ending = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """
        Take connections. uvicorn's own gives a handshake a minute.
        """
        if self._certificate is None:
            await super().startup(sockets)
            return
        await self.lifespan.startup()

        def begin() -> HttpConnection:
            return HttpConnection(
                config=self.config,
                server_state=self.server_state,
                app_state=self.lifespan.state,
            )

        loop = asyncio.get_running_loop()
        self.servers = [
            await loop.create_server(
                begin,
                sock=each,
                backlog=_BACKLOG,
                ssl=self._certificate.context,
                ssl_handshake_timeout=HEAD_PATIENCE,
            )
            for each in sockets or ()
        ]
        self.started = True

    async def main_loop(self) -> None:
        """
        Wait until it is to end. uvicorn's own looks ten times a second.
        """
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._ending.wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """
        Note that it is to end; called in the event loop.
        """
        super().handle_exit(sig, frame)
        self._ending.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """
        End on SIGTERM and SIGINT. uvicorn's own raises the signal once more, which ends all else.
        """
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self.handle_exit, signum, None)
        yield


class _Keys:
    """
    The key ring, read again when its file has changed.
    """

    def __init__(self, settings: Settings, ring: KeyRing) -> None:
        self._settings = settings
        self.ring = ring
        self._seen = self._stamp()

    def look(self) -> bool:
        """
        Whether there are other keys than before. A file that is not in order is looked at again.
        """
        found = self._stamp()
        if found == self._seen:
            return False
        try:
            ring = self._settings.load_keys()
        except AgiRouterError as error:
            log.warning("http.keys_unreadable", extra={"why": str(error)})
            return False
        self._seen = found
        changed, self.ring = ring != self.ring, ring
        return changed

    def _stamp(self) -> tuple[int, int] | None:
        file = self._settings.key_file
        try:
            status = None if file is None else file.stat()
        except OSError:
            return None
        return status and (status.st_ino, status.st_mtime_ns)


async def _watch(
    server: uvicorn.Server,
    notifier: Notifier,
    holder: _Keys,
    stores: StorePool,
    followers: Sequence[Callable[[], object]],
) -> None:
    """
    Say when the door is open, and that it is alive; follow the file of keys and others.
    """

    def look() -> bool:
        for each in followers:
            each()
        return holder.look()

    # uvicorn tells nobody.
    while not server.started:  # noqa: ASYNC110
        await asyncio.sleep(_LOOK)
    notifier.ready()
    log.info("http.started")
    while True:
        notifier.alive()
        if await asyncio.to_thread(look):
            log.info("keys.changed", extra={"keys": repr(holder.ring)})
            await asyncio.to_thread(stores.renew)
        await asyncio.sleep(min(notifier.interval, 1.0))


async def _watch_cells(cells: CellWatch, stores: StorePool) -> None:
    """
    Give the databases behind this one, if there are any, a sign of life, and see who takes it.
    """

    def look() -> bool:
        with stores.lend() as store:
            return cells.judge(store.inventory.look_at_cells(beat=True))

    there = True
    while True:
        # Whoever keeps it from looking is told of elsewhere.
        with contextlib.suppress(AgiRouterError, Problem):
            there = await asyncio.to_thread(look)
        await asyncio.sleep(_CELLS_EVERY if there else _ANY_CELLS_EVERY)


def _certificate(settings: Settings) -> Certificate | None:
    """
    By which the door ends TLS itself; :obj:`None` where a proxy does.

    Raises:
        SettingsError: One of its files is not named, or both are not in order.
    """
    chain, key = settings.http_certificate, settings.http_certificate_key
    if chain is None and key is None:
        return None
    if chain is None or key is None:
        raise SettingsError(
            "AGI_ROUTER_HTTP_CERTIFICATE and AGI_ROUTER_HTTP_CERTIFICATE_KEY go together: set both"
        )
    return Certificate(chain, key)


def _trusted(proxies: Iterable[str]) -> list[str]:
    """
    Who is believed where a request comes from; IPv4 also as a hop may write it for IPv6.
    """
    told = sorted(proxies)
    for each in proxies:
        try:
            network = ipaddress.IPv4Network(each)
        except ValueError:
            continue
        told.append(f"::ffff:{network.network_address}/{network.prefixlen + 96}")
    return told


def _listen(settings: Settings, *, secure: bool) -> socket.socket:
    """
    The socket of the door.

    Args:
        settings: They say where.
        secure: Whether TLS is spoken there.

    Raises:
        SettingsError: It is no address of loopback, and not secure; or it cannot be had.
    """
    address = settings.http_address
    if address is None:
        raise SettingsError("AGI_ROUTER_HTTP_LISTEN is off: there is nothing to serve")
    host, port = address
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        if not secure and not ipaddress.ip_address(place[0]).is_loopback:
            raise SettingsError(
                "AGI_ROUTER_HTTP_LISTEN: API keys would travel in the clear; set"
                " AGI_ROUTER_HTTP_CERTIFICATE, or listen on loopback and let a proxy in front end"
                " TLS (docs/http.md)"
            )
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"AGI_ROUTER_HTTP_LISTEN: cannot listen there: {error.strerror}"
        ) from None
