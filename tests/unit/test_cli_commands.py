"""The commands are found by their names, and a process holds only the one that it runs."""

import subprocess
import sys

import click
import pytest

from agi_router.bindings.fields import FIELDS
from agi_router.bindings.modes import MODES
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import Mode
from agi_router.cli import cli

CONTEXT = click.Context(cli, info_name="agi-router")
COMMANDS = cli.list_commands(CONTEXT)

SERVE_ALONE = """
import sys, click
from agi_router.bindings.fields import FIELDS
from agi_router.bindings.modes import MODES
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import Mode
from agi_router.cli import cli
assert cli.get_command(click.Context(cli), "serve")
print(*sorted(name for name in sys.modules if name.startswith("agi_router.cli.")))
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_is_found_by_its_name(name: str) -> None:
    command = cli.get_command(CONTEXT, name)

    assert command is not None
    assert command.name == name
    assert command.help
    assert "\\b" not in command.help


def test_there_is_no_other() -> None:
    assert "serve" in COMMANDS
    assert cli.get_command(CONTEXT, "workplace") is None


ROUTER = """
import sys
import agi_router.cli.service, agi_router.doors.fastagi, agi_router.service.daemon
print(*sorted({name.partition(".")[0] for name in sys.modules}))
print(*sorted(name for name in sys.modules if "http" in name and name.startswith("agi_router.")))
"""


def test_a_router_holds_nothing_of_the_http_door() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ROUTER], check=True, capture_output=True, text=True
    )
    libraries, ours = done.stdout.split("\n")[:2]
    assert {"psycopg", "pystrix", "websockets"} <= set(libraries.split())
    assert not {"fastapi", "pydantic", "starlette", "uvicorn"} & set(libraries.split())
    assert ours.split() == ["agi_router.ari.http_get"]


ARI_DOOR = """
import sys
import agi_router.cli.service, agi_router.service.daemon
print(*sorted(sys.modules))
"""


def test_the_ari_door_holds_no_other_server() -> None:
    """Each of these costs its memory for as long as it runs."""
    done = subprocess.run(
        [sys.executable, "-c", ARI_DOOR], check=True, capture_output=True, text=True
    )
    held = set(done.stdout.split())
    assert "agi_router.service.metrics" in held
    servers = {"html", "http.server", "socketserver", "urllib.request", "wsgiref"}
    assert not held & {"h11", "prometheus_client", "pystrix", *servers}


def test_serve_imports_no_other_command() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SERVE_ALONE], check=True, capture_output=True, text=True
    )

    assert done.stdout.split() == [
        "agi_router.cli.context",
        "agi_router.cli.exit_codes",
        "agi_router.cli.output",
        "agi_router.cli.service",
    ]


@pytest.mark.parametrize("mode", Mode)
def test_binding_by_a_mode_takes_what_its_parties_take(mode: Mode) -> None:
    """An option for each word of the mode, and for the terms; no other word."""
    group = cli.get_command(CONTEXT, "bind")
    assert isinstance(group, click.Group)
    command = group.get_command(CONTEXT, mode)
    assert command is not None
    words = {param.name for param in command.params}
    assert words - FIELDS.keys() <= {"y_on_call", "operator_digit", "same_x", "as_json"}
    own = {*MODES[mode].needs(), *MODES[mode].may()}
    terms = {term.word for term in TERMS}
    assert words & FIELDS.keys() == own | terms | {"ttl", "expires", "order", "tenant"}
