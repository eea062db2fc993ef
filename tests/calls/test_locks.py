"""
Locks on a real Asterisk: every row of the first table of docs/persons.md is a call.
"""

from __future__ import annotations

import re
import secrets
import struct
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from calls.sound import listening
from harness.pbx import Cli
from harness.prompts import restored
from testpbx.phones import Phones

PAGE = (Path(__file__).parents[2] / "docs/persons.md").read_text("utf-8")
_ROW = re.compile(
    r"\| (?P<locked>the \w[^|]*|its block) \| `(?P<prompt>\w+)` \| (?P<cause>\d+) \|"
    r" (?P<status>\d+) \| `(?P<reason>\w+)` \|"
)
ROWS = [row.groupdict() for row in _ROW.finditer(PAGE)]


@pytest.fixture(autouse=True)
def _whole(pbx: dict[str, Any]) -> Iterator[None]:
    """Prompts as they are shipped, when the test is over."""
    with restored(Path(pbx["rootfs"])):
        yield


def put_tone(root: Path, prompt: str) -> None:
    """Have a tone of half a second in place of a prompt, in Mandarin."""
    file = root / f"usr/share/asterisk/sounds/zh/agi-router/{prompt}.wav"
    assert file.exists()
    new = file.with_suffix(".tone")
    with wave.open(str(new), "wb") as tone:
        tone.setnchannels(1)
        tone.setsampwidth(2)
        tone.setframerate(8000)
        # Square, 1000 Hz: two values, which no speech keeps to.
        tone.writeframes(struct.pack("<8h", *[8000] * 4, *[-8000] * 4) * 500)
    new.replace(file)


@contextmanager
def locked(cli: Cli, *options: str, typed: tuple[str, ...] = ()) -> Iterator[None]:
    """Lock something for the time of a block."""
    made = cli("lock", "set", "--reason", "misuse", *options, typed=typed)
    try:
        yield
    finally:
        cli("lock", "lift", made["id"])


def test_every_row_is_read() -> None:
    """And nothing else is there."""
    table = PAGE.split("## What a lock does")[1].split("\n\n- ")[0]
    assert len(ROWS) == len([line for line in table.splitlines() if line.startswith("| ")]) - 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["locked"])
def test_what_is_locked(
    cli: Cli, phones: Phones, pbx: dict[str, Any], a: str, b: str, row: dict[str, str]
) -> None:
    """Nobody rings; the prompt and the cause are those of the page; lifted, they talk."""
    tenant = f"locked-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant)
    x = cli.bind(a, b, "--tenant", tenant, "--language", "zh")["x"]
    what: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
        "the caller": (("--person", "-"), (a,)),
        "the caller, for the tenant": (("--person", "-", "--tenant", tenant), (a,)),
        "the callee": (("--person", "-"), (b,)),
        "the callee, for the tenant": (("--person", "-", "--tenant", tenant), (b,)),
        "the 700 number": (("--x", x), ()),
        "its block": (("--block", x[:11]), ()),
        "the tenant": (("--tenant", tenant), ()),
    }
    options, typed = what[row["locked"]]
    put_tone(Path(pbx["rootfs"]), row["prompt"])

    with locked(cli, *options, typed=typed), listening() as sound:
        call = phones.call(a, x)

    assert (call.status, call.invites) == (int(row["status"]), ())
    assert any(
        # What is nearly silent has two values, too.
        len(set(payload)) == 2 and not set(payload) & {0xD5, 0x55}
        for _, payload in sound.of(call.caller.messages)
    )
    record = cli.record(x)
    assert (record["reason"], record["cause"]) == (row["reason"], int(row["cause"]))
    assert phones.call(a, x).status == 200
