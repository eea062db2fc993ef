"""
The profile: whatever option of a running Asterisk is broken, doctor names it and serve refuses.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agi_router.ari import AriClient
from agi_router.pbx.audit import read_profile
from agi_router.pbx.rules import (
    ENDPOINT_RULES,
    GLOBAL_RULES,
    LISTING_MODULE,
    MODULE_RULES,
    EndpointRule,
    Fault,
    GlobalRule,
    ModuleRule,
    find_faults,
    find_gaps,
)
from harness.cli import Done, run
from harness.pbx import CARRIER_IN, CARRIER_OUT, Asterisk, Cli, Router
from testpbx.phones import Phones
from testpbx.waiting import until

IN, OUT = CARRIER_IN, CARRIER_OUT
# Nobody asks whether the phones of the test PBX are alive.
UNASKED = "carrier-out/qualify_frequency"
SECTION = {"in": IN, "out": OUT}
RELOAD = "module reload res_pjsip.so"
# By what is wanted: something else that Asterisk takes.
BROKEN = {
    "yes": "no",
    "no": "yes",
    "ip": "username",
    "user": "uri_pjsip",
    "agi-router-nowhere": "elsewhere",
    "": "1",
}
# For rules about modules: one that it forbids, what it needs loaded before, and the file it reads.
FORBIDDEN: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "res_hep_*.so": (
        "res_hep_pjsip.so",
        ("res_hep.so",),
        "hep.conf",
        "[general]\nenabled=yes\ncapture_address=127.0.0.1:9060",
    ),
    "cdr_*.so": ("cdr_manager.so", (), "cdr_manager.conf", "[general]\nenabled=no"),
    "cel_*.so": ("cel_manager.so", (), "cel.conf", ""),
}


def broken(rule: EndpointRule | GlobalRule) -> str:
    if rule.option == "geoloc_outgoing_call_profile":
        return "<prefer_incoming>"
    return BROKEN[rule.wanted]


@pytest.fixture(scope="module", autouse=True)
def clean_asterisk(asterisk: Asterisk) -> Iterator[None]:
    """What cannot be unloaded again is gone after these tests."""
    yield
    asterisk.restart()


@pytest.fixture
async def ari(pbx: dict[str, Any]) -> AsyncIterator[AriClient]:
    env = pbx["env"]
    async with AriClient(
        url=env["AGI_ROUTER_ARI_URL"],
        user=env["AGI_ROUTER_ARI_USER"],
        password=env["AGI_ROUTER_ARI_PASSWORD"],
        app="agi_router_test",
    ) as client:
        yield client


async def faults(ari: AriClient) -> list[Fault]:
    return find_faults(await read_profile(ari))


async def until_async(
    look: Callable[[AriClient], Awaitable[list[str]]], ari: AriClient, wanted: list[str]
) -> bool:
    """Whether *look* says *wanted*, within some seconds."""
    for _ in range(200):
        if await look(ari) == wanted:
            return True
        await asyncio.sleep(0.1)
    return False


def names(found: list[Fault]) -> list[str]:
    return [each.name for each in found]


async def test_the_shipped_profile_is_without_fault(ari: AriClient) -> None:
    assert await faults(ari) == []


@pytest.mark.parametrize(
    ("rule", "side"),
    [
        pytest.param(rule, side, id=f"{side}-{rule.option}")
        for rule in ENDPOINT_RULES
        for side in rule.sides
    ],
)
async def test_an_option_of_a_trunk(
    asterisk: Asterisk, ari: AriClient, rule: EndpointRule, side: str
) -> None:
    """Each option alone: named with its value and the wanted one, and nothing else is."""
    if rule.option.startswith("geoloc"):
        with asterisk.appended("geolocation.conf", "", "module load res_geolocation.so"):
            pass
    text = f"[{SECTION[side]}](+)\n{rule.option}={broken(rule)}"

    with asterisk.appended("pjsip.conf", text, RELOAD):
        [fault] = await faults(ari)

    assert fault.name == f"{SECTION[side]}/{rule.option}"
    assert (fault.value, fault.wanted) == (broken(rule), rule.wanted or "not set")
    assert await faults(ari) == []


@pytest.mark.parametrize("rule", GLOBAL_RULES, ids=lambda rule: rule.option)
async def test_a_global_option(asterisk: Asterisk, ari: AriClient, rule: GlobalRule) -> None:
    text = f"[global](+)\n{rule.option}={broken(rule)}"

    with asterisk.appended("pjsip.conf", text, RELOAD):
        [fault] = await faults(ari)

    assert str(fault) == f"global/{rule.option} is {broken(rule)}, wanted {rule.wanted}"


@pytest.mark.parametrize("level", ["notice", "verbose", "debug", "dtmf", "*"])
async def test_a_log(asterisk: Asterisk, ari: AriClient, level: str) -> None:
    """A log beside the shipped one, with a level that prints numbers."""
    with asterisk.appended("logger.conf", f"full => {level},warning", "logger reload"):
        found = names(await faults(ari))

    assert found == ["logger/full"]
    assert await faults(ari) == []


async def test_calls_that_come_in_nowhere(asterisk: Asterisk, ari: AriClient) -> None:
    """Without a way in there is none that could be judged."""
    with asterisk.appended("pjsip.conf", f"[{IN}](+)\ncontext=elsewhere", RELOAD):
        assert names(await faults(ari)) == ["endpoints/context"]


async def test_no_endpoint_at_all(asterisk: Asterisk, ari: AriClient) -> None:
    """As where Asterisk cannot read the file: said so, and not that a module is missing."""
    with asterisk.replaced("pjsip.conf", "", RELOAD):
        found = await faults(ari)

    assert [str(each) for each in found] == [
        "pjsip.conf/endpoint is not there, wanted at least two"
    ]


async def test_a_second_way_in(asterisk: Asterisk, ari: AriClient) -> None:
    """An endpoint that nobody thought of, with Asterisk's defaults, leads to the entry."""
    with asterisk.appended("pjsip.conf", "[old]\ntype=endpoint\ncontext=agi-router-in", RELOAD):
        found = names(await faults(ari))

    assert {"old/trust_connected_line", "old/send_connected_line", "old/allow_transfer"} <= {
        *found
    }
    assert all(name.startswith("old/") for name in found)


