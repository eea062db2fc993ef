"""The media guard: its range of ports, its rules, and who turns the native bridge on and off."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from agi_router.pbx.bridge_switch import BridgeSwitch
from agi_router.pbx.guard_test import GuardTest
from agi_router.pbx.media_guard import MediaPorts, make_ruleset, plain_packet

PORTS = MediaPorts(10000, 20000)
PASSED = GuardTest(ports=(10000,), faults=())
FAILED = GuardTest(ports=(10000,), faults=("padding came through (127.0.0.1 10000)",))


def test_ports() -> None:
    """As rtp.conf has them; RTP has the even ones, each with one behind it."""
    assert MediaPorts.parse(" 10000-20000 ") == PORTS
    assert str(PORTS) == "10000-20000"
    assert (PORTS.even()[0], PORTS.even()[-1]) == (10000, 19998)
    assert list(MediaPorts(10001, 10007).even()) == [10002, 10004, 10006]


@pytest.mark.parametrize(
    "text", ["", "10000", "20000-10000", "10000-10002", "80-20000", "10000-65536", "a-b", "1-2-3"]
)
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(ValueError, match="rtpstart"):
        MediaPorts.parse(text)


def test_rules() -> None:
    """What is refused is dropped and counted; counting alone drops and changes nothing."""
    rules = make_ruleset(PORTS, seed=7, events=(101, 96), noise=True)
    assert "@th,72,8 & 0x7f != { 0, 8, 13, 96, 101 } counter name payload_type drop" in rules
    assert "@th,72,8 & 0x7f { 96, 101 } udp length != 24 counter name event_tail drop" in rules
    assert "@th,72,8 & 0x7f 13 udp length != 21 counter name noise_tail drop" in rules
    assert "seed 0x00000007" in rules
    counting = make_ruleset(PORTS, seed=7, counts_only=True)
    assert "drop" not in counting
    assert " set " not in counting
    assert "counter name event_tail" in counting
    assert "event_tail" not in make_ruleset(PORTS, seed=7, events=()).partition("chain")[2]
    assert rules.count("exthdr frag exists counter name fragment drop") == 2


@pytest.mark.parametrize("event", [95, 128])
def test_event_types(event: int) -> None:
    with pytest.raises(ValueError, match="96 to 127"):
        make_ruleset(PORTS, seed=7, events=(event,))


def test_a_plain_packet() -> None:
    """It has a header of twelve bytes, and 20 ms of sound."""
    assert (len(plain_packet()), plain_packet()[:2]) == (172, b"\x80\x08")


def console_of(first: str, last: str, said: list[str]) -> Callable[[str], str]:
    """A console of an Asterisk with these ports; what it is told to change goes to *said*."""

    def console(command: str) -> str:
        if command == "rtp show settings":
            return f"General Settings:\n  Port start:      {first}\n  Port end:        {last}\n"
        said.append(command)
        return ""

    return console


@pytest.mark.parametrize("ports", [("10000", "30000"), ("", "20000")])
def test_other_ports_than_asterisks(
    ports: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """What lies outside of the guarded ports is not guarded."""
    said: list[str] = []
    BridgeSwitch(console_of(*ports, said), PORTS).turn(PASSED)
    assert said[0] == "bridge technology suspend native_rtp"
    assert "not 10000-20000" in str(caplog.records[0].__dict__["why"])


def test_the_switch() -> None:
    """The dialplan is never told of the simple bridge while the native one is on."""
    said: list[str] = []

    switch = BridgeSwitch(console_of("10000", "20000", said), PORTS)
    switch.turn(PASSED)
    switch.turn(FAILED)
    switch.leave()
    on, off = "bridge technology unsuspend native_rtp", "bridge technology suspend native_rtp"
    native, simple = (
        f"dialplan set global AGI_ROUTER_BRIDGE {each}" for each in ("native", "simple")
    )
    assert said == [native, on, off, simple, off, simple]


def test_a_console_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    """It is said once; the next look turns the bridge again."""
    silent = True

    def console(command: str) -> str:
        if silent:
            raise subprocess.CalledProcessError(1, command)
        return console_of("10000", "20000", [])(command)

    switch = BridgeSwitch(console, PORTS)
    with caplog.at_level("INFO"):
        switch.turn(FAILED)
        switch.turn(FAILED)
        silent = False
        switch.turn(FAILED)
        switch.turn(PASSED)
    assert [record.message for record in caplog.records] == [
        "bridge.unknown",
        "bridge.simple",
        "bridge.native",
    ]
    assert "padding" in str(caplog.records[1].__dict__["why"])
