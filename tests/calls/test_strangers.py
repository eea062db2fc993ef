"""
Strangers on a real Asterisk: they learn nothing, and who asks too often is not looked up any more.
"""

from typing import Any

import psycopg

from calls.conftest import Serving
from harness.pbx import CARRIER_IN, Cli, ask, expire, frozen
from testpbx.phones import Call, Phones
from testpbx.waiting import until


def conversation(call: Call) -> list[str]:
    """What the caller was told: every status line, and every header that may differ; once each."""
    told = ("reason", "retry-after", "warning", "content-type", "contact")
    lines = [
        f"{message.start_line} {[(n, v) for n, v in message.headers if n in told]}"
        for message in call.caller.messages
        if not message.sent
    ]
    # Asterisk sends again what is not acknowledged in time.
    return list(dict.fromkeys(lines))


def test_a_caller_who_is_refused_too_often(
    cli: Cli, phones: Phones, serving: Serving, a: str, b: str, stranger: str
) -> None:
    """After the third refusal the database is not asked: it may even stand still."""
    x = cli.bind(a, b)["x"]
    with serving(AGI_ROUTER_REFUSAL_LIMIT_CALLER="3/10m"):
        for _ in range(3):
            assert phones.call(stranger, x).status == 403
        with frozen("postgres"):
            # Whoever is asked about has to wait and is told to try later; this one is not.
            assert phones.call(b, x).status == 480
            call = phones.call(stranger, x)
        assert (call.status, call.invites) == (403, ())
        # Connections that were silent for too long are made again first.
        assert until(lambda: ask("/readyz")[0] == 200, timeout=20)
        assert phones.call(a, x).status == 200
        reasons = [record["reason"] for record in cli.records(x, 6)]
    assert reasons[0] is None
    assert sorted(map(str, reasons[1:])) == sorted(
        ["rate_caller", "platform_fault", *["stranger"] * 3]
    )


def test_a_trunk_with_too_many_refusals(
    cli: Cli, phones: Phones, serving: Serving, a: str, b: str, stranger: str
) -> None:
    """Whoever it is that calls: the trunk is the endpoint on which the calls come in."""
    x = cli.bind(a, b)["x"]
    with serving(AGI_ROUTER_REFUSAL_LIMIT_TRUNK="2/1h") as limited:
        assert phones.call(stranger, x).status == 403
        assert phones.call("+14155550100", x).status == 403
        assert (phones.call(a, x).status, phones.call(b, x).status) == (403, 403)
        reasons = [record["reason"] for record in cli.records(x, 4)]
    assert sorted(reasons) == ["caller_foreign", "rate_caller", "rate_caller", "stranger"]
    assert limited.says("refusals.limited", f"trunk=PJSIP/{CARRIER_IN}")


def test_strict(
    cli: Cli,
    phones: Phones,
    serving: Serving,
    database: psycopg.Connection[dict[str, Any]],
    a: str,
    b: str,
    stranger: str,
) -> None:
    """A former party, one without calls left, one who may not call, a stranger: told the same."""
    bindings = {
        reason: cli.bind(a, b, "--language", "en", *options)
        for reason, options in (
            ("stranger", ()),
            ("unbound", ()),
            ("expired", ()),
            ("used_up", ("--max-calls", "1")),
            ("wrong_direction", ("--direction", "b")),
        )
    }
    assert phones.call(b, bindings["used_up"]["x"]).status == 200
    cli("unbind", bindings["unbound"]["id"])
    expire(database, bindings["expired"])

    with serving(AGI_ROUTER_STRICT="on"):
        calls = {
            reason: phones.call(stranger if reason == "stranger" else a, binding["x"])
            for reason, binding in bindings.items()
        }

    for reason, call in calls.items():
        assert (call.status, call.invites) == (403, ())
        assert conversation(call) == conversation(calls["stranger"])
        # Who runs the service sees why.
        assert until(lambda: cli.record(bindings[reason]["x"])["reason"] == reason, timeout=30)  # noqa: B023
