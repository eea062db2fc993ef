"""
The lobby of a door: connections that have not yet said what they want.

Whoever may connect may also stay silent, be slow, send without end, or come a thousand times. So a
connection costs no thread until it has said all that the door needs to judge it; it has a short
time and a bounded number of bytes to do so; and where too many wait, **the one that came first
leaves**, of those who have said nothing new. Who is in earnest speaks at once, and is heard.
"""

from __future__ import annotations

import errno
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Guest", "Lobby", "listen"]

log = logging.getLogger(__name__)

# Of all places, the share that is given away in one go, before those inside are heard again.
_AT_ONCE: Final = 4
_CHUNK: Final = 4096
_BACKLOG: Final = 4096
# Seconds for which a lobby counts as crowded once somebody had to leave.
_CROWDED: Final = 10.0


@dataclass(slots=True)
class Guest:
    """
    A connection, and what came by it so far.
    """

    connection: socket.socket
    """It does not block; whoever takes the guest over may change that, and closes it."""
    deadline: float
    """The monotonic second at which it has to leave, unless it was let in."""
    said: bytearray = field(default_factory=bytearray, repr=False)


class Lobby:
    """
    Takes connections, and hands those on that have said enough.

    Args:
        listeners: Where connections come in.
        name: What the log calls the door.
        places: How many may wait at once.
        patience: Seconds that one may wait.
        most_bytes: How much one may say.
        said_all: Whether what was said is enough to judge.
        enter: Takes a guest over, in the lobby's thread: it must only look, and hand on.
            The guest is its own from then on, whatever becomes of it.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        *,
        name: str,
        places: int,
        patience: float,
        most_bytes: int,
        said_all: Callable[[bytearray], bool],
        enter: Callable[[Guest], None],
    ) -> None:
        self._listeners = listeners
        self._name = name
        self._places = places
        self._patience = patience
        self._most_bytes = most_bytes
        self._said_all = said_all
        self._enter = enter
        # In the order in which they came, which is that of their deadlines.
        self._guests: dict[int, Guest] = {}
        self._selector = selectors.DefaultSelector()
        # A byte wakes the thread: with nobody inside it waits without end.
        self._woken, self._waker = socket.socketpair()
        self._over = threading.Event()
        self._ended = threading.Event()
        self._crowded_until = 0.0
        self.sent_away = 0
        """How many had to leave so far: for want of a place, slow, or with too much to say."""

    @property
    def waiting(self) -> int:
        """
        How many wait now.
        """
        return len(self._guests)

    @property
    def crowded(self) -> bool:
        """
        Whether somebody had to leave for want of a place, within the last ten seconds.
        """
        return time.monotonic() < self._crowded_until

    def run(self) -> None:
        """
        Serve until :meth:`close`, in a thread of its own.
        """
        try:
            self._selector.register(self._woken, selectors.EVENT_READ)
            for listener in self._listeners:
                listener.settimeout(0)
                self._selector.register(listener, selectors.EVENT_READ)
            while not self._over.is_set():
                self._look()
            self._shut()
            # Whoever was inside may still say what they came for.
            while self._guests:
                self._look()
        finally:
            _close(self._listeners)
            _close(guest.connection for guest in self._guests.values())
            _close((self._woken, self._waker))
            self._selector.close()
            self._ended.set()

    def close(self) -> None:
        """
        Take nobody more, and wait until those inside have said what they want, or left.
        """
        self._over.set()
        # It may have ended by itself.
        with suppress(OSError):
            self._waker.send(b"!")
        self._ended.wait()

    def _look(self) -> None:
        ready = self._selector.select(self._patience_left())
        # Whoever has spoken is heard before somebody new may take the place.
        for key, _ in sorted(ready, key=lambda each: each[0].data is None):
            if key.fileobj is self._woken:
                self._woken.recv(_CHUNK)
            elif key.data is None:
                self._take(key.fileobj)  # type: ignore[arg-type]  # registered by run()
            else:
                self._hear(key.data)
        now = time.monotonic()
        while self._guests and self._oldest().deadline <= now:
            self._send_away(self._oldest())

    def _patience_left(self) -> float | None:
        """Seconds until somebody has to leave; nothing where nobody is inside."""
        if not self._guests:
            return None
        return max(0.0, self._oldest().deadline - time.monotonic())

    def _shut(self) -> None:
        """Whoever connects from now on is refused by the kernel."""
        for listener in self._listeners:
            self._selector.unregister(listener)
        _close(self._listeners)

    def _take(self, listener: socket.socket) -> None:
        for _ in range(max(self._places // _AT_ONCE, 1)):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                # Gone before it was taken; or no descriptor is free: somebody makes room.
                if self._guests:
                    self._send_away(self._oldest(), crowded=True)
                else:
                    log.warning("lobby.full", extra={"door": self._name, "error": error.strerror})
                    self._over.wait(_CROWDED / 100)
                return
            if len(self._guests) >= self._places:
                self._send_away(self._oldest(), crowded=True)
            connection.settimeout(0)
            guest = Guest(connection, time.monotonic() + self._patience)
            self._guests[connection.fileno()] = guest
            self._selector.register(connection, selectors.EVENT_READ, guest)
            self._hear(guest)

    def _hear(self, guest: Guest) -> None:
        if guest.connection.fileno() < 0:
            # Sent away since the selector saw it.
            return
        try:
            chunk = guest.connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        guest.said += chunk
        if not chunk or len(guest.said) > self._most_bytes:
            self._send_away(guest, gone=not chunk)
        elif self._said_all(guest.said):
            self._forget(guest)
            self._enter(guest)

    def _oldest(self) -> Guest:
        return next(iter(self._guests.values()))

    def _forget(self, guest: Guest) -> None:
        del self._guests[guest.connection.fileno()]
        self._selector.unregister(guest.connection)

    def _send_away(self, guest: Guest, *, crowded: bool = False, gone: bool = False) -> None:
        self._forget(guest)
        guest.connection.close()
        self.sent_away += not gone
        if crowded:
            if not self.crowded:
                # Said once, not for each of a flood.
                log.warning("lobby.crowded", extra={"door": self._name, "places": self._places})
            self._crowded_until = time.monotonic() + _CROWDED


def listen(host: str, port: int) -> list[socket.socket]:
    """
    Listen at a port of every address of this machine that *host* stands for.

    Args:
        host: An IPv4 or IPv6 address, or a name like ``localhost``.
        port: TCP port; 0 for any free one.

    Raises:
        OSError: An address is taken, or none is ours, or there is no such name.
    """
    # Bytes: for text Python loads the tables of international names, 0.4 MB that a router keeps.
    found = socket.getaddrinfo(
        host.encode(), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    # A hosts file may name an address twice.
    addresses = dict.fromkeys((family, address) for family, _, _, _, address in found)
    listeners: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in addresses:
        try:
            listeners.append(_listen_at(family, address))
        except OSError as error:
            # "localhost" may stand for ::1, too, where there is no IPv6.
            if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                _close(listeners)
                raise
            absent = error
    if not listeners:
        raise absent or OSError(errno.EADDRNOTAVAIL, "it stands for no address")
    return listeners


def _listen_at(family: int, address: Any) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _close(sockets: Iterable[socket.socket]) -> None:
    for each in sockets:
        each.close()
