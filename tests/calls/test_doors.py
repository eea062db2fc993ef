"""
Who takes a call: the ARI router, FastAGI, another router; and a caller nobody takes is told soon.
"""

import hashlib
import json
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.leaktest.leaks import find_leaks
from agi_router.leaktest.messages import Message, invites_in, received_by
from calls.patience import FALLBACK, PATIENCE
from harness.pbx import STATE, Asterisk, Cli, Dialplan, Router
from testpbx.phones import Call, Phones
from testpbx.state import AGI_PORT, HOST, METRICS_PORTS
from testpbx.waiting import until

# Who waited for a frozen server itself would wait for longer. What callers are promised with the
# patience that is shipped, 600 ms, is a measurement (tests/bench).
SOON = timedelta(seconds=15)


def waited(call: Call) -> timedelta:
    """How long a caller heard nothing: to the first ring, or to the prompt."""
    invite, *answers = call.caller.messages
    heard = next(m for m in answers if m.status is not None and m.status > 100)
    return heard.at - invite.at


def settled_once(cli: Cli, x: str, *, binding: str, used: int, calls: int) -> None:
    """Every call on *x* is on record, settled, and the uses are those of the answered ones."""
    records = cli.records(x, calls)
    assert len(records) == calls
    assert cli("show", binding)["calls_used"] == used


@pytest.fixture
def fastagi_alone(fastagi: Router, router: Router, dialplan: Dialplan) -> Router:
    """FastAGI, and no router."""
    dialplan.enter_at("agi-router-in-fastagi")
    router.stop()
    return fastagi


@pytest.fixture
def second(pbx: dict[str, Any], router: Router, dialplan: Dialplan) -> Iterator[Router]:
    """A second router beside the first; each takes over from the other."""
    assert router
    dialplan.set(
        AGI_ROUTER_NEXT_agi_router="agi_router_2", AGI_ROUTER_NEXT_agi_router_2="agi_router"
    )
    env = {**pbx["env"], "AGI_ROUTER_ARI_APP": "agi_router_2"}
    with Router(env, STATE / "logs/router-2.log").serving() as other:
        yield other


@pytest.fixture
def patient(pbx: dict[str, Any], router: Router) -> Iterator[Router]:
    """A router in place of the one that runs, for which no call is late."""
    router.stop()
    env = {**pbx["env"], "AGI_ROUTER_PATIENCE": "10", "AGI_ROUTER_DECISION_TIMEOUT": "9"}
    with Router(env, STATE / "logs/router-patient.log").serving() as serving:
        # Its name is known before that.
        assert serving.says("serve.ready")
        yield serving


def test_fastagi_alone(
    cli: Cli, phones: Phones, fastagi_alone: Router, pbx: dict[str, Any], a: str, b: str
) -> None:
    """AXB both ways: each rings the other, sees X, and nothing leaks; all is settled."""
    binding = cli.bind(a, b)
    x = binding["x"]
    log = STATE / "logs/asterisk/messages"
    before = log.stat().st_size

    for caller, callee in ((a, b), (b, a)):
        call = phones.call(
            caller,
            x,
            headers=[f"P-Asserted-Identity: <sip:{caller}@carrier.example>"],
            callee_headers=[f"P-Asserted-Identity: <sip:{callee}@carrier.example>"],
        )
        assert call.status == 200
        (invite,) = call.invites
        assert (invite.request_user, invite.from_user) == (callee, x)
        assert not list(find_leaks(received_by(call.callee), numbers=[caller], names=[]))
        assert not list(find_leaks(received_by(call.caller.messages), numbers=[callee], names=[]))
    records = cli.records(x, 2)
    assert [(r["outcome"], r["side"]) for r in records] == [("answered", "b"), ("answered", "a")]
    assert cli("show", binding["id"])["calls_used"] == 2
    # Nobody looks for a router that is not meant to be there.
    assert b"tasis" not in log.read_bytes()[before:]
    assert fastagi_alone.registered()
    assert pbx


