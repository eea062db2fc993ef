"""
What a carrier may want of the way out: a number in another form, and a password for each call.
"""

import re
from collections.abc import Iterator
from hashlib import md5

import pytest

from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.messages import received_by
from harness.pbx import Asterisk, Cli, Dialplan
from testpbx.phones import Does, Phones

_MODULE = "res_pjsip_outbound_authenticator_digest.so"
_USER, _PASSWORD, _REALM, _NONCE = "agi", "not a secret", "carrier.example", "5f0c3c0a9d"
_WITH_PASSWORD = f"""
[carrier-password]
type=auth
auth_type=userpass
username={_USER}
password={_PASSWORD}

[carrier-with-password](way-out)
outbound_auth=carrier-password
"""


@pytest.fixture
def prefixes(asterisk: Asterisk, dialplan: Dialplan) -> Iterator[Dialplan]:
    """The dialplan's globals; a prefix of one trunk is taken back, which a reload leaves."""
    yield dialplan
    asterisk.command('dialplan set global AGI_ROUTER_CALLEE_PREFIX_carrier-out-3 ""')


@pytest.mark.parametrize("prefix", ["+86", "0", "86"])
def test_a_prefix_for_the_callee(
    cli: Cli, phones: Phones, dialplan: Dialplan, a: str, b: str, prefix: str
) -> None:
    """It stands before the number that is dialled, and before nothing else."""
    x = cli.bind(a, b)["x"]
    dialplan.set(AGI_ROUTER_CALLEE_PREFIX=prefix)

    call = phones.call(a, x)

    assert call.status == 200
    (invite,) = call.invites
    assert (invite.request_user, invite.from_user) == (f"{prefix}{b}", x)
    assert list(find_leaks(received_by(call.callee), numbers=[a], names=[])) == []
    assert list(find_leaks(received_by(call.caller.messages), numbers=[b], names=[])) == []


def test_a_prefix_for_every_callee(cli: Cli, phones: Phones, prefixes: Dialplan, b: str) -> None:
    """Each of a group has it, also where there are more than one part of the dialplan takes."""
    members = [str(13811100000 + serial) for serial in range(105)]
    options = [word for member in members for word in ("--members", member)]
    made = cli("bind", "gxb", "--b", b, *options, "--callback", "all")
    prefixes.set(AGI_ROUTER_CALLEE_PREFIX="+86", AGI_ROUTER_TRUNK="carrier-out-3")

    call = phones.call(b, made["x"], does=Does.BUSY)

    assert call.status == 486
    assert {invite.request_user for invite in call.invites} == {f"+86{each}" for each in members}


def test_a_prefix_of_one_trunk(
    cli: Cli, phones: Phones, prefixes: Dialplan, a: str, b: str
) -> None:
    """Where the trunks differ, each has its own."""
    x = cli.bind(a, b)["x"]
    numbers = []
    for trunk in ("carrier-out-3", "carrier-out-4"):
        prefixes.set(
            **{"AGI_ROUTER_TRUNK": trunk, "AGI_ROUTER_CALLEE_PREFIX_carrier-out-3": "0086"}
        )
        numbers += [invite.request_user for invite in phones.call(a, x).invites]
    assert numbers == [f"0086{b}", b]


def test_a_password_for_each_call(
    cli: Cli, phones: Phones, asterisk: Asterisk, a: str, b: str
) -> None:
    """Asterisk answers the carrier's question with the trunk's name and password (RFC 2617)."""
    x = cli.bind(a, b)["x"]
    reload = "module reload res_pjsip.so"
    asterisk.command(f"module load {_MODULE}")
    try:
        with (
            asterisk.appended("pjsip.conf", _WITH_PASSWORD, reload),
            asterisk.trunk("carrier-with-password"),
        ):
            call = phones.call(a, x, does=Does.ASKS_WHO)
    finally:
        asterisk.command(f"module unload {_MODULE}")

    assert call.status == 200
    # One call, asked for a password on the way.
    (invite,) = call.invites
    assert (invite.request_user, invite.from_user) == (b, x)
    (answer,) = [
        header
        for message in call.callee
        if not message.sent and (header := message.header("authorization"))
    ]
    fields = dict(re.findall(r'(\w+)="([^"]*)"', answer))
    secret = _md5(f"{_USER}:{_REALM}:{_PASSWORD}")
    assert fields["response"] == _md5(f"{secret}:{_NONCE}:{_md5('INVITE:' + fields['uri'])}")
    assert (fields["username"], fields["realm"]) == (_USER, _REALM)
    assert _PASSWORD not in str(call.callee)
    assert list(find_leaks(received_by(call.callee), numbers=[a], names=[])) == []


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
