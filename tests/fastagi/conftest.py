"""A real FastAGI server, a router behind it, and a peer that speaks as Asterisk does, or not."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from datetime import timedelta

import pytest

from agi_router.bindings.modes import Axb
from agi_router.bindings.terms import Terms
from agi_router.bindings.words import Language
from agi_router.calls.arrival import Call
from agi_router.calls.ports import Admission
from agi_router.calls.router import Router
from agi_router.doors.fastagi import FastAgiDoor, token_of
from agi_router.numbers import PhoneNumber, XNumber
from agi_router.rates import OFF, Rate
from agi_router.testing import FrozenClock, MemoryAdmissions
from harness import values
from harness.identities import told as identity
from harness.values import NOW

X = values.X.digits
A, B = values.A.digits, values.B.digits
CALL = values.call_id(42)
# Seconds that a conversation may take, where a test is not about that.
PATIENCE = 20.0
CROWD = 4
STRANGERS = 8
SECRET = "not-a-secret-0123456789"

Lines = list[tuple[str, str]]


class Store(MemoryAdmissions):
    """Admissions where A and B reach each other by X, nobody else anybody; they can be held up."""

    def __init__(self) -> None:
        super().__init__(FrozenClock(NOW))
        self.bind(
            Axb(a=PhoneNumber(digits=A), b=PhoneNumber(digits=B)),
            Terms(expires_at=NOW + timedelta(hours=1)),
            x=XNumber.parse(X),
        )
        self.open = threading.Event()
        self.open.set()
        self.asked: list[str] = []

    async def admit(self, call: Call, call_id: str, *, timeout: float) -> Admission:  # noqa: ASYNC109
        """Answer when the store is open."""
        self.asked.append(call_id)
        await asyncio.to_thread(self.open.wait)
        return await super().admit(call, call_id, timeout=timeout)


class RunningDoor:
    """A door that serves in a loop of its own, as in the process."""

    def __init__(
        self,
        store: Store,
        *,
        trunk_limit: Rate = OFF,
        host: str = "127.0.0.1",
        patience: float = PATIENCE,
    ) -> None:
        router = Router(
            store,
            timeout=patience,
            ring_timeout=timedelta(seconds=45),
            max_duration=timedelta(hours=1),
            language=Language.ZH,
            fixed_lines=False,
            trunk_limit=trunk_limit,
        )
        self.door = FastAgiDoor(
            router,
            host=host,
            port=0,
            secret=SECRET,
            crowd=CROWD,
            patience=patience,
            strangers=STRANGERS,
            today=NOW.date,
        )
        self.door.open()
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.serving: Future[None] = asyncio.run_coroutine_threadsafe(self.door.serve(), self.loop)

    def stop(self) -> None:
        """End it as the daemon does: take nobody more, then wait for those who were taken."""
        self.serving.cancel()
        asyncio.run_coroutine_threadsafe(self._ended(), self.loop).result(10)

    async def _ended(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)
        await self.door.drain()

    def close(self) -> None:
        """Stop it, if it is not stopped yet, and its loop."""
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


class Peer:
    """One connection to the door."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._lines = self.socket.makefile("rb")

    def send(self, text: str | bytes) -> None:
        """Send as it is."""
        self.socket.sendall(text if isinstance(text, bytes) else text.encode())

    def tell(self, lines: Lines) -> None:
        """Tell about a call, and wait for a command."""
        self.send("".join(f"{name}: {value}\n" for name, value in lines) + "\n")

    def line(self) -> str:
        """Return the next line, or an empty text where the door has closed."""
        try:
            return self._lines.readline().decode()
        except ConnectionResetError:
            return ""

    def close(self) -> None:
        """Close without a word."""
        self._lines.close()
        self.socket.close()


def told(caller: str = A, **changes: str) -> Lines:
    """Return what Asterisk 22.10 tells of a call from *caller*, in its order, with *changes*."""
    lines = {
        "agi_network": "yes",
        "agi_network_script": "route",
        "agi_request": "agi://127.0.0.1:4573/route",
        "agi_channel": "PJSIP/carrier-in-0000002a",
        "agi_language": "zh",
        "agi_type": "PJSIP",
        "agi_uniqueid": CALL,
        "agi_version": "22.10.1",
        "agi_callerid": caller,
        "agi_calleridname": "unknown",
        "agi_callingpres": "0",
        "agi_callingani2": "0",
        "agi_callington": "0",
        "agi_callingtns": "0",
        "agi_dnid": X,
        "agi_rdnis": "unknown",
        "agi_context": "agi-router-fallback",
        "agi_extension": "fastagi",
        "agi_priority": "2",
        "agi_enhanced": "0.0",
        "agi_accountcode": "",
        "agi_threadid": "140522942596800",
        "agi_arg_1": token_of(SECRET, changes.get("agi_uniqueid", CALL)),
        "agi_arg_2": X,
        "agi_arg_3": identity(sender=f"<sip:{caller}@carrier>;tag=1"),
    }
    return list({**lines, **changes}.items())


@pytest.fixture
def store() -> Store:
    """The store behind the door."""
    return Store()


@pytest.fixture
def patience() -> float:
    """Seconds that a conversation at the door may take."""
    return PATIENCE


@pytest.fixture
def door(store: Store, patience: float) -> Iterator[RunningDoor]:
    """A door that serves."""
    running = RunningDoor(store, patience=patience)
    yield running
    store.open.set()
    running.close()


Connect = Callable[[], Peer]


@pytest.fixture
def connect(door: RunningDoor) -> Iterator[Connect]:
    """Connect to the door; what is open at the end is closed."""
    peers: list[Peer] = []

    def connected() -> Peer:
        peers.append(Peer(door.door.port))
        return peers[-1]

    yield connected
    for peer in peers:
        peer.close()
