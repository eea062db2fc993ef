"""
The media guard: behind it the native bridge lets nothing cross that the simple one would not.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from agi_router.ari import AriClient
from agi_router.errors import SettingsError
from agi_router.pbx.audit import refuse_leaks
from agi_router.pbx.bridge_switch import BRIDGE
from agi_router.pbx.guard_test import try_guard
from agi_router.pbx.media_guard import MODULE, REFUSED, TABLE, MediaPorts
from harness.pbx import STATE, Asterisk, Cli, Router
from testpbx.waiting import until

PORTS = MediaPorts(10000, 30000)
# Nobody's, and of no other test.
NUMBERS = "13801580000-13801580071"
# What a phone puts beside its sound: everything, held and taken up again; with events agreed on,
# and with noise.
SOUND = ["rtp-held", "rtp-event", "rtp-noise"]
# What the native bridge lets cross, where nothing is in front of it.
CROSSING = ["rtp-extension", "rtp-csrc", "rtp-source", "rtp-event"]
FAULT = f"modules/{MODULE}"
UNASKED = frozenset({"carrier-out/qualify_frequency"})


def nft(*arguments: str, rules: str = "") -> str:
    """Have nftables of this network do something."""
    done = subprocess.run(
        ["nft", *arguments], input=rules, check=True, capture_output=True, text=True
    )
    return done.stdout


def guard(*options: str) -> None:
    """Load the rules that the command prints, as the operator does."""
    words = ("agi-router", "media-guard", "print", "--ports", str(PORTS), *options)
    nft("-f", "-", rules=subprocess.run(words, check=True, capture_output=True, text=True).stdout)


def unguard() -> None:
    """Take the guard away, if it is there."""
    nft("-f", "-", rules=f"table inet {TABLE} {{ }}\ndelete table inet {TABLE}\n")


@pytest.fixture
def guarded() -> Iterator[None]:
    """The guard is there, for the time of a test."""
    guard()
    yield
    unguard()


@pytest.fixture
def native(asterisk: Asterisk, router: Router) -> Iterator[None]:
    """Asterisk has its native bridge, and no router yet; it goes with the Asterisk."""
    router.stop()
    asterisk.command(f"module load {MODULE}")
    yield
    asterisk.restart()


def serving(cli: Cli, **settings: str) -> AbstractContextManager[Router]:
    """A router with settings of its own."""
    return Router({**cli.env, **settings}, STATE / "logs/router-of-its-own.log").serving()


@pytest.fixture
async def ari(pbx: dict[str, Any]) -> AsyncIterator[AriClient]:
    """A connection of the test's own."""
    env = pbx["env"]
    async with AriClient(
        url=env["AGI_ROUTER_ARI_URL"],
        user=env["AGI_ROUTER_ARI_USER"],
        password=env["AGI_ROUTER_ARI_PASSWORD"],
        app="agi_router_test",
    ) as client:
        yield client


