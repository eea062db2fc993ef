"""
Recordings: both hear that they are recorded, and both are on what is sealed.
"""

import math
import os
import re
import socket
import struct
import subprocess
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from calls.sound import Sound, listening
from calls.test_canary import metrics
from harness.canaries import files_below
from harness.cli import run
from harness.ends import SDP, Caller, Side, sides
from harness.pbx import STATE, Asterisk, Cli, Dialplan
from harness.prompts import forget
from testpbx.phones import Phones
from testpbx.rootfs import router_env
from testpbx.state import ASTERISK_ACCOUNT, ROUTER_ACCOUNT, share_journal
from testpbx.waiting import until

_INSIDE = "/run/agi-router-recordings"
_FRAME = 160
# Hz; neither is a harmonic of the other, nor does speech keep to them.
_CALLER, _CALLEE = 700, 1100
# What the callee says while the notice is played.
_MEANWHILE = 1700
# Of the notices of one test.
_FRAUD, _RECORDED = 500, 2300
_TALK = 1.5
_HEADER = 58


def expanded(code: int) -> int:
    """One sample of A-law (G.711), as 13 bits."""
    code ^= 0x55
    exponent, mantissa = (code >> 4) & 7, code & 15
    size = 2 * mantissa + 1 if exponent == 0 else (2 * mantissa + 33) << (exponent - 1)
    return size if code & 0x80 else -size


_EXPANDED = [expanded(code) for code in range(256)]


def tone(hertz: int) -> bytes:
    """A tenth of a second of a tone: the codes nearest to it."""
    wanted = [2000 * math.sin(2 * math.pi * hertz * at / 8000) for at in range(800)]
    return bytes(min(range(256), key=lambda c: abs(_EXPANDED[c] - each)) for each in wanted)


def strength(track: bytes, hertz: int) -> float:
    """How much of a tone is in a track, 0 to 1 (Goertzel's algorithm)."""
    samples = [_EXPANDED[code] for code in track]
    turn = 2 * math.cos(2 * math.pi * hertz / 8000)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + turn * last - before
    power = last * last + before * before - turn * last * before
    return 2 * power / (len(samples) * sum(sample * sample for sample in samples) or 1)


@contextmanager
def talking(side: Side, to: int, sound: bytes) -> Iterator[None]:
    """Send a sound, again and again, from a side's port of sound meanwhile."""
    over = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mouth:
        mouth.bind(("127.0.0.1", side.port + 2))

        def talk() -> None:
            begun, number = time.monotonic(), 0
            while not over.wait(max(0.0, begun + number * 0.02 - time.monotonic())):
                at = number * _FRAME % len(sound)
                head = struct.pack("!BBHII", 0x80, 8, number & 0xFFFF, number * _FRAME, 1)
                mouth.sendto(head + sound[at : at + _FRAME], ("127.0.0.1", to))
                number += 1

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@pytest.fixture
def clear(pbx: dict[str, Any], dialplan: Dialplan) -> Iterator[Path]:
    """A directory in memory for calls as they are recorded, and a dialplan that knows it."""
    directory = Path(pbx["rootfs"] + _INSIDE)
    directory.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory], check=True)
    share_journal(directory)
    dialplan.set(AGI_ROUTER_RECORDINGS=_INSIDE)
    yield directory
    subprocess.run(["umount", directory], check=True)
    directory.rmdir()


@pytest.fixture
def sealed(pbx: dict[str, Any]) -> Iterator[Path]:
    """A directory of the router's account for sealed recordings."""
    directory = Path(pbx["rootfs"]) / "run/agi-router-sealed"
    directory.mkdir()
    os.chown(directory, ROUTER_ACCOUNT, ASTERISK_ACCOUNT)
    directory.chmod(0o700)
    yield directory
    subprocess.run(["rm", "-r", directory], check=True)


@contextmanager
def keeping(cli: Cli, clear: Path, sealed: Path) -> Iterator[dict[str, str]]:
    """Keep recordings meanwhile, by a process as in service; yields its environment."""
    log = STATE / "logs/recordings.log"
    env = {
        **cli.env,
        "AGI_ROUTER_RECORDINGS": str(clear),
        "AGI_ROUTER_RECORDINGS_SEALED": str(sealed),
    }
    with log.open("ab") as file:
        process = subprocess.Popen(
            ["agi-router", "recording", "keep"],
            env=router_env(env, Path(os.environ["PBX_CACHE"]), STATE),
            stdout=file,
            stderr=file,
            user=ROUTER_ACCOUNT,
            group=ASTERISK_ACCOUNT,
            extra_groups=[],
        )
    try:
        yield env
    finally:
        process.terminate()
        assert process.wait(20) == 0, log.read_text()


