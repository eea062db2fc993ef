"""The real-time check: what is asked, what is an answer, and a service that behaves in any way."""

import asyncio
import json
import logging
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks import Webhook

from agi_router.bindings.words import Side
from agi_router.calls.arrival import Call
from agi_router.calls.check import (
    LARGEST_ANSWER,
    NOTE_CHECK,
    AnswerError,
    Checked,
    Question,
    TenantService,
    Unanswered,
    Verdict,
    judge,
    read_verdict,
)
from agi_router.calls.checker import CallChecker, TenantServices
from agi_router.calls.decision import Route
from agi_router.calls.store import AdmissionStore
from agi_router.calls.tenant_verifiers import TenantVerifiers
from agi_router.calls.verifier import HttpVerifier
from agi_router.events.signature import new_secret
from agi_router.numbers import XNumber
from harness.values import A, B

QUESTION = Question(
    id="1f0a4c0e-6f0e-4d53-9c1d-3b1f5d0a7a55",
    about="pbx1-1769843000.17",
    asked_at=datetime(2026, 1, 31, 7, 3, 20, tzinfo=UTC),
    binding="70012345678-42",
    x_number=XNumber(value=700123456784910),
    side=Side.A,
    tenant="shop",
    order_id="A-1001",
)
PATIENCE = 20.0
# Of a service that says nothing: nobody waits for longer than he must.
SHORT = 0.2
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def test_a_question_holds_no_real_number() -> None:
    """Unless the numbers were added."""
    assert json.loads(QUESTION.to_json()) == {
        "id": QUESTION.id,
        "call_id": "pbx1-1769843000.17",
        "asked_at": "2026-01-31T07:03:20+00:00",
        "x": "700123456784910",
        "binding": "70012345678-42",
        "side": "a",
        "tenant": "shop",
        "order": "A-1001",
        "out_id": None,
        "industrial_id": None,
    }


def test_a_question_with_the_real_numbers() -> None:
    """As the operator wants it; no text of it shows them."""
    a, b = A, B
    question = replace(QUESTION, caller=a, callees=(b,))
    asked = json.loads(question.to_json())
    assert (asked["caller"], asked["callees"]) == (a.digits, [b.digits])
    assert a.digits not in repr(question)


def said(verdict: Any = "yes", of: Any = QUESTION.id) -> bytes:
    """The body of an answer."""
    return json.dumps({"id": of, "verdict": verdict}).encode()


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (500, said(), "status 500"),
        (204, b"", "status 204"),
        (302, said(), "status 302"),
        (200, b"", "no JSON"),
        (200, b"<html>yes</html>", "no JSON"),
        (200, b"\xff\xfe", "no JSON"),
        (200, b"[" * 4000, "no JSON"),
        (200, b'"yes"', "the answer to another question"),
        (200, b'{"verdict": "yes"}', "the answer to another question"),
        (200, said(of="another"), "the answer to another question"),
        (200, said("YES"), "neither yes nor no"),
        (200, said(verdict=True), "neither yes nor no"),
        (200, said(["yes"]), "neither yes nor no"),
        (200, said(None), "neither yes nor no"),
    ],
)
def test_what_is_no_answer(status: int, body: bytes, why: str) -> None:
    """Whatever is not the answer to this question, in words that hold nothing of it."""
    with pytest.raises(AnswerError, match=f"^{why}$"):
        read_verdict(status, body, question_id=QUESTION.id)


@pytest.mark.parametrize("verdict", [Verdict.YES, Verdict.NO])
def test_an_answer(verdict: Verdict) -> None:
    """Yes and no."""
    assert read_verdict(200, said(verdict), question_id=QUESTION.id) is verdict


async def read_request(reader: asyncio.StreamReader) -> tuple[list[str], dict[str, Any]]:
    """The lines of a request's head, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line[16:]) for line in head if line.lower().startswith("content-length:"))
    return head, json.loads(await reader.readexactly(length))


def answer(body: bytes, *, status: str = "200 OK", more: str = "") -> bytes:
    """An answer as it goes over the wire."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


