"""docs/http.md: its first example works as it stands, its tables are those of the code."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from string import Template
from typing import Any

import pytest
from starlette.testclient import TestClient
from unit.test_acts import commands

from agi_router.doors.http.app import describe_api
from agi_router.keys.file import write_key_ring
from agi_router.keys.ring import KeyRing
from agi_router.schemas.problems import DOOR, STATUSES
from harness.api_scopes import SCOPED

PAGE = (Path(__file__).parents[2] / "docs/http.md").read_text("utf-8")
PROGRAM = str(Path(sys.executable).with_name("agi-router"))


def curl(http: TestClient, line: str) -> Any:
    """What curl would do."""
    words = iter(shlex.split(line)[1:])
    method, headers, body, url = "GET", {}, None, ""
    for word in words:
        match word:
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                body = next(words)
            case _:
                url = word
    answer = http.request(method, url, headers=headers, content=body)
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def test_first_steps(http: TestClient, dsn: str, ring: KeyRing, tmp_path: Path) -> None:
    """A key is made, two parties are bound, and the binding is found."""
    write_key_ring(tmp_path / "key", ring)
    env = {"AGI_ROUTER_DSN": dsn, "AGI_ROUTER_KEY_FILE": str(tmp_path / "key")}
    commands, requests = re.findall(r"(?ms)^```sh\n(.*?)^```", PAGE)[:2]
    _, create = (shlex.split(line) for line in commands.splitlines())
    done = subprocess.run(
        [PROGRAM, *create[1:], "--json"], env=env, check=True, capture_output=True, text=True
    )
    told = {"KEY": json.loads(done.stdout)["bearer"], "URL": "http://testserver"}
    bound, listed = (curl(http, Template(line).substitute(told)) for line in requests.splitlines())
    assert listed["bindings"] == [bound]
    assert (bound["order"], bound["tenant"]) == ("A-1001", "couriers")
    shown = re.search(r"(?m)^    (\{\"id\".*), …\}$", PAGE)
    assert shown
    example = json.loads(shown[1] + "}")
    assert example == {**{k: bound[k] for k in example}, "id": example["id"], "x": example["x"]}


def test_operations() -> None:
    """The table has each, with its scope."""
    rows = re.findall(r"(?m)^\| `([A-Z]+) (/\S+)` \| `(\S+)`", PAGE)
    document = describe_api()
    assert {(method, path) for method, path, _ in rows} == {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    }
    told = {(method, re.sub(r"\{\w+\}", "{}", path)): scope for method, path, scope in rows}
    assert len(rows) == len(SCOPED)
    for method, path, scope in SCOPED:
        general = re.sub(
            r"/(70012345678-1790000000\.1|pbx1-1790000000\.1|70012345678-1|70012345678|couriers|carrier|FC1001|night-shift"
            r"|q{16}|evt_1|2026-03-01|(?:0a){32}|1)(?=/|$)",
            "/{}",
            path,
        )
        assert told[method, general] == scope.value


@pytest.mark.parametrize("code", [*DOOR, *STATUSES])
def test_problems(code: str) -> None:
    """The table has each code that a platform may meet, under its status."""
    status = DOOR[code][0] if code in DOOR else STATUSES[code]
    rows = dict(re.findall(r"(?m)^\| ([0-9, ]+) \| (`.*) \|$", PAGE))
    found = [statuses for statuses, codes in rows.items() if f"`{code}`" in codes]
    if status in {500, 503}:
        assert found in ([], [str(status)])
    else:
        assert [str(status) in each.split(", ") for each in found] == [True]


def test_what_commands_have_of_it() -> None:
    """Each command of the record stands in the table, with operations that there are."""
    table = PAGE.partition("### What commands have of it")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"(?m)^\| `([^`]+)` \| (.*) \|$", table))
    rooms = ("trace", "audit", "retention", "export-day", "recording", "migrate-x")
    assert rows.keys() == {name for name in dict(commands()) if name.partition(" ")[0] in rooms}
    paths = describe_api()["paths"]
    for command, told in rows.items():
        named = re.findall(r"`([A-Z]+) (/v1/[^`]+)`", told)
        assert named or told.startswith("no: "), command
        for method, path in named:
            assert method.lower() in paths[path], (command, path)
