"""
The media guard: behind it the native bridge lets nothing cross that the simple one would not.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from bench.numbers import Call
from bench.phones import Phones

from agi_router.ari import AriClient
from agi_router.errors import SettingsError
from agi_router.pbx.audit import refuse_leaks
from agi_router.pbx.bridge_switch import BRIDGE
from agi_router.pbx.guard_test import try_guard
from agi_router.pbx.media_guard import MODULE, REFUSED, TABLE, MediaPorts
from agi_router.pbx.sound_state import count_refused
from harness.pbx import STATE, Asterisk, Cli, Dialplan, Router, ask
from testpbx import media_guard
from testpbx.media_guard import nft, remove
from testpbx.waiting import until

PORTS = MediaPorts.parse(media_guard.PORTS)
# Nobody's, and of no other test.
NUMBERS = "13801580000-13801580071"
PARTIES = ("13801580080", "13801580081")
# So many talk at least when the guard goes.
CALLS = 20
# So many are looked at each time.
NEW = 3
# What a phone puts beside its sound: everything, held and taken up again, and from another port;
# with events agreed on, and with noise.
SOUND = ["rtp-held", "rtp-moved", "rtp-event", "rtp-noise"]
# What the native bridge lets cross, where nothing is in front of it.
CROSSING = ["rtp-extension", "rtp-csrc", "rtp-source", "rtp-event", "rtp-moved"]
Fault = Callable[[Asterisk], AbstractContextManager[None]]
FAULT = f"modules/{MODULE}"
UNASKED = frozenset({"carrier-out/qualify_frequency"})


def guard(*options: str) -> None:
    """Load the rules that the command prints, as the operator does."""
    media_guard.load(os.environ, *options)


def refused() -> dict[str, int]:
    """What the guard has refused, by counter."""
    return count_refused(nft("-j", "list", "counters", "table", "inet", TABLE))


def plant(*packets: bytes) -> None:
    """Send packets of the self-test to a port of sound as a phone would, at another time."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        for each in packets:
            phone.sendto(each[:4] + bytes(4) + each[8:], ("127.0.0.1", PORTS.first))


@pytest.fixture
def guarded() -> Iterator[None]:
    """The guard is there, for the time of a test."""
    guard()
    yield
    remove()


@pytest.fixture
def native(asterisk: Asterisk, router: Router) -> Iterator[None]:
    """Asterisk has its native bridge, and no router yet; it goes with the Asterisk."""
    router.stop()
    asterisk.command(f"module load {MODULE}")
    yield
    asterisk.restart()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every account can read, as /run/agi-router-media is."""
    with TemporaryDirectory(prefix="agi-router-media-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


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


def leaks(cli: Cli, vectors: list[str], *, tries: int = 3) -> dict[str, list[str]]:
    """
    What matches each vector has, by the command; all its calls go as they should.

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
    return {row["vector"]: row["findings"] for row in report["vectors"]}


@pytest.mark.usefixtures("guarded")
def test_what_comes_through() -> None:
    """Plain packets do and no others, at both ends of the range; where it only counts, all do."""
    tried = try_guard(PORTS)
    assert (tried.faults, tried.ports) == ((), tuple(sorted(set(tried.ports))))
    # Those of the self-test itself are counted by none of these.
    assert set(refused().values()) == {0}
    plant(*(each.packet for each in REFUSED))
    assert refused() == {
        "too_short": 1,
        "odd_header": 4,
        "payload_type": 1,
        "event_tail": 1,
        "too_long": 2,
        "fragment": 0,
        "odd_control": 0,
    }
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
    assert refused()["fragment"] >= 1


@pytest.mark.usefixtures("native")
def test_what_crosses(cli: Cli) -> None:
    """Without the guard what a phone puts beside its sound crosses; behind it nothing does."""
    unsafe = f"{cli.env['AGI_ROUTER_UNSAFE_PROFILE']},{FAULT}"
    with serving(cli, AGI_ROUTER_UNSAFE_PROFILE=unsafe):
        assert all(leaks(cli, CROSSING, tries=1).values())
    guard()
    try:
        with serving(cli, AGI_ROUTER_MEDIA_PORTS=str(PORTS)):
            found = leaks(cli, SOUND)
            assert not any(found.values()), found
    finally:
        remove()


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
        remove()
    asterisk.command(f"dialplan set global {BRIDGE} simple")
    read = await refuse_leaks(ari, accepted=UNASKED, ports=PORTS)
    assert any("padding came through" in each for each in read.unguarded)
    asterisk.command(f"dialplan set global {BRIDGE} native")
    assert not await accepted()


