"""
The real-time check on a real Asterisk: who is not confirmed in time reaches nobody, at both doors.
"""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from calls.conftest import OPEN, Serving
from harness.pbx import STATE, Cli, Router
from testpbx.phones import Phones
from testpbx.waiting import until

# Less than the patience of this PBX. A service that answers at all does so within it.
TIMEOUT = "1"
# What the service can do beside "yes" and "no". "frozen" does not answer.
FAULTS = ("status 500", "HTML", "too long", "another id", "neither", "hangs up", "frozen")


class Service:
    """
    A verification service that does as it is told.
    """

    def __init__(self, port: int) -> None:
        self.does = "yes"
        self.asked: list[dict[str, Any]] = []
        self.connections: list[socket.socket] = []
        self.thawed = threading.Event()
        service = self

        class Handler(BaseHTTPRequestHandler):
            """Answers one question."""

            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                """Remember the connection, which outlives the server."""
                super().setup()
                service.connections.append(self.connection)

            def log_message(self, *_: Any) -> None:
                """Nothing."""

            def do_POST(self) -> None:
                """Read the question and do as told."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                asked = json.loads(body)
                service.asked.append(asked)
                status, answer = service.answer(asked["id"])
                if status == 0:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def answer(self, id_: str) -> tuple[int, bytes]:
        """Status and body; 0 hangs up."""
        verdict = {"id": id_, "verdict": self.does}
        match self.does:
            case "status 500":
                return 500, json.dumps({**verdict, "verdict": "yes"}).encode()
            case "HTML":
                return 200, b"<html>yes</html>"
            case "too long":
                return 200, json.dumps({"id": id_, "verdict": "yes", "x": "x" * 5000}).encode()
            case "another id":
                return 200, json.dumps({"id": f"{id_}0", "verdict": "yes"}).encode()
            case "hangs up":
                return 0, b""
            case "frozen":
                self.thawed.wait()
        return 200, json.dumps(verdict).encode()

    def stop(self) -> None:
        """End it; whoever waits for it is let go."""
        self.thawed.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def a_service(port: int = 0) -> Iterator[Service]:
    """A verification service for the time of a block."""
    service = Service(port)
    try:
        yield service
    finally:
        service.stop()


def settings(port: int) -> dict[str, str]:
    """Those of a router that asks the service at this port."""
    return {
        "AGI_ROUTER_CHECK_URL": f"http://127.0.0.1:{port}/calls",
        "AGI_ROUTER_CHECK_TIMEOUT": TIMEOUT,
        "AGI_ROUTER_REFUSAL_LIMIT_CALLER": "off",
    }


def given_back(cli: Cli, binding: dict[str, Any]) -> bool:
    """Whether no use of a binding is taken."""
    return bool(cli("show", binding["id"])["calls_used"] == 0)


def test_a_call_is_confirmed_or_not(
    cli: Cli, phones: Phones, serving: Serving, a: str, b: str
) -> None:
    """Yes rings; no is refused by name; whatever else the service does, nobody rings."""
    binding = cli.bind(a, b, "--max-calls", "1", "--order", "A-1001")
    x = binding["x"]
    with a_service() as service, serving(**settings(service.port)):
        service.does = "no"
        call = phones.call(a, x)
        assert (call.status, call.invites) == (403, ())
        record = cli.record(x)
        assert (record["verdict"], record["reason"]) == ("refuse", "check_refused")
        assert (record["check_id"], record["check_verdict"]) == (service.asked[0]["id"], "no")
        assert record["check_ms"] >= 0
        asked = service.asked[0]
        assert (asked["x"], asked["side"], asked["order"]) == (x, "a", "A-1001")
        assert not {"caller", "callees"} & asked.keys()
        assert a not in json.dumps(asked)
        for count, fault in enumerate(FAULTS, 2):
            assert until(lambda: given_back(cli, binding), timeout=20)
            service.does = fault
            call = phones.call(b, x)
            assert (fault, call.status, call.invites) == (fault, 480, ())
            record = cli.records(x, count)[0]
            assert (record["reason"], record["check_verdict"]) == (
                "check_unavailable",
                "unavailable",
            )
        assert until(lambda: given_back(cli, binding), timeout=20)
        service.does = "yes"
        assert phones.call(a, x).status == 200
        record = cli.records(x, len(FAULTS) + 2)[0]
        assert (record["reason"], record["check_verdict"]) == (None, "yes")


def test_a_service_that_is_started_again(
    cli: Cli, phones: Phones, serving: Serving, a: str, b: str
) -> None:
    """While it is away nobody rings; when it is back calls go on, without a restart of ours."""
    binding = cli.bind(a, b)
    with a_service() as service:
        port = service.port
        with serving(**settings(port)):
            assert phones.call(a, binding["x"]).status == 200
            service.stop()
            call = phones.call(a, binding["x"])
            assert (call.status, call.invites) == (480, ())
            assert cli.records(binding["x"], 2)[0]["reason"] == "check_unavailable"
            with a_service(port):
                assert phones.call(a, binding["x"]).status == 200


@pytest.mark.parametrize(("verdict", "status"), [("yes", 200), ("no", 403)])
def test_the_other_door_asks_as_well(
    cli: Cli,
    phones: Phones,
    router: Router,
    a: str,
    b: str,
    verdict: str,
    status: int,
) -> None:
    """FastAGI with the real numbers, which the operator wants to be sent on this host."""
    x = cli.bind(a, b)["x"]
    with a_service() as service:
        env = {**cli.env, **OPEN, **settings(service.port), "AGI_ROUTER_CHECK_NUMBERS": "on"}
        router.stop()
        with Router(env, STATE / "logs/fastagi-of-its-own.log", door="agi").serving():
            service.does = verdict
            call = phones.call(a, x)
            assert call.status == status
            assert bool(call.invites) is (verdict == "yes")
            (asked,) = service.asked
            assert (asked["caller"], asked["callees"]) == (a, [b])