@pytest.mark.usefixtures("fastagi_alone")
def test_refusals_by_fastagi(cli: Cli, phones: Phones, a: str, b: str, stranger: str) -> None:
    """Refused by the same rules, with the same words and codes as by the other door."""
    x = cli.bind(a, b, "--max-calls", "1")["x"]
    for count, (caller, status, reason) in enumerate(
        ((stranger, 403, "stranger"), (a, 200, None), (a, 403, "used_up")), 1
    ):
        call = phones.call(caller, x)
        assert call.status == status
        assert len(call.invites) == (status == 200)
        assert cli.records(x, count)[0]["reason"] == reason
    assert phones.call(a, x, withheld=True).status == 403
    assert cli.records(x, 4)[0]["reason"] == "caller_hidden"


@pytest.mark.usefixtures("fastagi_alone")
@pytest.mark.parametrize("form", ["86{}", "+86{}", "0086{}"])
def test_other_forms_of_the_number_at_fastagi(
    cli: Cli, phones: Phones, a: str, b: str, form: str
) -> None:
    """The number as trunks write it."""
    x = cli.bind(a, b)["x"]
    assert phones.call(a, form.format(x)).status == 200
    assert cli.record(x)["outcome"] == "answered"


HEADS = {
    *("request", "channel", "language", "type", "uniqueid", "version", "callerid", "calleridname"),
    *("callingpres", "callingani2", "callington", "callingtns", "dnid", "rdnis", "context"),
    *("extension", "priority", "enhanced", "accountcode", "threadid", "network", "network_script"),
    *(f"arg_{place}" for place in range(1, 7)),
}
# A function would end at the parenthesis, and an offset begin at the colon.
INJECTED = [
    "1)%0Aagi_foo%3A%20bar",
    "1)%0A%0Aagi_foo%3A",
    "1%0Aagi_foo%3A%20bar",
    "1%0D%0Aagi_foo%3A",
]
# A site that reads Diversion: who diverted the call is what a caller has written, too.
DIVERTED = """
[site]
exten => _700XXXXXXXXXXXX,1,Set(CALLERID(rdnis)=${CALLERID(num)})
 same => n,Set(CALLERID(name)=${CALLERID(num)})
 same => n,Goto(CONTEXT,${EXTEN},1)
"""


@pytest.mark.parametrize("context", ["agi-router-in", "agi-router-in-fastagi"])
def test_fastagi_is_told_nothing_that_a_caller_wrote(
    cli: Cli,
    phones: Phones,
    router: Router,
    asterisk: Asterisk,
    dialplan: Dialplan,
    a: str,
    b: str,
    context: str,
) -> None:
    """What would be lines of the protocol stands in no line, wherever a caller puts it."""
    x = cli.bind(a, b)["x"]
    router.stop()
    dialplan.enter_at("site")
    with socket.create_server((HOST, 0)) as door:
        address = f"{HOST}:{door.getsockname()[1]}"
        dialplan.set(AGI_ROUTER_AGI=address, AGI_ROUTER_PROMPT_LIMIT="1")
        site = DIVERTED.replace("CONTEXT", context)
        with asterisk.appended("extensions.conf", site, "dialplan reload"):
            heads = [(phones.dial(user, x), head_of(door)) for user in INJECTED]
        for talk, head in heads:
            (call,) = talk.heard()
            # Nobody answers at this door.
            assert call.status == 480
            names = [line.partition(": ")[0].removeprefix("agi_") for line in head]
            assert set(names) <= HEADS
            assert len(set(names)) == len(names)
            told = dict(line.split(": ", 1) for line in head)
            assert {told[f"agi_{who}"] for who in ("callerid", "calleridname", "rdnis")} == {
                "unknown"
            }
            assert told["agi_dnid"] == told["agi_arg_2"] == x
            assert told["agi_arg_1"]
            assert told["agi_arg_3"].endswith(".end")


def head_of(door: socket.socket) -> list[str]:
    """All that Asterisk tells the next connection before it waits for a command, in lines."""
    door.settimeout(20)
    connection, _ = door.accept()
    with connection:
        connection.settimeout(0.1)
        said = b""
        # It waits for a command then; the dialplan's patience ends that.
        while True:
            try:
                chunk = connection.recv(4096)
            except TimeoutError:
                if said.endswith(b"\n\n"):
                    break
                continue
            if not chunk:
                break
            said += chunk
    return said.decode().removesuffix("\n\n").split("\n")


