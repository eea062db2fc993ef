"""
A merged INVITE: one call that comes twice, since a proxy has forked it (RFC 3261, 8.2.2.2).
"""

from __future__ import annotations

from collections.abc import Collection

import pytest

from agi_router.leaktest.messages import Message
from harness.ends import SDP, Caller, Side, sides
from harness.pbx import Cli, Dialplan, Router

ARI, FASTAGI = "agi-router-in", "agi-router-in-fastagi"


def ringing(far: Side, before: Collection[Message] = ()) -> Message:
    """The INVITE of a callee, of another call than those *before*."""
    known = {each.call_id for each in before}
    return far.wait(lambda m: m.start_line.startswith("INVITE ") and m.call_id not in known)


@pytest.fixture(params=[ARI, FASTAGI])
def door(request: pytest.FixtureRequest, dialplan: Dialplan, fastagi: Router) -> str:
    """Where the calls come in, with each door serving."""
    assert fastagi.registered()
    dialplan.enter_at(request.param)
    return str(request.param)


@pytest.mark.usefixtures("phones", "door")
def test_it_rings_once(cli: Cli, a: str, b: str) -> None:
    """Of two copies one rings and takes a use; the other is refused, whichever is first."""
    binding = cli.bind(a, b)
    x = binding["x"]
    with sides() as (near, far):
        first = Caller(near, a, x)
        copies = [first, *(Caller(near, a, x, fork_of=first) for _ in range(3))]
        for each in copies:
            each.invite()
        # The refused ones are so while the one that rings does.
        rung = ringing(far)
        far.answer(rung, "180 Ringing", tag="callee")
        near.wait(lambda _: sum(each.has_ended() for each in copies) == 3)
        far.answer(rung, "200 OK", tag="callee", body=SDP.format(far.port + 2))
        near.wait(lambda _: all(each.has_ended() for each in copies))
        # They talk for as long as it takes to ask.
        used = cli("show", binding["id"])["calls_used"]
        statuses = sorted(each.final() for each in copies)
        far.wait(lambda m: m.start_line.startswith("BYE "))
        all_rung = {m.call_id for m in far.came if m.start_line.startswith("INVITE ")}
    records = cli.records(x, 4)

    assert statuses == [200, 480, 480, 480]
    assert all_rung == {rung.call_id}
    assert used == cli("show", binding["id"])["calls_used"] == 1
    assert sorted(record["reason"] or record["outcome"] for record in records) == [
        "answered",
        *["merged"] * 3,
    ]


@pytest.mark.usefixtures("phones", "door")
def test_a_second_try_is_no_copy(cli: Cli, a: str, b: str) -> None:
    """A proxy that tries again after the first one has ended is let through."""
    binding = cli.bind(a, b)
    with sides() as (near, far):
        first = Caller(near, a, binding["x"])
        rung: list[Message] = []
        for call in (first, Caller(near, a, binding["x"], fork_of=first)):
            call.invite()
            rung.append(ringing(far, rung))
            far.answer(rung[-1], "486 Busy Here", tag="callee")
            assert call.final() == 486
    outcomes = [record["outcome"] for record in cli.records(binding["x"], 2)]

    assert outcomes == ["busy", "busy"]


@pytest.mark.usefixtures("phones", "door")
def test_a_fork_to_two_numbers_is_two_calls(cli: Cli, a: str, b: str, stranger: str) -> None:
    """A proxy may ring two 700 numbers for one caller: they are two parties."""
    numbers = [cli.bind(a, b)["x"], cli.bind(a, stranger)["x"]]
    with sides() as (near, far):
        first = Caller(near, a, numbers[0])
        calls = [first, Caller(near, a, numbers[1], fork_of=first)]
        for each in calls:
            each.invite()
        rung: list[Message] = []
        for _ in calls:
            rung.append(ringing(far, rung))
        for invite in rung:
            far.answer(invite, "486 Busy Here", tag="callee")
        assert [each.final() for each in calls] == [486, 486]
    assert [cli.record(x)["outcome"] for x in numbers] == ["busy", "busy"]
