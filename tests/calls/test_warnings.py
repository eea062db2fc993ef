"""
Warnings before the end of the longest talk, at several marks, on either bridge, and hang-ups then.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from calls import test_media_guard as media_guard
from calls.sound import Sound, listening
from calls.test_locks import put_tone
from calls.test_media_guard import native
from calls.test_notice import tones, write_tone
from harness.pbx import Asterisk, Cli, Dialplan, Router
from harness.prompts import restored, shorten
from testpbx.media_guard import remove
from testpbx.phones import Phones
from testpbx.waiting import until

__all__ = ["native"]


@pytest.fixture
def _spoken(pbx: dict[str, Any], dialplan: Dialplan) -> Iterator[None]:
    """Two seconds and four before the end, and each warning is a tone."""
    root = Path(pbx["rootfs"])
    dialplan.set(AGI_ROUTER_WARNING="4", AGI_ROUTER_WARNING_EVERY="2")
    with restored(root):
        shorten(root)
        put_tone(root, "ends_soon")
        yield


def check_warnings(cli: Cli, phones: Phones, a: str, b: str, asterisk: Asterisk) -> str:
    """Both hear two warnings, two seconds apart; returns by which bridge they were joined."""
    x = cli.bind(a, b, "--max-duration", "6s")["x"]
    with listening() as sound, phones.listen() as callee:
        talk = phones.dial(a, x)
        assert until(lambda: bool(media_guard.joined(asterisk)), timeout=20)
        [bridge] = media_guard.joined(asterisk).values()
        (heard,) = talk.heard(timeout=30)
    assert heard.status == 200
    for phone in (heard.messages, callee.messages):
        first, second = begins(sound, phone)
        assert 1.5 < second - first < 3.5
    assert cli.record(x)["clock"] == "talk"
    return bridge


def begins(sound: Sound, phone: Any) -> list[float]:
    """When each tone began that a phone got, in seconds."""
    at = [each.timestamp() for each in tones(sound, phone)]
    return at[:1] + [later for before, later in pairwise(at) if later - before > 0.5]


@pytest.mark.usefixtures("_spoken")
def test_on_the_simple_bridge(
    cli: Cli, phones: Phones, asterisk: Asterisk, a: str, b: str
) -> None:
    """As it is shipped."""
    assert check_warnings(cli, phones, a, b, asterisk) == "simple_bridge"


@pytest.mark.usefixtures("_spoken", "native")
def test_on_the_native_bridge(
    pbx: dict[str, Any],
    cli: Cli,
    asterisk: Asterisk,
    router: Router,
    tmp_path: Path,
    a: str,
    b: str,
) -> None:
    """Behind the guard."""
    assert not router.runs
    media_guard.guard()
    try:
        with media_guard.serving(cli, AGI_ROUTER_MEDIA_PORTS=str(media_guard.PORTS)):
            phones = Phones.of_pbx(pbx, tmp_path)
            assert check_warnings(cli, phones, a, b, asterisk) == "native_rtp"
    finally:
        remove()


@pytest.mark.usefixtures("_spoken")
def test_what_is_planted_meanwhile(
    cli: Cli, phones: Phones, router: Router, dialplan: Dialplan, a: str, b: str
) -> None:
    """Each second of the talk is warned of, and nothing crosses that is beside the sound."""
    dialplan.set(AGI_ROUTER_WARNING="59", AGI_ROUTER_WARNING_EVERY="1")
    router.stop()
    with media_guard.serving(cli, AGI_ROUTER_MAX_DURATION="1m"):
        assert media_guard.leaks(cli, ["rtp-moved"]) == {"rtp-moved": []}
        with listening() as sound:
            call = phones.call(a, cli.bind(a, b)["x"], talk=3.0)
    assert len(begins(sound, call.callee)) > 1


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_hang_up_during_it(
    pbx: dict[str, Any],
    cli: Cli,
    phones: Phones,
    router: Router,
    dialplan: Dialplan,
    a: str,
    b: str,
    who: str,
) -> None:
    """Asterisk's player swallows it; the call is over for both all the same, by who hung up."""
    root = Path(pbx["rootfs"])
    dialplan.set(AGI_ROUTER_WARNING="38")
    x = cli.bind(a, b, "--max-duration", "40s")["x"]
    said = len(router.log)
    with restored(root):
        shorten(root)
        write_tone(root / "usr/share/asterisk/sounds/zh/agi-router/ends_soon.wav", 3)
        with listening() as sound:
            call = phones.call(a, x, talk=3.0, hung_up_by=who)
    for phone in (call.caller.messages, call.callee):
        assert tones(sound, phone)
        assert any(m.start_line.startswith("BYE ") for m in phone)
    record = cli.record(x)
    assert (record["outcome"], record["released_by"]) == ("answered", who)
    assert (record["clock"], record["cause"]) == (None, 16)
    # Without sound a side is given up after 30 s.
    assert record["talk_ms"] < 20_000
    assert router.says("call.left", since=said)