@pytest.mark.usefixtures("fastagi_alone")
def test_line_ends_in_a_callers_number(
    cli: Cli, phones: Phones, fastagi: Router, a: str, b: str
) -> None:
    """FastAGI judges who calls by the header as it came: nobody, and nobody is rung."""
    x = cli.bind(a, b)["x"]
    for count, user in enumerate((f"{a}%0Aagi_uniqueid%3A1.1", INJECTED[0]), 1):
        call = phones.call(user, x)
        assert (call.status, call.invites) == (403, ())
        assert cli.records(x, count)[0]["reason"] == "caller_unreadable"
    assert "fastagi.refused" not in fastagi.log


def test_the_router_is_away(
    cli: Cli, phones: Phones, router: Router, fastagi: Router, a: str, b: str
) -> None:
    """FastAGI takes the call at once."""
    x = cli.bind(a, b)["x"]
    router.send(signal.SIGKILL)
    router.wait()

    call = phones.call(a, x)

    assert (call.status, len(call.invites)) == (200, 1)
    assert waited(call) < SOON
    assert fastagi.says("call.routed")
    assert cli.record(x)["outcome"] == "answered"


def test_the_router_is_frozen(
    cli: Cli, phones: Phones, router: Router, fastagi: Router, a: str, b: str
) -> None:
    """FastAGI takes the calls; when the router thaws, it takes the later ones, and no other."""
    binding = cli.bind(a, b)
    x = binding["x"]
    before = len(router.log)
    with router.frozen():
        for caller, callee in ((a, b), (b, a)):
            call = phones.call(caller, x)
            assert (call.status, call.invites[0].request_user) == (200, callee)
            assert waited(call) < SOON

    # It has seen what it slept through: until then it has no time for others.
    assert router.says("call.late", since=before)
    fastagi_before = len(fastagi.log)
    assert phones.call(a, x).status == 200
    assert "call.routed" not in fastagi.log[fastagi_before:]
    settled_once(cli, x, binding=binding["id"], used=3, calls=3)


def test_all_are_frozen(
    cli: Cli, phones: Phones, router: Router, fastagi: Router, second: Router, a: str, b: str
) -> None:
    """The caller hears the refusal soon; nothing is taken, and then all is well again."""
    binding = cli.bind(a, b, "--max-calls", "1")
    x = binding["x"]
    with router.frozen(), fastagi.frozen(), second.frozen():
        calls = [phones.call(a, x) for _ in range(2)]

    assert [(call.status, call.invites) for call in calls] == [(480, ())] * 2
    assert max(map(waited, calls)) < SOON
    assert {record["reason"] for record in cli.records(x, 2)} == {"platform_fault"}
    assert phones.call(a, x).status == 200
    settled_once(cli, x, binding=binding["id"], used=1, calls=3)


@pytest.mark.parametrize(
    "patience", [0.15, PATIENCE + FALLBACK / 2], ids=["at-the-router", "at-fastagi"]
)
def test_a_caller_gives_up_while_nobody_answers(
    cli: Cli, phones: Phones, router: Router, fastagi: Router, a: str, b: str, patience: float
) -> None:
    """The frozen server does not hold the channel: the call ends, and is settled, at once."""
    binding = cli.bind(a, b, "--max-calls", "1")
    x = binding["x"]
    with router.frozen(), fastagi.frozen():
        call = phones.call(a, x, patience=patience)

    assert (call.status, call.invites) == (487, ())
    settled_once(cli, x, binding=binding["id"], used=0, calls=1)
    assert phones.call(a, x).status == 200


def test_a_thawed_router_admits_a_call_that_fastagi_has(
    cli: Cli, phones: Phones, fastagi: Router, patient: Router, a: str, b: str
) -> None:
    """Both doors admit one call: one use, and the talk goes on."""
    binding = cli.bind(a, b, "--max-calls", "3")
    x = binding["x"]
    with phones.listen() as callee:
        with patient.frozen():
            talk = phones.dial(a, x, hold=2.0)
            assert until(lambda: acknowledged(callee.messages), timeout=20)
        # The thawed router does not know better, asks again and says so.
        assert patient.says("call.gone"), patient.log
        assert cli("show", binding["id"])["calls_used"] == 1
        (heard,) = talk.heard()

    assert heard.status == 200
    assert heard.messages[-1].at - heard.messages[0].at > timedelta(seconds=2)
    assert len(invites_in(callee.messages)) == 1
    assert fastagi.says("call.routed")
    settled_once(cli, x, binding=binding["id"], used=1, calls=1)
    assert cli.record(x)["outcome"] == "answered"


