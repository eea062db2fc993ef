"""
Hostile SIP: whatever is sent, nobody rings who was not called, nothing is run, and calls go on.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agi_router.calls.journal import EndJournal
from agi_router.leaktest.messages import received_by
from harness.pbx import CARRIER_IN, STATE, Asterisk, Cli, Dialplan, Router
from harness.sip import Answer, exchange, torture_messages
from testpbx.phones import Phones, RunningPhone
from testpbx.processes import running
from testpbx.waiting import until

TORTURE = torture_messages((Path(__file__).parent / "rfc4475.txt").read_bytes())

# What a dialplan, a shell, SQL, SIP, JSON or a terminal could take for more than text. Each names
# "pwned", so that a trace of it is found.
TEXTS = [
    "${SHELL(touch /tmp/pwned)}",
    "${FILE(/tmp/pwned)=1}",
    "${GLOBAL(AGI_ROUTER_TRUNK)=pwned}",
    "$[1 + 1]pwned",
    "pwned,1)&System(touch /tmp/pwned",
    "pwned&PJSIP/13800000009@carrier-out-0",
    '"},{"type":"StasisEnd","pwned":"',
    "'); DROP TABLE agi_router.call; -- pwned",
    "pwned*700123456780001*30*60*zh*end",
    "pwned|end|end|end",
    "../../../../tmp/pwned",
    "pwned\t\x1b[2J\x07",
    "匿名\u202epwned\U0001f4de",
    "pwned" + "9" * 4000,
    "%00pwned%0d%0aX-Pwned: yes",
    "%24%7BSHELL(touch%20/tmp/pwned)%7D",
]
# What Asterisk itself knows by these names, and destinations that only the router may give.
DIALLED = [
    *("h", "s", "i", "t", "a", "o", "e", "#", "*", "fax", "parkedcalls"),
    # Asterisk takes the name of a pattern for a number that fits it.
    *("_700XXXXXXXXXXXX", "_700xxxxxxxxxxxx", "_700-XXXX-XXXX-XXXX"),
    "13800000009*700123456780001*30*60*zh*end",
    "13800000009*700123456780001*30*60*zh*end@agi-router-dial",
    "stranger*busy*17*zh*end",
    "700123456780001@agi-router-out",
    "70012345678",
    "7001234567800011",
    "700123456780001,1",
    "700123456780001&13800000009",
    "7001234567800％01",
    "７００１２３４５６７８０００１",
    *TEXTS,
]
_serial = itertools.count(1)

X = "700123456780009"
# All that the entry's contexts hold, each as it stands there, in the other case and with hyphens;
# and each byte within a number, percent-encoded: Asterisk reads a user part as bytes.
FORMS = ("", "86", "+86", "0086")
PATTERNS = [f"_{form}700XXXXXXXXXXXX" for form in FORMS]
NUMBERS = [form + X for form in FORMS]
TAKEN = [
    *NUMBERS,
    *PATTERNS,
    *(name.lower() for name in PATTERNS),
    # Asterisk's patterns take hyphens anywhere, also before and within the country code.
    *(f"{number[:place]}-{number[place:]}" for number in NUMBERS for place in range(1, 8)),
    *(f"-{number}" for number in NUMBERS),
    *(f"{name[:place]}-{name[place:]}" for name in PATTERNS for place in (1, 2, 6, 9)),
]
BYTES = [
    X[:place] + f"%{byte:02X}" + X[place + more :]
    for byte in range(1, 256)
    if chr(byte) not in "-0123456789"
    for place, more in ((0, 0), (3, 0), (8, 1), (14, 1))
]


def quoted(text: str) -> bytes:
    """A display name that SIP takes for one, whatever is in it."""
    return b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


def uri_user(text: str) -> bytes:
    """The user part of a URI: only what must be is escaped, so that the rest arrives as it is."""
    plain = "!$&'()*+,-./;=?_~%"
    return b"".join(
        char.encode()
        if char.isascii() and (char.isalnum() or char in plain)
        else b"".join(b"%%%02X" % byte for byte in char.encode())
        for char in text
    )


def invite(dialled: bytes, user: bytes, *, name: bytes = b"", more: Sequence[bytes] = ()) -> bytes:
    """An INVITE as the carrier would send it."""
    serial = b"%d" % next(_serial)
    lines = [
        b"INVITE sip:%s@127.0.0.1:5060 SIP/2.0" % dialled,
        b"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKhostile%s" % serial,
        b"From: %s <sip:%s@127.0.0.1>;tag=%s" % (name, user, serial),
        b"To: <sip:%s@127.0.0.1>" % dialled,
        b"Call-ID: hostile-%s" % serial,
        b"CSeq: 1 INVITE",
        b"Contact: <sip:127.0.0.1:{port}>",
        b"Max-Forwards: 70",
        *more,
        b"Content-Length: 0",
    ]
    return b"".join(line + b"\r\n" for line in (*lines, b""))


def call_id_of(message: bytes) -> str:
    """The Call-ID of an INVITE of ours."""
    found = re.search(rb"(?m)^Call-ID: (\S+)", message)
    assert found
    return found[1].decode()


def finals(answers: Sequence[Answer]) -> dict[str, int]:
    """The final status of each call."""
    return {each.call_id: each.status for each in answers if each.status >= 200}


def settings(asterisk: Asterisk) -> dict[str, str]:
    """The globals that are set, but for those by which the limit of calls a second counts."""
    found = re.findall(r"(?m)^\s*(\w+)=(.*)$", asterisk.command("dialplan show globals"))
    return {n: v for n, v in found if v and n not in {"AGI_ROUTER_CAME", "AGI_ROUTER_TENTH"}}


@pytest.fixture(autouse=True)
def nothing_else_changes(
    asterisk: Asterisk, pbx: dict[str, Any], router: Router
) -> Iterator[None]:
    """After each test: the same servers run, nothing was run or set, and every end is settled."""
    process = router.process
    globals_before = settings(asterisk)
    yield
    assert running(STATE / "asterisk.pid")
    assert process is not None
    assert process.poll() is None
    assert router.process is process
    assert until(lambda: "0 active channels" in asterisk.command("core show channels"), timeout=40)
    assert settings(asterisk) == globals_before
    # No caller can make a line that nobody can read.
    journal = Path(pbx["env"]["AGI_ROUTER_JOURNAL"])
    assert until(lambda: EndJournal(journal).backlog().size == 0, timeout=30)
    assert until(
        lambda: [each for each in journal.rglob("*") if not each.is_dir()] == [], timeout=30
    )
    root = Path(pbx["rootfs"])
    assert [path for name in ("tmp", "var") for path in (root / name).rglob("pwned*")] == []


@contextmanager
def nobody_rings(phones: Phones) -> Iterator[RunningPhone]:
    """The callee's phone hears nothing for the time of a block."""
    with phones.listen() as callee:
        yield callee
    assert received_by(callee.messages) == b""


