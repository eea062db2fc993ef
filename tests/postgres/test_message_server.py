"""The process of the door for texts by SIP: from its settings to its end."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from postgres.test_sip_messages import BODY, a_branch, a_request

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.cli.exit_codes import exit_code
from agi_router.db.connection import Connection
from agi_router.errors import SettingsError
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.sip import Request, answer, build, parse
from harness.database import SOON, bind, one, until
from harness.free_port import own_host
from harness.values import A, B

PROGRAM = str(Path(sys.executable).with_name("agi-router"))


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    """Who sends texts to the door, and gets what it sends."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.bind(("127.0.0.1", 0))
        opened.settimeout(0)
        yield opened


@pytest.fixture
def environment(
    dsn: str, keys: KeyRing, store: BindingStore, peer: socket.socket, tmp_path: Path
) -> dict[str, str]:
    """Its settings."""
    assert store
    write_key_ring(tmp_path / "key", keys)
    return {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(tmp_path / "key"),
        "AGI_ROUTER_METRICS_LISTEN": f"{own_host()}:9703",
        "AGI_ROUTER_SIP_LISTEN": f"{own_host()}:5062",
        "AGI_ROUTER_SIP_NEXT": f"127.0.0.1:{peer.getsockname()[1]}",
        "AGI_ROUTER_SIP_PEERS": "127.0.0.1",
        "AGI_ROUTER_MESSAGE_LIMIT_SENDER": "off",
        "AGI_ROUTER_MESSAGE_LIMIT_NUMBER": "off",
    }


@dataclass
class Served:
    """A door that runs."""

    process: subprocess.Popen[bytes]
    environment: dict[str, str]
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self.environment["AGI_ROUTER_SIP_LISTEN"].split(":")
        return host, int(port)

    def get(self, path: str) -> str:
        """What its health server answers; nothing if it is no 200."""
        url = f"http://{self.environment['AGI_ROUTER_METRICS_LISTEN']}{path}"
        try:
            with urllib.request.urlopen(url, timeout=SOON) as found:
                return str(found.read().decode())
        except OSError:
            return ""


@contextlib.contextmanager
def serving(environment: dict[str, str], log: Path) -> Iterator[Served]:
    """``agi-router serve --door sip-messages``, ready."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--door", "sip-messages"],
            env=environment,
            stdout=file,
            stderr=file,
        )
    made = Served(process, environment, log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return " serve.ready " in log.read_text() and made.get("/readyz") == "ok\n"

    try:
        until(ready, timeout=4 * SOON)
        yield made
    finally:
        process.kill()
        process.wait(SOON)


@pytest.fixture
def served(environment: dict[str, str], tmp_path: Path) -> Iterator[Served]:
    """The same for a whole test."""
    with serving(environment, tmp_path / "log") as made:
        yield made


def test_a_life(
    served: Served, store: BindingStore, connection: Connection, peer: socket.socket
) -> None:
    """A text goes through, is counted and told without a number; it ends softly."""
    bind(store, messages=Messages.BOTH)
    data = a_request()
    statuses: list[int] = []
    texts: list[Request] = []

    def passed() -> bool:
        try:
            received, address = peer.recvfrom(65535)
        except BlockingIOError:
            return False
        message = parse(received)
        if isinstance(message, Request):
            texts.append(message)
            peer.sendto(build(answer(message, 200, "OK", tag="peer")), address)
        else:
            statuses.append(message.status)
        return bool(texts and statuses)

    peer.sendto(data, served.address)
    until(passed, timeout=4 * SOON)
    assert statuses == [202]
    assert texts[0].body.decode() == BODY
    until(lambda: one(connection, "SELECT state FROM agi_router.message") == "sent")
    until(
        lambda: re.search(
            r'(?m)^agi_router_messages_ended_total\{state="sent"\} 1', served.get("/metrics")
        )
    )
    assert "agi_router_messages_accepted_total 1" in served.get("/metrics")
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(4 * SOON) == 0
    log = served.log.read_text()
    assert " serve.stopped" in log
    assert " message.ended " in log
    assert not any(told in log for told in (A.digits, B.digits, BODY, "Zhang"))


def test_the_leak_test(
    environment: dict[str, str], tmp_path: Path, store: BindingStore, peer: socket.socket
) -> None:
    """A door that is served lets nothing through."""
    assert store
    far = "{}:{}".format(*peer.getsockname())
    peer.close()
    arguments = ["leaktest", "--messages", "--pbx", environment["AGI_ROUTER_SIP_LISTEN"]]
    arguments += ["--near", f"127.0.0.1:{a_port()}", "--numbers", "13800001000-13800001003"]

    def tested(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments, *more],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=4 * SOON,
        )

    with serving(environment, tmp_path / "log"):
        # All of them are tried by test_message_leaks.
        done = tested("--far", far, "--vector", "Call-ID", "--vector", "escapes")
        told = "nothing leaked\ntexts 4, matches 0, faults 0\n"
        assert (done.stdout, done.returncode) == (told, 0), done.stderr


def a_port() -> int:
    """A port of UDP that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("SIP_LISTEN", "off", "AGI_ROUTER_SIP_LISTEN is off"),
        ("SIP_NEXT", "", "set AGI_ROUTER_SIP_NEXT"),
        ("SIP_PEERS", "", "set AGI_ROUTER_SIP_PEERS"),
        ("SIP_LISTEN", "192.0.2.1:5062", "AGI_ROUTER_SIP_LISTEN: cannot listen there"),
    ],
)
def test_settings_that_are_wrong(
    environment: dict[str, str], name: str, value: str, words: str
) -> None:
    """It says which, and ends in a way that systemd does not repeat."""
    done = subprocess.run(
        [PROGRAM, "serve", "--door", "sip-messages"],
        env={**environment, f"AGI_ROUTER_{name}": value},
        capture_output=True,
        text=True,
        check=False,
        timeout=4 * SOON,
    )
    assert done.returncode == exit_code(SettingsError)
    assert words in done.stderr


