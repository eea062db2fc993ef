"""
Modes on a real Asterisk: what the tables of docs/modes.md do not say in a row.
"""

import itertools
import secrets
from datetime import timedelta

import pytest

from agi_router.bindings.modes import GROUP_MAX
from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.messages import received_by
from harness.pbx import Cli
from testpbx.phones import Call, Does, Phones
from testpbx.waiting import until

_numbers = itertools.count(13700901000)


@pytest.fixture
def members() -> list[str]:
    """A group of three, whom no other test knows."""
    return [str(next(_numbers)) for _ in range(3)]


def in_group(mode: str, members: list[str], b: str, *options: str) -> list[str]:
    """The command that binds a group and B."""
    return [
        "bind",
        mode,
        *(part for g in members for part in ("--members", g)),
        "--b",
        b,
        *options,
    ]


def check_rang(call: Call, *, caller: str, rang: list[str], shown: str) -> None:
    """Exactly these rang, each was shown this number, and neither side saw more of the other."""
    assert sorted(str(invite.request_user) for invite in call.invites) == sorted(rang)
    assert {invite.from_user for invite in call.invites} == {shown}
    assert list(find_leaks(received_by(call.callee), numbers=[caller], names=[])) == []
    assert list(find_leaks(received_by(call.caller.messages), numbers=rang, names=[])) == []


def check_talked(call: Call, *, caller: str, rang: str, shown: str) -> None:
    """They talked, and the one who was called was shown this number."""
    assert call.status == 200
    check_rang(call, caller=caller, rang=[rang], shown=shown)


def check_refused(cli: Cli, call: Call, dialled: str, reason: str) -> None:
    """Nobody rang, the caller paid nothing, and the record says why."""
    statuses = [message.status for message in call.caller.messages if message.status is not None]
    assert (call.status, call.invites) == (403, ())
    assert 200 not in statuses
    # There may have been calls before on this number.
    assert until(lambda: cli.record(dialled)["reason"] == reason, timeout=15)


@pytest.mark.parametrize("mode", ["gxb", "gxyb"])
def test_last_member_who_called(
    cli: Cli, phones: Phones, members: list[str], b: str, stranger: str, mode: str
) -> None:
    """B reaches whom it heard from last; before that the default; strangers change nothing."""
    first, second, default = members
    options = ("--callback", "last", "--default", default)
    binding = cli(*in_group(mode, members, b, *options))
    x, y = binding["x"], binding.get("y", binding["x"])

    check_talked(phones.call(b, y), caller=b, rang=default, shown=x)
    check_talked(phones.call(first, x), caller=first, rang=b, shown=y)
    check_talked(phones.call(b, y), caller=b, rang=first, shown=x)
    # B was busy: that call is the one it wants to return.
    assert phones.call(second, x, does=Does.BUSY).status == 486
    check_refused(cli, phones.call(stranger, x), x, "stranger")
    check_talked(phones.call(b, y), caller=b, rang=second, shown=x)


def test_a_party_is_replaced(cli: Cli, phones: Phones, a: str, b: str, stranger: str) -> None:
    """Who came reaches B, and B reaches who came; who left reaches nobody."""
    binding = cli.bind(a, b)
    x = binding["x"]
    check_talked(phones.call(a, x), caller=a, rang=b, shown=x)
    assert cli("change", binding["id"], "--a", "-", typed=[stranger])["version"] == 2
    check_refused(cli, phones.call(a, x), x, "stranger")
    check_talked(phones.call(stranger, x), caller=stranger, rang=b, shown=x)
    check_talked(phones.call(b, x), caller=b, rang=stranger, shown=x)


@pytest.mark.parametrize("mode", ["gxb", "gxyb"])
def test_all_members_ring(cli: Cli, phones: Phones, members: list[str], b: str, mode: str) -> None:
    """B's call back rings all at once, each is shown X; B gives up, and all of them stop."""
    binding = cli(*in_group(mode, members, b, "--callback", "all"))
    x, y = binding["x"], binding.get("y", binding["x"])

    check_talked(phones.call(members[0], x), caller=members[0], rang=b, shown=y)
    call = phones.call(b, y, does=Does.SILENT, patience=3.0)

    assert call.status == 487
    check_rang(call, caller=b, rang=members, shown=x)
    stopped = {m.call_id for m in call.callee if not m.sent and m.method == "CANCEL"}
    assert len(stopped) == len(members)
    assert cli.record(y)["outcome"] == "caller_gave_up"


@pytest.mark.parametrize("mode", ["gxb", "gxyb"])
def test_the_first_of_all_to_answer_has_the_call(
    cli: Cli, phones: Phones, b: str, mode: str
) -> None:
    """The others stop ringing; nobody sees more than X, and B nobody's number."""
    # The phone whose number ends in 9 answers.
    members = [f"1370{next(_numbers) % 1000000:06}{last}" for last in (1, 9, 2)]
    binding = cli(*in_group(mode, members, b, "--callback", "all"))
    x, y = binding["x"], binding.get("y", binding["x"])

    call = phones.call(b, y, does=Does.ONE_ANSWERS, ring=0.5)

    assert call.status == 200
    check_rang(call, caller=b, rang=members, shown=x)
    ended = [m for m in call.callee if not m.sent and m.start_line.startswith(("CANCEL ", "BYE "))]
    how = {str(m.request_user): m.method for m in ended}
    assert how == {members[0]: "CANCEL", members[1]: "BYE", members[2]: "CANCEL"}
    record = cli.record(y)
    assert (record["outcome"], record["released_by"]) == ("answered", "caller")


