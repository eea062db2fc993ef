"""
The table of vectors in README.md, made of the suite's own result.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["README", "with_table"]

README = Path(__file__).parent / "README.md"
BEGIN = "<!-- the table is made by test_leaks.py -->\n\n"


def with_table(
    shipped: Mapping[str, Mapping[str, Any]], naive: Mapping[str, Mapping[str, Any]]
) -> str:
    """README.md with the table of these results."""
    lines = [
        "| vector | planted | what stops it | shipped: calls, matches | naive |",
        "|---|---|---|---|---|",
    ]
    for name, row in shipped.items():
        lines.append(
            f"| {name} | {cell(row['planted'])} | {cell(row['stopped_by'])}"
            f" | {row['scenarios']}, {row['matches']} | {naive[name]['outcome']} |"
        )
    return README.read_text("utf-8").partition(BEGIN)[0] + BEGIN + "\n".join(lines) + "\n"


def cell(text: str) -> str:
    """A text that does not end its cell."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
