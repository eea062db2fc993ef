"""The lobby of a door: who speaks is heard, however many come and say nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agi_router.doors.lobby import Guest, Lobby, listen

PLACES = 8
WORD = b"please"


@dataclass
class Door:
    """A door that answers who says the word, and whose lobby may be kept from moving."""

    port: int = 0
    moves: threading.Event = field(default_factory=threading.Event)
    stands: threading.Event = field(default_factory=threading.Event)

    def enter(self, guest: Guest) -> None:
        """Answer, and do nothing else while it is kept from moving."""
        guest.connection.sendall(b"yes")
        guest.connection.close()
        self.stands.set()
        assert self.moves.wait(20)


@contextmanager
def lobby_of(door: Door) -> Iterator[Lobby]:
    """A lobby that nobody runs yet."""
    listeners = listen("127.0.0.1", 0)
    door.port = listeners[0].getsockname()[1]
    lobby = Lobby(
        listeners,
        name="test",
        places=PLACES,
        patience=20.0,
        most_bytes=100,
        said_all=lambda said: bytes(said) == WORD,
        enter=door.enter,
    )
    try:
        yield lobby
    finally:
        door.moves.set()


@contextmanager
def running(lobby: Lobby) -> Iterator[None]:
    """Run it for the time of a block."""
    thread = threading.Thread(target=lobby.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        threading.Thread(target=lobby.close, daemon=True).start()


def answer(connection: socket.socket) -> bytes:
    """What comes; nothing from who was sent away."""
    connection.settimeout(10)
    with contextlib.suppress(ConnectionResetError):
        return connection.recv(10)
    return b""


def test_who_came_with_a_crowd_and_has_spoken() -> None:
    """Three times as many as there are places come at once: it is in their midst, and is heard."""
    door = Door()
    door.moves.set()
    with contextlib.ExitStack() as stack, lobby_of(door) as lobby:

        def come() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", door.port)))

        for _ in range(PLACES):
            come()
        earnest = come()
        earnest.sendall(WORD)
        for _ in range(2 * PLACES):
            come()
        with running(lobby):
            assert answer(earnest) == b"yes"


def test_who_speaks_while_a_crowd_comes() -> None:
    """It has a place already, and has spoken when others want it: it is heard before it leaves."""
    door = Door()
    with contextlib.ExitStack() as stack, lobby_of(door) as lobby:

        def come() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", door.port)))

        earnest, first = come(), come()
        with running(lobby):
            first.sendall(WORD)
            assert door.stands.wait(10)
            # Now it stands still, and the others are inside.
            crowd = [come() for _ in range(2 * PLACES)]
            earnest.sendall(WORD)
            crowd += [come() for _ in range(2 * PLACES)]
            door.moves.set()
            assert answer(earnest) == b"yes"
