"""
The far side of the carrier: it says that it is alive, and hands calls to the phone behind it.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_COPIED = ("via", "from", "to", "call-id", "cseq")


class Carrier:
    """
    What a trunk's address is, whether somebody is called at the moment or not.

    Args:
        address: Where the PBX sends its calls.
        phone: Where a phone listens while there is one.
    """

    def __init__(self, address: tuple[str, int], phone: tuple[str, int]) -> None:
        self._address = address
        self._phone = phone
        self._pbx = address
        self._socket: socket.socket | None = None

    @contextmanager
    def there(self) -> Iterator[None]:
        """Be there for the time of a block."""
        self._open()
        try:
            yield
        finally:
            self._close()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leave the address to somebody else for the time of a block."""
        self._close()
        try:
            yield
        finally:
            self._open()

    def _open(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(self._address)
        self._socket.settimeout(0.1)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(self._socket, self._over))
        self._thread.start()

    def _close(self) -> None:
        assert self._socket is not None
        self._over.set()
        self._thread.join()
        self._socket.close()

    def _serve(self, port: socket.socket, over: threading.Event) -> None:
        while not over.is_set():
            try:
                data, source = port.recvfrom(65535)
            except TimeoutError:
                continue
            if source == self._phone:
                port.sendto(data, self._pbx)
            elif data.startswith(b"OPTIONS "):
                port.sendto(_ok(data.decode()), source)
            else:
                self._pbx = source
                port.sendto(data, self._phone)


def _ok(request: str) -> bytes:
    lines = [
        line
        for line in request.splitlines()
        if re.match(r"[\w-]+", line) and line.partition(":")[0].strip().lower() in _COPIED
    ]
    return "\r\n".join(["SIP/2.0 200 OK", *lines, "Content-Length: 0", "", ""]).encode()
