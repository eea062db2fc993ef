"""The profile: a PBX that keeps to the rules has no fault; who breaks one has that fault."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from agi_router.pbx.rules import (
    ENDPOINT_RULES,
    ENTRY_CONTEXT,
    FASTAGI_CONTEXT,
    GLOBAL_RULES,
    LISTING_MODULE,
    LOG_LEVELS,
    MODULE_RULES,
    NEEDED_MODULES,
    Profile,
    find_faults,
    find_gaps,
    ways_in,
)

DIALPLAN = files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8")
PAGE = (Path(__file__).parents[2] / "docs/profile.md").read_text("utf-8")
SHIPPED = Path(__file__).parents[2] / "docker/asterisk"


def obedient(side: str) -> dict[str, str]:
    """Return the options of an endpoint without fault, half of the switches as Asterisk spells."""
    options = {rule.option: rule.wanted for rule in ENDPOINT_RULES if side in rule.sides}
    spelt = {"yes": "true", "no": "false"}
    return {"context": ENTRY_CONTEXT} | {
        option: spelt.get(value, value) if index % 2 else value
        for index, (option, value) in enumerate(options.items())
    }


GOOD = Profile(
    trunks=("out",),
    contacts={"out": {"contact": "sip:192.0.2.1", "qualify_frequency": "30"}},
    endpoints={
        "in": obedient("in"),
        "out": obedient("out") | {"aors": "out"},
        "phone": {"context": "office"},
    },
    states={"in": "offline", "out": "online"},
    entries=frozenset(),
    listed=True,
    global_options={rule.option: rule.wanted for rule in GLOBAL_RULES},
    modules=frozenset({*NEEDED_MODULES, "cdr", "res_pjsip.so"}),
    logs={"/var/log/asterisk/messages": LOG_LEVELS, "Console": frozenset({"ERROR"})},
)


def faults(**changes: object) -> list[str]:
    return [str(each) for each in find_faults(replace(GOOD, **changes))]  # type: ignore[arg-type]


def test_no_fault() -> None:
    """Other endpoints and modules are nobody's business."""
    assert faults() == []


@pytest.mark.parametrize("side", ["in", "out"])
def test_every_option_counts(side: str) -> None:
    """Another value is a fault of that name, and so is one that Asterisk does not tell."""
    for rule in ENDPOINT_RULES:
        if side not in rule.sides:
            continue
        other = dict(GOOD.endpoints[side]) | {rule.option: "else"}
        untold = {name: value for name, value in other.items() if name != rule.option}
        wanted = f"wanted {rule.wanted or 'not set'}"
        assert faults(endpoints={**GOOD.endpoints, side: other}) == [
            f"{side}/{rule.option} is else, {wanted}"
        ]
        assert faults(endpoints={**GOOD.endpoints, side: untold}) == [
            f"{side}/{rule.option} is unknown, {wanted}"
        ]


def test_switches_are_named_as_they_are_written() -> None:
    """Asterisk tells some as true and false; nobody writes that."""
    options = dict(GOOD.endpoints["in"]) | {"send_pai": "true", "identify_by": ""}
    assert faults(endpoints={**GOOD.endpoints, "in": options}) == [
        "in/identify_by is not set, wanted ip",
        "in/send_pai is yes, wanted no",
    ]


def test_every_way_in_counts() -> None:
    """Two are judged each by itself."""
    second = dict(GOOD.endpoints["in"]) | {"allow_overlap": "yes"}
    assert faults(endpoints={**GOOD.endpoints, "b": second}) == [
        "b/allow_overlap is yes, wanted no"
    ]


def test_every_trunk_counts() -> None:
    """Each is judged, once, however often it is named."""
    second = dict(GOOD.endpoints["out"]) | {"context": "office"}
    trunks = ("out", "b", "b", "c", "")
    assert faults(endpoints={**GOOD.endpoints, "b": second}, trunks=trunks) == [
        "b/context is office, wanted agi-router-nowhere",
        "c/type is not there, wanted endpoint",
        "AGI_ROUTER_TRUNK/type is not there, wanted endpoint",
    ]


def test_fastagi_alone_has_a_way_in_too() -> None:
    """Its context is an entry like the other, and is judged like it."""
    way_in = dict(GOOD.endpoints["in"]) | {"context": FASTAGI_CONTEXT}
    assert faults(endpoints={**GOOD.endpoints, "in": way_in}) == []
    assert faults(endpoints={**GOOD.endpoints, "in": {**way_in, "send_pai": "yes"}}) == [
        "in/send_pai is yes, wanted no"
    ]


