"""Whatever a command or an operation of HTTP changes is on record."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from agi_router.cli import COMMANDS
from agi_router.cli.commands import cli
from agi_router.doors import http

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
    name = getattr(callback, "__name__", "")
    return reaches(
        functions_of(inspect.getsource(module)),
        name,
        lambda node: (
            (isinstance(node, ast.keyword) and node.arg == "act")
            or (isinstance(node, ast.Name) and node.id in RECORDS)
        ),
    )


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(source: str) -> dict[str, Function]:
    """The functions of a module, by their names."""
    return {each.name: each for each in ast.parse(source).body if isinstance(each, Function)}


def reaches(
    functions: dict[str, Function], name: str, is_wanted: Callable[[ast.AST], bool]
) -> bool:
    """Whether something stands in a function, or in one of its module that it names."""
    todo, seen = [name], set[str]()
    while todo:
        name = todo.pop()
        if name in seen or name not in functions:
            continue
        seen.add(name)
        for node in ast.walk(functions[name]):
            if is_wanted(node):
                return True
            if isinstance(node, ast.Name):
                todo.append(node.id)
    return False


def operations() -> Iterator[tuple[str, bool]]:
    """Each operation of HTTP that is no GET, and whether it writes to the audit."""
    for module in sorted(Path(http.__path__[0]).glob("*.py")):
        functions = functions_of(module.read_text("utf-8"))
        for name, function in functions.items():
            for said in function.decorator_list:
                if (
                    isinstance(said, ast.Call)
                    and ast.unparse(said.func).startswith("router.")
                    and ast.unparse(said.func) != "router.get"
                ):
                    method = ast.unparse(said.func).removeprefix("router.").upper()
                    path = ast.literal_eval(said.args[0])
                    yield f"{method} /v1{path}", reaches(functions, name, _is_audit)


def _is_audit(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in {"audit", "audit_reveal"}


FOUND = dict(commands())


@pytest.mark.parametrize("name", sorted(set(FOUND) - READS))
def test_what_changes_something_is_on_record(name: str) -> None:
    """In the transaction that does it, or before."""
    assert records(FOUND[name]), "it records nothing: see agi_router/cli/acts.py"


def test_what_reads() -> None:
    """The list has no command that is not there."""
    assert set(FOUND) >= READS


def test_operations_of_http() -> None:
    """Each is on record, reads, or is named by the page as one that machines do without a row."""
    found = dict(operations())
    assert len(found) > 80
    page = (Path(__file__).parents[2] / "docs/security.md").read_text("utf-8")
    (table,) = re.findall(r"(?ms)^\| by HTTP, without a row \|.*?\n\n", page)
    told = set(re.findall(r"`((?:POST|PUT|PATCH|DELETE) [^`]+)`", table))
    reads = {name for name in found if name.endswith("/explanations")}
    assert told == {name for name, recorded in found.items() if not recorded} - reads