def test_fastagi_admits_a_call_that_a_frozen_router_has(
    cli: Cli,
    phones: Phones,
    fastagi: Router,
    patient: Router,
    pbx: dict[str, Any],
    database: psycopg.Connection[dict[str, Any]],
    a: str,
    b: str,
) -> None:
    """The router froze between taking a use and saying so: FastAGI reads what was decided."""
    binding = cli.bind(a, b, "--max-calls", "1")
    x = binding["x"]
    with phones.listen() as callee:
        with psycopg.connect(pbx["dsn"]) as locking:
            locking.execute(
                "SELECT FROM agi_router.binding b JOIN agi_router.route r"
                " ON (r.block, r.binding_id) = (b.block, b.id)"
                " WHERE r.x_number = %s FOR UPDATE OF b",
                [int(x)],
            )
            talk = phones.dial(a, x, hold=1.5)
            assert until(lambda: waits_for_a_lock(database), timeout=20)
            patient.send(signal.SIGSTOP)
        # The use is taken now, by a statement whose answer nobody reads.
        assert until(lambda: acknowledged(callee.messages), timeout=20)
        assert cli("show", binding["id"])["calls_used"] == 1
        patient.send(signal.SIGCONT)
        (heard,) = talk.heard()

    assert heard.status == 200
    assert fastagi.says("call.routed")
    settled_once(cli, x, binding=binding["id"], used=1, calls=1)
    assert cli.record(x)["outcome"] == "answered"


def test_one_of_two_routers_is_frozen_under_load(
    cli: Cli, phones: Phones, router: Router, second: Router, dialplan: Dialplan, a: str, b: str
) -> None:
    """30 calls a second, and no FastAGI: no call fails, few wait, and later ones do not at all."""
    x = cli.bind(a, b)["x"]
    calls, rate = 120, 30
    with phones.listen(ring=0.1) as callee:
        load = phones.dial(a, x, hold=0.3, calls=calls, rate=rate)
        assert until(lambda: len(callee.messages) > 100, timeout=20)
        with router.frozen():
            # Where the machine has let the load pass before that, there is still a call.
            late = phones.dial(a, x, hold=0.3)
            heard = (*load.heard(), *late.heard())

    calls += 1
    assert len(heard) == calls
    assert {call.status for call in heard} == {200}
    assert max(waited(Call(caller=call, callee=())) for call in heard) < SOON
    assert dialplan.get("AGI_ROUTER_APP") == "agi_router_2"
    assert {record["outcome"] for record in cli.records(x, calls)} == {"answered"}
    # The one that was frozen is not asked any more, until the other one fails.
    with second.frozen():
        assert phones.call(a, x).status == 200
    assert dialplan.get("AGI_ROUTER_APP") == "agi_router"


def test_one_of_two_routers_is_killed(
    cli: Cli, phones: Phones, router: Router, second: Router, dialplan: Dialplan, a: str, b: str
) -> None:
    """The other one takes the very call; and back again."""
    x = cli.bind(a, b)["x"]
    for dying, name in ((router, "agi_router_2"), (second, "agi_router")):
        dying.send(signal.SIGKILL)
        dying.wait()
        assert phones.call(a, x).status == 200
        assert dialplan.get("AGI_ROUTER_APP") == name
        dying.start()
    assert [record["outcome"] for record in cli.records(x, 2)] == ["answered"] * 2


def test_another_router_does_not_settle_a_call_that_is_alive(
    cli: Cli, phones: Phones, fastagi: Router, pbx: dict[str, Any], a: str, b: str, tmp_path: Path
) -> None:
    """Routers that come reconcile with what Asterisk has; a call of another router is alive."""
    binding = cli.bind(a, b, "--max-calls", "1")
    other = Router({**pbx["env"], "AGI_ROUTER_ARI_APP": "agi_router_2"}, tmp_path / "router.log")
    with phones.listen() as callee:
        # Two routers start meanwhile, and look a second later at the earliest.
        talk = phones.dial(a, binding["x"], hold=10.0)
        assert until(lambda: acknowledged(callee.messages), timeout=20)
        fastagi.stop()
        fastagi.start()
        with other.serving():
            assert other.says("settle.reconciled")
            assert cli("show", binding["id"])["calls_used"] == 1
            (heard,) = talk.heard()

    assert heard.status == 200
    assert cli.record(binding["x"])["outcome"] == "answered"
    assert cli("show", binding["id"])["calls_used"] == 1


