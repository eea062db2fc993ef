"""
Consent and qualification on a real Asterisk: every row of the last table of docs/consent.md.
"""

from __future__ import annotations

import re
import secrets
from functools import partial
from pathlib import Path

import pytest

from calls.test_locks import is_up
from harness.pbx import Cli
from testpbx.phones import Phones
from testpbx.waiting import until

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


def test_the_call_of_whoever_withdraws_is_cut(cli: Cli, phones: Phones, a: str, b: str) -> None:
    """By ARI, where that is said; both sides are told so, and the record says why."""
    tenant = f"agreed-{secrets.token_hex(4)}"
    cli("tenant", "add", tenant)
    x = cli.bind(a, b, "--tenant", tenant, "--order", "A-1", "--consent", "app")["x"]
    with phones.listen():
        talk = phones.dial(a, x)
        assert until(partial(is_up, talk), timeout=60)
        cli("consent", "withdraw", "--cut", "--person", "-", "--tenant", tenant, typed=(b,))
        (heard,) = talk.heard(timeout=60)
    assert heard.status == 200
    assert any(m.method == "BYE" and not m.sent for m in heard.messages)
    record = cli.record(x)
    assert (record["outcome"], record["released_by"], record["cut"]) == (
        "answered",
        "us",
        "consent_withdrawn",
    )
