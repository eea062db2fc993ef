"""What commands print: a terminal shows it, and does not obey it."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path

import click
import pytest

import agi_router
from agi_router.cli.arguments import NUMBER
from agi_router.cli.output import echo, echo_json, echo_pairs, echo_table

# CSI of 7 and 8 bits, OSC, what turns the direction, an end of line, DEL.
EVIL = "a\x1b[31m\x9b2J\x1b]0;owned\x07\u202e\u2028\x7f\rb"
COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")


def test_json_shows_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Characters are escaped as JSON does it: a program reads what was there."""
    value = {"order": EVIL, EVIL: [EVIL, "订单"], "line": "a\nb"}
    echo_json(value)
    text = capsys.readouterr().out
    assert not COMMANDS.search(text)
    assert json.loads(text) == value
    assert "订单" in text


def test_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Tables, pairs and plain lines, to standard error too; ends of lines of ours stay."""
    echo(f"one {EVIL}\ntwo\tthree")
    echo(EVIL, err=True)
    echo_pairs({"order": EVIL, "parts": [EVIL]})
    echo_table(("order",), [(EVIL,)], empty="none")
    said = capsys.readouterr()
    assert not COMMANDS.search(said.out + said.err)
    assert said.out.startswith("one a\\u001b[31m")
    assert "\ntwo\tthree\n" in said.out
    assert len(said.out.splitlines()) == 6


def test_fields_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """Names of fields are words, what is empty is a dash, and nothing looks like a program."""
    echo_pairs({"call_limits": {"caller": "30/1h", "tenant": "100/1s"}, "none": {}})
    echo_table(("checked_at", "missing"), [("then", [])], empty="none")
    assert capsys.readouterr().out.splitlines() == [
        "call limits  caller 30/1h, tenant 100/1s",
        "none         -",
        "CHECKED AT  MISSING",
        "then        -",
    ]


def test_all_is_printed_here() -> None:
    """No command prints by itself, but for a CSV file and what click prints of its own."""
    sources = Path(agi_router.__file__).parent.joinpath("cli").glob("*.py")
    printing = [
        path.name
        for path in sources
        if re.search(r"click\.s?echo\(|\bprint\(", path.read_text("utf-8"))
    ]
    assert printing == ["output.py"]


def test_a_line_without_end_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A number on standard input: as much as the longest group takes, and no more."""
    there = io.StringIO("1" * 1_000_000)
    monkeypatch.setattr(sys, "stdin", there)
    with pytest.raises(click.UsageError, match="a line of more than 8192 characters"):
        NUMBER.convert("-", None, None)
    assert there.tell() == 8193
    monkeypatch.setattr(sys, "stdin", io.StringIO("x" * 8191 + "\n"))
    assert NUMBER.convert("-", None, None) == "x" * 8191
