"""
Messages to systemd: ready, stopping, still alive.

The protocol is that of sd_notify(3): lines of ``NAME=value`` in one datagram to the socket that
``NOTIFY_SOCKET`` names. Without systemd nothing is sent.
"""

import contextlib
import socket
from collections.abc import Mapping

__all__ = ["Notifier"]

_ALIVE_AT_MOST = 1.0


class Notifier:
    """
    Tells systemd how this process does.

    Args:
        environ: ``NOTIFY_SOCKET`` is the socket's path, with ``@`` in front of an abstract one;
            ``WATCHDOG_USEC``: microseconds without a sign of life, after which systemd kills us.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        limit = environ.get("WATCHDOG_USEC", "")
        self._watched = limit.isdecimal()
        self.interval = min(_ALIVE_AT_MOST, int(limit) / 3e6) if self._watched else _ALIVE_AT_MOST
        """Seconds between two signs of life."""

    def ready(self) -> None:
        """
        Calls are taken from now on.
        """
        self._send("READY=1")

    def stopping(self, why: str) -> None:
        """
        No more calls are taken.

        Args:
            why: One line for people.
        """
        self._send(f"STOPPING=1\nSTATUS={why}")

    def status(self, what: str) -> None:
        """
        What this process does, while it does no more than that.

        Args:
            what: One line for people.
        """
        self._send(f"STATUS={what}")

    def alive(self) -> None:
        """
        The sign of life. To be sent from the event loop: where that hangs, it must not come.
        """
        if self._watched:
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # Whoever started us may be gone, or its socket full: no reason to end calls.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.settimeout(0)
            sender.sendto(text.encode(), self._address)
