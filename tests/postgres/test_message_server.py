"""The process of the door for texts by SIP: from its settings to its end."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from postgres.test_sip_messages import BODY, a_request

from agi_router.bindings.store import BindingStore
from agi_router.bindings.words import Messages
from agi_router.cli.exit_codes import exit_code
from agi_router.db.connection import Connection
from agi_router.errors import SettingsError
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.sip import Request, answer, build, parse
from harness.database import SOON, A, B, bind, one, until

PROGRAM = str(Path(sys.executable).with_name("agi-router"))


def free_port(kind: socket.SocketKind) -> int:
    """Return a port that nobody has now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
        "AGI_ROUTER_METRICS_LISTEN": f"127.0.0.1:{free_port(socket.SOCK_STREAM)}",
        "AGI_ROUTER_SIP_LISTEN": f"127.0.0.1:{free_port(socket.SOCK_DGRAM)}",
        "AGI_ROUTER_SIP_NEXT": f"127.0.0.1:{peer.getsockname()[1]}",
        "AGI_ROUTER_SIP_PEERS": "127.0.0.1",
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


@pytest.fixture
def served(environment: dict[str, str], tmp_path: Path) -> Iterator[Served]:
    """``agi-router serve --door sip-messages``, ready."""
    log = tmp_path / "log"
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