def test_members_of_a_party_group(
    cli: Cli, phones: Phones, members: list[str], a: str, b: str, stranger: str
) -> None:
    """Who is let into it reaches B in each binding by it, who has left reaches nobody in any."""
    group = f"team-{secrets.token_hex(8)}"
    cli("party-group", "add", group, *(part for each in members for part in ("--members", each)))
    bound = {to: cli("bind", "gxb", "--group", group, "--b", to)["x"] for to in (a, b)}
    for to, x in bound.items():
        check_talked(phones.call(members[0], x), caller=members[0], rang=to, shown=x)
    cli("party-group", "members", group, "--add", stranger, "--remove", members[0])
    for to, x in bound.items():
        check_talked(phones.call(stranger, x), caller=stranger, rang=to, shown=x)
        check_refused(cli, phones.call(members[0], x), x, "stranger")


def test_members_come_and_go(
    cli: Cli, phones: Phones, members: list[str], b: str, stranger: str
) -> None:
    """Who is let in reaches B at the next call, who has left reaches nobody."""
    binding = cli(*in_group("gxb", members, b, "--callback", "last"))
    x = binding["x"]

    check_refused(cli, phones.call(stranger, x), x, "stranger")
    cli("group", "add", binding["id"], "--members", stranger)
    check_talked(phones.call(stranger, x), caller=stranger, rang=b, shown=x)
    check_talked(phones.call(b, x), caller=b, rang=stranger, shown=x)
    cli("group", "remove", binding["id"], "--member", stranger)
    check_refused(cli, phones.call(stranger, x), x, "stranger")
    check_refused(cli, phones.call(b, x), x, "no_default_party")


@pytest.mark.parametrize("mode", ["axyb", "gxyb"])
def test_an_order_that_has_ended(cli: Cli, phones: Phones, a: str, b: str, mode: str) -> None:
    """Both sides hear that the order has ended, each on its own number."""
    first = "--a" if mode == "axyb" else "--members"
    binding = cli("bind", mode, first, a, "--b", b, "--order", f"{mode}-{a}")
    (ended,) = cli("unbind", "--order", f"{mode}-{a}")
    assert (ended["id"], ended["state"]) == (binding["id"], "order_ended")

    check_refused(cli, phones.call(a, binding["x"]), binding["x"], "order_ended")
    check_refused(cli, phones.call(b, binding["y"]), binding["y"], "order_ended")


def test_two_hundred_ring_at_once(cli: Cli, phones: Phones, b: str) -> None:
    """The largest group: all of them ring, all of them stop, and no number is spoilt."""
    members = [f"1379{n:03}5501" for n in range(GROUP_MAX)]
    binding = cli(*in_group("gxb", members, b, "--callback", "all"))

    call = phones.call(b, binding["x"], does=Does.SILENT, patience=6.0)

    assert call.status == 487
    check_rang(call, caller=b, rang=members, shown=binding["x"])
    stopped = [m for m in call.callee if not m.sent and m.start_line.startswith("CANCEL ")]
    assert len({m.request_user for m in stopped}) == len(members)
    assert cli.record(binding["x"])["outcome"] == "caller_gave_up"


def test_two_hundred_ring_in_turn(cli: Cli, phones: Phones, b: str) -> None:
    """The largest group: one after the other, in their order; it is one call and one use."""
    members = [f"1378{n:03}5501" for n in range(GROUP_MAX)]
    options = ("--callback", "sequence", "--max-calls", "1", "--count", "attempts")
    binding = cli(*in_group("gxyb", members, b, *options))

    call = phones.call(b, binding["y"], does=Does.BUSY)

    assert call.status == 486
    assert [invite.request_user for invite in call.invites] == members
    record = cli.record(binding["y"])
    assert (record["outcome"], record["cause"]) == ("busy", 17)
    # Of the last one alone.
    assert record["sip_status"] == 486
    assert cli("show", binding["id"])["calls_used"] == 1


def test_the_next_one_rings_when_nobody_answers(cli: Cli, phones: Phones, b: str) -> None:
    """For the ring time each; the one who answers has the call, the others are not rung."""
    # The phone whose number ends in 9 answers.
    members = [f"1370{next(_numbers) % 1000000:06}{last}" for last in (1, 9, 2)]
    binding = cli(*in_group("gxb", members, b, "--callback", "sequence", "--ring", "5s"))

    call = phones.call(b, binding["x"], does=Does.ONE_ANSWERS, ring=0.3)

    check_rang(call, caller=b, rang=members[:2], shown=binding["x"])
    # By who it is for: the first of each, others are sent again.
    requests = [m for m in call.callee if not m.sent and m.status is None]
    began = {m.call_id: m.at for m in reversed(requests) if m.method == "INVITE"}
    ended = {m.call_id: m.at for m in reversed(requests) if m.method == "CANCEL"}
    first, second = sorted(began, key=lambda each: began[each])
    assert [*ended] == [first]
    # Asterisk sends the two by threads of their own.
    assert began[first] < ended[first] < began[second] + timedelta(seconds=1)
    record = cli.record(binding["x"])
    assert (call.status, record["outcome"]) == (200, "answered")


def test_a_caller_who_gives_up_in_turn(
    cli: Cli, phones: Phones, members: list[str], b: str
) -> None:
    """Whoever rings stops, and nobody else rings after."""
    binding = cli(*in_group("gxb", members, b, "--callback", "sequence"))

    call = phones.call(b, binding["x"], does=Does.SILENT, patience=3.0)

    assert call.status == 487
    assert [invite.request_user for invite in call.invites] == members[:1]
    assert cli.record(binding["x"])["outcome"] == "caller_gave_up"
    assert cli("show", binding["id"])["calls_used"] == 0
