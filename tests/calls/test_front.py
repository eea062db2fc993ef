"""
Kamailio in front of Asterisk, with the configuration that is shipped and tables of the command.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from calls.test_axb import PARTY_A, PARTY_B, no_leak, planted
from harness.free_port import free_port
from harness.kamailio import Kamailio, kamailio
from harness.pbx import BLOCK, Asterisk, Cli
from harness.sip import exchange
from leaks.conftest import leaktest
from testpbx.phones import Does, Phones
from testpbx.waiting import until

HOST = "127.0.0.1"
CARRIER = "127.0.0.9"
NODE = f"{HOST}:5060"
TRUNK = "x-agi-router-trunk"
_FORGED = (
    "X-AGI-Router-Trunk: forged",
    "x-agi-router-trunk : forged",
    "X-AGI-ROUTER-TRUNK:forged",
)
_RELOAD = "module reload res_pjsip.so"


class Quiet:
    """A socket that hears, and never says anything."""

    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 0))
        self.socket.setblocking(False)  # noqa: FBT003 - so it is named
        self.place = "{}:{}".format(*self.socket.getsockname())
        self._heard: list[str] = []
        self._peer = ("", 0)

    def heard(self, method: str) -> list[str]:
        """The requests of a method that have come."""
        with contextlib.suppress(BlockingIOError):
            while True:
                data, self._peer = self.socket.recvfrom(65536)
                self._heard.append(data.decode())
        return [each for each in self._heard if each.startswith(f"{method} ")]

    def answer(self, request: str, status: str) -> None:
        """Say something after all."""
        kept = ("via", "from", "to", "call-id", "cseq", "record-route")
        lines = [line for line in request.split("\r\n") if line.partition(":")[0].lower() in kept]
        lines = [f"{line};tag=woken" if line.startswith("To:") else line for line in lines]
        text = "\r\n".join([f"SIP/2.0 {status}", *lines, "Content-Length: 0", "", ""])
        self.socket.sendto(text.encode(), self._peer)


@dataclass
class Front:
    """What is in front."""

    place: tuple[str, int]
    home: Path
    proxy: Kamailio
    cli: Cli

    def lead(self, *lines: str) -> None:
        """Let calls go elsewhere, without a restart."""
        export(self.cli, self.home, lines)
        self.proxy.reload()

    def send(self, *messages: str, source: str = CARRIER) -> set[int]:
        """Send requests from outside at once; the final statuses that come."""
        answers = exchange(
            [message.encode() for message in messages],
            source=source,
            to=self.place,
            wait=0,
            finals=len(messages),
        )
        return {each.status for each in answers if each.status >= 200}


def export(cli: Cli, home: Path, lines: Sequence[str]) -> None:
    """Write tables."""
    cli("cell", "export", "--kamailio", str(home), "--places", "-", typed=tuple(lines))


PLACES = (f"node one {NODE}", f"trunk carrier {CARRIER}", f"out carrier {HOST}:5090")


@pytest.fixture(scope="module")
def front(
    cli: Cli, asterisk: Asterisk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Front]:
    """Kamailio, by which Asterisk sends its calls."""
    home = tmp_path_factory.mktemp("front")
    port = free_port(HOST)
    (home / "local.cfg").write_text(f'listen=udp:{HOST}:{port}\n#!substdef "!TABLES!{home}!g"\n')
    export(cli, home, PLACES)
    trunk = f"[front](way-out)\naors=front\n[front]\ntype=aor\ncontact=sip:{HOST}:{port}\n"
    with (
        kamailio(home) as proxy,
        asterisk.appended("pjsip.conf", trunk, _RELOAD),
        asterisk.trunk("front"),
    ):
        made = Front((HOST, port), home, proxy, cli)
        assert until(lambda: made.send(request("OPTIONS", "")) == {200}, timeout=30), proxy.log
        yield made


@pytest.fixture
def phones(front: Front, phones: Phones, tmp_path: Path) -> Iterator[Phones]:
    """Phones of a carrier that knows the proxy alone."""
    assert phones
    made = Phones(tmp_path / "front", sip=front.place)
    yield made
    made.kill()


def request(method: str, number: str, *headers: str) -> str:
    """A request of nobody to a number."""
    lines = [
        f"{method} sip:{number}@front.example SIP/2.0",
        f"Via: SIP/2.0/UDP {CARRIER}:{{port}};branch=z9hG4bK{secrets.token_hex(8)};rport",
        f"From: <sip:nobody@carrier.example>;tag={secrets.token_hex(4)}",
        f"To: <sip:{number}@front.example>",
        f"Call-ID: {secrets.token_hex(8)}",
        f"CSeq: 1 {method}",
        f"Contact: <sip:nobody@{CARRIER}:{{port}}>",
        "Max-Forwards: 70",
        *headers,
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""])


def test_both_ways(cli: Cli, phones: Phones, front: Front, a: str, b: str) -> None:
    """Either party rings and is hung up on; neither sees the other, nor what was forged."""
    x = cli.bind(a, b)["x"]
    for caller, callee, hung_up_by in (
        ((a, PARTY_A), (b, PARTY_B), "caller"),
        ((b, PARTY_B), (a, PARTY_A), "callee"),
    ):
        call = phones.call(
            caller[0],
            x,
            name=caller[1],
            headers=[*planted(*caller), _FORGED[0]],
            callee_headers=planted(*callee),
            hung_up_by=hung_up_by,
        )
        assert call.status == 200
        (invite,) = call.invites
        assert (invite.request_user, invite.from_user) == (callee[0], x)
        no_leak(call, caller=caller, callee=callee)
        # All of it came by the proxy, and the header of a trunk stays inside.
        ways = [m.header("record-route") for m in (*call.callee, *call.caller.messages)]
        assert f"<sip:{HOST}:{front.place[1]};lr>" in ways
        assert TRUNK not in str([m.raw for m in call.callee if not m.sent]).lower()
    assert {each["outcome"] for each in cli.records(x, 2)} == {"answered"}
    call = phones.call(a, x, does=Does.SILENT, patience=1.0)
    assert (call.status, len(call.invites)) == (487, 1)
    assert cli.records(x, 3)[0]["outcome"] == "caller_gave_up"
    assert x not in front.proxy.log
    assert a not in front.proxy.log


# A vector of each kind, and identities.
VECTORS = (
    *(
        "from-name",
        "p-asserted-identity",
        "hidden-number-id",
        "history-info",
        "x-headers",
        "route",
    ),
    *("media-address", "forwarded-before", "early-update", "redirect-302-sip", "challenge-407"),
    *("refusal-486", "update", "reinvite", "hold", "refer-replaces", "replaces", "bye-callee"),
    "cancel",
)
IDENTITIES = (
    *("from-plain", "from-tel", "pai-stranger", "pai-two-strangers-in-one-line"),
    *("pai-disagreement", "privacy-id", "remote-party-id-from", "diversion-from"),
)


def test_nothing_gets_through_it(pbx: dict[str, Any], asterisk: Asterisk, front: Front) -> None:
    """The leak suite with a proxy in front: nobody is told, nor taken for somebody else."""
    asterisk.command("dialplan set global AGI_ROUTER_EARLY_MEDIA both")
    try:
        report = leaktest(
            pbx,
            *("--pbx", f"{HOST}:{front.place[1]}", "--near", f"{CARRIER}:5070"),
            *(word for name in (*VECTORS, *IDENTITIES) for word in ("--vector", name)),
        )
    finally:
        asterisk.command("dialplan set global AGI_ROUTER_EARLY_MEDIA none")
    assert report["ok"], report
    assert [row["scenarios"] for row in report["vectors"]] == [8] * len(VECTORS)
    assert len(report["identities"]) == len(IDENTITIES)


@pytest.fixture
def quiet() -> Iterator[Callable[..., Quiet]]:
    """Make sockets that say nothing."""
    with contextlib.ExitStack() as stack:

        def make(address: str = HOST) -> Quiet:
            made = Quiet(address)
            stack.enter_context(made.socket)
            return made

        yield make


def test_where_requests_go(front: Front, quiet: Callable[..., Quiet]) -> None:
    """By block and method; nobody outside says which trunk it is, or is anybody's proxy."""
    node, door, carrier = quiet(), quiet(), quiet(CARRIER)
    front.lead(
        f"node one {node.place}",
        f"door one {door.place}",
        f"trunk beijing {CARRIER}",
        f"out beijing {carrier.place}",
    )
    other = f"7001234{secrets.randbelow(10000):04}"
    assert front.send(request("INVITE", f"{other}0001")) == {404}
    assert front.send(request("INVITE", f"{BLOCK}0001"), source="127.0.0.2") == {403}
    assert front.send(request("SUBSCRIBE", f"{BLOCK}0001")) == {405}
    # A way of the sender's own leads nowhere.
    led = f"Route: <sip:{HOST}:{front.place[1]};lr>, <sip:{carrier.place};lr>"
    for method, to in (("INVITE", ""), ("BYE", ";tag=1")):
        sent = request(method, f"{other}0001", led)
        assert front.send(sent.replace("@front.example>", f"@front.example>{to}")) <= {403, 404}
    assert node.heard("INVITE") == []

    # The dead node, and no other.
    forms = (f"{BLOCK}0001", f"+86{BLOCK}0001", f"{BLOCK[:3]}-{BLOCK[3:]}-0001;npdi")
    assert front.send(*(request("INVITE", each, *_FORGED) for each in forms)) == {503}
    for invite in node.heard("INVITE"):
        told = [line for line in invite.split("\r\n") if line.lower().startswith(TRUNK)]
        assert told == ["X-AGI-Router-Trunk: beijing"]
    assert len(set(node.heard("INVITE"))) == 3

    front.send(request("MESSAGE", f"{BLOCK}0001"))
    assert until(lambda: bool(door.heard("MESSAGE")), timeout=20)
    out = request("MESSAGE", "13800000001").replace("{port}", "5060")
    door.socket.sendto(out.encode(), front.place)
    assert until(lambda: bool(carrier.heard("MESSAGE")), timeout=20)
    front.lead(*PLACES)


def test_a_dead_node(
    cli: Cli, phones: Phones, front: Front, quiet: Callable[..., Quiet], a: str, b: str
) -> None:
    """Its callers are answered by another one, and later ones are spared."""
    x = cli.bind(a, b)["x"]
    dead = quiet()
    front.lead(f"node one {dead.place}", *PLACES)
    for _ in range(2):
        assert phones.call(a, x).status == 200
    [invite] = set(dead.heard("INVITE"))
    # It was frozen only: what it goes on with is ended.
    dead.answer(invite, "180 Ringing")
    assert until(lambda: bool(dead.heard("CANCEL")), timeout=5)
    assert until(lambda: bool(dead.heard("OPTIONS")), timeout=20)
    for _ in range(2):
        assert phones.call(a, x).status == 200
    assert len(set(dead.heard("INVITE"))) == 1
    assert {each["outcome"] for each in cli.records(x, 4)} == {"answered"}
    front.lead(*PLACES)
