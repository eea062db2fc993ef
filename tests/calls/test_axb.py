"""
AXB on a real Asterisk: who rings, what is shown, and what each side saw on the wire.
"""

import pytest

from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.messages import received_by
from harness.pbx import Cli
from testpbx.phones import Call, Does, Phones

PARTY_A, PARTY_B = "Li Lei", "Han Meimei"


def no_leak(call: Call, *, caller: tuple[str, str], callee: tuple[str, str]) -> None:
    """Neither side received the other's number or name, in any spelling."""
    at_callee = received_by(call.callee)
    at_caller = received_by(call.caller.messages)

    assert list(find_leaks(at_callee, numbers=[caller[0]], names=[caller[1]])) == []
    assert list(find_leaks(at_caller, numbers=[callee[0]], names=[callee[1]])) == []


def planted(number: str, name: str) -> list[str]:
    """Headers in which a phone tells who it is."""
    return [
        f'P-Asserted-Identity: "{name}" <sip:{number}@carrier.example>',
        f'Remote-Party-ID: "{name}" <sip:{number}@carrier.example>;party=calling',
        f"Diversion: <sip:{number}@carrier.example>;reason=unconditional",
    ]


@pytest.mark.parametrize("hung_up_by", ["caller", "callee"])
def test_both_ways_the_other_side_sees_x(
    cli: Cli, phones: Phones, a: str, b: str, hung_up_by: str
) -> None:
    """A→X rings B and B→X rings A; both are shown X and nothing else."""
    x = cli.bind(a, b)["x"]

    for caller, callee in (((a, PARTY_A), (b, PARTY_B)), ((b, PARTY_B), (a, PARTY_A))):
        call = phones.call(
            caller[0],
            x,
            name=caller[1],
            headers=planted(*caller),
            callee_headers=planted(*callee),
            hung_up_by=hung_up_by,
        )

        assert call.status == 200
        (invite,) = call.invites
        assert invite.request_user == callee[0]
        assert invite.from_user == x
        no_leak(call, caller=caller, callee=callee)
    records = cli.records(x, 2)
    assert [r["outcome"] for r in records] == ["answered", "answered"]
    assert [r["side"] for r in records] == ["b", "a"]
    assert {r["released_by"] for r in records} == {hung_up_by}
    assert {(r["sip_status"], r["clock"]) for r in records} == {(200, None)}
    assert all(r["talk_ms"] >= 400 for r in records)


@pytest.mark.parametrize("prefix", ["", "86", "+86", "0086"])
def test_x_is_dialled_in_the_forms_of_trunks(
    cli: Cli, phones: Phones, a: str, b: str, prefix: str
) -> None:
    """A 700 number with the country code in front is the same number."""
    x = cli.bind(a, b)["x"]

    call = phones.call(a, f"{prefix}{x}")

    assert (call.status, len(call.invites)) == (200, 1)
    assert call.invites[0].from_user == x
    assert cli.record(x)["outcome"] == "answered"


def test_caller_is_known_by_the_network_form(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """A trunk that writes +86 before the caller's number means the same party."""
    x = cli.bind(a, b)["x"]

    call = phones.call(f"+86{a}", x)

    assert (call.status, len(call.invites)) == (200, 1)


@pytest.mark.parametrize(
    ("does", "status", "seen", "outcome", "sip_status"),
    [
        (Does.BUSY, "", 486, "busy", 486),
        (Does.REJECT, "603 Decline", 403, "rejected", 603),
        (Does.REJECT, "480 Temporarily Unavailable", 480, None, 480),
        (Does.REJECT, "404 Not Found", 480, "no_such_number", 404),
    ],
)
def test_unanswered_gives_the_use_back(
    cli: Cli,
    phones: Phones,
    a: str,
    b: str,
    does: Does,
    status: str,
    seen: int,
    outcome: str | None,
    sip_status: int,
) -> None:
    """The caller hears why, the wire carries the right cause, and no use is lost."""
    binding = cli.bind(a, b, "--max-calls", "1")

    call = phones.call(a, binding["x"], does=does, status=status or "603 Decline")

    assert (call.status, len(call.invites)) == (seen, 1)
    record = cli.record(binding["x"])
    assert record["verdict"] == "route"
    assert outcome in {None, record["outcome"]}
    assert (record["sip_status"], record["clock"]) == (sip_status, None)
    assert cli("show", binding["id"])["calls_used"] == 0


def test_attempts_may_be_counted(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """A binding told to count attempts keeps the use of a busy callee."""
    binding = cli.bind(a, b, "--max-calls", "1", "--count", "attempts")

    busy = phones.call(a, binding["x"], does=Does.BUSY)
    cli.record(binding["x"])
    again = phones.call(a, binding["x"])

    assert (busy.status, again.status) == (486, 403)
    assert cli("show", binding["id"])["calls_used"] == 1


def test_caller_who_gives_up_loses_nothing(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """Cancelled while ringing: the callee's phone stops, the use is given back."""
    binding = cli.bind(a, b, "--max-calls", "1")

    call = phones.call(a, binding["x"], does=Does.SILENT, patience=3.0)

    assert (call.status, len(call.invites)) == (487, 1)
    record = cli.record(binding["x"])
    assert (record["outcome"], record["released_by"]) == ("caller_gave_up", "caller")
    assert (record["sip_status"], record["clock"]) == (None, None)
    assert cli("show", binding["id"])["calls_used"] == 0


def test_redirection_is_not_followed(
    cli: Cli, phones: Phones, a: str, b: str, stranger: str
) -> None:
    """A callee that redirects gets one INVITE, and its target none."""
    x = cli.bind(a, b)["x"]

    call = phones.call(
        a,
        x,
        does=Does.REJECT,
        status="302 Moved Temporarily",
        callee_headers=[f"Contact: <sip:{stranger}@127.0.0.1:5090>"],
    )

    assert call.status == 486
    assert [invite.request_user for invite in call.invites] == [b]
    assert not find_leaks(received_by(call.caller.messages), numbers=[b, stranger], names=[])