def test_doctor_looks_at_both_doors(cli: Cli, router: Router, fastagi: Router) -> None:
    """Who answers, who is frozen; and whether dialplan and router wait for the same time."""

    def told(**settings: str) -> dict[str, str]:
        done = cli.doctor(**settings)
        return {each["check"]: each["status"] for each in json.loads(done.out)["checks"]}

    def tells(expected: dict[str, str], **settings: str) -> bool:
        """Whether it comes to say so: it waits a second for each answer, and none may be late."""
        found: dict[str, str] = {}

        def said() -> bool:
            found.update(told(**settings))
            return expected.items() <= found.items()

        return until(said, timeout=30)

    assert router.registered()
    # Nobody asks whether the phones of the test PBX are alive, and that is accepted.
    assert until(lambda: {k for k, v in told().items() if v != "ok"} == {"calls"}, timeout=30)
    assert {"router", "fastagi", "dialplan"} <= told().keys()
    with fastagi.frozen():
        assert tells({"fastagi": "warn"})
    router.stop()
    assert tells({"router": "warn", "fastagi": "ok"})
    fastagi.stop()
    assert tells({"router": "fail", "fastagi": "warn"})
    assert tells({"fastagi": "warn"}, AGI_ROUTER_AGI_LISTEN="0.0.0.0:4573")
    assert tells({"patience": "fail"}, AGI_ROUTER_PATIENCE="2.5")


def test_doctor_compares_the_secret(cli: Cli, fastagi: Router, dialplan: Dialplan) -> None:
    """Dialplan, door and settings have the same; what differs is named, and none is shown."""
    assert fastagi.registered()
    secret, other = cli.env["AGI_ROUTER_AGI_SECRET"], "another-secret-0123456789"

    def told(**settings: str) -> dict[str, tuple[str, str]]:
        done = cli.doctor(**settings)
        assert secret not in done.out + done.err
        assert other not in done.out + done.err
        found = json.loads(done.out)["checks"]
        return {each["check"]: (each["status"], each["text"]) for each in found}

    assert told()["secret"] == ("ok", "the same in the dialplan and here")
    found = told(AGI_ROUTER_AGI_SECRET=other)
    assert found["secret"][0] == "fail"
    assert found["secret"][1] == (
        "the dialplan's AGI_ROUTER_AGI_SECRET is not the router's, so FastAGI takes no call: give"
        " both the same, then reload the dialplan and restart the router"
    )
    # A door that is late says as little as one that takes the secret for wrong.
    assert until(lambda: told(AGI_ROUTER_AGI_SECRET=other)["fastagi"][0] == "fail", timeout=30)
    found = told(AGI_ROUTER_AGI_SECRET="")
    assert found["secret"][0] == "fail"
    assert found["secret"][1] == (
        "no secret for FastAGI is set: set AGI_ROUTER_AGI_SECRET or AGI_ROUTER_AGI_SECRET_FILE;"
        " FastAGI is not served without"
    )
    dialplan.set(AGI_ROUTER_AGI_SECRET="")
    assert told()["secret"][1].startswith("the dialplan has no AGI_ROUTER_AGI_SECRET, so")


