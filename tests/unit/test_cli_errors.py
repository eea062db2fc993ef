"""The command line's errors: one line, and no number in it, wherever one was put by mistake."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from agi_router.cli import main
from agi_router.settings import Settings

NUMBER = "13912345678"


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    before = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:], root.level, sys.excepthook = *before, hook


def error_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Run a command that must fail; return its exit code and what it said."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    said = capsys.readouterr()
    assert said.out == ""
    return ended.value.code, said.err


@pytest.mark.parametrize(
    "arguments",
    [
        (NUMBER,),
        ("bind", NUMBER),
        ("show", "1", f"+86{NUMBER}"),
        ("bind", "axb", f"--{NUMBER}"),
        ("bind", "axb", "--count", NUMBER),
        ("list", "--limit", "139 1234 5678"),
    ],
)
def test_what_is_not_understood_is_told_masked(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    code, said = error_of(capsys, *arguments)

    assert code == 2
    assert "139****5678" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("consent", "give", "--person", "1", "--tenant", "t"),
            "'--how'. Choose from: app, paper, spoken (see",
        ),
        (("lock", "show", "x"), "a lock's id is a whole number, as 'agi-router lock list' shows"),
        (("appeal", "file", "--lock", "x"), "as 'agi-router lock list' shows"),
        (("appeal", "list", "--lock", "x"), "as 'agi-router lock list' shows"),
        (("appeal", "show", "x"), "an appeal's id is a whole number, as 'agi-router appeal list'"),
        (("complaint", "dismiss", "x"), "a complaint's id is a whole number, as 'agi-router comp"),
    ],
)
def test_what_is_wrong_is_told_with_its_remedy(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    """On one line, and by the command that lists such things."""
    code, said = error_of(capsys, *arguments)

    assert code == 2
    assert told in said


def test_numbers_come_from_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line for each -, in the order of the options; too few is wrong usage."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{NUMBER}\n\n"))

    code, said = error_of(capsys, "bind", "axb", "--b", "-", "--a", "-")

    assert code == 2
    assert "'--a': standard input has no line for it" in said


def test_a_defect_is_told_masked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that nobody expected: a traceback on one line, without the number in it."""

    def broken(*_: object) -> Settings:
        raise ValueError(f"no such party: {NUMBER}")

    monkeypatch.setattr(Settings, "from_env", broken)

    code, said = error_of(capsys, "settings")

    assert code == 70
    assert "ValueError: no such party: 139****5678" in said
    assert NUMBER not in said
    assert said.count("\n") == 1
