"""
The page that people follow, as what can be run: blocks of commands, in order.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "install.md"


@dataclass(frozen=True, slots=True)
class Block:
    """One block of commands, and the section that it stands in."""

    section: str
    commands: str


def blocks() -> list[Block]:
    """Return all blocks of the page, as they stand there."""
    found = []
    for section in re.split(r"(?m)^## ", PAGE.read_text("utf-8"))[1:]:
        title = section.partition("\n")[0]
        found += [Block(title, text) for text in re.findall(r"(?ms)^```sh\n(.*?)^```$", section)]
    return found


def section(title: str) -> list[str]:
    """Return the blocks of one section."""
    found = [block.commands for block in blocks() if block.section == title]
    assert found, f"the page has no section {title}"
    return found


def told(page: str, heading: str) -> list[str]:
    """Return the blocks of commands under a heading of some page that are set off by spaces."""
    text = (DOCS / page).read_text("utf-8")
    found = re.search(rf"(?ms)^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", text)
    assert found, f"{page} has no heading {heading}"
    # Commands may have comments, and no prose of a list stands so far to the right.
    outside = re.sub(r"(?ms)^```.*?^```$", "", found[1])
    parts = re.findall(r"(?m)(?:^ {4,}\S.*\n(?:\n(?= {4,}\S))?)+", outside)
    return [textwrap.dedent(part) for part in parts]
