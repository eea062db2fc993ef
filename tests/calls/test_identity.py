"""
Who is the caller taken for: what an INVITE says of it, and who rings.

The leak suite has the table of all forms (``agi_router/leaktest/identities.py``); here stand the
reasons on record, and that the identity goes with the call wherever the dialplan asks again.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from harness.pbx import Cli, Dialplan, Router
from harness.sip import exchange
from testpbx.phones import Phones

_serial = itertools.count(1)
BOTH = "P-Asserted-Identity: <sip:+86{}@ims.example.cn;user=phone>, <tel:+86{}>"


def invite(x: str, sender: str, more: Sequence[str] = ()) -> bytes:
    """An INVITE from the carrier's address: *sender* stands in From, *more* are header lines."""
    serial = next(_serial)
    lines = [
        f"INVITE sip:{x}@127.0.0.1:5060 SIP/2.0",
        f"Via: SIP/2.0/UDP 127.0.0.1:{{port}};branch=z9hG4bKidentity{serial}",
        f"From: <sip:{sender}@x>;tag={serial}",
        f"To: <sip:{x}@127.0.0.1>",
        f"Call-ID: identity-{serial}",
        "CSeq: 1 INVITE",
        "Contact: <sip:127.0.0.1:{port}>",
        "Max-Forwards: 70",
        *more,
        "Content-Length: 0",
    ]
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode()


def refused(phones: Phones, message: bytes) -> int:
    """Place a call that must be refused, and say by what; nobody's phone hears of it."""
    with phones.listen() as callee:
        answers = exchange([message], wait=1, finals=1)
    assert callee.messages == ()
    return answers[-1].status


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        # The case: two values in one line, which Asterisk itself cannot read.
        ([BOTH], "stranger"),
        (
            [
                "P-Asserted-Identity: <sip:+86{}@ims.example.cn>",
                "P-Asserted-Identity: <tel:+86{}>",
            ],
            "stranger",
        ),
        ([BOTH, "Privacy: id"], "caller_hidden"),
        ([BOTH, "Privacy: user;id;critical"], "caller_hidden"),
        (["Privacy: id"], "caller_hidden"),
        (["P-Asserted-Identity: <sip:+86{}@ims.example.cn"], "caller_unreadable"),
        (["P-Asserted-Identity:"], "caller_unreadable"),
        (["P-Asserted-Identity: <tel:+86{}>, <tel:+8613800000098>"], "caller_unreadable"),
        # Too long for a function of the dialplan, which reads nothing then; others before it, too.
        (["P-Asserted-Identity: <tel:+86{}>;x=" + "x" * 5000], "caller_unreadable"),
        (["P-Long: " + "x" * 5000, BOTH], "caller_unreadable"),
        (["P-Long: " + "x" * 5000], "caller_unreadable"),
    ],
    ids=range(11),
)
def test_from_never_stands_in(
    cli: Cli, phones: Phones, a: str, b: str, stranger: str, headers: list[str], reason: str
) -> None:
    """A stranger who writes a party's number into From is refused, however it is asserted."""
    x = cli.bind(a, b)["x"]

    status = refused(phones, invite(x, a, [line.format(stranger, stranger) for line in headers]))

    assert status == 403
    assert cli.record(x)["reason"] == reason


@pytest.mark.usefixtures("fastagi")
def test_it_goes_with_the_call(
    cli: Cli, phones: Phones, dialplan: Dialplan, router: Router, a: str, b: str, stranger: str
) -> None:
    """Whoever is asked next judges by the same lines: FastAGI where the first router is frozen."""
    x = cli.bind(a, b)["x"]
    dialplan.set(AGI_ROUTER_PATIENCE="0.05", AGI_ROUTER_PATIENCE_FALLBACK="5")
    asserted = [BOTH.format(stranger, stranger)]

    with router.frozen():
        assert refused(phones, invite(x, a, asserted)) == 403
        call = phones.call(stranger, x, headers=[BOTH.format(a, a)], talk=0.1)

    assert [each.request_user for each in call.invites] == [b]
    assert {record["reason"] for record in cli.records(x, 2)} == {"stranger", None}


def test_it_goes_with_the_extension(
    cli: Cli, phones: Phones, a: str, b: str, stranger: str
) -> None:
    """A stranger is asked and types: A calls back who was asserted, not whom From named."""
    x = cli("bind", "axe", "--a", a, "--extension", "1234", "--callback", "last")["x"]

    asked = phones.call(b, x, types=["1234"], headers=[BOTH.format(stranger, stranger)], talk=1.0)
    back = phones.call(a, x, talk=0.1)

    assert [each.request_user for each in asked.invites] == [a]
    assert [each.request_user for each in back.invites] == [stranger]
