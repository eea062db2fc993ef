"""What people copy from documents and help: no number of a party on a command line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agi_router.cli.commands import cli

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "agi_router/*.md", "docs/*.md", "*/README.md", "tests/*/README.md")
    for path in ROOT.glob(pattern)
)
NUMBER = re.compile(r"(?<!\d)(?:\+?86)?1[3-9]\d{9}(?!\d)")
# Ranges of numbers that are nobody's are no secret.
RANGE = re.compile(r"--numbers \d+-\d+")


def commands(text: str) -> Iterator[str]:
    """Every use of the program, a continued line with what follows; the pipe before it is none."""
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if "agi-router " in line:
            yield RANGE.sub("", line[line.index("agi-router ") :])


def test_what_is_a_command() -> None:
    """A pipe into it is seen by nobody; its arguments are."""
    [piped] = commands("printf 13800000001 | agi-router bind axb --a -")
    assert not NUMBER.search(piped)
    [told] = commands("  agi-router bind axb \\\n  --a 13800000001")
    assert NUMBER.search(told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_shows_a_number_on_a_command_line(page: Path) -> None:
    """Every user of a machine sees what stands there."""
    text = page.read_text("utf-8")
    assert [each for each in commands(text) if NUMBER.search(each)] == []


def helps(command: click.Command, context: click.Context) -> Iterator[str]:
    """The help of a command and of all below it."""
    yield command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from helps(found, click.Context(found, info_name=name, parent=context))


def test_no_help_shows_a_number_on_a_command_line() -> None:
    """Nor its examples."""
    found = list(helps(cli, click.Context(cli, info_name="agi-router")))
    assert len(found) > 40
    told = [each for text in found for each in commands(text) if NUMBER.search(each)]
    assert told == []
