"""
The table of vectors in README.md, made of the suite's own result.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agi_router.leaktest.callers import Sighting
from agi_router.leaktest.identities import IDENTITIES, Identity

__all__ = ["README", "with_table"]

_LONGEST = 100

README = Path(__file__).parent / "README.md"
BEGIN = "<!-- the table is made by test_leaks.py -->\n\n"


def with_table(
    shipped: Mapping[str, Mapping[str, Any]],
    naive: Mapping[str, Mapping[str, Any]],
    doors: Mapping[str, Mapping[str, Mapping[str, Any]]],
    naive_identities: Mapping[str, Sighting],
) -> str:
    """README.md with the tables of these results."""
    lines = [
        "| vector | planted | what stops it | shipped: calls, matches | naive |",
        "|---|---|---|---|---|",
    ]
    for name, row in shipped.items():
        lines.append(
            f"| {name} | {cell(row['planted'])} | {cell(row['stopped_by'])}"
            f" | {row['scenarios']}, {row['matches']} | {naive[name]['outcome']} |"
        )
    lines += [
        "",
        "## Who is the caller taken for",
        "",
        "Each at both doors, ARI and FastAGI. A and B are bound with each other, C with nobody.",
        "",
        "| identity | header lines | must be | shipped: ARI, FastAGI | naive |",
        "|---|---|---|---|---|",
    ]
    for identity in IDENTITIES:
        seen = ", ".join(door[identity.name]["taken_for"] for door in doors.values())
        lines.append(
            f"| {identity.name} | {said(identity)} | {identity.taken_for.value} | {seen}"
            f" | {naive_identities[identity.name].outcome} |"
        )
    return README.read_text("utf-8").partition(BEGIN)[0] + BEGIN + "\n".join(lines) + "\n"


def said(identity: Identity) -> str:
    """The header lines of an identity, long ones cut."""
    lines = (identity.sender, *identity.headers)
    texts = [line.format(a="A", b="B", c="C").replace("\r\n", "↵") for line in lines]
    return "<br>".join(
        f"`{text if len(text) < _LONGEST else text[:_LONGEST] + '…'}`".replace("|", "\\|")
        for text in texts
    )


def cell(text: str) -> str:
    """A text that does not end its cell."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
