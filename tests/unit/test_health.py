"""Health: what is told to systemd, to probes and to Prometheus, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agi_router import health as health_module
from agi_router.adapters.admission import AdmissionStore
from agi_router.adapters.connection_pool import ConnectionPool
from agi_router.adapters.health_server import HealthServer
from agi_router.adapters.journal import EndJournal
from agi_router.adapters.systemd import Notifier
from agi_router.ari import AriClient
from agi_router.calls import End, Outcome, call_day
from agi_router.errors import StoreUnavailable
from agi_router.health import Health
from agi_router.metrics import Metrics
from agi_router.model import Reason, Refusal, Route
from agi_router.numbers import E164, XNumber
from agi_router.survey import Surveyor, show, show_ari

CALL = "pbx1-1741988825.1"
X = XNumber(value=700012345670001)
A = E164(digits="13800130001")


class Store:
    """A database that may be away."""

    def __init__(self) -> None:
        self.away = False

    async def check(self, *, timeout: float) -> None:  # noqa: ASYNC109
        """Answer, or not."""
        assert timeout == 0.4
        if self.away:
            raise StoreUnavailable


@pytest.fixture
def store() -> Store:
    """A database that answers."""
    return Store()


@pytest.fixture
def ari() -> SimpleNamespace:
    """An Asterisk that is connected."""
    return SimpleNamespace(ready=True, connections=1, backlog=0)


def make_health(ari: object, store: Store, environ: dict[str, str] | None = None) -> Health:
    """Return health over these parts."""
    health = Health(cast(AdmissionStore, store), Notifier(environ or {}), timeout=0.4)
    health.ari = cast(AriClient, ari)
    return health


@contextlib.asynccontextmanager
async def keeping(health: Health) -> AsyncIterator[None]:
    """Keep *health* for the time of a block."""
    task = asyncio.create_task(health.keep())
    await asyncio.sleep(0.01)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_ready(ari: SimpleNamespace, store: Store) -> None:
    """Ready is who has Asterisk and a database, and is not about to end."""
    health = make_health(ari, store)
    assert health.missing == ["database: not asked yet"]
    async with keeping(health):
        assert health.missing == []
        ari.ready = False
        health.draining = True
        assert health.missing == ["router: it is draining", "asterisk: not connected"]
    store.away = True
    async with keeping(health):
        assert health.missing[-1].startswith("database: ")


def alive(health: Health) -> bool:
    """Ask anew: it changes by itself."""
    return health.alive


def signs(receiver: socket.socket) -> int:
    """Take all datagrams that have come."""
    count = 0
    with contextlib.suppress(BlockingIOError):
        while receiver.recv(100) == b"WATCHDOG=1":
            count += 1
    return count


async def test_watchdog_stops_with_the_event_loop(
    ari: SimpleNamespace, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the loop hangs no sign of life is sent, and probes say so; then it goes on."""
    monkeypatch.setattr(health_module, "_STILL", 0.2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(0)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "90000"}
        health = make_health(ari, store, environ)
        async with keeping(health):
            await asyncio.sleep(0.2)
            assert signs(receiver)
            assert alive(health)
            time.sleep(0.4)  # noqa: ASYNC251 - the fault
            assert signs(receiver) == 0
            assert not alive(health)
            assert health.missing == ["event loop: it does not move"]
            await asyncio.sleep(0.2)
            assert signs(receiver)
            assert alive(health)


