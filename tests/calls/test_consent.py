"""
Consent and qualification on a real Asterisk: every row of the last table of docs/consent.md.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

import pytest

from harness.pbx import Cli
from testpbx.phones import Phones

PAGE = (Path(__file__).parents[2] / "docs/consent.md").read_text("utf-8")
_ROW = re.compile(
    r"\| the (?P<over>\w+)'s [^|]+ \| `(?P<prompt>\w+)` \| (?P<cause>\d+) \| (?P<status>\d+) \|"
    r" `(?P<reason>\w+)` \|"
)
ROWS = [row.groupdict() for row in _ROW.finditer(PAGE)]


def test_every_row_is_read() -> None:
    """And nothing else is there."""
    table = PAGE.split("| what is over |")[1]
    assert len(ROWS) == len([line for line in table.splitlines() if line.startswith("| ")]) == 3


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["over"])
def test_what_is_over(cli: Cli, phones: Phones, a: str, b: str, row: dict[str, str]) -> None:
    """Nobody rings, and the cause is that of the page."""
    tenant = f"agreed-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant)
    x = cli.bind(a, b, "--tenant", tenant, "--order", "A-1", "--consent", "app")["x"]
    if row["over"] == "tenant":
        cli("tenant", "qualify", tenant, "--until", "2020-01-01")
    else:
        person = a if row["over"] == "caller" else b
        said = cli("consent", "withdraw", "--person", "-", "--tenant", tenant, typed=(person,))
        assert len(said["ended"]) == 1
    call = phones.call(a, x)
    assert (call.status, call.invites) == (int(row["status"]), ())
    record = cli.record(x)
    assert (record["reason"], record["cause"]) == (row["reason"], int(row["cause"]))