def test_a_context_that_includes_ours_is_a_way_in() -> None:
    """Whoever calls there reaches our entry; other contexts are nobody's business."""
    assert ways_in(GOOD) == ("in",)
    assert ways_in(replace(GOOD, entries=frozenset({"office"}))) == ("in", "phone")
    included = faults(entries=frozenset({"office"}))
    assert "phone/trust_connected_line is unknown, wanted no" in included
    assert all(each.startswith("phone/") for each in included)
    assert faults(entries=frozenset({"elsewhere"})) == []


def gaps(**changes: object) -> list[str]:
    return [str(each) for each in find_gaps(replace(GOOD, **changes))]  # type: ignore[arg-type]


def test_no_gap() -> None:
    """Nor where a trunk is registered, or is asked about and not yet known."""
    assert gaps() == []
    assert gaps(states={}) == []
    asked_elsewhere = {"first": {"qualify_frequency": "0"}, "b": {"qualify_frequency": "60.0"}}
    out = {**GOOD.endpoints, "out": {"aors": "first, b"}}
    assert gaps(endpoints=out, contacts=asked_elsewhere) == []
    assert gaps(trunks=("out", "out", "nowhere")) == []


@pytest.mark.parametrize("module", sorted(NEEDED_MODULES))
def test_every_module_counts(module: str) -> None:
    """What calls need."""
    assert gaps(modules=frozenset(NEEDED_MODULES) - {module}) == [
        f"modules/{module} is not loaded, wanted loaded"
    ]


def test_a_trunk_that_reaches_nobody() -> None:
    """Without contact, dead, or such that nobody would know."""
    unset = {**GOOD.endpoints, "out": {"aors": ""}}
    assert gaps(endpoints=unset) == ["out/aors is not set, which is no aor, wanted an aor"]
    assert gaps(contacts={}) == ["out/aors is out, which is no aor, wanted an aor"]
    assert gaps(states={"out": "offline"}) == ["out/state is offline, wanted online"]
    for frequency in ({"qualify_frequency": "0"}, {"qualify_frequency": "x"}, {}):
        assert gaps(contacts={"out": frequency}) == ["out/qualify_frequency is 0, wanted 30 or so"]


def test_what_is_not_there() -> None:
    """An endpoint or a section that cannot be judged is a fault."""
    only_out = {"out": GOOD.endpoints["out"]}
    assert faults(endpoints={}, global_options=None) == [
        "pjsip.conf/endpoint is not there, wanted at least two"
    ]
    assert faults(endpoints={}, listed=False, trunks=("x",)) == [
        "x/type is not there, wanted endpoint",
        f"modules/{LISTING_MODULE} is not loaded, wanted loaded",
    ]
    none = f"endpoints/context is of none {ENTRY_CONTEXT}"
    assert faults(endpoints=only_out) == [
        f"{none}, wanted of the carrier's way in {ENTRY_CONTEXT}"
    ]
    assert faults(endpoints=only_out, listed=False) == [
        f"modules/{LISTING_MODULE} is not loaded, wanted loaded"
    ]
    assert faults(trunks=("x",)) == ["x/type is not there, wanted endpoint"]
    # A space around a name is seen in quotes only.
    assert faults(trunks=("x ", "\u200bx")) == [
        "'x '/type is not there, wanted endpoint",
        "'\\u200bx'/type is not there, wanted endpoint",
    ]
    assert faults(trunks=("",)) == ["AGI_ROUTER_TRUNK/type is not there, wanted endpoint"]
    assert faults(global_options=None) == ["global/type is not there, wanted global"]
    assert len(faults(global_options={})) == len(GLOBAL_RULES)


def test_the_native_bridge() -> None:
    """It is a fault where its sound is not plain, and none where it is; others stay faults."""
    modules = GOOD.modules | {"bridge_native_rtp.so", "cdr_csv.so"}
    found = [
        [each.name for each in find_faults(replace(GOOD, modules=modules, plain_sound=plain))]
        for plain in (False, True)
    ]
    assert found == [
        ["modules/bridge_native_rtp.so", "modules/cdr_csv.so"],
        ["modules/cdr_csv.so"],
    ]


def test_modules_and_logs() -> None:
    """Each module that a pattern names; each log with a level too much."""
    forbidden = ("cdr_csv.so", "cel_pgsql.so", "res_hep_pjsip.so")
    assert faults(modules=GOOD.modules.union(forbidden)) == [
        f"modules/{name} is loaded, wanted not loaded" for name in forbidden
    ]
    for level in ("WARNING", "NOTICE", "VERBOSE", "DEBUG"):
        levels = frozenset({level, "ERROR"})
        assert faults(logs={"/x/full": levels, "Console": frozenset()}) == [
            f"logger/full is {','.join(sorted(levels)).lower()}, wanted error"
        ]


def test_what_is_accepted() -> None:
    """A fault by its name, or all of them."""
    [fault] = find_faults(replace(GOOD, logs={"full": frozenset({"DEBUG"})}))
    assert fault.accepted_by(frozenset({"x", "logger/full"}))
    assert fault.accepted_by(frozenset({"allow"}))
    assert not fault.accepted_by(frozenset({"logger", "logger/other"}))
    assert not fault.accepted_by(frozenset())


