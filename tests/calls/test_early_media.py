"""
Sound before the answer: no two talk by it unless a site says so; after the answer all is heard.
"""

import json
from dataclasses import dataclass
from datetime import datetime

import pytest

from calls.sound import Sound, listening
from harness.pbx import Asterisk, Cli, Dialplan
from testpbx.phones import Call, Does, Phones

# Seconds; a packet comes every 20 ms.
_RING = 1.5
_TALK = 1.5
_MANY = 20
_DIGIT_EVENT = 4


@dataclass(frozen=True, slots=True)
class Traffic:
    """Packets of sound that each phone got, and digits that the callee's got."""

    caller: int
    callee: int
    digits: int


def traffic(sound: Sound, call: Call) -> tuple[Traffic, Traffic]:
    """What came before and what after the callee's answer, of a call that was answered."""
    # The first: it is sent again where it is not heard of in time.
    answered = sound.when(
        next(m for m in call.callee if m.sent and m.status == 200 and m.method == "INVITE")
    )
    of_caller, of_callee = sound.of(call.caller.messages), sound.of(call.callee)
    return (
        _counted(
            [p for p in of_caller if p[0] < answered], [p for p in of_callee if p[0] < answered]
        ),
        _counted(
            [p for p in of_caller if p[0] > answered], [p for p in of_callee if p[0] > answered]
        ),
    )


def _counted(
    caller: list[tuple[datetime, bytes]], callee: list[tuple[datetime, bytes]]
) -> Traffic:
    # Of the callee's sound, and not of a tone that Asterisk plays.
    heard = [payload for _, payload in caller if set(payload) == {0x55, 0x6E}]
    digits = [payload for _, payload in callee if len(payload) == _DIGIT_EVENT]
    return Traffic(len(heard), len(callee) - len(digits), len(digits))


@pytest.mark.parametrize(
    ("setting", "caller_hears", "callee_hears"),
    [
        pytest.param("none", False, False, id="none, as shipped"),
        pytest.param("hear", True, False, id="hear"),
        pytest.param("both", True, True, id="both"),
        pytest.param("all", False, False, id="a word that is none of them"),
    ],
)
def test_what_is_heard(
    cli: Cli,
    phones: Phones,
    dialplan: Dialplan,
    a: str,
    b: str,
    setting: str,
    *,
    caller_hears: bool,
    callee_hears: bool,
) -> None:
    """Before the answer what the site lets through; from it on all, both ways, and digits."""
    x = cli.bind(a, b)["x"]
    if setting != "none":
        dialplan.set(AGI_ROUTER_EARLY_MEDIA=setting)

    with listening() as sound:
        call = phones.call(
            a, x, does=Does.SOUNDS_EARLY, early=True, ring=_RING, talk=_TALK, types=["15"]
        )

    before, after = traffic(sound, call)
    assert call.status == 200
    assert (183 in [m.status for m in call.caller.messages]) is caller_hears
    assert (before.caller > _MANY, before.callee > _MANY) == (caller_hears, callee_hears)
    assert caller_hears or before.caller == 0
    assert callee_hears or before.callee == 0
    assert min(after.caller, after.callee) > _MANY
    assert after.digits > 2
    assert cli.record(x)["outcome"] == "answered"


def test_a_caller_who_was_answered_before(cli: Cli, phones: Phones, a: str, stranger: str) -> None:
    """It has typed an extension, so it can send: nothing gets through before the answer."""
    x = cli("bind", "axe", "--a", a, "--extension", "1234")["x"]

    with listening() as sound:
        call = phones.call(
            stranger, x, does=Does.SOUNDS_EARLY, types=["1234"], ring=_RING, talk=3.0
        )

    before, after = traffic(sound, call)
    assert (before.caller, before.callee) == (0, 0)
    assert min(after.caller, after.callee) > _MANY


def test_a_site_that_cannot_mute(cli: Cli, asterisk: Asterisk, dialplan: Dialplan) -> None:
    """Without the module all would be heard, which the doctor says; it names a wrong word."""

    def told() -> dict[str, str]:
        return {each["check"]: each["text"] for each in json.loads(cli.doctor().out)["checks"]}

    dialplan.set(AGI_ROUTER_EARLY_MEDIA="hear")
    assert not {"res_mutestream", "early media"} & told().keys()
    asterisk.command("module unload res_mutestream.so")
    try:
        assert told()["res_mutestream"] == (
            "Asterisk has not loaded res_mutestream.so: load it, or set"
            " AGI_ROUTER_EARLY_MEDIA=none in the dialplan"
        )
    finally:
        asterisk.command("module load res_mutestream.so")
    dialplan.set(AGI_ROUTER_EARLY_MEDIA="all")
    assert told()["early media"].startswith("the dialplan's AGI_ROUTER_EARLY_MEDIA is all, which")
