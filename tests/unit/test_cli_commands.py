"""The commands are found by their names, and a process holds only the one that it runs."""

import os
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from agi_router.bindings.fields import FIELDS
from agi_router.bindings.modes import MODES
from agi_router.bindings.terms import TERMS
from agi_router.bindings.words import Mode
from agi_router.cli import serving
from agi_router.cli.commands import cli

CONTEXT = click.Context(cli, info_name="agi-router")
COMMANDS = cli.list_commands(CONTEXT)

# Settings are what a router reads when all of it is imported.
SERVE_ALONE = """
import sys
from agi_router.cli import main
from agi_router.settings import Settings
Settings.from_env = lambda _: sys.exit(print(*sys.modules))
main(["serve", "--door", "ari"])
"""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_is_found_by_its_name(name: str) -> None:
    command = cli.get_command(CONTEXT, name)

    assert command is not None
    assert command.name == name
    assert command.help
    assert "\\b" not in command.help


def leaves(command: click.Command, context: click.Context) -> Iterator[click.Context]:
    """The commands that do something, below a group or it itself."""
    if not isinstance(command, click.Group):
        yield context
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from leaves(below, click.Context(below, info_name=name, parent=context))


def test_each_shows_an_example_and_says_what_its_options_mean() -> None:
    for context in leaves(cli, CONTEXT):
        assert "Example" in context.get_help(), context.command_path
        for option in context.command.params:
            is_told = not isinstance(option, click.Option) or option.help
            assert is_told, f"{context.command_path} --{option.name}"


def test_there_is_no_other() -> None:
    assert "serve" in COMMANDS
    assert cli.get_command(CONTEXT, "workplace") is None


ROUTER = """
import sys
import agi_router.cli.serving, agi_router.doors.fastagi, agi_router.service.daemon
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
import asyncio, sys
from agi_router.ari import AriUnavailable
from agi_router.ari.http_get import http_get
from agi_router.cli import serving
from agi_router.doors.lobby import listen
(listener,) = listen("127.0.0.1", 0)
url = f"http://127.0.0.1:{listener.getsockname()[1]}"
listener.close()
try:
    asyncio.run(http_get(url, "endpoints/PJSIP", headers={}, timeout=20))
except AriUnavailable:
    print(*sys.modules)
"""


def test_the_ari_door_holds_no_other_server() -> None:
    """Each of these costs its memory for as long as it runs."""
    done = subprocess.run(
        [sys.executable, "-c", ARI_DOOR], check=True, capture_output=True, text=True
    )
    held = set(done.stdout.split())
    assert "agi_router.service.metrics" in held
    servers = {"html", "http.server", "socketserver", "urllib.request", "wsgiref"}
    clients = {"http.client", "encodings.idna"}
    assert not held & {"h11", "prometheus_client", "pystrix", *servers, *clients}


def test_a_router_holds_no_other_command_nor_what_reads_them() -> None:
    """Started as a service starts it; what it says of time zones keeps Python's Makefile away."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONTZPATH"}
    done = subprocess.run(
        [sys.executable, "-c", SERVE_ALONE],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    held = done.stdout.split()

    assert sorted(name for name in held if name.startswith("agi_router.cli.")) == [
        "agi_router.cli.context",
        "agi_router.cli.exit_codes",
        "agi_router.cli.serving",
    ]
    assert "psycopg" in held
    # What only binds, lists and shows.
    others = ("bindings.modes", "bindings.model", "bindings.terms", "consent", "persons.locks")
    stores = ("persons.store", "persons.blocklist_store", "tenants.store")
    assert not {f"agi_router.{name}" for name in (*others, *stores)} & set(held)
    assert not [name for name in held if name == "click" or name.startswith("_sysconfigdata")]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--take-over",
        "--door ari",
        "--door agi --take-over",
        "--take-over --door both",
        "--door http",
        "--door sip-messages",
    ],
)
def test_what_services_say_is_read_as_click_reads_it(words: str) -> None:
    serve = cli.get_command(CONTEXT, "serve")
    assert serve is not None
    read = serve.make_context("serve", words.split()).params
    assert serving.read(words.split()) == (read["door"], read["take_over"])


@pytest.mark.parametrize(
    "words", ["--help", "--door", "--door fax", "--door --take-over", "--fax", "ari", "--json"]
)
def test_the_rest_is_clicks(words: str) -> None:
    assert serving.read(words.split()) is None


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
