"""Whatever a command changes is on record."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from typing import Any

import click
import pytest

from agi_router.cli import COMMANDS
from agi_router.cli.commands import cli

# They change nothing that is kept, or are no acts of a person.
READS = {
    "api-key list",
    "blocklist list",
    "party-group list",
    "party-group show",
    "tenant check show",
    "tenant texts show",
    "audit list",
    "audit new-key",
    "audit sign",
    "audit verify",
    "block list",
    "block show",
    "cell export",
    "cell list",
    "cell status",
    "calls",
    "consent list",
    "db migrate",
    "db status",
    "deliver",
    "doctor",
    "events list",
    "events show",
    "explain",
    "key list",
    "key new",
    "leaktest",
    "media-guard check",
    "media-guard print",
    "media-guard watch",
    "link list",
    "list",
    "lock list",
    "appeal list",
    "appeal show",
    "feed outbound list",
    "message show",
    "messages",
    "number-range list",
    "complaint count",
    "complaint list",
    "person real-name list",
    "pool list",
    "pool show",
    "pool size",
    "recording keep",
    "recording list",
    "recording show",
    "retention hold list",
    "retention proofs",
    "retention show",
    "serve",
    "settings",
    "setup",
    "show",
    "sweep",
    "tenant list",
    "webhook list",
    "webhook show",
}
RECORDS = {"Audit", "AuditEntry", "acting", "changing", "record_act"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command, by its words."""
    context = click.Context(cli)
    for name in sorted(COMMANDS):
        found = cli.get_command(context, name)
        assert found is not None
        yield from _leaves(name, found)


def _leaves(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield name, command
        return
    for word, each in command.commands.items():
        yield from _leaves(f"{name} {word}", each)


def records(command: click.Command) -> bool:
    """Whether a command, or a function of its file that it calls, writes to the audit."""
    callback: Any = inspect.unwrap(command.callback)  # type: ignore[arg-type]
    callback = getattr(callback, "func", callback)
    module = sys.modules[callback.__module__]
    functions = {
        each.name: each
        for each in ast.parse(inspect.getsource(module)).body
        if isinstance(each, ast.FunctionDef)
    }
    todo, seen = [getattr(callback, "__name__", "")], set()
    while todo:
        name = todo.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            if isinstance(node, ast.keyword) and node.arg == "act":
                return True
            if isinstance(node, ast.Name):
                if node.id in RECORDS:
                    return True
                todo.append(node.id)
    return False


FOUND = dict(commands())


@pytest.mark.parametrize("name", sorted(set(FOUND) - READS))
def test_what_changes_something_is_on_record(name: str) -> None:
    """In the transaction that does it, or before."""
    assert records(FOUND[name]), "it records nothing: see agi_router/cli/acts.py"


def test_what_reads() -> None:
    """The list has no command that is not there."""
    assert set(FOUND) >= READS
