"""The tables of docs/security.md: what each attacker can do and cannot, and which tests say so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY = (ROOT / "docs" / "security.md").read_text("utf-8")
# D has lists, played line by line in tests/postgres/test_writer.py; O attacks nobody.
LETTERS = "SLAMP"


def rows(letter: str) -> list[tuple[str, str, str]]:
    """The table of an attacker: can or cannot, what, and what is said in the last column."""
    [section] = re.findall(rf"(?ms)^## {letter}: .*?\n(.*?)(?=^## |\Z)", SECURITY)
    found = re.findall(r"(?m)^\| (\w+) \| (.*?) ?\| (.*?) ?\|$", section)
    assert found[0] == ("he", "", "tested")
    return found[1:]


@pytest.mark.parametrize("letter", LETTERS)
def test_each_says_both(letter: str) -> None:
    """What cannot be done comes first, and neither half is left out."""
    kinds = [kind for kind, _, _ in rows(letter)]
    assert set(kinds) == {"can", "cannot"}
    assert kinds == sorted(kinds, reverse=True)


@pytest.mark.parametrize("letter", LETTERS)
def test_what_cannot_be_done_is_tested(letter: str) -> None:
    """Each line names a test at least."""
    missing = [
        what for kind, what, tested in rows(letter) if kind == "cannot" and not _tests(tested)
    ]
    assert missing == []


@pytest.mark.parametrize("letter", LETTERS)
def test_the_tests_are_there(letter: str) -> None:
    """By file and name."""
    named = [test for _, _, tested in rows(letter) for test in _tests(tested)]
    assert named
    for file, name in named:
        assert re.search(rf"(?m)^ *(async )?def {name}\(", (ROOT / file).read_text("utf-8")), name


def _tests(told: str) -> list[tuple[str, str]]:
    """Files and names: each name belongs to the file before it."""
    found, file = [], ""
    for word in re.findall(r"`([^`]+)`", told):
        if word.endswith(".py"):
            file = word
        elif word.startswith("test_"):
            found.append((file, word))
    return found