def test_the_rules_fit_the_dialplan() -> None:
    """The contexts that rules name are there."""
    contexts = re.findall(r"(?m)^\[([\w-]+)\]$", DIALPLAN)
    assert {ENTRY_CONTEXT, FASTAGI_CONTEXT} <= {*contexts}
    [nowhere] = [rule.wanted for rule in ENDPOINT_RULES if rule.option == "context"]
    assert nowhere in contexts


def test_the_shipped_files_set_what_differs_from_the_default() -> None:
    """No rule rests on a default of Asterisk that a later version may change, but for these."""
    left_to_asterisk = {
        *("message_context", "geoloc_outgoing_call_profile"),
        *("call_group", "pickup_group", "named_call_group", "named_pickup_group"),
    }
    pjsip = (SHIPPED / "pjsip.conf").read_text("utf-8")
    written = set(re.findall(r"(?m)^(\w+)=", pjsip))
    ruled = {rule.option for rule in ENDPOINT_RULES} | {rule.option for rule in GLOBAL_RULES}
    assert ruled - written == left_to_asterisk
    modules = (SHIPPED / "modules.conf").read_text("utf-8")
    loaded = set(re.findall(r"(?m)^load=(\S+)$", modules))
    assert {LISTING_MODULE, *NEEDED_MODULES} <= loaded


# Of each application and function of the dialplan that is not built in.
MODULE_OF = {
    **dict.fromkeys(
        ("Gosub", "GosubIf", "Return", "CHANNEL(hangup_handler_push)"), "app_stack.so"
    ),
    "AGI": "res_agi.so",
    "Dial": "app_dial.so",
    "Playback": "app_playback.so",
    "Read": "app_read.so",
    "Stasis": "app_stasis.so",
    "BASE64_ENCODE": "func_base64.so",
    "CALLERID": "func_callerid.so",
    "CHANNEL": "func_channel.so",
    "MASTER_CHANNEL": "func_channel.so",
    "CUT": "func_cut.so",
    **dict.fromkeys(("FILE", "STAT"), "func_env.so"),
    "GLOBAL": "func_global.so",
    **dict.fromkeys(
        ("HANGUPCAUSE", "HANGUPCAUSE_KEYS", "HangupCauseClear"), "func_hangupcause.so"
    ),
    "IF": "func_logic.so",
    **dict.fromkeys(("MixMonitor", "StopMixMonitor"), "app_mixmonitor.so"),
    "MUTEAUDIO": "res_mutestream.so",
    **dict.fromkeys(
        ("ARRAY", "FIELDQTY", "FILTER", "LEN", "REPLACE", "STRFTIME", "STRREPLACE"),
        "func_strings.so",
    ),
    **dict.fromkeys(("PJSIP_HEADER", "PJSIP_HEADERS"), "res_pjsip_header_funcs.so"),
    "SHA1": "func_sha1.so",
    "TIMEOUT": "func_timeout.so",
}
BUILT_IN = {"Answer", "Goto", "GotoIf", "Hangup", "MSet", "NoOp", "Progress", "Set"}


def test_what_the_dialplan_uses_is_needed() -> None:
    """Each application and function that it calls; what not every site uses is looked at there."""
    code = "\n".join(re.sub(r"(?<!\\);.*", "", line) for line in DIALPLAN.splitlines())
    used = set(re.findall(r"(?:,1(?:\([\w-]+\))?|n),(\w+)\(", code)) - BUILT_IN
    used |= set(re.findall(r"\b([A-Z][A-Z0-9_]+)\(", code))
    assert used <= MODULE_OF.keys()
    needed = {MODULE_OF[name] for name in used} - {
        *("res_agi.so", "func_sha1.so", "res_mutestream.so", "app_mixmonitor.so")
    }
    assert needed <= NEEDED_MODULES.keys()
    assert {name for name in NEEDED_MODULES if name.startswith(("app_", "func_"))} - needed == {
        "func_dialplan.so"
    }


def test_the_page_shows_the_rules() -> None:
    """Its tables are these, in this order."""
    rows = [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
        for line in PAGE.partition("## Endpoints")[2].splitlines()
        if line.startswith("| `") and "conf`" not in line.split("|")[1]
    ]
    assert rows == [
        *(
            (rule.option, ", ".join(rule.sides), rule.wanted or "not set", rule.why)
            for rule in ENDPOINT_RULES
        ),
        *((rule.option, rule.wanted, rule.why) for rule in GLOBAL_RULES),
        *((rule.pattern, rule.why) for rule in MODULE_RULES),
        *NEEDED_MODULES.items(),
    ]
