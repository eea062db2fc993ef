"""
Sets of prompts: a binding's own is heard, and where it lacks one, that which is shipped.
"""

import struct
import wave
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from calls.sound import listening
from harness.pbx import Cli
from harness.prompts import forget, restored
from testpbx.phones import Phones

_NAME = "calls-test"


@pytest.fixture(autouse=True)
def _whole(pbx: dict[str, Any]) -> Iterator[None]:
    """Prompts as they are shipped."""
    with restored(Path(pbx["rootfs"])):
        yield


@pytest.fixture
def prompts(pbx: dict[str, Any], database: psycopg.Connection[Any]) -> Iterator[str]:
    """A set with two prompts, a tone of half a second each, in Mandarin."""
    folder = Path(pbx["rootfs"]) / "usr/share/asterisk/sounds/zh/agi-router" / _NAME
    folder.mkdir(exist_ok=True)
    files = [folder / f"{name}.wav" for name in ("one_way", "party_changed")]
    for file in files:
        with wave.open(str(file), "wb") as tone:
            tone.setnchannels(1)
            tone.setsampwidth(2)
            tone.setframerate(8000)
            # Square, 1000 Hz: two values, which no speech keeps to.
            tone.writeframes(struct.pack("<8h", *[8000] * 4, *[-8000] * 4) * 500)
    yield _NAME
    for file in files:
        file.unlink()
    folder.rmdir()
    forget(database, _NAME)


def tones(heard: list[tuple[Any, bytes]]) -> list[bool]:
    """Whether each packet is of the tone; what is nearly silent has two values too."""
    return [len(set(payload)) == 2 and not set(payload) & {0xD5, 0x55} for _, payload in heard]


@pytest.mark.parametrize(("language", "own"), [("zh", True), ("en", False)])
def test_a_prompt_of_the_set(
    cli: Cli, phones: Phones, prompts: str, a: str, b: str, language: str, *, own: bool
) -> None:
    """It is heard in place of the shipped one, in the language that it is there for."""
    x = cli.bind(a, b, "--prompts", prompts, "--direction", "a", "--language", language)["x"]

    with listening() as sound:
        call = phones.call(b, x)

    assert (call.status, cli.record(x)["reason"]) == (403, "wrong_direction")
    heard = tones(sound.of(call.caller.messages))
    assert any(heard) is own
    assert len(heard) > 10


def test_a_number_with_a_new_owner(
    cli: Cli, phones: Phones, prompts: str, a: str, b: str, tmp_path: Path
) -> None:
    """By a feed: the other party hears that the number may have changed, and nobody rings."""
    binding = cli.bind(a, b, "--prompts", prompts)
    name, x = f"calls-{binding['id']}", binding["x"]
    cli("feed", "add", name)
    file = tmp_path / "feed.csv"
    file.write_text(f"number,status,date\n{b},reissued,{datetime.now(UTC).isoformat()}\n")
    [report] = cli("feed", "run", name, str(file))
    assert report["ended"] == 1

    with listening() as sound:
        call = phones.call(a, x)

    assert (call.status, call.invites) == (480, ())
    assert cli.record(x)["reason"] == "party_recycled"
    assert any(tones(sound.of(call.caller.messages)))

    # Whoever has the number now is a stranger, where nobody else is bound on it either.
    assert phones.call(b, x).status == 403
    assert cli.records(x, 2)[0]["reason"] in {"stranger", "no_binding"}


def test_a_prompt_that_the_set_lacks(
    cli: Cli, phones: Phones, prompts: str, a: str, b: str
) -> None:
    """The shipped one is heard."""
    binding = cli.bind(a, b, "--prompts", prompts)
    cli("unbind", binding["id"])

    with listening() as sound:
        call = phones.call(b, binding["x"])

    assert (call.status, cli.record(binding["x"])["reason"]) == (403, "unbound")
    heard = sound.of(call.caller.messages)
    assert len(heard) > 50
    assert not any(tones(heard))
