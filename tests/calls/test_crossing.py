"""
Messages that cross: what a caller takes for its end, and what an answer is worth then.
"""

from __future__ import annotations

import pytest

from harness.ends import SDP, Caller, sides
from harness.pbx import Cli


@pytest.mark.usefixtures("phones")
def test_an_answer_crosses_a_cancel(cli: Cli, a: str, b: str) -> None:
    """
    Whoever hears 487 has had no use, whatever came of the callee; who talked has had one.

    A machine that stalls Asterisk for 10 ms between the callee's answer and the CANCEL that it has
    read makes such a call an answered one.
    """
    calls = 24
    binding = cli.bind(a, b)
    statuses = []
    with sides() as (near, far):
        for number in range(calls):
            call = Caller(near, a, binding["x"])
            # A call at a time: what came before is of others.
            far.came.clear()
            call.invite()
            ringing = far.wait(lambda m: m.start_line.startswith("INVITE "))
            far.answer(ringing, "180 Ringing", tag=call.call_id)
            call.rings()
            if number % 4 == 0:
                far.answer(ringing, "200 OK", tag=call.call_id, body=SDP.format(far.port + 2))
            call.request("CANCEL")
            if number % 4:
                far.answer(ringing, "200 OK", tag=call.call_id, body=SDP.format(far.port + 2))
            statuses.append(call.final())
            # Whichever end was left over is ended, so that the next call begins with nothing.
            far.wait(lambda m: m.start_line.startswith("BYE "))
        far.be_left_alone()
    records = cli.records(binding["x"], calls)

    assert {*statuses} <= {200, 487}
    assert 487 in statuses
    gave_up = [record for record in records if record["outcome"] == "caller_gave_up"]
    answered = [record for record in records if record["outcome"] == "answered"]
    assert len(gave_up) + len(answered) == calls
    # Some who hear 200 are gone within a millisecond, and have had nothing either.
    assert all(not record["talk_ms"] for record in gave_up)
    stalled = [record for record in answered if record["talk_ms"] >= 10]
    assert len(gave_up) + len(stalled) >= statuses.count(487)
    assert cli("show", binding["id"])["calls_used"] == len(answered)


@pytest.mark.usefixtures("phones")
def test_a_talk_of_milliseconds_is_a_talk(cli: Cli, a: str, b: str) -> None:
    """Phones that end each call at once, and send their sound in a burst, use the binding up."""
    calls = 12
    binding = cli.bind(a, b)

    def ask() -> None:
        cli("show", binding["id"])

    with sides() as (near, far):
        for number in range(calls):
            call = Caller(near, a, binding["x"])
            far.came.clear()
            call.invite()
            ringing = far.wait(lambda m: m.start_line.startswith("INVITE "))
            far.answer(ringing, "200 OK", tag=call.call_id, body=SDP.format(far.port + 2))
            # One of them for as long as it takes to ask something: it may be that no other lasts.
            assert (call.final() if number else call.final(ask)) == 200
            far.wait(lambda m: m.start_line.startswith("BYE "))
        far.be_left_alone()
    records = cli.records(binding["x"], calls)

    # Within one millisecond nothing can be said.
    talked = [record for record in records if record["talk_ms"]]
    assert talked
    assert {record["outcome"] for record in talked} == {"answered"}
    assert cli("show", binding["id"])["calls_used"] == len(talked)
