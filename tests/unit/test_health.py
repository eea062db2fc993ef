"""Health: what is told to systemd, to probes and to Prometheus, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import resource
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from agi_router.ari import AriClient
from agi_router.bindings.reasons import Reason
from agi_router.calls.decision import Refusal, Route
from agi_router.calls.end import End, Outcome, call_day
from agi_router.calls.journal import EndJournal
from agi_router.calls.store import AdmissionStore
from agi_router.clocks import OtherClock
from agi_router.db.pool import ConnectionPool
from agi_router.errors import StoreUnavailable
from agi_router.service import health as health_module
from agi_router.service import health_server as health_server_module
from agi_router.service.descriptors import raise_limit
from agi_router.service.gauges import DatabaseGauges, show, show_ari, show_clocks, show_fastagi
from agi_router.service.health import Health
from agi_router.service.health_server import HealthServer
from agi_router.service.jobs import Jobs
from agi_router.service.metrics import Figures, Metrics
from agi_router.service.systemd import Notifier
from agi_router.service.upkeep import health_jobs
from harness.values import A, X, call_id

CALL = call_id(1)


class Store:
    """A database that may be away."""

    def __init__(self) -> None:
        self.away = False
        self.ahead = timedelta()

    async def check(self, *, timeout: float) -> datetime:  # noqa: ASYNC109
        """Answer, or not."""
        assert timeout == 0.4
        if self.away:
            raise StoreUnavailable
        return datetime.now(UTC) + self.ahead


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
    jobs = Jobs()
    tasks = [
        asyncio.create_task(jobs.run(job))
        for job in health_jobs(health, interval=health._notifier.interval)
    ]
    await asyncio.sleep(0.01)
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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


@pytest.mark.parametrize(
    ("hours", "line"),
    [
        (1, "clock: this machine's is 3600.00 s behind the database's, and may be 5 s: set both"),
        (
            -1,
            "clock: this machine's is 3600.00 s ahead of the database's, and may be 5 s: set both",
        ),
    ],
)
async def test_the_databases_clock(
    ari: SimpleNamespace, store: Store, hours: int, line: str
) -> None:
    """It judges when bindings end: one that was set is told."""
    health = make_health(ari, store)
    async with keeping(health):
        assert health.missing == []
    store.ahead = timedelta(hours=hours)
    async with keeping(health):
        (said,) = health.missing
    assert re.sub(r"\d+\.\d+ s", "3600.00 s", said).startswith(line)
    assert abs(health.clocks["database"].ahead + 3600 * hours) < 60


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
        remarked=lambda: health.remarked,
        metrics=Metrics().tell,
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
        health.remarks.append(lambda: ["sound: dearer"])
        assert await ask(port, "/readyz") == (200, "ok\nsound: dearer\n")
        ari.ready = False
        assert await ask(port, "/readyz") == (503, "asterisk: not connected\n")
        assert (await ask(port, "/livez"))[0] == 200
        assert (await ask(port, "/"))[0] == 404
        assert (await ask(port, "/livez", "POST"))[0] == 405
        assert (await ask(port, "/metrics"))[0] == 200


@contextlib.asynccontextmanager
async def healthy(port: int) -> AsyncIterator[None]:
    """Serve health, of a router that lacks nothing."""
    server = HealthServer(
        "127.0.0.1", port, alive=lambda: True, missing=list, metrics=Metrics().tell
    )
    async with serving(server):
        assert await ask(port, "/livez") == (200, "ok\n")
        yield


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_idle_connections_cost_nothing(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Hundreds that say nothing, or not all: few descriptors, no thread; probes get through."""
    with contextlib.ExitStack() as stack:
        async with healthy(port):
            files, threads = open_files(), threading.active_count()
            for number in range(400):
                idle = socket.create_connection(("127.0.0.1", port))
                stack.enter_context(idle)
                if number % 2:
                    idle.sendall(b"GET /livez HTTP/1.1\r\nHost:")
                if number % 50 == 0:
                    assert await ask(port, "/livez") == (200, "ok\n")
                    # Ours, and those of the server: 128 that wait and eight that are answered.
                    assert open_files() <= files + number + 1 + 136
                    assert threading.active_count() <= threads + 16
            assert await ask(port, "/readyz") == (200, "ok\n")
    assert capfd.readouterr() == ("", "")