def get(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Ask the health server."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def ask(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """Ask from another thread; the server may just be starting."""
    for _ in range(200):
        with contextlib.suppress(urllib.error.URLError):
            return await asyncio.to_thread(get, port, path, method)
        await asyncio.sleep(0.01)
    raise AssertionError("the health server does not answer")


@pytest.fixture
def port() -> int:
    """A free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def serving(server: HealthServer) -> AsyncIterator[None]:
    """Serve for the time of a block."""
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_probes(port: int, ari: SimpleNamespace, store: Store) -> None:
    """Liveness and readiness, and nothing else but metrics."""
    health = make_health(ari, store)
    server = HealthServer(
        "127.0.0.1",
        port,
        alive=lambda: health.alive,
        missing=lambda: health.missing,
        metrics=Metrics().application(),
    )
    with socket.socket() as taken:
        # The router before this one still has the port.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        async with keeping(health):
            deferred = asyncio.create_task(server.serve())
            await asyncio.sleep(0.1)
            assert not deferred.done()
            deferred.cancel()
            await asyncio.gather(deferred, return_exceptions=True)
    async with keeping(health), serving(server):
        assert await ask(port, "/livez") == (200, "ok\n")
        assert await ask(port, "/readyz") == (200, "ok\n")
        ari.ready = False
        assert await ask(port, "/readyz") == (503, "asterisk: not connected\n")
        assert (await ask(port, "/livez"))[0] == 200
        assert (await ask(port, "/"))[0] == 404
        assert (await ask(port, "/livez", "POST"))[0] == 405
        assert (await ask(port, "/metrics"))[0] == 200


def route() -> Route:
    """Return the decision about a call that may go through."""
    return Route(
        binding="70001234567-1",
        callees=(A,),
        shown=X,
        ring_timeout=None,
        max_duration=None,
        language=None,
    )


def end(outcome: Outcome | None) -> End:
    """Return the end of a call."""
    return End(
        call_id=CALL,
        day=call_day(CALL),
        x_number=X,
        ended_at=datetime(2025, 3, 14, tzinfo=UTC),
        reason=None,
        outcome=outcome,
        ring_time=None,
        talk_time=timedelta(seconds=3),
        released_by=None,
        cause=16,
    )


async def test_metrics(port: int, tmp_path: Path, ari: SimpleNamespace) -> None:
    """Everything that is counted, timed or looked at is told; no label holds a number."""
    metrics = Metrics()
    metrics.decided(route())
    metrics.decided(Refusal(reason=Reason.STRANGER))
    metrics.decided(Refusal(reason=Reason.STRANGER))
    metrics.took(0.003)
    metrics.admission_took(0.002)
    metrics.settled([end(Outcome.ANSWERED), end(None)])
    (tmp_path / "ends").write_text("a line\n")
    surveyor = Surveyor(cast(AdmissionStore, None))
    surveyor.open_calls, surveyor.bindings, surveyor.blocks = 7, 12, {"active": 2}
    surveyor.numbers = {"bound": 12, "resting": 3, "free": 19985}
    show_ari(
        metrics,
        ari=cast(AriClient, ari),
        door=SimpleNamespace(waiting=3),  # type: ignore[arg-type]
    )
    show(
        metrics,
        pool=ConnectionPool("", size=4),
        journal=EndJournal(tmp_path),
        survey=surveyor,
    )
    server = HealthServer(
        "127.0.0.1", port, alive=lambda: True, missing=list, metrics=metrics.application()
    )
    async with serving(server):
        _, text = await ask(port, "/metrics")
    for line in (
        'agi_router_calls_decided_total{decision="routed",reason=""} 1.0',
        'agi_router_calls_decided_total{decision="refused",reason="stranger"} 2.0',
        'agi_router_calls_decided_total{decision="refused",reason="expired"} 0.0',
        'agi_router_calls_ended_total{outcome="answered"} 1.0',
        'agi_router_calls_ended_total{outcome="none"} 1.0',
        'agi_router_decision_seconds_bucket{le="0.0025"} 0.0',
        'agi_router_decision_seconds_bucket{le="0.005"} 1.0',
        "agi_router_admission_seconds_count 1.0",
        "agi_router_calls_waiting 3.0",
        "agi_router_calls_open 7.0",
        "agi_router_bindings_alive 12.0",
        'agi_router_blocks{state="active"} 2.0',
        'agi_router_numbers{state="bound"} 12.0',
        'agi_router_numbers{state="resting"} 3.0',
        'agi_router_numbers{state="free"} 19985.0',
        "agi_router_ari_connected 1.0",
        "agi_router_ari_connections_total 1.0",
        "agi_router_database_connections 0.0",
        "agi_router_database_losses_total 0.0",
        "agi_router_database_waiting 0.0",
        "agi_router_settle_backlog_bytes 7.0",
    ):
        assert line in text.splitlines()
    assert "process_resident_memory_bytes" in text
    assert "process_open_fds" in text
    labels = {pair for line in text.splitlines() for pair in re.findall(r'(\w+)="([^"]*)"', line)}
    assert {name for name, _ in labels} == {"decision", "reason", "outcome", "state", "le"}
    assert not [value for name, value in labels if name != "le" and re.search(r"\d", value)]