@asynccontextmanager
async def service(peer: Peer, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A verification service; its address."""
    tasks = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await peer(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host, port = server.sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}/calls"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def ask(url: str, *, timeout: float = PATIENCE) -> Checked:  # noqa: ASYNC109
    """What becomes of one question."""
    verifier = HttpVerifier(url, timeout=timeout)
    try:
        return await verifier.ask(QUESTION, timeout=PATIENCE)
    finally:
        verifier.close()


async def test_it_is_asked_on_one_connection() -> None:
    """The request is as documented; the second question goes by the same connection."""
    heads: list[list[str]] = []
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        for verdict in ("yes", "no"):
            head, asked = await read_request(reader)
            heads.append(head)
            assert asked == json.loads(QUESTION.to_json())
            writer.write(answer(said(verdict)))
        await reader.read()

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE, token="t0ken.of-32_characters")
        verdicts = [(await verifier.ask(QUESTION, timeout=PATIENCE)).verdict for _ in range(2)]
        verifier.close()
    assert verdicts == [Verdict.YES, Verdict.NO]
    assert connections == 1
    assert heads[0][0] == "POST /calls HTTP/1.1"
    assert "Authorization: Bearer t0ken.of-32_characters" in heads[0]


async def test_a_kept_connection_that_was_closed() -> None:
    """The question is asked again on a new one."""
    connections = 0

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await read_request(reader)
        writer.write(answer(said()))
        await writer.drain()
        if connections == 1:
            # The next question comes on a connection that ends without a word.
            await read_request(reader)
        else:
            await reader.read()

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE)
        verdicts = [(await verifier.ask(QUESTION, timeout=PATIENCE)).verdict for _ in range(2)]
        verifier.close()
    assert verdicts == [Verdict.YES, Verdict.YES]
    assert connections == 2


@pytest.mark.parametrize(
    ("said_by_it", "why"),
    [
        ([], "no answer in time"),
        ([b"HTTP/1.1 200 OK\r\n"], "no answer in time"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"], "no answer in time"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"] * 50, "no answer in time"),
        ([b"SSH-2.0-OpenSSH_9.2\r\n", None], "RemoteProtocolError"),
        ([None], "RemoteProtocolError"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{", None], "RemoteProtocolError"),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000], "RemoteProtocolError"),
        ([answer(b" " * (LARGEST_ANSWER + 1))], "too long an answer"),
        ([answer(said(), status="503 Busy")], "status 503"),
        ([answer(b"", status="302 Found", more="Location: /yes\r\n")], "status 302"),
        ([answer(said(of="another"))], "the answer to another question"),
    ],
)
async def test_a_service_that_misbehaves(
    said_by_it: list[bytes | None], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Silent, slow, lying or broken: the verdict is that there is none, and a line says why."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in said_by_it:
            if piece is None:
                return
            writer.write(piece)
            await writer.drain()
        await reader.read()

    async with service(peer) as url:
        limit = SHORT if why == "no answer in time" else PATIENCE
        checked = await ask(url, timeout=limit)
    assert checked.verdict is Verdict.UNAVAILABLE
    assert [(each.message, vars(each)["why"]) for each in caplog.records] == [
        ("check.unavailable", why)
    ]


async def test_a_service_that_sends_a_byte_at_a_time() -> None:
    """The limit is one for all of the answer."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        while True:
            writer.write(b"H")
            await writer.drain()
            await asyncio.sleep(SHORT / 10)

    async with service(peer) as url:
        assert (await ask(url, timeout=SHORT)).verdict is Verdict.UNAVAILABLE


async def test_nobody_listens(unused_tcp_port: int) -> None:
    """There is no connection."""
    checked = await ask(f"http://127.0.0.1:{unused_tcp_port}")
    assert checked.verdict is Verdict.UNAVAILABLE
    assert checked.id == QUESTION.id


async def test_no_time_is_left() -> None:
    """The database took it all: nobody is asked."""
    connected = False

    async def peer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        nonlocal connected
        connected = True
        await reader.read()

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE)
        assert (await verifier.ask(QUESTION, timeout=0.0)).verdict is Verdict.UNAVAILABLE
        verifier.close()
    assert not connected


async def test_the_log_names_an_outage_once(caplog: pytest.LogCaptureFixture) -> None:
    """A line where it falls silent and one where it answers again, however many calls come."""
    caplog.set_level(logging.INFO)
    answers = iter([b"no", b"no", said(), said(), b"no"])

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            writer.write(answer(next(answers)))

    async with service(peer) as url:
        verifier = HttpVerifier(url, timeout=PATIENCE)
        for _ in range(5):
            await verifier.ask(QUESTION, timeout=PATIENCE)
        verifier.close()
    assert [record.message for record in caplog.records] == [
        "check.unavailable",
        "check.available",
        "check.unavailable",
    ]


