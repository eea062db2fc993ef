"""
The tables of docs/modes.md, read: every row is a call, or this fails.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/modes.md").read_text("utf-8")

_HEAD = "| who dials | what | rings | who is shown |"
_WHO = re.compile(
    r"(?P<who>A|B|a stranger|the \w+ member)"
    r"(?:, after (?P<before>A|a stranger|the \w+ member) has called"
    r"(?P<over> and the time is over)?)?"
    r"(?:, with `(?P<options>[^`]+)`)?"
)
_WHAT = re.compile(r"(?P<number>X|Y)(?:, then (?P<types>nothing|[0-9]+(?: and [0-9]+)*))?")
_RINGS = re.compile(
    r"nobody: `(?P<reason>\w+)`|(?P<rings>A|B|the \w+ member|all members at once"
    r"|all members in turn|the stranger|the fixed number)"
)
_SHOWN = re.compile(r"(?P<shown>X|Y|a new Y|nobody)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table."""

    text: str
    who: str
    before: str | None
    """Who has called before."""
    over: bool
    """Whether the time of the last caller, or of Y, is over since."""
    options: tuple[str, ...]
    number: str
    types: tuple[str, ...]
    reason: str | None
    """Why nobody rings."""
    rings: str | None
    shown: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table, and the command that makes its binding."""

    heading: str
    command: tuple[str, ...]
    rows: tuple[Row, ...]


def tables() -> list[Table]:
    """Every table of the page."""
    found = []
    for section in re.split(r"(?m)^## ", PAGE)[1:]:
        if _HEAD not in section:
            assert not re.search(r"(?m)^\|", section), "a table of another form"
            continue
        heading, _, body = section.partition("\n")
        [command] = re.findall(r"(?m)^    agi-router (bind .*)$", body)
        lines = [line for line in body.splitlines() if line.startswith("|")]
        assert lines[0] == _HEAD
        rows = tuple(map(_row, lines[2:]))
        found.append(Table(heading=heading, command=tuple(shlex.split(command)), rows=rows))
    return found


def _row(line: str) -> Row:
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert len(cells) == 4, line
    matches = [
        pattern.fullmatch(cell)
        for pattern, cell in zip((_WHO, _WHAT, _RINGS, _SHOWN), cells, strict=True)
    ]
    read: dict[str, str | None] = {}
    for match, cell in zip(matches, cells, strict=True):
        assert match is not None, f"{cell!r} is not understood, in: {line}"
        read |= match.groupdict()
    assert (read["reason"] is None) is (read["shown"] is not None), line
    types = read["types"] or ""
    return Row(
        text=line,
        who=str(read["who"]),
        before=read["before"],
        over=read["over"] is not None,
        options=tuple(shlex.split(read["options"] or "")),
        number=str(read["number"]),
        types=("#",) * 3 if types == "nothing" else tuple(_typed(types)),
        reason=read["reason"],
        rings=read["rings"],
        shown=read["shown"],
    )


def _typed(text: str) -> list[str]:
    """A short extension is ended by #; one of four digits ends by itself."""
    return [each if len(each) == 4 else f"{each}#" for each in text.split(" and ") if each]
