"""
Calls to middle numbers of before the move to 700: nobody rings, and the caller hears why.
"""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from calls.conftest import Serving
from harness.identities import told
from harness.pbx import Cli, Dialplan
from testpbx.phones import Phones

_numbers = itertools.count(int(time.time()) % 10**6 * 10)
_SITE = """
[from-carrier]
include => agi-router-in
include => agi-router-old
"""


@pytest.mark.parametrize("door", ["ari", "agi"])
@pytest.mark.usefixtures("router")
def test_a_moved_number(
    request: pytest.FixtureRequest,
    cli: Cli,
    phones: Phones,
    dialplan: Dialplan,
    serving: Serving,
    tmp_path: Path,
    a: str,
    b: str,
    door: str,
) -> None:
    """It has changed, or is no more after the date; both are on record under the new number."""
    old = f"95{next(_numbers):09}"
    (tmp_path / "old.csv").write_text(f"old,mode,order,a,b,ttl\n{old},axb,{old},{a},{b},1d\n")
    moved = cli("migrate-x", str(tmp_path / "old.csv"), "--map", str(tmp_path / "map.csv"))
    assert moved["bound"] == 1
    new = (tmp_path / "map.csv").read_text().splitlines()[1].split(",")[1]
    # Where nobody is there by ARI, FastAGI is asked.
    nobody = "[globals](+)\nAGI_ROUTER_APP=nobody\n" if door == "agi" else ""
    dialplan.extend(nobody + _SITE)
    dialplan.enter_at("from-carrier")
    if door == "agi":
        request.getfixturevalue("fastagi")
    for dialled in (old, f"+86{old}"):
        call = phones.call(a, dialled)
        assert (call.status, call.invites) == (410, ())
    for record in cli.records(new, 2):
        assert (record["reason"], record["cause"]) == ("number_changed", 22)
        # Whose it was hears of it, whoever has the block.
        assert record["tenant"] == "default"
    assert phones.call(a, f"1{old}").status in {404, 484}
    # Who writes more than a number is refused before a router is asked, and is not on record.
    forged = told(asserted=[f"<sip:{b}@a>"])
    for dialled in (f"{new}()", f"{old}()", f"{new},{forged},,,("):
        call = phones.call(a, dialled)
        assert (call.status, call.invites) == (404, ())
    assert len(cli.records(new, 2)) == 2
    # The new number is one like any other.
    assert phones.call(a, new, talk=0.2).status == 200
    if door == "agi":
        return
    with serving(AGI_ROUTER_OLD_NUMBERS_UNTIL="2000-01-01"):
        assert phones.call(b, old).status == 404
    assert cli.records(new, 4)[0]["reason"] == "number_retired"
