"""
``agi-router deliver``: sends events to webhooks, as a process of its own.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import click

from agi_router import logs
from agi_router.cli.context import open_database, read_settings, with_extra
from agi_router.db.connection import Connection, connect
from agi_router.db.migrate import check_schema
from agi_router.db.rights import Purpose, check_rights
from agi_router.events.keys import KeysAtHand
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import KeyRing
from agi_router.service.gauges import show_deliveries
from agi_router.service.health_server import HealthServer
from agi_router.service.metrics import Figures
from agi_router.service.systemd import Notifier

if TYPE_CHECKING:
    from agi_router.events.deliverer import Deliverer

__all__ = ["deliver"]

_TIMEOUT = 30


@click.command()
def deliver() -> None:
    r"""
    Send events to webhooks until SIGTERM; several may do so at once.

    It also marks bindings that the clock has ended, so that their end is told within seconds. Of
    the database it needs what "db grant --for deliver" gives.

    \b
    Example:
      agi-router deliver
    """
    # Whoever has not installed it has all other commands, and their help.
    with with_extra():
        from agi_router.events.deliverer import Deliverer  # noqa: PLC0415
    settings = read_settings()
    keys = settings.load_keys()
    with open_database(settings) as connection:
        check_schema(connection)
        check_rights(connection, Purpose.DELIVER)
        check_keys(connection, keys, remember=False)
    logs.set_up(settings.log_level)
    notifier = Notifier(os.environ)
    stop = threading.Event()

    def end(_: int, __: FrameType | None) -> None:
        notifier.stopping("what is under way is waited for")
        stop.set()

    @contextmanager
    def connected(ring: KeyRing) -> Iterator[Connection]:
        with connect(settings.dsn, timeout=_TIMEOUT, writable=True, name=_name(ring)) as opened:
            check_keys(opened, ring, remember=False)
            yield opened

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    at_hand = KeysAtHand(settings.key_file, settings.load_keys, keys)
    deliverer = Deliverer(connected, at_hand.now, allowed=settings.webhook_hosts)
    figures = Figures()
    show_deliveries(figures, deliverer=deliverer)
    _serve_health(settings.deliver_metrics_address(), deliverer, figures)
    notifier.ready()
    deliverer.run(stop, notifier.alive)


def _serve_health(
    address: tuple[str, int] | None, deliverer: "Deliverer", figures: Figures
) -> None:
    """
    Tell how the deliverer does, from a thread that ends with the process.
    """
    if address is None:
        return
    server = HealthServer(
        *address,
        alive=lambda: deliverer.alive,
        missing=lambda: deliverer.trouble,
        metrics=figures.tell,
    )
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve()), name="health", daemon=True
    )
    thread.start()


def _name(ring: KeyRing) -> str:
    # By this whoever rotates the keys sees which of them are known here.
    return f"agi_router deliver {ring.digest}"
