"""
Connections to addresses that somebody else has named: the one that was checked is connected to.

1. The certificate is that of the host's name, though its address is connected to.
2. No proxy of the environment is used, and whoever asks follows no redirect.
3. A request has a limit as a whole: a server can send a byte at a time without end.
"""

import contextlib
import socket
import ssl
from collections.abc import Collection
from urllib.parse import SplitResult

from urllib3.connection import HTTPConnection, HTTPSConnection

from agi_router.events.addresses import resolve

__all__ = ["Cutter", "make_connection", "path_of"]

_PORTS = {"http": 80, "https": 443}


class Cutter:
    """
    Ends a connection from another thread: whoever is at it learns of that at once.
    """

    def __init__(self) -> None:
        self._sock: socket.socket | None = None
        self._late = False

    @property
    def late(self) -> bool:
        """
        Whether it was cut.
        """
        return self._late

    def connect(self, connection: HTTPConnection) -> None:
        """
        Open a connection that :meth:`cut` ends.

        Raises:
            TimeoutError: It was cut before.
            OSError: It cannot be opened.
        """
        connection.connect()
        # A connection that is to be closed lets go of its socket while the answer is still read.
        self._sock = connection.sock
        self.check()

    def check(self) -> None:
        """
        Make sure that it was not cut: what was read till now could have an end too early.

        Raises:
            TimeoutError: It was.
        """
        if self._late:
            raise TimeoutError

    def cut(self) -> None:
        """
        End it.
        """
        self._late = True
        if self._sock is not None:
            # It may have ended at this moment.
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)


def make_connection(
    parts: SplitResult, *, timeout: float, allowed: Collection[str]
) -> HTTPConnection:
    """
    A connection to the host of an address, resolved and checked; not open yet.

    Args:
        parts: The address.
        timeout: Seconds for each step.
        allowed: Hosts that the operator allows.

    Raises:
        WebhookInvalid: It may not be reached; says why.
        OSError: It has no address now.
    """
    host = parts.hostname or ""
    port = parts.port or _PORTS[parts.scheme]
    secure = parts.scheme == "https"
    address = resolve(host, port, secure=secure, allowed=allowed)
    if not secure:
        return HTTPConnection(address, port, timeout=timeout)
    # The name is checked against the certificate; the address was checked before.
    return HTTPSConnection(
        address,
        port,
        timeout=timeout,
        ssl_context=_CONTEXT,
        server_hostname=host,
        assert_hostname=host,
    )


def path_of(parts: SplitResult) -> str:
    """
    What stands in the first line of a request.
    """
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


_CONTEXT = ssl.create_default_context()
