"""docs/http.md: the recipe for nginx, as it stands but for places and ports; a door behind it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import httpx2
import pytest

from agi_router.schemas.problems import Problem
from harness.alibaba import AlibabaClient, beijing
from harness.database import SOON, until

PAGE = Path(__file__).parents[2] / "docs/http.md"
NAME = "numbers.example.com"
CANARY, A, B = "13912345678", "13800000901", "13800000902"


@dataclass
class Proxy:
    """A proxy that runs."""

    http: httpx2.Client
    host: str
    home: Path

    @property
    def logs(self) -> str:
        """All that it has written down."""
        return "".join(each.read_text() for each in sorted(self.home.glob("*.log")))


def recipe(home: Path, port: int, endpoint: str) -> str:
    """The page's lines, with places that are free here."""
    found = re.search(r"(?ms)^    log_format .*?^    \}\n", PAGE.read_text("utf-8"))
    assert found
    text = found[0]
    for told, meant in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/nginx/", f"{home}/"),
        ("/var/log/nginx/", f"{home}/"),
        ("127.0.0.1:8700", endpoint),
    ):
        assert told in text
        text = text.replace(told, meant)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = "".join(f"{kind}_temp_path {home}/{kind};" for kind in kinds)
    main = f"daemon off; pid {home}/pid; error_log {home}/main.log; worker_processes 1;"
    return f"{main} events {{}} http {{ {places} {text} }}"


@contextlib.contextmanager
def in_front_of(endpoint: str) -> Iterator[Proxy]:
    """A proxy in front of a door, whether there is one or not."""
    home = Path(tempfile.mkdtemp(prefix="agi-router-nginx-"))
    home.chmod(0o755)
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", home / "numbers.key", "-out", home / "numbers.crt"),
            *("-days", "2", "-subj", f"/CN={NAME}", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    (home / "nginx.conf").write_text(recipe(home, port, endpoint))
    process = subprocess.Popen(
        [os.environ["PBX_NGINX"], "-c", home / "nginx.conf", "-e", home / "main.log"]
    )
    context = ssl.create_default_context(cafile=str(home / "numbers.crt"))

    def listens() -> bool:
        assert process.poll() is None, (home / "main.log").read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), SOON).close()
            return True
        return False

    try:
        until(listens)
        host = f"127.0.0.1:{port}"
        with httpx2.Client(base_url=f"https://{host}", verify=context, timeout=SOON) as http:
            yield Proxy(http, host, home)
    finally:
        process.terminate()
        process.wait(SOON)
        shutil.rmtree(home)


@pytest.fixture(scope="module")
def proxy(endpoint: str) -> Iterator[Proxy]:
    """In front of the door."""
    with in_front_of(endpoint) as running:
        yield running


def test_what_is_signed_is_what_comes(proxy: Proxy, credentials: tuple[str, str]) -> None:
    """The host with its port, the query and the body; no query is in its log."""
    client = AlibabaClient(proxy.http, *credentials)
    end = beijing(timedelta(hours=2))
    own = {"PoolKey": "couriers", "TelA": A, "TelB": B, "Expiration": end, "OrderId": CANARY}
    headers = client.acs3("BindAxb700", own, host=proxy.host)
    bound = proxy.http.post(f"/?{urlencode(own)}", headers=headers).json()
    assert bound["Code"] == "OK"
    again = proxy.http.post("/", content=urlencode(client.rpc("BindAxb700", own)), headers=FORM)
    assert again.json()["Data"] == bound["Data"]
    other = client.acs3("BindAxb700", own, host="127.0.0.1:8700")
    wrong = proxy.http.post(f"/?{urlencode(own)}", headers={**other, "host": proxy.host})
    assert wrong.json()["Code"] == "SignatureDoesNotMatch"
    ids = [bound["RequestId"], again.json()["RequestId"]]
    # The door takes no id in which a number might stand.
    until(lambda: any(each in proxy.logs for each in ids))
    assert not [each for each in (A, B, CANARY, "OrderId", credentials[0]) if each in proxy.logs]


FORM = {"content-type": "application/x-www-form-urlencoded"}


def test_what_it_hands_on(proxy: Proxy) -> None:
    """What the two doors are asked by, whatever its size; not what tells how the service is."""
    large = proxy.http.post(f"/?{urlencode({'Audio': 'x' * 60_000})}")
    assert large.json()["Code"] == "MissingSignature"
    told = proxy.http.get(f"/v1/bindings?{CANARY}={CANARY}", headers={"x-forwarded-for": "x"})
    assert told.json()["code"] == "credentials_missing"
    assert {proxy.http.get(path).status_code for path in ("/livez", "/readyz", "/x")} == {404}
    assert CANARY not in proxy.logs


def test_what_it_says_itself(proxy: Proxy) -> None:
    """Of a door that is away, and of what is too large: as the door would say it."""
    large = b"x" * (2**20 + 1)
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nowhere = f"127.0.0.1:{closed.getsockname()[1]}"
    with in_front_of(nowhere) as alone:
        away = [alone.http.post(f"{path}?{CANARY}") for path in ("/", "/v1/bindings")]
        assert CANARY not in alone.logs
    too_large = [
        proxy.http.post(path, content=large, headers=FORM) for path in ("/", "/v1/bindings")
    ]
    ali, rest = zip(away, too_large, strict=True)
    told = [(each.status_code, each.json()["Code"]) for each in ali]
    assert told == [(503, "ServiceUnavailable"), (413, "RequestBodyTooLarge")]
    assert all(each.json().keys() == {"Code", "Message", "RequestId"} for each in ali)
    told = [(each.status_code, each.json()["code"]) for each in rest]
    assert told == [(503, "answer_late"), (413, "body_too_large")]
    for each in rest:
        assert each.headers["content-type"] == "application/problem+json"
        assert each.json()["status"] == each.status_code
        assert Problem.of_door(each.json()["code"]).status == each.status_code
