"""
Limits on a real Asterisk: how many calls, how long.
"""

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from harness.pbx import CARRIER_IN, STATE, Asterisk, Cli, Dialplan, Router
from testpbx.phones import Does, Phones
from testpbx.waiting import until

CALLS, LEFT = 50, 10


@pytest.fixture
def patient(pbx: dict[str, Any], router: Router, dialplan: Dialplan) -> Iterator[None]:
    """A router, and a dialplan, that wait for the slowest machine: what counts is the count."""
    router.stop()
    dialplan.set(AGI_ROUTER_PATIENCE="9", AGI_ROUTER_PATIENCE_FALLBACK="1")
    env = {
        **pbx["env"],
        "AGI_ROUTER_PATIENCE": "9",
        "AGI_ROUTER_DECISION_TIMEOUT": "8",
        "AGI_ROUTER_REFUSAL_LIMIT_CALLER": "off",
    }
    with Router(env, STATE / "logs/router-patient.log").serving():
        yield


@pytest.mark.usefixtures("patient")
def test_fifty_at_once_with_ten_left(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """Exactly ten reach B, forty are refused as used up, and the count is ten."""
    binding = cli.bind(a, b, "--max-calls", str(LEFT))

    burst = phones.burst(a, binding["x"], calls=CALLS)

    assert burst.by_status == {200: LEFT, 403: CALLS - LEFT}
    assert burst.reached == LEFT
    records = cli.records(binding["x"], CALLS)
    assert [r["reason"] for r in records if r["verdict"] == "refuse"] == ["used_up"] * (
        CALLS - LEFT
    )
    assert cli("show", binding["id"])["calls_used"] == LEFT


def test_more_than_are_let_in(
    router: Router, dialplan: Dialplan, cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """Who comes beyond the limit of calls a second is refused at once, and on record."""
    assert router.registered()
    dialplan.set(AGI_ROUTER_RATE_LIMIT="10")
    binding = cli.bind(a, b)

    burst = phones.burst(a, binding["x"], calls=CALLS)

    let_in = burst.by_status[200]
    assert burst.by_status == {200: let_in, 503: CALLS - let_in}
    # One for each tenth of a second that they take to come, which may be some on a busy machine.
    assert 1 <= let_in <= CALLS // 2
    assert burst.reached == let_in
    refused = [r["reason"] for r in cli.records(binding["x"], CALLS) if r["reason"]]
    assert refused == ["no_capacity"] * (CALLS - let_in)
    assert cli("show", binding["id"])["calls_used"] == let_in


def test_longest_call(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """A call that lasts longer than agreed is ended by us, for both."""
    binding = cli.bind(a, b, "--max-duration", "3s")

    with phones.listen() as callee:
        (heard,) = phones.dial(a, binding["x"]).heard(timeout=30)

    assert heard.status == 200
    for messages in (heard.messages, callee.messages):
        assert [m.method for m in messages if not m.sent and m.status is None][-1] == "BYE"
    record = cli.record(binding["x"])
    assert (record["outcome"], record["released_by"]) == ("answered", "us")
    assert (record["clock"], record["sip_status"]) == ("talk", 200)
    assert 2500 <= record["talk_ms"] <= 8000


def test_the_limit_of_the_whole_call(
    asterisk: Asterisk, cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """Where the limit of the talk does not end a call, that of the whole call does."""
    binding = cli.bind(a, b)

    with phones.listen() as callee:
        talk = phones.dial(a, binding["x"])
        assert until(lambda: any(m.method == "ACK" for m in callee.messages), timeout=20)
        channels = asterisk.command("core show channels concise")
        (near,) = {line.split("!")[0] for line in channels.splitlines() if CARRIER_IN in line}
        asterisk.command(f"dialplan set chanvar {near} TIMEOUT(absolute) 1")
        (heard,) = talk.heard(timeout=30)

    assert heard.status == 200
    record = cli.record(binding["x"])
    assert (record["outcome"], record["released_by"]) == ("answered", "us")
    assert record["clock"] == "whole"


def test_ring_time_out(
    cli: Cli,
    phones: Phones,
    database: psycopg.Connection[dict[str, Any]],
    a: str,
    b: str,
) -> None:
    """A callee that does not answer rings for the time agreed, and the use is given back."""
    binding = cli.bind(a, b, "--max-calls", "1")
    database.execute(
        "UPDATE agi_router.binding SET ring_timeout = 5 WHERE block || '-' || id = %s",
        [binding["id"]],
    )

    call = phones.call(a, binding["x"], does=Does.SILENT)

    assert (call.status, len(call.invites)) == (480, 1)
    record = cli.record(binding["x"])
    assert (record["outcome"], record["clock"]) == ("no_answer", "ring")
    # It only rang.
    assert record["sip_status"] is None
    assert until(lambda: cli("show", binding["id"])["calls_used"] == 0, timeout=20)
