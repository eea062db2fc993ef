"""
Faults on a real Asterisk: new calls are refused politely, calls that are up do not notice.
"""

import signal

from harness.pbx import Cli, Router, ask, frozen
from testpbx.phones import Phones
from testpbx.waiting import until


def test_no_router(cli: Cli, phones: Phones, router: Router, a: str, b: str) -> None:
    """Without a router the caller hears a prompt; the attempt is on record later."""
    x = cli.bind(a, b)["x"]
    router.send(signal.SIGKILL)
    router.wait()

    call = phones.call(a, x)

    assert (call.status, call.invites) == (480, ())
    router.start()
    assert cli.record(x)["reason"] == "platform_fault"


def test_frozen_router(cli: Cli, phones: Phones, router: Router, a: str, b: str) -> None:
    """A router that is up and silent costs the caller's patience, then the call is refused."""
    x = cli.bind(a, b, "--max-calls", "1")["x"]
    with router.frozen():
        call = phones.call(a, x)

    assert (call.status, call.invites) == (480, ())
    assert cli.record(x)["reason"] == "platform_fault"
    # What the thawed router finds is a call that is over: it takes nothing.
    assert phones.call(a, x).status == 200


def test_router_killed_while_people_talk(
    cli: Cli, phones: Phones, router: Router, a: str, b: str
) -> None:
    """The talk goes on; its end is settled by the next router."""
    binding = cli.bind(a, b, "--max-calls", "3")

    with phones.listen() as callee:
        talk = phones.dial(a, binding["x"], hold=3.0)
        assert until(lambda: any(m.method == "ACK" for m in callee.messages), timeout=20)
        router.send(signal.SIGKILL)
        router.wait()
        (heard,) = talk.heard()

    assert heard.status == 200
    assert cli("show", binding["id"])["calls_used"] == 1
    router.start()
    record = cli.record(binding["x"])
    assert record["outcome"] == "answered"
    assert record["talk_ms"] >= 2500
    assert cli("show", binding["id"])["calls_used"] == 1


def test_router_drains(cli: Cli, phones: Phones, router: Router, a: str, b: str) -> None:
    """SIGTERM: the router ends by itself with 0, and a call that is up does not notice."""
    x = cli.bind(a, b)["x"]

    with phones.listen() as callee:
        talk = phones.dial(a, x, hold=2.0)
        assert until(lambda: any(m.method == "ACK" for m in callee.messages), timeout=20)
        router.send(signal.SIGTERM)
        assert router.wait() == 0
        (heard,) = talk.heard()

    assert heard.status == 200
    router.start()
    assert cli.record(x)["outcome"] == "answered"


def test_frozen_database(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """A database that does not answer: refused, nothing counted, and back by itself."""
    binding = cli.bind(a, b, "--max-calls", "1")

    with frozen("postgres"):
        call = phones.call(a, binding["x"])

    assert (call.status, call.invites) == (480, ())
    assert cli.record(binding["x"])["reason"] == "platform_fault"
    assert until(lambda: ask("/readyz")[0] == 200, timeout=20)
    assert phones.call(a, binding["x"]).status == 200
    assert cli.records(binding["x"], 2)[0]["outcome"] == "answered"
    assert cli("show", binding["id"])["calls_used"] == 1
