"""
The service around the calls: what systemd, probes and Prometheus are told by a router at work.
"""

import contextlib
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calls.parts import Cli, Router, frozen
from testpbx.phones import Phones
from testpbx.waiting import until

CALLS, WAITING = 10, 3


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """A socket as systemd has it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        yield receiver


@pytest.fixture
def watched(
    router: Router, pbx: dict[str, Any], tmp_path: Path, systemd: socket.socket
) -> Iterator[Router]:
    """A router as systemd starts it, in place of the one that runs."""
    env = {
        "NOTIFY_SOCKET": systemd.getsockname(),
        "WATCHDOG_USEC": "600000",
        "AGI_ROUTER_WAITING_LIMIT": str(WAITING),
    }
    started = Router({**pbx["env"], **env}, tmp_path / "watched.log")
    started.start()
    try:
        assert router.process is not None
        assert router.process.wait(10) == 0
        yield started
    finally:
        started.stop()


def ask(path: str) -> tuple[int, str]:
    """Ask the health server; 0 if nobody answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:9700{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def flush(receiver: socket.socket) -> None:
    """Throw away what has come."""
    receiver.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while receiver.recv(100):
            pass


def test_systemd_is_told(systemd: socket.socket, watched: Router) -> None:
    """Ready, alive while it moves, silent while it is frozen, stopping when it is told to."""
    assert systemd.recv(100) == b"READY=1"
    assert systemd.recv(100) == b"WATCHDOG=1"
    watched.send(signal.SIGSTOP)
    try:
        flush(systemd)
        systemd.settimeout(1.5)
        with pytest.raises(TimeoutError):
            systemd.recv(100)
    finally:
        watched.send(signal.SIGCONT)
    systemd.settimeout(10)
    assert systemd.recv(100) == b"WATCHDOG=1"
    watched.send(signal.SIGTERM)
    assert watched.wait() == 0
    said = []
    systemd.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            said.append(systemd.recv(100))
    assert said[-1] == b"STOPPING=1\nSTATUS=draining"


def test_probes_and_metrics(
    watched: Router, cli: Cli, phones: Phones, a: str, b: str, stranger: str
) -> None:
    """Ready while it has all it needs; calls are counted and timed, and no number is shown."""
    assert watched.registered()
    assert until(lambda: ask("/readyz") == (200, "ok\n"), timeout=10)
    x = cli.bind(a, b)["x"]
    assert phones.call(a, x).status == 200
    assert phones.call(stranger, x).status == 403
    cli.records(x, 2)
    told = (
        'agi_router_calls_decided_total{decision="routed",reason=""} 1.0',
        'agi_router_calls_decided_total{decision="refused",reason="stranger"} 1.0',
        "agi_router_decision_seconds_count 2.0",
        "agi_router_admission_seconds_count 2.0",
        'agi_router_calls_ended_total{outcome="answered"} 1.0',
        "agi_router_ari_connected 1.0",
        "agi_router_settle_backlog_bytes 0.0",
    )
    assert until(lambda: set(told) <= set(ask("/metrics")[1].splitlines()), timeout=10), ask(
        "/metrics"
    )[1]
    text = ask("/metrics")[1]
    assert not [number for number in (a, b, stranger, x) if number in text]
    with frozen("postgres"):
        assert until(lambda: ask("/readyz")[0] == 503, timeout=10)
        assert "database" in ask("/readyz")[1]
        assert ask("/livez") == (200, "ok\n")
    assert until(lambda: ask("/readyz")[0] == 200, timeout=10)


def test_more_than_may_wait(watched: Router, cli: Cli, phones: Phones, a: str, b: str) -> None:
    """With a database that says nothing, who comes after the limit is refused at once."""
    assert watched.registered()
    x = cli.bind(a, b)["x"]
    with frozen("postgres"):
        burst = phones.burst(a, x, calls=CALLS)
    assert burst.by_status == {480: WAITING, 503: CALLS - WAITING}
    assert burst.reached == 0
    reasons = [record["reason"] for record in cli.records(x, CALLS)]
    assert sorted(reasons) == ["no_capacity"] * (CALLS - WAITING) + ["platform_fault"] * WAITING
