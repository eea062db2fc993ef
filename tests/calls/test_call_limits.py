"""
Hours, rates and one's own number on a real Asterisk: every row of docs/limits.md is a call.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from agi_router.bindings.words import Side
from agi_router.db.connection import connect
from agi_router.keys.file import load_key_ring
from agi_router.keys.registry import check_keys
from agi_router.keys.ring import Purpose, Row
from agi_router.numbers import PhoneNumber
from calls.sound import listening
from calls.test_locks import put_tone
from harness.pbx import Cli
from harness.prompts import restored
from testpbx.phones import Phones

PAGE = (Path(__file__).parents[2] / "docs/limits.md").read_text("utf-8")
_ROW = re.compile(
    r"\| (?P<call>[^|`]*) \| `(?P<prompt>\w+)` \| (?P<cause>\d+) \|"
    r" (?P<status>\d+) \| `(?P<reason>\w+)` \|"
)
ROWS = [row.groupdict() for row in _ROW.finditer(PAGE)]
_ZONE = timezone(timedelta(hours=8))


@pytest.fixture(autouse=True)
def _whole(pbx: dict[str, Any]) -> Iterator[None]:
    """Prompts as they are shipped, when the test is over."""
    with restored(Path(pbx["rootfs"])):
        yield


def other_hours() -> str:
    """An hour of another day in Shanghai."""
    day = datetime.now(UTC).astimezone(_ZONE) + timedelta(days=3)
    return f"{day:%a} 09:00-10:00".lower()


@contextmanager
def turned_back(
    cli: Cli, pbx: dict[str, Any], caller: str, made: dict[str, Any]
) -> Iterator[None]:
    """Let a binding's number lead to who dials it, for a time: no command does."""
    person, x = PhoneNumber.parse(caller), int(made["x"])
    with connect(pbx["dsn"]) as connection:
        ring = check_keys(connection, load_key_ring(Path(cli.env["AGI_ROUTER_KEY_FILE"])))
        tag = ring.tag(person)
        row = Row(int(made["id"].partition("-")[2]), x, tag, Side.A, shown=x)
        old = connection.execute(
            "SELECT callee, callee_tags FROM agi_router.route"
            " WHERE x_number = %s AND caller_tag = %s",
            (x, tag),
        ).fetchone()
        assert old is not None
        change = (
            "UPDATE agi_router.route SET callee = %s, callee_tags = %s"
            " WHERE x_number = %s AND caller_tag = %s"
        )
        sealed = ring.seal([person], row, Purpose.CALLEE)
        connection.execute(change, (sealed, [tag], x, tag))
        try:
            yield
        finally:
            # Whoever rotates the keys would find a row that is not its party's.
            connection.execute(change, (old["callee"], old["callee_tags"], x, tag))


def test_every_row_is_read() -> None:
    """And nothing else is there."""
    table = PAGE.split("\n\nAll are off")[0]
    assert len(ROWS) == len([line for line in table.splitlines() if line.startswith("| ")]) - 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["call"])
def test_what_is_limited(
    cli: Cli, phones: Phones, pbx: dict[str, Any], a: str, b: str, row: dict[str, str]
) -> None:
    """Nobody rings; the prompt and the cause are those of the page."""
    tenant = f"limited-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant, "--no-order", "--consent", "off")
    terms = ["--tenant", tenant, "--language", "zh"]
    if "binding's hours" in row["call"]:
        terms += ["--hours", other_hours()]
    made = cli.bind(a, b, *terms)
    limits = {
        "rate_caller": "--caller",
        "rate_callee": "--callee",
        "rate_x": "--number",
        "rate_tenant": "--all",
    }
    if row["reason"] in limits:
        cli("tenant", "calls", tenant, limits[row["reason"]], "1/1h")
        assert phones.call(a, made["x"]).status == 200
    elif "tenant's hours" in row["call"]:
        cli("tenant", "hours", tenant, other_hours())
    put_tone(Path(pbx["rootfs"]), row["prompt"])
    forged = turned_back(cli, pbx, a, made) if row["reason"] == "self_call" else nullcontext()

    with forged, listening() as sound:
        call = phones.call(a, made["x"])

    assert (call.status, call.invites) == (int(row["status"]), ())
    assert any(
        # What is nearly silent has two values, too.
        len(set(payload)) == 2 and not set(payload) & {0xD5, 0x55}
        for _, payload in sound.of(call.caller.messages)
    )
    # The first one went through, where there is a rate.
    record = cli.records(made["x"], 1 + (row["reason"] in limits))[0]
    assert (record["reason"], record["cause"]) == (row["reason"], int(row["cause"]))
