"""The profile: a PBX that keeps to the rules has no fault; who breaks one has that fault."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

import agi_router
from agi_router.profile import (
    ENDPOINT_RULES,
    ENTRY_CONTEXT,
    FASTAGI_CONTEXT,
    GLOBAL_RULES,
    LISTING_MODULE,
    LOG_LEVELS,
    MODULE_RULES,
    Profile,
    find_faults,
)

DIALPLAN = files("agi_router.dialplan").joinpath("agi_router.conf").read_text("utf-8")
README = Path(agi_router.__file__).parent.joinpath("PROFILE.md").read_text("utf-8")
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
    endpoints={"in": obedient("in"), "out": obedient("out"), "phone": {"context": "office"}},
    listed=True,
    global_options={rule.option: rule.wanted for rule in GLOBAL_RULES},
    modules=frozenset({"app_dial.so", "cdr", "res_pjsip.so"}),
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


def test_what_is_not_there() -> None:
    """An endpoint or a section that cannot be judged is a fault."""
    only_out = {"out": GOOD.endpoints["out"]}
    none = f"endpoints/context is of none {ENTRY_CONTEXT}"
    assert faults(endpoints=only_out) == [
        f"{none}, wanted of the carrier's way in {ENTRY_CONTEXT}"
    ]
    assert faults(endpoints=only_out, listed=False) == [
        f"modules/{LISTING_MODULE} is not loaded, wanted loaded"
    ]
    assert faults(trunks=("x",)) == ["x/type is not there, wanted endpoint"]
    assert faults(trunks=("",)) == ["AGI_ROUTER_TRUNK/type is not there, wanted endpoint"]
    assert faults(global_options=None) == ["global/type is not there, wanted global"]
    assert len(faults(global_options={})) == len(GLOBAL_RULES)


def test_modules_and_logs() -> None:
    """Each module that a pattern names; each log with a level too much."""
    assert faults(modules=frozenset({"cel_pgsql.so", "cdr_csv.so", "res_hep_pjsip.so"})) == [
        f"modules/{name} is loaded, wanted not loaded"
        for name in ("cdr_csv.so", "cel_pgsql.so", "res_hep_pjsip.so")
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
    assert f"\nload={LISTING_MODULE}\n" in modules


def test_the_readme_shows_the_rules() -> None:
    """Its tables are these, in this order."""
    rows = [
        tuple(cell.strip().strip("`") for cell in line.strip("|").split("|"))
        for line in README.partition("## Endpoints")[2].splitlines()
        if line.startswith("| `") and "conf`" not in line.split("|")[1]
    ]
    assert rows == [
        *(
            (rule.option, ", ".join(rule.sides), rule.wanted or "not set", rule.why)
            for rule in ENDPOINT_RULES
        ),
        *((rule.option, rule.wanted, rule.why) for rule in GLOBAL_RULES),
        *((rule.pattern, rule.why) for rule in MODULE_RULES),
    ]