YES, NO, SILENT = Verdict.YES, Verdict.NO, Verdict.UNAVAILABLE


@pytest.mark.parametrize(
    ("operator", "tenant", "unanswered", "verdict"),
    [
        (None, None, "refuse", YES),
        (YES, None, "refuse", YES),
        (SILENT, None, "refuse", SILENT),
        (None, YES, "refuse", YES),
        (None, NO, "ring", NO),
        (None, SILENT, "refuse", SILENT),
        (None, SILENT, "ring", YES),
        (YES, SILENT, "ring", YES),
        (YES, NO, "ring", NO),
        (NO, SILENT, "ring", NO),
        (SILENT, NO, "refuse", NO),
        (SILENT, YES, "ring", SILENT),
        (SILENT, SILENT, "ring", SILENT),
    ],
)
def test_what_two_services_say(
    operator: Verdict | None, tenant: Verdict | None, unanswered: str, verdict: Verdict
) -> None:
    """Either refuses; only a tenant can say that its own service's silence does not."""

    def checked(said: Verdict | None) -> Checked | None:
        return None if said is None else Checked(id="1", verdict=said, ms=1)

    assert judge(checked(operator), checked(tenant), Unanswered(unanswered)) is verdict


def of_tenant(url: str, **terms: Any) -> TenantService:
    """A tenant's service."""
    given = {"unanswered": Unanswered.REFUSE, "timeout": None, "secrets": (new_secret(),)}
    return TenantService(**{"tenant_id": 7, "url": url, **given, **terms})


@pytest.fixture
async def verifiers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TenantVerifiers]:
    """What asks tenants' services, which may be on this host."""
    look_up = socket.getaddrinfo

    def of_ipv4(*asked: Any, **more: Any) -> Any:
        return [each for each in look_up(*asked, **more) if each[0] is socket.AF_INET]

    # Elsewhere "localhost" is ::1 before it is 127.0.0.1, and there nobody listens.
    monkeypatch.setattr(socket, "getaddrinfo", of_ipv4)
    made = TenantVerifiers(timeout=PATIENCE, allowed={"127.0.0.1", "localhost"})
    yield made
    made.close()


async def test_a_tenants_service_is_asked(verifiers: TenantVerifiers) -> None:
    """Signed as events are, with each secret; on one connection, as long as its address stays."""
    heads: list[list[str]] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, asked = await read_request(reader)
            heads.append(head)
            writer.write(answer(said(of=asked["id"])))

    secrets = (new_secret(), new_secret())
    async with service(peer) as url:
        for _ in range(2):
            asked = of_tenant(url.replace("127.0.0.1", "localhost") + "?of=us", secrets=secrets)
            checked = await verifiers.ask(asked, QUESTION, timeout=PATIENCE)
            assert checked.verdict is Verdict.YES
    assert heads[0][0] == "POST /calls?of=us HTTP/1.1"
    headers = dict(line.lower().split(": ", 1) for line in heads[0] if ": " in line)
    for secret in secrets:
        # Names of headers are told apart by nobody; values are.
        exact = dict(line.split(": ", 1) for line in heads[0] if ": " in line)
        Webhook(secret).verify(QUESTION.to_json(), {k.lower(): v for k, v in exact.items()})
    assert headers["webhook-id"] == QUESTION.id
    assert "authorization" not in headers


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/calls",
        "https://[::1]/calls",
        "https://10.0.0.1/calls",
        "http://192.0.2.1/calls",
        "https://localhost/calls",
        "ftp://shop.example/",
        "",
    ],
)
async def test_where_no_tenants_service_may_be(url: str) -> None:
    """Neither in the operator's networks nor in the open; nobody connects."""
    verifiers = TenantVerifiers(timeout=PATIENCE, allowed=())
    checked = await verifiers.ask(of_tenant(url), QUESTION, timeout=PATIENCE)
    assert checked.verdict is Verdict.UNAVAILABLE
    verifiers.close()