def talk(
    number: str, x: str, *, notices: int = 1, meanwhile: Callable[[], None] = lambda: None
) -> tuple[Sound, Side, Side]:
    """Call, let both sides talk for a moment, and hang up; what was heard, and by whom."""
    with listening() as sound, sides() as (near, far):
        call = Caller(near, number, x)
        call.invite()
        ringing = far.wait(lambda m: m.start_line.startswith("INVITE "))
        far.answer(ringing, "200 OK", tag=call.call_id, body=SDP.format(far.port + 2))

        def both_talk() -> None:
            answer = next(m for m in near.came if m.status == 200)
            ports = [re.findall(r"m=audio (\d+)", m.body)[0] for m in (answer, ringing)]
            # Notices of 0.6 s, for which Asterisk waits half a second for sound of the caller,
            # and a moment behind them.
            with talking(far, int(ports[1]), tone(_MEANWHILE)):
                time.sleep(0.6 * notices)
            time.sleep(0.8)
            with (
                talking(near, int(ports[0]), tone(_CALLER)),
                talking(far, int(ports[1]), tone(_CALLEE)),
            ):
                time.sleep(_TALK)
                meanwhile()

        assert call.final(both_talk) == 200
        far.wait(lambda m: m.start_line.startswith("BYE "))
        far.be_left_alone(0.5)
    return sound, near, far


def recording_of(cli: Cli, x: str) -> dict[str, Any]:
    """What is on record of the last call on a number, once it is."""
    found: list[dict[str, Any]] = []

    def is_there() -> bool:
        found[:] = cli("recording", "list", "--x", x)
        return bool(found)

    assert until(is_there, timeout=20)
    return found[0]


@pytest.mark.usefixtures("router")
def test_a_recorded_call(
    cli: Cli, clear: Path, sealed: Path, a: str, b: str, tmp_path: Path
) -> None:
    """Both hear the notice, both are on what is sealed, and no clear sound is left."""
    x = cli.bind(a, b, "--record", "on")["x"]
    with keeping(cli, clear, sealed) as env:
        sound, near, far = talk(a, x)
        told = recording_of(cli, x)
        assert until(lambda: not list(clear.iterdir()), timeout=5)

    # What either hears first is the notice, and neither's tone.
    heard = [b"".join(p for _, p in sound.at(side.port + 2)) for side in (near, far)]
    for each in heard:
        assert max(strength(each[:2400], hertz) for hertz in (_CALLER, _CALLEE)) < 0.3
    assert heard[0][:2400] == heard[1][:2400]
    assert (told["state"], told["gap"], told["call"]) == ("ready", None, cli.record(x)["id"])
    assert told["length_ms"] > 1000

    file = tmp_path / "heard.wav"
    words = ["recording", "listen", told["call"], "--case", "P-1", "--reason", "a test"]
    with file.open("wb") as out:
        subprocess.run(["agi-router", *words], env=env, stdout=out, check=True)
    tracks = file.read_bytes()[_HEADER:]
    left, right = tracks[0::2], tracks[1::2]
    # Nobody is recorded who has not been told yet.
    assert strength(right[:2400], _MEANWHILE) < 0.3
    assert strength(left[-4000:], _CALLER) > 0.8 > strength(left[-4000:], _CALLEE)
    assert strength(right[-4000:], _CALLEE) > 0.8 > strength(right[-4000:], _CALLER)
    (line, *_) = cli("audit", "list", "--limit", "1")
    assert (line["act"], line["case_id"]) == ("recording listen", "P-1")

    # Nothing on disk says who or what it was, and nothing opens without its key.
    files = [each for each in sealed.rglob("[a-f]*") if each.is_file()]
    assert [re.findall(r"\d", str(each.relative_to(sealed))) for each in files] == [[]]
    content = files[0].read_bytes()
    assert tone(_CALLER)[:40] not in content
    files[0].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert run(words, env).code == 70


@pytest.mark.usefixtures("router")
def test_no_notice_no_recording(
    pbx: dict[str, Any], cli: Cli, clear: Path, sealed: Path, a: str, b: str
) -> None:
    """Where the file says nothing, the call goes on unrecorded, and that is on record."""
    notice = Path(pbx["rootfs"]) / "usr/share/asterisk/sounds/zh/agi-router/recording.wav"
    away = notice.with_suffix(".away")
    notice.rename(away)
    try:
        # As a WAV begins, with no sound behind it.
        notice.write_bytes(away.read_bytes()[:44])
        assert "recording says nothing" in cli.doctor().out
        x = cli.bind(a, b, "--record", "on")["x"]
        with keeping(cli, clear, sealed):
            sound, _, far = talk(a, x)
            told = recording_of(cli, x)
        assert strength(b"".join(p for _, p in sound.at(far.port + 2))[4000:], _CALLER) > 0.8
    finally:
        away.rename(notice)
    assert (told["state"], told["gap"], told["length_ms"]) == ("missing", "no_notice", 0)
    assert not [each for each in (*sealed.rglob("[a-f]*"), *clear.iterdir()) if each.is_file()]


