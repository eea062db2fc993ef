"""What a link goes by: its pace, what comes again, who has it, its settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agi_router.bindings.reasons import Reason
from agi_router.doors.smpp import status_of
from agi_router.errors import SettingsError
from agi_router.messages.repeats import CONTENT, Repeats
from agi_router.service import process
from agi_router.service.message_server import link_options_of
from agi_router.service.process import is_gone, own_name
from agi_router.settings import Settings
from agi_router.smpp import Alphabet, IdForm, Pace, Splitting, Status

HELLO, BYE = b"h" * 32, b"b" * 32


def test_a_pace() -> None:
    """So many in a second; who comes too early waits."""
    pace = Pace(10)
    waits = []
    for _ in range(20):
        waits.append(pace.wait(100.0))
        pace.take(100.0)
    assert waits == pytest.approx([number / 10 for number in range(20)])
    assert pace.wait(200.0) == 0


def test_a_pace_that_is_too_fast() -> None:
    """It is halved once a second, down to one, and grows back."""
    pace = Pace(8)
    for now, rate in ((0.0, 4), (0.5, 4), (1.0, 2), (2.0, 1), (3.0, 1)):
        pace.throttled(now)
        assert pace.rate == rate
    pace.take(23.0)
    assert 1 < pace.rate < 2
    pace.take(300.0)
    assert pace.rate == 8
    pace.throttled(300.0)
    assert pace.rate == 4


def test_what_comes_again() -> None:
    """Only what may, once each, while it may."""
    repeats = Repeats()
    first, second = Repeats.make(HELLO, b"1" * 32), Repeats.make(HELLO, b"2" * 32)
    assert len(first) == 2 * CONTENT
    assert repeats.find(HELLO, now=0) is None
    repeats.may_return([first, second], until=10)
    repeats.may_return([first], until=10)
    assert repeats.find(BYE, now=0) is None
    assert [repeats.find(HELLO, now=5) for _ in range(3)] == [first, second, None]
    repeats.may_return([first], until=10)
    repeats.may_return([second], until=20)
    assert repeats.find(HELLO, now=15) == second
    repeats.may_return([first], until=10)
    assert repeats.find(HELLO, now=15) is None
    repeats.may_return([first], until=20)
    repeats.may_return([Repeats.make(BYE, b"3" * 32)], until=30)
    assert len(repeats) == 2
    assert repeats.find(b"another" * 9, now=25) is None
    assert len(repeats) == 1


def test_a_process_that_is_gone() -> None:
    """Its name tells, on this machine; of another machine's nobody knows."""
    code = (
        "from agi_router.service.process import own_name; print(own_name(), flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert not is_gone(name)
        other.communicate("\n")
    assert is_gone(name)
    assert not is_gone(own_name())
    world, _, _ = name.rpartition(":")[0].rpartition(":")
    assert is_gone(f"{world}:{os.getpid()}:1")
    for unknown in (f"elsewhere:{os.getpid()}:1", f"{world}:x:1", "nonsense"):
        assert not is_gone(unknown)


def test_a_process_that_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lives, though the kernel shows nothing of it."""
    name = own_name()

    def hide(_: int) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(process, "_started", hide)
    assert not is_gone(name)


def settings(tmp_path: Path, **changed: str) -> Settings:
    """Settings of a link."""
    password = tmp_path / "password"
    password.write_text("secret\n")
    password.chmod(0o600)
    given = {
        "AGI_ROUTER_SMPP_HOST": "192.0.2.3",
        "AGI_ROUTER_SMPP_SYSTEM_ID": "router",
        "AGI_ROUTER_SMPP_PASSWORD_FILE": str(password),
        **{f"AGI_ROUTER_SMPP_{name}": value for name, value in changed.items()},
    }
    return Settings.from_env({name: value for name, value in given.items() if value})


def test_the_settings_of_a_link(tmp_path: Path) -> None:
    """They say what the door needs, every word of them."""
    options = link_options_of(settings(tmp_path))
    assert (options.host, options.port, options.system_id) == ("192.0.2.3", 2775, "router")
    assert options.password == "secret"
    assert "secret" not in repr(options)
    assert options.tls is None
    assert not options.drop_refused
    assert link_options_of(settings(tmp_path, TLS="on", REFUSED="drop")).tls is not None
    for alphabet in Alphabet:
        assert link_options_of(settings(tmp_path, ALPHABET=alphabet)).alphabet is alphabet
    for form in IdForm:
        assert link_options_of(settings(tmp_path, IDS=form)).ids is form
    for splitting in Splitting:
        assert link_options_of(settings(tmp_path, SPLITTING=splitting)).splitting is splitting


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"HOST": ""}, "set AGI_ROUTER_SMPP_HOST"),
        ({"SYSTEM_ID": ""}, "set AGI_ROUTER_SMPP_SYSTEM_ID"),
        ({"PASSWORD_FILE": ""}, "set AGI_ROUTER_SMPP_PASSWORD_FILE"),
        ({"PASSWORD_FILE": "/nonexistent"}, "AGI_ROUTER_SMPP_PASSWORD_FILE cannot be read"),
        ({"TLS": "/nonexistent"}, "AGI_ROUTER_SMPP_TLS cannot be read"),
        ({"TLS": "maybe"}, "AGI_ROUTER_SMPP_TLS"),
        ({"LINK": "sip"}, "AGI_ROUTER_SMPP_LINK"),
        ({"HOST": "a b"}, "AGI_ROUTER_SMPP_HOST"),
        ({"SYSTEM_ID": "x" * 16}, "AGI_ROUTER_SMPP_SYSTEM_ID"),
        ({"ALPHABET": "utf8"}, "AGI_ROUTER_SMPP_ALPHABET"),
    ],
)
def test_settings_that_are_wrong(tmp_path: Path, changed: dict[str, str], words: str) -> None:
    """It says which."""
    with pytest.raises(SettingsError, match=words):
        link_options_of(settings(tmp_path, **changed))


def test_how_the_refused_are_answered() -> None:
    """By the table; where nobody is to learn anything, all that depends on a binding is alike."""
    for reason in Reason:
        status = status_of(reason, strict=False)
        assert status != Status.OK
        if reason.reveals_binding:
            assert status_of(reason, strict=True) == Status.PERMANENT
    assert status_of(Reason.X_UNKNOWN, strict=False) == Status.INVALID_DESTINATION
    assert status_of(Reason.PLATFORM_FAULT, strict=True) == Status.TEMPORARY