async def test_a_tenants_service_has_the_shorter_time(verifiers: TenantVerifiers) -> None:
    """Its own limit, where that is below the operator's."""

    async def peer(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        await asyncio.Event().wait()

    async with service(peer) as url:
        checked = await verifiers.ask(of_tenant(url, timeout=SHORT), QUESTION, timeout=PATIENCE)
    assert checked.verdict is Verdict.UNAVAILABLE


@pytest.mark.parametrize(("name", "verdict"), [("localhost", YES), ("else.example", SILENT)])
async def test_the_certificate_is_that_of_the_name(
    verifiers: TenantVerifiers, tmp_path: Path, name: str, verdict: Verdict
) -> None:
    """Though it is connected to by its address."""
    key, certificate = self_signed(name, tmp_path)
    verifiers._tls.load_verify_locations(certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(said()))
        await writer.drain()

    async with service(peer, tls) as url:
        address = url.replace("http:", "https:").replace("127.0.0.1", "localhost")
        checked = await verifiers.ask(of_tenant(address), QUESTION, timeout=PATIENCE)
    assert checked.verdict is verdict


async def test_only_so_many_services_are_kept(
    verifiers: TenantVerifiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was not asked for the longest goes first, with its connection."""
    monkeypatch.setattr("agi_router.calls.tenant_verifiers._KEPT", 1)
    ended = asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(said()))
        with suppress(ConnectionError):
            await reader.read()
        ended.set()

    async with service(peer) as url:
        for place in ("/first", "/second"):
            checked = await verifiers.ask(of_tenant(url + place), QUESTION, timeout=PATIENCE)
            assert checked.verdict is Verdict.YES
        await asyncio.wait_for(ended.wait(), PATIENCE)


async def test_a_name_is_looked_up_once_at_a_time(
    verifiers: TenantVerifiers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that nobody answers holds up its own calls alone; one that fails is looked up again."""
    looked: list[str] = []
    begun, answered = threading.Event(), threading.Event()

    def resolve(host: str, *_: Any, **__: Any) -> str:
        looked.append(host)
        if host == "slow.example":
            begun.set()
            assert answered.wait(PATIENCE)
        raise socket.gaierror

    monkeypatch.setattr("agi_router.calls.tenant_verifiers.resolve", resolve)
    slow, other = of_tenant("https://slow.example/"), of_tenant("https://b.example/", tenant_id=15)
    first = asyncio.gather(*(verifiers.ask(slow, QUESTION, timeout=PATIENCE) for _ in range(3)))
    assert await asyncio.to_thread(begun.wait, PATIENCE)
    # Nor does a change of it make more of them.
    for seconds in (PATIENCE / 2, PATIENCE / 3):
        changed = of_tenant("https://slow.example/", timeout=seconds)
        checked = await verifiers.ask(changed, QUESTION, timeout=PATIENCE)
        assert checked.verdict is Verdict.UNAVAILABLE
    for _ in range(2):
        checked = await verifiers.ask(other, QUESTION, timeout=PATIENCE)
        assert checked.verdict is Verdict.UNAVAILABLE
    cut = await verifiers.ask(slow, QUESTION, timeout=SHORT)
    assert cut.verdict is Verdict.UNAVAILABLE
    answered.set()
    assert {each.verdict for each in await first} == {Verdict.UNAVAILABLE}
    assert looked.count("slow.example") == 1
    assert looked.count("b.example") == 2


async def test_no_time_is_left_to_load_what_asks() -> None:
    """The tenant's service has not answered then; what is there is closed at the end."""
    loading = threading.Event()

    class Store:
        """Knows a service, and notes what became of it."""

        noted: Any = None

        async def find_question(self, *_: Any, **__: Any) -> tuple[Question, TenantService]:
            return QUESTION, of_tenant("https://shop.example/")

        async def note_checks(self, *told: Any, **_: Any) -> None:
            self.noted = told[2:]

    def load() -> TenantVerifiers:
        assert loading.wait(PATIENCE)
        return TenantVerifiers(timeout=PATIENCE, allowed=())

    store: Any = Store()
    checker = CallChecker(cast("AdmissionStore", store), None, TenantServices(load), numbers=False)
    assert not checker.asks_of_all
    call, route = cast("Call", None), cast("Route", None)
    verdict = await checker.check(call, QUESTION.about, route, timeout=SHORT)
    assert verdict is Verdict.UNAVAILABLE
    operator, tenant = store.noted
    assert (operator, tenant.verdict) == (None, Verdict.UNAVAILABLE)
    assert tenant.id != QUESTION.id
    checker.close()
    loading.set()
    verdict = await checker.check(call, QUESTION.about, route, timeout=SHORT + NOTE_CHECK)
    assert verdict is Verdict.UNAVAILABLE
    checker.close()


def self_signed(name: str, place: Path) -> tuple[Path, Path]:
    """A key and a certificate of a name, which vouches for itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = place / "key.pem", place / "certificate.pem"
    files[0].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    files[1].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return files
