"""
The real-time check on a real Asterisk: who is not confirmed in time reaches nobody, at both doors.
"""

import json
from typing import Any
from uuid import uuid4

import pytest

from calls.conftest import OPEN, Serving
from harness.pbx import STATE, Cli, Router
from harness.verification import FAULTS, Service, a_service
from testpbx.phones import Phones
from testpbx.waiting import until

# Less than the patience of this PBX. A service that answers at all does so within it.
TIMEOUT = "1"


def settings(port: int) -> dict[str, str]:
    """Those of a router that asks the service at this port."""
    return {
        "AGI_ROUTER_CHECK_URL": f"http://127.0.0.1:{port}/calls",
        "AGI_ROUTER_CHECK_TIMEOUT": TIMEOUT,
        "AGI_ROUTER_REFUSAL_LIMIT_CALLER": "off",
    }


def given_back(cli: Cli, binding: dict[str, Any]) -> bool:
    """Whether no use of a binding is taken."""
    return bool(cli("show", binding["id"])["calls_used"] == 0)


def test_a_call_is_confirmed_or_not(
    cli: Cli, phones: Phones, serving: Serving, a: str, b: str
) -> None:
    """Yes rings; no is refused by name; whatever else the service does, nobody rings."""
    binding = cli.bind(a, b, "--max-calls", "1", "--order", "A-1001")
    x = binding["x"]
    with a_service() as service, serving(**settings(service.port)):
        service.does = "no"
        call = phones.call(a, x)
        assert (call.status, call.invites) == (403, ())
        record = cli.record(x)
        assert (record["verdict"], record["reason"]) == ("refuse", "check_refused")
        assert (record["check_id"], record["check_verdict"]) == (service.asked[0]["id"], "no")
        assert record["check_ms"] >= 0
        asked = service.asked[0]
        assert (asked["x"], asked["side"], asked["order"]) == (x, "a", "A-1001")
        assert not {"caller", "callees"} & asked.keys()
        assert a not in json.dumps(asked)
        for count, fault in enumerate(FAULTS, 2):
            assert until(lambda: given_back(cli, binding), timeout=20)
            service.does = fault
            call = phones.call(b, x)
            assert (fault, call.status, call.invites) == (fault, 480, ())
            record = cli.records(x, count)[0]
            assert (record["reason"], record["check_verdict"]) == (
                "check_unavailable",
                "unavailable",
            )
        assert until(lambda: given_back(cli, binding), timeout=20)
        service.does = "yes"
        assert phones.call(a, x).status == 200
        record = cli.records(x, len(FAULTS) + 2)[0]
        assert (record["reason"], record["check_verdict"]) == (None, "yes")


def test_a_service_that_is_started_again(
    cli: Cli, phones: Phones, serving: Serving, a: str, b: str
) -> None:
    """While it is away nobody rings; when it is back calls go on, without a restart of ours."""
    binding = cli.bind(a, b)
    with a_service() as service:
        port = service.port
        with serving(**settings(port)):
            assert phones.call(a, binding["x"]).status == 200
            service.stop()
            call = phones.call(a, binding["x"])
            assert (call.status, call.invites) == (480, ())
            assert cli.records(binding["x"], 2)[0]["reason"] == "check_unavailable"
            with a_service(port):
                assert phones.call(a, binding["x"]).status == 200


@pytest.mark.parametrize(("verdict", "status"), [("yes", 200), ("no", 403)])
def test_the_other_door_asks_as_well(
    cli: Cli,
    phones: Phones,
    router: Router,
    a: str,
    b: str,
    verdict: str,
    status: int,
) -> None:
    """FastAGI with the real numbers, which the operator wants to be sent on this host."""
    x = cli.bind(a, b)["x"]
    with a_service() as service:
        env = {**cli.env, **OPEN, **settings(service.port), "AGI_ROUTER_CHECK_NUMBERS": "on"}
        router.stop()
        with Router(env, STATE / "logs/fastagi-of-its-own.log", door="agi").serving():
            service.does = verdict
            call = phones.call(a, x)
            assert call.status == status
            assert bool(call.invites) is (verdict == "yes")
            (asked,) = service.asked
            assert (asked["caller"], asked["callees"]) == (a, [b])


