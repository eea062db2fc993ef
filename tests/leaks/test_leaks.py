"""
The leak suite: nothing gets through the shipped PBX; the naive one shows that it would be seen.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from agi_router.leaktest.callers import Sighting
from agi_router.leaktest.identities import IDENTITIES, Identity, Taken
from agi_router.leaktest.vectors import VECTORS
from leaks.conftest import BLOCK, NUMBERS, agi_router, leaktest
from leaks.table import README, with_table

Report = dict[str, dict[str, Any]]

NAMES = [vector.name for vector in VECTORS]
REFUSED = {vector.name for vector in VECTORS if vector.refused}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_gets_through(shipped: Report, name: str) -> None:
    """Both ways, by both modes, with and without early media; every call went as it should."""
    row = shipped[name]

    assert row["faults"] == []
    assert row["findings"] == []
    assert row["scenarios"] == 8


@pytest.mark.parametrize("name", NAMES)
def test_one_call_goes_out_for_each_admitted(shipped: Report, name: str) -> None:
    """Whatever the callee answers; to nobody else, which would be a finding."""
    assert shipped[name]["invites"] == (0 if name in REFUSED else 8)


def test_nothing_gets_through_where_the_caller_hears_a_ringing_tone(
    serving: dict[str, Any],
) -> None:
    """As shipped: no sound before the answer, and a 180 where the callee sends 183."""
    vectors = [word for name in ("from-name", "cancel") for word in ("--vector", name)]
    report = leaktest(serving, *vectors)

    assert report["ok"], report
    rows = {row["vector"]: row for row in report["vectors"]}
    assert [rows[name]["faults"] for name in ("from-name", "cancel")] == [[], []]
    assert [rows[name]["scenarios"] for name in ("from-name", "cancel")] == [8, 8]


@pytest.mark.parametrize("door", ["ari", "fastagi"])
@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.name)
def test_who_is_the_caller(
    doors: dict[str, Report],
    door: str,
    identity: Identity,
) -> None:
    """At either door: whoever the carrier says, or nobody; never whom a caller names."""
    seen = doors[door][identity.name]
    party = identity.taken_for in {Taken.A, Taken.B}
    expected = identity.taken_for.value if party else "nobody (403)"

    assert seen == {
        "identity": identity.name,
        "must_be": identity.taken_for.value,
        "taken_for": expected,
        "somebody_else": False,
        "fault": "",
    }


@pytest.mark.parametrize(
    "name",
    [
        "pai-two-strangers-in-one-line",
        "pai-disagreement",
        "privacy-id-critical",
        "remote-party-id-from",
    ],
)
def test_whom_the_naive_pbx_takes_for_the_caller(
    naive_identities: dict[str, Sighting], name: str
) -> None:
    """A PBX that leaves it to Asterisk takes strangers for parties: this test would see it."""
    assert naive_identities[name].somebody_else


def test_the_suite_is_not_blind(naive: Report) -> None:
    """A PBX that masks From and nothing else leaks in many ways, to either side and elsewhere."""
    leaking = {name for name, row in naive.items() if row["outcome"] != "clean"}
    reached = {
        word for row in naive.values() for word in row["outcome"].split(": ")[-1].split(", ")
    }

    assert len(leaking) >= 8
    assert reached == {"callee", "caller", "elsewhere", "clean"}


@pytest.mark.parametrize(
    "name",
    [
        "from-name",
        "p-asserted-identity",
        "remote-party-id",
        "diversion",
        "history-info",
        "media-address",
        "forwarded-before",
        "redirect-302-sip",
        "refusal-486",
        "update",
        "reinvite",
        "hold",
        "refer",
        "message",
        "replaces",
    ],
)
def test_what_the_naive_pbx_leaks(naive: Report, name: str) -> None:
    """What must be found, lest a part of the suite goes blind unnoticed."""
    assert naive[name]["outcome"].startswith("leaks")


def test_the_result_in_a_line(shipped: Report, naive: Report, doors: dict[str, Report]) -> None:
    """It is left where tests/run asks for it."""
    seen = [row for door in doors.values() for row in door.values()]
    others = sum(row["somebody_else"] for row in seen)
    scenarios = sum(row["scenarios"] for row in shipped.values())
    matches = sum(row["matches"] for row in shipped.values())
    planted = sum(row["outcome"] != "clean" for row in naive.values())
    if file := os.environ.get("LEAKS_SUMMARY"):
        Path(file).write_text(
            f"scenarios {scenarios}, matches {matches}, planted leaks found {planted}\n"
            f"identities {len(seen)}, taken for somebody else {others}\n",
            "utf-8",
        )

    assert scenarios == 8 * len(VECTORS)
    assert len(seen) == 2 * len(IDENTITIES) >= 40
    assert sum(row["scenarios"] for row in naive.values()) == 2 * len(VECTORS)


def test_a_leak_is_of_its_vector(naive: Report) -> None:
    """Where a PBX relays nothing of what is planted nothing is found, however much else leaks."""
    assert naive["user-agent"]["outcome"] == naive["sdp-phone"]["outcome"] == "clean"


def test_the_table_in_the_docs_is_the_result(
    shipped: Report,
    naive: Report,
    doors: dict[str, Report],
    naive_identities: dict[str, Sighting],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """README.md says what was seen."""
    expected = with_table(shipped, naive, doors, naive_identities)

    if README.read_text("utf-8") != expected:
        made = tmp_path_factory.mktemp("table") / "README.md"
        made.write_text(expected, "utf-8")
        pytest.fail(f"the table is of another result: cp {made} {README}")


def test_its_bindings_are_ended(serving: dict[str, Any], shipped: Report) -> None:
    """What the command has bound, it has unbound."""
    assert shipped
    alive = json.loads(agi_router(serving, "list", "--json").stdout)
    assert [binding for binding in alive if binding["order_id"] == "leaktest"] == []


def test_a_call_elsewhere_is_a_leak(serving: dict[str, Any], tmp_path: Path) -> None:
    """What arrives at a phone's address, but is for nobody there, makes the command end with 1."""
    done = agi_router(
        serving,
        *("leaktest", "--numbers", NUMBERS, "--vector", "subject", "--captures", str(tmp_path)),
        # The PBX is our own far side: what callers say comes back to us.
        *("--pbx", "127.0.0.1:5090"),
    )

    assert done.returncode == 1
    assert "leaks: elsewhere" in done.stdout
    assert re.search(r"^scenarios 8, matches [0-9]+, faults 8$", done.stdout, re.MULTILINE)
    assert re.search(r"^subject: [0-9]+ more \(see --json\)$", done.stdout, re.MULTILINE)
    assert not re.search(r"1380157\d{4}", done.stdout)
    assert len(list(tmp_path.rglob("caller.messages"))) == 8


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["--numbers", "13800001000"], 2, "FIRST-LAST"),
        (["--numbers", "13800001000-138"], 2, "11 digits"),
        (["--numbers", "13800001000-13800001001"], 2, "at least 3 numbers"),
        (["--numbers", "13800001000-13800001002", "--pbx", "here"], 2, "127.0.0.1:5060"),
        (["--numbers", "13800001000-13800001002", "--vector", "x"], 2, "there are: from-name"),
        (["--numbers", "13800001000-13800001002", "--near", "192.0.2.1:5070"], 69, "listen"),
    ],
)
def test_wrong_usage(serving: dict[str, Any], arguments: list[str], code: int, error: str) -> None:
    """Said in a line, before anything is called."""
    done = agi_router(serving, "leaktest", *arguments)

    assert (done.returncode, done.stdout) == (code, "")
    assert error in done.stderr
    assert BLOCK not in done.stderr


def test_without_sipp(serving: dict[str, Any], tmp_path: Path) -> None:
    """It says what to install."""
    (tmp_path / "agi-router").symlink_to(
        next(
            Path(folder, "agi-router")
            for folder in serving["env"]["PATH"].split(os.pathsep)
            if Path(folder, "agi-router").exists()
        )
    )
    alone = {**serving, "env": {**serving["env"], "PATH": str(tmp_path)}}

    done = agi_router(alone, "leaktest", "--numbers", "13800001000-13800001002")

    assert done.returncode == 69
    assert "sip-tester" in done.stderr
