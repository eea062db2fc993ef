"""
Refusals on a real Asterisk: nobody rings, the prompt comes before the answer, the cause is right.
"""

import itertools
from typing import Any

import psycopg
import pytest

from harness.pbx import Cli, expire
from testpbx.phones import Call, Phones

# No test adds this block; a call's record is the newest on its number.
_not_ours = itertools.count(700999999990001)


def check_refused(call: Call, status: int) -> None:
    """The caller got early media and then the status; nobody rang."""
    seen = [message.status for message in call.caller.messages if message.status is not None]

    assert call.status == status
    assert 183 in seen
    assert 200 not in seen
    assert call.invites == ()


def test_stranger(cli: Cli, phones: Phones, a: str, b: str, stranger: str) -> None:
    """Somebody who is no party of the number."""
    x = cli.bind(a, b)["x"]

    check_refused(phones.call(stranger, x), 403)

    assert cli.record(x)["reason"] == "stranger"


def test_number_that_is_not_bound(phones: Phones, cli: Cli, a: str, unused: str) -> None:
    """A number of ours on which nobody is bound."""
    check_refused(phones.call(a, unused), 403)

    assert cli.record(unused)["reason"] == "no_binding"


def test_number_that_is_not_ours(phones: Phones, cli: Cli, a: str) -> None:
    """A 700 number outside our blocks."""
    x = str(next(_not_ours))

    check_refused(phones.call(a, x), 404)

    assert cli.record(x)["reason"] == "x_unknown"


def test_used_up(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """One call more than was agreed, in either direction."""
    binding = cli.bind(a, b, "--max-calls", "1")
    assert phones.call(a, binding["x"]).status == 200

    check_refused(phones.call(b, binding["x"]), 403)

    assert cli.records(binding["x"], 2)[0]["reason"] == "used_up"
    assert cli("show", binding["id"])["calls_used"] == 1


@pytest.mark.parametrize("reason", ["expired", "unbound"])
def test_binding_that_is_over(
    cli: Cli,
    phones: Phones,
    database: psycopg.Connection[dict[str, Any]],
    a: str,
    b: str,
    reason: str,
) -> None:
    """A former party hears that the order has ended; the number reaches nobody."""
    binding = cli.bind(a, b)
    if reason == "expired":
        expire(database, binding)
    else:
        cli("unbind", binding["id"])
    assert cli("show", binding["id"])["state"] == reason

    check_refused(phones.call(a, binding["x"]), 403)

    assert cli.record(binding["x"])["reason"] == reason


@pytest.mark.parametrize(
    ("caller", "withheld", "reason"),
    [
        ("anonymous", True, "caller_hidden"),
        ("anonymous", False, "caller_hidden"),
        ("+14155550100", False, "caller_foreign"),
        ("alice", False, "caller_unreadable"),
        ("1380000", False, "caller_foreign"),
        ("02012345678", False, "caller_type"),
        ("700123456780001", False, "caller_type"),
    ],
)
def test_caller_id_that_is_not_accepted(
    cli: Cli, phones: Phones, a: str, b: str, caller: str, reason: str, *, withheld: bool
) -> None:
    """Hidden, foreign, malformed: each has a reason of its own."""
    x = cli.bind(a, b)["x"]

    check_refused(phones.call(caller, x, withheld=withheld), 403)

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