def of_tenant(cli: Cli, service: Service, *options: str) -> tuple[str, str]:
    """A tenant of its own whose calls this service is asked about, and what signs questions."""
    name = f"checked-{uuid4().hex}"
    cli("tenant", "add", name, "--no-order", "--consent", "off")
    url = f"http://127.0.0.1:{service.port}/{name}"
    return name, cli("tenant", "check", "set", name, url, *options)["secret"]


@pytest.fixture
def allowing(cli: Cli) -> Cli:
    """The command line of an operator whose tenants' services may be on this host."""
    return Cli({**cli.env, "AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1"})


OWN = {
    "AGI_ROUTER_CHECK_TIMEOUT": TIMEOUT,
    "AGI_ROUTER_WEBHOOK_HOSTS": "127.0.0.1",
    "AGI_ROUTER_REFUSAL_LIMIT_CALLER": "off",
}


def test_a_tenants_own_service(
    allowing: Cli, phones: Phones, serving: Serving, a: str, b: str
) -> None:
    """It alone is asked, signed and without a real number; its tenant says what silence means."""
    cli = allowing
    with a_service() as service, serving(**OWN):
        name, secret = of_tenant(cli, service)
        binding = cli.bind(a, b, "--tenant", name, "--max-calls", "1", "--out-id", "o-7")
        x = binding["x"]
        service.does = "no"
        call = phones.call(a, x)
        assert (call.status, call.invites) == (403, ())
        record = cli.record(x)
        asked = service.received[0].verified(secret)
        assert record["reason"] == "check_refused"
        assert (record["check_id"], record["tenant_check_verdict"]) == (None, "no")
        assert record["tenant_check_id"] == asked["id"] == service.received[0].id
        assert (asked["x"], asked["side"], asked["out_id"]) == (x, "a", "o-7")
        assert not {"caller", "callees"} & asked.keys()
        assert a not in service.received[0].body.decode()
        for count, fault in enumerate(("another id", "frozen"), 2):
            assert until(lambda: given_back(cli, binding), timeout=20)
            service.does = fault
            call = phones.call(a, x)
            assert (fault, call.status, call.invites) == (fault, 480, ())
            record = cli.records(x, count)[0]
            assert (record["reason"], record["tenant_check_verdict"]) == (
                "check_unavailable",
                "unavailable",
            )
        assert until(lambda: given_back(cli, binding), timeout=20)
        url = f"http://127.0.0.1:{service.port}/{name}"
        changed = cli("tenant", "check", "set", name, url, "--unanswered", "ring")
        assert "secret" not in changed
        service.does = "HTML"
        assert phones.call(b, x).status == 200
        record = cli.records(x, 4)[0]
        assert (record["reason"], record["tenant_check_verdict"]) == (None, "unavailable")


def test_both_services(allowing: Cli, phones: Phones, serving: Serving, a: str, b: str) -> None:
    """Each is asked with an id of its own, and either refuses; of others nobody is asked."""
    cli = allowing
    with a_service() as operators, a_service() as tenants:
        with serving(**settings(operators.port), AGI_ROUTER_WEBHOOK_HOSTS="127.0.0.1"):
            name, _ = of_tenant(cli, tenants, "--unanswered", "ring")
            x = cli.bind(a, b, "--tenant", name)["x"]
            assert phones.call(a, x).status == 200
            for count, who in enumerate((operators, tenants), 2):
                who.does = "no"
                call = phones.call(a, x)
                assert (call.status, call.invites) == (403, ())
                record = cli.records(x, count)[0]
                who.does = "yes"
                assert {record["check_id"], record["tenant_check_id"]} == {
                    operators.asked[-1]["id"],
                    tenants.asked[-1]["id"],
                }
            cli("tenant", "check", "remove", name)
            assert phones.call(a, x).status == 200
        assert operators.asked[-1]["call_id"] not in {each["call_id"] for each in tenants.asked}