@pytest.mark.usefixtures("native")
def test_the_watch(
    pbx: dict[str, Any], cli: Cli, asterisk: Asterisk, dialplan: Dialplan, place: Path
) -> None:
    """
    While calls come and talk it turns the native bridge on and off, as the guard comes and goes.

    No call is joined by it that comes once the watch has looked, and none that is up is dropped.
    """
    guard()
    # These phones want to hear the callee ring, and nothing before.
    dialplan.set(AGI_ROUTER_EARLY_MEDIA="both")
    log = STATE / "logs/media-guard.log"
    state = place / "state.json"
    caller, called = PARTIES
    x = cli.bind(caller, called)["x"]
    phones = Phones(place, carrier_out=pbx["carrier_out"])
    calls = 200 * [Call(caller=caller, dialled=x, callee=called)]
    try:
        with (
            watching(pbx, state, log),
            serving(cli, AGI_ROUTER_MEDIA_PORTS=str(PORTS), AGI_ROUTER_MEDIA_STATE=str(state)),
        ):
            assert until(lambda: told(asterisk) == ("native", False), timeout=30)
            assert until(lambda: ask("/readyz") == (200, "ok\n"), timeout=30)
            with phones.calling(
                "talk", calls, sip=pbx["sip"], rate=5, talk=600, sound=True
            ) as process:
                try:
                    try_faults(asterisk)
                finally:
                    process.kill()
                    asterisk.hang_up()
            shown = 'agi_router_media_refused_total{rule="odd_header"} 1.0'
            plant(REFUSED[0].packet)
            assert until(lambda: shown in ask("/metrics")[1].splitlines(), timeout=30)
            assert 'agi_router_media_bridge{bridge="native"} 1.0' in ask("/metrics")[1]
            # An Asterisk that forgets it is told again.
            asterisk.command("bridge technology suspend native_rtp")
            assert until(lambda: told(asterisk) == ("native", False), timeout=30)
    finally:
        remove()
    assert told(asterisk) == ("simple", True)
    assert " bridge.simple " in log.read_text().splitlines()[-1]
    assert not state.exists()


def try_faults(asterisk: Asterisk) -> None:
    """Take the guard away in each way, while calls come; all that are up stay up."""
    assert until(lambda: len(joined(asterisk)) >= CALLS, timeout=60)
    asterisk.command("core reload")
    for fault in (removed, flushed, ranged, reloaded):
        try_fault(asterisk, fault)


def try_fault(asterisk: Asterisk, fault: Fault) -> None:
    """Take the guard away in one way, and give it back."""
    up = joined(asterisk)
    with fault(asterisk):
        assert until(lambda: told(asterisk) == ("simple", True), timeout=30), fault
        assert new_ones(asterisk) == {"simple_bridge"}, fault
        # Calls go on, so it is ready all the same, and says why they are dearer.
        assert until(lambda: "the simple bridge: " in ask("/readyz")[1], timeout=30)
        assert ask("/readyz")[0] == 200
    assert until(lambda: told(asterisk) == ("native", False), timeout=30), fault
    # For a moment a call is joined by the simple bridge all the same.
    assert until(lambda: new_ones(asterisk) == {"native_rtp"}, timeout=60), fault
    assert up.keys() <= joined(asterisk).keys(), fault


@contextmanager
def removed(_: Asterisk) -> Iterator[None]:
    """The guard is not there."""
    remove()
    yield
    guard()


@contextmanager
def flushed(_: Asterisk) -> Iterator[None]:
    """Somebody has flushed nftables."""
    nft("flush", "ruleset")
    yield
    guard()


@contextmanager
def ranged(asterisk: Asterisk) -> Iterator[None]:
    """Asterisk has another range of ports than the guard."""
    wider = f"[general]\nrtpstart={PORTS.first}\nrtpend={PORTS.last + 100}\n"
    with asterisk.replaced("rtp.conf", wider, "module reload res_rtp_asterisk.so"):
        yield


@contextmanager
def reloaded(asterisk: Asterisk) -> Iterator[None]:
    """The guard is not there, and Asterisk has been reloaded."""
    remove()
    asterisk.command("core reload")
    yield
    guard()
    asterisk.command("core reload")


def joined(asterisk: Asterisk) -> dict[str, str]:
    """By which bridge each call is joined, by what Asterisk calls their bridge."""
    said = asterisk.command("bridge show all")
    return dict(re.findall(r"(?m)^(\S+)\s.*\s2\s+\S+\s+(\S+)", said))


def new_ones(asterisk: Asterisk) -> set[str]:
    """By which bridges the next calls are joined."""
    before = joined(asterisk)
    found: dict[str, str] = {}

    def come() -> bool:
        now = joined(asterisk)
        found.update({each: now[each] for each in now.keys() - before.keys()})
        return len(found) >= NEW

    assert until(come, timeout=30)
    return set(found.values())


@contextmanager
def watching(pbx: dict[str, Any], state: Path, log: Path) -> Iterator[None]:
    """The watch runs, each second, for the time of a block."""
    words = media_guard.watch(state.with_name("console"), pbx["rootfs"], every="1s")
    environ = {**os.environ, "AGI_ROUTER_MEDIA_STATE": str(state)}
    with log.open("ab") as file:
        watch = subprocess.Popen(words, stdout=file, stderr=file, env=environ)
    try:
        yield
    finally:
        watch.terminate()
        assert watch.wait(30) == 0


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