@dataclass
class Crowd:
    """
    Parties that text each other: each repeats its request until it is answered.

    Attributes:
        socket: Of all of them.
        door: Where they send to.
        unanswered: Requests that nobody has answered yet, by their branch.
        answers: Whether texts that come are answered.
    """

    socket: socket.socket
    door: tuple[str, int]
    unanswered: dict[str, bytes]
    answers: bool = False
    accepted: int = 0
    tries: dict[str, set[int]] = field(default_factory=dict)
    """The tries in which each text has come, by its Call-ID."""
    bodies: Counter[str] = field(default_factory=Counter)
    """How many texts with each body have come, each counted once."""
    _send_at: float = 0.0

    def step(self) -> None:
        """Send what is not answered, twice in a second, and read what has come."""
        if time.monotonic() >= self._send_at:
            for data in self.unanswered.values():
                self._write(data, self.door)
            self._send_at = time.monotonic() + 0.5
        with contextlib.suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                self._take(*self.socket.recvfrom(65535))

    def until(self, condition: Callable[[], object]) -> None:
        """Go on until it holds."""

        def stepped() -> object:
            self.step()
            return condition()

        until(stepped, timeout=2 * SOON)

    def _take(self, data: bytes, address: tuple[str, int]) -> None:
        message = parse(data)
        if isinstance(message, Request):
            tries = self.tries.setdefault(message.one("call-id"), set())
            self.bodies[message.body.decode()] += not tries
            tries.add(message.cseq[0])
            if self.answers:
                self._write(build(answer(message, 200, "OK", tag="peer")), address)
        elif data := self.unanswered.pop(branch := message.via.branch, b""):
            if message.status == 503:
                # Certainly not stored: it goes as a new one.
                renewed = f"{branch}0"
                self.unanswered[renewed] = data.replace(branch.encode(), renewed.encode())
                return
            assert message.status == 202
            self.accepted += 1

    def _write(self, data: bytes, address: tuple[str, int]) -> None:
        # Nobody may listen there now, or the line may be full: it is sent again.
        with contextlib.suppress(OSError):
            self.socket.sendto(data, address)


def test_killed_under_load(
    environment: dict[str, str],
    store: BindingStore,
    connection: Connection,
    peer: socket.socket,
    tmp_path: Path,
) -> None:
    """Whatever was accepted arrives; what arrives twice is marked; uses are exact."""
    texts = 120
    bind(store, messages=Messages.BOTH, max_messages=texts)
    asked = [a_request(body=f"text {number}") for number in range(texts)]
    address, port = environment["AGI_ROUTER_SIP_LISTEN"].split(":")
    crowd = Crowd(peer, (address, int(port)), {a_branch(data): data for data in asked})
    accepted = 0
    for step in (20, 30, texts):
        with serving(environment, tmp_path / "log") as served:
            # Nobody answers before the first death: what was on its way may have arrived.
            crowd.answers = accepted > 0
            if step < texts:
                accepted += step
                crowd.until(lambda: crowd.accepted >= accepted and crowd.tries)  # noqa: B023
                served.process.kill()
                served.process.wait(SOON)
                # As if the leases were over.
                connection.execute(b"UPDATE agi_router.message_out SET next_at = now()")
                continue
            crowd.until(lambda: not crowd.unanswered)
            crowd.until(lambda: not one(connection, "SELECT count(*) FROM agi_router.message_out"))
    assert crowd.accepted == texts
    assert crowd.bodies == Counter(f"text {number}" for number in range(texts))
    sent = "SELECT count(*) FROM agi_router.message WHERE state = 'sent'"
    assert one(connection, sent) == texts
    assert one(connection, "SELECT sum(messages_used) FROM agi_router.binding") == texts
    rows = connection.execute(b"SELECT id FROM agi_router.message WHERE maybe_twice").fetchall()
    marked = {row["id"] for row in rows}
    twice = {name.partition("@")[0] for name, tries in crowd.tries.items() if len(tries) > 1}
    assert twice
    assert twice <= marked
