"""
Callers whom no number tells, on a real Asterisk; all other refusals: test_refusal_table.py.
"""

import pytest

from harness.pbx import Cli
from testpbx.phones import Call, Phones


def check_refused(call: Call, status: int) -> None:
    """The caller got early media and then the status; nobody rang."""
    seen = [message.status for message in call.caller.messages if message.status is not None]

    assert call.status == status
    assert 183 in seen
    assert 200 not in seen
    assert call.invites == ()


@pytest.mark.parametrize(
    ("caller", "reason"),
    [
        ("anonymous", "caller_hidden"),
        ("1380000", "caller_foreign"),
        ("700123456780001", "caller_type"),
    ],
)
def test_caller_id_that_is_not_accepted(
    cli: Cli, phones: Phones, a: str, b: str, caller: str, reason: str
) -> None:
    """Hidden, foreign, malformed: each has a reason of its own."""
    x = cli.bind(a, b)["x"]

    check_refused(phones.call(caller, x), 403)

    assert cli.record(x)["reason"] == reason


def test_hidden_number_is_refused_though_the_network_knows_it(
    cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """A party that hides its number is told to show it, even if the carrier asserts it."""
    x = cli.bind(a, b)["x"]

    call = phones.call(
        a, x, withheld=True, headers=[f"P-Asserted-Identity: <sip:{a}@carrier.example>"]
    )

    check_refused(call, 403)
    assert cli.record(x)["reason"] == "caller_hidden"


@pytest.mark.parametrize("dialled", ["70012345678000", "7001234567800011", "13800000001", "h"])
def test_what_is_no_700_number_never_enters(phones: Phones, a: str, dialled: str) -> None:
    """Too short, too long, a real number, a special extension: no such number, at once."""
    call = phones.call(a, dialled)

    assert (call.status, call.invites) == (404, ())
