"""The process of the HTTP door: what it says, whom it hears, how it ends."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from agi_router.bindings.store import BindingStore
from agi_router.db.connection import Connection
from agi_router.keys.file import replace_key_ring, write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.service.http_server import _trusted
from harness.cli import run
from harness.database import SOON, one, until

PROGRAM = str(Path(sys.executable).with_name("agi-router"))
A, B, CANARY = "13800000401", "13800000402", "13912345678"


@dataclass
class Served:
    """A door that runs."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def lines(self, event: str) -> list[str]:
        """Its lines of one event."""
        return [line for line in self.log.read_text().splitlines() if f" {event} " in line]


@pytest.fixture
def key_file(tmp_path: Path, ring: KeyRing) -> Path:
    """The key ring."""
    write_key_ring(tmp_path / "key", ring)
    return tmp_path / "key"


@pytest.fixture
def environment(dsn: str, store: BindingStore, key_file: Path) -> dict[str, str]:
    """Its settings."""
    assert store
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    return {
        "AGI_ROUTER_DSN": dsn,
        "AGI_ROUTER_KEY_FILE": str(key_file),
        "AGI_ROUTER_HTTP_LISTEN": f"127.0.0.1:{port}",
    }


@pytest.fixture
def served(environment: dict[str, str], tmp_path: Path) -> Iterator[Served]:
    """``agi-router serve --door http``, ready."""
    with serving(environment, tmp_path / "log", "http") as door:
        yield door


@contextmanager
def serving(
    environment: dict[str, str], log: Path, scheme: str, believes: ssl.SSLContext | None = None
) -> Iterator[Served]:
    """A door that answers, for the time of a block."""
    url = f"{scheme}://{environment['AGI_ROUTER_HTTP_LISTEN']}"
    verify = believes or True
    with log.open("wb") as file:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--door", "http"], env=environment, stdout=file, stderr=file
        )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(httpx2.TransportError):
            found = httpx2.get(f"{url}/readyz", timeout=SOON, verify=verify)
            return found.status_code == 200
        return False

    try:
        until(ready, timeout=4 * SOON)
        yield Served(process, url, log)
    finally:
        process.kill()
        process.wait(SOON)


def test_a_life(
    served: Served, make_key: Callable[..., str], connection: Connection, key_file: Path
) -> None:
    """Requests are answered and told in a line each; a number is told nowhere; it ends softly."""
    bearer = make_key("couriers")
    assert httpx2.get(f"{served.url}/livez").text == "ok\n"
    with httpx2.Client(headers={"Authorization": f"Bearer {bearer}"}, timeout=SOON) as client:
        made = client.post(
            f"{served.url}/v1/bindings",
            json={"a": A, "b": B},
            headers={"Idempotency-Key": CANARY},
        )
        assert made.status_code == 201, made.text
        answers = [
            client.get(f"{served.url}/v1/bindings/{CANARY}"),
            client.get(f"{served.url}/{CANARY}"),
            client.get(f"{served.url}/v1/bindings?x={CANARY}"),
            client.get(f"{served.url}/v1/bindings?{CANARY}=1"),
            client.get(f"{served.url}/v1/bindings", headers={"X-Request-Id": CANARY}),
            client.put(f"{served.url}/v1/bindings", json={CANARY: CANARY}),
            client.post(f"{served.url}/v1/bindings", json={CANARY: CANARY}),
            client.post(f"{served.url}/v1/bindings", json={"a": f"{CANARY}x", "b": CANARY}),
            client.post(f"{served.url}/v1/bindings", content=CANARY),
            client.get(f"{served.url}/v1/bindings", headers={"Authorization": CANARY}),
            # As clients of Alibaba Cloud ask.
            client.post(f"{served.url}/?Action=BindAxb700&TelA={CANARY}&Signature={CANARY}"),
        ]
        for answer in answers:
            assert CANARY not in answer.text + str(answer.headers), answer.url
            assert "server" not in answer.headers
        # A text is taken by a connection of its own, which is not kept.
        x = made.json()["x"]
        told = client.post(
            f"{served.url}/v1/messages",
            json={"from": A, "to": x, "text": CANARY},
            headers={"Idempotency-Key": CANARY},
        )
        assert (told.status_code, CANARY in told.text) == (409, False)
        assert told.json()["detail"] == "The text is refused: messages_off"
    expected = [404, 404, 422, 422, 200, 405, 422, 400, 415, 401, 400]
    assert [answer.status_code for answer in answers] == expected
    until(lambda: len(served.lines("agi_router.doors.http.guard")) > len(answers))
    log = served.log.read_text()
    assert not any(number in log for number in (A, B, CANARY))
    line = next(each for each in log.splitlines() if "action=create_binding" in each)
    assert re.search(
        rf"http\.request request={made.headers['x-request-id']} key=[a-z]{{16}}"
        r" action=create_binding status=201 code=ok ms=[0-9.]+$",
        line,
    )
    assert bearer.split("_", 2)[2] not in log
    assert A.encode() not in Path(f"/proc/{served.process.pid}/cmdline").read_bytes()
    _rotate(connection, key_file)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(SOON) == 0
    assert "http.stopped" in served.log.read_text()


def _rotate(connection: Connection, key_file: Path) -> None:
    """A new key file is read again, and the connections say so."""
    text = key_file.read_text()
    ring = KeyRing.parse(text).with_new("tag", 2)
    replace_key_ring(key_file, ring)

    def names() -> set[str]:
        rows = connection.execute(
            "SELECT application_name FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name LIKE 'agi_router serve%'"
        ).fetchall()
        return {row["application_name"] for row in rows}

    # Those that know the old keys only are closed.
    until(lambda: names() <= {f"agi_router serve http {ring.digest}"})
    assert one(connection, "SELECT count(*) FROM agi_router.binding") == 1


