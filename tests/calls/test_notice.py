"""
The anti-fraud notice: both hear it after the answer, and before they are joined.
"""

import json
import struct
import wave
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from agi_router.leaktest.messages import Message
from calls.sound import Sound, listening
from harness.pbx import Cli, Dialplan, Router
from harness.prompts import forget
from testpbx.phones import Does, Phones

_NAME = "notice-test"
# Of the notice of these tests.
SECONDS = 1.5
# Bytes of 20 ms of sound, and what the callee's phone says.
_PACKET = 160
_SOUND = {0x55, 0x6E}


@pytest.fixture(autouse=True)
def _on(cli: Cli) -> Iterator[None]:
    """The tenant of these tests has it."""
    cli("tenant", "notice", "default", "on")
    yield
    cli("tenant", "notice", "default", "off")


@pytest.fixture
def file(pbx: dict[str, Any], database: psycopg.Connection[Any]) -> Iterator[Path]:
    """A set of prompts with a notice, which is a tone of two values; no speech keeps to two."""
    folder = Path(pbx["rootfs"]) / "usr/share/asterisk/sounds/zh/agi-router" / _NAME
    folder.mkdir(exist_ok=True)
    made = folder / "antifraud.wav"
    write_tone(made, SECONDS)
    yield made
    made.unlink(missing_ok=True)
    folder.rmdir()
    forget(database, _NAME)


def write_tone(file: Path, seconds: float) -> None:
    """A square wave of 1,000 Hz."""
    with wave.open(str(file), "wb") as tone:
        tone.setnchannels(1)
        tone.setsampwidth(2)
        tone.setframerate(8000)
        tone.writeframes(struct.pack("<8h", *[8000] * 4, *[-8000] * 4) * round(seconds * 1000))


@pytest.fixture
def terms(file: Path) -> list[str]:
    """What a binding says to have that notice."""
    assert file
    return ["--prompts", _NAME]


def tones(sound: Sound, phone: Sequence[Message]) -> list[datetime]:
    """When each packet of the tone was sent to a phone."""
    return [
        at
        for at, payload in sound.of(phone)
        if len(set(payload)) == 2 and not set(payload) & {0xD5, 0x55}
    ]


@pytest.mark.parametrize("door", ["ari", "agi"])
def test_both_hear_it(
    request: pytest.FixtureRequest,
    cli: Cli,
    phones: Phones,
    terms: list[str],
    a: str,
    b: str,
    door: str,
) -> None:
    """At once, after the answer; the longest talk begins after it; no digit goes along."""
    if door == "agi":
        request.getfixturevalue("fastagi")
        request.getfixturevalue("dialplan").enter_at("agi-router-in-fastagi")
    x = cli.bind(a, b, *terms, "--max-duration", "2s")["x"]

    with listening() as sound:
        call = phones.call(a, x, talk=30)

    assert call.status == 200
    near, far = tones(sound, call.caller.messages), tones(sound, call.callee)
    packets = SECONDS / 0.02
    assert 0.9 * packets <= len(near) <= packets + 2
    assert 0.9 * packets <= len(far) <= packets + 2
    # Each has begun before the other's is over.
    assert max(near[0], far[0]) < min(near[-1], far[-1])
    answered = sound.when(
        next(m for m in call.caller.messages if m.status == 200 and m.method == "INVITE")
    )
    assert answered <= near[0]
    record = cli.record(x)
    assert (record["outcome"], record["released_by"]) == ("answered", "us")
    assert record["clock"] == "talk"
    bye = next(m for m in call.caller.messages if not m.sent and m.start_line[:4] == "BYE ")
    assert (sound.when(bye) - near[-1]).total_seconds() >= 1.9
    assert record["talk_ms"] >= 1900
    whole = (sound.when(bye) - answered).total_seconds()
    assert record["talk_ms"] / 1000 <= whole - 0.9 * SECONDS
    assert not any(a.encode() in m.raw for m in call.callee)
    assert not any(b.encode() in m.raw for m in call.caller.messages)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_hang_up_during_it(
    cli: Cli, phones: Phones, terms: list[str], a: str, b: str, who: str
) -> None:
    """It ends the call for both. The call was answered, so its use is taken; nobody has talked."""
    binding = cli.bind(a, b, *terms, "--max-calls", "5")

    with listening() as sound:
        call = phones.call(a, binding["x"], talk=0.9, hung_up_by=who)

    assert call.status == 200
    for phone in (call.caller.messages, call.callee):
        assert any(m.start_line.startswith("BYE ") for m in phone)
        assert 0 < len(tones(sound, phone)) < 0.9 * SECONDS / 0.02
    record = cli.record(binding["x"])
    assert (record["outcome"], record["talk_ms"]) == ("answered", 0)
    assert (record["released_by"], record["clock"], record["cause"]) == (who, None, 16)
    assert cli("show", binding["id"])["calls_used"] == 1


@pytest.mark.parametrize("why", ["missing", "long"])
def test_no_notice_to_be_heard(
    cli: Cli,
    phones: Phones,
    router: Router,
    file: Path,
    terms: list[str],
    a: str,
    b: str,
    why: str,
) -> None:
    """The call goes on without; the log says why, and the doctor."""
    shipped = file.parent.parent / file.name
    kept = shipped.read_bytes()
    if why == "missing":
        file.rename(file.with_name("time_over.wav"))
        shipped.unlink()
    else:
        write_tone(file, 6.5)
    said = len(router.log)
    try:
        binding = cli.bind(a, b, *terms)
        call = phones.call(a, binding["x"], talk=0.5)
        record = cli.record(binding["x"])
        checks = json.loads(cli.doctor().out)["checks"]
    finally:
        shipped.write_bytes(kept)
        file.with_name("time_over.wav").unlink(missing_ok=True)

    assert call.status == 200
    assert (record["outcome"], record["released_by"]) == ("answered", "caller")
    assert record["talk_ms"] > 0
    assert router.says("notice.unheard", why, since=said)
    [told] = [each["text"] for each in checks if each["check"] == "prompts"]
    assert ("zh lacks antifraud" if why == "missing" else "takes more than six seconds") in told


def test_the_callee_is_heard_before_the_answer(
    cli: Cli, phones: Phones, dialplan: Dialplan, terms: list[str], a: str, b: str
) -> None:
    """What the caller says is kept from it, until both have heard the notice; then all passes."""
    x = cli.bind(a, b, *terms)["x"]
    dialplan.set(AGI_ROUTER_EARLY_MEDIA="hear")

    with listening() as sound:
        call = phones.call(
            a, x, does=Does.SOUNDS_EARLY, early=True, ring=1.0, talk=4.0, types=["15"]
        )

    assert call.status == 200
    notice = tones(sound, call.callee)
    assert len(notice) >= 0.9 * SECONDS / 0.02
    heard = [(at, payload) for at, payload in sound.of(call.callee) if len(payload) == _PACKET]
    assert not [at for at, _ in heard if at < notice[0]]
    assert [at for at, _ in heard if at > notice[-1]]
    callee = [at for at, payload in sound.of(call.caller.messages) if set(payload) == _SOUND]
    assert [at for at in callee if at < notice[0]]
    assert [at for at in callee if at > notice[-1]]
