"""The media guard: its range of ports, its rules, and who turns the native bridge on and off."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from agi_router.pbx.bridge_switch import BridgeSwitch
from agi_router.pbx.guard_test import GuardTest
from agi_router.pbx.media_guard import MediaPorts, make_ruleset, plain_packet
from agi_router.pbx.sound_state import SoundState, count_refused, read_state, write_state

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
    assert "@th,72,8 & 0x7f != { 0, 8, 13, 96, 101 } jump payload_type" in rules
    assert "@th,72,8 & 0x7f { 96, 101 } udp length != 24 jump event_tail" in rules
    assert "@th,72,8 & 0x7f 13 udp length != 21 jump noise_tail" in rules
    assert "counter name noise_tail drop" in rules
    assert "seed 0x00000007" in rules
    counting = make_ruleset(PORTS, seed=7, counts_only=True)
    assert "drop" not in counting
    assert " set " not in counting
    assert "counter name event_tail return" in counting
    assert "jump event_tail" not in make_ruleset(PORTS, seed=7, events=())
    assert rules.count("exthdr frag exists jump fragment") == 2
    # Only this machine's own, of the self-test, is counted apart.
    assert rules.count('iif "lo" @th,96,32 0x5e1f7e57 counter name self_test drop') == 8


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
    assert switch.turn(PASSED) == ("native", "")
    assert switch.turn(FAILED) == ("simple", FAILED.faults[0])
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
        assert switch.turn(FAILED)[0] == "unknown"
        silent = False
        switch.turn(FAILED)
        switch.turn(PASSED)
    assert [record.message for record in caplog.records] == [
        "bridge.unknown",
        "bridge.simple",
        "bridge.native",
    ]
    assert "padding" in str(caplog.records[1].__dict__["why"])


COUNTERS = """{"nftables": [{"metainfo": {"version": "1.0.6"}},
  {"counter": {"family": "inet", "name": "padding", "packets": 7, "bytes": 300}},
  {"counter": {"family": "inet", "name": "self_test", "packets": 36, "bytes": 6000}}]}"""
SIMPLE = SoundState(bridge="simple", why="padding came\nthrough", refused={"padding": 7})


def test_counters() -> None:
    """What carriers were refused, without what the self-test was."""
    assert count_refused(COUNTERS) == {"padding": 7}
    for text in ("", "{}", '{"nftables": [{"counter": {"name": "x"}}]}', "[]"):
        with pytest.raises(ValueError, match=r"counters|Expecting"):
            count_refused(text)


def test_what_the_watch_tells(tmp_path: Path) -> None:
    """Every account reads it, in lines of our own, until it is old."""
    file = tmp_path / "state.json"
    assert read_state(file) is None
    old = os.umask(0o077)
    try:
        write_state(file, SIMPLE, lasts=60)
    finally:
        os.umask(old)
    told = read_state(file)
    assert told is not None
    assert (told.refused, file.stat().st_mode & 0o777) == ({"padding": 7}, 0o644)
    assert told.notes == [
        "sound: calls are joined by the simple bridge: padding came through",
    ]
    write_state(file, replace(SIMPLE, bridge="native", why=""), lasts=60)
    assert (read_state(file) or SIMPLE).notes == []
    write_state(file, replace(SIMPLE, bridge="unknown"), lasts=60)
    assert "nobody knows" in (read_state(file) or SIMPLE).notes[0]
    write_state(file, SIMPLE, lasts=-1)
    assert read_state(file) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"until": 1e99}',
        '{"until": "soon"}',
        '{"until": 1e99, "bridge": "simple", "why": "", "refused": {"padding": 1e999}}',
        pytest.param("[" * 60_000, id="deep"),
    ],
)
def test_what_is_no_state(tmp_path: Path, text: str) -> None:
    """Whatever lies there, nobody waits for it or fails."""
    file = tmp_path / "state.json"
    file.write_text(text, "utf-8")
    assert read_state(file) is None
    file.unlink()
    os.mkfifo(file)
    assert read_state(file) is None
