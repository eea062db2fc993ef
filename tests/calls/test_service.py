"""
The service around the calls: what systemd, probes and Prometheus are told by a router at work.
"""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calls.patience import PATIENCE
from harness.pbx import Cli, Router, ask, frozen
from testpbx.phones import Phones
from testpbx.state import ARI_PORT, HOST
from testpbx.waiting import until

CALLS, WAITING = 10, 3


@pytest.fixture
def systemd() -> Iterator[socket.socket]:
    """A socket as systemd has it; an abstract one, to which every account may write."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(f"\0agi-router-test-{os.getpid()}")
        receiver.settimeout(30)
        yield receiver


@pytest.fixture
def watched(
    router: Router, pbx: dict[str, Any], tmp_path: Path, systemd: socket.socket
) -> Iterator[Router]:
    """A router as systemd starts it, in place of the one that runs."""
    env = {
        "NOTIFY_SOCKET": systemd.getsockname().decode().replace("\0", "@"),
        "WATCHDOG_USEC": "600000",
        "AGI_ROUTER_WAITING_LIMIT": str(WAITING),
    }
    # It would stand by, and be back as soon as the other one is gone.
    router.stop()
    with Router({**pbx["env"], **env}, tmp_path / "watched.log").serving() as started:
        yield started


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
    with watched.frozen():
        flush(systemd)
        systemd.settimeout(1.5)
        with pytest.raises(TimeoutError):
            systemd.recv(100)
    systemd.settimeout(30)
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
    assert until(lambda: ask("/readyz") == (200, "ok\n"), timeout=30)
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
    assert until(lambda: set(told) <= set(ask("/metrics")[1].splitlines()), timeout=30), ask(
        "/metrics"
    )[1]
    text = ask("/metrics")[1]
    assert not [number for number in (a, b, stranger, x) if number in text]
    with frozen("postgres"):
        assert until(lambda: ask("/readyz")[0] == 503, timeout=30)
        assert "database" in ask("/readyz")[1]
        assert ask("/livez") == (200, "ok\n")
    assert until(lambda: ask("/readyz")[0] == 200, timeout=30)


FAKETIME = "/usr/$LIB/faketime/libfaketimeMT.so.1"


@pytest.mark.parametrize("apart", ["+2s", "-2s", "+1h"])
def test_clocks_that_differ(
    router: Router,
    cli: Cli,
    phones: Phones,
    pbx: dict[str, Any],
    tmp_path: Path,
    a: str,
    b: str,
    apart: str,
) -> None:
    """
    Router and Asterisk on two machines whose clocks differ: calls go on, and everybody is told.
    """
    x = cli.bind(a, b)["x"]
    router.stop()
    # The wall clock only, as if somebody had set it.
    faked = {"LD_PRELOAD": FAKETIME, "FAKETIME": apart, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    with Router({**pbx["env"], **faked}, tmp_path / "other.log").serving() as other:
        assert until(lambda: "Asterisk's" in ask("/readyz")[1], timeout=30), ask("/readyz")
        assert phones.call(a, x).status == 200
        assert "call.late" not in other.log

        def off() -> float:
            """By how much it is wrong: while an answer takes its time, that is not known well."""
            metric = r'(?m)^agi_router_clock_ahead_seconds{of="asterisk"} (.*)$'
            [ahead] = re.findall(metric, ask("/metrics")[1])
            return abs(float(ahead) - {"+2s": 2, "-2s": -2, "+1h": 3600}[apart])

        # It asks again every ten seconds.
        assert until(lambda: off() < 0.5, timeout=40)
    side = "behind" if apart.startswith("-") else "ahead of"
    expected = (
        rf"this machine's is \d+\.\d+ s {side} Asterisk's, and may be {PATIENCE / 2:g} s:"
        " set both by NTP"
    )

    def is_told() -> bool:
        """Whether the doctor says so; where answers take their time it is in doubt."""
        done = subprocess.run(
            ["agi-router", "doctor", "--json"],
            env={**cli.env, **faked},
            check=False,
            capture_output=True,
            text=True,
        )
        clocks = [each for each in json.loads(done.stdout)["checks"] if each["check"] == "clock"]
        return any(
            each["status"] == "fail" and re.fullmatch(expected, each["text"]) for each in clocks
        )

    assert until(is_told, timeout=40)


def test_clocks_that_agree(router: Router, cli: Cli) -> None:
    """Nobody is told anything."""
    assert router.registered()
    clocks = [each for each in json.loads(cli.doctor().out)["checks"] if each["check"] == "clock"]
    assert [each["status"] for each in clocks] == ["ok", "ok"]
    assert "clock" not in ask("/readyz")[1]


# ``sessionlimit`` of the test PBX's http.conf.
SESSIONS = 100


@contextlib.contextmanager
def full(port: int, connections: int) -> Iterator[None]:
    """
    Hold connections that say nothing; those that are ended are taken anew, until the end.

    Asterisk listens with a short queue, so that a hundred take seconds. Once it has ended one, all
    its places are taken.
    """
    idle: list[socket.socket] = []
    over, taken = threading.Event(), threading.Event()

    def crowd() -> None:
        while not over.wait(0.01):
            ended, _, _ = select.select(idle, [], [], 0)
            for each in ended:
                taken.set()
                idle.remove(each)
                each.close()
            while len(idle) < connections:
                idle.append(socket.create_connection((HOST, port), timeout=60))

    attacker = threading.Thread(target=crowd)
    attacker.start()
    try:
        assert taken.wait(timeout=60)
        yield
    finally:
        over.set()
        attacker.join()
        for each in idle:
            each.close()


@contextlib.contextmanager
def patient_port(root: Path) -> Iterator[None]:
    """Let Asterisk end no idle connection for ten minutes: a router could come in between."""
    conf = root / "etc/asterisk/http.conf"
    shipped = conf.read_text("utf-8")
    patient = shipped.replace("session_inactivity=3000", "session_inactivity=600000")
    assert patient != shipped
    reload = ["chroot", str(root), "asterisk", "-rx", "module reload http"]
    try:
        conf.write_text(patient, "utf-8")
        subprocess.run(reload, check=True, capture_output=True)
        yield
    finally:
        conf.write_text(shipped, "utf-8")
        subprocess.run(reload, check=True, capture_output=True)


def test_idle_connections_at_aris_port(
    router: Router, cli: Cli, phones: Phones, pbx: dict[str, Any], tmp_path: Path, a: str, b: str
) -> None:
    """As many as Asterisk takes: a router that starts says so, and is in when they are ended."""
    router.stop()
    log = tmp_path / "other.log"
    log.touch()
    other = Router(pbx["env"], log)
    try:
        with patient_port(Path(pbx["rootfs"])), full(ARI_PORT, SESSIONS + 1):
            other.launch()
            assert until(lambda: "sessionlimit of its http.conf" in other.log, timeout=60)
            assert other.log.count("serve.ready") == 0
        assert until(lambda: other.log.count("serve.ready") == 1, timeout=60)
    finally:
        other.stop()
    router.start()
    assert phones.call(a, cli.bind(a, b)["x"]).status == 200


def test_more_than_may_wait(watched: Router, cli: Cli, phones: Phones, a: str, b: str) -> None:
    """With a database that says nothing, who comes after the limit is refused at once."""
    assert watched.registered()
    x = cli.bind(a, b)["x"]
    with frozen("postgres"):
        burst = phones.burst(a, x, calls=CALLS)
    # Whoever comes when the first ones have waited in vain finds room.
    waited = burst.by_status[480]
    assert burst.by_status == {480: waited, 503: CALLS - waited}
    assert WAITING <= waited < CALLS
    assert burst.reached == 0
    reasons = [record["reason"] for record in cli.records(x, CALLS)]
    assert sorted(reasons) == ["no_capacity"] * (CALLS - waited) + ["platform_fault"] * waited