def good_call(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """A call of two parties goes through as ever."""
    x = cli.bind(a, b)["x"]
    call = phones.call(a, x, talk=0.1)
    assert call.status == 200
    assert [(each.request_user, each.from_user) for each in call.invites] == [(b, x)]
    assert cli.record(x)["outcome"] == "answered"


@pytest.mark.parametrize(
    ("source", "greeted"), [("127.0.0.3", 404), ("127.0.0.2", 401)], ids=["carrier", "anybody"]
)
def test_torture(
    asterisk: Asterisk, cli: Cli, phones: Phones, a: str, b: str, source: str, greeted: int
) -> None:
    """Every message of RFC 4475, from an address of the carrier's and from another."""
    assert len(TORTURE) == 49
    x = cli.bind(a, b)["x"]
    # Their Via names no port, so answers go to 5060: another address, also the carrier's.
    carrier = f"[torture]\ntype=identify\nendpoint={CARRIER_IN}\nmatch=127.0.0.3"
    statuses: dict[str, set[int]] = {}
    with (
        asterisk.appended("pjsip.conf", carrier, "module reload res_pjsip.so"),
        nobody_rings(phones),
    ):
        for name, message in TORTURE.items():
            answers = exchange([message], source=source, port=5060, wait=0.05)
            statuses[name] = {each.status for each in answers}
        # All at once; each cut in the middle; and aimed at a number of ours.
        everything = list(TORTURE.values())
        aimed = [
            message.replace(b"user@example.com", f"{x}@example.com".encode()).replace(
                b"caller@", b"13800000009@"
            )
            for message in everything
        ]
        for messages in (everything, [m[: len(m) // 2] for m in everything], aimed):
            exchange(messages, source=source, port=5060, wait=0.2)
        # They did arrive: two that are answered. Asterisk answers none that it has had before,
        # until it has forgotten that: after 5 s, or 32 where it got no ACK (RFC 3261, 17.2).
        for name, status in (("clerr" if greeted == 404 else "dblreq", greeted), ("wsinv", 481)):
            # Of dblreq the first: the other lies behind the end of the datagram's message.
            call_id = re.findall(rb"(?mi)^(?:Call-ID|i)\s*:\s*(\S+)", TORTURE[name])[0]
            answer = Answer(call_id.decode(), status)
            assert until(
                lambda: answer in exchange([TORTURE[name]], source=source, port=5060, wait=0.5),  # noqa: B023
                timeout=60,
            )
    # And nobody was let in.
    assert set().union(*statuses.values()) <= {400, 401, 404, 416, 481, 501}
    good_call(cli, phones, b, a)


def test_callers(cli: Cli, phones: Phones, a: str, b: str, stranger: str) -> None:
    """Numbers and names that are none, of strangers: refused, and nothing is taken for code."""
    x = cli.bind(a, b)["x"].encode()
    identity = b"P-Asserted-Identity: %s <sip:%s@127.0.0.1>"
    messages = [
        message
        for text in TEXTS
        for message in (
            invite(x, uri_user(text)),
            invite(x, stranger.encode(), name=quoted(text)),
            invite(x, b"anonymous", more=[identity % (quoted(text), uri_user(text))]),
        )
    ]
    with nobody_rings(phones):
        answers = finals(exchange(messages, wait=1, finals=len(messages)))

    assert len(answers) == len(messages)
    # 400 and the like is Asterisk's own word for what is not SIP; a busy machine may refuse some.
    assert {*answers.values()} <= {400, 403, 480, 503}
    assert list(answers.values()).count(403) >= len(TEXTS)
    good_call(cli, phones, a, stranger)


def test_dialled(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """Whatever a party dials that is no 700 number: no such number, or no answer at all."""
    cli.bind(a, b)
    most = len(DIALLED) - 6
    with nobody_rings(phones):
        answers = finals(
            exchange([invite(uri_user(text), a.encode()) for text in DIALLED], wait=1, finals=most)
        )

    assert {*answers.values()} <= {400, 404, 416, 480}
    assert list(answers.values()).count(404) >= most
    good_call(cli, phones, b, a)


@pytest.mark.parametrize("context", ["agi-router-in", "agi-router-in-fastagi"])
def test_whatever_the_entry_takes_is_limited(
    dialplan: Dialplan, router: Router, phones: Phones, a: str, context: str
) -> None:
    """
    Each name that a caller can dial comes to the limit of calls a second first, or does not exist.

    A limit of one refuses every call, so 503 tells of the limit, and 404 without a word before it
    of a name that is not there. Whatever else comes got round the limit, and the hangup handler.
    """
    assert router.registered()
    dialplan.set(AGI_ROUTER_RATE_LIMIT="1")
    dialplan.enter_at(context)

    def told(texts: Sequence[str]) -> dict[str, set[int]]:
        messages = [invite(text.encode(), a.encode()) for text in texts]
        ids = [call_id_of(message) for message in messages]
        answers = exchange(messages, wait=0.3, finals=len(messages))
        return {
            text: {each.status for each in answers if each.call_id == call_id} - {100}
            for text, call_id in zip(texts, ids, strict=True)
        }

    held = re.findall(r"'([^']+)' =>", dialplan.shown(context))
    assert set(PATTERNS) <= set(held)
    with nobody_rings(phones):
        taken = told(TAKEN)
        names = told([name for name in (*held, *DIALLED[:11]) if name not in PATTERNS])
        bytes_ = [told(BYTES[place : place + 100]) for place in range(0, len(BYTES), 100)]

    assert {text: statuses for text, statuses in taken.items() if statuses != {503}} == {}
    assert {text: statuses for text, statuses in names.items() if statuses != {404}} == {}
    for each in bytes_:
        # 400 and 416 are Asterisk's own words for what is not SIP.
        assert {t: found for t, found in each.items() if not found <= {400, 404, 416}} == {}


@pytest.mark.parametrize("context", ["agi-router-in", "agi-router-in-fastagi"])
def test_a_call_id_that_no_event_can_hold(
    dialplan: Dialplan, cli: Cli, fastagi: Router, phones: Phones, a: str, b: str, context: str
) -> None:
    """Refused before any router is asked; whatever else a Call-ID may have is let in."""
    assert fastagi.registered()
    dialplan.enter_at(context)
    x = cli.bind(a, b)["x"]
    bad = [
        b"\xff",
        b"a\xffb",
        b"\x80):0:0",
        b"(:1)\xc3\xa9",
        b'"\xfe,)',
        b"a\x7fb",
        b"\\\xff}",
        b"x" * 1001,
        b"x" * 5000 + b"\xff",
    ]
    good = [b"a):0:0(b", b"(\"\\<>[]{}?/:;,'%%*@h", b"$" + b"{HASH}", b"x" * 200]

    def told(texts: Sequence[bytes], user: bytes) -> list[int]:
        lines = [invite(x.encode(), user) for _ in texts]
        messages = []
        for line, text in zip(lines, texts, strict=True):
            before, call_id, after = re.split(rb"(?m)^(Call-ID: .*?)\r$", line)
            messages.append(before + call_id + text + b"\r" + after)
        return sorted(finals(exchange(messages, wait=1, finals=len(messages))).values())

    with nobody_rings(phones):
        refused = told(bad, a.encode())
        # Of nobody whom the router knows.
        heard = told(good, b"13800000009")
    reasons = [each["reason"] for each in cli.records(x, len(bad) + len(good))]
    assert (refused, heard) == ([403] * len(bad), [403] * len(good))
    assert sorted(reasons) == ["caller_unreadable"] * len(bad) + ["stranger"] * len(good)
    dialplan.reset()
    good_call(cli, phones, b, a)


@pytest.mark.parametrize(
    "name", [TEXTS[0], TEXTS[5], TEXTS[6], TEXTS[12], "a" * 900 + "pwned"], ids=range(5)
)
def test_names_of_parties(cli: Cli, phones: Phones, a: str, b: str, name: str) -> None:
    """A party may call itself what it likes, in any header: the callee is shown X and no more."""
    x = cli.bind(a, b)["x"]
    headers = [
        f"{header}: {text}"
        # What SIPp would take for a keyword of its own is left to the other tests.
        for header, text in zip(
            ("Subject", "Organization", "User-Agent", "X-Pwned", "Call-Info", "Reply-To"),
            [text for text in TEXTS if "[" not in text],
            strict=False,
        )
    ]

    call = phones.call(a, x, name=name, headers=headers, talk=0.1)

    assert call.status == 200
    assert [(each.request_user, each.from_user, each.from_name) for each in call.invites] == [
        (b, x, None)
    ]
    assert b"pwned" not in received_by(call.callee).lower()


def test_a_grouped_number_is_the_same_number(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """Asterisk's patterns take hyphens anywhere; the call is the one on the plain number."""
    x = cli.bind(a, b)["x"]
    call = phones.call(a, f"{x[:3]}-{x[3:7]}-{x[7:]}", talk=0.1)

    assert (call.status, [each.from_user for each in call.invites]) == (200, [x])
    assert cli.record(x)["outcome"] == "answered"
