"""
Every mode on a real Asterisk: each row of agi_router/MODES.md in both directions, on the wire.
"""

import itertools

import pytest

from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.messages import received_by
from calls.parts import Cli
from testpbx.phones import Call, Does, Phones
from testpbx.waiting import until

_numbers = itertools.count(13700901000)


@pytest.fixture
def members() -> list[str]:
    """A group of three, whom no other test knows."""
    return [str(next(_numbers)) for _ in range(3)]


def in_group(mode: str, members: list[str], b: str, *options: str) -> list[str]:
    """The command that binds a group and B."""
    return ["bind", mode, *(part for g in members for part in ("--g", g)), "--b", b, *options]


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


def test_axyb_both_ways(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """A→X rings B, shown Y; B→Y rings A, shown X: each knows one number."""
    binding = cli("bind", "axyb", "--a", a, "--b", b)
    x, y = binding["x"], binding["y"]
    assert x != y

    check_talked(phones.call(a, x), caller=a, rang=b, shown=y)
    check_talked(phones.call(b, y), caller=b, rang=a, shown=x)

    assert (cli.record(x)["side"], cli.record(y)["side"]) == ("a", "b")


def test_axyb_strangers(cli: Cli, phones: Phones, a: str, b: str, stranger: str) -> None:
    """Whoever is no party; and each party on the number of the other."""
    binding = cli("bind", "axyb", "--a", a, "--b", b)
    x, y = binding["x"], binding["y"]

    for caller, dialled in ((stranger, x), (stranger, y), (b, x), (a, y)):
        check_refused(cli, phones.call(caller, dialled), dialled, "stranger")
    assert cli("show", binding["id"])["calls_used"] == 0


@pytest.mark.parametrize("direction", ["a", "b"])
@pytest.mark.parametrize("mode", ["axb", "axyb"])
def test_one_way_between_two(
    cli: Cli, phones: Phones, a: str, b: str, mode: str, direction: str
) -> None:
    """The open side gets through, the closed one is refused by name."""
    binding = cli("bind", mode, "--a", a, "--b", b, "--direction", direction)
    x, y = binding["x"], binding.get("y", binding["x"])
    sides = {"a": (a, x, b, y), "b": (b, y, a, x)}
    caller, dialled, rang, shown = sides.pop(direction)
    ((closed, closed_dialled, *_),) = sides.values()

    check_talked(phones.call(caller, dialled), caller=caller, rang=rang, shown=shown)
    check_refused(cli, phones.call(closed, closed_dialled), closed_dialled, "wrong_direction")


@pytest.mark.parametrize("mode", ["gxb", "gxyb"])
def test_group_with_a_default(
    cli: Cli, phones: Phones, members: list[str], b: str, stranger: str, mode: str
) -> None:
    """Every member rings B; B rings the default member, whoever called; strangers nobody."""
    binding = cli(*in_group(mode, members, b, "--default", members[1]))
    x, y = binding["x"], binding.get("y", binding["x"])

    for member in members:
        check_talked(phones.call(member, x), caller=member, rang=b, shown=y)
    check_talked(phones.call(b, y), caller=b, rang=members[1], shown=x)

    for dialled in {x, y}:
        check_refused(cli, phones.call(stranger, dialled), dialled, "stranger")
    if x != y:
        check_refused(cli, phones.call(b, x), x, "stranger")
        check_refused(cli, phones.call(members[0], y), y, "stranger")


@pytest.mark.parametrize("mode", ["gxb", "gxyb"])
def test_group_without_a_default(
    cli: Cli, phones: Phones, members: list[str], b: str, mode: str
) -> None:
    """B's call back can ring nobody, says so and takes no use, until a default is set."""
    binding = cli(*in_group(mode, members, b))
    x, y = binding["x"], binding.get("y", binding["x"])

    check_refused(cli, phones.call(b, y), y, "no_default_party")
    assert cli("show", binding["id"])["calls_used"] == 0

    cli("group", "default", binding["id"], "--g", members[2])
    check_talked(phones.call(b, y), caller=b, rang=members[2], shown=x)


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


@pytest.mark.parametrize("mode", ["gxb", "gxyb"])
def test_all_members_ring(cli: Cli, phones: Phones, members: list[str], b: str, mode: str) -> None:
    """B's call back rings all at once, each is shown X; B gives up, and all of them stop."""
    binding = cli(*in_group(mode, members, b, "--callback", "all"))
    x, y = binding["x"], binding.get("y", binding["x"])

    check_talked(phones.call(members[0], x), caller=members[0], rang=b, shown=y)
    call = phones.call(b, y, does=Does.SILENT, patience=1.0)

    assert call.status == 487
    check_rang(call, caller=b, rang=members, shown=x)
    stopped = [m for m in call.callee if not m.sent and m.start_line.startswith("CANCEL ")]
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


@pytest.mark.parametrize("direction", ["a", "b"])
@pytest.mark.parametrize("mode", ["gxb", "gxyb"])
def test_one_way_group(
    cli: Cli, phones: Phones, members: list[str], b: str, mode: str, direction: str
) -> None:
    """Only the group may call, or only B."""
    options = ("--default", members[0], "--direction", direction)
    binding = cli(*in_group(mode, members, b, *options))
    x, y = binding["x"], binding.get("y", binding["x"])

    if direction == "a":
        check_talked(phones.call(members[2], x), caller=members[2], rang=b, shown=y)
        check_refused(cli, phones.call(b, y), y, "wrong_direction")
    else:
        check_talked(phones.call(b, y), caller=b, rang=members[0], shown=x)
        check_refused(cli, phones.call(members[2], x), x, "wrong_direction")


def test_members_come_and_go(
    cli: Cli, phones: Phones, members: list[str], b: str, stranger: str
) -> None:
    """Who is let in reaches B at the next call, who has left reaches nobody."""
    binding = cli(*in_group("gxb", members, b, "--callback", "last"))
    x = binding["x"]

    check_refused(cli, phones.call(stranger, x), x, "stranger")
    cli("group", "add", binding["id"], "--g", stranger)
    check_talked(phones.call(stranger, x), caller=stranger, rang=b, shown=x)
    check_talked(phones.call(b, x), caller=b, rang=stranger, shown=x)
    cli("group", "remove", binding["id"], "--g", stranger)
    check_refused(cli, phones.call(stranger, x), x, "stranger")
    check_refused(cli, phones.call(b, x), x, "no_default_party")


@pytest.mark.parametrize("mode", ["axyb", "gxyb"])
def test_an_order_that_has_ended(cli: Cli, phones: Phones, a: str, b: str, mode: str) -> None:
    """Both sides hear that the order has ended, each on its own number."""
    first = "--a" if mode == "axyb" else "--g"
    binding = cli("bind", mode, first, a, "--b", b, "--order", f"{mode}-{a}")
    (ended,) = cli("unbind", "--order", f"{mode}-{a}")
    assert (ended["id"], ended["state"]) == (binding["id"], "order_ended")

    check_refused(cli, phones.call(a, binding["x"]), binding["x"], "order_ended")
    check_refused(cli, phones.call(b, binding["y"]), binding["y"], "order_ended")