# The carrier's calls come in at a context of the site, and from there to ours.
INCLUDED = "[site]\ninclude => agi-router-in\n"
JUMPING = "[site]\nexten => _700XXXXXXXXXXXX,1,Goto(agi-router-in,${EXTEN},1)\n"
OTHERS = "[site]\nexten => _X.,1,Hangup(1)\ninclude => agi-router-in\n"


@pytest.mark.parametrize("text", [INCLUDED, OTHERS])
async def test_a_context_that_includes_the_entry(
    asterisk: Asterisk, ari: AriClient, text: str
) -> None:
    """Its endpoints are ways in, and judged like those of the entry itself."""
    second = "[old]\ntype=endpoint\ncontext=site"
    with (
        asterisk.appended("extensions.conf", text, "dialplan reload"),
        asterisk.appended("pjsip.conf", second, RELOAD),
    ):
        found = names(await faults(ari))

    assert {"old/trust_connected_line", "old/send_connected_line", "old/allow_transfer"} <= {
        *found
    }
    assert all(name.startswith("old/") for name in found)


async def test_a_context_that_is_no_entry(asterisk: Asterisk, ari: AriClient) -> None:
    """What it does with a 700 number is its own; the router refuses what comes of it."""
    second = "[old]\ntype=endpoint\ncontext=site"
    with (
        asterisk.appended("extensions.conf", JUMPING, "dialplan reload"),
        asterisk.appended("pjsip.conf", second, RELOAD),
    ):
        assert await faults(ari) == []


@pytest.mark.parametrize("door", ["ari", "fastagi"])
def test_a_call_by_an_endpoint_that_nobody_has_judged(
    asterisk: Asterisk,
    cli: Cli,
    phones: Phones,
    fastagi: Router,
    router: Router,
    a: str,
    b: str,
    door: str,
) -> None:
    """Refused, whoever it says that it is; where its context includes the entry, it is let in."""
    router.stop()
    fastagi.stop()
    serving = fastagi if door == "fastagi" else router
    x = cli.bind(a, b)["x"]
    way_in = f"[{IN}](+)\ncontext=site"
    good = f"[second](leg)\ncontext=agi-router-in\n{way_in}"
    with asterisk.appended("pjsip.conf", good, RELOAD):
        with asterisk.appended("extensions.conf", JUMPING, "dialplan reload"):
            serving.start()
            refused = phones.call(a, x)
            serving.stop()
        with asterisk.appended("extensions.conf", INCLUDED, "dialplan reload"):
            serving.start()
            included = phones.call(a, x)
            serving.stop()

    # The router that comes next must not see what is being put back.
    assert until(
        lambda: "agi-router-in" in asterisk.command(f"pjsip show endpoint {IN}"), timeout=10
    )
    assert included.status == 200
    assert (refused.status, refused.invites) == (480, ())
    assert cli.records(x, 2)[-1]["reason"] == "platform_fault"