def test_fastagi_is_not_served_without_a_secret(cli: Cli) -> None:
    """It would tell any account of the machine whom to ring."""
    done = subprocess.run(
        ["agi-router", "serve", "--door", "agi"],
        env={**cli.env, "AGI_ROUTER_AGI_SECRET": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 78
    assert done.stderr.strip().splitlines()[-1] == (
        "agi-router: no secret for FastAGI is set: set AGI_ROUTER_AGI_SECRET or"
        " AGI_ROUTER_AGI_SECRET_FILE"
    )


def ask_fastagi(caller: str, *args: str) -> bytes:
    """What FastAGI tells an account of this machine that asks as Asterisk does."""
    told = {
        "agi_network_script": "route",
        "agi_channel": "PJSIP/carrier-in-0000002a",
        "agi_uniqueid": f"pbx1-{int(time.time())}.4711",
        "agi_callerid": caller,
        **{f"agi_arg_{place}": arg for place, arg in enumerate(args, 1)},
    }
    with socket.create_connection((HOST, AGI_PORT), timeout=5) as connection:
        connection.sendall("".join(f"{n}: {v}\n" for n, v in told.items()).encode() + b"\n")
        return connection.recv(1000)


def test_loopback_is_no_login_of_fastagi(cli: Cli, fastagi: Router, a: str, b: str) -> None:
    """Who has no secret is told no number and takes no use, whatever they show."""
    binding = cli.bind(a, b)
    x = binding["x"]
    for args in (
        (x, "allowed"),
        ("", x, "allowed"),
        ("0" * 40, x, "allowed"),
        (hashlib.sha1(b"", usedforsecurity=False).hexdigest(), x, "allowed"),
    ):
        assert ask_fastagi(a, *args) == b""
    assert fastagi.says("fastagi.refused")
    assert cli("show", binding["id"])["calls_used"] == 0
    assert not [
        number for number in (a, b, cli.env["AGI_ROUTER_AGI_SECRET"]) if number in fastagi.log
    ]


@pytest.mark.usefixtures("fastagi_alone")
def test_idle_connections_keep_no_call_from_fastagi(
    cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """Hundreds that say nothing, taken anew all the time: calls go on, and readiness tells."""
    x = cli.bind(a, b)["x"]
    calls = 20
    idle: list[socket.socket] = []
    over = threading.Event()

    def crowd() -> None:
        while not over.wait(0.01):
            idle.append(socket.create_connection((HOST, AGI_PORT), timeout=5))
            if len(idle) > 400:
                idle.pop(0).close()

    attacker = threading.Thread(target=crowd)
    try:
        idle += [socket.create_connection((HOST, AGI_PORT), timeout=5) for _ in range(300)]
        attacker.start()
        with phones.listen():
            heard = phones.dial(a, x, hold=0.3, calls=calls, rate=10).heard()
        # Told for ten seconds.
        assert until(
            lambda: "fastagi: more than 256 connections" in ready_of_fastagi(), timeout=20
        )
    finally:
        over.set()
        if attacker.ident:
            attacker.join()
        for each in idle:
            each.close()
    assert [call.status for call in heard] == [200] * calls
    assert {record["outcome"] for record in cli.records(x, calls)} == {"answered"}


def ready_of_fastagi() -> str:
    """What the FastAGI process lacks."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{HOST}:{METRICS_PORTS['agi']}/readyz", timeout=5) as response:
            return str(response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode()


def test_the_secret_is_nowhere_but_in_the_dialplans_globals(
    cli: Cli, phones: Phones, asterisk: Asterisk, fastagi_alone: Router, a: str, b: str
) -> None:
    """Neither the steps that a console prints, nor a channel's state, nor a log holds it."""
    x = cli.bind(a, b)["x"]
    secret = cli.env["AGI_ROUTER_AGI_SECRET"]
    shown: list[str] = []
    asterisk.command("core set verbose 5")
    try:
        with phones.listen():
            with fastagi_alone.frozen():
                talk = phones.dial(a, x, hold=0.3)

                def asked() -> bool:
                    shown[:] = [asterisk.command("core show channels concise")]
                    return "AGI" in shown[0]

                assert until(asked, timeout=20)
            talk.heard()
    finally:
        asterisk.command("core set verbose 0")
    assert "agi://" in shown[0]
    logs = [*(STATE / "logs").glob("*.log"), STATE / "logs/asterisk/messages"]
    shown += [log.read_text("utf-8", "replace") for log in logs]
    assert not [text for text in shown if secret in text]
    assert secret in asterisk.command("dialplan show globals")
    assert secret not in asterisk.command("dialplan show agi-router-fallback")


def acknowledged(messages: tuple[Message, ...]) -> bool:
    """Whether two people talk."""
    return any(message.method == "ACK" for message in messages)


def waits_for_a_lock(database: psycopg.Connection[dict[str, Any]]) -> bool:
    """Whether a statement of a router waits for another transaction."""
    waiting = database.execute(
        "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        " AND starts_with(application_name, 'agi_router serve')"
    )
    return waiting.fetchone() is not None
