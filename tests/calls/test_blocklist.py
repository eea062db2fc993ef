"""
Block lists on a real Asterisk: every row of their table in docs/persons.md is a call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from calls.sound import listening
from calls.test_locks import PAGE, put_tone
from harness.pbx import Cli
from harness.prompts import restored
from testpbx.phones import Phones

_ROW = re.compile(
    r"\| (?P<entry>of the [^|]*) \| `(?P<prompt>\w+)` \| (?P<cause>\d+) \|"
    r" (?P<status>\d+) \| `(?P<reason>\w+)` \|"
)
TABLE = PAGE.split("## Block lists")[1].split("\n\n- ")[0]
ROWS = [row.groupdict() for row in _ROW.finditer(TABLE)]


@pytest.fixture(autouse=True)
def _whole(pbx: dict[str, Any]) -> Iterator[None]:
    """Prompts as they are shipped, when the test is over."""
    with restored(Path(pbx["rootfs"])):
        yield


def test_every_row_is_read() -> None:
    """And nothing else is there."""
    assert len(ROWS) == len([line for line in TABLE.splitlines() if line.startswith("| ")]) - 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["entry"])
def test_who_is_blocked(
    cli: Cli, phones: Phones, pbx: dict[str, Any], a: str, b: str, row: dict[str, str]
) -> None:
    """Nobody rings; the prompt and the cause are those of the page; removed, they talk."""
    tenant = f"blocked-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant, "--no-order", "--consent", "off")
    x = cli.bind(a, b, "--tenant", tenant, "--language", "zh")["x"]
    entry = row["entry"]
    typed = [a, b] if entry.startswith("of the caller") else [b, a]
    options = ["--person", "-", "--direction", entry.split("`")[1]]
    if "against anybody" in entry:
        typed.pop()
    else:
        options += ["--other", "-"]
    if "for the tenant" in entry:
        options += ["--tenant", tenant]
    put_tone(Path(pbx["rootfs"]), row["prompt"])

    made = cli("blocklist", "add", *options, typed=tuple(typed))
    try:
        with listening() as sound:
            call = phones.call(a, x)
    finally:
        cli("blocklist", "remove", made["id"])

    assert (call.status, call.invites) == (int(row["status"]), ())
    assert any(
        # What is nearly silent has two values, too.
        len(set(payload)) == 2 and not set(payload) & {0xD5, 0x55}
        for _, payload in sound.of(call.caller.messages)
    )
    record = cli.record(x)
    assert (record["reason"], record["cause"]) == (row["reason"], int(row["cause"]))
    assert phones.call(a, x).status == 200