@pytest.mark.usefixtures("router")
def test_no_room(cli: Cli, clear: Path, sealed: Path, a: str, b: str) -> None:
    """Where the directory in memory is full, the call goes on, and it is told."""
    x = cli.bind(a, b, "--record", "on")["x"]
    with pytest.raises(OSError, match="No space"):
        (clear / "ballast").write_bytes(bytes(5 << 20))
    with keeping(cli, clear, sealed):
        sound, _, far = talk(a, x)
        assert until(lambda: [each.name for each in clear.iterdir()] == ["ballast"], timeout=30)
    assert strength(b"".join(p for _, p in sound.at(far.port + 2))[8000:], _CALLER) > 0.8
    assert "recordings.no_room" in (STATE / "logs/recordings.log").read_text()


def write_notice(file: Path, sound: bytes) -> None:
    """What A-law says, as a file that Asterisk plays."""
    samples = [8 * _EXPANDED[code] for code in sound]
    with wave.open(str(file), "wb") as made:
        made.setparams((1, 2, 8000, 0, "NONE", ""))
        made.writeframes(struct.pack(f"<{len(samples)}h", *samples))


@pytest.fixture
def notices(pbx: dict[str, Any], database: psycopg.Connection[Any]) -> Iterator[Path]:
    """A set of prompts, for notices of a test."""
    folder = Path(pbx["rootfs"]) / "usr/share/asterisk/sounds/zh/agi-router/recording-test"
    folder.mkdir()
    yield folder
    subprocess.run(["rm", "-r", folder], check=True)
    forget(database, folder.name)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_hang_up_during_the_notice(
    cli: Cli, phones: Phones, clear: Path, notices: Path, a: str, b: str, who: str
) -> None:
    """It ends the call for both at once, and nobody is recorded."""
    write_notice(notices / "recording.wav", tone(_RECORDED) * 30)
    x = cli.bind(a, b, "--record", "on", "--prompts", notices.name)["x"]
    call = phones.call(a, x, talk=1.5, hung_up_by=who)
    record = cli.record(x)
    assert call.status == 200
    for phone in (call.caller.messages, call.callee):
        assert any(m.start_line.startswith("BYE ") for m in phone)
    assert (record["outcome"], record["talk_ms"], record["released_by"]) == ("answered", 0, who)
    assert list(clear.iterdir()) == []


def when(sound: Sound, side: Side, hertz: int) -> list[datetime]:
    """When a side was sent a tone: each packet that is nothing else."""
    return [at for at, part in sound.at(side.port + 2) if part and strength(part, hertz) > 0.8]


@pytest.mark.usefixtures("router")
def test_both_notices(
    cli: Cli,
    asterisk: Asterisk,
    clear: Path,
    sealed: Path,
    notices: Path,
    a: str,
    b: str,
) -> None:
    """Both hear that against fraud, then that of the recording; neither's number is left."""
    write_notice(notices / "antifraud_recording.wav", tone(_FRAUD) * 6 + tone(_RECORDED) * 6)
    x = cli.bind(a, b, "--record", "on", "--prompts", notices.name)["x"]
    seen: list[str] = []

    def look() -> None:
        seen.extend(each.name for each in clear.iterdir())
        names = asterisk.command("core show channels concise").splitlines()
        seen.extend(asterisk.command(f"mixmonitor list {each.split('!')[0]}") for each in names)
        seen.extend(each.split("!")[0] for each in names)
        seen.append(metrics().decode())

    cli("tenant", "notice", "default", "on")
    try:
        with keeping(cli, clear, sealed):
            sound, near, far = talk(a, x, notices=2, meanwhile=look)
            told = recording_of(cli, x)
            assert until(lambda: not list(clear.iterdir()), timeout=5)
    finally:
        cli("tenant", "notice", "default", "off")

    for side, other in ((near, _CALLEE), (far, _CALLER)):
        fraud, recorded, said = (when(sound, side, hz) for hz in (_FRAUD, _RECORDED, other))
        assert min(len(fraud), len(recorded)) > 20
        assert fraud[-1] < recorded[0]
        assert recorded[-1] < said[0]
    assert (told["state"], told["gap"]) == ("ready", None)
    # The notices are not on it, and not a moment of what was said before they were over.
    assert 1000 < told["length_ms"] < 1000 * (_TALK + 1.5)

    assert [each for each in seen if each.endswith(".call")]
    seen += [str(each) for each in sealed.rglob("*")]
    seen += [each.read_text(errors="replace") for each in files_below(STATE / "logs")]
    for number in (a, b):
        assert not [each for each in seen if number in each]


def test_no_directory(pbx: dict[str, Any], cli: Cli, phones: Phones, a: str, b: str) -> None:
    """Where Asterisk is told of none it writes nothing, and the call goes on."""
    x = cli.bind(a, b, "--record", "on")["x"]
    log = Path(pbx["logs"]) / "asterisk/messages"
    before = log.read_text()
    assert phones.call(a, x).status == 200
    cli.records(x, 1)
    assert ".call" not in log.read_text().removeprefix(before)