def certify(home: Path, days: int) -> tuple[bytes, bytes, ssl.SSLContext]:
    """A new certificate of this host, its key, and what believes it."""
    home.mkdir()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", home / "key", "-out", home / "chain", "-days", str(days)),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    chain, key = (home / "chain").read_bytes(), (home / "key").read_bytes()
    return chain, key, ssl.create_default_context(cadata=chain.decode())


def told_by_doctor(environment: dict[str, str]) -> list[str]:
    """What it says of the door."""
    nobody = {"AGI_ROUTER_ARI_URL": "http://127.0.0.1:1"}
    done = run(["doctor", "--json"], {**environment, **nobody})
    checks = json.loads(done.out)["checks"]
    return [each["text"] for each in checks if each["check"] == "http"]


def test_tls(environment: dict[str, str], tmp_path: Path, make_key: Callable[..., str]) -> None:
    """The door ends it itself; a new certificate is taken without a restart, a half one is not."""
    chain, key, believes = certify(tmp_path / "old", 2)
    new_chain, new_key, believes_new = certify(tmp_path / "new", 90)
    own = {"CERTIFICATE": tmp_path / "chain.pem", "CERTIFICATE_KEY": tmp_path / "key.pem"}
    for file, text in zip(own.values(), (chain, key), strict=True):
        file.write_bytes(text)
    environment |= {f"AGI_ROUTER_HTTP_{name}": str(file) for name, file in own.items()}
    headers = {"Authorization": f"Bearer {make_key('couriers')}", "Idempotency-Key": "one"}

    def answers(context: ssl.SSLContext) -> bool:
        try:
            return httpx2.get(f"{door.url}/livez", verify=context, timeout=SOON).text == "ok\n"
        except httpx2.ConnectError:
            return False

    with (
        serving(environment, tmp_path / "log", "https", believes) as door,
        httpx2.Client(verify=believes, timeout=SOON) as client,
    ):
        made = client.post(f"{door.url}/v1/bindings", json={"a": A, "b": B}, headers=headers)
        assert made.status_code == 201, made.text
        assert client.get(f"{door.url}/").json()["Code"] == "MissingSignature"
        with pytest.raises(httpx2.TransportError):
            httpx2.get(door.url.replace("https:", "http:"), timeout=SOON)
        (told,) = told_by_doctor(environment)
        assert "the certificate at" in told
        own["CERTIFICATE"].write_bytes(new_chain)
        until(lambda: "http.certificate_unreadable" in door.log.read_text())
        own_limits = httpx2.Limits(keepalive_expiry=None)
        with httpx2.Client(verify=believes, timeout=SOON, limits=own_limits) as connected:
            assert connected.get(f"{door.url}/livez").text == "ok\n"
            own["CERTIFICATE_KEY"].write_bytes(new_key)
            until(lambda: answers(believes_new))
            assert not answers(believes)
            assert connected.get(f"{door.url}/livez").text == "ok\n"
        assert told_by_doctor(environment) == [f"answers at {door.url.removeprefix('https://')}"]


def test_certificates_that_are_none(environment: dict[str, str], tmp_path: Path) -> None:
    """The door ends with 78, and says which setting it is."""
    chain, _, _ = certify(tmp_path / "one", 2)
    _, key, _ = certify(tmp_path / "other", 2)
    (tmp_path / "chain.pem").write_bytes(chain)
    (tmp_path / "key.pem").write_bytes(key)
    own = {"AGI_ROUTER_HTTP_CERTIFICATE": str(tmp_path / "chain.pem")}
    for more, told in (
        ({}, "go together"),
        ({"AGI_ROUTER_HTTP_CERTIFICATE_KEY": str(tmp_path / "none")}, "no such file"),
        ({"AGI_ROUTER_HTTP_CERTIFICATE_KEY": str(tmp_path / "key.pem")}, "key values mismatch"),
    ):
        done = run(["serve", "--door", "http"], {**environment, **own, **more})
        assert (done.code, told in done.err) == (78, True), done.err


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("0.0.0.0:8700", "API keys would travel in the clear"),
        ("off", "AGI_ROUTER_HTTP_LISTEN is off"),
    ],
)
def test_where_it_does_not_listen(environment: dict[str, str], address: str, told: str) -> None:
    """It ends with 78, and says why."""
    done = run(["serve", "--door", "http"], {**environment, "AGI_ROUTER_HTTP_LISTEN": address})
    assert done.code == 78
    assert told in done.err


def test_where_another_one_listens(environment: dict[str, str]) -> None:
    """It says so."""
    host, _, port = environment["AGI_ROUTER_HTTP_LISTEN"].rpartition(":")
    with socket.create_server((host, int(port))):
        done = subprocess.run(
            [PROGRAM, "serve", "--door", "http"],
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=4 * SOON,
        )
    assert done.returncode == 78
    assert "cannot listen there: Address already in use" in done.stderr


def test_proxies_that_are_believed() -> None:
    """However a hop writes them."""
    wanted = {"127.0.0.1", "10.9.0.0/16", "::1", "proxy"}

    async def nothing(*_: object) -> None: ...

    trusted = ProxyHeadersMiddleware(nothing, _trusted(wanted)).trusted_hosts
    for host in ("127.0.0.1", "::ffff:127.0.0.1", "10.9.1.1", "::ffff:10.9.1.1", "::1", "proxy"):
        assert host in trusted, host
    for host in ("192.0.2.1", "::ffff:192.0.2.1", "::ffff:10.8.0.1"):
        assert host not in trusted, host
    # Everybody.
    assert _trusted({"*"}) == ["*"]