def test_a_way_in_that_is_new(
    asterisk: Asterisk, cli: Cli, phones: Phones, router: Router, a: str, b: str
) -> None:
    """Its first call is refused, and makes the router look; soon it is let in, without a start."""
    x = cli.bind(a, b)["x"]
    before = len(router.log)
    # Of a name that no router knows from a try before.
    name = f"new-{a}"
    new = f"[{name}](leg)\ncontext=agi-router-in\n[carrier-in](+)\nendpoint={name}"
    with asterisk.appended("pjsip.conf", new, RELOAD):
        assert until(lambda: phones.call(a, x).status == 200, timeout=60)
        refused = router.says("call.unjudged", since=before)
        serving = router.process is not None and router.process.poll() is None

    assert (refused, serving) == (True, True)


async def test_one_endpoint_for_both_ways(asterisk: Asterisk, ari: AriClient) -> None:
    """The way in cannot be the trunk."""
    with asterisk.trunk(IN):
        found = names(await faults(ari))

    assert found == [f"{IN}/context"]


async def test_a_trunk_with_a_long_name(
    asterisk: Asterisk, ari: AriClient, cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """Of which Asterisk does not work out the state at each call: it is dialled as any other."""
    trunk = "carrier-out".ljust(78, "_")
    endpoint = f"[{trunk}](leg)\ncontext=agi-router-nowhere\naors=carrier-out"
    x = cli.bind(a, b)["x"]
    with asterisk.appended("pjsip.conf", endpoint, RELOAD), asterisk.trunk(trunk):
        found = await faults(ari)
        call = phones.call(a, x)

    assert found == []
    assert call.status == 200
    (invite,) = call.invites
    assert (invite.request_user, invite.from_user) == (b, x)
    assert cli.record(x)["outcome"] == "answered"


async def test_a_trunk_that_is_not_there(asterisk: Asterisk, ari: AriClient) -> None:
    """Nor beside others: some of the calls would go out on it."""
    with asterisk.trunk("carrier"):
        alone = names(await faults(ari))
    with asterisk.trunk(f"{OUT}&carrier"):
        beside = names(await faults(ari))

    assert alone == beside == ["carrier/type"]


async def test_several_trunks(
    asterisk: Asterisk, ari: AriClient, cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """Each call goes out on one of them, which the phone knows by the host in From."""
    x = cli.bind(a, b)["x"]
    second = "[second](way-out)\nfrom_domain=second.example"
    with (
        asterisk.appended("pjsip.conf", second, RELOAD),
        asterisk.trunk(f"{OUT}&second"),
    ):
        found = await faults(ari)
        burst = phones.burst(a, x, calls=20, talk=0.5)
    sent = [
        f"<sip:{x}@second.example>" in (message.header("from") or "")
        for message in burst.callee
        if message.start_line.startswith("INVITE ")
    ]

    assert found == []
    assert burst.by_status == {200: 20}
    assert len(sent) == 20
    assert {*sent} == {True, False}


@contextmanager
def everything_broken(asterisk: Asterisk) -> Iterator[list[str]]:
    """All rules about options broken at once; yields the names of the faults."""
    expected = []
    texts = []
    for side, section in SECTION.items():
        texts.append(f"[{section}](+)")
        for rule in ENDPOINT_RULES:
            # A module of its own, and no way in left to be judged by: those have tests above.
            if side in rule.sides and not rule.option.startswith("geoloc"):
                texts.append(f"{rule.option}={broken(rule)}")
                expected.append(f"{section}/{rule.option}")
    texts.append("[global](+)")
    for each in GLOBAL_RULES:
        texts.append(f"{each.option}={broken(each)}")
        expected.append(f"global/{each.option}")
    with (
        asterisk.appended("pjsip.conf", "\n".join(texts), RELOAD),
        asterisk.appended("logger.conf", "full => notice,error", "logger reload"),
    ):
        yield [*expected, "logger/full"]


def doctor(env: dict[str, str], *options: str) -> Done:
    return run(["doctor", *options], env)


def test_doctor_names_every_fault(asterisk: Asterisk, pbx: dict[str, Any]) -> None:
    """One line each, with the value and the wanted one; what is accepted is a warning."""
    env = pbx["env"]
    with everything_broken(asterisk) as expected:
        done = doctor(env)
        names_of_all = ", ".join([*expected, UNASKED])
        accepting = doctor({**env, "AGI_ROUTER_UNSAFE_PROFILE": names_of_all}, "--json")
        one = doctor({**env, "AGI_ROUTER_UNSAFE_PROFILE": f"{IN}/send_pai"}, "--json")
        everything = doctor({**env, "AGI_ROUTER_UNSAFE_PROFILE": "allow"})
    shipped = doctor(env)

    lines = [line for line in done.out.splitlines() if line.split()[1] == "profile"]
    assert done.code == 1
    assert [line.split()[:3] for line in lines] == [["fail", "profile", name] for name in expected]
    assert f"{OUT}/send_rpid is yes, wanted no: " in done.out
    assert "logger/full is error,notice, wanted error: " in done.out
    assert (accepting.code, everything.code) == (0, 0)
    assert one.code == 1
    statuses = [
        (each["status"], each["text"].split()[0])
        for each in json.loads(one.out)["checks"]
        if each["check"] == "profile"
    ]
    assert statuses == [
        ("warn" if name == f"{IN}/send_pai" else "fail", name) for name in expected
    ]
    assert shipped.code == 0
    assert "ok    profile     " in shipped.out


def test_doctor_says_what_a_trunk_is_trusted_for(asterisk: Asterisk, pbx: dict[str, Any]) -> None:
    """Who is believed, and where; and how long a side may be silent, endpoint by endpoint."""
    shipped = doctor(pbx["env"]).out.splitlines()
    silence = f"[{IN}](+)\nrtp_timeout=20\n[{OUT}](+)\nrtp_timeout=0"
    with asterisk.appended("pjsip.conf", silence, RELOAD):
        other = doctor({**pbx["env"], "AGI_ROUTER_UNASSERTED": "refuse"}).out.splitlines()

    whom = "the caller is whom P-Asserted-Identity names; where it is absent,"
    rest = "Remote-Party-ID and Diversion are not believed"
    from_ = f"who From says (AGI_ROUTER_UNASSERTED=from); {rest}"
    assert f"ok    callers     on {IN} {whom} {from_}" in shipped
    assert (
        f"ok    callers     on {IN} {whom} nobody (AGI_ROUTER_UNASSERTED=refuse); {rest}" in other
    )
    assert [line for line in shipped if " media " in line] == []
    cut = (
        "a call is ended when one side sends no RTP for 20 s, as phones do that are muted or send"
    )
    kept = "a call whose sound has stopped stays up for as long as it may last"
    assert [line for line in other if " media " in line] == [
        f"warn  media       {IN}/rtp_timeout is 20: {cut} no silence (VAD)",
        f"warn  media       {OUT}/rtp_timeout is 0: {kept}",
    ]


def test_serve_refuses_and_may_be_told_otherwise(
    asterisk: Asterisk, pbx: dict[str, Any], router: Router, tmp_path: Path
) -> None:
    """One line that names each fault, and 78; with the setting it serves, and warns."""
    router.stop()
    leaky = f"[{IN}](+)\nsend_pai=yes\n[{OUT}](+)\nallow_transfer=yes"
    with asterisk.appended("pjsip.conf", leaky, RELOAD):
        refused = subprocess.run(
            ["agi-router", "serve"],
            env=pbx["env"],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        told = {**pbx["env"], "AGI_ROUTER_UNSAFE_PROFILE": "allow"}
        log = tmp_path / "unsafe.log"
        with Router(told, log).serving() as unsafe:
            # The application is known as soon as the socket is.
            assert unsafe.says("serve.ready")

    assert refused.returncode == 78
    error = refused.stderr.splitlines()[-1]
    assert error.startswith("agi-router: this PBX can leak numbers: ")
    assert f"{IN}/send_pai is yes, wanted no" in error
    assert f"{OUT}/allow_transfer is yes, wanted no" in error
    assert "AGI_ROUTER_UNSAFE_PROFILE" in error
    assert "serve.ready" not in refused.stderr
    warned = [line for line in log.read_text().splitlines() if "profile.unsafe" in line]
    assert [line.split(" WARNING ")[1].split()[2] for line in warned[:2]] == [
        f"option={IN}/send_pai",
        f"option={OUT}/allow_transfer",
    ]


def test_asterisk_comes_back_with_another_profile(
    asterisk: Asterisk, cli: Cli, phones: Phones, router: Router, a: str, b: str
) -> None:
    """A router that serves looks again after each connection: it ends, and nobody is dialled."""
    x = cli.bind(a, b)["x"]
    with asterisk.appended("pjsip.conf", f"[{OUT}](+)\nsend_rpid=yes", RELOAD):
        asterisk.restart()
        assert router.process is not None
        assert router.process.wait(60) == 78
        call = phones.call(a, x)
    asterisk.restart()
    router.start()

    assert (call.status, call.invites) == (480, ())
    assert phones.call(a, x).status == 200


async def gaps(ari: AriClient) -> list[str]:
    return [str(each) for each in find_gaps(await read_profile(ari))]


async def test_a_trunk_that_reaches_nobody(asterisk: Asterisk, ari: AriClient) -> None:
    """Without aor, without contact, not asked about, dead, and alive."""
    unknown = "carrier-out/qualify_frequency is 0, wanted 30 or so"
    asked = "qualify_frequency=1\nqualify_timeout=0.5"
    with asterisk.trunk(OUT):
        assert await gaps(ari) == [unknown]
        with asterisk.appended("pjsip.conf", f"[{OUT}](+)\naors=none", RELOAD):
            assert await gaps(ari) == [f"{OUT}/aors is none, which is no aor, wanted an aor"]
        empty = f"[{OUT}](+)\naors=empty\n[empty]\ntype=aor"
        with asterisk.appended("pjsip.conf", empty, RELOAD):
            assert await until_async(gaps, ari, [f"{OUT}/state is offline, wanted online"]), (
                await gaps(ari)
            )
        dead = f"[{OUT}](+)\naors=dead\n[dead]\ntype=aor\ncontact=sip:127.0.0.1:5999\n{asked}"
        with asterisk.appended("pjsip.conf", dead, RELOAD):
            assert await until_async(gaps, ari, [f"{OUT}/state is offline, wanted online"]), (
                await gaps(ari)
            )
        alive = dead.replace(":5999", ":5060")
        with asterisk.appended("pjsip.conf", alive, RELOAD):
            assert await until_async(gaps, ari, []), await gaps(ari)
    with asterisk.trunk(OUT):
        assert await gaps(ari) == [unknown]


@pytest.mark.parametrize("module", ["app_read.so", "format_wav.so", "func_timeout.so"])
async def test_a_module_that_calls_need(asterisk: Asterisk, ari: AriClient, module: str) -> None:
    """Nothing leaks without it, but calls fail."""
    before = await gaps(ari)
    asterisk.command(f"module unload {module}")
    try:
        assert await gaps(ari) == [f"modules/{module} is not loaded, wanted loaded", *before]
        assert await faults(ari) == []
    finally:
        asterisk.command(f"module load {module}")
    assert await gaps(ari) == before


@pytest.mark.parametrize("rule", MODULE_RULES, ids=lambda rule: rule.pattern)
async def test_a_module(asterisk: Asterisk, ari: AriClient, rule: ModuleRule) -> None:
    """Last, because some modules cannot be unloaded."""
    only = (rule.pattern, (), "pjsip.conf", "")
    module, needed, file, text = FORBIDDEN.get(rule.pattern, only)
    with asterisk.appended(file, text, "core show uptime"):
        for each in (*needed, module):
            asterisk.command(f"module load {each}")
        found = await faults(ari)

    assert f"modules/{module} is loaded, wanted not loaded" in map(str, found)
    assert all(each.name.startswith("modules/") for each in found)


async def test_nobody_is_known_without_a_module(
    asterisk: Asterisk, ari: AriClient, cli: Cli, phones: Phones, a: str, b: str
) -> None:
    """Who calls cannot be told: nobody gets through; the module that reads it is always there."""
    module = "func_base64.so"
    x = cli.bind(a, b)["x"]
    asterisk.command(f"module unload {module}")
    try:
        found = await gaps(ari)
        call = phones.call(a, x)
    finally:
        asterisk.command(f"module load {module}")

    assert f"modules/{module} is not loaded, wanted loaded" in found
    assert (call.status, call.invites) == (403, ())
    assert cli.record(x)["reason"] == "caller_unreadable"
    assert phones.call(a, x).status == 200


async def test_endpoints_that_cannot_be_listed(asterisk: Asterisk, ari: AriClient) -> None:
    """Whatever else there is: what cannot be seen cannot be vouched for."""
    asterisk.command(f"module unload {LISTING_MODULE}")
    try:
        found = await faults(ari)
    finally:
        asterisk.command(f"module load {LISTING_MODULE}")

    assert f"modules/{LISTING_MODULE} is not loaded, wanted loaded" in map(str, found)
    assert "endpoints/context" not in names(found)