def leaks(cli: Cli, vectors: list[str], *, tries: int = 3) -> dict[str, int]:
    """
    How many matches each vector has, by the command; all its calls go as they should.

    With one try they need not: the native bridge spoils packets that are padded.
    """
    words = [word for name in vectors for word in ("--vector", name)]
    for _ in range(tries):
        done = subprocess.run(
            ["agi-router", "leaktest", "--numbers", NUMBERS, *words, "--json"],
            env=cli.env,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode in {0, 1}, done.stderr
        report = json.loads(done.stdout)
        if not report["faults"]:
            break
    assert tries == 1 or not report["faults"], report
    return {row["vector"]: row["matches"] for row in report["vectors"]}


@pytest.mark.usefixtures("guarded")
def test_what_comes_through() -> None:
    """Plain packets do and no others, at both ends of the range; where it only counts, all do."""
    tried = try_guard(PORTS)
    assert (tried.faults, tried.ports) == ((), tuple(sorted(set(tried.ports))))
    counters = json.loads(nft("-j", "list", "counters", "table", "inet", TABLE))["nftables"]
    seen = {each["counter"]["name"]: each["counter"]["packets"] for each in counters[1:]}
    refused = ("too_short", "odd_header", "payload_type", "event_tail", "too_long")
    assert all(seen[name] for name in refused)
    guard("--count")
    assert len(try_guard(PORTS).faults) == len(REFUSED)
    done = subprocess.run(
        ["agi-router", "media-guard", "check", "--ports", str(PORTS)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "padding came through" in done.stdout) == (1, True)


def fragments_of(packet: bytes, port: int) -> list[bytes]:
    """A packet for a port of ::1, in two parts, the first of which is the header of UDP alone."""
    length = 8 + len(packet)
    header = struct.pack("!HHHH", 4000, port, length, 0)
    host = socket.inet_pton(socket.AF_INET6, "::1")
    whole = 2 * host + struct.pack("!II", length, 17) + header + packet
    total = sum(struct.unpack(f"!{len(whole) // 2}H", whole))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header = header[:6] + struct.pack("!H", ~total & 0xFFFF)
    return [
        struct.pack("!IHBB", 6 << 28, 8 + len(part), 44, 64)
        + 2 * host
        + struct.pack("!BBHI", 17, 0, place, 77)
        + part
        for part, place in ((header, 1), (packet, 8))
    ]


@pytest.mark.usefixtures("guarded")
def test_fragments() -> None:
    """By IPv6 the rules read them one by one: none may hide behind the first."""
    (odd,) = (each.packet for each in REFUSED if each.name == "a header extension")
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone,
        socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender,
    ):
        phone.bind(("::1", 0))
        port = phone.getsockname()[1]
        phone.settimeout(5)
        for part in fragments_of(odd, port):
            sender.sendto(part, ("::1", 0))
        # Where nobody guards, it comes.
        assert phone.recv(9999) == odd
        guarded = next(each for each in PORTS.even() if each > 20_000)
        for part in fragments_of(odd, guarded):
            sender.sendto(part, ("::1", 0))
    counters = json.loads(nft("-j", "list", "counters", "table", "inet", TABLE))["nftables"]
    (seen,) = (c["counter"] for c in counters[1:] if c["counter"]["name"] == "fragment")
    assert seen["packets"] >= 1


@pytest.mark.usefixtures("native")
def test_what_crosses(cli: Cli) -> None:
    """Without the guard what a phone puts beside its sound crosses; behind it nothing does."""
    unsafe = f"{cli.env['AGI_ROUTER_UNSAFE_PROFILE']},{FAULT}"
    with serving(cli, AGI_ROUTER_UNSAFE_PROFILE=unsafe):
        assert all(leaks(cli, CROSSING, tries=1).values())
    guard()
    try:
        with serving(cli, AGI_ROUTER_MEDIA_PORTS=str(PORTS)):
            assert set(leaks(cli, SOUND).values()) == {0}
    finally:
        unguard()


@pytest.mark.usefixtures("native")
async def test_native_needs_the_guard(ari: AriClient, asterisk: Asterisk) -> None:
    """With neither the guard nor the simple bridge no call is taken, whatever was before."""

    async def accepted() -> bool:
        try:
            await refuse_leaks(ari, accepted=UNASKED, ports=PORTS)
        except SettingsError as error:
            return FAULT not in str(error)
        return True

    assert not await accepted()
    guard()
    try:
        assert await accepted()
        # Where nobody has said that there is one it is not looked for.
        with pytest.raises(SettingsError, match=FAULT):
            await refuse_leaks(ari, accepted=UNASKED)
    finally:
        unguard()
    asterisk.command(f"dialplan set global {BRIDGE} simple")
    assert await accepted()
    asterisk.command(f"dialplan set global {BRIDGE} native")
    assert not await accepted()


@pytest.mark.usefixtures("native")
def test_the_watch(pbx: dict[str, Any], asterisk: Asterisk, tmp_path: Path) -> None:
    """It turns the native bridge on and off as the guard comes and goes, and off as it ends."""
    console = tmp_path / "console"
    console.write_text(f'#!/bin/sh\nexec chroot {pbx["rootfs"]} /usr/sbin/asterisk "$@"\n')
    console.chmod(0o755)
    words = ("agi-router", "media-guard", "watch", "--ports", str(PORTS), "--every", "1")
    log = STATE / "logs/media-guard.log"
    with log.open("ab") as file:
        watch = subprocess.Popen([*words, "--asterisk", str(console)], stdout=file, stderr=file)
    try:
        assert until(lambda: told(asterisk) == ("simple", True), timeout=30)
        guard()
        assert until(lambda: told(asterisk) == ("native", False), timeout=30)
        nft("flush", "table", "inet", TABLE)
        assert until(lambda: told(asterisk) == ("simple", True), timeout=30)
        guard()
        # An Asterisk that forgets it is told again.
        assert until(lambda: told(asterisk) == ("native", False), timeout=30)
        asterisk.command("bridge technology suspend native_rtp")
        assert until(lambda: told(asterisk) == ("native", False), timeout=30)
    finally:
        unguard()
        watch.terminate()
        assert watch.wait(30) == 0
    assert told(asterisk) == ("simple", True)
    assert " bridge.simple " in log.read_text().splitlines()[-1]
    asterisk.command("dialplan reload")


def told(asterisk: Asterisk) -> tuple[str, bool]:
    """What the dialplan says of the bridge, and whether the native one is turned off."""
    value = asterisk.command("dialplan show globals")
    bridge = next((line for line in value.splitlines() if f"{BRIDGE}=" in line), "=")
    (line,) = (
        line
        for line in asterisk.command("bridge technology show").splitlines()
        if line.startswith("native_rtp")
    )
    return bridge.rpartition("=")[2].strip(), line.split()[-1] == "Yes"