async def test_a_question_of_a_byte_now_and_then(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is that of the whole question."""
    monkeypatch.setattr(health_server_module, "_QUESTION", 0.2)
    async with healthy(port):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as slow:
            with contextlib.suppress(OSError):
                for byte in b"GET /livez HTTP/1.1\r\n" * 20:
                    await asyncio.to_thread(slow.sendall, bytes([byte]))
                    await asyncio.sleep(0.02)
            with contextlib.suppress(ConnectionResetError):
                assert await asyncio.to_thread(slow.recv, 100) == b""
        assert await ask(port, "/livez") == (200, "ok\n")


async def test_who_does_not_read_the_answer(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    """Many who ask for all metrics and never read them, or are gone: others are answered."""
    with contextlib.ExitStack() as stack:
        async with healthy(port):
            for number in range(60):
                deaf = socket.socket()
                deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
                stack.enter_context(deaf)
                await asyncio.to_thread(deaf.connect, ("127.0.0.1", port))
                deaf.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                if number % 2:
                    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    deaf.close()
            assert await ask_again(port, "/livez") == (200, "ok\n")
    assert capfd.readouterr() == ("", "")


async def ask_again(port: int, path: str) -> tuple[int, str]:
    """Ask until there is an answer: who does not read may have all places for a moment."""
    for _ in range(500):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return await asyncio.to_thread(get, port, path)
        await asyncio.sleep(0.02)
    raise AssertionError("the health server does not answer any more")


@pytest.mark.parametrize(
    "question",
    [
        b"\n\n",
        b"GET\n\n",
        b"GET /livez\r\n\r\n",
        b"GET http://x/livez HTTP/1.1\r\n\r\n",
        b"\xff\xfe \x00 HTTP/1.1\r\n\r\n",
        b"GET /" + b"x" * 7000 + b" HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_no_question(
    port: int, question: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is said so, and nothing else."""
    async with healthy(port):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as asking:
            asking.sendall(question)
            answer = await asyncio.to_thread(asking.recv, 1000)
    assert answer.startswith(b"HTTP/1.0 400 Bad Request\r\n")
    assert capfd.readouterr() == ("", "")


async def test_metrics_that_fail(port: int, caplog: pytest.LogCaptureFixture) -> None:
    """One line of the log, an answer, and no traceback; the next question is answered."""

    def fail() -> bytes:
        raise RuntimeError

    server = HealthServer("127.0.0.1", port, alive=lambda: True, missing=list, metrics=fail)
    async with serving(server):
        assert (await ask(port, "/metrics"))[0] == 500
        assert await ask(port, "/livez") == (200, "ok\n")
    assert [record.getMessage() for record in caplog.records] == ["health.failed"]
    assert not [record for record in caplog.records if record.exc_info]


async def test_others_know_of_something_missing(ari: SimpleNamespace, store: Store) -> None:
    """A door that is crowded is not ready."""
    health = make_health(ari, store)
    crowding: list[str] = []
    health.others.append(lambda: crowding)
    async with keeping(health):
        assert health.missing == []
        crowding.append("fastagi: more calls than can be answered")
        assert health.missing == crowding


def test_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as the machine allows, up to four times what is needed; a refusal is no error."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: asked.append(limits))
    for limits, may in (
        ((256, 524288), 4096),
        ((256, 1000), 1000),
        ((1024, resource.RLIM_INFINITY), 4096),
        ((65536, 65536), 4096),
    ):
        monkeypatch.setattr(resource, "getrlimit", lambda _, limits=limits: limits)
        assert raise_limit() == may
    assert asked == [(4096, 524288), (1000, 1000), (4096, resource.RLIM_INFINITY)]

    def refuse(*_: object) -> None:
        raise ValueError

    monkeypatch.setattr(resource, "setrlimit", refuse)
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 1024))
    assert raise_limit() == 256


def route() -> Route:
    """Return the decision about a call that may go through."""
    return Route(
        binding="70012345678-1",
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


def test_what_is_noted_of_calls_is_counted_meanwhile() -> None:
    """Without a scrape, too, no more than some hundred are kept; none is lost or counted twice."""
    metrics = Metrics()

    def counted() -> float:
        # Without a scrape, which counts what was noted.
        text = Figures.tell(metrics).decode()
        [found] = re.findall(r'calls_decided_total{decision="routed",reason=""} (\S+)', text)
        return float(found)

    for _ in range(999):
        metrics.decided(route())
    assert 0 < 999 - counted() < 200
    metrics.tell()
    assert counted() == 999


def test_a_value_that_cannot_be_had(caplog: pytest.LogCaptureFixture) -> None:
    """The others are told, and the next scrape tells that one failed."""

    def fail() -> float:
        raise OSError

    metrics = Metrics()
    metrics.show("agi_router_lost", "Lost.", fail)
    metrics.show("agi_router_found", "Found.", lambda: 1)
    told = metrics.tell().decode().splitlines()
    assert "agi_router_found 1.0" in told
    assert not [line for line in told if "agi_router_lost" in line]
    assert 'agi_router_job_failures_total{job="metrics"} 1.0' in metrics.tell().decode()
    assert {record.getMessage() for record in caplog.records} == {"metrics.failed"}


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
    gauges = DatabaseGauges(cast(AdmissionStore, None))
    gauges.open_calls, gauges.bindings, gauges.blocks = 7, 12, {"active": 2}
    gauges.numbers = {"bound": 12, "resting": 3, "free": 19985}
    show_ari(
        metrics,
        ari=cast(AriClient, ari),
        door=SimpleNamespace(waiting=3),  # type: ignore[arg-type]
    )
    show_clocks(
        metrics,
        clocks={"asterisk": OtherClock("Asterisk's", limit=1)},
    )
    show_fastagi(
        metrics,
        door=SimpleNamespace(busy=1, strangers=2, refused=300, sent_away=4),  # type: ignore[arg-type]
    )
    show(
        metrics,
        pool=ConnectionPool("", size=4),
        journal=EndJournal(tmp_path),
        gauges=gauges,
    )
    server = HealthServer(
        "127.0.0.1", port, alive=lambda: True, missing=list, metrics=metrics.tell
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
        'agi_router_clock_ahead_seconds{of="asterisk"} 0.0',
        "agi_router_fastagi_calls 1.0",
        "agi_router_fastagi_strangers 2.0",
        "agi_router_fastagi_refused_total 300.0",
        "agi_router_fastagi_sent_away_total 4.0",
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
    assert {name for name, _ in labels} == {"decision", "reason", "outcome", "state", "le", "of"}
    assert not [value for name, value in labels if name != "le" and re.search(r"\d", value)]
